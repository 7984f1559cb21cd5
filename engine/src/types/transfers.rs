//! Transfers: a ticket is given to somebody else, and its code changes.

use std::{fmt, str::FromStr};

use jiff::Timestamp;

use super::{
    Answers, Booking, BookingLine, BookingNumber, EmailAddress, EventId, Label, Ticket,
    TicketHolder, TicketId, TicketStatus, TicketTransfer, UserId,
};
use crate::error::{Error, Result};

/// What a ticket's code names: the ticket, and how often it was given to somebody else. A transfer makes another code, so that the
/// codes before it admit nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IssuedTicket {
    /// The ticket.
    pub ticket: TicketId,
    /// The number of its transfers; 0 for a ticket that the booking's customer has.
    pub issue: u32,
}

impl fmt::Display for IssuedTicket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.issue {
            0 => write!(formatter, "{}", self.ticket),
            issue => write!(formatter, "{}.{issue}", self.ticket),
        }
    }
}

impl FromStr for IssuedTicket {
    type Err = Error;

    /// Reads the text of an issued ticket; any other text is `not-found`.
    fn from_str(text: &str) -> Result<Self> {
        let none = || Error::not_found("ticket", text.chars().take(80).collect::<String>());
        let (ticket, issue) = match text.match_indices('.').nth(1) {
            None => (text, 0),
            Some((at, _)) => {
                let issue = text[at + 1..].parse().map_err(|_| none())?;
                (&text[..at], issue)
            }
        };
        let ticket = ticket.parse().map_err(|_| none())?;
        let read = Self { ticket, issue };
        // One issue has one text: no leading zeros and no sign.
        (read.to_string() == text).then_some(read).ok_or_else(none)
    }
}

/// Gives a ticket to somebody else.
#[derive(Debug, Clone)]
pub struct TransferTicket {
    /// The ticket.
    pub ticket: TicketId,
    /// The name of who gets it.
    pub name: Label,
    /// Their address, to which the new code goes.
    pub email: EmailAddress,
    /// Their answers to the questions that are asked per ticket.
    pub answers: Answers,
}

/// A ticket that somebody got by a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedTicket {
    /// The ticket, with its code.
    pub ticket: Ticket,
    /// The number of its booking.
    pub booking_number: BookingNumber,
    /// The event.
    pub event: EventId,
    /// The event's title.
    pub event_title: Label,
    /// When the event begins, UTC.
    pub starts_at: Timestamp,
    /// The name of the ticket's type; `None` if the type was deleted.
    pub ticket_type_name: Option<Label>,
    /// Who has it, as whoever gave it named them.
    pub holder: Option<TicketHolder>,
}

/// Why a ticket no longer admits somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VoidCause {
    Transferred,
    Cancelled,
}

impl VoidCause {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Transferred => "transferred",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Booking {
    /// The last transfer of the ticket of a number, if there was one.
    pub fn transfer_of(&self, number: u32) -> Option<&TicketTransfer> {
        self.transfers.iter().find(|one| one.number == number)
    }

    /// The account that has the ticket of a number: the customer, or who got it by a transfer.
    pub fn owner_of(&self, number: u32) -> UserId {
        self.transfer_of(number)
            .map_or(self.customer, |transfer| transfer.to)
    }

    /// The tickets that the customer gave to somebody else, and whether somebody after them gave it on.
    pub(crate) fn given_away(&self) -> impl Iterator<Item = (u32, bool)> {
        let given = self.transfers.iter().filter(|one| one.to != self.customer);
        given.map(|one| (one.number, one.former.last() != Some(&self.customer)))
    }

    /// The attendees as the customer may see them: of a ticket that others gave on they did not name the attendee.
    pub(crate) fn without_attendees_of_others(&mut self) {
        let of_others = self.given_away().filter(|(_, is_of_others)| *is_of_others);
        let of_others: Vec<u32> = of_others.map(|(number, _)| number).collect();
        if let Some(details) = self.details.as_mut().filter(|_| !of_others.is_empty()) {
            details
                .ticket_holders
                .retain(|number, _| !of_others.contains(number));
        }
    }

    /// What the present code of the ticket of a number names.
    pub(crate) fn issued(&self, number: u32) -> IssuedTicket {
        IssuedTicket {
            ticket: TicketId {
                booking: self.id,
                number,
            },
            issue: self.transfer_of(number).map_or(0, |one| one.issue),
        }
    }

    /// The valid or checked-in tickets that an account has of this booking.
    pub(crate) fn tickets_of(&self, owner: UserId) -> impl Iterator<Item = Ticket> {
        let tickets = (1..=self.numbers()).filter_map(|number| self.ticket(number));
        tickets.filter(move |ticket| {
            ticket.status != TicketStatus::Cancelled && self.owner_of(ticket.id.number) == owner
        })
    }

    /// The tickets that an account had, or has, and that no longer admit it.
    pub(crate) fn void_for(&self, account: UserId) -> Vec<(Ticket, VoidCause)> {
        let transfers = self.transfers.iter();
        let void = transfers.filter_map(|transfer| {
            let ticket = self.ticket(transfer.number)?;
            let is_cancelled = ticket.status == TicketStatus::Cancelled;
            if transfer.to == account && is_cancelled {
                Some((ticket, VoidCause::Cancelled))
            } else if transfer.to != account && transfer.former.contains(&account) {
                Some((ticket, VoidCause::Transferred))
            } else {
                None
            }
        });
        void.collect()
    }

    /// The booking as somebody sees it who got tickets of it by transfers: these tickets, without their price and without what the
    /// customer gave.
    pub(crate) fn as_owner_sees(&self, owner: UserId) -> Self {
        let theirs = |number: &u32| self.owner_of(*number) == owner;
        let mut lines: Vec<BookingLine> = Vec::new();
        // As a booking's own lines, these stay when the event is cancelled.
        for ticket in self.numbers_left().into_iter().filter(theirs) {
            let Some(ticket) = self.ticket(ticket) else {
                continue;
            };
            let mut known = lines.iter_mut();
            match known.find(|line| line.ticket_type == ticket.ticket_type) {
                Some(line) => line.quantity += 1,
                None => lines.push(BookingLine {
                    ticket_type: ticket.ticket_type,
                    quantity: 1,
                    unit_price_minor: 0,
                }),
            }
        }
        let known = self.transfers.iter().filter(|one| one.to == owner);
        let known = known.map(|one| one.event_version).min();
        Self {
            lines,
            // Numbers of tickets follow these.
            booked_lines: Some(self.lines_as_booked().to_vec()),
            total_minor: 0,
            messages: Vec::new(),
            sale: None,
            payment: None,
            claims: Vec::new(),
            receipt_taxes: None,
            event_version: known.unwrap_or(self.event_version),
            // Whoever gave the ticket typed the name.
            details: None,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::types::{BookingId, EventId};

    fn ticket() -> TicketId {
        let (event, customer) = (Ulid::from_parts(1, 1), Ulid::from_parts(1, 2));
        TicketId {
            booking: BookingId::new(
                EventId::from_ulid(event),
                UserId::from_ulid(customer),
                Ulid::from_parts(1, 3),
            ),
            number: 12,
        }
    }

    #[test]
    fn an_issued_ticket_has_one_text() {
        let ticket = ticket();
        for issue in [0, 1, 20] {
            let issued = IssuedTicket { ticket, issue };
            assert_eq!(issued.to_string().parse::<IssuedTicket>().unwrap(), issued);
        }
        let text = ticket.to_string();
        assert_eq!(IssuedTicket { ticket, issue: 0 }.to_string(), text);
        for bad in [".0", ".01", ".+1", ".-1", ".", ".1.", ".1.1", ".4294967296"] {
            let bad = format!("{text}{bad}");
            assert!(bad.parse::<IssuedTicket>().is_err(), "{bad}");
        }
    }
}
