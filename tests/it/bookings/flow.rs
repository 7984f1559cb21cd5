//! Goal: the main job, end to end, as its users meet it: what is booked is on disk, and each customer gets exactly
//! one mail for each thing they must hear.
//!
//! Method: `boxoffice dev` on a folder of its own, spoken to over HTTP only; mails are read back from DIR/mails and
//! parsed. "Exactly one" is counted once the notification is final, and again after a restart, which would send what
//! was forgotten and repeat what was not remembered.

use std::path::Path;

use boxoffice_tests::{
    Account, Client, Patience, Program, ReceivedMail, TempFolder, read_mails, wait_until,
    wait_until_final,
};
use futures::future::join_all;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_and_a_change_are_heard_of_once_each() {
    let data = TempFolder::new("flow");
    let program = Program::dev(data.path()).await;
    let (organizer, event) = organizer_with_event(&program.client()).await;
    let id = event["id"].as_str().expect("an id");
    let customer = program
        .client()
        .register("ann@example.org", "customer")
        .await;

    let body = json!({"eventId": id, "numTickets": 2});
    let answer = customer.client.post("/api/bookings", body).await;
    let booking = answer.expect(201);
    assert_eq!(
        answer.header("location"),
        format!("/api/bookings/{}", text(&booking["id"]))
    );
    assert_eq!(booking["status"], "confirmed");
    assert_eq!(booking["numTickets"], 2);
    assert_eq!(booking["totalMinor"], 0);
    assert_eq!(booking["customerId"], customer.id);
    let seen = organizer
        .client
        .get(&format!("/api/events/{id}"))
        .await
        .expect(200);
    assert_eq!(seen["ticketsSold"], 2);

    // A confirmation says what the event says when it is sent: it is to say the old place.
    mails_of(data.path(), &customer.email, 1).await;
    let change = json!({"location": "New Hall"});
    let answer = organizer
        .client
        .patch(&format!("/api/events/{id}"), "\"1\"", change)
        .await;
    let changed = answer.expect(200);
    assert_eq!(changed["version"], 2);
    assert_eq!(answer.header("etag"), "\"2\"");
    assert_eq!(changed["notification"]["recipients"], 1);
    let notification = text(&changed["notification"]["id"]).to_owned();

    let mine = customer.client.get("/api/bookings/me").await.expect(200);
    assert_eq!(mine["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(mine["items"][0]["id"], booking["id"]);

    let mails = mails_of(data.path(), &customer.email, 2).await;
    let progress = wait_until_final(&organizer, &notification).await;
    assert_eq!(progress["kind"], "event-updated");
    assert_eq!(
        (&progress["recipients"], &progress["deliveries"]["sent"]),
        (&json!(1), &json!(1))
    );
    check_confirmation(
        one_with_subject(&mails, "Jazz Night", "New Hall", false),
        &booking,
    );
    check_update(one_with_subject(&mails, "Jazz Night", "New Hall", true));
    let page = program.client().get("/dev/mails").await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains(&mails[0].subject),
        "the page shows the mails: {}",
        page.text
    );

    program.stop().await;
    let program = Program::dev(data.path()).await;
    let organizer = Account {
        client: organizer.client.at(&program.client()),
        ..organizer
    };
    let after = wait_until_final(&organizer, &notification).await;
    assert_eq!(
        after["deliveries"], progress["deliveries"],
        "a restart must not send again"
    );
    let mine = customer
        .client
        .at(&program.client())
        .get("/api/bookings/me")
        .await
        .expect(200);
    assert_eq!(
        mine["items"][0]["id"], booking["id"],
        "tokens and bookings outlive a restart"
    );
    program.stop().await;
    assert_eq!(read_mails(&data.join("mails")).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellations_are_heard_of_by_those_they_concern() {
    let data = TempFolder::new("flow-cancel");
    let program = Program::dev(data.path()).await;
    let (organizer, event) = organizer_with_event(&program.client()).await;
    let id = text(&event["id"]);
    let path = format!("/api/events/{id}");
    let ann = program
        .client()
        .register("ann@example.org", "customer")
        .await;
    let ben = program
        .client()
        .register("ben@example.org", "customer")
        .await;
    let body = json!({"eventId": id, "numTickets": 3});
    let of_ann = ann
        .client
        .post("/api/bookings", body.clone())
        .await
        .expect(201);
    let of_ben = ben.client.post("/api/bookings", body).await.expect(201);
    // Cancelled before it is sent, a confirmation would be suppressed.
    mails_of(data.path(), &ann.email, 1).await;
    mails_of(data.path(), &ben.email, 1).await;

    let cancel = format!("/api/bookings/{}/cancel", text(&of_ann["id"]));
    ben.client
        .post_empty(&cancel)
        .await
        .problem(404, "not-found");
    let cancelled = ann.client.post_empty(&cancel).await.expect(200);
    assert_eq!(
        (&cancelled["status"], &cancelled["cancelledBy"]),
        (&json!("cancelled"), &json!("customer"))
    );
    assert!(cancelled["cancelledAt"].is_string());
    assert_eq!(
        organizer.client.get(&path).await.expect(200)["ticketsSold"],
        3
    );
    let again = ann.client.post_empty(&cancel).await.expect(200);
    assert_eq!(again, cancelled, "cancelling again changes nothing");
    assert_eq!(
        organizer.client.get(&path).await.expect(200)["ticketsSold"],
        3
    );
    mails_of(data.path(), &ann.email, 2).await;

    let cancelled = organizer
        .client
        .post_empty(&format!("{path}/cancel"))
        .await
        .expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(
        cancelled["notification"]["recipients"], 1,
        "only Ben still had a booking"
    );
    let progress = wait_until_final(&organizer, text(&cancelled["notification"]["id"])).await;
    assert_eq!(
        (&progress["kind"], &progress["deliveries"]["sent"]),
        (&json!("event-cancelled"), &json!(1))
    );
    let mails = mails_of(data.path(), &ben.email, 2).await;
    let told = mails.iter().find(|mail| {
        mail.calendar
            .as_ref()
            .is_some_and(|entry| entry.contains("CANCEL"))
    });
    let told = told.expect("the mail about the cancellation takes the event out of calendars");
    assert!(told.text.contains("Jazz Night") && told.html.contains("Jazz Night"));

    let show = format!("/api/bookings/{}", text(&of_ben["id"]));
    let booking = ben.client.get(&show).await.expect(200);
    assert_eq!(
        (&booking["status"], &booking["cancelledBy"]),
        (&json!("cancelled"), &json!("event"))
    );
    let body = json!({"eventId": id, "numTickets": 1});
    ben.client
        .post("/api/bookings", body)
        .await
        .problem(409, "event-cancelled");
    let change = json!({"location": "Nowhere"});
    organizer
        .client
        .patch(&path, "*", change.clone())
        .await
        .problem(409, "event-cancelled");
    let etag = program.client().get(&path).await.header("etag").to_owned();
    organizer
        .client
        .patch(&path, &etag, change)
        .await
        .problem(409, "event-cancelled");
    program.stop().await;
    assert_eq!(read_mails(&data.join("mails")).len(), 4, "two mails each");
}

/// A double click, a retry behind a slow proxy: whoever asks second finds it done, and nobody is told twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_several_times_at_once_tells_everybody_once() {
    let data = TempFolder::new("flow-called-off");
    let program = Program::dev(data.path()).await;
    let (organizer, event) = organizer_with_event(&program.client()).await;
    let ann = program
        .client()
        .register("ann@example.org", "customer")
        .await;
    let body = json!({"eventId": event["id"], "numTickets": 1});
    ann.client.post("/api/bookings", body).await.expect(201);
    mails_of(data.path(), &ann.email, 1).await;

    let path = format!("/api/events/{}/cancel", text(&event["id"]));
    let answers = join_all((0..8).map(|_| organizer.client.post_empty(&path))).await;
    let answers: Vec<Value> = answers.iter().map(|answer| answer.expect(200)).collect();
    let notifications: Vec<&Value> = answers
        .iter()
        .map(|answer| &answer["notification"])
        .filter(|notification| !notification.is_null())
        .collect();
    assert_eq!(notifications.len(), 1, "one change, one notification");
    assert!(
        answers
            .iter()
            .all(|answer| answer["status"] == "cancelled" && answer["version"] == 2)
    );
    wait_until_final(&organizer, text(&notifications[0]["id"])).await;
    mails_of(data.path(), &ann.email, 2).await;
    program.stop().await;
    assert_eq!(read_mails(&data.join("mails")).len(), 2);
}

/// A signed-in organizer and their published event of 50 tickets.
async fn organizer_with_event(door: &Client) -> (Account, Value) {
    let organizer = door.register("olga@example.org", "organizer").await;
    let body = json!({
        "title": "Jazz Night",
        "description": "A long evening.",
        "startsAt": "2027-03-01T19:00:00+01:00",
        "timeZone": "Europe/Berlin",
        "location": "Old Hall",
        "totalTickets": 50,
    });
    let answer = organizer.client.post("/api/events", body).await;
    let event = answer.expect(201);
    assert_eq!(
        answer.header("location"),
        format!("/api/events/{}", text(&event["id"]))
    );
    assert_eq!(answer.header("etag"), "\"1\"");
    (organizer, event)
}

fn check_confirmation(mail: &ReceivedMail, booking: &Value) {
    assert!(
        mail.text.contains('2') && mail.text.contains("Old Hall"),
        "{}",
        mail.text
    );
    assert!(mail.html.contains("Old Hall"), "{}", mail.html);
    assert_eq!(booking["numTickets"], 2);
    assert_calendar(mail, "Old Hall");
}

fn check_update(mail: &ReceivedMail) {
    assert!(
        mail.text.contains("New Hall") && mail.html.contains("New Hall"),
        "{}",
        mail.text
    );
    assert_calendar(mail, "New Hall");
}

/// The calendar entry of the event in `organizer_with_event`, wherever it takes place by now.
fn assert_calendar(mail: &ReceivedMail, location: &str) {
    assert_eq!(
        mail.calendar_property("SUMMARY").as_deref(),
        Some("Jazz Night")
    );
    assert_eq!(
        mail.calendar_property("LOCATION").as_deref(),
        Some(location)
    );
    let start = mail
        .calendar_property("DTSTART")
        .expect("an entry begins at some time");
    assert!(
        ["20270301T180000Z", "20270301T190000"].contains(&start.as_str()),
        "DTSTART is {start}"
    );
    assert!(
        mail.calendar_property("UID")
            .is_some_and(|uid| !uid.is_empty())
    );
}

/// The one mail about the event whose text names this place, or does not.
fn one_with_subject<'a>(
    mails: &'a [ReceivedMail],
    title: &str,
    place: &str,
    named: bool,
) -> &'a ReceivedMail {
    let fits =
        |mail: &&ReceivedMail| mail.subject.contains(title) && mail.text.contains(place) == named;
    let found: Vec<_> = mails.iter().filter(fits).collect();
    assert_eq!(
        found.len(),
        1,
        "exactly one mail about {title} with {place}={named}: {mails:#?}"
    );
    found[0]
}

/// Waits until this many mails to the address are there, and answers them. More than that fails the test.
async fn mails_of(data: &Path, address: &str, count: usize) -> Vec<ReceivedMail> {
    let folder = data.join("mails");
    let to_them = || -> Vec<ReceivedMail> {
        read_mails(&folder)
            .into_iter()
            .filter(|mail| mail.is_to(address))
            .collect()
    };
    wait_until(
        Patience::WORK,
        &format!("{count} mails to {address}"),
        || {
            let there = to_them().len();
            async move { there >= count }
        },
    )
    .await;
    let mails = to_them();
    assert_eq!(
        mails.len(),
        count,
        "more mails to {address} than are owed: {mails:#?}"
    );
    mails
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
