//! Locks that order the writers of an event's inventory within this process: groups of bookings and organizers' changes.
//! With a lock comes what the last group knows of the inventory that it wrote.
//!
//! An optimisation only: both spare reads and conflicts in the store, whose revision guard decides. Called by the bookings
//! and events modules.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::OwnedMutexGuard;

use super::{event_queues::EventKey, lru_cache::LruCache};
use crate::{
    locked::Locked as _,
    types::{EventId, Inventory, TenantId},
};

/// Events whose inventory is remembered. An inventory has some KB, few events sell at one time, and a forgotten one costs
/// a read.
const KNOWN_MAX: usize = 1_024;

/// An inventory as this process wrote it last. Another host may have written it since: only a write that compares the
/// revision proves it.
pub(in crate::modules) struct KnownInventory {
    pub(in crate::modules) inventory: Inventory,
    /// The version of the tenant's plugin set at that write.
    pub(in crate::modules) policy_version: u64,
}

/// All inventory locks of a process.
pub(in crate::modules) struct InventoryLocks {
    locks: Mutex<HashMap<EventKey, Arc<tokio::sync::Mutex<()>>>>,
    known: Mutex<LruCache<EventKey, KnownInventory>>,
}

impl Default for InventoryLocks {
    fn default() -> Self {
        Self {
            locks: Mutex::default(),
            known: Mutex::new(LruCache::new(KNOWN_MAX)),
        }
    }
}

/// The right to write an event's inventory next, within this process. Dropping it hands the right on.
pub(in crate::modules) struct InventoryLock {
    locks: Arc<InventoryLocks>,
    key: EventKey,
    /// What the next holder may know of the inventory.
    pub(in crate::modules) known: Option<KnownInventory>,
    /// `None` while it waits, and once it is dropped.
    guard: Option<OwnedMutexGuard<()>>,
    /// Whether nobody else held it when it was asked for.
    pub(in crate::modules) was_free: bool,
}

impl InventoryLocks {
    /// Waits for the right to write an event's inventory, in order of arrival. What is known of the inventory is forgotten,
    /// because the holder may change it.
    pub(in crate::modules) async fn lock(
        self: &Arc<Self>,
        tenant: &TenantId,
        event: EventId,
    ) -> InventoryLock {
        let mut lock = self.lock_knowing(tenant, event).await;
        lock.known = None;
        lock
    }

    /// The same for a holder that keeps `known` true.
    pub(in crate::modules) async fn lock_knowing(
        self: &Arc<Self>,
        tenant: &TenantId,
        event: EventId,
    ) -> InventoryLock {
        // Made before the wait, so that a caller that gives up waiting leaves no entry behind.
        let mut lock = InventoryLock {
            locks: self.clone(),
            key: (tenant.clone(), event),
            known: None,
            guard: None,
            was_free: false,
        };
        let mutex = {
            let mut locks = self.locks.locked();
            locks.entry(lock.key.clone()).or_default().clone()
        };
        lock.guard = Some(match mutex.clone().try_lock_owned() {
            Ok(guard) => {
                lock.was_free = true;
                guard
            }
            Err(_) => mutex.lock_owned().await,
        });
        lock.known = self.known.locked().remove(&lock.key);
        lock
    }
}

impl Drop for InventoryLock {
    fn drop(&mut self) {
        if let Some(known) = self.known.take() {
            let mut all = self.locks.known.locked();
            all.insert(self.key.clone(), known);
        }
        self.guard = None;
        let mut locks = self.locks.locks.locked();
        // Nobody but the map knows a lock that is neither held nor waited for.
        if (locks.get(&self.key)).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    #[tokio::test]
    async fn one_writer_at_a_time_and_no_entry_is_left() {
        let (tenant, event) = (TenantId::trusted("acme"), EventId::from_ulid(Ulid(1)));
        let locks = Arc::new(InventoryLocks::default());
        let first = locks.lock(&tenant, event).await;
        assert!(first.was_free);
        let mut given_up = Box::pin(locks.lock(&tenant, event));
        assert!(futures::poll!(&mut given_up).is_pending(), "held");
        let mut second = Box::pin(locks.lock(&tenant, event));
        assert!(futures::poll!(&mut second).is_pending(), "held");
        drop(given_up);
        drop(first);
        let second = second.await;
        assert!(!second.was_free);
        drop(second);
        assert!(locks.locks.locked().is_empty());
    }
}
