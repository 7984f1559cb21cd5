//! Amounts that lie, orders that differ, and random courses of events: the money always balances.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use ulid::Ulid;

use super::{super::new_payment, *};
use crate::types::{
    BookingLine, EventId, HoldId, NoticeId, PaymentId, PaymentKey, TicketTypeId, UserId,
};

const PRICE: u64 = 100;

fn order() -> PaymentOrder {
    let event = EventId::from_ulid(Ulid::from_parts(1, 1));
    let customer = UserId::from_ulid(Ulid::from_parts(1, 2));
    PaymentOrder {
        hold: HoldId::new(event, customer, Ulid::from_parts(1, 3)),
        lines: vec![BookingLine {
            ticket_type: TicketTypeId::new("t1"),
            quantity: 2,
            unit_price_minor: 50,
        }],
        total_minor: PRICE,
        messages: Vec::new(),
        sale: None,
        details: None,
    }
}

fn payment(order: Option<PaymentOrder>) -> Payment {
    let key: PaymentKey = "stripe/pi_1".parse().unwrap();
    let id = PaymentId::from_ulid(Ulid::from_parts(1, 4));
    new_payment(&key, (id, "EUR"), order, Timestamp::UNIX_EPOCH)
}

fn notice(number: usize, kind: NoticeKind, amount_minor: u64) -> PaymentNotice {
    PaymentNotice {
        id: NoticeId::stored(format!("n{number}")),
        kind,
        amount_minor,
        at: Timestamp::UNIX_EPOCH,
        received_at: Timestamp::UNIX_EPOCH,
    }
}

fn refund_id(number: usize) -> RefundId {
    RefundId::from_ulid(Ulid::from_parts(2, number as u128))
}

/// A payment that is booked as soon as its price is there, after these notices: a number for captured, a negative one for
/// refunded.
fn after(amounts: &[i64]) -> Payment {
    let mut payment = payment(Some(order()));
    for (number, amount) in amounts.iter().enumerate() {
        let kind = match amount {
            1.. => NoticeKind::Captured,
            _ => NoticeKind::Refunded,
        };
        let notice = notice(number, kind, amount.unsigned_abs());
        payment.take(notice, refund_id(number)).unwrap();
        if payment.is_complete() {
            let booking = payment.order.as_ref().unwrap().hold.booking();
            payment.keep_for(booking, PRICE, refund_id(900), Timestamp::UNIX_EPOCH);
        }
        assert_eq!(payment.contradiction(), None, "{amounts:?}");
    }
    payment
}

/// Kept, due back, refunded, pending.
fn sums(payment: &Payment) -> [u64; 4] {
    let money = payment.money;
    [
        money.kept_minor,
        money.refund_due_minor,
        money.refunded_minor,
        money.pending_minor,
    ]
}

#[test]
fn amounts_that_lie_have_defined_outcomes() {
    for (amounts, expected) in [
        (&[100][..], [100, 0, 0, 0]),
        (&[30], [0, 0, 0, 30]),
        (&[30, 70], [100, 0, 0, 0]),
        (&[150], [100, 50, 0, 0]),
        (&[100, 100], [100, 100, 0, 0]),
        (&[100, 100, -100], [100, 0, 100, 0]),
        (&[100, -100], [0, 0, 100, 0]),
        (&[-100, 100], [0, 0, 100, 0]),
        // The provider took twice and paid one back, in any order: once is kept.
        (&[-100, 100, 100], [100, 0, 100, 0]),
        (&[100, -100, 100], [100, 0, 100, 0]),
        (&[150, -20], [100, 30, 20, 0]),
        (&[30, -30, 100], [100, 0, 30, 0]),
        (&[60, -10], [0, 0, 10, 50]),
    ] {
        assert_eq!(sums(&after(amounts)), expected, "{amounts:?}");
    }
}

#[test]
fn a_notice_counts_once_and_never_changes() {
    let mut payment = after(&[100]);
    let same = notice(0, NoticeKind::Captured, 100);
    assert!(payment.knows(&same).unwrap());
    let other = notice(0, NoticeKind::Captured, 90);
    let error = payment.knows(&other).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoticeReused);
    for number in 1..Payment::NOTICES_MAX {
        let failed = notice(number, NoticeKind::Failed, 0);
        payment.take(failed, refund_id(number)).unwrap();
    }
    let last = notice(1_000, NoticeKind::Captured, 1);
    let error = payment.take(last, refund_id(1_000)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooManyNotices);
    assert_eq!(payment.status, PaymentStatus::Booked);
}

#[test]
fn a_failure_before_a_capture_does_not_count_and_after_one_neither() {
    let mut payment = payment(Some(order()));
    payment
        .take(notice(1, NoticeKind::Failed, 0), refund_id(1))
        .unwrap();
    assert_eq!(payment.status, PaymentStatus::Failed);
    payment
        .take(notice(2, NoticeKind::Captured, PRICE), refund_id(2))
        .unwrap();
    assert!(payment.is_complete());
    payment
        .take(notice(3, NoticeKind::Failed, 0), refund_id(3))
        .unwrap();
    assert!(payment.is_complete());
}

#[test]
fn what_is_paid_back_by_hand_is_not_counted_again_when_its_notice_comes() {
    let mut payment = after(&[100, 100]);
    let refund = payment.refunds[0].id;
    assert!(payment.settle(refund, Timestamp::UNIX_EPOCH));
    assert!(!payment.settle(refund, Timestamp::UNIX_EPOCH));
    assert_eq!(sums(&payment), [100, 0, 100, 0]);
    let told = notice(7, NoticeKind::Refunded, 100);
    payment.take(told, refund_id(7)).unwrap();
    assert_eq!(sums(&payment), [100, 0, 100, 0]);
    assert_eq!(payment.contradiction(), None);
}

#[test]
fn cancellations_make_due_what_is_kept_and_no_more() {
    let mut payment = after(&[100, -30]);
    let at = (refund_id(50), Timestamp::UNIX_EPOCH);
    assert!(payment.cancel(50, RefundReason::Cancelled, at));
    assert_eq!(sums(&payment), [50, 20, 30, 0]);
    let at = (refund_id(51), Timestamp::UNIX_EPOCH);
    assert!(payment.cancel(50, RefundReason::Cancelled, at));
    assert_eq!(sums(&payment), [0, 70, 30, 0]);
    assert_eq!(payment.contradiction(), None);
}

#[test]
fn unmatched_money_is_matched_or_due_back() {
    let mut first = payment(None);
    first
        .take(notice(1, NoticeKind::Captured, 120), refund_id(1))
        .unwrap();
    assert_eq!(first.money.unmatched_minor, 120);
    assert!(first.counters.due_at.is_some());
    let mut other = first.clone();
    first.match_with(order(), refund_id(2), Timestamp::UNIX_EPOCH);
    assert!(first.is_complete());
    assert_eq!(sums(&first), [0, 20, 0, 100]);
    let why = (RefundReason::Unmatched, "unmatched");
    other.give_up(why, refund_id(3), Timestamp::UNIX_EPOCH);
    assert_eq!(sums(&other), [0, 120, 0, 0]);
    other
        .take(notice(2, NoticeKind::Captured, 5), refund_id(4))
        .unwrap();
    assert_eq!(other.money.refund_due_minor, 125);
    for payment in [first, other] {
        assert_eq!(payment.contradiction(), None);
    }
}

#[test]
fn any_course_of_events_balances() {
    let seed: u64 = rand::rng().random();
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..2_000 {
        let named = random.random_bool(0.8).then(order);
        let mut payment = payment(named);
        for number in 0..random.random_range(1..30) {
            let now = Timestamp::UNIX_EPOCH;
            let id = refund_id(number);
            let amount = random.random_range(1..150);
            let kind = NoticeKind::ALL[random.random_range(0..3)];
            match random.random_range(0..10) {
                0..=4 => payment.take(notice(number, kind, amount), id).unwrap(),
                5 if payment.status == PaymentStatus::Unmatched => {
                    payment.match_with(order(), id, now);
                }
                6 if payment.is_complete() => {
                    let booking = payment.order.as_ref().unwrap().hold.booking();
                    payment.keep_for(booking, PRICE, id, now);
                }
                7 if payment.money.pending_minor > 0 => {
                    payment.give_up((RefundReason::NotBooked, "short"), id, now);
                }
                8 if payment.booking.is_some() => {
                    payment.cancel(amount, RefundReason::Cancelled, (id, now));
                }
                9 => {
                    if let Some(refund) = payment.refunds.first().map(|refund| refund.id) {
                        payment.settle(refund, now);
                    }
                }
                _ => {}
            }
            assert_eq!(payment.contradiction(), None, "seed {seed}: {payment:?}");
        }
    }
}
