//! Imports of bookings: what a row gets of its event, and the dry run.
//!
//! An imported row passes the same queue, group and guard as every booking, so capacity is exact beside ordinary sales.
//! Neither sales windows nor policies apply. Its reference is recorded like an Idempotency-Key, and never forgotten. Called by
//! the planner and by app_modules; calls the bookings repository.

use std::collections::HashMap;

use ulid::Ulid;

use super::{
    BookingsModule, counters,
    orders::{confirmed, not_enough_of},
    requests::RequestedBooking,
};
use crate::{
    error::{Error, ErrorCode, Result},
    types::{
        Booking, BookingId, BookingLine, BookingNumber, EventId, EventStatus, ImportedTickets,
        Inventory, Label, TenantId, TicketType, TicketTypeId, is_same_text,
    },
};

impl BookingsModule {
    /// The inventories of these events that exist.
    pub(crate) async fn inventories(
        &self,
        tenant: &TenantId,
        events: &[EventId],
    ) -> Result<HashMap<EventId, Inventory>> {
        self.repository.inventories(tenant, events).await
    }
}

/// The ticket type that a row names by its id or its name.
///
/// # Errors
/// `field-invalid` at `ticketType`.
pub(crate) fn type_of_row<'a>(
    inventory: &'a Inventory,
    named: Option<&Label>,
) -> Result<&'a TicketType> {
    let refused = |rule: &'static str| Err(Error::field("ticketType", rule));
    let types = &inventory.ticket_types;
    let Some(named) = named.map(Label::as_str) else {
        return match types.as_slice() {
            [only] => Ok(only),
            _ => refused("The event has several ticket types: name one by its id or its name."),
        };
    };
    if let Some(kind) = types.iter().find(|kind| kind.id.as_str() == named) {
        return Ok(kind);
    }
    let mut called = types
        .iter()
        .filter(|kind| is_same_text(kind.name.as_str(), named));
    match (called.next(), called.next()) {
        (Some(kind), None) => Ok(kind),
        (Some(_), Some(_)) => refused("Several ticket types have this name: take the id."),
        (None, _) => refused("The event has no ticket type with this id or name."),
    }
}

/// Takes the tickets of a row from an inventory, if there are enough.
///
/// # Errors
/// `event-cancelled`, `not-enough-tickets`, `field-invalid` at `ticketType`.
pub(crate) fn take(
    inventory: &Inventory,
    ticket_type: &TicketTypeId,
    quantity: u32,
) -> Result<Inventory> {
    if inventory.status == EventStatus::Cancelled {
        return Err(Error::new(
            ErrorCode::EventCancelled,
            "This event was cancelled.",
        ));
    }
    let mut types = inventory.ticket_types.iter();
    let kind = types.find(|kind| kind.id == *ticket_type);
    let gone = || Error::field("ticketType", "The event has no such ticket type.");
    let kind = kind.ok_or_else(gone)?;
    let free = kind.available();
    let left = free.min(inventory.available());
    if quantity > left {
        return Err(not_enough_of(kind, inventory, left));
    }
    let line = BookingLine {
        ticket_type: ticket_type.clone(),
        quantity,
        unit_price_minor: 0,
    };
    Ok(counters::add_sold(inventory.clone(), &[line]))
}

/// Takes what earlier requests of a dry run would take, whether there is enough of it or not.
pub(crate) fn take_before(inventory: &Inventory, tickets: &ImportedTickets) -> Inventory {
    let line = BookingLine {
        ticket_type: tickets.ticket_type.clone(),
        quantity: tickets.quantity.min(inventory.available()),
        unit_price_minor: 0,
    };
    counters::add_sold(inventory.clone(), &[line])
}

/// The booking of a row, and the inventory after it.
pub(super) fn booking(
    left: &Inventory,
    request: &RequestedBooking,
    number: BookingNumber,
) -> Result<(Booking, Inventory)> {
    let lost = || Error::internal("an import lost its row");
    let row = request.import.as_deref().ok_or_else(lost)?;
    let line = request.lines.first().ok_or_else(lost)?;
    let ticket_type = line.ticket_type.clone().ok_or_else(lost)?;
    let after = take(left, &ticket_type, line.quantity)?;
    // Lists of a customer are in the order of serials: in that of the bookings, not of the import. The rest is 80 bits of the
    // row's digest, which no other row of the tenant has.
    let digest = request
        .idempotency
        .as_ref()
        .ok_or_else(lost)?
        .hash
        .get(..20);
    let digest = u128::from_str_radix(digest.ok_or_else(lost)?, 16).map_err(Error::internal)?;
    let milliseconds = u64::try_from(row.booked_at.as_millisecond()).unwrap_or_default();
    let serial = Ulid::from_parts(milliseconds, digest);
    let lines = vec![BookingLine {
        ticket_type,
        quantity: line.quantity,
        unit_price_minor: row.unit_price_minor,
    }];
    let checked_in = row.checked_in_at.map(|_| (1..=line.quantity).collect());
    let id = BookingId::new(left.event, request.customer, serial);
    let booking = Booking {
        checked_in: checked_in.unwrap_or_default(),
        sale: request.sale.clone(),
        details: request.details.checked.clone(),
        ..confirmed(left, (id, number), lines, row.booked_at)
    };
    Ok((booking, after))
}
