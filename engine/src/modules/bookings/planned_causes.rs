//! Why a group changes an event's counters, for the capacity ledger.
//!
//! Called by the planner. Pure.

use crate::{
    modules::repositories::HoldChange,
    types::{Booking, CapacityCause, SalesChannel},
};

/// Why a group with these bookings and holds changes the counters.
pub(super) fn cause_of(bookings: &[Booking], holds: &[HoldChange]) -> CapacityCause {
    let held = holds.iter().filter(|change| change.before.is_none());
    let held = held.count();
    let confirmed = holds.len() - held;
    match (held, confirmed, bookings.len() - confirmed) {
        (_, 0, 0) => CapacityCause::Held,
        (0, _, 0) => CapacityCause::HoldConfirmed,
        (0, 0, _) if bookings.iter().all(is_imported) => CapacityCause::Imported,
        (0, 0, _) if bookings.iter().all(is_complimentary) => CapacityCause::Complimentary,
        (0, 0, _) => CapacityCause::Booked,
        _ => CapacityCause::Several,
    }
}

fn is_imported(booking: &Booking) -> bool {
    booking.channel() == SalesChannel::Imported
}

fn is_complimentary(booking: &Booking) -> bool {
    let sale = booking.sale.as_ref();
    sale.is_some_and(|sale| sale.complimentary.is_some())
}
