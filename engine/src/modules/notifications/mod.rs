//! The rules of telling customers: what is owed, who hears of it, and what became of each delivery.
//!
//! Called by app_modules and the worker's use cases. Calls the notifications, bookings, holds, waitlist and events
//! repositories.

pub(in crate::modules) mod announcements;
mod deliveries;
pub(in crate::modules) mod delivery_admin;
mod delivery_lookup;
mod delivery_writer;
pub(in crate::modules) mod embedded_queue;
mod fan_out;
pub(in crate::modules) mod mail;
mod outbox_relay;
pub(in crate::modules) mod recipient_count;
mod recipients;
mod scheduled;
pub(in crate::modules) mod subscriptions;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

pub(crate) use deliveries::{AfterWrite, BatchAvailability, BlockTask, ClaimedBatch};
use delivery_writer::DeliveryWriter;
pub(crate) use fan_out::Listing;
use outbox_relay::RelayScanCursor;
pub(crate) use recipients::still_wanted;

use jiff::Timestamp;

use super::{
    ModuleContext,
    repositories::{
        BookingsRepository, EventsRepository, HoldsRepository, NotificationsRepository,
        WaitlistRepository,
    },
};
use crate::{
    error::Result,
    locked::Locked as _,
    ports::{Task, TaskKind},
    types::{
        Delivery, DeliveryBatch, DeliveryCounts, DeliveryState, Notification, NotificationId,
        NotificationStatus, OutboxEntry, OutboxPart, Page, PageRequest, StoredNotification, Tally,
        TenantId,
    },
};

/// Blocks that one look for deliveries in a state reads: some ten milliseconds.
const BLOCKS_LOOKED_AT: u32 = 200;
/// Notifications whose sums are remembered; beyond it all are counted anew.
const TALLIES_MAX: usize = 1_000;

type BlockKey = (TenantId, NotificationId, u32);

pub(crate) struct NotificationsModule {
    repository: Arc<NotificationsRepository>,
    bookings: Arc<BookingsRepository>,
    holds: HoldsRepository,
    waitlist: Arc<WaitlistRepository>,
    events: Arc<EventsRepository>,
    context: ModuleContext,
    ledger: Arc<DeliveryWriter>,
    /// Blocks seen in another worker's hand: their revision, and since when it has been that.
    watched: Mutex<HashMap<BlockKey, (i64, Instant)>>,
    window: Mutex<RelayScanCursor>,
    /// Notifications whose first blocks are counted, with how often they were reopened by then. Saves work.
    tallies: Mutex<HashMap<(TenantId, NotificationId), (u64, Tally)>>,
}

impl NotificationsModule {
    pub(super) fn new(
        repository: Arc<NotificationsRepository>,
        bookings: Arc<BookingsRepository>,
        holds: HoldsRepository,
        waitlist: Arc<WaitlistRepository>,
        events: Arc<EventsRepository>,
        context: ModuleContext,
    ) -> Self {
        Self {
            ledger: DeliveryWriter::new(repository.clone(), context.clone()),
            repository,
            bookings,
            holds,
            waitlist,
            events,
            context,
            watched: Mutex::default(),
            window: Mutex::new(RelayScanCursor::new()),
            tallies: Mutex::default(),
        }
    }

    /// A notification with the sum of its deliveries. Transactional kinds have no record of their own and are not found.
    pub(crate) async fn find(
        &self,
        tenant: &TenantId,
        id: NotificationId,
    ) -> Result<Option<Notification>> {
        let Some(stored) = self.repository.find(tenant, id).await? else {
            return Ok(None);
        };
        let counts = self.count(tenant, &stored).await?;
        let listed = matches!(
            stored.status,
            NotificationStatus::FannedOut
                | NotificationStatus::Superseded
                | NotificationStatus::Cancelled
        );
        Ok(Some(Notification {
            id,
            kind: stored.kind,
            event: stored.event,
            status: stored.status,
            recipients: if listed {
                stored.recipients
            } else {
                stored.estimated_recipients
            },
            deliveries: counts,
            created_at: stored.created_at,
            due_at: stored.due_at,
            is_paused: stored.is_paused,
        }))
    }

    /// The sum of a notification's deliveries. Blocks at the beginning of which nothing more becomes anything are
    /// counted once, so that whoever asks again and again reads what moves.
    async fn count(
        &self,
        tenant: &TenantId,
        stored: &StoredNotification,
    ) -> Result<DeliveryCounts> {
        let key = (tenant.clone(), stored.id);
        let known = self.tallies().get(&key).copied();
        let known =
            known.filter(|(retry_generation, _)| *retry_generation == stored.retry_generation);
        let (mut from, mut settled) = known.map(|(_, tally)| tally).unwrap_or_default();
        let (mut counts, mut begins) = (settled, from);
        let mut is_settled = true;
        loop {
            let blocks = self
                .repository
                .list_blocks(tenant, stored.id, from, 200)
                .await?;
            for block in &blocks {
                is_settled &= block.is_final();
                for entry in &block.entries {
                    counts.add(entry.state, entry.ever_unknown);
                }
                if is_settled {
                    (settled, begins) = (counts, block.number + 1);
                }
            }
            match blocks.last() {
                Some(last) if blocks.len() == 200 => from = last.number + 1,
                _ => break,
            }
        }
        let mut tallies = self.tallies();
        if tallies.len() >= TALLIES_MAX {
            tallies.clear();
        }
        tallies.insert(key, (stored.retry_generation, (begins, settled)));
        Ok(counts)
    }

    fn tallies(&self) -> MutexGuard<'_, HashMap<(TenantId, NotificationId), (u64, Tally)>> {
        self.tallies.locked()
    }

    /// A page of a notification's deliveries in customer order. The cursor is `block.index` of the next one.
    pub(crate) async fn deliveries(
        &self,
        tenant: &TenantId,
        id: NotificationId,
        page: &PageRequest,
    ) -> Result<Page<Delivery>> {
        let (from, skip) = read_cursor(page.cursor.as_deref())?;
        let limit = page.limit as usize;
        let blocks = self
            .repository
            .list_blocks(
                tenant,
                id,
                from,
                page.limit / DeliveryBatch::ENTRIES_MAX as u32 + 3,
            )
            .await?;
        let mut items = Vec::with_capacity(limit);
        for block in &blocks {
            let skip = if block.number == from { skip } else { 0 };
            for (index, entry) in block.entries.iter().enumerate().skip(skip) {
                if items.len() == limit {
                    return Ok(Page {
                        items,
                        next: Some(format!("{}.{index}", block.number)),
                    });
                }
                items.push(self.delivery(tenant, block, index, entry));
            }
        }
        Ok(Page { items, next: None })
    }

    /// The same in one state only. One call looks at 6,400 deliveries: a page may hold fewer than it might, or none, and
    /// still have a next one.
    pub(crate) async fn deliveries_in_state(
        &self,
        tenant: &TenantId,
        id: NotificationId,
        state: DeliveryState,
        page: &PageRequest,
    ) -> Result<Page<Delivery>> {
        let (from, skip) = read_cursor(page.cursor.as_deref())?;
        let blocks = self
            .repository
            .list_blocks(tenant, id, from, BLOCKS_LOOKED_AT)
            .await?;
        let mut items = Vec::new();
        for block in &blocks {
            let skip = if block.number == from { skip } else { 0 };
            for (index, entry) in block.entries.iter().enumerate().skip(skip) {
                if entry.state != state {
                    continue;
                }
                if items.len() == page.limit as usize {
                    let next = Some(format!("{}.{index}", block.number));
                    return Ok(Page { items, next });
                }
                items.push(self.delivery(tenant, block, index, entry));
            }
        }
        let is_full = blocks.len() == BLOCKS_LOOKED_AT as usize;
        let last = blocks.last().filter(|_| is_full);
        let next = last.map(|last| format!("{}.0", last.number + 1));
        Ok(Page { items, next })
    }

    /// The notification behind a block, if it has a record of its own.
    pub(crate) async fn stored(
        &self,
        tenant: &TenantId,
        id: NotificationId,
    ) -> Result<Option<StoredNotification>> {
        self.repository.find(tenant, id).await
    }
}

/// The task of an outbox row. Its id names the work, so that work which still waits in the queue is not added again
/// however often the row is visited; and it begins with the time at which the work was listed, so that the blocks a
/// large fan-out lists later stand behind what others were owed before.
fn task_of(owed: &OutboxEntry, listed_at: Timestamp) -> Task {
    let (kind, part) = match owed.part {
        OutboxPart::FanOut => (TaskKind::FanOut, "all".to_owned()),
        OutboxPart::DeliveryBatch(block) => (TaskKind::Deliver { block }, format!("{block:07}")),
    };
    let listed_at = listed_at.as_millisecond();
    Task {
        id: format!("{listed_at:014}-{}-{part}", owed.notification),
        notification: owed.notification,
        kind,
        owed_at: Some(owed.due_at),
    }
}

/// When a notification was caused, as its id says.
pub(super) fn caused_at(id: NotificationId) -> Timestamp {
    let milliseconds = i64::try_from(id.ulid().timestamp_ms()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn read_cursor(cursor: Option<&str>) -> Result<(u32, usize)> {
    let Some(cursor) = cursor else {
        return Ok((0, 0));
    };
    cursor
        .split_once('.')
        .and_then(|(block, index)| Some((block.parse().ok()?, index.parse().ok()?)))
        .ok_or_else(PageRequest::not_a_cursor)
}
