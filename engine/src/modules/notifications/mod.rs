//! The rules of notifications: their states, recipients, outbox entries and deliveries.
//!
//! States: a notification is `scheduled` until it is due, `fanning-out` while its recipients are stored in batches, and
//! `fanned-out`, or `superseded` or `cancelled`. A delivery is `queued`, `sending` while its mail is on the wire, and then
//! `sent`, `deferred` (tried again), `dead`, `suppressed` or `unknown`.
//!
//! Who does what: `outbox_relay` finds due work, `fan_out` lists recipients, `delivery` claims batches and records outcomes
//! through the `delivery_writer`, `next_mails` reads what mails are made of, `pending_mail` makes them, `kinds` knows each kind.
//!
//! Called by app_modules and the worker's use cases. Calls the repositories of whatever mails tell of.

pub(in crate::modules) mod announcements;
mod delivery;
pub(in crate::modules) mod delivery_admin;
mod delivery_lookup;
mod delivery_writer;
mod fan_out;
mod kinds;
pub(in crate::modules) mod mail;
mod mail_source;
mod next_mails;
mod outbox_relay;
mod pending_mail;
pub(in crate::modules) mod recipient_count;
mod recipients;
mod scheduled;
mod source_reader;
pub(in crate::modules) mod stored_queue;
pub(in crate::modules) mod subscriptions;
mod unmarked_batches;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

pub(crate) use delivery::{AfterWrite, BatchGroup, BatchTask, Claimant, ClaimedBatch};
use delivery_writer::DeliveryWriter;
pub(crate) use fan_out::Listing;
use mail::context::MailLogo;
pub(crate) use mail_source::{MailPorts, MailSource};
pub(crate) use outbox_relay::Publications;
use outbox_relay::RelayScanCursor;
pub(crate) use pending_mail::PendingMail;
use unmarked_batches::UnmarkedBatches;

use jiff::Timestamp;

use super::{
    ModuleContext,
    repositories::{
        AnnouncementsRepository, BookingsRepository, Db, EventsRepository, HoldsRepository,
        NotificationsRepository, PluginsRepository, ReceiptsRepository, SubscriptionsRepository,
        SystemScope, TenantsRepository, UsersRepository, WaitlistRepository,
    },
    support::lru_cache::LruCache,
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

/// Batches that one look for deliveries in a state reads: some ten milliseconds.
const BATCHES_LOOKED_AT: u32 = 200;
/// Notifications with cached counts; beyond it the cache is cleared.
const TALLIES_MAX: usize = 1_000;

/// Logos in memory: at most 90 KB each. One that is not there costs a read.
const LOGOS_MAX: usize = 64;

type BatchKey = (TenantId, NotificationId, u32);

pub(crate) struct NotificationsModule {
    repository: Arc<NotificationsRepository>,
    announcements: AnnouncementsRepository,
    bookings: BookingsRepository,
    events: EventsRepository,
    holds: HoldsRepository,
    plugins: PluginsRepository,
    subscriptions: SubscriptionsRepository,
    tenants: TenantsRepository,
    users: UsersRepository,
    waitlist: WaitlistRepository,
    receipts: ReceiptsRepository,
    ports: MailPorts,
    context: ModuleContext,
    /// Logos that mails had lately. Their keys name their bytes, so they are never old.
    logos: Mutex<LruCache<(TenantId, String), Arc<MailLogo>>>,
    writer: Arc<DeliveryWriter>,
    unmarked: Arc<UnmarkedBatches>,
    /// Batches seen in another worker's hand: their revision, and since when it has been that.
    watched: Mutex<HashMap<BatchKey, (i64, Instant)>>,
    cursor: Mutex<RelayScanCursor>,
    /// Notifications whose first batches are counted, with how often they were reopened by then. Saves work.
    tallies: Mutex<HashMap<(TenantId, NotificationId), (u64, Tally)>>,
}

impl NotificationsModule {
    /// # Errors
    /// Those of the store.
    pub(super) async fn open(db: &Db, ports: MailPorts, context: ModuleContext) -> Result<Self> {
        let repository = Arc::new(NotificationsRepository::new(db.clone()));
        let last_crash = match context.is_exclusive {
            true => {
                repository
                    .last_crash(SystemScope::new(), context.now())
                    .await?
            }
            false => None,
        };
        Ok(Self {
            writer: DeliveryWriter::new(repository.clone(), context.clone()),
            repository,
            announcements: AnnouncementsRepository::new(db.clone()),
            bookings: BookingsRepository::new(db.clone()),
            events: EventsRepository::new(db.clone()),
            holds: HoldsRepository::new(db.clone()),
            plugins: PluginsRepository::new(db.clone()),
            subscriptions: SubscriptionsRepository::new(db.clone()),
            tenants: TenantsRepository::new(db.clone()),
            users: UsersRepository::new(db.clone()),
            waitlist: WaitlistRepository::new(db.clone()),
            receipts: ReceiptsRepository::new(db.clone()),
            ports,
            context,
            logos: Mutex::new(LruCache::new(LOGOS_MAX)),
            unmarked: Arc::new(UnmarkedBatches::new(last_crash)),
            watched: Mutex::default(),
            cursor: Mutex::new(RelayScanCursor::new()),
            tallies: Mutex::default(),
        })
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

    /// The sum of a notification's deliveries. Batches at the beginning of which nothing more becomes anything are
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
            let batches = self
                .repository
                .list_batches(tenant, stored.id, from, 200)
                .await?;
            for batch in &batches {
                is_settled &= batch.is_final();
                for delivery in &batch.deliveries {
                    counts.add(delivery.state, delivery.ever_unknown);
                }
                if is_settled {
                    (settled, begins) = (counts, batch.number + 1);
                }
            }
            match batches.last() {
                Some(last) if batches.len() == 200 => from = last.number + 1,
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

    /// A page of a notification's deliveries in customer order. The cursor is `batch.index` of the next one.
    pub(crate) async fn deliveries(
        &self,
        tenant: &TenantId,
        id: NotificationId,
        page: &PageRequest,
    ) -> Result<Page<Delivery>> {
        let (from, skip) = read_cursor(page.cursor.as_deref())?;
        let limit = page.limit as usize;
        let batches = self
            .repository
            .list_batches(
                tenant,
                id,
                from,
                page.limit / DeliveryBatch::DELIVERIES_MAX as u32 + 3,
            )
            .await?;
        let mut items = Vec::with_capacity(limit);
        for batch in &batches {
            let skip = if batch.number == from { skip } else { 0 };
            for (index, delivery) in batch.deliveries.iter().enumerate().skip(skip) {
                if items.len() == limit {
                    return Ok(Page {
                        items,
                        next: Some(format!("{}.{index}", batch.number)),
                    });
                }
                items.push(self.delivery(tenant, batch, index, delivery));
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
        let batches = self
            .repository
            .list_batches(tenant, id, from, BATCHES_LOOKED_AT)
            .await?;
        let mut items = Vec::new();
        for batch in &batches {
            let skip = if batch.number == from { skip } else { 0 };
            for (index, delivery) in batch.deliveries.iter().enumerate().skip(skip) {
                if delivery.state != state {
                    continue;
                }
                if items.len() == page.limit as usize {
                    let next = Some(format!("{}.{index}", batch.number));
                    return Ok(Page { items, next });
                }
                items.push(self.delivery(tenant, batch, index, delivery));
            }
        }
        let is_full = batches.len() == BATCHES_LOOKED_AT as usize;
        let last = batches.last().filter(|_| is_full);
        let next = last.map(|last| format!("{}.0", last.number + 1));
        Ok(Page { items, next })
    }

    /// The notification behind a batch, if it has a record of its own.
    pub(crate) async fn stored(
        &self,
        tenant: &TenantId,
        id: NotificationId,
    ) -> Result<Option<StoredNotification>> {
        self.repository.find(tenant, id).await
    }
}

/// The task of an outbox row. Its id names the work, so that work which still waits in the queue is not added again
/// however often the row is visited; and it begins with the time at which the work was listed, so that the batches a
/// large fan-out lists later stand behind what others waited for before.
fn task_of(entry: &OutboxEntry, listed_at: Timestamp) -> Task {
    let (kind, part) = match entry.part {
        OutboxPart::FanOut => (TaskKind::FanOut, "all".to_owned()),
        OutboxPart::DeliveryBatch(batch) => (TaskKind::Deliver { batch }, format!("{batch:07}")),
    };
    let listed_at = listed_at.as_millisecond();
    Task {
        id: format!("{listed_at:014}-{}-{part}", entry.notification),
        notification: entry.notification,
        kind,
        outbox_due_at: Some(entry.due_at),
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
        .and_then(|(batch, index)| Some((batch.parse().ok()?, index.parse().ok()?)))
        .ok_or_else(PageRequest::not_a_cursor)
}
