//! Payments that wait: money that came after its hold had ended, for an offer, or for less than the price; and money that
//! nobody has matched.
//!
//! A payment that waits has an entry under the time at which it is looked at. Whoever looks decides on what is there now and
//! writes under the payment's revision, so two that look at once do no harm. Called by the worker's use cases. Calls the
//! payments repository.

use std::time::Duration;

use jiff::Timestamp;

use super::{ATTEMPTS_MAX, PaymentsModule, ledger::later};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::{
        repositories::{
            DuePayment, OrderState, PaymentChange, STALE_PAID_BOOKING, STALE_PAYMENT, StepError,
            SystemScope,
        },
        support::Attempts,
    },
    types::{
        Booking, EventStatus, HoldId, HoldStatus, Payment, PaymentKey, PaymentOrder, PaymentStatus,
        RefundReason, TenantId,
    },
};

/// Payments looked at in one pass, of all tenants.
const DUE_MAX: u32 = 128;
/// The first pause before a booking is tried again; it doubles with each try.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The longest one.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);

/// What a payment that waits needs.
pub(crate) enum LateStep {
    /// Nothing for now.
    Done,
    /// The booking of a hold that is still held, by the hold's decision; policies decide about an offer.
    Confirm(HoldId, PaymentOrder),
    /// A booking at the price of the hold that has ended, if policies accept it.
    Book(PaymentOrder),
}

/// What is decided about a payment, before it is written.
enum Verdict {
    Step(LateStep),
    Write(Box<PaymentChange>, Option<Booking>),
}

impl PaymentsModule {
    /// Payments that are due, of all tenants, and whether there may be more.
    pub(crate) async fn due(&self) -> Result<(Vec<(TenantId, PaymentKey)>, bool)> {
        let now = self.context.now();
        let (scope, from) = (SystemScope::new(), self.cursor.begin(now));
        let (now, due) = self.repository.due(scope, (from, now), DUE_MAX).await?;
        let more = due.len() == DUE_MAX as usize;
        let first = due.first().map_or(now, |one| one.due_at);
        self.cursor.reached(from, first);
        let named = due.into_iter().map(|one: DuePayment| {
            tracing::debug!(tenant = %one.tenant, payment = %one.key, due_at = %one.due_at, "a payment is due");
            (one.tenant, one.key)
        });
        Ok((named.collect(), more))
    }

    /// Looks at a payment: makes its money due back if it has waited too long, keeps it for a booking that exists, or says which
    /// booking is to be made.
    pub(crate) async fn late_step(&self, tenant: &TenantId, key: &PaymentKey) -> Result<LateStep> {
        let mut attempts = Attempts::new("late_payment", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let Some(payment) = self.repository.find(tenant, key).await? else {
                return Ok(LateStep::Done);
            };
            let (change, booking) = match self.verdict(tenant, payment).await? {
                Verdict::Step(step) => return Ok(step),
                Verdict::Write(change, booking) => (change, booking),
            };
            let written = match &booking {
                Some(booking) => self.repository.attach(tenant, &change, booking).await,
                None => self.repository.update(tenant, &change).await,
            };
            match written {
                Ok(()) => return Ok(LateStep::Done),
                Err(StepError::Conflict | StepError::Lost(_)) => {}
                Err(error) if error.is_any_guard(&[STALE_PAYMENT, STALE_PAID_BOOKING]) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    async fn verdict(&self, tenant: &TenantId, payment: Payment) -> Result<Verdict> {
        let now = self.context.now();
        let done = || Ok(Verdict::Step(LateStep::Done));
        if payment.counters.due_at.is_none_or(|due_at| due_at > now) {
            return done();
        }
        let order = match (payment.status, payment.order.clone()) {
            (PaymentStatus::Unmatched, _) => {
                let why = (RefundReason::Unmatched, "unmatched");
                return Ok(self.given_up(payment, why, now));
            }
            (PaymentStatus::Pending, Some(order)) => order,
            _ => return done(),
        };
        let state = self.repository.order_state(tenant, order.hold).await?;
        if let Some(booking) = &state.booking {
            return Ok(self.for_booking(payment, booking, &state, now));
        }
        if !payment.is_complete() {
            return Ok(self.given_up(payment, (RefundReason::NotBooked, "short"), now));
        }
        let is_held = state
            .hold
            .is_some_and(|hold| hold.status == HoldStatus::Held);
        Ok(Verdict::Step(match is_held {
            true => LateStep::Confirm(order.hold, order),
            false => LateStep::Book(order),
        }))
    }

    /// Keeps money for a booking that was made without it: as much as the booking is to have. All of it is due back if the booking
    /// has a payment already, or has nothing to pay any more.
    fn for_booking(
        &self,
        payment: Payment,
        booking: &Booking,
        state: &OrderState,
        now: Timestamp,
    ) -> Verdict {
        let keep = match state.event {
            // Its bookings are written as cancelled later; they read so at once.
            Some(EventStatus::Cancelled) => 0,
            _ => booking.keep_minor(),
        };
        if booking.payment.is_some() {
            return self.given_up(payment, (RefundReason::Excess, "paid-before"), now);
        }
        if keep == 0 {
            let code = ErrorCode::BookingCancelled.as_str();
            return self.given_up(payment, (RefundReason::NotBooked, code), now);
        }
        let mut after = payment.clone();
        after.keep_for(booking.id, keep, self.next_refund(), now);
        let change = PaymentChange {
            before: Some(payment),
            after,
            at: now,
        };
        Verdict::Write(Box::new(change), Some(booking.clone()))
    }

    fn given_up(&self, payment: Payment, why: (RefundReason, &str), now: Timestamp) -> Verdict {
        let mut after = payment.clone();
        after.give_up(why, self.next_refund(), now);
        let change = PaymentChange {
            before: Some(payment),
            after,
            at: now,
        };
        Verdict::Write(Box::new(change), None)
    }

    /// Records that a booking was refused: it is tried again while that may help, for 15 minutes. Then the money is due back.
    pub(crate) async fn refused(
        &self,
        tenant: &TenantId,
        key: &PaymentKey,
        refusal: &Error,
    ) -> Result<()> {
        let code = refusal.code().as_str();
        let mut attempts = Attempts::new("postpone_payment", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let before = self.repository.find(tenant, key).await?;
            let Some(mut after) = before.clone().filter(Payment::is_complete) else {
                return Ok(());
            };
            let now = self.context.now();
            let until = after.gives_up_at().unwrap_or(now);
            match may_end(refusal.code()) && now < until {
                true => {
                    let tries = after.counters.tries.min(6);
                    let pause = RETRY_PAUSE.saturating_mul(1 << tries).min(RETRY_PAUSE_MAX);
                    after.postpone(code, later(now, pause).min(until));
                }
                false => {
                    let why = (RefundReason::NotBooked, code);
                    after.give_up(why, self.next_refund(), now);
                }
            }
            if self.write(tenant, before, after).await?.is_some() {
                return Ok(());
            }
        }
        Err(StepError::Conflict.into())
    }
}

/// Returns whether trying again may end a refusal: what failed, was busy, or changed meanwhile.
fn may_end(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::PolicyUnavailable
            | ErrorCode::PolicyBusy
            | ErrorCode::EventBusy
            | ErrorCode::ConflictTryAgain
            | ErrorCode::OutcomeUnknown
            | ErrorCode::Unavailable
            | ErrorCode::Internal
            | ErrorCode::HoldEnded
            | ErrorCode::HoldExists
    )
}
