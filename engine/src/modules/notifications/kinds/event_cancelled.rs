//! An event was cancelled: everybody who booked hears of it, and everybody who waited for tickets.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Audience, BOOKINGS_CANCELLED, CalendarAction, Kind, KindParts, KindTemplates, MailContext,
    MailSource, SourceReader, is_cancelled_with_event, is_confirmed, templates,
};
use crate::{
    error::Result,
    types::{Booking, DeliveryRecord, EventStatus, StoredEvent, StoredNotification, UserId},
};

pub(super) struct EventCancelled;

#[async_trait]
impl Kind for EventCancelled {
    fn audience(&self) -> Audience {
        Audience::EventCustomers
    }

    fn templates(&self) -> KindTemplates {
        templates!("event-cancelled")
    }

    fn is_sent_again(&self) -> bool {
        true
    }

    fn concerns(&self, _notification: &StoredNotification, booking: &Booking) -> bool {
        is_confirmed(booking) || is_cancelled_with_event(booking)
    }

    fn reaches_waiting_list(&self) -> bool {
        true
    }

    fn is_pointless(
        &self,
        _notification: &StoredNotification,
        _event: &StoredEvent,
        _status: EventStatus,
        _now: Timestamp,
    ) -> bool {
        false
    }

    fn still_wanted(&self, booking: &Booking, _event: EventStatus) -> bool {
        is_confirmed(booking) || is_cancelled_with_event(booking)
    }

    async fn parts(&self, reader: &SourceReader<'_>, source: &MailSource) -> Result<KindParts> {
        let customers = reader.customers.iter().copied();
        let without_booking: Vec<UserId> = customers
            .filter(|customer| source.bookings.get(customer).is_none_or(Vec::is_empty))
            .collect();
        Ok(KindParts {
            waiting: reader.waiting_among(&without_booking).await?,
            ..KindParts::default()
        })
    }

    fn unwanted(&self, source: &MailSource, delivery: &DeliveryRecord) -> Option<&'static str> {
        let is_concerned = source.has_wanted_booking(delivery)
            || source.parts.waiting.contains(&delivery.customer);
        (!is_concerned).then_some(BOOKINGS_CANCELLED)
    }

    /// Whoever only waited has no entry.
    fn calendar(&self, context: &MailContext<'_>) -> Option<CalendarAction> {
        (!context.bookings.is_empty()).then_some(CalendarAction::Cancel)
    }
}
