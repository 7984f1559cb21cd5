//! Requests that succeeded under an Idempotency-Key: written with what they did, found by their key, and forgotten after a
//! day. One note stands for all that a step records, so that what is over is found without reading what is not.
//!
//! Called by the idempotency module, by the steps that record requests, and by housekeeping. Calls models.

use jiff::{Span, Timestamp};
use ulid::Ulid;

use super::{
    db::{Db, Script, SystemScope},
    models::{IdempotencyDueRow, IdempotencyRow},
};
use crate::{
    error::Result,
    types::{RecordedRequest, RequestKey, TenantId},
};

/// Most notes that are worked off at a time; each stands for the keys of a group at most, which is 128.
pub(super) const DUE_MAX: usize = 4;
/// How long a key is remembered.
const KEPT_HOURS: i64 = 24;

pub(in crate::modules) struct IdempotencyRepository {
    db: Db,
}

impl IdempotencyRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// The request that succeeded under a key, if one did.
    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        key: &RequestKey,
    ) -> Result<Option<RecordedRequest>> {
        self.read(Script::of(tenant), Some(tenant), key).await
    }

    /// The same of what was done outside tenants.
    pub(in crate::modules) async fn find_outside(
        &self,
        scope: SystemScope,
        key: &RequestKey,
    ) -> Result<Option<RecordedRequest>> {
        self.read(Script::across_tenants(scope), None, key).await
    }

    async fn read(
        &self,
        mut script: Script,
        tenant: Option<&TenantId>,
        key: &RequestKey,
    ) -> Result<Option<RecordedRequest>> {
        let id = script.bind(IdempotencyRow::key(tenant, key));
        let index = script.push(format!("SELECT * FROM ONLY {id}"));
        let row: Option<IdempotencyRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(|row| row.into_type(key)).transpose()
    }
}

/// Adds requests that succeed with this step, and until when they are kept, under the name of the step's change: a row
/// each, and one. The step fails as existing if one of the keys was used meanwhile. No tenant stands for what is done
/// outside all.
pub(super) fn add_recorded<'a>(
    script: &mut Script,
    tenant: impl Into<Option<&'a TenantId>>,
    change: Ulid,
    recorded: &[RecordedRequest],
    at: Timestamp,
) {
    let tenant = tenant.into();
    if recorded.is_empty() {
        return;
    }
    let until = at.checked_add(Span::new().hours(KEPT_HOURS));
    let until = until.unwrap_or(Timestamp::MAX);
    let rows = recorded.iter();
    let rows: Vec<_> = rows
        .map(|one| IdempotencyRow::of(tenant, one, until))
        .collect();
    let keys = rows.iter().map(|row| row.id.clone()).collect();
    let rows = script.bind(rows);
    script.push(format!("INSERT INTO idempotency {rows} RETURN NONE"));
    let note = script.bind(IdempotencyDueRow::of(tenant, change, until, keys));
    script.push(format!("INSERT INTO idempotency_due {note} RETURN NONE"));
}

/// Writes the record of a request that found everything as it wants it: 2 rows.
pub(super) async fn record_unchanged(
    db: &Db,
    tenant: &TenantId,
    step: Ulid,
    recorded: RecordedRequest,
    at: Timestamp,
) -> Result<()> {
    let mut script = Script::transaction(tenant);
    add_recorded(&mut script, tenant, step, &[recorded], at);
    db.run_retrying(&script).await?;
    Ok(())
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
