//! Storage steps of API keys. Called by the API keys module; calls models.

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    db::{Db, Script},
    delivery_admin::add_audit,
    models::{ApiKeyRow, millisecond},
    sessions::log_entry,
};
use crate::{
    error::Result,
    types::{ApiKey, AuditEntry, TenantId},
};

pub(in crate::modules) struct ApiKeysRepository {
    db: Db,
}

impl ApiKeysRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Writes a new key under the hash of its secret, with its audit entry: 2 rows.
    pub(in crate::modules) async fn insert(
        &self,
        tenant: &TenantId,
        hash: &str,
        key: &ApiKey,
        (serial, audit): (Ulid, &AuditEntry),
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        script.insert("api_key", [ApiKeyRow::of(tenant, hash, key)]);
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

    /// A tenant's keys, in no order. Their number is limited, so the range may be read to its end.
    pub(in crate::modules) async fn list(&self, tenant: &TenantId) -> Result<Vec<ApiKey>> {
        let rows = self.rows(tenant).await?;
        rows.into_iter().map(ApiKeyRow::into_type).collect()
    }

    async fn rows(&self, tenant: &TenantId) -> Result<Vec<ApiKeyRow>> {
        let mut script = Script::of(tenant);
        let index = script.read_under("api_key", [tenant.as_str().to_owned()]);
        self.db.run_retrying(&script).await?.rows(index)
    }

    /// Deletes a key, and writes that to the revocation log under `owner`: 5 rows. Returns false if it was not there.
    pub(in crate::modules) async fn delete(
        &self,
        tenant: &TenantId,
        key: &ApiKey,
        owner: &str,
        (serial, audit): (Ulid, &AuditEntry),
    ) -> Result<bool> {
        for row in self.rows(tenant).await? {
            let id = row.id.clone();
            if row.into_type()?.id == key.id {
                let mut script = Script::transaction(tenant);
                script.remove([id]);
                let log = log_entry(&mut script, owner);
                script.push(format!("{{ {log} }}"));
                add_audit(&mut script, Some(tenant), serial, audit);
                self.db.run_retrying(&script).await?;
                return Ok(true);
            }
        }
        Ok(false)
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
