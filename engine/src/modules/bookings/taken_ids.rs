//! Ids of records that this process has seen taken: used Idempotency-Keys, references, and the open holds of customers. A group does not
//! read them before it writes, because a taken one fails the write. A request that asks for one again would fail the others of
//! its group with it, so such a group is read first.
//!
//! An optimisation only: the records in the store decide. Called by the group commit.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    sync::Mutex,
};

use super::requests::{BookingIntent, RequestedBooking};
use crate::{locked::Locked as _, modules::support::lru_cache::LruCache, types::TenantId};

/// Ids that are remembered: 3 MB. Clients repeat a request within seconds, and a host makes a few thousand bookings in one.
const IDS_MAX: usize = 65_536;

/// Digests of taken ids. One that is free again, or has the digest of another, costs a read.
pub(super) struct TakenIds {
    digests: Mutex<LruCache<u64, ()>>,
    hasher: RandomState,
}

impl Default for TakenIds {
    fn default() -> Self {
        Self {
            digests: Mutex::new(LruCache::new(IDS_MAX)),
            hasher: RandomState::new(),
        }
    }
}

impl TakenIds {
    /// Adds keys, references, or customers with an open hold of an event.
    pub(super) fn add(&self, tenant: &TenantId, ids: impl Iterator<Item = impl Hash>) {
        let mut digests = self.digests.locked();
        for id in ids {
            digests.insert(self.hasher.hash_one((tenant, id)), ());
        }
    }

    /// Returns whether a request may need an id that is taken.
    pub(super) fn may_fail(&self, tenant: &TenantId, request: &RequestedBooking) -> bool {
        let keyed = request.idempotency.as_ref();
        let is_hold = request.intent == BookingIntent::Hold;
        keyed.is_some_and(|keyed| self.has(tenant, &keyed.key))
            || (is_hold && self.has(tenant, (request.event, request.customer)))
            || (request.details.reference()).is_some_and(|one| self.has(tenant, one))
    }

    fn has(&self, tenant: &TenantId, id: impl Hash) -> bool {
        let digest = self.hasher.hash_one((tenant, id));
        self.digests.locked().get(&digest).is_some()
    }
}
