//! The `sold` and `held` counters of an inventory, of the event and of each ticket type. Only this file changes them.
//!
//! Called by the other files of the bookings module.

use crate::types::{BookingLine, Inventory};

/// Adds to the sold tickets.
pub(super) fn add_sold(inventory: Inventory, lines: &[BookingLine]) -> Inventory {
    counted(inventory, lines, |sold, _, quantity| *sold += quantity)
}

/// Takes from the sold tickets.
pub(super) fn remove_sold(inventory: Inventory, lines: &[BookingLine]) -> Inventory {
    counted(inventory, lines, |sold, _, quantity| {
        *sold = sold.saturating_sub(quantity);
    })
}

/// Adds to the held tickets.
pub(in crate::modules) fn add_held(inventory: Inventory, lines: &[BookingLine]) -> Inventory {
    counted(inventory, lines, |_, held, quantity| *held += quantity)
}

/// Takes from the held tickets.
pub(super) fn remove_held(inventory: Inventory, lines: &[BookingLine]) -> Inventory {
    counted(inventory, lines, |_, held, quantity| {
        *held = held.saturating_sub(quantity);
    })
}

/// Applies a change to the event's counters and to those of each line's type.
fn counted(
    mut inventory: Inventory,
    lines: &[BookingLine],
    change: impl Fn(&mut u32, &mut u32, u32),
) -> Inventory {
    for line in lines {
        change(&mut inventory.sold, &mut inventory.held, line.quantity);
        let mut types = inventory.ticket_types.iter_mut();
        if let Some(kind) = types.find(|kind| kind.id == line.ticket_type) {
            change(&mut kind.sold, &mut kind.held, line.quantity);
            kind.ever_taken = true;
        }
    }
    inventory
}
