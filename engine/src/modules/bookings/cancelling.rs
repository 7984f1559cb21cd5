//! Giving tickets back.
//!
//! Called by the bookings module. Calls the bookings repository.

use jiff::Timestamp;

use super::{ATTEMPTS_MAX, CancelDecision, Rules, counters::taken_back, placing::mails_about};
use crate::{
    Error, Result,
    modules::repositories::{
        GroupQuestion, INVENTORY_MOVED, InventoryChange, POLICIES_MOVED, StepError,
        pause_after_conflict,
    },
    types::{
        Booking, BookingId, BookingStatus, CancelCause, CapacityCause, EventStatus, NotificationId,
        NotificationKind, TenantId,
    },
};

impl Rules {
    /// Cancels a booking in its turn among the event's bookings.
    pub(super) async fn cancel(
        &self,
        tenant: &TenantId,
        id: BookingId,
        cause: CancelCause,
        decision: Option<CancelDecision>,
    ) -> Result<Option<Booking>> {
        let change = self.surroundings.next_id();
        let notification = NotificationId::from_ulid(self.surroundings.next_id());
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                pause_after_conflict(attempt).await;
            }
            // The inventory is read first: whatever happens to the booking after that moves it.
            let question = GroupQuestion {
                customers: vec![id.customer()],
                ..GroupQuestion::default()
            };
            let snapshot = self
                .repository
                .read_group(tenant, id.event(), &question)
                .await?;
            let tickets = snapshot.tickets.get(&id.customer()).copied().unwrap_or(0);
            let (Some(inventory), Some(booking)) =
                (snapshot.inventory, self.repository.find(tenant, id).await?)
            else {
                return Err(Error::not_found("booking", id));
            };
            if booking.status == BookingStatus::Cancelled
                || inventory.status == EventStatus::Cancelled
            {
                return Ok(Some(read_with_event(
                    booking,
                    inventory.status,
                    self.surroundings.now(),
                )));
            }
            if let Some(decision) = decision
                && (decision.policy_version != snapshot.policy_version
                    || decision
                        .seen
                        .is_some_and(|seen| seen != (inventory.event_version, tickets)))
            {
                return Ok(None);
            }
            let now = self.surroundings.now();
            let cancelled = Booking {
                status: BookingStatus::Cancelled,
                cancelled: Some((cause, now)),
                ..booking.clone()
            };
            let change = InventoryChange {
                inventory: taken_back(inventory.clone(), &booking.lines),
                before: inventory,
                change,
                attempt,
                cause: CapacityCause::Cancelled,
                at: now,
            };
            let mails = mails_about(
                tenant,
                notification,
                NotificationKind::BookingCancelled,
                &[id],
                now,
            );
            match self
                .repository
                .cancel(
                    tenant,
                    &cancelled,
                    &change,
                    &mails,
                    decision.map(|decision| decision.policy_version),
                )
                .await
            {
                Ok(()) => {
                    self.surroundings.owed.notify_one();
                    return Ok(Some(cancelled));
                }
                // A lost answer is settled by reading again: a booking that is cancelled now is answered as it is.
                Err(StepError::Conflict | StepError::Lost(_)) => {}
                Err(error) if error.is_guard(INVENTORY_MOVED) || error.is_guard(POLICIES_MOVED) => {
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }
}

/// A booking as its event's status makes it read: with the event called off, so is the booking, whether that is written
/// yet or not.
pub(crate) fn read_with_event(booking: Booking, event: EventStatus, since: Timestamp) -> Booking {
    if event == EventStatus::Cancelled && booking.status == BookingStatus::Confirmed {
        Booking {
            status: BookingStatus::Cancelled,
            cancelled: Some((CancelCause::Event, since)),
            ..booking
        }
    } else {
        booking
    }
}
