//! The rows of claims: counters of tenants, and what each booking or hold takes of them.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{at_millisecond, key_text, millisecond, record, ulid_key};
use crate::{
    error::Result,
    types::{BookingId, ClaimCounter, ClaimKey, ClaimUse, TenantId},
};

/// A counter.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ClaimRow {
    pub(in crate::modules::repositories) id: RecordId,
    revision: i64,
    used: u64,
    limit: u32,
    updated_at: i64,
}

impl ClaimRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, key: &ClaimKey) -> RecordId {
        let tenant = Value::String(tenant.as_str().to_owned());
        record("claim", [tenant, Value::String(key.as_str().to_owned())])
    }

    /// The tenant and the key of a counter's row.
    pub(in crate::modules::repositories) fn path(id: &RecordId) -> Result<(TenantId, ClaimKey)> {
        let key = ClaimKey::stored(key_text(id, 1)?.to_owned());
        Ok((TenantId::trusted(key_text(id, 0)?), key))
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, counter: &ClaimCounter) -> Self {
        Self {
            id: Self::key(tenant, &counter.key),
            revision: counter.revision,
            used: counter.used,
            limit: counter.limit,
            updated_at: millisecond(counter.updated_at),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<ClaimCounter> {
        Ok(ClaimCounter {
            key: ClaimKey::stored(key_text(&self.id, 1)?.to_owned()),
            used: self.used,
            limit: self.limit,
            updated_at: at_millisecond(self.updated_at)?,
            revision: self.revision,
        })
    }
}

/// What a booking or a hold has of a counter, in its own row.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ClaimColumn {
    key: String,
    amount: u32,
    returned: u32,
}

impl ClaimColumn {
    /// The column; `None` without any.
    pub(in crate::modules::repositories) fn of(claims: &[ClaimUse]) -> Option<Vec<Self>> {
        let column = |one: &ClaimUse| Self {
            key: one.key.as_str().to_owned(),
            amount: one.amount,
            returned: one.returned,
        };
        (!claims.is_empty()).then(|| claims.iter().map(column).collect())
    }

    pub(in crate::modules::repositories) fn into_types(column: Option<Vec<Self>>) -> Vec<ClaimUse> {
        let column = column.into_iter().flatten();
        let claim = |one: Self| ClaimUse {
            key: ClaimKey::stored(one.key),
            amount: one.amount,
            returned: one.returned,
        };
        column.map(claim).collect()
    }
}

/// What a booking, or the hold that becomes it, takes of a counter. The counter is the sum of these.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ClaimUseRow {
    pub(in crate::modules::repositories) id: RecordId,
    pub(in crate::modules::repositories) amount: u32,
}

impl ClaimUseRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        key: &ClaimKey,
        booking: BookingId,
    ) -> RecordId {
        let parts = [
            Value::String(tenant.as_str().to_owned()),
            Value::String(key.as_str().to_owned()),
            ulid_key(booking.event().ulid()),
            ulid_key(booking.customer().ulid()),
            ulid_key(booking.serial()),
        ];
        record("claim_use", parts)
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        booking: BookingId,
        one: &ClaimUse,
    ) -> Self {
        Self {
            id: Self::key(tenant, &one.key, booking),
            amount: one.left(),
        }
    }
}
