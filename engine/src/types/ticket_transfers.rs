//! What a booking keeps of the transfer of a ticket.

use jiff::Timestamp;

use super::UserId;

/// The last transfer of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketTransfer {
    /// The ticket's number in its booking.
    pub number: u32,
    /// The number of its transfers, this one included.
    pub issue: u32,
    /// The accounts that had the ticket before, the booking's customer first.
    pub former: Vec<UserId>,
    /// The account that has it since.
    pub to: UserId,
    /// When, UTC.
    pub at: Timestamp,
    /// The event's version at that time: what its owner knows of the event.
    pub event_version: u64,
}

impl TicketTransfer {
    /// Most transfers of one ticket: each sends a mail to whatever address is given.
    pub const PER_TICKET_MAX: u32 = 20;
}
