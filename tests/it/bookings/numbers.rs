//! Goal: each booking has a number of its own that people can say; it finds the booking for those who may see it, and nobody else.
//!
//! Method: the real router and worker; many book at once, through holds and imports too; numbers are sent as people write them.

use std::collections::BTreeSet;

use boxoffice_tests::{
    Client, EventFixture,
    api::{Api, customers, event_body, path_of, text},
    assert_verified,
};
use futures::future::join_all;
use serde_json::{Value, json};

const CUSTOMERS: usize = 40;

async fn find(client: &Client, number: &str) -> boxoffice_tests::Answer {
    client.get(&format!("/api/booking-numbers/{number}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_booking_has_a_number_of_its_own() {
    let api = Api::start().await;
    let tenant = boxoffice_engine::TenantId::parse("north").expect("a tenant");
    let role = boxoffice_engine::UserRole::Owner;
    api.platform.user(&tenant, "owen", role).await;
    let owner = api.door.login("owen@north.test").await;
    let events = [api.event(json!({})).await, api.event(json!({})).await];
    let people = customers(&api.door, CUSTOMERS).await;
    let booked = people.iter().enumerate().map(|(index, person)| {
        let body = json!({"eventId": events[index % 2]["id"], "numTickets": 1});
        async move { person.client.post("/api/bookings", body).await.expect(201) }
    });
    let mut bookings: Vec<Value> = join_all(booked).await;
    let body = json!({"eventId": events[0]["id"], "numTickets": 1});
    let held = api.customer.client.post("/api/holds", body).await;
    let confirm = format!("/api/holds/{}/confirm", text(&held.expect(201)["id"]));
    let confirmed = api.customer.client.post_empty(&confirm).await;
    bookings.push(confirmed.expect(201));
    let row = json!({
        "reference": "old-1", "eventId": events[1]["id"], "quantity": 1, "unitPriceMinor": 5,
        "customer": {"name": "Gus", "email": "gus@north.test"}, "bookedAt": "2024-05-01T10:00:00Z",
    });
    let import = json!({"rows": [row]});
    owner.client.post("/api/imports", import).await.expect(200);
    bookings.extend(
        owner
            .client
            .all(&format!("{}/bookings", path_of(&events[1])))
            .await,
    );

    let numbers: BTreeSet<&str> = bookings
        .iter()
        .map(|one| text(&one["bookingNumber"]))
        .collect();
    assert_eq!(numbers.len(), CUSTOMERS + 2, "{numbers:?}");
    for number in &numbers {
        assert_eq!(number.len(), 11, "{number}");
        assert!(!number.contains(['I', 'L', 'O', 'U']), "{number}");
    }
    for booking in &bookings {
        let number = text(&booking["bookingNumber"]);
        let spoken = number.to_lowercase().replace('-', "").replace('0', "o");
        for number in [number, &spoken] {
            let found = find(&owner.client, number).await.expect(200);
            assert_eq!(found["id"], booking["id"], "{number}");
        }
    }
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_finds_only_what_one_may_see() {
    let house = EventFixture::open(true).await;
    let ann = house.customer("ann").await;
    let mails = house.platform.settle().await;
    let booking = &ann.client.all("/api/bookings/me").await[0];
    let number = text(&booking["bookingNumber"]);
    let confirmation = mails
        .iter()
        .find(|mail| mail.subject.starts_with("Your booking"))
        .expect("a confirmation");
    let line = format!("Booking number: {number}");
    assert!(confirmation.text.contains(&line), "{}", confirmation.text);

    for client in [&ann.client, &house.owner.client] {
        assert_eq!(find(client, number).await.expect(200)["id"], booking["id"]);
    }
    let ben = house.door.register("ben@north.test", "customer").await;
    house.platform.may_owe();
    find(&ben.client, number).await.problem(404, "not-found");
    let nobody = find(&house.door, number).await;
    nobody.problem(401, "not-authenticated");
    let key = json!({"name": "Till", "scopes": ["bookings:read"]});
    let made = house.owner.client.post("/api/keys", key).await.expect(201);
    let till = house.door.token(text(&made["secret"]));
    assert_eq!(find(&till, number).await.expect(200)["id"], booking["id"]);
    for wrong in ["00000-00000", "7K3QX", "7K3QX-9TB0U", "%20", "..%2F"] {
        find(&house.owner.client, wrong)
            .await
            .problem(404, "not-found");
    }
    // The search of the dashboard leads to the customer.
    let search = json!({"text": number.replace('-', " ")});
    let found = house.owner.client.post("/api/admin/searches", search).await;
    let found = found.expect(200).to_string();
    assert!(found.contains(&ann.id), "{found}");

    // It is the same wherever the booking is shown.
    let path = path_of(&house.event);
    for list in ["bookings/export", "attendees/export", "door-list/export"] {
        let file = house.owner.client.get(&format!("{path}/{list}")).await;
        assert!(file.text.contains(number), "{list}: {}", file.text);
    }
    let other = house
        .owner
        .client
        .post("/api/events", event_body(json!({})));
    other.await.expect(201);
    assert_verified(&house.platform.engine).await;
}
