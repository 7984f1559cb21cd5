//! The rules of plugin versions: upload, state, and deletion with their bytes.
//!
//! Called by app_modules. Calls the plugins repository.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{PluginsModule, others_change};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::repositories::{
        CONFLICTS_MAX, PluginsRepository, StepError, UPLOAD_SWEPT, UPLOADS_FULL, VERSIONS_FULL,
    },
    modules::support::Attempts,
    types::{
        ActivePlugin, PluginFacts, PluginHash, PluginSet, PluginState, PluginVersion, TenantId,
    },
};

/// How long an upload may take to be written. Remains of older ones are deleted.
const UPLOAD_LASTS_MAX: SignedDuration = SignedDuration::from_hours(1);
/// Most unfinished uploads of a tenant, interrupted ones of the last hour included. Limits what they
/// leave in the store.
const UPLOADS_BEGUN_MAX: u32 = 32;

/// Reads the bytes of versions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PluginBytes(Arc<PluginsRepository>);

impl PluginBytes {
    /// Reads a version's bytes; `None` if it was deleted.
    pub(crate) async fn read(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
    ) -> Result<Option<Vec<u8>>> {
        self.0.read_bytes(tenant, hash).await
    }
}

impl PluginsModule {
    /// Writes a new version as `compiling`, its bytes first. Returns the existing one if these bytes were uploaded
    /// before. One that was rejected for a temporary reason is compiled again.
    ///
    /// # Errors
    /// `plugin-taken` if they were uploaded under another name, `too-many-plugins`.
    pub(crate) async fn insert(
        &self,
        tenant: &TenantId,
        version: PluginVersion,
        bytes: &[u8],
    ) -> Result<PluginVersion> {
        if let Some(known) = self.known(tenant, &version).await? {
            return self.again(tenant, known).await;
        }
        let now = self.context.now();
        self.sweep_uploads(tenant).await?;
        let upload = (version.hash, self.context.next_id());
        let begun = self
            .repository
            .begin_upload(tenant, upload, now, UPLOADS_BEGUN_MAX)
            .await;
        begun.map_err(|error| refused(error, 0))?;
        self.repository.write_bytes(tenant, upload, bytes).await?;
        let most = self.context.settings.limits.plugin_versions_max;
        let inserted = self
            .repository
            .insert(tenant, &version, upload.1, most)
            .await;
        if let Ok(true) = inserted {
            return Ok(version);
        }
        // Not if the version was written: then only the answer was lost.
        self.repository.discard_upload(tenant, upload, None).await?;
        match (self.known(tenant, &version).await?, inserted) {
            (Some(known), _) => self.again(tenant, known).await,
            (None, Err(error)) => Err(refused(error, most)),
            (None, Ok(_)) => Err(others_change()),
        }
    }

    async fn known(
        &self,
        tenant: &TenantId,
        version: &PluginVersion,
    ) -> Result<Option<PluginVersion>> {
        match self.repository.find(tenant, version.hash).await? {
            Some(known) if known.name != version.name => Err(Error::new(
                ErrorCode::PluginTaken,
                format!("This component was already uploaded as `{}`.", known.name),
            )),
            known => Ok(known),
        }
    }

    async fn again(&self, tenant: &TenantId, known: PluginVersion) -> Result<PluginVersion> {
        let PluginState::Rejected {
            may_retry: true, ..
        } = known.state
        else {
            return Ok(known);
        };
        self.repository.compile_again(tenant, known.hash).await?;
        let found = self.repository.find(tenant, known.hash).await?;
        found.ok_or_else(others_change)
    }

    pub(crate) async fn find(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
    ) -> Result<Option<PluginVersion>> {
        self.repository.find(tenant, hash).await
    }

    /// The source of all versions' bytes.
    pub(crate) fn stored_bytes(&self) -> PluginBytes {
        PluginBytes(self.repository.clone())
    }

    /// Writes the result of compiling a version. Returns false if it is not compiling any more: it was deleted, or
    /// another process was faster.
    pub(crate) async fn settle(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
        state: &PluginState,
        facts: &PluginFacts,
    ) -> Result<bool> {
        self.repository.settle(tenant, hash, state, facts).await
    }

    /// Marks a ready version as one that cannot be loaded, unless it is active, because hosts with other limits may need it.
    /// Returns whether it was written.
    pub(crate) async fn reject_ready(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
        reason: &str,
    ) -> Result<bool> {
        let mut attempts = Attempts::new("reject_plugin", CONFLICTS_MAX);
        while attempts.next().await.is_some() {
            let set = self.repository.set(tenant).await?;
            if user_of(&set, hash).is_some() {
                return Ok(false);
            }
            let written = self
                .repository
                .reject_ready(tenant, hash, reason, set.version)
                .await?;
            if written {
                return Ok(true);
            }
        }
        Err(others_change())
    }

    /// Deletes a version and its bytes, if it is not active and not kept for roll-back.
    ///
    /// # Errors
    /// `plugin-in-use`, `conflict-try-again`.
    pub(crate) async fn delete(&self, tenant: &TenantId, hash: PluginHash) -> Result<()> {
        let mut attempts = Attempts::new("delete_plugin", CONFLICTS_MAX);
        while attempts.next().await.is_some() {
            let set = self.repository.set(tenant).await?;
            if let Some(plugin) = user_of(&set, hash) {
                return Err(Error::new(
                    ErrorCode::PluginInUse,
                    format!(
                        "`{}` uses this version, or would go back to it. Take the plugin out of use first.",
                        plugin.name
                    ),
                ));
            }
            if self.repository.delete(tenant, hash, set.version).await? {
                return Ok(());
            }
        }
        Err(others_change())
    }

    /// Deletes the remains of a tenant's interrupted uploads, a few at a time.
    pub(crate) async fn sweep_uploads(&self, tenant: &TenantId) -> Result<()> {
        let before = uploads_overdue(self.context.now())?;
        self.repository.sweep_uploads(tenant, before).await
    }
}

/// The time before which an unfinished upload counts as interrupted.
pub(in crate::modules) fn uploads_overdue(now: Timestamp) -> Result<Timestamp> {
    now.saturating_sub(UPLOAD_LASTS_MAX)
        .map_err(Error::internal)
}

/// The plugin that uses a version, or keeps it for roll-back.
fn user_of(set: &PluginSet, hash: PluginHash) -> Option<&ActivePlugin> {
    set.plugins
        .iter()
        .find(|plugin| plugin.version == hash || plugin.previous.contains(&hash))
}

fn refused(error: StepError, versions_max: u32) -> Error {
    if error.is_guard(VERSIONS_FULL) {
        return Error::new(
            ErrorCode::TooManyPlugins,
            format!(
                "This tenant has {versions_max} plugin versions, the maximum. Delete some that are not active."
            ),
        );
    }
    if error.is_guard(UPLOADS_FULL) {
        return Error::new(
            ErrorCode::TooManyRequests,
            format!(
                "{UPLOADS_BEGUN_MAX} uploads of this tenant are being written, or were interrupted within the last \
                hour. Try again later."
            ),
        )
        .retry_after(std::time::Duration::from_secs(60));
    }
    if error.is_guard(UPLOAD_SWEPT) {
        return Error::new(
            ErrorCode::ConflictTryAgain,
            "Writing this upload took longer than an hour; send it again.",
        );
    }
    error.into()
}
