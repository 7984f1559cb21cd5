//! The queue between what is owed and the workers. It only hurries: what is owed stands in the database.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    types::{Lane, NotificationId, TenantId},
};

/// Work that is due now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The same for the same work, and in the order the work was listed, so that a queue sorted by it lets nobody's
    /// new work before another's old; visible ASCII, at most 200 long. A queue that remembers ids of tasks that are
    /// done must forget them within seconds: the same work may come again.
    pub id: String,
    /// The notification it belongs to.
    pub notification: NotificationId,
    /// What to do.
    pub kind: TaskKind,
    /// The time under which the outbox holds the work, so that whoever finishes it takes the row away in the same
    /// transaction. A hint: with a wrong one the row stays until the relay looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed_at: Option<Timestamp>,
}

/// What to do for a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum TaskKind {
    /// List its recipients in blocks.
    FanOut,
    /// Deliver one block: up to 32 consecutive customers, one mail each.
    Deliver {
        /// Which block, from 0.
        block: u32,
    },
}

/// Proves that a task was fetched by this worker and not yet settled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A fetched task. Unsettled for longer than the lease, it is given to another worker.
#[derive(Debug, Clone)]
pub struct Leased {
    /// Whose task.
    pub tenant: TenantId,
    /// The task.
    pub task: Task,
    /// What settles it.
    pub receipt: Receipt,
}

/// What becomes of a fetched task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// The ledger has what happened, good or bad: forget the task.
    Done,
    /// Not handled: give it to somebody after about this time. A queue may forget a task that is put off for more
    /// than 30 s: what is unfinished is published again.
    Release(Duration),
}

/// Tenants are spread over this many parts of each lane, which are visited in turn, so that one tenant's flood leaves the
/// others their turns. More shards make an idle look dearer.
pub const SHARDS: u32 = 16;

/// The shard of a tenant's tasks, below [`SHARDS`]: FNV-1a, which is the same in every program, version and queue.
pub fn shard_of(tenant: &TenantId) -> u32 {
    let hash = tenant.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash % SHARDS
}

/// How a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneStats {
    /// Tasks that nobody has fetched.
    pub waiting: u64,
    /// Tasks that a worker has.
    pub leased: u64,
}

/// A durable queue with leases.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Adds tasks, all or none; a task whose id is there already is not added again. After an error some may be there:
    /// repeat the publication under the same ids.
    ///
    /// # Errors
    /// `unavailable` if the queue is full or away; `internal` for more than 1,000 tasks.
    async fn publish(&self, lane: Lane, tenant: &TenantId, tasks: &[Task]) -> Result<()>;

    /// Leases up to `max` tasks, tenants in turn; waits up to `wait` if there is none.
    ///
    /// # Errors
    /// `unavailable` if the queue is away.
    async fn fetch(&self, lane: Lane, max: usize, wait: Duration) -> Result<Vec<Leased>>;

    /// Starts the leases anew, for work that takes long.
    ///
    /// # Errors
    /// `unavailable` if the queue is away.
    async fn extend(&self, receipts: &[Receipt]) -> Result<()>;

    /// Ends leases. A lease that ran out meanwhile is left alone, or, where a queue can't tell, `Done` still ends the
    /// task: it is done.
    ///
    /// # Errors
    /// `unavailable` if the queue is away.
    async fn settle(&self, settlements: &[(Receipt, Settlement)]) -> Result<()>;

    /// Counts the tasks of a lane.
    ///
    /// # Errors
    /// `unavailable` if the queue is away.
    async fn stats(&self, lane: Lane) -> Result<LaneStats>;
}
