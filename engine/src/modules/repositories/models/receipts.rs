//! The rows of receipts: what is due, what is numbered, how far each year's numbers are, and the tenant's settings.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use surrealdb::types::{RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::{
    bookings::booking_id,
    keys::{at_millisecond, key_number, key_text, key_ulid, millisecond, record, ulid_key},
};
use crate::{
    error::{Error, Result},
    types::{
        BookingNumber, BookingReceipt, EmailAddress, Label, ReceiptId, ReceiptIssuer, ReceiptLine,
        ReceiptNumber, ReceiptPlace, ReceiptRecipient, ReceiptSettings, ReceiptTax, TenantId,
        TicketTypeId,
    },
};

/// A tenant's settings of receipts, unless they are the default ones.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ReceiptSettingsRow {
    is_on: bool,
    free_bookings: bool,
    issuer_name: Option<String>,
    issuer_address: Vec<String>,
    tax_id: Option<String>,
    tax_name: String,
    time_zone: String,
    number_prefix: String,
    keep_names_years: u32,
    send_by_mail: bool,
}

impl ReceiptSettingsRow {
    pub(in crate::modules::repositories) fn of(settings: &ReceiptSettings) -> Option<Self> {
        let text = |label: &Label| label.as_str().to_owned();
        (*settings != ReceiptSettings::default()).then(|| Self {
            is_on: settings.is_on,
            free_bookings: settings.free_bookings,
            issuer_name: settings.issuer_name.as_ref().map(text),
            issuer_address: settings.issuer_address.iter().map(text).collect(),
            tax_id: settings.tax_id.as_ref().map(text),
            tax_name: text(&settings.tax_name),
            time_zone: settings.time_zone.clone(),
            number_prefix: settings.number_prefix.clone(),
            keep_names_years: settings.keep_names_years,
            send_by_mail: settings.send_by_mail,
        })
    }

    pub(in crate::modules::repositories) fn into_type(row: Option<Self>) -> ReceiptSettings {
        row.map_or_else(ReceiptSettings::default, |row| ReceiptSettings {
            is_on: row.is_on,
            free_bookings: row.free_bookings,
            issuer_name: row.issuer_name.map(Label::stored),
            issuer_address: row.issuer_address.into_iter().map(Label::stored).collect(),
            tax_id: row.tax_id.map(Label::stored),
            tax_name: Label::stored(row.tax_name),
            time_zone: row.time_zone,
            number_prefix: row.number_prefix,
            keep_names_years: row.keep_names_years,
            send_by_mail: row.send_by_mail,
        })
    }
}

/// Receipts that a step makes due, until they are numbered.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ReceiptDueRow {
    pub(in crate::modules::repositories) id: RecordId,
    receipts: Vec<String>,
}

impl ReceiptDueRow {
    pub(in crate::modules::repositories) fn key(
        due_at: Timestamp,
        tenant: &TenantId,
        (kind, step): (i64, Ulid),
    ) -> RecordId {
        let tenant = Value::String(tenant.as_str().to_owned());
        let due_at = Value::from_t(millisecond(due_at));
        record(
            "receipt_due",
            [due_at, tenant, Value::from_t(kind), ulid_key(step)],
        )
    }

    pub(in crate::modules::repositories) fn of(id: RecordId, receipts: &[ReceiptId]) -> Self {
        Self {
            id,
            receipts: receipts.iter().map(ToString::to_string).collect(),
        }
    }

    /// Time, tenant, kind and step of a key.
    pub(in crate::modules::repositories) fn path(
        id: &RecordId,
    ) -> Result<(Timestamp, TenantId, (i64, Ulid))> {
        let due_at = at_millisecond(key_number(id, 0)?)?;
        let tenant = TenantId::trusted(key_text(id, 1)?);
        Ok((due_at, tenant, (key_number(id, 2)?, key_ulid(id, 3)?)))
    }

    pub(in crate::modules::repositories) fn receipts(&self) -> Result<Vec<ReceiptId>> {
        self.receipts.iter().map(|id| id.parse()).collect()
    }
}

/// How far the numbers of a tenant's year and series are.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ReceiptCounterRow {
    pub(in crate::modules::repositories) id: RecordId,
    pub(in crate::modules::repositories) revision: i64,
    pub(in crate::modules::repositories) receipts: u64,
    pub(in crate::modules::repositories) credit_notes: u64,
    /// The last year in which one of its receipts names its customer; `None` once none does.
    pub(in crate::modules::repositories) names_until: Option<i64>,
}

impl ReceiptCounterRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        year: i64,
        series: &str,
    ) -> RecordId {
        let tenant = Value::String(tenant.as_str().to_owned());
        let series = Value::String(series.to_owned());
        record("receipt_counter", [tenant, Value::from_t(year), series])
    }

    /// Tenant, year and series of a key.
    pub(in crate::modules::repositories) fn path(id: &RecordId) -> Result<(TenantId, i64, String)> {
        let tenant = TenantId::trusted(key_text(id, 0)?);
        Ok((tenant, key_number(id, 1)?, key_text(id, 2)?.to_owned()))
    }
}

/// A numbered receipt in the order of numbers.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ReceiptNumberRow {
    pub(in crate::modules::repositories) id: RecordId,
    receipt: String,
}

impl ReceiptNumberRow {
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        receipt: &BookingReceipt,
        number: &ReceiptNumber,
    ) -> Self {
        let key = [
            Value::String(tenant.as_str().to_owned()),
            Value::from_t(i64::from(number.year)),
            Value::String(number.series.clone()),
            Value::from_t(receipt.kind().place()),
            Value::from_t(number.sequence),
        ];
        Self {
            id: record("receipt_number", key),
            receipt: receipt.id.to_string(),
        }
    }

    pub(in crate::modules::repositories) fn into_parts(self) -> Result<(ReceiptPlace, ReceiptId)> {
        let place = ReceiptPlace {
            year: key_number(&self.id, 1)?,
            series: key_text(&self.id, 2)?.to_owned(),
            kind: key_number(&self.id, 3)?,
            sequence: key_number(&self.id, 4)?,
        };
        Ok((place, self.receipt.parse()?))
    }
}

/// A numbered receipt.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ReceiptRow {
    pub(in crate::modules::repositories) id: RecordId,
    number: String,
    year: i64,
    series: String,
    sequence: u64,
    issued_on: String,
    issued_at: i64,
    names_until: i64,
    /// Who the customer was; `None` once the years are over for which that is kept.
    name: Option<String>,
    email: Option<String>,
    /// The rest as JSON.
    content: String,
}

/// What a receipt says beside its number and its customer.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    corrects: Option<String>,
    booking_number: i64,
    booked_at: i64,
    cancelled_at: Option<i64>,
    event_title: String,
    issuer: Issuer,
    currency: String,
    lines: Vec<Line>,
    total_minor: u64,
    taxes: Vec<Tax>,
    /// The notification of its mail.
    notification: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Issuer {
    name: String,
    address: Vec<String>,
    tax_id: Option<String>,
    tax_name: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    ticket_type: String,
    name: String,
    quantity: u32,
    unit_price_minor: u32,
    total_minor: u64,
    tax_basis_points: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Tax {
    basis_points: u32,
    gross_minor: u64,
    tax_minor: u64,
}

impl ReceiptRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, id: ReceiptId) -> RecordId {
        let booking = id.booking;
        let key = [
            Value::String(tenant.as_str().to_owned()),
            ulid_key(booking.event().ulid()),
            ulid_key(booking.customer().ulid()),
            ulid_key(booking.serial()),
            Value::from_t(i64::from(id.index)),
        ];
        record("receipt", key)
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        receipt: &BookingReceipt,
        number: &ReceiptNumber,
    ) -> Result<Self> {
        let recipient = receipt.recipient.as_ref();
        Ok(Self {
            id: Self::key(tenant, receipt.id),
            number: number.text.clone(),
            year: i64::from(number.year),
            series: number.series.clone(),
            sequence: number.sequence,
            issued_on: number.issued_on.clone(),
            issued_at: millisecond(number.issued_at),
            names_until: i64::from(receipt.names_until),
            name: recipient.map(|one| one.name.as_str().to_owned()),
            email: recipient.map(|one| one.email.as_str().to_owned()),
            content: serde_json::to_string(&Content::of(receipt)).map_err(Error::internal)?,
        })
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<BookingReceipt> {
        let id = receipt_id(&self.id)?;
        let content: Content = serde_json::from_str(&self.content).map_err(Error::internal)?;
        let recipient = self.name.zip(self.email);
        let year = |year: i64| i16::try_from(year).map_err(Error::internal);
        Ok(BookingReceipt {
            id,
            number: Some(ReceiptNumber {
                text: self.number,
                year: year(self.year)?,
                issued_on: self.issued_on,
                issued_at: at_millisecond(self.issued_at)?,
                series: self.series,
                sequence: self.sequence,
            }),
            corrects: content.corrects,
            booking_number: BookingNumber::stored(content.booking_number),
            booked_at: at_millisecond(content.booked_at)?,
            cancelled_at: content.cancelled_at.map(at_millisecond).transpose()?,
            event_title: Label::stored(content.event_title),
            recipient: recipient.map(|(name, email)| ReceiptRecipient {
                name: Label::stored(name),
                email: EmailAddress::stored(email),
            }),
            issuer: content.issuer.into_type(),
            currency: content.currency,
            lines: content.lines.into_iter().map(Line::into_type).collect(),
            total_minor: content.total_minor,
            taxes: content.taxes.into_iter().map(Tax::into_type).collect(),
            names_until: year(self.names_until)?,
            notification: content.notification.map(|id| id.parse()).transpose()?,
        })
    }
}

/// The id of a receipt's record.
pub(super) fn receipt_id(id: &RecordId) -> Result<ReceiptId> {
    Ok(ReceiptId {
        booking: booking_id(id)?,
        index: u32::try_from(key_number(id, 4)?).map_err(Error::internal)?,
    })
}

impl Content {
    fn of(receipt: &BookingReceipt) -> Self {
        let lines = receipt.lines.iter();
        let taxes = receipt.taxes.iter();
        Self {
            corrects: receipt.corrects.clone(),
            booking_number: receipt.booking_number.bits(),
            booked_at: millisecond(receipt.booked_at),
            cancelled_at: receipt.cancelled_at.map(millisecond),
            event_title: receipt.event_title.as_str().to_owned(),
            issuer: Issuer::of(&receipt.issuer),
            currency: receipt.currency.clone(),
            lines: lines.map(Line::of).collect(),
            total_minor: receipt.total_minor,
            taxes: taxes
                .map(|tax| Tax {
                    basis_points: tax.basis_points,
                    gross_minor: tax.gross_minor,
                    tax_minor: tax.tax_minor,
                })
                .collect(),
            notification: receipt.notification.map(|id| id.to_string()),
        }
    }
}

impl Issuer {
    fn of(issuer: &ReceiptIssuer) -> Self {
        let text = |label: &Label| label.as_str().to_owned();
        Self {
            name: text(&issuer.name),
            address: issuer.address.iter().map(text).collect(),
            tax_id: issuer.tax_id.as_ref().map(text),
            tax_name: text(&issuer.tax_name),
        }
    }

    fn into_type(self) -> ReceiptIssuer {
        ReceiptIssuer {
            name: Label::stored(self.name),
            address: self.address.into_iter().map(Label::stored).collect(),
            tax_id: self.tax_id.map(Label::stored),
            tax_name: Label::stored(self.tax_name),
        }
    }
}

impl Line {
    fn of(line: &ReceiptLine) -> Self {
        Self {
            ticket_type: line.ticket_type.as_str().to_owned(),
            name: line.name.as_str().to_owned(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
            total_minor: line.total_minor,
            tax_basis_points: line.tax_basis_points,
        }
    }

    fn into_type(self) -> ReceiptLine {
        ReceiptLine {
            ticket_type: TicketTypeId::new(self.ticket_type),
            name: Label::stored(self.name),
            quantity: self.quantity,
            unit_price_minor: self.unit_price_minor,
            total_minor: self.total_minor,
            tax_basis_points: self.tax_basis_points,
        }
    }
}

impl Tax {
    fn into_type(self) -> ReceiptTax {
        ReceiptTax {
            basis_points: self.basis_points,
            gross_minor: self.gross_minor,
            tax_minor: self.tax_minor,
        }
    }
}
