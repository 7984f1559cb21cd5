//! Confirmations of holds, as the planner of groups decides about them.
//!
//! Called by the planner. Pure.

use super::{
    counters, holds,
    orders::{as_expected, confirmed, on_sale, price_changed},
    planner::{GroupPlanner, messages},
    requests::{Placement, RequestedBooking},
};
use crate::{
    error::{Error, Result},
    modules::repositories::HoldChange,
    types::{Booking, BookingLine, Hold, HoldId, HoldStatus, total_of},
};

impl GroupPlanner<'_> {
    /// Turns an active hold, overdue or not, into a booking by the hold's decision. An offer to the
    /// waiting list is decided now, by the request that accepts it.
    pub(super) fn confirm(&mut self, id: HoldId, request: &RequestedBooking) -> Result<Placement> {
        let made = self.bookings.iter().find(|made| made.id == id.booking());
        if let Some(booking) = made {
            as_expected(
                request.expected_total_minor,
                booking.total_minor,
                &booking.currency,
            )?;
            return Ok(Placement::Booked(booking.clone()));
        }
        let hold = self.holds.get(&id);
        let hold = hold.ok_or_else(|| Error::not_found("hold", id))?;
        hold.require_open()?;
        on_sale(&self.left)?;
        let is_accepted = request.accepted_hold().is_some();
        if hold.waitlist_number.is_some() && !is_accepted {
            return Ok(Placement::Offered(hold.clone()));
        }
        let (lines, messages) = match is_accepted {
            true => (accepted(hold, request)?, messages(request)),
            false => {
                as_expected(
                    request.expected_total_minor,
                    hold.total_minor,
                    &hold.currency,
                )?;
                (hold.lines.clone(), hold.messages.clone())
            }
        };
        let mut booking = self.booking_of(hold, (lines, messages), request);
        self.require_free_reference(&booking)?;
        if is_accepted {
            booking.claims = self.take_claims(request, booking.id)?;
        }
        self.take_reference(&booking);
        let released = counters::remove_held(self.left.clone(), &hold.lines);
        self.left = counters::add_sold(released, &hold.lines);
        self.open_holds.remove(&hold.customer);
        self.hold_changes.push(HoldChange {
            before: Some(hold.clone()),
            after: holds::ended(hold, HoldStatus::Confirmed, self.now),
        });
        self.bookings.push(booking.clone());
        Ok(Placement::Booked(booking))
    }

    /// The booking that a hold becomes, with the claims of the hold.
    fn booking_of(
        &self,
        hold: &Hold,
        (lines, messages): (Vec<BookingLine>, Vec<String>),
        request: &RequestedBooking,
    ) -> Booking {
        let id = (hold.id.booking(), self.next_number());
        Booking {
            messages,
            currency: hold.currency.clone(),
            event_version: hold.event_version,
            sale: hold.sale.clone(),
            details: match (&request.payment, &request.details.of_hold) {
                (Some(_), _) => self.paid_details(hold.details.as_deref()),
                (None, Some(_)) => request.details.checked.clone(),
                (None, None) => hold.details.clone(),
            },
            claims: hold.claims.clone(),
            ..confirmed(&self.left, id, lines, self.now)
        }
    }
}

/// The accepted offer, at the prices after the policies. They may be lower. Higher prices need the customer's
/// consent.
fn accepted(hold: &Hold, request: &RequestedBooking) -> Result<Vec<BookingLine>> {
    let mut lines = hold.lines.clone();
    if let Some(decision) = &request.decision {
        for (line, price) in lines.iter_mut().zip(&decision.unit_prices_minor) {
            line.unit_price_minor = *price;
        }
    }
    let total_minor = total_of(&lines);
    let is_expected = match request.expected_total_minor {
        Some(expected) => expected == total_minor,
        None => total_minor <= hold.total_minor,
    };
    match is_expected {
        true => Ok(lines),
        false => Err(price_changed(total_minor, &hold.currency)),
    }
}
