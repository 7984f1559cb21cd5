//! The rules of fan-out: the recipients of a notification, in chunks that are stored before anything of them is published.
//!
//! Called by the worker's use cases. Calls the notifications, bookings, waitlist and events repositories.

use std::ops::Bound;

use jiff::Timestamp;

use super::{NotificationsModule, kinds, task_of};
use crate::{
    counters::count,
    error::{Error, Result},
    modules::to_millisecond,
    ports::Task,
    types::{
        Booking, Chunk, DeliveryBatch, DeliveryRecord, DeliveryState, NotificationId,
        NotificationStatus, OutboxEntry, OutboxPart, StoredNotification, TenantId, UserId,
    },
};

/// Bookings that are read at a time.
pub(super) const WALK_PAGE: u32 = 1_000;
/// Batches stored in one step of a fan-out: with them a step writes 66 rows and reads one page of bookings.
const CHUNK_BATCHES_MAX: u32 = 31;
/// Batches behind the newest that are looked at for those that still wait, in windows: what is older and open is stuck
/// on its own, and must not keep everybody else from hearing.
const LOOK_BACK_WINDOWS: u32 = 2;

/// The result of a step of a fan-out.
pub(crate) enum Listing {
    /// A chunk was stored (or another worker was faster, and it is empty): publish its tasks, and continue.
    Stored(Vec<Task>),
    /// As many batches wait as may: whoever delivers them lists on.
    Enough,
    /// All recipients are listed.
    Over,
}

impl NotificationsModule {
    /// Stores the next chunk of a notification's recipients and answers the tasks to publish for it, unless enough wait
    /// already. A chunk is stored before anything of it is published, and is never walked again. `outbox_due_at` is where
    /// the outbox holds the fan-out, if that is known.
    pub(crate) async fn fan_out_step(
        &self,
        tenant: &TenantId,
        id: NotificationId,
        outbox_due_at: Option<Timestamp>,
    ) -> Result<Listing> {
        let Some(notification) = self.repository.find(tenant, id).await? else {
            return Ok(Listing::Over);
        };
        let now = self.context.now();
        if let Some(nothing) = self.not_now(tenant, &notification, now).await? {
            return Ok(nothing);
        }
        let (customers, ended) = self.walk(tenant, &notification).await?;
        let due_at = now
            .checked_add(self.context.settings.worker.republish_after)
            .map_err(Error::internal)?;
        let mut chunk = Chunk {
            notification,
            batches: Vec::new(),
            outbox: Vec::new(),
            remove_outbox: None,
        };
        let tasks = add_batches(
            &mut chunk,
            tenant,
            &customers,
            (now, to_millisecond(due_at)),
        );
        chunk.notification.recipients += customers.len() as u64;
        chunk.notification.cursor = customers.last().copied().or(chunk.notification.cursor);
        chunk.notification.status = if ended {
            NotificationStatus::FannedOut
        } else {
            NotificationStatus::FanningOut
        };
        if ended {
            chunk.remove_outbox = outbox_due_at.map(|due_at| OutboxEntry {
                due_at,
                tenant: tenant.clone(),
                notification: id,
                part: OutboxPart::FanOut,
                lane: chunk.notification.kind.lane(),
                published: true,
            });
        }
        // Another worker was faster, and publishes what it stored.
        let stored = self.repository.insert_chunk(tenant, &chunk).await?;
        if stored {
            count(
                &self.context.counters.recipients_listed,
                customers.len() as u64,
            );
        }
        Ok(Listing::Stored(if stored { tasks } else { Vec::new() }))
    }

    /// Why no more recipients of a notification are listed now; `None` if they are.
    async fn not_now(
        &self,
        tenant: &TenantId,
        notification: &StoredNotification,
        now: Timestamp,
    ) -> Result<Option<Listing>> {
        if matches!(
            notification.status,
            NotificationStatus::FannedOut
                | NotificationStatus::Superseded
                | NotificationStatus::Cancelled
        ) {
            return Ok(Some(Listing::Over));
        }
        if notification.is_paused {
            return Ok(Some(Listing::Enough));
        }
        if now < notification.due_at {
            return Ok(Some(Listing::Over));
        }
        if self.is_pointless(tenant, notification, now).await? {
            let mut notification = notification.clone();
            notification.status = NotificationStatus::Superseded;
            self.repository.replace(tenant, &notification).await?;
            return Ok(Some(Listing::Over));
        }
        let has_room = self.has_room(tenant, notification).await?;
        Ok((!has_room).then_some(Listing::Enough))
    }

    /// Returns whether another chunk of a notification's batches may wait for workers: a large tenant's batches must not
    /// all stand before a small one's.
    async fn has_room(&self, tenant: &TenantId, notification: &StoredNotification) -> Result<bool> {
        if notification.batches == 0 {
            return Ok(true);
        }
        let window = self.context.settings.delivery.bulk_window_batches;
        let back = window.saturating_mul(LOOK_BACK_WINDOWS);
        let from = notification.batches.saturating_sub(back);
        let open = self
            .repository
            .count_open_batches(tenant, notification.id, from);
        Ok(open.await?.saturating_add(self.chunk_batches()) <= window.max(2))
    }

    /// The next recipients in customer order, and whether they are the last.
    async fn walk(
        &self,
        tenant: &TenantId,
        notification: &StoredNotification,
    ) -> Result<(Vec<UserId>, bool)> {
        let most = self.chunk_batches() as usize * DeliveryBatch::DELIVERIES_MAX;
        let mut listed = self.walk_bookings(tenant, notification).await?;
        if kinds::of(notification.kind).reaches_waiting_list() {
            let (event, after) = (notification.event, notification.cursor);
            let waiting = self.waitlist.customers(tenant, event, after, most as u32);
            listed = merged(listed, waiting.await?, most);
        }
        let owners = self.walk_owners(tenant, notification, most).await?;
        Ok(merged(listed, owners, most))
    }

    /// The next `most` of those who got relevant tickets by transfers.
    async fn walk_owners(
        &self,
        tenant: &TenantId,
        notification: &StoredNotification,
        most: usize,
    ) -> Result<Vec<UserId>> {
        let rules = kinds::of(notification.kind);
        let mut from = notification
            .cursor
            .map_or(Bound::Unbounded, Bound::Excluded);
        let mut listed = Vec::new();
        loop {
            let page = self.owned_bookings(tenant, notification.event, (from, None));
            let page = page.await?;
            for (owner, bookings) in page.owners {
                let mut bookings = bookings.iter();
                if bookings.any(|booking| rules.concerns(notification, booking)) {
                    listed.push(owner);
                }
                if listed.len() == most {
                    return Ok(listed);
                }
            }
            match page.next {
                Some(after) => from = Bound::Excluded(after),
                None => return Ok(listed),
            }
        }
    }

    /// The next customers with relevant bookings. A customer is listed only when all of their bookings have been
    /// read, so that no page border splits one.
    async fn walk_bookings(
        &self,
        tenant: &TenantId,
        notification: &StoredNotification,
    ) -> Result<(Vec<UserId>, bool)> {
        let chunk = self.chunk_batches() as usize * DeliveryBatch::DELIVERIES_MAX;
        let concerns =
            |booking: &Booking| kinds::of(notification.kind).concerns(notification, booking);
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
                        *concerned |= concerns(booking);
                    }
                    _ => {
                        if let Some((customer, true)) = current {
                            customers.push(customer);
                        }
                        current = Some((booking.customer, concerns(booking)));
                        if customers.len() == chunk {
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

    /// Batches of one step: half a window, so that one half is delivered while the other is listed.
    fn chunk_batches(&self) -> u32 {
        let half = self.context.settings.delivery.bulk_window_batches / 2;
        half.clamp(1, CHUNK_BATCHES_MAX)
    }

    /// Returns whether a change of the event has made a notification pointless.
    async fn is_pointless(
        &self,
        tenant: &TenantId,
        notification: &StoredNotification,
        now: Timestamp,
    ) -> Result<bool> {
        let rules = kinds::of(notification.kind);
        if !rules.can_become_pointless() {
            return Ok(false);
        }
        let found = self.events.find(tenant, notification.event).await?;
        Ok(found.is_none_or(|(event, inventory)| {
            rules.is_pointless(notification, &event, inventory.status, now)
        }))
    }
}

/// Adds the batches of these recipients to a chunk. Returns the tasks that send them.
fn add_batches(
    chunk: &mut Chunk,
    tenant: &TenantId,
    customers: &[UserId],
    (now, due_at): (Timestamp, Timestamp),
) -> Vec<Task> {
    let mut tasks = Vec::new();
    for customers in customers.chunks(DeliveryBatch::DELIVERIES_MAX) {
        let number = chunk.notification.batches;
        chunk.notification.batches += 1;
        chunk.batches.push(DeliveryBatch {
            notification: chunk.notification.id,
            number,
            revision: 0,
            kind: chunk.notification.kind,
            event: Some(chunk.notification.event),
            deliveries: customers
                .iter()
                .map(|customer| listed(&chunk.notification, *customer, now))
                .collect(),
            claim: None,
            claims: 0,
            created_at: now,
        });
        // With an unknown outcome it is not sent: it stays `unknown`.
        if chunk.notification.is_uncertain {
            continue;
        }
        let entry = OutboxEntry {
            due_at,
            tenant: tenant.clone(),
            notification: chunk.notification.id,
            part: OutboxPart::DeliveryBatch(number),
            lane: chunk.notification.kind.lane(),
            published: true,
        };
        tasks.push(task_of(&entry, now));
        chunk.outbox.push(entry);
    }
    tasks
}

/// A new recipient: queued, or `unknown` from the beginning.
fn listed(notification: &StoredNotification, customer: UserId, now: Timestamp) -> DeliveryRecord {
    let mut delivery = DeliveryRecord::queued(customer, None);
    delivery.trace.clone_from(&notification.trace);
    if notification.is_uncertain {
        let reason = "restored from a backup: it may have been sent before";
        delivery.record_outcome(DeliveryState::Unknown, reason.to_owned(), now);
        delivery.ever_unknown = true;
    }
    delivery
}

/// The first `most` of two lists of customers, in their order and each once, and whether that is all. Each list has its
/// own first `most`, and the first says whether it is all.
fn merged(
    (mut customers, is_all): (Vec<UserId>, bool),
    others: Vec<UserId>,
    most: usize,
) -> (Vec<UserId>, bool) {
    let is_all = is_all && others.len() < most;
    customers.extend(others);
    customers.sort_unstable();
    customers.dedup();
    let fits = customers.len() <= most;
    customers.truncate(most);
    (customers, is_all && fits)
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    #[test]
    fn two_lists_become_one_in_order_and_nobody_is_left_out() {
        let ids = |numbers: &[u128]| -> Vec<UserId> {
            let numbers = numbers.iter();
            numbers.map(|one| UserId::from_ulid(Ulid(*one))).collect()
        };
        for (booked, waiting, expected) in [
            ((&[1, 3][..], true), &[2, 3][..], (&[1, 2, 3][..], true)),
            ((&[1, 3], true), &[], (&[1, 3], true)),
            ((&[], true), &[2], (&[2], true)),
            ((&[], true), &[], (&[], true)),
            // There may be more of either, and what is behind the last one is for the next time.
            ((&[1, 2, 3, 4], false), &[5], (&[1, 2, 3, 4], false)),
            ((&[9], true), &[1, 2, 3, 4], (&[1, 2, 3, 4], false)),
            ((&[1, 4, 5], true), &[2, 3], (&[1, 2, 3, 4], false)),
            ((&[1, 4], true), &[2, 3], (&[1, 2, 3, 4], true)),
        ] {
            let merged = merged((ids(booked.0), booked.1), ids(waiting), 4);
            assert_eq!(
                merged,
                (ids(expected.0), expected.1),
                "{booked:?} {waiting:?}"
            );
        }
    }
}
