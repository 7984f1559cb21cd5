//! Imports of bookings from another system.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    BookLine, BookingId, EventId, IdempotencyKey, Label, Metadata, Reference, SoldTo, TicketTypeId,
};
use crate::error::{Error, Result};

/// Imports bookings of another system.
#[derive(Debug, Clone)]
pub struct ImportBookings {
    /// The bookings; at most 1,000.
    pub rows: Vec<ImportRow>,
    /// Whether nothing is written: the report then says what would become of each row.
    pub dry_run: bool,
    /// Whether the customers get a confirmation.
    pub sends_mails: bool,
    /// For a dry run of more rows than one request has: the tickets that earlier requests would take; at most 1,000 items.
    pub taken: Vec<ImportedTickets>,
}

impl ImportBookings {
    /// Most rows of one request: some 500 KB, and a second of work.
    pub const ROWS_MAX: usize = 1_000;

    pub(crate) fn validate(&self) -> Result<()> {
        let parts = [("rows", self.rows.len()), ("taken", self.taken.len())];
        match parts.iter().find(|(_, items)| *items > Self::ROWS_MAX) {
            Some((field, _)) => Err(Error::field(*field, "Send at most 1,000 items.")),
            None => Ok(()),
        }
    }
}

/// A booking of another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportRow {
    /// Its name there, unique within the tenant: 1 to 64 visible ASCII characters. A row with a name that was imported is
    /// not imported again.
    pub reference: Reference,
    /// The event.
    pub event: EventId,
    /// The id or the name of the ticket type; `None` means the event's only one.
    pub ticket_type: Option<Label>,
    /// The number of tickets.
    pub quantity: u32,
    /// The customer.
    pub customer: SoldTo,
    /// The paid price of one ticket, in minor units of the event's currency.
    pub unit_price_minor: u32,
    /// When it was booked, UTC.
    pub booked_at: Timestamp,
    /// When its tickets were checked in, UTC, if they were.
    pub checked_in_at: Option<Timestamp>,
    /// The platform's own strings.
    pub metadata: Metadata,
}

impl ImportRow {
    /// Most tickets of a row: as many as of a line of any booking.
    pub const QUANTITY_MAX: u32 = 10_000;
    /// Most tickets of a row that is checked in: each is a row in the store.
    pub const CHECKED_IN_MAX: u32 = 1_000;

    /// Checks what does not depend on the store.
    pub(crate) fn key(&self, now: Timestamp) -> Result<IdempotencyKey> {
        let refused = |field: &'static str, rule: &'static str| Err(Error::field(field, rule));
        let key = IdempotencyKey::parse(self.reference.as_str())?;
        if !(1..=Self::QUANTITY_MAX).contains(&self.quantity) {
            return refused("quantity", "A row has 1 to 10,000 tickets.");
        }
        if self.booked_at > now {
            return refused("bookedAt", "A booking was made in the past.");
        }
        match self.checked_in_at {
            Some(at) if at < self.booked_at || at > now => refused(
                "checkedInAt",
                "Tickets were checked in after the booking and in the past.",
            ),
            Some(_) if self.quantity > Self::CHECKED_IN_MAX => refused(
                "quantity",
                "A row with tickets that are checked in has at most 1,000 of them.",
            ),
            _ => Ok(key),
        }
    }

    /// Its tickets, as a request names them.
    pub(crate) fn line(&self, ticket_type: TicketTypeId) -> BookLine {
        BookLine {
            ticket_type: Some(ticket_type),
            quantity: self.quantity,
        }
    }
}

/// Tickets of an event that imported bookings take.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ImportedTickets {
    /// The event.
    pub event: EventId,
    /// The ticket type.
    pub ticket_type: TicketTypeId,
    /// The number of tickets.
    pub quantity: u32,
}

/// What became of the rows of an import.
#[derive(Debug)]
pub struct ImportReport {
    /// One outcome for each row, in their order.
    pub rows: Vec<ImportOutcome>,
    /// For a dry run: what the request's rows and `taken` take together.
    pub taken: Vec<ImportedTickets>,
}

/// What became of a row.
#[derive(Debug)]
pub enum ImportOutcome {
    /// It is imported now.
    Created(BookingId),
    /// It was imported before, with the same content.
    Present(BookingId),
    /// It would be imported.
    Valid,
    /// It is not imported, and why: `field-invalid`, `not-found`, `event-cancelled` or `not-enough-tickets`.
    Faulty(Error),
}
