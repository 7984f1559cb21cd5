//! Fan-out's rules: who hears of a notification, in chunks that are stored before anything of them is published.
//!
//! Called by the worker's use cases. Calls the notifications, bookings and events repositories.

use super::{NotificationsModule, lane_of, task_of};
use crate::{
    Error, Result,
    modules::to_millisecond,
    ports::Task,
    types::{
        Block, Booking, BookingStatus, CancelCause, Chunk, Entry, EventId, EventStatus,
        NotificationId, NotificationKind, NotificationStatus, Owed, OwedPart, StoredNotification,
        TenantId, UserId,
    },
};

/// Bookings read at a time while recipients are listed.
pub(super) const WALK_PAGE: u32 = 1_000;
/// Recipients stored in one step of a fan-out: 31 blocks, so that a step's tasks fit any queue's publication.
const CHUNK_MAX: usize = 31 * Block::ENTRIES_MAX;

impl NotificationsModule {
    /// Stores the next chunk of a notification's recipients and answers the tasks to publish for it, or none when the
    /// fan-out is over. A chunk is stored before anything of it is published, and is never walked again.
    pub(crate) async fn fan_out_step(
        &self,
        tenant: &TenantId,
        id: NotificationId,
    ) -> Result<Option<Vec<Task>>> {
        let Some(mut notification) = self.repository.find(tenant, id).await? else {
            return Ok(None);
        };
        if matches!(
            notification.status,
            NotificationStatus::FannedOut | NotificationStatus::Superseded
        ) {
            return Ok(None);
        }
        let now = self.surroundings.now();
        if now < notification.due_at {
            return Ok(None);
        }
        if notification.kind == NotificationKind::EventUpdated
            && self.is_cancelled(tenant, notification.event).await?
        {
            notification.status = NotificationStatus::Superseded;
            self.repository.replace(tenant, &notification).await?;
            return Ok(None);
        }
        let (customers, ended) = self.walk(tenant, &notification).await?;
        let due_at = now
            .checked_add(self.surroundings.settings.republish_after)
            .map_err(Error::internal)?;
        let mut chunk = Chunk {
            notification,
            blocks: Vec::new(),
            owed: Vec::new(),
        };
        let mut tasks = Vec::new();
        for customers in customers.chunks(Block::ENTRIES_MAX) {
            let number = chunk.notification.blocks;
            chunk.notification.blocks += 1;
            chunk.blocks.push(Block {
                notification: id,
                number,
                revision: 0,
                kind: chunk.notification.kind,
                event: chunk.notification.event,
                entries: customers
                    .iter()
                    .map(|customer| Entry::queued(*customer, None))
                    .collect(),
                claim: None,
                claims: 0,
                created_at: now,
            });
            let owed = Owed {
                due_at: to_millisecond(due_at),
                tenant: tenant.clone(),
                notification: id,
                part: OwedPart::Block(number),
                lane: lane_of(chunk.notification.kind),
                published: true,
            };
            tasks.push(task_of(&owed));
            chunk.owed.push(owed);
        }
        chunk.notification.recipients += customers.len() as u64;
        chunk.notification.cursor = customers.last().copied().or(chunk.notification.cursor);
        chunk.notification.status = if ended {
            NotificationStatus::FannedOut
        } else {
            NotificationStatus::FanningOut
        };
        // Another worker was faster: what it stored, it publishes.
        let stored = self.repository.insert_chunk(tenant, &chunk).await?;
        Ok(Some(if stored { tasks } else { Vec::new() }))
    }

    /// Lists the next recipients in customer order, and whether they are the last. A customer is listed only once all
    /// of their bookings have been seen, so that no border splits one.
    async fn walk(
        &self,
        tenant: &TenantId,
        notification: &StoredNotification,
    ) -> Result<(Vec<UserId>, bool)> {
        let mut customers: Vec<UserId> = Vec::new();
        let mut current: Option<(UserId, bool)> = None;
        let mut after = notification.cursor.map(|customer| (customer, None));
        loop {
            let bookings = self
                .bookings
                .list_of_event(tenant, notification.event, after, None, WALK_PAGE)
                .await?;
            let ended = bookings.len() < WALK_PAGE as usize;
            for booking in &bookings {
                match &mut current {
                    Some((customer, concerned)) if *customer == booking.customer => {
                        *concerned |= concerns(notification, booking);
                    }
                    _ => {
                        if let Some((customer, true)) = current {
                            customers.push(customer);
                        }
                        current = Some((booking.customer, concerns(notification, booking)));
                        if customers.len() == CHUNK_MAX {
                            return Ok((customers, false));
                        }
                    }
                }
                after = Some((booking.customer, Some(booking.id.serial())));
            }
            if ended {
                if let Some((customer, true)) = current {
                    customers.push(customer);
                }
                return Ok((customers, true));
            }
        }
    }

    async fn is_cancelled(&self, tenant: &TenantId, event: EventId) -> Result<bool> {
        let found = self.events.find(tenant, event).await?;
        Ok(found.is_some_and(|(_, inventory)| inventory.status == EventStatus::Cancelled))
    }
}

/// Whether a booking's customer belongs to a notification's audience.
fn concerns(notification: &StoredNotification, booking: &Booking) -> bool {
    let by_event = matches!(booking.cancelled, Some((CancelCause::Event, _)));
    match notification.kind {
        NotificationKind::EventCancelled => booking.status == BookingStatus::Confirmed || by_event,
        _ => {
            booking.status == BookingStatus::Confirmed
                && booking.event_version < notification.to_version
        }
    }
}
