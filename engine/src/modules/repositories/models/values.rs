//! Lossless conversion of rows to JSON and back.
//!
//! JSON's own types are used directly. Any other value becomes an object with one member, whose name begins with `$`.
//! An object that itself has a member name beginning with `$` becomes a list of its members (`$object`).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json, json};
use surrealdb::types::{Array, Bytes, Number, Object, RecordId, RecordIdKey, Value};

use crate::error::{Error, Result};

/// Converts a value to JSON.
///
/// # Errors
/// `internal` for a kind of value that no row has.
pub(in crate::modules::repositories) fn to_json(value: Value) -> Result<Json> {
    Ok(match value {
        Value::None => json!({"$none": true}),
        Value::Null => Json::Null,
        Value::Bool(yes) => Json::Bool(yes),
        Value::Number(Number::Int(number)) => json!(number),
        // As text, so that neither 1.0 nor the last bits change.
        Value::Number(Number::Float(number)) => json!({"$float": format!("{number:?}")}),
        Value::Number(Number::Decimal(number)) => json!({"$decimal": number.to_string()}),
        Value::String(text) => Json::String(text),
        Value::Bytes(bytes) => json!({"$bytes": STANDARD.encode(bytes.into_inner())}),
        Value::Array(items) => items
            .into_iter()
            .map(to_json)
            .collect::<Result<Vec<_>>>()?
            .into(),
        Value::Object(members) => object_to_json(members)?,
        Value::RecordId(id) => json!({"$id": [id.table.to_string(), key_to_json(id.key)?]}),
        other => return Err(odd(&format!("{other:?}"))),
    })
}

/// Reads what [`to_json`] wrote.
///
/// # Errors
/// `backup-invalid`.
pub(in crate::modules::repositories) fn from_json(json: Json) -> Result<Value> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(yes) => Value::Bool(yes),
        Json::Number(number) => {
            let number = number.as_i64().ok_or_else(|| unreadable("a number"))?;
            Value::Number(Number::Int(number))
        }
        Json::String(text) => Value::String(text),
        Json::Array(items) => Value::Array(array(items)?),
        Json::Object(members) => {
            let marked = (members.len() == 1)
                .then(|| members.keys().next().cloned())
                .flatten()
                .filter(|name| name.starts_with('$'));
            match marked {
                Some(mark) => {
                    let inner = members.into_iter().next().map(|(_, inner)| inner);
                    marked_value(&mark, inner.unwrap_or_default())?
                }
                None => {
                    let members = members
                        .into_iter()
                        .map(|(name, value)| Ok((name, from_json(value)?)))
                        .collect::<Result<Vec<_>>>()?;
                    Value::Object(Object::from_iter(members))
                }
            }
        }
    })
}

fn object_to_json(members: Object) -> Result<Json> {
    let members = members.into_inner();
    let listed = members.keys().any(|name| name.starts_with('$'));
    let members = members
        .into_iter()
        .map(|(name, value)| Ok((name, to_json(value)?)))
        .collect::<Result<Vec<_>>>()?;
    Ok(match listed {
        true => json!({"$object": members}),
        false => Json::Object(Map::from_iter(members)),
    })
}

fn key_to_json(key: RecordIdKey) -> Result<Json> {
    match key {
        RecordIdKey::Array(parts) => to_json(Value::Array(parts)),
        RecordIdKey::String(text) => Ok(Json::String(text)),
        RecordIdKey::Number(number) => Ok(json!(number)),
        other => Err(odd(&format!("{other:?}"))),
    }
}

fn marked_value(mark: &str, inner: Json) -> Result<Value> {
    let bad = || unreadable(mark);
    let text = || inner.as_str().ok_or_else(bad);
    Ok(match mark {
        "$none" => Value::None,
        "$float" => Value::Number(Number::Float(text()?.parse().map_err(|_| bad())?)),
        "$decimal" => Value::Number(Number::Decimal(text()?.parse().map_err(|_| bad())?)),
        "$bytes" => Value::Bytes(Bytes::from(STANDARD.decode(text()?).map_err(|_| bad())?)),
        "$id" => match inner {
            Json::Array(parts) => match <[Json; 2]>::try_from(parts) {
                Ok([Json::String(table), key]) => {
                    let key = match key {
                        Json::Array(parts) => RecordIdKey::Array(array(parts)?),
                        Json::String(text) => RecordIdKey::String(text),
                        Json::Number(number) => {
                            RecordIdKey::Number(number.as_i64().ok_or_else(bad)?)
                        }
                        _ => return Err(bad()),
                    };
                    Value::RecordId(RecordId::new(table, key))
                }
                _ => return Err(bad()),
            },
            _ => return Err(bad()),
        },
        "$object" => {
            let members: Vec<(String, Json)> = serde_json::from_value(inner).map_err(|_| bad())?;
            let members = members
                .into_iter()
                .map(|(name, value)| Ok((name, from_json(value)?)))
                .collect::<Result<Vec<_>>>()?;
            Value::Object(Object::from_iter(members))
        }
        _ => return Err(bad()),
    })
}

fn array(items: Vec<Json>) -> Result<Array> {
    let items = items
        .into_iter()
        .map(from_json)
        .collect::<Result<Vec<_>>>()?;
    Ok(Array::from(items))
}

fn odd(what: &str) -> Error {
    let what: String = what.chars().take(80).collect();
    Error::internal(format!("no row of ours has a value like {what}"))
}

fn unreadable(what: &str) -> Error {
    Error::new(
        crate::error::ErrorCode::BackupInvalid,
        format!("A row of the backup has {what} that cannot be read."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn every_value_comes_back_as_it_was() {
        let id = RecordId::new(
            "booking",
            RecordIdKey::Array(Array::from(vec![
                text("north"),
                Value::Number(Number::Int(-7)),
            ])),
        );
        let members = [
            ("none", Value::None),
            ("null", Value::Null),
            ("yes", Value::Bool(true)),
            ("whole", Value::Number(Number::Int(i64::MAX))),
            ("one", Value::Number(Number::Float(1.0))),
            ("tenth", Value::Number(Number::Float(0.1))),
            ("odd", Value::Number(Number::Float(f64::INFINITY))),
            (
                "large",
                Value::Number(Number::Decimal("18446744073709551615".parse().unwrap())),
            ),
            ("text", text("§ \u{0} \"quoted\"")),
            ("bytes", Value::Bytes(Bytes::from(vec![0, 255, 10]))),
            ("id", Value::RecordId(id)),
            (
                "schema",
                Value::RecordId(RecordId::new("schema", RecordIdKey::Number(3))),
            ),
            (
                "lists",
                Value::Array(Array::from(vec![Value::Array(Array::from(
                    Vec::<Value>::new(),
                ))])),
            ),
            (
                "tricky",
                Value::Object(Object::from_iter([("$bytes".to_owned(), text("no bytes"))])),
            ),
        ];
        let members = members.map(|(name, value)| (name.to_owned(), value));
        let row = Value::Object(Object::from_iter(members));
        let json = to_json(row.clone()).unwrap();
        let written = json.to_string();
        assert!(!written.contains('\n'), "a row is a line");
        assert_eq!(
            from_json(serde_json::from_str(&written).unwrap()).unwrap(),
            row
        );
    }

    #[test]
    fn what_nobody_wrote_is_refused() {
        for bad in [
            json!({"$bytes": "not base64!"}),
            json!({"$id": ["booking"]}),
            json!({"$id": ["booking", {}]}),
            json!({"$nothing": 1}),
            json!(1.5),
        ] {
            let error = from_json(bad.clone()).unwrap_err();
            assert_eq!(error.code().as_str(), "backup-invalid", "{bad}");
        }
    }
}
