//! The rows of holds, and of their due times.

use jiff::Timestamp;
use surrealdb::types::{RecordId, SurrealValue, Value};

use super::{
    booking_details::DetailsColumns,
    bookings::{BookingLineRow, SaleRow, booking_id},
    claims::ClaimColumn,
    keys::{
        at_millisecond, key_newest_first, key_number, key_text, key_ulid, last_change, millisecond,
        newest_first_key, record, stored_ulid, ulid_key,
    },
};
use crate::{
    error::Result,
    types::{EventId, Hold, HoldId, TenantId, UserId},
};

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct HoldRow {
    pub(in crate::modules::repositories) id: RecordId,
    status: String,
    lines: Vec<BookingLineRow>,
    total_minor: u64,
    /// `None` if policies gave no texts.
    messages: Option<Vec<String>>,
    currency: String,
    event_version: u64,
    created_at: i64,
    expires_at: i64,
    extended: bool,
    ended_at: Option<i64>,
    waitlist_number: Option<i64>,
    /// `None` for a hold that the customer made.
    sale: Option<SaleRow>,
    reference: Option<String>,
    /// As JSON, without the reference; `None` without any.
    details: Option<String>,
    claims: Option<Vec<ClaimColumn>>,
    change_number: Option<i64>,
    change_step: Option<String>,
}

impl HoldRow {
    /// The same key as the booking that it becomes.
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, hold: HoldId) -> RecordId {
        let path = hold.booking();
        record(
            "hold",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(path.event().ulid()),
                ulid_key(path.customer().ulid()),
                ulid_key(path.serial()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, hold: &Hold) -> Self {
        let columns = DetailsColumns::of(hold.details.as_deref());
        Self {
            id: Self::key(tenant, hold.id),
            status: hold.status.as_str().to_owned(),
            lines: hold.lines.iter().map(BookingLineRow::of).collect(),
            total_minor: hold.total_minor,
            messages: (!hold.messages.is_empty()).then(|| hold.messages.clone()),
            currency: hold.currency.clone(),
            event_version: hold.event_version,
            created_at: millisecond(hold.created_at),
            expires_at: millisecond(hold.expires_at),
            extended: hold.extended,
            ended_at: hold.ended_at.map(millisecond),
            waitlist_number: hold.waitlist_number,
            sale: hold.sale.as_deref().map(SaleRow::of),
            reference: columns.reference,
            details: columns.details,
            claims: ClaimColumn::of(&hold.claims),
            change_number: Some(hold.last_change.version),
            change_step: hold.last_change.step.map(|step| step.to_string()),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<Hold> {
        let id = HoldId::of_path(booking_id(&self.id)?);
        let details = DetailsColumns {
            reference: self.reference,
            details: self.details,
        };
        Ok(Hold {
            id,
            event: id.event(),
            customer: id.customer(),
            status: self.status.parse()?,
            lines: self
                .lines
                .into_iter()
                .map(BookingLineRow::into_type)
                .collect(),
            total_minor: self.total_minor,
            messages: self.messages.unwrap_or_default(),
            currency: self.currency,
            event_version: self.event_version,
            created_at: at_millisecond(self.created_at)?,
            expires_at: at_millisecond(self.expires_at)?,
            extended: self.extended,
            waitlist_number: self.waitlist_number,
            ended_at: self.ended_at.map(at_millisecond).transpose()?,
            sale: self.sale.map(SaleRow::into_type).transpose()?,
            details: details.into_type()?,
            claims: ClaimColumn::into_types(self.claims),
            last_change: last_change(self.change_number, self.change_step)?,
        })
    }
}

/// The active hold of a customer for an event. The key allows at most one, and it is found
/// without reading those that ended.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct OpenHoldRow {
    pub(in crate::modules::repositories) id: RecordId,
    serial: String,
    pub(in crate::modules::repositories) tickets: u32,
    /// Whether it is an offer from the waiting list.
    pub(in crate::modules::repositories) offered: bool,
}

impl OpenHoldRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
    ) -> RecordId {
        record(
            "open_hold",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(event.ulid()),
                ulid_key(customer.ulid()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, hold: &Hold) -> Self {
        Self {
            id: Self::key(tenant, hold.event, hold.customer),
            serial: hold.id.booking().serial().to_string(),
            tickets: hold.tickets(),
            offered: hold.waitlist_number.is_some(),
        }
    }

    pub(in crate::modules::repositories) fn hold(&self) -> Result<HoldId> {
        let event = EventId::from_ulid(key_ulid(&self.id, 1)?);
        let customer = UserId::from_ulid(key_ulid(&self.id, 2)?);
        Ok(HoldId::new(event, customer, stored_ulid(&self.serial)?))
    }
}

/// One row of a customer's list of holds, newest first. It goes with its hold.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct CustomerHoldRow {
    pub(in crate::modules::repositories) id: RecordId,
    event: String,
}

impl CustomerHoldRow {
    pub(in crate::modules::repositories) fn of(tenant: &TenantId, hold: HoldId) -> Self {
        let id = record(
            "customer_hold",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(hold.customer().ulid()),
                newest_first_key(hold.booking().serial()),
            ],
        );
        Self {
            id,
            event: hold.event().ulid().to_string(),
        }
    }

    pub(in crate::modules::repositories) fn hold(&self) -> Result<HoldId> {
        let event = EventId::from_ulid(stored_ulid(&self.event)?);
        let customer = UserId::from_ulid(key_ulid(&self.id, 1)?);
        Ok(HoldId::new(event, customer, key_newest_first(&self.id, 2)?))
    }
}

/// An entry for a hold's end. It consists of its key, so due holds are in order of time.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct HoldDueRow {
    pub(in crate::modules::repositories) id: RecordId,
}

impl HoldDueRow {
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        hold: HoldId,
        due_at: Timestamp,
    ) -> Self {
        let path = hold.booking();
        let id = record(
            "hold_due",
            [
                Value::from_t(millisecond(due_at)),
                Value::String(tenant.as_str().to_owned()),
                ulid_key(path.event().ulid()),
                ulid_key(path.customer().ulid()),
                ulid_key(path.serial()),
            ],
        );
        Self { id }
    }

    pub(in crate::modules::repositories) fn into_parts(
        self,
    ) -> Result<(Timestamp, TenantId, HoldId)> {
        let due_at = at_millisecond(key_number(&self.id, 0)?)?;
        let tenant = TenantId::trusted(key_text(&self.id, 1)?);
        let event = EventId::from_ulid(key_ulid(&self.id, 2)?);
        let customer = UserId::from_ulid(key_ulid(&self.id, 3)?);
        let hold = HoldId::new(event, customer, key_ulid(&self.id, 4)?);
        Ok((due_at, tenant, hold))
    }
}
