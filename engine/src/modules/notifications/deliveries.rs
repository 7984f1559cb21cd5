//! Delivery's rules: who may work on a block, what becomes of each of its mails, and when one is tried again.
//!
//! Called by the worker's use cases. Calls the notifications repository and the ledger.

use std::{collections::HashMap, time::Instant};

use jiff::Timestamp;
use rand::Rng as _;

use super::{BlockKey, NotificationsModule};
use crate::{
    error::Result,
    locked::Locked as _,
    modules::to_millisecond,
    ports::MailOutcome,
    types::{
        BlockWrite, Claim, DeliveryBatch, DeliveryState, Entry, Lane, NotificationId,
        NotificationKind, OutboxEntry, OutboxPart, TenantId,
    },
};

/// Claims in a row that end without a settlement before the deliveries at fault are dead.
const CLAIMS_MAX: u32 = 3;
/// Blocks in other hands that are watched at a time; beyond it the oldest sights are forgotten, and observed anew.
const WATCHED_MAX: usize = 10_000;

/// A task to deliver a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockTask {
    pub(crate) notification: NotificationId,
    pub(crate) number: u32,
    /// The time under which the outbox holds it, as far as the task knows.
    pub(crate) owed_at: Option<Timestamp>,
}

/// What a look at a block says.
pub(crate) enum BatchAvailability {
    /// It is there for whoever claims it first: with the first step that is written, this is done.
    Open(Box<ClaimedBatch>),
    /// Nothing is to be done now; the outbox knows when there will be.
    Nothing,
    /// Another worker has it, perhaps a dead one: look again after the lease.
    Held,
}

/// A block in this worker's hand: claimed with the first step that is written of it.
pub(crate) struct ClaimedBatch {
    pub(crate) tenant: TenantId,
    pub(crate) block: DeliveryBatch,
    /// Whether an earlier claim died, so that mails are better sent one at a time.
    pub(crate) careful: bool,
    /// Whether our claim is written, so that others wait for a sign of life.
    pub(crate) is_written: bool,
    owed_at: Option<Timestamp>,
}

/// How a step leaves its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterWrite {
    /// In our hand.
    Keep,
    /// Given back: finished, or owed again when its next delivery is due.
    Finish,
    /// Given back with work that is due; the queue brings the task again, and the outbox row stays as it is.
    Release,
}

impl ClaimedBatch {
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
        self.block.delivery_id(index).key(&self.tenant)
    }

    fn owed(&self, due_at: Timestamp) -> OutboxEntry {
        OutboxEntry {
            due_at,
            tenant: self.tenant.clone(),
            notification: self.block.notification,
            part: OutboxPart::DeliveryBatch(self.block.number),
            lane: Lane::of(self.block.kind),
            published: true,
        }
    }
}

impl NotificationsModule {
    /// Looks at some blocks of a tenant, in one read, and answers for each what may be done with it. What a dead
    /// worker left `sending` is judged: sent again where that cannot make two mails or two are better than none,
    /// `unknown` otherwise.
    pub(crate) async fn sights(
        &self,
        tenant: &TenantId,
        tasks: &[BlockTask],
        holder: &str,
        idempotent_mailer: bool,
    ) -> Result<Vec<BatchAvailability>> {
        let ids: Vec<_> = tasks
            .iter()
            .map(|task| (task.notification, task.number))
            .collect();
        let found = self.repository.find_blocks(tenant, &ids).await?;
        let mut found: HashMap<(NotificationId, u32), DeliveryBatch> = found
            .into_iter()
            .map(|block| ((block.notification, block.number), block))
            .collect();
        // A block that two of the tasks are about is taken once.
        let sights =
            tasks.iter().map(
                |task| match found.remove(&(task.notification, task.number)) {
                    Some(block) => self.sight(tenant, block, task, holder, idempotent_mailer),
                    None => BatchAvailability::Nothing,
                },
            );
        Ok(sights.collect())
    }

    fn sight(
        &self,
        tenant: &TenantId,
        mut block: DeliveryBatch,
        task: &BlockTask,
        holder: &str,
        idempotent_mailer: bool,
    ) -> BatchAvailability {
        let now = self.context.now();
        let key = (tenant.clone(), block.notification, block.number);
        if block.is_final() || (block.claim.is_none() && block.next_at().is_some_and(|at| at > now))
        {
            self.unwatch(&key);
            return BatchAvailability::Nothing;
        }
        if block.claim.is_some() && !self.lease_is_over(&key, block.revision) {
            return BatchAvailability::Held;
        }
        self.unwatch(&key);
        block.claims = if block.claim.is_some() {
            block.claims + 1
        } else {
            0
        };
        judge_lost(&mut block, idempotent_mailer, now);
        block.claim = Some(Claim {
            holder: holder.to_owned(),
        });
        let careful = block.claims > 0;
        BatchAvailability::Open(Box::new(ClaimedBatch {
            tenant: tenant.clone(),
            block,
            careful,
            is_written: false,
            owed_at: task.owed_at,
        }))
    }

    /// Puts a step of a block's delivery in line: what became of some mails, which others go onto a connection now,
    /// and how the block is left. It is in line when this returns; what comes back is waited for. It answers false if
    /// the block was taken from us meanwhile: nothing was written then, and nothing more may be sent.
    pub(crate) fn settle(
        &self,
        claimed: &mut ClaimedBatch,
        outcomes: &[(usize, MailOutcome)],
        sending: &[usize],
        then: AfterWrite,
    ) -> impl Future<Output = Result<bool>> + Send + use<> {
        let now = self.context.now();
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
        let (mut done, mut owed) = (None, None);
        if then != AfterWrite::Keep {
            claimed.block.claim = None;
            claimed.block.claims = 0;
        }
        if then == AfterWrite::Finish {
            done = claimed.owed_at.map(|at| claimed.owed(at));
            owed = claimed.block.next_at().map(|at| claimed.owed(at.max(now)));
        }
        let write = BlockWrite {
            tenant: claimed.tenant.clone(),
            block: claimed.block.clone(),
            done,
            owed,
        };
        claimed.block.revision += 1;
        claimed.is_written = true;
        self.ledger.put(write)
    }

    /// Ends a delivery that is no longer wanted, or impossible, before it is sent. Written with the next settlement.
    pub(crate) fn end_unsent(
        &self,
        claimed: &mut ClaimedBatch,
        index: usize,
        state: DeliveryState,
        reason: &str,
    ) {
        let now = self.context.now();
        let entry = &mut claimed.block.entries[index];
        entry.next_at = None;
        entry.record_outcome(state, reason.to_owned(), now);
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
                if entry.attempts >= self.context.settings.delivery.attempts_max =>
            {
                (DeliveryState::Dead, reply)
            }
            MailOutcome::Deferred { reply } => (DeliveryState::Deferred, reply),
            MailOutcome::Unknown { reason } => {
                entry.ever_unknown = true;
                let again = kind.is_sent_again()
                    && entry.attempts < self.context.settings.delivery.attempts_max;
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
        entry.record_outcome(state, reason.chars().take(500).collect(), now);
        if state == DeliveryState::Deferred {
            entry.next_at = Some(self.retry_at(entry.attempts, now));
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

    fn lease_is_over(&self, key: &BlockKey, revision: i64) -> bool {
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

    fn unwatch(&self, key: &BlockKey) {
        self.watched.locked().remove(key);
    }
}

/// Judges what a dead worker left behind in a block that is being taken over.
fn judge_lost(block: &mut DeliveryBatch, idempotent_mailer: bool, now: Timestamp) {
    let poisoned = block.claims >= CLAIMS_MAX;
    for entry in &mut block.entries {
        if entry.state == DeliveryState::Sending {
            entry.lost += 1;
            let may_repeat = idempotent_mailer || block.kind.is_sent_again();
            if !idempotent_mailer {
                entry.ever_unknown = true;
            }
            let (state, reason) = if entry.lost >= CLAIMS_MAX {
                (DeliveryState::Dead, "poison: workers died while sending it")
            } else if may_repeat {
                (
                    DeliveryState::Queued,
                    "a worker died while sending it; sent again",
                )
            } else {
                (DeliveryState::Unknown, "a worker died while sending it")
            };
            entry.record_outcome(state, reason.to_owned(), now);
        } else if poisoned && !entry.state.is_final() {
            let reason = "poison: workers died handling its block";
            entry.record_outcome(DeliveryState::Dead, reason.to_owned(), now);
        }
    }
}
