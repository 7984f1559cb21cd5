//! When Idempotency-Keys are forgotten: one note for all that a step records, so that what is over is found without
//! reading what is not.
//!
//! Called by the steps that record keys, and by housekeeping. Calls models.

use jiff::Timestamp;
use surrealdb::types::RecordId;
use ulid::Ulid;

use super::{
    db::{Script, SystemScope},
    models::IdempotencyDueRow,
};
use crate::types::TenantId;

/// Most notes that are worked off at a time; each stands for the keys of a group at most, which is 128.
pub(super) const DUE_MAX: usize = 4;

/// Adds the note until when some keys are kept, under the name of the change that records them: 1 row.
pub(super) fn add_key_expiry(
    script: &mut Script,
    tenant: &TenantId,
    change: Ulid,
    until: Timestamp,
    keys: Vec<RecordId>,
) {
    let row = script.bind(IdempotencyDueRow::of(tenant, change, until, keys));
    script.push(format!("INSERT INTO idempotency_due {row} RETURN NONE"));
}

/// Adds the question which notes are due at a time, an expression, and answers where its result will be.
pub(super) fn add_due_keys(script: &mut Script, now: &str) -> usize {
    script.push(format!(
        "SELECT * FROM type::record('idempotency_due', [0]..[{now}, ..]) LIMIT {DUE_MAX}"
    ))
}

/// What forgets the keys of notes that were due, and the notes.
pub(super) fn forgetting(scope: SystemScope, due: Vec<IdempotencyDueRow>) -> Script {
    let mut script = Script::transaction_across_tenants(scope);
    let (mut gone, mut keys) = (Vec::new(), Vec::new());
    for note in due {
        gone.push(note.id);
        keys.extend(note.keys);
    }
    for rows in [keys, gone] {
        let rows = script.bind(rows);
        script.push(format!("DELETE {rows} RETURN NONE"));
    }
    script
}
