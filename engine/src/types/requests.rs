//! Idempotency: a request's key, and the record of its first answer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    BookingId, CheckIn, Event, EventChange, Hold, IdempotencyKey, Inventory, NotificationSummary,
    PluginActivation, Retried, StoredEvent, Ticket, WaitlistPlace,
};
use crate::error::{Error, ErrorCode, Result};

/// A request's Idempotency-Key, and whether the request was answered from a record.
#[derive(Debug, Clone)]
pub struct Idempotency {
    key: IdempotencyKey,
    replayed: Arc<AtomicBool>,
}

impl Idempotency {
    /// A request with this key.
    pub fn new(key: IdempotencyKey) -> Self {
        Self {
            key,
            replayed: Arc::default(),
        }
    }

    /// The key.
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// Returns whether the answer was replayed. Clones share this.
    pub fn is_replayed(&self) -> bool {
        self.replayed.load(Ordering::Relaxed)
    }

    pub(crate) fn replay(&self) {
        self.replayed.store(true, Ordering::Relaxed);
    }
}

impl PartialEq for Idempotency {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Idempotency {}

/// The scope of an Idempotency-Key: the route. The same text at another route is another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RequestRoute {
    Bookings,
    /// Of rows, by their reference. These are never forgotten.
    Imports,
    Cancellations,
    Confirmations,
    Holds,
    Extensions,
    HoldChanges,
    Releases,
    WaitlistJoins,
    WaitlistLeaves,
    CheckIns,
    CheckInUndos,
    Transfers,
    Events,
    EventCancellations,
    TicketTypes,
    Announcements,
    NotificationCommands,
    PluginActivations,
    PluginRollBacks,
    PluginRemovals,
    Retries,
    /// Of operators, outside tenants.
    LaneCommands,
}

impl RequestRoute {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bookings => "bookings",
            Self::Imports => "imports",
            Self::Cancellations => "cancellations",
            Self::Confirmations => "confirmations",
            Self::Holds => "holds",
            Self::Extensions => "extensions",
            Self::HoldChanges => "hold-changes",
            Self::Releases => "releases",
            Self::WaitlistJoins => "waitlist-joins",
            Self::WaitlistLeaves => "waitlist-leaves",
            Self::CheckIns => "check-ins",
            Self::CheckInUndos => "check-in-undos",
            Self::Transfers => "transfers",
            Self::Events => "events",
            Self::EventCancellations => "event-cancellations",
            Self::TicketTypes => "ticket-types",
            Self::Announcements => "announcements",
            Self::NotificationCommands => "notification-commands",
            Self::PluginActivations => "plugin-activations",
            Self::PluginRollBacks => "plugin-roll-backs",
            Self::PluginRemovals => "plugin-removals",
            Self::Retries => "retries",
            Self::LaneCommands => "lane-commands",
        }
    }
}

/// The identity of a request that must take effect once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RequestKey {
    /// The caller: a user's id, or a program's role.
    pub(crate) principal: String,
    pub(crate) route: RequestRoute,
    pub(crate) key: IdempotencyKey,
}

/// A request with its key. Recorded when it succeeds, and compared when it is repeated.
#[derive(Debug, Clone)]
pub(crate) struct KeyedRequest {
    pub(crate) key: RequestKey,
    /// The digest of the whole request except its key.
    pub(crate) hash: String,
    pub(crate) idempotency: Idempotency,
}

impl KeyedRequest {
    /// The record of this request with its answer.
    pub(crate) fn recorded(&self, answer: RecordedAnswer) -> RecordedRequest {
        RecordedRequest {
            key: self.key.clone(),
            request_hash: self.hash.clone(),
            answer,
        }
    }

    /// The recorded answer, if the record is of this request.
    ///
    /// # Errors
    /// `idempotency-key-reused` if it is the record of another request.
    pub(crate) fn answer_of(&self, recorded: &RecordedRequest) -> Result<RecordedAnswer> {
        if recorded.request_hash != self.hash {
            return Err(self.reused());
        }
        self.idempotency.replay();
        Ok(recorded.answer.clone())
    }

    /// The error for a key that was used for another request.
    pub(crate) fn reused(&self) -> Error {
        Error::new(
            ErrorCode::IdempotencyKeyReused,
            "This Idempotency-Key was used for a different request within the last 24 hours; use a new key.",
        )
        .at_field("Idempotency-Key")
    }
}

/// The record of a request that succeeded.
#[derive(Debug, Clone)]
pub(crate) struct RecordedRequest {
    pub(crate) key: RequestKey,
    pub(crate) request_hash: String,
    pub(crate) answer: RecordedAnswer,
}

/// The part of an answer that cannot be read from the created records.
#[derive(Debug, Clone)]
pub(crate) enum RecordedAnswer {
    /// A booking after this number of cancellations. Its row holds them all.
    Booking {
        booking: BookingId,
        cancellations: usize,
    },
    Hold(Box<Hold>),
    Place(Box<WaitlistPlace>),
    CheckIn(CheckIn),
    Ticket(Ticket),
    Event(Box<(StoredEvent, Inventory)>, Option<NotificationSummary>),
    Announcement(NotificationSummary),
    Plugins(Box<PluginActivation>),
    Retried(Retried),
    /// An empty answer.
    Done,
}

impl RecordedAnswer {
    pub(crate) fn hold(self) -> Result<Hold> {
        match self {
            Self::Hold(hold) => Ok(*hold),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn place(self) -> Result<WaitlistPlace> {
        match self {
            Self::Place(place) => Ok(*place),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn check_in(self) -> Result<CheckIn> {
        match self {
            Self::CheckIn(check_in) => Ok(check_in),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn ticket(self) -> Result<Ticket> {
        match self {
            Self::Ticket(ticket) => Ok(ticket),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn event(self) -> Result<Event> {
        self.event_change().map(|change| change.event)
    }

    pub(crate) fn event_change(self) -> Result<EventChange> {
        match self {
            Self::Event(parts, notification) => {
                let (event, inventory) = *parts;
                Ok(EventChange {
                    event: event.with(inventory),
                    notification,
                })
            }
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn announcement(self) -> Result<NotificationSummary> {
        match self {
            Self::Announcement(summary) => Ok(summary),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn plugins(self) -> Result<PluginActivation> {
        match self {
            Self::Plugins(activation) => Ok(*activation),
            other => Err(other.unexpected()),
        }
    }

    pub(crate) fn retried(self) -> Result<Retried> {
        match self {
            Self::Retried(retried) => Ok(retried),
            other => Err(other.unexpected()),
        }
    }

    /// Ignores the record.
    pub(crate) fn done(self) -> Result<()> {
        Ok(())
    }

    fn unexpected(&self) -> Error {
        Error::internal(format!("a request is recorded with {self:?}"))
    }
}
