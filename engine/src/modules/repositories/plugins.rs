//! Storage steps of plugins. Called by the plugins module; calls models.

mod notes;
mod versions;

use std::sync::Arc;

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    db::{Db, Script, StepError},
    idempotency::add_recorded,
    models::{PluginNoteRow, PluginRow, PluginSetRow},
    notifications::{NewMails, add_mails},
    users::owners,
};
use crate::{
    error::Result,
    types::{
        NotificationId, PluginHash, PluginQuarantine, PluginSet, RecordedRequest, TenantId, UserId,
    },
};

/// The guard's word when the active set has changed.
pub(in crate::modules) const STALE_POLICIES: &str = "policies-moved";

pub(in crate::modules) use versions::{UPLOAD_SWEPT, UPLOADS_FULL, VERSIONS_FULL};

/// The guard's word when the version to activate was deleted.
pub(in crate::modules) const VERSION_GONE: &str = "plugin-version-gone";

/// The notice to owners about a quarantined plugin, and their mails.
#[derive(Debug, Clone)]
pub(in crate::modules) struct QuarantineNotice {
    pub(in crate::modules) notification: NotificationId,
    pub(in crate::modules) quarantine: PluginQuarantine,
    pub(in crate::modules) mails: NewMails,
}

/// The record of a request that changes the active set: the change's id, and the time.
pub(in crate::modules) type RecordedChange = (Ulid, Timestamp, RecordedRequest);

/// Adds the guard of decisions: the plugin set must still have this version when the transaction commits.
///
/// `FOR UPDATE` makes the store check at the commit that nobody wrote the record since it was read (snapshot isolation
/// alone would not notice); readers do not conflict. So an acknowledged change of policies applies to
/// every booking that is acknowledged later.
pub(in crate::modules::repositories) fn add_policy_guard(
    script: &mut Script,
    tenant: &TenantId,
    version: u64,
) {
    script.require_version(PluginSetRow::key(tenant), version, STALE_POLICIES);
}

/// Adds the records of decisions: a row each.
pub(in crate::modules::repositories) fn add_decisions(
    script: &mut Script,
    tenant: &TenantId,
    decisions: &[(Ulid, Arc<str>)],
) {
    let rows = decisions
        .iter()
        .map(|(serial, record)| PluginNoteRow::decision(tenant, *serial, record.to_string()));
    script.insert("plugin_decision", rows);
}

/// Writes what bookings were decided on in place of what was decided when their tickets were held: 1 row each.
pub(in crate::modules::repositories) fn replace_decisions(
    script: &mut Script,
    tenant: &TenantId,
    decisions: &[(Ulid, Arc<str>)],
) {
    for (serial, record) in decisions {
        let row = PluginNoteRow::decision(tenant, *serial, record.to_string());
        script.put(row.id.clone(), row);
    }
}

pub(in crate::modules) struct PluginsRepository {
    db: Db,
}

impl PluginsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// The active set; an empty set of version 0 if there never was one.
    pub(in crate::modules) async fn set(&self, tenant: &TenantId) -> Result<PluginSet> {
        let mut script = Script::of(tenant);
        let index = script.read(PluginSetRow::key(tenant));
        let row: Option<PluginSetRow> = self.db.run_retrying(&script).await?.row(index)?;
        Ok(row
            .map(PluginSetRow::into_type)
            .transpose()?
            .unwrap_or_default())
    }

    /// The first `max` of a tenant's owners.
    pub(in crate::modules) async fn owners(
        &self,
        tenant: &TenantId,
        max: usize,
    ) -> Result<Vec<UserId>> {
        owners(&self.db, tenant, max).await
    }

    /// The notice to owners of a notification.
    pub(in crate::modules) async fn find_quarantine(
        &self,
        tenant: &TenantId,
        notification: NotificationId,
    ) -> Result<Option<PluginQuarantine>> {
        let mut script = Script::of(tenant);
        let key = PluginNoteRow::quarantine(tenant, notification, String::new()).id;
        let index = script.read(key);
        let row: Option<PluginNoteRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(|row| parsed(&row)).transpose()
    }

    /// Writes the active set if it still has the version that was read and every newly activated version exists, and
    /// the notice to owners: 1 row, 3 more with mails, and 2 for the request's record. Returns whether it was written; the
    /// step fails as existing if the request's key was used meanwhile.
    pub(in crate::modules) async fn replace_set(
        &self,
        tenant: &TenantId,
        seen: u64,
        set: &PluginSet,
        new: &[PluginHash],
        notice: Option<&QuarantineNotice>,
        recorded: Option<RecordedChange>,
    ) -> Result<bool, StepError> {
        let mut script = Script::transaction(tenant);
        for hash in new {
            let key = script.bind(PluginRow::key(tenant, *hash));
            script.push(format!(
                "IF (SELECT VALUE name FROM ONLY {key} FOR UPDATE) = NONE {{ THROW '{VERSION_GONE}' }}"
            ));
        }
        let key = script.bind(PluginSetRow::key(tenant));
        let row = script.bind(PluginSetRow::of(tenant, set));
        if seen == 0 {
            script.push(format!("INSERT INTO plugin_set {row} RETURN NONE"));
        } else {
            let seen = script.bind(seen);
            script.require(
                format!("UPDATE {key} CONTENT {row} WHERE version = {seen} RETURN VALUE version"),
                STALE_POLICIES,
            );
        }
        if let Some(notice) = notice {
            let body = serde_json::to_string(&notice.quarantine)
                .map_err(|error| StepError::Other(error.into()))?;
            let row = PluginNoteRow::quarantine(tenant, notice.notification, body);
            let row = script.bind(row);
            script.push(format!("INSERT INTO plugin_quarantine {row} RETURN NONE"));
            add_mails(&mut script, tenant, &notice.mails)?;
        }
        add_recorded_change(&mut script, tenant, recorded);
        match self.db.run(script).await {
            Ok(_) => Ok(true),
            Err(StepError::Conflict) => Ok(false),
            // The first set of a tenant: another process wrote it first, and it is read the next time.
            Err(StepError::Exists(_)) if seen == 0 => Ok(false),
            Err(error) if error.is_guard(STALE_POLICIES) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes the record of a request that does not change the active set, if that still has the version that was
    /// read: 2 rows. Returns whether it was; the step fails as existing if the request's key was used meanwhile.
    pub(in crate::modules) async fn record_unchanged(
        &self,
        tenant: &TenantId,
        seen: u64,
        recorded: RecordedChange,
    ) -> Result<bool, StepError> {
        let mut script = Script::transaction(tenant);
        add_policy_guard(&mut script, tenant, seen);
        add_recorded_change(&mut script, tenant, Some(recorded));
        match self.db.run(script).await {
            Ok(_) => Ok(true),
            Err(StepError::Conflict) => Ok(false),
            Err(error) if error.is_guard(STALE_POLICIES) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn add_recorded_change(script: &mut Script, tenant: &TenantId, recorded: Option<RecordedChange>) {
    if let Some((change, at, recorded)) = recorded {
        add_recorded(script, tenant, change, &[recorded], at);
    }
}

fn parsed<T: serde::de::DeserializeOwned>(row: &PluginNoteRow) -> Result<T> {
    serde_json::from_str(&row.body).map_err(crate::error::Error::internal)
}
