//! The stored queue: durable tasks in the store, leased by time. The default where several processes share a store.
//!
//! Called through the port; calls the queue repository.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::modules::{
    ModuleContext,
    repositories::{QueueRepository, SystemScope},
    support::scan_schedule::FullScanSchedule,
};
use crate::{
    error::{Error, Result},
    locked::Locked as _,
    ports::{Lane, LaneStats, Leased, Queue, Receipt, SHARDS, Settlement, Task, shard_of},
    types::TenantId,
};

/// How long a worker keeps a task without extending its lease. A duplicate after a clock step does no harm: the batch's row decides.
const LEASE_MILLISECONDS: i64 = 30_000;
/// Most tasks of one publication.
const TASKS_MAX: usize = 1_000;
/// Tasks that are extended or settled in one transaction: each is a statement of its own.
const RECEIPTS_MAX: usize = 100;
/// The longest pause between two full scans of each shard.
const WHOLE_LOOK_EVERY: Duration = Duration::from_secs(30);
/// Publications remembered for looks that are under way; a look that misses more raises no floor.
const PUBLICATIONS_KEPT: usize = 1_024;
/// In an empty shard, looks begin so long before now: another host's clock may be behind, its commit on its way, or its work
/// caused a while before it was due. What was caused still earlier, a whole look finds.
const LOOK_BACK_MILLISECONDS: i64 = 120_000;
/// The pause between two reads of an empty queue: another process may publish without a wake-up here.
const POLL: Duration = Duration::from_millis(500);

pub(crate) struct StoredQueue {
    repository: QueueRepository,
    context: ModuleContext,
    published: Notify,
    /// The shard that is visited first next time, for each lane.
    turns: [AtomicU32; 2],
    floors: ScanCursors,
}

impl StoredQueue {
    pub(in crate::modules) fn new(repository: QueueRepository, context: ModuleContext) -> Self {
        Self {
            repository,
            context,
            published: Notify::new(),
            turns: Default::default(),
            floors: ScanCursors::new(),
        }
    }

    fn now(&self) -> i64 {
        self.context.now().as_millisecond()
    }

    /// Visits every shard with tasks once, beginning with the next one, until something is found.
    async fn visit(&self, lane: Lane, max: usize) -> Result<Vec<Leased>> {
        let scope = SystemScope::new();
        let firsts = self.first_tasks(scope, lane).await?;
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

    /// The first task of each shard that has any.
    async fn first_tasks(&self, scope: SystemScope, lane: Lane) -> Result<Vec<(u32, String)>> {
        let begun = Instant::now();
        let look = self.floors.begin(lane);
        let firsts = self.repository.first_tasks(scope, lane, &look.floors);
        let firsts = firsts.await?;
        let empty_from = format!("{:014}", (self.now() - LOOK_BACK_MILLISECONDS).max(0));
        self.floors.ended(lane, &look, begun, &firsts, &empty_from);
        Ok(firsts)
    }
}

fn index_of(lane: Lane) -> usize {
    usize::from(lane == Lane::Bulk)
}

/// From which id on each shard is looked at.
///
/// Floors only save work: ids are in the order their work was caused, so that new ones lie behind; publishing here lowers
/// a floor again, and whole looks find what other processes published late.
struct ScanCursors {
    lanes: [Mutex<LaneScanCursors>; 2],
}

struct LaneScanCursors {
    floors: Vec<String>,
    /// Grows before and after each publication here.
    publications: u64,
    /// The last of them, the newest in front, by shard and first task: looks that were under way may have missed these.
    last: VecDeque<(u32, String)>,
    full_scans: FullScanSchedule,
    full_scans_ended: u64,
}

/// A look from the floors as they were when it began.
struct Look {
    floors: Vec<String>,
    /// Which publications the floors know.
    publications: u64,
    /// How many whole looks had ended.
    full_scans: u64,
    is_whole: bool,
}

impl ScanCursors {
    fn new() -> Self {
        let lane = || {
            Mutex::new(LaneScanCursors {
                floors: vec![String::new(); SHARDS as usize],
                publications: 0,
                last: VecDeque::new(),
                full_scans: FullScanSchedule::new(WHOLE_LOOK_EVERY),
                full_scans_ended: 0,
            })
        };
        Self {
            lanes: [lane(), lane()],
        }
    }

    fn locked(&self, lane: Lane) -> MutexGuard<'_, LaneScanCursors> {
        self.lanes[index_of(lane)].locked()
    }

    fn begin(&self, lane: Lane) -> Look {
        let mut lane = self.locked(lane);
        let is_whole = lane.full_scans.begin();
        Look {
            floors: match is_whole {
                true => vec![String::new(); SHARDS as usize],
                false => lane.floors.clone(),
            },
            publications: lane.publications,
            full_scans: lane.full_scans_ended,
            is_whole,
        }
    }

    /// Raises floors to the first tasks found or published meanwhile, those of empty shards to `empty_from`.
    fn ended(
        &self,
        lane: Lane,
        look: &Look,
        begun: Instant,
        firsts: &[(u32, String)],
        empty_from: &str,
    ) {
        let mut lane = self.locked(lane);
        // What a whole look found since this one began may lie below what this one knows.
        let is_outdated = lane.full_scans_ended != look.full_scans;
        if look.is_whole {
            lane.full_scans.ended(begun);
            lane.full_scans_ended += 1;
        }
        let lane = &mut *lane;
        let missed = usize::try_from(lane.publications - look.publications);
        let Some(missed) = missed.ok().filter(|missed| *missed <= lane.last.len()) else {
            return;
        };
        let missed = || lane.last.iter().take(missed);
        for (shard, floor) in (0_u32..).zip(&mut lane.floors) {
            let of_shard = |(of, first): &'_ (u32, String)| (*of == shard).then(|| first.clone());
            let found = firsts.iter().find_map(of_shard);
            let published = missed().filter_map(of_shard).min();
            let found = found.unwrap_or_else(|| empty_from.to_owned());
            let kept = is_outdated.then(|| floor.clone());
            *floor = [Some(found), published, kept]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or_default();
        }
    }

    /// Lowers a floor to tasks that are about to be published, or were.
    fn lower(&self, lane: Lane, shard: u32, tasks: &[Task]) {
        let Some(first) = tasks.iter().map(|task| &task.id).min() else {
            return;
        };
        let mut lane = self.locked(lane);
        lane.publications += 1;
        lane.last.truncate(PUBLICATIONS_KEPT - 1);
        lane.last.push_front((shard, first.clone()));
        if let Some(floor) = lane.floors.get_mut(shard as usize)
            && first < floor
        {
            floor.clone_from(first);
        }
    }
}

#[async_trait]
impl Queue for StoredQueue {
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
        for receipts in receipts.chunks(RECEIPTS_MAX) {
            let until = self.now() + LEASE_MILLISECONDS;
            self.repository
                .extend(SystemScope::new(), receipts, until)
                .await?;
        }
        Ok(())
    }

    async fn settle(&self, settlements: &[(Receipt, Settlement)]) -> Result<()> {
        for settlements in settlements.chunks(RECEIPTS_MAX) {
            self.repository
                .settle(SystemScope::new(), settlements, self.now())
                .await?;
        }
        Ok(())
    }

    async fn stats(&self, lane: Lane) -> Result<LaneStats> {
        let scope = SystemScope::new();
        let firsts = self.first_tasks(scope, lane).await?;
        self.repository
            .stats(scope, lane, &firsts, self.now())
            .await
    }
}
