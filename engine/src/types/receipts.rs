//! Receipts of bookings and credit notes of refunds: what they say.
//!
//! Amounts are whole minor units of one currency, and taxes are inclusive.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, Zoned};

use super::{
    BookingId, BookingNumber, EmailAddress, EventId, Label, NotificationId, TenantId, TicketTypeId,
    UserId,
};
use crate::error::{Error, Result};

/// What a receipt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReceiptKind {
    /// For a booking.
    Receipt,
    /// For the refund of a cancellation.
    CreditNote,
}

impl ReceiptKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Receipt, Self::CreditNote];

    /// The kind as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::CreditNote => "credit-note",
        }
    }

    /// What numbers of its series have in them.
    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::Receipt => "R",
            Self::CreditNote => "C",
        }
    }

    /// Its place among the series of a year.
    pub(crate) fn place(self) -> i64 {
        match self {
            Self::Receipt => 0,
            Self::CreditNote => 1,
        }
    }
}

/// A receipt's id: its booking, and which of the booking's it is. 0 is the booking's own receipt, n the credit note of its n-th
/// cancellation; the end of its event comes after its own cancellations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiptId {
    /// The booking.
    pub booking: BookingId,
    /// 0 for the receipt of the booking, else the number of the cancellation.
    pub index: u32,
}

impl ReceiptId {
    /// The id of a booking's receipt.
    pub fn of(booking: BookingId) -> Self {
        Self { booking, index: 0 }
    }

    /// What it is for.
    pub fn kind(self) -> ReceiptKind {
        match self.index {
            0 => ReceiptKind::Receipt,
            _ => ReceiptKind::CreditNote,
        }
    }
}

impl fmt::Display for ReceiptId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.booking, self.index)
    }
}

impl FromStr for ReceiptId {
    type Err = Error;

    /// Reads the public text of a receipt's id; any other text is `not-found`.
    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('.').and_then(|(booking, index)| {
            let id = Self {
                booking: booking.parse().ok()?,
                index: index.parse().ok()?,
            };
            // One receipt has one text: no leading zeros and no sign.
            (id.to_string() == text).then_some(id)
        });
        parts.ok_or_else(|| Error::not_found("receipt", text.chars().take(80).collect::<String>()))
    }
}

/// Who issued a receipt, as it was then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptIssuer {
    /// The name.
    pub name: Label,
    /// The lines of the postal address.
    pub address: Vec<Label>,
    /// The tax id.
    pub tax_id: Option<Label>,
    /// What the tax is called.
    pub tax_name: Label,
}

/// The customer of a receipt, as they called themselves then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRecipient {
    /// The name.
    pub name: Label,
    /// The e-mail address.
    pub email: EmailAddress,
}

/// A line of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptLine {
    /// The ticket type.
    pub ticket_type: TicketTypeId,
    /// Its name.
    pub name: Label,
    /// Tickets that were booked, or cancelled.
    pub quantity: u32,
    /// The price of one, tax included, in minor units.
    pub unit_price_minor: u32,
    /// What was paid for them, or is given back, tax included.
    pub total_minor: u64,
    /// The rate of the tax that is in it, in hundredths of a percent; `None` for no tax.
    pub tax_basis_points: Option<u32>,
}

/// The tax of one rate that is in a receipt's total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptTax {
    /// The rate, in hundredths of a percent.
    pub basis_points: u32,
    /// The part of the total with this rate, tax included, in minor units.
    pub gross_minor: u64,
    /// The tax in it.
    pub tax_minor: u64,
}

impl ReceiptTax {
    /// The part of the total without the tax.
    pub fn net_minor(&self) -> u64 {
        self.gross_minor.saturating_sub(self.tax_minor)
    }
}

/// The name of a receipt within its tenant. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptNumber {
    /// As people read it, such as `R-2026-000123`.
    pub text: String,
    /// The year of numbering in the tenant's zone.
    pub year: i16,
    /// The day of numbering there, such as `2026-12-01`.
    pub issued_on: String,
    /// When it was numbered, UTC.
    pub issued_at: Timestamp,
    /// Its series: empty, or what a restored store has in its numbers.
    pub series: String,
    /// Its place in its series, from 1 and without gaps for each tenant, year and kind.
    pub sequence: u64,
}

impl ReceiptNumber {
    /// The number of a place in a series.
    pub(crate) fn new(
        (kind, prefix): (ReceiptKind, &str),
        now: &Zoned,
        series: &str,
        sequence: u64,
    ) -> Self {
        let year = now.year();
        let year_text = year.to_string();
        let sequence_text = format!("{sequence:06}");
        let parts = [prefix, kind.letter(), &year_text, series, &sequence_text];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Self {
            text: parts.join("-"),
            year,
            issued_on: now.strftime("%Y-%m-%d").to_string(),
            issued_at: now.timestamp(),
            series: series.to_owned(),
            sequence,
        }
    }
}

/// A receipt of a booking, or a credit note of its refund. What a numbered one says never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookingReceipt {
    /// Its id.
    pub id: ReceiptId,
    /// Its number; `None` until it is numbered, usually for less than 2 s.
    pub number: Option<ReceiptNumber>,
    /// The number of the receipt that a credit note corrects.
    pub corrects: Option<String>,
    /// The number of its booking.
    pub booking_number: BookingNumber,
    /// When the booking was made, UTC.
    pub booked_at: Timestamp,
    /// When its tickets were cancelled, if it is a credit note.
    pub cancelled_at: Option<Timestamp>,
    /// The booked event's title.
    pub event_title: Label,
    /// The customer; `None` if they were erased before it was numbered, or the years are over for which names are kept.
    pub recipient: Option<ReceiptRecipient>,
    /// Who issues it.
    pub issuer: ReceiptIssuer,
    /// ISO 4217 code of all its amounts.
    pub currency: String,
    /// Its lines.
    pub lines: Vec<ReceiptLine>,
    /// The sum of its lines, tax included: what was paid, or is given back.
    pub total_minor: u64,
    /// The taxes in the total, by rate.
    pub taxes: Vec<ReceiptTax>,
    /// The last year in which it names the customer.
    pub names_until: i16,
    /// The notification of its mail; `None` if it has none.
    pub notification: Option<NotificationId>,
}

impl BookingReceipt {
    /// What it is for.
    pub fn kind(&self) -> ReceiptKind {
        self.id.kind()
    }

    /// The booked event.
    pub fn event(&self) -> EventId {
        self.id.booking.event()
    }

    /// The customer's account.
    pub fn customer(&self) -> UserId {
        self.id.booking.customer()
    }

    /// The receipt as it is shown in a year: without the customer once the years are over for which names are kept.
    pub(crate) fn as_shown_in(mut self, year: i16) -> Self {
        if year > self.names_until {
            self.recipient = None;
        }
        self
    }
}

/// Where a receipt is in its tenant's list: in the order of years, series, kinds and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReceiptPlace {
    pub(crate) year: i64,
    pub(crate) series: String,
    /// The place of its kind.
    pub(crate) kind: i64,
    pub(crate) sequence: i64,
}

impl fmt::Display for ReceiptPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, series, kind, sequence) = (self.year, &self.series, self.kind, self.sequence);
        write!(formatter, "{year}.{series}.{kind}.{sequence}")
    }
}

impl FromStr for ReceiptPlace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split('.');
        let mut next = || parts.next().unwrap_or_default();
        let bad = |_| super::PageRequest::not_a_cursor();
        let place = Self {
            year: next().parse().map_err(bad)?,
            series: next().to_owned(),
            kind: next().parse().map_err(bad)?,
            sequence: next().parse().map_err(bad)?,
        };
        match place.to_string() == text {
            true => Ok(place),
            false => Err(super::PageRequest::not_a_cursor()),
        }
    }
}

/// The receipts of a tenant, year and series, compared with their counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptVerdict {
    /// The tenant.
    pub tenant: TenantId,
    /// The year of numbering in the tenant's zone.
    pub year: i64,
    /// The series: empty, or what a restored store has in its numbers.
    pub series: String,
    /// Receipts of bookings, by its counter.
    pub receipts: u64,
    /// Credit notes, by its counter.
    pub credit_notes: u64,
    /// The first difference, as text; `None` if there is none.
    pub difference: Option<String>,
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use ulid::Ulid;

    use super::*;

    #[test]
    fn a_number_names_kind_year_series_and_place() {
        let now: Timestamp = "2026-12-31T23:30:00Z".parse().unwrap();
        let berlin = now.to_zoned(TimeZone::get("Europe/Berlin").unwrap());
        let utc = now.to_zoned(TimeZone::UTC);
        let receipt = ReceiptNumber::new((ReceiptKind::Receipt, ""), &utc, "", 123);
        assert_eq!(receipt.text, "R-2026-000123");
        let note = ReceiptNumber::new((ReceiptKind::CreditNote, "NS"), &berlin, "1R9KZ4W", 1);
        assert_eq!(note.text, "NS-C-2027-1R9KZ4W-000001");
        assert_eq!(note.issued_on, "2027-01-01");
    }

    #[test]
    fn ids_and_places_come_back_from_their_texts() {
        let ulid = |number| Ulid::from_parts(number, 7);
        let (event, customer) = (EventId::from_ulid(ulid(1)), UserId::from_ulid(ulid(2)));
        let id = ReceiptId {
            booking: BookingId::new(event, customer, ulid(3)),
            index: 12,
        };
        assert_eq!(id.to_string().parse::<ReceiptId>().unwrap(), id);
        let text = id.to_string();
        for bad in [
            text.replace(".12", ".012"),
            text.replace(".12", ""),
            "x.1".to_owned(),
        ] {
            assert!(bad.parse::<ReceiptId>().is_err(), "{bad}");
        }
        for good in ["2026..0.1", "2026.1R9KZ4W.1.44"] {
            assert_eq!(good.parse::<ReceiptPlace>().unwrap().to_string(), good);
        }
        for bad in ["", "2026", "2026..0", "2026..0.1.", "x..0.1"] {
            assert!(bad.parse::<ReceiptPlace>().is_err(), "{bad}");
        }
    }
}
