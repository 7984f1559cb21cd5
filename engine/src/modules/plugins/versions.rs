//! The rules of versions: how they come, what becomes of them, and how they go with their bytes.
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

/// How long an upload may take to be written; what is left of older ones is taken away.
const UPLOAD_LASTS_MAX: SignedDuration = SignedDuration::from_hours(1);
/// Uploads of a tenant that have begun and not ended, those that broke off within the hour included. It bounds what they
/// leave in the store.
const UPLOADS_BEGUN_MAX: u32 = 32;

/// Reads the bytes of versions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PluginBytes(Arc<PluginsRepository>);

impl PluginBytes {
    /// Reads a version's bytes; none if it is gone.
    pub(crate) async fn read(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
    ) -> Result<Option<Vec<u8>>> {
        self.0.read_bytes(tenant, hash).await
    }
}

impl PluginsModule {
    /// Writes a new version as `compiling`, its bytes first. Returns the one that is there if these bytes were uploaded
    /// before; one that was rejected for a reason that may have passed is to be compiled again.
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
        // Not if this upload's version is there after all: the answer to writing it was lost then.
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
                format!("This very component was uploaded as `{}`.", known.name),
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

    /// The bytes of all versions, to read one's when it is its turn.
    pub(crate) fn stored_bytes(&self) -> PluginBytes {
        PluginBytes(self.repository.clone())
    }

    /// Writes what became of a version that was to be compiled. Returns false if it was not any more: it was deleted, or
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

    /// Writes that a version that was ready cannot be loaded, unless it is in use: then hosts with other limits may need it.
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

    /// Deletes a version that is not in use and that nothing goes back to, and its bytes.
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

    /// Takes away what a tenant's uploads left that broke off: a few at a time.
    pub(crate) async fn sweep_uploads(&self, tenant: &TenantId) -> Result<()> {
        let before = uploads_overdue(self.context.now())?;
        self.repository.sweep_uploads(tenant, before).await
    }
}

/// The moment before which an upload began that has broken off.
pub(in crate::modules) fn uploads_overdue(now: Timestamp) -> Result<Timestamp> {
    now.saturating_sub(UPLOAD_LASTS_MAX)
        .map_err(Error::internal)
}

/// The plugin that uses a version, or would go back to it.
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
                "This tenant has {versions_max} versions of plugins, as many as it may. Delete some that are not in use."
            ),
        );
    }
    if error.is_guard(UPLOADS_FULL) {
        return Error::new(
            ErrorCode::TooManyRequests,
            format!(
                "{UPLOADS_BEGUN_MAX} uploads of this tenant are being written, or broke off within the last hour. Try again later."
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
