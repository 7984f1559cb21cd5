//! The embedded queue: durable tasks in the store, leased by time. The default behind the queue port.
//!
//! Called through the port; calls the queue repository.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{
    Surroundings,
    repositories::{QueueRepository, SystemScope},
};
use crate::{
    Error, Result,
    ports::{Lane, LaneStats, Leased, Queue, Receipt, SHARDS, Settlement, Task, shard_of},
    types::TenantId,
};

/// How long a worker keeps a task without a word. A duplicate after a clock step does no harm: the ledger decides.
const LEASE_MILLISECONDS: i64 = 30_000;
/// Tasks of one publication, and of one settlement.
const TASKS_MAX: usize = 1_000;
/// Between two looks from the very beginning of each shard.
const FULL_LOOK_EVERY: Duration = Duration::from_secs(30);
/// Between two looks at an empty queue: another process may publish, and tells nobody here.
const POLL: Duration = Duration::from_millis(500);

pub(crate) struct EmbeddedQueue {
    repository: QueueRepository,
    surroundings: Surroundings,
    published: Notify,
    /// The shard that is visited first next time, per lane.
    turns: [AtomicU32; 2],
    floors: Floors,
}

impl EmbeddedQueue {
    pub(super) fn new(repository: QueueRepository, surroundings: Surroundings) -> Self {
        Self {
            repository,
            surroundings,
            published: Notify::new(),
            turns: Default::default(),
            floors: Floors::new(),
        }
    }

    fn now(&self) -> i64 {
        self.surroundings.now().as_millisecond()
    }

    /// Visits every shard that holds tasks once, from the next in turn on, until something is found.
    async fn visit(&self, lane: Lane, max: usize) -> Result<Vec<Leased>> {
        let scope = SystemScope::new();
        let (floors, publications) = self.floors.of(lane);
        let firsts = self.repository.first_tasks(scope, lane, &floors).await?;
        self.floors.raise(lane, publications, &firsts);
        let turn = self.turns[index_of(lane)].fetch_add(1, Ordering::Relaxed) % SHARDS;
        for shard in (0..SHARDS).map(|step| (turn + step) % SHARDS) {
            let Some((_, first)) = firsts.iter().find(|(found, _)| *found == shard) else {
                continue;
            };
            let now = self.now();
            let until = now + LEASE_MILLISECONDS;
            let leased = self
                .repository
                .lease(scope, lane, (shard, first), max, now, until)
                .await?;
            if !leased.is_empty() {
                return Ok(leased);
            }
        }
        Ok(Vec::new())
    }
}

fn index_of(lane: Lane) -> usize {
    usize::from(lane == Lane::Bulk)
}

/// From which id on each shard is looked at. A store reads over every row that was deleted before the first one it
/// finds, so that looking from the start again and again costs more the more was ever done.
///
/// Floors only save work: ids are in the order their work was caused, so that new ones lie behind; publishing here lowers
/// a floor again, and every [`FULL_LOOK_EVERY`] the look starts at the very beginning, for what other processes published
/// late.
struct Floors {
    lanes: [Mutex<LaneFloors>; 2],
}

struct LaneFloors {
    floors: Vec<String>,
    /// Grows before and after each publication here.
    publications: u64,
    full_look_at: Option<Instant>,
}

impl Floors {
    fn new() -> Self {
        let lane = || {
            Mutex::new(LaneFloors {
                floors: vec![String::new(); SHARDS as usize],
                publications: 0,
                full_look_at: None,
            })
        };
        Self {
            lanes: [lane(), lane()],
        }
    }

    fn locked(&self, lane: Lane) -> MutexGuard<'_, LaneFloors> {
        self.lanes[index_of(lane)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The floors to look from now, and which publications they know.
    fn of(&self, lane: Lane) -> (Vec<String>, u64) {
        let mut lane = self.locked(lane);
        if lane
            .full_look_at
            .is_none_or(|at| at.elapsed() >= FULL_LOOK_EVERY)
        {
            lane.full_look_at = Some(Instant::now());
            lane.floors.fill(String::new());
        }
        (lane.floors.clone(), lane.publications)
    }

    /// Raises floors to the first tasks found, unless something was published meanwhile.
    fn raise(&self, lane: Lane, publications: u64, firsts: &[(u32, String)]) {
        let mut lane = self.locked(lane);
        if lane.publications != publications {
            return;
        }
        for (shard, first) in firsts {
            if let Some(floor) = lane.floors.get_mut(*shard as usize) {
                floor.clone_from(first);
            }
        }
    }

    /// Lowers a floor to tasks that are about to be published, or were.
    fn lower(&self, lane: Lane, shard: u32, tasks: &[Task]) {
        let mut lane = self.locked(lane);
        lane.publications += 1;
        let Some(first) = tasks.iter().map(|task| &task.id).min() else {
            return;
        };
        if let Some(floor) = lane.floors.get_mut(shard as usize)
            && first < floor
        {
            floor.clone_from(first);
        }
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
        let shard = shard_of(tenant);
        self.floors.lower(lane, shard, tasks);
        self.repository.insert(lane, shard, tenant, tasks).await?;
        self.floors.lower(lane, shard, tasks);
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
