//! Booking tickets, seeing and cancelling bookings: who may, and in which order things are asked.
//!
//! Called by hosts and platforms. Calls the bookings and events modules and the policy port.

use std::sync::Arc;

use crate::{
    Result,
    engine::Inner,
    types::{BookTickets, Booking, BookingId, Caller, EventId, Page, PageRequest},
};

/// Use cases around bookings.
#[derive(Clone)]
pub struct Bookings(pub(crate) Arc<Inner>);

impl Bookings {
    /// Books tickets for the acting user; once it answers, the booking and the mail it owes are on disk.
    ///
    /// # Errors
    /// `field-invalid`, `not-found`, `not-enough-tickets`, `event-not-published`, `event-cancelled`,
    /// `sales-not-open`, `sales-closed`, `price-changed`, `policy-rejected`, `policy-unavailable`,
    /// `idempotency-key-reused`, `conflict-try-again`, `event-busy`, `outcome-unknown`.
    pub async fn book_tickets(&self, caller: &Caller, command: BookTickets) -> Result<Booking> {
        todo!()
    }

    /// Shows a booking to its customer, the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see.
    pub async fn show(&self, caller: &Caller, booking: BookingId) -> Result<Booking> {
        todo!()
    }

    /// Lists the acting user's own bookings, newest first.
    ///
    /// # Errors
    /// `not-authenticated`, `field-invalid` for a broken cursor.
    pub async fn list_mine(&self, caller: &Caller, page: PageRequest) -> Result<Page<Booking>> {
        todo!()
    }

    /// Lists an event's bookings in customer order, for its organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list_of_event(
        &self,
        caller: &Caller,
        event: EventId,
        page: PageRequest,
    ) -> Result<Page<Booking>> {
        todo!()
    }

    /// Cancels a booking, by its customer or the event's organizer; its tickets go back on sale at once.
    /// A booking that is cancelled already is answered as it is.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `conflict-try-again`.
    pub async fn cancel(&self, caller: &Caller, booking: BookingId) -> Result<Booking> {
        todo!()
    }
}
