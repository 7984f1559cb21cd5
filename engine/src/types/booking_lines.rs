//! Lines of bookings: how many tickets of which type, as asked for and as booked.

use serde::Serialize;

use super::{TicketType, TicketTypeId};
use crate::error::{Error, Result};

/// A number of tickets of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BookLine {
    /// The ticket type; `None` means the event's only one.
    pub ticket_type: Option<TicketTypeId>,
    /// The number of tickets, at least 1.
    pub quantity: u32,
}

impl BookLine {
    /// Finds this line's ticket type among an event's; `index` is the line's place in its request.
    ///
    /// # Errors
    /// `field-invalid` if there is no such type, or if the line names none and the event has several.
    pub(crate) fn ticket_type_of<'a>(
        &self,
        index: usize,
        types: &'a [TicketType],
    ) -> Result<&'a TicketType> {
        let found = match (&self.ticket_type, types) {
            (Some(id), _) => types.iter().find(|kind| kind.id == *id),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        found.ok_or_else(|| {
            let rule = match self.ticket_type {
                Some(_) => "Name one of the event's ticket types.",
                None => {
                    "The event has several ticket types: send `lines`, each with its `ticketType`."
                }
            };
            Error::field(format!("lines[{index}].ticketType"), rule)
        })
    }
}

/// Tickets of one type at one price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BookingLine {
    /// Which type.
    pub ticket_type: TicketTypeId,
    /// How many.
    pub quantity: u32,
    /// Price of one, in minor units.
    pub unit_price_minor: u32,
}

/// The price of all lines together, in minor units.
pub(crate) fn total_of(lines: &[BookingLine]) -> u64 {
    // Quantities are at most 10,000 each in 10 lines and prices u32: sums stay far within u64.
    lines
        .iter()
        .map(|line| u64::from(line.unit_price_minor) * u64::from(line.quantity))
        .sum()
}

/// Subtracts lines from lines; each type has one line. Empty lines are removed.
pub(crate) fn without(lines: &[BookingLine], cancelled: &[BookingLine]) -> Vec<BookingLine> {
    let left = lines.iter().map(|line| {
        let mut gone = cancelled
            .iter()
            .filter(|gone| gone.ticket_type == line.ticket_type);
        let gone = gone.next().map_or(0, |gone| gone.quantity);
        BookingLine {
            quantity: line.quantity.saturating_sub(gone),
            ..line.clone()
        }
    });
    left.filter(|line| line.quantity > 0).collect()
}

/// The lines that a request cancels, at the booking's prices.
///
/// # Errors
/// `field-invalid` for lines that the booking does not have.
pub(crate) fn chosen(booked: &[BookingLine], wanted: &[BookLine]) -> Result<Vec<BookingLine>> {
    if wanted.is_empty() || wanted.len() > booked.len() {
        return Err(Error::field(
            "lines",
            "Name tickets of this booking, each type in one line.",
        ));
    }
    let mut chosen: Vec<BookingLine> = Vec::with_capacity(wanted.len());
    for (index, line) in wanted.iter().enumerate() {
        let found = match (&line.ticket_type, booked) {
            (Some(id), _) => booked.iter().find(|booked| booked.ticket_type == *id),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let found = found.ok_or_else(|| {
            let rule = "Name a ticket type of which the booking has tickets.";
            Error::field(format!("lines[{index}].ticketType"), rule)
        })?;
        if chosen
            .iter()
            .any(|earlier| earlier.ticket_type == found.ticket_type)
        {
            return Err(Error::field(
                format!("lines[{index}].ticketType"),
                "Each ticket type may be in one line only.",
            ));
        }
        if line.quantity == 0 || line.quantity > found.quantity {
            return Err(Error::field(
                format!("lines[{index}].quantity"),
                format!("1 to {} of these tickets can be cancelled.", found.quantity),
            ));
        }
        chosen.push(BookingLine {
            quantity: line.quantity,
            ..found.clone()
        });
    }
    Ok(chosen)
}
