//! Storage steps of versions and their bytes. Called by the plugins module; calls models.
//!
//! Bytes are written in chunks under the id of their upload, before the version that names this upload. So two uploads of
//! the same content never share chunks, and deleting a version takes its own bytes with it and no others.

use jiff::Timestamp;
use ulid::Ulid;

use super::{PluginsRepository, add_policy_guard};
use crate::{
    error::Result,
    modules::repositories::{
        db::{Script, StepError},
        models::{
            PluginBytesRow, PluginChunkRow, PluginMomentRow, PluginRow, PluginStateRow,
            millisecond, plugin_count_key,
        },
        plugins::STALE_POLICIES,
    },
    types::{
        PageRequest, PluginFacts, PluginHash, PluginName, PluginState, PluginVersion, TenantId,
    },
};

/// The guard's word when a tenant has the maximum number of versions.
pub(in crate::modules) const VERSIONS_FULL: &str = "plugin-versions-full";
/// The guard's word when a tenant has the maximum number of unfinished uploads.
pub(in crate::modules) const UPLOADS_FULL: &str = "plugin-uploads-full";
/// The guard's word when an upload took so long that its bytes were deleted.
pub(in crate::modules) const UPLOAD_SWEPT: &str = "plugin-upload-swept";

/// Interrupted uploads that one step handles.
const BROKEN_UPLOADS_MAX: u32 = 8;
/// Bytes of a chunk: well below the limit of a message to a server.
const CHUNK_BYTES: usize = 512 * 1024;

impl PluginsRepository {
    /// Records the start of an upload: 1 row.
    ///
    /// # Errors
    /// The guard's word [`UPLOADS_FULL`] if the tenant has `most` unfinished ones.
    pub(in crate::modules) async fn begin_upload(
        &self,
        tenant: &TenantId,
        (hash, upload): (PluginHash, Ulid),
        now: Timestamp,
        most: u32,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        let row = PluginMomentRow::upload(tenant, hash, upload, now);
        let (key, row) = (script.bind(row.id.clone()), script.bind(row));
        let (limit, most) = (script.bind(i64::from(most)), script.bind(i64::from(most)));
        script.push(format!(
            "LET $begun = array::len((SELECT VALUE id FROM type::record('plugin_upload', [$tenant]..[$tenant, ..]) LIMIT {limit}))"
        ));
        script.push(format!("IF $begun >= {most} {{ THROW '{UPLOADS_FULL}' }}"));
        script.push(format!("UPSERT {key} CONTENT {row} RETURN NONE"));
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Writes an upload's bytes, a transaction for each 512 KiB. They are invisible until the version is written.
    pub(in crate::modules) async fn write_bytes(
        &self,
        tenant: &TenantId,
        (hash, upload): (PluginHash, Ulid),
        bytes: &[u8],
    ) -> Result<()> {
        let upload = upload.to_string();
        for (number, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
            let mut script = Script::transaction(tenant);
            let row = PluginChunkRow::of(tenant, (hash, &upload), number, chunk);
            let (key, row) = (script.bind(row.id.clone()), script.bind(row));
            script.push(format!("UPSERT {key} CONTENT {row} RETURN NONE"));
            self.db.run_retrying(&script).await?;
        }
        Ok(())
    }

    /// Reads a version's bytes; `None` if it was deleted.
    pub(in crate::modules) async fn read_bytes(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
    ) -> Result<Option<Vec<u8>>> {
        let mut script = Script::of(tenant);
        let key = script.bind(PluginRow::key(tenant, hash));
        let index = script.push(format!("SELECT upload, size_bytes FROM ONLY {key}"));
        let row: Option<PluginBytesRow> = self.db.run_retrying(&script).await?.row(index)?;
        let Some(row) = row else {
            return Ok(None);
        };
        let size = usize::try_from(row.size_bytes).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(size.min(64 * 1024 * 1024));
        for number in 0..size.div_ceil(CHUNK_BYTES) {
            let mut script = Script::of(tenant);
            let index = script.read(PluginChunkRow::key(tenant, (hash, &row.upload), number));
            let chunk: Option<PluginChunkRow> = self.db.run_retrying(&script).await?.row(index)?;
            match chunk {
                Some(chunk) => bytes.extend_from_slice(&chunk.into_bytes()),
                // Deleted since its row was read, because both are deleted together.
                None => return Ok(None),
            }
        }
        Ok(Some(bytes))
    }

    /// Deletes the remains of a tenant's uploads that were interrupted before `before`: at most 8 of them.
    pub(in crate::modules) async fn sweep_uploads(
        &self,
        tenant: &TenantId,
        before: Timestamp,
    ) -> Result<()> {
        let mut script = Script::of(tenant);
        let limit = script.bind(BROKEN_UPLOADS_MAX);
        let at = script.bind(millisecond(before));
        let index = script.push(format!(
            "SELECT * FROM type::record('plugin_upload', [$tenant]..[$tenant, ..]) WHERE at < {at} LIMIT {limit}"
        ));
        let broken: Vec<PluginMomentRow> = self.db.run_retrying(&script).await?.rows(index)?;
        for row in &broken {
            self.discard_upload(tenant, row.upload_id()?, Some(before))
                .await?;
        }
        Ok(())
    }

    /// Deletes an upload's record and its bytes, unless a version names it; with a time only if it began before it.
    pub(in crate::modules) async fn discard_upload(
        &self,
        tenant: &TenantId,
        (hash, upload): (PluginHash, Ulid),
        before: Option<Timestamp>,
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        let key = script.bind(PluginMomentRow::upload_key(tenant, hash, upload));
        let version = script.bind(PluginRow::key(tenant, hash));
        let (name, upload) = (
            script.bind(hash.to_string()),
            script.bind(upload.to_string()),
        );
        let condition = match before {
            Some(before) => format!(" WHERE at < {}", script.bind(millisecond(before))),
            None => String::new(),
        };
        script.push(format!(
            "LET $gone = (DELETE {key}{condition} RETURN BEFORE)"
        ));
        script.push(format!(
            "LET $named = (SELECT VALUE upload FROM ONLY {version} FOR UPDATE)"
        ));
        script.push(format!(
            "IF array::len($gone) > 0 AND $named != {upload} {{ \
             DELETE plugin_chunk:[$tenant, {name}, {upload}]..[$tenant, {name}, {upload}, ..] RETURN NONE }}"
        ));
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Writes a new version over the bytes of an upload: 3 rows. Returns false if it is there.
    ///
    /// # Errors
    /// The guard's word [`VERSIONS_FULL`] if the tenant has `versions_max` already, [`UPLOAD_SWEPT`] if the bytes were
    /// deleted meanwhile.
    pub(in crate::modules) async fn insert(
        &self,
        tenant: &TenantId,
        version: &PluginVersion,
        upload: Ulid,
        versions_max: u32,
    ) -> Result<bool, StepError> {
        let mut script = Script::transaction(tenant);
        let row = script.bind(PluginRow::compiling(tenant, version, upload));
        script.push(format!("INSERT INTO plugin {row} RETURN NONE"));
        let count = script.bind(plugin_count_key(tenant));
        let most = script.bind(i64::from(versions_max));
        script.push(format!(
            "LET $count = (SELECT VALUE versions FROM ONLY {count}) ?? 0"
        ));
        script.push(format!("IF $count >= {most} {{ THROW '{VERSIONS_FULL}' }}"));
        script.push(format!(
            "UPSERT {count} SET versions = $count + 1 RETURN NONE"
        ));
        let note = script.bind(PluginMomentRow::upload_key(tenant, version.hash, upload));
        script.require(format!("DELETE {note} RETURN BEFORE"), UPLOAD_SWEPT);
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(StepError::Exists(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a version and its bytes, if the active set still has the version that was read. Returns whether it was.
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
        script.push("LET $upload = $gone[0].upload");
        script.push(format!(
            "IF array::len($gone) > 0 {{ UPDATE {count} SET versions -= 1 RETURN NONE; \
             DELETE plugin_chunk:[$tenant, {name}, $upload]..[$tenant, {name}, $upload, ..] RETURN NONE }}"
        ));
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_guard(STALE_POLICIES) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the result of compiling a version, if it is still `compiling`: 1 row. Returns whether it was.
    pub(in crate::modules) async fn settle(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
        state: &PluginState,
        facts: &PluginFacts,
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        let key = script.bind(PluginRow::key(tenant, hash));
        let row = script.bind(PluginStateRow::of(state, facts));
        let index = script.push(format!(
            "UPDATE {key} MERGE {row} WHERE state = 'compiling' RETURN VALUE name"
        ));
        let changed: Vec<String> = self.db.run_retrying(&script).await?.rows(index)?;
        Ok(!changed.is_empty())
    }

    /// Sets a version that was rejected for a temporary reason to `compiling`: 1 row.
    pub(in crate::modules) async fn compile_again(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        let key = script.bind(PluginRow::key(tenant, hash));
        script.push(format!(
            "UPDATE {key} SET state = 'compiling', reason = NONE, may_retry = false \
             WHERE state = 'rejected' AND may_retry RETURN NONE"
        ));
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Marks a ready version as one that cannot be loaded, if the active set still has the version that was read:
    /// 1 row. Returns whether it was.
    pub(in crate::modules) async fn reject_ready(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
        reason: &str,
        seen: u64,
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        add_policy_guard(&mut script, tenant, seen);
        let key = script.bind(PluginRow::key(tenant, hash));
        let reason = script.bind(reason.to_owned());
        script.push(format!(
            "UPDATE {key} SET state = 'rejected', reason = {reason}, may_retry = true WHERE state = 'ready' RETURN NONE"
        ));
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_guard(STALE_POLICIES) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
    ) -> Result<Option<PluginVersion>> {
        let mut script = Script::of(tenant);
        let index = script.read(PluginRow::key(tenant, hash));
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
}
