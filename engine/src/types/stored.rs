//! Notifications, deliveries and outbox entries as rules, storage steps and the worker pass them on. They never leave the
//! engine.

use jiff::Timestamp;

use super::{
    Attempt, BookingId, DeliveryId, DeliveryState, EventId, Label, Lane, NotificationId,
    NotificationKind, NotificationStatus, Prose, TenantId, TraceParent, UserId,
};

/// An announcement's text, stored beside its notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) subject: Label,
    pub(crate) message: Prose,
}

/// A notification with the position of its fan-out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredNotification {
    pub(crate) id: NotificationId,
    pub(crate) revision: i64,
    pub(crate) kind: NotificationKind,
    pub(crate) event: EventId,
    pub(crate) status: NotificationStatus,
    /// The event's version before the first change that this reports.
    pub(crate) from_version: u64,
    /// The event's version after the last change that this reports. Bookings made under it are no recipients.
    pub(crate) to_version: u64,
    pub(crate) estimated_recipients: u64,
    /// Recipients listed so far.
    pub(crate) recipients: u64,
    /// Batches stored so far.
    pub(crate) batches: u32,
    /// The last customer listed.
    pub(crate) cursor: Option<UserId>,
    pub(crate) created_at: Timestamp,
    pub(crate) due_at: Timestamp,
    /// Whether it is paused.
    pub(crate) is_paused: bool,
    /// The number of retries of its failed deliveries.
    pub(crate) retry_generation: u64,
    /// Whether the store was restored from a backup, so its recipients may already have been told.
    pub(crate) is_uncertain: bool,
    /// The place in the trace of the causing request, if it is recorded.
    pub(crate) trace: Option<TraceParent>,
}

/// Up to [`DeliveryBatch::DELIVERIES_MAX`] deliveries of one notification that are claimed and finished together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeliveryBatch {
    pub(crate) notification: NotificationId,
    pub(crate) number: u32,
    pub(crate) revision: i64,
    pub(crate) kind: NotificationKind,
    /// The event, for kinds that are about one.
    pub(crate) event: Option<EventId>,
    pub(crate) deliveries: Vec<DeliveryRecord>,
    /// The worker that has claimed it, if any.
    pub(crate) claim: Option<BatchClaim>,
    /// Consecutive claims that ended without an outcome.
    pub(crate) claims: u32,
    pub(crate) created_at: Timestamp,
}

impl DeliveryBatch {
    /// A row of 32 costs 8 to 10 µs of CPU per delivery to write; larger ones make a dead worker's share larger.
    pub(crate) const DELIVERIES_MAX: usize = 32;

    /// The id of one of its deliveries.
    pub(crate) fn delivery_id(&self, index: usize) -> DeliveryId {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        DeliveryId::new(self.notification, self.number, index)
    }

    /// Returns whether all of its deliveries are finished.
    pub(crate) fn is_final(&self) -> bool {
        self.deliveries
            .iter()
            .all(|delivery| delivery.state.is_final())
    }

    /// When the batch is due again: the earliest time of a deferred delivery, or `None` if others are due now.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.deliveries
            .iter()
            .filter(|delivery| !delivery.state.is_final())
            .map(|delivery| delivery.next_at.unwrap_or(Timestamp::MIN))
            .min()
    }
}

/// One delivery in a batch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeliveryRecord {
    pub(crate) customer: UserId,
    pub(crate) booking: Option<BookingId>,
    pub(crate) state: DeliveryState,
    pub(crate) attempts: u32,
    pub(crate) reason: Option<String>,
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) ever_unknown: bool,
    pub(crate) lost: u32,
    /// When its state last changed.
    pub(crate) at: Option<Timestamp>,
    /// Outcomes of earlier attempts, oldest first.
    pub(crate) earlier: Vec<Attempt>,
    /// The place in the trace of the causing request, if it is recorded.
    pub(crate) trace: Option<TraceParent>,
}

impl DeliveryRecord {
    /// Earlier attempts that are kept. Beyond it the oldest except the first are dropped. With 200 characters
    /// each, a batch whose every mail fails that often stays below 60 KB.
    const EARLIER_MAX: usize = 8;
    /// Characters of an earlier attempt's reply that are kept: a code, its class and a sentence.
    const EARLIER_REPLY_MAX: usize = 200;

    /// Sets the new state, reason and time, and keeps the outcome before.
    pub(crate) fn record_outcome(&mut self, state: DeliveryState, reason: String, at: Timestamp) {
        if let (Some(at), Some(reply)) = (self.at, self.reason.take()) {
            let state = self.state_before_sending();
            self.remember(Attempt { at, state, reply });
        }
        self.state = state;
        self.reason = Some(reason);
        self.at = Some(at);
    }

    /// Adds an attempt to the history.
    pub(crate) fn remember(&mut self, attempt: Attempt) {
        self.earlier.push(Attempt {
            reply: (attempt.reply.chars())
                .take(Self::EARLIER_REPLY_MAX)
                .collect(),
            ..attempt
        });
        if self.earlier.len() > Self::EARLIER_MAX {
            self.earlier.remove(1);
        }
    }

    /// `sending` is no outcome: it is written before each mail goes out.
    fn state_before_sending(&self) -> DeliveryState {
        match self.state {
            DeliveryState::Sending | DeliveryState::Queued => DeliveryState::Deferred,
            state => state,
        }
    }

    /// A delivery that waits for its first attempt.
    pub(crate) fn queued(customer: UserId, booking: Option<BookingId>) -> Self {
        Self {
            customer,
            booking,
            state: DeliveryState::Queued,
            attempts: 0,
            reason: None,
            next_at: None,
            ever_unknown: false,
            lost: 0,
            at: None,
            earlier: Vec::new(),
            trace: None,
        }
    }
}

/// The worker that has claimed a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BatchClaim {
    pub(crate) holder: String,
}

/// The part of a notification that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OutboxPart {
    /// Its fan-out.
    FanOut,
    /// The delivery of one batch.
    DeliveryBatch(u32),
}

/// A row of the outbox: work to publish when it is due, and to check until it is done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OutboxEntry {
    pub(crate) due_at: Timestamp,
    pub(crate) tenant: TenantId,
    pub(crate) notification: NotificationId,
    pub(crate) part: OutboxPart,
    pub(crate) lane: Lane,
    /// Whether it was published before.
    pub(crate) published: bool,
}

/// A step of a fan-out: its recipients are stored before anything is published.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// The notification to write, with the revision that was read.
    pub(crate) notification: StoredNotification,
    pub(crate) batches: Vec<DeliveryBatch>,
    pub(crate) outbox: Vec<OutboxEntry>,
    /// The fan-out's own outbox entry, if this step finishes it.
    pub(crate) remove_outbox: Option<OutboxEntry>,
}

/// The write of one step of a batch's delivery.
#[derive(Debug, Clone)]
pub(crate) struct BatchWrite {
    pub(crate) tenant: TenantId,
    /// The batch to write, with the revision that was read.
    pub(crate) batch: DeliveryBatch,
    /// The outbox entry to remove: its work is done, or is due at another time.
    pub(crate) remove_outbox: Option<OutboxEntry>,
    /// The outbox entry to add.
    pub(crate) add_outbox: Option<OutboxEntry>,
}
