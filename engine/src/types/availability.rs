//! What is left of an event, and what can be booked now.

use jiff::Timestamp;

use super::{Event, EventId, EventStatus, Label, TicketType, TicketTypeId};

/// Whether tickets of a type can be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SaleState {
    /// They can.
    Open,
    /// None is left. Some may be offered again.
    SoldOut,
    /// The sale has not begun, or the event is a draft.
    NotYet,
    /// The sale has ended, or the event was cancelled.
    Over,
}

impl SaleState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Open, Self::SoldOut, Self::NotYet, Self::Over];

    /// The state as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::SoldOut => "sold-out",
            Self::NotYet => "not-yet",
            Self::Over => "over",
        }
    }
}

/// What is left of an event at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    /// The event.
    pub event: EventId,
    /// Its state.
    pub status: EventStatus,
    /// The moment, UTC.
    pub at: Timestamp,
    /// Tickets that are left of all types together.
    pub left: u32,
    /// Its ticket types, in their order.
    pub ticket_types: Vec<TypeAvailability>,
}

/// What is left of a ticket type at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeAvailability {
    /// The type.
    pub id: TicketTypeId,
    /// Its name.
    pub name: Label,
    /// Whether it can be booked.
    pub state: SaleState,
    /// Tickets that are left of it, and of the event.
    pub left: u32,
    /// Price of one ticket before any policy, in minor units of the event's currency.
    pub price_minor: u32,
    /// When its sale begins or began, UTC; `None` if it has no beginning.
    pub sales_open_at: Option<Timestamp>,
    /// When its sale ends, UTC.
    pub sales_close_at: Timestamp,
}

impl Event {
    /// What is left of it, and what can be booked at a moment, before policies are asked.
    pub fn availability(&self, at: Timestamp) -> Availability {
        let taken = self.tickets_sold.saturating_add(self.tickets_held);
        let left = self.total_tickets.saturating_sub(taken);
        let types = self.ticket_types.iter();
        Availability {
            event: self.id,
            status: self.status,
            at,
            left,
            ticket_types: types
                .map(|kind| self.type_availability(kind, left, at))
                .collect(),
        }
    }

    fn type_availability(
        &self,
        kind: &TicketType,
        left_of_event: u32,
        at: Timestamp,
    ) -> TypeAvailability {
        let left = kind.available().min(left_of_event);
        let sales_close_at = kind.sales_close_at.unwrap_or(self.details.starts_at);
        let is_before = kind.sales_open_at.is_some_and(|open| at < open);
        let state = match self.status {
            EventStatus::Cancelled => SaleState::Over,
            _ if at >= sales_close_at => SaleState::Over,
            EventStatus::Draft => SaleState::NotYet,
            EventStatus::Published if is_before => SaleState::NotYet,
            // A booking of fewer than the fewest is refused.
            EventStatus::Published if left < kind.min_per_booking => SaleState::SoldOut,
            EventStatus::Published => SaleState::Open,
        };
        TypeAvailability {
            id: kind.id.clone(),
            name: kind.name.clone(),
            state,
            left,
            price_minor: kind.price_minor,
            sales_open_at: kind.sales_open_at,
            sales_close_at,
        }
    }
}
