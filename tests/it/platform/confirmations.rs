//! Goal: a tenant may want addresses confirmed before anybody takes tickets; where it does not, accounts without a confirmed
//! address still cannot hold its houses empty.
//!
//! Method: the real router and worker; addresses are confirmed by the links in mails that were really sent; two engines on one
//! SurrealDB server where hosts race.

use std::{collections::BTreeSet, num::NonZeroU32};

use boxoffice_engine::{
    BookTickets, Caller, EnsureUser, ErrorCode, EventId, HoldTickets, Label, Register,
    TenantSettings, UpdateTenant, UserId, UserRole,
};
use boxoffice_host::{MailLinks, TokenKey};
use boxoffice_tests::{
    Account, Answer, Client, EventFixture, OWN_PASSWORD, Patience, ReceivedMail, SurrealServer,
    api::{book, event_body, hold, path_of, text},
    create_event, email, organizer_and_tenant, wait_for,
};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

const CODE: &str = "email-unconfirmed";
const SETTINGS: &str = "/api/tenant/settings";

/// Makes an event of the house's owner, with so many tickets.
async fn event(house: &EventFixture, tickets: u32) -> Value {
    let body = event_body(json!({ "totalTickets": tickets }));
    let made = house.owner.client.post("/api/events", body).await;
    made.expect(201)
}

async fn wait(client: &Client, event: &Value, tickets: u32) -> Answer {
    let path = format!("{}/waitlist", path_of(event));
    client.post(&path, json!({"numTickets": tickets})).await
}

async fn want_confirmed(house: &EventFixture) {
    let patch = json!({"confirmBeforeBooking": true});
    let client = &house.owner.client;
    let before = client.get(SETTINGS).await;
    let etag = before.header("etag").to_owned();
    assert_eq!(before.expect(200)["confirmBeforeBooking"], false);
    let after = client.patch(SETTINGS, &etag, patch).await.expect(200);
    assert_eq!(after["confirmBeforeBooking"], true);
}

/// Signs somebody up, who is asked to confirm the address.
async fn sign_up(house: &EventFixture, name: &str) -> Account {
    let email = format!("{name}@north.test");
    let account = house.door.register(&email, "customer").await;
    house.platform.owes(1);
    account
}

async fn confirm(house: &EventFixture, account: &Account) {
    let link = house.links(account).await.remove(0);
    let done = house.confirm(&link, OWN_PASSWORD).await;
    assert_eq!(done.status, 200, "{}", done.text);
}

/// Books as the platform does for a customer whom it brought.
async fn book_for_brought(house: &EventFixture, event: &Value) {
    let caller = Caller::platform(house.tenant.as_str());
    let command = EnsureUser {
        external_id: "shop-17".to_owned(),
        name: Label::parse("name", "Cara").expect("a name"),
        email: email("cara", &house.tenant),
        metadata: None,
    };
    let engine = &house.platform.engine;
    let users = engine.users();
    let cara = users.ensure(&caller, command).await;
    let cara: UserId = cara.expect("a new user").id;
    let event: EventId = text(&event["id"]).parse().expect("an id");
    let command = BookTickets::general(event, 1);
    let bookings = engine.bookings();
    let caller = caller.on_behalf_of(cara);
    let booked = bookings.book_tickets(&caller, command).await;
    booked.expect("a booking");
    house.platform.owes(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_tenant_wants_it_addresses_are_confirmed_before_tickets_are_taken() {
    let house = EventFixture::open(true).await;
    let (open, full) = (&house.event, event(&house, 1).await);
    let ann = sign_up(&house, "ann").await;
    let held = hold(&ann.client, open, 2).await.expect(201);
    want_confirmed(&house).await;
    let confirmation = format!("/api/holds/{}/confirm", text(&held["id"]));
    for refused in [
        book(&ann.client, open, 1).await,
        hold(&ann.client, open, 1).await,
        ann.client.post_empty(&confirmation).await,
        wait(&ann.client, &full, 1).await,
    ] {
        let problem = refused.problem(403, CODE);
        let detail = text(problem.member("detail"));
        assert!(
            detail.contains("POST /api/auth/me/verification"),
            "{detail}"
        );
    }
    let path = path_of(open);
    let seen = house.owner.client.get(&path).await.expect(200);
    let taken = (&seen["ticketsSold"], &seen["ticketsHeld"]);
    assert_eq!(taken, (&json!(0), &json!(2)), "nothing was taken");
    // Whose address is confirmed, or who has nothing to confirm, is not held up.
    book(&house.owner.client, &full, 1).await.expect(201);
    house.platform.owes(1);
    book_for_brought(&house, open).await;
    // Confirmed, it goes on at once, in the same session.
    confirm(&house, &ann).await;
    ann.client.post_empty(&confirmation).await.expect(201);
    house.platform.owes(1);
    book(&ann.client, open, 1).await.expect(201);
    house.platform.owes(1);
    wait(&ann.client, &full, 1).await.expect(201);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_setting_alone_has_people_asked_and_takes_effect_at_once() {
    let house = EventFixture::open(true).await;
    let change = async |patch: Value| {
        let client = &house.owner.client;
        let etag = client.get(SETTINGS).await.header("etag").to_owned();
        client.patch(SETTINGS, &etag, patch).await.expect(200);
    };
    change(json!({"bulkToVerifiedOnly": false, "confirmBeforeBooking": true})).await;
    let ann = sign_up(&house, "ann").await;
    assert!(!house.is_verified(&ann).await);
    book(&ann.client, &house.event, 1).await.problem(403, CODE);
    change(json!({"confirmBeforeBooking": false})).await;
    book(&ann.client, &house.event, 1).await.expect(201);
    house.platform.owes(1);
    // Nobody is asked any more, so that nobody is bounded either.
    hold(&ann.client, &house.event, 20).await.expect(201);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_needs_to_confirm_what_nobody_is_asked_for() {
    let house = EventFixture::open(false).await;
    want_confirmed(&house).await;
    let ann = house.door.register("ann@north.test", "customer").await;
    book(&ann.client, &house.event, 1).await.expect(201);
    house.platform.owes(1);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_a_confirmed_address_holds_few_tickets_of_few_events() {
    let house = EventFixture::open(true).await;
    let mut events = Vec::new();
    for tickets in [50, 50, 50, 1] {
        events.push(event(&house, tickets).await);
    }
    let full = &events[3];
    book(&house.owner.client, full, 1).await.expect(201);
    house.platform.owes(1);
    let ann = sign_up(&house, "ann").await;
    let mail = &ann.client;
    hold(mail, &events[0], 11).await.problem(403, CODE);
    hold(mail, &events[0], 4).await.expect(201);
    // A place on a waiting list counts as what is offered by it will.
    wait(mail, full, 2).await.problem(422, "field-invalid");
    wait(mail, full, 1).await.expect(201);
    wait(mail, full, 1).await.expect(201);
    let third = hold(mail, &events[1], 5).await.expect(201);
    let refused = hold(mail, &events[2], 1).await;
    let problem = refused.problem(403, CODE);
    let detail = text(problem.member("detail"));
    assert!(
        detail.contains("3 events") && detail.contains("10 tickets"),
        "{detail}"
    );
    // What is given back can be held anew, but for the tickets' bound.
    let release = format!("/api/holds/{}/release", text(&third["id"]));
    mail.post_empty(&release).await.expect(200);
    hold(mail, &events[2], 6).await.problem(403, CODE);
    hold(mail, &events[2], 5).await.expect(201);
    // Booking goes on, and ends a hold. Another account has bounds of its own.
    book(mail, &events[1], 12).await.expect(201);
    house.platform.owes(1);
    let ben = sign_up(&house, "ben").await;
    hold(&ben.client, &events[1], 10).await.expect(201);
    confirm(&house, &ann).await;
    hold(mail, &events[1], 20).await.expect(201);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_of_one_account_at_once_stay_within_its_bounds() {
    let house = EventFixture::open(true).await;
    let ann = sign_up(&house, "ann").await;
    let mut events = Vec::new();
    for _ in 0..8 {
        events.push(event(&house, 50).await);
    }
    let holds = events.iter().map(|event| hold(&ann.client, event, 1));
    let answers = futures::future::join_all(holds).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 3);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.problem(403, CODE);
    }
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_let_no_account_hold_more_than_one_would() {
    let server = SurrealServer::start().await;
    let mut engines = Vec::new();
    for _ in 0..2 {
        let key = TokenKey {
            id: "links".to_owned(),
            secret: vec![7; 32],
        };
        let links = MailLinks::new("https://tickets.example.org", vec![key]);
        let links = links.expect("an address and a key");
        engines.push(server.engine_with(|builder| builder.links(links)).await);
    }
    let (tenant, organizer, _) = organizer_and_tenant(&engines[0], "north").await;
    let tenants = engines[0].tenants();
    let operator = Caller::platform("north");
    let present = tenants.show(&operator).await.expect("a tenant");
    let command = UpdateTenant {
        expected_version: present.version,
        name: present.name,
        settings: TenantSettings::default(),
    };
    let asking = tenants.update(&operator, command).await;
    asking.expect("addresses are confirmed now");
    let command = Register {
        email: email("ann", &tenant),
        name: Label::parse("name", "Ann").expect("a name"),
        password: Account::PASSWORD.to_owned(),
        role: UserRole::Customer,
    };
    let door = Caller::anonymous(tenant.clone());
    let ann = engines[0].users().register(&door, command).await;
    let ann = Caller::user(tenant, ann.expect("a new user").id, UserRole::Customer);
    let mut events = Vec::new();
    for _ in 0..12 {
        let event = create_event(&engines[0], &organizer, Timestamp::now(), 50).await;
        events.push(event.id);
    }
    let holds = events.iter().enumerate().map(|(number, event)| {
        let engine = engines[number % 2].clone();
        let (ann, command) = (ann.clone(), HoldTickets::general(*event, 1));
        async move { engine.holds().hold_tickets(&ann, command).await }
    });
    let outcomes = futures::future::join_all(holds).await;
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(made, 3);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert_eq!(refused.code(), ErrorCode::EmailUnconfirmed, "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_takes_so_many_tickets_with_unconfirmed_addresses() {
    let house = EventFixture::open_with(true, |options| {
        options.unconfirmed_tickets_per_hour = NonZeroU32::new(20);
        options.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    })
    .await;
    let send = async |account: &Account, path: &str, tickets: u32, address: &str| {
        let body = json!({"eventId": house.event["id"], "numTickets": tickets});
        let request = account.client.request(Method::POST, path).json(&body);
        Answer::of(request.header("X-Forwarded-For", address)).await
    };
    let (hold, book, here) = ("/api/holds", "/api/bookings", "2001:db8::1");
    let mut accounts = Vec::new();
    for name in ["ann", "ben", "cyd"] {
        accounts.push(sign_up(&house, name).await);
    }
    let [ann, ben, cyd] = accounts.as_slice() else {
        panic!("three accounts");
    };
    send(ann, hold, 10, here).await.expect(201);
    // What is refused does not count.
    for _ in 0..3 {
        let exists = send(ann, hold, 1, here).await;
        exists.problem(409, "hold-exists");
    }
    send(ben, book, 6, "2001:db8::2").await.expect(201);
    house.platform.owes(1);
    let refused = send(cyd, hold, 5, here).await;
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=180).contains(&wait), "{wait}");
    let problem = refused.problem(429, "too-many-requests");
    assert!(text(problem.member("detail")).contains("confirm"));
    send(cyd, hold, 4, here).await.expect(201);
    send(cyd, book, 1, here)
        .await
        .problem(429, "too-many-requests");
    // Other networks, and whose address is confirmed, are not concerned.
    send(cyd, book, 1, "2001:db8:0:1::1").await.expect(201);
    house.platform.owes(1);
    confirm(&house, ben).await;
    send(ben, book, 1, here).await.expect(201);
    house.platform.owes(1);
    house.platform.settle().await;
}

/// Waits until so many of an account's confirmations are held back, and returns why.
async fn held_back(house: &EventFixture, account: &Account, count: usize) -> BTreeSet<String> {
    let what = format!("{count} confirmations to be held back");
    wait_for(Patience::WORK, &what, || async {
        let path = format!("/api/users/{}/deliveries", account.id);
        let seen = house.owner.client.get(&path).await.expect(200);
        let items = seen["items"].as_array().expect("items").clone();
        let held: Vec<Value> = items
            .into_iter()
            .filter(|one| one["kind"] == "booking-confirmed" && one["state"] == "suppressed")
            .collect();
        let reasons = held.iter().map(|one| text(&one["reason"]).to_owned());
        (held.len() == count).then(|| reasons.collect())
    })
    .await
}

fn summaries<'a>(mails: &'a [ReceivedMail], account: &Account) -> Vec<&'a ReceivedMail> {
    let is_summary =
        |mail: &&ReceivedMail| mail.subject == "Your bookings" && mail.is_to(&account.email);
    mails.iter().filter(is_summary).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_held_back_comes_in_one_mail_once_the_address_is_confirmed() {
    let house = EventFixture::open(true).await;
    let ann = sign_up(&house, "ann").await;
    let mut booked = Vec::new();
    for number in 1..=6 {
        let title = format!("Night {number}");
        let body = event_body(json!({ "totalTickets": 10, "title": title }));
        let event = house.owner.client.post("/api/events", body).await;
        let booking = book(&ann.client, &event.expect(201), number).await;
        booked.push((title, number, booking.expect(201)));
    }
    house.platform.owes(5);
    let link = house.links(&ann).await.remove(0);
    let reasons = held_back(&house, &ann, 1).await;
    let reason = reasons.first().expect("a reason");
    assert!(reason.contains("the address is not confirmed"), "{reason}");
    // Two forms at once, as two hosts may get them, and one later: one of them owes the mail.
    let (one, other) = futures::future::join(
        house.confirm(&link, OWN_PASSWORD),
        house.confirm(&link, OWN_PASSWORD),
    )
    .await;
    assert!(one.status == 200 && other.status == 200, "{}", other.text);
    let again = house.confirm(&link, OWN_PASSWORD).await;
    assert_eq!(again.status, 200, "{}", again.text);
    house.platform.owes(1);
    let mails = house.platform.settle().await;
    let [summary] = summaries(&mails, &ann)[..] else {
        panic!("one summary");
    };
    for (title, tickets, booking) in &booked {
        let booking_number = text(&booking["bookingNumber"]);
        for part in [&summary.text, &summary.html] {
            assert!(part.contains(title.as_str()), "{title} in {part}");
            assert!(part.contains(booking_number), "{booking_number} in {part}");
        }
        let line = format!("  Tickets: {tickets}");
        assert!(summary.text.lines().any(|own| own == line), "{line}");
    }
    assert!(!summary.text.contains("more"), "{}", summary.text);
    // What comes later has mails of its own again, and no second summary.
    book(&ann.client, &house.event, 1).await.expect(201);
    house.platform.owes(1);
    let mails = house.platform.settle().await;
    assert_eq!(summaries(&mails, &ann).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_a_summary_from_whom_nothing_was_held_back_or_who_has_no_booking_left() {
    let house = EventFixture::open(true).await;
    let (ann, ben) = (sign_up(&house, "ann").await, sign_up(&house, "ben").await);
    for _ in 0..5 {
        book(&ann.client, &house.event, 1).await.expect(201);
    }
    house.platform.owes(5);
    confirm(&house, &ann).await;
    let mut booked = Vec::new();
    for _ in 0..6 {
        booked.push(book(&ben.client, &house.event, 1).await.expect(201));
    }
    house.platform.owes(5);
    let link = house.links(&ben).await.remove(0);
    held_back(&house, &ben, 1).await;
    for booking in &booked {
        let cancellation = format!("/api/bookings/{}/cancel", text(&booking["id"]));
        ben.client.post_empty(&cancellation).await.expect(200);
    }
    // The sixth is held back, too.
    house.platform.owes(5);
    house.platform.settle().await;
    let done = house.confirm(&link, OWN_PASSWORD).await;
    assert_eq!(done.status, 200, "{}", done.text);
    book(&ann.client, &house.event, 1).await.expect(201);
    house.platform.owes(1);
    let mails = house.platform.settle().await;
    for account in [&ann, &ben] {
        assert!(summaries(&mails, account).is_empty());
    }
}
