//! Goal: several hosts, clocks that differ and kills give tickets of holds back exactly once.
//!
//! Method: engines on one SurrealDB server, one of them with a clock that is ahead; the program is killed while holds run.

use std::{sync::Arc, time::Duration};

use boxoffice_engine::{Engine, EngineBuilder, HoldStatus, HoldTickets, ports::Clock};
use boxoffice_tests::{
    Patience, Program, SurrealServer, TempFolder,
    api::{customers, event_body, path_of, text},
    assert_verified, pass_time, wait_for,
};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{HOLD_LASTS, act, counters, hold, singletons};

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
    // The hosts go by the real time, and holds are confirmed around the moment at which they expire.
    pass_time(until_due.unsigned_abs()).await;
    let confirmed = join_all(holds.iter().zip(&people).enumerate().map(
        |(index, (hold, person))| {
            let (host, pause) = (
                hosts[index % 2].clone(),
                Duration::from_millis(20 * index as u64),
            );
            async move {
                pass_time(pause).await;
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
        (seen.event.tickets_held == 0).then_some(())
    })
    .await;
    let seen = engine
        .events()
        .show(&organizer, event.id)
        .await
        .expect("the event");
    assert_eq!(seen.event.tickets_sold as usize, booked * 2);
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
    let mut settings = boxoffice_tests::quick_settings();
    settings.bookings.hold_duration = hold_duration;
    let describe = |builder: EngineBuilder| describe(builder.settings(settings));
    server.engine_with(describe).await
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
