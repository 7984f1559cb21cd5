//! Ticket types: what can be booked at an event.

use jiff::Timestamp;
use serde::Serialize;

use super::{Label, Metadata, TicketTypeId, require_year};
use crate::error::{Error, Result};

/// A ticket type of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketType {
    /// The type's id, unique within the event.
    pub id: TicketTypeId,
    /// Its name.
    pub name: Label,
    /// Tickets of this type that can be sold.
    pub capacity: u32,
    /// Tickets of this type that are sold.
    pub sold: u32,
    /// Tickets of this type in holds.
    pub held: u32,
    /// Price of one ticket, in minor units of the event's currency.
    pub price_minor: u32,
    /// When its sale begins; `None` means at once.
    pub sales_open_at: Option<Timestamp>,
    /// When its sale ends; `None` means when the event begins.
    pub sales_close_at: Option<Timestamp>,
    /// Fewest tickets of one booking.
    pub min_per_booking: u32,
    /// Most tickets of one booking.
    pub max_per_booking: u32,
    /// The rate of the tax that is in the price, in hundredths of a percent; `None` for no tax on receipts.
    pub tax_basis_points: Option<u32>,
    /// Whether a ticket of this type was ever booked or held. If so, the type cannot be removed.
    pub ever_taken: bool,
    /// The platform's own strings; none in an inventory, which every group of bookings writes.
    pub metadata: Metadata,
}

impl TicketType {
    /// Tickets of this type that are neither sold nor held.
    pub(crate) fn available(&self) -> u32 {
        self.capacity
            .saturating_sub(self.sold)
            .saturating_sub(self.held)
    }
}

/// Describes a new ticket type, or with an `id` an existing one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewTicketType {
    /// The type to change. `None` makes a new one, or means the only one if there is one before and after.
    pub id: Option<TicketTypeId>,
    /// Its name.
    pub name: Label,
    /// Tickets of this type that can be sold, 1 to 10,000,000.
    pub capacity: u32,
    /// Price of one ticket, in minor units of the tenant's currency.
    pub price_minor: u32,
    /// When its sale begins; `None` means at once.
    pub sales_open_at: Option<Timestamp>,
    /// When its sale ends; `None` means when the event begins.
    pub sales_close_at: Option<Timestamp>,
    /// Fewest tickets of one booking; at least 1.
    pub min_per_booking: u32,
    /// Most tickets of one booking; at most 10,000.
    pub max_per_booking: u32,
    /// The rate of the tax that is in the price, in hundredths of a percent, 0 to 10,000; `None` for no tax on receipts.
    pub tax_basis_points: Option<u32>,
    /// The platform's own strings.
    pub metadata: Metadata,
}

impl NewTicketType {
    /// Most tickets of one type; keeps every sum of quantities within `u32`.
    pub const CAPACITY_MAX: u32 = 10_000_000;
    /// Most tickets in one booking; bounds what one request can take.
    pub const PER_BOOKING_MAX: u32 = 10_000;
    /// Most types of one event. Every group of bookings writes them all, at some 200 bytes each.
    pub const PER_EVENT_MAX: usize = 50;
    /// Most bytes of the metadata of an event's types: they are in the event's row, and in each list of events.
    pub const METADATA_BYTES_MAX: usize = 64 * 1024;
    /// The highest tax rate: as much tax as price.
    pub const TAX_BASIS_POINTS_MAX: u32 = 10_000;
    /// Most tickets in one booking unless the organizer says otherwise.
    pub const PER_BOOKING_DEFAULT: u32 = 100;

    /// The type of an event that gives only `totalTickets`: `General`, at price 0.
    pub fn general(capacity: u32) -> Self {
        Self {
            id: None,
            name: Label::stored("General".to_owned()),
            capacity,
            price_minor: 0,
            sales_open_at: None,
            sales_close_at: None,
            min_per_booking: 1,
            max_per_booking: Self::PER_BOOKING_DEFAULT,
            tax_basis_points: None,
            metadata: Metadata::default(),
        }
    }

    pub(super) fn validate(&self, index: usize) -> Result<()> {
        let at = |name: &str| format!("ticketTypes[{index}].{name}");
        if !(1..=Self::CAPACITY_MAX).contains(&self.capacity) {
            return Err(Error::field(
                at("capacity"),
                "A capacity is 1 to 10,000,000 tickets.",
            ));
        }
        if self.min_per_booking < 1 || self.min_per_booking > self.max_per_booking {
            return Err(Error::field(
                at("minPerBooking"),
                "The fewest tickets of a booking are at least 1 and at most maxPerBooking.",
            ));
        }
        if self.max_per_booking > Self::PER_BOOKING_MAX {
            return Err(Error::field(
                at("maxPerBooking"),
                "One booking has at most 10,000 tickets.",
            ));
        }
        if self.tax_basis_points > Some(Self::TAX_BASIS_POINTS_MAX) {
            return Err(Error::field(
                at("taxBasisPoints"),
                "A tax rate is 0 to 10,000 hundredths of a percent.",
            ));
        }
        for (name, moment) in [
            ("salesOpenAt", self.sales_open_at),
            ("salesCloseAt", self.sales_close_at),
        ] {
            if let Some(moment) = moment {
                require_year(at(name), moment)?;
            }
        }
        match (self.sales_open_at, self.sales_close_at) {
            (Some(open), Some(close)) if close <= open => Err(Error::field(
                at("salesCloseAt"),
                "Sales close after they open.",
            )),
            _ => Ok(()),
        }
    }
}

impl From<&TicketType> for NewTicketType {
    /// The description that changes nothing.
    fn from(kind: &TicketType) -> Self {
        Self {
            id: Some(kind.id.clone()),
            name: kind.name.clone(),
            capacity: kind.capacity,
            price_minor: kind.price_minor,
            sales_open_at: kind.sales_open_at,
            sales_close_at: kind.sales_close_at,
            min_per_booking: kind.min_per_booking,
            max_per_booking: kind.max_per_booking,
            tax_basis_points: kind.tax_basis_points,
            metadata: kind.metadata.clone(),
        }
    }
}
