//! Goal: the API says what a payment is for, what its provider told, and where its money is; to those who keep the books alone.
//!
//! Method: the real router over an engine in memory; an owner, an organizer, a customer, and programs with and without the scopes.

use boxoffice_engine::{TenantId, UserRole};
use boxoffice_tests::{
    Answer, Client,
    api::{Api, path_of, text},
    assert_verified,
};
use serde_json::{Value, json};

struct Till {
    api: Api,
    owner: Client,
    event: Value,
}

impl Till {
    async fn open() -> Self {
        let api = Api::start().await;
        let tenant = TenantId::parse("north").expect("a tenant");
        api.platform.user(&tenant, "owen", UserRole::Owner).await;
        let owner = api.door.login("owen@north.test").await.client;
        let types = json!([{"name": "Hall", "capacity": 20, "priceMinor": 1250}]);
        let event = api
            .event(json!({"totalTickets": null, "ticketTypes": types}))
            .await;
        Self { api, owner, event }
    }

    async fn hold(&self, quantity: u32) -> Value {
        let body = json!({"eventId": self.event["id"], "numTickets": quantity});
        let customer = &self.api.customer.client;
        customer.post("/api/holds", body).await.expect(201)
    }
}

/// Opens a payment for a hold, with these members changed.
async fn open(client: &Client, hold: &Value, changes: Value) -> Answer {
    let mut body = json!({
        "provider": "acme", "reference": "pay-1", "amountMinor": hold["totalMinor"], "currency": "EUR",
    });
    boxoffice_tests::api::merge(&mut body, changes);
    let path = format!("/api/holds/{}/payments", text(&hold["id"]));
    client.post(&path, body).await
}

async fn tell(client: &Client, what: &str, changes: Value) -> Answer {
    let mut body =
        json!({"noticeId": "evt-1", "amountMinor": 2500, "at": "2026-12-01T13:00:00+01:00"});
    boxoffice_tests::api::merge(&mut body, changes);
    let path = format!("/api/payments/acme/{what}");
    client.post(&path, body).await
}

#[tokio::test]
async fn a_capture_of_a_held_hold_is_its_booking_and_repeats_change_nothing() {
    let till = Till::open().await;
    let hold = till.hold(2).await;
    let opened = open(&till.owner, &hold, json!({})).await;
    assert_eq!(opened.header("location"), "/api/payments/acme/pay-1");
    let opened = opened.expect(201);
    let expected = json!({
        "id": opened["id"],
        "provider": "acme",
        "reference": "pay-1",
        "status": "open",
        "holdId": hold["id"],
        "eventId": till.event["id"],
        "customerId": till.api.customer.id,
        "bookingId": null,
        "numTickets": 2,
        "lines": hold["lines"],
        "totalMinor": 2500,
        "currency": "EUR",
        "capturedMinor": 0,
        "keptMinor": 0,
        "toRefundMinor": 0,
        "refundedMinor": 0,
        "pendingMinor": 0,
        "unmatchedMinor": 0,
        "refusal": null,
        "notices": [],
        "refunds": [],
        "createdAt": "2026-12-01T12:00:00Z",
    });
    assert_eq!(opened, expected);
    let again = open(&till.owner, &hold, json!({})).await.expect(201);
    assert_eq!(again, opened);

    let booked = tell(&till.owner, "pay-1/captured", json!({})).await;
    let booked = booked.expect(200);
    let mut expected = expected;
    for (name, value) in [
        ("status", json!("booked")),
        ("bookingId", hold["id"].clone()),
        ("capturedMinor", json!(2500)),
        ("keptMinor", json!(2500)),
        (
            "notices",
            json!([{
                "noticeId": "evt-1", "kind": "captured", "amountMinor": 2500, "at": "2026-12-01T12:00:00Z",
                "receivedAt": "2026-12-01T12:00:00Z",
            }]),
        ),
    ] {
        expected[name] = value;
    }
    assert_eq!(booked, expected);
    let again = tell(&till.owner, "pay-1/captured", json!({})).await;
    assert_eq!(again.expect(200), booked);
    let mine = till.api.customer.client.get("/api/bookings/me").await;
    let mine = mine.expect(200);
    assert_eq!(mine["items"][0]["id"], hold["id"]);
    assert_eq!(mine["items"][0]["status"], "confirmed");
    let shown = till.owner.get("/api/payments/acme/pay-1").await;
    assert_eq!(shown.expect(200), booked);
    let path = format!("{}/payments", path_of(&till.event));
    let listed = till.api.organizer.client.get(&path).await.expect(200);
    assert_eq!(listed["items"], json!([booked]));

    // The provider took it twice, and pays one back.
    tell(&till.owner, "pay-1/captured", json!({"noticeId": "evt-2"}))
        .await
        .expect(200);
    let due = till.owner.get("/api/refunds?state=due").await.expect(200);
    let refund = &due["items"][0];
    assert_eq!(refund["reason"], "excess");
    assert_eq!(
        (&refund["amountMinor"], &refund["bookingId"]),
        (&json!(2500), &hold["id"])
    );
    let settle = format!("/api/refunds/{}/settled", text(&refund["id"]));
    let settled = till.owner.post_empty(&settle).await.expect(200);
    assert_eq!(settled["state"], "settled");
    assert_eq!(till.owner.post_empty(&settle).await.expect(200), settled);
    let told = tell(&till.owner, "pay-1/refunded", json!({"noticeId": "evt-3"})).await;
    let told = told.expect(200);
    let sums = [
        "capturedMinor",
        "keptMinor",
        "toRefundMinor",
        "refundedMinor",
    ]
    .map(|name| &told[name]);
    assert_eq!(sums, [&json!(5000), &json!(2500), &json!(0), &json!(2500)]);
    let settled = till
        .owner
        .get("/api/refunds?state=settled")
        .await
        .expect(200);
    assert_eq!(settled["items"].as_array().map(Vec::len), Some(1));
    assert_verified(&till.api.platform.engine).await;
}

#[tokio::test]
async fn what_cannot_be_a_payment_is_refused_with_the_reason() {
    let till = Till::open().await;
    let hold = till.hold(2).await;
    let refused = async |changes: Value| open(&till.owner, &hold, changes).await;
    refused(json!({"currency": "USD"}))
        .await
        .problem(422, "currency-mismatch")
        .at_field("currency");
    let dearer = refused(json!({"amountMinor": 2501})).await;
    dearer.problem(409, "price-changed");
    assert_eq!(dearer.json()["totalMinor"], 2500);
    for (member, value) in [
        ("provider", json!("a b")),
        ("provider", json!("")),
        ("reference", json!("../x")),
        ("reference", json!("x".repeat(201))),
        ("amountMinor", json!(-1)),
    ] {
        let refused = refused(json!({member: value})).await;
        refused.problem(422, "field-invalid").at_field(member);
    }
    let free = till.api.event(json!({})).await;
    let body = json!({"eventId": free["id"], "numTickets": 1});
    let free = till.api.customer.client.post("/api/holds", body).await;
    let free = open(&till.owner, &free.expect(201), json!({})).await;
    free.problem(422, "field-invalid").at_field("amountMinor");
    open(&till.owner, &hold, json!({})).await.expect(201);

    let told = async |changes: Value| tell(&till.owner, "pay-1/captured", changes).await;
    told(json!({"currency": "USD"}))
        .await
        .problem(422, "currency-mismatch")
        .at_field("currency");
    for amount in [json!(0), json!(null), json!(2_000_000_000_000_000_u64)] {
        let refused = told(json!({"amountMinor": amount})).await;
        refused
            .problem(422, "field-invalid")
            .at_field("amountMinor");
    }
    told(json!({"noticeId": "a/b"}))
        .await
        .problem(422, "field-invalid")
        .at_field("noticeId");
    told(json!({"currency": "EUR"})).await.expect(200);
    told(json!({"amountMinor": 2499}))
        .await
        .problem(422, "notice-reused")
        .at_field("noticeId");
    tell(&till.owner, "pay-1/refunded", json!({}))
        .await
        .problem(422, "notice-reused");
    // A hold that became a booking has no second payment, and a payment no second hold.
    let late = open(&till.owner, &hold, json!({"reference": "pay-2"})).await;
    late.problem(409, "hold-ended");
    let other = till.hold(1).await;
    open(&till.owner, &other, json!({}))
        .await
        .problem(409, "payment-exists");
    // A failure has no amount.
    tell(&till.owner, "pay-9/failed", json!({"amountMinor": null}))
        .await
        .expect(200);
    assert_verified(&till.api.platform.engine).await;
}

#[tokio::test]
async fn only_those_who_keep_the_books_say_that_money_came() {
    let till = Till::open().await;
    let hold = till.hold(2).await;
    let scopes = async |scopes: &[&str]| {
        let body = json!({"name": "Till", "scopes": scopes});
        let made = till.owner.post("/api/keys", body).await.expect(201);
        till.api.door.token(text(&made["secret"]))
    };
    let (program, other) = (
        scopes(&["payments"]).await,
        scopes(&["holds", "refunds"]).await,
    );
    for refused in [
        &till.api.customer.client,
        &till.api.organizer.client,
        &other,
    ] {
        open(refused, &hold, json!({}))
            .await
            .problem(403, "forbidden");
        tell(refused, "pay-1/captured", json!({}))
            .await
            .problem(403, "forbidden");
        let shown = refused.get("/api/payments").await;
        shown.problem(403, "forbidden");
    }
    open(&program, &hold, json!({})).await.expect(201);
    let booked = tell(&program, "pay-1/captured", json!({})).await;
    assert_eq!(booked.expect(200)["status"], "booked");
    program.get("/api/refunds").await.problem(403, "forbidden");
    other.get("/api/refunds").await.expect(200);
    let path = format!("{}/payments", path_of(&till.event));
    till.api
        .customer
        .client
        .get(&path)
        .await
        .problem(403, "forbidden");
}
