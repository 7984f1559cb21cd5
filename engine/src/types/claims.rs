//! Claims: what a booking takes of a tenant's own counters, such as the uses of a code, when a policy says so.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::text::check_line;
use crate::error::{Error, Result};

/// What a counter is called: one line of 1 to 64 characters, unique within the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClaimKey(String);

impl ClaimKey {
    /// Longest key, in characters.
    pub const CHARACTERS_MAX: usize = 64;

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClaimKey {
    type Err = Error;

    /// # Errors
    /// `field-invalid` at `key`.
    fn from_str(text: &str) -> Result<Self> {
        match check_line(text, Self::CHARACTERS_MAX) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(_) => Err(Error::field(
                "key",
                "A claim's key is one line of 1 to 64 characters.",
            )),
        }
    }
}

impl fmt::Display for ClaimKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a policy's yes takes of a counter, and up to where. It is taken in the booking's transaction, or the booking is refused
/// (`claim-exhausted`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The counter.
    pub key: ClaimKey,
    /// What all bookings together may take.
    pub limit: u32,
    /// What this booking takes; 1 to 1,000.
    pub amount: u32,
}

impl Claim {
    /// Most claims of one policy's yes.
    pub const PER_POLICY_MAX: usize = 8;
    /// Most that one claim takes.
    pub const AMOUNT_MAX: u32 = 1_000;
    /// Most claims of a booking, of all policies together: two rows each.
    pub const PER_BOOKING_MAX: usize = 32;
}

/// What a booking or a hold has taken of a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimUse {
    /// The counter.
    pub key: ClaimKey,
    /// How much was taken.
    pub amount: u32,
    /// How much of it partial cancellations gave back.
    pub returned: u32,
}

impl ClaimUse {
    /// What it still has.
    pub fn left(&self) -> u32 {
        self.amount.saturating_sub(self.returned)
    }

    /// The same when all is given back.
    pub(crate) fn given_back(&self) -> Self {
        Self {
            returned: self.amount,
            ..self.clone()
        }
    }

    /// What it gives back when `cancelled` of `tickets` are cancelled in all. The running total is rounded down, so that cancelling
    /// one by one gives back what cancelling at once does.
    pub(crate) fn gives_back(&self, tickets: u32, cancelled: u32) -> u32 {
        let share = u64::from(self.amount) * u64::from(cancelled) / u64::from(tickets.max(1));
        let share = u32::try_from(share).unwrap_or(self.amount).min(self.amount);
        share.saturating_sub(self.returned)
    }
}

/// A counter of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimCounter {
    /// What it is called.
    pub key: ClaimKey,
    /// What bookings and holds have taken.
    pub used: u64,
    /// The limit that the last claim named.
    pub limit: u32,
    /// When something was last taken or given back, UTC.
    pub updated_at: Timestamp,
    /// Grows with every write; a step that was decided on an older one is not written.
    pub(crate) revision: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelling_one_by_one_gives_back_what_cancelling_at_once_does() {
        for amount in [1, 3, 7, 1_000] {
            for tickets in 1..=9 {
                let key = ClaimKey::stored("code".to_owned());
                let mut taken = ClaimUse {
                    key,
                    amount,
                    returned: 0,
                };
                assert_eq!(taken.gives_back(tickets, tickets), amount);
                for cancelled in 1..=tickets {
                    taken.returned += taken.gives_back(tickets, cancelled);
                }
                assert_eq!(taken.left(), 0, "{amount} of {tickets}");
            }
        }
    }

    #[test]
    fn keys_are_one_line() {
        assert_eq!(
            "code:SPRING".parse::<ClaimKey>().unwrap().as_str(),
            "code:SPRING"
        );
        for wrong in ["", " ", "a\nb", &"x".repeat(65)] {
            assert!(wrong.parse::<ClaimKey>().is_err(), "{wrong:?}");
        }
    }
}
