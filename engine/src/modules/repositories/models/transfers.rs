//! The rows of transfers: a column of the booking, and the lists of who got tickets.

use surrealdb::types::{RecordId, SurrealValue, Value};
use ulid::Ulid;

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

/// A ticket that somebody got: in the list of its owner, and in that of its event.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ReceivedTicketRow {
    id: RecordId,
    at: i64,
}

impl ReceivedTicketRow {
    pub(in crate::modules::repositories) const BY_OWNER: &'static str = "received_ticket";
    pub(in crate::modules::repositories) const BY_EVENT: &'static str = "ticket_owner";

    /// The keys of its two rows: by owner, and by event.
    pub(in crate::modules::repositories) fn keys(
        tenant: &TenantId,
        booking: BookingId,
        transfer: &TicketTransfer,
    ) -> [RecordId; 2] {
        let (owner, event) = (transfer.to.ulid(), booking.event().ulid());
        let key = |table, [first, second]: [Ulid; 2]| {
            record(
                table,
                [
                    Value::String(tenant.as_str().to_owned()),
                    ulid_key(first),
                    ulid_key(second),
                    ulid_key(booking.customer().ulid()),
                    ulid_key(booking.serial()),
                    Value::from_t(transfer.number),
                ],
            )
        };
        [
            key(Self::BY_OWNER, [owner, event]),
            key(Self::BY_EVENT, [event, owner]),
        ]
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        booking: BookingId,
        transfer: &TicketTransfer,
    ) -> [Self; 2] {
        let at = millisecond(transfer.at);
        Self::keys(tenant, booking, transfer).map(|id| Self { id, at })
    }

    /// The ticket, of a row by owner.
    pub(in crate::modules::repositories) fn by_owner(&self) -> Result<TicketId> {
        Ok(TicketId {
            booking: self.booking(key_ulid(&self.id, 2)?)?,
            number: u32::try_from(key_number(&self.id, 5)?).map_err(Error::internal)?,
        })
    }

    /// The owner and the booking, of a row by event.
    pub(in crate::modules::repositories) fn by_event(&self) -> Result<(UserId, BookingId)> {
        let owner = UserId::from_ulid(key_ulid(&self.id, 2)?);
        Ok((owner, self.booking(key_ulid(&self.id, 1)?)?))
    }

    fn booking(&self, event: Ulid) -> Result<BookingId> {
        Ok(BookingId::new(
            EventId::from_ulid(event),
            UserId::from_ulid(key_ulid(&self.id, 3)?),
            key_ulid(&self.id, 4)?,
        ))
    }
}
