//! A queue in memory, for a store that one process has: the default with an embedded store.
//!
//! It may forget everything at any time: the outbox has the work, and the relay publishes it again when the process starts.
//! So it needs no store, and times leases and delays by the monotonic clock. Called through the port.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Bound,
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::queue::{LaneStats, Leased, Queue, Receipt, Settlement, Task};
use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    types::{Lane, TenantId},
};

/// Tasks of one publication, as for every queue.
const PUBLICATION_MAX: usize = 1_000;
/// Tasks of a tenant in a lane, some 50 MB: more than a mail server takes in a minute, when what did not fit is looked at
/// again in the outbox.
const TENANT_TASKS_MAX: usize = 200_000;
/// Tasks of a lane, some 100 MB.
const LANE_TASKS_MAX: usize = 400_000;
/// What each tenant has room for in any case, so that a few large ones keep nobody out.
const TENANT_TASKS_MIN: usize = 16;
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

/// What names a task.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TaskKey {
    tenant: TenantId,
    id: String,
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
    tenants: BTreeMap<TenantId, TenantTasks>,
    /// Tasks of all tenants, waiting and away.
    count: usize,
    /// The tenant whose turn was last.
    last: Option<TenantId>,
}

/// Tasks of one tenant; old work first, because ids are in that order.
#[derive(Default)]
struct TenantTasks {
    waiting: BTreeMap<String, Task>,
    away: HashSet<String>,
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

impl TenantTasks {
    fn len(&self) -> usize {
        self.waiting.len() + self.away.len()
    }

    /// Returns whether a task is there already. One that waits is replaced: the later publication knows better where its
    /// outbox entry is.
    fn has(&mut self, task: &Task) -> bool {
        if let Some(waiting) = self.waiting.get_mut(&task.id) {
            waiting.clone_from(task);
            return true;
        }
        self.away.contains(&task.id)
    }
}

impl LaneTasks {
    fn publish(&mut self, tenant: &TenantId, tasks: &[Task]) -> Result<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        let of_tenant = self.tenants.entry(tenant.clone()).or_default();
        for task in tasks {
            if of_tenant.has(task) {
                continue;
            }
            let is_full = of_tenant.len() >= TENANT_TASKS_MAX
                || (self.count >= LANE_TASKS_MAX && of_tenant.len() >= TENANT_TASKS_MIN);
            if is_full {
                let full = Error::new(ErrorCode::Unavailable, "The queue is full.");
                return Err(full.retry_after(Duration::from_secs(1)));
            }
            of_tenant.waiting.insert(task.id.clone(), task.clone());
            self.count += 1;
        }
        Ok(())
    }

    /// Takes up to `max` tasks of the next tenants that have any.
    fn take(&mut self, max: usize) -> Vec<(TaskKey, Task)> {
        let has_waiting = |(tenant, tasks): (&TenantId, &TenantTasks)| {
            (!tasks.waiting.is_empty()).then(|| tenant.clone())
        };
        let last = self.last.as_ref();
        let behind = (
            last.map_or(Bound::Unbounded, Bound::Excluded),
            Bound::Unbounded,
        );
        // Round once: a tenant that comes twice has nothing left.
        let round = self.tenants.range(behind).chain(&self.tenants);
        let turns: Vec<TenantId> = round.filter_map(has_waiting).take(max).collect();
        let mut taken = Vec::new();
        for tenant in turns {
            let Some(tasks) = self.tenants.get_mut(&tenant).filter(|_| taken.len() < max) else {
                break;
            };
            while let Some((id, task)) = (taken.len() < max)
                .then(|| tasks.waiting.pop_first())
                .flatten()
            {
                let tenant = tenant.clone();
                taken.push((TaskKey { tenant, id }, task));
            }
            self.last = Some(tenant);
        }
        taken
    }

    /// Forgets a task that is away.
    fn forget(&mut self, key: &TaskKey) {
        if let Some(tasks) = self.tenants.get_mut(&key.tenant) {
            self.count -= usize::from(tasks.away.remove(&key.id));
            if tasks.len() == 0 {
                self.tenants.remove(&key.tenant);
            }
        }
    }

    /// Makes a task that is away available.
    fn recover(&mut self, key: TaskKey, task: Task) {
        if let Some(tasks) = self.tenants.get_mut(&key.tenant) {
            tasks.away.remove(&key.id);
            tasks.waiting.insert(key.id, task);
        }
    }
}

impl Tasks {
    fn lane(&mut self, lane: Lane) -> &mut LaneTasks {
        &mut self.lanes[usize::from(lane == Lane::Bulk)]
    }

    /// Puts a task away and returns its number.
    fn put_away(&mut self, away: Away) -> u64 {
        self.last_number += 1;
        if let Some(tasks) = self.lane(away.lane).tenants.get_mut(&away.key.tenant) {
            tasks.away.insert(away.key.id.clone());
        }
        self.ends.insert((away.until, self.last_number));
        self.away.insert(self.last_number, away);
        self.last_number
    }

    fn remove_away(&mut self, number: u64) -> Option<Away> {
        let away = self.away.remove(&number)?;
        self.ends.remove(&(away.until, number));
        Some(away)
    }

    /// Makes tasks whose lease or delay is over available.
    fn recover(&mut self, now: Instant) {
        while let Some((_, number)) = self.ends.first().copied().filter(|(at, _)| *at <= now) {
            if let Some(away) = self.remove_away(number) {
                self.lane(away.lane).recover(away.key, away.task);
            }
        }
    }

    /// Takes back a task that is still leased under this receipt.
    fn end_lease(&mut self, receipt: &Receipt) -> Option<Away> {
        let number = receipt.0.parse().ok()?;
        self.away.get(&number).filter(|away| away.is_leased)?;
        self.remove_away(number)
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
                Settlement::Done => tasks.lane(ended.lane).forget(&ended.key),
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
        let all = tasks.lane(lane).count;
        Ok(LaneStats {
            waiting: (all - leased) as u64,
            leased: leased as u64,
        })
    }

    fn is_durable(&self) -> bool {
        false
    }
}
