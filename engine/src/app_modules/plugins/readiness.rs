//! Whether this process has loaded every active plugin. Missing ones are loaded in the background.
//!
//! Called by readiness checks. Calls the housekeeping and plugins modules and the plugin runtime port.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    ports::{LoadFailure, PluginRef, PluginRuntime},
    types::{PluginHash, TenantId},
};

/// How long a result is cached. Load balancers ask every few seconds, and reading the sets of a thousand tenants takes
/// some milliseconds.
const LOOKED_FOR: Duration = Duration::from_secs(2);
/// Most plugins that the error message names.
const NAMED_MAX: usize = 3;
/// Plugins that are loaded at the same time. A slow one does not delay those that are compiled already.
const BROUGHT_AT_ONCE: usize = 4;
/// Attempts to load a plugin, the first included. After the last one the plugin no longer keeps this process from being
/// ready, because one tenant's plugin must not stop the service for others.
const TRIES_MAX: u32 = 3;

/// What this process knows of the active plugins: which sets it has read, and which plugins are not loaded yet.
#[derive(Default)]
pub(crate) struct PluginReadiness {
    looked_at: Option<Instant>,
    /// The version of each tenant's set that was read: a number for each tenant with active plugins.
    sets: HashMap<TenantId, u64>,
    /// Active plugins that are not loaded yet, with the number of attempts.
    lacking: HashMap<PluginRef, u32>,
    /// Whether a task is loading the missing ones.
    is_bringing: bool,
}

impl EngineContext {
    /// Refuses while an active plugin is not loaded yet. This excludes plugins that this host rejects, that exceed its limits
    /// or that take too long: their tenant's bookings are refused, and waiting would not help.
    pub(crate) async fn has_all_plugins(self: &Arc<Self>) -> Result<()> {
        let Some(runtime) = self.plugins.clone() else {
            return Ok(());
        };
        self.sweep_kept();
        let mut brought = self.brought.lock().await;
        if brought
            .looked_at
            .is_none_or(|looked| looked.elapsed() >= LOOKED_FOR)
        {
            self.look(&mut brought).await?;
        }
        brought
            .lacking
            .retain(|plugin, _| !runtime.is_loaded(plugin));
        if brought.lacking.is_empty() {
            return Ok(());
        }
        if !brought.is_bringing {
            brought.is_bringing = true;
            let lacking: Vec<PluginRef> = brought.lacking.keys().cloned().collect();
            let inner = self.clone();
            tokio::spawn(async move { inner.bring(runtime, lacking).await });
        }
        // Without the tenants' names, because the caller is not signed in.
        let mut named: Vec<String> = brought.lacking.keys().map(|own| short(own.hash)).collect();
        named.sort_unstable();
        named.truncate(NAMED_MAX);
        Err(Error::new(
            ErrorCode::Unavailable,
            format!(
                "{} active plugins are not loaded on this host yet: {}{}",
                brought.lacking.len(),
                named.join(", "),
                if brought.lacking.len() > NAMED_MAX {
                    ", …"
                } else {
                    "."
                }
            ),
        )
        .retry_after(Duration::from_secs(2)))
    }

    /// Finds active plugins that are not loaded, in the sets that changed since the last read.
    async fn look(&self, brought: &mut PluginReadiness) -> Result<()> {
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
                if brought.sets.get(&tenant) == Some(&version) {
                    continue;
                }
                let set = self.modules.plugins.fresh_set(&tenant).await?;
                brought.lacking.retain(|plugin, _| plugin.tenant != tenant);
                let asked = |plugin: &&crate::types::ActivePlugin| {
                    plugin.enabled && plugin.open_quarantines().next().is_none()
                };
                for plugin in set.plugins.iter().filter(asked) {
                    let plugin = PluginRef {
                        tenant: tenant.clone(),
                        hash: plugin.version,
                    };
                    brought.lacking.insert(plugin, 0);
                }
                brought.sets.insert(tenant, set.version);
            }
        }
        brought.looked_at = Some(Instant::now());
        Ok(())
    }

    /// Loads plugins, a few at a time.
    async fn bring(&self, runtime: Arc<dyn PluginRuntime>, lacking: Vec<PluginRef>) {
        let runtime = runtime.as_ref();
        stream::iter(lacking)
            .for_each_concurrent(BROUGHT_AT_ONCE, |plugin| self.bring_one(runtime, plugin))
            .await;
        self.brought.lock().await.is_bringing = false;
    }

    async fn bring_one(&self, runtime: &dyn PluginRuntime, plugin: PluginRef) {
        let loaded = self.load_stored(runtime, &plugin).await;
        let mut brought = self.brought.lock().await;
        let Some(tries) = brought.lacking.get_mut(&plugin) else {
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
            brought.lacking.remove(&plugin);
        }
    }
}

fn short(hash: PluginHash) -> String {
    hash.to_string().chars().take(12).collect()
}
