//! One lock per tenant and lane: of the batches that a worker has of a tenant, one at a time takes connections.
//!
//! So tenants share the connections evenly, however many batches each has, and a batch's mails go out together, in few
//! writes. Called by the delivery of batches.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::{
    locked::Locked as _,
    types::{Lane, TenantId},
};

/// The locks of all tenants of which a worker has a batch.
#[derive(Default)]
pub(crate) struct TenantLocks(Mutex<HashMap<Key, Arc<AsyncMutex<()>>>>);

type Key = (TenantId, Lane);

impl TenantLocks {
    /// Waits for the lock, in order of arrival; dropping the guard releases it.
    pub(super) async fn lock(&self, tenant: &TenantId, lane: Lane) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.locked();
            // Locks whose only handle is in the map are unused.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry((tenant.clone(), lane)).or_default().clone()
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn batches_of_a_tenant_wait_for_each_other_and_tenants_do_not() {
        let locks = TenantLocks::default();
        let [north, south] = ["north", "south"].map(|name| TenantId::parse(name).unwrap());
        let first = locks.lock(&north, Lane::Bulk).await;
        let _other = locks.lock(&south, Lane::Bulk).await;
        let _lane = locks.lock(&north, Lane::Transactional).await;
        let second = tokio_test_poll(locks.lock(&north, Lane::Bulk)).await;
        assert!(second.is_none(), "the first has not released it");
        drop(first);
        assert!(
            tokio_test_poll(locks.lock(&north, Lane::Bulk))
                .await
                .is_some()
        );
        assert!(locks.0.lock().unwrap().len() <= 3);
    }

    async fn tokio_test_poll<T>(future: impl Future<Output = T>) -> Option<T> {
        futures::FutureExt::now_or_never(future)
    }
}
