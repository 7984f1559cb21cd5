//! Goal: a quote says what a booking costs at that moment, for whom it is asked, and changes nothing; what a booking would be refused
//! for, a quote is refused for.
//!
//! Method: random orders of several types under a policy that prices by customer and quantity, each quoted and then booked at the
//! quoted total; the seed is printed. A hundredth of the rounds of the long form.

use async_trait::async_trait;
use boxoffice_engine::{
    EngineBuilder, UserRole,
    ports::{BookingView, Decision, HookFailure, Policy},
};
use boxoffice_tests::{
    Client, Component,
    api::{Api, path_of, text},
    is_long_run, plugin_host, plugin_settings, put_into_use, seeded,
};
use rand::Rng as _;
use serde_json::{Value, json};

/// Takes a tenth off from the third ticket on, and refuses thirteen.
struct Bulk;

#[async_trait]
impl Policy for Bulk {
    async fn validate_booking(&self, request: &BookingView) -> Result<Decision, HookFailure> {
        let wanted: u32 = request.lines.iter().map(|line| line.quantity).sum();
        if wanted == 13 {
            return Ok(Decision::Reject {
                code: "unlucky".to_owned(),
                reason: "Not thirteen.".to_owned(),
            });
        }
        let taken = request.customer.tickets_in_event + wanted;
        let price = |minor: u32| if taken > 2 { minor - minor / 10 } else { minor };
        let lines = request.lines.iter();
        Ok(Decision::Adjust {
            unit_prices_minor: lines.map(|line| price(line.unit_price_minor)).collect(),
            messages: vec![format!("{taken} in all")],
            claims: Vec::new(),
        })
    }
}

async fn quote(client: &Client, body: &Value) -> boxoffice_tests::Answer {
    client.post("/api/quotes", body.clone()).await
}

async fn event(api: &Api) -> Value {
    let types = json!([
        {"name": "Hall", "capacity": 1_000_000, "priceMinor": 2_550},
        {"name": "Balcony", "capacity": 1_000_000, "priceMinor": 999},
        {"name": "Box", "capacity": 6, "priceMinor": 9_000, "maxPerBooking": 3},
    ]);
    api.event(json!({"totalTickets": null, "ticketTypes": types}))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_is_what_a_booking_costs() {
    let runtime = plugin_host(plugin_settings());
    let describe = |builder: EngineBuilder| builder.policy(Bulk).plugins(runtime);
    let api = Api::with(describe).await;
    let owner = boxoffice_engine::Caller::platform("north");
    let plugin = Component::at_most(1_000_000);
    put_into_use(&api.platform.engine, &owner, "most", &plugin).await;
    let event = event(&api).await;
    let client = &api.customer.client;
    let mut random = seeded();
    let rounds = if is_long_run() { 10_000 } else { 100 };
    let mut refused = 0;
    for _ in 0..rounds {
        let mut lines = Vec::new();
        for kind in event["ticketTypes"].as_array().expect("types") {
            let quantity = random.random_range(0..6_u32);
            if quantity > 0 {
                lines.push(json!({"ticketType": kind["id"], "quantity": quantity}));
            }
        }
        if lines.is_empty() {
            continue;
        }
        let mut body = json!({"eventId": event["id"], "lines": lines});
        let quoted = quote(client, &body).await;
        if quoted.status != 200 {
            // The booking is refused for the same reason.
            let booked = client.post("/api/bookings", body).await;
            assert_eq!(
                booked.status, quoted.status,
                "{} {}",
                booked.text, quoted.text
            );
            assert_eq!(booked.json()["code"], quoted.json()["code"]);
            refused += 1;
            continue;
        }
        let quoted = quoted.expect(200);
        body["expectedTotalMinor"] = quoted["totalMinor"].clone();
        let booked = client.post("/api/bookings", body).await.expect(201);
        for same in ["lines", "totalMinor", "currency", "messages", "numTickets"] {
            assert_eq!(booked[same], quoted[same], "{same}");
        }
    }
    assert!(refused > 0 && refused < rounds, "{refused} of {rounds}");
    // Quotes left nothing behind.
    let booked: u64 = client
        .all("/api/bookings/me")
        .await
        .iter()
        .map(|booking| booking["numTickets"].as_u64().expect("a number"))
        .sum();
    assert_eq!(api.seen(&event).await["ticketsSold"], json!(booked));
    boxoffice_tests::assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_that_something_overtook_is_seen_by_its_total() {
    let api = Api::with(|builder| builder.policy(Bulk)).await;
    let event = event(&api).await;
    let hall = &event["ticketTypes"][0]["id"];
    let client = &api.customer.client;
    let lines = json!([{"ticketType": hall, "quantity": 2}]);
    let mut body = json!({"eventId": event["id"], "lines": lines});
    let quoted = quote(client, &body).await.expect(200);
    assert_eq!(quoted["totalMinor"], 5_100);
    assert_eq!(quoted["customerId"], json!(api.customer.id));
    client.post("/api/bookings", body.clone()).await.expect(201);
    // With two tickets already, the next ones are cheaper.
    body["expectedTotalMinor"] = quoted["totalMinor"].clone();
    let refused = client.post("/api/bookings", body.clone()).await;
    refused.problem(409, "price-changed");
    body.as_object_mut()
        .expect("members")
        .remove("expectedTotalMinor");
    assert_eq!(quote(client, &body).await.expect(200)["totalMinor"], 4_590);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_ask_for_whom() {
    let api = Api::with(|builder| builder.policy(Bulk)).await;
    let tenant = boxoffice_engine::TenantId::parse("north").expect("a tenant");
    api.platform.user(&tenant, "owen", UserRole::Owner).await;
    let owner = api.door.login("owen@north.test").await.client;
    let rival = api
        .door
        .register("rita@north.test", "organizer")
        .await
        .client;
    let event = event(&api).await;
    let hall = &event["ticketTypes"][0]["id"];
    let lines = json!([{"ticketType": hall, "quantity": 1}]);
    let own = json!({"eventId": event["id"], "lines": lines});
    let mut theirs = own.clone();
    theirs["customerId"] = json!(api.customer.id);
    let key = json!({"name": "Till", "scopes": ["bookings:read"]});
    let made = owner.post("/api/keys", key).await.expect(201);
    let till = api.door.token(text(&made["secret"]));
    for seller in [&owner, &api.organizer.client, &till] {
        let quoted = quote(seller, &theirs).await.expect(200);
        assert_eq!(quoted["customerId"], json!(api.customer.id));
        assert_eq!(quoted["totalMinor"], 2_550);
    }
    quote(&rival, &theirs).await.problem(403, "forbidden");
    let program = quote(&till, &own).await;
    program.problem(422, "field-invalid").at_field("customerId");
    theirs["customerId"] = json!("01hzy0000000000000000000ab");
    let nobody = quote(&owner, &theirs).await;
    nobody.problem(422, "field-invalid").at_field("customerId");
    quote(&api.door, &own)
        .await
        .problem(401, "not-authenticated");
    let mut many = own.clone();
    many["lines"][0]["quantity"] = json!(0);
    let refused = quote(&owner, &many).await;
    refused
        .problem(422, "field-invalid")
        .at_field("lines[0].quantity");
    let draft = api.event(json!({"status": "draft"})).await;
    let hidden = json!({"eventId": draft["id"], "numTickets": 1});
    quote(&api.customer.client, &hidden)
        .await
        .problem(404, "not-found");
    let cancel = format!("{}/cancel", path_of(&event));
    api.organizer.client.post_empty(&cancel).await.expect(200);
    let over = quote(&api.customer.client, &own).await;
    over.problem(409, "event-cancelled");
}
