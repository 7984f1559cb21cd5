//! Whether this process has every plugin that is in use: what it lacks is brought here behind the question.
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

/// How long an answer holds. Load balancers ask every few seconds; a walk over the sets of a thousand tenants takes
/// some milliseconds.
const LOOKED_FOR: Duration = Duration::from_secs(2);
/// Plugins that an answer names.
const NAMED_MAX: usize = 3;
/// Plugins that are brought at the same time: one that takes long holds up none that is compiled already.
const BROUGHT_AT_ONCE: usize = 4;
/// How often a plugin is tried whose loading failed for a reason that may pass. Behind that it keeps this process from being
/// ready no more: one tenant's plugin is no reason not to serve the others.
const TRIES_MAX: u32 = 3;

/// What of the plugins in use has been brought to this process.
#[derive(Default)]
pub(crate) struct PluginReadiness {
    looked_at: Option<Instant>,
    /// The version of each tenant's set that was looked at: a number for each tenant that has plugins in use.
    sets: HashMap<TenantId, u64>,
    /// What is in use and not here yet, and how often it was tried.
    lacking: HashMap<PluginRef, u32>,
    /// Whether a task brings what is lacking.
    is_bringing: bool,
}

impl EngineContext {
    /// Refuses while a plugin that is in use was not brought here yet. One that this host rejects, that is beyond its limits,
    /// or that takes too long is none of that: its own tenant's bookings are refused, and waiting would help nobody.
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
        // Not whose they are: whoever asks is not signed in.
        let mut named: Vec<String> = brought.lacking.keys().map(|own| short(own.hash)).collect();
        named.sort_unstable();
        named.truncate(NAMED_MAX);
        Err(Error::new(
            ErrorCode::Unavailable,
            format!(
                "{} plugins in use are not on this host yet: {}{}",
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

    /// Finds what is in use and not here, of the sets that changed since the last look.
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

    /// Brings plugins here, a few at a time.
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
            // Whether it is still loaded does not matter: what is asked for longest ago makes room, and comes back.
            Ok(_) => false,
            Err(LoadFailure::Unavailable(reason)) if !is_last => {
                tracing::warn!(%tenant, %version, reason, "a plugin in use could not be loaded; the next readiness check tries again");
                true
            }
            Err(failure) => {
                tracing::error!(%tenant, %version, reason = %failure, "a plugin in use cannot be loaded on this host; its tenant's bookings are refused here");
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
