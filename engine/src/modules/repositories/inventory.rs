//! The guard that every counting step shares: compare the inventory's revision, write the next one, or stop the
//! transaction. Plus the ledger row that goes with every change.
//!
//! Called by the steps of bookings and events. Calls models.

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    db::Script,
    models::{CapacityLedgerRow, InventoryRow, millisecond},
};
use crate::types::{CapacityCause, Inventory, TenantId};

/// The word a transaction stops with when the inventory is no longer what the step was decided on.
pub(in crate::modules) const INVENTORY_MOVED: &str = "inventory-moved";
/// The word a transaction stops with when a notification is no longer what the step was decided on.
pub(in crate::modules) const NOTIFICATION_MOVED: &str = "notification-moved";

/// A change of an event's inventory, decided on a sight of it.
#[derive(Debug, Clone)]
pub(in crate::modules) struct InventoryChange {
    /// The inventory as it shall be; `revision` is still the one that was read.
    pub(in crate::modules) inventory: Inventory,
    /// Names the change: its ledger row, which proves that it was committed.
    pub(in crate::modules) change: Ulid,
    /// Which plan under that name this is, from 0.
    pub(in crate::modules) attempt: u32,
    /// Why.
    pub(in crate::modules) cause: CapacityCause,
    /// Tickets that become sold, or free below zero.
    pub(in crate::modules) sold_change: i64,
    /// When.
    pub(in crate::modules) at: Timestamp,
}

/// Adds the guard and the ledger row of a change: 2 rows.
pub(in crate::modules::repositories) fn add_change(
    script: &mut Script,
    tenant: &TenantId,
    change: &InventoryChange,
) {
    let seen = change.inventory.revision;
    let next = Inventory {
        revision: seen + 1,
        ..change.inventory.clone()
    };
    let ledger = CapacityLedgerRow {
        id: CapacityLedgerRow::key(tenant, next.event, change.change),
        cause: change.cause.as_str().to_owned(),
        attempt: change.attempt,
        sold_change: change.sold_change,
        sold: next.sold,
        held: next.held,
        total: next.total,
        at: millisecond(change.at),
    };
    let record = script.bind(InventoryRow::key(tenant, next.event));
    let row = script.bind(InventoryRow::of(tenant, &next));
    let seen = script.bind(seen);
    // The guard writes what it guards: a read alone would let two transactions pass each other (snapshot isolation).
    script.push(format!(
        "LET $moved = (UPDATE {record} CONTENT {row} WHERE revision = {seen} RETURN VALUE revision)"
    ));
    script.push(format!(
        "IF array::len($moved) = 0 {{ THROW '{INVENTORY_MOVED}' }}"
    ));
    let ledger = script.bind(ledger);
    script.push(format!("INSERT INTO capacity_ledger {ledger} RETURN NONE"));
}
