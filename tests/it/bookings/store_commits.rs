//! Goal: a booking waits for the disk once and reads nothing in advance, and reading never waits for it.
//!
//! Method: an engine in memory without a worker counts what its store is asked for.

use boxoffice_engine::{
    BookTickets, Booking, Caller, Engine, EngineBuilder, ErrorCode, Event, EventFilter,
    HoldTickets, IdempotencyKey, PageRequest, Result, TenantId,
};
use boxoffice_tests::{
    AtMost, assert_verified, create_event, email, ensure_customer, organizer_and_tenant,
    quick_settings,
};
use futures::future::join_all;

use super::receipts::settings;

/// An engine with an event of 100 tickets of which one booking has taken one, and with a customer.
struct Counted {
    engine: Engine,
    tenant: TenantId,
    event: Event,
    customer: Caller,
}

impl Counted {
    async fn start() -> Self {
        Self::start_with(|builder| builder).await
    }

    async fn start_with(describe: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let builder = Engine::builder().settings(quick_settings());
        let engine = describe(builder).build().await;
        let engine = engine.expect("an engine in memory");
        let (tenant, organizer, _) = organizer_and_tenant(&engine, "north").await;
        let event = create_event(&engine, &organizer, jiff::Timestamp::now(), 100).await;
        let customer = ensure_customer(&engine, &tenant, "ann", email("ann", &tenant)).await;
        let counted = Self {
            engine,
            tenant,
            event,
            customer,
        };
        // Also reads which plugins the tenant has, once.
        counted.book(1, None).await.expect("tickets are left");
        counted
    }

    async fn book(&self, tickets: u32, key: Option<&str>) -> Result<Booking> {
        let key = key.map(|key| IdempotencyKey::parse(key).expect("visible ASCII"));
        let command = BookTickets {
            idempotency_key: key,
            ..BookTickets::general(self.event.id, tickets)
        };
        let bookings = self.engine.bookings();
        bookings.book_tickets(&self.customer, command).await
    }

    /// Commits and reads since the engine started.
    fn counts(&self) -> (u64, u64) {
        let counts = self.engine.counts();
        (counts.store_commits, counts.store_reads)
    }

    /// Commits and reads since an earlier count.
    fn since(&self, (commits, reads): (u64, u64)) -> (u64, u64) {
        let now = self.counts();
        (now.0 - commits, now.1 - reads)
    }
}

#[tokio::test]
async fn a_booking_is_one_commit_and_no_read() {
    let counted = Counted::start().await;
    let before = counted.counts();
    let booking = counted.book(2, None).await.expect("tickets are left");
    assert_eq!(counted.since(before), (1, 0), "for a booking");
    let before = counted.counts();
    let keyed = counted.book(2, Some("first")).await;
    let keyed = keyed.expect("tickets are left");
    assert_eq!(counted.since(before), (1, 0), "for one with a new key");

    let before = counted.counts();
    let again = counted.book(2, Some("first")).await.expect("the same");
    assert_eq!(again.id, keyed.id);
    assert_eq!(counted.since(before).0, 0, "for a key that is known");
    let before = counted.counts();
    counted.book(2, None).await.expect("tickets are left");
    assert_eq!(counted.since(before), (1, 0), "behind a repeated request");

    // Who changes the inventory in between leaves it unknown, and so does a refusal.
    let bookings = counted.engine.bookings();
    let cancelled = bookings.cancel(&counted.customer, booking.id).await;
    cancelled.expect("a cancellation");
    let before = counted.counts();
    counted.book(2, None).await.expect("tickets are left");
    assert_eq!(counted.since(before), (1, 1), "behind a cancellation");
    let before = counted.counts();
    let refused = counted.book(95, None).await;
    let refused = refused.expect_err("more than are left");
    assert_eq!(refused.code(), ErrorCode::NotEnoughTickets);
    assert_eq!(counted.since(before), (0, 1), "nobody is refused unread");
    assert_verified(&counted.engine).await;
}

#[tokio::test]
async fn requests_that_repeat_keys_leave_the_others_of_their_group_one_commit() {
    let counted = Counted::start().await;
    let keys: Vec<String> = (0..12).map(|number| format!("key-{number}")).collect();
    // On this one thread all of them enter the event's queue before its task takes the first group.
    let first = join_all(keys[..4].iter().map(|key| counted.book(1, Some(key)))).await;
    let before = counted.counts();
    let all = join_all(keys.iter().map(|key| counted.book(1, Some(key)))).await;
    let (commits, reads) = counted.since(before);
    assert_eq!(commits, 1, "eight bookings, and four that are there");
    assert_eq!(reads, 1 + 4, "the four keys, and the booking of each");
    let ids = |answers: &[Result<Booking>]| -> Vec<_> {
        let bookings = answers.iter().flatten();
        bookings.map(|booking| booking.id).collect()
    };
    assert_eq!(ids(&first).len(), 4);
    assert_eq!(ids(&all).len(), 12);
    assert_eq!(ids(&all)[..4], ids(&first));
    assert_verified(&counted.engine).await;
}

#[tokio::test]
async fn a_hold_is_one_commit_and_no_read_and_its_confirmation_reads_it() {
    let counted = Counted::start().await;
    let (engine, customer) = (&counted.engine, &counted.customer);
    let holds = engine.holds();
    let hold = || holds.hold_tickets(customer, HoldTickets::general(counted.event.id, 1));
    let before = counted.counts();
    let held = hold().await.expect("tickets are left");
    assert_eq!(counted.since(before), (1, 0), "for a hold");
    let before = counted.counts();
    let refused = hold().await.expect_err("one hold at a time");
    assert_eq!(refused.code(), ErrorCode::HoldExists);
    assert_eq!(counted.since(before), (0, 1), "for one more");
    let before = counted.counts();
    let confirmed = holds.confirm(customer, held.id).await;
    confirmed.expect("an open hold");
    assert_eq!(counted.since(before), (1, 1), "for its confirmation");
    let before = counted.counts();
    counted.book(1, None).await.expect("tickets are left");
    assert_eq!(counted.since(before), (1, 0), "for a booking behind it");
    assert_verified(engine).await;
}

#[tokio::test]
async fn what_policies_see_is_read_once() {
    let counted = Counted::start_with(|builder| builder.policy(AtMost(6))).await;
    // On this one thread their groups are one of reads and one of writes.
    let people = (0..4).map(|number| {
        let (engine, event, counted) = (&counted.engine, &counted.event, &counted);
        async move {
            let tenant = &counted.tenant;
            let name = format!("c{number}");
            let address = email(&name, tenant);
            let customer = ensure_customer(engine, tenant, &name, address).await;
            (customer, BookTickets::general(event.id, 2))
        }
    });
    let people = join_all(people).await;
    for round in 1..=3 {
        let before = counted.counts();
        let all = people.iter().map(|(customer, command)| {
            let bookings = counted.engine.bookings();
            async move { bookings.book_tickets(customer, command.clone()).await }
        });
        for booking in join_all(all).await {
            booking.expect("as many as are allowed");
        }
        assert_eq!(counted.since(before), (1, 1), "round {round}");
    }
    let (customer, command) = &people[0];
    let before = counted.counts();
    let bookings = counted.engine.bookings();
    let refused = bookings.book_tickets(customer, command.clone()).await;
    let code = refused.expect_err("more than allowed").code();
    assert_eq!(code, ErrorCode::PolicyRejected);
    assert_eq!(counted.since(before), (0, 1));

    // Of one customer's at once, only as many as the policy allows.
    let all = (0..4).map(|_| counted.book(3, None));
    let booked = join_all(all).await.iter().filter(|one| one.is_ok()).count();
    assert_eq!(booked, 1, "one ticket before, and six are allowed");
    assert_verified(&counted.engine).await;
}

#[tokio::test]
async fn a_booking_with_a_receipt_is_one_commit_and_no_read() {
    let counted = Counted::start().await;
    settings(&counted.engine, &counted.tenant, |receipts| {
        receipts.is_on = true;
        receipts.free_bookings = true;
    })
    .await;
    for _ in 0..3 {
        let before = counted.counts();
        counted.book(1, None).await.expect("tickets are left");
        assert_eq!(counted.since(before), (1, 0));
    }
    assert_verified(&counted.engine).await;
}

#[tokio::test]
async fn reading_is_no_commit() {
    let counted = Counted::start().await;
    let booking = counted.book(2, None).await.expect("tickets are left");
    let (engine, customer) = (&counted.engine, &counted.customer);
    let (events, bookings) = (engine.events(), engine.bookings());
    let before = counted.counts();
    let shown = events.show(customer, counted.event.id).await;
    shown.expect("the event");
    let all = events.list(customer, EventFilter::default(), PageRequest::default());
    assert_eq!(all.await.expect("a page").items.len(), 1);
    let shown = bookings.show(customer, booking.id).await;
    assert_eq!(shown.expect("the booking").id, booking.id);
    let mine = bookings.list_mine(customer, PageRequest::default());
    assert_eq!(mine.await.expect("a page").items.len(), 2);
    let (commits, reads) = counted.since(before);
    assert_eq!(commits, 0);
    assert!(reads >= 4, "each of them reads: {reads}");
}
