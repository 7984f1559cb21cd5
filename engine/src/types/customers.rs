//! Customers as those see them who look after bookings, and how people and their bookings are found.

use std::ops::Deref;

use jiff::Timestamp;

use super::{BookingId, BookingNumber, EmailAddress, Label, TicketTypeId, User, UserId};
use crate::error::{Error, Result};

/// Who booked, holds or waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The customer's id.
    pub id: UserId,
    /// Their display name.
    pub name: Label,
    /// Their e-mail address.
    pub email: EmailAddress,
}

impl From<User> for Customer {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            name: user.name,
            email: user.email,
        }
    }
}

/// Something of a customer's, and who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithCustomer<T> {
    /// What it is.
    pub item: T,
    /// The customer; `None` if the account was deleted.
    pub person: Option<Customer>,
}

/// Reads as what it is.
impl<T> Deref for WithCustomer<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.item
    }
}

/// Which users of a tenant are listed. All conditions must hold; without any, all users are.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Only accounts with this address: its owner and up to 32 unconfirmed ones.
    pub email: Option<EmailAddress>,
    /// Only the user with this id of a platform.
    pub external_id: Option<String>,
    /// Only users whose name contains this text, in any case of letters.
    pub name: Option<Label>,
}

impl UserFilter {
    pub(crate) fn matches(&self, user: &User) -> bool {
        let folded = |name: &Label| name.as_str().to_lowercase();
        let contains = |name: &Label| folded(&user.name).contains(&folded(name));
        let is_external = |id: &String| user.external_id.as_ref() == Some(id);
        self.email.as_ref().is_none_or(|email| user.email == *email)
            && self.external_id.as_ref().is_none_or(is_external)
            && self.name.as_ref().is_none_or(contains)
    }
}

/// Whose bookings are listed.
#[derive(Debug, Clone)]
pub enum CustomerFilter {
    /// Those of the customer with this id.
    Id(UserId),
    /// Those of the accounts with this address.
    Email(EmailAddress),
}

impl CustomerFilter {
    /// Reads a customer's id or address from the request's `field`.
    ///
    /// # Errors
    /// `field-invalid`.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        if text.contains('@') {
            return EmailAddress::parse(field, text).map(Self::Email);
        }
        let id = text.parse().map(Self::Id);
        id.map_err(|_| Error::field(field, "Name a customer by id or e-mail address."))
    }
}

/// A booking as the door of its event sees it. It has no ticket codes: whoever has one comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorListEntry {
    /// The booking's id.
    pub booking: BookingId,
    /// Its number for people.
    pub number: BookingNumber,
    /// Who booked; `None` if the account was deleted.
    pub customer: Option<Customer>,
    /// Its valid tickets by type; at least one.
    pub lines: Vec<DoorListLine>,
    /// Who has these tickets, as far as they were named, by the tickets' numbers; at most 100.
    pub attendees: Vec<DoorListAttendee>,
    /// When it was booked, UTC.
    pub booked_at: Timestamp,
}

/// Tickets of one type in a door list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorListLine {
    /// The ticket type.
    pub ticket_type: TicketTypeId,
    /// Its name; `None` if the type was deleted.
    pub name: Option<Label>,
    /// The number of tickets that admit somebody.
    pub tickets: u32,
    /// How many of them are checked in.
    pub checked_in: u32,
}

/// Somebody who has a valid ticket, in a door list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorListAttendee {
    /// The ticket's number in its booking.
    pub number: u32,
    /// Its ticket type.
    pub ticket_type: TicketTypeId,
    /// Their name.
    pub name: Label,
    /// Whether the ticket is checked in.
    pub is_checked_in: bool,
}

impl DoorListEntry {
    /// Most entries of a page for an export: some 300 bytes each. Each page reads the event's bookings once.
    pub const EXPORT_LIMIT_MAX: u32 = 10_000;
}
