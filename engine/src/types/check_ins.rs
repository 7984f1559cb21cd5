//! Tickets, each for one person, and their check-ins.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    ops::Range,
    str::FromStr,
};

use jiff::Timestamp;

use super::{
    Booking, BookingId, BookingLine, BookingNumber, BookingStatus, CancelTickets, Customer,
    EventId, Label, TicketHolder, TicketTypeId, UserId,
};
use crate::error::{Error, Result};

/// A ticket's id: its booking, and its number in it, from 1. Numbers follow the lines as they were booked and do not
/// change when tickets are cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketId {
    /// The ticket's booking.
    pub booking: BookingId,
    /// The ticket's number in the booking, from 1.
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
            // One ticket has one text: no leading zeros and no sign.
            (id.to_string() == text).then_some(id)
        });
        parts.ok_or_else(|| Error::not_found("ticket", text.chars().take(80).collect::<String>()))
    }
}

/// The state of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TicketStatus {
    /// It admits one person, once.
    Valid,
    /// It is checked in.
    CheckedIn,
    /// It was cancelled, alone or with its booking or event.
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

/// A ticket: the admission of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Its id.
    pub id: TicketId,
    /// Its ticket type.
    pub ticket_type: TicketTypeId,
    /// Its state.
    pub status: TicketStatus,
    /// The code that is shown at the door. `None` for callers who may not see it, and if no
    /// [`TicketCodes`](crate::ports::TicketCodes) were supplied.
    pub code: Option<String>,
    /// The link to the tickets that its owner has of the booking ([`Links::tickets`](crate::ports::Links::tickets)), for
    /// those who may see the code. `None` without links.
    pub tickets_url: Option<String>,
    /// When it was last given to somebody else, UTC.
    pub transferred_at: Option<Timestamp>,
}

/// A ticket of an event, and who booked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendee {
    /// The ticket, without its code.
    pub ticket: Ticket,
    /// The number of its booking.
    pub booking_number: BookingNumber,
    /// The name of its type; `None` if the type was deleted.
    pub ticket_type_name: Option<Label>,
    /// The customer who booked; `None` if the account was deleted.
    pub customer: Option<Customer>,
    /// When it was booked, UTC.
    pub booked_at: Timestamp,
    /// Who has the ticket, if the customer named them.
    pub holder: Option<TicketHolder>,
}

/// A check-in: somebody was admitted with a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckIn {
    /// The ticket.
    pub ticket: TicketId,
    /// The number of its booking.
    pub booking_number: BookingNumber,
    /// Its ticket type.
    pub ticket_type: TicketTypeId,
    /// The time, UTC.
    pub at: Timestamp,
    /// The user who checked the ticket; `None` for a program of the tenant.
    pub by: Option<UserId>,
}

/// A check-in with the people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedCheckIn {
    /// The check-in.
    pub check_in: CheckIn,
    /// The customer who booked; `None` if the account was deleted.
    pub customer: Option<Customer>,
    /// Who has the ticket, if they were named.
    pub holder: Option<TicketHolder>,
    /// The name of the user who checked the ticket.
    pub by_name: Option<Label>,
}

impl CheckIn {
    /// The event.
    pub fn event(&self) -> EventId {
        self.ticket.booking.event()
    }

    /// The customer who booked.
    pub fn customer(&self) -> UserId {
        self.ticket.booking.customer()
    }
}

impl Booking {
    /// The number of booked tickets, cancelled ones included. Ticket numbers go from 1 to this.
    pub(crate) fn numbers(&self) -> u32 {
        self.lines_as_booked()
            .iter()
            .map(|line| line.quantity)
            .sum()
    }

    /// The lines as they were booked.
    pub(crate) fn lines_as_booked(&self) -> &[BookingLine] {
        self.booked_lines.as_deref().unwrap_or(&self.lines)
    }

    /// Type and status of the ticket of this number, if there is one.
    pub(crate) fn ticket(&self, number: u32) -> Option<Ticket> {
        let (line, _) = self.line_of(number)?;
        let status = if self.status == BookingStatus::Cancelled || self.was_cancelled(number) {
            TicketStatus::Cancelled
        } else if self.is_in(number) {
            TicketStatus::CheckedIn
        } else {
            TicketStatus::Valid
        };
        Some(Ticket {
            id: TicketId {
                booking: self.id,
                number,
            },
            ticket_type: line.ticket_type.clone(),
            status,
            code: None,
            tickets_url: None,
            transferred_at: self.transfer_of(number).map(|one| one.at),
        })
    }

    /// Whether the ticket of this number was cancelled by customer or organizer.
    fn was_cancelled(&self, number: u32) -> bool {
        let mut cancelled = self.cancellations.iter();
        cancelled.any(|one| one.numbers.binary_search(&number).is_ok())
    }

    /// Whether the ticket of this number is checked in.
    pub(crate) fn is_in(&self, number: u32) -> bool {
        self.checked_in.binary_search(&number).is_ok()
    }

    /// The numbers of the tickets that neither customer nor organizer cancelled, in order.
    pub(crate) fn numbers_left(&self) -> Vec<u32> {
        let gone = self.cancellations.iter().flat_map(|one| &one.numbers);
        let gone: HashSet<u32> = gone.copied().collect();
        let all = 1..=self.numbers();
        all.filter(|number| !gone.contains(number)).collect()
    }

    /// Chooses the tickets that are cancelled: of each type the last ones that are neither checked in nor given to somebody else, and
    /// only then the last of the others. Returns their numbers, in order.
    pub(crate) fn last_numbers(&self, lines: &[BookingLine]) -> Vec<u32> {
        let mut chosen = Vec::new();
        let left = self.numbers_left();
        for wanted in lines {
            let of_type = |number: &&u32| {
                let line = self.line_of(**number);
                line.is_some_and(|(line, _)| line.ticket_type == wanted.ticket_type)
            };
            let mut numbers: Vec<u32> = left.iter().rev().filter(of_type).copied().collect();
            // Stable: within both kinds the last ones stay first.
            numbers.sort_by_key(|number| {
                self.is_in(*number) || self.owner_of(*number) != self.customer
            });
            chosen.extend(numbers.into_iter().take(wanted.quantity as usize));
        }
        chosen.sort_unstable();
        chosen
    }

    /// Checks the tickets that a request names. Returns their numbers, in order, and their lines.
    ///
    /// # Errors
    /// `field-invalid` for none or too many, for a number that the booking does not have or that is repeated, and for a
    /// ticket that is cancelled already.
    pub(crate) fn named_tickets(&self, numbers: &[u32]) -> Result<(Vec<u32>, Vec<BookingLine>)> {
        if numbers.is_empty() || numbers.len() > CancelTickets::NAMED_MAX {
            let rule = "Name 1 to 1,000 tickets by their numbers.";
            return Err(Error::field("ticketNumbers", rule));
        }
        let mut lines: Vec<BookingLine> = Vec::new();
        let mut named = BTreeSet::new();
        for (index, number) in numbers.iter().enumerate() {
            let refused =
                |rule: &'static str| Err(Error::field(format!("ticketNumbers[{index}]"), rule));
            let Some((line, _)) = self.line_of(*number) else {
                return refused("This booking has no ticket of this number.");
            };
            if self.was_cancelled(*number) {
                return refused("This ticket is cancelled already.");
            }
            if !named.insert(*number) {
                return refused("Name each ticket once.");
            }
            let mut known = lines.iter_mut();
            match known.find(|known| known.ticket_type == line.ticket_type) {
                Some(known) => known.quantity += 1,
                None => lines.push(BookingLine {
                    quantity: 1,
                    ..line.clone()
                }),
            }
        }
        Ok((named.into_iter().collect(), lines))
    }

    /// The booked line of a ticket, with the numbers of its tickets.
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
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::types::{CancelCause, Cancellation, NotificationId};

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
        let id = BookingId::new(event, customer, Ulid::from_parts(1, 3));
        let lines = lines.iter().map(line).collect();
        let (number, sold_as) = (BookingNumber::stored(7), ("EUR".to_owned(), 1));
        Booking {
            checked_in: checked_in.to_vec(),
            ..Booking::new((id, number), lines, sold_as, Timestamp::UNIX_EPOCH)
        }
    }

    fn cancellation(numbers: &[u32]) -> Cancellation {
        Cancellation {
            notification: NotificationId::from_ulid(Ulid::from_parts(1, 4)),
            cause: CancelCause::Organizer,
            at: Timestamp::UNIX_EPOCH,
            lines: Vec::new(),
            numbers: numbers.to_vec(),
            refund_percent: 100,
            refund_minor: 0,
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
    fn the_last_ones_of_a_type_go_first_that_nobody_came_in_with() {
        let of = |checked_in: &[u32], wanted: &[(&str, u32)]| {
            let booked = booking(&[("a", 3), ("b", 2)], checked_in);
            booked.last_numbers(&booking(wanted, &[]).lines)
        };
        assert_eq!(of(&[], &[("a", 1)]), [3]);
        assert_eq!(of(&[], &[("b", 1), ("a", 2)]), [2, 3, 5]);
        assert_eq!(of(&[3], &[("a", 1)]), [2]);
        assert_eq!(of(&[1, 3], &[("a", 2)]), [2, 3]);
        assert_eq!(of(&[1, 2, 3], &[("a", 3)]), [1, 2, 3]);
    }

    #[test]
    fn a_cancelled_ticket_stays_the_one_that_was_cancelled() {
        let mut booking = booking(&[("a", 3), ("b", 2)], &[3]);
        booking.booked_lines = Some(booking.lines.clone());
        booking.lines[0].quantity = 2;
        booking.cancellations = vec![cancellation(&[2])];
        let statuses = |booking: &Booking| {
            let shown = shown(booking).into_iter();
            shown.map(|(_, status)| status).collect::<Vec<_>>()
        };
        let (valid, came, void) = ("valid", "checked-in", "cancelled");
        assert_eq!(statuses(&booking), [valid, void, came, valid, valid]);
        // Undoing a check-in changes no other ticket.
        booking.checked_in.clear();
        assert_eq!(statuses(&booking), [valid, void, valid, valid, valid]);
        assert_eq!(booking.numbers_left(), [1, 3, 4, 5]);
        assert_eq!(booking.last_numbers(&[booking.lines[0].clone()]), [1, 3]);
    }

    #[test]
    fn named_tickets_are_there_once_and_stand() {
        let mut booking = booking(&[("a", 3), ("b", 2)], &[]);
        let (numbers, lines) = booking.named_tickets(&[4, 1, 3]).unwrap();
        assert_eq!(numbers, [1, 3, 4]);
        let lines: Vec<_> = lines.iter().map(|line| line.quantity).collect();
        assert_eq!(lines, [1, 2]);
        booking.cancellations = vec![cancellation(&[2])];
        for (bad, field) in [
            (&[][..], "ticketNumbers"),
            (&[0], "ticketNumbers[0]"),
            (&[1, 6], "ticketNumbers[1]"),
            (&[1, 1], "ticketNumbers[1]"),
            (&[2], "ticketNumbers[0]"),
        ] {
            let error = booking.named_tickets(bad).unwrap_err();
            assert_eq!(error.field_name(), Some(field), "{bad:?}");
        }
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
