//! Delivery's rules: who may work on a block, what becomes of each of its mails, and when one is tried again.
//!
//! Called by the worker's use cases. Calls the notifications and bookings repositories.

use std::{
    collections::HashMap,
    sync::PoisonError,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rand::Rng as _;

use super::{BlockKey, NotificationsModule, fan_out::WALK_PAGE, lane_of};
use crate::{
    Result,
    modules::to_millisecond,
    ports::MailOutcome,
    types::{
        Block, Booking, BookingStatus, CancelCause, Claim, DeliveryState, Entry, EventStatus,
        NotificationId, NotificationKind, Owed, OwedPart, TenantId, UserId,
    },
};

/// Claims in a row that end without a settlement before the deliveries at fault are dead.
const CLAIMS_MAX: u32 = 3;
/// Blocks in other hands that are watched at a time; beyond it the oldest sights are forgotten, and observed anew.
const WATCHED_MAX: usize = 10_000;

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
                due_at: at.max(self.surroundings.now()),
                tenant: claimed.tenant.clone(),
                notification: block.notification,
                part: OwedPart::Block(block.number),
                lane: lane_of(block.kind),
                published: true,
            });
        }
        let written = self
            .write_block(&claimed.tenant, block, owed.as_ref())
            .await?;
        block.revision += 1;
        if owed.is_some() {
            self.surroundings.owed.notify_one();
        }
        Ok(written)
    }

    /// Writes a block of ours through a store that is away for a moment: mails are on the wire meanwhile, and giving up
    /// would leave them in doubt. Not longer than the lease, after which the block may be another's.
    async fn write_block(
        &self,
        tenant: &TenantId,
        block: &Block,
        owed: Option<&Owed>,
    ) -> Result<bool> {
        let begun = Instant::now();
        loop {
            let error = match self.repository.replace_block(tenant, block, owed).await {
                Ok(written) => return Ok(written),
                Err(error) if begun.elapsed() >= self.surroundings.settings.delivery_lease => {
                    return Err(error);
                }
                Err(error) => error,
            };
            tracing::warn!(error = ?error, "writing down deliveries failed; trying again");
            tokio::time::sleep(Duration::from_millis(500)).await;
            // The answer may have been lost, and not the write.
            let found = self
                .repository
                .find_block(tenant, block.notification, block.number)
                .await;
            if let Ok(Some(found)) = found
                && found.revision != block.revision
            {
                let ours = Block {
                    revision: found.revision,
                    ..block.clone()
                };
                return Ok(found.revision == block.revision + 1 && found == ours);
            }
        }
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
        to_millisecond(now.checked_add(pause).unwrap_or(Timestamp::MAX))
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
                let wanted = still_wanted(block.kind, &booking, EventStatus::Published);
                if wanted && known.len() < 100 {
                    known.push(booking);
                }
            }
            if !more {
                return Ok(by_customer);
            }
        }
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
        NotificationKind::BookingConfirmed
        | NotificationKind::EventUpdated
        | NotificationKind::EventReminder => {
            booking.status == BookingStatus::Confirmed && event != EventStatus::Cancelled
        }
        NotificationKind::BookingCancelled => true,
        // What an organizer began to say is said to all, also when the event is called off meanwhile.
        NotificationKind::EventCancelled | NotificationKind::EventAnnouncement => {
            booking.status == BookingStatus::Confirmed || by_event
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
