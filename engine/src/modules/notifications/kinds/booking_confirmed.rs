//! A booking was made: its customer reads what they booked, with the codes of the tickets.

use serde_json::{Value, json};

use super::{Audience, Kind, KindTemplates, MailContext, stands, templates};
use crate::types::{Booking, EventStatus};

pub(super) struct BookingConfirmed;

impl Kind for BookingConfirmed {
    fn audience(&self) -> Audience {
        Audience::Booking
    }

    fn templates(&self) -> KindTemplates {
        templates!("booking-confirmed")
    }

    fn is_caused_by_reader(&self) -> bool {
        true
    }

    fn shows_tickets(&self) -> bool {
        true
    }

    fn still_wanted(&self, booking: &Booking, event: EventStatus) -> bool {
        stands(booking, event)
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        let tickets = context.tickets.iter().map(|ticket| {
            json!({
                "number": ticket.number,
                "name": ticket.name,
                "attendee": ticket.attendee.as_ref().filter(|_| context.recipient.email_verified),
                "code": ticket.code,
                "imageId": ticket.image_id(),
            })
        });
        data["tickets"] = tickets.collect();
    }
}
