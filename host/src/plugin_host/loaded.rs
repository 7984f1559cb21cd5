//! The loaded plugins, limited by the bytes of their machine code, in all and by tenant.
//!
//! Called by the plugin host.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use boxoffice_engine::{PluginFacts, TenantId, ports::PluginRef};

use super::{exports::Loaded, settings::PluginHostSettings};

use crate::locked::Locked as _;

/// Minimum memory of a loaded plugin without its machine code.
const OVERHEAD_BYTES: u64 = 64 * 1024;

/// The loaded plugins.
pub(super) struct LoadedSet {
    state: Mutex<State>,
    bytes_max: u64,
    tenant_bytes_max: u64,
}

#[derive(Default)]
struct State {
    kept: HashMap<PluginRef, Kept>,
    bytes: u64,
    tenants: HashMap<TenantId, u64>,
    /// Counts uses, to find the least recently used plugin.
    uses: u64,
}

struct Kept {
    loaded: Arc<Loaded>,
    facts: PluginFacts,
    bytes: u64,
    used: u64,
}

impl LoadedSet {
    pub(super) fn new(settings: &PluginHostSettings) -> Self {
        Self {
            state: Mutex::default(),
            bytes_max: settings.loaded_bytes_max,
            tenant_bytes_max: settings.tenant_loaded_bytes_max,
        }
    }

    /// A loaded plugin. It stays valid while somebody has it, even if it is evicted.
    pub(super) fn take(&self, plugin: &PluginRef) -> Option<Arc<Loaded>> {
        let mut state = self.locked();
        state.uses += 1;
        let used = state.uses;
        let found = state.kept.get_mut(plugin)?;
        found.used = used;
        Some(found.loaded.clone())
    }

    /// The parts of a loaded plugin.
    pub(super) fn facts(&self, plugin: &PluginRef) -> Option<PluginFacts> {
        self.locked()
            .kept
            .get(plugin)
            .map(|kept| kept.facts.clone())
    }

    /// Returns whether a plugin is loaded.
    pub(super) fn contains(&self, plugin: &PluginRef) -> bool {
        self.locked().kept.contains_key(plugin)
    }

    /// The loaded plugins, unordered.
    pub(super) fn list(&self) -> Vec<PluginRef> {
        self.locked().kept.keys().cloned().collect()
    }

    /// The bytes of all loaded plugins.
    #[cfg(test)]
    fn bytes(&self) -> u64 {
        self.locked().bytes
    }

    /// Adds a loaded plugin; evicts the least recently used ones, the tenant's own first.
    pub(super) fn keep(
        &self,
        plugin: &PluginRef,
        loaded: Arc<Loaded>,
        facts: PluginFacts,
        code_bytes: u64,
    ) {
        let bytes = code_bytes + OVERHEAD_BYTES;
        let mut state = self.locked();
        state.remove(plugin);
        let own = |state: &State| state.tenants.get(&plugin.tenant).copied().unwrap_or(0);
        while own(&state) > 0 && own(&state) + bytes > self.tenant_bytes_max {
            state.remove_oldest(|other| other.tenant == plugin.tenant);
        }
        while state.bytes > 0 && state.bytes + bytes > self.bytes_max {
            state.remove_oldest(|_| true);
        }
        state.uses += 1;
        state.bytes += bytes;
        *state.tenants.entry(plugin.tenant.clone()).or_default() += bytes;
        let kept = Kept {
            loaded,
            facts,
            bytes,
            used: state.uses,
        };
        state.kept.insert(plugin.clone(), kept);
    }

    /// Drops a plugin.
    pub(super) fn remove(&self, plugin: &PluginRef) {
        self.locked().remove(plugin);
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.locked()
    }
}

impl State {
    fn remove(&mut self, plugin: &PluginRef) {
        let Some(kept) = self.kept.remove(plugin) else {
            return;
        };
        self.bytes -= kept.bytes;
        if let Some(own) = self.tenants.get_mut(&plugin.tenant) {
            *own -= kept.bytes;
            if *own == 0 {
                self.tenants.remove(&plugin.tenant);
            }
        }
    }

    fn remove_oldest(&mut self, is_meant: impl Fn(&PluginRef) -> bool) {
        let meant = self.kept.iter().filter(|(plugin, _)| is_meant(plugin));
        let oldest = meant.min_by_key(|(_, kept)| kept.used);
        if let Some(oldest) = oldest.map(|(plugin, _)| plugin.clone()) {
            self.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_engine::PluginHash;

    use super::*;

    fn plugin(tenant: &str, number: u8) -> PluginRef {
        PluginRef {
            tenant: TenantId::parse(tenant).expect("a tenant name"),
            hash: PluginHash::of(&[number]),
        }
    }

    fn keep(set: &LoadedSet, plugin: &PluginRef, bytes: u64) {
        let loaded = Arc::new(Loaded {
            policy: None,
            template: None,
        });
        set.keep(plugin, loaded, PluginFacts::default(), bytes);
    }

    #[test]
    fn bytes_are_bounded_by_tenant_and_in_all() {
        let set = LoadedSet {
            state: Mutex::default(),
            bytes_max: 10 << 20,
            tenant_bytes_max: 4 << 20,
        };
        let mebibyte = (1 << 20) - OVERHEAD_BYTES;
        keep(&set, &plugin("south", 0), mebibyte);
        for number in 0..6 {
            keep(&set, &plugin("north", number), mebibyte);
        }
        // The tenant's own made room, the neighbour's did not.
        assert!(set.contains(&plugin("south", 0)));
        assert!(!set.contains(&plugin("north", 1)) && set.contains(&plugin("north", 2)));
        assert_eq!(set.bytes(), 5 << 20);
        assert!(set.take(&plugin("north", 2)).is_some());
        keep(&set, &plugin("north", 6), mebibyte);
        assert!(set.contains(&plugin("north", 2)) && !set.contains(&plugin("north", 3)));
        for number in 0..4 {
            keep(&set, &plugin("east", number), mebibyte);
            keep(&set, &plugin("west", number), mebibyte);
        }
        assert_eq!(set.bytes(), 10 << 20);
        assert!(!set.contains(&plugin("south", 0)));
        for plugin in set.list() {
            set.remove(&plugin);
        }
        assert_eq!(set.bytes(), 0);
        assert!(set.locked().tenants.is_empty());
    }
}
