//! Input of policies: views of events, lines and customers.
//!
//! Called by the policy check. Pure.

use sha2::{Digest as _, Sha256};

use crate::{
    error::Result,
    ports::{EventView, LineView, TicketTypeView},
    types::{BookLine, BookingLine, Event, TenantId, TicketType, UserId},
};

/// The customer's pseudonym: the same within the tenant, meaningless outside it.
pub(in crate::modules) fn pseudonym(tenant: &TenantId, customer: UserId) -> String {
    let digest = Sha256::digest(format!("{tenant}/{customer}").as_bytes());
    let half = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    let bytes = digest.iter().take(16);
    bytes
        .flat_map(|byte| [half(byte >> 4), half(byte & 15)])
        .collect()
}

pub(super) fn event_view(event: &Event) -> EventView {
    EventView {
        id: event.id,
        version: event.version,
        title: event.details.title.to_string(),
        starts_at: event.details.starts_at,
        ends_at: event.details.ends_at,
        time_zone: event.details.time_zone.clone(),
        location: event.details.location.as_ref().map(ToString::to_string),
        currency: event.currency.clone(),
        ticket_types: event
            .ticket_types
            .iter()
            .map(|kind| TicketTypeView {
                id: kind.id.to_string(),
                name: kind.name.to_string(),
                price_minor: kind.price_minor,
                metadata: kind.metadata.clone(),
            })
            .collect(),
        reference: event.details.reference.clone(),
        metadata: event.details.metadata.clone(),
    }
}

pub(super) fn line_views(lines: &[BookingLine]) -> Vec<LineView> {
    let line = |line: &BookingLine| LineView {
        ticket_type: line.ticket_type.to_string(),
        quantity: line.quantity,
        unit_price_minor: line.unit_price_minor,
    };
    lines.iter().map(line).collect()
}

pub(super) fn unit_prices(lines: &[LineView]) -> Vec<u32> {
    lines.iter().map(|line| line.unit_price_minor).collect()
}

/// The lines of a request at the prices that the event lists.
pub(super) fn list_prices(types: &[TicketType], lines: &[BookLine]) -> Result<Vec<LineView>> {
    let line = |(index, line): (usize, &BookLine)| {
        let kind = line.ticket_type_of(index, types)?;
        Ok(LineView {
            ticket_type: kind.id.to_string(),
            quantity: line.quantity,
            unit_price_minor: kind.price_minor,
        })
    };
    lines.iter().enumerate().map(line).collect()
}
