//! Holds: tickets that are kept for a customer for a while.

use std::{str::FromStr, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

use super::{BookLine, BookTickets, BookingLine, EventId, HoldId, IdempotencyKey, UserId};
use crate::error::{Error, Result};

/// What became of a hold. Time alone ends none: an overdue hold can be confirmed until it was written as expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldStatus {
    /// Its tickets are kept.
    Held,
    /// It became a booking.
    Confirmed,
    /// It was given back.
    Released,
    /// Its time was over.
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

/// Tickets that are kept for a customer, at prices that were settled when they were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Which hold; names its event and customer too.
    pub id: HoldId,
    /// The event whose tickets are held.
    pub event: EventId,
    /// The customer they are held for.
    pub customer: UserId,
    /// What became of it.
    pub status: HoldStatus,
    /// What is held; 1 to 10 lines.
    pub lines: Vec<BookingLine>,
    /// What it will cost, in minor units of `currency`.
    pub total_minor: u64,
    /// What policies tell the customer about its prices; the booking that it becomes says the same.
    pub messages: Vec<String>,
    /// ISO 4217 code of the prices.
    pub currency: String,
    /// The version of the event that it was decided on.
    pub event_version: u64,
    /// When it was made, UTC.
    pub created_at: Timestamp,
    /// When it is due to end, UTC.
    pub expires_at: Timestamp,
    /// Whether it was given more time; that happens once.
    pub extended: bool,
    /// The number of the waiting list's entry that it was offered to; none for others.
    pub waitlist_number: Option<i64>,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
}

impl Hold {
    /// How long a hold can be seen after it ended: twice as long as an Idempotency-Key answers it.
    pub const KEPT_AFTER_END: Duration = Duration::from_secs(48 * 3600);

    /// When the hold is to be looked at: when it is due or, once it has ended, when it may be forgotten.
    pub(crate) fn noted_at(&self) -> Timestamp {
        match self.ended_at {
            None => self.expires_at,
            Some(ended_at) => ended_at
                .checked_add(Self::KEPT_AFTER_END)
                .unwrap_or(Timestamp::MAX),
        }
    }

    /// How many tickets are held, over all lines.
    pub fn tickets(&self) -> u32 {
        self.lines.iter().map(|line| line.quantity).sum()
    }
}

/// Keeps tickets for the acting user for a while.
#[derive(Debug, Clone)]
pub struct HoldTickets {
    /// Of which event.
    pub event: EventId,
    /// What to hold; 1 to 10 lines, each type once.
    pub lines: Vec<BookLine>,
    /// Makes the request safe to send again for 24 hours.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Refuses the hold (`price-changed`) if its total would differ; in minor units.
    pub expected_total_minor: Option<u64>,
}

impl HoldTickets {
    /// Holds `quantity` tickets of the event's only type.
    pub fn general(event: EventId, quantity: u32) -> Self {
        BookTickets::general(event, quantity).into()
    }
}

impl From<BookTickets> for HoldTickets {
    fn from(booking: BookTickets) -> Self {
        Self {
            event: booking.event,
            lines: booking.lines,
            idempotency_key: booking.idempotency_key,
            expected_total_minor: booking.expected_total_minor,
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
        }
    }
}
