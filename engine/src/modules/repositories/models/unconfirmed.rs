//! The rows of unconfirmed accounts that hold or wait for tickets.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::{
    holds::OpenHoldRow,
    keys::{record, ulid_key},
    waitlist::WaitingRow,
};
use crate::types::{EventId, TenantId, UserId};

/// Ids of rows of an account that may or may not exist: active holds and places on waiting lists.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct UnconfirmedAccountRow {
    pub(in crate::modules::repositories) id: RecordId,
    revision: i64,
    holds: Vec<RecordId>,
    waiting: Vec<RecordId>,
}

impl UnconfirmedAccountRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, user: UserId) -> RecordId {
        record(
            "unconfirmed_account",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(user.ulid()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        user: UserId,
        revision: i64,
        events: impl Iterator<Item = EventId> + Clone,
    ) -> Self {
        let holds = events.clone();
        let holds = holds.map(|event| OpenHoldRow::key(tenant, event, user));
        let waiting = events.map(|event| WaitingRow::key(tenant, event, user));
        Self {
            id: Self::key(tenant, user),
            revision,
            holds: holds.collect(),
            waiting: waiting.collect(),
        }
    }
}
