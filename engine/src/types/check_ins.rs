//! Tickets, each the admission of one person, and who came in with which.

use std::{fmt, ops::Range, str::FromStr};

use jiff::Timestamp;

use super::{Booking, BookingId, BookingLine, BookingStatus, EventId, Label, TicketTypeId, UserId};
use crate::{Error, Result};

/// Which ticket: a booking and the ticket's number in it, from 1. Numbers follow the lines as they were booked, and
/// stay what they are when some tickets are cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketId {
    /// The booking that it belongs to.
    pub booking: BookingId,
    /// Its number there, from 1.
    pub number: u32,
}

impl fmt::Display for TicketId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.booking, self.number)
    }
}

impl FromStr for TicketId {
    type Err = Error;

    /// Reads the public text of a ticket's id; any other text is `not-found`.
    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('.').and_then(|(booking, number)| {
            let exists = |number: &u32| *number > 0;
            let id = Self {
                booking: booking.parse().ok()?,
                number: number.parse().ok().filter(exists)?,
            };
            // One ticket has one text: no leading zeros, no sign.
            (id.to_string() == text).then_some(id)
        });
        parts.ok_or_else(|| Error::not_found("ticket", text.chars().take(80).collect::<String>()))
    }
}

/// Whether a ticket admits somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TicketStatus {
    /// It does, once.
    Valid,
    /// Somebody came in with it.
    CheckedIn,
    /// It was given back, or called off with its booking or event.
    Cancelled,
}

impl TicketStatus {
    /// The status as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::CheckedIn => "checked-in",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Which one.
    pub id: TicketId,
    /// Of which type.
    pub ticket_type: TicketTypeId,
    /// Whether it admits somebody.
    pub status: TicketStatus,
    /// What is shown at the door; none for those who may not have it, and where no
    /// [`TicketCodes`](crate::ports::TicketCodes) were supplied.
    pub code: Option<String>,
}

/// Somebody came in with a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckIn {
    /// With which.
    pub ticket: TicketId,
    /// Of which type.
    pub ticket_type: TicketTypeId,
    /// When, UTC.
    pub at: Timestamp,
    /// Who let them in; none if the tenant's program did.
    pub by: Option<UserId>,
}

/// A check-in with the names of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedCheckIn {
    /// Who came in with which ticket.
    pub check_in: CheckIn,
    /// What the customer who booked is called; none if their account is gone.
    pub customer_name: Option<Label>,
    /// What the one who let them in is called.
    pub by_name: Option<Label>,
}

impl CheckIn {
    /// The event that they came to.
    pub fn event(&self) -> EventId {
        self.ticket.booking.event()
    }

    /// Who booked.
    pub fn customer(&self) -> UserId {
        self.ticket.booking.customer()
    }
}

impl Booking {
    /// How many tickets were booked, cancelled ones included: numbers go from 1 to this.
    pub(crate) fn numbers(&self) -> u32 {
        self.lines_as_booked()
            .iter()
            .map(|line| line.quantity)
            .sum()
    }

    /// The lines as they were booked.
    fn lines_as_booked(&self) -> &[BookingLine] {
        self.booked_lines.as_deref().unwrap_or(&self.lines)
    }

    /// Type and status of the ticket of this number, if there is one.
    ///
    /// When some tickets of a type were cancelled, they are the last ones of that type that nobody came in with: so never
    /// more come in than are left, whatever was cancelled before or after.
    pub(crate) fn ticket(&self, number: u32) -> Option<Ticket> {
        let (line, numbers) = self.line_of(number)?;
        let is_in = |number: &u32| self.checked_in.binary_search(number).is_ok();
        let status = if self.status == BookingStatus::Cancelled {
            TicketStatus::Cancelled
        } else if is_in(&number) {
            TicketStatus::CheckedIn
        } else {
            let left = self
                .lines
                .iter()
                .find(|left| left.ticket_type == line.ticket_type);
            let left = left.map_or(0, |left| left.quantity);
            let came = numbers.clone().filter(is_in).count() as u32;
            let before = numbers.take_while(|other| *other < number);
            let before = before.filter(|other| !is_in(other)).count() as u32;
            if before < left.saturating_sub(came) {
                TicketStatus::Valid
            } else {
                TicketStatus::Cancelled
            }
        };
        Some(Ticket {
            id: TicketId {
                booking: self.id,
                number,
            },
            ticket_type: line.ticket_type.clone(),
            status,
            code: None,
        })
    }

    /// The line that a ticket was booked in, with the numbers of its tickets.
    fn line_of(&self, number: u32) -> Option<(&BookingLine, Range<u32>)> {
        let mut first = 1;
        for line in self.lines_as_booked() {
            let numbers = first..first + line.quantity;
            if numbers.contains(&number) {
                return Some((line, numbers));
            }
            first = numbers.end;
        }
        None
    }

    /// How many of a type's tickets somebody came in with.
    pub(crate) fn came_in(&self, ticket_type: &TicketTypeId) -> u32 {
        let of_type = |number: &&u32| {
            let line = self.line_of(**number);
            line.is_some_and(|(line, _)| line.ticket_type == *ticket_type)
        };
        self.checked_in.iter().filter(of_type).count() as u32
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    fn booking(lines: &[(&str, u32)], checked_in: &[u32]) -> Booking {
        let (event, customer) = (
            EventId::from_ulid(Ulid::from_parts(1, 1)),
            UserId::from_ulid(Ulid::from_parts(1, 2)),
        );
        let line = |(name, quantity): &(&str, u32)| BookingLine {
            ticket_type: TicketTypeId::new(*name),
            quantity: *quantity,
            unit_price_minor: 0,
        };
        Booking {
            id: BookingId::new(event, customer, Ulid::from_parts(1, 3)),
            event,
            customer,
            status: BookingStatus::Confirmed,
            cancelled: None,
            lines: lines.iter().map(line).collect(),
            total_minor: 0,
            currency: "EUR".to_owned(),
            event_version: 1,
            created_at: Timestamp::UNIX_EPOCH,
            booked_lines: None,
            cancellations: Vec::new(),
            checked_in: checked_in.to_vec(),
        }
    }

    fn shown(booking: &Booking) -> Vec<(String, &'static str)> {
        (0..=booking.numbers() + 1)
            .filter_map(|number| booking.ticket(number))
            .map(|ticket| (ticket.ticket_type.to_string(), ticket.status.as_str()))
            .collect()
    }

    #[test]
    fn numbers_follow_the_lines() {
        let booking = booking(&[("a", 1), ("b", 2)], &[2]);
        let expected = [("a", "valid"), ("b", "checked-in"), ("b", "valid")];
        let expected = expected.map(|(kind, status)| (kind.to_owned(), status));
        assert_eq!(shown(&booking), expected);
    }

    #[test]
    fn of_a_line_that_shrank_the_last_ones_are_void_that_nobody_came_in_with() {
        let statuses = |checked_in: &[u32], left: &[(&str, u32)]| {
            let mut booking = booking(&[("a", 3), ("b", 2)], checked_in);
            booking.booked_lines = Some(booking.lines.clone());
            booking.lines = self::booking(left, &[]).lines;
            let shown = shown(&booking);
            shown.iter().map(|(_, status)| *status).collect::<Vec<_>>()
        };
        let (valid, came, void) = ("valid", "checked-in", "cancelled");
        let all = [("a", 1), ("b", 2)];
        assert_eq!(statuses(&[], &all), [valid, void, void, valid, valid]);
        assert_eq!(statuses(&[3], &all), [void, void, came, valid, valid]);
        let two = [("a", 2)];
        assert_eq!(statuses(&[3], &two), [valid, void, came, void, void]);
        assert_eq!(statuses(&[1, 3], &two), [came, void, came, void, void]);
        assert_eq!(
            booking(&[("a", 1), ("b", 2)], &[2, 3]).came_in(&TicketTypeId::new("b")),
            2
        );
    }

    #[test]
    fn tickets_of_a_cancelled_booking_admit_nobody() {
        let mut booking = booking(&[("a", 2)], &[1]);
        booking.status = BookingStatus::Cancelled;
        assert!(
            shown(&booking)
                .iter()
                .all(|(_, status)| *status == "cancelled")
        );
    }

    #[test]
    fn a_ticket_has_one_text() {
        let id = TicketId {
            booking: booking(&[], &[]).id,
            number: 12,
        };
        let text = id.to_string();
        assert_eq!(text.parse::<TicketId>().unwrap(), id);
        let other = |end: &str| format!("{}{end}", text.trim_end_matches("12"));
        for bad in ["", "0", "+12", "012", "12.", "-1", "4294967296", "12+"] {
            assert!(other(bad).parse::<TicketId>().is_err(), "{bad}");
        }
        assert!("nonsense".parse::<TicketId>().is_err());
    }
}
