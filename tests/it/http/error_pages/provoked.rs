//! Requests that provoke each error.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::http::HeaderMap;
use boxoffice_engine::{AddOperator, Caller, EmailAddress, Error, Label, TenantId, UserRole};
use boxoffice_host::{Authenticate, RouterOptions};
use boxoffice_tests::{
    Account, Answer, AtMost, Client, CodeUses, Component, Hosted, TestPlatform,
    api::{event_body, path_of, text},
    plugin_host, plugin_settings, quick_settings, ticket_codes, upload,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Seen, other_hosts};

/// A tenant with its people on a host that has plugins and ticket codes, and little room.
struct Stage {
    platform: TestPlatform,
    hosted: Hosted,
    owner: Client,
    organizer: Client,
    ann: Client,
    ben: Client,
    operator: Client,
}

/// All errors that requests provoke.
pub(super) async fn all() -> Seen {
    let stage = Stage::open().await;
    let mut seen = Seen::default();
    stage.requests(&mut seen).await;
    stage.people(&mut seen).await;
    stage.events(&mut seen).await;
    stage.sales(&mut seen).await;
    stage.holds(&mut seen).await;
    stage.references(&mut seen).await;
    stage.payments(&mut seen).await;
    stage.waiting(&mut seen).await;
    stage.bookings(&mut seen).await;
    stage.tickets(&mut seen).await;
    stage.mails(&mut seen).await;
    stage.plugins(&mut seen).await;
    stage.policies(&mut seen).await;
    stage.limits(&mut seen).await;
    other_hosts::without_parts(&mut seen).await;
    other_hosts::unconfirmed(&mut seen).await;
    other_hosts::identities(&mut seen).await;
    other_hosts::forgotten_changes(&mut seen).await;
    seen
}

impl Stage {
    async fn open() -> Self {
        let runtime = plugin_host(plugin_settings());
        let mut settings = quick_settings();
        settings.bookings.waitlist_entries_max = 1;
        settings.limits.plugin_versions_max = 3;
        let describe = |builder: boxoffice_engine::EngineBuilder| {
            let builder = builder.settings(settings).plugins(runtime);
            let builder = builder.ticket_codes(ticket_codes());
            builder.policy(AtMost(4)).policy(CodeUses { limit: 1 })
        };
        let platform = TestPlatform::with(describe).await;
        platform.may_owe();
        let north = platform.tenant("north").await;
        for (name, role) in [
            ("owen", UserRole::Owner),
            ("olga", UserRole::Organizer),
            ("ann", UserRole::Customer),
            ("ben", UserRole::Customer),
        ] {
            platform.user(&north, name, role).await;
        }
        let operator = AddOperator {
            email: EmailAddress::parse("email", "op@boxoffice.test").expect("an address"),
            name: Label::parse("name", "Op").expect("one line"),
            password: Account::PASSWORD.to_owned(),
        };
        let operators = platform.engine.operators();
        let added = operators.add(&Caller::operator(), operator).await;
        added.expect("an operator");
        let hosted = Hosted::start(platform.engine.clone()).await;
        let door = hosted.client().tenant("north");
        let login = async |name: &str| door.login(&format!("{name}@north.test")).await.client;
        let body = json!({"email": "op@boxoffice.test", "password": Account::PASSWORD});
        let signed_in = hosted.client().post("/api/operator/login", body).await;
        Self {
            owner: login("owen").await,
            organizer: login("olga").await,
            ann: login("ann").await,
            ben: login("ben").await,
            operator: hosted.client().token(text(&signed_in.expect(200)["token"])),
            platform,
            hosted,
        }
    }

    fn door(&self) -> Client {
        self.hosted.client().tenant("north")
    }

    async fn event(&self, changes: Value) -> Value {
        let body = event_body(changes);
        let made = self.organizer.post("/api/events", body).await;
        made.expect(201)
    }

    async fn book(&self, event: &Value, tickets: u32) -> Answer {
        let body = json!({"eventId": event["id"], "numTickets": tickets});
        self.ann.post("/api/bookings", body).await
    }

    /// What can be wrong with any request.
    async fn requests(&self, seen: &mut Seen) {
        let event = self.event(json!({})).await;
        let path = path_of(&event);
        let raw = |method: Method, path: &str, media: &str, body: String| {
            let request = self.organizer.request(method, path);
            Answer::of(request.header("Content-Type", media).body(body))
        };
        let json = "application/json";
        let broken = raw(Method::POST, "/api/events", json, "{\"title\": ".to_owned()).await;
        seen.note(broken, 400, "malformed-request");
        let large = raw(Method::POST, "/api/events", json, " ".repeat(2 << 20)).await;
        seen.note(large, 413, "body-too-large");
        let other = raw(Method::POST, "/api/events", "text/plain", "Jazz".to_owned()).await;
        seen.note(other, 415, "unsupported-media-type");
        let put = raw(Method::PUT, "/api/bookings", json, "{}".to_owned()).await;
        seen.note(put, 405, "method-not-allowed");

        seen.note(self.book(&event, 0).await, 422, "field-invalid");
        let body = json!({"eventId": event["id"], "tickets": 2});
        let unknown = self.ann.post("/api/bookings", body).await;
        seen.note(unknown, 422, "unknown-field");
        let gone = self.ann.get("/api/events/01k9zq5d3n8m2r7w4x6y0a1b2c").await;
        seen.note(gone, 404, "not-found");
        let body = json!({"eventId": event["id"], "numTickets": 1});
        let nobody = self.door().post("/api/bookings", body).await;
        seen.note(nobody, 401, "not-authenticated");
        let body = event_body(json!({}));
        seen.note(self.ann.post("/api/events", body).await, 403, "forbidden");
        let change = json!({"title": "Jazz Morning"});
        let request = self.organizer.request(Method::PATCH, &path).json(&change);
        seen.note(Answer::of(request).await, 428, "precondition-required");
        let stale = self.organizer.patch(&path, "\"7\"", change).await;
        seen.note(stale, 412, "version-mismatch");
        for tickets in [1, 2] {
            let body = json!({"eventId": event["id"], "numTickets": tickets});
            let answer = self
                .ann
                .post_once("/api/bookings", "order-4711", body)
                .await;
            if tickets == 2 {
                seen.note(answer, 422, "idempotency-key-reused");
            }
        }
    }

    /// Accounts and sessions.
    async fn people(&self, seen: &mut Seen) {
        let login = json!({"email": "ann@north.test", "password": "not this one"});
        let wrong = self.door().post("/api/auth/login", login).await;
        seen.note(wrong, 401, "wrong-credentials");
        let body = json!({"refreshToken": "of-no-session"});
        let ended = self.door().post("/api/auth/refresh", body).await;
        seen.note(ended, 401, "session-ended");
        let user = json!({"email": "ann@north.test", "name": "Ann", "role": "customer"});
        let users = "/api/operator/tenants/north/users";
        let taken = self.operator.post(users, user).await;
        seen.note(taken, 409, "email-taken");
        let tenant = json!({"id": "north", "name": "North"});
        let taken = self.operator.post("/api/operator/tenants", tenant).await;
        seen.note(taken, 409, "tenant-taken");
    }

    /// What an event's organizer cannot do.
    async fn events(&self, seen: &mut Seen) {
        let event = self.event(json!({})).await;
        self.book(&event, 3).await.expect(201);
        let path = path_of(&event);
        let deleted = self.organizer.delete(&path, "\"1\"").await;
        seen.note(deleted, 409, "event-has-bookings");
        let change = json!({"totalTickets": 2});
        let smaller = self.organizer.patch(&path, "\"1\"", change).await;
        seen.note(smaller, 409, "capacity-below-sold");
        self.organizer
            .post(&format!("{path}/cancel"), json!({}))
            .await
            .expect(200);
        seen.note(self.book(&event, 1).await, 409, "event-cancelled");
        let draft = self.event(json!({"status": "draft"})).await;
        let body = json!({"eventId": draft["id"], "numTickets": 1});
        let early = self.organizer.post("/api/bookings", body).await;
        seen.note(early, 409, "event-not-published");
    }

    /// Sales windows, prices and what is left.
    async fn sales(&self, seen: &mut Seen) {
        let window = |changes: Value| {
            let mut kind = json!({"name": "General", "capacity": 3, "priceMinor": 1250});
            boxoffice_tests::api::merge(&mut kind, changes);
            json!({"totalTickets": null, "ticketTypes": [kind]})
        };
        let later = self
            .event(window(json!({"salesOpenAt": "2027-01-10T08:00:00Z"})))
            .await;
        seen.note(self.book(&later, 1).await, 409, "sales-not-open");
        let over = self
            .event(window(json!({"salesCloseAt": "2026-12-01T12:00:30Z"})))
            .await;
        self.platform.clock.advance(Duration::from_secs(60));
        seen.note(self.book(&over, 1).await, 409, "sales-closed");
        let event = self.event(window(json!({}))).await;
        let body = json!({"eventId": event["id"], "numTickets": 2, "expectedTotalMinor": 2400});
        let changed = self.ann.post("/api/bookings", body).await;
        seen.note(changed, 409, "price-changed");
        self.book(&event, 2).await.expect(201);
        seen.note(self.book(&event, 2).await, 409, "not-enough-tickets");
        let open = self.event(json!({})).await;
        seen.note(self.book(&open, 5).await, 409, "policy-rejected");
        let limited = self.event(json!({"maxTicketsPerCustomer": 3})).await;
        self.book(&limited, 2).await.expect(201);
        seen.note(self.book(&limited, 2).await, 409, "customer-limit");
    }

    async fn holds(&self, seen: &mut Seen) {
        let event = self.event(json!({})).await;
        let body = json!({"eventId": event["id"], "numTickets": 2});
        let hold = self.ann.post("/api/holds", body.clone()).await.expect(201);
        let act = |what: &str| format!("/api/holds/{}/{what}", text(&hold["id"]));
        let second = self.ann.post("/api/holds", body).await;
        seen.note(second, 409, "hold-exists");
        self.ann.post(&act("extend"), json!({})).await.expect(200);
        let again = self.ann.post(&act("extend"), json!({})).await;
        seen.note(again, 409, "hold-already-extended");
        self.ann.post(&act("release"), json!({})).await.expect(200);
        let late = self.ann.post(&act("confirm"), json!({})).await;
        seen.note(late, 409, "hold-ended");
    }

    async fn references(&self, seen: &mut Seen) {
        let event = self.event(json!({})).await;
        let body = json!({"eventId": event["id"], "numTickets": 1, "reference": "order-4711"});
        let first = self.ann.post("/api/bookings", body.clone()).await;
        first.expect(201);
        let second = self.ben.post("/api/bookings", body).await;
        seen.note(second, 409, "reference-taken");
        let closed = json!({"attendeesUntil": "2026-12-01T12:00:00Z"});
        let closed = self.event(closed).await;
        let booked = self.book(&closed, 1).await.expect(201);
        let path = format!("/api/bookings/{}", text(&booked["id"]));
        let late = self.ann.patch(&path, "*", json!({"attendees": []})).await;
        seen.note(late, 409, "changes-closed");
        let booked = self.book(&event, 1).await.expect(201);
        let path = format!("/api/tickets/{}.1/transfer", text(&booked["id"]));
        let first = json!({"name": "Cleo", "email": "cleo@north.test"});
        self.ann.post(&path, first).await.expect(200);
        let second = json!({"name": "Dana", "email": "dana@north.test"});
        let second = self.ann.post(&path, second).await;
        seen.note(second, 409, "ticket-transferred");
        let body = json!({"eventId": event["id"], "numTickets": 2, "codes": ["SPRING"]});
        let used_up = self.ann.post("/api/bookings", body).await;
        seen.note(used_up, 409, "claim-exhausted");
    }

    async fn payments(&self, seen: &mut Seen) {
        let types = json!([{"name": "Hall", "capacity": 9, "priceMinor": 1250}]);
        let event = self
            .event(json!({"totalTickets": null, "ticketTypes": types}))
            .await;
        let body = json!({"eventId": event["id"], "numTickets": 2});
        let hold =
            async |client: &Client| client.post("/api/holds", body.clone()).await.expect(201);
        let (of_ann, of_ben) = (hold(&self.ann).await, hold(&self.ben).await);
        let open = async |hold: &Value, currency: &str| {
            let body = json!({
                "provider": "acme", "reference": "pi-4711", "amountMinor": 2500, "currency": currency,
            });
            let path = format!("/api/holds/{}/payments", text(&hold["id"]));
            self.owner.post(&path, body).await
        };
        let dollars = open(&of_ann, "USD").await;
        seen.note(dollars, 422, "currency-mismatch");
        open(&of_ann, "EUR").await.expect(201);
        seen.note(open(&of_ben, "EUR").await, 409, "payment-exists");
        let failed = async |number: usize, kind: &str| {
            let body = json!({
                "noticeId": format!("evt-{number}"), "amountMinor": 2500, "at": "2026-12-01T12:00:00Z",
            });
            let path = format!("/api/payments/acme/pi-4711/{kind}");
            self.owner.post(&path, body).await
        };
        for number in 0..100 {
            failed(number, "failed").await.expect(200);
        }
        let reused = failed(0, "captured").await;
        seen.note(reused, 422, "notice-reused");
        let more = failed(100, "failed").await;
        seen.note(more, 409, "too-many-notices");
    }

    async fn waiting(&self, seen: &mut Seen) {
        let event = self.event(json!({"totalTickets": 2})).await;
        let list = format!("{}/waitlist", path_of(&event));
        let wanted = |tickets: u32| json!({"numTickets": tickets});
        let early = self.ann.post(&list, wanted(1)).await;
        seen.note(early, 409, "tickets-available");
        self.book(&event, 2).await.expect(201);
        self.ann.post(&list, wanted(1)).await.expect(201);
        let other = self.ann.post(&list, wanted(2)).await;
        seen.note(other, 409, "already-waiting");
        let second = self.ben.post(&list, wanted(1)).await;
        seen.note(second, 409, "waitlist-full");
    }

    /// Cancelling.
    async fn bookings(&self, seen: &mut Seen) {
        let cancel = |booking: &Value| format!("/api/bookings/{}/cancel", text(&booking["id"]));
        let firm = self.event(json!({"cancellationTerms": []})).await;
        let booking = self.book(&firm, 2).await.expect(201);
        let refused = self.ann.post(&cancel(&booking), json!({})).await;
        seen.note(refused, 409, "cancellation-closed");
        let event = self.event(json!({})).await;
        let booking = self.book(&event, 2).await.expect(201);
        self.ann
            .post(&cancel(&booking), json!({}))
            .await
            .expect(200);
        let some = json!({"lines": [{"quantity": 1}]});
        let late = self.ann.post(&cancel(&booking), some).await;
        seen.note(late, 409, "booking-cancelled");
    }

    /// Check-in of tickets.
    async fn tickets(&self, seen: &mut Seen) {
        let (event, other) = (self.event(json!({})).await, self.event(json!({})).await);
        let booking = self.book(&event, 2).await.expect(201);
        let tickets = format!("/api/bookings/{}/tickets", text(&booking["id"]));
        let tickets = self.ann.all(&tickets).await;
        let show = async |event: &Value, code: &Value| {
            let door = format!("{}/check-ins", path_of(event));
            self.organizer.post(&door, json!({"code": code})).await
        };
        let wrong = show(&other, &tickets[0]["code"]).await;
        seen.note(wrong, 409, "ticket-of-other-event");
        seen.note(
            show(&event, &json!("AYxk0")).await,
            422,
            "ticket-code-invalid",
        );
        show(&event, &tickets[0]["code"]).await.expect(201);
        let twice = show(&event, &tickets[0]["code"]).await;
        seen.note(twice, 409, "already-checked-in");
        let cancel = format!("/api/bookings/{}/cancel", text(&booking["id"]));
        self.organizer.post_empty(&cancel).await.expect(200);
        let void = show(&event, &tickets[1]["code"]).await;
        seen.note(void, 409, "ticket-cancelled");
    }

    async fn mails(&self, seen: &mut Seen) {
        let event = self.event(json!({})).await;
        self.book(&event, 1).await.expect(201);
        let change = json!({"location": "New Hall"});
        let moved = self
            .organizer
            .patch(&path_of(&event), "\"1\"", change)
            .await;
        let told = text(&moved.expect(200)["notification"]["id"]).to_owned();
        let act = |what: &str| format!("/api/admin/notifications/{told}/{what}");
        let why = json!({"why": "wrong place in it"});
        let cancelled = self.organizer.post(&act("cancel"), why.clone()).await;
        cancelled.expect(204);
        let paused = self.organizer.post(&act("pause"), why).await;
        seen.note(paused, 409, "notification-over");
    }

    async fn plugins(&self, seen: &mut Seen) {
        let send = async |name: &str, component: Vec<u8>| {
            let path = format!("/api/plugins/{name}/versions");
            let request = self.owner.request(Method::POST, &path);
            let request = request.header("Content-Type", "application/wasm");
            Answer::of(request.body(component)).await
        };
        let north = TenantId::parse("north").expect("a tenant name");
        let owner = Caller::platform(north.as_str());
        let engine = &self.platform.engine;
        let rejected = send("limits", b"no component".to_vec()).await;
        seen.note(rejected, 422, "plugin-rejected");
        let version = upload(engine, &owner, "limits", &Component::at_most(1)).await;
        let taken = send("other", Component::at_most(1)).await;
        seen.note(taken, 409, "plugin-taken");
        let event = self.event(json!({})).await;
        let used = json!({"version": version.to_string(), "eventId": event["id"]});
        let activate = "/api/plugins/limits/activate";
        self.owner.post(activate, used).await.expect(200);
        let path = format!("/api/plugins/versions/{version}");
        let deleted = self.owner.delete(&path, "").await;
        seen.note(deleted, 409, "plugin-in-use");
        let back = json!({"eventId": event["id"]});
        let back = self.owner.post("/api/plugins/limits/roll-back", back).await;
        seen.note(back, 409, "plugin-not-ready");
        let version = upload(engine, &owner, "limits", &Component::trapping()).await;
        let used = json!({"version": version.to_string(), "eventId": event["id"]});
        let tried = self.owner.post(activate, used.clone()).await;
        seen.note(tried, 422, "plugin-trial-failed");
        let mut skipping = used;
        skipping["skipTrial"] = true.into();
        self.owner
            .post(activate, skipping.clone())
            .await
            .expect(200);
        seen.note(self.book(&event, 1).await, 503, "policy-unavailable");
        upload(engine, &owner, "limits", &Component::accepting()).await;
        let many = send("limits", Component::at_most(2)).await;
        seen.note(many, 409, "too-many-plugins");
    }

    /// A policy that may be asked next to nothing.
    async fn policies(&self, seen: &mut Seen) {
        let event = self.event(json!({})).await;
        let versions = self.owner.all("/api/plugins/versions").await;
        let used = json!({
            "version": versions[0]["version"], "eventId": event["id"],
            "limits": {"inputBytes": 10}, "skipTrial": true,
        });
        let activated = self.owner.post("/api/plugins/limits/activate", used).await;
        activated.expect(200);
        seen.note(self.book(&event, 1).await, 413, "policy-input-too-large");
    }

    /// Hosts over the same engine that allow little.
    async fn limits(&self, seen: &mut Seen) {
        let me = self.owner.get("/api/auth/me").await.expect(200);
        let change = async |id: &Value, change: Value| {
            let path = format!("/api/users/{}", text(id));
            let request = self.owner.request(Method::PATCH, &path);
            Answer::of(request.json(&change)).await
        };
        let last = change(&me["id"], json!({"role": "staff"})).await;
        seen.note(last, 409, "last-owner");
        let ben = self.ben.get("/api/auth/me").await.expect(200);
        let suspended = change(&ben["id"], json!({"suspended": true})).await;
        suspended.expect(200);
        let body = json!({"email": "ben@north.test", "password": Account::PASSWORD});
        let refused = self.door().post("/api/auth/login", body).await;
        seen.note(refused, 403, "account-suspended");
        let key = json!({"name": "Till", "scopes": ["holds"]});
        for _ in 0..100 {
            self.owner.post("/api/keys", key.clone()).await.expect(201);
        }
        let more = self.owner.post("/api/keys", key).await;
        seen.note(more, 409, "too-many-keys");
        let options = RouterOptions {
            client_requests_per_minute: NonZeroU32::new(1),
            ..RouterOptions::default()
        };
        let strict = Hosted::with_options(self.platform.engine.clone(), options).await;
        let door = strict.client().tenant("north");
        door.get("/api/events").await.expect(200);
        let many = door.get("/api/events").await;
        seen.note(many, 429, "too-many-requests");
        let options = RouterOptions {
            authenticate: Some(Arc::new(Stuck)),
            request_timeout: Duration::ZERO,
            ..RouterOptions::default()
        };
        let hurried = Hosted::with_options(self.platform.engine.clone(), options).await;
        let door = hurried.client().tenant("north");
        seen.note(door.get("/api/bookings/me").await, 503, "unavailable");
        let body = json!({"eventId": "01k9zq5d3n8m2r7w4x6y0a1b2c", "numTickets": 1});
        let late = door.post("/api/bookings", body).await;
        seen.note(late, 503, "outcome-unknown");
    }
}

/// Never says who it is.
struct Stuck;

#[async_trait]
impl Authenticate for Stuck {
    async fn authenticate(&self, _: &HeaderMap) -> Result<Option<Caller>, Error> {
        std::future::pending().await
    }
}
