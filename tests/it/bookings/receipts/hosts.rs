//! Goal: no number is missing or given twice, however many hosts sell at once and wherever one is killed; a restored store begins a
//! new series; a tenant without receipts has no row of them.
//!
//! Method: two engines with workers on one SurrealDB server, whose customers race; the program, killed while it numbers; a store that
//! is restored from a backup.

use std::time::Duration;

use boxoffice_engine::{BookTickets, BookingId, Caller, CancelTickets, Engine, UserRole};
use boxoffice_tests::{
    Account, MemoryMailer, Patience, Program, SurrealServer, TempFolder, TestPlatform,
    api::{customers, event_body, text},
    assert_verified, create_priced_event, email, ensure_customer, mail_files, organizer_and_tenant,
    pass_time, quick_settings, wait_for, wait_until,
};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    assert_gapless, backed_up, numbered, page_in, pages_of, settings, totals, wait_for_numbers,
};

const PRICE: u64 = 1_190;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_customers_at_two_hosts_get_numbers_without_gaps() {
    const CUSTOMERS: usize = 64;
    let server = SurrealServer::start().await;
    let mailer = MemoryMailer::default();
    let host = || {
        let mailer = mailer.clone();
        server.engine_with(|builder| {
            let mut settings = quick_settings();
            settings.limits.unconfirmed_mails_per_day = 100;
            builder.settings(settings).mailer(mailer)
        })
    };
    let hosts = [host().await, host().await];
    let (tenant, organizer, _) = organizer_and_tenant(&hosts[0], "north").await;
    let (south, other, _) = organizer_and_tenant(&hosts[0], "south").await;
    settings(&hosts[0], &tenant, |receipts| receipts.is_on = true).await;
    let now = Timestamp::now();
    let event = create_priced_event(&hosts[0], &organizer, now, 1_000, PRICE as u32).await;
    let elsewhere = create_priced_event(&hosts[0], &other, now, 1_000, PRICE as u32).await;
    let mut people = Vec::new();
    for number in 0..CUSTOMERS {
        let name = format!("c{number}");
        people.push(ensure_customer(&hosts[0], &tenant, &name, email(&name, &tenant)).await);
    }
    let stranger = ensure_customer(&hosts[0], &south, "sid", email("sid", &south)).await;
    let workers = hosts.each_ref().map(|host| host.worker().spawn());
    // Each books twice, at both hosts, and gives the first one back.
    let racing = people.iter().enumerate().map(|(at, person)| {
        let (host, twin) = (hosts[at % 2].clone(), hosts[(at + 1) % 2].clone());
        async move {
            let first = book(&host, person, BookTickets::general(event.id, 2)).await;
            let cancel = CancelTickets::all(first);
            let cancelled = twin.bookings().cancel_tickets(person, cancel).await;
            cancelled.expect("a cancellation");
            book(&twin, person, BookTickets::general(event.id, 1)).await
        }
    });
    let beside = book(&hosts[1], &stranger, BookTickets::general(elsewhere.id, 1));
    let (bookings, _) = tokio::join!(join_all(racing), beside);
    assert_eq!(bookings.len(), CUSTOMERS);
    let all = wait_for_numbers(&hosts[1], &tenant, 3 * CUSTOMERS).await;
    assert_eq!(all.len(), 3 * CUSTOMERS);
    assert_gapless(&all);
    let count = CUSTOMERS as u64;
    assert_eq!(totals(&all), [3 * count * PRICE, 2 * count * PRICE]);
    assert_verified(&hosts[0]).await;
    // Each has one mail, whichever host numbered it and whichever sent it.
    let files = wait_for(Patience::WORK, "a mail with each receipt", || async {
        let sent = mailer.sent().into_iter();
        let files = sent.filter_map(|mail| page_in(&mail.bytes));
        let mut files: Vec<String> = files.map(|(name, _)| name).collect();
        files.sort();
        (files.len() >= all.len()).then_some(files)
    })
    .await;
    assert_eq!(files, pages_of(&all));
    assert!(all.iter().all(|receipt| receipt.notification.is_some()));
    // Nobody asked for receipts there.
    let counted = server
        .sql(
            SurrealServer::NAMESPACE,
            SurrealServer::NAMESPACE,
            "RETURN [
                (SELECT VALUE id FROM receipt:['south']..['south', ..]).len(),
                (SELECT VALUE id FROM receipt_number:['south']..['south', ..]).len(),
                (SELECT VALUE id FROM receipt_counter:['south']..['south', ..]).len(),
                (SELECT VALUE id FROM receipt_due).len(),
                (SELECT VALUE id FROM booking:['south']..['south', ..] WHERE receipt != NONE).len(),
                (SELECT VALUE id FROM receipt:['north']..['north', ..]).len()
            ];",
        )
        .await;
    assert_eq!(counted[0]["result"], json!([0, 0, 0, 0, 0, 3 * CUSTOMERS]));
    for worker in workers {
        assert!(worker.drain(Duration::from_secs(10)).await);
    }
}

async fn book(host: &Engine, person: &Caller, command: BookTickets) -> BookingId {
    let booked = host.bookings().book_tickets(person, command).await;
    booked.expect("tickets are left").id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_killed_while_it_numbers_leaves_no_gap() {
    const ROUNDS: usize = 4;
    const CUSTOMERS: usize = 8;
    let data = TempFolder::new("receipts-crash");
    let path = data.path().to_str().expect("a path in UTF-8").to_owned();
    // Makes the tenant.
    Program::dev(data.path()).await.stop().await;
    let add = "user add --tenant demo --email owen@example.org --name Owen --role owner";
    let added = Program::run_command(Account::PASSWORD, |command| {
        let words = add.split(' ');
        command
            .args(words)
            .args(["--password-stdin", "--data", &path]);
    });
    added.await.expect_success();
    let mut program = Program::dev(data.path()).await;
    let mut door = program.client().tenant("demo");
    let owner = door.login("owen@example.org").await.client;
    let before = owner.get("/api/tenant/settings").await;
    let on = json!({"receipts": {"enabled": true}});
    let etag = before.header("etag").to_owned();
    owner
        .patch("/api/tenant/settings", &etag, on)
        .await
        .expect(200);
    let organizer = door.register("olga@example.org", "organizer").await.client;
    let types =
        json!([{"name": "Hall", "capacity": 9_000, "priceMinor": PRICE, "taxBasisPoints": 1900}]);
    let body = event_body(json!({"totalTickets": null, "ticketTypes": types}));
    let event = organizer.post("/api/events", body).await.expect(201);
    let people = customers(&door, CUSTOMERS).await;
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let base = program.client();
        let clients: Vec<_> = people.iter().map(|one| one.client.at(&base)).collect();
        let selling = clients.iter().map(|client| {
            let event = &event;
            async move {
                let mut sold = 0;
                for _ in 0..12 {
                    let body = json!({"eventId": event["id"], "numTickets": 1});
                    let request = client.request(reqwest::Method::POST, "/api/bookings");
                    // Its host may be gone.
                    match request.json(&body).send().await {
                        Ok(answer) if answer.status().as_u16() == 201 => sold += 1,
                        _ => return sold,
                    }
                }
                sold
            }
        });
        let kill = async {
            // Numbers are given some five times a second.
            pass_time(Duration::from_millis(350 + 130 * round as u64)).await;
            program.kill();
        };
        let (sold, ()) = tokio::join!(join_all(selling), kill);
        acknowledged += sold.into_iter().sum::<usize>();
        program = Program::dev(data.path()).await;
    }
    println!("{acknowledged} bookings were acknowledged");
    assert!(acknowledged > 0);
    door = program.client().tenant("demo");
    let owner = door.login("owen@example.org").await.client;
    let all = wait_for(Patience::WORK, "all receipts to be numbered", || async {
        let sold = owner
            .get(&format!("/api/events/{}", text(&event["id"])))
            .await;
        let sold = sold.expect(200)["ticketsSold"].as_u64().expect("a count");
        let all = owner.all("/api/receipts").await;
        (all.len() as u64 == sold).then_some(all)
    })
    .await;
    assert!(all.len() >= acknowledged, "{} receipts", all.len());
    let numbers: Vec<&str> = all.iter().map(|one| text(&one["number"])).collect();
    let year = text(&all[0]["issuedOn"])[..4].to_owned();
    let wanted: Vec<String> = (1..=all.len())
        .map(|number| format!("R-{year}-{number:06}"))
        .collect();
    assert_eq!(numbers, wanted);
    let written = || {
        let mails = mail_files(&data.path().join("mails")).into_iter();
        mails.map(|path| std::fs::read(path).expect("a mail"))
    };
    // They go out after the numbers.
    wait_until(Patience::WORK, "a mail with a receipt", || {
        let is_there = written().any(|mail| page_in(&mail).is_some());
        async move { is_there }
    })
    .await;
    program.stop().await;
    let mails = written();
    let mut files: Vec<String> = mails
        .filter_map(|mail| page_in(&mail))
        .map(|(name, _)| name)
        .collect();
    let count = files.len();
    files.sort();
    files.dedup();
    assert_eq!(files.len(), count, "no receipt has two mails");
    let known = |name: &String| numbers.contains(&name.trim_end_matches(".html"));
    assert!(count > 0 && files.iter().all(known), "{files:?}");
    let verified = Program::run(["verify", "--data", &path]).await;
    let said = format!("{} receipts with their numbers", all.len());
    assert!(verified.stderr.contains(&said), "{verified:?}");
    verified.expect_success();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_store_begins_a_new_series() {
    let platform = TestPlatform::new().await;
    platform.may_owe();
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    settings(&platform.engine, &tenant, |receipts| receipts.is_on = true).await;
    let now = boxoffice_engine::ports::Clock::now(platform.clock.as_ref());
    let event = create_priced_event(&platform.engine, &organizer, now, 10, 500).await;
    let ann = platform.customer(&tenant, "ann").await;
    let command = BookTickets::general(event.id, 2);
    let first = book(&platform.engine, &ann, command.clone()).await;
    let worker = platform.engine.worker().spawn_singletons();
    wait_for_numbers(&platform.engine, &tenant, 1).await;
    assert!(worker.drain(Duration::from_secs(10)).await);
    // One more is due when the backup is taken.
    book(&platform.engine, &ann, command.clone()).await;
    let backup = backed_up(&platform.engine).await;

    let folder = TempFolder::new("receipts-restored");
    let builder = || Engine::builder().embedded(folder.path());
    let restored = builder().restore(backup.as_slice()).await;
    restored.expect("a restored store");
    // The clock by which those before were made.
    let builder = builder()
        .settings(quick_settings())
        .clock(platform.clock.clone());
    let engine = builder.build().await;
    let engine = engine.expect("an engine");
    let worker = engine.worker().spawn_singletons();
    let cancelled = engine.bookings().cancel(&ann, first).await;
    cancelled.expect("a cancellation");
    let all = wait_for_numbers(&engine, &tenant, 3).await;
    assert_gapless(&all);
    let series: Vec<(&str, &str)> = all
        .iter()
        .map(|receipt| {
            let number = receipt.number.as_ref().expect("a number");
            (receipt.kind().as_str(), number.series.as_str())
        })
        .collect();
    assert_eq!(series[0], ("receipt", ""), "what was numbered before stays");
    assert_eq!(series[1].0, "receipt");
    assert_eq!(series[2].0, "credit-note");
    assert_eq!((series[1].1.len(), series[1].1), (7, series[2].1));
    let before = numbered(&platform.engine, &tenant).await;
    assert_eq!(before[0], all[0]);
    assert_verified(&engine).await;
    assert!(worker.drain(Duration::from_secs(10)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_finds_wrong_receipts() {
    let server = SurrealServer::start().await;
    let engine = server.engine().await;
    let (tenant, organizer, _) = organizer_and_tenant(&engine, "north").await;
    settings(&engine, &tenant, |receipts| receipts.is_on = true).await;
    let now = Timestamp::now();
    let event = create_priced_event(&engine, &organizer, now, 100, 500).await;
    let ann = ensure_customer(&engine, &tenant, "ann", email("ann", &tenant)).await;
    let worker = engine.worker().spawn_singletons();
    for count in 1..=3 {
        book(&engine, &ann, BookTickets::general(event.id, 1)).await;
        wait_for_numbers(&engine, &tenant, count).await;
    }
    assert!(worker.drain(Duration::from_secs(10)).await);
    assert_verified(&engine).await;
    for (damage, repair, said) in [
        (
            "UPDATE receipt_counter SET receipts = 4",
            "UPDATE receipt_counter SET receipts = 3",
            "no number 4 of 4",
        ),
        (
            "UPDATE receipt SET sequence = 9 WHERE sequence = 2",
            "UPDATE receipt SET sequence = 2 WHERE sequence = 9",
            "which has",
        ),
        (
            "UPDATE booking SET receipt = [1900]",
            "UPDATE booking SET receipt = [-1]",
            "or their taxes differ",
        ),
        (
            "DELETE receipt WHERE sequence = 3; DELETE receipt_number WHERE record::id(id)[4] = 3; UPDATE receipt_counter SET receipts = 2",
            "RETURN 1",
            "neither numbered nor due",
        ),
    ] {
        let name = SurrealServer::NAMESPACE;
        server.sql(name, name, damage).await;
        let differences: Vec<Value> = boxoffice_tests::differences(&engine)
            .await
            .into_iter()
            .map(Value::from)
            .collect();
        let found = differences.iter().any(|one| text(one).contains(said));
        assert!(found, "{damage}: {differences:?}");
        server.sql(name, name, repair).await;
    }
}
