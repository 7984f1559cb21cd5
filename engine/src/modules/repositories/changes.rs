//! Storage steps of the feed of changes. Steps tell what they change in rows without numbers; here these get their numbers, in order,
//! and are read, forgotten and blanked. Called by the changes module; calls models.
//!
//! Numbers have no gaps: blocks of changes, the head that counts them and the removal of the rows without numbers are one transaction,
//! guarded by the head.

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    db::{Db, PENDING, Script, StepError, SystemScope},
    models::{
        ChangeBlockRow, ChangeHeadRow, ChangeRow, IdRow, PendingChangeRow, key_text, key_ulid,
        millisecond,
    },
    users::UsersRepository,
};
use crate::{
    error::Result,
    types::{Change, ChangeFilter, TenantId, UserId},
};

/// The guard's word when others numbered changes meanwhile.
pub(in crate::modules) const STALE_HEAD: &str = "change-head-moved";
/// Changes of one block. Small enough that a page reads little more than it needs.
const BLOCK_MAX: usize = 64;
/// Blocks that a step of an erasure looks through.
const BLANKED_MAX: usize = 32;

/// What a step changed, without numbers yet.
#[derive(Debug, Clone)]
pub(in crate::modules) struct PendingStep {
    pub(in crate::modules) step: Ulid,
    /// The steps that its objects' earlier changes were made in.
    pub(in crate::modules) after: Vec<Ulid>,
    changes: Vec<ChangeRow>,
}

impl PendingStep {
    /// How many objects it changed.
    pub(in crate::modules) fn len(&self) -> usize {
        self.changes.len()
    }

    fn of(row: PendingChangeRow) -> Result<Self> {
        Ok(Self {
            step: row.step()?,
            after: row.steps_before()?,
            changes: row.changes,
        })
    }
}

/// How far a tenant's feed is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::modules) struct ChangeHead {
    revision: i64,
    /// The number of the last change; 0 for none.
    pub(in crate::modules) last: i64,
    /// The number of the last one that is not kept any more; 0 if all are.
    pub(in crate::modules) forgotten: i64,
}

impl ChangeHead {
    fn of(row: Option<ChangeHeadRow>) -> Self {
        row.map_or_else(Self::default, |row| Self {
            revision: row.revision,
            last: row.last,
            forgotten: row.forgotten,
        })
    }

    fn next_row(&self, tenant: &TenantId, last: i64, forgotten: i64) -> ChangeHeadRow {
        ChangeHeadRow {
            id: ChangeHeadRow::key(tenant),
            revision: self.revision + 1,
            last,
            forgotten,
        }
    }
}

/// What was read of a feed.
pub(in crate::modules) struct ChangesRead {
    pub(in crate::modules) head: ChangeHead,
    pub(in crate::modules) changes: Vec<Change>,
    /// The number of the last change that was looked at.
    pub(in crate::modules) seen: i64,
}

pub(in crate::modules) struct ChangesRepository {
    db: Db,
}

impl ChangesRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Waits until this process has committed changes that have no number yet.
    pub(in crate::modules) async fn wait(&self) {
        self.db.wait_for_changes().await;
    }

    /// Up to `max` steps of all tenants from a place on whose changes have no numbers, in the order of their ids.
    pub(in crate::modules) async fn pending(
        &self,
        scope: SystemScope,
        from: Ulid,
        max: usize,
    ) -> Result<Vec<(Ulid, TenantId)>> {
        let mut script = Script::across_tenants(scope);
        let (from, max) = (script.bind(from.to_string()), script.bind(max as i64));
        let index = script.push(format!(
            "SELECT id FROM type::record('{PENDING}', [{from}]..) LIMIT {max}"
        ));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let path = |row: &IdRow| {
            let tenant = TenantId::trusted(key_text(row.id(), 1)?);
            Ok((key_ulid(row.id(), 0)?, tenant))
        };
        rows.iter().map(path).collect()
    }

    /// Those of a tenant's steps whose changes have no numbers, in the order of their ids.
    pub(in crate::modules) async fn pending_of(
        &self,
        tenant: &TenantId,
        steps: &[Ulid],
    ) -> Result<Vec<PendingStep>> {
        let mut script = Script::of(tenant);
        let keys = steps.iter();
        let keys = keys.map(|step| PendingChangeRow::key(*step, tenant));
        let index = script.read_all(keys.collect::<Vec<_>>());
        let rows: Vec<PendingChangeRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let steps = rows.into_iter().map(PendingStep::of);
        let mut steps = steps.collect::<Result<Vec<_>>>()?;
        steps.sort_by_key(|step| step.step);
        Ok(steps)
    }

    pub(in crate::modules) async fn head(&self, tenant: &TenantId) -> Result<ChangeHead> {
        let mut script = Script::of(tenant);
        let index = script.read(ChangeHeadRow::key(tenant));
        let row = self.db.run_retrying(&script).await?.row(index)?;
        Ok(ChangeHead::of(row))
    }

    /// Numbers the changes of some steps, in this order: a row for each 64 of them, the head, and a removal for each step. Fails with the
    /// guard [`STALE_HEAD`], or because a row exists.
    pub(in crate::modules) async fn number(
        &self,
        tenant: &TenantId,
        head: ChangeHead,
        steps: Vec<PendingStep>,
        at: Timestamp,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        let ids: Vec<_> = steps
            .iter()
            .map(|step| PendingChangeRow::key(step.step, tenant))
            .collect();
        let mut changes = steps.into_iter().flat_map(|step| step.changes);
        let (mut blocks, mut last) = (Vec::new(), head.last);
        loop {
            let block: Vec<ChangeRow> = changes.by_ref().take(BLOCK_MAX).collect();
            if block.is_empty() {
                break;
            }
            last += block.len() as i64;
            blocks.push(ChangeBlockRow {
                id: ChangeBlockRow::key(tenant, last),
                at: millisecond(at),
                changes: block,
            });
        }
        let row = head.next_row(tenant, last, head.forgotten);
        match head.revision {
            0 => script.insert("change_head", [row]),
            seen => script.replace_if(row.id.clone(), seen, row, STALE_HEAD),
        }
        script.remove(ids);
        script.insert("change_block", blocks);
        self.db.commit(Some(tenant), script).await
    }

    /// Up to `max` changes after a number that a filter lets through. At most `blocks_max` blocks are looked at.
    pub(in crate::modules) async fn read(
        &self,
        tenant: &TenantId,
        (epoch, after): (&str, i64),
        filter: &ChangeFilter,
        (max, blocks_max): (usize, usize),
    ) -> Result<ChangesRead> {
        let mut script = Script::snapshot(tenant);
        let head = script.read(ChangeHeadRow::key(tenant));
        let (from, most) = (script.bind(after + 1), script.bind(blocks_max as i64));
        let blocks = script.push(format!(
            "SELECT * FROM type::record('change_block', [$tenant, {from}]..[$tenant, ..]) LIMIT {most}"
        ));
        let mut answers = self.db.run(script).await?;
        let head = ChangeHead::of(answers.row(head)?);
        let (mut changes, mut seen) = (Vec::new(), after);
        for block in answers.rows::<ChangeBlockRow>(blocks)? {
            let left = max - changes.len();
            if left == 0 {
                break;
            }
            let (found, until) = block.into_changes((epoch, seen), filter, left)?;
            changes.extend(found);
            seen = until;
        }
        Ok(ChangesRead {
            head,
            changes,
            seen,
        })
    }

    /// The tenants with a feed after one of them, in the order of names: at most `max`.
    pub(in crate::modules) async fn tenants(
        &self,
        scope: SystemScope,
        after: Option<&TenantId>,
        max: u32,
    ) -> Result<Vec<TenantId>> {
        let mut script = Script::across_tenants(scope);
        let after = script.bind(after.map_or("", TenantId::as_str).to_owned());
        let max = script.bind(i64::from(max));
        let index = script.push(format!(
            "SELECT * FROM type::record('change_head', [{after}]>..) LIMIT {max}"
        ));
        let rows: Vec<ChangeHeadRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let names = rows.iter().map(|row| key_text(&row.id, 0));
        names.map(|name| Ok(TenantId::trusted(name?))).collect()
    }

    /// Deletes up to `max` blocks that were numbered before a time, the oldest first. Returns whether there may be more.
    pub(in crate::modules) async fn forget(
        &self,
        tenant: &TenantId,
        before: Timestamp,
        max: usize,
    ) -> Result<bool, StepError> {
        let head = self.head(tenant).await.map_err(other)?;
        let mut script = Script::of(tenant);
        let (from, most) = (script.bind(head.forgotten + 1), script.bind(max as i64));
        let index = script.push(format!(
            "SELECT * FROM type::record('change_block', [$tenant, {from}]..[$tenant, ..]) LIMIT {most}"
        ));
        let answers = self.db.run_retrying(&script).await;
        let blocks: Vec<ChangeBlockRow> = answers?.rows(index).map_err(other)?;
        let is_full = blocks.len() == max;
        let before = millisecond(before);
        let old: Vec<_> = blocks
            .into_iter()
            .take_while(|block| block.at < before)
            .collect();
        let Some(last) = old.last() else {
            return Ok(false);
        };
        let forgotten = last.last().map_err(other)?;
        let more = is_full && old.len() == max;
        let mut script = Script::transaction(tenant);
        let row = head.next_row(tenant, head.last, forgotten);
        script.replace_if(row.id.clone(), head.revision, row, STALE_HEAD);
        script.remove(old.into_iter().map(|block| block.id));
        self.db.run(script).await?;
        Ok(more)
    }
}

impl UsersRepository {
    /// Removes the data of changes that name a person, of 2,048 changes after a number: a row for each block of 64 that does. Returns
    /// the last number that was looked at, if there may be more.
    pub(in crate::modules) async fn blank_changes(
        &self,
        tenant: &TenantId,
        person: UserId,
        after: Option<i64>,
    ) -> Result<Option<i64>> {
        let mut script = Script::of(tenant);
        let from = script.bind(after.unwrap_or(0) + 1);
        let most = script.bind(BLANKED_MAX as i64);
        let index = script.push(format!(
            "SELECT * FROM type::record('change_block', [$tenant, {from}]..[$tenant, ..]) LIMIT {most}"
        ));
        let rows: Vec<ChangeBlockRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let last = rows.last().map(ChangeBlockRow::last).transpose()?;
        let is_full = rows.len() == BLANKED_MAX;
        let names = [person.ulid().to_string(), person.to_string()];
        let mut script = Script::transaction(tenant);
        for mut block in rows {
            if block.forget(&names) {
                // A block is written once, by whoever numbers its changes, and deleted; a deleted one stays so.
                script.replace([block]);
            }
        }
        self.db.run_retrying(&script).await?;
        Ok(last.filter(|_| is_full))
    }
}

fn other(error: crate::error::Error) -> StepError {
    StepError::Other(error.into())
}
