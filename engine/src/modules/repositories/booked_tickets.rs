//! How many tickets of an event a customer has booked, read in another step's snapshot. Called by repositories; calls models.

use super::{
    db::{Answers, Script},
    models::BookingRow,
};
use crate::{
    error::Result,
    types::{EventId, TenantId, UserId},
};

/// Adds the read of a customer's bookings of an event.
pub(in crate::modules::repositories) fn ask_bookings(
    script: &mut Script,
    tenant: &TenantId,
    (event, customer): (EventId, UserId),
) -> usize {
    let prefix = [
        tenant.as_str().to_owned(),
        event.ulid().to_string(),
        customer.ulid().to_string(),
    ];
    script.read_under("booking", prefix)
}

/// The tickets in the bookings that [`ask_bookings`] read.
pub(in crate::modules::repositories) fn tickets_booked(
    answers: &mut Answers,
    place: usize,
) -> Result<u32> {
    let mut sum: u32 = 0;
    for row in answers.rows::<BookingRow>(place)? {
        let booking = row.into_type()?;
        if booking.cancelled.is_none() {
            sum = sum.saturating_add(booking.tickets());
        }
    }
    Ok(sum)
}
