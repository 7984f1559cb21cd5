//! An event is near: everybody who booked before the reminder's time is reminded.

use jiff::Timestamp;

use super::{Audience, Kind, KindTemplates, MailSource, is_confirmed, stands, templates};
use crate::types::{Booking, EventStatus, NotificationId, StoredEvent, StoredNotification};

pub(super) struct EventReminder;

impl Kind for EventReminder {
    fn audience(&self) -> Audience {
        Audience::EventCustomers
    }

    fn templates(&self) -> KindTemplates {
        templates!("event-reminder")
    }

    fn needs_consent(&self) -> bool {
        true
    }

    fn links_to_tickets(&self) -> bool {
        true
    }

    /// Whoever booked after the reminder's time has just read when the event begins.
    fn concerns(&self, notification: &StoredNotification, booking: &Booking) -> bool {
        is_confirmed(booking) && booking.created_at < notification.due_at
    }

    /// The event moved far, and another reminder is to come; or it has begun while no worker was there.
    fn is_pointless(
        &self,
        notification: &StoredNotification,
        event: &StoredEvent,
        status: EventStatus,
        now: Timestamp,
    ) -> bool {
        let newest = event.reminder.map(|reminder| reminder.notification);
        status == EventStatus::Cancelled
            || newest != Some(notification.id)
            || event.details.starts_at <= now
    }

    fn overtaken(
        &self,
        source: &MailSource,
        notification: NotificationId,
        now: Timestamp,
    ) -> Option<&'static str> {
        let event = source.event.as_ref()?;
        let newest = event.reminder.map(|reminder| reminder.notification);
        if newest != Some(notification) {
            Some("the event was moved, and another reminder follows")
        } else if event.details.starts_at <= now {
            Some("the event had begun before it was sent")
        } else {
            None
        }
    }

    fn still_wanted(&self, booking: &Booking, event: EventStatus) -> bool {
        stands(booking, event)
    }
}
