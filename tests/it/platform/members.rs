//! Goal: an invitation makes exactly one account, with the invited role and by whoever reads the address's mails, and nothing before
//! that; roles and suspensions count at once, and a tenant keeps an owner.
//!
//! Method: the real router and worker; the links are those of mails that were really sent; the clock is moved past their end. (What
//! counts at a second host is in `operators::hosts`.)

use std::time::Duration;

use boxoffice_engine::UserRole;
use boxoffice_tests::{Account, Answer, Client, EventFixture, api::text};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

const STELLA: &str = "stella@north.test";
const PASSWORD: &str = "correct horse battery";
const ACCEPT: &str = "/api/auth/invitations/accept";

async fn invite(owner: &Client, email: &str, role: &str) -> Answer {
    let body = json!({"email": email, "name": "Stella", "role": role});
    owner.post("/api/invitations", body).await
}

async fn change(client: &Client, user: &str, change: Value) -> Answer {
    let request = client.request(Method::PATCH, &format!("/api/users/{user}"));
    Answer::of(request.json(&change)).await
}

async fn login(door: &Client, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    door.post("/api/auth/login", body).await
}

/// The paths of the links that an address was invited with, the oldest first.
async fn links(house: &EventFixture, email: &str) -> Vec<String> {
    house.links_of("Invitation to North Stage", email).await
}

fn token_of(path: &str) -> &str {
    path.rsplit('/').next().expect("a token")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_accepted_once_with_a_password() {
    let house = EventFixture::open(true).await;
    let owner = &house.owner.client;
    let invited = invite(owner, STELLA, "staff").await.expect(201);
    assert_eq!(invited["role"], "staff");
    let listed = owner.get("/api/invitations").await.expect(200);
    assert_eq!(listed["items"], json!([invited]));
    house.platform.owes(1);
    let path = links(&house, STELLA).await.remove(0);
    // Nobody is let in before, and looking changes nothing.
    for _ in 0..2 {
        let page = house.open_page(Method::GET, &path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert!(page.text.contains(STELLA) && page.text.contains("<form method=\"post\""));
        assert!(!page.text.contains("<script"), "{}", page.text);
    }
    let early = login(&house.door, STELLA, PASSWORD).await;
    early.problem(401, "wrong-credentials");
    // Many try at once: one gets the account.
    let bodies: Vec<Value> = (0..20)
        .map(|number| json!({"token": token_of(&path), "password": format!("{PASSWORD} {number}")}))
        .collect();
    let tries = bodies
        .iter()
        .map(|body| house.door.post(ACCEPT, body.clone()));
    let tries = join_all(tries).await;
    let won: Vec<usize> = (0..tries.len())
        .filter(|one| tries[*one].status == 204)
        .collect();
    assert_eq!(won.len(), 1, "{tries:?}");
    for lost in tries.iter().filter(|answer| answer.status != 204) {
        lost.problem(404, "link-invalid");
    }
    let password = text(&bodies[won[0]]["password"]);
    let signed_in = login(&house.door, STELLA, password).await.expect(200);
    assert_eq!(signed_in["user"]["id"], invited["id"]);
    assert_eq!(signed_in["user"]["role"], "staff");
    assert_eq!(signed_in["user"]["emailVerified"], true);
    let listed = owner.get("/api/invitations").await.expect(200);
    assert_eq!(listed["items"], json!([]));
    // Used up, for the page and as a link for another purpose, too.
    let page = house.open_page(Method::GET, &path).await;
    assert_eq!(page.status, 404, "{}", page.text);
    let body = json!({"token": token_of(&path), "password": PASSWORD});
    let other = house.door.post("/api/auth/password/reset", body).await;
    other.problem(404, "link-invalid");
    let again = invite(owner, STELLA, "owner").await;
    again.problem(409, "email-taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitations_end_when_they_are_withdrawn_expired_or_overtaken() {
    let house = EventFixture::open(true).await;
    let owner = &house.owner.client;
    let accept = async |path: &str| {
        let body = json!({"token": token_of(path), "password": PASSWORD});
        house.door.post(ACCEPT, body).await
    };
    // Withdrawn.
    let invited = invite(owner, STELLA, "owner").await.expect(201);
    house.platform.owes(1);
    let path = links(&house, STELLA).await.remove(0);
    let withdraw = format!("/api/invitations/{}", text(&invited["id"]));
    assert_eq!(owner.delete(&withdraw, "*").await.status, 204);
    accept(&path).await.problem(404, "link-invalid");
    owner.delete(&withdraw, "*").await.problem(404, "not-found");
    // Renewed with another role: the same invitation, and the newest role counts for the old link, too.
    let first = invite(owner, "sam@north.test", "owner").await.expect(201);
    let second = invite(owner, "sam@north.test", "staff").await.expect(201);
    assert_eq!(first["id"], second["id"]);
    house.platform.owes(2);
    let paths = links(&house, "sam@north.test").await;
    assert_eq!(accept(&paths[0]).await.status, 204);
    let sam = login(&house.door, "sam@north.test", PASSWORD)
        .await
        .expect(200);
    assert_eq!(sam["user"]["role"], "staff");
    // Somebody confirmed the address with an account of their own before.
    invite(owner, "tom@north.test", "owner").await.expect(201);
    house.platform.owes(1);
    let path = links(&house, "tom@north.test").await.remove(0);
    house.door.register("tom@north.test", "customer").await;
    house.platform.owes(1);
    let confirm = house
        .links_of("Confirm your address", "tom@north.test")
        .await;
    let form = format!("password={}", Account::PASSWORD);
    assert_eq!(house.confirm(&confirm[0], &form).await.status, 200);
    accept(&path).await.problem(404, "link-invalid");
    let tom = login(&house.door, "tom@north.test", Account::PASSWORD).await;
    assert_eq!(tom.expect(200)["user"]["role"], "customer");
    // Expired.
    invite(owner, "uma@north.test", "staff").await.expect(201);
    house.platform.owes(1);
    let path = links(&house, "uma@north.test").await.remove(0);
    house
        .platform
        .clock
        .advance(Duration::from_secs(7 * 24 * 3_600 + 1));
    accept(&path).await.problem(404, "link-invalid");
    house.platform.may_owe();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_be_invited_and_how_often_is_bounded() {
    let house = EventFixture::open(true).await;
    let owner = &house.owner.client;
    invite(owner, STELLA, "customer")
        .await
        .problem(422, "field-invalid")
        .at_field("role");
    invite(owner, "stella", "staff")
        .await
        .problem(422, "field-invalid")
        .at_field("email");
    for _ in 0..5 {
        invite(owner, STELLA, "staff").await.expect(201);
    }
    invite(owner, STELLA, "staff")
        .await
        .problem(429, "too-many-requests");
    house.platform.may_owe();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_and_suspensions_count_at_once() {
    let house = EventFixture::open(true).await;
    let owner = &house.owner.client;
    house
        .platform
        .user(&house.tenant, "sam", UserRole::Staff)
        .await;
    let sam = house.door.login("sam@north.test").await;
    sam.client.get("/api/keys").await.problem(403, "forbidden");
    change(owner, &sam.id, json!({"role": "owner"}))
        .await
        .expect(200);
    sam.client.get("/api/keys").await.expect(200);
    change(owner, &sam.id, json!({"role": "customer"}))
        .await
        .expect(200);
    sam.client.get("/api/keys").await.problem(403, "forbidden");
    change(&sam.client, &sam.id, json!({"role": "owner"}))
        .await
        .problem(403, "forbidden");
    let suspended = change(owner, &sam.id, json!({"suspended": true}))
        .await
        .expect(200);
    assert_eq!(suspended["suspended"], true);
    sam.client
        .get("/api/auth/me")
        .await
        .problem(401, "not-authenticated");
    let body = json!({"refreshToken": sam.refresh_token});
    let refreshed = house.door.post("/api/auth/refresh", body).await;
    refreshed.problem(401, "session-ended");
    let refused = login(&house.door, "sam@north.test", Account::PASSWORD).await;
    refused.problem(403, "account-suspended");
    // Whoever does not know the password does not learn it.
    let refused = login(&house.door, "sam@north.test", "not this one").await;
    refused.problem(401, "wrong-credentials");
    change(owner, &sam.id, json!({"suspended": false}))
        .await
        .expect(200);
    login(&house.door, "sam@north.test", Account::PASSWORD)
        .await
        .expect(200);
    let audit = owner.get("/api/admin/audit").await.expect(200);
    let words: Vec<&str> = audit["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|entry| entry["action"] == "change-user")
        .map(|entry| text(&entry["why"]))
        .collect();
    assert_eq!(
        words,
        [
            "no longer suspended",
            "suspended",
            "owner is customer now",
            "staff is owner now"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_keeps_an_owner() {
    let house = EventFixture::open(true).await;
    let me = &house.owner;
    for leaving in [json!({"role": "staff"}), json!({"suspended": true})] {
        change(&me.client, &me.id, leaving)
            .await
            .problem(409, "last-owner");
    }
    // One who was only invited does not run the tenant.
    let invited = invite(&me.client, STELLA, "owner").await.expect(201);
    let leaving = json!({"role": "staff"});
    change(&me.client, &me.id, leaving.clone())
        .await
        .problem(409, "last-owner");
    house.platform.owes(1);
    let path = links(&house, STELLA).await.remove(0);
    let body = json!({"token": token_of(&path), "password": PASSWORD});
    assert_eq!(house.door.post(ACCEPT, body).await.status, 204);
    change(&me.client, &me.id, leaving.clone())
        .await
        .expect(200);
    let stella = login(&house.door, STELLA, PASSWORD).await.expect(200);
    let stella = house.door.token(text(&stella["token"]));
    change(&stella, text(&invited["id"]), leaving)
        .await
        .problem(409, "last-owner");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_of_a_user_are_changed_by_owners_and_programs_alone() {
    let house = EventFixture::open(false).await;
    let owner = &house.owner.client;
    let cara = house.door.register("cara@north.test", "customer").await;
    let given = json!({"metadata": {"level": "gold", "crm": "17"}});
    let changed = change(owner, &cara.id, given.clone()).await.expect(200);
    assert_eq!(changed["metadata"], given["metadata"]);
    let body = json!({"name": "CRM", "scopes": ["customers"]});
    let key = owner.post("/api/keys", body).await.expect(201);
    let program = house.door.token(text(&key["secret"]));
    let patch = json!({"metadata": {"level": "silver", "crm": null}});
    let changed = change(&program, &cara.id, patch).await.expect(200);
    assert_eq!(changed["metadata"], json!({"level": "silver"}));
    // Who changes metadata changes no rights with them.
    let sneaky = json!({"role": "owner", "metadata": {"level": "platinum"}});
    let refused = change(&program, &cara.id, sneaky).await;
    refused.problem(403, "forbidden");
    let refused = change(&cara.client, &cara.id, given).await;
    refused.problem(403, "forbidden");
    let long = json!({"metadata": {"level": "x".repeat(501)}});
    let refused = change(owner, &cara.id, long).await;
    refused
        .problem(422, "field-invalid")
        .at_field("metadata.level");
    // Changes of other keys at the same time are all kept; who has them stays signed in, and nothing is in the audit.
    let keys = ["a", "b", "c", "d"];
    let changes = keys.map(|key| change(owner, &cara.id, json!({"metadata": {key: "1"}})));
    for changed in join_all(changes).await {
        changed.expect(200);
    }
    let me = cara.client.get("/api/auth/me").await.expect(200);
    let all = json!({"a": "1", "b": "1", "c": "1", "d": "1", "level": "silver"});
    assert_eq!(me["metadata"], all);
    let audit = owner.get("/api/admin/audit").await.expect(200);
    let entries = audit["items"].as_array().expect("a list");
    assert!(entries.iter().all(|entry| entry["action"] != "change-user"));
    // They go with the person.
    let erase = format!("/api/users/{}/erase", cara.id);
    owner.post(&erase, json!({"reason": "asked"})).await;
    let shown = owner.get(&format!("/api/users/{}", cara.id)).await;
    let shown = shown.expect(200);
    assert!(shown["erasedAt"].is_string());
    assert_eq!(shown["metadata"], json!({}));
}
