//! Somebody got a ticket by a transfer: they read what it is for, and its code. Whoever gave it typed their name and address, so
//! the mail has no words of theirs.

use serde_json::Value;

use super::{Audience, Kind, KindTemplates, MailContext, MailSource, stands, templates};
use crate::{
    modules::notifications::mail::data::tickets_data,
    types::{Booking, DeliveryRecord, EventStatus},
};

pub(super) struct TicketReceived;

impl Kind for TicketReceived {
    fn audience(&self) -> Audience {
        Audience::Booking
    }

    fn templates(&self) -> KindTemplates {
        templates!("ticket-received")
    }

    /// Whoever gives tickets away brings about mails to any address.
    fn is_caused_by_reader(&self) -> bool {
        true
    }

    fn shows_tickets(&self) -> bool {
        true
    }

    fn still_wanted(&self, booking: &Booking, event: EventStatus) -> bool {
        stands(booking, event)
    }

    fn unwanted(&self, source: &MailSource, delivery: &DeliveryRecord) -> Option<&'static str> {
        let mut bookings = source.bookings_of(delivery);
        let has_ticket = bookings.any(|booking| {
            let mut tickets = booking.tickets_of(delivery.customer);
            self.still_wanted(booking, source.status()) && tickets.next().is_some()
        });
        (!has_ticket)
            .then_some("the ticket was given to somebody else or cancelled before it was sent")
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        data["tickets"] = tickets_data(context);
    }
}
