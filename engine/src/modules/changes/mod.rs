//! The feed of changes: what programs hear of a tenant's objects. Steps tell what they change in their own transactions
//! (`repositories/db/told.rs`); `numbering.rs` gives the changes their numbers; this file reads them and forgets old ones.
//!
//! Called by app_modules and the worker's use cases. Calls the changes and backups repositories.

mod numbering;
mod order;
mod scan;

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, OnceCell};

use super::{
    ModuleContext,
    repositories::{BackupsRepository, ChangesRepository, STALE_HEAD, StepError, SystemScope},
};
use crate::{
    error::Result,
    types::{ChangeCursor, ChangeFilter, ChangePage, Restoration, TenantId},
};
use scan::PendingScan;

/// Blocks of 64 changes that one page looks at. A filter that lets few changes through must not make a page slow.
const BLOCKS_MAX: usize = 16;
/// Tenants, and blocks of each, that one pass of forgetting looks at.
const FORGET_TENANTS: u32 = 64;
const FORGET_BLOCKS: usize = 64;

pub(crate) struct ChangesModule {
    repository: ChangesRepository,
    backups: BackupsRepository,
    context: ModuleContext,
    epoch: OnceCell<String>,
    scan: PendingScan,
    /// Notified when this process has numbered changes.
    numbered: Notify,
    /// The tenant after which the next pass of forgetting begins.
    forgotten_until: tokio::sync::Mutex<Option<TenantId>>,
}

impl ChangesModule {
    pub(in crate::modules) fn new(
        repository: ChangesRepository,
        backups: BackupsRepository,
        context: ModuleContext,
    ) -> Self {
        Self {
            repository,
            backups,
            context,
            epoch: OnceCell::new(),
            scan: PendingScan::default(),
            numbered: Notify::new(),
            forgotten_until: tokio::sync::Mutex::default(),
        }
    }

    /// Up to `max` changes after a cursor that a filter lets through; without a cursor from the oldest that is kept.
    ///
    /// # Errors
    /// `feed-restarted`, `changes-expired`; `field-invalid` for a cursor beyond the end.
    pub(crate) async fn read(
        &self,
        tenant: &TenantId,
        after: Option<&ChangeCursor>,
        filter: &ChangeFilter,
        max: usize,
    ) -> Result<ChangePage> {
        let epoch = self.epoch().await?;
        let cursor = |sequence: i64| ChangeCursor {
            epoch: epoch.to_owned(),
            sequence: u64::try_from(sequence).unwrap_or_default(),
        };
        let start = match after {
            Some(after) if after.epoch != epoch => {
                let head = self.repository.head(tenant).await?;
                return Err(ChangeCursor::restarted(&cursor(head.forgotten)));
            }
            Some(after) => i64::try_from(after.sequence).unwrap_or(i64::MAX - 1),
            None => self.repository.head(tenant).await?.forgotten,
        };
        let bounds = (max, BLOCKS_MAX);
        let read = self.repository.read(tenant, (epoch, start), filter, bounds);
        let read = read.await?;
        if start < read.head.forgotten {
            return Err(ChangeCursor::expired(&cursor(read.head.forgotten)));
        }
        if start > read.head.last {
            return Err(ChangeCursor::beyond(&cursor(read.head.last)));
        }
        Ok(ChangePage {
            changes: read.changes,
            next: cursor(read.seen),
            has_more: read.seen < read.head.last,
        })
    }

    /// The end of a tenant's feed now.
    pub(crate) async fn end(&self, tenant: &TenantId) -> Result<ChangeCursor> {
        let head = self.repository.head(tenant).await?;
        Ok(ChangeCursor {
            epoch: self.epoch().await?.to_owned(),
            sequence: u64::try_from(head.last).unwrap_or_default(),
        })
    }

    /// Waits until this process has numbered changes, or for a time: others may have.
    pub(crate) async fn wait_for_more(&self, at_most: Duration) {
        // Whoever comes too late for a notification hears by the time.
        let _ = tokio::time::timeout(at_most, self.numbered.notified()).await;
    }

    /// Waits until this process has committed changes that have no number yet.
    pub(crate) async fn wait_for_pending(&self) {
        self.repository.wait().await;
    }

    /// What the numbers of this store belong to. A restored store begins a new epoch: the one that was backed up may have given
    /// numbers since.
    async fn epoch(&self) -> Result<&str> {
        let read = || async {
            let restoration = self.backups.restoration(SystemScope::new()).await?;
            let epoch = restoration.as_ref().map(Restoration::mark);
            Ok::<_, crate::error::Error>(epoch.unwrap_or_else(|| "0".to_owned()))
        };
        Ok(self.epoch.get_or_try_init(read).await?.as_str())
    }

    /// Forgets changes that were numbered longer ago than they are kept, of some tenants in turn. Returns whether there may be more now.
    pub(crate) async fn forget_old(&self) -> Result<bool> {
        let kept = self.context.settings.changes.kept_for;
        let before = self.context.now().checked_sub(kept);
        let before = before.unwrap_or(Timestamp::MIN);
        let mut turn = self.forgotten_until.lock().await;
        let tenants = self
            .repository
            .tenants(SystemScope::new(), turn.as_ref(), FORGET_TENANTS)
            .await?;
        let mut more = false;
        for tenant in &tenants {
            match self.repository.forget(tenant, before, FORGET_BLOCKS).await {
                Ok(again) => more |= again,
                // Others numbered meanwhile; the next pass comes.
                Err(StepError::Conflict | StepError::Lost(_)) => {}
                Err(error) if error.is_guard(STALE_HEAD) => {}
                Err(error) => return Err(error.into()),
            }
        }
        *turn = tenants.into_iter().next_back();
        Ok(more)
    }
}
