//! The guard of every step that changes counters: compare the inventory's revision, write the next one, or stop the
//! transaction. And the row of the capacity ledger.
//!
//! Called by the steps of bookings and events. Calls models.

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    db::Script,
    idempotency::add_recorded,
    models::{CapacityLedgerRow, InventoryRow},
};
use crate::types::{
    CapacityCause, CapacityEntry, Inventory, RecordedRequest, TenantId, TypeChange,
};

/// The guard's word when the inventory has changed.
pub(in crate::modules) const STALE_INVENTORY: &str = "inventory-moved";
/// The guard's word when a notification has changed.
pub(in crate::modules) const STALE_NOTIFICATION: &str = "notification-moved";

/// A change of an event's inventory, decided on one revision of it.
#[derive(Debug, Clone)]
pub(in crate::modules) struct InventoryChange {
    /// The inventory as it was read.
    pub(in crate::modules) before: Inventory,
    /// The inventory to write; its `revision` is ignored.
    pub(in crate::modules) inventory: Inventory,
    /// The change's id in its ledger row, which proves that it was committed.
    pub(in crate::modules) change: Ulid,
    /// The number of this plan under that id, from 0.
    pub(in crate::modules) attempt: u32,
    /// The cause.
    pub(in crate::modules) cause: CapacityCause,
    /// The time.
    pub(in crate::modules) at: Timestamp,
    /// The requests with an Idempotency-Key that it answers.
    pub(in crate::modules) recorded: Vec<RecordedRequest>,
}

impl InventoryChange {
    /// The inventory after this change.
    pub(in crate::modules) fn after(&self) -> Inventory {
        Inventory {
            revision: self.before.revision + 1,
            ..self.inventory.clone()
        }
    }
}

/// Adds the guard and the ledger row of a change: 2 rows; and the requests that it answers: a row each, and one.
pub(in crate::modules::repositories) fn add_change(
    script: &mut Script,
    tenant: &TenantId,
    change: &InventoryChange,
) {
    script.happens(change.at);
    let next = change.after();
    let ledger = CapacityLedgerRow::of(tenant, next.event, &entry_of(change, &next));
    script.replace_if(
        InventoryRow::key(tenant, next.event),
        change.before.revision,
        InventoryRow::of(tenant, &next),
        STALE_INVENTORY,
    );
    script.insert("capacity_ledger", [ledger]);
    let recorded = &change.recorded;
    add_recorded(script, tenant, change.change, recorded, change.at);
}

/// The ledger row of a change: the difference of the counters.
fn entry_of(change: &InventoryChange, next: &Inventory) -> CapacityEntry {
    let difference = |after: u32, before: u32| i64::from(after) - i64::from(before);
    let before = &change.before;
    let of_type = |kind: &crate::types::TicketType| {
        let was = before.ticket_types.iter().find(|was| was.id == kind.id);
        TypeChange {
            ticket_type: kind.id.clone(),
            sold_change: difference(kind.sold, was.map_or(0, |was| was.sold)),
            held_change: difference(kind.held, was.map_or(0, |was| was.held)),
        }
    };
    let types = next.ticket_types.iter().map(of_type);
    CapacityEntry {
        revision: next.revision,
        change: change.change,
        attempt: change.attempt,
        cause: change.cause,
        sold_change: difference(next.sold, before.sold),
        held_change: difference(next.held, before.held),
        types: types
            .filter(|one| one.sold_change != 0 || one.held_change != 0)
            .collect(),
        sold: next.sold,
        held: next.held,
        total: next.total,
        at: change.at,
    }
}
