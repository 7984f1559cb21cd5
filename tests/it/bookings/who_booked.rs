//! Goal: those who look after an event see who booked, holds and waits, and find people and their bookings; customers see
//! themselves and nobody else.
//!
//! Method: the real router over an engine in memory, with an owner, two organizers, staff, two customers and API keys, in two
//! tenants.

use boxoffice_engine::UserRole;
use boxoffice_tests::{
    Account, Client,
    api::{Api, event_body, path_of, text},
};
use serde_json::{Value, json};

struct People {
    api: Api,
    owner: Account,
    staff: Account,
    rival: Account,
    other: Account,
}

impl People {
    async fn meet() -> Self {
        let api = Api::start().await;
        let tenant = boxoffice_engine::TenantId::parse("north").expect("a tenant");
        api.platform.user(&tenant, "owen", UserRole::Owner).await;
        api.platform.user(&tenant, "stan", UserRole::Staff).await;
        Self {
            owner: api.door.login("owen@north.test").await,
            staff: api.door.login("stan@north.test").await,
            rival: api.door.register("rita@north.test", "organizer").await,
            other: api.door.register("ben@north.test", "customer").await,
            api,
        }
    }

    async fn key(&self, scopes: &[&str]) -> Client {
        let body = json!({"name": "Till", "scopes": scopes});
        let made = self.owner.client.post("/api/keys", body).await.expect(201);
        self.api.door.token(text(&made["secret"]))
    }
}

fn ann(api: &Api) -> Value {
    json!({"id": api.customer.id, "name": "ann", "email": "ann@north.test"})
}

#[tokio::test]
async fn those_who_look_after_an_event_see_who_booked_and_customers_only_themselves() {
    let people = People::meet().await;
    let api = &people.api;
    let event = api.event(json!({})).await;
    let booking = api.book(&event, 2).await;
    assert_eq!(booking["customer"], Value::Null, "nothing is read for it");
    let path = format!("/api/bookings/{}", text(&booking["id"]));
    let list = format!("{}/bookings", path_of(&event));
    let key = people.key(&["bookings:read"]).await;
    for client in [
        &api.organizer.client,
        &people.owner.client,
        &people.staff.client,
        &key,
    ] {
        assert_eq!(client.get(&path).await.expect(200)["customer"], ann(api));
        assert_eq!(client.all(&list).await[0]["customer"], ann(api));
    }
    let own = &api.customer.client;
    assert_eq!(own.get(&path).await.expect(200)["customer"], ann(api));
    assert_eq!(own.all("/api/bookings/me").await[0]["customer"], ann(api));
    for stranger in [&people.rival, &people.other] {
        stranger.client.get(&path).await.problem(404, "not-found");
        stranger.client.get(&list).await.problem(403, "forbidden");
    }
    let poor = people.key(&["holds"]).await;
    poor.get(&path).await.problem(403, "forbidden");
    poor.get(&list).await.problem(403, "forbidden");

    let body = json!({"eventId": event["id"], "numTickets": 1});
    let hold = people
        .other
        .client
        .post("/api/holds", body)
        .await
        .expect(201);
    let path = format!("/api/holds/{}", text(&hold["id"]));
    let seen = people.staff.client.get(&path).await.expect(200);
    assert_eq!(seen["customer"]["email"], "ben@north.test");
    own.get(&path).await.problem(404, "not-found");
}

#[tokio::test]
async fn people_and_their_bookings_are_found_by_address_id_and_name() {
    let people = People::meet().await;
    let api = &people.api;
    let event = api.event(json!({})).await;
    api.book(&event, 2).await;
    let body = json!({"eventId": event["id"], "numTickets": 1});
    people
        .other
        .client
        .post("/api/bookings", body)
        .await
        .expect(201);
    let list = format!("{}/bookings", path_of(&event));
    let organizer = &api.organizer.client;
    for (query, tickets) in [
        ("customer=ann%40north.test".to_owned(), Some(2)),
        (format!("customer={}", people.other.id), Some(1)),
        ("customer=nobody%40north.test".to_owned(), None),
    ] {
        let page = organizer.get(&format!("{list}?{query}")).await.expect(200);
        let found = page["items"].as_array().expect("items");
        let found: Vec<_> = found.iter().map(|one| one["numTickets"].as_u64()).collect();
        assert_eq!(
            found,
            tickets.map(Some).into_iter().collect::<Vec<_>>(),
            "{query}"
        );
    }
    let refused = organizer.get(&format!("{list}?customer=x")).await;
    refused.problem(422, "field-invalid").at_field("customer");

    let key = people.key(&["customers"]).await;
    for client in [&people.owner.client, &people.staff.client, &key] {
        for (query, names) in [
            ("email=ben%40north.test", vec!["ben"]),
            ("name=AN", vec!["ann", "stan"]),
            ("name=an&email=ann%40north.test", vec!["ann"]),
            ("externalId=7", vec![]),
        ] {
            let page = client.get(&format!("/api/users?{query}")).await.expect(200);
            let found = page["items"].as_array().expect("items");
            let mut found: Vec<&str> = found.iter().map(|one| text(&one["name"])).collect();
            // In order of creation, which in one millisecond is any.
            found.sort_unstable();
            assert_eq!(found, names, "{query}");
        }
    }
    for stranger in [organizer, &api.customer.client] {
        stranger
            .get("/api/users?name=an")
            .await
            .problem(403, "forbidden");
    }
    let of_ann = format!("/api/users/{}/bookings", api.customer.id);
    assert_eq!(people.staff.client.all(&of_ann).await.len(), 1);
    for stranger in [organizer, &people.other.client] {
        stranger.get(&of_ann).await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn a_door_list_is_in_the_order_of_names_and_has_no_codes() {
    let people = People::meet().await;
    let api = &people.api;
    let kinds = json!([{"name": "Hall", "capacity": 20}, {"name": "Balcony", "capacity": 20}]);
    let event = api
        .event(json!({"totalTickets": null, "ticketTypes": kinds}))
        .await;
    let kind = |index: usize| event["ticketTypes"][index]["id"].clone();
    let mut cancelled = Value::Null;
    for name in ["zoe", "Émile", "anton", "Bea"] {
        let body = json!({
            "email": format!("guest-{}@north.test", name.len() + name.as_bytes()[0] as usize),
            "name": name, "password": Account::PASSWORD, "role": "customer",
        });
        let signed = api.door.post("/api/auth/register", body).await.expect(201);
        let client = api.door.token(text(&signed["token"]));
        let lines = json!([{"ticketType": kind(1), "quantity": 2}]);
        let body = json!({"eventId": event["id"], "lines": lines});
        cancelled = client.post("/api/bookings", body).await.expect(201);
    }
    // Bea's is gone, and so she is not expected.
    let cancel = format!("/api/bookings/{}/cancel", text(&cancelled["id"]));
    api.organizer.client.post_empty(&cancel).await.expect(200);
    let list = format!("{}/door-list", path_of(&event));
    let whole = people.staff.client.get(&list).await.expect(200);
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("items").iter();
        items
            .map(|one| text(&one["customer"]["name"]).to_owned())
            .collect()
    };
    assert_eq!(names(&whole), ["anton", "zoe", "Émile"]);
    let line = json!({"ticketType": kind(1), "name": "Balcony", "quantity": 2, "numCheckedIn": 0});
    assert_eq!(whole["items"][0]["lines"], json!([line]));
    let mut paged = Vec::new();
    let mut query = "limit=1".to_owned();
    loop {
        let page = people
            .staff
            .client
            .get(&format!("{list}?{query}"))
            .await
            .expect(200);
        paged.extend(names(&page));
        match page["nextCursor"].as_str() {
            Some(cursor) => query = format!("limit=1&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(paged, names(&whole));
    let csv = api.organizer.client.get(&format!("{list}/export")).await;
    let lines: Vec<&str> = csv.text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 4, "{}", csv.text);
    assert!(lines[1].starts_with("anton,"), "{}", lines[1]);
    assert!(lines[0].starts_with("\u{feff}customerName,customerEmail,"));
    for stranger in [&people.rival, &people.other] {
        stranger.client.get(&list).await.problem(403, "forbidden");
        let csv = stranger.client.get(&format!("{list}/export")).await;
        csv.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn customers_list_their_own_holds_and_places() {
    let people = People::meet().await;
    let api = &people.api;
    let own = &api.customer.client;
    assert!(own.all("/api/holds/me").await.is_empty());
    let mut holds = Vec::new();
    for _ in 0..3 {
        let event = api.event(json!({})).await;
        let body = json!({"eventId": event["id"], "numTickets": 1});
        let hold = own.post("/api/holds", body).await.expect(201);
        holds.insert(0, text(&hold["id"]).to_owned());
    }
    let listed = own.all("/api/holds/me").await;
    let listed: Vec<&str> = listed.iter().map(|hold| text(&hold["id"])).collect();
    assert_eq!(listed, holds, "the newest first");
    assert!(people.other.client.all("/api/holds/me").await.is_empty());

    let full = api
        .organizer
        .client
        .post("/api/events", event_body(json!({"totalTickets": 1})));
    let full = full.await.expect(201);
    api.book(&full, 1).await;
    let join = format!("{}/waitlist", path_of(&full));
    own.post(&join, json!({"numTickets": 1})).await.expect(201);
    let places = own.all("/api/waitlist/me").await;
    assert_eq!(places.len(), 1);
    assert_eq!(
        (&places[0]["eventId"], &places[0]["position"]),
        (&full["id"], &json!(1))
    );
    let entries = api.organizer.client.all(&join).await;
    assert_eq!(entries[0]["customer"], ann(api));
    assert!(people.other.client.all("/api/waitlist/me").await.is_empty());
    let leave = api.door.get("/api/waitlist/me").await;
    leave.problem(401, "not-authenticated");
}
