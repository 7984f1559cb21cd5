//! A ticket no longer admits its reader: they gave it to somebody else, or it was cancelled after they had got it by a transfer.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    Audience, CalendarAction, Kind, KindParts, KindTemplates, MailContext, MailSource,
    SourceReader, templates,
};
use crate::{
    error::Result,
    modules::notifications::mail::data::type_name,
    types::{Booking, DeliveryRecord, EventStatus},
};

pub(super) struct TicketVoided;

#[async_trait]
impl Kind for TicketVoided {
    fn audience(&self) -> Audience {
        Audience::Booking
    }

    fn templates(&self) -> KindTemplates {
        templates!("ticket-voided")
    }

    fn is_caused_by_reader(&self) -> bool {
        true
    }

    /// Everybody hears of a cancelled event by another mail.
    fn still_wanted(&self, _: &Booking, event: EventStatus) -> bool {
        event != EventStatus::Cancelled
    }

    fn unwanted(&self, source: &MailSource, delivery: &DeliveryRecord) -> Option<&'static str> {
        let mut bookings = source.bookings_of(delivery);
        let is_void = bookings.any(|booking| {
            self.still_wanted(booking, source.status())
                && !booking.void_for(delivery.customer).is_empty()
        });
        (!is_void).then_some("the ticket came back, or the event was cancelled, before it was sent")
    }

    async fn parts(&self, reader: &SourceReader<'_>) -> Result<KindParts> {
        Ok(KindParts {
            with_tickets_left: reader.with_active_bookings().await?,
            ..KindParts::default()
        })
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        let void = context.bookings.iter().flat_map(|booking| {
            let void = booking.void_for(context.recipient.id).into_iter();
            void.map(|(ticket, cause)| {
                json!({
                    "number": ticket.id.number,
                    "name": type_name(context.event, &ticket.ticket_type),
                    "cause": cause.as_str(),
                })
            })
        });
        data["voidTickets"] = void.collect();
    }

    fn add_sample(&self, sample: &mut Value) {
        sample["voidTickets"] = json!([
            { "number": 2, "name": "General", "cause": "transferred" },
        ]);
    }

    /// Who has another ticket of the event, or booked it, keeps it in the calendar.
    fn calendar(&self, context: &MailContext<'_>) -> Option<CalendarAction> {
        let reader = context.recipient.id;
        let mut bookings = context.bookings.iter();
        let has_others = bookings.any(|booking| booking.tickets_of(reader).next().is_some());
        (!has_others && !context.keeps_entry).then_some(CalendarAction::Cancel)
    }
}
