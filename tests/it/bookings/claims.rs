//! Goal: what policies let bookings claim of a tenant's counters is taken exactly: never more than the limit, given back by
//! cancellations, released and expired holds and cancelled events, and recomputed by `verify`. Quotes take nothing.
//!
//! Method: a policy that counts the uses of each code, over the API with a moved clock; then many customers of several events with one
//! code at two engines on one SurrealDB server, and a tenant with other counters beside them.

use std::time::Duration;

use boxoffice_engine::{
    BookTickets, Caller, ClaimKey, ErrorCode, NewBookingDetails, PageRequest, UserRole,
};
use boxoffice_tests::{
    CodeUses, Patience, SurrealServer,
    api::{Api, path_of, text},
    assert_verified, create_event, email, ensure_customer, is_long_run, organizer_and_tenant,
    wait_until,
};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

fn key(code: &str) -> ClaimKey {
    format!("code:{code}").parse().expect("a key")
}

async fn start(limit: u32) -> Api {
    let api = Api::with(|builder| builder.policy(CodeUses { limit })).await;
    let tenant = boxoffice_engine::TenantId::parse("north").expect("a tenant");
    api.platform.user(&tenant, "owen", UserRole::Owner).await;
    api
}

fn wish(event: &Value, tickets: u32, code: &str) -> Value {
    json!({"eventId": event["id"], "numTickets": tickets, "codes": [code]})
}

/// What is used of a code, as the owner reads it.
async fn used(api: &Api, code: &str) -> u64 {
    let owner = api.door.login("owen@north.test").await;
    let counters = owner.client.all("/api/claims").await;
    let name = format!("code:{code}");
    let found = counters
        .iter()
        .find(|counter| counter["key"] == json!(name));
    found.map_or(0, |counter| counter["used"].as_u64().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_claimed_is_taken_once_and_given_back() {
    let api = start(5).await;
    let event = api.event(json!({})).await;
    let client = &api.customer.client;
    let first = client.post("/api/bookings", wish(&event, 3, "A")).await;
    let first = first.expect(201);
    let quote = client.post("/api/quotes", wish(&event, 2, "A")).await;
    quote.expect(200);
    assert_eq!(used(&api, "A").await, 3, "a quote takes nothing");
    for path in ["/api/quotes", "/api/bookings", "/api/holds"] {
        let refused = client.post(path, wish(&event, 3, "A")).await;
        refused.problem(409, "claim-exhausted");
    }
    let once = client
        .post_once("/api/bookings", "k-1", wish(&event, 1, "A"))
        .await;
    let again = client
        .post_once("/api/bookings", "k-1", wish(&event, 1, "A"))
        .await;
    assert_eq!(once.expect(201)["id"], again.expect(201)["id"]);
    assert_eq!(used(&api, "A").await, 4);
    let cancel = format!("/api/bookings/{}/cancel", text(&first["id"]));
    let part = client.post(&cancel, json!({"ticketNumbers": [2]})).await;
    part.expect(200);
    assert_eq!(used(&api, "A").await, 3);
    client.post(&cancel, json!({})).await.expect(200);
    assert_eq!(used(&api, "A").await, 1);
    assert_verified(&api.platform.engine).await;
    client.get("/api/claims").await.problem(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_take_and_their_end_gives_back() {
    let api = start(4).await;
    let event = api.event(json!({})).await;
    let client = &api.customer.client;
    let hold = client
        .post("/api/holds", wish(&event, 2, "A"))
        .await
        .expect(201);
    assert_eq!(used(&api, "A").await, 2);
    let path = format!("/api/holds/{}", text(&hold["id"]));
    client
        .post(&format!("{path}/release"), json!({}))
        .await
        .expect(200);
    assert_eq!(used(&api, "A").await, 0);
    let hold = client
        .post("/api/holds", wish(&event, 4, "A"))
        .await
        .expect(201);
    let confirm = format!("/api/holds/{}/confirm", text(&hold["id"]));
    let booked = client.post(&confirm, json!({})).await.expect(201);
    assert_eq!(used(&api, "A").await, 4, "confirming takes nothing more");
    let refused = client.post("/api/holds", wish(&event, 1, "A")).await;
    refused.problem(409, "claim-exhausted");
    assert_verified(&api.platform.engine).await;
    let cancel = format!("/api/bookings/{}/cancel", text(&booked["id"]));
    client.post(&cancel, json!({})).await.expect(200);
    client
        .post("/api/holds", wish(&event, 3, "A"))
        .await
        .expect(201);
    let worker = api.platform.engine.worker().spawn_singletons();
    api.platform.clock.advance(Duration::from_secs(1_200));
    wait_until(Patience::WORK, "an expired hold to give back", || async {
        used(&api, "A").await == 0
    })
    .await;
    assert_verified(&api.platform.engine).await;
    assert!(worker.drain(Duration::from_secs(10)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_event_gives_everything_back() {
    let api = start(10).await;
    let (event, other) = (api.event(json!({})).await, api.event(json!({})).await);
    let client = &api.customer.client;
    for (event, tickets) in [(&event, 2), (&event, 3), (&other, 1)] {
        let body = wish(event, tickets, "A");
        client.post("/api/bookings", body).await.expect(201);
    }
    let cancel = format!("{}/cancel", path_of(&event));
    api.organizer
        .client
        .post(&cancel, json!({}))
        .await
        .expect(200);
    let worker = api.platform.engine.worker().spawn_singletons();
    wait_until(
        Patience::WORK,
        "the event's bookings to be swept",
        || async { used(&api, "A").await == 1 },
    )
    .await;
    assert_verified(&api.platform.engine).await;
    assert!(worker.drain(Duration::from_secs(10)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_with_a_hundred_uses_is_used_a_hundred_times() {
    let (customers, rounds) = match is_long_run() {
        true => (10_000, 100),
        false => (300, 1),
    };
    let server = SurrealServer::start().await;
    let first = server
        .engine_with(|builder| builder.policy(CodeUses { limit: 100 }))
        .await;
    let second = server
        .engine_with(|builder| builder.policy(CodeUses { limit: 100 }))
        .await;
    let (tenant, organizer, _) = organizer_and_tenant(&first, "north").await;
    let (south, other_organizer, _) = organizer_and_tenant(&first, "south").await;
    let mut others = Vec::new();
    for index in 0..20 {
        let name = format!("s{index}");
        others.push(ensure_customer(&first, &south, &name, email(&name, &south)).await);
    }
    let mut people = Vec::with_capacity(customers);
    for index in 0..customers {
        let name = format!("c{index}");
        people.push(ensure_customer(&first, &tenant, &name, email(&name, &tenant)).await);
    }
    for round in 0..rounds {
        let now = Timestamp::now();
        let capacity = u32::try_from(customers).expect("few");
        let events = [
            create_event(&first, &organizer, now, capacity).await,
            create_event(&first, &organizer, now, capacity).await,
        ];
        let elsewhere = create_event(&first, &other_organizer, now, capacity).await;
        let code = format!("R{round}");
        let book = |caller: Caller, event, at: usize, code: String| {
            let bookings = [&first, &second][at % 2].bookings();
            let command = BookTickets {
                details: NewBookingDetails {
                    codes: Some(vec![code.parse().expect("a code")]),
                    ..NewBookingDetails::default()
                },
                ..BookTickets::general(event, 1)
            };
            async move { bookings.book_tickets(&caller, command).await }
        };
        let racing = people
            .iter()
            .enumerate()
            .map(|(at, person)| book(person.clone(), events[at / 2 % 2].id, at, code.clone()));
        // Another tenant's counter of the same name is another counter, and its bookings are not refused.
        let beside = others.iter().enumerate();
        let beside =
            beside.map(|(at, person)| book(person.clone(), elsewhere.id, at, code.clone()));
        let (outcomes, beside) = tokio::join!(join_all(racing), join_all(beside));
        let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(made, 100, "round {round}");
        for refusal in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert_eq!(refusal.code(), ErrorCode::ClaimExhausted, "{refusal:?}");
        }
        assert!(beside.iter().all(Result::is_ok), "{beside:?}");
        let owner = Caller::platform("north");
        let counters = first.claims().list(&owner, PageRequest::default()).await;
        let counters = counters.expect("a list").items;
        let counter = counters.iter().find(|one| one.key == key(&code));
        assert_eq!(counter.expect("the counter").used, 100);
    }
    assert_verified(&first).await;
}
