//! Goal: every route refuses whom and what it must: nobody, the wrong role, another tenant, a body that cannot be
//! read, an id that nobody has. And a new route cannot be forgotten here.
//!
//! Method: a table with one row per route, tried in each of those situations over the real router; at the end every
//! row is tried rightfully, in order, so that the table's own requests are known to be good. The table must hold
//! exactly what `/openapi.json` describes, and that must be what the router's own table routes, but for pages.

mod world;

use std::collections::BTreeSet;

use boxoffice_tests::{Account, Answer, Client, workspace_root};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::event_body;
use world::World;

/// Routes that are for people and machines of the installation, not part of the API: nothing to refuse there.
const PAGES: [&str; 18] = [
    "/openapi.json",
    "/docs",
    "/docs/docs.js",
    "/docs/pages.css",
    "/errors/{code}",
    // What these refuse is tried in `unsubscribe`.
    "/unsubscribe/{token}",
    "/unsubscribe/{token}/undo",
    // Tried in `metrics`.
    "/metrics",
    // What these refuse is tried in `dashboard`.
    "/admin/queues",
    "/admin/queues/queues.js",
    "/admin/queues/queues.css",
    "/admin/session",
    "/admin/session/refresh",
    "/api/admin/live",
    "/dev/mails",
    "/dev/mails.json",
    "/dev/mails/{name}",
    "/dev/mails/{name}/raw",
];

/// One route and what it must do.
struct Row {
    method: &'static str,
    /// As `/openapi.json` has it.
    path: &'static str,
    door: Door,
    /// The thing that the path names.
    thing: Thing,
    /// A body that is good, as JSON; its members are then spoilt one by one.
    body: Option<fn(&World) -> Value>,
    /// The status of the rightful request.
    succeeds: u16,
}

/// Who may pass.
#[derive(Clone, Copy, PartialEq)]
enum Door {
    /// Everybody; a token is not even looked at.
    Open,
    /// Everybody at the tenant's door; a token that is sent must be good.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Organizers; a customer gets this status.
    Organizer(u16),
    /// Owners and organizers; a customer is refused.
    Manager,
    /// Owners; an organizer is refused.
    Owner,
    /// The customer of the thing; another one gets this status.
    Customer(u16),
    /// Operators.
    Operator,
}

#[derive(Clone, Copy, PartialEq)]
enum Thing {
    None,
    Event,
    EmptyEvent,
    /// Sold out.
    FullEvent,
    Booking,
    Hold,
    OtherHold,
    Notification,
    Plugin,
    PluginVersion,
    Tenant,
    User,
    Delivery,
}

const ROWS: &[Row] = &[
    row("GET", "/health/live", Door::Open, Thing::None, None, 200),
    row("GET", "/health/ready", Door::Open, Thing::None, None, 200),
    // First: rows below call events off, and with them their notifications.
    row(
        "GET",
        "/api/admin/sight",
        Door::Manager,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/admin/notifications",
        Door::Manager,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/admin/notifications/{id}/failed",
        Door::Organizer(403),
        Thing::Notification,
        None,
        200,
    ),
    row(
        "GET",
        "/api/admin/failed",
        Door::Manager,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/admin/reasons",
        Door::Manager,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/admin/deliveries/{id}",
        Door::Organizer(403),
        Thing::Delivery,
        None,
        200,
    ),
    row(
        "POST",
        "/api/admin/searches",
        Door::Manager,
        Thing::None,
        Some(|_| json!({"text": "ann@north.test"})),
        200,
    ),
    row(
        "POST",
        "/api/admin/retries",
        Door::Manager,
        Thing::None,
        Some(|_| json!({"state": "dead", "reason": "550", "dryRun": true, "why": "a test"})),
        200,
    ),
    row(
        "POST",
        "/api/admin/notifications/{id}/pause",
        Door::Organizer(403),
        Thing::Notification,
        Some(|_| json!({"why": "a test"})),
        204,
    ),
    row(
        "POST",
        "/api/admin/notifications/{id}/resume",
        Door::Organizer(403),
        Thing::Notification,
        Some(|_| json!({"why": "a test"})),
        204,
    ),
    row(
        "POST",
        "/api/admin/notifications/{id}/cancel",
        Door::Organizer(403),
        Thing::Notification,
        Some(|_| json!({"why": "a test"})),
        204,
    ),
    row(
        "GET",
        "/api/admin/audit",
        Door::Owner,
        Thing::None,
        None,
        200,
    ),
    row(
        "POST",
        "/api/auth/register",
        Door::Open,
        Thing::None,
        Some(
            |_| json!({"email": "new@north.test", "name": "New", "password": Account::PASSWORD, "role": "customer"}),
        ),
        201,
    ),
    row(
        "POST",
        "/api/auth/login",
        Door::Open,
        Thing::None,
        Some(|_| json!({"email": "ann@north.test", "password": Account::PASSWORD})),
        200,
    ),
    row(
        "POST",
        "/api/auth/refresh",
        Door::Open,
        Thing::None,
        Some(|world| json!({"refreshToken": world.north.customer.refresh_token})),
        200,
    ),
    row(
        "POST",
        "/api/auth/logout",
        Door::Open,
        Thing::None,
        Some(|world| json!({"refreshToken": world.north.customer.refresh_token})),
        204,
    ),
    row(
        "GET",
        "/api/auth/me",
        Door::SignedIn,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/auth/me/subscriptions",
        Door::SignedIn,
        Thing::None,
        None,
        200,
    ),
    row(
        "PUT",
        "/api/auth/me/subscriptions",
        Door::SignedIn,
        Thing::None,
        Some(|_| json!({"unsubscribed": ["event-announcement"]})),
        200,
    ),
    row("GET", "/api/tenant", Door::Public, Thing::None, None, 200),
    row(
        "GET",
        "/api/tenant/settings",
        Door::Manager,
        Thing::None,
        None,
        200,
    ),
    row(
        "PATCH",
        "/api/tenant/settings",
        Door::Owner,
        Thing::None,
        Some(|_| {
            json!({
                "name": "North", "senderName": "North Hall", "replyTo": "help@north.test", "reminderMinutes": 60,
                "organizersMayRegister": true, "announcementsPerDay": 5,
            })
        }),
        200,
    ),
    row(
        "GET",
        "/api/tenant/suppressions",
        Door::Manager,
        Thing::None,
        None,
        200,
    ),
    row("GET", "/api/events", Door::Public, Thing::None, None, 200),
    row(
        "POST",
        "/api/events",
        Door::Organizer(403),
        Thing::None,
        Some(|_| event_body(json!({}))),
        201,
    ),
    row(
        "GET",
        "/api/events/{id}",
        Door::Public,
        Thing::Event,
        None,
        200,
    ),
    row(
        "PUT",
        "/api/events/{id}",
        Door::Organizer(403),
        Thing::EmptyEvent,
        Some(|_| event_body(json!({"notifyCustomers": false}))),
        200,
    ),
    row(
        "PATCH",
        "/api/events/{id}",
        Door::Organizer(403),
        Thing::EmptyEvent,
        Some(|_| json!({"title": "Blues Night", "notifyCustomers": false})),
        200,
    ),
    row(
        "DELETE",
        "/api/events/{id}",
        Door::Organizer(403),
        Thing::EmptyEvent,
        None,
        204,
    ),
    row(
        "GET",
        "/api/events/{id}/bookings",
        Door::Organizer(403),
        Thing::Event,
        None,
        200,
    ),
    row(
        "GET",
        "/api/bookings/{id}/tickets",
        Door::Customer(404),
        Thing::Booking,
        None,
        200,
    ),
    row(
        "POST",
        "/api/events/{id}/check-ins",
        Door::Organizer(403),
        Thing::Event,
        Some(|world| json!({"code": world.north.ticket_code})),
        201,
    ),
    row(
        "GET",
        "/api/events/{id}/check-ins",
        Door::Organizer(403),
        Thing::Event,
        None,
        200,
    ),
    row(
        "GET",
        "/api/events/{id}/check-ins.csv",
        Door::Organizer(403),
        Thing::Event,
        None,
        200,
    ),
    row(
        "POST",
        "/api/events/{id}/check-ins/undo",
        Door::Organizer(403),
        Thing::Event,
        Some(|world| json!({"ticketId": format!("{}.1", world.north.booking)})),
        200,
    ),
    row(
        "POST",
        "/api/events/{id}/waitlist",
        Door::SignedIn,
        Thing::FullEvent,
        Some(|_| json!({"numTickets": 1})),
        201,
    ),
    row(
        "GET",
        "/api/events/{id}/waitlist/me",
        Door::SignedIn,
        Thing::FullEvent,
        None,
        200,
    ),
    row(
        "DELETE",
        "/api/events/{id}/waitlist/me",
        Door::SignedIn,
        Thing::FullEvent,
        None,
        204,
    ),
    row(
        "GET",
        "/api/events/{id}/waitlist",
        Door::Organizer(403),
        Thing::FullEvent,
        None,
        200,
    ),
    row(
        "GET",
        "/api/events/{id}/waitlist/skips",
        Door::Organizer(403),
        Thing::FullEvent,
        None,
        200,
    ),
    row(
        "POST",
        "/api/events/{id}/announcements",
        Door::Organizer(403),
        Thing::Event,
        Some(|_| json!({"subject": "Doors open early", "message": "We open at six."})),
        201,
    ),
    row(
        "POST",
        "/api/holds",
        Door::SignedIn,
        Thing::None,
        Some(
            |world| json!({"eventId": world.north.event, "numTickets": 1, "expectedTotalMinor": 0}),
        ),
        201,
    ),
    row(
        "GET",
        "/api/holds/{id}",
        Door::Customer(404),
        Thing::Hold,
        None,
        200,
    ),
    row(
        "POST",
        "/api/holds/{id}/extend",
        Door::Customer(404),
        Thing::Hold,
        None,
        200,
    ),
    row(
        "POST",
        "/api/holds/{id}/confirm",
        Door::Customer(404),
        Thing::Hold,
        Some(|_| json!({"expectedTotalMinor": 0})),
        201,
    ),
    row(
        "POST",
        "/api/holds/{id}/release",
        Door::Customer(404),
        Thing::OtherHold,
        None,
        200,
    ),
    row(
        "POST",
        "/api/bookings",
        Door::SignedIn,
        Thing::None,
        Some(
            |world| json!({"eventId": world.north.event, "numTickets": 1, "expectedTotalMinor": 0}),
        ),
        201,
    ),
    row(
        "GET",
        "/api/bookings/me",
        Door::SignedIn,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/bookings/{id}",
        Door::Customer(404),
        Thing::Booking,
        None,
        200,
    ),
    row(
        "POST",
        "/api/bookings/{id}/cancel",
        Door::Customer(404),
        Thing::Booking,
        Some(|_| json!({})),
        200,
    ),
    row(
        "GET",
        "/api/notifications/{id}",
        Door::Organizer(403),
        Thing::Notification,
        None,
        200,
    ),
    row(
        "GET",
        "/api/notifications/{id}/deliveries",
        Door::Organizer(403),
        Thing::Notification,
        None,
        200,
    ),
    row(
        "GET",
        "/api/events/{id}/notifications",
        Door::Organizer(403),
        Thing::Event,
        None,
        200,
    ),
    row(
        "GET",
        "/api/bookings/{id}/deliveries",
        Door::Customer(404),
        Thing::Booking,
        None,
        200,
    ),
    row(
        "GET",
        "/api/users/{id}/deliveries",
        Door::Customer(404),
        Thing::User,
        None,
        200,
    ),
    row(
        "POST",
        "/api/events/{id}/cancel",
        Door::Organizer(403),
        Thing::Event,
        None,
        200,
    ),
    row("GET", "/api/plugins", Door::Owner, Thing::None, None, 200),
    row(
        "GET",
        "/api/plugins/versions",
        Door::Owner,
        Thing::None,
        None,
        200,
    ),
    // Its body is a component, which rows of this table cannot send: the right caller is asked for one.
    row(
        "POST",
        "/api/plugins/{id}/versions",
        Door::Owner,
        Thing::None,
        None,
        415,
    ),
    row(
        "GET",
        "/api/plugins/versions/{id}",
        Door::Owner,
        Thing::PluginVersion,
        None,
        200,
    ),
    // It is in use: the right caller is told so.
    row(
        "DELETE",
        "/api/plugins/versions/{id}",
        Door::Owner,
        Thing::PluginVersion,
        None,
        409,
    ),
    row(
        "POST",
        "/api/plugins/versions/{id}/dry-run",
        Door::Owner,
        Thing::PluginVersion,
        Some(
            |_| json!({"question": {"export": "render", "request": {"kind": "x", "locale": "en", "data": {}}}, "config": {}}),
        ),
        200,
    ),
    row(
        "POST",
        "/api/plugins/versions/{id}/replay",
        Door::Owner,
        Thing::PluginVersion,
        Some(|_| json!({"last": 10, "config": {}})),
        200,
    ),
    row(
        "POST",
        "/api/plugins/{id}/activate",
        Door::Owner,
        Thing::Plugin,
        Some(
            |world| json!({"version": world.north.plugin, "config": {"a": 1}, "whenNotLoaded": "refuse", "seesIdentity": false, "enabled": true, "position": 0}),
        ),
        200,
    ),
    row(
        "GET",
        "/api/plugins/{id}/logs",
        Door::Owner,
        Thing::Plugin,
        None,
        200,
    ),
    row(
        "GET",
        "/api/plugins/{id}/metrics",
        Door::Owner,
        Thing::Plugin,
        None,
        200,
    ),
    row(
        "GET",
        "/api/bookings/{id}/decision",
        Door::Owner,
        Thing::Booking,
        None,
        200,
    ),
    row(
        "POST",
        "/api/plugins/{id}/roll-back",
        Door::Owner,
        Thing::Plugin,
        Some(|_| json!({})),
        200,
    ),
    row(
        "POST",
        "/api/plugins/{id}/remove",
        Door::Owner,
        Thing::Plugin,
        Some(|_| json!({})),
        200,
    ),
    row(
        "POST",
        "/api/operator/login",
        Door::Open,
        Thing::None,
        Some(|_| json!({"email": "op@boxoffice.test", "password": Account::PASSWORD})),
        200,
    ),
    row(
        "POST",
        "/api/operator/tenants",
        Door::Operator,
        Thing::None,
        Some(
            |_| json!({"id": "west", "name": "West", "currency": "EUR", "organizersMayRegister": true}),
        ),
        201,
    ),
    row(
        "GET",
        "/api/operator/tenants",
        Door::Operator,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/operator/verification",
        Door::Operator,
        Thing::None,
        None,
        200,
    ),
    row(
        "PUT",
        "/api/operator/tenants/{tenant}/sender",
        Door::Operator,
        Thing::Tenant,
        Some(|_| json!({"mailFrom": "tickets@north.test"})),
        200,
    ),
    row(
        "POST",
        "/api/operator/tenants/{tenant}/users",
        Door::Operator,
        Thing::Tenant,
        Some(
            |_| json!({"email": "otto@north.test", "name": "Otto", "password": Account::PASSWORD, "role": "owner"}),
        ),
        201,
    ),
    row(
        "GET",
        "/api/operator/tenants/{tenant}/users",
        Door::Operator,
        Thing::Tenant,
        None,
        200,
    ),
];

const fn row(
    method: &'static str,
    path: &'static str,
    door: Door,
    thing: Thing,
    body: Option<fn(&World) -> Value>,
    succeeds: u16,
) -> Row {
    Row {
        method,
        path,
        door,
        thing,
        body,
        succeeds,
    }
}

#[tokio::test]
async fn the_table_holds_every_route() {
    let world = World::make().await;
    let document = world.north.door.get("/openapi.json").await.expect(200);
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys();
            methods
                .filter(|name| *name != "parameters")
                .map(|name| (name.to_uppercase(), path.clone()))
        })
        .collect();
    let tabled: BTreeSet<_> = ROWS
        .iter()
        .map(|row| (row.method.to_owned(), row.path.to_owned()))
        .collect();
    assert_eq!(
        described, tabled,
        "the OpenAPI document (left) and this test's table (right) differ"
    );

    let table = std::fs::read_to_string(workspace_root().join("host/src/routes/mod.rs"))
        .expect("the router's source");
    // The formatter may break the line after the bracket.
    let routes = table.split(".route(").skip(1).map(str::trim_start);
    let routed: BTreeSet<&str> = routes
        .filter_map(|rest| rest.strip_prefix('"')?.split('"').next())
        .collect();
    let known: BTreeSet<&str> = ROWS.iter().map(|row| row.path).chain(PAGES).collect();
    assert_eq!(
        routed, known,
        "the router's table (left) and what is described or a page (right) differ"
    );
}

#[tokio::test]
async fn nobody_passes_where_somebody_must_be_known() {
    let world = World::make().await;
    for row in ROWS {
        let answer = row
            .send(&world, &world.north.door, &world.thing(row.thing))
            .await;
        match row.door {
            Door::Open | Door::Public => assert_ne!(answer.status, 401, "{}", row.named(&answer)),
            _ => drop(answer.problem(401, "not-authenticated")),
        }
    }
}

#[tokio::test]
async fn other_roles_are_refused() {
    let world = World::make().await;
    for row in ROWS {
        let thing = world.thing(row.thing);
        let (client, status) = match row.door {
            Door::Open | Door::Public | Door::SignedIn => continue,
            Door::Organizer(status) => (&world.north.customer.client, status),
            Door::Manager => (&world.north.customer.client, 403),
            Door::Owner => (&world.north.organizer.client, 403),
            Door::Customer(status) => (&world.north.other_customer.client, status),
            Door::Operator => (&world.north.organizer.client, 403),
        };
        let code = if status == 403 {
            "forbidden"
        } else {
            "not-found"
        };
        row.send(&world, client, &thing).await.problem(status, code);
        if let Door::Organizer(status) = row.door {
            // An organizer of the same tenant who did not make the event is no better; making one's own is fine.
            let answer = row.send(&world, &world.north.rival.client, &thing).await;
            let allowed: &[u16] = if row.thing == Thing::None {
                &[201]
            } else {
                &[status, 404]
            };
            assert!(allowed.contains(&answer.status), "{}", row.named(&answer));
        }
    }
}

#[tokio::test]
async fn other_tenants_find_nothing_and_their_tokens_open_nothing() {
    let world = World::make().await;
    for row in ROWS.iter().filter(|row| row.door != Door::Open) {
        let thing = world.thing(row.thing);
        let south = match row.door {
            Door::Operator => continue,
            Door::Organizer(_) | Door::Manager => &world.south.organizer.client,
            Door::Owner => &world.south.owner.client,
            _ => &world.south.customer.client,
        };
        // Their token at this tenant's door.
        let answer = row.send(&world, &south.tenant("north"), &thing).await;
        answer.problem(401, "not-authenticated");
        // Their token at their own door, this tenant's thing.
        let names_a_thing =
            row.thing != Thing::None || ["/api/bookings", "/api/holds"].contains(&row.path);
        if names_a_thing {
            row.send(&world, south, &thing)
                .await
                .problem(404, "not-found");
        }
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_by_name() {
    let world = World::make().await;
    for row in ROWS {
        let Some(body) = row.body else { continue };
        let (client, thing, body) = (world.rightful(row), world.thing(row.thing), body(&world));
        let raw = |content_type: &str, text: &str| {
            let request = row
                .request(client, &thing)
                .header("Content-Type", content_type)
                .body(text.to_owned());
            Answer::of(request)
        };
        for text in ["", "{", "{\"", "\u{0}", "nonsense"] {
            raw("application/json", text)
                .await
                .problem(400, "malformed-request");
        }
        for text in ["[]", "7", "null", "\"text\""] {
            raw("application/json", text)
                .await
                .problem(422, "field-invalid");
        }
        raw("text/plain", &body.to_string())
            .await
            .problem(415, "unsupported-media-type");
        raw("application/json", &" ".repeat((1 << 20) + 1))
            .await
            .problem(413, "body-too-large");
        let mut unknown = body.clone();
        unknown["colour"] = json!("red");
        raw("application/json", &unknown.to_string())
            .await
            .problem(422, "unknown-field")
            .at_field("colour");
        for name in body.as_object().expect("an object").keys() {
            let mut spoilt = body.clone();
            spoilt[name] = json!([{"deep": true}]);
            let answer = raw("application/json", &spoilt.to_string()).await;
            let problem = answer.problem(422, "field-invalid");
            let field = problem.member("field").as_str().unwrap_or_default();
            // A list is at fault at its first item.
            let at_own = field == name || field == format!("{name}[0]");
            assert!(at_own, "{}", row.named(&answer));
        }
    }
}

#[tokio::test]
async fn ids_that_nobody_has_are_not_found() {
    let world = World::make().await;
    let long = "x".repeat(1000);
    for row in ROWS.iter().filter(|row| row.thing != Thing::None) {
        let of_no_one: &[&str] = match row.thing {
            // Well-formed, and of nobody.
            Thing::Booking | Thing::Hold | Thing::OtherHold => {
                &["AZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ"]
            }
            Thing::Tenant => &["nowhere"],
            Thing::Delivery => &["01jzzzzzzzzzzzzzzzzzzzzzzz.0-0"],
            Thing::Plugin => &["unknown"],
            Thing::PluginVersion => {
                &["00000000000000000000000000000000000000000000000000000000000000aa"]
            }
            _ => &["01jzzzzzzzzzzzzzzzzzzzzzzz"],
        };
        let nonsense = [
            "nonsense",
            "%00",
            "%27%20OR%201%3D1",
            "..%2F..",
            "%F0%9F%8E%AB",
            &long,
        ];
        for id in of_no_one.iter().chain(&nonsense) {
            let answer = row.send(&world, world.rightful(row), id).await;
            assert!(
                [404, 422].contains(&answer.status),
                "{}",
                row.named(&answer)
            );
            if of_no_one.contains(id) {
                answer.problem(404, "not-found");
            }
        }
    }
}

#[tokio::test]
async fn rightful_requests_pass() {
    let world = World::make().await;
    for row in ROWS {
        let answer = row
            .send(&world, world.rightful(row), &world.thing(row.thing))
            .await;
        assert_eq!(answer.status, row.succeeds, "{}", row.named(&answer));
        let id = answer.header("x-request-id");
        assert!(
            !id.is_empty(),
            "every answer carries a request id: {}",
            row.named(&answer)
        );
    }
}

impl Row {
    fn request(&self, client: &Client, thing: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(self.method.as_bytes()).expect("a method");
        // Where something is made under a name of the caller's, any name does.
        let thing = if thing.is_empty() { "new" } else { thing };
        let path = self.path.replace("{id}", thing).replace("{tenant}", thing);
        let request = client.request(method, &path);
        match self.method {
            // Settings have a version of their own.
            _ if self.path == "/api/tenant/settings" => request.header("If-Match", "\"1\""),
            // The events of the table are changed at most twice, in the order of the table.
            "PUT" => request.header("If-Match", "\"1\""),
            "PATCH" => request.header("If-Match", "\"2\""),
            "DELETE" => request.header("If-Match", "\"3\""),
            _ => request,
        }
    }

    async fn send(&self, world: &World, client: &Client, thing: &str) -> Answer {
        let request = self.request(client, thing);
        let body = self.body.map(|body| body(world));
        Answer::of(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    fn named(&self, answer: &Answer) -> String {
        format!(
            "{} {} answered {}: {}",
            self.method, self.path, answer.status, answer.text
        )
    }
}

impl World {
    /// Who may do it.
    fn rightful(&self, row: &Row) -> &Client {
        match row.door {
            Door::Open | Door::Public => &self.north.door,
            Door::SignedIn | Door::Customer(_) => &self.north.customer.client,
            Door::Organizer(_) | Door::Manager => &self.north.organizer.client,
            Door::Owner => &self.north.owner.client,
            Door::Operator => &self.operator,
        }
    }

    fn thing(&self, thing: Thing) -> String {
        match thing {
            Thing::None => String::new(),
            Thing::Event => self.north.event.clone(),
            Thing::EmptyEvent => self.north.empty_event.clone(),
            Thing::FullEvent => self.north.full_event.clone(),
            Thing::Booking => self.north.booking.clone(),
            Thing::Hold => self.north.hold.clone(),
            Thing::OtherHold => self.north.other_hold.clone(),
            Thing::Notification => self.north.notification.clone(),
            Thing::Plugin => "plugin-north".to_owned(),
            Thing::PluginVersion => self.north.plugin.clone(),
            Thing::Tenant => "north".to_owned(),
            Thing::User => self.north.customer.id.clone(),
            Thing::Delivery => self.north.delivery.clone(),
        }
    }
}
