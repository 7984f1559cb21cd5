//! The relay's rules: what of the outbox is due, and what becomes of each row.
//!
//! Called by the worker's use cases. Calls the notifications repository and asks the queue how full it is.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::MutexGuard,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use super::{BatchKey, NotificationsModule, caused_at, task_of};
use crate::{
    error::Result,
    locked::Locked as _,
    modules::{
        repositories::{OutboxFrom, SystemScope},
        to_millisecond,
    },
    ports::{Queue, Task},
    types::{DeliveryBatch, Lane, NotificationStatus, OutboxEntry, OutboxPart, TenantId},
};

/// Outbox rows handled in one pass of the relay.
const ENTRIES_MAX: u32 = 256;
/// A commit is seen this long after the moment its rows are due, at worst, in a look that follows it at once.
const HOT_LOOK: SignedDuration = SignedDuration::from_millis(500);
/// The same for a store that stalls.
const WIDE_LOOK: SignedDuration = SignedDuration::from_secs(30);
const WIDE_LOOK_EVERY: Duration = Duration::from_secs(2);
/// The pause between two full scans of the outbox, for entries of hosts whose clocks are behind, or that were down.
const FULL_LOOK_EVERY: Duration = Duration::from_secs(60);

/// How long a row that was published for the first time stays where it is. Most work is done by then, and its worker
/// has taken the row away; so most rows are written once and deleted once.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// Rows that were taken away by then are forgotten with them.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Rows remembered as published at a time; what is published beyond it is moved at once.
const FRESH_MAX: usize = 20_000;
/// How often a row is put off without a look into the queue while the queue holds other work, in times of
/// `republish_after`. After that it is published again whatever the queue holds: it may have been lost alone.
const PUT_OFF_TIMES: u32 = 3;

/// From when on the relay looks at the outbox. A store reads over every row that was deleted before the first it finds,
/// so that a look from the beginning costs more the more it ever held. New rows are due when they are written, give or
/// take a commit; so most looks begin shortly before now, some earlier, and a few at the beginning.
pub(super) struct RelayScanCursor {
    hot_from: Timestamp,
    wide_at: Option<Instant>,
    full_at: Option<Instant>,
    /// Rows published for the first time, and when. Saves work and nothing else: a relay that has forgotten publishes
    /// them again.
    fresh: HashMap<OutboxEntry, Instant>,
}

impl RelayScanCursor {
    pub(super) fn new() -> Self {
        Self {
            hot_from: Timestamp::UNIX_EPOCH,
            wide_at: None,
            full_at: None,
            fresh: HashMap::new(),
        }
    }
}

/// Tasks to hand to a queue, by lane and tenant.
///
/// Transactional ones come first: a queue that takes no more bulk tasks does not keep them back.
pub(crate) type Publications = BTreeMap<(Lane, TenantId), Vec<Task>>;

fn publish(publications: &mut Publications, entry: &OutboxEntry, listed_at: Timestamp) {
    let lane = (entry.lane, entry.tenant.clone());
    let tasks = publications.entry(lane).or_default();
    tasks.push(task_of(entry, listed_at));
}

/// What the relay found due.
pub(crate) struct DueWork {
    looked_at: Timestamp,
    pub(crate) publications: Publications,
    /// Where the look ended, if there may be more behind.
    full_until: Option<Timestamp>,
    /// Rows that are published for the first time and stay where they are.
    fresh: Vec<OutboxEntry>,
    /// Rows to be taken away, and those that stand for them.
    old: Vec<OutboxEntry>,
    new: Vec<OutboxEntry>,
}

impl DueWork {
    pub(crate) fn is_full(&self) -> bool {
        self.full_until.is_some()
    }

    /// Takes back what the queue had no room for. It is looked at again within a minute.
    fn take_back(&mut self, refused: &HashSet<(Lane, TenantId)>, again_at: Timestamp) {
        if refused.is_empty() {
            return;
        }
        let is_refused =
            |entry: &OutboxEntry| refused.contains(&(entry.lane, entry.tenant.clone()));
        let (refused, fresh): (Vec<_>, Vec<_>) = self.fresh.drain(..).partition(is_refused);
        self.fresh = fresh;
        // A full look must get on, and so leaves nothing where it is.
        if self.full_until.is_some() {
            for entry in refused {
                self.move_to(entry, again_at);
            }
        }
    }

    fn move_to(&mut self, entry: OutboxEntry, due_at: Timestamp) -> OutboxEntry {
        let moved = OutboxEntry {
            due_at: to_millisecond(due_at),
            published: true,
            ..entry.clone()
        };
        self.old.push(entry);
        self.new.push(moved.clone());
        moved
    }
}

/// How far a row's work is.
enum WorkState {
    /// Nothing is left to be done.
    Done,
    /// Nothing is to be done before this moment.
    DueAt(Timestamp),
    /// It waits for a worker, or is in one's hand, since it was listed at this moment.
    Waits(Timestamp),
}

impl NotificationsModule {
    /// Reads what is due and decides what becomes of each row: published (again), put off, or done with.
    pub(crate) async fn due_work(&self, queue: &dyn Queue) -> Result<DueWork> {
        let now = self.context.now();
        let from = OutboxFrom::Time(self.look_from(now));
        let due = self.outbox(from, Some(now), ENTRIES_MAX).await?;
        let is_full = due.len() >= ENTRIES_MAX as usize;
        let mut work = DueWork {
            looked_at: now,
            publications: Publications::new(),
            full_until: due.last().filter(|_| is_full).map(|entry| entry.due_at),
            fresh: Vec::new(),
            old: Vec::new(),
            new: Vec::new(),
        };
        let mut again = Vec::new();
        for entry in due {
            match self.published_ago(&entry) {
                None => self.publish_first(&mut work, entry),
                // A full look must get on, and so leaves nothing where it is.
                Some(ago) if ago < FRESH_FOR && !entry.published && !is_full => {}
                Some(_) => again.push(entry),
            }
        }
        self.look_again(queue, &mut work, again).await?;
        Ok(work)
    }

    async fn outbox(
        &self,
        from: OutboxFrom<'_>,
        until: Option<Timestamp>,
        max: u32,
    ) -> Result<Vec<OutboxEntry>> {
        let scope = SystemScope::new();
        self.repository.outbox(scope, from, until, max).await
    }

    /// How long ago a row was published by us, zero for one that was published before; none if it never was.
    fn published_ago(&self, entry: &OutboxEntry) -> Option<Duration> {
        if entry.published {
            return Some(Duration::ZERO);
        }
        self.cursor().fresh.get(entry).map(Instant::elapsed)
    }

    fn publish_first(&self, work: &mut DueWork, entry: OutboxEntry) {
        let listed_at = match entry.part {
            OutboxPart::FanOut => caused_at(entry.notification),
            OutboxPart::DeliveryBatch(_) => entry.due_at,
        };
        if self.cursor().fresh.len() + work.fresh.len() < FRESH_MAX {
            publish(&mut work.publications, &entry, listed_at);
            work.fresh.push(entry);
        } else {
            let due_at = self.republish_at(work.looked_at);
            let moved = work.move_to(entry, due_at);
            publish(&mut work.publications, &moved, listed_at);
        }
    }

    /// Decides about rows that were published before.
    async fn look_again(
        &self,
        queue: &dyn Queue,
        work: &mut DueWork,
        rows: Vec<OutboxEntry>,
    ) -> Result<()> {
        let (now, later) = (work.looked_at, self.republish_at(work.looked_at));
        let mut busy: HashMap<Lane, bool> = HashMap::new();
        for (entry, state) in self.work_states(rows).await? {
            match state {
                WorkState::Done => work.old.push(entry),
                WorkState::DueAt(at) if at > now => drop(work.move_to(entry, at)),
                // A deferred delivery whose time has come. It is the same task until it is tried.
                WorkState::DueAt(at) => {
                    let moved = work.move_to(entry, later);
                    publish(&mut work.publications, &moved, at);
                }
                WorkState::Waits(listed_at) => {
                    // Published moments ago by this relay, or in line behind others: no reason to publish it again.
                    let is_in_line = !entry.published
                        || (self.may_be_put_off(listed_at, now)
                            && is_busy(queue, entry.lane, &mut busy).await);
                    let moved = work.move_to(entry, later);
                    if !is_in_line {
                        publish(&mut work.publications, &moved, listed_at);
                    }
                }
            }
        }
        Ok(())
    }

    /// How far the work of each row is.
    async fn work_states(&self, rows: Vec<OutboxEntry>) -> Result<Vec<(OutboxEntry, WorkState)>> {
        let scope = SystemScope::new();
        let found = self.repository.find_batches_of(scope, &rows).await?;
        let batches: HashMap<BatchKey, DeliveryBatch> = found
            .into_iter()
            .map(|(tenant, batch)| ((tenant, batch.notification, batch.number), batch))
            .collect();
        let mut states = Vec::with_capacity(rows.len());
        for entry in rows {
            let state = match entry.part {
                OutboxPart::DeliveryBatch(number) => {
                    let key = (entry.tenant.clone(), entry.notification, number);
                    batches.get(&key).map_or(WorkState::Done, state_of)
                }
                OutboxPart::FanOut => self.fan_out_state(&entry).await?,
            };
            states.push((entry, state));
        }
        Ok(states)
    }

    /// What was published, a page behind an entry: for a queue that has forgotten it. Nothing is moved. Also what is looked at far
    /// in the future, because the clock may have been set back. Returns the last entry if there may be more.
    pub(crate) async fn published_work(
        &self,
        after: Option<&OutboxEntry>,
    ) -> Result<(Publications, Option<OutboxEntry>)> {
        let now = self.context.now();
        let from = after.map_or(OutboxFrom::Time(now), OutboxFrom::After);
        let mut rows = self.outbox(from, None, ENTRIES_MAX).await?;
        let is_full = rows.len() >= ENTRIES_MAX as usize;
        let last = rows.last().filter(|_| is_full).cloned();
        rows.retain(|entry| entry.published);
        let mut publications = Publications::new();
        for (entry, state) in self.work_states(rows).await? {
            match state {
                WorkState::Waits(at) => publish(&mut publications, &entry, at),
                WorkState::DueAt(at) if at <= now => publish(&mut publications, &entry, at),
                WorkState::DueAt(_) | WorkState::Done => {}
            }
        }
        Ok((publications, last))
    }

    fn may_be_put_off(&self, listed_at: Timestamp, now: Timestamp) -> bool {
        let longest = self.context.settings.worker.republish_after * PUT_OFF_TIMES;
        Duration::try_from(now.duration_since(listed_at)).is_ok_and(|age| age < longest)
    }

    fn republish_at(&self, now: Timestamp) -> Timestamp {
        let after = self.context.settings.worker.republish_after;
        now.checked_add(after).unwrap_or(Timestamp::MAX)
    }

    /// Writes down that due work was published. Done after publishing: a crash in between publishes twice, never not at all.
    pub(crate) async fn work_published(
        &self,
        mut work: DueWork,
        refused: &HashSet<(Lane, TenantId)>,
    ) -> Result<()> {
        let again_at = self.republish_at(work.looked_at);
        work.take_back(refused, again_at);
        if !work.old.is_empty() {
            let scope = SystemScope::new();
            self.repository
                .replace_outbox(scope, &work.old, &work.new)
                .await?;
        }
        let mut cursor = self.cursor();
        for entry in &work.old {
            cursor.fresh.remove(entry);
        }
        let published = work.fresh.into_iter().map(|entry| (entry, Instant::now()));
        cursor.fresh.extend(published);
        cursor.hot_from = match work.full_until {
            // More may lie behind what one look holds.
            Some(last) => last,
            None => work
                .looked_at
                .saturating_sub(HOT_LOOK)
                .unwrap_or(work.looked_at),
        };
        Ok(())
    }

    /// How long until an outbox entry is due; `None` if there is none.
    pub(crate) async fn next_due_in(&self) -> Result<Option<Duration>> {
        let now = self.context.now();
        // What was due before has been looked at, and what is committed late rings or waits for the next look.
        let next = self.outbox(OutboxFrom::Time(now), None, 1).await?.pop();
        let next = next.map(|entry| entry.due_at);
        Ok(next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)))
    }

    /// From when on the outbox is looked at now; see [`RelayScanCursor`].
    fn look_from(&self, now: Timestamp) -> Timestamp {
        let mut cursor = self.cursor();
        let is_over =
            |last: Option<Instant>, every| last.is_none_or(|last| last.elapsed() >= every);
        // A clock that was set back: what was written since may be due before any look of late began.
        let is_back = now < cursor.hot_from;
        if is_back || is_over(cursor.full_at, FULL_LOOK_EVERY) {
            cursor.full_at = Some(Instant::now());
            cursor.hot_from = Timestamp::UNIX_EPOCH;
        } else if is_over(cursor.wide_at, WIDE_LOOK_EVERY) {
            cursor.wide_at = Some(Instant::now());
            cursor.fresh.retain(|_, at| at.elapsed() < FORGOTTEN_AFTER);
            cursor.hot_from = cursor
                .hot_from
                .min(now.saturating_sub(WIDE_LOOK).unwrap_or(now));
        }
        cursor.hot_from
    }

    fn cursor(&self) -> MutexGuard<'_, RelayScanCursor> {
        self.cursor.locked()
    }

    async fn fan_out_state(&self, entry: &OutboxEntry) -> Result<WorkState> {
        let notification = self
            .repository
            .find(&entry.tenant, entry.notification)
            .await?;
        let now = self.context.now();
        Ok(match notification {
            Some(stored)
                if matches!(
                    stored.status,
                    NotificationStatus::Scheduled | NotificationStatus::FanningOut
                ) =>
            {
                if stored.due_at > now {
                    WorkState::DueAt(stored.due_at)
                } else {
                    WorkState::Waits(caused_at(stored.id))
                }
            }
            _ => WorkState::Done,
        })
    }
}

fn state_of(batch: &DeliveryBatch) -> WorkState {
    match batch.next_at() {
        None => WorkState::Done,
        // Some of it was never tried, or is on the wire.
        Some(at) if at == Timestamp::MIN => WorkState::Waits(batch.created_at),
        Some(at) => WorkState::DueAt(at),
    }
}

/// Whether a lane holds work, asked once in a pass. A queue that gives no answer is not relied upon.
async fn is_busy(queue: &dyn Queue, lane: Lane, known: &mut HashMap<Lane, bool>) -> bool {
    // It knows its tasks, and adds none twice: publishing costs nothing there.
    if !queue.is_durable() {
        return false;
    }
    if let Some(known) = known.get(&lane) {
        return *known;
    }
    let stats = queue.stats(lane).await.unwrap_or_default();
    let is_busy = stats.waiting + stats.leased > 0;
    known.insert(lane, is_busy);
    is_busy
}
