//! Goal: a host that plans on the inventory it wrote last sells no ticket twice, refuses nobody wrongly and repeats no
//! request, whatever another host did to the event meanwhile.
//!
//! Method: two engines on one SurrealDB server. Before each case the first one is brought to know the event's inventory;
//! its count of reads shows that it does. Then the second one changes the event, and the first one books.

use boxoffice_engine::{
    BookTickets, Booking, Caller, Engine, EngineBuilder, ErrorCode, Event, HoldTickets,
    IdempotencyKey, NewTicketType, Result, UpdateEvent,
};
use boxoffice_tests::{
    AtMost, SurrealServer, assert_verified, create_event, email, ensure_customer,
    organizer_and_tenant,
};
use futures::future::join_all;

/// Two hosts of one store, and who uses them.
struct Hosts {
    first: Engine,
    second: Engine,
    organizer: Caller,
    customer: Caller,
    _server: SurrealServer,
}

impl Hosts {
    async fn start() -> Self {
        Self::start_with(|builder| builder).await
    }

    async fn start_with(describe: impl Fn(EngineBuilder) -> EngineBuilder) -> Self {
        let server = SurrealServer::start().await;
        let first = server.engine_with(&describe).await;
        let second = server.engine_with(&describe).await;
        let (tenant, organizer, _) = organizer_and_tenant(&first, "north").await;
        let customer = ensure_customer(&first, &tenant, "ann", email("ann", &tenant)).await;
        Self {
            first,
            second,
            organizer,
            customer,
            _server: server,
        }
    }

    /// An event whose inventory the first host knows: it has sold two tickets of it, in two bookings.
    async fn known_event(&self, tickets: u32) -> (Event, Booking) {
        let now = jiff::Timestamp::now();
        let event = create_event(&self.first, &self.organizer, now, tickets).await;
        self.book(&self.first, &event, 1, None)
            .await
            .expect("a booking");
        let reads = self.first.counts().store_reads;
        let last = self.book(&self.first, &event, 1, None).await;
        let last = last.expect("a booking");
        assert_eq!(self.first.counts().store_reads, reads, "it is known");
        (event, last)
    }

    async fn book(
        &self,
        host: &Engine,
        event: &Event,
        tickets: u32,
        key: Option<&str>,
    ) -> Result<Booking> {
        let key = key.map(|key| IdempotencyKey::parse(key).expect("visible ASCII"));
        let command = BookTickets {
            idempotency_key: key,
            ..BookTickets::general(event.id, tickets)
        };
        host.bookings().book_tickets(&self.customer, command).await
    }

    async fn sold(&self, event: &Event) -> u32 {
        let shown = self.second.events().show(&self.organizer, event.id).await;
        shown.expect("the event").event.tickets_sold
    }
}

#[tokio::test]
async fn tickets_that_another_host_sold_or_freed_are_counted() {
    let hosts = Hosts::start().await;
    let (first, second) = (&hosts.first, &hosts.second);
    // One is left by what the first host knows, none in truth.
    let (event, _) = hosts.known_event(3).await;
    let last = hosts.book(second, &event, 1, None).await;
    last.expect("the last ticket");
    let refused = hosts.book(first, &event, 1, None).await;
    let refused = refused.expect_err("sold by the other host");
    assert_eq!(refused.code(), ErrorCode::NotEnoughTickets);
    assert_eq!(hosts.sold(&event).await, 3);

    // None is left by what the first host knows, one in truth.
    let (event, last) = hosts.known_event(2).await;
    let freed = second.bookings().cancel(&hosts.customer, last.id).await;
    freed.expect("a cancellation");
    let booked = hosts.book(first, &event, 1, None).await;
    booked.expect("the freed ticket");
    let refused = hosts.book(first, &event, 1, None).await;
    let refused = refused.expect_err("sold by this host");
    assert_eq!(refused.code(), ErrorCode::NotEnoughTickets);
    assert_eq!(hosts.sold(&event).await, 2);
    assert_verified(second).await;
}

#[tokio::test]
async fn what_another_host_changed_of_the_event_applies() {
    let hosts = Hosts::start().await;
    let (event, _) = hosts.known_event(10).await;
    let command = UpdateEvent {
        ticket_types: vec![NewTicketType {
            price_minor: 700,
            ..NewTicketType::general(10)
        }],
        ..UpdateEvent::of(&event)
    };
    let events = hosts.second.events();
    let updated = events.update(&hosts.organizer, command).await;
    let updated = updated.expect("an update").event;
    let booked = hosts.book(&hosts.first, &event, 2, None).await;
    let booked = booked.expect("a booking");
    assert_eq!(booked.total_minor, 1_400);
    assert_eq!(booked.event_version, updated.version);

    let (event, _) = hosts.known_event(10).await;
    let cancelled = events.cancel(&hosts.organizer, event.id, None).await;
    cancelled.expect("a cancelled event");
    let refused = hosts.book(&hosts.first, &event, 1, None).await;
    let code = refused.expect_err("not on sale").code();
    assert_eq!(code, ErrorCode::EventCancelled);
    assert_eq!(hosts.sold(&event).await, 2);
    assert_verified(&hosts.second).await;
}

#[tokio::test]
async fn a_key_that_another_host_used_is_answered_and_fails_nobody_of_its_group() {
    let hosts = Hosts::start().await;
    let (event, _) = hosts.known_event(20).await;
    let elsewhere = hosts.book(&hosts.second, &event, 1, Some("twice")).await;
    let elsewhere = elsewhere.expect("a booking");
    // Knows the inventory again, but not the key.
    for _ in 0..2 {
        let own = hosts.book(&hosts.first, &event, 1, None).await;
        own.expect("a booking");
    }
    let keys = ["one", "twice", "two"];
    let group = join_all(keys.map(|key| hosts.book(&hosts.first, &event, 1, Some(key)))).await;
    let group: Vec<Booking> = group.into_iter().map(|one| one.expect("tickets")).collect();
    assert_eq!(group[1].id, elsewhere.id);
    assert_eq!(hosts.sold(&event).await, 2 + 1 + 2 + 2);
    let other = hosts.book(&hosts.first, &event, 2, Some("twice")).await;
    let code = other.expect_err("another request").code();
    assert_eq!(code, ErrorCode::IdempotencyKeyReused);
    assert_verified(&hosts.second).await;
}

#[tokio::test]
async fn a_hold_at_another_host_is_seen_and_fails_nobody_of_its_group() {
    let hosts = Hosts::start().await;
    let (event, _) = hosts.known_event(20).await;
    let hold = async |host: &Engine| {
        let command = HoldTickets::general(event.id, 1);
        host.holds().hold_tickets(&hosts.customer, command).await
    };
    hold(&hosts.second).await.expect("a hold");
    for _ in 0..2 {
        let own = hosts.book(&hosts.first, &event, 1, None).await;
        own.expect("a booking");
    }
    let book = || hosts.book(&hosts.first, &event, 1, None);
    let (one, held, two) = tokio::join!(book(), hold(&hosts.first), book());
    assert!(one.is_ok() && two.is_ok());
    let code = held.expect_err("one hold at a time").code();
    assert_eq!(code, ErrorCode::HoldExists);
    assert_eq!(hosts.sold(&event).await, 6);
    assert_verified(&hosts.second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_for_each_customer_holds_at_two_hosts() {
    const MOST: u32 = 9;
    let hosts = Hosts::start_with(|builder| builder.policy(AtMost(MOST))).await;
    let now = jiff::Timestamp::now();
    let event = create_event(&hosts.first, &hosts.organizer, now, 100).await;
    for _ in 0..2 {
        let alone = hosts.book(&hosts.first, &event, 1, None).await;
        alone.expect("a booking");
    }
    // The first host does not know of this one.
    let elsewhere = hosts.book(&hosts.second, &event, 1, None).await;
    elsewhere.expect("a booking");
    for _ in 0..2 {
        let alone = hosts.book(&hosts.first, &event, 1, None).await;
        alone.expect("a booking");
    }
    let clients = (0..24).map(|index| {
        let host = [&hosts.first, &hosts.second][index % 2];
        hosts.book(host, &event, 1, None)
    });
    for refused in join_all(clients).await.into_iter().filter_map(Result::err) {
        let expected = [ErrorCode::PolicyRejected, ErrorCode::ConflictTryAgain];
        assert!(expected.contains(&refused.code()), "{refused:?}");
    }
    let mut sold = hosts.sold(&event).await;
    assert!(sold <= MOST, "{sold}");
    while sold < MOST {
        let host = [&hosts.first, &hosts.second][sold as usize % 2];
        let alone = hosts.book(host, &event, 1, None).await;
        alone.expect("a booking");
        sold += 1;
    }
    for host in [&hosts.first, &hosts.second] {
        let refused = hosts.book(host, &event, 1, None).await;
        let code = refused.expect_err("more than allowed").code();
        assert_eq!(code, ErrorCode::PolicyRejected);
    }
    assert_eq!(hosts.sold(&event).await, MOST);
    assert_verified(&hosts.second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_that_sell_and_free_at_once_end_with_the_right_count() {
    const TICKETS: u32 = 30;
    let hosts = Hosts::start().await;
    let (event, _) = hosts.known_event(TICKETS).await;
    let clients = (0..60).map(|index| {
        let host = [&hosts.first, &hosts.second][index % 2];
        let (hosts, event) = (&hosts, &event);
        async move {
            let mut kept = 0;
            for round in 0..3 {
                let key = format!("{index}-{round}");
                let booking = match hosts.book(host, event, 1, Some(&key)).await {
                    Ok(booking) => booking,
                    Err(error) => {
                        assert_eq!(error.code(), ErrorCode::NotEnoughTickets, "{error:?}");
                        continue;
                    }
                };
                if (index + round) % 3 == 0 {
                    let bookings = host.bookings();
                    let freed = bookings.cancel(&hosts.customer, booking.id).await;
                    freed.expect("a cancellation");
                } else {
                    kept += 1;
                }
            }
            kept
        }
    });
    let kept: u32 = join_all(clients).await.into_iter().sum();
    assert!(kept + 2 <= TICKETS, "{kept}");
    assert_eq!(hosts.sold(&event).await, kept + 2);
    // Who asks now is answered by what is there, at either host.
    for host in [&hosts.first, &hosts.second] {
        while hosts.sold(&event).await < TICKETS {
            let booked = hosts.book(host, &event, 1, None).await;
            booked.expect("a ticket is left");
        }
        let refused = hosts.book(host, &event, 1, None).await;
        let code = refused.expect_err("sold out").code();
        assert_eq!(code, ErrorCode::NotEnoughTickets);
    }
    assert_verified(&hosts.second).await;
}
