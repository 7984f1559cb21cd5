//! A queue in memory, for a store that one process has: the default with an embedded store.
//!
//! It may forget everything at any time: the outbox has the work, and the relay publishes it again when the process starts.
//! So it needs no store, and times leases and delays by the monotonic clock. Called through the port.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::queue::{LaneStats, Leased, Queue, Receipt, SHARDS, Settlement, Task, shard_of};
use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    types::{Lane, TenantId},
};

/// Tasks of one publication, as for every queue.
const PUBLICATION_MAX: usize = 1_000;
/// Tasks of a tenant in a lane, some 10 MB: its mails of the next minutes. What does not fit waits in the outbox.
const TENANT_TASKS_MAX: usize = 25_000;
/// Tasks of a lane, some 80 MB, however many tenants there are.
const LANE_TASKS_MAX: usize = 200_000;
/// How long a worker keeps a task without extending its lease.
const LEASE: Duration = Duration::from_secs(30);
/// Longer delays are cut. The outbox has the time at which work is due.
const DELAY_MAX: Duration = Duration::from_secs(3_600);

/// A bounded queue in this process's memory.
pub struct MemoryQueue {
    lease: Duration,
    tasks: Mutex<Tasks>,
    /// Notified when a fetch may find more, or has to wait for less long.
    changed: Notify,
}

/// What names a task, in the order in which tasks are fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct TaskKey {
    id: String,
    tenant: TenantId,
}

#[derive(Default)]
struct Tasks {
    lanes: [LaneTasks; 2],
    /// Tasks that no worker may fetch now, by number: leased ones, whose receipt the number is, and delayed ones.
    away: HashMap<u64, Away>,
    /// Their numbers, by when they end.
    ends: BTreeSet<(Instant, u64)>,
    last_number: u64,
}

#[derive(Default)]
struct LaneTasks {
    waiting: [BTreeMap<TaskKey, Task>; SHARDS as usize],
    away: HashSet<TaskKey>,
    /// Tasks of each tenant, waiting and away.
    counts: HashMap<TenantId, usize>,
    /// The shard that is visited first next time.
    next_shard: usize,
}

struct Away {
    lane: Lane,
    key: TaskKey,
    task: Task,
    until: Instant,
    is_leased: bool,
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::with_lease(LEASE)
    }
}

impl MemoryQueue {
    /// An empty queue whose leases are this long. The worker extends them every 10 seconds.
    pub fn with_lease(lease: Duration) -> Self {
        Self {
            lease,
            tasks: Mutex::default(),
            changed: Notify::new(),
        }
    }
}

impl LaneTasks {
    fn waiting(&self) -> usize {
        self.waiting.iter().map(BTreeMap::len).sum()
    }

    fn len(&self) -> usize {
        self.waiting() + self.away.len()
    }

    /// Forgets that a task of a tenant is here.
    fn uncount(&mut self, tenant: &TenantId) {
        if let Some(count) = self.counts.get_mut(tenant) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(tenant);
            }
        }
    }

    fn add(&mut self, key: TaskKey, task: Task) {
        self.waiting[shard_of(&key.tenant) as usize].insert(key, task);
    }

    /// Returns whether a task is there already. One that waits is replaced: the later publication knows better where its
    /// outbox entry is.
    fn has(&mut self, key: &TaskKey, task: &Task) -> bool {
        if let Some(waiting) = self.waiting[shard_of(&key.tenant) as usize].get_mut(key) {
            waiting.clone_from(task);
            return true;
        }
        self.away.contains(key)
    }

    fn publish(&mut self, tenant: &TenantId, tasks: &[Task]) -> Result<()> {
        for task in tasks {
            let key = TaskKey {
                id: task.id.clone(),
                tenant: tenant.clone(),
            };
            if self.has(&key, task) {
                continue;
            }
            let count = self.counts.get(tenant).copied().unwrap_or_default();
            if count >= TENANT_TASKS_MAX || self.len() >= LANE_TASKS_MAX {
                let full = Error::new(ErrorCode::Unavailable, "The queue is full.");
                return Err(full.retry_after(Duration::from_secs(1)));
            }
            self.add(key, task.clone());
            self.counts.insert(tenant.clone(), count + 1);
        }
        Ok(())
    }

    /// Takes up to `max` tasks of the next shard that has any.
    fn take(&mut self, max: usize) -> Vec<(TaskKey, Task)> {
        let shards = self.waiting.len();
        let mut visited = (0..shards).map(|step| (self.next_shard + step) % shards);
        let Some(shard) = visited.find(|shard| !self.waiting[*shard].is_empty()) else {
            return Vec::new();
        };
        self.next_shard = (shard + 1) % shards;
        let waiting = &mut self.waiting[shard];
        std::iter::from_fn(|| waiting.pop_first())
            .take(max)
            .collect()
    }
}

impl Tasks {
    fn lane(&mut self, lane: Lane) -> &mut LaneTasks {
        &mut self.lanes[usize::from(lane == Lane::Bulk)]
    }

    /// Puts a task away and returns its number.
    fn put_away(&mut self, away: Away) -> u64 {
        self.last_number += 1;
        self.lane(away.lane).away.insert(away.key.clone());
        self.ends.insert((away.until, self.last_number));
        self.away.insert(self.last_number, away);
        self.last_number
    }

    fn take_back(&mut self, number: u64) -> Option<Away> {
        let away = self.away.remove(&number)?;
        self.ends.remove(&(away.until, number));
        self.lane(away.lane).away.remove(&away.key);
        Some(away)
    }

    /// Makes tasks whose lease or delay is over available.
    fn recover(&mut self, now: Instant) {
        while let Some((_, number)) = self.ends.first().copied().filter(|(at, _)| *at <= now) {
            if let Some(away) = self.take_back(number) {
                self.lane(away.lane).add(away.key, away.task);
            }
        }
    }

    /// Takes back a task that is still leased under this receipt.
    fn end_lease(&mut self, receipt: &Receipt) -> Option<Away> {
        let number = receipt.0.parse().ok()?;
        self.away.get(&number).filter(|away| away.is_leased)?;
        self.take_back(number)
    }

    fn extend(&mut self, receipt: &Receipt, until: Instant) {
        let Ok(number) = receipt.0.parse::<u64>() else {
            return;
        };
        if let Some(away) = self.away.get_mut(&number).filter(|away| away.is_leased) {
            self.ends.remove(&(away.until, number));
            self.ends.insert((until, number));
            away.until = until;
        }
    }

    fn lease(&mut self, lane: Lane, max: usize, until: Instant) -> Vec<Leased> {
        let taken = self.lane(lane).take(max);
        let lease = |(key, task): (TaskKey, Task)| {
            let number = self.put_away(Away {
                lane,
                key: key.clone(),
                task: task.clone(),
                until,
                is_leased: true,
            });
            Leased {
                tenant: key.tenant,
                task,
                receipt: Receipt(number.to_string()),
            }
        };
        taken.into_iter().map(lease).collect()
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn publish(&self, lane: Lane, tenant: &TenantId, tasks: &[Task]) -> Result<()> {
        if tasks.len() > PUBLICATION_MAX {
            let count = tasks.len();
            let reason = format!("{count} tasks at once; {PUBLICATION_MAX} at most");
            return Err(Error::internal(reason));
        }
        let outcome = self.tasks.locked().lane(lane).publish(tenant, tasks);
        self.changed.notify_waiters();
        outcome
    }

    async fn fetch(&self, lane: Lane, max: usize, wait: Duration) -> Result<Vec<Leased>> {
        let deadline = Instant::now() + wait;
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            let (leased, next_end) = {
                let mut tasks = self.tasks.locked();
                tasks.recover(now);
                let leased = tasks.lease(lane, max, now + self.lease);
                (leased, tasks.ends.first().map(|(at, _)| *at))
            };
            if !leased.is_empty() || now >= deadline {
                return Ok(leased);
            }
            let until = next_end.map_or(deadline, |at| at.min(deadline));
            let _ = timeout_at(until, changed).await;
        }
    }

    async fn extend(&self, receipts: &[Receipt]) -> Result<()> {
        let mut tasks = self.tasks.locked();
        let now = Instant::now();
        tasks.recover(now);
        for receipt in receipts {
            tasks.extend(receipt, now + self.lease);
        }
        Ok(())
    }

    async fn settle(&self, settlements: &[(Receipt, Settlement)]) -> Result<()> {
        let mut tasks = self.tasks.locked();
        let now = Instant::now();
        tasks.recover(now);
        for (receipt, settlement) in settlements {
            let Some(ended) = tasks.end_lease(receipt) else {
                continue;
            };
            match settlement {
                Settlement::Done => tasks.lane(ended.lane).uncount(&ended.key.tenant),
                Settlement::Release(after) => {
                    tasks.put_away(Away {
                        until: now + (*after).min(DELAY_MAX),
                        is_leased: false,
                        ..ended
                    });
                }
            }
        }
        drop(tasks);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn stats(&self, lane: Lane) -> Result<LaneStats> {
        let mut tasks = self.tasks.locked();
        tasks.recover(Instant::now());
        let leased = (tasks.away.values())
            .filter(|away| away.lane == lane && away.is_leased)
            .count();
        let lane = tasks.lane(lane);
        let all = lane.len();
        Ok(LaneStats {
            waiting: (all - leased) as u64,
            leased: leased as u64,
        })
    }

    fn is_durable(&self) -> bool {
        false
    }
}
