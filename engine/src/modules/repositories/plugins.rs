//! Storage steps of plugins. Called by the plugins module; calls models.

mod notes;

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    db::{Db, Script, StepError},
    models::{
        OwnerRow, PluginChunkRow, PluginMomentRow, PluginNoteRow, PluginRow, PluginSetRow,
        millisecond, plugin_count_key,
    },
    notifications::{NewMails, add_mails},
};
use crate::{
    Result,
    types::{
        DecisionRecord, NotificationId, PageRequest, PluginHash, PluginName, PluginQuarantine,
        PluginSet, PluginVersion, TenantId, UserId,
    },
};

/// The word a transaction stops with when what is in use is no longer what the step was decided on.
pub(in crate::modules) const POLICIES_MOVED: &str = "policies-moved";

/// The word a transaction stops with when a tenant has as many versions as it may.
pub(in crate::modules) const VERSIONS_FULL: &str = "plugin-versions-full";

/// The word a transaction stops with when the version that it would put into use is gone.
pub(in crate::modules) const VERSION_GONE: &str = "plugin-version-gone";

/// What owners are told when a plugin is set aside, and their mails.
#[derive(Debug, Clone)]
pub(in crate::modules) struct QuarantineNotice {
    pub(in crate::modules) notification: NotificationId,
    pub(in crate::modules) quarantine: PluginQuarantine,
    pub(in crate::modules) mails: NewMails,
}

/// Uploads that broke off which one step looks at.
const BROKEN_UPLOADS_MAX: u32 = 8;

/// Bytes of a chunk: well below what a message to a server may have.
const CHUNK_BYTES: usize = 512 * 1024;

/// Adds the guard of decisions: the set of plugins must still be at this version when the transaction commits.
///
/// `FOR UPDATE` has the store check at the commit that nobody wrote the record since it was read (snapshot isolation
/// alone would not notice); readers do not disturb each other. So a change of policies that was acknowledged is in
/// force for every booking that is acknowledged later.
pub(in crate::modules::repositories) fn add_policy_guard(
    script: &mut Script,
    tenant: &TenantId,
    version: u64,
) {
    let record = script.bind(PluginSetRow::key(tenant));
    let version = script.bind(version);
    script.push(format!(
        "LET $policies = (SELECT VALUE version FROM ONLY {record} FOR UPDATE)"
    ));
    script.push(format!(
        "IF ($policies ?? 0) != {version} {{ THROW '{POLICIES_MOVED}' }}"
    ));
}

/// Adds the question which version the set of plugins has, and answers where its result will be.
pub(in crate::modules::repositories) fn add_policy_version(
    script: &mut Script,
    tenant: &TenantId,
) -> usize {
    let record = script.bind(PluginSetRow::key(tenant));
    script.push(format!("SELECT VALUE version FROM ONLY {record}"))
}

/// Adds the records of what bookings were decided on: a row each.
pub(in crate::modules::repositories) fn add_decisions(
    script: &mut Script,
    tenant: &TenantId,
    decisions: &[(Ulid, DecisionRecord)],
) -> Result<(), StepError> {
    if decisions.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(decisions.len());
    for (serial, record) in decisions {
        let body = serde_json::to_string(record).map_err(|error| StepError::Other(error.into()))?;
        rows.push(PluginNoteRow::decision(tenant, *serial, body));
    }
    let rows = script.bind(rows);
    script.push(format!("INSERT INTO plugin_decision {rows} RETURN NONE"));
    Ok(())
}

pub(in crate::modules) struct PluginsRepository {
    db: Db,
}

impl PluginsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Writes a plugin's bytes, a transaction for each 512 KiB, after a note that they are being written. Until its version
    /// is written nobody sees them, and writing them again changes nothing.
    pub(in crate::modules) async fn write_bytes(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        let row = PluginMomentRow::upload(tenant, hash, now);
        let key = script.bind(row.id.clone());
        let row = script.bind(row);
        script.push(format!("UPSERT {key} CONTENT {row} RETURN NONE"));
        self.db.run_retrying(&script).await?;
        for (number, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
            let mut script = Script::transaction(tenant);
            let key = script.bind(PluginChunkRow::key(tenant, hash, number));
            let row = script.bind(PluginChunkRow::of(tenant, hash, number, chunk));
            script.push(format!("UPSERT {key} CONTENT {row} RETURN NONE"));
            self.db.run_retrying(&script).await?;
        }
        Ok(())
    }

    /// Reads a plugin's bytes back.
    pub(in crate::modules) async fn read_bytes(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
        size_bytes: u64,
    ) -> Result<Vec<u8>> {
        let size = usize::try_from(size_bytes).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(size.min(64 * 1024 * 1024));
        for number in 0..size.div_ceil(CHUNK_BYTES) {
            let mut script = Script::of(tenant);
            let key = script.bind(PluginChunkRow::key(tenant, hash, number));
            let index = script.push(format!("SELECT * FROM ONLY {key}"));
            let row: Option<PluginChunkRow> = self.db.run_retrying(&script).await?.row(index)?;
            let row = row.ok_or_else(|| crate::Error::internal("a plugin's bytes are gone"))?;
            bytes.extend_from_slice(&row.into_bytes());
        }
        Ok(bytes)
    }

    /// Takes away what uploads left that broke off before `before`: at most 8 of them, each with its chunks. What was
    /// uploaded again meanwhile stays.
    pub(in crate::modules) async fn sweep_uploads(
        &self,
        tenant: &TenantId,
        before: Timestamp,
    ) -> Result<usize> {
        let mut script = Script::of(tenant);
        let before = millisecond(before);
        let (limit, at) = (script.bind(BROKEN_UPLOADS_MAX), script.bind(before));
        let index = script.push(format!(
            "SELECT * FROM type::record('plugin_upload', [$tenant]..[$tenant, ..]) WHERE at < {at} LIMIT {limit}"
        ));
        let broken: Vec<PluginMomentRow> = self.db.run_retrying(&script).await?.rows(index)?;
        for row in &broken {
            let hash = row.hash()?;
            let mut script = Script::transaction(tenant);
            let (key, at) = (script.bind(row.id.clone()), script.bind(before));
            let version = script.bind(PluginRow::key(tenant, hash));
            let name = script.bind(hash.to_string());
            script.push(format!(
                "LET $gone = (DELETE {key} WHERE at < {at} RETURN BEFORE)"
            ));
            script.push(format!(
                "LET $version = (SELECT VALUE name FROM ONLY {version} FOR UPDATE)"
            ));
            script.push(format!(
                "IF array::len($gone) > 0 AND $version = NONE {{ \
                 DELETE plugin_chunk:[$tenant, {name}]..[$tenant, {name}, ..] RETURN NONE }}"
            ));
            self.db.run_retrying(&script).await?;
        }
        Ok(broken.len())
    }

    /// Writes a new version: 3 rows. Answers false if it is there.
    ///
    /// # Errors
    /// The guard's word [`VERSIONS_FULL`] if the tenant has `versions_max` already.
    pub(in crate::modules) async fn insert(
        &self,
        tenant: &TenantId,
        version: &PluginVersion,
        versions_max: u32,
    ) -> Result<bool, StepError> {
        let mut script = Script::transaction(tenant);
        let count = script.bind(plugin_count_key(tenant));
        let most = script.bind(i64::from(versions_max));
        script.push(format!(
            "LET $count = (SELECT VALUE versions FROM ONLY {count}) ?? 0"
        ));
        script.push(format!("IF $count >= {most} {{ THROW '{VERSIONS_FULL}' }}"));
        script.push(format!(
            "UPSERT {count} SET versions = $count + 1 RETURN NONE"
        ));
        let row = script.bind(PluginRow::of(tenant, version));
        script.push(format!("INSERT INTO plugin {row} RETURN NONE"));
        let upload = script.bind(PluginMomentRow::upload_key(tenant, version.hash));
        script.push(format!("DELETE {upload} RETURN NONE"));
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(StepError::Exists(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a version and its bytes, if what is in use still is at the version that was seen. Answers whether it was.
    pub(in crate::modules) async fn delete(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
        seen: u64,
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        add_policy_guard(&mut script, tenant, seen);
        let key = script.bind(PluginRow::key(tenant, hash));
        let count = script.bind(plugin_count_key(tenant));
        let name = script.bind(hash.to_string());
        script.push(format!("LET $gone = (DELETE {key} RETURN BEFORE)"));
        script.push(format!(
            "IF array::len($gone) > 0 {{ UPDATE {count} SET versions -= 1 RETURN NONE }}"
        ));
        script.push(format!(
            "DELETE plugin_chunk:[$tenant, {name}]..[$tenant, {name}, ..] RETURN NONE"
        ));
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_guard(POLICIES_MOVED) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes how far a version has come: 1 row.
    pub(in crate::modules) async fn update(
        &self,
        tenant: &TenantId,
        version: &PluginVersion,
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        let key = script.bind(PluginRow::key(tenant, version.hash));
        let row = script.bind(PluginRow::of(tenant, version));
        script.push(format!("UPDATE {key} CONTENT {row} RETURN NONE"));
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
    ) -> Result<Option<PluginVersion>> {
        let mut script = Script::of(tenant);
        let key = script.bind(PluginRow::key(tenant, hash));
        let index = script.push(format!("SELECT * FROM ONLY {key}"));
        let row: Option<PluginRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(PluginRow::into_type).transpose()
    }

    /// Whether a tenant has a version of this name.
    pub(in crate::modules) async fn has_name(
        &self,
        tenant: &TenantId,
        name: &PluginName,
    ) -> Result<bool> {
        let mut script = Script::of(tenant);
        let name = script.bind(name.as_str().to_owned());
        let index = script.push(format!(
            "SELECT * FROM type::record('plugin', [$tenant]..[$tenant, ..]) WHERE name = {name} LIMIT 1"
        ));
        let rows: Vec<PluginRow> = self.db.run_retrying(&script).await?.rows(index)?;
        Ok(!rows.is_empty())
    }

    /// A page of a tenant's versions, by hash; one more than it holds, if there are more.
    pub(in crate::modules) async fn list(
        &self,
        tenant: &TenantId,
        after: Option<PluginHash>,
        page: &PageRequest,
    ) -> Result<Vec<PluginVersion>> {
        let mut script = Script::of(tenant);
        let limit = script.bind(i64::from(page.limit) + 1);
        let start = match after {
            Some(hash) => format!("[$tenant, {}]>", script.bind(hash.to_string())),
            None => "[$tenant]".to_owned(),
        };
        let index = script.push(format!(
            "SELECT * FROM type::record('plugin', {start}..[$tenant, ..]) LIMIT {limit}"
        ));
        let rows: Vec<PluginRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(PluginRow::into_type).collect()
    }

    /// What is in use; an empty set of version 0 if nothing ever was.
    pub(in crate::modules) async fn set(&self, tenant: &TenantId) -> Result<PluginSet> {
        let mut script = Script::of(tenant);
        let key = script.bind(PluginSetRow::key(tenant));
        let index = script.push(format!("SELECT * FROM ONLY {key}"));
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
        let mut script = Script::of(tenant);
        let max = script.bind(max as i64);
        let index = script.push(format!(
            "SELECT * FROM type::record('owner', [$tenant]..[$tenant, ..]) LIMIT {max}"
        ));
        let rows: Vec<OwnerRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.iter().map(OwnerRow::user).collect()
    }

    /// What owners are told by a notification of this kind.
    pub(in crate::modules) async fn find_quarantine(
        &self,
        tenant: &TenantId,
        notification: NotificationId,
    ) -> Result<Option<PluginQuarantine>> {
        let mut script = Script::of(tenant);
        let key = PluginNoteRow::quarantine(tenant, notification, String::new()).id;
        let key = script.bind(key);
        let index = script.push(format!("SELECT * FROM ONLY {key}"));
        let row: Option<PluginNoteRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(|row| parsed(&row)).transpose()
    }

    /// Writes what is in use if it still is at the version that was seen, and every version that is new in it is there, and
    /// what owners are told of it: 1 row, and 3 more with mails. Answers whether it was.
    pub(in crate::modules) async fn replace_set(
        &self,
        tenant: &TenantId,
        seen: u64,
        set: &PluginSet,
        new: &[PluginHash],
        notice: Option<&QuarantineNotice>,
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
            script.push(format!(
                "LET $moved = (UPDATE {key} CONTENT {row} WHERE version = {seen} RETURN VALUE version)"
            ));
            script.push(format!(
                "IF array::len($moved) = 0 {{ THROW '{POLICIES_MOVED}' }}"
            ));
        }
        if let Some(notice) = notice {
            let body = serde_json::to_string(&notice.quarantine)
                .map_err(|error| StepError::Other(error.into()))?;
            let row = PluginNoteRow::quarantine(tenant, notice.notification, body);
            let row = script.bind(row);
            script.push(format!("INSERT INTO plugin_quarantine {row} RETURN NONE"));
            add_mails(&mut script, tenant, &notice.mails)?;
        }
        match self.db.run(&script).await {
            Ok(_) => Ok(true),
            Err(StepError::Conflict | StepError::Exists(_)) => Ok(false),
            Err(error) if error.is_guard(POLICIES_MOVED) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn parsed<T: serde::de::DeserializeOwned>(row: &PluginNoteRow) -> Result<T> {
    serde_json::from_str(&row.body).map_err(crate::Error::internal)
}
