//! The row of a kind of mail that a customer has unsubscribed from.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{at_millisecond, key_text, key_ulid, millisecond, record, ulid_key};
use crate::{
    error::Result,
    types::{NotificationKind, Suppression, TenantId, UserId},
};

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct SuppressionRow {
    pub(in crate::modules::repositories) id: RecordId,
    source: String,
    created_at: i64,
}

impl SuppressionRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        customer: UserId,
        kind: NotificationKind,
    ) -> RecordId {
        record(
            "suppression",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(customer.ulid()),
                Value::String(kind.as_str().to_owned()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        suppression: &Suppression,
    ) -> Self {
        Self {
            id: Self::key(tenant, suppression.customer, suppression.kind),
            source: suppression.source.as_str().to_owned(),
            created_at: millisecond(suppression.created_at),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<Suppression> {
        Ok(Suppression {
            customer: UserId::from_ulid(key_ulid(&self.id, 1)?),
            kind: key_text(&self.id, 2)?.parse()?,
            source: self.source.parse()?,
            created_at: at_millisecond(self.created_at)?,
        })
    }
}
