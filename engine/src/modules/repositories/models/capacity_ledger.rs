//! The row of the capacity ledger.

use surrealdb::types::{RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::keys::{at_millisecond, key_number, millisecond, record, stored_ulid, ulid_key};
use crate::{
    error::Result,
    types::{CapacityEntry, EventId, TenantId, TicketTypeId, TypeChange},
};

/// One change of an event's inventory, never altered: the counters can be recomputed from these rows, and each
/// proves that its change was committed. Its key is the change's revision, so the rows are in the
/// order of commits and a missing row is visible.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct CapacityLedgerRow {
    pub(in crate::modules::repositories) id: RecordId,
    /// The change's id, chosen before its first attempt.
    change: String,
    /// The number of the committed plan.
    attempt: u32,
    /// The cause; see `CapacityCause`.
    cause: String,
    sold_change: i64,
    held_change: i64,
    /// The change of each ticket type.
    types: Vec<TypeChangeRow>,
    /// The counters after the change.
    sold: u32,
    held: u32,
    total: u32,
    at: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct TypeChangeRow {
    id: String,
    sold_change: i64,
    held_change: i64,
}

impl CapacityLedgerRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        event: EventId,
        revision: i64,
    ) -> RecordId {
        record(
            "capacity_ledger",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(event.ulid()),
                Value::from_t(revision),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        event: EventId,
        entry: &CapacityEntry,
    ) -> Self {
        Self {
            id: Self::key(tenant, event, entry.revision),
            change: entry.change.to_string(),
            attempt: entry.attempt,
            cause: entry.cause.as_str().to_owned(),
            sold_change: entry.sold_change,
            held_change: entry.held_change,
            types: entry
                .types
                .iter()
                .map(|one| TypeChangeRow {
                    id: one.ticket_type.as_str().to_owned(),
                    sold_change: one.sold_change,
                    held_change: one.held_change,
                })
                .collect(),
            sold: entry.sold,
            held: entry.held,
            total: entry.total,
            at: millisecond(entry.at),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<CapacityEntry> {
        Ok(CapacityEntry {
            revision: key_number(&self.id, 2)?,
            change: stored_ulid(&self.change)?,
            attempt: self.attempt,
            cause: self.cause.parse()?,
            sold_change: self.sold_change,
            held_change: self.held_change,
            types: self
                .types
                .into_iter()
                .map(|one| TypeChange {
                    ticket_type: TicketTypeId::new(one.id),
                    sold_change: one.sold_change,
                    held_change: one.held_change,
                })
                .collect(),
            sold: self.sold,
            held: self.held,
            total: self.total,
            at: at_millisecond(self.at)?,
        })
    }

    /// The number of the committed plan, if this is the row of `change`.
    pub(in crate::modules::repositories) fn attempt_of(&self, change: Ulid) -> Option<u32> {
        (self.change == change.to_string()).then_some(self.attempt)
    }
}
