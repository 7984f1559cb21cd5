//! Delivering batches: the module says which can be claimed and what their mails are made of, the batches are sent, and a
//! fan-out that waits for them goes on.
//!
//! Called by `mail_jobs`. Calls the notifications module.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    MailJobs, PAUSE, PAUSED_LOOK, batch_sender::BatchContent, tenant_templates::TenantTemplates,
};
use crate::{
    error::Result,
    modules::{BatchGroup, BatchTask, Claimant, ClaimedBatch, MailSource},
    ports::{Lane, Settlement},
    types::{NotificationId, NotificationKind, TenantId},
};

/// After the delivery of so many parts of a window a fan-out may go on: often enough that workers don't wait for it, and
/// that the last ones of a window find it open; seldom enough that looking costs little beside eight batches of mails.
const WINDOW_PARTS: u32 = 8;

/// A batch that is being sent, with the place of its task.
struct Sending {
    index: usize,
    number: u32,
    work: JoinHandle<Result<Settlement>>,
}

impl MailJobs {
    /// Delivers batches of one tenant, and gives what becomes of each task, in their order. What they have in common is
    /// read once.
    pub(super) async fn deliver(
        &self,
        tenant: &TenantId,
        tasks: &[BatchTask],
        stop: &CancellationToken,
    ) -> Vec<Settlement> {
        let mut settlements = vec![Settlement::Done; tasks.len()];
        if tasks.is_empty() {
            return settlements;
        }
        let claimant = Claimant {
            holder: &self.0.holder,
            has_idempotent_mailer: self.0.mailer.is_idempotent(),
        };
        let notifications = &self.0.modules.notifications;
        let claimable = match notifications
            .claimable_batches(tenant, tasks, claimant)
            .await
        {
            Ok(claimable) => claimable,
            Err(error) => {
                tracing::warn!(error = ?error, "reading delivery batches failed, will retry");
                settlements.fill(Settlement::Release(PAUSE));
                return settlements;
            }
        };
        for index in claimable.held {
            settlements[index] = self.look_after_lease();
        }
        for group in claimable.groups {
            for (index, settlement) in self.deliver_group(tenant, group, stop).await {
                settlements[index] = settlement;
            }
        }
        settlements
    }

    /// The templates that a tenant may have for mails of a kind, in addition to the built-in ones.
    pub(super) async fn templates(
        &self,
        tenant: &TenantId,
        kind: NotificationKind,
    ) -> Option<Arc<TenantTemplates>> {
        match kind.has_templates() {
            true => TenantTemplates::of(&self.0, tenant).await.map(Arc::new),
            false => None,
        }
    }

    /// When to look again at a batch that another worker has.
    pub(super) fn look_after_lease(&self) -> Settlement {
        Settlement::Release(self.0.context.settings.worker.delivery_lease)
    }

    /// Delivers batches whose mails are made of the same.
    async fn deliver_group(
        &self,
        tenant: &TenantId,
        mut group: BatchGroup,
        stop: &CancellationToken,
    ) -> Vec<(usize, Settlement)> {
        let Some((_, first)) = group.batches.first() else {
            return Vec::new();
        };
        let (lane, kind) = (first.lane(), first.batch.kind);
        let notification = first.batch.notification;
        let again = |group: BatchGroup, pause| {
            let batches = group.batches.into_iter();
            let release = |(index, _)| (index, Settlement::Release(pause));
            batches.map(release).collect()
        };
        if self.is_lane_paused(lane) {
            return again(group, PAUSED_LOOK);
        }
        let notifications = &self.0.modules.notifications;
        let source = match notifications.next_mails(tenant, &mut group).await {
            Ok(source) => Arc::new(source),
            Err(error) => {
                // They stay as they are: an internal error does not count as a death of a worker.
                tracing::warn!(error = ?error, "loading mail content failed, will retry");
                return again(group, PAUSE);
            }
        };
        if source.is_paused() {
            return again(group, PAUSED_LOOK);
        }
        let content = BatchContent {
            source: source.clone(),
            templates: self.templates(tenant, kind).await,
        };
        let (settlements, may_list) = self.send_all(group.batches, &content, stop).await;
        if may_list && !stop.is_cancelled() {
            self.list_on(tenant, notification, &source, stop).await;
        }
        settlements
    }

    /// Sends each batch by a task of its own, so that a panic on one ends that task and nothing else; its row counts it.
    /// Returns what becomes of each, and whether so many were sent that a fan-out may go on.
    async fn send_all(
        &self,
        batches: Vec<(usize, ClaimedBatch)>,
        content: &BatchContent,
        stop: &CancellationToken,
    ) -> (Vec<(usize, Settlement)>, bool) {
        let start = |(index, claimed): (usize, ClaimedBatch)| {
            let (jobs, content, stop) = (self.clone(), content.clone(), stop.clone());
            Sending {
                index,
                number: claimed.batch.number,
                work: tokio::spawn(async move { jobs.send_batch(claimed, content, &stop).await }),
            }
        };
        let started: Vec<Sending> = batches.into_iter().map(start).collect();
        let mut settlements = Vec::with_capacity(started.len());
        let window = self.0.context.settings.delivery.bulk_window_batches;
        let (every, mut may_list) = ((window / WINDOW_PARTS).clamp(1, 8), false);
        for sending in started {
            let settlement = match sending.work.await {
                Ok(Ok(settlement)) => settlement,
                Ok(Err(error)) => {
                    tracing::warn!(error = ?error, "a delivery batch failed, will retry");
                    Settlement::Release(PAUSE)
                }
                Err(error) => {
                    tracing::error!(error = ?error, "delivering a batch panicked");
                    Settlement::Release(PAUSE)
                }
            };
            may_list |= sending.number % every == every - 1;
            settlements.push((sending.index, settlement));
        }
        (settlements, may_list)
    }

    /// Lists more recipients of a notification that has some left.
    async fn list_on(
        &self,
        tenant: &TenantId,
        notification: NotificationId,
        source: &MailSource,
        stop: &CancellationToken,
    ) {
        if !source.has_unlisted_recipients() || self.is_lane_paused(Lane::Bulk) {
            return;
        }
        // If this fails, or this worker dies, the relay finds the fan-out unfinished.
        if let Err(error) = self.fan_out(tenant, notification, None, stop).await {
            tracing::warn!(error = ?error, "a fan-out failed; the relay will publish it again");
        }
    }
}
