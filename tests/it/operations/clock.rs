//! Goal: a clock that steps, backwards or forwards, by hours or days, sells nothing twice and loses nothing: holds,
//! Idempotency-Keys, sessions, leases and mails.
//!
//! Method: the real router over an engine whose clock is stepped between requests while its worker runs. After each
//! scenario all counters are recomputed, and each booking has its one mail.

use std::time::Duration;

use boxoffice_tests::{
    Account, Answer, Patience,
    api::{Api, text},
    assert_verified, wait_for,
};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn book(api: &Api, event: &Value, key: &str) -> Answer {
    let body = json!({"eventId": event["id"], "numTickets": 2});
    let customer = &api.customer.client;
    customer.post_once("/api/bookings", key, body).await
}

async fn hold(customer: &Account, event: &Value) -> Value {
    let body = json!({"eventId": event["id"], "numTickets": 3});
    customer.client.post("/api/holds", body).await.expect(201)
}

async fn counters(api: &Api, event: &Value) -> (u64, u64) {
    let seen = api.seen(event).await;
    let number = |name: &str| seen[name].as_u64().expect("a counter");
    (number("ticketsSold"), number("ticketsHeld"))
}

async fn wait_until_held(api: &Api, event: &Value, held: u64) {
    wait_for(
        Patience::WORK,
        &format!("{held} tickets to be held"),
        || async { (counters(api, event).await.1 == held).then_some(()) },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_books_once_wherever_the_clock_steps() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let first = book(&api, &event, "key").await.expect(201);
    let clock = &api.platform.clock;
    // Across midnight and back, within the 24 hours that a key is kept.
    for (back, on) in [
        (HOUR * 3, HOUR * 4),
        (HOUR * 20, HOUR * 30),
        (HOUR * 13, HOUR),
    ] {
        clock.set_back(back);
        assert_eq!(book(&api, &event, "key").await.expect(201), first);
        clock.advance(on);
        assert_eq!(book(&api, &event, "key").await.expect(201), first);
    }
    assert_eq!(counters(&api, &event).await, (2, 0));
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_forgotten_after_their_day() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let first = book(&api, &event, "key").await.expect(201);
    api.platform.clock.advance(DAY - HOUR);
    // Its first round, at once after it has begun, deletes what is over.
    let worker = api.platform.engine.worker().spawn_singletons();
    let other = api.event(json!({})).await;
    hold(&api.customer, &other).await;
    api.platform.clock.advance(HOUR / 2);
    wait_until_held(&api, &other, 0).await;
    assert_eq!(
        book(&api, &event, "key").await.expect(201),
        first,
        "not yet"
    );
    assert!(worker.drain(Patience::WORK).await);
    api.platform.clock.advance(HOUR);
    let worker = api.platform.engine.worker().spawn_singletons();
    let again = wait_for(Patience::WORK, "the key to be forgotten", || async {
        let answer = book(&api, &event, "key").await.expect(201);
        (answer != first).then_some(answer)
    })
    .await;
    assert_ne!(again["id"], first["id"]);
    assert_eq!(book(&api, &event, "key").await.expect(201), again);
    assert!(worker.drain(Patience::WORK).await);
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_end_once_wherever_the_clock_steps() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let clock = &api.platform.clock;
    let worker = api.platform.engine.worker().spawn_singletons();
    let ended = hold(&api.customer, &event).await;
    // A day on: it ends. Back again: it stays ended, and its tickets are free once.
    clock.advance(DAY);
    wait_until_held(&api, &event, 0).await;
    clock.set_back(DAY + HOUR);
    let confirm = format!("/api/holds/{}/confirm", text(&ended["id"]));
    let refused = api.customer.client.post_empty(&confirm).await;
    refused.problem(409, "hold-ended");
    assert_eq!(counters(&api, &event).await, (0, 0));
    // Made in the past, due in the past: it ends at its time, though looks were a day further on already.
    hold(&api.customer, &event).await;
    assert_eq!(counters(&api, &event).await, (0, 3));
    clock.advance(HOUR / 2);
    wait_until_held(&api, &event, 0).await;
    // An open one can be confirmed whatever the clock said meanwhile, as long as nobody has ended it.
    let last = hold(&api.customer, &event).await;
    clock.set_back(DAY * 3);
    let confirm = format!("/api/holds/{}/confirm", text(&last["id"]));
    api.customer.client.post_empty(&confirm).await.expect(201);
    clock.advance(DAY * 6);
    api.customer.client.post_empty(&confirm).await.expect(201);
    assert_eq!(counters(&api, &event).await, (3, 0));
    assert!(worker.drain(Patience::WORK).await);
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_booking_has_its_mail_wherever_the_clock_steps() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let clock = &api.platform.clock;
    let worker = api.platform.engine.worker().spawn();
    for step in 0..4 {
        book(&api, &event, &format!("before-{step}"))
            .await
            .expect(201);
        clock.advance(DAY);
        book(&api, &event, &format!("on-{step}")).await.expect(201);
        clock.set_back(DAY + HOUR);
        book(&api, &event, &format!("back-{step}"))
            .await
            .expect(201);
    }
    // What was owed while the clock was ahead is due when it is that late again.
    clock.advance(DAY * 2);
    api.platform.owes(12);
    let mails = api.platform.settle().await;
    let mine = api.customer.client.all("/api/bookings/me").await;
    assert_eq!(mine.len(), 12);
    for booking in &mine {
        let number = text(&booking["bookingNumber"]);
        let about = mails.iter().filter(|mail| mail.text.contains(number));
        assert_eq!(about.count(), 1, "mails about {number}");
    }
    assert!(worker.drain(Patience::WORK).await);
    assert_eq!(counters(&api, &event).await, (24, 0));
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_outlive_a_clock_that_steps_and_end_at_their_time() {
    let api = Api::start().await;
    let clock = &api.platform.clock;
    let refresh = async |token: &str| {
        let body = json!({ "refreshToken": token });
        api.door.post("/api/auth/refresh", body).await
    };
    let mut token = api.customer.refresh_token.clone();
    clock.set_back(HOUR * 5);
    for step in [HOUR * 10, DAY, HOUR] {
        let next = refresh(&token).await.expect(200);
        token = text(&next["refreshToken"]).to_owned();
        clock.advance(step);
    }
    clock.set_back(DAY);
    let next = refresh(&token).await.expect(200);
    token = text(&next["refreshToken"]).to_owned();
    clock.advance(DAY * 60);
    refresh(&token).await.problem(401, "session-ended");
}
