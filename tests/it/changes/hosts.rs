//! Goal: whoever numbers, and however often whoever numbers is gone, each change has one number and each object's versions are in order.
//!
//! Method: engines on one SurrealDB server book, hold, check in and cancel at the same time. Each has a sequencer whose lease is so short
//! that several number at once, and that is dropped and started again meanwhile. A reader that began before them reads on all the time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use boxoffice_engine::{
    BookTickets, BookingStatus, Caller, ChangedObject, HoldTickets, PageRequest,
};
use boxoffice_tests::{
    FeedReader, SurrealServer, create_event, email, ensure_customer, is_long_run,
    organizer_and_tenant, pass_time, quick_settings, seeded,
};
use futures::future::join_all;
use rand::Rng as _;

/// Customers, each with an engine to write by.
const WRITERS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_number_at_once_and_are_dropped_leave_no_gap() {
    let steps = if is_long_run() { 20_000 } else { 200 };
    let server = SurrealServer::start().await;
    let engine = async || {
        let mut settings = quick_settings();
        // Each takes the lease from the others again and again.
        settings.worker.singleton_lease = Duration::from_millis(60);
        server
            .engine_with(|builder| builder.settings(settings))
            .await
    };
    let engines = Arc::new([engine().await, engine().await, engine().await]);
    let (tenant, organizer, _) = organizer_and_tenant(&engines[0], "north").await;
    let now = jiff::Timestamp::now();
    let event = create_event(&engines[0], &organizer, now, 100_000).await.id;
    let stop = Arc::new(AtomicBool::new(false));
    let workers = engines.iter().cloned().map(|engine| {
        let stop = stop.clone();
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let worker = engine.worker().spawn_singletons();
                let lasts = seeded().random_range(20..400);
                pass_time(Duration::from_millis(lasts)).await;
                drop(worker);
            }
        })
    });
    let workers: Vec<_> = workers.collect();
    let reading = {
        let (engine, stop) = (engines[1].clone(), stop.clone());
        tokio::spawn(async move {
            let mut feed = FeedReader::default();
            while !stop.load(Ordering::Relaxed) {
                feed.read_on(&engine, &Caller::platform("north")).await;
                pass_time(Duration::from_millis(5)).await;
            }
            feed
        })
    };
    let writers = (0..WRITERS).map(|number| {
        let (engines, tenant, organizer) = (engines.clone(), tenant.clone(), organizer.clone());
        async move {
            let name = format!("c{number}");
            let address = email(&name, &tenant);
            let customer = ensure_customer(&engines[0], &tenant, &name, address).await;
            for step in 0..steps / WRITERS {
                // The next change of an object is often another host's.
                let (one, other) = (&engines[step % 3], &engines[(step + 1) % 3]);
                match step % 3 {
                    0 => {
                        let wish = BookTickets::general(event, 1);
                        let booked = one.bookings().book_tickets(&customer, wish).await;
                        let id = booked.expect("a booking").id;
                        other
                            .bookings()
                            .cancel(&organizer, id)
                            .await
                            .expect("cancelled");
                    }
                    1 => {
                        let wish = HoldTickets::general(event, 1);
                        let held = one.holds().hold_tickets(&customer, wish).await;
                        let id = held.expect("a hold").id;
                        other.holds().extend(&customer, id).await.expect("extended");
                        one.holds().release(&customer, id).await.expect("released");
                    }
                    _ => {
                        let wish = BookTickets::general(event, 2);
                        let booked = one.bookings().book_tickets(&customer, wish).await;
                        booked.expect("a booking");
                    }
                }
            }
        }
    });
    join_all(writers).await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.expect("it ends");
    }
    let mut feed = reading.await.expect("it ends");
    let worker = engines[2].worker().spawn_singletons();
    let rounds = steps / WRITERS;
    let of = |kind: usize| (0..rounds).filter(|step| step % 3 == kind).count();
    let changes = WRITERS * (2 * of(0) + 3 * of(1) + of(2)) + WRITERS + 2;
    feed.read_until(&engines[0], &Caller::platform("north"), changes)
        .await;
    assert_eq!(feed.changes.len(), changes, "each step is told once");
    drop(worker);

    // What was told last of each booking is what the store has.
    let last = feed.last();
    let told: BTreeMap<String, BookingStatus> = last
        .values()
        .filter_map(|change| match &change.object {
            Some(ChangedObject::Booking(booking)) => Some((change.id.clone(), booking.status)),
            _ => None,
        })
        .collect();
    let mut stored = BTreeMap::new();
    let mut page = PageRequest {
        cursor: None,
        limit: 100,
    };
    loop {
        let bookings = engines[0].bookings();
        let owner = Caller::platform("north");
        let read = bookings.list_of_event(&owner, event, None, page);
        let read = read.await.expect("a page");
        for one in read.items {
            stored.insert(one.item.id.to_string(), one.item.status);
        }
        match read.next {
            Some(next) => {
                page = PageRequest {
                    cursor: Some(next),
                    limit: 100,
                }
            }
            None => break,
        }
    }
    assert_eq!(told, stored);
}
