//! What somebody has of a booking, to show at the door or to print.

use super::{BookingNumber, EventDetails, Label, Page, Ticket};

/// The tickets that one person has of a booking now, with the event.
#[derive(Debug, Clone)]
pub struct OwnTickets {
    /// The tenant's display name.
    pub tenant_name: Label,
    /// The number of the booking.
    pub booking_number: BookingNumber,
    /// The event as it is now; in neutral words where neither its organizer nor the reader has confirmed an address.
    pub event: EventDetails,
    /// When the event begins, for people in its zone: `Friday, 5 June 2026, 19:30 (Europe/Berlin)`.
    pub starts_at_local: String,
    /// The same of its end, if that is known.
    pub ends_at_local: Option<String>,
    /// Whether there are tickets, and if not, why.
    pub state: OwnTicketsState,
    /// How many tickets the person has of the booking.
    pub num_tickets: u32,
    /// Those of one page, in the order of numbers. Cancelled ones, and those that somebody else has, are not among them.
    pub tickets: Page<OwnTicket>,
}

/// Whether somebody has tickets of a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnTicketsState {
    /// They have some.
    Valid,
    /// They have none any more: theirs were cancelled or given to somebody else.
    NoneLeft,
    /// The whole booking was cancelled.
    BookingCancelled,
    /// The event was cancelled.
    EventCancelled,
}

/// A ticket as who has it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTicket {
    /// The ticket, with its code; without one if the installation has no keys for codes.
    pub ticket: Ticket,
    /// What its type is called; its id, if the event does not have it any more.
    pub type_name: String,
    /// The name of who comes with it, if one was given and the reader's address is confirmed.
    pub attendee: Option<Label>,
}

/// An iCalendar file (RFC 5545).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarFile {
    /// `PUBLISH` puts the event into a calendar or changes it there, `CANCEL` takes it out (RFC 5546).
    pub method: &'static str,
    /// The file, with CRLF line ends.
    pub text: String,
}
