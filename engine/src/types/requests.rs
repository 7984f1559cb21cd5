//! Requests that may be sent again: the key that names one, and what it was answered first.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    BookingId, CheckIn, Event, EventChange, Hold, IdempotencyKey, Inventory, NotificationSummary,
    PluginActivation, Retried, StoredEvent, Ticket, WaitlistPlace,
};
use crate::error::{Error, ErrorCode, Result};

/// The Idempotency-Key that a caller's request has, and whether the request was answered from a record.
#[derive(Debug, Clone)]
pub struct Idempotency {
    key: IdempotencyKey,
    replayed: Arc<AtomicBool>,
}

impl Idempotency {
    /// A request under this key.
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

    /// Returns whether the answer is the one that the same request had before. Clones share it.
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

/// Where an Idempotency-Key was sent; the same text elsewhere is another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RequestRoute {
    Bookings,
    Cancellations,
    Confirmations,
    Holds,
    Extensions,
    Releases,
    WaitlistJoins,
    WaitlistLeaves,
    CheckIns,
    CheckInUndos,
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
            Self::Cancellations => "cancellations",
            Self::Confirmations => "confirmations",
            Self::Holds => "holds",
            Self::Extensions => "extensions",
            Self::Releases => "releases",
            Self::WaitlistJoins => "waitlist-joins",
            Self::WaitlistLeaves => "waitlist-leaves",
            Self::CheckIns => "check-ins",
            Self::CheckInUndos => "check-in-undos",
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

/// Names a request that must have its effect once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RequestKey {
    /// Who acts: a user's id, or in which capacity a program does.
    pub(crate) principal: String,
    pub(crate) route: RequestRoute,
    pub(crate) key: IdempotencyKey,
}

/// A request with its key: what is recorded together with its success, and compared when it comes again.
#[derive(Debug, Clone)]
pub(crate) struct KeyedRequest {
    pub(crate) key: RequestKey,
    /// Of all that the request says but its key.
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

    /// The answer of a record under this request's key.
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

    /// The refusal of a key that another request was sent under.
    pub(crate) fn reused(&self) -> Error {
        Error::new(
            ErrorCode::IdempotencyKeyReused,
            "This Idempotency-Key was used for a different request within the last 24 hours; use a new key.",
        )
        .at_field("Idempotency-Key")
    }
}

/// A request that succeeded under its key.
#[derive(Debug, Clone)]
pub(crate) struct RecordedRequest {
    pub(crate) key: RequestKey,
    pub(crate) request_hash: String,
    pub(crate) answer: RecordedAnswer,
}

/// What a request was answered, as far as it cannot be read from what it made.
#[derive(Debug, Clone)]
pub(crate) enum RecordedAnswer {
    /// A booking as it was after so many cancellations; its row knows them all.
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
    /// There was nothing to say.
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

    /// Nothing, whatever was recorded.
    pub(crate) fn done(self) -> Result<()> {
        Ok(())
    }

    fn unexpected(&self) -> Error {
        Error::internal(format!("a request is recorded with {self:?}"))
    }
}
