//! The rows of sessions and of the revocation log.

use surrealdb::types::{Number, RecordId, SurrealValue, Value};

use super::{
    keys::{at_millisecond, key_ulid, millisecond, record, ulid_key},
    users::{OperatorRow, UserRow},
};
use crate::{
    error::Result,
    types::{Label, SessionId, SessionOwner, SessionRecord},
};

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct SessionRow {
    id: RecordId,
    generation: u32,
    /// When the last generations began, newest first.
    rotated_at: Vec<i64>,
    opened_at: i64,
    expires_at: i64,
    epoch: Option<String>,
    device: Option<String>,
}

/// The first two parts of the keys of an account's sessions. Operators belong to no tenant: no tenant has an empty name.
pub(in crate::modules::repositories) fn owner_key(owner: &SessionOwner) -> (String, String) {
    match owner {
        SessionOwner::User { tenant, user } => {
            (tenant.as_str().to_owned(), user.ulid().to_string())
        }
        SessionOwner::Operator(email) => (String::new(), email.as_str().to_owned()),
    }
}

/// The record of a session's account.
pub(in crate::modules::repositories) fn account_key(owner: &SessionOwner) -> RecordId {
    match owner {
        SessionOwner::User { tenant, user } => UserRow::key(tenant, *user),
        SessionOwner::Operator(email) => OperatorRow::key(email),
    }
}

impl SessionRow {
    pub(in crate::modules::repositories) fn key(owner: &SessionOwner, id: SessionId) -> RecordId {
        let (tenant, whose) = owner_key(owner);
        let parts = [
            Value::String(tenant),
            Value::String(whose),
            ulid_key(id.ulid()),
        ];
        record("session", parts)
    }

    pub(in crate::modules::repositories) fn of(
        owner: &SessionOwner,
        id: SessionId,
        session: &SessionRecord,
    ) -> Self {
        Self {
            id: Self::key(owner, id),
            generation: session.generation,
            rotated_at: session
                .rotated_at
                .iter()
                .copied()
                .map(millisecond)
                .collect(),
            opened_at: millisecond(session.opened_at),
            expires_at: millisecond(session.expires_at),
            epoch: session.epoch.clone(),
            device: session.device.as_ref().map(Label::to_string),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<(SessionId, SessionRecord)> {
        let id = SessionId::from_ulid(key_ulid(&self.id, 2)?);
        let rotated_at = self.rotated_at.into_iter().map(at_millisecond);
        let record = SessionRecord {
            generation: self.generation,
            rotated_at: rotated_at.collect::<Result<_>>()?,
            opened_at: at_millisecond(self.opened_at)?,
            expires_at: at_millisecond(self.expires_at)?,
            epoch: self.epoch,
            device: self.device.map(Label::stored),
        };
        Ok((id, record))
    }
}

/// The part of an account that sessions need.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct AccountRow {
    /// The role of a user; `None` for operators.
    pub(in crate::modules::repositories) role: Option<String>,
    pub(in crate::modules::repositories) session_epoch: Option<String>,
    /// Of a user whose address is unconfirmed.
    pub(in crate::modules::repositories) unverified: Option<Value>,
}

/// One entry of the revocation log: sessions of this account have ended.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct RevocationRow {
    pub(in crate::modules::repositories) number: i64,
    pub(in crate::modules::repositories) owner: String,
}

/// The number of entries that the revocation log has had.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct RevocationHeadRow {
    pub(in crate::modules::repositories) number: i64,
}

impl RevocationHeadRow {
    pub(in crate::modules::repositories) fn key() -> RecordId {
        record("revocation_head", [Value::Number(Number::Int(0))])
    }
}
