//! The use case of changing what a booking carries beside its tickets. Called by hosts and platforms. Calls the bookings and events
//! modules.

use super::Bookings;
use crate::{
    error::{Error, ErrorCode, Fact, Result},
    modules::details_for,
    types::{
        Booking, BookingDetails, BookingStatus, Caller, ChangeBooking, EventDetails, EventStatus,
        NewBookingDetails, Scope, quantities,
    },
};

impl Bookings {
    /// Changes what a booking carries beside its tickets. Its customer may change answers and attendees, until the time that the event
    /// says; those who look after the event also reference and metadata, at any time. The attendee of a ticket that the customer gave to
    /// somebody else stays.
    ///
    /// # Errors
    /// `not-found`, `field-invalid`, `booking-cancelled`, `changes-closed`, `reference-taken`,
    /// `conflict-try-again`.
    pub async fn change(&self, caller: &Caller, command: ChangeBooking) -> Result<Booking> {
        let caller = &caller.scoped(Scope::BookingsWrite)?;
        caller.require_signed_in()?;
        let given = &command.details;
        given.validate()?;
        if given.codes.is_some() {
            let rule = "A booking keeps the codes that policies decided with.";
            return Err(Error::field("codes", rule));
        }
        let (seen, own) = self.find_visible(caller, command.booking).await?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let event = modules.events.refreshed(tenant, seen.event).await?;
        let event = event.ok_or_else(|| Error::not_found("event", seen.event))?;
        if own {
            self.require_own_change(given, &event.details)?;
        }
        let changed = modules.bookings.change_details(tenant, seen.id, |booking| {
            if booking.status == BookingStatus::Cancelled || event.status == EventStatus::Cancelled
            {
                let detail = "This booking is cancelled.";
                return Err(Error::new(ErrorCode::BookingCancelled, detail));
            }
            let lines = quantities(booking.lines_as_booked());
            let known = booking.details.as_deref();
            let details = match given.depends_on_event() {
                true => details_for(&event, &lines, known, given, true)?,
                false => given.over(known, &lines)?.boxed(),
            };
            Ok(match own {
                true => with_given_away(booking, details),
                false => details,
            })
        });
        let changed = changed.await?;
        Ok(match own {
            true => changed.as_customer_sees(),
            false => changed,
        })
    }

    /// Refuses what only those change who look after the event, and what comes too late.
    fn require_own_change(&self, given: &NewBookingDetails, event: &EventDetails) -> Result<()> {
        let rule = "Only those who look after the event change this.";
        if given.reference.is_some() {
            return Err(Error::field("reference", rule));
        }
        if given.metadata.is_some() {
            return Err(Error::field("metadata", rule));
        }
        self.require_open(event, "Attendees and answers could be changed")
    }

    /// Refuses what comes too late for customers and ticket owners: `what` was possible until the time that the event says.
    pub(super) fn require_open(&self, event: &EventDetails, what: &str) -> Result<()> {
        let until = event.changes_until();
        if self.0.context.now() < until {
            return Ok(());
        }
        let closed = Error::new(ErrorCode::ChangesClosed, format!("{what} until {until}."));
        Err(closed.with(Fact::ClosedAt(until)))
    }
}

/// Details in which those who have the tickets that the customer gave away are as they were.
fn with_given_away(
    booking: &Booking,
    details: Option<Box<BookingDetails>>,
) -> Option<Box<BookingDetails>> {
    if booking.given_away().next().is_none() {
        return details;
    }
    let mut details = details.map_or_else(BookingDetails::default, |one| *one);
    for (number, _) in booking.given_away() {
        match booking.holder_of(number) {
            Some(holder) => drop(details.ticket_holders.insert(number, holder.clone())),
            None => drop(details.ticket_holders.remove(&number)),
        }
    }
    details.boxed()
}
