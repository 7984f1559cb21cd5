//! Goal: an API key does what its scopes name, and nothing else; it is shown once, and refused once it is revoked.
//!
//! Method: every route of the table is asked with a key of all scopes but the one that `/openapi.json` names, and with one of that
//! scope alone; routes that name none are asked with a key of all.

use std::collections::BTreeMap;

use boxoffice_engine::{ApiKeyId, Scope};
use boxoffice_tests::{Answer, Client, Patience, api::text, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    rows::{Door, Row, rows},
    world::Context,
};

/// A client with a new key of the tenant's.
async fn key(world: &Context, scopes: &[&str]) -> Client {
    let body = json!({"name": "Till", "scopes": scopes});
    let made = world.north.owner.client.post("/api/keys", body).await;
    let made = made.expect(201);
    assert!(text(&made["id"]).parse::<ApiKeyId>().is_ok());
    world.north.door.token(text(&made["secret"]))
}

fn names() -> Vec<&'static str> {
    Scope::ALL.iter().map(|scope| scope.as_str()).collect()
}

/// Sends a row's request with a key. A program books and holds for somebody else.
async fn send(world: &Context, row: &Row, client: &Client, thing: &str) -> Answer {
    let sells =
        row.method == "POST" && ["/api/bookings", "/api/holds", "/api/quotes"].contains(&row.path);
    if !sells {
        return row.send(world, client, thing).await;
    }
    let mut body = row.body.expect("a body")(world);
    match row.path {
        "/api/quotes" => body["customerId"] = json!(world.north.customer.id),
        _ => body["customer"] = json!({"id": world.north.customer.id}),
    }
    Answer::of(row.request(client, thing).json(&body)).await
}

/// The scope that the description names for an operation.
fn scope_of<'a>(description: &'a Value, row: &Row) -> Option<&'a str> {
    let operation = &description["paths"][row.path][row.method.to_ascii_lowercase()];
    let schemes = operation["security"].as_array()?;
    let key = schemes.iter().find_map(|scheme| scheme.get("apiKey"))?;
    key[0].as_str()
}

#[tokio::test]
async fn a_key_needs_the_scope_that_the_description_names() {
    let world = Context::make().await;
    let description = world.north.door.get("/openapi.json").await.expect(200);
    let mut without = BTreeMap::new();
    for scope in names() {
        let others: Vec<&str> = names().into_iter().filter(|name| *name != scope).collect();
        without.insert(scope, key(&world, &others).await);
    }
    let everything = key(&world, &names()).await;
    let mut refused = 0;
    for row in rows() {
        let thing = world.thing(row.thing);
        let Some(scope) = scope_of(&description, row) else {
            // Whoever may come needs no scope; everything else is refused to every key.
            if !matches!(row.door, Door::Open | Door::Public) {
                let answer = row.send(&world, &everything, &thing).await;
                let is_refused = matches!(answer.status, 401 | 403 | 404);
                assert!(is_refused, "{}", row.named(&answer));
            }
            continue;
        };
        let answer = send(&world, row, &without[scope], &thing).await;
        let problem = answer.problem(403, "forbidden");
        let detail = text(problem.member("detail"));
        assert!(
            detail.contains(scope),
            "{} {}: {detail}",
            row.method,
            row.path
        );
        refused += 1;
    }
    assert!(refused > 50, "{refused} operations");
}

#[tokio::test]
async fn a_key_with_the_scope_does_what_it_names() {
    let world = Context::make().await;
    let description = world.north.door.get("/openapi.json").await.expect(200);
    let mut keys = BTreeMap::new();
    for scope in names() {
        keys.insert(scope, key(&world, &[scope]).await);
    }
    for row in rows() {
        if let Some(scope) = scope_of(&description, row) {
            let thing = world.thing(row.thing);
            let answer = send(&world, row, &keys[scope], &thing).await;
            assert_eq!(answer.status, row.succeeds, "{}", row.named(&answer));
        }
    }
}

#[tokio::test]
async fn a_key_is_made_once_shown_once_and_revoked() {
    let world = Context::make().await;
    let owner = &world.north.owner.client;
    let body = |scopes: Value| json!({"name": "Box office", "scopes": scopes});
    for (scopes, field) in [
        (json!([]), "scopes"),
        (json!(["events:read", "events"]), "scopes[1]"),
    ] {
        let refused = owner.post("/api/keys", body(scopes)).await;
        refused.problem(422, "field-invalid").at_field(field);
    }
    let mut over = body(json!(["events:read"]));
    over["expiresAt"] = json!("2020-01-01T00:00:00Z");
    let refused = owner.post("/api/keys", over).await;
    refused.problem(422, "field-invalid").at_field("expiresAt");

    let made = owner.post("/api/keys", body(json!(["events:read"]))).await;
    let made = made.expect(201);
    let secret = text(&made["secret"]);
    assert!(secret.starts_with("bo_north_"), "{secret}");
    assert_eq!(made["lastUsedAt"], Value::Null);
    let path = format!("/api/keys/{}", text(&made["id"]));
    let till = world.north.door.token(secret);
    till.get("/api/events").await.expect(200);
    // Nobody's event here, and not there: the secret names its tenant.
    let elsewhere = world.south.door.token(secret).get("/api/events").await;
    elsewhere.problem(401, "not-authenticated");

    let shown = owner.get(&path).await.expect(200);
    assert_eq!(shown.get("secret"), None, "it is shown once");
    let all = owner.get("/api/keys").await;
    assert!(!all.text.contains(&secret["bo_north_".len()..]));
    let all = all.expect(200);
    assert_eq!(all["items"][0]["id"], made["id"], "the newest first");
    assert_eq!(all["items"][0]["createdBy"], json!(world.north.owner.id));

    // Its last use is written beside the answer.
    wait_for(Patience::WORK, "its last use", || async {
        let key = owner.get(&path).await.expect(200);
        key["lastUsedAt"].is_string().then_some(())
    })
    .await;

    Answer::of(owner.request(Method::DELETE, &path))
        .await
        .expect(204);
    till.get("/api/events")
        .await
        .problem(401, "not-authenticated");
    owner.get(&path).await.problem(404, "not-found");
    let again = Answer::of(owner.request(Method::DELETE, &path)).await;
    again.problem(404, "not-found");

    let audit = owner.get("/api/admin/audit").await.expect(200);
    let actions: Vec<&str> = (0..2)
        .map(|index| text(&audit["items"][index]["action"]))
        .collect();
    assert_eq!(actions, ["revoke-key", "create-key"]);

    for wrong in [
        "bo_",
        "bo_north_wrong",
        "bo_west_wrong",
        &secret[..secret.len() - 1],
    ] {
        let answer = world.north.door.token(wrong).get("/api/events").await;
        answer.problem(401, "not-authenticated");
    }
}
