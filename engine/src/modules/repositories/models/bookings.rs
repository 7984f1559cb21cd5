//! The rows of bookings and of their customers' lists.

use surrealdb::types::{RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::{
    booking_details::DetailsColumns,
    claims::ClaimColumn,
    keys::{
        at_millisecond, key_newest_first, key_number, key_ulid, millisecond, newest_first_key,
        record, stored_ulid, ulid_key,
    },
    payment_keys::PaymentKeyRow,
    transfers::TransferRow,
};
use crate::{
    error::Result,
    types::{
        Booking, BookingId, BookingLine, BookingNumber, BookingStatus, Cancellation, DeliveryId,
        EventId, Label, NotificationId, NumberGroup, Sale, TenantId, TicketTypeId, UserId,
    },
};

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct BookingRow {
    pub(in crate::modules::repositories) id: RecordId,
    number: i64,
    lines: Vec<BookingLineRow>,
    total_minor: u64,
    /// `None` if policies gave no texts.
    messages: Option<Vec<String>>,
    currency: String,
    event_version: u64,
    created_at: i64,
    cancelled_by: Option<String>,
    cancelled_at: Option<i64>,
    /// The lines as they were booked, once some of them were cancelled.
    booked_lines: Option<Vec<BookingLineRow>>,
    /// `None` while neither customer nor organizer cancelled anything.
    cancellations: Option<Vec<CancellationRow>>,
    /// Numbers of the tickets that are checked in; `None` without any.
    checked_in: Option<Vec<u32>>,
    /// `None` for a booking that the customer made.
    sale: Option<SaleRow>,
    /// `None` for a booking that no payment is kept for.
    payment: Option<PaymentKeyRow>,
    reference: Option<String>,
    /// As JSON, without the reference; `None` without any.
    details: Option<String>,
    claims: Option<Vec<ClaimColumn>>,
    /// The last transfer of each ticket; `None` without any.
    transfers: Option<Vec<TransferRow>>,
    /// For a booking with a receipt: the tax rate of each line as it was booked, -1 for no tax.
    receipt: Option<Vec<i64>>,
}

/// What is kept of a booking or a hold that the customer did not make.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct SaleRow {
    channel: String,
    seller: Option<String>,
    complimentary: Option<String>,
}

impl SaleRow {
    pub(in crate::modules::repositories) fn of(sale: &Sale) -> Self {
        let complimentary = sale.complimentary.as_ref();
        Self {
            channel: sale.channel.as_str().to_owned(),
            seller: sale.seller.map(|seller| seller.to_string()),
            complimentary: complimentary.map(|reason| reason.as_str().to_owned()),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<Box<Sale>> {
        Ok(Box::new(Sale {
            channel: self.channel.parse()?,
            seller: self.seller.map(|seller| seller.parse()).transpose()?,
            complimentary: self.complimentary.map(Label::stored),
        }))
    }
}

/// Tickets of a booking that were cancelled together.
#[derive(Debug, Clone, SurrealValue)]
struct CancellationRow {
    notification: String,
    cause: String,
    at: i64,
    lines: Vec<BookingLineRow>,
    /// Numbers of the tickets, as first and last of each run: a thousand consecutive ones are two numbers.
    tickets: Vec<u32>,
    refund_percent: u32,
    refund_minor: u64,
}

impl CancellationRow {
    fn of(one: &Cancellation) -> Self {
        Self {
            notification: one.notification.ulid().to_string(),
            cause: one.cause.as_str().to_owned(),
            at: millisecond(one.at),
            lines: one.lines.iter().map(BookingLineRow::of).collect(),
            tickets: runs_of(&one.numbers),
            refund_percent: one.refund_percent,
            refund_minor: one.refund_minor,
        }
    }

    fn into_type(self) -> Result<Cancellation> {
        Ok(Cancellation {
            notification: NotificationId::from_ulid(stored_ulid(&self.notification)?),
            cause: self.cause.parse()?,
            at: at_millisecond(self.at)?,
            lines: lines_of(self.lines),
            numbers: numbers_of(&self.tickets),
            refund_percent: self.refund_percent,
            refund_minor: self.refund_minor,
        })
    }
}

/// First and last of each run of consecutive numbers.
fn runs_of(numbers: &[u32]) -> Vec<u32> {
    let mut runs: Vec<u32> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some(last) if *last + 1 == *number => *last = *number,
            _ => runs.extend([*number, *number]),
        }
    }
    runs
}

fn numbers_of(runs: &[u32]) -> Vec<u32> {
    let run = |run: &[u32]| run[0]..=run[1];
    runs.chunks_exact(2).flat_map(run).collect()
}

fn lines_of(rows: Vec<BookingLineRow>) -> Vec<BookingLine> {
    rows.into_iter().map(BookingLineRow::into_type).collect()
}

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct BookingLineRow {
    pub(in crate::modules::repositories) ticket_type: String,
    pub(in crate::modules::repositories) quantity: u32,
    unit_price_minor: u32,
}

impl BookingLineRow {
    pub(in crate::modules::repositories) fn of(line: &BookingLine) -> Self {
        Self {
            ticket_type: line.ticket_type.as_str().to_owned(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> BookingLine {
        BookingLine {
            ticket_type: TicketTypeId::new(self.ticket_type),
            quantity: self.quantity,
            unit_price_minor: self.unit_price_minor,
        }
    }
}

impl BookingRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, booking: BookingId) -> RecordId {
        record(
            "booking",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(booking.event().ulid()),
                ulid_key(booking.customer().ulid()),
                ulid_key(booking.serial()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, booking: &Booking) -> Self {
        let columns = DetailsColumns::of(booking.details.as_deref());
        Self {
            id: Self::key(tenant, booking.id),
            number: booking.number.bits(),
            lines: booking.lines.iter().map(BookingLineRow::of).collect(),
            total_minor: booking.total_minor,
            messages: (!booking.messages.is_empty()).then(|| booking.messages.clone()),
            currency: booking.currency.clone(),
            event_version: booking.event_version,
            created_at: millisecond(booking.created_at),
            cancelled_by: booking
                .cancelled
                .map(|(cause, _)| cause.as_str().to_owned()),
            cancelled_at: booking.cancelled.map(|(_, at)| millisecond(at)),
            booked_lines: booking
                .booked_lines
                .as_ref()
                .map(|lines| lines.iter().map(BookingLineRow::of).collect()),
            cancellations: (!booking.cancellations.is_empty()).then(|| {
                let cancellations = booking.cancellations.iter();
                cancellations.map(CancellationRow::of).collect()
            }),
            checked_in: Self::numbers(&booking.checked_in),
            sale: booking.sale.as_deref().map(SaleRow::of),
            payment: booking.payment.as_ref().map(PaymentKeyRow::of),
            reference: columns.reference,
            details: columns.details,
            claims: ClaimColumn::of(&booking.claims),
            transfers: TransferRow::of_all(&booking.transfers),
            receipt: booking.receipt_taxes.as_ref().map(|rates| {
                let rates = rates.iter();
                rates.map(|rate| rate.map_or(-1, i64::from)).collect()
            }),
        }
    }

    /// Numbers of tickets as rows hold them.
    pub(in crate::modules::repositories) fn numbers(numbers: &[u32]) -> Option<Vec<u32>> {
        (!numbers.is_empty()).then(|| numbers.to_vec())
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<Booking> {
        let id = booking_id(&self.id)?;
        let cancelled = match (self.cancelled_by, self.cancelled_at) {
            (Some(cause), Some(at)) => Some((cause.parse()?, at_millisecond(at)?)),
            _ => None,
        };
        let details = DetailsColumns {
            reference: self.reference,
            details: self.details,
        };
        Ok(Booking {
            id,
            number: BookingNumber::stored(self.number),
            event: id.event(),
            customer: id.customer(),
            status: if cancelled.is_some() {
                BookingStatus::Cancelled
            } else {
                BookingStatus::Confirmed
            },
            cancelled,
            lines: lines_of(self.lines),
            booked_lines: self.booked_lines.map(lines_of),
            cancellations: self
                .cancellations
                .unwrap_or_default()
                .into_iter()
                .map(CancellationRow::into_type)
                .collect::<Result<_>>()?,
            total_minor: self.total_minor,
            messages: self.messages.unwrap_or_default(),
            currency: self.currency,
            event_version: self.event_version,
            created_at: at_millisecond(self.created_at)?,
            checked_in: self.checked_in.unwrap_or_default(),
            sale: self.sale.map(SaleRow::into_type).transpose()?,
            payment: self.payment.map(PaymentKeyRow::into_type),
            details: details.into_type()?,
            claims: ClaimColumn::into_types(self.claims),
            transfers: TransferRow::into_types(self.transfers)?,
            receipt_taxes: self.receipt.map(|rates| {
                let rates = rates.into_iter();
                rates.map(|rate| u32::try_from(rate).ok()).collect()
            }),
        })
    }
}

/// The public id of a booking's record.
pub(in crate::modules::repositories) fn booking_id(id: &RecordId) -> Result<BookingId> {
    Ok(BookingId::new(
        EventId::from_ulid(key_ulid(id, 1)?),
        UserId::from_ulid(key_ulid(id, 2)?),
        key_ulid(id, 3)?,
    ))
}

/// The bookings whose numbers are of one group, in the order of their places.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct BookingNumbersRow {
    pub(in crate::modules::repositories) id: RecordId,
    event: String,
    /// Customer and serial of each, one after the other.
    bookings: Vec<String>,
}

impl BookingNumbersRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, group: NumberGroup) -> RecordId {
        let tenant = Value::String(tenant.as_str().to_owned());
        record("booking_numbers", [tenant, Value::from_t(group.bits())])
    }

    /// The row of the bookings of a group, which are of one event; none without any.
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        group: NumberGroup,
        bookings: &[Booking],
    ) -> Option<Self> {
        let event = bookings.first()?.event;
        let path = |booking: &Booking| {
            let (customer, serial) = (booking.customer.ulid(), booking.id.serial());
            format!("{customer}{serial}")
        };
        Some(Self {
            id: Self::key(tenant, group),
            event: event.ulid().to_string(),
            bookings: bookings.iter().map(path).collect(),
        })
    }

    pub(in crate::modules::repositories) fn group(&self) -> Result<NumberGroup> {
        Ok(NumberGroup::stored(key_number(&self.id, 1)?))
    }

    /// The booking at a place, if there is one.
    pub(in crate::modules::repositories) fn booking(
        &self,
        place: usize,
    ) -> Result<Option<BookingId>> {
        let path = self
            .bookings
            .get(place)
            .and_then(|path| path.split_at_checked(26));
        let Some((customer, serial)) = path else {
            return Ok(None);
        };
        let event = EventId::from_ulid(stored_ulid(&self.event)?);
        let customer = UserId::from_ulid(stored_ulid(customer)?);
        let booking = BookingId::new(event, customer, stored_ulid(serial)?);
        Ok(Some(booking))
    }
}

/// One row of a customer's list of bookings, newest first.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct CustomerBookingRow {
    pub(in crate::modules::repositories) id: RecordId,
    event: String,
    /// The ids of its own deliveries, oldest first. As many as it had changes.
    mails: Option<Vec<String>>,
}

impl CustomerBookingRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, booking: BookingId) -> RecordId {
        record(
            "customer_booking",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(booking.customer().ulid()),
                newest_first_key(booking.serial()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        booking: BookingId,
        mail: Option<DeliveryId>,
    ) -> Self {
        Self {
            id: Self::key(tenant, booking),
            event: booking.event().ulid().to_string(),
            mails: mail.map(|mail| vec![mail.to_string()]),
        }
    }

    pub(in crate::modules::repositories) fn mails(&self) -> Result<Vec<DeliveryId>> {
        self.mails
            .iter()
            .flatten()
            .map(|mail| mail.parse())
            .collect()
    }

    pub(in crate::modules::repositories) fn booking(&self) -> Result<BookingId> {
        let event = Ulid::from_string(&self.event).map_err(crate::error::Error::internal)?;
        Ok(BookingId::new(
            EventId::from_ulid(event),
            UserId::from_ulid(key_ulid(&self.id, 1)?),
            key_newest_first(&self.id, 2)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_hold_the_numbers_that_were_put_in() {
        for (numbers, runs) in [
            (vec![], vec![]),
            (vec![4], vec![4, 4]),
            (vec![1, 2, 3], vec![1, 3]),
            (vec![1, 2, 5, 7, 8], vec![1, 2, 5, 5, 7, 8]),
        ] {
            assert_eq!(runs_of(&numbers), runs);
            assert_eq!(numbers_of(&runs), numbers);
        }
    }
}
