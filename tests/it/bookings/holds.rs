//! Goal: holds keep tickets, at the price they were taken at, until they are confirmed, released or expired, and give them
//! back exactly once, whatever races with what.
//!
//! Method: the real router over an engine in memory whose clock is moved, with the worker running where holds must end
//! by themselves; engines on one SurrealDB server and killed programs for what concerns several. After each scenario all
//! counters are recomputed.

use std::{sync::Arc, time::Duration};

use boxoffice_engine::{
    Engine, EngineBuilder, HoldStatus, HoldTickets, WorkerHandle, ports::Clock,
};
use boxoffice_tests::{
    Account, Answer, Patience, Program, SurrealServer, TempFolder,
    api::{Api, customers, etag_of, event_body, path_of, text},
    assert_verified, wait_for,
};
use futures::future::join_all;
use jiff::Timestamp;
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
    assert_eq!(
        api.customer.client.get(&booking_path).await.expect(200),
        booking
    );
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

/// Customers confirm at the moment at which two hosts end the same holds: each hold ends in exactly one way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirmations_race_with_two_hosts_that_expire() {
    const HOLDS: usize = 40;
    let server = SurrealServer::start().await;
    let hosts = [
        with_short_holds(&server).await,
        with_short_holds(&server).await,
    ];
    let engine = server.engine().await;
    let (tenant, organizer, _) = boxoffice_tests::organizer_and_tenant(&engine, "north").await;
    let now = Timestamp::now();
    let event = boxoffice_tests::create_event(&engine, &organizer, now, HOLDS as u32 * 2).await;
    let mut people = Vec::new();
    for number in 0..HOLDS {
        let name = format!("c{number}");
        let address = boxoffice_tests::email(&name, &tenant);
        people.push(boxoffice_tests::ensure_customer(&engine, &tenant, &name, address).await);
    }
    let holds = join_all(people.iter().enumerate().map(|(index, person)| {
        let command = HoldTickets::general(event.id, 2);
        let host = hosts[index % 2].clone();
        async move { host.holds().hold_tickets(person, command).await }
    }));
    let holds: Vec<_> = holds
        .await
        .into_iter()
        .map(|held| held.expect("a hold"))
        .collect();
    let last = holds.iter().map(|hold| hold.expires_at).max();
    let workers: Vec<_> = hosts.iter().map(singletons).collect();
    let until_due = last
        .expect("there are holds")
        .duration_since(Timestamp::now());
    tokio::time::sleep(until_due.unsigned_abs()).await;
    let confirmed = join_all(holds.iter().zip(&people).enumerate().map(
        |(index, (hold, person))| {
            let (host, pause) = (
                hosts[index % 2].clone(),
                Duration::from_millis(20 * index as u64),
            );
            async move {
                tokio::time::sleep(pause).await;
                host.holds().confirm(person, hold.id).await
            }
        },
    ))
    .await;
    let booked = confirmed.iter().filter(|outcome| outcome.is_ok()).count();
    for refused in confirmed
        .iter()
        .filter_map(|outcome| outcome.as_ref().err())
    {
        assert_eq!(refused.code().as_str(), "hold-ended", "{refused:?}");
    }
    println!("{booked} of {HOLDS} were confirmed before they expired");
    wait_for(Patience::WORK, "every other hold to expire", || async {
        let seen = engine
            .events()
            .show(&organizer, event.id)
            .await
            .expect("the event");
        (seen.tickets_held == 0).then_some(())
    })
    .await;
    let seen = engine
        .events()
        .show(&organizer, event.id)
        .await
        .expect("the event");
    assert_eq!(seen.tickets_sold as usize, booked * 2);
    assert_verified(&engine).await;
    for worker in workers {
        assert!(worker.drain(Duration::from_secs(10)).await);
    }
}

/// A host's clock that is ahead of everybody else's.
struct Ahead(Duration);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::now() + self.0
    }
}

/// Of two hosts one has a clock that is an hour ahead, and it is the one that ends holds: it ends those that are due by
/// the store's time, and no others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_whose_clock_is_ahead_ends_no_hold_early() {
    let server = SurrealServer::start().await;
    let long = on(&server, HOLD_LASTS, |builder| builder).await;
    let short = with_short_holds(&server).await;
    let ahead = Ahead(Duration::from_secs(3600));
    let ahead = on(&server, HOLD_LASTS, |builder| {
        builder.clock(Arc::new(ahead))
    })
    .await;
    let (tenant, organizer, _) = boxoffice_tests::organizer_and_tenant(&long, "north").await;
    let event = boxoffice_tests::create_event(&long, &organizer, Timestamp::now(), 10).await;
    let customer = async |name: &str| {
        let address = boxoffice_tests::email(name, &tenant);
        boxoffice_tests::ensure_customer(&long, &tenant, name, address).await
    };
    let (ann, ben) = (customer("ann").await, customer("ben").await);
    let command = HoldTickets::general(event.id, 2);
    let of_ann = long.holds().hold_tickets(&ann, command.clone()).await;
    let of_ann = of_ann.expect("a hold");
    let of_ben = short.holds().hold_tickets(&ben, command).await;
    let of_ben = of_ben.expect("a hold");
    let worker = singletons(&ahead);
    wait_for(Patience::WORK, "the short hold to expire", || async {
        let seen = long.holds().show(&ben, of_ben.id).await.expect("Ben's");
        (seen.status == HoldStatus::Expired).then_some(())
    })
    .await;
    assert!(Timestamp::now() >= of_ben.expires_at);
    // Ann's was due by that host's clock all the while.
    let booking = long.holds().confirm(&ann, of_ann.id).await;
    assert_eq!(booking.expect("a booking").tickets(), 2);
    assert_verified(&long).await;
    assert!(worker.drain(Duration::from_secs(10)).await);
}

/// An engine whose holds last three seconds.
async fn with_short_holds(server: &SurrealServer) -> Engine {
    on(server, Duration::from_secs(3), |builder| builder).await
}

/// An engine on the server, described further by `describe`.
async fn on(
    server: &SurrealServer,
    hold_duration: Duration,
    describe: impl FnOnce(EngineBuilder) -> EngineBuilder,
) -> Engine {
    let store = boxoffice_engine::Store::Remote {
        url: server.url(),
        namespace: SurrealServer::NAMESPACE.to_owned(),
        database: SurrealServer::NAMESPACE.to_owned(),
        username: SurrealServer::USERNAME.to_owned(),
        password: SurrealServer::PASSWORD.to_owned(),
    };
    let mut settings = boxoffice_tests::quick_settings();
    settings.bookings.hold_duration = hold_duration;
    let engine = describe(Engine::builder().store(store).settings(settings));
    engine
        .build()
        .await
        .expect("an engine on the server starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_survive_a_kill_and_end_at_their_time() {
    let data = TempFolder::new("holds-crash");
    let start = || async {
        Program::dev_with(data.path(), &[("BOXOFFICE_BOOKINGS__HOLD_SECONDS", "10")]).await
    };
    let program = start().await;
    let door = program.client().tenant("demo");
    let organizer = door.register("olga@example.org", "organizer").await;
    let body = event_body(json!({"totalTickets": 30}));
    let event = organizer.client.post("/api/events", body).await.expect(201);
    let people = customers(&door, 8).await;
    let held = join_all(people.iter().map(|person| hold(person, &event, 3))).await;
    let held: Vec<Value> = held.into_iter().map(|answer| answer.expect(201)).collect();
    act(&people[0], &held[0], "confirm").await.expect(201);
    act(&people[1], &held[1], "release").await.expect(200);
    act(&people[2], &held[2], "extend").await.expect(200);
    program.kill();
    let program = start().await;
    let client = organizer.client.at(&program.client());
    wait_for(Patience::WORK, "the holds to expire", || async {
        let seen = client.get(&path_of(&event)).await.expect(200);
        (counters(&seen) == (3, 0)).then_some(())
    })
    .await;
    let statuses = join_all(held.iter().zip(&people).map(|(hold, person)| async {
        let path = format!("/api/holds/{}", text(&hold["id"]));
        let person = person.client.at(&program.client());
        text(&person.get(&path).await.expect(200)["status"]).to_owned()
    }));
    let statuses = statuses.await;
    assert_eq!(statuses[..2], ["confirmed", "released"]);
    assert!(
        statuses[2..].iter().all(|status| status == "expired"),
        "{statuses:?}"
    );
    program.kill();
    let folder = data.path().to_str().expect("a path in UTF-8");
    let verified = Program::run(["verify", "--data", folder]).await;
    verified.expect_success();
}
