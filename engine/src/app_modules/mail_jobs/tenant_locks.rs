//! Turns: of the blocks that one tenant has in a worker's hand, one at a time takes connections for its mails.
//!
//! So tenants share the connections evenly, however many blocks each has, and a block's mails go out together, in few
//! writes. Called by the delivery of blocks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::{
    locked::Locked as _,
    types::{Lane, TenantId},
};

/// The turns of all tenants that have a block in hand.
#[derive(Default)]
pub(crate) struct TenantLocks(Mutex<HashMap<Key, Arc<AsyncMutex<()>>>>);

type Key = (TenantId, Lane);

impl TenantLocks {
    /// Waits for the turn, in order of arrival; dropping the answer ends it.
    pub(super) async fn take(&self, tenant: &TenantId, lane: Lane) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.locked();
            // Nobody holds or awaits those of which the map has the only handle.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            turns.entry((tenant.clone(), lane)).or_default().clone()
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tenants_blocks_take_turns_and_tenants_do_not_wait_for_each_other() {
        let turns = TenantLocks::default();
        let [north, south] = ["north", "south"].map(|name| TenantId::parse(name).unwrap());
        let first = turns.take(&north, Lane::Bulk).await;
        let _other = turns.take(&south, Lane::Bulk).await;
        let _lane = turns.take(&north, Lane::Transactional).await;
        let second = tokio_test_poll(turns.take(&north, Lane::Bulk)).await;
        assert!(second.is_none(), "the first has not ended its turn");
        drop(first);
        assert!(
            tokio_test_poll(turns.take(&north, Lane::Bulk))
                .await
                .is_some()
        );
        assert!(turns.0.lock().unwrap().len() <= 3);
    }

    async fn tokio_test_poll<T>(future: impl Future<Output = T>) -> Option<T> {
        futures::FutureExt::now_or_never(future)
    }
}
