//! Records of requests with an Idempotency-Key: written with their effect, found by their key, and deleted after a
//! day. One expiry entry covers all records of a step, so expired ones are found without reading the others.
//!
//! Called by the idempotency module, by the steps that record requests, and by housekeeping. Calls models.

use std::collections::HashMap;

use jiff::{Span, Timestamp};
use ulid::Ulid;

use super::{
    db::{Db, Script, SystemScope},
    models::{IdempotencyDueRow, IdempotencyRow},
};
use crate::{
    error::Result,
    types::{RecordedRequest, RequestKey, RequestRoute, TenantId},
};

/// Most expiry entries that are handled at a time; each covers the keys of one group, at most 128.
pub(super) const DUE_MAX: usize = 4;
/// How long a key is kept.
const KEPT_HOURS: i64 = 24;

pub(in crate::modules) struct IdempotencyRepository {
    db: Db,
}

impl IdempotencyRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// The record of a key, if there is one.
    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        key: &RequestKey,
    ) -> Result<Option<RecordedRequest>> {
        self.read(Script::of(tenant), Some(tenant), key).await
    }

    /// The same outside tenants.
    pub(in crate::modules) async fn find_outside(
        &self,
        scope: SystemScope,
        key: &RequestKey,
    ) -> Result<Option<RecordedRequest>> {
        self.read(Script::across_tenants(scope), None, key).await
    }

    /// The records of keys that there are.
    pub(in crate::modules) async fn find_many(
        &self,
        tenant: &TenantId,
        keys: &[RequestKey],
    ) -> Result<HashMap<RequestKey, RecordedRequest>> {
        let mut script = Script::of(tenant);
        let ids = keys.iter();
        let ids = ids.map(|key| IdempotencyRow::key(Some(tenant), key));
        let index = script.read_all(ids.collect::<Vec<_>>());
        let rows: Vec<IdempotencyRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let rows = rows.into_iter().map(|row| (row.id.clone(), row));
        let mut rows: HashMap<_, _> = rows.collect();
        let mut recorded = HashMap::new();
        for key in keys {
            if let Some(row) = rows.remove(&IdempotencyRow::key(Some(tenant), key)) {
                recorded.insert(key.clone(), row.into_type(key)?);
            }
        }
        Ok(recorded)
    }

    async fn read(
        &self,
        mut script: Script,
        tenant: Option<&TenantId>,
        key: &RequestKey,
    ) -> Result<Option<RecordedRequest>> {
        let index = script.read(IdempotencyRow::key(tenant, key));
        let row: Option<IdempotencyRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(|row| row.into_type(key)).transpose()
    }
}

/// Adds the records of requests that succeed with this step, and, unless they are rows of an import, their expiry entry under the step's id: a row
/// each, and one. The step fails as existing if one of the keys was used meanwhile. `None` as tenant is for operators
/// outside tenants.
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
    // Rows of an import stay, so that none is ever imported twice.
    let stays = |one: &RecordedRequest| one.key.route == RequestRoute::Imports;
    let due = rows.iter().zip(recorded).filter(|(_, one)| !stays(one));
    let keys: Vec<_> = due.map(|(row, _)| row.id.clone()).collect();
    script.insert("idempotency", rows);
    if keys.is_empty() {
        return;
    }
    let note = IdempotencyDueRow::of(tenant, change, until, keys);
    script.insert("idempotency_due", [note]);
}

/// Writes the record of a request that changes nothing: 2 rows.
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

/// Adds the query for expiry entries that are due at a time, an expression, and returns the index of its result.
pub(super) fn add_due_keys(script: &mut Script, now: &str) -> usize {
    script.push(format!(
        "SELECT * FROM type::record('idempotency_due', [0]..[{now}, ..]) LIMIT {DUE_MAX}"
    ))
}

/// Deletes the keys of due expiry entries, and the entries.
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
