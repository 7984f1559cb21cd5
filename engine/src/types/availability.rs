//! What is left of an event, what can be booked now, and how much of it a caller is told.

use std::str::FromStr;

use jiff::Timestamp;

use super::{Event, EventId, EventStatus, Label, NewTicketType, TicketType, TicketTypeId};
use crate::error::{Error, Result};

/// What callers are told of the tickets that are left, unless they manage the event: a setting of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ShownAvailability {
    /// The number of them.
    Exact,
    /// Whether there are some, and whether they are few.
    #[default]
    FewLeft,
    /// Whether there are some.
    YesNo,
}

impl ShownAvailability {
    /// Every setting.
    pub const ALL: [Self; 3] = [Self::Exact, Self::FewLeft, Self::YesNo];

    /// The setting as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::FewLeft => "few-left",
            Self::YesNo => "yes-no",
        }
    }
}

impl FromStr for ShownAvailability {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| {
            Error::field(
                "shownAvailability",
                "It is `exact`, `few-left` or `yes-no`.",
            )
        })
    }
}

/// Whether tickets are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TicketsLeft {
    /// Some are.
    Yes,
    /// Some are, but few: at most a tenth of the capacity, rounded up, and at most [`TicketsLeft::FEW_MAX`].
    Few,
    /// None is, or fewer than one booking must have, or the event was cancelled.
    No,
}

impl TicketsLeft {
    /// Every answer.
    pub const ALL: [Self; 3] = [Self::Yes, Self::Few, Self::No];
    /// As many as one booking may have unless the organizer says otherwise, so that the next one may be the last. Of a stadium a
    /// tenth would still be thousands.
    pub const FEW_MAX: u32 = NewTicketType::PER_BOOKING_DEFAULT;

    /// The answer as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Few => "few",
            Self::No => "no",
        }
    }

    fn of(left: u32, capacity: u32) -> Self {
        match left {
            0 => Self::No,
            left if left <= capacity.div_ceil(10).min(Self::FEW_MAX) => Self::Few,
            _ => Self::Yes,
        }
    }
}

/// What a caller is told of the tickets that are left of an event or a ticket type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Available {
    /// Whether there are some.
    pub state: TicketsLeft,
    /// The number of them; `None` for callers who are not told.
    pub left: Option<u32>,
}

/// Which counts of an event a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeenCounts {
    /// All: they manage the event.
    All,
    /// None but what the tenant shows to everybody.
    Public(ShownAvailability),
}

impl SeenCounts {
    /// Returns whether the number of tickets that are left is told.
    pub(crate) fn tells_left(self) -> bool {
        matches!(self, Self::All | Self::Public(ShownAvailability::Exact))
    }

    fn available(self, state: TicketsLeft, left: u32) -> Available {
        Available {
            state: match (self, state) {
                (Self::Public(ShownAvailability::YesNo), TicketsLeft::Few) => TicketsLeft::Yes,
                (_, state) => state,
            },
            left: self.tells_left().then_some(left),
        }
    }
}

/// An event as a caller sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenEvent {
    /// The event. Its counters and capacities are 0 unless `has_counts`.
    pub event: Event,
    /// Whether the caller sees what is sold, held and waited for.
    pub has_counts: bool,
    /// What is left of all types together.
    pub available: Available,
    /// What is left of each ticket type, in the event's order.
    pub types_available: Vec<Available>,
}

impl SeenEvent {
    /// An event as those who manage it see it.
    pub fn managed(event: Event) -> Self {
        event.seen_with(SeenCounts::All)
    }
}

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
    /// What is left of all types together.
    pub available: Available,
    /// Its ticket types, in their order.
    pub ticket_types: Vec<TypeAvailability>,
    /// Whether it may be told to everybody: the event is no draft, and the caller is told no more than others.
    pub is_public: bool,
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
    /// What is left of it, and of the event.
    pub available: Available,
    /// Price of one ticket before any policy, in minor units of the event's currency.
    pub price_minor: u32,
    /// When its sale begins or began, UTC; `None` if it has no beginning.
    pub sales_open_at: Option<Timestamp>,
    /// When its sale ends, UTC.
    pub sales_close_at: Timestamp,
}

impl Event {
    /// The event as a caller sees it who sees these counts.
    pub(crate) fn seen_with(mut self, counts: SeenCounts) -> SeenEvent {
        let (available, types_available) = self.available(counts);
        let has_counts = counts == SeenCounts::All;
        if !has_counts {
            (self.total_tickets, self.tickets_sold, self.tickets_held) = (0, 0, 0);
            self.waiting = 0;
            for kind in &mut self.ticket_types {
                (kind.capacity, kind.sold, kind.held) = (0, 0, 0);
                kind.ever_taken = false;
            }
        }
        SeenEvent {
            event: self,
            has_counts,
            available,
            types_available,
        }
    }

    /// What is left of all types together, and of each.
    fn available(&self, counts: SeenCounts) -> (Available, Vec<Available>) {
        let left = self.left();
        let is_over = self.status == EventStatus::Cancelled;
        let types = self.ticket_types.iter().map(|kind| {
            let left = kind.available().min(left);
            // A booking of fewer than the fewest is refused.
            let state = match is_over || left < kind.min_per_booking {
                true => TicketsLeft::No,
                false => TicketsLeft::of(left, kind.capacity),
            };
            counts.available(state, left)
        });
        let types: Vec<_> = types.collect();
        let is_over = types.iter().all(|one| one.state == TicketsLeft::No);
        let state = match is_over {
            true => TicketsLeft::No,
            false => TicketsLeft::of(left, self.total_tickets),
        };
        (counts.available(state, left), types)
    }

    /// Tickets that are left of all types together.
    fn left(&self) -> u32 {
        let taken = self.tickets_sold.saturating_add(self.tickets_held);
        self.total_tickets.saturating_sub(taken)
    }

    /// What is left of it, and what can be booked at a moment, before policies are asked, for a caller who sees these counts.
    /// `shown` is what the tenant shows to everybody.
    pub(crate) fn availability(
        &self,
        at: Timestamp,
        counts: SeenCounts,
        shown: ShownAvailability,
    ) -> Availability {
        let (available, types) = self.available(counts);
        let is_as_others = counts.tells_left() == SeenCounts::Public(shown).tells_left();
        let types = self.ticket_types.iter().zip(types);
        Availability {
            event: self.id,
            status: self.status,
            at,
            available,
            ticket_types: types
                .map(|(kind, available)| self.type_availability(kind, available, at))
                .collect(),
            is_public: is_as_others && self.status != EventStatus::Draft,
        }
    }

    fn type_availability(
        &self,
        kind: &TicketType,
        available: Available,
        at: Timestamp,
    ) -> TypeAvailability {
        let sales_close_at = kind.sales_close_at.unwrap_or(self.details.starts_at);
        let is_before = kind.sales_open_at.is_some_and(|open| at < open);
        let state = match self.status {
            EventStatus::Cancelled => SaleState::Over,
            _ if at >= sales_close_at => SaleState::Over,
            EventStatus::Draft => SaleState::NotYet,
            EventStatus::Published if is_before => SaleState::NotYet,
            EventStatus::Published if available.state == TicketsLeft::No => SaleState::SoldOut,
            EventStatus::Published => SaleState::Open,
        };
        TypeAvailability {
            id: kind.id.clone(),
            name: kind.name.clone(),
            state,
            available,
            price_minor: kind.price_minor,
            sales_open_at: kind.sales_open_at,
            sales_close_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_a_tenth_rounded_up_and_at_most_a_hundred() {
        for (left, capacity, expected) in [
            (0, 10, TicketsLeft::No),
            (1, 1, TicketsLeft::Few),
            (1, 5, TicketsLeft::Few),
            (2, 5, TicketsLeft::Yes),
            (2, 11, TicketsLeft::Few),
            (10, 100, TicketsLeft::Few),
            (11, 100, TicketsLeft::Yes),
            (100, 80_000, TicketsLeft::Few),
            (101, 80_000, TicketsLeft::Yes),
        ] {
            assert_eq!(
                TicketsLeft::of(left, capacity),
                expected,
                "{left} of {capacity}"
            );
        }
    }

    #[test]
    fn a_setting_comes_back_from_its_text() {
        for shown in ShownAvailability::ALL {
            assert_eq!(shown.as_str().parse::<ShownAvailability>().unwrap(), shown);
        }
        let error = "some".parse::<ShownAvailability>().unwrap_err();
        assert_eq!(error.field_name(), Some("shownAvailability"));
    }
}
