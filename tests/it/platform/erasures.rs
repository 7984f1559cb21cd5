//! Goal: after an erasure nothing that the store keeps names the person, and everything that counts is as before; only who may erase
//! does, and a person can do it themselves.
//!
//! Method: people with planted names and addresses do all that leaves a trace: sign up, move to another address, book with keys under a
//! policy that sees who they are, hold, wait, join teams, are refused by a mail server; they are erased while others book. Then the
//! clock moves past the second look, every row is read back through a backup, and the counters are recomputed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use boxoffice_engine::{
    Caller, EmailAddress, Engine, EngineBuilder, EnsureUser, Label, PageRequest, UserRole,
};
use boxoffice_tests::{
    Account, Answer, Client, Component, EventFixture, Hosted, Patience, TestPlatform,
    api::{event_body, path_of, text},
    is_long_run, plugin_host, plugin_settings, quick_settings, upload, using, wait_until,
};
use reqwest::Method;
use serde_json::{Value, json};

async fn erase(client: &Client, user: &str) -> Answer {
    client
        .post(&format!("/api/users/{user}/erase"), json!({}))
        .await
}

/// Every row, as a backup has it.
async fn all_rows(engine: &Engine) -> String {
    let operators = engine.operators();
    let backup = operators.back_up(&Caller::operator()).await;
    let mut backup = backup.expect("a backup");
    let mut bytes = Vec::new();
    while let Some(piece) = backup.next().await {
        bytes.extend(piece.expect("a piece"));
    }
    String::from_utf8(bytes).expect("lines of text")
}

/// How many rows of a table a backup has: they follow the line with its name.
fn rows_of(backup: &str, table: &str) -> usize {
    let begins = |line: &&str| line.starts_with("{\"table\":");
    let mut lines = backup.lines();
    let own = lines.find(|line| begins(line) && line.contains(&format!("\"{table}\"")));
    assert!(own.is_some(), "a backup names every table");
    lines.take_while(|line| !begins(line)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_person_is_gone_and_what_counts_stays() {
    let house = EventFixture::open(true).await;
    house.platform.may_owe();
    let (owner, door) = (&house.owner.client, &house.door);
    let ann = house.customer("ann").await;
    house.platform.settle().await;
    let path = path_of(&house.event);
    let before = owner.get(&path).await.expect(200);
    door.login("ann@north.test").await;
    let erased = erase(owner, &ann.id).await.expect(200);
    assert_eq!(erased["id"], json!(ann.id));
    assert_eq!(erased["name"], "Erased");
    assert!(erased["erasedAt"].is_string(), "{erased}");
    ann.client
        .get("/api/auth/me")
        .await
        .problem(401, "not-authenticated");
    let body = json!({"email": "ann@north.test", "password": Account::PASSWORD});
    let refused = door.post("/api/auth/login", body).await;
    refused.problem(401, "wrong-credentials");
    // The booking stays, and counts.
    assert_eq!(
        owner.get(&path).await.expect(200)["ticketsSold"],
        before["ticketsSold"]
    );
    let bookings = owner.get(&format!("{path}/bookings")).await.expect(200);
    assert_eq!(bookings["items"][0]["customerId"], json!(ann.id));
    // The address is free for somebody else, who sees nothing of it.
    let again = door.register("ann@north.test", "customer").await;
    assert_ne!(again.id, ann.id);
    house.platform.owes(1);
    let own = again.client.get("/api/bookings/me").await.expect(200);
    assert_eq!(own["items"], json!([]));
    // Nobody sells to who is gone, or puts them into a team.
    let sale = json!({"eventId": house.event["id"], "numTickets": 1, "customer": {"id": ann.id}});
    let refused = owner.post("/api/bookings", sale).await;
    refused
        .problem(422, "field-invalid")
        .at_field("customer.id");
    let team = owner.request(Method::PUT, &format!("{path}/team/{}", ann.id));
    let refused = Answer::of(team.json(&json!({"role": "door"}))).await;
    refused.problem(404, "not-found");
    // No mail goes to them any more.
    let sent = house.platform.settle().await.len();
    let change = json!({"location": "New Hall"});
    owner.patch(&path, "\"1\"", change).await.expect(200);
    let mails = house.platform.settle().await;
    assert_eq!(mails.len(), sent, "nobody else booked");
    // Once more changes nothing, and who is gone is changed by nobody.
    assert_eq!(erase(owner, &ann.id).await.expect(200), erased);
    let change = owner.request(Method::PATCH, &format!("/api/users/{}", ann.id));
    let change = Answer::of(change.json(&json!({"role": "owner"}))).await;
    change.problem(404, "not-found");
    // The list is for operators, and names nobody.
    let operators = house.platform.engine.operators();
    let page = PageRequest::default();
    let listed = operators
        .erasures(&Caller::operator(), page)
        .await
        .expect("a list");
    assert_eq!(listed.items.len(), 1);
    assert_eq!(listed.items[0].user.to_string(), ann.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_erase_whom() {
    let house = EventFixture::open(true).await;
    house.platform.may_owe();
    let owner = &house.owner;
    let (platform, tenant) = (&house.platform, &house.tenant);
    for (name, role) in [
        ("ann", UserRole::Customer),
        ("sam", UserRole::Staff),
        ("olga", UserRole::Organizer),
    ] {
        platform.user(tenant, name, role).await;
    }
    let ann = house.door.login("ann@north.test").await;
    for name in ["ann", "sam", "olga"] {
        let other = house.door.login(&format!("{name}@north.test")).await;
        erase(&other.client, &ann.id)
            .await
            .problem(403, "forbidden");
    }
    erase(&owner.client, &owner.id)
        .await
        .problem(409, "last-owner");
    let south = platform.tenant("south").await;
    let other = platform.user(&south, "sue", UserRole::Customer).await;
    let sue = other.user_id().expect("a user").to_string();
    erase(&owner.client, &sue).await.problem(404, "not-found");
    // A person does it with the password.
    let me = async |password: &str| {
        let body = json!({"currentPassword": password});
        ann.client.post("/api/auth/me/erase", body).await
    };
    me("not this one").await.problem(401, "wrong-credentials");
    ann.client.get("/api/auth/me").await.expect(200);
    assert_eq!(me(Account::PASSWORD).await.status, 204);
    ann.client
        .get("/api/auth/me")
        .await
        .problem(401, "not-authenticated");
    // A program with the scope does it, too; one without it does not.
    platform.user(tenant, "ben", UserRole::Customer).await;
    let ben = house.door.login("ben@north.test").await;
    for (scope, status) in [("bookings:read", 403), ("customers", 200)] {
        let key = json!({"name": "Import", "scopes": [scope]});
        let key = owner.client.post("/api/keys", key).await.expect(201);
        let program = house.door.token(text(&key["secret"]));
        assert_eq!(erase(&program, &ben.id).await.status, status, "{scope}");
    }
}

/// A tenant whose policy sees who books, and whose mail server refuses some.
struct Stage {
    platform: TestPlatform,
    hosted: Hosted,
    owner: Client,
    event: Value,
    sold_out: Value,
}

/// What nobody may find: each person's number stands between two marks.
fn planted(number: usize) -> String {
    format!("plantedx{number}x")
}

impl Stage {
    async fn open() -> Self {
        let runtime = plugin_host(plugin_settings());
        let mut settings = quick_settings();
        settings.delivery.require_email_verification = false;
        let describe = |builder: EngineBuilder| builder.settings(settings).plugins(runtime);
        let platform = TestPlatform::with(describe).await;
        platform.may_owe();
        let tenant = platform.tenant("north").await;
        platform.user(&tenant, "owen", UserRole::Owner).await;
        let hosted = Hosted::start(platform.engine.clone()).await;
        let owner = hosted
            .client()
            .tenant("north")
            .login("owen@north.test")
            .await
            .client;
        let program = Caller::platform("north");
        let hash = upload(
            &platform.engine,
            &program,
            "curious",
            &Component::logging(40, 1),
        )
        .await;
        let mut activate = using("curious", hash);
        activate.sees_identity = Some(true);
        let plugins = platform.engine.plugins();
        plugins.activate(&program, activate).await.expect("in use");
        let make = async |tickets: u32| {
            let questions = json!([{"id": "why", "label": "Why?", "kind": "text"}]);
            let body = event_body(json!({"totalTickets": tickets, "questions": questions}));
            owner.post("/api/events", body).await.expect(201)
        };
        let (event, sold_out) = (make(100_000).await, make(1).await);
        Self {
            platform,
            hosted,
            owner,
            event,
            sold_out,
        }
    }

    /// A person who does all that leaves a trace. Returns their id.
    async fn somebody(&self, number: usize) -> String {
        let mark = planted(number);
        let door = self.hosted.client().tenant("north");
        let email = format!("{mark}@example.org");
        let body = json!({"email": email, "name": format!("Name {mark}"), "password": Account::PASSWORD, "role": "customer"});
        let signed_up = door.post("/api/auth/register", body).await.expect(201);
        let id = text(&signed_up["user"]["id"]).to_owned();
        let client = door.token(text(&signed_up["token"]));
        for tickets in [1, 2] {
            // The policy is told all of it.
            let body = json!({"eventId": self.event["id"], "numTickets": tickets, "codes": [mark],
                "metadata": {"from": mark}, "answers": {"why": mark},
                "attendees": [{"name": mark, "email": email}]});
            let request = client.request(Method::POST, "/api/bookings").json(&body);
            let request = request.header("Idempotency-Key", format!("order-{number}-{tickets}"));
            Answer::of(request).await.expect(201);
        }
        let wait = format!("{}/waitlist", path_of(&self.sold_out));
        let waits = json!({"numTickets": 1});
        let waiting = client.post(&wait, waits).await;
        assert!(
            waiting.status == 201 || waiting.status == 409,
            "{}",
            waiting.text
        );
        let rename = client.request(Method::PATCH, "/api/auth/me");
        let renamed = json!({"name": format!("Other {mark}")});
        Answer::of(rename.json(&renamed)).await.expect(200);
        let team = format!("{}/team/{id}", path_of(&self.event));
        let team = self.owner.request(Method::PUT, &team);
        Answer::of(team.json(&json!({"role": "door"})))
            .await
            .expect(200);
        id
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_kept_names_who_was_erased_during_a_sale() {
    let people = if is_long_run() { 10_000 } else { 100 };
    let stage = Stage::open().await;
    let mut ids = Vec::new();
    for number in 0..people {
        ids.push(stage.somebody(number).await);
    }
    // A platform's own customer, whose external id is a name, too.
    let ensure = EnsureUser {
        external_id: planted(people),
        name: Label::parse("name", &planted(people)).expect("a name"),
        email: EmailAddress::parse("email", "plantedx@example.org").expect("one"),
        metadata: None,
    };
    let users = stage.platform.engine.users();
    let program = Caller::platform("north");
    let ensured = users.ensure(&program, ensure).await.expect("a user");
    ids.push(ensured.id.to_string());
    stage.platform.drain().await;
    let before = all_rows(&stage.platform.engine).await;
    assert!(
        before.to_lowercase().contains("plantedx3x"),
        "the search finds"
    );
    // Others go on booking meanwhile.
    let door = stage.hosted.client().tenant("north");
    let buyer = door.register("buyer@example.org", "customer").await;
    let ended = Arc::new(AtomicBool::new(false));
    let selling = {
        let (ended, event) = (ended.clone(), stage.event.clone());
        tokio::spawn(async move {
            let mut sold = 0_u64;
            while !ended.load(Ordering::Relaxed) {
                let body = json!({"eventId": event["id"], "numTickets": 1});
                buyer.client.post("/api/bookings", body).await.expect(201);
                sold += 1;
            }
            sold
        })
    };
    for id in &ids {
        erase(&stage.owner, id).await.expect(200);
    }
    assert_eq!(
        rows_of(&all_rows(&stage.platform.engine).await, "erasure_due"),
        ids.len()
    );
    ended.store(true, Ordering::Relaxed);
    let sold = selling.await.expect("it sold");
    assert!(sold > 0);
    // The second look.
    stage.platform.clock.advance(Duration::from_secs(11 * 60));
    let worker = stage.platform.engine.worker().spawn();
    wait_until(Patience::WORK, "the second look", || async {
        rows_of(&all_rows(&stage.platform.engine).await, "erasure_due") == 0
    })
    .await;
    assert!(worker.drain(Patience::WORK).await);
    let rows = all_rows(&stage.platform.engine).await.to_lowercase();
    let found: Vec<&str> = rows
        .lines()
        .filter(|line| line.contains("plantedx"))
        .collect();
    assert!(
        found.is_empty(),
        "{} rows, such as {}",
        found.len(),
        found[0]
    );
    let shown = stage.owner.get(&path_of(&stage.event)).await.expect(200);
    assert_eq!(shown["ticketsSold"], json!(3 * people as u64 + sold));
    boxoffice_tests::assert_verified(&stage.platform.engine).await;
    // What policies were told cannot be replayed any more, and says why.
    let bookings = stage
        .owner
        .get(&format!("{}/bookings", path_of(&stage.event)))
        .await;
    let bookings = bookings.expect(200);
    let of_erased = bookings["items"].as_array().expect("a list").iter();
    let of_erased = of_erased.filter(|one| ids.contains(&text(&one["customerId"]).to_owned()));
    for booking in of_erased {
        let path = format!("/api/bookings/{}/decision", text(&booking["id"]));
        let decision = stage.owner.get(&path).await.expect(200);
        assert_eq!(decision["erased"], true, "{decision}");
    }
}
