//! The embedded queue: durable tasks in the store, leased by time. The default behind the queue port.
//!
//! Called through the port; calls the queue repository.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{
    Surroundings,
    repositories::{QueueRepository, SHARDS, SystemScope},
};
use crate::{
    Error, Result,
    ports::{Lane, LaneStats, Leased, Queue, Receipt, Settlement, Task},
    types::TenantId,
};

/// How long a worker keeps a task without a word. A duplicate after a clock step does no harm: the ledger decides.
const LEASE_MILLISECONDS: i64 = 30_000;
/// Tasks of one publication, and of one settlement.
const TASKS_MAX: usize = 1_000;
/// Between two looks at an empty queue: another process may publish, and tells nobody here.
const POLL: Duration = Duration::from_millis(500);

pub(crate) struct EmbeddedQueue {
    repository: QueueRepository,
    surroundings: Surroundings,
    published: Notify,
    /// The shard that is visited first next time, per lane.
    turns: [AtomicU32; 2],
}

impl EmbeddedQueue {
    pub(super) fn new(repository: QueueRepository, surroundings: Surroundings) -> Self {
        Self {
            repository,
            surroundings,
            published: Notify::new(),
            turns: Default::default(),
        }
    }

    fn now(&self) -> i64 {
        self.surroundings.now().as_millisecond()
    }

    /// Visits every shard once, from the next in turn on, until something is found.
    async fn visit(&self, lane: Lane, max: usize) -> Result<Vec<Leased>> {
        let turn = &self.turns[usize::from(lane == Lane::Bulk)];
        let shards = self
            .repository
            .waiting_shards(SystemScope::new(), lane, self.now())
            .await?;
        let first = turn.fetch_add(1, Ordering::Relaxed) % SHARDS;
        for shard in (0..SHARDS)
            .map(|step| (first + step) % SHARDS)
            .filter(|shard| shards.contains(shard))
        {
            let now = self.now();
            let until = now + LEASE_MILLISECONDS;
            let leased = self
                .repository
                .lease(SystemScope::new(), lane, shard, max, now, until)
                .await?;
            if !leased.is_empty() {
                return Ok(leased);
            }
        }
        Ok(Vec::new())
    }
}

#[async_trait]
impl Queue for EmbeddedQueue {
    async fn publish(&self, lane: Lane, tenant: &TenantId, tasks: &[Task]) -> Result<()> {
        if tasks.len() > TASKS_MAX {
            return Err(Error::internal(format!(
                "{} tasks at once; {TASKS_MAX} at most",
                tasks.len()
            )));
        }
        if tasks.is_empty() {
            return Ok(());
        }
        self.repository
            .insert(lane, shard_of(tenant), tenant, tasks)
            .await?;
        self.published.notify_waiters();
        Ok(())
    }

    async fn fetch(&self, lane: Lane, max: usize, wait: Duration) -> Result<Vec<Leased>> {
        let deadline = Instant::now() + wait;
        loop {
            let woken = self.published.notified();
            let leased = self.visit(lane, max).await?;
            let now = Instant::now();
            if !leased.is_empty() || now >= deadline {
                return Ok(leased);
            }
            let _ = timeout(POLL.min(deadline - now), woken).await;
        }
    }

    async fn extend(&self, receipts: &[Receipt]) -> Result<()> {
        for receipts in receipts.chunks(TASKS_MAX) {
            let until = self.now() + LEASE_MILLISECONDS;
            self.repository
                .extend(SystemScope::new(), receipts, until)
                .await?;
        }
        Ok(())
    }

    async fn settle(&self, settlements: &[(Receipt, Settlement)]) -> Result<()> {
        for settlements in settlements.chunks(TASKS_MAX) {
            self.repository
                .settle(SystemScope::new(), settlements, self.now())
                .await?;
        }
        Ok(())
    }

    async fn stats(&self, lane: Lane) -> Result<LaneStats> {
        self.repository
            .stats(SystemScope::new(), lane, self.now())
            .await
    }
}

/// The shard of a tenant's tasks: FNV-1a, which is the same in every program and version.
fn shard_of(tenant: &TenantId) -> u32 {
    let hash = tenant.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash % SHARDS
}
