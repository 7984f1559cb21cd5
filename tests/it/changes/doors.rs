//! Goal: the feed can be read in pages and followed live by those who may, and a reader who cannot go on is told where it can.
//!
//! Method: the real router over an engine in memory with a worker.

use std::time::Duration;

use boxoffice_engine::{TenantId, UserRole};
use boxoffice_tests::{
    Account, Client, Patience, TestPlatform,
    api::{Api, event_body},
    pass_time, wait_for,
};
use futures::StreamExt as _;
use reqwest::Response;
use serde_json::{Value, json};

use super::objects::Shop;

/// Waits until the feed has as many changes.
async fn wait_for_changes(client: &Client, count: usize) -> Vec<Value> {
    let what = format!("{count} changes");
    wait_for(Patience::WORK, &what, || async {
        let page = client.get("/api/changes").await.expect(200);
        let items = page["items"].as_array().expect("changes").clone();
        (items.len() >= count).then_some(items)
    })
    .await
}

/// Makes a key with scopes.
async fn key(owner: &Account, scopes: Value) -> (String, String) {
    let body = json!({"name": "a program", "scopes": scopes});
    let made = owner.client.post("/api/keys", body).await.expect(201);
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("id"), text("secret"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_go_on_where_the_last_one_ended() {
    let shop = Shop::open().await;
    let event = shop.api.event(json!({})).await;
    for _ in 0..5 {
        shop.api.book(&event, 1).await;
    }
    let client = &shop.owner.client;
    let all = wait_for_changes(client, 9).await;
    let mut read = Vec::new();
    let mut path = "/api/changes?limit=2".to_owned();
    loop {
        let page = client.get(&path).await.expect(200);
        read.extend(page["items"].as_array().expect("changes").clone());
        let next = page["nextCursor"].as_str().expect("always a cursor");
        path = format!("/api/changes?limit=2&after={next}");
        if page["hasMore"] == json!(false) {
            break;
        }
    }
    assert_eq!(read, all);
    let end = client.get(&path).await.expect(200);
    assert_eq!(end["items"], json!([]));
    assert_eq!(end["nextCursor"], all[8]["cursor"]);
    let some = client.get("/api/changes?types=event.*,customer.created");
    let some = some.await.expect(200);
    let kinds: Vec<&Value> = some["items"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|one| &one["type"])
        .collect();
    assert_eq!(
        kinds,
        [
            "customer.created",
            "customer.created",
            "customer.created",
            "event.created"
        ]
    );
    assert_eq!(some["nextCursor"], all[8]["cursor"], "what was looked at");
    let one = format!(
        "/api/changes?object={}",
        all[5]["id"].as_str().expect("an id")
    );
    let one = client.get(&one).await.expect(200);
    assert_eq!(one["items"], json!([all[5]]));
    for (query, field) in [
        ("types=booking.paid", "types"),
        ("types=*", "types"),
        ("after=x", "after"),
        ("after=0.99999", "after"),
        ("after=0.-1", "after"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
    ] {
        let refused = client.get(&format!("/api/changes?{query}")).await;
        refused.problem(422, "field-invalid").at_field(field);
    }
    let other = client.get("/api/changes?after=1NGXDP0.3").await;
    let other = other.problem(410, "feed-restarted");
    assert_eq!(other.member("oldestCursor"), "0.0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_owners_and_programs_of_the_tenant_read_its_feed() {
    let shop = Shop::open().await;
    wait_for_changes(&shop.owner.client, 3).await;
    for account in [&shop.api.organizer, &shop.api.customer] {
        for path in ["/api/changes", "/api/changes/stream"] {
            account.client.get(path).await.problem(403, "forbidden");
        }
    }
    let (_, secret) = key(&shop.owner, json!(["bookings:read"])).await;
    let refused = shop.api.door.token(&secret).get("/api/changes").await;
    refused.problem(403, "forbidden");
    let (_, secret) = key(&shop.owner, json!(["changes:read"])).await;
    let read = shop.api.door.token(&secret).get("/api/changes").await;
    assert!(read.expect(200)["items"].as_array().expect("changes").len() >= 3);
    // Another tenant's owner reads a feed of their own.
    let platform = &shop.api.platform;
    let south = platform.tenant("south").await;
    platform.user(&south, "sue", UserRole::Owner).await;
    let sue = shop.api.door.tenant("south").login("sue@south.test").await;
    let items = wait_for_changes(&sue.client, 1).await;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["data"]["email"], "sue@south.test");
    assert_eq!(items[0]["cursor"], "0.1");
}

/// Reads a stream until a text came so often; `None` at its end.
async fn read_until(stream: &mut Response, text: &str, times: usize) -> Option<String> {
    let mut read = String::new();
    let reading = async {
        while read.matches(text).count() < times {
            let piece = stream.chunk().await.ok().flatten()?;
            read.push_str(&String::from_utf8_lossy(&piece));
        }
        Some(())
    };
    let found = tokio::time::timeout(Patience::WORK, reading).await;
    found.expect("the stream goes on or ends").map(|()| read)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_after_the_last_event_and_ends_with_its_key() {
    let shop = Shop::open().await;
    wait_for_changes(&shop.owner.client, 3).await;
    let (id, secret) = key(&shop.owner, json!(["changes:read"])).await;
    let program = shop.api.door.token(&secret);
    let open = async |last: &str| {
        let request = program.request(reqwest::Method::GET, "/api/changes/stream");
        let response = request.header("last-event-id", last).send().await;
        response.expect("a stream")
    };
    let mut stream = open("0.1").await;
    assert_eq!(stream.status(), 200);
    assert_eq!(stream.headers()["x-accel-buffering"], "no");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let read = read_until(&mut stream, "\n\n", 2)
        .await
        .expect("two changes");
    assert!(
        read.starts_with("id: 0.2\nevent: customer.created\ndata: {"),
        "{read}"
    );
    assert!(read.contains("id: 0.3\n"));
    shop.api.event(json!({})).await;
    let read = read_until(&mut stream, "\n\n", 1).await.expect("a change");
    assert!(read.contains("id: 0.4\nevent: event.created\n"), "{read}");
    let request = program.request(reqwest::Method::GET, "/api/changes/stream");
    let mut from_now = request.send().await.expect("a stream");
    shop.api.event(json!({})).await;
    let read = read_until(&mut from_now, "\n\n", 1)
        .await
        .expect("a change");
    assert!(read.contains("id: 0.5\n"), "{read}");
    let wrong = program.request(reqwest::Method::GET, "/api/changes/stream");
    let wrong = wrong.header("last-event-id", "yesterday");
    let wrong = boxoffice_tests::Answer::of(wrong).await;
    wrong
        .problem(422, "field-invalid")
        .at_field("Last-Event-ID");
    let revoke = format!("/api/keys/{id}");
    let request = shop.owner.client.request(reqwest::Method::DELETE, &revoke);
    boxoffice_tests::Answer::of(request).await.expect(204);
    let ended = read_until(&mut stream, "never", 1).await;
    assert_eq!(ended, None, "the stream ends with its key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_is_forgotten_and_a_reader_behind_it_is_told() {
    let api = Api::start().await;
    let tenant = TenantId::parse("north").expect("a tenant");
    api.platform.user(&tenant, "owen", UserRole::Owner).await;
    let owner = api.door.login("owen@north.test").await;
    // A worker looks for old changes when it starts, and then every minute.
    let worker = api.platform.engine.worker().spawn_singletons();
    wait_for_changes(&owner.client, 3).await;
    drop(worker);
    let month = Duration::from_secs(31 * 24 * 3600);
    api.platform.clock.advance(month);
    let organizer = api.door.login("olga@north.test").await;
    let owner = api.door.login("owen@north.test").await;
    let body = event_body(json!({}));
    organizer.client.post("/api/events", body).await.expect(201);
    let _worker = api.platform.engine.worker().spawn_singletons();
    let what = "old changes to be forgotten";
    wait_for(Patience::WORK, what, || async {
        let page = owner.client.get("/api/changes").await.expect(200);
        (page["items"][0]["sequence"] == 4).then_some(())
    })
    .await;
    let behind = owner.client.get("/api/changes?after=0.1").await;
    let behind = behind.problem(410, "changes-expired");
    assert_eq!(behind.member("oldestCursor"), "0.3");
    let on = owner.client.get("/api/changes?after=0.3").await.expect(200);
    assert_eq!(on["items"][0]["type"], "event.created");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedding_program_streams_changes() {
    let platform = TestPlatform::new().await;
    platform.may_owe();
    let tenant = platform.tenant("north").await;
    platform.user(&tenant, "olga", UserRole::Organizer).await;
    platform.drain().await;
    let caller = boxoffice_engine::Caller::platform("north");
    let changes = platform.engine.changes();
    let stream = changes.stream(&caller, None, Default::default());
    let mut stream = Box::pin(stream.expect("allowed"));
    let mut next = async || {
        let next = tokio::time::timeout(Patience::WORK, stream.next()).await;
        let change = next.expect("in time").expect("no end");
        change.expect("a change")
    };
    assert_eq!(next().await.cursor.to_string(), "0.1");
    // Nothing is there yet when it is asked for.
    let customer = async {
        pass_time(Duration::from_millis(100)).await;
        platform.customer(&tenant, "ann").await
    };
    let (second, _) = tokio::join!(next(), customer);
    assert_eq!(second.cursor.to_string(), "0.2");
}
