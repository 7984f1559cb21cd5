//! The waiting list of an event: who waits for how many tickets, and who was passed over and why.

use jiff::Timestamp;

use super::{BookLine, BookTickets, EventId, Hold, UserId};
use crate::error::{ErrorCode, Result};

/// Joins an event's waiting list.
#[derive(Debug, Clone)]
pub struct JoinWaitlist {
    /// Which event.
    pub event: EventId,
    /// What is wanted, all of it together; 1 to 10 lines, each type once.
    pub lines: Vec<BookLine>,
}

impl JoinWaitlist {
    pub(crate) fn validate(&self) -> Result<()> {
        let as_booked = BookTickets {
            lines: self.lines.clone(),
            ..BookTickets::general(self.event, 1)
        };
        as_booked.validate()
    }
}

/// A customer who waits for tickets of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitlistEntry {
    /// Which event.
    pub event: EventId,
    /// Grows with every entry of the event, from 0: who joined first stands first.
    pub number: i64,
    /// Who waits.
    pub customer: UserId,
    /// What is wanted, all of it together; every line names its type.
    pub lines: Vec<BookLine>,
    /// When they joined, UTC.
    pub joined_at: Timestamp,
}

impl WaitlistEntry {
    /// Entries that a freeing step looks at, from the first.
    pub const LOOKED_AT_MAX: usize = 50;

    /// How many tickets are wanted, over all lines.
    pub fn tickets(&self) -> u32 {
        self.lines.iter().map(|line| line.quantity).sum()
    }
}

/// Where a customer stands on a waiting list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitlistPlace {
    /// On the list, behind `ahead` others.
    Waiting {
        /// The entry.
        entry: WaitlistEntry,
        /// How many stand before it.
        ahead: u64,
    },
    /// Offered tickets: confirm or release this hold.
    Offered(Hold),
}

/// One pass over a waiting list in which somebody was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitlistPass {
    /// The revision of the event's inventory that the step made; grows with every pass.
    pub revision: i64,
    /// When, UTC.
    pub at: Timestamp,
    /// Who was passed over, in the order of the list; at most 51.
    pub skips: Vec<WaitlistSkip>,
}

impl WaitlistPass {
    /// Passes that are kept of an event; older ones give way.
    pub const KEPT_MAX: i64 = 200;
}

/// Why somebody was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitlistSkip {
    /// Which entry.
    pub number: i64,
    /// Whose.
    pub customer: UserId,
    /// How many tickets they want.
    pub tickets: u32,
    /// Why, as a booking would have been refused; `policy-rejected` when they accepted and a policy said no: their
    /// entry is gone then, and all others stay.
    pub reason: ErrorCode,
    /// The sentence that goes with it.
    pub detail: String,
}
