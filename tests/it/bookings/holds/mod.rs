//! Goal: holds keep tickets, at the price they were taken at, until they are confirmed, released or expired, and give them
//! back exactly once, whatever races with what.
//!
//! Method: the real router over an engine in memory whose clock is moved, with the worker running where holds must end
//! by themselves; engines on one SurrealDB server and killed programs for what concerns several. After each scenario all
//! counters are recomputed.

mod hosts;

use std::time::Duration;

use boxoffice_engine::{Engine, WorkerHandle};
use boxoffice_tests::{
    Account, Answer, Patience,
    api::{Api, customers, etag_of, path_of, text},
    assert_verified, wait_for,
};
use serde_json::{Value, json};

/// As long as the engine's default.
const HOLD_LASTS: Duration = Duration::from_secs(600);

async fn hold(customer: &Account, event: &Value, quantity: u32) -> Answer {
    let body = json!({"eventId": event["id"], "numTickets": quantity});
    customer.client.post("/api/holds", body).await
}

async fn act(customer: &Account, hold: &Value, what: &str) -> Answer {
    let path = format!("/api/holds/{}/{what}", text(&hold["id"]));
    customer.client.post(&path, json!({})).await
}

async fn shown(customer: &Account, hold: &Value) -> Value {
    let path = format!("/api/holds/{}", text(&hold["id"]));
    customer.client.get(&path).await.expect(200)
}

fn counters(event: &Value) -> (u64, u64) {
    let number = |name: &str| event[name].as_u64().expect("a counter");
    (number("ticketsSold"), number("ticketsHeld"))
}

async fn wait_for_counters(api: &Api, event: &Value, expected: (u64, u64)) {
    wait_for(Patience::WORK, "the counters", || async {
        (counters(&api.seen(event).await) == expected).then_some(())
    })
    .await;
}

fn singletons(engine: &Engine) -> WorkerHandle {
    engine.worker().spawn_singletons()
}

#[tokio::test]
async fn a_hold_keeps_tickets_and_price_and_becomes_a_booking_once() {
    let api = Api::start().await;
    let types = json!([{"name": "Hall", "capacity": 5, "priceMinor": 1000}]);
    let event = api
        .event(json!({"totalTickets": null, "ticketTypes": types}))
        .await;
    let kind = event["ticketTypes"][0]["id"].clone();
    let held = hold(&api.customer, &event, 3).await;
    let path = held.header("location").to_owned();
    let held = held.expect(201);
    let expected = json!({
        "id": held["id"],
        "eventId": event["id"],
        "customerId": api.customer.id,
        "customer": null,
        "channel": "self",
        "soldBy": null,
        "complimentary": null,
        "reference": null,
        "metadata": {},
        "codes": [],
        "answers": {},
        "attendees": [],
        "status": "held",
        "numTickets": 3,
        "lines": [{"ticketType": kind, "quantity": 3, "unitPriceMinor": 1000}],
        "totalMinor": 3000,
        "currency": "EUR",
        "eventVersion": 1,
        "createdAt": "2026-12-01T12:00:00Z",
        "expiresAt": "2026-12-01T12:10:00Z",
        "extended": false,
        "offered": false,
        "messages": [],
        "endedAt": null,
    });
    assert_eq!(held, expected);
    // Where it is read, it says whose it is.
    let mut expected = expected;
    expected["customer"] = json!({"id": api.customer.id, "name": "ann", "email": "ann@north.test"});
    assert_eq!(api.customer.client.get(&path).await.expect(200), expected);
    let seen = api.seen(&event).await;
    assert_eq!(counters(&seen), (0, 3));
    assert_eq!(seen["ticketTypes"][0]["held"], 3);

    // Held is taken: for buyers, for the organizer, and for the price.
    let book = json!({"eventId": event["id"], "numTickets": 3});
    let refused = api.customer.client.post("/api/bookings", book).await;
    refused.problem(409, "not-enough-tickets");
    let dearer = |capacity: u32| json!({"capacity": capacity, "priceMinor": 9999});
    let hall = format!("{}/ticket-types/{}", path_of(&event), text(&kind));
    let (organizer, tag) = (&api.organizer.client, etag_of(&event));
    let refused = organizer.patch(&hall, &tag, dearer(2)).await;
    refused.problem(409, "capacity-below-sold");
    let refused = organizer
        .patch(&path_of(&event), &tag, json!({"status": "draft"}))
        .await;
    refused.problem(409, "event-has-bookings");
    organizer.patch(&hall, &tag, dearer(5)).await.expect(200);

    // At another total than is expected nothing is booked.
    let confirm = format!("/api/holds/{}/confirm", text(&held["id"]));
    let at_total = async |total: u32| {
        let body = json!({"expectedTotalMinor": total});
        api.customer.client.post(&confirm, body).await
    };
    at_total(2999).await.problem(409, "price-changed");
    assert_eq!(shown(&api.customer, &held).await["status"], "held");

    let answer = act(&api.customer, &held, "confirm").await;
    // Neither is it said to be, once it is.
    at_total(2999).await.problem(409, "price-changed");
    let again = at_total(3000).await.expect(201);
    assert_eq!(again, answer.json());
    let booking_path = answer.header("location").to_owned();
    let booking = answer.expect(201);
    assert_eq!(
        (&booking["id"], &booking["totalMinor"], &booking["status"]),
        (&held["id"], &json!(3000), &json!("confirmed"))
    );
    let mut read = api.customer.client.get(&booking_path).await.expect(200);
    // Only reads say who booked.
    read["customer"] = Value::Null;
    assert_eq!(read, booking);
    let again = act(&api.customer, &held, "confirm").await.expect(201);
    assert_eq!(again, booking, "confirming again answers the same booking");
    assert_eq!(counters(&api.seen(&event).await), (3, 0));
    let over = shown(&api.customer, &held).await;
    assert_eq!(
        (&over["status"], &over["endedAt"]),
        (&json!("confirmed"), &json!("2026-12-01T12:00:00Z"))
    );
    for what in ["release", "extend"] {
        let refused = act(&api.customer, &held, what).await;
        refused.problem(409, "hold-ended");
    }
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn a_hold_is_extended_once_and_released_once() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let held = hold(&api.customer, &event, 2).await.expect(201);
    api.platform.clock.advance(Duration::from_secs(60));
    let extended = act(&api.customer, &held, "extend").await.expect(200);
    assert_eq!(
        (&extended["expiresAt"], &extended["extended"]),
        (&json!("2026-12-01T12:20:00Z"), &json!(true))
    );
    let refused = act(&api.customer, &held, "extend").await;
    refused.problem(409, "hold-already-extended");
    let refused = hold(&api.customer, &event, 1)
        .await
        .problem(409, "hold-exists");
    assert!(text(refused.member("detail")).contains(text(&held["id"])));
    // Others hold beside it; and a stranger has no hand in it.
    let other = api.door.register("ben@north.test", "customer").await;
    hold(&other, &event, 4).await.expect(201);
    for what in ["extend", "confirm", "release"] {
        act(&other, &held, what).await.problem(404, "not-found");
    }
    assert_eq!(counters(&api.seen(&event).await), (0, 6));
    for _ in 0..3 {
        let released = act(&api.customer, &held, "release").await.expect(200);
        assert_eq!(released["status"], "released");
    }
    assert_eq!(counters(&api.seen(&event).await), (0, 4));
    act(&api.customer, &held, "confirm")
        .await
        .problem(409, "hold-ended");
    // The organizer may give a customer's tickets back, too.
    let held = hold(&api.customer, &event, 1).await.expect(201);
    act(&api.organizer, &held, "release").await.expect(200);
    assert_eq!(counters(&api.seen(&event).await), (0, 4));
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn a_key_holds_once() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let body = json!({"eventId": event["id"], "numTickets": 2});
    let client = &api.customer.client;
    let send = async |body: &Value| client.post_once("/api/holds", "key-1", body.clone()).await;
    let first = send(&body).await.expect(201);
    assert_eq!(send(&body).await.expect(201), first);
    let other = json!({"eventId": event["id"], "numTickets": 3});
    send(&other).await.problem(422, "idempotency-key-reused");
    // At another route the same text is another key.
    let booked = client
        .post_once("/api/bookings", "key-1", body.clone())
        .await;
    booked.expect(201);
    assert_eq!(counters(&api.seen(&event).await), (2, 2));
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn due_holds_expire_by_themselves_and_give_tickets_back_once() {
    let api = Api::start().await;
    let event = api.event(json!({"totalTickets": 10})).await;
    let others = customers(&api.door, 4).await;
    let first = hold(&others[0], &event, 1).await.expect(201);
    let extended = hold(&others[1], &event, 2).await.expect(201);
    act(&others[1], &extended, "extend").await.expect(200);
    let released = hold(&others[2], &event, 3).await.expect(201);
    act(&others[2], &released, "release").await.expect(200);
    api.platform.clock.advance(HOLD_LASTS / 2);
    let later = hold(&others[3], &event, 4).await.expect(201);
    let worker = singletons(&api.platform.engine);
    api.platform
        .clock
        .advance(HOLD_LASTS / 2 - Duration::from_secs(1));
    assert_eq!(counters(&api.seen(&event).await), (0, 7));
    // An overdue hold can be confirmed as long as it was not written as expired: nobody looks before the clock moves.
    api.platform.clock.advance(Duration::from_secs(1));
    wait_for_counters(&api, &event, (0, 6)).await;
    assert_eq!(shown(&others[0], &first).await["status"], "expired");
    assert_eq!(shown(&others[1], &extended).await["status"], "held");
    act(&others[0], &first, "confirm")
        .await
        .problem(409, "hold-ended");
    act(&others[0], &first, "release").await.expect(200);
    api.platform.clock.advance(HOLD_LASTS / 2);
    wait_for_counters(&api, &event, (0, 2)).await;
    assert_eq!(shown(&others[3], &later).await["status"], "expired");
    act(&others[1], &extended, "confirm").await.expect(201);
    api.platform.clock.advance(HOLD_LASTS * 2);
    // A hold of a called-off event ends, too, and cannot be confirmed before.
    let held = hold(&others[2], &event, 5).await.expect(201);
    let cancel = format!("{}/cancel", path_of(&event));
    api.organizer
        .client
        .post(&cancel, json!({}))
        .await
        .expect(200);
    act(&others[2], &held, "confirm")
        .await
        .problem(409, "event-cancelled");
    api.platform.clock.advance(HOLD_LASTS);
    wait_for_counters(&api, &event, (2, 0)).await;
    assert_verified(&api.platform.engine).await;
    assert!(worker.drain(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn an_overdue_hold_is_confirmed_until_it_has_expired() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let held = hold(&api.customer, &event, 2).await.expect(201);
    api.platform.clock.advance(HOLD_LASTS * 3);
    act(&api.customer, &held, "confirm").await.expect(201);
    assert_eq!(counters(&api.seen(&event).await), (2, 0));
    let worker = singletons(&api.platform.engine);
    api.platform.clock.advance(HOLD_LASTS);
    // Its note is gone with it: nothing is left to expire, which a later hold shows by expiring.
    let later = hold(&api.customer, &event, 1).await.expect(201);
    api.platform.clock.advance(HOLD_LASTS);
    wait_for_counters(&api, &event, (2, 0)).await;
    assert_eq!(shown(&api.customer, &later).await["status"], "expired");
    assert_verified(&api.platform.engine).await;
    assert!(worker.drain(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn ended_holds_are_forgotten_after_two_days() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let (one, other) = (
        hold(&api.customer, &event, 2).await.expect(201),
        async {
            let other = api.door.register("ben@north.test", "customer").await;
            let held = hold(&other, &event, 3).await.expect(201);
            act(&other, &held, "release").await.expect(200);
            (other, held)
        }
        .await,
    );
    let booking = act(&api.customer, &one, "confirm").await.expect(201);
    let worker = singletons(&api.platform.engine);
    api.platform.clock.advance(Duration::from_secs(47 * 3600));
    assert_eq!(shown(&api.customer, &one).await["status"], "confirmed");
    assert_eq!(shown(&other.0, &other.1).await["status"], "released");
    api.platform.clock.advance(Duration::from_secs(2 * 3600));
    for (customer, held) in [(&api.customer, &one), (&other.0, &other.1)] {
        let path = format!("/api/holds/{}", text(&held["id"]));
        wait_for(Patience::WORK, "an ended hold to be gone", || async {
            let answer = customer.client.get(&path).await;
            (answer.status == 404).then_some(())
        })
        .await;
    }
    let path = format!("/api/bookings/{}", text(&booking["id"]));
    assert_eq!(
        api.customer.client.get(&path).await.expect(200)["status"],
        "confirmed"
    );
    assert_eq!(counters(&api.seen(&event).await), (2, 0));
    assert_verified(&api.platform.engine).await;
    assert!(worker.drain(Duration::from_secs(5)).await);
}
