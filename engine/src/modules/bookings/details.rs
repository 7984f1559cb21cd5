//! What bookings and holds carry beside their tickets: answers are compared with the event's questions before a request enters its
//! queue, and the planner sees that questions and hold are still the same. References are unique within the tenant.
//!
//! Called by app_modules and the planner. Pure.

use super::requests::{RequestedBooking, RequestedDetails};
use crate::{
    error::{Error, Result},
    types::{
        BookingDetails, Event, Hold, NewBookingDetails, TicketTypeId, check_answers, quantities,
        wanted_quantities,
    },
};

/// What follows from what a request gives, on top of what is known. `lines` are the tickets.
///
/// # Errors
/// `field-invalid` at each wrong or missing answer.
pub(crate) fn details_for(
    event: &Event,
    lines: &[(TicketTypeId, u32)],
    known: Option<&BookingDetails>,
    given: &NewBookingDetails,
    must_be_complete: bool,
) -> Result<Option<Box<BookingDetails>>> {
    let details = given.over(known, lines)?;
    let questions = &event.details.questions;
    check_answers(&details, questions, lines, given, must_be_complete)?;
    Ok(details.boxed())
}

impl RequestedDetails {
    /// Compares what is given for a new booking or hold with the event's questions.
    ///
    /// # Errors
    /// `field-invalid`.
    pub(crate) fn compare(&mut self, event: &Event, request: &RequestedBooking) -> Result<()> {
        let lines = wanted_quantities(&request.lines, &event.ticket_types)?;
        self.compare_lines(event, &lines, None)
    }

    /// Compares what is given for a hold, and what the hold has, with the event's questions. A hold that has ended is left to the
    /// planner, which refuses it.
    ///
    /// # Errors
    /// `field-invalid`.
    pub(crate) fn compare_with_hold(&mut self, event: &Event, hold: &Hold) -> Result<()> {
        self.of_hold = Some(hold.details.clone());
        if hold.require_open().is_err() {
            self.event_version = Some(event.version);
            return Ok(());
        }
        if let Some(given) = &self.given {
            require_undecided(hold, given)?;
        }
        self.compare_lines(event, &quantities(&hold.lines), hold.details.as_deref())
    }

    fn compare_lines(
        &mut self,
        event: &Event,
        lines: &[(TicketTypeId, u32)],
        known: Option<&BookingDetails>,
    ) -> Result<()> {
        let none = NewBookingDetails::default();
        let given = self.given.as_deref().unwrap_or(&none);
        self.checked = details_for(event, lines, known, given, self.must_be_complete)?;
        self.event_version = Some(event.version);
        Ok(())
    }

    /// Takes what is given where no question and no hold decides about it.
    ///
    /// # Errors
    /// `field-invalid`.
    pub(crate) fn take(&mut self) -> Result<()> {
        if let Some(given) = &self.given {
            self.checked = given.over(None, &[])?.boxed();
        }
        Ok(())
    }
}

/// Refuses a hold that lacks answers which its booking needs.
///
/// # Errors
/// `field-invalid` at each missing answer.
pub(crate) fn require_answers(event: &Event, hold: &Hold) -> Result<()> {
    let none = NewBookingDetails::default();
    details_for(
        event,
        &quantities(&hold.lines),
        hold.details.as_deref(),
        &none,
        true,
    )
    .map(drop)
}

/// Refuses other codes than those with which policies decided about a hold.
fn require_undecided(hold: &Hold, given: &NewBookingDetails) -> Result<()> {
    match given.codes.is_some() && hold.waitlist_number.is_none() {
        true => Err(Error::field(
            "codes",
            "A hold keeps the codes that policies decided with: release it, and hold the tickets with the others.",
        )),
        false => Ok(()),
    }
}

/// A hold with other details.
///
/// # Errors
/// `hold-ended`, `field-invalid`.
pub(super) fn changed_hold(hold: &Hold, event: &Event, given: &NewBookingDetails) -> Result<Hold> {
    hold.require_open()?;
    require_undecided(hold, given)?;
    // What is complete stays complete: a payment may be open.
    let is_complete = require_answers(event, hold).is_ok();
    let (lines, known) = (quantities(&hold.lines), hold.details.as_deref());
    let details = details_for(event, &lines, known, given, is_complete)?;
    Ok(Hold {
        details,
        ..hold.clone()
    })
}
