//! Goal: people change their own name and address and see and end their own sessions; an address changes only by a link that it
//! got, and nobody learns by that who has an account.
//!
//! Method: the real router and worker; the links are those of mails that were really sent; the clock is moved past their end.

use std::time::Duration;

use boxoffice_tests::{
    Account, Answer, Client, EventFixture, OWN_PASSWORD, Patience, api::text, wait_for,
};
use reqwest::Method;
use serde_json::{Value, json};

const SUBJECT: &str = "Confirm your new address";
const NOTICE: &str = "Your address was changed";
const OWNER: &str = "owen@north.test";
const NEW: &str = "owen.new@north.test";
const EMAIL: &str = "/api/auth/me/email";
const SESSIONS: &str = "/api/auth/me/sessions";

async fn ask(client: &Client, email: &str) -> Answer {
    let body = json!({"email": email, "currentPassword": Account::PASSWORD});
    client.post(EMAIL, body).await
}

async fn login(door: &Client, email: &str) -> Answer {
    let body = json!({"email": email, "password": Account::PASSWORD});
    door.post("/api/auth/login", body).await
}

async fn is_signed_out(client: &Client) {
    wait_for(Patience::WORK, "a session to end", || async {
        let answer = client.get("/api/auth/me").await;
        (answer.status == 401).then_some(())
    })
    .await;
}

async fn sessions(client: &Client) -> Vec<Value> {
    let listed = client.get(SESSIONS).await.expect(200);
    listed["items"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_change_their_own_name() {
    let house = EventFixture::open(true).await;
    let rename = |name: &str| {
        let request = house.owner.client.request(Method::PATCH, "/api/auth/me");
        Answer::of(request.json(&json!({ "name": name })))
    };
    let renamed = rename(" Owen the Second ").await.expect(200);
    assert_eq!(renamed["name"], "Owen the Second");
    let me = house.owner.client.get("/api/auth/me").await.expect(200);
    assert_eq!(me, renamed);
    for bad in ["", "two\nlines"] {
        let refused = rename(bad).await;
        refused.problem(422, "field-invalid").at_field("name");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_changes_by_a_link_and_the_old_one_is_told() {
    let house = EventFixture::open(true).await;
    let wrong = json!({"email": NEW, "currentPassword": "not this one"});
    let wrong = house.owner.client.post(EMAIL, wrong).await;
    wrong.problem(401, "wrong-credentials");
    let same = ask(&house.owner.client, "OWEN@north.test").await;
    same.problem(422, "field-invalid").at_field("email");
    assert_eq!(ask(&house.owner.client, NEW).await.status, 202);
    house.platform.owes(1);
    let path = house.links_of(SUBJECT, NEW).await.remove(0);
    let asked = house.platform.settle().await;
    assert!(!asked[0].raw.contains("owen,"), "{}", asked[0].raw);
    // Nothing happens until the button is pressed.
    for _ in 0..2 {
        let page = house.open_page(Method::GET, &path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert!(page.text.contains(NEW) && page.text.contains("<form method=\"post\""));
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
    login(&house.door, OWNER).await.expect(200);
    // Whoever got the link by a mistake does not know the password.
    for wrong in ["", "password=not+this+one"] {
        let refused = house.confirm(&path, wrong).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert!(refused.text.contains("not the account"), "{}", refused.text);
    }
    login(&house.door, OWNER).await.expect(200);
    let done = house.confirm(&path, OWN_PASSWORD).await;
    assert_eq!(done.status, 200, "{}", done.text);
    house.platform.owes(1);
    login(&house.door, OWNER)
        .await
        .problem(401, "wrong-credentials");
    let signed_in = login(&house.door, NEW).await.expect(200);
    assert_eq!(signed_in["user"]["id"], json!(house.owner.id));
    assert_eq!(signed_in["user"]["emailVerified"], true);
    let me = house.owner.client.get("/api/auth/me").await.expect(200);
    assert_eq!(me["email"], NEW, "sessions go on");
    let mails = house.platform.settle().await;
    let told: Vec<_> = mails.iter().filter(|mail| mail.subject == NOTICE).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].is_to(OWNER) && !told[0].text.contains(NEW));
    // Once.
    let again = house.confirm(&path, OWN_PASSWORD).await;
    assert_eq!(again.status, 404, "{}", again.text);
    // The old address is free.
    let stranger = house.door.register(OWNER, "customer").await;
    assert_ne!(stranger.id, house.owner.id);
    house.platform.owes(1);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_in_use_is_not_revealed_and_not_taken() {
    let house = EventFixture::open(true).await;
    let role = boxoffice_engine::UserRole::Organizer;
    house.platform.user(&house.tenant, "olga", role).await;
    let olga = house.door.login("olga@north.test").await;
    let taken = ask(&olga.client, OWNER).await;
    let free = ask(&olga.client, "olga.new@north.test").await;
    assert_eq!((taken.status, taken.text), (free.status, free.text));
    house.platform.owes(1);
    house.platform.drain().await;
    let path = house.links_of(SUBJECT, "olga.new@north.test").await;
    // Somebody else gets the address before the link is used.
    assert_eq!(
        ask(&house.owner.client, "olga.new@north.test").await.status,
        202
    );
    house.platform.owes(1);
    let links = house.links_of(SUBJECT, "olga.new@north.test").await;
    let owners = links.iter().find(|link| !path.contains(link));
    let done = house
        .confirm(owners.expect("another link"), OWN_PASSWORD)
        .await;
    assert_eq!(done.status, 200, "{}", done.text);
    house.platform.owes(1);
    let late = house.confirm(&path[0], OWN_PASSWORD).await;
    assert_eq!(late.status, 409, "{}", late.text);
    let me = olga.client.get("/api/auth/me").await.expect(200);
    assert_eq!(me["email"], "olga@north.test");
    login(&house.door, "olga@north.test").await.expect(200);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_newest_request_counts_and_a_new_password_ends_it() {
    let house = EventFixture::open(true).await;
    let mut links = Vec::new();
    for email in [NEW, "other@north.test"] {
        assert_eq!(ask(&house.owner.client, email).await.status, 202);
        house.platform.owes(1);
        links.push(house.links_of(SUBJECT, email).await.remove(0));
    }
    for page in [
        house.open_page(Method::GET, &links[0]).await,
        house.confirm(&links[0], OWN_PASSWORD).await,
    ] {
        assert_eq!(page.status, 404, "{}", page.text);
    }
    house
        .platform
        .clock
        .advance(Duration::from_secs(24 * 3_600 - 1));
    let page = house.open_page(Method::GET, &links[1]).await;
    assert_eq!(page.status, 200, "{}", page.text);
    house.platform.clock.advance(Duration::from_secs(2));
    let late = house.confirm(&links[1], OWN_PASSWORD).await;
    assert_eq!(late.status, 404, "{}", late.text);
    assert_eq!(ask(&house.owner.client, NEW).await.status, 202);
    house.platform.owes(1);
    let path = house.links_of(SUBJECT, NEW).await.pop().expect("a link");
    let body =
        json!({"currentPassword": Account::PASSWORD, "newPassword": "another long password"});
    let changed = house.owner.client.post("/api/auth/password", body).await;
    changed.expect(200);
    let over = house.confirm(&path, OWN_PASSWORD).await;
    assert_eq!(over.status, 404, "{}", over.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_asks_five_times_a_day() {
    let house = EventFixture::open(true).await;
    for number in 0..5 {
        let email = format!("new{number}@north.test");
        assert_eq!(ask(&house.owner.client, &email).await.status, 202);
        house.platform.owes(1);
        house.platform.settle().await;
    }
    let refused = ask(&house.owner.client, "new5@north.test").await;
    refused.problem(429, "too-many-requests");
    house.platform.drain().await;
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_gets_five_links_a_day_whoever_asks() {
    let house = EventFixture::open(true).await;
    let role = boxoffice_engine::UserRole::Organizer;
    for number in 0..6 {
        let name = format!("olga{number}");
        house.platform.user(&house.tenant, &name, role).await;
        let olga = house.door.login(&format!("{name}@north.test")).await;
        assert_eq!(ask(&olga.client, "victim@north.test").await.status, 202);
    }
    house.platform.owes(5);
    house.platform.drain().await;
    let links = house.links_of(SUBJECT, "victim@north.test").await;
    assert_eq!(links.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_requests_with_one_link_to_an_address_one_wins() {
    let house = EventFixture::open(true).await;
    assert_eq!(ask(&house.owner.client, NEW).await.status, 202);
    house.platform.owes(1);
    let path = house.links_of(SUBJECT, NEW).await.remove(0);
    let requests = (0..30).map(|_| house.confirm(&path, OWN_PASSWORD));
    let answers = futures::future::join_all(requests).await;
    let won = answers.iter().filter(|answer| answer.status == 200);
    assert_eq!(won.count(), 1);
    let lost = answers.iter().filter(|answer| answer.status == 404);
    assert_eq!(lost.count(), 29);
    house.platform.owes(1);
    house.platform.drain().await;
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_signed_up_with_a_wrong_address_moves_to_the_right_one() {
    let house = EventFixture::open(true).await;
    let ann = house.customer("ann.wrong").await;
    assert_eq!(ask(&ann.client, "ann@north.test").await.status, 202);
    house.platform.owes(1);
    let path = house.links_of(SUBJECT, "ann@north.test").await.remove(0);
    // Somebody else waits for the right address meanwhile.
    let stranger = house.customer("ann").await;
    let done = house.confirm(&path, OWN_PASSWORD).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert!(house.is_verified(&ann).await);
    is_signed_out(&stranger.client).await;
    let link = house.links(&stranger).await.remove(0);
    let late = house.confirm(&link, OWN_PASSWORD).await;
    assert_eq!(late.status, 422, "{}", late.text);
    let signed_in = login(&house.door, "ann@north.test").await.expect(200);
    assert_eq!(signed_in["user"]["id"], json!(ann.id));
    login(&house.door, "ann.wrong@north.test")
        .await
        .problem(401, "wrong-credentials");
    // A wrong address is not told of anything.
    house.platform.drain().await;
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_listed_and_ended() {
    let house = EventFixture::open(true).await;
    let request = house.door.request(Method::POST, "/api/auth/login");
    let body = json!({"email": OWNER, "password": Account::PASSWORD});
    let phone = request.header("User-Agent", "Phone 7").json(&body);
    let phone = Answer::of(phone).await.expect(200);
    let phone = house.door.token(text(&phone["token"]));
    let third = house.door.login(OWNER).await.client;
    let own = &house.owner.client;
    let listed = sessions(own).await;
    assert_eq!(listed.len(), 3);
    let current: Vec<_> = listed.iter().map(|one| &one["isCurrent"]).collect();
    assert_eq!(current, [false, false, true], "newest first");
    assert_eq!(listed[1]["device"], "Phone 7");
    for one in &listed {
        assert!(one["openedAt"].is_string() && one["refreshedAt"].is_string());
    }
    // Nobody ends another's.
    let role = boxoffice_engine::UserRole::Organizer;
    house.platform.user(&house.tenant, "olga", role).await;
    let olga = house.door.login("olga@north.test").await.client;
    let phones = format!("{SESSIONS}/{}", text(&listed[1]["id"]));
    olga.delete(&phones, "*").await.problem(404, "not-found");
    phone.get("/api/auth/me").await.expect(200);
    assert_eq!(own.delete(&phones, "*").await.status, 204);
    is_signed_out(&phone).await;
    own.delete(&phones, "*").await.problem(404, "not-found");
    let others = format!("{SESSIONS}/others");
    assert_eq!(own.delete(&others, "*").await.status, 204);
    is_signed_out(&third).await;
    own.get("/api/auth/me").await.expect(200);
    assert_eq!(sessions(own).await.len(), 1);
    assert_eq!(own.delete(SESSIONS, "*").await.status, 204);
    is_signed_out(own).await;
    olga.get("/api/auth/me").await.expect(200);
}
