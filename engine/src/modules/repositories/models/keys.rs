//! Record ids and times in rows: array keys of texts and numbers, times as milliseconds UTC.

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use surrealdb::types::{Array, Number, RecordId, RecordIdKey, SurrealValue, Value};
use ulid::Ulid;

use crate::{
    error::{Error, Result},
    types::{EventId, LastChange, TenantId},
};

/// A row from which only the id is read.
#[derive(Debug, SurrealValue)]
pub(in crate::modules::repositories) struct IdRow {
    id: RecordId,
}

impl IdRow {
    pub(in crate::modules::repositories) fn id(&self) -> &RecordId {
        &self.id
    }

    /// The tenant, for keys that begin with it.
    pub(in crate::modules::repositories) fn tenant(&self) -> Result<TenantId> {
        Ok(TenantId::trusted(key_text(&self.id, 0)?))
    }

    /// The tenant and event, for keys that begin with both.
    pub(in crate::modules::repositories) fn tenant_and_event(&self) -> Result<(TenantId, EventId)> {
        Ok((
            TenantId::trusted(key_text(&self.id, 0)?),
            EventId::from_ulid(key_ulid(&self.id, 1)?),
        ))
    }
}

/// A record id whose key is an array.
pub(in crate::modules::repositories) fn record<const N: usize>(
    table: &str,
    key: [Value; N],
) -> RecordId {
    RecordId::new(table, RecordIdKey::Array(Array::from(key.to_vec())))
}

/// A ULID as a key part: its text sorts like the id itself.
pub(in crate::modules::repositories) fn ulid_key(ulid: Ulid) -> Value {
    Value::String(ulid.to_string())
}

/// A ULID as a key part that sorts newest first, so a page of the newest is a range read.
pub(in crate::modules::repositories) fn newest_first_key(ulid: Ulid) -> Value {
    ulid_key(Ulid(!ulid.0))
}

/// A text part of an array key.
pub(in crate::modules::repositories) fn key_text(id: &RecordId, index: usize) -> Result<&str> {
    match key_part(id, index)? {
        Value::String(text) => Ok(text),
        _ => Err(odd_key(id)),
    }
}

/// A ULID part of an array key.
pub(in crate::modules::repositories) fn key_ulid(id: &RecordId, index: usize) -> Result<Ulid> {
    Ulid::from_string(key_text(id, index)?).map_err(|_| odd_key(id))
}

/// A ULID part of an array key that sorts newest first.
pub(in crate::modules::repositories) fn key_newest_first(
    id: &RecordId,
    index: usize,
) -> Result<Ulid> {
    Ok(Ulid(!key_ulid(id, index)?.0))
}

/// A ULID from a row's text.
pub(in crate::modules::repositories) fn stored_ulid(text: &str) -> Result<Ulid> {
    Ulid::from_string(text).map_err(Error::internal)
}

/// A whole-number part of an array key.
pub(in crate::modules::repositories) fn key_number(id: &RecordId, index: usize) -> Result<i64> {
    match key_part(id, index)? {
        Value::Number(Number::Int(number)) => Ok(*number),
        _ => Err(odd_key(id)),
    }
}

fn key_part(id: &RecordId, index: usize) -> Result<&Value> {
    match &id.key {
        RecordIdKey::Array(parts) => parts.get(index).ok_or_else(|| odd_key(id)),
        _ => Err(odd_key(id)),
    }
}

fn odd_key(id: &RecordId) -> Error {
    Error::internal(format!(
        "a record id of {:?} has an unexpected shape",
        id.table
    ))
}

/// The last change of an object, from its row.
pub(super) fn last_change(version: Option<i64>, step: Option<String>) -> Result<LastChange> {
    Ok(LastChange {
        version: version.unwrap_or_default(),
        step: step.map(|step| stored_ulid(&step)).transpose()?,
    })
}

/// A time in a row.
pub(in crate::modules::repositories) fn millisecond(moment: Timestamp) -> i64 {
    moment.as_millisecond()
}

/// A time from a row.
pub(in crate::modules::repositories) fn at_millisecond(millisecond: i64) -> Result<Timestamp> {
    Timestamp::from_millisecond(millisecond).map_err(Error::internal)
}

/// The JSON of a map or list; `None` for an empty one.
pub(in crate::modules::repositories) fn json_of(value: &impl Serialize) -> Option<String> {
    // Strings, numbers and maps by strings: this does not fail.
    let json = serde_json::to_string(value).unwrap_or_default();
    (json.len() > 2).then_some(json)
}

pub(super) fn of_json<T: DeserializeOwned + Default>(json: Option<String>) -> Result<T> {
    let read = json.map(|json| serde_json::from_str(&json)).transpose();
    Ok(read.map_err(Error::internal)?.unwrap_or_default())
}
