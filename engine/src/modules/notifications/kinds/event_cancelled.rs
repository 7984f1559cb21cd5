//! An event was cancelled: everybody who booked hears of it, and everybody who waited for tickets.

use async_trait::async_trait;

use super::{
    Audience, BOOKINGS_CANCELLED, CalendarAction, Kind, KindParts, KindTemplates, MailContext,
    MailSource, SourceReader, stands_or_fell_with_event, templates,
};
use crate::{
    error::Result,
    types::{Booking, DeliveryRecord, EventStatus, StoredNotification, UserId},
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
        stands_or_fell_with_event(booking)
    }

    fn reaches_waiting_list(&self) -> bool {
        true
    }

    fn can_become_pointless(&self) -> bool {
        false
    }

    fn still_wanted(&self, booking: &Booking, _event: EventStatus) -> bool {
        stands_or_fell_with_event(booking)
    }

    async fn add_parts(
        &self,
        reader: &SourceReader<'_>,
        source: &MailSource,
        parts: &mut KindParts,
    ) -> Result<()> {
        let customers = reader.customers.iter().copied();
        let without_booking: Vec<UserId> = customers
            .filter(|customer| source.bookings.get(customer).is_none_or(Vec::is_empty))
            .collect();
        parts.waiting = reader.waiting_among(&without_booking).await?;
        Ok(())
    }

    fn unwanted(&self, source: &MailSource, delivery: &DeliveryRecord) -> Option<&'static str> {
        let is_concerned = self.has_wanted_booking(source, delivery)
            || source.parts.waiting.contains(&delivery.customer);
        (!is_concerned).then_some(BOOKINGS_CANCELLED)
    }

    /// Whoever only waited has no entry.
    fn calendar(&self, context: &MailContext<'_>) -> Option<CalendarAction> {
        (!context.bookings.is_empty()).then_some(CalendarAction::Cancel)
    }
}
