//! The inventory of an event, its changes in the capacity ledger, and the event as it is stored beside it. They never leave
//! the engine.

use std::{collections::BTreeMap, str::FromStr};

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    CancellationTerms, Event, EventDetails, EventId, EventReminder, EventStatus, Metadata,
    NotificationId, TicketType, TicketTypeId, UserId,
};
use crate::error::{Error, Result};

/// Everything that a booking's validity depends on, read at one revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inventory {
    pub(crate) event: EventId,
    /// Grows with every write; a step that was decided on an older one is not written.
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
    /// Most tickets that one customer may have, in all their bookings and holds.
    pub(crate) max_tickets_per_customer: Option<u32>,
    /// Whether a booking needs answers to questions of the event.
    pub(crate) requires_answers: bool,
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
    /// The metadata of those ticket types that have some.
    pub(crate) type_metadata: BTreeMap<TicketTypeId, Metadata>,
}

impl StoredEvent {
    /// The event with its counters, as callers see it.
    pub(crate) fn with(mut self, mut inventory: Inventory) -> Event {
        for kind in &mut inventory.ticket_types {
            if let Some(metadata) = self.type_metadata.remove(&kind.id) {
                kind.metadata = metadata;
            }
        }
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
            max_tickets_per_customer: inventory.max_tickets_per_customer,
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
    /// Booked without a price; the booking has the reason.
    Complimentary,
    /// Bookings of another system.
    Imported,
    Cancelled,
    CancelledInPart,
    Held,
    HoldConfirmed,
    HoldExtended,
    /// What the hold carries beside its tickets changed.
    HoldChanged,
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
            Self::Complimentary => "complimentary",
            Self::Imported => "imported",
            Self::Cancelled => "cancelled",
            Self::CancelledInPart => "cancelled-in-part",
            Self::Held => "held",
            Self::HoldConfirmed => "hold-confirmed",
            Self::HoldExtended => "hold-extended",
            Self::HoldChanged => "hold-changed",
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
            Self::Complimentary,
            Self::Imported,
            Self::Cancelled,
            Self::CancelledInPart,
            Self::Held,
            Self::HoldConfirmed,
            Self::HoldExtended,
            Self::HoldChanged,
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
