//! What bookings carry, asked of the engine and of the model: answers, uses of a code, and payments.

use boxoffice_engine::{
    AnswerValue, Answers, BookingId, Caller, ErrorCode, NewBookingDetails, NoticeKind, OpenPayment,
    PageRequest, PaymentKey, PaymentMoney, TellPayment, ports::Clock as _,
};
use boxoffice_tests::{Patience, wait_for};
use proptest::{prelude::*, test_runner::TestCaseError};

use super::{
    Run,
    model::{Carries, HoldIs, ModelBooking},
    world::question,
};

/// Refuses an outcome that is none of those that are right: all is well without a refusal, and one of them otherwise.
pub(super) fn require_one(
    outcome: Result<(), ErrorCode>,
    refusals: &[ErrorCode],
) -> Result<(), TestCaseError> {
    match outcome {
        Ok(()) => prop_assert!(refusals.is_empty(), "done, instead of {refusals:?}"),
        Err(code) => prop_assert!(refusals.contains(&code), "{code:?} instead of {refusals:?}"),
    }
    Ok(())
}

/// The payment of a booking that was held.
fn payment_of(booking: BookingId) -> PaymentKey {
    PaymentKey {
        provider: "acme".parse().expect("a provider"),
        reference: booking.to_string().parse().expect("a reference"),
    }
}

/// The platform, which talks to the provider.
fn books() -> Caller {
    Caller::platform("north")
}

impl Run<'_> {
    pub(super) fn details(&self, carries: Carries) -> NewBookingDetails {
        let answer = carries.answer.map(AnswerValue::YesNo);
        let answers = answer.map(|answer| Answers::new([(question().id, answer)].into()));
        NewBookingDetails {
            codes: carries
                .has_code
                .then(|| vec![self.code().parse().expect("a code")]),
            answers,
            ..NewBookingDetails::default()
        }
    }

    /// The code of this sequence's event, which is the name of the counter of its uses.
    fn code(&self) -> String {
        self.event.id.to_string()
    }

    /// Pays for an open hold, which becomes a booking.
    pub(super) async fn pay(&mut self, index: usize) -> Result<(), TestCaseError> {
        let Some((index, hold, _)) = self.any_hold(index) else {
            return Ok(());
        };
        if hold.state != HoldIs::Held || self.model.is_off {
            return Ok(());
        }
        let mut booking = ModelBooking::new(hold.id.booking(), hold.quantities, hold.carries);
        booking.is_paid = true;
        let [total_minor, ..] = booking.amounts(false);
        let payments = self.world.engine().payments();
        let opened = OpenPayment {
            hold: hold.id,
            key: payment_of(booking.id),
            amount_minor: total_minor,
            currency: "EUR".to_owned(),
        };
        let opened = payments.open(&books(), opened).await;
        prop_assert!(opened.is_ok(), "{opened:?}");
        let captured = TellPayment {
            payment: payment_of(booking.id),
            notice: "captured".parse().expect("a notice"),
            kind: NoticeKind::Captured,
            amount_minor: Some(total_minor),
            currency: None,
            at: self.world.clock.now(),
        };
        // The provider says it twice. Policies are asked about an offer first, so it is booked a moment later.
        let wanted = Some(booking.id);
        for _ in 0..2 {
            let told = payments.tell(&books(), captured.clone()).await;
            let told = told.map(|payment| payment.booking);
            let told = told.map_err(|error| error.code());
            prop_assert!(
                told == Ok(wanted) || hold.is_offer && told == Ok(None),
                "{told:?}"
            );
        }
        wait_for(Patience::WORK, "the paid hold to be booked", || async {
            let payment = payments.show(&books(), &payment_of(booking.id)).await;
            (payment.expect("the payment").booking == wanted).then_some(())
        })
        .await;
        self.model.holds[index].state = HoldIs::Confirmed;
        self.model.bookings.push(booking);
        Ok(())
    }

    /// Where the money of a paid booking should be.
    fn money(&self, booking: &ModelBooking) -> PaymentMoney {
        let [captured_minor, _, refund_due_minor] = booking.amounts(self.model.is_off);
        PaymentMoney {
            captured_minor,
            refund_due_minor,
            kept_minor: captured_minor - refund_due_minor,
            ..PaymentMoney::default()
        }
    }

    /// Compares where the money of each payment is with the model.
    pub(super) async fn compare_money(&self) -> Result<(), TestCaseError> {
        let payments = self.world.engine().payments();
        for booking in self.model.bookings.iter().filter(|one| one.is_paid) {
            let payment = payments.show(&books(), &payment_of(booking.id)).await;
            let seen = payment.expect("the payment").money;
            prop_assert_eq!(seen, self.money(booking));
        }
        Ok(())
    }

    /// Compares answers, uses of the code, and money with the model, once a cancelled event has been swept.
    pub(super) async fn compare_carried(&self) -> Result<(), TestCaseError> {
        let engine = self.world.engine();
        for booking in &self.model.bookings {
            let bookings = engine.bookings();
            let shown = bookings.show(&self.world.organizer, booking.id);
            let details = shown.await.expect("the booking").item.details;
            let details = details.map(|details| *details).unwrap_or_default();
            let answer = details
                .answers
                .iter()
                .next()
                .map(|(_, answer)| answer.clone());
            let expected = booking.carries.answer.map(AnswerValue::YesNo);
            prop_assert_eq!(answer, expected);
        }
        let uses = self.model.uses();
        let what = format!("{uses} uses of the code");
        wait_for(Patience::WORK, &what, || async {
            (self.used().await == u64::from(uses)).then_some(())
        })
        .await;
        if self.model.is_off {
            wait_for(Patience::WORK, "refunds of the cancelled event", || async {
                self.compare_money().await.ok()
            })
            .await;
        }
        Ok(())
    }

    async fn used(&self) -> u64 {
        let (claims, code) = (self.world.engine().claims(), self.code());
        let mut cursor = None;
        loop {
            let page = PageRequest { cursor, limit: 100 };
            let list = claims.list(&books(), page).await.expect("counters");
            let mut counters = list.items.into_iter();
            if let Some(counter) = counters.find(|counter| counter.key.as_str() == code) {
                return counter.used;
            }
            cursor = list.next;
            if cursor.is_none() {
                return 0;
            }
        }
    }
}
