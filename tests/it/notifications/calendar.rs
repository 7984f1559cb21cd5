//! Goal: a customer's calendar follows the event: one entry, changed by newer mails and taken out by the last, at the right
//! hour on both sides of a change of clocks.
//!
//! Method: an engine with its worker; the mails' calendar files and texts are read back.

use boxoffice_engine::{Caller, Event, EventDetails, NewTicketType, UpdateEvent, UserRole};
use boxoffice_tests::{ReceivedMail, TestPlatform};

/// Moves an event to eight in the evening of this day in Berlin.
async fn move_to(platform: &TestPlatform, organizer: &Caller, event: &Event, day: &str) -> Event {
    let starts_at: jiff::Zoned = format!("{day}T20:00[Europe/Berlin]")
        .parse()
        .expect("a moment in Berlin");
    let command = UpdateEvent {
        event: event.id,
        expected_version: event.version,
        details: EventDetails {
            starts_at: starts_at.timestamp(),
            ..event.details.clone()
        },
        status: event.status,
        ticket_types: vec![NewTicketType::general(10)],
        total_tickets: None,
        cancellation_terms: Default::default(),
        max_tickets_per_customer: None,
        notify_customers: None,
    };
    let changed = platform.engine.events().update(organizer, command).await;
    changed.expect("a change").event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_entry_follows_the_event_through_a_change_of_clocks() {
    let platform = TestPlatform::new().await;
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    let ann = platform.customer(&tenant, "ann").await;
    let event = platform.event(&organizer, 10).await;

    // Berlin goes over to summer time in the night to 28 March 2027.
    let event = move_to(&platform, &organizer, &event, "2027-03-27").await;
    let booking = platform.book(&ann, event.id, 2).await;
    platform.settle().await;
    move_to(&platform, &organizer, &event, "2027-03-28").await;
    platform.owes(1);
    platform.settle().await;
    let bookings = platform.engine.bookings();
    bookings
        .cancel(&ann, booking.id)
        .await
        .expect("a cancellation");
    platform.owes(1);
    let mails = platform.settle().await;

    let of = |mail: &ReceivedMail, name: &str| mail.calendar_property(name).expect(name);
    let mut entries: Vec<[String; 4]> = mails
        .iter()
        .map(|mail| ["METHOD", "STATUS", "SEQUENCE", "DTSTART"].map(|name| of(mail, name)))
        .collect();
    entries.sort_by(|one, other| (&one[2], &other[0]).cmp(&(&other[2], &one[0])));
    let expected = [
        ["PUBLISH", "CONFIRMED", "2", "20270327T190000Z"],
        ["PUBLISH", "CONFIRMED", "3", "20270328T180000Z"],
        ["CANCEL", "CANCELLED", "3", "20270328T180000Z"],
    ];
    assert_eq!(entries, expected);
    for mail in &mails {
        assert_eq!(of(mail, "UID"), of(&mails[0], "UID"), "one entry");
        assert!(mail.text.contains("20:00"), "local time: {}", mail.text);
    }
}
