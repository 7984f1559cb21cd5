//! Numbering: gives the changes that steps tell their numbers.
//!
//! A batch of a tenant is one transaction. It compares the feed's head and writes the next one, writes the changes in blocks, and
//! removes the rows without numbers. So there are no gaps and no change gets two numbers, however many hosts number at once and
//! wherever one is killed. An object's change never comes before the one that it follows: a step names the steps that it follows, and
//! those of them that have no numbers yet go first, wherever their rows lie.

use std::collections::{BTreeMap, HashSet};

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use ulid::Ulid;

use super::{ChangesModule, order::in_order};
use crate::{
    error::Result,
    modules::{
        repositories::{PendingStep, STALE_HEAD, StepError, SystemScope},
        support::Attempts,
    },
    types::TenantId,
};

/// Steps that one scan reads, of all tenants. A step has up to some hundred changes.
const STEPS_MAX: usize = 256;
/// Changes that are numbered in one transaction; the last step may exceed it.
const BATCH_MAX: usize = 512;
/// Steps that are read at once; some have a hundred large objects.
const READ_AT_ONCE: usize = 16;
/// Attempts of one batch. Only other hosts cause more than one.
const ATTEMPTS_MAX: u32 = 8;
/// Tenants whose batches are written at the same time: they share transactions.
const TENANTS_AT_ONCE: usize = 16;

impl ChangesModule {
    /// Numbers a batch of each tenant that has changes without numbers. Returns whether there may be more now.
    pub(crate) async fn number_pending(&self) -> Result<bool> {
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
        let (scope, from) = (SystemScope::new(), self.scan.begin(now));
        let found = self.repository.pending(scope, from, STEPS_MAX).await?;
        let is_full = found.len() == STEPS_MAX;
        let last = found.last().map(|(step, _)| step.timestamp_ms());
        if found.is_empty() {
            self.scan.reached(now);
            return Ok(false);
        }
        let mut tenants: BTreeMap<TenantId, Vec<Ulid>> = BTreeMap::new();
        for (step, tenant) in found {
            tenants.entry(tenant).or_default().push(step);
        }
        let numbered: Vec<(Ulid, Result<bool>)> = stream::iter(tenants)
            .map(|(tenant, steps)| async move {
                let first = steps.first().copied().unwrap_or_default();
                let numbered = self.number_batch(&tenant, &steps).await;
                if let Err(error) = &numbered {
                    tracing::warn!(%tenant, error = ?error, "numbering changes failed, will retry");
                }
                (first, numbered)
            })
            .buffer_unordered(TENANTS_AT_ONCE)
            .collect()
            .await;
        self.numbered.notify_waiters();
        let left = numbered
            .iter()
            .filter(|(_, outcome)| !matches!(outcome, Ok(false)));
        let left = left.map(|(first, _)| first.timestamp_ms()).min();
        self.scan.reached(left.or(last).unwrap_or(now).min(now));
        let has_more = is_full
            || numbered
                .iter()
                .any(|(_, outcome)| matches!(outcome, Ok(true)));
        // What failed would be looked at again at once.
        Ok(has_more && numbered.iter().any(|(_, outcome)| outcome.is_ok()))
    }

    /// Numbers a batch of a tenant's changes. Returns whether some of the steps are left.
    async fn number_batch(&self, tenant: &TenantId, ids: &[Ulid]) -> Result<bool> {
        let mut attempts = Attempts::new("number_changes", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            // Read before the steps: those that are still there have no numbers under this head.
            let head = self.repository.head(tenant).await?;
            let (steps, is_cut) = self.some_of(tenant, ids).await?;
            if steps.is_empty() {
                return Ok(is_cut);
            }
            let (batch, is_over) = in_order(steps, BATCH_MAX);
            let now = self.context.now();
            match self.repository.number(tenant, head, batch, now).await {
                Ok(()) => return Ok(is_cut || is_over),
                // Another host was first, or the answer was lost: reading again shows what has no numbers still.
                Err(StepError::Conflict | StepError::Exists(_) | StepError::Lost(_)) => {}
                Err(error) if error.is_guard(STALE_HEAD) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// The first of some steps that have no numbers, until they are a batch, with those that they follow, and those that these follow.
    /// Returns whether some are left.
    async fn some_of(&self, tenant: &TenantId, ids: &[Ulid]) -> Result<(Vec<PendingStep>, bool)> {
        let (mut steps, mut changes) = (Vec::new(), 0);
        let mut read = 0;
        for some in ids.chunks(READ_AT_ONCE) {
            let found = self.repository.pending_of(tenant, some).await?;
            changes += found.iter().map(PendingStep::len).sum::<usize>();
            steps.extend(found);
            read += some.len();
            if changes >= BATCH_MAX {
                break;
            }
        }
        let mut known: HashSet<Ulid> = steps.iter().map(|step| step.step).collect();
        let mut from = 0;
        while from < steps.len() {
            let wanted = steps[from..].iter().flat_map(|step| &step.after);
            let wanted: Vec<Ulid> = wanted.copied().filter(|step| known.insert(*step)).collect();
            from = steps.len();
            for some in wanted.chunks(READ_AT_ONCE) {
                steps.extend(self.repository.pending_of(tenant, some).await?);
            }
        }
        Ok((steps, read < ids.len()))
    }
}
