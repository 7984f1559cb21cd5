//! Goal: the mail and the calendar say what a partial cancellation leaves, and two hosts cancel each ticket once.
//!
//! Method: the engine with its worker for mails; engines on one SurrealDB server for the race.

use boxoffice_engine::{Caller, CancelTickets, ErrorCode, IdempotencyKey};
use boxoffice_tests::{SurrealServer, TestPlatform, assert_verified, organizer_and_tenant};
use futures::future::join_all;

use super::some;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mail_says_what_is_left_and_the_calendar_keeps_what_stays() {
    let platform = TestPlatform::new().await;
    let tenant = platform.tenant("north").await;
    let organizer = platform
        .user(&tenant, "olga", boxoffice_engine::UserRole::Organizer)
        .await;
    let ann = platform.customer(&tenant, "ann").await;
    let event = platform.event(&organizer, 10).await;
    let (one, other) = (
        platform.book(&ann, event.id, 3).await,
        platform.book(&ann, event.id, 1).await,
    );
    platform.settle().await;
    let bookings = platform.engine.bookings();
    let cancel = async |caller: &Caller, command: CancelTickets| {
        let known: Vec<_> = platform
            .settle()
            .await
            .into_iter()
            .map(|mail| mail.path)
            .collect();
        bookings
            .cancel_tickets(caller, command)
            .await
            .expect("a cancellation");
        platform.owes(1);
        let mails = platform.settle().await.into_iter();
        let mut new = mails.filter(|mail| !known.contains(&mail.path));
        new.next().expect("one more mail")
    };

    let mail = cancel(&ann, some(&one, 1)).await;
    assert_eq!(mail.subject, "Tickets cancelled: Jazz Night");
    for words in [
        "You cancelled 1 ticket of your booking",
        "Ticket 3 of the booking is no longer valid",
        "1 x General",
        "2 x General",
        "stays in your calendar",
    ] {
        assert!(mail.text.contains(words), "{words} in {}", mail.text);
    }
    assert_eq!(mail.calendar, None, "the entry stays as it is");

    // One of two bookings goes whole: the entry is for the other one, too.
    let mail = cancel(&organizer, CancelTickets::all(one.id)).await;
    assert_eq!(mail.subject, "Booking cancelled: Jazz Night");
    assert!(
        mail.text.contains("cancelled by the organizer"),
        "{}",
        mail.text
    );
    assert_eq!(mail.calendar, None, "another booking stands");

    let mail = cancel(&ann, CancelTickets::all(other.id)).await;
    assert_eq!(mail.calendar_property("METHOD").as_deref(), Some("CANCEL"));
    assert!(mail.text.contains("out of your calendar"), "{}", mail.text);
    assert_verified(&platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_cancel_each_ticket_once() {
    let server = SurrealServer::start().await;
    let (one, two) = (server.engine().await, server.engine().await);
    let (tenant, organizer, _) = organizer_and_tenant(&one, "north").await;
    let ann = boxoffice_tests::email("ann", &tenant);
    let ann = boxoffice_tests::ensure_customer(&one, &tenant, "ann", ann).await;
    let now = jiff::Timestamp::now();
    let event = boxoffice_tests::create_event(&one, &organizer, now, 40).await;
    let command = boxoffice_engine::BookTickets::general(event.id, 20);
    let booking = one
        .bookings()
        .book_tickets(&ann, command)
        .await
        .expect("a booking");
    // Thirty tickets are asked back, ten of them twice under one key; there are twenty.
    let requests = (0..40_usize).map(|index| {
        let (engine, ann) = (if index % 2 == 0 { &one } else { &two }, &ann);
        let key = (index < 20)
            .then(|| IdempotencyKey::parse(&format!("key-{}", index / 2)).expect("ASCII"));
        let command = CancelTickets {
            idempotency_key: key,
            ..some(&booking, 1)
        };
        async move { engine.bookings().cancel_tickets(ann, command).await }
    });
    let answers = join_all(requests).await;
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    for error in refused {
        let expected = [ErrorCode::BookingCancelled, ErrorCode::ConflictTryAgain];
        assert!(expected.contains(&error.code()), "{error:?}");
    }
    let after = one
        .bookings()
        .show(&ann, booking.id)
        .await
        .expect("it is there");
    let cancelled: u32 = after.cancellations.iter().map(|one| one.tickets()).sum();
    let left = one
        .events()
        .show(&organizer, event.id)
        .await
        .expect("the event")
        .event
        .tickets_sold;
    assert_eq!(cancelled + left, 20);
    assert_eq!(left == 0, after.cancelled.is_some());
    assert_verified(&one).await;
}
