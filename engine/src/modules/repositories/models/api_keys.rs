//! The row of an API key. Its key has the hash of the secret: there is no other way from a secret to its row.

use jiff::Timestamp;
use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{at_millisecond, millisecond, record};
use crate::{
    error::{Error, Result},
    types::{ApiKey, Label, Scope, TenantId},
};

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ApiKeyRow {
    pub(in crate::modules::repositories) id: RecordId,
    /// The public id.
    key: String,
    name: String,
    /// Names of scopes, separated by spaces.
    scopes: String,
    created_by: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
}

impl ApiKeyRow {
    /// The record of a key, by the SHA-256 of its secret as hexadecimal digits.
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, hash: &str) -> RecordId {
        let parts = [tenant.as_str(), hash];
        record("api_key", parts.map(|part| Value::String(part.to_owned())))
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        hash: &str,
        key: &ApiKey,
    ) -> Self {
        let scopes: Vec<&str> = key.scopes.iter().map(Scope::as_str).collect();
        Self {
            id: Self::key(tenant, hash),
            key: key.id.to_string(),
            name: key.name.as_str().to_owned(),
            scopes: scopes.join(" "),
            created_by: key.created_by.map(|user| user.to_string()),
            created_at: millisecond(key.created_at),
            expires_at: key.expires_at.map(millisecond),
            last_used_at: key.last_used_at.map(millisecond),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<ApiKey> {
        let at = |moment: Option<i64>| -> Result<Option<Timestamp>> {
            moment.map(at_millisecond).transpose()
        };
        let created_by = self.created_by.map(|user| user.parse()).transpose();
        // A scope that a newer program wrote is none of ours.
        let scopes = self.scopes.split(' ').filter_map(|name| name.parse().ok());
        Ok(ApiKey {
            id: self.key.parse().map_err(Error::internal)?,
            name: Label::stored(self.name),
            scopes: scopes.collect(),
            created_by: created_by.map_err(Error::internal)?,
            created_at: at_millisecond(self.created_at)?,
            expires_at: at(self.expires_at)?,
            last_used_at: at(self.last_used_at)?,
        })
    }
}
