//! A booking was cancelled, or some of its tickets: its customer reads what that was, and what is paid back.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    Audience, CalendarAction, Kind, KindParts, KindTemplates, MailContext, SourceReader, templates,
};
use crate::{
    error::Result,
    modules::notifications::mail::data::{booking_data, lines_data, money, numbers_text},
    types::{Booking, BookingStatus, Cancellation, EventStatus},
};

pub(super) struct BookingCancelled;

#[async_trait]
impl Kind for BookingCancelled {
    fn audience(&self) -> Audience {
        Audience::Booking
    }

    fn templates(&self) -> KindTemplates {
        templates!("booking-cancelled")
    }

    fn is_caused_by_reader(&self) -> bool {
        true
    }

    fn still_wanted(&self, _booking: &Booking, _event: EventStatus) -> bool {
        true
    }

    async fn parts(&self, reader: &SourceReader<'_>) -> Result<KindParts> {
        Ok(KindParts {
            with_tickets_left: reader.with_active_bookings().await?,
            ..KindParts::default()
        })
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        let Some((booking, one)) = cancellation(context) else {
            return;
        };
        // As this cancellation left it, whatever came after: that has a mail of its own.
        data["bookings"] = json!([booking_data(context, &booking)]);
        data["cancellation"] = json!({
            "cancelledBy": one.cause,
            "isWhole": booking.status == BookingStatus::Cancelled,
            "numTickets": one.tickets(),
            "lines": lines_data(context.event, &one.lines, &booking.currency),
            "ticketNumbers": one.numbers,
            "ticketNumbersText": numbers_text(&one.numbers),
            "refundMinor": one.refund_minor,
            "refund": money(one.refund_minor, &booking.currency),
            "hasTicketsLeft": context.keeps_entry,
        });
    }

    fn add_sample(&self, sample: &mut Value) {
        let lines = sample["bookings"][0]["lines"].clone();
        sample["bookings"][0]["status"] = json!("cancelled");
        sample["bookings"][0]["cancelledBy"] = json!("customer");
        sample["cancellation"] = json!({
            "cancelledBy": "customer",
            "isWhole": true,
            "numTickets": 2,
            "lines": lines,
            "refundMinor": 2_000,
            "refund": "20.00 EUR",
            "hasTicketsLeft": false,
            "ticketNumbers": [1, 2],
            "ticketNumbersText": "1-2",
        });
    }

    /// A cancellation that leaves its reader with tickets leaves the event in their calendar.
    fn calendar(&self, context: &MailContext<'_>) -> Option<CalendarAction> {
        let event = context.event?;
        let stays = context.keeps_entry && event.status != EventStatus::Cancelled;
        (!stays).then_some(CalendarAction::Cancel)
    }
}

/// What a mail about a cancellation is about, and the booking as that left it.
fn cancellation(context: &MailContext<'_>) -> Option<(Booking, Cancellation)> {
    let booking = context.bookings.first()?;
    let mut all = booking.cancellations.iter().enumerate();
    let (index, one) = all.find(|(_, one)| one.notification == context.notification)?;
    Some((booking.as_of(index + 1), one.clone()))
}
