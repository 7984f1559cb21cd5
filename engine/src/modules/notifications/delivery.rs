//! Delivery's rules: who may work on a batch, what becomes of each of its mails, and when one is tried again.
//!
//! Called by the worker's use cases: they ask for the batches that can be claimed, send their mails, and record the
//! outcomes. Calls the notifications repository and the delivery writer.

use std::{collections::HashMap, time::Instant};

use jiff::Timestamp;
use rand::Rng as _;

use super::{
    BatchKey, NotificationsModule,
    unmarked_batches::{FirstAttempt, UnmarkedBatch},
};
use crate::{
    error::Result,
    locked::Locked as _,
    modules::to_millisecond,
    ports::MailOutcome,
    types::{
        BatchClaim, BatchWrite, DeliveryBatch, DeliveryRecord, DeliveryState, EventId, Lane,
        NotificationId, NotificationKind, OutboxEntry, OutboxPart, TenantId,
    },
};

/// Consecutive claims without an outcome before the responsible deliveries are dead.
const CLAIMS_MAX: u32 = 3;
/// Batches that other workers have and that are watched at a time; beyond it all are forgotten, and watched anew.
const WATCHED_MAX: usize = 10_000;

/// A task to deliver a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchTask {
    pub(crate) notification: NotificationId,
    pub(crate) number: u32,
    /// The time of its outbox entry, as far as the task knows.
    pub(crate) outbox_due_at: Option<Timestamp>,
}

/// Who claims batches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claimant<'a> {
    pub(crate) holder: &'a str,
    /// Whether its mailer sends a mail once that it is given twice.
    pub(crate) has_idempotent_mailer: bool,
}

/// Which batches can be claimed, and which another worker has. All others have nothing to be done now.
#[derive(Default)]
pub(crate) struct ClaimableBatches {
    pub(crate) groups: Vec<BatchGroup>,
    /// Tasks, by index, whose batch another worker has, perhaps a dead one: look again after the lease.
    pub(crate) held: Vec<usize>,
}

/// Batches whose mails are made of the same, each with the index of its task.
pub(crate) struct BatchGroup {
    common: Common,
    pub(crate) batches: Vec<(usize, ClaimedBatch)>,
}

/// What the batches of a group have in common: bulk batches their notification, others what they tell of which event.
#[derive(PartialEq, Eq)]
enum Common {
    Notification(NotificationId),
    Event(EventId, NotificationKind),
}

impl Common {
    fn of(batch: &DeliveryBatch) -> Self {
        match batch.event {
            Some(event) if batch.kind.is_transactional() => Self::Event(event, batch.kind),
            _ => Self::Notification(batch.notification),
        }
    }
}

/// What may be done with a batch.
enum BatchAvailability {
    /// It is free: the first written step claims it.
    Open(Box<ClaimedBatch>),
    /// Nothing to do now; the outbox has the next time.
    Nothing,
    /// Another worker has it.
    Held,
}

/// A batch in this worker's hand: claimed with the first step that is written of it.
pub(crate) struct ClaimedBatch {
    pub(crate) tenant: TenantId,
    pub(crate) batch: DeliveryBatch,
    /// Whether an earlier worker died with it, so mails are sent one at a time.
    pub(crate) careful: bool,
    /// Whether the claim is written, so others expect heartbeats.
    pub(crate) is_written: bool,
    /// Whether mails may go out before anything is written: no other process has the store, and a mail that is sent
    /// again replaces the first.
    needs_no_mark: bool,
    /// Set once mails have gone out and nothing is written yet.
    unmarked: Option<UnmarkedBatch>,
    outbox_due_at: Option<Timestamp>,
}

/// How a step leaves its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterWrite {
    /// Still claimed.
    Keep,
    /// Released: finished, or due again with its next delivery.
    Finish,
    /// Released with due work; the queue delivers the task again, and the outbox entry stays.
    Release,
}

impl ClaimedBatch {
    pub(crate) fn lane(&self) -> Lane {
        self.batch.kind.lane()
    }

    /// The deliveries to send now, by index: up to `max` that are queued, or deferred and due.
    pub(crate) fn next(&self, now: Timestamp, max: usize) -> Vec<usize> {
        let due = |delivery: &DeliveryRecord| {
            matches!(
                delivery.state,
                DeliveryState::Queued | DeliveryState::Deferred
            ) && delivery.next_at.is_none_or(|at| at <= now)
        };
        (0..self.batch.deliveries.len())
            .filter(|index| due(&self.batch.deliveries[*index]))
            .take(max)
            .collect()
    }

    /// Whether a delivery is to be sent now.
    pub(crate) fn has_due(&self, now: Timestamp) -> bool {
        !self.next(now, 1).is_empty()
    }

    /// A delivery's key for the mailer, the same for every attempt.
    pub(super) fn delivery_key(&self, index: usize) -> String {
        self.batch.delivery_id(index).key(&self.tenant)
    }

    /// The deliveries, by index, that may still end unsent.
    pub(super) fn unsent(&self) -> Vec<usize> {
        let deliveries = self.batch.deliveries.iter().enumerate();
        deliveries
            .filter(|(_, one)| !one.state.is_final() && one.state != DeliveryState::Sending)
            .map(|(index, _)| index)
            .collect()
    }

    /// Ends a delivery that is no longer wanted, or impossible, before it is sent. Written with the next outcomes.
    pub(super) fn end_unsent(
        &mut self,
        index: usize,
        state: DeliveryState,
        reason: &str,
        now: Timestamp,
    ) {
        let delivery = &mut self.batch.deliveries[index];
        delivery.next_at = None;
        delivery.record_outcome(state, reason.to_owned(), now);
    }

    fn key(&self) -> BatchKey {
        let batch = &self.batch;
        (self.tenant.clone(), batch.notification, batch.number)
    }

    fn outbox_entry(&self, due_at: Timestamp) -> OutboxEntry {
        OutboxEntry {
            due_at,
            tenant: self.tenant.clone(),
            notification: self.batch.notification,
            part: OutboxPart::DeliveryBatch(self.batch.number),
            lane: self.lane(),
            published: true,
        }
    }
}

impl NotificationsModule {
    /// Looks at some batches of a tenant, in one read, and groups those that can be claimed. What a dead worker left
    /// `sending` is judged: sent again where that cannot make two mails or two are better than none, `unknown` otherwise.
    pub(crate) async fn claimable_batches(
        &self,
        tenant: &TenantId,
        tasks: &[BatchTask],
        claimant: Claimant<'_>,
    ) -> Result<ClaimableBatches> {
        let ids: Vec<_> = tasks
            .iter()
            .map(|task| (task.notification, task.number))
            .collect();
        let found = self.repository.find_batches(tenant, &ids).await?;
        let mut found: HashMap<(NotificationId, u32), DeliveryBatch> = found
            .into_iter()
            .map(|batch| ((batch.notification, batch.number), batch))
            .collect();
        let mut claimable = ClaimableBatches::default();
        for (index, task) in tasks.iter().enumerate() {
            // A batch that two of the tasks are about is taken once.
            let Some(batch) = found.remove(&(task.notification, task.number)) else {
                continue;
            };
            match self.availability(tenant, batch, task, claimant) {
                BatchAvailability::Open(claimed) => claimable.add(index, *claimed),
                BatchAvailability::Nothing => {}
                BatchAvailability::Held => claimable.held.push(index),
            }
        }
        Ok(claimable)
    }

    fn availability(
        &self,
        tenant: &TenantId,
        mut batch: DeliveryBatch,
        task: &BatchTask,
        claimant: Claimant<'_>,
    ) -> BatchAvailability {
        let now = self.context.now();
        let key = (tenant.clone(), batch.notification, batch.number);
        if batch.is_final() || (batch.claim.is_none() && batch.next_at().is_some_and(|at| at > now))
        {
            self.unwatch(&key);
            if batch.is_final() {
                self.unmarked.forget(&key);
            }
            return BatchAvailability::Nothing;
        }
        if (batch.claim.as_ref())
            .is_some_and(|claim| !self.is_abandoned(&key, batch.revision, claim, claimant))
        {
            return BatchAvailability::Held;
        }
        let may_be_unmarked =
            self.context.is_exclusive && claimant.has_idempotent_mailer && batch.claim.is_none();
        let first_attempt = match may_be_unmarked {
            true => self.unmarked.find(&key, &batch, now),
            false => None,
        };
        match first_attempt {
            Some(FirstAttempt::InHand) => return BatchAvailability::Held,
            Some(FirstAttempt::InDoubt) => count_unmarked_death(&mut batch),
            None => {}
        }
        self.unwatch(&key);
        batch.claims = if batch.claim.is_some() {
            batch.claims + 1
        } else {
            0
        };
        judge_lost(&mut batch, claimant.has_idempotent_mailer, now);
        batch.claim = Some(BatchClaim {
            holder: claimant.holder.to_owned(),
        });
        let careful = batch.claims > 0;
        BatchAvailability::Open(Box::new(ClaimedBatch {
            tenant: tenant.clone(),
            batch,
            careful,
            is_written: false,
            needs_no_mark: may_be_unmarked && first_attempt.is_none(),
            unmarked: None,
            outbox_due_at: task.outbox_due_at,
        }))
    }

    /// Chooses mails that go onto a connection now without a write, where no mark is needed. Returns whether that is so.
    pub(crate) fn send_unmarked(&self, claimed: &mut ClaimedBatch, sending: &[usize]) -> bool {
        if claimed.is_written || !claimed.needs_no_mark {
            return false;
        }
        if claimed.unmarked.is_none() {
            claimed.unmarked = self.unmarked.take(claimed.key());
        }
        if claimed.unmarked.is_none() {
            return false;
        }
        for index in sending {
            claimed.batch.deliveries[*index].state = DeliveryState::Sending;
        }
        true
    }

    /// Puts a step of a batch's delivery in line: what became of some mails, which others go onto a connection now,
    /// and how the batch is left. It is in line when this returns; what comes back is waited for. It gives false if
    /// the batch was taken from us meanwhile: nothing was written then, and nothing more may be sent.
    pub(crate) fn record(
        &self,
        claimed: &mut ClaimedBatch,
        outcomes: &[(usize, MailOutcome)],
        sending: &[usize],
        then: AfterWrite,
    ) -> impl Future<Output = Result<bool>> + Send + use<> {
        let now = self.context.now();
        if !outcomes.is_empty() {
            // A claim with an outcome was not ended by a poisonous mail.
            claimed.batch.claims = 0;
        }
        let kind = claimed.batch.kind;
        for (index, outcome) in outcomes {
            self.apply(&mut claimed.batch.deliveries[*index], kind, outcome, now);
        }
        for index in sending {
            claimed.batch.deliveries[*index].state = DeliveryState::Sending;
        }
        let (mut remove_outbox, mut add_outbox) = (None, None);
        if then != AfterWrite::Keep {
            claimed.batch.claim = None;
            claimed.batch.claims = 0;
        }
        if then == AfterWrite::Finish {
            remove_outbox = claimed.outbox_due_at.map(|at| claimed.outbox_entry(at));
            add_outbox = claimed
                .batch
                .next_at()
                .map(|at| claimed.outbox_entry(at.max(now)));
        }
        let write = BatchWrite {
            tenant: claimed.tenant.clone(),
            batch: claimed.batch.clone(),
            remove_outbox,
            add_outbox,
        };
        claimed.batch.revision += 1;
        claimed.is_written = true;
        let unmarked = claimed.unmarked.take();
        // Only there a batch can be in doubt.
        let in_doubt = (self.context.is_exclusive && unmarked.is_none())
            .then(|| (self.unmarked.clone(), claimed.key()));
        let written = self.writer.put(write);
        async move {
            let is_ours = written.await?;
            if let Some(unmarked) = unmarked {
                unmarked.written();
            }
            if let Some((known, key)) = in_doubt.filter(|_| is_ours) {
                known.forget(&key);
            }
            Ok(is_ours)
        }
    }

    fn apply(
        &self,
        delivery: &mut DeliveryRecord,
        kind: NotificationKind,
        outcome: &MailOutcome,
        now: Timestamp,
    ) {
        delivery.attempts += 1;
        delivery.next_at = None;
        let (state, reason) = match outcome {
            MailOutcome::Sent { reply } => (DeliveryState::Sent, reply),
            MailOutcome::Refused { reply } => (DeliveryState::Dead, reply),
            MailOutcome::Deferred { reply }
                if delivery.attempts >= self.context.settings.delivery.attempts_max =>
            {
                (DeliveryState::Dead, reply)
            }
            MailOutcome::Deferred { reply } => (DeliveryState::Deferred, reply),
            MailOutcome::Unknown { reason } => {
                delivery.ever_unknown = true;
                let again = kind.is_sent_again()
                    && delivery.attempts < self.context.settings.delivery.attempts_max;
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
        delivery.record_outcome(state, reason.chars().take(500).collect(), now);
        if state == DeliveryState::Deferred {
            delivery.next_at = Some(self.retry_at(delivery.attempts, now));
        }
    }

    /// Exponential backoff with jitter: between half and all of pause * 2^(attempts - 1), capped.
    fn retry_at(&self, attempts: u32, now: Timestamp) -> Timestamp {
        let settings = &self.context.settings.delivery;
        let doubled = settings
            .retry_pause
            .saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1).min(20)));
        let pause = doubled
            .min(settings.retry_pause_max)
            .mul_f64(rand::rng().random_range(0.5..=1.0));
        to_millisecond(now.checked_add(pause).unwrap_or(Timestamp::MAX))
    }

    /// Returns whether whoever claimed a batch has died. No other process can have an exclusive store.
    fn is_abandoned(
        &self,
        key: &BatchKey,
        revision: i64,
        claim: &BatchClaim,
        claimant: Claimant<'_>,
    ) -> bool {
        (self.context.is_exclusive && claim.holder != claimant.holder)
            || self.lease_is_over(key, revision)
    }

    fn lease_is_over(&self, key: &BatchKey, revision: i64) -> bool {
        let mut watched = self.watched.locked();
        match watched.get(key) {
            Some((seen, since)) if *seen == revision => {
                since.elapsed() >= self.context.settings.worker.delivery_lease
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

    fn unwatch(&self, key: &BatchKey) {
        self.watched.locked().remove(key);
    }
}

impl ClaimableBatches {
    fn add(&mut self, index: usize, claimed: ClaimedBatch) {
        let common = Common::of(&claimed.batch);
        match self.groups.iter_mut().find(|group| group.common == common) {
            Some(group) => group.batches.push((index, claimed)),
            None => self.groups.push(BatchGroup {
                common,
                batches: vec![(index, claimed)],
            }),
        }
    }
}

/// Counts a death that left no mark, for all mails that it may have been.
fn count_unmarked_death(batch: &mut DeliveryBatch) {
    for delivery in &mut batch.deliveries {
        if !delivery.state.is_final() {
            delivery.lost = delivery.lost.max(1);
        }
    }
}

/// Judges what a dead worker left behind in a batch that is being taken over.
fn judge_lost(batch: &mut DeliveryBatch, has_idempotent_mailer: bool, now: Timestamp) {
    let poisoned = batch.claims >= CLAIMS_MAX;
    for delivery in &mut batch.deliveries {
        if delivery.state == DeliveryState::Sending {
            delivery.lost += 1;
            let may_repeat = has_idempotent_mailer || batch.kind.is_sent_again();
            if !has_idempotent_mailer {
                delivery.ever_unknown = true;
            }
            let (state, reason) = if delivery.lost >= CLAIMS_MAX {
                (DeliveryState::Dead, "poison: workers died while sending it")
            } else if may_repeat {
                (
                    DeliveryState::Queued,
                    "a worker died while sending it; sent again",
                )
            } else {
                (DeliveryState::Unknown, "a worker died while sending it")
            };
            delivery.record_outcome(state, reason.to_owned(), now);
        } else if poisoned && !delivery.state.is_final() {
            let reason = "poison: workers died handling its batch";
            delivery.record_outcome(DeliveryState::Dead, reason.to_owned(), now);
        }
    }
}
