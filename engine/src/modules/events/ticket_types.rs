//! The rules of ticket types: changes must leave room for sold and held tickets.
//!
//! Called by the events module. Pure except for the ids of new types.

use std::collections::BTreeMap;

use super::{super::to_millisecond, EventsModule};
use crate::{
    error::{Error, ErrorCode, Result},
    types::{Inventory, Metadata, NewTicketType, TicketType, TicketTypeId},
};

impl EventsModule {
    /// The new ticket types. Counters come from the existing ones, matched by id (or, if there is one
    /// before and after, without id).
    pub(super) fn new_types(
        &self,
        wanted: &[NewTicketType],
        present: &[TicketType],
    ) -> Result<Vec<TicketType>> {
        let new_type = |(index, new): (usize, &NewTicketType)| {
            let found = match (&new.id, present) {
                (Some(id), _) => {
                    let found = present.iter().find(|kind| kind.id == *id);
                    Some(found.ok_or_else(|| {
                        let rule = "This event has no ticket type with this id.";
                        Error::field(format!("ticketTypes[{index}].id"), rule)
                    })?)
                }
                (None, [only]) if wanted.len() == 1 => Some(only),
                (None, _) => None,
            };
            Ok(TicketType {
                id: found.map_or_else(|| self.new_type_id(), |kind| kind.id.clone()),
                name: new.name.clone(),
                capacity: new.capacity,
                sold: found.map_or(0, |kind| kind.sold),
                held: found.map_or(0, |kind| kind.held),
                price_minor: new.price_minor,
                sales_open_at: new.sales_open_at.map(to_millisecond),
                sales_close_at: new.sales_close_at.map(to_millisecond),
                min_per_booking: new.min_per_booking,
                max_per_booking: new.max_per_booking,
                tax_basis_points: new.tax_basis_points,
                ever_taken: found.is_some_and(|kind| kind.ever_taken),
                metadata: Metadata::default(),
            })
        };
        wanted.iter().enumerate().map(new_type).collect()
    }

    fn new_type_id(&self) -> TicketTypeId {
        TicketTypeId::new(self.context.next_id().to_string().to_ascii_lowercase())
    }
}

/// The metadata of those types that have some.
pub(super) fn type_metadata(
    types: &[TicketType],
    wanted: &[NewTicketType],
) -> BTreeMap<TicketTypeId, Metadata> {
    let pairs = types.iter().zip(wanted);
    let given = pairs.filter(|(_, wanted)| !wanted.metadata.is_empty());
    given
        .map(|(kind, wanted)| (kind.id.clone(), wanted.metadata.clone()))
        .collect()
}

/// Checks that a change leaves room for all sold and held tickets, and keeps every type that was booked.
pub(super) fn check_room(inventory: &Inventory, wanted: &[TicketType], total: u32) -> Result<()> {
    let gone = |kind: &&TicketType| !wanted.iter().any(|new| new.id == kind.id);
    let mut removed = inventory.ticket_types.iter().filter(gone);
    if let Some(kind) = removed.find(|kind| kind.ever_taken) {
        return Err(Error::new(
            ErrorCode::EventHasBookings,
            format!(
                "The ticket type {} ({}) was booked and must stay; set its salesCloseAt to end its sale.",
                kind.name, kind.id
            ),
        )
        .at_field("ticketTypes"));
    }
    let below = |what: String, field: String| {
        let detail = format!("{what}; the capacity cannot go below that.");
        Err(Error::new(ErrorCode::CapacityBelowSold, detail).at_field(field))
    };
    for (index, kind) in wanted.iter().enumerate() {
        if kind.capacity < kind.sold + kind.held {
            return below(
                format!("{} tickets are sold and {} held", kind.sold, kind.held),
                format!("ticketTypes[{index}].capacity"),
            );
        }
    }
    if total < inventory.sold + inventory.held {
        return below(
            format!(
                "{} tickets are sold and {} held",
                inventory.sold, inventory.held
            ),
            "totalTickets".to_owned(),
        );
    }
    Ok(())
}

/// The event's total capacity: the sum of its types, unless the organizer set less. Checked before.
pub(super) fn total_of(types: &[TicketType], wanted: Option<u32>) -> u32 {
    wanted.unwrap_or_else(|| types.iter().map(|kind| kind.capacity).sum())
}
