//! The rules of door lists: which bookings are on one, and their order.
//!
//! Called by app_modules, which read an event's bookings once for each page. Pure.

use std::collections::BTreeMap;

use crate::types::{
    Booking, BookingId, BookingStatus, Customer, DoorListAttendee, DoorListEntry, DoorListLine,
    Event, Page, PageRequest, TicketStatus,
};

/// Names regardless of case, and the booking where names are the same.
type Position = (String, BookingId);

/// Gathers a page of an event's door list from its bookings, in any order. It keeps no more entries than the page has,
/// and one.
pub(crate) struct DoorListPage<'a> {
    event: &'a Event,
    request: &'a PageRequest,
    after: Option<Position>,
    entries: BTreeMap<Position, DoorListEntry>,
}

impl<'a> DoorListPage<'a> {
    /// A page after this booking, with its customer.
    pub(crate) fn new(
        event: &'a Event,
        request: &'a PageRequest,
        after: Option<(BookingId, Option<&Customer>)>,
    ) -> Self {
        Self {
            event,
            request,
            after: after.map(|(booking, customer)| position(booking, customer)),
            entries: BTreeMap::new(),
        }
    }

    /// Adds a booking, if it belongs to the page.
    pub(crate) fn add(&mut self, booking: &Booking, customer: Option<Customer>) {
        let position = position(booking.id, customer.as_ref());
        if booking.status == BookingStatus::Cancelled
            || self.after.as_ref().is_some_and(|after| position <= *after)
        {
            return;
        }
        let entry = DoorListEntry {
            booking: booking.id,
            number: booking.number,
            customer,
            lines: self.lines(booking),
            attendees: attendees(booking),
            booked_at: booking.created_at,
        };
        self.entries.insert(position, entry);
        if self.entries.len() > self.request.limit as usize + 1 {
            self.entries.pop_last();
        }
    }

    /// The page.
    pub(crate) fn finish(self) -> Page<DoorListEntry> {
        let entries = self.entries.into_values().collect();
        self.request
            .cut(entries, |entry: &DoorListEntry| entry.booking.to_string())
    }

    fn lines(&self, booking: &Booking) -> Vec<DoorListLine> {
        let inside = booking.checked_in.iter();
        let inside: Vec<_> = inside
            .filter_map(|number| booking.ticket(*number))
            .map(|ticket| ticket.ticket_type)
            .collect();
        let lines = booking.lines.iter();
        lines
            .map(|line| {
                let mut types = self.event.ticket_types.iter();
                let known = types.find(|kind| kind.id == line.ticket_type);
                let inside = inside.iter().filter(|kind| **kind == line.ticket_type);
                DoorListLine {
                    ticket_type: line.ticket_type.clone(),
                    name: known.map(|kind| kind.name.clone()),
                    tickets: line.quantity,
                    checked_in: inside.count() as u32,
                }
            })
            .collect()
    }
}

/// Who has the valid tickets of a booking, as far as they were named.
fn attendees(booking: &Booking) -> Vec<DoorListAttendee> {
    let holders = booking.details.iter().flat_map(|one| &one.ticket_holders);
    let named = holders.filter_map(|(number, holder)| {
        let ticket = booking.ticket(*number)?;
        (ticket.status != TicketStatus::Cancelled).then_some(DoorListAttendee {
            number: *number,
            ticket_type: ticket.ticket_type,
            name: holder.name.clone()?,
            is_checked_in: ticket.status == TicketStatus::CheckedIn,
        })
    });
    named.collect()
}

fn position(booking: BookingId, customer: Option<&Customer>) -> Position {
    let name = customer.map(|customer| customer.name.as_str().to_lowercase());
    (name.unwrap_or_default(), booking)
}
