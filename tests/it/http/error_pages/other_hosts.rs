//! Requests that provoke the errors of hosts without parts, of tenants that confirm addresses, and of identity providers.

use std::time::Duration;

use boxoffice_engine::UserRole;
use boxoffice_host::RouterOptions;
use boxoffice_tests::{
    Account, Answer, Client, Component, EventFixture, Hosted, OpenIdProvider, Patience,
    TestPlatform,
    api::{event_body, path_of, text},
    quick_settings, wait_for, wait_until,
};
use reqwest::Method;
use serde_json::json;

use super::Seen;

/// A host without plugins, ticket codes, and room for anybody who waits.
pub(super) async fn without_parts(seen: &mut Seen) {
    let mut settings = quick_settings();
    settings.limits.event_queue_max = 0;
    let platform = TestPlatform::with(|builder| builder.settings(settings)).await;
    let north = platform.tenant("north").await;
    for (name, role) in [("owen", UserRole::Owner), ("ann", UserRole::Customer)] {
        platform.user(&north, name, role).await;
    }
    let hosted = Hosted::start(platform.engine.clone()).await;
    let door = hosted.client().tenant("north");
    let body = json!({"email": "ann@north.test"});
    let off = door.post("/api/auth/password/forgotten", body).await;
    seen.note(off, 503, "links-off");
    let owner = door.login("owen@north.test").await.client;
    let request = owner.request(Method::POST, "/api/plugins/limits/versions");
    let request = request.header("Content-Type", "application/wasm");
    let off = Answer::of(request.body(Component::accepting())).await;
    seen.note(off, 503, "plugins-off");
    let event = owner.post("/api/events", event_body(json!({}))).await;
    let event = event.expect(201);
    let shown = json!({"code": "AYxk0"});
    let path = format!("{}/check-ins", path_of(&event));
    seen.note(owner.post(&path, shown).await, 503, "ticket-codes-off");
    let ann = door.login("ann@north.test").await.client;
    let body = json!({"eventId": event["id"], "numTickets": 1});
    let busy = ann.post("/api/bookings", body).await;
    seen.note(busy, 503, "event-busy");
}

/// A tenant that wants addresses confirmed before anybody books.
pub(super) async fn unconfirmed(seen: &mut Seen) {
    let house = EventFixture::open(true).await;
    house.platform.may_owe();
    let patch = json!({"confirmBeforeBooking": true});
    let changed = house.owner.client.patch("/api/tenant/settings", "*", patch);
    changed.await.expect(200);
    let ann = house
        .door
        .register("ann@north.test", "customer")
        .await
        .client;
    let body = json!({"eventId": house.event["id"], "numTickets": 1});
    let refused = ann.post("/api/bookings", body).await;
    seen.note(refused, 403, "email-unconfirmed");
    let body = json!({"token": "of-no-mail", "password": Account::PASSWORD});
    let refused = house.door.post("/api/auth/password/reset", body).await;
    seen.note(refused, 404, "link-invalid");
    let invite = async |number: u32| {
        let email = format!("helper{number}@north.test");
        let body = json!({"email": email, "name": "Helper", "role": "staff"});
        house.owner.client.post("/api/invitations", body).await
    };
    for number in 0..100 {
        invite(number).await.expect(201);
    }
    seen.note(invite(100).await, 409, "too-many-invitations");
}

/// A tenant whose identity provider works, and one that has none.
pub(super) async fn identities(seen: &mut Seen) {
    let provider = OpenIdProvider::start().await;
    let egress = provider.egress();
    let house = EventFixture::open_with(false, |options| options.egress = egress).await;
    let door = &house.door;
    let (sign_in, identities) = ("/api/auth/oidc", "/api/auth/me/identities");
    let address = |name: &str| json!({"email": format!("{name}@id.test"), "email_verified": true});
    let token = || provider.sign_in("ann", address("ann"));
    seen.note(
        door.post(sign_in, token()).await,
        409,
        "identity-provider-off",
    );
    let set = async |client: &Client, path: &str| {
        let request = client.request(Method::PUT, path);
        let answer = Answer::of(request.json(&provider.settings(json!({})))).await;
        answer.expect(200);
    };
    set(&house.owner.client, "/api/tenant/identity-provider").await;
    let body = token();
    let session = door.post(sign_in, body.clone()).await.expect(200);
    seen.note(door.post(sign_in, body).await, 401, "id-token-invalid");
    let ann = door.token(text(&session["token"]));
    let listed = ann.get(identities).await.expect(200);
    let path = format!("{identities}/{}", text(&listed["items"][0]["id"]));
    let unlinked = Answer::of(ann.request(Method::DELETE, &path)).await;
    seen.note(unlinked, 409, "last-sign-in");
    let owned = provider.sign_in("eve", address("ann"));
    seen.note(door.post(sign_in, owned).await, 409, "identity-unlinked");
    let mut body = token();
    body["currentPassword"] = json!(Account::PASSWORD);
    let taken = house.owner.client.post(identities, body).await;
    seen.note(taken, 409, "identity-taken");
    provider.break_down(true);
    let options = RouterOptions {
        egress: provider.egress(),
        ..RouterOptions::default()
    };
    let other = Hosted::with_options(house.platform.engine.clone(), options).await;
    let door = other.client().tenant("north");
    let away = door.post(sign_in, token()).await;
    seen.note(away, 503, "identity-provider-unavailable");
}

/// A feed whose changes are not kept any more, and a cursor of another store.
pub(super) async fn forgotten_changes(seen: &mut Seen) {
    let platform = TestPlatform::new().await;
    let north = platform.tenant("north").await;
    platform.user(&north, "owen", UserRole::Owner).await;
    let hosted = Hosted::start(platform.engine.clone()).await;
    let door = hosted.client().tenant("north");
    let owner = door.login("owen@north.test").await.client;
    let other = owner.get("/api/changes?after=1NGXDP0.4").await;
    seen.note(other, 410, "feed-restarted");
    let has = async |count: usize| {
        let page = owner.get("/api/changes").await.expect(200);
        page["items"].as_array().expect("changes").len() == count
    };
    let worker = platform.engine.worker().spawn_singletons();
    wait_until(Patience::WORK, "a change", || has(1)).await;
    drop(worker);
    platform.clock.advance(Duration::from_secs(31 * 24 * 3600));
    let owner = door.login("owen@north.test").await.client;
    let _worker = platform.engine.worker().spawn_singletons();
    let expired = wait_for(Patience::WORK, "no change", || async {
        let answer = owner.get("/api/changes?after=0.0").await;
        (answer.status != 200).then_some(answer)
    });
    seen.note(expired.await, 410, "changes-expired");
}
