//! What an event should be: no revisions, no groups, no store.

use std::collections::HashMap;

use boxoffice_engine::{BookingId, ErrorCode, HoldId};
use jiff::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum HoldIs {
    Held,
    Confirmed,
    Released,
    Expired,
}

/// What a request has beside its tickets.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Carries {
    /// The event's code, whose uses are counted.
    pub(super) has_code: bool,
    /// The answer to the event's question.
    pub(super) answer: Option<bool>,
}

#[derive(Debug, Clone)]
pub(super) struct ModelBooking {
    pub(super) id: BookingId,
    pub(super) carries: Carries,
    pub(super) is_paid: bool,
    pub(super) quantities: [u32; 2],
    /// How many of these were given to somebody else.
    pub(super) transferred: [u32; 2],
    pub(super) is_cancelled: bool,
    /// Tickets that were booked.
    pub(super) booked: u32,
    /// Tickets that were given back.
    pub(super) given_back: u32,
    /// What is due for them, in hundredths of a minor unit.
    pub(super) due_hundredths: u64,
}

/// What a ticket costs, in minor units: half of it is no whole number.
pub(super) const PRICE: u64 = 33;
/// Percent that a customer gets back.
pub(super) const CUSTOMERS_SHARE: u64 = 50;
/// What a booking with a code takes of its uses, however many tickets it has: parts of a cancellation give back no whole number.
pub(super) const USES: u32 = 5;
/// What all may take: two bookings, and a third once enough was given back.
pub(super) const USES_MAX: u32 = 13;

impl ModelBooking {
    pub(super) fn new(id: BookingId, quantities: [u32; 2], carries: Carries) -> Self {
        Self {
            id,
            carries,
            is_paid: false,
            quantities,
            transferred: [0, 0],
            is_cancelled: false,
            booked: total(quantities),
            given_back: 0,
            due_hundredths: 0,
        }
    }

    /// What is due for all that was given back, in minor units.
    pub(super) fn due(&self) -> u64 {
        self.due_hundredths / 100
    }

    /// The uses of the code that it has.
    fn uses(&self) -> u32 {
        match self.carries.has_code && !self.is_cancelled {
            true => USES - USES * self.given_back / self.booked,
            false => 0,
        }
    }

    /// What was paid, what of that was cancelled, and what is due, as the API would say it.
    pub(super) fn amounts(&self, is_off: bool) -> [u64; 3] {
        let left = match is_off && !self.is_cancelled {
            true => u64::from(total(self.quantities)) * PRICE,
            false => 0,
        };
        let cancelled = u64::from(self.given_back) * PRICE + left;
        [u64::from(self.booked) * PRICE, cancelled, self.due() + left]
    }

    /// Takes tickets back; one of which nothing is left is cancelled, and keeps what it had last.
    pub(super) fn give_back(&mut self, quantities: [u32; 2], percent: u64) {
        self.given_back += total(quantities);
        self.due_hundredths += u64::from(total(quantities)) * PRICE * percent;
        if self.quantities == quantities {
            self.is_cancelled = true;
        } else {
            self.quantities = [
                self.quantities[0] - quantities[0],
                self.quantities[1] - quantities[1],
            ];
            // Those that the customer has go first.
            for kind in 0..2 {
                self.transferred[kind] = self.transferred[kind].min(self.quantities[kind]);
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct ModelHold {
    pub(super) id: HoldId,
    pub(super) customer: usize,
    pub(super) quantities: [u32; 2],
    pub(super) carries: Carries,
    pub(super) expires_at: Timestamp,
    pub(super) is_extended: bool,
    pub(super) is_offer: bool,
    pub(super) state: HoldIs,
}

/// Somebody on the waiting list.
#[derive(Debug, Clone)]
pub(super) struct ModelEntry {
    pub(super) customer: usize,
    pub(super) quantities: [u32; 2],
}

/// What the event should be: no revisions, no groups, no store.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) capacities: [u32; 2],
    pub(super) total: u32,
    pub(super) bookings: Vec<ModelBooking>,
    pub(super) holds: Vec<ModelHold>,
    pub(super) waiting: Vec<ModelEntry>,
    pub(super) keys: HashMap<(usize, u8), (([u32; 2], Carries), BookingId)>,
    pub(super) is_off: bool,
}

impl Model {
    pub(super) fn sold(&self) -> [u32; 2] {
        let counting = self.bookings.iter().filter(|booking| !booking.is_cancelled);
        sum(counting.map(|booking| booking.quantities))
    }

    pub(super) fn held(&self) -> [u32; 2] {
        let open = self.holds.iter().filter(|hold| hold.state == HoldIs::Held);
        sum(open.map(|hold| hold.quantities))
    }

    /// The uses of the code that bookings and open holds have.
    pub(super) fn uses(&self) -> u32 {
        let open = self.holds.iter();
        let open = open.filter(|hold| hold.state == HoldIs::Held && hold.carries.has_code);
        let held = open.map(|_| USES).sum::<u32>();
        match self.is_off {
            true => held,
            false => held + self.bookings.iter().map(ModelBooking::uses).sum::<u32>(),
        }
    }

    /// Why these tickets cannot be had with what the request carries: nothing, or one of these.
    pub(super) fn refusals(&self, wanted: [u32; 2], carries: Carries) -> Vec<ErrorCode> {
        let mut refusals = Vec::from_iter(self.order(wanted).err());
        if carries.has_code && !self.is_off && self.uses() + USES > USES_MAX {
            refusals.push(ErrorCode::ClaimExhausted);
        }
        refusals
    }

    pub(super) fn taken(&self) -> [u32; 2] {
        sum([self.sold(), self.held()].into_iter())
    }

    pub(super) fn has_open_hold(&self, customer: usize) -> bool {
        let open = |hold: &ModelHold| hold.customer == customer && hold.state == HoldIs::Held;
        self.holds.iter().any(open)
    }

    /// Who is offered tickets after some became free, in the order of the list; they leave it.
    pub(super) fn offers(&mut self) -> Vec<ModelEntry> {
        let mut offers: Vec<ModelEntry> = Vec::new();
        let mut left = Vec::new();
        for entry in std::mem::take(&mut self.waiting) {
            let offered = sum(offers.iter().map(|offer| offer.quantities));
            let wanted = sum([offered, entry.quantities].into_iter());
            let is_next =
                !self.is_off && !self.has_open_hold(entry.customer) && self.order(wanted).is_ok();
            match is_next {
                true => offers.push(entry),
                false => left.push(entry),
            }
        }
        self.waiting = left;
        offers
    }

    /// Whether these tickets could be had, and if not, why.
    pub(super) fn order(&self, wanted: [u32; 2]) -> Result<(), ErrorCode> {
        let taken = self.taken();
        let short = (0..2).any(|kind| taken[kind] + wanted[kind] > self.capacities[kind]);
        if self.is_off {
            Err(ErrorCode::EventCancelled)
        } else if short || total(taken) + total(wanted) > self.total {
            Err(ErrorCode::NotEnoughTickets)
        } else {
            Ok(())
        }
    }
}

fn sum(all: impl Iterator<Item = [u32; 2]>) -> [u32; 2] {
    all.fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]])
}

pub(super) fn total(quantities: [u32; 2]) -> u32 {
    quantities[0] + quantities[1]
}
