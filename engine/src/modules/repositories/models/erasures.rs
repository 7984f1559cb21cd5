//! The rows of erased accounts.

use jiff::Timestamp;
use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{at_millisecond, key_number, key_text, key_ulid, millisecond, record, ulid_key};
use crate::{
    error::Result,
    types::{Erasure, TenantId, UserId},
};

/// An erased account.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ErasureRow {
    id: RecordId,
    at: i64,
}

impl ErasureRow {
    pub(in crate::modules::repositories) fn of(erasure: &Erasure) -> Self {
        let key = [
            Value::String(erasure.tenant.as_str().to_owned()),
            ulid_key(erasure.user.ulid()),
        ];
        Self {
            id: record("erasure", key),
            at: millisecond(erasure.at),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<Erasure> {
        Ok(Erasure {
            tenant: TenantId::trusted(key_text(&self.id, 0)?),
            user: UserId::from_ulid(key_ulid(&self.id, 1)?),
            at: at_millisecond(self.at)?,
        })
    }
}

/// An erasure that is not finished.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ErasureDueRow {
    id: RecordId,
}

impl ErasureDueRow {
    pub(in crate::modules::repositories) fn key(
        due: Timestamp,
        tenant: &TenantId,
        user: UserId,
    ) -> RecordId {
        let key = [
            millisecond(due).into_value(),
            Value::String(tenant.as_str().to_owned()),
            ulid_key(user.ulid()),
        ];
        record("erasure_due", key)
    }

    pub(in crate::modules::repositories) fn of(due: Timestamp, erasure: &Erasure) -> Self {
        Self {
            id: Self::key(due, &erasure.tenant, erasure.user),
        }
    }

    pub(in crate::modules::repositories) fn into_type(
        self,
    ) -> Result<(Timestamp, TenantId, UserId)> {
        Ok((
            at_millisecond(key_number(&self.id, 0)?)?,
            TenantId::trusted(key_text(&self.id, 1)?),
            UserId::from_ulid(key_ulid(&self.id, 2)?),
        ))
    }
}
