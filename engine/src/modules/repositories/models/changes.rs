//! The rows of changes: those of steps, without numbers, and numbered blocks of them.

use surrealdb::types::{Object, RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::{
    bookings::BookingRow,
    events::{EventRow, InventoryRow},
    holds::HoldRow,
    keys::{at_millisecond, key_number, key_ulid, record, stored_ulid},
    payments::PaymentRow,
    receipts::ReceiptRow,
    users::UserRow,
    waitlist::WaitlistEntryRow,
};
use crate::{
    error::{Error, Result},
    types::{Change, ChangeCursor, ChangeFilter, ChangeKind, ChangedObject, TenantId},
};

/// A change of an object, with the object's row.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ChangeRow {
    kind: String,
    at: i64,
    /// The object's row; only its id and version once the person whom it names was erased.
    row: Value,
    /// The row that belongs to it: an event's inventory.
    beside: Option<Value>,
    /// Whether the object's data are gone; nothing if they are not.
    erased: Option<bool>,
}

/// What a step changed.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct PendingChangeRow {
    pub(in crate::modules::repositories) id: RecordId,
    pub(in crate::modules::repositories) changes: Vec<ChangeRow>,
}

impl PendingChangeRow {
    pub(in crate::modules::repositories) fn key(step: Ulid, tenant: &TenantId) -> RecordId {
        let tenant = Value::String(tenant.as_str().to_owned());
        record("pending_change", [Value::String(step.to_string()), tenant])
    }

    pub(in crate::modules::repositories) fn step(&self) -> Result<Ulid> {
        key_ulid(&self.id, 0)
    }

    /// The steps that its objects' earlier changes were made in.
    pub(in crate::modules::repositories) fn steps_before(&self) -> Result<Vec<Ulid>> {
        let columns = self
            .changes
            .iter()
            .filter_map(|change| change.columns().ok());
        let steps = columns.filter_map(|columns| match columns.get("change_before") {
            Some(Value::String(step)) => Some(stored_ulid(step)),
            _ => None,
        });
        steps.collect()
    }
}

/// Changes with consecutive numbers; the last one is in the key.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ChangeBlockRow {
    pub(in crate::modules::repositories) id: RecordId,
    /// When they were numbered.
    pub(in crate::modules::repositories) at: i64,
    pub(in crate::modules::repositories) changes: Vec<ChangeRow>,
}

impl ChangeBlockRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, last: i64) -> RecordId {
        let tenant = Value::String(tenant.as_str().to_owned());
        record("change_block", [tenant, Value::from_t(last)])
    }

    /// The number of its last change.
    pub(in crate::modules::repositories) fn last(&self) -> Result<i64> {
        key_number(&self.id, 1)
    }

    /// The number of its first change.
    pub(in crate::modules::repositories) fn first(&self) -> Result<i64> {
        Ok(self.last()? + 1 - self.changes.len() as i64)
    }

    /// The changes after a number that a filter lets through, up to `max`, and the number of the last one that was looked at.
    pub(in crate::modules::repositories) fn into_changes(
        self,
        (epoch, after): (&str, i64),
        filter: &ChangeFilter,
        max: usize,
    ) -> Result<(Vec<Change>, i64)> {
        let (first, mut seen) = (self.first()?, after);
        let mut found = Vec::new();
        for (number, change) in (first..).zip(self.changes) {
            if number <= after {
                continue;
            }
            if found.len() == max {
                break;
            }
            seen = number;
            let cursor = || ChangeCursor {
                epoch: epoch.to_owned(),
                sequence: number as u64,
            };
            found.extend(change.into_type(cursor, filter)?);
        }
        Ok((found, seen))
    }

    /// Removes the data of objects whose rows name a person in any column. Returns whether there were some.
    pub(in crate::modules::repositories) fn forget(&mut self, person: &[String]) -> bool {
        let mut is_changed = false;
        for change in &mut self.changes {
            is_changed |= change.forget(person);
        }
        is_changed
    }
}

/// How far a tenant's feed is.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ChangeHeadRow {
    pub(in crate::modules::repositories) id: RecordId,
    pub(in crate::modules::repositories) revision: i64,
    /// The number of the last change.
    pub(in crate::modules::repositories) last: i64,
    /// The number of the last change that is not kept any more; 0 if all are.
    pub(in crate::modules::repositories) forgotten: i64,
}

impl ChangeHeadRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId) -> RecordId {
        let tenant = Value::String(tenant.as_str().to_owned());
        record("change_head", [tenant])
    }
}

impl ChangeRow {
    fn columns(&self) -> Result<&Object> {
        match &self.row {
            Value::Object(columns) => Ok(columns),
            _ => Err(Error::internal("a change has no row")),
        }
    }

    fn into_type(
        self,
        cursor: impl FnOnce() -> ChangeCursor,
        filter: &ChangeFilter,
    ) -> Result<Option<Change>> {
        let kind: ChangeKind = self.kind.parse()?;
        let columns = self.columns()?;
        let version = match columns.get("change_number") {
            Some(Value::Number(number)) => number.to_int().and_then(|one| u64::try_from(one).ok()),
            _ => None,
        };
        let version = version.ok_or_else(|| Error::internal("a change has no version"))?;
        let Some(Value::RecordId(id)) = columns.get("id") else {
            return Err(Error::internal("a changed object has no id"));
        };
        let id = public_id(id)?;
        if !filter.lets(kind, || id.clone()) {
            return Ok(None);
        }
        let at = at_millisecond(self.at)?;
        let object = match self.erased {
            Some(true) => None,
            _ => Some(object_of(self.row, self.beside)?),
        };
        Ok(Some(Change {
            cursor: cursor(),
            kind,
            at,
            id,
            version,
            object,
        }))
    }

    fn forget(&mut self, person: &[String]) -> bool {
        let is_event = self.kind.starts_with("event.");
        if self.erased == Some(true) || is_event || !names(&self.row, person) {
            return false;
        }
        if let Value::Object(columns) = &mut self.row {
            let kept = ["id", "change_number"].map(|name| (name, columns.remove(name)));
            let kept = kept.into_iter();
            let kept = kept.filter_map(|(name, value)| Some((name.to_owned(), value?)));
            self.row = Value::Object(kept.collect());
        }
        self.erased = Some(true);
        true
    }
}

/// Whether a value has one of these texts in it, in a key of a record or in JSON, too.
fn names(value: &Value, texts: &[String]) -> bool {
    match value {
        Value::String(one) => texts.iter().any(|text| one.contains(text.as_str())),
        Value::Array(all) => all.iter().any(|one| names(one, texts)),
        Value::Object(columns) => columns.values().any(|one| names(one, texts)),
        Value::RecordId(id) => match &id.key {
            surrealdb::types::RecordIdKey::Array(parts) => {
                parts.iter().any(|one| names(one, texts))
            }
            _ => false,
        },
        _ => false,
    }
}

/// The id in the API of the object with this record.
fn public_id(id: &RecordId) -> Result<String> {
    use super::{bookings::booking_id, receipts::receipt_id};
    use crate::types::{EventId, HoldId, UserId};
    let id = match id.table.as_str() {
        "event" => EventId::from_ulid(key_ulid(id, 1)?).to_string(),
        "booking" => booking_id(id)?.to_string(),
        "hold" => HoldId::of_path(booking_id(id)?).to_string(),
        "waitlist_entry" => {
            let event = EventId::from_ulid(key_ulid(id, 1)?);
            format!("{event}/{}", key_number(id, 2)?)
        }
        "payment" => PaymentRow::path(id)?.1.to_string(),
        "receipt" => receipt_id(id)?.to_string(),
        "user" => UserId::from_ulid(key_ulid(id, 1)?).to_string(),
        other => return Err(Error::internal(format!("{other} is not told of"))),
    };
    Ok(id)
}

fn object_of(row: Value, beside: Option<Value>) -> Result<ChangedObject> {
    let table = match &row {
        Value::Object(columns) => match columns.get("id") {
            Some(Value::RecordId(id)) => id.table.as_str().to_owned(),
            _ => String::new(),
        },
        _ => String::new(),
    };
    Ok(match table.as_str() {
        "event" => {
            let event = of::<EventRow>(row)?.into_type()?;
            let inventory = beside.ok_or_else(|| Error::internal("an event has no inventory"))?;
            let inventory = of::<InventoryRow>(inventory)?.into_type()?;
            ChangedObject::Event(Box::new(event.with(inventory)))
        }
        "booking" => ChangedObject::Booking(Box::new(of::<BookingRow>(row)?.into_type()?)),
        "hold" => ChangedObject::Hold(Box::new(of::<HoldRow>(row)?.into_type()?)),
        "waitlist_entry" => {
            let entry = of::<WaitlistEntryRow>(row)?.into_type()?;
            ChangedObject::Waitlist(Box::new(entry))
        }
        "payment" => ChangedObject::Payment(Box::new(of::<PaymentRow>(row)?.into_type()?)),
        "receipt" => ChangedObject::Receipt(Box::new(of::<ReceiptRow>(row)?.into_type()?)),
        "user" => ChangedObject::Customer(Box::new(of::<UserRow>(row)?.into_type()?)),
        other => return Err(Error::internal(format!("{other} is not told of"))),
    })
}

fn of<T: SurrealValue>(row: Value) -> Result<T> {
    T::from_value(row).map_err(Error::internal)
}
