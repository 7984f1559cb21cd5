//! What the worker does: publishing what is owed, fanning out, tidying. The engine's own caller, so nobody is authorised.
//!
//! Called by the worker alone. Calls the notifications, housekeeping and leases modules and the queue port.

mod deliveries;

use std::{sync::Arc, time::Duration};

use crate::{
    Result,
    engine::Inner,
    ports::{Lane, Leased, Receipt, Settlement, TaskKind},
    types::{NotificationId, TenantId},
};

/// Use cases of the worker.
#[derive(Clone)]
pub(crate) struct Queues(pub(crate) Arc<Inner>);

impl Queues {
    /// Takes or keeps a singleton's lease; answers whether it is held now.
    pub(crate) async fn hold_lease(&self, name: &'static str) -> Result<bool> {
        let lease = self.0.surroundings.settings.singleton_lease;
        self.0
            .modules
            .leases
            .hold(name, &self.0.holder, lease)
            .await
    }

    /// Publishes what is due. Answers whether there may be more at once.
    pub(crate) async fn relay(&self) -> Result<bool> {
        let work = self.0.modules.notifications.due_work().await?;
        for ((lane, tenant), tasks) in &work.publications {
            self.0.queue.publish(*lane, tenant, tasks).await?;
        }
        self.0.modules.notifications.work_published(&work).await?;
        Ok(work.is_full())
    }

    /// Waits until something was committed that is owed, until the next thing is due, or for `at_most`.
    pub(crate) async fn wait_for_owed(&self, at_most: Duration) {
        let due = self
            .0
            .modules
            .notifications
            .next_due_in()
            .await
            .ok()
            .flatten()
            .unwrap_or(at_most);
        // Never quite zero: what was due a moment ago has just been handled, or failed.
        let pause = due.clamp(Duration::from_millis(5), at_most);
        let owed = self.0.surroundings.owed.notified();
        if tokio::time::timeout(pause, owed).await.is_ok() {
            // Under load commits come by the hundred; they are published together.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Does one batch of tidying. Answers whether there may be more at once.
    pub(crate) async fn sweep_cancelled(&self) -> Result<bool> {
        self.0.modules.housekeeping.sweep_cancelled().await
    }

    /// Ends one batch of due holds. Answers whether there may be more at once.
    pub(crate) async fn expire_holds(&self) -> Result<bool> {
        self.0.modules.bookings.expire_holds().await
    }

    /// Deletes one batch of what has expired. Answers whether there may be more at once.
    pub(crate) async fn delete_expired(&self) -> Result<bool> {
        self.0.modules.housekeeping.delete_expired().await
    }

    /// Leases tasks of a lane.
    pub(crate) async fn fetch(
        &self,
        lane: Lane,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Leased>> {
        self.0.queue.fetch(lane, max, wait).await
    }

    /// Starts a task's lease anew.
    pub(crate) async fn extend(&self, receipt: &Receipt) -> Result<()> {
        self.0.queue.extend(std::slice::from_ref(receipt)).await
    }

    /// Ends a task's lease.
    pub(crate) async fn settle(&self, receipt: Receipt, settlement: Settlement) -> Result<()> {
        self.0.queue.settle(&[(receipt, settlement)]).await
    }

    /// Does a task. `stopping` is asked between steps: what is not begun then is handed back.
    pub(crate) async fn handle(
        &self,
        leased: &Leased,
        stopping: impl Fn() -> bool + Send,
    ) -> Result<Settlement> {
        let (tenant, notification) = (&leased.tenant, leased.task.notification);
        match leased.task.kind {
            TaskKind::FanOut => self.fan_out(tenant, notification, stopping).await,
            TaskKind::Deliver { block } => {
                self.deliver(tenant, notification, block, stopping).await
            }
        }
    }

    async fn fan_out(
        &self,
        tenant: &TenantId,
        notification: NotificationId,
        stopping: impl Fn() -> bool,
    ) -> Result<Settlement> {
        while let Some(tasks) = self
            .0
            .modules
            .notifications
            .fan_out_step(tenant, notification)
            .await?
        {
            self.0.queue.publish(Lane::Bulk, tenant, &tasks).await?;
            if stopping() {
                return Ok(Settlement::Release(Duration::ZERO));
            }
        }
        Ok(Settlement::Done)
    }
}
