//! Goal: money that comes late, in parts, twice, for nothing that is known, or for what was cancelled has a defined outcome.
//!
//! Method: an engine in memory whose clock is moved, with the singletons of the worker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_engine::{
    BookLine, BookTickets, BookingStatus, CancelTickets, JoinWaitlist, NoticeKind, PageRequest,
    PaymentStatus, RefundReason, RefundState,
    ports::{BookingView, Decision, HookFailure, Policy},
};
use boxoffice_tests::{Patience, wait_for};

use super::{PENDING, PRICE, Sale, sums};

#[tokio::test]
async fn late_money_books_at_the_price_of_the_hold_if_tickets_are_left() {
    let sale = Sale::open().await;
    let event = sale.event(3).await;
    let ann = sale.customer("ann").await;
    let hold = sale.opened(&ann, &event, (2, "pay-1")).await;
    sale.expire(&ann, &hold).await;
    assert_eq!(sale.sold(&event).await, (0, 0));
    let told = sale.captured("pay-1", "evt-1", 2 * PRICE).await;
    assert_eq!(sums(&told), [2 * PRICE, 0, 0, 0, 2 * PRICE, 0]);
    let paid = sale.wait_for_status("pay-1", PaymentStatus::Booked).await;
    assert_eq!(sums(&paid), [2 * PRICE, 2 * PRICE, 0, 0, 0, 0]);
    assert_eq!(paid.booking, Some(hold.id.booking()));
    assert_eq!(sale.sold(&event).await, (2, 0));
    let bookings = sale.platform.engine.bookings();
    let booking = bookings.show(&ann, hold.id.booking()).await;
    let booking = booking.expect("the booking").item;
    assert_eq!(booking.total_minor, 2 * PRICE);
    assert_eq!(booking.payment, Some(paid.key.clone()));

    // The last ticket is sold before the money for it comes.
    let ben = sale.customer("ben").await;
    let hold = sale.opened(&ben, &event, (1, "pay-2")).await;
    sale.expire(&ben, &hold).await;
    let book = BookTickets::general(event.id, 1);
    bookings
        .book_tickets(&ann, book)
        .await
        .expect("the last ticket");
    sale.captured("pay-2", "evt-2", PRICE).await;
    let back = sale.wait_for_status("pay-2", PaymentStatus::Returned).await;
    assert_eq!(sums(&back), [PRICE, 0, PRICE, 0, 0, 0]);
    assert_eq!(back.refusal.as_deref(), Some("not-enough-tickets"));
    assert_eq!(back.refunds[0].reason, RefundReason::NotBooked);
    sale.verified().await;
}

#[tokio::test]
async fn parts_of_the_price_wait_for_the_rest_and_are_due_back_without_it() {
    let sale = Sale::open().await;
    let event = sale.event(10).await;
    let ann = sale.customer("ann").await;
    sale.opened(&ann, &event, (1, "parts")).await;
    let part = sale.captured("parts", "evt-1", 400).await;
    assert_eq!(part.status, PaymentStatus::Pending);
    let whole = sale.captured("parts", "evt-2", 600).await;
    assert_eq!(whole.status, PaymentStatus::Booked);
    assert_eq!(sums(&whole), [PRICE, PRICE, 0, 0, 0, 0]);

    let ben = sale.customer("ben").await;
    sale.opened(&ben, &event, (1, "short")).await;
    sale.captured("short", "evt-1", 999).await;
    sale.pass(PENDING);
    let back = sale.wait_for_status("short", PaymentStatus::Returned).await;
    assert_eq!(sums(&back), [999, 0, 999, 0, 0, 0]);
    assert_eq!(back.refusal.as_deref(), Some("short"));
    // The rest comes too late, and is due back, too.
    let late = sale.captured("short", "evt-2", 1).await;
    assert_eq!(sums(&late), [PRICE, 0, PRICE, 0, 0, 0]);
    wait_for(Patience::WORK, "the hold to expire", || async {
        (sale.sold(&event).await == (1, 0)).then_some(())
    })
    .await;
    sale.verified().await;
}

#[tokio::test]
async fn failures_and_refunds_before_their_capture_have_an_outcome() {
    let sale = Sale::open().await;
    let event = sale.event(10).await;
    let ann = sale.customer("ann").await;
    sale.opened(&ann, &event, (1, "failed")).await;
    let failed = sale.try_tell("failed", ("evt-1", NoticeKind::Failed, 0));
    assert_eq!(failed.await.expect("told").status, PaymentStatus::Failed);
    let taken = sale.captured("failed", "evt-2", PRICE).await;
    assert_eq!(taken.status, PaymentStatus::Booked);

    let ben = sale.customer("ben").await;
    sale.opened(&ben, &event, (1, "early")).await;
    let early = sale.refunded("early", "evt-2", PRICE).await;
    assert_eq!(sums(&early), [0; 6]);
    let taken = sale.captured("early", "evt-1", PRICE).await;
    assert_eq!(taken.status, PaymentStatus::Open, "nothing is left of it");
    assert_eq!(sums(&taken), [PRICE, 0, 0, PRICE, 0, 0]);

    // What the provider pays back unasked is no longer kept; the booking stays until it is cancelled.
    let unasked = sale.refunded("failed", "evt-3", PRICE).await;
    assert_eq!(unasked.status, PaymentStatus::Booked);
    assert_eq!(sums(&unasked), [PRICE, 0, 0, PRICE, 0, 0]);
    let booking = unasked.booking.expect("a booking");
    let bookings = sale.platform.engine.bookings();
    let cancelled = bookings.cancel(&ann, booking).await;
    assert_eq!(cancelled.expect("cancelled").refund_minor(), PRICE);
    let after = sale.payment("failed").await;
    assert_eq!(sums(&after), [PRICE, 0, 0, PRICE, 0, 0], "nothing is due");
    sale.verified().await;
}

#[tokio::test]
async fn unmatched_money_is_listed_and_matched_or_due_back_after_a_day() {
    let sale = Sale::open().await;
    let event = sale.event(10).await;
    let ann = sale.customer("ann").await;
    sale.captured("early", "evt-1", PRICE).await;
    sale.captured("lost", "evt-1", 77).await;
    let payments = sale.platform.engine.payments();
    let listed = async |status| {
        let page = PageRequest::default();
        let list = payments.list(&sale.books, Some(status), page).await;
        let list = list.expect("a list").items.into_iter();
        list.map(|payment| payment.key.reference.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(PaymentStatus::Unmatched).await, ["lost", "early"]);
    // The hold has ended when the platform opens the payment at last.
    let hold = sale.hold(&ann, &event, 1).await;
    sale.expire(&ann, &hold).await;
    let matched = sale.try_open(&hold, "early").await.expect("matched");
    assert_eq!(sums(&matched), [PRICE, 0, 0, 0, PRICE, 0]);
    sale.wait_for_status("early", PaymentStatus::Booked).await;
    sale.pass(Duration::from_secs(24 * 3600));
    let lost = sale.wait_for_status("lost", PaymentStatus::Returned).await;
    assert_eq!(sums(&lost), [77, 0, 77, 0, 0, 0]);
    assert_eq!(lost.refunds[0].reason, RefundReason::Unmatched);
    let more = sale.captured("lost", "evt-2", 3).await;
    assert_eq!(sums(&more), [80, 0, 80, 0, 0, 0]);
    assert!(listed(PaymentStatus::Unmatched).await.is_empty());
    // A payment that is over is for no other hold, and none is opened for a hold that has ended.
    let error = sale.try_open(&hold, "lost").await.expect_err("over");
    assert_eq!(error.code().as_str(), "payment-exists");
    let error = sale.try_open(&hold, "new").await.expect_err("ended");
    assert_eq!(error.code().as_str(), "hold-ended");
    sale.verified().await;
}

#[tokio::test]
async fn cancellations_make_the_refund_of_a_paid_booking_due() {
    let sale = Sale::open().await;
    let event = sale.event(10).await;
    let (ann, ben) = (sale.customer("ann").await, sale.customer("ben").await);
    sale.opened(&ann, &event, (3, "ann")).await;
    let paid = sale.captured("ann", "evt-1", 3 * PRICE).await;
    sale.opened(&ben, &event, (1, "ben")).await;
    sale.captured("ben", "evt-1", PRICE).await;
    let bookings = sale.platform.engine.bookings();
    let some = CancelTickets {
        tickets: Some(vec![2]),
        ..CancelTickets::all(paid.booking.expect("a booking"))
    };
    bookings
        .cancel_tickets(&ann, some)
        .await
        .expect("a cancellation");
    let after = sale.payment("ann").await;
    assert_eq!(sums(&after), [3 * PRICE, 2 * PRICE, PRICE, 0, 0, 0]);
    assert_eq!(after.refunds[0].reason, RefundReason::Cancelled);
    sale.verified().await;

    let events = sale.platform.engine.events();
    let seen = events.show(&sale.organizer, event.id).await;
    let version = seen.expect("the event").event.version;
    let cancelled = events
        .cancel(&sale.organizer, event.id, Some(version))
        .await;
    cancelled.expect("a cancelled event");
    for (reference, expected) in [
        ("ann", [3 * PRICE, 0, 3 * PRICE, 0, 0, 0]),
        ("ben", [PRICE, 0, PRICE, 0, 0, 0]),
    ] {
        wait_for(Patience::WORK, "the refund to be due", || async {
            (sums(&sale.payment(reference).await) == expected).then_some(())
        })
        .await;
    }
    let booking = bookings.show(&ben, sale.payment("ben").await.booking.expect("one"));
    let booking = booking.await.expect("the booking").item;
    assert_eq!(booking.status, BookingStatus::Cancelled);
    // The oldest first; settled by the provider's notice and by hand.
    let payments = sale.platform.engine.payments();
    let due = payments.refunds(&sale.books, Some(RefundState::Due), PageRequest::default());
    let due = due.await.expect("a list").items;
    assert_eq!(due.len(), 3);
    sale.refunded("ann", "evt-2", 3 * PRICE).await;
    let ben = due
        .iter()
        .find(|one| one.payment.reference.as_str() == "ben");
    let ben = ben.expect("Ben's refund").refund.id;
    for _ in 0..2 {
        let settled = payments.settle_refund(&sale.books, ben).await;
        assert_eq!(
            settled.expect("settled").refund.state(),
            RefundState::Settled
        );
    }
    let told = sale.refunded("ben", "evt-2", PRICE).await;
    assert_eq!(sums(&told), [PRICE, 0, 0, PRICE, 0, 0]);
    let due = payments.refunds(&sale.books, Some(RefundState::Due), PageRequest::default());
    assert!(due.await.expect("a list").items.is_empty());
    sale.verified().await;
}

#[tokio::test]
async fn a_hold_becomes_one_booking_however_it_is_paid() {
    let sale = Sale::open().await;
    let event = sale.event(10).await;
    let (ann, ben) = (sale.customer("ann").await, sale.customer("ben").await);
    // Two attempts of one customer, both captured.
    let hold = sale.opened(&ann, &event, (1, "first")).await;
    sale.try_open(&hold, "second").await.expect("another");
    sale.captured("first", "evt-1", PRICE).await;
    sale.captured("second", "evt-1", PRICE).await;
    let second = sale
        .wait_for_status("second", PaymentStatus::Returned)
        .await;
    assert_eq!(sums(&second), [PRICE, 0, PRICE, 0, 0, 0]);
    assert_eq!(second.refusal.as_deref(), Some("paid-before"));
    // Confirmed by hand before the money came: it is kept for that booking.
    let hold = sale.opened(&ben, &event, (2, "by-hand")).await;
    let holds = sale.platform.engine.holds();
    holds.confirm(&ben, hold.id).await.expect("a booking");
    sale.captured("by-hand", "evt-1", 2 * PRICE).await;
    let kept = sale.wait_for_status("by-hand", PaymentStatus::Booked).await;
    assert_eq!(sums(&kept), [2 * PRICE, 2 * PRICE, 0, 0, 0, 0]);
    let bookings = sale.platform.engine.bookings();
    let cancelled = bookings.cancel(&ben, hold.id.booking()).await;
    cancelled.expect("a cancellation");
    let after = sale.payment("by-hand").await;
    assert_eq!(sums(&after), [2 * PRICE, 0, 2 * PRICE, 0, 0, 0]);
    assert_eq!(sale.sold(&event).await, (1, 0));
    sale.verified().await;
}

#[tokio::test]
async fn an_offer_of_the_waiting_list_is_paid_like_a_hold() {
    let sale = Sale::open().await;
    let event = sale.event(1).await;
    let (ann, ben) = (sale.customer("ann").await, sale.customer("ben").await);
    let bookings = sale.platform.engine.bookings();
    let book = BookTickets::general(event.id, 1);
    let booking = bookings.book_tickets(&ann, book).await.expect("a booking");
    let waitlist = sale.platform.engine.waitlist();
    let lines = vec![BookLine {
        ticket_type: None,
        quantity: 1,
    }];
    let join = JoinWaitlist::new(event.id, lines);
    waitlist.join(&ben, join).await.expect("a place");
    bookings
        .cancel(&ann, booking.id)
        .await
        .expect("a cancellation");
    let holds = sale.platform.engine.holds();
    let offers = holds.list_mine(&ben, PageRequest::default()).await;
    let offer = offers.expect("a list").items.remove(0).item;
    assert!(offer.waitlist_number.is_some());
    sale.try_open(&offer, "offer").await.expect("a payment");
    sale.captured("offer", "evt-1", PRICE).await;
    let paid = sale.wait_for_status("offer", PaymentStatus::Booked).await;
    assert_eq!(sums(&paid), [PRICE, PRICE, 0, 0, 0, 0]);
    assert_eq!(sale.sold(&event).await, (1, 0));
    sale.verified().await;
}

/// A policy that fails (0), accepts (1) or rejects (2).
struct Switch(Arc<AtomicU8>);

#[async_trait]
impl Policy for Switch {
    async fn validate_booking(&self, _: &BookingView) -> Result<Decision, HookFailure> {
        match self.0.load(Ordering::SeqCst) {
            0 => Err(HookFailure::Failed("out of order".to_owned())),
            1 => Ok(Decision::Accept),
            _ => Ok(Decision::Reject {
                code: "members-only".to_owned(),
                reason: "Members only.".to_owned(),
            }),
        }
    }
}

#[tokio::test]
async fn late_money_waits_for_policies_that_fail_and_yields_to_those_that_reject() {
    let answer = Arc::new(AtomicU8::new(1));
    let policy = Switch(answer.clone());
    let sale = Sale::open_with(|builder| builder.policy(policy)).await;
    let event = sale.event(10).await;
    let expired = async |name: &str| {
        let customer = sale.customer(name).await;
        let hold = sale.opened(&customer, &event, (1, name)).await;
        sale.expire(&customer, &hold).await;
        sale.captured(name, "evt-1", PRICE).await;
    };
    // No answer counts as a yes: it is asked again, for a quarter of an hour.
    let ann = sale.customer("ann").await;
    let hold = sale.opened(&ann, &event, (1, "ann")).await;
    sale.expire(&ann, &hold).await;
    answer.store(0, Ordering::SeqCst);
    sale.captured("ann", "evt-1", PRICE).await;
    wait_for(Patience::WORK, "the policy to fail", || async {
        let payment = sale.payment("ann").await;
        (payment.refusal.as_deref() == Some("policy-unavailable")).then_some(())
    })
    .await;
    assert_eq!(sale.payment("ann").await.status, PaymentStatus::Pending);
    sale.pass(PENDING);
    let back = sale.wait_for_status("ann", PaymentStatus::Returned).await;
    assert_eq!(sums(&back), [PRICE, 0, PRICE, 0, 0, 0]);
    // One that is back in time books.
    answer.store(1, Ordering::SeqCst);
    let ben = sale.customer("ben").await;
    let hold = sale.opened(&ben, &event, (1, "ben")).await;
    sale.expire(&ben, &hold).await;
    answer.store(0, Ordering::SeqCst);
    sale.captured("ben", "evt-1", PRICE).await;
    wait_for(Patience::WORK, "the policy to fail", || async {
        sale.payment("ben").await.refusal.map(drop)
    })
    .await;
    answer.store(1, Ordering::SeqCst);
    sale.pass(Duration::from_secs(60));
    sale.wait_for_status("ben", PaymentStatus::Booked).await;
    expired("cal").await;
    sale.wait_for_status("cal", PaymentStatus::Booked).await;
    // A no is a no, though the hold had a yes; a hold that is still held keeps its yes.
    let dan = sale.customer("dan").await;
    let hold = sale.opened(&dan, &event, (1, "dan")).await;
    let eve = sale.customer("eve").await;
    sale.expire(&dan, &hold).await;
    sale.opened(&eve, &event, (1, "eve")).await;
    answer.store(2, Ordering::SeqCst);
    sale.captured("dan", "evt-1", PRICE).await;
    let back = sale.wait_for_status("dan", PaymentStatus::Returned).await;
    assert_eq!(back.refusal.as_deref(), Some("policy-rejected"));
    let kept = sale.captured("eve", "evt-1", PRICE).await;
    assert_eq!(kept.status, PaymentStatus::Booked);
    sale.verified().await;
}
