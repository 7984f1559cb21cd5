//! Values that modules, repositories and the worker exchange. They never leave the engine.

use std::str::FromStr;

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    Attempt, BookingId, CancellationTerms, DeliveryId, DeliveryState, Event, EventDetails, EventId,
    EventReminder, EventStatus, Label, Lane, NotificationId, NotificationKind, NotificationStatus,
    Prose, TenantId, TicketType, TicketTypeId, TraceParent, UserId,
};
use crate::error::{Error, Result};

/// Everything that a booking's validity depends on, read at one revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inventory {
    pub(crate) event: EventId,
    /// Raised by every write. A transaction with an outdated revision writes nothing.
    pub(crate) revision: i64,
    pub(crate) status: EventStatus,
    pub(crate) event_version: u64,
    pub(crate) starts_at: Timestamp,
    pub(crate) currency: String,
    pub(crate) total: u32,
    pub(crate) sold: u32,
    pub(crate) held: u32,
    /// Entries on the waiting list.
    pub(crate) waiting: u32,
    /// The number of the next entry.
    pub(crate) waitlist_next: i64,
    /// The number of bookings ever made, cancelled ones included.
    pub(crate) bookings: u64,
    pub(crate) ticket_types: Vec<TicketType>,
    pub(crate) cancellation_terms: CancellationTerms,
}

impl Inventory {
    /// Tickets that can still be sold.
    pub(crate) fn available(&self) -> u32 {
        self.total
            .saturating_sub(self.sold)
            .saturating_sub(self.held)
    }
}

/// An event without its counters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredEvent {
    pub(crate) id: EventId,
    pub(crate) organizer: Option<UserId>,
    pub(crate) version: u64,
    pub(crate) details: EventDetails,
    pub(crate) currency: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// The newest notification about a change, if there was one.
    pub(crate) update_notification: Option<NotificationId>,
    /// Its newest reminder.
    pub(crate) reminder: Option<EventReminder>,
    /// The event's beginning in the last reminder before that one.
    pub(crate) reminded_start: Option<Timestamp>,
}

impl StoredEvent {
    /// The event with its counters, as callers see it.
    pub(crate) fn with(self, inventory: Inventory) -> Event {
        Event {
            id: self.id,
            organizer: self.organizer,
            version: self.version,
            details: self.details,
            status: inventory.status,
            total_tickets: inventory.total,
            tickets_sold: inventory.sold,
            tickets_held: inventory.held,
            waiting: inventory.waiting,
            ticket_types: inventory.ticket_types,
            cancellation_terms: inventory.cancellation_terms,
            currency: self.currency,
            reminder: self.reminder,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// A change of an event's counters, with its cause. It becomes a row of the capacity ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CapacityCause {
    Booked,
    Cancelled,
    CancelledInPart,
    Held,
    HoldConfirmed,
    HoldExtended,
    HoldReleased,
    HoldExpired,
    /// A policy rejected somebody who was offered tickets.
    OfferRejected,
    WaitlistJoined,
    WaitlistLeft,
    /// The sale of a type began for which somebody waits.
    SalesOpened,
    /// A group of requests with different causes.
    Several,
    EventCreated,
    EventChanged,
    EventCancelled,
}

impl CapacityCause {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Booked => "booked",
            Self::Cancelled => "cancelled",
            Self::CancelledInPart => "cancelled-in-part",
            Self::Held => "held",
            Self::HoldConfirmed => "hold-confirmed",
            Self::HoldExtended => "hold-extended",
            Self::HoldReleased => "hold-released",
            Self::HoldExpired => "hold-expired",
            Self::OfferRejected => "offer-rejected",
            Self::WaitlistJoined => "waitlist-joined",
            Self::WaitlistLeft => "waitlist-left",
            Self::SalesOpened => "sales-opened",
            Self::Several => "several",
            Self::EventCreated => "event-created",
            Self::EventChanged => "event-changed",
            Self::EventCancelled => "event-cancelled",
        }
    }
}

impl FromStr for CapacityCause {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let all = [
            Self::Booked,
            Self::Cancelled,
            Self::CancelledInPart,
            Self::Held,
            Self::HoldConfirmed,
            Self::HoldExtended,
            Self::HoldReleased,
            Self::HoldExpired,
            Self::OfferRejected,
            Self::WaitlistJoined,
            Self::WaitlistLeft,
            Self::SalesOpened,
            Self::Several,
            Self::EventCreated,
            Self::EventChanged,
            Self::EventCancelled,
        ];
        all.into_iter()
            .find(|cause| cause.as_str() == text)
            .ok_or_else(|| Error::internal(format!("unknown cause {text} in the capacity ledger")))
    }
}

/// A row of the capacity ledger: one change of an event's inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CapacityEntry {
    /// The revision that the change made.
    pub(crate) revision: i64,
    /// The change's id.
    pub(crate) change: Ulid,
    /// Which plan with that id was committed.
    pub(crate) attempt: u32,
    pub(crate) cause: CapacityCause,
    pub(crate) sold_change: i64,
    pub(crate) held_change: i64,
    /// The change of each ticket type.
    pub(crate) types: Vec<TypeChange>,
    /// The counters after the change.
    pub(crate) sold: u32,
    pub(crate) held: u32,
    pub(crate) total: u32,
    pub(crate) at: Timestamp,
}

/// The change of one ticket type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeChange {
    pub(crate) ticket_type: TicketTypeId,
    pub(crate) sold_change: i64,
    pub(crate) held_change: i64,
}

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
    pub(crate) claim: Option<Claim>,
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
pub(crate) struct Claim {
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
    pub(crate) owed: Vec<OutboxEntry>,
    /// The fan-out's own outbox entry, if this step finishes it.
    pub(crate) done: Option<OutboxEntry>,
}

/// The write of one step of a batch's delivery.
#[derive(Debug, Clone)]
pub(crate) struct BatchWrite {
    pub(crate) tenant: TenantId,
    /// The batch to write, with the revision that was read.
    pub(crate) batch: DeliveryBatch,
    /// The outbox entry to remove: its work is done, or is due at another time.
    pub(crate) done: Option<OutboxEntry>,
    /// The outbox entry to add.
    pub(crate) owed: Option<OutboxEntry>,
}
