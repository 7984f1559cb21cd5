//! Whether this process has every plugin that is in use: what it lacks is brought here behind the question.
//!
//! Called by readiness checks. Calls the housekeeping and plugins modules and the plugin runtime port.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Error, ErrorCode, Result,
    engine::Inner,
    ports::{LoadFailure, PluginRef, PluginRuntime},
    types::{PluginHash, TenantId},
};

/// How long an answer holds. Load balancers ask every few seconds; a walk over the sets of a thousand tenants takes
/// some milliseconds.
const LOOKED_FOR: Duration = Duration::from_secs(2);
/// Plugins that an answer names.
const NAMED_MAX: usize = 3;

/// What of the plugins in use has been brought to this process.
#[derive(Default)]
pub(crate) struct Brought {
    looked_at: Option<Instant>,
    /// The version of each tenant's set that was looked at: a number for each tenant that has plugins in use.
    sets: HashMap<TenantId, u64>,
    /// What is in use and not here yet.
    lacking: HashSet<PluginRef>,
    /// Whether a task brings what is lacking.
    is_bringing: bool,
}

impl Inner {
    /// Refuses while a plugin that is in use was not brought here yet. One that this host's compiler rejects is none of
    /// that: its own tenant's bookings are refused, and waiting would help nobody.
    pub(crate) async fn has_all_plugins(self: &Arc<Self>) -> Result<()> {
        let Some(runtime) = self.plugins.clone() else {
            return Ok(());
        };
        let mut brought = self.brought.lock().await;
        if brought
            .looked_at
            .is_none_or(|looked| looked.elapsed() >= LOOKED_FOR)
        {
            self.look(&mut brought).await?;
        }
        brought.lacking.retain(|plugin| !runtime.is_loaded(plugin));
        if brought.lacking.is_empty() {
            return Ok(());
        }
        if !brought.is_bringing {
            brought.is_bringing = true;
            let lacking: Vec<PluginRef> = brought.lacking.iter().cloned().collect();
            let inner = self.clone();
            tokio::spawn(async move { inner.bring(runtime, lacking).await });
        }
        // Not whose they are: whoever asks is not signed in.
        let mut named: Vec<String> = brought.lacking.iter().map(|own| short(own.hash)).collect();
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
    async fn look(&self, brought: &mut Brought) -> Result<()> {
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
                brought.lacking.retain(|plugin| plugin.tenant != tenant);
                let asked = |plugin: &&crate::types::ActivePlugin| {
                    plugin.enabled && plugin.open_quarantines().next().is_none()
                };
                for plugin in set.plugins.iter().filter(asked) {
                    brought.lacking.insert(PluginRef {
                        tenant: tenant.clone(),
                        hash: plugin.version,
                    });
                }
                brought.sets.insert(tenant, set.version);
            }
        }
        brought.looked_at = Some(Instant::now());
        Ok(())
    }

    /// Brings plugins here, one after the other.
    async fn bring(&self, runtime: Arc<dyn PluginRuntime>, lacking: Vec<PluginRef>) {
        for plugin in lacking {
            match self.load_stored(runtime.as_ref(), &plugin).await {
                Ok(Ok(())) => {}
                Ok(Err(LoadFailure::Rejected(reason))) => {
                    tracing::error!(tenant = %plugin.tenant, version = %plugin.hash, reason, "a plugin in use cannot be compiled on this host; its tenant's bookings are refused here");
                    self.brought.lock().await.lacking.remove(&plugin);
                }
                Ok(Err(LoadFailure::Unavailable(reason))) => {
                    tracing::warn!(tenant = %plugin.tenant, version = %plugin.hash, reason, "a plugin in use could not be loaded; the next readiness check tries again");
                }
                Err(error) => {
                    tracing::warn!(tenant = %plugin.tenant, version = %plugin.hash, %error, "a plugin in use could not be read; the next readiness check tries again");
                }
            }
        }
        self.brought.lock().await.is_bringing = false;
    }

    async fn load_stored(
        &self,
        runtime: &dyn PluginRuntime,
        plugin: &PluginRef,
    ) -> Result<Result<(), LoadFailure>> {
        let plugins = &self.modules.plugins;
        let version = plugins.find(&plugin.tenant, plugin.hash).await?;
        let version = version.ok_or_else(|| Error::not_found("plugin version", plugin.hash))?;
        let bytes: Arc<[u8]> = plugins.bytes(&plugin.tenant, &version).await?.into();
        Ok(runtime.load(plugin, bytes).await)
    }
}

fn short(hash: PluginHash) -> String {
    hash.to_string().chars().take(12).collect()
}
