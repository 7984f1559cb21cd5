//! Goal: "what happened to this customer's mail" has an answer: from a booking and from a customer, for every mail that
//! was owed them, with state, attempts, the server's words, Message-ID and times; and nobody finds another's.
//!
//! Method: an engine of this process with the host's SMTP mailer against a real SMTP server that refuses one recipient
//! for good and one for a while, asked over HTTP; what the server took over is compared. Then a notification of many
//! batches, in which each customer asked for must be found, and those who were not told must not.

use std::collections::BTreeSet;

use boxoffice_engine::{
    BookTickets, Booking, Caller, Delivery, DeliveryState, NotificationKind, PageRequest, UserRole,
    ports::FolderMailer,
};
use boxoffice_tests::{
    Account, Client, Hosted, Patience, SmtpServer, TempFolder,
    api::{event_body, path_of, text},
    booked_event, email, ensure_customer, move_event, quick_settings, wait_until,
};
use jiff::Timestamp;
use serde_json::{Value, json};

const NAMES: [&str; 4] = ["ann", "ben", "refuse-550-zoe", "later-451-1-lea"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customers_mails_are_told_from_booking_and_customer() {
    let server = SmtpServer::start().await;
    let engine = server.engine().await;
    let hosted = Hosted::start(engine.clone()).await;
    let desk = Desk::open(&engine, &hosted).await;
    let worker = engine.worker().spawn();
    let mut customers = Vec::new();
    for name in NAMES {
        let account = desk
            .door
            .register(&format!("{name}@north.test"), "customer")
            .await;
        let booking = book(&account.client, &desk.event).await;
        customers.push((account, booking));
    }
    let path = format!("/api/events/{}", desk.event);
    let changed = desk
        .organizer
        .client
        .patch(&path, "\"1\"", json!({"location": "New Hall"}))
        .await
        .expect(200);
    let notification = text(&changed["notification"]["id"]).to_owned();
    boxoffice_tests::wait_until_final(&desk.organizer, &notification).await;
    let (ann, booking) = &customers[0];
    let cancelled = format!("/api/bookings/{booking}/cancel");
    ann.client.post_empty(&cancelled).await.expect(200);
    let own = format!("/api/bookings/{booking}/deliveries");
    wait_until(Patience::WORK, "Ann's mails and Lea's", || async {
        let all_sent = |found: &Value| {
            found["items"]
                .as_array()
                .is_some_and(|items| items.iter().all(|item| item["state"] == "sent"))
        };
        let lea = format!("/api/bookings/{}/deliveries", customers[3].1);
        let lea = customers[3].0.client.get(&lea).await.expect(200);
        let found = ann.client.get(&own).await.expect(200);
        kinds(&found).len() == 3 && all_sent(&found) && all_sent(&lea)
    })
    .await;

    let found = ann.client.get(&own).await.expect(200);
    assert_eq!(
        kinds(&found),
        ["booking-cancelled", "event-updated", "booking-confirmed"]
    );
    let mails = server.mails();
    for item in found["items"].as_array().expect("a list") {
        assert_eq!(item["attempts"], 1, "{item}");
        assert_eq!(item["everUnknown"], false);
        assert!(text(&item["reason"]).starts_with("250"), "{item}");
        let [at, created] = ["at", "createdAt"].map(|name| text(&item[name]).parse::<Timestamp>());
        assert!(
            at.expect("a moment") >= created.expect("a moment"),
            "{item}"
        );
        let id = text(&item["messageId"]).trim_matches(['<', '>']);
        let same: Vec<_> = mails
            .iter()
            .filter(|mail| mail.mail.message_id == id)
            .collect();
        assert_eq!(same.len(), 1, "the mail that was taken over: {item}");
        assert_eq!(same[0].recipients, ["ann@north.test"]);
    }
    let (zoe, zoes) = &customers[2];
    let found = zoe
        .client
        .get(&format!("/api/bookings/{zoes}/deliveries"))
        .await
        .expect(200);
    assert_eq!(kinds(&found), ["event-updated", "booking-confirmed"]);
    for item in found["items"].as_array().expect("a list") {
        assert_eq!(
            (&item["state"], &item["attempts"]),
            (&json!("dead"), &json!(1))
        );
        assert!(text(&item["reason"]).contains("550"), "{item}");
    }
    let (lea, leas) = &customers[3];
    let found = lea
        .client
        .get(&format!("/api/bookings/{leas}/deliveries"))
        .await
        .expect(200);
    let twice: Vec<&Value> = found["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|item| item["attempts"] == 2)
        .collect();
    assert_eq!(twice.len(), 1, "one refusal for a while: {found}");
    let earlier = &twice[0]["earlier"][0];
    assert_eq!(earlier["state"], "deferred");
    assert!(text(&earlier["reply"]).contains("451"), "{earlier}");

    // A second event, so that her mails come from two.
    let second = desk.new_event().await;
    let latest = book(&ann.client, &second).await;
    let mine = format!("/api/users/{}/deliveries", ann.id);
    let all = ann.client.get(&mine).await.expect(200);
    assert_eq!(
        kinds(&all),
        [
            "booking-confirmed",
            "booking-cancelled",
            "event-updated",
            "booking-confirmed"
        ]
    );
    assert_eq!(all["items"][0]["bookingId"], latest);
    let by_one = one_by_one(&ann.client, &mine).await;
    let ids = |items: &[Value]| {
        items
            .iter()
            .map(|item| text(&item["id"]).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&by_one), ids(all["items"].as_array().expect("a list")));
    let page = ann.client.get(&format!("{own}?limit=2")).await.expect(200);
    assert_eq!(kinds(&page).len(), 2);

    // Those who manage see, others do not.
    desk.organizer.client.get(&own).await.expect(200);
    let seen = desk.organizer.client.get(&mine).await.expect(200);
    assert_eq!(kinds(&seen).len(), 4);
    let rival = desk.door.register("rival@north.test", "organizer").await;
    rival.client.get(&own).await.problem(404, "not-found");
    // Who has no event that she booked cannot even tell that there is an Ann, until she books one of theirs.
    rival.client.get(&mine).await.problem(404, "not-found");
    let own_event = rival.client.post("/api/events", event_body(json!({})));
    let own_event = own_event.await.expect(201);
    book(&ann.client, text(&own_event["id"])).await;
    let seen = rival.client.get(&mine).await.expect(200);
    assert_eq!(
        kinds(&seen).len(),
        1,
        "only what is about events of their own: {seen}"
    );
    zoe.client.get(&own).await.problem(404, "not-found");
    zoe.client.get(&mine).await.problem(404, "not-found");
    let heads = desk
        .organizer
        .client
        .get(&format!("{path}/notifications"))
        .await
        .expect(200);
    assert_eq!(heads["items"][0]["id"], notification);
    rival
        .client
        .get(&format!("{path}/notifications"))
        .await
        .problem(403, "forbidden");
    ann.client
        .get(&format!("{mine}?cursor=nonsense"))
        .await
        .problem(422, "field-invalid");
    assert!(
        worker.drain(Patience::START).await,
        "the worker ends in time"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_is_found_among_many_batches() {
    // More batches than one look of the search takes in.
    const CUSTOMERS: usize = 600;
    let folder = TempFolder::new("many-batches");
    let engine = boxoffice_engine::Engine::builder()
        .settings(quick_settings())
        .mailer(FolderMailer::open(folder.join("mails")).expect("the folder is ours"))
        .build()
        .await
        .expect("an engine in memory starts");
    let tenant = boxoffice_engine::TenantId::parse("north").expect("a name");
    let (organizer, event) = booked_event(&engine, &tenant, 1000, CUSTOMERS).await;
    let summary = move_event(&engine, &organizer, &event, "New Hall").await;
    let late = ensure_customer(&engine, &tenant, "late", email("late", &tenant)).await;
    let booking = engine
        .bookings()
        .book_tickets(&late, BookTickets::general(event.id, 1))
        .await
        .expect("a booking");
    let worker = engine.worker().spawn();
    wait_until(Patience::WORK, "everybody to be told", || async {
        let shown = engine.notifications().show(&organizer, summary.id).await;
        shown.expect("a notification").deliveries.sent == CUSTOMERS as u64
    })
    .await;
    let (mut found, mut asked) = (BTreeSet::new(), 0);
    let mut cursor = None;
    loop {
        let page = PageRequest { cursor, limit: 100 };
        let page = engine
            .bookings()
            .list_of_event(&organizer, event.id, None, page)
            .await;
        let page = page.expect("bookings");
        // A fifth of them: each is asked for by itself.
        for booking in page
            .items
            .iter()
            .filter(|one| one.customer != late.user_id().expect("a user"))
            .step_by(5)
        {
            let updates = updates_of(&engine, &organizer, booking).await;
            assert_eq!(updates.len(), 1, "each is told once");
            assert_eq!(updates[0].customer, booking.customer);
            assert_eq!(updates[0].state, DeliveryState::Sent);
            asked += 1;
            found.insert(updates[0].id);
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), asked, "everybody has a delivery of their own");
    assert!(
        updates_of(&engine, &organizer, &booking).await.is_empty(),
        "who booked after it was not told"
    );
    assert_eq!(late.role(), UserRole::Customer.into());
    assert!(
        worker.drain(Patience::START).await,
        "the worker ends in time"
    );
}

async fn updates_of(
    engine: &boxoffice_engine::Engine,
    caller: &Caller,
    booking: &Booking,
) -> Vec<Delivery> {
    let page = engine
        .notifications()
        .deliveries_of_booking(caller, booking.id, PageRequest::default())
        .await;
    let items = page.expect("deliveries").items.into_iter();
    items
        .map(|delivery| delivery.item)
        .filter(|delivery| delivery.kind == NotificationKind::EventUpdated)
        .collect()
}

/// A tenant with an organizer and an event, over HTTP.
struct Desk {
    door: Client,
    organizer: Account,
    event: String,
}

impl Desk {
    async fn open(engine: &boxoffice_engine::Engine, hosted: &Hosted) -> Self {
        let (tenant, _, address) = boxoffice_tests::organizer_and_tenant(engine, "north").await;
        let door = hosted.client().tenant(tenant.as_str());
        let organizer = door.login(address.as_str()).await;
        let mut desk = Self {
            door,
            organizer,
            event: String::new(),
        };
        desk.event = desk.new_event().await;
        desk
    }

    async fn new_event(&self) -> String {
        let made = self
            .organizer
            .client
            .post("/api/events", event_body(json!({})))
            .await;
        let made = made.expect(201);
        assert!(path_of(&made).starts_with("/api/events/"));
        text(&made["id"]).to_owned()
    }
}

async fn book(client: &Client, event: &str) -> String {
    let body = json!({"eventId": event, "numTickets": 1});
    let booking = client.post("/api/bookings", body).await.expect(201);
    text(&booking["id"]).to_owned()
}

fn kinds(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("a list");
    items.iter().map(|item| text(&item["kind"])).collect()
}

/// All items of a list, a page for each.
async fn one_by_one(client: &Client, path: &str) -> Vec<Value> {
    let (mut items, mut query) = (Vec::new(), String::new());
    loop {
        let page = client
            .get(&format!("{path}?limit=1{query}"))
            .await
            .expect(200);
        items.extend(page["items"].as_array().expect("a list").iter().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => query = format!("&cursor={next}"),
            None => return items,
        }
    }
}
