//! Goal: every route refuses whom and what it must: nobody, the wrong role, another tenant, a body that cannot be
//! read, an id that nobody has. And a new route cannot be forgotten here.
//!
//! Method: a table with one row per route, tried in each of those situations over the real router; at the end every
//! row is tried rightfully, in order, so that the table's own requests are known to be good. The table must hold
//! exactly what `/openapi.json` describes; all that the router routes beside it must be a page.

mod description;
mod keys;
mod lists;
mod rights;
mod rows;
mod world;

use std::collections::BTreeSet;

use boxoffice_tests::{Answer, workspace_root};
use serde_json::json;

use rows::{Door, Thing, rows};
use world::Context;

/// Routes that are for people and machines of the installation, not part of the API: nothing to refuse there.
const PAGES: [&str; 26] = [
    "/",
    "/openapi.json",
    "/docs",
    "/docs/{file}",
    "/errors/{code}",
    // What these refuse is tried in `unsubscribe`.
    "/unsubscribe/{token}",
    "/unsubscribe/{token}/undo",
    // And these, in `ticket_pages`.
    "/tickets/{token}",
    "/tickets/{token}/{file}",
    // And what this one does, in `verification`.
    "/verify/{token}",
    // Tried in `passwords` and `accounts`.
    "/password/{token}",
    "/email/{token}",
    "/invitation/{token}",
    // Tried in `plugin_push`.
    "/api/plugins/versions/versions",
    // Tried in `metrics`.
    "/metrics",
    // What these refuse is tried in `dashboard`.
    "/admin",
    "/admin/{section}",
    "/admin/assets/{file}",
    "/admin/session",
    "/admin/session/refresh",
    "/api/admin/live",
    // Tried in `changes::doors`.
    "/api/changes/stream",
    "/dev/mails",
    "/dev/mails.json",
    "/dev/mails/{name}",
    "/dev/mails/{name}/raw",
];

#[tokio::test]
async fn the_table_holds_every_route() {
    let world = Context::make().await;
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
    let tabled: BTreeSet<_> = rows()
        .map(|row| (row.method.to_owned(), row.path.to_owned()))
        .collect();
    assert_eq!(
        described, tabled,
        "the OpenAPI document (left) and this test's table (right) differ"
    );

    // Operations are routed by `routes!`, as they are described. All that is routed by hand must be a page.
    let table = ["mod.rs", "api.rs"].map(|name| {
        let path = workspace_root().join("host/src/routes").join(name);
        std::fs::read_to_string(path).expect("the router's source")
    });
    // The formatter may break the line after the bracket.
    let by_hand = table
        .iter()
        .flat_map(|table| table.split(".route(").skip(1));
    let by_hand: BTreeSet<&str> = by_hand
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .collect();
    assert_eq!(
        by_hand,
        BTreeSet::from(PAGES),
        "what the router routes by hand (left) and the pages (right) differ"
    );
}

#[tokio::test]
async fn nobody_passes_where_somebody_must_be_known() {
    let world = Context::make().await;
    for row in rows() {
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
    let world = Context::make().await;
    for row in rows() {
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
    let world = Context::make().await;
    for row in rows().filter(|row| row.door != Door::Open) {
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
        let names_a_thing = row.thing.must_exist()
            || ["/api/bookings", "/api/holds", "/api/quotes"].contains(&row.path);
        if names_a_thing {
            row.send(&world, south, &thing)
                .await
                .problem(404, "not-found");
        }
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_by_name() {
    let world = Context::make().await;
    for row in rows() {
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
            // An object would be read to its end in a list of objects, and its member refused as unknown.
            let is_list = body[name].is_array();
            spoilt[name] = if is_list {
                json!([7])
            } else {
                json!([{"deep": true}])
            };
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
    let world = Context::make().await;
    let long = "x".repeat(1000);
    for row in rows().filter(|row| row.thing.must_exist()) {
        let of_no_one: &[&str] = match row.thing {
            // Well-formed, and of nobody.
            Thing::Ticket | Thing::OtherTicket => {
                &["AZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ.1"]
            }
            Thing::Booking | Thing::Hold | Thing::OtherHold | Thing::PricedHold => {
                &["AZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ"]
            }
            Thing::Tenant => &["nowhere"],
            Thing::Delivery => &["01jzzzzzzzzzzzzzzzzzzzzzzz.0-0"],
            Thing::Operator => &["nobody@boxoffice.test"],
            Thing::Plugin | Thing::LaneTo(_) => &["unknown"],
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
    let world = Context::make().await;
    for row in rows() {
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
        // What was made stands where the answer says.
        if answer.status == 201 {
            let location = answer.header("location");
            assert!(!location.is_empty(), "{}", row.named(&answer));
        }
    }
}
