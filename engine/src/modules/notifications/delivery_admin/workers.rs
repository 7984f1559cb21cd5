//! The list of workers, from their heartbeats.
//!
//! Called by app_modules and the worker's use cases. Calls the delivery_admin repository.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::DeliveryAdminModule;
use crate::{
    error::{Error, Result},
    locked::Locked as _,
    modules::repositories::SystemScope,
    types::{LaneCounts, MailCounts, WorkerStatus},
};

/// Most worker processes that are shown.
const WORKERS_MAX: u32 = 200;
/// A worker without a heartbeat for this long is shown as dead; it writes one every five seconds. By wall clocks,
/// because it is only for display: no lease depends on it.
const ALIVE_WITHIN: Duration = Duration::from_secs(20);
/// A worker without a heartbeat for this long is deleted.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
impl DeliveryAdminModule {
    /// Writes this worker's heartbeat.
    pub(crate) async fn beat(&self, worker: &str, lanes: Vec<LaneCounts>) -> Result<()> {
        let now = self.context.now();
        let sight = WorkerStatus {
            id: worker.to_owned(),
            started_at: self.started_at,
            at: now,
            is_alive: true,
            mails: lanes
                .iter()
                .fold(MailCounts::default(), |sum, lane| sum.plus(lane.mails)),
            lanes,
        };
        if self.context.is_exclusive {
            *self.own_status.locked() = Some(sight);
            return Ok(());
        }
        let expires_at = now.checked_add(FORGOTTEN_AFTER).map_err(Error::internal)?;
        self.repository
            .write_worker(SystemScope::new(), &sight, expires_at)
            .await
    }

    /// Records that this worker has ended.
    pub(crate) async fn ended(&self, worker: &str) -> Result<()> {
        self.own_workers.fetch_sub(1, Ordering::Relaxed);
        if self.context.is_exclusive {
            *self.own_status.locked() = None;
            return Ok(());
        }
        self.repository
            .remove_worker(SystemScope::new(), worker)
            .await
    }

    /// Counts a worker that starts in this process; [`ended`](Self::ended) records its end.
    pub(crate) fn begun(&self) {
        self.own_workers.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether a worker is alive to handle published tasks. Otherwise the work waits in the outbox.
    pub(crate) async fn has_worker(&self) -> Result<bool> {
        if self.own_workers.load(Ordering::Relaxed) > 0 {
            return Ok(true);
        }
        let workers = self.last_heartbeats().await?;
        let mut worker_liveness = self.worker_liveness.locked();
        Ok(worker_liveness.note(&workers, Instant::now()))
    }

    /// Heartbeats are stored for other processes. With an exclusive store there are none.
    async fn last_heartbeats(&self) -> Result<Vec<WorkerStatus>> {
        if self.context.is_exclusive {
            return Ok(self.own_status.locked().iter().cloned().collect());
        }
        let scope = SystemScope::new();
        self.repository.workers(scope, WORKERS_MAX).await
    }

    /// Worker processes, newest first.
    pub(crate) async fn workers(&self) -> Result<Vec<WorkerStatus>> {
        let now = self.context.now();
        let mut workers = self.last_heartbeats().await?;
        for worker in &mut workers {
            let silent = Duration::try_from(now.duration_since(worker.at)).unwrap_or_default();
            worker.is_alive = silent < ALIVE_WITHIN;
        }
        workers.sort_by_key(|worker| std::cmp::Reverse(worker.started_at));
        Ok(workers)
    }
}
