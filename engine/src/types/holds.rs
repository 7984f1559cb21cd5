//! Holds: tickets that are reserved for a customer until a time.

use std::{str::FromStr, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    BookLine, BookTickets, BookingDetails, BookingLine, ClaimUse, EventId, HoldId, IdempotencyKey,
    LastChange, NewBookingDetails, Sale, SalesChannel, SellTo, UserId,
};
use crate::error::{Error, ErrorCode, Result};

/// The state of a hold. An overdue hold can still be confirmed until its row says `expired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldStatus {
    /// Its tickets are reserved.
    Held,
    /// It became a booking.
    Confirmed,
    /// It was released.
    Released,
    /// It expired.
    Expired,
}

impl HoldStatus {
    /// The status as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Confirmed => "confirmed",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}

impl FromStr for HoldStatus {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "held" => Ok(Self::Held),
            "confirmed" => Ok(Self::Confirmed),
            "released" => Ok(Self::Released),
            "expired" => Ok(Self::Expired),
            other => Err(Error::internal(format!("unknown hold status {other}"))),
        }
    }
}

/// Tickets that are reserved for a customer, at the prices of the moment when they were held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The hold's id. It contains the ids of its event and customer.
    pub id: HoldId,
    /// The event whose tickets are held.
    pub event: EventId,
    /// The customer who has the hold.
    pub customer: UserId,
    /// Its state.
    pub status: HoldStatus,
    /// The held tickets; 1 to 10 lines.
    pub lines: Vec<BookingLine>,
    /// Its price, in minor units of `currency`.
    pub total_minor: u64,
    /// Texts of policies about its prices. The booking gets the same texts.
    pub messages: Vec<String>,
    /// ISO 4217 code of the prices.
    pub currency: String,
    /// The version of the event when it was made.
    pub event_version: u64,
    /// When it was made, UTC.
    pub created_at: Timestamp,
    /// When it is due to end, UTC.
    pub expires_at: Timestamp,
    /// Whether it was extended; possible once.
    pub extended: bool,
    /// The number of the waiting list's entry that it was offered to; `None` for other holds.
    pub waitlist_number: Option<i64>,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
    /// What is kept of a hold that the customer did not make; `None` for one that they made. The booking gets the same.
    pub sale: Option<Box<Sale>>,
    /// What it carries beside its tickets; `None` for nothing. The booking gets the same.
    pub details: Option<Box<BookingDetails>>,
    /// What it has taken of the tenant's counters. The booking has the same.
    pub claims: Vec<ClaimUse>,
    pub(crate) last_change: LastChange,
}

impl Hold {
    /// How long a hold can be read after it ended: twice the lifetime of an Idempotency-Key.
    pub const KEPT_AFTER_END: Duration = Duration::from_secs(48 * 3600);

    /// When the hold needs work: when it expires or, once it has ended, when it is deleted.
    pub(crate) fn noted_at(&self) -> Timestamp {
        match self.ended_at {
            None => self.expires_at,
            Some(ended_at) => ended_at
                .checked_add(Self::KEPT_AFTER_END)
                .unwrap_or(Timestamp::MAX),
        }
    }

    /// How it came about.
    pub fn channel(&self) -> SalesChannel {
        let sale = self.sale.as_ref();
        sale.map_or(SalesChannel::Own, |sale| sale.channel)
    }

    /// The hold as its customer sees it.
    pub(crate) fn as_customer_sees(mut self) -> Self {
        self.sale = self.sale.map(|sale| Box::new(sale.as_customer_sees()));
        self
    }

    /// Refuses a hold that has ended.
    pub(crate) fn require_open(&self) -> Result<()> {
        let how = match self.status {
            HoldStatus::Held => return Ok(()),
            HoldStatus::Confirmed => "became a booking",
            HoldStatus::Released => "was released",
            HoldStatus::Expired => "has expired",
        };
        let detail = format!("This hold {how}; its tickets are no longer reserved.");
        Err(Error::new(ErrorCode::HoldEnded, detail))
    }

    /// The number of held tickets, over all lines.
    pub fn tickets(&self) -> u32 {
        self.lines.iter().map(|line| line.quantity).sum()
    }
}

/// Holds tickets for the acting user, or for somebody that they are sold to.
#[derive(Debug, Clone)]
pub struct HoldTickets {
    /// The event.
    pub event: EventId,
    /// The tickets to hold; 1 to 10 lines, each type once.
    pub lines: Vec<BookLine>,
    /// Makes the request safe to repeat for 24 hours.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The total that the customer agreed to, in minor units. Another total is refused (`price-changed`).
    pub expected_total_minor: Option<u64>,
    /// The sale to somebody else; `None` to hold for the acting user.
    pub sell_to: Option<SellTo>,
    /// What it carries beside its tickets. Answers that are required may follow until it becomes a booking.
    pub details: NewBookingDetails,
}

impl HoldTickets {
    /// Holds `quantity` tickets of the event's only type.
    pub fn general(event: EventId, quantity: u32) -> Self {
        BookTickets::general(event, quantity).into()
    }
}

/// Turns a hold into a booking.
#[derive(Debug, Clone)]
pub struct ConfirmHold {
    /// The hold.
    pub hold: HoldId,
    /// The total that the customer agreed to, in minor units. Another total is refused (`price-changed`).
    pub expected_total_minor: Option<u64>,
    /// What the booking carries beside its tickets, in place of what the hold has. Codes only for an offer, about which policies
    /// decide now.
    pub details: NewBookingDetails,
}

impl ConfirmHold {
    /// Confirms a hold as it is.
    pub fn as_held(hold: HoldId) -> Self {
        Self {
            hold,
            expected_total_minor: None,
            details: NewBookingDetails::default(),
        }
    }
}

/// Changes what a hold carries beside its tickets.
#[derive(Debug, Clone)]
pub struct ChangeHold {
    /// The hold.
    pub hold: HoldId,
    /// The new parts. Codes only for an offer: policies decided about others with the codes that they have.
    pub details: NewBookingDetails,
}

impl From<BookTickets> for HoldTickets {
    fn from(booking: BookTickets) -> Self {
        Self {
            event: booking.event,
            lines: booking.lines,
            idempotency_key: booking.idempotency_key,
            expected_total_minor: booking.expected_total_minor,
            sell_to: booking.sell_to,
            details: booking.details,
        }
    }
}

impl From<HoldTickets> for BookTickets {
    fn from(hold: HoldTickets) -> Self {
        Self {
            event: hold.event,
            lines: hold.lines,
            idempotency_key: hold.idempotency_key,
            expected_total_minor: hold.expected_total_minor,
            sell_to: hold.sell_to,
            details: hold.details,
        }
    }
}
