//! A booking was made: its customer reads what they booked, with the codes of the tickets.

use serde_json::Value;

use super::{Audience, Kind, KindTemplates, MailContext, stands, templates};
use crate::{
    modules::notifications::mail::data::tickets_data,
    types::{Booking, EventStatus},
};

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
        data["tickets"] = tickets_data(context);
    }
}
