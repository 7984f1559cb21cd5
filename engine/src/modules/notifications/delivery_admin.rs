//! The rules of looking after what goes out: pausing, cancelling, trying again, and how everything stands.
//!
//! Called by app_modules and the worker's use cases. Calls the delivery_admin and notifications repositories.

mod lanes;
mod workers;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use ulid::Ulid;

use crate::modules::{
    ModuleContext,
    operations::worker_liveness::WorkerLiveness,
    repositories::{DeliveryAdminRepository, FailedBatch, NotificationsRepository, SystemScope},
    support::scan_schedule::FullScanSchedule,
    to_millisecond,
};
use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    modules::support::Attempts,
    types::{
        Attempt, AuditEntry, DeliveryBatch, DeliveryId, DeliveryState, EventId, KeyedRequest, Lane,
        LaneStatus, NotificationId, NotificationStatus, OutboxEntry, OutboxPart, Page, PageRequest,
        ReasonGroup, RecordedAnswer, Retried, StoredNotification, TenantId,
    },
};

/// Tries to write a notification that others write too: a fan-out does with every chunk.
const ATTEMPTS_MAX: u32 = 16;
/// Pieces of owed work that are counted for a look; what is beyond is said to be there.
const OWED_COUNTED_MAX: u32 = 1_000;
/// Between two looks at all that is owed, at most; for rows of hosts whose clocks are behind.
const WHOLE_LOOK_EVERY: Duration = Duration::from_secs(30);
/// With nothing owed, looks in between begin so long ago.
const LOOK_BACK: SignedDuration = SignedDuration::from_secs(60);
/// Blocks with failed deliveries that one call looks at: 16,000 deliveries.
pub(crate) const TROUBLES_MAX: u32 = 500;
/// Blocks read at once.
const BLOCKS_READ: usize = 50;
/// Groups of reasons that are told apart; others are counted with the last.
const GROUPS_MAX: usize = 100;

/// What becomes of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotificationCommand {
    Pause,
    Resume,
    Cancel,
    /// What has not begun to go out goes now.
    Promote,
    /// What has not begun to go out goes at another time.
    Move(Timestamp),
}

impl NotificationCommand {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Promote => "promote",
            Self::Move(_) => "move",
        }
    }

    /// When it is to go out then, if that is said.
    pub(crate) fn due_at(self) -> Option<Timestamp> {
        match self {
            Self::Move(due_at) => Some(due_at),
            Self::Pause | Self::Resume | Self::Cancel | Self::Promote => None,
        }
    }

    /// Whether it changes when the notification goes out.
    fn moves(self) -> bool {
        matches!(self, Self::Promote | Self::Move(_))
    }

    /// Refuses what comes too late for a notification in this state.
    fn check(self, status: NotificationStatus) -> Result<()> {
        let over = |message| Err(Error::new(ErrorCode::NotificationOver, message));
        if status == NotificationStatus::Superseded {
            return over("A newer notification has replaced this one.");
        }
        if status == NotificationStatus::Cancelled && self != Self::Cancel {
            return over("This notification was cancelled.");
        }
        if self.moves() && status != NotificationStatus::Scheduled {
            return over(
                "This notification is being sent or was sent; it can be paused or cancelled.",
            );
        }
        Ok(())
    }

    /// The notification as it is after the command.
    fn applied_to(self, before: &StoredNotification, now: Timestamp) -> StoredNotification {
        let mut after = before.clone();
        match self {
            Self::Promote => after.due_at = after.due_at.min(now),
            Self::Move(due_at) => after.due_at = to_millisecond(due_at),
            Self::Pause => after.is_paused = true,
            Self::Resume => after.is_paused = false,
            Self::Cancel => {
                after.status = NotificationStatus::Cancelled;
                // What waits is to find out that it is not wanted.
                after.is_paused = false;
            }
        }
        after
    }

    /// The outbox entry that the command adds, and the one that it removes.
    fn outbox_changes(
        self,
        tenant: &TenantId,
        (before, after): (&StoredNotification, &StoredNotification),
        now: Timestamp,
    ) -> (Option<OutboxEntry>, Option<OutboxEntry>) {
        let at = |due_at| OutboxEntry {
            due_at,
            tenant: tenant.clone(),
            notification: after.id,
            part: OutboxPart::FanOut,
            lane: Lane::Bulk,
            published: false,
        };
        let is_listing = matches!(
            after.status,
            NotificationStatus::Scheduled | NotificationStatus::FanningOut
        );
        let added = match self {
            Self::Promote | Self::Move(_) => Some(at(after.due_at)),
            Self::Resume if is_listing => Some(at(now.max(after.due_at))),
            _ => None,
        };
        // One that the relay has put elsewhere meanwhile finds out by its notification that it is early.
        (added, self.moves().then(|| at(before.due_at)))
    }
}

/// Which deliveries of the blocks that are looked at.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) state: DeliveryState,
    pub(crate) only: Option<DeliveryId>,
    pub(crate) reason: Option<String>,
}

impl Wanted {
    fn matches(&self, block: &DeliveryBatch, index: usize) -> bool {
        let entry = &block.entries[index];
        let reason = entry.reason.as_deref().unwrap_or_default();
        entry.state == self.state
            && self
                .only
                .is_none_or(|only| only == block.delivery_id(index))
            && self
                .reason
                .as_ref()
                .is_none_or(|wanted| *wanted == reason_class(reason))
    }

    /// How many deliveries of these blocks are meant.
    pub(crate) fn count(&self, blocks: &[DeliveryBatch]) -> u64 {
        let matched = |block: &DeliveryBatch| {
            let indexes = 0..block.entries.len();
            indexes.filter(|index| self.matches(block, *index)).count() as u64
        };
        blocks.iter().map(matched).sum()
    }

    /// What trying them again writes.
    fn plan(&self, tenant: &TenantId, blocks: &[DeliveryBatch], now: Timestamp) -> RetryPlan {
        let mut plan = RetryPlan::default();
        for block in blocks {
            let mut after = block.clone();
            let mut matched = 0;
            for index in 0..block.entries.len() {
                if !self.matches(block, index) {
                    continue;
                }
                matched += 1;
                let entry = &mut after.entries[index];
                if let (Some(at), Some(reply)) = (entry.at.take(), entry.reason.take()) {
                    entry.remember(Attempt {
                        at,
                        state: entry.state,
                        reply,
                    });
                }
                entry.state = DeliveryState::Queued;
                entry.reason = Some("to be tried again, by hand".to_owned());
                (entry.attempts, entry.lost, entry.next_at) = (0, 0, None);
            }
            plan.sum.matched += matched;
            if matched == 0 {
                continue;
            }
            if block.claim.is_some() {
                plan.sum.busy += matched;
                continue;
            }
            plan.sum.retried += matched;
            after.claims = 0;
            plan.blocks.push(after);
            plan.owed.push(OutboxEntry {
                due_at: now,
                tenant: tenant.clone(),
                notification: block.notification,
                part: OutboxPart::DeliveryBatch(block.number),
                lane: match block.kind.is_transactional() {
                    true => Lane::Transactional,
                    false => Lane::Bulk,
                },
                published: false,
            });
        }
        plan
    }
}

/// Blocks as they are to be written, what they owe then, and what comes of it.
#[derive(Default)]
struct RetryPlan {
    blocks: Vec<DeliveryBatch>,
    owed: Vec<OutboxEntry>,
    sum: Retried,
}

/// From when on what is owed is looked at. Saves work and nothing else.
struct OutboxScanCursor {
    from: Timestamp,
    full_scans: FullScanSchedule,
}

pub(crate) struct DeliveryAdminModule {
    repository: DeliveryAdminRepository,
    notifications: Arc<NotificationsRepository>,
    context: ModuleContext,
    started_at: Timestamp,
    worker_liveness: Mutex<WorkerLiveness>,
    owed: Mutex<OutboxScanCursor>,
    /// Workers inside this process.
    own_workers: AtomicUsize,
}

impl DeliveryAdminModule {
    pub(in crate::modules) fn new(
        repository: DeliveryAdminRepository,
        notifications: Arc<NotificationsRepository>,
        context: ModuleContext,
    ) -> Self {
        Self {
            repository,
            notifications,
            started_at: context.now(),
            context,
            worker_liveness: Mutex::default(),
            owed: Mutex::new(OutboxScanCursor {
                from: Timestamp::UNIX_EPOCH,
                full_scans: FullScanSchedule::new(WHOLE_LOOK_EVERY),
            }),
            own_workers: AtomicUsize::new(0),
        }
    }

    /// Pauses, resumes, cancels or moves a bulk notification. What is so already stays so.
    pub(crate) async fn steer(
        &self,
        tenant: &TenantId,
        id: NotificationId,
        command: NotificationCommand,
        audit: &AuditEntry,
        request: Option<&KeyedRequest>,
    ) -> Result<StoredNotification> {
        let mut attempts = Attempts::new("steer_notification", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let found = self.notifications.find(tenant, id).await?;
            let before = found.ok_or_else(|| Error::not_found("notification", id))?;
            let now = self.context.now();
            let after = command.applied_to(&before, now);
            command.check(before.status)?;
            if after == before {
                if let Some(request) = request {
                    // A request that changes nothing is recorded, too.
                    let recorded = request.recorded(RecordedAnswer::Done);
                    let step = self.repository.record_unchanged(
                        tenant,
                        self.context.next_id(),
                        recorded,
                        now,
                    );
                    step.await?;
                }
                return Ok(before);
            }
            let (owed, remove_outbox) = command.outbox_changes(tenant, (&before, &after), now);
            let audited = (self.context.next_id(), audit);
            let written = self
                .repository
                .replace_notification(
                    tenant,
                    &after,
                    owed.as_slice(),
                    remove_outbox.as_slice(),
                    audited,
                    request.map(|one| one.recorded(RecordedAnswer::Done)),
                )
                .await?;
            if written {
                self.context.owed.notify_one();
                return Ok(after);
            }
        }
        Err(Error::new(
            ErrorCode::ConflictTryAgain,
            "The notification kept changing; send the request again.",
        )
        .retry_after(Duration::from_secs(1)))
    }

    /// Blocks with failed deliveries, newest notification first: up to [`TROUBLES_MAX`], and whether there are more.
    pub(crate) async fn failed_batches(
        &self,
        tenant: &TenantId,
        of: Option<NotificationId>,
        from: Option<DeliveryId>,
    ) -> Result<(Vec<DeliveryBatch>, bool)> {
        let from = from.map(|id| (id.notification(), id.block()));
        let mut found = self
            .repository
            .failed_batches(tenant, of, from, TROUBLES_MAX + 1)
            .await?;
        let is_cut = found.len() > TROUBLES_MAX as usize;
        found.truncate(TROUBLES_MAX as usize);
        let places: Vec<_> = found
            .iter()
            .map(|one| (one.notification, one.block))
            .collect();
        Ok((self.blocks(tenant, &places).await?, is_cut))
    }

    /// Some blocks, in the order they are named; any number of them, read a few at a time.
    async fn blocks(
        &self,
        tenant: &TenantId,
        places: &[(NotificationId, u32)],
    ) -> Result<Vec<DeliveryBatch>> {
        let mut blocks = Vec::with_capacity(places.len());
        for places in places.chunks(BLOCKS_READ) {
            let found = self.notifications.find_blocks(tenant, places).await?;
            let mut found: HashMap<_, DeliveryBatch> = found
                .into_iter()
                .map(|block| ((block.notification, block.number), block))
                .collect();
            blocks.extend(places.iter().filter_map(|place| found.remove(place)));
        }
        Ok(blocks)
    }

    /// The block of one delivery.
    pub(crate) async fn block_of(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryBatch>> {
        let places = [(id.notification(), id.block())];
        Ok(self.blocks(tenant, &places).await?.pop())
    }

    /// Sets failed deliveries of these blocks waiting again, with all their tries before them, and writes who did it: all
    /// at once, but those in a worker's hand. `audit` gets the number of them; nothing is written of none.
    pub(crate) async fn retry(
        &self,
        tenant: &TenantId,
        mut blocks: Vec<DeliveryBatch>,
        wanted: &Wanted,
        (mut audit, is_cut): (AuditEntry, bool),
        request: Option<&KeyedRequest>,
    ) -> Result<Retried> {
        let place = |block: &DeliveryBatch| (block.notification, block.number);
        let places: Vec<_> = blocks.iter().map(place).collect();
        let serial = self.context.next_id();
        let mut attempts = Attempts::new("retry_deliveries", ATTEMPTS_MAX);
        while let Some(attempt) = attempts.next().await {
            if attempt > 0 {
                blocks = self.blocks(tenant, &places).await?;
            }
            let plan = wanted.plan(tenant, &blocks, self.context.now());
            let sum = Retried { is_cut, ..plan.sum };
            if sum.matched == 0 && request.is_none() {
                return Ok(sum);
            }
            audit.count = Some(sum.matched);
            let written = self
                .repository
                .retry_blocks(
                    tenant,
                    (&plan.blocks, &plan.owed),
                    (serial, &audit),
                    request.map(|one| one.recorded(RecordedAnswer::Retried(sum))),
                )
                .await?;
            if written {
                self.context.owed.notify_one();
                return Ok(sum);
            }
        }
        Err(Error::new(
            ErrorCode::ConflictTryAgain,
            "These deliveries kept changing; send the request again.",
        )
        .retry_after(Duration::from_secs(1)))
    }

    /// What people did in a tenant, or outside all, newest first.
    pub(crate) async fn audit(
        &self,
        tenant: Option<&TenantId>,
        page: &PageRequest,
    ) -> Result<Page<AuditEntry>> {
        let before = page.position::<Ulid>()?;
        let limit = page.limit + 1;
        let rows = match tenant {
            Some(tenant) => self.repository.audit(tenant, before, limit).await?,
            None => {
                self.repository
                    .audit_outside(SystemScope::new(), before, limit)
                    .await?
            }
        };
        let rows = page.cut(rows, |(serial, _)| serial.to_string());
        Ok(rows.map(|(_, entry)| entry))
    }

    /// How many failed deliveries a tenant has, or, for none, all have: dead, perhaps sent, and whether there are more.
    pub(crate) async fn failed(&self, tenant: Option<&TenantId>) -> Result<(u64, u64, bool)> {
        let limit = TROUBLES_MAX + 1;
        let found = match tenant {
            Some(tenant) => {
                self.repository
                    .failed_batches(tenant, None, None, limit)
                    .await?
            }
            None => {
                self.repository
                    .troubles_of_all(SystemScope::new(), limit)
                    .await?
            }
        };
        let sum =
            |count: fn(&FailedBatch) -> u32| found.iter().map(|one| u64::from(count(one))).sum();
        Ok((
            sum(|one| one.dead),
            sum(|one| one.unknown),
            found.len() > TROUBLES_MAX as usize,
        ))
    }

    async fn owed_rows(&self, now: Timestamp) -> Result<Vec<OutboxEntry>> {
        let floor = || self.owed.locked();
        let begun = Instant::now();
        let (from, is_whole) = {
            let mut floor = floor();
            let is_whole = floor.full_scans.begin();
            let from = if is_whole {
                Timestamp::UNIX_EPOCH
            } else {
                floor.from
            };
            (from, is_whole)
        };
        let scope = SystemScope::new();
        let rows = self.repository.owed(scope, from, OWED_COUNTED_MAX).await?;
        let mut floor = floor();
        if is_whole {
            floor.full_scans.ended(begun);
        }
        let back = now.saturating_sub(LOOK_BACK).unwrap_or(now);
        floor.from = rows.first().map_or(back, |owed| back.min(owed.due_at));
        drop(floor);
        Ok(rows)
    }

    /// How much is owed in each lane, and since when.
    pub(crate) async fn owed(&self) -> Result<Vec<LaneStatus>> {
        let now = self.context.now();
        let rows = self.owed_rows(now).await?;
        let is_cut = rows.len() >= OWED_COUNTED_MAX as usize;
        Ok(Lane::ALL
            .into_iter()
            .map(|lane| {
                let of_lane: Vec<&OutboxEntry> =
                    rows.iter().filter(|owed| owed.lane == lane).collect();
                let is_later = |owed: &&&OutboxEntry| owed.due_at > now;
                // A reminder is owed months ahead; what its blocks say, or what is due, has waited.
                let waits =
                    |owed: &&&OutboxEntry| owed.part != OutboxPart::FanOut || owed.due_at <= now;
                let oldest = of_lane.iter().filter(waits).map(|owed| owed.notification);
                LaneStatus {
                    lane,
                    waiting: None,
                    in_flight: None,
                    owed: of_lane.len() as u64,
                    later: of_lane.iter().filter(is_later).count() as u64,
                    is_cut,
                    oldest_at: oldest.min().map(crate::modules::notifications::caused_at),
                }
            })
            .collect())
    }
}

/// Adds a block's failed deliveries to groups by reason.
pub(crate) fn group_reasons(groups: &mut Vec<ReasonGroup>, block: &DeliveryBatch) {
    for (index, entry) in block.entries.iter().enumerate() {
        if !matches!(entry.state, DeliveryState::Dead | DeliveryState::Unknown) {
            continue;
        }
        let said = entry.reason.clone().unwrap_or_default();
        let reason = reason_class(&said);
        let is_full = groups.len() >= GROUPS_MAX;
        let known = groups
            .iter_mut()
            .find(|group| group.reason == reason && group.state == entry.state);
        match known {
            Some(group) => group.count += 1,
            None if is_full => {
                if let Some(last) = groups.last_mut() {
                    last.count += 1;
                }
            }
            None => groups.push(ReasonGroup {
                reason,
                state: entry.state,
                count: 1,
                example: block.delivery_id(index),
                example_reason: said,
            }),
        }
    }
}

/// The events that some blocks are about, each once; none for those that are about no event.
pub(crate) fn events_of(blocks: &[DeliveryBatch]) -> Vec<Option<EventId>> {
    let mut events: Vec<_> = blocks.iter().map(|block| block.event).collect();
    events.sort_unstable();
    events.dedup();
    events
}

/// A reply without what differs between mails: reply code and class of a mail server stay, words with an address or a
/// number in them do not. At most 120 characters.
fn reason_class(reply: &str) -> String {
    let mut class = String::new();
    for (index, word) in reply.split_whitespace().take(16).enumerate() {
        let differs = word.contains('@') || word.bytes().any(|byte| byte.is_ascii_digit());
        let is_code = index < 2
            && word
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !class.is_empty() {
            class.push(' ');
        }
        class.push_str(if differs && !is_code { "…" } else { word });
    }
    class.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_the_same_for_different_people_and_keep_their_codes() {
        let said = [
            "550 5.1.1 <ann@north.test> no mailbox here by that name",
            "550 5.1.1 <ben@north.test> no mailbox here by that name",
        ];
        let classes = said.map(reason_class);
        assert_eq!(classes[0], "550 5.1.1 … no mailbox here by that name");
        assert_eq!(classes[0], classes[1]);
        assert_ne!(classes[0], reason_class("552 5.2.2 <ann@north.test> full"));
        assert_eq!(reason_class(""), "");
    }
}
