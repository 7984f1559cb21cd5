//! Goal: organizers, owners, staff and programs sell to somebody else, and nobody else does; a guest's tickets belong to who
//! confirms the address, and to nobody before; what is complimentary costs nothing once the policies agreed.
//!
//! Method: the real router and worker over an engine in memory; addresses are confirmed by the links of mails that were
//! really sent; a native policy of the platform.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use boxoffice_engine::{
    EngineBuilder, SalesChannel, Seller, UserRole,
    ports::{BookingView, Decision, HookFailure, Policy},
};
use boxoffice_tests::{
    Account, Client, EventFixture, OWN_PASSWORD,
    api::{Api, path_of, text},
    assert_verified,
};
use serde_json::{Value, json};

/// A policy that remembers who sold through which channel, doubles prices, and says no to more than three.
#[derive(Default, Clone)]
struct Watching(Arc<Mutex<Vec<(SalesChannel, Option<Seller>)>>>);

#[async_trait]
impl Policy for Watching {
    async fn validate_booking(&self, request: &BookingView) -> Result<Decision, HookFailure> {
        let mut seen = self.0.lock().expect("no test panics here");
        seen.push((request.channel, request.seller));
        if request.lines[0].quantity > 3 {
            return Ok(Decision::Reject {
                code: "too-many".to_owned(),
                reason: "At most three.".to_owned(),
            });
        }
        Ok(Decision::Adjust {
            unit_prices_minor: vec![request.lines[0].unit_price_minor * 2],
            messages: Vec::new(),
            claims: Vec::new(),
        })
    }
}

fn sale(event: &Value, customer: Value) -> Value {
    json!({"eventId": event["id"], "numTickets": 1, "customer": customer})
}

async fn key(owner: &Account, door: &Client, scopes: &[&str]) -> (Client, Value) {
    let body = json!({"name": "Till", "scopes": scopes});
    let made = owner.client.post("/api/keys", body).await.expect(201);
    (door.token(text(&made["secret"])), made["id"].clone())
}

#[tokio::test]
async fn those_who_look_after_an_event_sell_and_nobody_else_does() {
    let api = Api::start().await;
    let tenant = boxoffice_engine::TenantId::parse("north").expect("a tenant");
    for (name, role) in [("owen", UserRole::Owner), ("stan", UserRole::Staff)] {
        api.platform.user(&tenant, name, role).await;
    }
    let south = api.platform.tenant("south").await;
    api.platform.user(&south, "sid", UserRole::Staff).await;
    let owner = api.door.login("owen@north.test").await;
    let staff = api.door.login("stan@north.test").await;
    let rival = api.door.register("rita@north.test", "organizer").await;
    let foreign = api.door.tenant("south").login("sid@south.test").await;
    let (till, till_id) = key(&owner, &api.door, &["bookings:write", "holds"]).await;
    let (poor, _) = key(&owner, &api.door, &["bookings:read"]).await;
    let event = api.event(json!({})).await;
    let ann = json!({"id": api.customer.id});
    for (client, sold_by) in [
        (
            &api.organizer.client,
            json!({"userId": api.organizer.id, "keyId": null}),
        ),
        (&owner.client, json!({"userId": owner.id, "keyId": null})),
        (&staff.client, json!({"userId": staff.id, "keyId": null})),
        (&till, json!({"userId": null, "keyId": till_id})),
    ] {
        let sold = client
            .post("/api/bookings", sale(&event, ann.clone()))
            .await;
        let sold = sold.expect(201);
        assert_eq!(sold["customerId"], json!(api.customer.id));
        assert_eq!(
            (&sold["channel"], &sold["soldBy"]),
            (&json!("sold"), &sold_by)
        );
        let cancel = format!("/api/bookings/{}/cancel", text(&sold["id"]));
        let over = client.post_empty(&cancel).await.expect(200);
        assert_eq!(over["cancelledBy"], "organizer");
    }
    // The customer sees that it was sold, and not by whom.
    let mine = api.customer.client.all("/api/bookings/me").await;
    assert_eq!(mine.len(), 4);
    assert!(
        mine.iter()
            .all(|one| one["channel"] == "sold" && one["soldBy"].is_null())
    );

    let ben = json!({"name": "Ben", "email": "ben@north.test"});
    for route in ["/api/bookings", "/api/holds"] {
        for customer in [&ann, &ben] {
            let body = sale(&event, customer.clone());
            for client in [&api.customer.client, &rival.client, &poor] {
                let refused = client.post(route, body.clone()).await;
                refused.problem(403, "forbidden");
            }
            let refused = foreign.client.post(route, body.clone()).await;
            refused.problem(404, "not-found");
            let refused = api.door.post(route, body).await;
            refused.problem(401, "not-authenticated");
        }
        let nobody = json!({"eventId": event["id"], "numTickets": 1});
        let refused = till.post(route, nobody).await;
        refused.problem(422, "field-invalid").at_field("customer");
        for (customer, field) in [
            (json!({}), "customer"),
            (
                json!({"id": api.customer.id, "email": "a@b.test"}),
                "customer",
            ),
            (json!({"name": "Ben"}), "customer"),
            (json!({"id": foreign.id}), "customer.id"),
            (json!({"id": "x"}), "customer.id"),
            (json!({"externalId": "none"}), "customer.externalId"),
            (
                json!({"name": "", "email": "ben@north.test"}),
                "customer.name",
            ),
            (json!({"name": "Ben", "email": "x"}), "customer.email"),
        ] {
            let refused = till.post(route, sale(&event, customer)).await;
            refused.problem(422, "field-invalid").at_field(field);
        }
    }
    // A platform's ids may be numbers in a row.
    let body = sale(&event, json!({"externalId": "1"}));
    let refused = api.organizer.client.post("/api/bookings", body).await;
    refused.problem(403, "forbidden");
    assert_eq!(api.seen(&event).await["ticketsSold"], 0);
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn holds_are_sold_extended_confirmed_and_released() {
    let api = Api::start().await;
    let tenant = boxoffice_engine::TenantId::parse("north").expect("a tenant");
    api.platform.user(&tenant, "owen", UserRole::Owner).await;
    let owner = api.door.login("owen@north.test").await;
    let (till, _) = key(&owner, &api.door, &["holds"]).await;
    let event = api.event(json!({})).await;
    let body = sale(&event, json!({"name": "Gus", "email": "gus@north.test"}));
    let hold = till.post("/api/holds", body.clone()).await.expect(201);
    assert_eq!(hold["channel"], "sold");
    till.post("/api/holds", body.clone())
        .await
        .problem(409, "hold-exists");
    let path = format!("/api/holds/{}", text(&hold["id"]));
    api.customer
        .client
        .get(&path)
        .await
        .problem(404, "not-found");
    let confirm = format!("{path}/confirm");
    let refused = api.customer.client.post_empty(&confirm).await;
    refused.problem(404, "not-found");
    till.post_empty(&format!("{path}/extend")).await.expect(200);
    let booking = till.post_empty(&confirm).await.expect(201);
    assert_eq!(
        (&booking["channel"], &booking["id"]),
        (&json!("sold"), &hold["id"])
    );
    let second = till.post("/api/holds", body).await.expect(201);
    let release = format!("/api/holds/{}/release", text(&second["id"]));
    assert_eq!(
        till.post_empty(&release).await.expect(200)["status"],
        "released"
    );
    // Repeated under its key, nothing is sold twice; with another customer it is another request.
    let body = sale(&event, json!({"name": "Gus", "email": "gus@north.test"}));
    let seller = &api.organizer.client;
    let first = seller
        .post_once("/api/bookings", "one", body.clone())
        .await
        .expect(201);
    let again = seller
        .post_once("/api/bookings", "one", body)
        .await
        .expect(201);
    assert_eq!(first["id"], again["id"]);
    let other = sale(&event, json!({"name": "Eve", "email": "eve@north.test"}));
    let refused = seller.post_once("/api/bookings", "one", other).await;
    refused.problem(422, "idempotency-key-reused");
    assert_eq!(api.seen(&event).await["ticketsSold"], 2);
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn policies_run_as_ever_and_what_is_complimentary_costs_nothing_after_them() {
    let policy = Watching::default();
    let own = policy.clone();
    let api = Api::with(move |builder: EngineBuilder| builder.policy(own)).await;
    let event = api.event(json!({"totalTickets": null, "ticketTypes": [
        {"name": "Hall", "capacity": 20, "priceMinor": 1500},
    ]}));
    let event = event.await;
    let seller = &api.organizer.client;
    let customer = json!({"name": "Gus", "email": "gus@north.test"});
    let paid = seller
        .post("/api/bookings", sale(&event, customer.clone()))
        .await;
    assert_eq!(paid.expect(201)["totalMinor"], 3000);
    let mut body = sale(&event, customer.clone());
    body["complimentary"] = json!("A friend of the house");
    let free = seller.post("/api/bookings", body.clone()).await.expect(201);
    assert_eq!(free["totalMinor"], 0);
    assert_eq!(free["complimentary"], "A friend of the house");
    body["numTickets"] = json!(4);
    let refused = seller.post("/api/bookings", body.clone()).await;
    refused.problem(409, "policy-rejected");
    for reason in ["", &"x".repeat(201)] {
        body["complimentary"] = json!(reason);
        let refused = seller.post("/api/bookings", body.clone()).await;
        refused
            .problem(422, "field-invalid")
            .at_field("complimentary");
    }
    let mut alone = json!({"eventId": event["id"], "numTickets": 1});
    alone["complimentary"] = json!("Me");
    let refused = api.customer.client.post("/api/bookings", alone).await;
    refused
        .problem(422, "field-invalid")
        .at_field("complimentary");
    api.book(&event, 1).await;
    let seen = policy.0.lock().expect("no test panics here").clone();
    let user = Some(Seller::User(api.organizer.id.parse().expect("an id")));
    assert_eq!(seen[0], (SalesChannel::Sold, user));
    assert_eq!(seen[seen.len() - 1], (SalesChannel::Own, None));
    let tenant = boxoffice_engine::TenantId::parse("north").expect("a tenant");
    api.platform.user(&tenant, "owen", UserRole::Owner).await;
    let owner = api.door.login("owen@north.test").await;
    let decision = format!("/api/bookings/{}/decision", text(&free["id"]));
    let decision = owner.client.get(&decision).await.expect(200);
    assert_eq!(decision["complimentary"], "A friend of the house");
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guests_tickets_belong_to_whoever_confirms_the_address() {
    let house = EventFixture::open(true).await;
    let seller = &house.owner.client;
    // Somebody has signed up with the address, and never confirmed it.
    let squatter = house.door.register("gus@north.test", "customer").await;
    house.platform.owes(1);
    let customer = json!({"name": "Gus", "email": "gus@north.test"});
    let sold = seller
        .post("/api/bookings", sale(&house.event, customer.clone()))
        .await;
    let sold = sold.expect(201);
    house.platform.owes(1);
    let again = seller
        .post("/api/bookings", sale(&house.event, customer.clone()))
        .await;
    assert_eq!(
        again.expect(201)["customerId"],
        sold["customerId"],
        "one guest"
    );
    house.platform.owes(1);
    assert_ne!(sold["customerId"], json!(squatter.id));
    let path = format!("/api/bookings/{}", text(&sold["id"]));
    squatter.client.get(&path).await.problem(404, "not-found");
    assert!(squatter.client.all("/api/bookings/me").await.is_empty());

    // The mail says who booked, and nothing that a stranger chose.
    let mails = house.platform.settle().await;
    let mut of_gus = mails.iter().filter(|mail| mail.is_to("gus@north.test"));
    let mail = of_gus.find(|mail| mail.subject.starts_with("Your booking"));
    let mail = mail.expect("a confirmation");
    assert!(mail.text.contains("booked this for you"), "{}", mail.text);
    assert!(mail.text.contains("North Stage"), "{}", mail.text);
    assert!(!mail.text.contains("Gus"), "{}", mail.text);

    // A guest has no password to sign in with.
    let login = json!({"email": "gus@north.test", "password": ""});
    let refused = house.door.post("/api/auth/login", login).await;
    assert!([401, 422].contains(&refused.status), "{}", refused.text);

    let link = house.links(&squatter).await.remove(0);
    let confirmed = house.confirm(&link, OWN_PASSWORD).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    let gus = house.door.login("gus@north.test").await;
    let mine = gus.client.all("/api/bookings/me").await;
    assert_eq!(mine.len(), 2, "{mine:?}");
    gus.client.get(&path).await.expect(200);
    let tickets = gus.client.get(&format!("{path}/tickets")).await.expect(200);
    assert_eq!(tickets["items"].as_array().map(Vec::len), Some(1));
    let over = gus
        .client
        .post_empty(&format!("{path}/cancel"))
        .await
        .expect(200);
    assert_eq!(over["cancelledBy"], "customer");
    house.platform.owes(1);
    // What is sold to the address from now on is theirs.
    let third = seller
        .post("/api/bookings", sale(&house.event, customer))
        .await;
    assert_eq!(third.expect(201)["customerId"], json!(gus.id));
    house.platform.owes(1);
    assert_eq!(gus.client.all("/api/bookings/me").await.len(), 3);
    let found = format!(
        "{}/bookings?customer=gus%40north.test",
        path_of(&house.event)
    );
    let found = seller.get(&found).await.expect(200);
    assert_eq!(found["items"].as_array().map(Vec::len), Some(3));
    house.platform.settle().await;
    assert_verified(&house.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organizer_without_a_confirmed_address_sells_to_nobody() {
    let house = EventFixture::open(true).await;
    let olga = house.door.register("olga@north.test", "organizer").await;
    house.platform.owes(1);
    let event = boxoffice_tests::api::event_body(json!({"title": "Buy my pills"}));
    let event = olga.client.post("/api/events", event).await.expect(201);
    let body = sale(&event, json!({"name": "Gus", "email": "gus@north.test"}));
    let refused = olga.client.post("/api/bookings", body.clone()).await;
    refused.problem(403, "email-unconfirmed");
    let link = house.links(&olga).await.remove(0);
    house.confirm(&link, OWN_PASSWORD).await;
    olga.client.post("/api/bookings", body).await.expect(201);
    house.platform.owes(1);
    house.platform.settle().await;
}
