//! The worker's use cases: relay, fan-out, delivery and housekeeping. Without authorisation, because only the engine's worker calls them.
//!
//! Called by the worker only. Calls the notifications, housekeeping and leases modules and the queue port.

mod batch_sender;
mod buckets;
mod delivery;
mod pauses;
mod tenant_locks;
mod tenant_templates;

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub(crate) use buckets::Buckets;
pub(crate) use pauses::LanePauses;
pub(crate) use tenant_locks::TenantLocks;

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::{BatchTask, Listing, Publications},
    ports::{Lane, Leased, Receipt, Settlement, Task, TaskKind},
    types::{NotificationId, OutboxEntry, TenantId},
};

/// Attempts to publish a chunk of a fan-out, before the relay does it a minute later.
const PUBLISH_TRIES: u32 = 3;
/// How long a task waits after a temporary failure.
const PAUSE: Duration = Duration::from_secs(1);
/// When batches of a paused notification or lane are looked at again: within seconds of being resumed, for one read of each group.
const PAUSED_LOOK: Duration = Duration::from_secs(3);

/// Use cases of the worker.
#[derive(Clone)]
pub(crate) struct MailJobs(pub(crate) Arc<EngineContext>);

impl MailJobs {
    /// Takes or keeps a singleton's lease. Returns whether it is held now.
    pub(crate) async fn hold_lease(&self, name: &'static str) -> Result<bool> {
        let lease = self.0.context.settings.worker.singleton_lease;
        self.0
            .modules
            .leases
            .hold(name, &self.0.holder, lease)
            .await
    }

    /// Returns whether mails are held back because the store was restored from a backup and not released yet.
    pub(crate) async fn are_held(&self) -> Result<bool> {
        let restoration = self.0.modules.backups.restoration().await?;
        Ok(restoration.is_some_and(|restoration| restoration.released_at.is_none()))
    }

    /// Writes this worker's heartbeat.
    pub(crate) async fn beat(&self) -> Result<()> {
        let lanes = self.0.context.counters.lanes();
        self.0
            .modules
            .delivery_admin
            .beat(&self.0.holder, lanes)
            .await
    }

    /// Records that a worker starts in this process, before anything of it runs.
    pub(crate) fn begun(&self) {
        self.0.modules.delivery_admin.begun();
    }

    /// Returns whether a worker is alive to handle what the relay would publish.
    pub(crate) async fn has_worker(&self) -> Result<bool> {
        self.0.modules.delivery_admin.has_worker().await
    }

    /// Records that this worker has ended.
    pub(crate) async fn ended(&self) -> Result<()> {
        self.0.modules.delivery_admin.ended(&self.0.holder).await
    }

    /// Publishes due outbox entries. Returns whether there may be more now.
    pub(crate) async fn relay(&self) -> Result<bool> {
        let notifications = &self.0.modules.notifications;
        let work = notifications.due_work(self.0.queue.as_ref()).await?;
        let refused = self.publish(&work.publications).await?;
        let is_full = work.is_full();
        notifications.work_published(work, &refused).await?;
        Ok(is_full)
    }

    /// Publishes tasks, and returns for which lanes and tenants a queue in memory had no room. Others do not wait for them. A
    /// queue elsewhere that refuses is away.
    async fn publish(&self, publications: &Publications) -> Result<HashSet<(Lane, TenantId)>> {
        let mut refused = HashSet::new();
        for ((lane, tenant), tasks) in publications {
            match self.0.queue.publish(*lane, tenant, tasks).await {
                Err(error) if self.has_no_room(&error) => {
                    tracing::debug!(lane = lane.as_str(), %tenant, "the queue has no room for more tasks");
                    refused.insert((*lane, tenant.clone()));
                }
                outcome => outcome?,
            }
        }
        Ok(refused)
    }

    /// Returns whether a publication failed because a queue in memory is full. Its work waits in the outbox.
    fn has_no_room(&self, error: &Error) -> bool {
        !self.0.queue.is_durable() && error.code() == ErrorCode::Unavailable
    }

    /// Publishes a page of what an earlier process published and did not finish, if the queue has forgotten it. Returns the
    /// page's last entry if there may be more.
    pub(crate) async fn take_up(&self, after: Option<&OutboxEntry>) -> Result<Option<OutboxEntry>> {
        if self.0.queue.is_durable() {
            return Ok(None);
        }
        let notifications = &self.0.modules.notifications;
        let (publications, last) = notifications.published_work(after).await?;
        // What there is no room for is published when it is due again.
        self.publish(&publications).await?;
        Ok(last)
    }

    /// Waits until an outbox entry is committed, until the next one is due, or for `at_most`.
    pub(crate) async fn wait_for_outbox(&self, at_most: Duration) {
        let due = self
            .0
            .modules
            .notifications
            .next_due_in()
            .await
            .ok()
            .flatten()
            .unwrap_or(at_most);
        // Never zero: what was due a moment ago has just been handled, or failed.
        let pause = due.clamp(Duration::from_millis(5), at_most);
        let added = self.0.context.outbox_added.notified();
        if tokio::time::timeout(pause, added).await.is_ok() {
            // Under load there are hundreds of commits; they are published together.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Does one batch of housekeeping. Returns whether there may be more now.
    pub(crate) async fn sweep_cancelled(&self) -> Result<bool> {
        self.0.modules.housekeeping.sweep_cancelled().await
    }

    /// Ends one batch of due holds. Returns whether there may be more now.
    pub(crate) async fn expire_holds(&self) -> Result<bool> {
        self.0.modules.bookings.expire_holds().await
    }

    /// Deletes one batch of expired rows, and what erasures left for a second look. Returns whether there may be more now.
    pub(crate) async fn delete_expired(&self) -> Result<bool> {
        let modules = &self.0.modules;
        let (more, tenants) = modules.housekeeping.delete_expired().await?;
        for tenant in &tenants {
            modules.plugins.sweep_uploads(tenant).await?;
        }
        let erased = modules.users.finish_erasures().await?;
        let forgot = modules.receipts.forget_names().await?;
        Ok(more || erased || forgot || !tenants.is_empty())
    }

    /// Leases tasks of a lane.
    pub(crate) async fn fetch(
        &self,
        lane: Lane,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Leased>> {
        let tasks = self.0.queue.fetch(lane, max, wait).await?;
        self.0.context.counters.fetched(lane, tasks.len());
        Ok(tasks)
    }

    /// Extends the leases of tasks.
    pub(crate) async fn extend(&self, receipts: &[Receipt]) -> Result<()> {
        self.0.queue.extend(receipts).await
    }

    /// Settles tasks.
    pub(crate) async fn settle(&self, settlements: &[(Receipt, Settlement)]) -> Result<()> {
        self.0.queue.settle(settlements).await
    }

    /// Handles tasks of one tenant and returns the settlement of each, in order. `stop` is checked between
    /// steps: tasks that have not begun are returned.
    pub(crate) async fn handle(
        &self,
        tenant: &TenantId,
        tasks: &[Leased],
        stop: &CancellationToken,
    ) -> Vec<Settlement> {
        let mut settlements = vec![Settlement::Release(PAUSE); tasks.len()];
        let (mut batches, mut indexes) = (Vec::new(), Vec::new());
        for (index, leased) in tasks.iter().enumerate() {
            let task = &leased.task;
            match task.kind {
                TaskKind::FanOut => {
                    let listed = self.fan_out(tenant, task.notification, task.outbox_due_at, stop);
                    match listed.await {
                        Ok(settlement) => settlements[index] = settlement,
                        Err(error) => {
                            tracing::warn!(error = ?error, task = task.id, "a fan-out failed, will retry");
                        }
                    }
                }
                TaskKind::Deliver { batch } => {
                    indexes.push(index);
                    batches.push(BatchTask {
                        notification: task.notification,
                        number: batch,
                        outbox_due_at: task.outbox_due_at,
                    });
                }
            }
        }
        for (index, settlement) in indexes
            .into_iter()
            .zip(self.deliver(tenant, &batches, stop).await)
        {
            settlements[index] = settlement;
        }
        settlements
    }

    /// Lists recipients until as many batches wait as may, or nobody is left; whoever delivers those batches lists on.
    async fn fan_out(
        &self,
        tenant: &TenantId,
        notification: NotificationId,
        outbox_due_at: Option<Timestamp>,
        stop: &CancellationToken,
    ) -> Result<Settlement> {
        // One at a time in this process: a second fan-out over the same bookings would find that the first was faster.
        let _walk = self.0.listing.lock().await;
        let notifications = &self.0.modules.notifications;
        loop {
            match notifications
                .fan_out_step(tenant, notification, outbox_due_at)
                .await?
            {
                Listing::Stored(tasks) => self.publish_chunk(tenant, &tasks).await?,
                Listing::Enough | Listing::Over => return Ok(Settlement::Done),
            }
            if stop.is_cancelled() || self.is_lane_paused(Lane::Bulk) {
                return Ok(Settlement::Release(Duration::ZERO));
            }
        }
    }

    async fn publish_chunk(&self, tenant: &TenantId, tasks: &[Task]) -> Result<()> {
        let mut tries = 1;
        loop {
            match self.0.queue.publish(Lane::Bulk, tenant, tasks).await {
                Err(error) if self.has_no_room(&error) => return Ok(()),
                Err(error) if tries < PUBLISH_TRIES => {
                    tracing::warn!(error = ?error, "publishing a chunk of a fan-out failed, will retry");
                    tokio::time::sleep(PAUSE).await;
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }
}
