//! Goal: signing up, in and out: who may become what, tokens that rotate and can be revoked, doors between tenants.
//!
//! Method: the real router over an engine in memory, on a real port; the clock is moved past the grace of refresh
//! tokens.

use std::time::Duration;

use boxoffice_host::RouterOptions;
use boxoffice_tests::{
    Account, Answer, Client, Hosted, TestPlatform,
    api::{Api, text},
};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn who_signs_up_is_signed_in() {
    let api = Api::start().await;
    let body = json!({"email": " Ben@North.Test ", "name": "Ben", "password": Account::PASSWORD});
    let session = api.door.post("/api/auth/register", body).await.expect(201);
    let user = json!({
        "id": session["user"]["id"],
        "email": "ben@north.test", "emailVerified": true,
        "name": "Ben",
        "role": "customer",
        "tenant": "north",
        "externalId": null,
        "metadata": {},
        "suspended": false,
        "erasedAt": null,
        "createdAt": "2026-12-01T12:00:00Z",
    });
    assert_eq!(session["user"], user);
    assert!(
        session["expiresInSeconds"]
            .as_u64()
            .is_some_and(|seconds| seconds > 0)
    );
    let ben = api.door.token(text(&session["token"]));
    assert_eq!(ben.get("/api/auth/me").await.expect(200), user);
    let again = api.door.login("BEN@north.test").await;
    assert_eq!(again.client.get("/api/auth/me").await.expect(200), user);
}

#[tokio::test]
async fn signing_up_has_rules() {
    let api = Api::start().await;
    let body = |email: &str, name: &str, password: &str| json!({"email": email, "name": name, "password": password});
    let register = |body: Value| api.door.post("/api/auth/register", body);
    let taken = register(body("ANN@north.test", "Ann", Account::PASSWORD)).await;
    taken.problem(409, "email-taken");
    for (body, field) in [
        (body("no address", "Ben", Account::PASSWORD), "email"),
        (
            body("ben@north.test\r\nBcc: x@y.z", "Ben", Account::PASSWORD),
            "email",
        ),
        (
            body("ben@north.test", "Ben\r\nBcc: x@y.z", Account::PASSWORD),
            "name",
        ),
        (body("ben@north.test", "", Account::PASSWORD), "name"),
        (body("ben@north.test", "Ben", "short"), "password"),
        (body("ben@north.test", "Ben", &"x".repeat(201)), "password"),
        (
            json!({"email": "ben@north.test", "name": "Ben"}),
            "password",
        ),
        (
            json!({"email": "ben@north.test", "name": "Ben", "password": Account::PASSWORD, "role": "king"}),
            "role",
        ),
    ] {
        let answer = register(body.clone()).await;
        assert_eq!(
            answer.problem(422, "field-invalid").member("field"),
            field,
            "for {body}: {}",
            answer.text
        );
    }
    for role in ["owner", "staff"] {
        let mut body = body("ben@north.test", "Ben", Account::PASSWORD);
        body["role"] = json!(role);
        register(body).await.problem(403, "forbidden");
    }
    let mut body = body("ben@north.test", "Ben", Account::PASSWORD);
    body["isAdmin"] = json!(true);
    register(body)
        .await
        .problem(422, "unknown-field")
        .at_field("isAdmin");
}

#[tokio::test]
async fn wrong_credentials_say_nothing_about_what_exists() {
    let api = Api::start().await;
    let login = |email: &str, password: &str| {
        api.door.post(
            "/api/auth/login",
            json!({"email": email, "password": password}),
        )
    };
    let mut wrong = login("ann@north.test", "not the password").await;
    let mut unknown = login("nobody@north.test", "not the password").await;
    for answer in [&mut wrong, &mut unknown] {
        answer.problem(401, "wrong-credentials");
    }
    let without_id = |answer: &Answer| {
        let mut body = answer.json();
        body["requestId"] = Value::Null;
        body
    };
    assert_eq!(without_id(&wrong), without_id(&unknown));
}

#[tokio::test]
async fn refresh_tokens_rotate_and_an_old_one_ends_the_session() {
    let api = Api::start().await;
    let ann = api.door.login("ann@north.test").await;
    let first = refresh(&api.door, &ann.refresh_token).await.expect(200);
    let successor = text(&first["refreshToken"]).to_owned();
    assert_ne!(successor, ann.refresh_token);
    // Answers get lost, and tabs refresh at once: the token before is accepted for a while and gives the same successor.
    let mut again = refresh(&api.door, &ann.refresh_token).await.expect(200);
    for _ in 0..3 {
        assert_eq!(again["refreshToken"], first["refreshToken"]);
        again = refresh(&api.door, &ann.refresh_token).await.expect(200);
    }
    api.door
        .token(text(&again["token"]))
        .get("/api/auth/me")
        .await
        .expect(200);

    let second = refresh(&api.door, &successor).await.expect(200);
    api.platform.clock.advance(Duration::from_secs(31));
    refresh(&api.door, &ann.refresh_token)
        .await
        .problem(401, "session-ended");
    refresh(&api.door, text(&second["refreshToken"]))
        .await
        .problem(401, "session-ended");
    api.door
        .token(text(&second["token"]))
        .get("/api/auth/me")
        .await
        .problem(401, "not-authenticated");
    // Another session of the same user lives on.
    let other = api.door.login("ann@north.test").await;
    refresh(&api.door, &other.refresh_token).await.expect(200);
}

#[tokio::test]
async fn the_grace_of_a_refresh_token_ends() {
    let api = Api::start().await;
    let ann = api.door.login("ann@north.test").await;
    let first = refresh(&api.door, &ann.refresh_token).await.expect(200);
    api.platform.clock.advance(Duration::from_secs(31));
    refresh(&api.door, &ann.refresh_token)
        .await
        .problem(401, "session-ended");
    refresh(&api.door, text(&first["refreshToken"]))
        .await
        .problem(401, "session-ended");
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let api = Api::start().await;
    let ann = api.door.login("ann@north.test").await;
    let body = json!({"refreshToken": ann.refresh_token});
    assert_eq!(
        api.door.post("/api/auth/logout", body.clone()).await.status,
        204
    );
    refresh(&api.door, &ann.refresh_token)
        .await
        .problem(401, "session-ended");
    assert_eq!(
        api.door.post("/api/auth/logout", body).await.status,
        204,
        "signing out again changes nothing"
    );
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_refused() {
    let api = Api::start().await;
    let (head, signature) = api
        .customer
        .token
        .rsplit_once('.')
        .expect("a token has three parts");
    let mut forged = signature.as_bytes().to_vec();
    forged[0] = if forged[0] == b'A' { b'B' } else { b'A' };
    let forged = format!("{head}.{}", String::from_utf8_lossy(&forged));
    let none = head
        .split_once('.')
        .map(|(_, claims)| format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}."));
    for token in [
        forged.as_str(),
        &none.expect("claims"),
        "nonsense",
        "",
        &api.customer.refresh_token,
    ] {
        api.door
            .token(token)
            .get("/api/auth/me")
            .await
            .problem(401, "not-authenticated");
    }
    refresh(&api.door, &api.customer.token)
        .await
        .problem(401, "session-ended");
    // Another host with other keys.
    let other = Hosted::with_options(api.platform.engine.clone(), RouterOptions::default()).await;
    let door = other.client().tenant("north").token(&api.customer.token);
    door.get("/api/auth/me")
        .await
        .problem(401, "not-authenticated");
}

#[tokio::test]
async fn tenants_have_no_door_between_them() {
    let platform = TestPlatform::new().await;
    platform.tenant("north").await;
    let hosted = Hosted::start(platform.engine.clone()).await;
    let nameless = hosted.client();
    nameless.get("/api/events").await.expect(200);
    assert_eq!(
        nameless.get("/api/tenant").await.expect(200),
        json!({"id": "north", "name": "north", "currency": "EUR"})
    );
    platform.tenant("south").await;
    // With two tenants none is implied any more.
    nameless.get("/api/events").await.problem(404, "not-found");
    nameless
        .tenant("west")
        .get("/api/events")
        .await
        .problem(404, "not-found");
    let (north, south) = (nameless.tenant("north"), nameless.tenant("south"));
    let (ann, other_ann) = (
        north.register("ann@x.test", "customer").await,
        south.register("ann@x.test", "customer").await,
    );
    assert_ne!(ann.id, other_ann.id, "one address may be known to both");
    south
        .token(&ann.token)
        .get("/api/auth/me")
        .await
        .problem(401, "not-authenticated");
    nameless
        .token(&ann.token)
        .get("/api/auth/me")
        .await
        .expect(200);
    refresh(&south, &ann.refresh_token)
        .await
        .problem(401, "not-authenticated");
    let olga = north.register("olga@x.test", "organizer").await;
    let event = olga
        .client
        .post("/api/events", boxoffice_tests::api::event_body(json!({})))
        .await
        .expect(201);
    south
        .get(&boxoffice_tests::api::path_of(&event))
        .await
        .problem(404, "not-found");
    assert_eq!(
        south.get("/api/events").await.expect(200)["items"],
        json!([])
    );
    let book = json!({"eventId": event["id"], "numTickets": 1});
    other_ann
        .client
        .post("/api/bookings", book)
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_told_so() {
    let api = Api::start().await;
    let post = || api.door.request(Method::POST, "/api/auth/login");
    let is_json = |body: String| post().header("Content-Type", "application/json").body(body);
    Answer::of(is_json("{".to_owned()))
        .await
        .problem(400, "malformed-request");
    Answer::of(is_json("[]".to_owned()))
        .await
        .problem(422, "field-invalid");
    Answer::of(post().body("email=x"))
        .await
        .problem(415, "unsupported-media-type");
    Answer::of(is_json(" ".repeat(2 << 20)))
        .await
        .problem(413, "body-too-large");
    Answer::of(is_json("[".repeat(100_000)))
        .await
        .problem(400, "malformed-request");
    api.door.get("/api/nothing").await.problem(404, "not-found");
    let wrong_method = Answer::of(api.door.request(Method::DELETE, "/api/auth/login")).await;
    wrong_method.problem(405, "method-not-allowed");
    assert!(wrong_method.header("allow").contains("POST"));
}

async fn refresh(door: &Client, token: &str) -> Answer {
    door.post("/api/auth/refresh", json!({"refreshToken": token}))
        .await
}
