//! Goal: who signs up is asked once whether the address is theirs; until they say so, bulk mails are none of theirs, and
//! nobody else can say it.
//!
//! Method: the real router and worker; the link is taken from the mail that was really sent.

use std::time::Duration;

use boxoffice_engine::{Caller, EnsureUser, Label};
use boxoffice_tests::{
    Answer, EventFixture, OWN_PASSWORD,
    api::{event_body, path_of},
    email,
};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_to_many_wait_until_the_address_is_confirmed() {
    let house = EventFixture::open(true).await;
    let (ann, ben) = (house.customer("ann").await, house.customer("ben").await);
    assert!(!house.is_verified(&ann).await);
    assert_eq!(
        house.announce(0).await,
        2,
        "both had their confirmations only"
    );

    let links = house.links(&ann).await;
    let [path] = links.as_slice() else {
        panic!("one question: {links:?}");
    };
    assert!(
        path.starts_with("/verify/") && !path.contains('@'),
        "{path}"
    );
    let page = house.open_page(Method::GET, path).await;
    assert!(
        page.status == 200 && page.text.contains("ann@north.test"),
        "{}",
        page.text
    );
    assert!(!house.is_verified(&ann).await, "a look changes nothing");
    for _ in 0..2 {
        let done = house.confirm(path, OWN_PASSWORD).await;
        assert!(
            done.status == 200 && done.text.contains("is confirmed"),
            "{}",
            done.text
        );
    }
    assert!(house.is_verified(&ann).await && !house.is_verified(&ben).await);
    assert_eq!(house.announce(1).await, 1, "Ben still waits");

    // The tenant decides otherwise.
    let settings = house.owner.client.get("/api/tenant/settings").await;
    let etag = settings.header("etag").to_owned();
    assert_eq!(settings.expect(200)["bulkToVerifiedOnly"], true);
    let patch = json!({"bulkToVerifiedOnly": false});
    let client = &house.owner.client;
    let request = client.request(Method::PATCH, "/api/tenant/settings");
    let request = request.header("If-Match", etag).json(&patch);
    assert_eq!(
        Answer::of(request).await.expect(200)["bulkToVerifiedOnly"],
        false
    );
    assert_eq!(house.announce(2).await, 0);
    let eve = house.door.register("eve@north.test", "customer").await;
    assert!(house.is_verified(&eve).await, "nobody asks any more");
    let again = ben.client.post_empty("/api/auth/me/verification").await;
    assert_eq!(again.status, 204, "and nothing is sent");
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_comes_again_once_a_minute_and_five_times() {
    let house = EventFixture::open(true).await;
    let ann = house.customer("ann").await;
    let ask = || ann.client.post_empty("/api/auth/me/verification");
    for _ in 1..5 {
        let refused = ask().await;
        let wait: u64 = refused.header("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&wait), "{wait}");
        refused.problem(429, "too-many-requests");
        house.platform.clock.advance(Duration::from_secs(60));
        assert_eq!(ask().await.status, 204);
        house.platform.owes(1);
    }
    house.platform.clock.advance(Duration::from_secs(3600));
    ask().await.problem(429, "too-many-requests");
    house.platform.clock.advance(Duration::from_secs(23 * 3600));
    assert_eq!(ask().await.status, 204, "the next day");
    house.platform.owes(1);
    let links = house.links(&ann).await;
    assert_eq!(links.len(), 6);
    assert_eq!(house.confirm(&links[0], OWN_PASSWORD).await.status, 200);
    assert_eq!(ask().await.status, 204, "and nothing is sent");
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_confirms_for_somebody_else() {
    let house = EventFixture::open(true).await;
    let (ann, ben) = (house.customer("ann").await, house.customer("ben").await);
    let path = house.links(&ann).await.remove(0);
    let (of_ann, of_ben) = (ann.id.as_str(), ben.id.as_str());
    let unsubscribe = path.replacen("/verify/", "/unsubscribe/", 1);
    let spoilt = [
        path.replacen(of_ann, of_ben, 1),
        path.replacen("north", "south", 1),
        path[..path.len() - 1].to_owned(),
        "/verify/x".to_owned(),
        "/verify/north..".to_owned(),
        format!("{path}{}", "x".repeat(300)),
        unsubscribe,
    ];
    for bad in &spoilt {
        for method in [Method::GET, Method::POST] {
            let answer = house.open_page(method, bad).await;
            answer.problem(404, "not-found");
        }
    }
    assert!(!house.is_verified(&ann).await && !house.is_verified(&ben).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_asked_without_links_or_whom_a_platform_brought() {
    let house = EventFixture::open(false).await;
    let ann = house.door.register("ann@north.test", "customer").await;
    house.book(&ann.client).await;
    assert!(house.is_verified(&ann).await);
    assert_eq!(
        ann.client
            .post_empty("/api/auth/me/verification")
            .await
            .status,
        204
    );
    assert_eq!(house.announce(1).await, 0);
    house
        .open_page(Method::GET, "/verify/x")
        .await
        .problem(404, "not-found");

    let house = EventFixture::open(true).await;
    let command = EnsureUser {
        external_id: "shop-17".to_owned(),
        name: Label::parse("name", "Cara").expect("a name"),
        email: email("cara", &house.tenant),
        metadata: None,
    };
    let users = house.platform.engine.users();
    let cara = users
        .ensure(&Caller::platform(house.tenant.as_str()), command)
        .await;
    assert!(cara.expect("a new user").email_verified);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_booked_is_told_that_it_moved_or_is_off_also_unconfirmed() {
    let house = EventFixture::open(true).await;
    let ann = house.customer("ann").await;
    let path = path_of(&house.event);
    let client = &house.owner.client;
    let moved = json!({"startsAt": "2026-07-05T18:00:00Z"});
    let moved = client.patch(&path, "\"1\"", moved).await.expect(200);
    assert_eq!(moved["notification"]["recipients"], 1);
    house.platform.owes(1);
    house.platform.settle().await;
    let off = client.post_empty(&format!("{path}/cancel")).await;
    assert_eq!(off.expect(200)["notification"]["recipients"], 1);
    house.platform.owes(1);
    let mails = house.platform.settle().await;
    for subject in ["Event changed", "Event cancelled"] {
        let mut told = mails
            .iter()
            .filter(|mail| mail.subject.starts_with(subject) && mail.is_to(&ann.email));
        let mail = told.next().expect(subject);
        assert!(!mail.raw.contains("List-Unsubscribe"), "{}", mail.raw);
        assert!(told.next().is_none(), "once");
    }
    assert!(!house.is_verified(&ann).await);
    // Only what needs consent can be done without.
    let seen = ann.client.get("/api/auth/me/subscriptions").await;
    let kinds = seen.expect(200)["kinds"].clone();
    assert_eq!(kinds, json!(["event-reminder", "event-announcement"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_spelling_or_name_of_the_same_is_no_change_to_tell() {
    let house = EventFixture::open(true).await;
    let client = &house.owner.client;
    let body = event_body(json!({
        "title": "Caf\u{e9}", "location": "Z\u{fc}rich", "timeZone": "Asia/Kolkata",
    }));
    let event = client.post("/api/events", body).await.expect(201);
    let ann = house.door.register("ann@north.test", "customer").await;
    house.platform.owes(1);
    let body = json!({"eventId": event["id"], "numTickets": 1});
    ann.client.post("/api/bookings", body).await.expect(201);
    house.platform.owes(1);
    let path = path_of(&event);
    let mut version = 1;
    let mut change = async |patch: Value| {
        let answer = client.patch(&path, &format!("\"{version}\""), patch).await;
        version += 1;
        answer.expect(200)["notification"].clone()
    };
    for same in [
        json!({"title": "Cafe\u{301}"}),
        json!({"location": "Zu\u{308}rich"}),
        json!({"timeZone": "Asia/Calcutta"}),
    ] {
        assert!(change(same.clone()).await.is_null(), "{same}");
    }
    let other = change(json!({"timeZone": "Asia/Colombo"})).await;
    assert_eq!(other["recipients"], 1);
    house.platform.owes(1);
    house.platform.settle().await;
}
