//! The rules of telling customers: what is owed, who hears of it, and what became of each delivery.
//!
//! Called by app_modules and the worker's use cases. Calls the notifications, bookings and events repositories.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rand::Rng as _;

use super::{
    Surroundings,
    repositories::{BookingsRepository, EventsRepository, NotificationsRepository, SystemScope},
};
use crate::{
    Error, Result,
    ports::{Lane, MailOutcome, Task, TaskKind},
    types::{
        Block, Booking, BookingStatus, CancelCause, Chunk, Claim, Delivery, DeliveryCounts,
        DeliveryState, Entry, EventId, EventStatus, Notification, NotificationId, NotificationKind,
        NotificationStatus, Owed, OwedPart, Page, PageRequest, StoredNotification, TenantId,
        UserId,
    },
};

/// Outbox rows handled in one pass of the relay.
const OWED_MAX: u32 = 256;
/// Bookings read at a time while recipients are listed.
const WALK_PAGE: u32 = 1_000;
/// Recipients stored in one step of a fan-out: 31 blocks, so that a step's tasks fit any queue's publication.
const CHUNK_MAX: usize = 31 * Block::ENTRIES_MAX;
/// Claims in a row that end without a settlement before the deliveries at fault are dead.
const CLAIMS_MAX: u32 = 3;
/// Blocks in other hands that are watched at a time; beyond it the oldest sights are forgotten, and observed anew.
const WATCHED_MAX: usize = 10_000;

type BlockKey = (TenantId, NotificationId, u32);

pub(crate) struct NotificationsModule {
    repository: Arc<NotificationsRepository>,
    bookings: Arc<BookingsRepository>,
    events: Arc<EventsRepository>,
    surroundings: Surroundings,
    /// Blocks seen in another worker's hand: their revision, and since when it has been that.
    watched: Mutex<HashMap<BlockKey, (i64, Instant)>>,
}

/// Tasks to hand to a queue, by lane and tenant.
pub(crate) type Publications = HashMap<(Lane, TenantId), Vec<Task>>;

/// What the relay found due.
pub(crate) struct DueWork {
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

/// What came of trying to claim a block.
pub(crate) enum ClaimOutcome {
    /// It is ours.
    Claimed(Box<ClaimedBlock>),
    /// Nothing is to be done now; the outbox knows when there will be.
    Nothing,
    /// Another worker has it, perhaps a dead one: look again after the lease.
    Held,
}

/// A block that this worker holds.
pub(crate) struct ClaimedBlock {
    pub(crate) tenant: TenantId,
    pub(crate) block: Block,
    /// Whether an earlier claim died, so that mails are better sent one at a time.
    pub(crate) careful: bool,
}

impl ClaimedBlock {
    /// The deliveries to be sent now, by index: up to `max` that are queued or deferred and due.
    pub(crate) fn next(&self, now: Timestamp, max: usize) -> Vec<usize> {
        let due = |entry: &Entry| {
            matches!(entry.state, DeliveryState::Queued | DeliveryState::Deferred)
                && entry.next_at.is_none_or(|at| at <= now)
        };
        (0..self.block.entries.len())
            .filter(|index| due(&self.block.entries[*index]))
            .take(max)
            .collect()
    }

    /// Names a delivery to the mailer: the same for every attempt.
    pub(crate) fn delivery_key(&self, index: usize) -> String {
        format!(
            "{}.{}.{}-{index}",
            self.tenant, self.block.notification, self.block.number
        )
    }
}

impl NotificationsModule {
    pub(super) fn new(
        repository: Arc<NotificationsRepository>,
        bookings: Arc<BookingsRepository>,
        events: Arc<EventsRepository>,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            repository,
            bookings,
            events,
            surroundings,
            watched: Mutex::default(),
        }
    }

    // --- what callers ask ------------------------------------------------------------------------------------------

    /// A notification with the sum of its deliveries. Transactional kinds have no record of their own and are not found.
    pub(crate) async fn find(
        &self,
        tenant: &TenantId,
        id: NotificationId,
    ) -> Result<Option<Notification>> {
        let Some(stored) = self.repository.find(tenant, id).await? else {
            return Ok(None);
        };
        let mut counts = DeliveryCounts::default();
        let mut from = 0;
        loop {
            let blocks = self.repository.list_blocks(tenant, id, from, 200).await?;
            for entry in blocks.iter().flat_map(|block| &block.entries) {
                counts.add(entry.state, entry.ever_unknown);
            }
            match blocks.last() {
                Some(last) if blocks.len() == 200 => from = last.number + 1,
                _ => break,
            }
        }
        let listed = matches!(
            stored.status,
            NotificationStatus::FannedOut | NotificationStatus::Superseded
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
        }))
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
            .list_blocks(tenant, id, from, page.limit / Block::ENTRIES_MAX as u32 + 3)
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
                items.push(Delivery {
                    customer: entry.customer,
                    booking: entry.booking,
                    state: entry.state,
                    attempts: entry.attempts,
                    reason: entry.reason.clone(),
                    next_at: entry.next_at,
                    ever_unknown: entry.ever_unknown,
                    lost: entry.lost,
                });
            }
        }
        Ok(Page { items, next: None })
    }

    // --- the relay -------------------------------------------------------------------------------------------------

    /// Reads what is due and decides what becomes of each row: published (again), put off, or done with.
    pub(crate) async fn due_work(&self) -> Result<DueWork> {
        let scope = SystemScope::new();
        let now = self.surroundings.now();
        let due = self.repository.due(scope, now, OWED_MAX).await?;
        let again: Vec<Owed> = due.iter().filter(|owed| owed.published).cloned().collect();
        let blocks: HashMap<BlockKey, Block> = self
            .repository
            .find_blocks_of(scope, &again)
            .await?
            .into_iter()
            .map(|(tenant, block)| ((tenant, block.notification, block.number), block))
            .collect();
        let mut work = DueWork {
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
                        due_at: super::to_millisecond(later),
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
        self.repository
            .replace_owed(SystemScope::new(), &work.old, &work.new)
            .await
    }

    /// How long until something is due; none if nothing is owed.
    pub(crate) async fn next_due_in(&self) -> Result<Option<Duration>> {
        let next = self.repository.next_due(SystemScope::new()).await?;
        let now = self.surroundings.now();
        Ok(next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)))
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

    // --- fan-out ---------------------------------------------------------------------------------------------------

    /// Stores the next chunk of a notification's recipients and answers the tasks to publish for it, or none when the
    /// fan-out is over. A chunk is stored before anything of it is published, and is never walked again.
    pub(crate) async fn fan_out_step(
        &self,
        tenant: &TenantId,
        id: NotificationId,
    ) -> Result<Option<Vec<Task>>> {
        let Some(mut notification) = self.repository.find(tenant, id).await? else {
            return Ok(None);
        };
        if matches!(
            notification.status,
            NotificationStatus::FannedOut | NotificationStatus::Superseded
        ) {
            return Ok(None);
        }
        let now = self.surroundings.now();
        if now < notification.due_at {
            return Ok(None);
        }
        if notification.kind == NotificationKind::EventUpdated
            && self.is_cancelled(tenant, notification.event).await?
        {
            notification.status = NotificationStatus::Superseded;
            self.repository.replace(tenant, &notification).await?;
            return Ok(None);
        }
        let (customers, ended) = self.walk(tenant, &notification).await?;
        let due_at = now
            .checked_add(self.surroundings.settings.republish_after)
            .map_err(Error::internal)?;
        let mut chunk = Chunk {
            notification,
            blocks: Vec::new(),
            owed: Vec::new(),
        };
        let mut tasks = Vec::new();
        for customers in customers.chunks(Block::ENTRIES_MAX) {
            let number = chunk.notification.blocks;
            chunk.notification.blocks += 1;
            chunk.blocks.push(Block {
                notification: id,
                number,
                revision: 0,
                kind: chunk.notification.kind,
                event: chunk.notification.event,
                entries: customers
                    .iter()
                    .map(|customer| Entry::queued(*customer, None))
                    .collect(),
                claim: None,
                claims: 0,
                created_at: now,
            });
            let owed = Owed {
                due_at: super::to_millisecond(due_at),
                tenant: tenant.clone(),
                notification: id,
                part: OwedPart::Block(number),
                lane: lane_of(chunk.notification.kind),
                published: true,
            };
            tasks.push(task_of(&owed));
            chunk.owed.push(owed);
        }
        chunk.notification.recipients += customers.len() as u64;
        chunk.notification.cursor = customers.last().copied().or(chunk.notification.cursor);
        chunk.notification.status = if ended {
            NotificationStatus::FannedOut
        } else {
            NotificationStatus::FanningOut
        };
        // Another worker was faster: what it stored, it publishes.
        let stored = self.repository.insert_chunk(tenant, &chunk).await?;
        Ok(Some(if stored { tasks } else { Vec::new() }))
    }

    /// Lists the next recipients in customer order, and whether they are the last. A customer is listed only once all
    /// of their bookings have been seen, so that no border splits one.
    async fn walk(
        &self,
        tenant: &TenantId,
        notification: &StoredNotification,
    ) -> Result<(Vec<UserId>, bool)> {
        let mut customers: Vec<UserId> = Vec::new();
        let mut current: Option<(UserId, bool)> = None;
        let mut after = notification.cursor.map(|customer| (customer, None));
        loop {
            let bookings = self
                .bookings
                .list_of_event(tenant, notification.event, after, None, WALK_PAGE)
                .await?;
            let ended = bookings.len() < WALK_PAGE as usize;
            for booking in &bookings {
                match &mut current {
                    Some((customer, concerned)) if *customer == booking.customer => {
                        *concerned |= concerns(notification, booking);
                    }
                    _ => {
                        if let Some((customer, true)) = current {
                            customers.push(customer);
                        }
                        current = Some((booking.customer, concerns(notification, booking)));
                        if customers.len() == CHUNK_MAX {
                            return Ok((customers, false));
                        }
                    }
                }
                after = Some((booking.customer, Some(booking.id.serial())));
            }
            if ended {
                if let Some((customer, true)) = current {
                    customers.push(customer);
                }
                return Ok((customers, true));
            }
        }
    }

    async fn is_cancelled(&self, tenant: &TenantId, event: EventId) -> Result<bool> {
        let found = self.events.find(tenant, event).await?;
        Ok(found.is_some_and(|(_, inventory)| inventory.status == EventStatus::Cancelled))
    }

    // --- delivery --------------------------------------------------------------------------------------------------

    /// Takes a block for this worker. What a dead worker left `sending` is judged first: sent again where that cannot
    /// make two mails or two are better than none, `unknown` otherwise.
    pub(crate) async fn claim(
        &self,
        tenant: &TenantId,
        id: NotificationId,
        number: u32,
        holder: &str,
        idempotent_mailer: bool,
    ) -> Result<ClaimOutcome> {
        let Some(mut block) = self.repository.find_block(tenant, id, number).await? else {
            return Ok(ClaimOutcome::Nothing);
        };
        let now = self.surroundings.now();
        let key = (tenant.clone(), id, number);
        if block.is_final() || (block.claim.is_none() && block.next_at().is_some_and(|at| at > now))
        {
            self.unwatch(&key);
            return Ok(ClaimOutcome::Nothing);
        }
        if block.claim.is_some() && !self.lease_is_over(&key, block.revision) {
            return Ok(ClaimOutcome::Held);
        }
        self.unwatch(&key);
        block.claims = if block.claim.is_some() {
            block.claims + 1
        } else {
            0
        };
        judge_lost(&mut block, idempotent_mailer);
        let done = block.is_final();
        block.claim = (!done).then(|| Claim {
            holder: holder.to_owned(),
        });
        if !self.repository.replace_block(tenant, &block, None).await? {
            return Ok(ClaimOutcome::Held);
        }
        block.revision += 1;
        if done {
            return Ok(ClaimOutcome::Nothing);
        }
        let careful = block.claims > 0;
        Ok(ClaimOutcome::Claimed(Box::new(ClaimedBlock {
            tenant: tenant.clone(),
            block,
            careful,
        })))
    }

    /// Writes what became of some deliveries, and which others go onto a connection now; with `last`, gives the block
    /// back. Answers false if the block was
    /// taken from us meanwhile: nothing was written then, and nothing more may be sent.
    pub(crate) async fn settle(
        &self,
        claimed: &mut ClaimedBlock,
        outcomes: &[(usize, MailOutcome)],
        sending: &[usize],
        last: bool,
    ) -> Result<bool> {
        let now = self.surroundings.now();
        if !outcomes.is_empty() {
            // A claim that got something done is none of those that poison makes.
            claimed.block.claims = 0;
        }
        for (index, outcome) in outcomes {
            self.apply(
                &mut claimed.block.entries[*index],
                claimed.block.kind,
                outcome,
                now,
            );
        }
        for index in sending {
            claimed.block.entries[*index].state = DeliveryState::Sending;
        }
        self.write(claimed, last).await
    }

    /// Marks deliveries as no longer wanted or impossible, before anything is sent. Written with the next settlement.
    pub(crate) fn set_aside(
        &self,
        claimed: &mut ClaimedBlock,
        index: usize,
        state: DeliveryState,
        reason: &str,
    ) {
        let entry = &mut claimed.block.entries[index];
        entry.state = state;
        entry.next_at = None;
        entry.reason = Some(reason.to_owned());
    }

    async fn write(&self, claimed: &mut ClaimedBlock, last: bool) -> Result<bool> {
        let block = &mut claimed.block;
        let mut owed = None;
        if last {
            block.claim = None;
            block.claims = 0;
            owed = block.next_at().map(|at| Owed {
                due_at: at.max(Timestamp::UNIX_EPOCH),
                tenant: claimed.tenant.clone(),
                notification: block.notification,
                part: OwedPart::Block(block.number),
                lane: lane_of(block.kind),
                published: true,
            });
        }
        let written = self
            .repository
            .replace_block(&claimed.tenant, block, owed.as_ref())
            .await?;
        block.revision += 1;
        if owed.is_some() {
            self.surroundings.owed.notify_one();
        }
        Ok(written)
    }

    fn apply(
        &self,
        entry: &mut Entry,
        kind: NotificationKind,
        outcome: &MailOutcome,
        now: Timestamp,
    ) {
        entry.attempts += 1;
        entry.next_at = None;
        let (state, reason) = match outcome {
            MailOutcome::Sent { reply } => (DeliveryState::Sent, reply),
            MailOutcome::Refused { reply } => (DeliveryState::Dead, reply),
            MailOutcome::Deferred { reply }
                if entry.attempts >= self.surroundings.settings.attempts_max =>
            {
                (DeliveryState::Dead, reply)
            }
            MailOutcome::Deferred { reply } => (DeliveryState::Deferred, reply),
            MailOutcome::Unknown { reason } => {
                entry.ever_unknown = true;
                // A confirmation twice is a nuisance, none is a loss: sent again under the same Message-ID.
                let again = kind.is_transactional()
                    && entry.attempts < self.surroundings.settings.attempts_max;
                (
                    if again {
                        DeliveryState::Deferred
                    } else {
                        DeliveryState::Unknown
                    },
                    reason,
                )
            }
        };
        entry.state = state;
        entry.reason = Some(reason.chars().take(500).collect());
        if state == DeliveryState::Deferred {
            entry.next_at = Some(self.retry_at(entry.attempts, now));
        }
    }

    /// Exponential backoff with jitter: between half and all of pause * 2^(attempts - 1), capped.
    fn retry_at(&self, attempts: u32, now: Timestamp) -> Timestamp {
        let settings = &self.surroundings.settings;
        let doubled = settings
            .retry_pause
            .saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1).min(20)));
        let pause = doubled
            .min(settings.retry_pause_max)
            .mul_f64(rand::rng().random_range(0.5..=1.0));
        super::to_millisecond(now.checked_add(pause).unwrap_or(Timestamp::MAX))
    }

    /// The bookings of the customers of some deliveries in their event, by customer.
    pub(crate) async fn bookings_of(
        &self,
        claimed: &ClaimedBlock,
        indexes: &[usize],
    ) -> Result<HashMap<UserId, Vec<Booking>>> {
        let mut by_customer: HashMap<UserId, Vec<Booking>> = HashMap::new();
        let block = &claimed.block;
        if block.kind.is_transactional() {
            for index in indexes {
                if let Some(id) = block.entries[*index].booking
                    && let Some(booking) = self.bookings.find(&claimed.tenant, id).await?
                {
                    by_customer
                        .entry(booking.customer)
                        .or_default()
                        .push(booking);
                }
            }
            return Ok(by_customer);
        }
        // Bulk deliveries stand in customer order, so that one range of keys holds all of their bookings.
        let customers = || indexes.iter().map(|index| block.entries[*index].customer);
        let (Some(first), Some(last)) = (customers().min(), customers().max()) else {
            return Ok(by_customer);
        };
        let mut after = Some((first, Some(ulid::Ulid::nil())));
        loop {
            let page = self
                .bookings
                .list_of_event(&claimed.tenant, block.event, after, Some(last), WALK_PAGE)
                .await?;
            let more = page.len() == WALK_PAGE as usize;
            after = page
                .last()
                .map(|booking| (booking.customer, Some(booking.id.serial())));
            for booking in page {
                let known = by_customer.entry(booking.customer).or_default();
                // A mail lists some bookings; a customer with thousands must not fill the memory.
                if known.len() < 100 {
                    known.push(booking);
                }
            }
            if !more {
                return Ok(by_customer);
            }
        }
    }

    /// The notification behind a block, if it has a record of its own.
    pub(crate) async fn stored(
        &self,
        tenant: &TenantId,
        id: NotificationId,
    ) -> Result<Option<StoredNotification>> {
        self.repository.find(tenant, id).await
    }

    fn lease_is_over(&self, key: &BlockKey, revision: i64) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        match watched.get(key) {
            Some((seen, since)) if *seen == revision => {
                since.elapsed() >= self.surroundings.settings.delivery_lease
            }
            _ => {
                if watched.len() >= WATCHED_MAX {
                    watched.clear();
                }
                watched.insert(key.clone(), (revision, Instant::now()));
                false
            }
        }
    }

    fn unwatch(&self, key: &BlockKey) {
        self.watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

/// Whether a mail about a booking is still wanted, by kind.
pub(crate) fn still_wanted(kind: NotificationKind, booking: &Booking, event: EventStatus) -> bool {
    let by_event = matches!(booking.cancelled, Some((CancelCause::Event, _)));
    match kind {
        NotificationKind::BookingConfirmed | NotificationKind::EventUpdated => {
            booking.status == BookingStatus::Confirmed && event != EventStatus::Cancelled
        }
        NotificationKind::BookingCancelled => true,
        NotificationKind::EventCancelled => booking.status == BookingStatus::Confirmed || by_event,
    }
}

/// Whether a booking's customer belongs to a notification's audience.
fn concerns(notification: &StoredNotification, booking: &Booking) -> bool {
    let by_event = matches!(booking.cancelled, Some((CancelCause::Event, _)));
    match notification.kind {
        NotificationKind::EventCancelled => booking.status == BookingStatus::Confirmed || by_event,
        _ => {
            booking.status == BookingStatus::Confirmed
                && booking.event_version < notification.to_version
        }
    }
}

/// Judges what a dead worker left behind in a block that is being taken over.
fn judge_lost(block: &mut Block, idempotent_mailer: bool) {
    let poisoned = block.claims >= CLAIMS_MAX;
    for entry in &mut block.entries {
        if entry.state == DeliveryState::Sending {
            entry.lost += 1;
            let may_repeat = idempotent_mailer || block.kind.is_transactional();
            if !idempotent_mailer {
                entry.ever_unknown = true;
            }
            (entry.state, entry.reason) = if entry.lost >= CLAIMS_MAX {
                (
                    DeliveryState::Dead,
                    Some("poison: workers died while sending it".to_owned()),
                )
            } else if may_repeat {
                (
                    DeliveryState::Queued,
                    Some("a worker died while sending it; sent again".to_owned()),
                )
            } else {
                (
                    DeliveryState::Unknown,
                    Some("a worker died while sending it".to_owned()),
                )
            };
        } else if poisoned && !entry.state.is_final() {
            entry.state = DeliveryState::Dead;
            entry.reason = Some("poison: workers died handling its block".to_owned());
        }
    }
}

fn lane_of(kind: NotificationKind) -> Lane {
    if kind.is_transactional() {
        Lane::Transactional
    } else {
        Lane::Bulk
    }
}

/// The task of an outbox row. Its id comes from the row, so that publishing the row twice adds one task, while the row's
/// next visit makes a fresh one.
fn task_of(owed: &Owed) -> Task {
    let due = owed.due_at.as_millisecond();
    match owed.part {
        OwedPart::FanOut => Task {
            id: format!("{due}-{}-all", owed.notification),
            notification: owed.notification,
            kind: TaskKind::FanOut,
        },
        OwedPart::Block(block) => Task {
            id: format!("{due}-{}-{block}", owed.notification),
            notification: owed.notification,
            kind: TaskKind::Deliver { block },
        },
    }
}

fn read_cursor(cursor: Option<&str>) -> Result<(u32, usize)> {
    let Some(cursor) = cursor else {
        return Ok((0, 0));
    };
    cursor
        .split_once('.')
        .and_then(|(block, index)| Some((block.parse().ok()?, index.parse().ok()?)))
        .ok_or_else(|| Error::field("cursor", "Send back what the last page gave as nextCursor."))
}
