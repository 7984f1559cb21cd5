//! From an upload to a usable version: compiling in the background, retrying what took too long, and
//! removing files of deleted versions.
//!
//! Called by the use cases of plugins, by readiness checks and by bookings. Calls the plugins module and the plugin runtime
//! port.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;

use super::Plugins;
use crate::{
    context::EngineContext,
    error::{Error, Result},
    locked::Locked as _,
    modules::PluginBytes,
    ports::{LoadFailure, LoadPurpose, PluginRef, PluginRuntime, PluginSource},
    types::{PluginFacts, PluginHash, PluginState, PluginVersion, TenantId},
};

/// How often a version is compiled before the engine gives up until somebody reads or uploads it again.
const TRIES_MAX: u32 = 3;
/// The pause before the second attempt. The one before the third is twice as long.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// How long a version that could not be compiled is not tried again, however often it is read.
const REST: Duration = Duration::from_secs(60);
/// The pause between two searches for files of deleted versions. Versions deleted at this host are removed at once.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

impl Plugins {
    /// Compiles a version in the background, if it is not compiled yet. Compiling twice gives the same state.
    pub(super) fn prepare(&self, tenant: &TenantId, version: &PluginVersion) {
        let (Ok(runtime), PluginState::Compiling) = (self.runtime(), &version.state) else {
            return;
        };
        let plugin = PluginRef {
            tenant: tenant.clone(),
            hash: version.hash,
        };
        if !self.0.preparing().insert(plugin.clone()) {
            return;
        }
        let inner = self.0.clone();
        tokio::spawn(async move {
            if let Err(error) = inner.compile(runtime.as_ref(), &plugin).await {
                tracing::warn!(tenant = %plugin.tenant, version = %plugin.hash, %error, "a plugin is not ready yet; \
                    reading it after a minute retries");
                let resting = Arc::downgrade(&inner);
                drop(inner);
                tokio::time::sleep(REST).await;
                if let Some(inner) = resting.upgrade() {
                    inner.preparing().remove(&plugin);
                }
                return;
            }
            inner.preparing().remove(&plugin);
        });
    }
}

impl EngineContext {
    fn preparing(&self) -> std::sync::MutexGuard<'_, std::collections::HashSet<PluginRef>> {
        self.preparing.locked()
    }

    /// Compiles a version and writes the result.
    async fn compile(&self, runtime: &dyn PluginRuntime, plugin: &PluginRef) -> Result<()> {
        let plugins = &self.modules.plugins;
        let found = plugins.find(&plugin.tenant, plugin.hash).await?;
        // Another task may have finished it meanwhile.
        if found.is_none_or(|version| version.state != PluginState::Compiling) {
            return Ok(());
        }
        let mut pause = RETRY_PAUSE;
        for attempt in 1.. {
            let loaded = runtime
                .load(plugin, self.stored(plugin), LoadPurpose::Upload)
                .await;
            let rejected = |reason, may_retry| PluginState::Rejected { reason, may_retry };
            let (state, facts) = match loaded {
                Ok(facts) => (PluginState::Ready, facts),
                Err(LoadFailure::Rejected(reason)) => (rejected(reason, false), none()),
                Err(LoadFailure::OverLimits(reason)) => (rejected(reason, true), none()),
                Err(LoadFailure::TimedOut(reason)) if attempt == TRIES_MAX => {
                    (rejected(reason, true), none())
                }
                Err(failure) => {
                    let found = plugins.find(&plugin.tenant, plugin.hash).await?;
                    if found.is_none() {
                        break;
                    }
                    if attempt == TRIES_MAX {
                        return Err(Error::internal(failure));
                    }
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    continue;
                }
            };
            let settled = plugins
                .settle(&plugin.tenant, plugin.hash, &state, &facts)
                .await?;
            if settled || plugins.find(&plugin.tenant, plugin.hash).await?.is_some() {
                return Ok(());
            }
            break;
        }
        // It was deleted meanwhile.
        runtime.forget(plugin);
        Ok(())
    }

    /// Loads a plugin that is active or on trial.
    pub(crate) async fn load_stored(
        &self,
        runtime: &dyn PluginRuntime,
        plugin: &PluginRef,
    ) -> Result<PluginFacts, LoadFailure> {
        runtime
            .load(plugin, self.stored(plugin), LoadPurpose::Use)
            .await
    }

    fn stored(&self, plugin: &PluginRef) -> Arc<dyn PluginSource> {
        Arc::new(Stored {
            bytes: self.modules.plugins.stored_bytes(),
            plugin: plugin.clone(),
        })
    }

    /// Marks a ready version as rejected, if this host refuses to load it and it is not active. Returns why
    /// this host refuses it; `None` if it failed for another reason.
    pub(super) async fn reject_if_refused(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
    ) -> Result<Option<String>> {
        let Some(runtime) = self.plugins.clone() else {
            return Ok(None);
        };
        let plugin = PluginRef {
            tenant: tenant.clone(),
            hash,
        };
        // The runtime remembers its refusals, so this compiles nothing.
        match self.load_stored(runtime.as_ref(), &plugin).await {
            Err(LoadFailure::Rejected(reason) | LoadFailure::OverLimits(reason)) => {
                let plugins = &self.modules.plugins;
                plugins.reject_ready(tenant, hash, &reason).await?;
                Ok(Some(reason))
            }
            _ => Ok(None),
        }
    }

    /// Removes this host's files of a deleted version.
    pub(super) async fn forget(&self, plugin: PluginRef) {
        if let Some(runtime) = self.plugins.clone() {
            // This may block on a disk.
            let _ = tokio::task::spawn_blocking(move || runtime.forget(&plugin)).await;
        }
    }

    /// Removes, in the background and from time to time, this host's files of versions that were deleted at other hosts or by
    /// a process that died meanwhile.
    pub(super) fn sweep_kept(self: &Arc<Self>) {
        let Some(runtime) = self.plugins.clone() else {
            return;
        };
        {
            let mut swept = self.kept_swept_at.locked();
            if swept.is_some_and(|swept| swept.elapsed() < SWEEP_EVERY) {
                return;
            }
            *swept = Some(Instant::now());
        }
        let inner = self.clone();
        tokio::spawn(async move {
            if let Err(error) = inner.sweep(runtime).await {
                tracing::warn!(%error, "finding files of deleted plugins failed");
            }
        });
    }

    async fn sweep(&self, runtime: Arc<dyn PluginRuntime>) -> Result<()> {
        let listing = runtime.clone();
        let kept = tokio::task::spawn_blocking(move || listing.kept()).await;
        for plugin in kept.map_err(Error::internal)? {
            let plugins = &self.modules.plugins;
            if plugins.find(&plugin.tenant, plugin.hash).await?.is_none() {
                self.forget(plugin).await;
            }
        }
        Ok(())
    }
}

fn none() -> PluginFacts {
    PluginFacts::default()
}

/// A version's bytes in the store.
struct Stored {
    bytes: PluginBytes,
    plugin: PluginRef,
}

#[async_trait]
impl PluginSource for Stored {
    async fn read(&self) -> Result<Arc<[u8]>, LoadFailure> {
        let found = self.bytes.read(&self.plugin.tenant, self.plugin.hash).await;
        match found {
            Ok(Some(bytes)) => Ok(bytes.into()),
            Ok(None) => Err(LoadFailure::Unavailable(
                "this version was deleted".to_owned(),
            )),
            Err(error) => Err(LoadFailure::Unavailable(format!(
                "its bytes could not be read: {error}"
            ))),
        }
    }
}
