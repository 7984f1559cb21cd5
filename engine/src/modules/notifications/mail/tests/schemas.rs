//! Keeps `wit/data/KIND.schema.json`, which plugins are written against, the same as the data that mails really have.
//!
//! A kind's schema is made of what is rendered for it with everything known and with nothing known: a field that is new,
//! gone or of another type makes another schema, and the test fails until the file says so too. To write the files:
//! `BOXOFFICE_UPDATE_SCHEMAS=1 cargo test --workspace schemas`.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};

use super::{Fixture, cancellation, label};
use crate::{
    modules::notifications::{
        kinds,
        mail::{samples::sample, templates::data},
    },
    types::{BookingStatus, CancelCause, NotificationKind, Prose},
};

/// The contract's version, which the schemas share: what changes them changes it.
const PACKAGE: &str = "boxoffice:plugin@0.2.0";

#[test]
fn schemas_are_what_mails_are_made_of() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/data");
    let wit = fs::read_to_string(folder.with_file_name("boxoffice.wit")).unwrap();
    assert!(
        wit.contains(&format!("package {PACKAGE};")),
        "PACKAGE is the contract's"
    );
    let updates = std::env::var_os("BOXOFFICE_UPDATE_SCHEMAS").is_some();
    let kinds = NotificationKind::ALL.iter();
    let kinds: Vec<_> = kinds.filter(|kind| kind.has_templates()).collect();
    for kind in &kinds {
        let path = folder.join(format!("{kind}.schema.json"));
        let wanted = format!("{:#}\n", schema(**kind));
        if updates {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &wanted).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == wanted,
            "{}: not what mails of this kind are made of; BOXOFFICE_UPDATE_SCHEMAS=1 writes it anew:\n{wanted}",
            path.display()
        );
    }
    let files = fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, kinds.len(), "a schema without a kind is left over");
}

#[test]
fn what_templates_are_tried_on_fits_the_schemas() {
    for kind in NotificationKind::ALL
        .iter()
        .filter(|kind| kind.has_templates())
    {
        fits(&schema(*kind), &sample(*kind), kind.as_str());
    }
}

/// Checks a value against a schema of the form that [`of`] makes.
#[track_caller]
fn fits(schema: &Value, value: &Value, path: &str) {
    if let Some(constant) = schema.get("const") {
        assert_eq!(constant, value, "{path}");
        return;
    }
    let found = json!(type_of(value));
    let types = &schema["type"];
    let is_allowed = *types == found || types.as_array().is_some_and(|all| all.contains(&found));
    assert!(is_allowed, "{path}: {found} is not {types}");
    if let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    {
        for (name, field) in fields {
            let property = properties.get(name);
            let property = property.unwrap_or_else(|| panic!("{path}.{name} is not known"));
            fits(property, field, &format!("{path}.{name}"));
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            assert!(fields.contains_key(name), "{path}.{name} is missing");
        }
    }
    for item in value.as_array().into_iter().flatten() {
        fits(&schema["items"], item, &format!("{path}[]"));
    }
}

#[test]
fn other_data_makes_another_schema() {
    let one = json!({"a": 1, "list": [{"b": "x"}, {"b": null}]});
    assert_eq!(
        of(&[&one]),
        json!({
            "type": "object",
            "properties": {
                "a": {"type": "integer"},
                "list": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"b": {"type": ["null", "string"]}},
                        "required": ["b"],
                        "additionalProperties": false,
                    },
                },
            },
            "required": ["a", "list"],
            "additionalProperties": false,
        })
    );
    assert_eq!(of(&[&json!([])]), json!({"type": "array", "maxItems": 0}));
    let two = json!({"a": 1, "list": [], "c": true});
    assert_ne!(of(&[&one, &two]), of(&[&one]));
    assert_eq!(
        of(&[&one, &two])["required"],
        json!(["a", "list"]),
        "`c` is not always there"
    );
}

#[test]
fn the_data_has_one_shape() {
    fn shape(value: &Value) -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    }
    let mut bare = Fixture::new(NotificationKind::EventUpdated);
    bare.event.details.location = None;
    bare.event.details.ends_at = None;
    bare.previous = None;
    let (full, bare) = (Fixture::new(NotificationKind::EventUpdated), bare);
    let (full, bare) = (data(&full.context()), data(&bare.context()));
    assert_eq!(
        shape(&full),
        [
            "announcement",
            "bookings",
            "brand",
            "cancellation",
            "changes",
            "event",
            "kind",
            "links",
            "offer",
            "receipt",
            "recipient",
            "tenant",
            "tickets",
            "unsubscribeUrl",
            "voidTickets"
        ]
    );
    assert_eq!(shape(&full), shape(&bare));
    assert_eq!(shape(&full["event"]), shape(&bare["event"]));
    assert_eq!(bare["event"]["endsAt"], Value::Null);
    assert_eq!(full["event"]["startsAt"], "2026-06-05T17:30:00Z");
    assert_eq!(full["changes"][0]["what"], "endsAt");
    assert_eq!(full["bookings"][0]["totalMinor"], 2_500);
}

fn schema(kind: NotificationKind) -> Value {
    let mut rendered = Vec::new();
    for is_known in [true, false] {
        let mut fixture = match is_known {
            true => Fixture::new(kind).dressed(),
            false => Fixture::new(kind),
        };
        if is_known && kind.needs_consent() {
            fixture.unsubscribe_url = Some("https://tickets.example/unsubscribe".to_owned());
        }
        if is_known && kinds::of(kind).links_to_tickets() {
            fixture.tickets_urls =
                vec![(fixture.bookings[0].id, "https://tickets.example".to_owned())];
        }
        if is_known && kind == NotificationKind::BookingCancelled {
            fixture.bookings[0].cancellations = vec![cancellation(2)];
        }
        if !is_known {
            fixture.event.details.description = Prose::default();
            fixture.event.details.ends_at = None;
            fixture.event.details.location = None;
            fixture.event.details.reference = None;
            fixture.tickets.clear();
            if let Some(receipt) = &mut fixture.receipt {
                receipt.corrects = Some("R-2026-000001".to_owned());
            }
            let now = fixture.context().now;
            if let Some(booking) = fixture.bookings.first_mut() {
                booking.details = None;
                booking.status = BookingStatus::Cancelled;
                booking.cancelled = Some((CancelCause::Customer, now));
            }
        }
        if let (true, Some(previous)) = (is_known, fixture.previous.as_mut()) {
            previous.title = label("Blues Night");
        }
        rendered.push(data(&fixture.context()));
    }
    // Nobody knows the size of a logo at an address.
    let mut linked = Fixture::new(kind).dressed();
    linked.logo = None;
    rendered.push(data(&linked.context()));
    let mut schema = of(&rendered.iter().collect::<Vec<_>>());
    schema["properties"]["kind"] = json!({ "const": kind });
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["$id"] = json!(format!("urn:{PACKAGE}:data:{kind}"));
    schema["title"] = json!(format!(
        "What a mail of kind {kind} is about: `data-json` of notification-template"
    ));
    schema
}

/// The schema of what all these values have in common.
fn of(values: &[&Value]) -> Value {
    let mut types: Vec<&str> = values.iter().map(|value| type_of(value)).collect();
    types.sort_unstable();
    types.dedup();
    let mut schema =
        json!({ "type": if types.len() == 1 { json!(types[0]) } else { json!(types) } });
    let objects: Vec<&Map<String, Value>> = values
        .iter()
        .filter_map(|value| value.as_object())
        .collect();
    if !objects.is_empty() {
        let mut names: Vec<&String> = objects.iter().flat_map(|object| object.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let all = |name: &String| {
            objects
                .iter()
                .filter_map(|object| object.get(name))
                .collect::<Vec<_>>()
        };
        schema["properties"] = names
            .iter()
            .map(|name| ((*name).clone(), of(&all(name))))
            .collect::<Map<_, _>>()
            .into();
        schema["required"] = json!(
            names
                .iter()
                .filter(|name| all(name).len() == objects.len())
                .collect::<Vec<_>>()
        );
        schema["additionalProperties"] = json!(false);
    }
    if types.contains(&"array") {
        let items: Vec<&Value> = values
            .iter()
            .filter_map(|value| value.as_array())
            .flatten()
            .collect();
        if items.is_empty() {
            schema["maxItems"] = json!(0);
        } else {
            schema["items"] = of(&items);
        }
    }
    schema
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
