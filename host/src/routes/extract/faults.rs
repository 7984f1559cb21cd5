//! Reading JSON with errors that name the field at fault and what is allowed, all faults at once.
//!
//! Called by the extractors of bodies, and by controllers for parts that are read later.

use std::{collections::HashSet, fmt};

use boxoffice_engine::{Error, ErrorCode};
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Value, error::Category};
use serde_path_to_error::Path;

/// Largest body of which all faults are collected, and how often it is parsed for that: some milliseconds at most.
const GATHERED_BYTES_MAX: usize = 16 * 1024;
const GATHERING_READS_MAX: usize = 64;
/// Longest piece of a client's text in a response.
const QUOTED_CHARACTERS_MAX: usize = 120;

/// Reads a value that was composed of a client's parts, with the same errors as a body.
///
/// # Errors
/// `field-invalid`, `unknown-field`.
pub(in crate::routes) fn read_value<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let first = refusal(error.path(), error.inner());
        with_other_faults::<T>(first, value.clone())
    })
}

/// Reads one JSON object and nothing after it.
pub(super) fn read_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // Derived deserializers also accept an array for an object: refused here.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) => Error::new(ErrorCode::FieldInvalid, "The body must be a JSON object."),
            Err(error) => malformed(&error),
        });
    }
    read_all::<UniqueFields>(bytes)?;
    read_all(bytes).map_err(|first| match serde_json::from_slice(bytes) {
        Ok(value) => with_other_faults::<T>(first, value),
        Err(_) => first,
    })
}

/// Adds further faults of a body: an invalid part is removed or replaced by a valid one, and the rest is
/// parsed again, until nothing new is found.
fn with_other_faults<T: DeserializeOwned>(first: Error, mut value: Value) -> Error {
    if value.to_string().len() > GATHERED_BYTES_MAX {
        return first;
    }
    let mut known: Vec<String> = Vec::new();
    let mut all: Option<Error> = None;
    let mut stand_ins = 0;
    // Members that could not be replaced. They were removed, so an error about a missing member is not the client's.
    let mut given_up: Vec<String> = Vec::new();
    for _ in 0..GATHERING_READS_MAX {
        let Err(error) = serde_path_to_error::deserialize::<_, T>(&value) else {
            break;
        };
        let error = refusal(error.path(), error.inner());
        let Some(field) = error.field_name().map(str::to_owned) else {
            break;
        };
        if given_up.contains(&field) {
            break;
        }
        let is_unknown = error.code() == ErrorCode::UnknownField;
        // An error in a replacement is not the client's.
        match known.last() {
            Some(last) if field.starts_with(last.as_str()) => stand_ins += 1,
            _ => {
                stand_ins = 0;
                known.push(field.clone());
                all = Some(match all {
                    Some(all) => all.and(error),
                    None => error,
                });
            }
        }
        let at = known.last().unwrap_or(&field);
        let stand_in = [
            Value::Null,
            "".into(),
            0.into(),
            false.into(),
            Value::Array(Vec::new()),
        ];
        let is_mended = match (is_unknown, stand_in.get(stand_ins)) {
            (true, _) => put(&mut value, at, None),
            (false, Some(stand_in)) => put(&mut value, at, Some(stand_in.clone())),
            (false, None) => false,
        };
        if !is_mended {
            let member = at.split(['.', '[']).next().unwrap_or_default().to_owned();
            if !put(&mut value, &member, None) {
                break;
            }
            given_up.push(member);
        }
    }
    all.unwrap_or(first)
}

/// Puts a value at a path such as `lines[0].quantity`, or takes away what is there. Returns whether there is such a place.
fn put(root: &mut Value, field: &str, value: Option<Value>) -> bool {
    // A JSON pointer (RFC 6901); names may have its own signs.
    let names = field.replace('~', "~0").replace('/', "~1");
    let pointer = format!("/{}", names.replace(['.', '['], "/").replace(']', ""));
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        return false;
    };
    let own = name.replace("~1", "/").replace("~0", "~");
    match (root.pointer_mut(parent), value) {
        (Some(Value::Object(object)), Some(value)) => {
            object.insert(own, value);
            true
        }
        (Some(Value::Object(object)), None) => object.remove(&own).is_some(),
        (Some(list @ Value::Array(_)), Some(value)) => {
            let item = list.pointer_mut(&format!("/{name}"));
            item.map(|item| *item = value).is_some()
        }
        _ => false,
    }
}

fn read_all<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    // Only a body with a fault is read again with its path noted, which takes twice the time.
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| refusal(error.path(), error.inner()))?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// Any JSON value in which no object names a field twice (RFC 8259, 4, and RFC 7493, 2.3).
///
/// Deserializers of maps keep the last of two, and another program may have checked the first. So every body is checked here before
/// it is parsed.
struct UniqueFields;

impl<'de> Deserialize<'de> for UniqueFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for UniqueFields {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            if seen.contains(&name) {
                let name = quoted(&name);
                return Err(serde::de::Error::custom(format_args!(
                    "duplicate field `{name}`"
                )));
            }
            seen.insert(name);
            fields.next_value::<Self>()?;
        }
        Ok(self)
    }
}

fn malformed(error: &serde_json::Error) -> Error {
    let place = format!("line {}, column {}", error.line(), error.column());
    Error::new(
        ErrorCode::MalformedRequest,
        format!("The body is not JSON: see {place}."),
    )
}

/// Turns a parser error into a code, a field and a sentence.
fn refusal(path: &Path, error: &serde_json::Error) -> Error {
    let message = error.to_string();
    // Line and column follow, which are not needed with a field's name.
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(message, _)| message);
    let path = path.to_string();
    let path = if path == "." {
        String::new()
    } else {
        quoted(&path)
    };

    if message.starts_with("unknown field `") {
        let known = message.split_once("`, expected ").map(|(_, known)| known);
        let detail = match known {
            Some(known) => format!("Unknown field. Expected {}.", quoted(known)),
            None => "Unknown field.".to_owned(),
        };
        return Error::new(ErrorCode::UnknownField, detail).at_field(path);
    }
    for (start, rule) in [
        ("missing field `", "This field is required."),
        ("duplicate field `", "This field is repeated."),
    ] {
        // The path ends at the object; the field's name is one of the API's.
        let name = message
            .strip_prefix(start)
            .and_then(|rest| rest.strip_suffix('`'));
        if let Some(name) = name {
            let path = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            };
            return Error::field(path, rule);
        }
    }
    // A syntax error for the parser, but only a number that is too large.
    let out_of_range = message == "number out of range";
    if error.classify() != Category::Data && !out_of_range {
        return malformed(error);
    }
    let rule = if out_of_range {
        "This number is far too large.".to_owned()
    } else {
        // "invalid type: string "x", expected a boolean": the value is left out, as it may be a password.
        match message.rsplit_once(", expected ") {
            Some((_, expected)) => format!("Expected {}.", quoted(expected)),
            None => "This value cannot be read.".to_owned(),
        }
    };
    let error = Error::new(ErrorCode::FieldInvalid, rule);
    if path.is_empty() {
        error
    } else {
        error.at_field(path)
    }
}

/// A client's text, truncated and without control characters.
fn quoted(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(QUOTED_CHARACTERS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::Map;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only reading it is tried")]
    struct Order {
        title: String,
        how_many: Option<serde_json::Number>,
        #[serde(default)]
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only reading it is tried")]
    struct Line {
        size: bool,
    }

    #[test]
    fn each_mistake_has_its_code_and_field() {
        for (body, code, field) in [
            (r#"{"title":"x","sold":1}"#, "unknown-field", Some("sold")),
            (
                r#"{"title":"x","lines":[{"size":true},{"size":true,"x":1}]}"#,
                "unknown-field",
                Some("lines[1].x"),
            ),
            ("{}", "field-invalid", Some("title")),
            (
                r#"{"title":"x","lines":[{}]}"#,
                "field-invalid",
                Some("lines[0].size"),
            ),
            (r#"{"title":7}"#, "field-invalid", Some("title")),
            (r#"{"title":null}"#, "field-invalid", Some("title")),
            (
                r#"{"title":"x","howMany":"2"}"#,
                "field-invalid",
                Some("howMany"),
            ),
            (
                r#"{"title":"x","howMany":1e999}"#,
                "field-invalid",
                Some("howMany"),
            ),
            (
                r#"{"title":"x","title":"y"}"#,
                "field-invalid",
                Some("title"),
            ),
            (
                r#"{"title":"x","lines":[{"size":true},{"size":true,"size":true}]}"#,
                "field-invalid",
                Some("lines[1].size"),
            ),
            ("[]", "field-invalid", None),
            ("null", "field-invalid", None),
            ("7", "field-invalid", None),
            ("", "malformed-request", None),
            ("{", "malformed-request", None),
            (r#"{"title":"x"} x"#, "malformed-request", None),
            (r#"{"title":"x",}"#, "malformed-request", None),
            ("{\"title\":\"\u{0}\"}", "malformed-request", None),
        ] {
            let error = read_object::<Order>(body.as_bytes()).unwrap_err();
            assert_eq!(
                (error.code().as_str(), error.field_name()),
                (code, field),
                "{body}: {error}"
            );
        }
        assert!(read_object::<Order>(br#" {"title":"x","howMany":1e30} "#).is_ok());
        assert!(read_object::<Order>(b"{\"title\":\"\xff\"}").is_err());
        assert!(read_object::<Map<String, Value>>("[".repeat(10_000).as_bytes()).is_err());
    }

    #[test]
    fn no_body_names_a_field_twice_at_any_depth() {
        for (body, field) in [
            (r#"{"a":1,"a":1}"#, "a"),
            (r#"{"a":1,"\u0061":2}"#, "a"),
            (r#"{"a":{"b":[{"c":1},{"c":1,"d":2,"c":3}]}}"#, "a.b[1].c"),
        ] {
            let error = read_object::<Map<String, Value>>(body.as_bytes()).unwrap_err();
            assert_eq!(
                (error.code().as_str(), error.field_name()),
                ("field-invalid", Some(field)),
                "{body}: {error}"
            );
        }
        for body in [
            r#"{"a":1,"A":2}"#,
            r#"{"a":{"a":[{"a":1},{"a":null}]},"b":{"a":true}}"#,
        ] {
            assert!(
                read_object::<Map<String, Value>>(body.as_bytes()).is_ok(),
                "{body}"
            );
        }
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let body =
            r#"{"howMany":"2","sold":1,"lines":[{"size":7},{"size":true,"x":1},{}],"y":{"z":1}}"#;
        let error = read_object::<Order>(body.as_bytes()).unwrap_err();
        let all = std::iter::once(&error).chain(error.others());
        let mut fields: Vec<_> = all.filter_map(Error::field_name).collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "howMany",
                "lines[0].size",
                "lines[1].x",
                "lines[2].size",
                "sold",
                "title",
                "y"
            ]
        );
        // Do not add members to a value that is not an object.
        let error = read_object::<Order>(br#"{"title":[],"lines":[7,"x"]}"#).unwrap_err();
        let all = std::iter::once(&error).chain(error.others());
        let mut fields: Vec<_> = all.filter_map(Error::field_name).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["lines[0]", "title"]);
        // Names may look like a part of a path.
        let error = read_object::<Order>(br#"{"title":[],"a/b":1,"c~d":2,"lines":7}"#).unwrap_err();
        let all = std::iter::once(&error).chain(error.others());
        let mut fields: Vec<_> = all.filter_map(Error::field_name).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["a/b", "c~d", "lines", "title"]);
    }

    #[test]
    fn values_are_never_repeated() {
        let error = read_object::<Order>(br#"{"title":"x","lines":"hunter2"}"#).unwrap_err();
        assert!(!error.detail().contains("hunter2"), "{error}");
    }

    #[test]
    fn merged_values_have_the_same_errors() {
        let error = read_value::<Order>(serde_json::json!({"title": "x", "sold": 1})).unwrap_err();
        assert_eq!(
            (error.code(), error.field_name()),
            (ErrorCode::UnknownField, Some("sold"))
        );
        let error = read_value::<Order>(serde_json::json!({})).unwrap_err();
        assert_eq!(
            (error.code(), error.field_name()),
            (ErrorCode::FieldInvalid, Some("title"))
        );
    }
}
