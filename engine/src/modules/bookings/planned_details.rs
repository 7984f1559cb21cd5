//! Details of bookings in a plan: whether they were compared with the present questions and hold, and whether their references are
//! free.
//!
//! Called by the planner. Pure.

use super::{
    planner::GroupPlanner,
    requests::{BookingIntent, RequestedBooking},
};
use crate::{
    error::{Error, ErrorCode, Result},
    types::{Booking, BookingDetails, Reference},
};

impl GroupPlanner<'_> {
    /// Returns whether details have to be compared with the event's questions, or again.
    pub(super) fn has_stale_details(&self, request: &RequestedBooking) -> bool {
        let hold = match request.intent {
            _ if request.payment.is_some() => return false,
            BookingIntent::Confirm(hold) | BookingIntent::AcceptOffer(hold) => Some(hold),
            BookingIntent::Book | BookingIntent::Import | BookingIntent::Hold => None,
        };
        let details = &request.details;
        let is_needed = self.left.requires_answers && details.must_be_complete;
        let is_current = details.event_version == Some(self.left.event_version);
        let hold = hold.and_then(|hold| self.holds.get(&hold));
        let had = details.of_hold.as_ref();
        let is_other = had.is_some_and(|had| hold.is_some_and(|hold| hold.details != *had));
        ((is_needed || details.event_version.is_some()) && !is_current) || is_other
    }

    /// Refuses a booking whose reference another booking has.
    ///
    /// # Errors
    /// `reference-taken`.
    pub(super) fn require_free_reference(&self, booking: &Booking) -> Result<()> {
        match reference_of(booking).filter(|one| self.references.contains(one)) {
            Some(reference) => Err(reference_taken("booking", reference)),
            None => Ok(()),
        }
    }

    /// Takes the reference of a booking, if it has one.
    pub(super) fn take_reference(&mut self, booking: &Booking) {
        self.references.extend(reference_of(booking).cloned());
    }

    /// The details of a booking that was paid for. They have no reference if another booking has it: the money came, and the
    /// payment's own reference names the booking.
    pub(super) fn paid_details(
        &self,
        details: Option<&BookingDetails>,
    ) -> Option<Box<BookingDetails>> {
        let mut details = details?.clone();
        details.reference = details
            .reference
            .filter(|reference| !self.references.contains(reference));
        details.boxed()
    }
}

fn reference_of(booking: &Booking) -> Option<&Reference> {
    booking.details.as_ref()?.reference.as_ref()
}

/// The refusal of a reference that another object of the tenant has.
pub(in crate::modules) fn reference_taken(what: &str, reference: &Reference) -> Error {
    let detail = format!("Another {what} of the tenant has the reference {reference}.");
    Error::new(ErrorCode::ReferenceTaken, detail).at_field("reference")
}
