//! The row of a check-in.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::{
    bookings::booking_id,
    keys::{at_millisecond, key_number, millisecond, record, ulid_key},
};
use crate::{
    error::{Error, Result},
    types::{BookingNumber, CheckIn, TenantId, TicketId, TicketTypeId},
};

/// The time and user of a check-in. The booking's row decides whether a ticket is checked in.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct CheckInRow {
    pub(in crate::modules::repositories) id: RecordId,
    booking_number: i64,
    ticket_type: String,
    at: i64,
    by: Option<String>,
}

impl CheckInRow {
    /// The booking's key and the ticket's number, so an event's check-ins are in customer order.
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, ticket: TicketId) -> RecordId {
        let path = ticket.booking;
        record(
            "check_in",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(path.event().ulid()),
                ulid_key(path.customer().ulid()),
                ulid_key(path.serial()),
                Value::from_t(ticket.number),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, check_in: &CheckIn) -> Self {
        Self {
            id: Self::key(tenant, check_in.ticket),
            booking_number: check_in.booking_number.bits(),
            ticket_type: check_in.ticket_type.as_str().to_owned(),
            at: millisecond(check_in.at),
            by: check_in.by.map(|by| by.to_string()),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<CheckIn> {
        Ok(CheckIn {
            ticket: TicketId {
                booking: booking_id(&self.id)?,
                number: u32::try_from(key_number(&self.id, 4)?).map_err(Error::internal)?,
            },
            booking_number: BookingNumber::stored(self.booking_number),
            ticket_type: TicketTypeId::new(self.ticket_type),
            at: at_millisecond(self.at)?,
            by: self.by.map(|by| by.parse()).transpose()?,
        })
    }
}
