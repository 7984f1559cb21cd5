//! Whether this process has loaded every active plugin. Missing ones are loaded in the background.
//!
//! Called by readiness checks. Calls the housekeeping and plugins modules and the plugin runtime port.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::PluginReadiness,
    ports::{LoadFailure, PluginRef, PluginRuntime},
    types::{ActivePlugin, PluginHash, TenantId},
};

/// How long an answer is valid. Load balancers ask every few seconds; a walk over the sets of a thousand tenants takes
/// some milliseconds.
const ANSWER_VALID_FOR: Duration = Duration::from_secs(2);
/// Most plugins that an answer names.
const NAMED_MAX: usize = 3;
/// Plugins that are loaded at the same time: one that takes long holds up none that is compiled already.
const LOADED_AT_ONCE: usize = 4;
/// How often a plugin is tried again after a temporary failure. After that it no longer keeps this process from being
/// ready, because one tenant's plugin must not stop the service for others.
const TRIES_MAX: u32 = 3;

impl EngineContext {
    /// Refuses while a plugin that is in use is not loaded here yet. One that this host rejects, that is beyond its limits,
    /// or that take too long: their tenant's bookings are refused, and waiting would not help.
    pub(crate) async fn has_all_plugins(self: &Arc<Self>) -> Result<()> {
        let Some(runtime) = self.plugins.clone() else {
            return Ok(());
        };
        self.sweep_kept();
        let mut readiness = self.plugin_readiness.lock().await;
        if readiness
            .looked_at
            .is_none_or(|looked| looked.elapsed() >= ANSWER_VALID_FOR)
        {
            self.look(&mut readiness).await?;
        }
        readiness
            .missing
            .retain(|plugin, _| !runtime.is_loaded(plugin));
        if readiness.missing.is_empty() {
            return Ok(());
        }
        if !readiness.is_loading {
            readiness.is_loading = true;
            let missing: Vec<PluginRef> = readiness.missing.keys().cloned().collect();
            let inner = self.clone();
            tokio::spawn(async move { inner.load_missing(runtime, missing).await });
        }
        // Without the tenants' names, because the caller is not signed in.
        let mut named: Vec<String> = readiness
            .missing
            .keys()
            .map(|own| short(own.hash))
            .collect();
        named.sort_unstable();
        named.truncate(NAMED_MAX);
        Err(Error::new(
            ErrorCode::Unavailable,
            format!(
                "{} plugins in use are not on this host yet: {}{}",
                readiness.missing.len(),
                named.join(", "),
                if readiness.missing.len() > NAMED_MAX {
                    ", …"
                } else {
                    "."
                }
            ),
        )
        .retry_after(Duration::from_secs(2)))
    }

    /// Finds active plugins that are not loaded, in the sets that changed since the last read.
    async fn look(&self, readiness: &mut PluginReadiness) -> Result<()> {
        let mut after: Option<TenantId> = None;
        loop {
            let sets = self
                .modules
                .housekeeping
                .plugin_sets(after.as_ref())
                .await?;
            let Some((last, _)) = sets.last() else { break };
            after = Some(last.clone());
            for (tenant, version) in sets {
                if readiness.sets.get(&tenant) == Some(&version) {
                    continue;
                }
                let set = self.modules.plugins.fresh_set(&tenant).await?;
                readiness
                    .missing
                    .retain(|plugin, _| plugin.tenant != tenant);
                // A built-in policy is there, or not, with the program.
                let asked = |plugin: &&ActivePlugin| {
                    plugin.enabled
                        && plugin.name.built_in().is_none()
                        && plugin.open_quarantines().next().is_none()
                };
                for plugin in set.plugins.iter().filter(asked) {
                    let plugin = PluginRef {
                        tenant: tenant.clone(),
                        hash: plugin.version,
                    };
                    readiness.missing.insert(plugin, 0);
                }
                readiness.sets.insert(tenant, set.version);
            }
        }
        readiness.looked_at = Some(Instant::now());
        Ok(())
    }

    /// Loads plugins, a few at a time.
    async fn load_missing(&self, runtime: Arc<dyn PluginRuntime>, missing: Vec<PluginRef>) {
        let runtime = runtime.as_ref();
        stream::iter(missing)
            .for_each_concurrent(LOADED_AT_ONCE, |plugin| self.load_one(runtime, plugin))
            .await;
        self.plugin_readiness.lock().await.is_loading = false;
    }

    async fn load_one(&self, runtime: &dyn PluginRuntime, plugin: PluginRef) {
        let loaded = self.load_stored(runtime, &plugin).await;
        let mut readiness = self.plugin_readiness.lock().await;
        let Some(tries) = readiness.missing.get_mut(&plugin) else {
            return;
        };
        *tries += 1;
        let is_last = *tries >= TRIES_MAX;
        let (tenant, version) = (&plugin.tenant, plugin.hash);
        let goes_on = match loaded {
            // It may have been evicted since then. It is loaded again when it is needed.
            Ok(_) => false,
            Err(LoadFailure::Unavailable(reason)) if !is_last => {
                tracing::warn!(%tenant, %version, reason, "loading an active plugin failed; the next readiness check retries");
                true
            }
            Err(failure) => {
                tracing::error!(%tenant, %version, reason = %failure, "an active plugin cannot be loaded on this \
                    host; bookings of its tenant are refused here");
                false
            }
        };
        if !goes_on {
            readiness.missing.remove(&plugin);
        }
    }
}

fn short(hash: PluginHash) -> String {
    hash.to_string().chars().take(12).collect()
}
