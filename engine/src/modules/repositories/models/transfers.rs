//! The rows of transfers: a column of the booking, and the lists of who got tickets.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{
    at_millisecond, key_number, key_ulid, millisecond, record, stored_ulid, ulid_key,
};
use crate::{
    error::{Error, Result},
    types::{BookingId, EventId, TenantId, TicketId, TicketTransfer, UserId},
};

/// The last transfer of a ticket.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct TransferRow {
    number: u32,
    issue: u32,
    /// Who had it before, in order.
    former: Vec<String>,
    to: String,
    at: i64,
    event_version: u64,
}

impl TransferRow {
    pub(in crate::modules::repositories) fn of_all(
        transfers: &[TicketTransfer],
    ) -> Option<Vec<Self>> {
        let row = |one: &TicketTransfer| Self {
            number: one.number,
            issue: one.issue,
            former: one
                .former
                .iter()
                .map(|user| user.ulid().to_string())
                .collect(),
            to: one.to.ulid().to_string(),
            at: millisecond(one.at),
            event_version: one.event_version,
        };
        (!transfers.is_empty()).then(|| transfers.iter().map(row).collect())
    }

    pub(in crate::modules::repositories) fn into_types(
        rows: Option<Vec<Self>>,
    ) -> Result<Vec<TicketTransfer>> {
        let user = |text: &str| stored_ulid(text).map(UserId::from_ulid);
        let transfer = |row: Self| {
            Ok(TicketTransfer {
                number: row.number,
                issue: row.issue,
                former: row
                    .former
                    .iter()
                    .map(|text| user(text))
                    .collect::<Result<_>>()?,
                to: user(&row.to)?,
                at: at_millisecond(row.at)?,
                event_version: row.event_version,
            })
        };
        rows.into_iter().flatten().map(transfer).collect()
    }
}

/// A ticket in the list of the account that got it.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ReceivedTicketRow {
    pub(in crate::modules::repositories) id: RecordId,
    at: i64,
}

impl ReceivedTicketRow {
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        booking: BookingId,
        transfer: &TicketTransfer,
    ) -> Self {
        Self {
            id: Self::key(tenant, booking, transfer),
            at: millisecond(transfer.at),
        }
    }

    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        booking: BookingId,
        transfer: &TicketTransfer,
    ) -> RecordId {
        record(
            "received_ticket",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(transfer.to.ulid()),
                ulid_key(booking.event().ulid()),
                ulid_key(booking.customer().ulid()),
                ulid_key(booking.serial()),
                Value::from_t(transfer.number),
            ],
        )
    }

    pub(in crate::modules::repositories) fn ticket(&self) -> Result<TicketId> {
        Ok(TicketId {
            booking: BookingId::new(
                EventId::from_ulid(key_ulid(&self.id, 2)?),
                UserId::from_ulid(key_ulid(&self.id, 3)?),
                key_ulid(&self.id, 4)?,
            ),
            number: u32::try_from(key_number(&self.id, 5)?).map_err(Error::internal)?,
        })
    }
}

/// A booking in the list of the accounts that got tickets of an event.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct TicketOwnerRow {
    pub(in crate::modules::repositories) id: RecordId,
    at: i64,
}

impl TicketOwnerRow {
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        booking: BookingId,
        transfer: &TicketTransfer,
    ) -> Self {
        Self {
            id: Self::key(tenant, booking, transfer),
            at: millisecond(transfer.at),
        }
    }

    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        booking: BookingId,
        transfer: &TicketTransfer,
    ) -> RecordId {
        record(
            "ticket_owner",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(booking.event().ulid()),
                ulid_key(transfer.to.ulid()),
                ulid_key(booking.customer().ulid()),
                ulid_key(booking.serial()),
                Value::from_t(transfer.number),
            ],
        )
    }

    pub(in crate::modules::repositories) fn owner(&self) -> Result<UserId> {
        Ok(UserId::from_ulid(key_ulid(&self.id, 2)?))
    }

    pub(in crate::modules::repositories) fn booking(&self) -> Result<BookingId> {
        Ok(BookingId::new(
            EventId::from_ulid(key_ulid(&self.id, 1)?),
            UserId::from_ulid(key_ulid(&self.id, 3)?),
            key_ulid(&self.id, 4)?,
        ))
    }
}
