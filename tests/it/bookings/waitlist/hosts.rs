//! Goal: an offer ends at its time and passes on; two hosts offer each ticket once.
//!
//! Method: a worker that ends offers, and two engines on one SurrealDB server whose customers accept, release and let offers end.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use boxoffice_engine::{BookTickets, Engine, ErrorCode, JoinWaitlist, UserRole};
use boxoffice_tests::{
    Patience, SurrealServer, TestPlatform, assert_verified, create_event, email, ensure_customer,
    organizer_and_tenant, pass_time, quick_settings, wait_for,
};
use futures::future::join_all;

use super::offered;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_is_told_by_mail_and_passes_on_when_its_time_is_over() {
    let platform = TestPlatform::new().await;
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    let event = platform.event(&organizer, 2).await.id;
    let mut people = Vec::new();
    for name in ["ann", "ben", "cal"] {
        people.push(platform.customer(&tenant, name).await);
    }
    let booking = platform.book(&people[0], event, 2).await;
    platform.settle().await;
    let waitlist = platform.engine.waitlist();
    let command = JoinWaitlist::new(event, BookTickets::general(event, 2).lines);
    for person in &people[1..] {
        waitlist
            .join(person, command.clone())
            .await
            .expect("a place");
    }
    platform
        .engine
        .bookings()
        .cancel(&people[0], booking.id)
        .await
        .expect("two are free");
    platform.owes(2);
    let mails = platform.settle().await;
    let offers = |to: &str| {
        let mut mails = mails.iter();
        mails.find(|mail| mail.subject == "Tickets for you: Jazz Night" && mail.is_to(to))
    };
    let hold = offered(&platform.engine, &people[1], event)
        .await
        .expect("an offer");
    let mail = offers("ben@north.test").expect("Ben's mail");
    for words in [
        "2 x General",
        "2 December 2026, 01:00 (Europe/Berlin)",
        &hold.id.to_string(),
    ] {
        assert!(mail.text.contains(words), "{words} in {}", mail.text);
    }
    assert!(offers("cal@north.test").is_none(), "Cal is next, not yet");
    platform.clock.advance(Duration::from_secs(12 * 3600));
    platform.owes(1);
    platform.settle().await;
    let ended = platform
        .engine
        .holds()
        .confirm(&people[1], hold.id)
        .await
        .unwrap_err();
    assert_eq!(ended.code(), ErrorCode::HoldEnded);
    let hold = offered(&platform.engine, &people[2], event)
        .await
        .expect("Cal's offer");
    platform
        .engine
        .holds()
        .confirm(&people[2], hold.id)
        .await
        .expect("a booking");
    platform.owes(1);
    platform.settle().await;
    assert_verified(&platform.engine).await;
}

/// An engine on the server with its housekeeping, where offers last a second.
async fn short_offers(server: &SurrealServer) -> Engine {
    let mut settings = quick_settings();
    settings.bookings.offer_duration = Duration::from_secs(1);
    settings.worker.singleton_lease = Duration::from_millis(300);
    server
        .engine_with(|builder| builder.settings(settings))
        .await
}

/// Cancellations, offers, confirmations at the instant they expire, and releases race on two hosts until nobody waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_offer_each_ticket_once() {
    const TICKETS: u32 = 20;
    const WAITING: usize = 30;
    let server = SurrealServer::start().await;
    let hosts = [short_offers(&server).await, short_offers(&server).await];
    let (tenant, organizer, _) = organizer_and_tenant(&hosts[0], "north").await;
    let ann = ensure_customer(&hosts[0], &tenant, "ann", email("ann", &tenant)).await;
    let event = create_event(&hosts[0], &organizer, jiff::Timestamp::now(), TICKETS)
        .await
        .id;
    let mut bookings = Vec::new();
    for _ in 0..TICKETS {
        let booked = hosts[0]
            .bookings()
            .book_tickets(&ann, BookTickets::general(event, 1))
            .await;
        bookings.push(booked.expect("a booking"));
    }
    let mut people = Vec::new();
    for number in 0..WAITING {
        let name = format!("w{number}");
        people.push(ensure_customer(&hosts[0], &tenant, &name, email(&name, &tenant)).await);
    }
    let joined = join_all(people.iter().enumerate().map(|(index, person)| {
        let host = hosts[index % 2].clone();
        let lines = BookTickets::general(event, 1 + (index % 3) as u32).lines;
        async move {
            host.waitlist()
                .join(person, JoinWaitlist::new(event, lines))
                .await
        }
    }));
    for place in joined.await {
        place.expect("a place");
    }
    let workers: Vec<_> = hosts
        .iter()
        .map(|host| host.worker().spawn_singletons())
        .collect();
    let cancelled = join_all(bookings.iter().enumerate().map(|(index, booking)| {
        let (host, ann) = (hosts[index % 2].clone(), ann.clone());
        async move { host.bookings().cancel(&ann, booking.id).await }
    }));
    let all_cancelled = AtomicBool::new(false);
    let cancelled = async {
        let outcomes = cancelled.await;
        all_cancelled.store(true, Ordering::SeqCst);
        outcomes
    };
    // Each who waits confirms, releases, or lets the offer end; some exactly when it is due.
    let accepted = join_all(people.iter().enumerate().map(|(index, person)| {
        let (host, all_cancelled) = (hosts[index % 2].clone(), &all_cancelled);
        let organizer = &organizer;
        async move {
            let found = wait_for(Patience::WORK, "an offer, or nobody to wait", || async {
                if let Some(hold) = offered(&host, person, event).await {
                    return Some(Some(hold));
                }
                match host.waitlist().place(person, event).await {
                    Err(error) if error.code() == ErrorCode::NotFound => Some(None),
                    _ => {
                        // With nothing left to be cancelled and nothing held, nothing will become free any more.
                        let is_over = all_cancelled.load(Ordering::SeqCst);
                        let seen = host
                            .events()
                            .show(organizer, event)
                            .await
                            .expect("the event");
                        (is_over && seen.event.tickets_held == 0).then_some(None)
                    }
                }
            });
            let hold = found.await?;
            match index % 4 {
                0 => host.holds().release(person, hold.id).await.ok().map(|_| 0),
                1 => {
                    let until = hold.expires_at.duration_since(jiff::Timestamp::now());
                    let due = until.unsigned_abs() * u32::from(until.is_positive());
                    // The very moment of the expiry, by the real time.
                    pass_time(due).await;
                    let confirmed = host.holds().confirm(person, hold.id).await;
                    confirmed.ok().map(|booking| booking.tickets())
                }
                2 => None,
                _ => host
                    .holds()
                    .confirm(person, hold.id)
                    .await
                    .ok()
                    .map(|booking| booking.tickets()),
            }
        }
    }));
    let (cancelled, accepted) = futures::future::join(cancelled, accepted).await;
    for one in cancelled {
        one.expect("a cancellation");
    }
    let sold: u32 = accepted.into_iter().flatten().sum();
    let events = hosts[0].events();
    wait_for(Patience::WORK, "the last offers to end", || async {
        let seen = events.show(&organizer, event).await.expect("the event");
        (seen.event.tickets_held == 0).then_some(())
    })
    .await;
    let seen = events.show(&organizer, event).await.expect("the event");
    assert_eq!(seen.event.tickets_sold, sold);
    assert!(sold <= TICKETS);
    assert_verified(&hosts[1]).await;
    for worker in workers {
        assert!(worker.drain(Duration::from_secs(5)).await);
    }
}
