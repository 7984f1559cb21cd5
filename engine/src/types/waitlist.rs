//! An event's waiting list: its entries, and who was passed over and why.

use jiff::Timestamp;

use super::{BookLine, BookTickets, BookingDetails, EventId, Hold, NewBookingDetails, UserId};
use crate::error::{ErrorCode, Result};

/// Joins an event's waiting list.
#[derive(Debug, Clone)]
pub struct JoinWaitlist {
    /// The event's id.
    pub event: EventId,
    /// The wanted tickets, all or nothing; 1 to 10 lines, each type once.
    pub lines: Vec<BookLine>,
    /// What the booking is to carry beside its tickets. Answers that are required may follow until the offer is accepted.
    pub details: NewBookingDetails,
}

impl JoinWaitlist {
    /// Joins for these tickets, and nothing beside.
    pub fn new(event: EventId, lines: Vec<BookLine>) -> Self {
        Self {
            event,
            lines,
            details: NewBookingDetails::default(),
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let as_booked = BookTickets {
            lines: self.lines.clone(),
            details: self.details.clone(),
            ..BookTickets::general(self.event, 1)
        };
        as_booked.validate()
    }
}

/// A customer who waits for tickets of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitlistEntry {
    /// The event's id.
    pub event: EventId,
    /// Its number, from 0, raised with every entry of the event. The list is ordered by it.
    pub number: i64,
    /// The customer who waits.
    pub customer: UserId,
    /// The wanted tickets, all or nothing. Every line names its type.
    pub lines: Vec<BookLine>,
    /// When they joined, UTC.
    pub joined_at: Timestamp,
    /// What the offered hold is to carry beside its tickets; `None` for nothing.
    pub details: Option<Box<BookingDetails>>,
}

impl WaitlistEntry {
    /// Entries that are checked when tickets become free, from the first.
    pub const LOOKED_AT_MAX: usize = 50;

    /// How many tickets are wanted, over all lines.
    pub fn tickets(&self) -> u32 {
        self.lines.iter().map(|line| line.quantity).sum()
    }
}

/// A customer's place on a waiting list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitlistPlace {
    /// On the list, with `ahead` others before.
    Waiting {
        /// The entry.
        entry: WaitlistEntry,
        /// The number of entries before it.
        ahead: u64,
    },
    /// Tickets are offered: confirm or release this hold.
    Offered(Hold),
}

/// One pass over a waiting list in which entries were passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitlistPass {
    /// The inventory's revision after the pass; raised with every pass.
    pub revision: i64,
    /// The time, UTC.
    pub at: Timestamp,
    /// The entries that were passed over, in the order of the list; at most 51.
    pub skips: Vec<WaitlistSkip>,
}

impl WaitlistPass {
    /// Passes that are kept for an event. Older ones are deleted.
    pub const KEPT_MAX: i64 = 200;
}

/// Why an entry was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitlistSkip {
    /// The entry.
    pub number: i64,
    /// The customer.
    pub customer: UserId,
    /// The number of wanted tickets.
    pub tickets: u32,
    /// The code that a booking would have got. `policy-rejected` if they accepted and a policy rejected it: their entry is
    /// deleted then, all others stay.
    pub reason: ErrorCode,
    /// The error's sentence.
    pub detail: String,
}
