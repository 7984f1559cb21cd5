//! Tests that a policy's JSON Schema and its reader agree: both take or refuse the same samples.
//!
//! The check knows the keywords that the schemas use, and fails at any other.

use serde_json::{Map, Value, json};

use super::CATALOGUE;

/// Whether a value fits a schema without references.
fn fits(schema: &Value, value: &Value) -> bool {
    let Value::Object(schema) = schema else {
        return schema == &json!(true);
    };
    schema.iter().all(|(keyword, rule)| {
        let number = |rule: &Value| rule.as_f64().expect("a number");
        let length = || value.as_str().map(|text| text.chars().count() as f64);
        let items = || value.as_array().map(|items| items.len() as f64);
        match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "format" => true,
            "type" => has_type(rule, value),
            "const" => rule == value,
            "enum" => rule.as_array().expect("values").contains(value),
            "minimum" => value.as_f64().is_none_or(|own| own >= number(rule)),
            "maximum" => value.as_f64().is_none_or(|own| own <= number(rule)),
            "minLength" => length().is_none_or(|own| own >= number(rule)),
            "maxLength" => length().is_none_or(|own| own <= number(rule)),
            "minItems" => items().is_none_or(|own| own >= number(rule)),
            "maxItems" => items().is_none_or(|own| own <= number(rule)),
            "pattern" => value.as_str().is_none_or(|text| fits_pattern(rule, text)),
            "items" => {
                let mut items = value.as_array().into_iter().flatten();
                items.all(|item| fits(rule, item))
            }
            "anyOf" => all(rule).any(|one| fits(one, value)),
            "oneOf" => all(rule).filter(|one| fits(one, value)).count() == 1,
            "properties" | "required" | "additionalProperties" => value
                .as_object()
                .is_none_or(|own| fits_object(schema, keyword, own)),
            unknown => panic!("the schemas use `{unknown}`, which this check does not know"),
        }
    })
}

fn all(rule: &Value) -> impl Iterator<Item = &Value> {
    rule.as_array().expect("schemas").iter()
}

fn has_type(rule: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        unknown => panic!("unknown type {unknown}"),
    };
    match rule {
        Value::String(name) => is(name),
        names => all(names).any(|name| is(name.as_str().expect("a name"))),
    }
}

fn fits_pattern(rule: &Value, text: &str) -> bool {
    let word = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
    match rule.as_str() {
        Some("^[a-z0-9-]+$") => text.chars().all(word),
        Some("^[A-Za-z0-9_-]+$") => text
            .chars()
            .all(|one| word(one.to_ascii_lowercase()) || one == '_'),
        unknown => panic!("unknown pattern {unknown:?}"),
    }
}

fn fits_object(schema: &Map<String, Value>, keyword: &str, own: &Map<String, Value>) -> bool {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object);
    let properties = properties.unwrap_or(&empty);
    match keyword {
        "properties" => own
            .iter()
            .all(|(name, value)| properties.get(name).is_none_or(|rule| fits(rule, value))),
        "required" => {
            all(&schema["required"]).all(|name| own.contains_key(name.as_str().expect("a name")))
        }
        _ => own.keys().all(|name| properties.contains_key(name)) || schema[keyword] == json!(true),
    }
}

/// Values that stand in for each part of an example, to make samples of it. Most do not fit.
fn stand_ins() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(3.0),
        json!(1.5),
        json!(-1),
        json!(100),
        json!(101),
        json!(1_001),
        json!(4_294_967_296_u64),
        json!(""),
        json!("a"),
        json!("A b"),
        json!("booking"),
        json!("attendees"),
        json!("x".repeat(65)),
        json!("x".repeat(301)),
        json!([]),
        json!(["a"]),
        json!({}),
        json!({ "percent": 5 }),
        json!({ "amountMinor": 5 }),
        json!({ "priceMinor": 5 }),
        json!({ "percent": 5, "amountMinor": 5 }),
        json!({ "daysBeforeStart": 3 }),
        json!({ "group": "g", "tickets": 2 }),
        json!({ "question": "q", "numbers": ["1"] }),
        json!(vec!["a"; 1_001]),
    ]
}

/// The example with each of its parts, and each property of the schema, replaced by each stand-in, and with each left out.
fn samples(example: &Value, schema: &Value) -> Vec<Value> {
    let mut samples = Vec::new();
    let names = schema["properties"].as_object().expect("properties").keys();
    for name in names.map(String::as_str).chain(["colour"]) {
        for stand_in in stand_ins() {
            let mut sample = example.clone();
            sample[name] = stand_in;
            samples.push(sample);
        }
        let mut sample = example.clone();
        sample.as_object_mut().expect("an object").remove(name);
        samples.push(sample);
    }
    let mut pointers = Vec::new();
    places(example, String::new(), &mut pointers);
    for pointer in pointers {
        for stand_in in stand_ins() {
            let mut sample = example.clone();
            *sample.pointer_mut(&pointer).expect("a part") = stand_in;
            samples.push(sample);
        }
    }
    samples
}

/// The JSON pointers of everything within a value.
fn places(value: &Value, at: String, found: &mut Vec<String>) {
    let parts: Vec<_> = match value {
        Value::Object(own) => own
            .iter()
            .map(|(name, part)| (name.clone(), part))
            .collect(),
        Value::Array(own) => own
            .iter()
            .enumerate()
            .map(|(index, part)| (index.to_string(), part))
            .collect(),
        _ => Vec::new(),
    };
    for (name, part) in parts {
        let at = format!("{at}/{name}");
        found.push(at.clone());
        places(part, at, found);
    }
}

/// What the reader refuses and a schema takes, because it is about more than one field or the form of a text.
fn is_beyond_schema(detail: &str) -> bool {
    [
        "Give ",
        "must be later",
        "more tickets than the one before",
        "use an address",
        "use a domain",
        "use a time",
    ]
    .iter()
    .any(|rule| detail.contains(rule))
}

#[test]
fn schema_and_reader_take_the_same_samples() {
    let (mut taken, mut refused) = (0, 0);
    for own in &CATALOGUE {
        let schema = (own.schema)();
        let example: Value = serde_json::from_str(own.example).expect("an example");
        for sample in samples(&example, &schema) {
            let read = own.check(&sample.to_string());
            match (fits(&schema, &sample), &read) {
                (true, Ok(_)) => taken += 1,
                (false, Err(_)) => refused += 1,
                (true, Err(error)) if is_beyond_schema(error.detail()) => {}
                (fits, read) => panic!(
                    "{}: the schema says {fits}, the reader {read:?}: {sample}",
                    own.policy
                ),
            }
        }
    }
    assert!(
        taken > 100 && refused > 1_000,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn the_check_refuses_what_does_not_fit() {
    let schema = json!({ "type": "object", "properties": { "a": { "type": ["integer", "null"], "minimum": 2 } }, "required": ["a"],
        "additionalProperties": false });
    assert!(fits(&schema, &json!({ "a": 2 })));
    assert!(fits(&schema, &json!({ "a": null })));
    for wrong in [
        json!({}),
        json!({ "a": 1 }),
        json!({ "a": "2" }),
        json!({ "a": 2, "b": 1 }),
        json!([]),
    ] {
        assert!(!fits(&schema, &wrong), "{wrong}");
    }
}
