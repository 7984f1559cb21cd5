//! Goal: who waits for tickets hears what becomes of the event, once, and what they were mailed is found from them.
//!
//! Method: an engine of this process with its worker and mails in a folder; every customer's mails are counted, and asked for.

use std::collections::BTreeMap;

use boxoffice_engine::{
    BookTickets, Caller, Delivery, Engine, EventId, JoinWaitlist, NotificationKind, PageRequest,
    UserRole, WaitlistPlace,
};
use boxoffice_tests::{ReceivedMail, TestPlatform, assert_verified, quick_settings};

async fn join(engine: &Engine, customer: &Caller, event: EventId) {
    let lines = BookTickets::general(event, 1).lines;
    let command = JoinWaitlist::new(event, lines);
    let place = engine.waitlist().join(customer, command).await;
    place.expect("a place");
}

/// What a customer was mailed, in pages of so many.
async fn mails_of(engine: &Engine, customer: &Caller, limit: u32) -> Vec<Delivery> {
    let (mut found, mut cursor) = (Vec::new(), None);
    let user = customer.user_id().expect("a user");
    loop {
        let page = PageRequest { cursor, limit };
        let notifications = engine.notifications();
        let page = notifications.deliveries_of_user(customer, user, page).await;
        let page = page.expect("deliveries");
        found.extend(page.items.into_iter().map(|delivery| delivery.item));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

async fn kinds_of(engine: &Engine, customer: &Caller) -> Vec<NotificationKind> {
    let found = mails_of(engine, customer, 20).await;
    // The same, one by one.
    let ids = |found: &[Delivery]| found.iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(ids(&mails_of(engine, customer, 1).await), ids(&found));
    found.iter().map(|delivery| delivery.kind).collect()
}

fn cancelled<'a>(mails: &'a [ReceivedMail], to: &str) -> Vec<&'a ReceivedMail> {
    let subject = "Event cancelled: Jazz Night";
    let about = mails.iter().filter(|mail| mail.subject == subject);
    about.filter(|mail| mail.is_to(to)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_hears_that_an_event_is_cancelled_and_each_mail_is_found() {
    let platform = TestPlatform::new().await;
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    let event = platform.event(&organizer, 3).await.id;
    let mut people = Vec::new();
    for name in ["ann", "ben", "cal", "dan", "eve"] {
        people.push(platform.customer(&tenant, name).await);
    }
    let [ann, ben, cal, dan, eve] = std::array::from_fn(|index| &people[index]);
    let (engine, waitlist) = (&platform.engine, platform.engine.waitlist());
    let bookings = engine.bookings();
    let one = platform.book(ann, event, 1).await;
    let other = platform.book(ann, event, 1).await;
    platform.book(ann, event, 1).await;
    // A confirmation of what is cancelled by then would be sent to nobody.
    platform.settle().await;
    for person in [ben, cal, ann, dan, eve] {
        join(engine, person, event).await;
    }
    waitlist.leave(eve, event).await.expect("they may leave");
    // Ben takes what he is offered, Cal thinks about it.
    for booking in [one, other] {
        bookings.cancel(ann, booking.id).await.expect("one is free");
        platform.owes(2);
    }
    platform.settle().await;
    let found = mails_of(engine, ben, 20).await;
    let WaitlistPlace::Offered(hold) = waitlist.place(ben, event).await.expect("a place") else {
        panic!("Ben is offered tickets");
    };
    assert_eq!(found[0].kind, NotificationKind::WaitingListOffer);
    assert_eq!(found[0].booking, Some(hold.id.booking()));
    let confirmed = engine.holds().confirm(ben, hold.id).await;
    let booking = confirmed.expect("a booking");
    platform.owes(1);
    platform.settle().await;
    let page = PageRequest::default();
    let about = engine.notifications();
    let about = about.deliveries_of_booking(ben, booking.id, page).await;
    let about = about.expect("deliveries").items.into_iter();
    assert_eq!(
        about.map(|one| one.kind).collect::<Vec<_>>(),
        [
            NotificationKind::BookingConfirmed,
            NotificationKind::WaitingListOffer
        ]
    );

    let change = engine.events().cancel(&organizer, event, None).await;
    let told = change.expect("it is off").notification.expect("they hear");
    assert_eq!(told.recipients, 4, "Ann, Ben, Cal and Dan");
    platform.owes(4);
    let mails = platform.settle().await;
    for (name, words, has_calendar) in [
        ("ann", "Your booking has ended", true),
        ("ben", "Your booking has ended", true),
        ("cal", "no longer kept", false),
        ("dan", "need not wait any longer", false),
    ] {
        let own = cancelled(&mails, &format!("{name}@north.test"));
        assert_eq!(own.len(), 1, "{name} hears once");
        assert!(own[0].text.contains(words), "{}", own[0].text);
        assert_eq!(own[0].text.contains("calendar"), has_calendar);
        assert_eq!(own[0].calendar.is_some(), has_calendar, "{name}");
    }
    assert!(cancelled(&mails, "eve@north.test").is_empty());
    for (person, kinds) in [
        (
            ben,
            &[
                NotificationKind::EventCancelled,
                NotificationKind::BookingConfirmed,
                NotificationKind::WaitingListOffer,
            ][..],
        ),
        (
            cal,
            &[
                NotificationKind::EventCancelled,
                NotificationKind::WaitingListOffer,
            ],
        ),
        (dan, &[NotificationKind::EventCancelled]),
        (eve, &[]),
    ] {
        assert_eq!(kinds_of(engine, person).await, kinds);
    }
    assert_eq!(
        kinds_of(engine, ann).await.len(),
        6,
        "three bookings, two cancellations, and the end"
    );
    assert_verified(engine).await;
}

/// Chunks of 32 recipients, so that borders fall everywhere among who booked, who waits, and who does both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_waiting_list_hears_once_each_in_many_chunks() {
    const BOOKED: usize = 45;
    const WAITING: usize = 80;
    let mut settings = quick_settings();
    settings.delivery.bulk_window_batches = 2;
    let platform = TestPlatform::with(|builder| builder.settings(settings)).await;
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    let event = platform.event(&organizer, BOOKED as u32).await.id;
    let mut people = Vec::new();
    for number in 0..BOOKED + WAITING {
        people.push(platform.customer(&tenant, &format!("c{number}")).await);
    }
    // Every third of all books, and a few of those wait, too.
    let (booked, others): (Vec<_>, Vec<_>) =
        (0..people.len()).partition(|number| number % 3 == 0 || *number < 5);
    let booked = &booked[..BOOKED];
    for number in booked {
        platform.book(&people[*number], event, 1).await;
    }
    for number in others.iter().chain(booked.iter().step_by(7)) {
        join(&platform.engine, &people[*number], event).await;
    }
    platform.settle().await;
    let hears = booked.len() + others.len();
    let change = platform
        .engine
        .events()
        .cancel(&organizer, event, None)
        .await;
    let told = change.expect("it is off").notification;
    assert_eq!(told.expect("they hear").recipients as usize, hears);
    platform.owes(hears);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for mail in platform.settle().await {
        if mail.subject.starts_with("Event cancelled") {
            *counts.entry(mail.to.join(",")).or_default() += 1;
        }
    }
    assert_eq!(counts.len(), hears);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}
