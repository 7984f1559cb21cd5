//! The rules of delivery administration: pausing, moving, cancelling, retrying, and the overview.
//!
//! Called by app_modules and the worker's use cases. Calls the delivery_admin and notifications repositories.

mod commands;
mod lanes;
mod retries;
mod workers;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use ulid::Ulid;

pub(crate) use commands::NotificationCommand;
pub(crate) use retries::{Wanted, group_reasons};

use crate::modules::{
    ModuleContext,
    operations::worker_liveness::WorkerLiveness,
    repositories::{
        DeliveryAdminRepository, FailedBatch, NotificationsRepository, OutboxFrom, SystemScope,
    },
    support::scan_schedule::FullScanSchedule,
};
use crate::{
    error::Result,
    locked::Locked as _,
    types::{
        AuditEntry, DeliveryBatch, DeliveryId, EventId, Lane, LaneStatus, NotificationId,
        OutboxEntry, OutboxPart, Page, PageRequest, TenantId, WorkerStatus,
    },
};

/// Attempts to write a notification that others write too, such as a fan-out with every chunk.
const ATTEMPTS_MAX: u32 = 16;
/// Outbox entries that are counted for an overview; more are only indicated.
const ENTRIES_COUNTED_MAX: u32 = 1_000;
/// The longest pause between two full scans of the outbox, for entries of hosts whose clocks are behind.
const WHOLE_LOOK_EVERY: Duration = Duration::from_secs(30);
/// With an empty outbox, scans in between begin this long ago.
const LOOK_BACK: SignedDuration = SignedDuration::from_secs(60);
/// Batches with failed deliveries that one call looks at: 16,000 deliveries.
pub(crate) const FAILED_BATCHES_MAX: u32 = 500;
/// Batches read at once.
const BATCHES_READ: usize = 50;

/// Where scans of the outbox begin. An optimisation only.
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
    outbox_cursor: Mutex<OutboxScanCursor>,
    /// Workers in this process.
    own_workers: AtomicUsize,
    /// This process's last heartbeat, if no other process can have the store.
    own_status: Mutex<Option<WorkerStatus>>,
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
            outbox_cursor: Mutex::new(OutboxScanCursor {
                from: Timestamp::UNIX_EPOCH,
                full_scans: FullScanSchedule::new(WHOLE_LOOK_EVERY),
            }),
            own_workers: AtomicUsize::new(0),
            own_status: Mutex::default(),
        }
    }

    /// Batches with failed deliveries, newest notification first: up to [`FAILED_BATCHES_MAX`], and whether there are more.
    pub(crate) async fn failed_batches(
        &self,
        tenant: &TenantId,
        of: Option<NotificationId>,
        from: Option<DeliveryId>,
    ) -> Result<(Vec<DeliveryBatch>, bool)> {
        let from = from.map(|id| (id.notification(), id.batch()));
        let mut found = self
            .repository
            .failed_batches(tenant, of, from, FAILED_BATCHES_MAX + 1)
            .await?;
        let is_cut = found.len() > FAILED_BATCHES_MAX as usize;
        found.truncate(FAILED_BATCHES_MAX as usize);
        let places: Vec<_> = found
            .iter()
            .map(|one| (one.notification, one.batch))
            .collect();
        Ok((self.batches(tenant, &places).await?, is_cut))
    }

    /// Some batches, in the order they are named; any number of them, read a few at a time.
    async fn batches(
        &self,
        tenant: &TenantId,
        places: &[(NotificationId, u32)],
    ) -> Result<Vec<DeliveryBatch>> {
        let mut batches = Vec::with_capacity(places.len());
        for places in places.chunks(BATCHES_READ) {
            let found = self.notifications.find_batches(tenant, places).await?;
            let mut found: HashMap<_, DeliveryBatch> = found
                .into_iter()
                .map(|batch| ((batch.notification, batch.number), batch))
                .collect();
            batches.extend(places.iter().filter_map(|place| found.remove(place)));
        }
        Ok(batches)
    }

    /// The batch of one delivery.
    pub(crate) async fn batch_of(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryBatch>> {
        let places = [(id.notification(), id.batch())];
        Ok(self.batches(tenant, &places).await?.pop())
    }

    /// The audit log of a tenant, or outside tenants, newest first.
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

    /// The number of failed deliveries of a tenant, or of all: dead, unknown, and whether there are more.
    pub(crate) async fn failed(&self, tenant: Option<&TenantId>) -> Result<(u64, u64, bool)> {
        let limit = FAILED_BATCHES_MAX + 1;
        let found = match tenant {
            Some(tenant) => {
                self.repository
                    .failed_batches(tenant, None, None, limit)
                    .await?
            }
            None => {
                self.repository
                    .failed_batches_of_all(SystemScope::new(), limit)
                    .await?
            }
        };
        let sum =
            |count: fn(&FailedBatch) -> u32| found.iter().map(|one| u64::from(count(one))).sum();
        Ok((
            sum(|one| one.dead),
            sum(|one| one.unknown),
            found.len() > FAILED_BATCHES_MAX as usize,
        ))
    }

    async fn outbox_entries(&self, now: Timestamp) -> Result<Vec<OutboxEntry>> {
        let floor = || self.outbox_cursor.locked();
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
        let from = OutboxFrom::Time(from);
        let rows = self
            .notifications
            .outbox(scope, from, None, ENTRIES_COUNTED_MAX);
        let rows = rows.await?;
        let mut floor = floor();
        if is_whole {
            floor.full_scans.ended(begun);
        }
        let back = now.saturating_sub(LOOK_BACK).unwrap_or(now);
        floor.from = rows.first().map_or(back, |entry| back.min(entry.due_at));
        drop(floor);
        Ok(rows)
    }

    /// The outbox entries of each lane, and the oldest.
    pub(crate) async fn outbox_lanes(&self) -> Result<Vec<LaneStatus>> {
        let now = self.context.now();
        let rows = self.outbox_entries(now).await?;
        let is_cut = rows.len() >= ENTRIES_COUNTED_MAX as usize;
        Ok(Lane::ALL
            .into_iter()
            .map(|lane| {
                let of_lane: Vec<&OutboxEntry> =
                    rows.iter().filter(|entry| entry.lane == lane).collect();
                let is_later = |entry: &&&OutboxEntry| entry.due_at > now;
                // A reminder is in the outbox months ahead; what its batches say, or what is due, has waited.
                let waits =
                    |entry: &&&OutboxEntry| entry.part != OutboxPart::FanOut || entry.due_at <= now;
                let oldest = of_lane.iter().filter(waits).map(|entry| entry.notification);
                LaneStatus {
                    lane,
                    waiting: None,
                    in_flight: None,
                    outbox_entries: of_lane.len() as u64,
                    later: of_lane.iter().filter(is_later).count() as u64,
                    is_cut,
                    oldest_at: oldest.min().map(crate::modules::notifications::caused_at),
                }
            })
            .collect())
    }
}

/// The events that some batches are about, each once; none for those that are about no event.
pub(crate) fn events_of(batches: &[DeliveryBatch]) -> Vec<Option<EventId>> {
    let mut events: Vec<_> = batches.iter().map(|batch| batch.event).collect();
    events.sort_unstable();
    events.dedup();
    events
}
