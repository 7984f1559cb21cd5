//! Storage steps of API keys. Called by the API keys module; calls models.

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    db::{Db, Script},
    delivery_admin::add_audit,
    models::{ApiKeyRow, key_text, millisecond},
    notifications::{NewMails, add_mails},
    sessions::log_entry,
    users::owners,
};
use crate::{
    error::Result,
    types::{ApiKey, AuditEntry, TenantId, UserId},
};

/// The guard's word when somebody else has deleted a key.
const KEY_GONE: &str = "key-gone";

pub(in crate::modules) struct ApiKeysRepository {
    db: Db,
}

impl ApiKeysRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// The first `max` of a tenant's owners who may sign in.
    pub(in crate::modules) async fn owners(
        &self,
        tenant: &TenantId,
        max: usize,
    ) -> Result<Vec<UserId>> {
        owners(&self.db, tenant, max).await
    }

    /// Writes a new key under the hash of its secret, with its audit entry and the mails that tell of it: 4 rows.
    pub(in crate::modules) async fn insert(
        &self,
        tenant: &TenantId,
        (hash, key): (&str, &ApiKey),
        mails: &NewMails,
        (serial, audit): (Ulid, &AuditEntry),
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        script.insert("api_key", [ApiKeyRow::of(tenant, hash, key)]);
        add_mails(&mut script, tenant, mails)?;
        add_audit(&mut script, Some(tenant), serial, audit);
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// The key of a secret with this hash.
    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        hash: &str,
    ) -> Result<Option<ApiKey>> {
        let mut script = Script::of(tenant);
        let index = script.read(ApiKeyRow::key(tenant, hash));
        let row: Option<ApiKeyRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(ApiKeyRow::into_type).transpose()
    }

    /// A tenant's keys with the hashes of their secrets, in no order. Their number is limited, so the range may be read to its
    /// end.
    pub(in crate::modules) async fn list(
        &self,
        tenant: &TenantId,
    ) -> Result<Vec<(String, ApiKey)>> {
        let mut script = Script::of(tenant);
        let index = script.read_under("api_key", [tenant.as_str().to_owned()]);
        let rows: Vec<ApiKeyRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let read = |row: ApiKeyRow| Ok((key_text(&row.id, 1)?.to_owned(), row.into_type()?));
        rows.into_iter().map(read).collect()
    }

    /// Deletes a key by the hash of its secret, and writes that to the revocation log under `owner`: 5 rows. Returns false if it
    /// was not there.
    pub(in crate::modules) async fn delete(
        &self,
        tenant: &TenantId,
        hash: &str,
        owner: &str,
        (serial, audit): (Ulid, &AuditEntry),
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        let key = script.bind(ApiKeyRow::key(tenant, hash));
        script.require(format!("DELETE {key} RETURN BEFORE"), KEY_GONE);
        let log = log_entry(&mut script, owner);
        script.push(format!("{{ {log} }}"));
        add_audit(&mut script, Some(tenant), serial, audit);
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_guard(KEY_GONE) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes when a key was last used: 1 row, if it is still there.
    pub(in crate::modules) async fn note_use(
        &self,
        tenant: &TenantId,
        hash: &str,
        at: Timestamp,
    ) -> Result<()> {
        let mut script = Script::of(tenant);
        let key = script.bind(ApiKeyRow::key(tenant, hash));
        let at = script.bind(millisecond(at));
        script.push(format!("UPDATE {key} SET last_used_at = {at} RETURN NONE"));
        self.db.run_retrying(&script).await?;
        Ok(())
    }
}
