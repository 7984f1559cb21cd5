//! Quotes: what tickets would cost now.

use jiff::Timestamp;

use super::{BookLine, BookTickets, BookingLine, EventId, NewBookingDetails, UserId};
use crate::error::Result;

/// Asks what tickets would cost a customer now. Nothing is booked or reserved.
#[derive(Debug, Clone)]
pub struct QuoteTickets {
    /// The event.
    pub event: EventId,
    /// The tickets; 1 to 10 lines, each type once.
    pub lines: Vec<BookLine>,
    /// Who would get them; `None` for the acting user.
    pub customer: Option<UserId>,
    /// What the booking would carry beside its tickets, which policies may see. Answers may be missing.
    pub details: NewBookingDetails,
}

impl QuoteTickets {
    pub(crate) fn validate(&self) -> Result<()> {
        let booking = BookTickets {
            lines: self.lines.clone(),
            details: self.details.clone(),
            ..BookTickets::general(self.event, 1)
        };
        booking.validate()
    }
}

/// What tickets would cost now, as the policies decide. A booking with `total_minor` as its expected total costs this, or is refused
/// with `price-changed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The event.
    pub event: EventId,
    /// The customer.
    pub customer: UserId,
    /// The tickets, at their prices.
    pub lines: Vec<BookingLine>,
    /// Sum over the lines, in minor units of `currency`.
    pub total_minor: u64,
    /// ISO 4217 code of the prices.
    pub currency: String,
    /// Texts of the policies about the prices.
    pub messages: Vec<String>,
    /// How many tickets of the event the customer may have; `None` for no limit.
    pub customer_limit: Option<CustomerLimit>,
    /// When it was made, UTC.
    pub quoted_at: Timestamp,
}

/// How many tickets of an event one customer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CustomerLimit {
    /// The most, in all their bookings and holds.
    pub max: u32,
    /// What they have now.
    pub has: u32,
}
