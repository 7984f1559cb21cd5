//! The relay's rules: what of the outbox is due, and what becomes of each row.
//!
//! Called by the worker's use cases. Calls the notifications repository.

use std::{
    collections::HashMap,
    sync::{MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use super::{BlockKey, NotificationsModule, task_of};
use crate::{
    Error, Result,
    modules::{repositories::SystemScope, to_millisecond},
    ports::Task,
    types::{Block, Lane, NotificationStatus, Owed, OwedPart, TenantId},
};

/// Outbox rows handled in one pass of the relay.
const OWED_MAX: u32 = 256;
/// A commit is seen this long after the moment its rows are due, at worst, in a look that follows it at once.
const HOT_LOOK: SignedDuration = SignedDuration::from_millis(500);
/// The same for a store that stalls, looked at now and then.
const WIDE_LOOK: SignedDuration = SignedDuration::from_secs(30);
const WIDE_LOOK_EVERY: Duration = Duration::from_secs(2);
/// Between two looks at the whole outbox: for rows of hosts whose clocks are behind, or that were away.
const FULL_LOOK_EVERY: Duration = Duration::from_secs(60);

/// From when on the relay looks at the outbox. A store reads over every row that was deleted before the first it finds,
/// so that a look from the beginning costs more the more was ever owed. New rows are due when they are written, give or
/// take a commit; so most looks begin shortly before now, some earlier, and a few at the beginning.
pub(super) struct RelayWindow {
    hot_from: Timestamp,
    wide_at: Option<Instant>,
    full_at: Option<Instant>,
}

impl RelayWindow {
    pub(super) fn new() -> Self {
        Self {
            hot_from: Timestamp::UNIX_EPOCH,
            wide_at: None,
            full_at: None,
        }
    }
}

/// Tasks to hand to a queue, by lane and tenant.
pub(crate) type Publications = HashMap<(Lane, TenantId), Vec<Task>>;

/// What the relay found due.
pub(crate) struct DueWork {
    looked_at: Timestamp,
    pub(crate) publications: Publications,
    old: Vec<Owed>,
    new: Vec<Owed>,
}

impl DueWork {
    pub(crate) fn is_full(&self) -> bool {
        self.old.len() >= OWED_MAX as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.old.is_empty()
    }
}

impl NotificationsModule {
    /// Reads what is due and decides what becomes of each row: published (again), put off, or done with.
    pub(crate) async fn due_work(&self) -> Result<DueWork> {
        let scope = SystemScope::new();
        let now = self.surroundings.now();
        let from = self.look_from(now);
        let due = self.repository.due(scope, from, now, OWED_MAX).await?;
        let again: Vec<Owed> = due.iter().filter(|owed| owed.published).cloned().collect();
        let blocks: HashMap<BlockKey, Block> = self
            .repository
            .find_blocks_of(scope, &again)
            .await?
            .into_iter()
            .map(|(tenant, block)| ((tenant, block.notification, block.number), block))
            .collect();
        let mut work = DueWork {
            looked_at: now,
            publications: HashMap::new(),
            old: Vec::new(),
            new: Vec::new(),
        };
        let later = now
            .checked_add(self.surroundings.settings.republish_after)
            .map_err(Error::internal)?;
        for owed in due {
            let unfinished_until = match owed.part {
                _ if !owed.published => Some(now),
                OwedPart::Block(number) => blocks
                    .get(&(owed.tenant.clone(), owed.notification, number))
                    .and_then(Block::next_at),
                OwedPart::FanOut => self.fan_out_due(&owed).await?,
            };
            match unfinished_until {
                None => {}
                Some(at) if at > now => work.new.push(Owed {
                    due_at: at,
                    published: true,
                    ..owed.clone()
                }),
                Some(_) => {
                    let lane = (owed.lane, owed.tenant.clone());
                    work.publications
                        .entry(lane)
                        .or_default()
                        .push(task_of(&owed));
                    work.new.push(Owed {
                        due_at: to_millisecond(later),
                        published: true,
                        ..owed.clone()
                    });
                }
            }
            work.old.push(owed);
        }
        Ok(work)
    }

    /// Writes down that due work was published. Done after publishing: a crash in between publishes twice, never not at all.
    pub(crate) async fn work_published(&self, work: &DueWork) -> Result<()> {
        if !work.is_empty() {
            let scope = SystemScope::new();
            self.repository
                .replace_owed(scope, &work.old, &work.new)
                .await?;
        }
        self.looked(work.looked_at, &work.old);
        Ok(())
    }

    /// How long until something is due; none if nothing is owed.
    pub(crate) async fn next_due_in(&self) -> Result<Option<Duration>> {
        let now = self.surroundings.now();
        let from = self.window().hot_from;
        let next = self.repository.next_due(SystemScope::new(), from).await?;
        Ok(next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)))
    }

    /// From when on the outbox is looked at now; see [`RelayWindow`].
    fn look_from(&self, now: Timestamp) -> Timestamp {
        let mut window = self.window();
        let is_over =
            |last: Option<Instant>, every| last.is_none_or(|last| last.elapsed() >= every);
        if is_over(window.full_at, FULL_LOOK_EVERY) {
            window.full_at = Some(Instant::now());
            window.hot_from = Timestamp::UNIX_EPOCH;
        } else if is_over(window.wide_at, WIDE_LOOK_EVERY) {
            window.wide_at = Some(Instant::now());
            window.hot_from = window
                .hot_from
                .min(now.saturating_sub(WIDE_LOOK).unwrap_or(now));
        }
        window.hot_from
    }

    fn looked(&self, now: Timestamp, due: &[Owed]) {
        self.window().hot_from = match due.last() {
            // More may lie behind what one look holds.
            Some(last) if due.len() >= OWED_MAX as usize => last.due_at,
            _ => now.saturating_sub(HOT_LOOK).unwrap_or(now),
        };
    }

    fn window(&self) -> MutexGuard<'_, RelayWindow> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fan_out_due(&self, owed: &Owed) -> Result<Option<Timestamp>> {
        let notification = self
            .repository
            .find(&owed.tenant, owed.notification)
            .await?;
        Ok(notification
            .filter(|stored| {
                matches!(
                    stored.status,
                    NotificationStatus::Scheduled | NotificationStatus::FanningOut
                )
            })
            .map(|stored| stored.due_at))
    }
}
