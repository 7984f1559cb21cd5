//! The rows of waiting lists.

use jiff::Timestamp;
use surrealdb::types::{RecordId, SurrealValue, Value};

use super::{
    booking_details::DetailsColumns,
    keys::{
        at_millisecond, key_newest_first, key_number, key_text, key_ulid, millisecond,
        newest_first_key, record, stored_ulid, ulid_key,
    },
};
use crate::{
    error::Result,
    types::{
        BookLine, DeliveryId, EventId, TenantId, TicketTypeId, UserId, WaitlistEntry, WaitlistPass,
        WaitlistSkip,
    },
};

/// An entry; its key is the order of the list.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct WaitlistEntryRow {
    pub(in crate::modules::repositories) id: RecordId,
    customer: String,
    lines: Vec<WantedLineRow>,
    joined_at: i64,
    reference: Option<String>,
    /// As JSON, without the reference; `None` without any.
    details: Option<String>,
}

#[derive(Debug, Clone, SurrealValue)]
struct WantedLineRow {
    ticket_type: Option<String>,
    quantity: u32,
}

impl WaitlistEntryRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        event: EventId,
        number: i64,
    ) -> RecordId {
        record(
            "waitlist_entry",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(event.ulid()),
                Value::from_t(number),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, entry: &WaitlistEntry) -> Self {
        let line = |line: &BookLine| WantedLineRow {
            ticket_type: line.ticket_type.as_ref().map(|id| id.as_str().to_owned()),
            quantity: line.quantity,
        };
        let columns = DetailsColumns::of(entry.details.as_deref());
        Self {
            id: Self::key(tenant, entry.event, entry.number),
            customer: entry.customer.ulid().to_string(),
            lines: entry.lines.iter().map(line).collect(),
            joined_at: millisecond(entry.joined_at),
            reference: columns.reference,
            details: columns.details,
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<WaitlistEntry> {
        let line = |row: WantedLineRow| BookLine {
            ticket_type: row.ticket_type.map(TicketTypeId::new),
            quantity: row.quantity,
        };
        let details = DetailsColumns {
            reference: self.reference,
            details: self.details,
        };
        Ok(WaitlistEntry {
            event: EventId::from_ulid(key_ulid(&self.id, 1)?),
            number: key_number(&self.id, 2)?,
            customer: UserId::from_ulid(stored_ulid(&self.customer)?),
            lines: self.lines.into_iter().map(line).collect(),
            joined_at: at_millisecond(self.joined_at)?,
            details: details.into_type()?,
        })
    }
}

/// A customer's place on a list. The key allows at most one per customer.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct WaitingRow {
    pub(in crate::modules::repositories) id: RecordId,
    pub(in crate::modules::repositories) number: i64,
    pub(in crate::modules::repositories) tickets: u32,
}

impl WaitingRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
    ) -> RecordId {
        record(
            "waiting",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(event.ulid()),
                ulid_key(customer.ulid()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, entry: &WaitlistEntry) -> Self {
        Self {
            id: Self::key(tenant, entry.event, entry.customer),
            number: entry.number,
            tickets: entry.tickets(),
        }
    }

    pub(in crate::modules::repositories) fn event(&self) -> Result<EventId> {
        Ok(EventId::from_ulid(key_ulid(&self.id, 1)?))
    }
}

/// An entry for a customer who was ever on an event's waiting list, with the ids of the mails that offered them tickets.
/// It stays when they leave the list.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct CustomerWaitlistRow {
    pub(in crate::modules::repositories) id: RecordId,
    mails: Vec<String>,
}

impl CustomerWaitlistRow {
    /// Most mails of offers that are stored; of more offers the first ones are kept.
    pub(in crate::modules::repositories) const MAILS_MAX: i64 = 100;

    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
    ) -> RecordId {
        record(
            "customer_waitlist",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(customer.ulid()),
                newest_first_key(event.ulid()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, entry: &WaitlistEntry) -> Self {
        Self {
            id: Self::key(tenant, entry.event, entry.customer),
            mails: Vec::new(),
        }
    }

    pub(in crate::modules::repositories) fn event(&self) -> Result<EventId> {
        Ok(EventId::from_ulid(key_newest_first(&self.id, 2)?))
    }

    pub(in crate::modules::repositories) fn mails(&self) -> Result<Vec<DeliveryId>> {
        self.mails.iter().map(|mail| mail.parse()).collect()
    }
}

/// The entries that were passed over in one pass. Slots are reused, so an event has a limited number of them.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct WaitlistPassRow {
    pub(in crate::modules::repositories) id: RecordId,
    revision: i64,
    at: i64,
    skips: Vec<WaitlistSkipRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct WaitlistSkipRow {
    number: i64,
    customer: String,
    tickets: u32,
    reason: String,
    detail: String,
}

impl WaitlistPassRow {
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        event: EventId,
        pass: &WaitlistPass,
    ) -> Self {
        let skip = |skip: &WaitlistSkip| WaitlistSkipRow {
            number: skip.number,
            customer: skip.customer.ulid().to_string(),
            tickets: skip.tickets,
            reason: skip.reason.as_str().to_owned(),
            detail: skip.detail.clone(),
        };
        let slot = pass.revision.rem_euclid(WaitlistPass::KEPT_MAX);
        Self {
            id: record(
                "waitlist_pass",
                [
                    Value::String(tenant.as_str().to_owned()),
                    ulid_key(event.ulid()),
                    Value::from_t(slot),
                ],
            ),
            revision: pass.revision,
            at: millisecond(pass.at),
            skips: pass.skips.iter().map(skip).collect(),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<WaitlistPass> {
        let skip = |row: WaitlistSkipRow| {
            Ok(WaitlistSkip {
                number: row.number,
                customer: UserId::from_ulid(stored_ulid(&row.customer)?),
                tickets: row.tickets,
                reason: row.reason.parse()?,
                detail: row.detail,
            })
        };
        Ok(WaitlistPass {
            revision: self.revision,
            at: at_millisecond(self.at)?,
            skips: self.skips.into_iter().map(skip).collect::<Result<_>>()?,
        })
    }
}

/// An entry for an event whose list must be checked, because the sale of one of its types begins. It consists of its key.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct OfferDueRow {
    pub(in crate::modules::repositories) id: RecordId,
}

impl OfferDueRow {
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        event: EventId,
        due_at: Timestamp,
    ) -> Self {
        let id = record(
            "offer_due",
            [
                Value::from_t(millisecond(due_at)),
                Value::String(tenant.as_str().to_owned()),
                ulid_key(event.ulid()),
            ],
        );
        Self { id }
    }

    pub(in crate::modules::repositories) fn into_parts(
        self,
    ) -> Result<(Timestamp, TenantId, EventId)> {
        let due_at = at_millisecond(key_number(&self.id, 0)?)?;
        let tenant = TenantId::trusted(key_text(&self.id, 1)?);
        Ok((due_at, tenant, EventId::from_ulid(key_ulid(&self.id, 2)?)))
    }
}
