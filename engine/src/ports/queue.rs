//! The port of the job queue between outbox and workers. It only makes delivery faster: the database has all work.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    types::{Lane, NotificationId, TenantId},
};

/// A task: work that is due now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The task's id, the same for the same work, in the order in which work was listed. A queue that is sorted by it
    /// serves old work first. Visible ASCII, at most 200 characters. A queue that remembers the ids of finished
    /// tasks must forget them within seconds, because the same work may be published again.
    pub id: String,
    /// Its notification.
    pub notification: NotificationId,
    /// The work.
    pub kind: TaskKind,
    /// The time in the key of the work's outbox entry. Whoever finishes the work removes the entry in the same
    /// transaction. A hint: with a wrong time the entry stays until the relay checks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbox_due_at: Option<Timestamp>,
}

/// The work for a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum TaskKind {
    /// The fan-out: store its recipients in delivery batches.
    FanOut,
    /// Deliver one batch: up to 32 consecutive customers, one mail each.
    Deliver {
        /// The batch's number, from 0.
        batch: u32,
    },
}

/// A fetched task's receipt, with which it is extended and settled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A fetched task. If it is not settled within the lease, another worker gets it.
#[derive(Debug, Clone)]
pub struct Leased {
    /// The task's tenant.
    pub tenant: TenantId,
    /// The task.
    pub task: Task,
    /// Its receipt.
    pub receipt: Receipt,
}

/// The end of a fetched task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// The outcome is stored, whatever it is: forget the task.
    Done,
    /// Not handled: give it to a worker after about this time. A queue may forget a task that is deferred by more
    /// than 30 s, because unfinished work is published again.
    Release(Duration),
}

/// Each lane is divided into this many shards, which are visited in turn. A tenant with much work delays only the
/// others in its shard. More shards make an empty fetch more expensive.
pub const SHARDS: u32 = 16;

/// The shard of a tenant's tasks, below [`SHARDS`]: FNV-1a, which is the same in every program, version and queue.
pub fn shard_of(tenant: &TenantId) -> u32 {
    let hash = tenant.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash % SHARDS
}

/// The state of a lane in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneStats {
    /// Tasks that no worker has fetched.
    pub waiting: u64,
    /// Tasks that a worker has.
    pub leased: u64,
}

/// A queue with leases.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Adds tasks. A task whose id is there already is not added again. After an error some may have been added:
    /// repeat the publication under the same ids.
    ///
    /// # Errors
    /// `unavailable` if the queue is full or cannot be reached; `internal` for more than 1,000 tasks.
    async fn publish(&self, lane: Lane, tenant: &TenantId, tasks: &[Task]) -> Result<()>;

    /// Leases up to `max` tasks, shard by shard; waits up to `wait` if there is none.
    ///
    /// # Errors
    /// `unavailable` if the queue cannot be reached.
    async fn fetch(&self, lane: Lane, max: usize, wait: Duration) -> Result<Vec<Leased>>;

    /// Extends the leases of long-running work.
    ///
    /// # Errors
    /// `unavailable` if the queue cannot be reached.
    async fn extend(&self, receipts: &[Receipt]) -> Result<()>;

    /// Settles tasks. An expired lease is ignored, or, if a queue cannot detect that, `Done` still ends the
    /// task.
    ///
    /// # Errors
    /// `unavailable` if the queue cannot be reached.
    async fn settle(&self, settlements: &[(Receipt, Settlement)]) -> Result<()>;

    /// Counts the tasks of a lane.
    ///
    /// # Errors
    /// `unavailable` if the queue cannot be reached.
    async fn stats(&self, lane: Lane) -> Result<LaneStats>;

    /// Whether tasks outlive this process. If not, the relay publishes at its start what an earlier process published and
    /// did not finish.
    fn is_durable(&self) -> bool {
        true
    }
}
