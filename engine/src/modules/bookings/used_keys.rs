//! Idempotency-Keys that this process has seen used. A group does not read its keys before it writes, because a taken key
//! fails the write. A request that repeats a key would fail the others of its group with it, so it is decided apart.
//!
//! An optimisation only: the key's record in the store decides. Called by the group commit.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Mutex,
};

use crate::{
    locked::Locked as _,
    modules::support::lru_cache::LruCache,
    types::{RequestKey, TenantId},
};

/// Keys that are remembered: 3 MB. Clients repeat a request within seconds, and a host makes a few thousand bookings in one.
const KEYS_MAX: usize = 65_536;

/// Digests of used keys. Two keys with one digest cost a read.
pub(super) struct UsedKeys {
    digests: Mutex<LruCache<u64, ()>>,
    hasher: RandomState,
}

impl Default for UsedKeys {
    fn default() -> Self {
        Self {
            digests: Mutex::new(LruCache::new(KEYS_MAX)),
            hasher: RandomState::new(),
        }
    }
}

impl UsedKeys {
    pub(super) fn add<'a>(&self, tenant: &TenantId, keys: impl Iterator<Item = &'a RequestKey>) {
        let mut digests = self.digests.locked();
        for key in keys {
            digests.insert(self.hasher.hash_one((tenant, key)), ());
        }
    }

    pub(super) fn has(&self, tenant: &TenantId, key: &RequestKey) -> bool {
        let digest = self.hasher.hash_one((tenant, key));
        self.digests.locked().get(&digest).is_some()
    }
}
