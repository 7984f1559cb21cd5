//! Values that pass between rules, storage steps and the worker, and never leave the engine.

use std::str::FromStr;

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    Attempt, BookingId, CancellationTerms, DeliveryId, DeliveryState, Event, EventDetails, EventId,
    EventReminder, EventStatus, Label, Lane, NotificationId, NotificationKind, NotificationStatus,
    Prose, TenantId, TicketType, TicketTypeId, TraceParent, UserId,
};
use crate::error::{Error, Result};

/// Everything a booking's validity depends on, as read at one revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inventory {
    pub(crate) event: EventId,
    /// Grows with every write; a step written on an older sight does not go through.
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
    /// The number that the next of them gets.
    pub(crate) waitlist_next: i64,
    /// Bookings ever made, cancelled ones included.
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

/// What an event says about itself, without its counters.
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
    /// The beginning that customers were reminded of last, by a reminder before that one.
    pub(crate) reminded_start: Option<Timestamp>,
}

impl StoredEvent {
    /// The event as callers see it.
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

/// A change of an event's counters and why; becomes a row of the capacity ledger.
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
    /// A policy said no to somebody who was offered tickets.
    OfferRejected,
    WaitlistJoined,
    WaitlistLeft,
    /// The sale of a type opened that somebody waits for.
    SalesOpened,
    /// A group whose members came for different things.
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
    /// Names the change.
    pub(crate) change: Ulid,
    /// Which of the plans under that name went through.
    pub(crate) attempt: u32,
    pub(crate) cause: CapacityCause,
    pub(crate) sold_change: i64,
    pub(crate) held_change: i64,
    /// What that was for each ticket type that changed.
    pub(crate) types: Vec<TypeChange>,
    /// The counters after the change.
    pub(crate) sold: u32,
    pub(crate) held: u32,
    pub(crate) total: u32,
    pub(crate) at: Timestamp,
}

/// What a change did to one ticket type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeChange {
    pub(crate) ticket_type: TicketTypeId,
    pub(crate) sold_change: i64,
    pub(crate) held_change: i64,
}

/// What an organizer announced; lies beside its notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) subject: Label,
    pub(crate) message: Prose,
}

/// A notification with what its fan-out needs to go on where it stopped.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredNotification {
    pub(crate) id: NotificationId,
    pub(crate) revision: i64,
    pub(crate) kind: NotificationKind,
    pub(crate) event: EventId,
    pub(crate) status: NotificationStatus,
    /// The event version before the first change this tells of.
    pub(crate) from_version: u64,
    /// The event version after the last change this tells of; bookings made under it need not hear.
    pub(crate) to_version: u64,
    pub(crate) estimated_recipients: u64,
    /// Recipients listed so far.
    pub(crate) recipients: u64,
    /// Blocks stored so far.
    pub(crate) blocks: u32,
    /// The last customer listed.
    pub(crate) cursor: Option<UserId>,
    pub(crate) created_at: Timestamp,
    pub(crate) due_at: Timestamp,
    /// Whether nothing more of it goes out for now.
    pub(crate) is_paused: bool,
    /// How often failed deliveries of it were set waiting again.
    pub(crate) retry_generation: u64,
    /// Whether its recipients may have been told by a store that this one is a backup of.
    pub(crate) is_uncertain: bool,
    /// Where the trace of the request is that caused it, if it is recorded.
    pub(crate) trace: Option<TraceParent>,
}

/// Up to [`DeliveryBatch::ENTRIES_MAX`] deliveries of one notification that are claimed and settled together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeliveryBatch {
    pub(crate) notification: NotificationId,
    pub(crate) number: u32,
    pub(crate) revision: i64,
    pub(crate) kind: NotificationKind,
    /// The event that it is about, for kinds that are about one.
    pub(crate) event: Option<EventId>,
    pub(crate) entries: Vec<Entry>,
    /// The worker that has it now, if one does.
    pub(crate) claim: Option<Claim>,
    /// Claims in a row that ended without a settlement.
    pub(crate) claims: u32,
    pub(crate) created_at: Timestamp,
}

impl DeliveryBatch {
    /// A row of 32 costs 8 to 10 µs of CPU per delivery to write; larger ones make a dead worker's share larger.
    pub(crate) const ENTRIES_MAX: usize = 32;

    /// Names one of its deliveries.
    pub(crate) fn delivery_id(&self, index: usize) -> DeliveryId {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        DeliveryId::new(self.notification, self.number, index)
    }

    /// Whether nothing more is to be done for any of its deliveries.
    pub(crate) fn is_final(&self) -> bool {
        self.entries.iter().all(|entry| entry.state.is_final())
    }

    /// When the block is worth looking at again: the earliest time of a deferred delivery, unless others are due.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.entries
            .iter()
            .filter(|entry| !entry.state.is_final())
            .map(|entry| entry.next_at.unwrap_or(Timestamp::MIN))
            .min()
    }
}

/// One delivery within a block.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) customer: UserId,
    pub(crate) booking: Option<BookingId>,
    pub(crate) state: DeliveryState,
    pub(crate) attempts: u32,
    pub(crate) reason: Option<String>,
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) ever_unknown: bool,
    pub(crate) lost: u32,
    /// When its state last came of something.
    pub(crate) at: Option<Timestamp>,
    /// What attempts before the last came to, oldest first.
    pub(crate) earlier: Vec<Attempt>,
    /// Where the trace of the request is that caused it, if it is recorded.
    pub(crate) trace: Option<TraceParent>,
}

impl Entry {
    /// Attempts that are remembered besides the last; beyond it the oldest but the first are forgotten. With 200
    /// characters each, a block whose every mail fails that often stays below 60 KB.
    const EARLIER_MAX: usize = 8;
    /// Characters of an earlier attempt's reply that are kept: a code, its class and a sentence.
    const EARLIER_REPLY_MAX: usize = 200;

    /// Writes down what came of it, and when, and keeps what had come of it before.
    pub(crate) fn record_outcome(&mut self, state: DeliveryState, reason: String, at: Timestamp) {
        if let (Some(at), Some(reply)) = (self.at, self.reason.take()) {
            let state = self.state_before_sending();
            self.remember(Attempt { at, state, reply });
        }
        self.state = state;
        self.reason = Some(reason);
        self.at = Some(at);
    }

    /// Keeps what an attempt came to.
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

    /// While a mail is on the wire its row says `sending`; what it was before is what may be tried again.
    fn state_before_sending(&self) -> DeliveryState {
        match self.state {
            DeliveryState::Sending | DeliveryState::Queued => DeliveryState::Deferred,
            state => state,
        }
    }

    /// A delivery that waits for its first try.
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

/// Who works on a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) holder: String,
}

/// Which part of a notification is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OutboxPart {
    /// Listing its recipients.
    FanOut,
    /// Delivering one block.
    DeliveryBatch(u32),
}

/// A row of the outbox: something to be published once it is due, and looked at again until it is done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OutboxEntry {
    pub(crate) due_at: Timestamp,
    pub(crate) tenant: TenantId,
    pub(crate) notification: NotificationId,
    pub(crate) part: OutboxPart,
    pub(crate) lane: Lane,
    /// Whether it was handed to the queue before.
    pub(crate) published: bool,
}

/// A step of a fan-out: the recipients found, stored before anything of them is published.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// The notification as it is from now on; its revision is the one that was read.
    pub(crate) notification: StoredNotification,
    pub(crate) blocks: Vec<DeliveryBatch>,
    pub(crate) owed: Vec<OutboxEntry>,
    /// The outbox row of the fan-out itself, if this ends it.
    pub(crate) done: Option<OutboxEntry>,
}

/// What becomes of a block in one step of its delivery.
#[derive(Debug, Clone)]
pub(crate) struct BlockWrite {
    pub(crate) tenant: TenantId,
    /// The block as it shall be; its revision is the one that was seen.
    pub(crate) block: DeliveryBatch,
    /// The outbox row to be taken away: its work is done, or owed under another time from now on.
    pub(crate) done: Option<OutboxEntry>,
    /// What is owed next.
    pub(crate) owed: Option<OutboxEntry>,
}
