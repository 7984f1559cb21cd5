//! Locks that order the writers of an event's inventory within this process: groups of bookings and organizers' changes.
//! With a lock comes what the last group knows of the inventory that it wrote.
//!
//! An optimisation only: both spare reads and conflicts in the store, whose revision guard decides. Called by the bookings
//! and events modules.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::OwnedMutexGuard;

use super::{event_queues::EventKey, lru_cache::LruCache};
use crate::{
    locked::Locked as _,
    types::{EventId, Inventory, TenantId, UserId},
};

/// Events whose inventory is remembered. An inventory has some KB, few events sell at one time, and a forgotten one costs
/// a read.
const KNOWN_MAX: usize = 1_024;

/// How long an inventory is remembered. Its revision proves it, unless somebody puts an older state of the store in place of
/// the store that runs; then others may come to the same revision by other changes, but not within seconds.
const KNOWN_FOR: Duration = Duration::from_secs(5);

/// An inventory as this process read or wrote it last. Another host may have written it since: only a write that compares the
/// revision proves it.
pub(in crate::modules) struct KnownInventory {
    known_since: Instant,
    pub(in crate::modules) inventory: Inventory,
    /// The version of the tenant's plugin set at that write.
    pub(in crate::modules) policy_version: u64,
    pub(in crate::modules) latest: LatestGroups,
}

impl KnownInventory {
    pub(in crate::modules) fn new(
        inventory: Inventory,
        policy_version: u64,
        latest: LatestGroups,
    ) -> Self {
        Self {
            known_since: Instant::now(),
            inventory,
            policy_version,
            latest,
        }
    }
}

/// Groups that are remembered. Policies are asked about a request while one or two groups are written.
const LATEST_MAX: usize = 8;

/// The customers of the latest groups, by the revision that each group made. No other writer was between them.
#[derive(Default)]
pub(in crate::modules) struct LatestGroups(VecDeque<(i64, Vec<UserId>)>);

impl LatestGroups {
    pub(in crate::modules) fn add(&mut self, revision: i64, customers: Vec<UserId>) {
        if self.0.len() == LATEST_MAX {
            self.0.pop_front();
        }
        self.0.push_back((revision, customers));
    }

    /// Returns whether no group changed a customer's tickets since a revision.
    pub(in crate::modules) fn left_alone(&self, customer: UserId, since: i64) -> bool {
        let (Some((first, _)), Some((last, _))) = (self.0.front(), self.0.back()) else {
            return false;
        };
        let later = self.0.iter().filter(|(revision, _)| *revision > since);
        (first - 1..=*last).contains(&since)
            && !later.into_iter().any(|(_, all)| all.contains(&customer))
    }
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
        let known = self.known.locked().remove(&lock.key);
        lock.known = known.filter(|known| known.known_since.elapsed() < KNOWN_FOR);
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

    #[test]
    fn a_customer_is_left_alone_by_groups_without_them_since_the_first_one_known() {
        let customer = |number| UserId::from_ulid(Ulid(number));
        let mut groups = LatestGroups::default();
        assert!(!groups.left_alone(customer(1), 4), "nothing is known");
        groups.add(5, vec![customer(1)]);
        groups.add(6, vec![customer(2)]);
        for (number, since, expected) in [
            (1, 3, false),
            (1, 4, false),
            (1, 5, true),
            (2, 4, false),
            (2, 5, false),
            (2, 6, true),
            (3, 3, false),
            (3, 4, true),
            (3, 7, false),
        ] {
            let left_alone = groups.left_alone(customer(number), since);
            assert_eq!(left_alone, expected, "{number} since {since}");
        }
        for revision in 7..=6 + LATEST_MAX as i64 {
            groups.add(revision, Vec::new());
        }
        assert!(!groups.left_alone(customer(3), 5), "forgotten");
        assert!(groups.left_alone(customer(3), 6));
    }
}
