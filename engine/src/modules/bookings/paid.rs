//! Bookings of payments, as the planner of groups decides about them: money that came for a hold makes its booking in the
//! same transaction, whether the hold is still there or its tickets are booked anew at its price.
//!
//! Called by the planner. Pure.

use super::{
    counters,
    orders::{confirmed, not_enough, not_enough_of, on_sale},
    planner::GroupPlanner,
    requests::{BookingIntent, Placement, RequestedBooking},
};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::repositories::PaymentChange,
    types::{Booking, Payment, PaymentOrder},
};

impl GroupPlanner<'_> {
    /// Makes the booking of a payment, if all of its price is there. The payment is written with it, and so is the notice that
    /// the money came. Whoever is refused here has written nothing.
    ///
    /// # Errors
    /// `not-found` for the payment or its hold, `hold-ended`, `event-cancelled`, `not-enough-tickets` and the like; `price-changed`
    /// if the price is not there; `notice-reused`, `too-many-notices`.
    pub(super) fn pay(&mut self, request: &RequestedBooking) -> Result<Placement> {
        let lost = || Error::internal("a paid request lost its payment");
        let paid = request.payment.as_deref().ok_or_else(lost)?;
        let seen = self.snapshot.payments.get(&paid.key);
        let seen = seen.ok_or_else(|| Error::not_found("payment", &paid.key))?;
        let mut written = self.payments.iter();
        let known = written.find(|change| change.after.key == paid.key);
        let mut payment = known.map_or(seen, |change| &change.after).clone();
        if let Some(notice) = &paid.notice {
            if payment.knows(notice)? {
                return Ok(Placement::Paid(Box::new(payment)));
            }
            payment.take(notice.clone(), paid.refund)?;
        }
        let order = complete(&payment)?;
        self.require_unbooked(&order)?;
        let booking = match request.intent {
            BookingIntent::Book => self.book_late(&order, request)?,
            _ => match self.confirm(order.hold, request)? {
                Placement::Booked(booking) => booking,
                other => return Ok(other),
            },
        };
        if let Some(made) = self.bookings.last_mut() {
            made.payment = Some(paid.key.clone());
        }
        payment.keep_for(booking.id, booking.total_minor, paid.refund, self.now);
        self.payments.push(PaymentChange {
            before: Some(seen.clone()),
            after: payment.clone(),
            at: self.now,
        });
        Ok(Placement::Paid(Box::new(payment)))
    }

    /// Refuses a second booking of one hold, by another payment or without one.
    fn require_unbooked(&self, order: &PaymentOrder) -> Result<()> {
        let id = order.hold.booking();
        let is_made = self.bookings.iter().any(|made| made.id == id);
        match is_made || self.snapshot.booked.contains(&id) {
            true => Err(Error::new(
                ErrorCode::HoldEnded,
                "This hold became a booking without this payment.",
            )),
            false => Ok(()),
        }
    }

    /// Books the tickets of a hold that has ended, at its price. Sales windows and limits of a booking applied when it was made,
    /// so that only what is left counts, what the customer has since, and that the event has not begun.
    fn book_late(&mut self, order: &PaymentOrder, request: &RequestedBooking) -> Result<Booking> {
        on_sale(&self.left)?;
        if self.now >= self.left.starts_at {
            let detail = "The event had begun when the payment came.";
            return Err(Error::new(ErrorCode::SalesClosed, detail));
        }
        let mut wanted: u32 = 0;
        for line in &order.lines {
            let mut types = self.left.ticket_types.iter();
            let kind = types.find(|kind| kind.id == line.ticket_type);
            let gone = || Error::field("ticketType", "The event has no such ticket type any more.");
            let kind = kind.ok_or_else(gone)?;
            let free = kind.available();
            if line.quantity > free {
                let left = free.min(self.left.available());
                return Err(not_enough_of(kind, &self.left, left));
            }
            wanted = wanted.saturating_add(line.quantity);
        }
        if wanted > self.left.available() {
            return Err(not_enough(self.left.available()));
        }
        self.require_within_limit(request, &order.lines)?;
        let hold = order.hold;
        let id = (hold.booking(), self.next_number());
        let booking = Booking {
            total_minor: order.total_minor,
            messages: order.messages.clone(),
            sale: order.sale.clone(),
            details: self.paid_details(order.details.as_deref()),
            claims: self.take_claims(request, hold.booking())?,
            ..confirmed(&self.left, id, order.lines.clone(), self.now)
        };
        self.take_reference(&booking);
        self.left = counters::add_sold(self.left.clone(), &booking.lines);
        *self.tickets.entry(booking.customer).or_default() += booking.tickets();
        self.bookings.push(booking.clone());
        Ok(booking)
    }
}

/// What a payment is for, if all of the price is there.
fn complete(payment: &Payment) -> Result<PaymentOrder> {
    let order = payment.order.clone().filter(|_| payment.is_complete());
    let detail = "Less than the price came, or the booking is made.";
    order.ok_or_else(|| Error::new(ErrorCode::PriceChanged, detail))
}
