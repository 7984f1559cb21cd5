//! Goal: policies decide again when an offer is accepted, and a no passes the tickets on to who waits next.
//!
//! Method: as in the rest of `waitlist`, with a policy that allows so many tickets each.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use boxoffice_engine::{
    BookTickets, ConfirmHold, ErrorCode, JoinWaitlist, UserRole,
    ports::{BookingView, Decision, HookFailure, Policy},
};
use boxoffice_tests::{TestPlatform, assert_verified};

use super::offered;

/// Lets a customer have so many tickets, and takes so much for each.
struct AtMost {
    tickets: u32,
    price_minor: Arc<AtomicU32>,
}

#[async_trait]
impl Policy for AtMost {
    async fn validate_booking(&self, request: &BookingView) -> Result<Decision, HookFailure> {
        let wanted: u32 = request.lines.iter().map(|line| line.quantity).sum();
        if request.customer.tickets_in_event + wanted > self.tickets {
            return Ok(Decision::Reject {
                code: "too-many".to_owned(),
                reason: "Not so many for one.".to_owned(),
            });
        }
        let price = self.price_minor.load(Ordering::SeqCst);
        Ok(Decision::Adjust {
            unit_prices_minor: vec![price; request.lines.len()],
            messages: Vec::new(),
            claims: Vec::new(),
        })
    }
}

#[tokio::test]
async fn policies_decide_at_acceptance_and_a_no_passes_the_tickets_on() {
    let price = Arc::new(AtomicU32::new(0));
    let policy = AtMost {
        tickets: 3,
        price_minor: price.clone(),
    };
    let platform = TestPlatform::with(|builder| builder.policy(policy)).await;
    platform.may_owe();
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    let mut event = platform.event(&organizer, 4).await;
    // At 10.00 each.
    let command = boxoffice_engine::UpdateEvent {
        event: event.id,
        expected_version: event.version,
        details: event.details.clone(),
        status: event.status,
        ticket_types: vec![boxoffice_engine::NewTicketType {
            price_minor: 1000,
            ..boxoffice_engine::NewTicketType::general(4)
        }],
        total_tickets: None,
        cancellation_terms: Default::default(),
        max_tickets_per_customer: None,
        notify_customers: Some(false),
    };
    let events = platform.engine.events();
    event = events
        .update(&organizer, command)
        .await
        .expect("a change")
        .event;
    let event = event.id;
    price.store(1000, Ordering::SeqCst);
    let mut people = Vec::new();
    for name in ["ann", "ben", "cal"] {
        people.push(platform.customer(&tenant, name).await);
    }
    let [ann, ben, cal] = [&people[0], &people[1], &people[2]];
    let of_ann = platform.book(ann, event, 2).await;
    platform.book(ben, event, 2).await;
    let join = |quantity| {
        let lines = BookTickets::general(event, quantity).lines;
        JoinWaitlist::new(event, lines)
    };
    let waitlist = platform.engine.waitlist();
    // Ben would have four then: nobody asks before he accepts.
    waitlist.join(ben, join(2)).await.expect("a place");
    waitlist.join(cal, join(2)).await.expect("a place");
    platform
        .engine
        .bookings()
        .cancel(ann, of_ann.id)
        .await
        .expect("two are free");
    let offer = offered(&platform.engine, ben, event)
        .await
        .expect("an offer");
    assert_eq!(offer.total_minor, 2000);
    assert!(offered(&platform.engine, cal, event).await.is_none());
    let holds = platform.engine.holds();
    let refused = holds.confirm(ben, offer.id).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.detail()),
        (ErrorCode::PolicyRejected, "Not so many for one.")
    );
    assert_eq!(
        holds.confirm(ben, offer.id).await.unwrap_err().code(),
        ErrorCode::HoldEnded
    );
    let page = boxoffice_engine::PageRequest::default();
    let passes = waitlist
        .list_passes(&organizer, event, page)
        .await
        .expect("passes")
        .items;
    assert_eq!(passes[0].skips[0].reason, ErrorCode::PolicyRejected);

    // The tickets are Cal's now, who has none yet; a dearer price must be agreed to.
    let offer = offered(&platform.engine, cal, event)
        .await
        .expect("an offer");
    price.store(1200, Ordering::SeqCst);
    let dearer = holds.confirm(cal, offer.id).await.unwrap_err();
    assert_eq!(dearer.code(), ErrorCode::PriceChanged);
    let at = |total| ConfirmHold {
        expected_total_minor: Some(total),
        ..ConfirmHold::as_held(offer.id)
    };
    let other = holds.accept(cal, at(2000)).await.unwrap_err();
    assert_eq!(other.code(), ErrorCode::PriceChanged);
    let booking = holds.accept(cal, at(2400)).await.expect("a booking");
    assert_eq!(
        (booking.id, booking.total_minor),
        (offer.id.booking(), 2400)
    );
    assert_eq!(
        holds
            .confirm(cal, offer.id)
            .await
            .expect("the same")
            .total_minor,
        2400
    );
    assert_verified(&platform.engine).await;
}
