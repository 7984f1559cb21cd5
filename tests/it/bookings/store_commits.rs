//! Goal: a booking waits for the disk once, and reading never does.
//!
//! Method: an engine in memory without a worker counts the commits that its store is asked for.

use boxoffice_engine::{BookTickets, Engine, EventFilter, PageRequest};
use boxoffice_tests::{create_event, email, ensure_customer, organizer_and_tenant, quick_settings};

#[tokio::test]
async fn a_booking_is_one_commit_and_reading_is_none() {
    let engine = Engine::builder().settings(quick_settings()).build();
    let engine = engine.await.expect("an engine in memory");
    let (tenant, organizer, _) = organizer_and_tenant(&engine, "north").await;
    let event = create_event(&engine, &organizer, jiff::Timestamp::now(), 100).await;
    let customer = ensure_customer(&engine, &tenant, "ann", email("ann", &tenant)).await;
    let commits = || engine.counts().store_commits;
    // The first look at a tenant may write down what is kept of it.
    let order = || BookTickets::general(event.id, 2);
    let first = engine.bookings().book_tickets(&customer, order()).await;
    first.expect("tickets are left");

    let before = commits();
    let booking = engine.bookings().book_tickets(&customer, order()).await;
    let booking = booking.expect("tickets are left");
    assert_eq!(commits() - before, 1, "for a booking");

    let (events, bookings) = (engine.events(), engine.bookings());
    let before = commits();
    events.show(&customer, event.id).await.expect("the event");
    let all = events.list(&customer, EventFilter::default(), PageRequest::default());
    assert_eq!(all.await.expect("a page").items.len(), 1);
    let shown = bookings.show(&customer, booking.id).await;
    assert_eq!(shown.expect("the booking").id, booking.id);
    let mine = bookings.list_mine(&customer, PageRequest::default());
    assert_eq!(mine.await.expect("a page").items.len(), 2);
    assert_eq!(commits() - before, 0, "for reading");
}
