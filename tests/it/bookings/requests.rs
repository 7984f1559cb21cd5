//! Goal: what a booking request may say, and what it gets: numbers that are no numbers of tickets, lines, prices,
//! Idempotency-Keys, sales windows, and who sees which booking.
//!
//! Method: the real router over an engine in memory, on a real port; the clock is moved where time decides.

use std::time::Duration;

use boxoffice_tests::{
    Answer, Patience,
    api::{Api, path_of, text},
    wait_for,
};
use reqwest::{Method, header::HeaderValue};
use serde_json::{Value, json};

#[tokio::test]
async fn a_booking_is_answered_whole() {
    let api = Api::start().await;
    let ticket_types = json!([{"name": "Balcony", "capacity": 20, "priceMinor": 1250}]);
    let event = api
        .event(json!({"totalTickets": null, "ticketTypes": ticket_types}))
        .await;
    let ticket_type = &event["ticketTypes"][0]["id"];
    let body =
        json!({"eventId": event["id"], "lines": [{"ticketType": ticket_type, "quantity": 3}]});
    let answer = api.customer.client.post("/api/bookings", body).await;
    let booking = answer.expect(201);
    let expected = json!({
        "id": booking["id"],
        "bookingNumber": booking["bookingNumber"],
        "eventId": event["id"],
        "customerId": api.customer.id,
        "customer": null,
        "channel": "self",
        "soldBy": null,
        "complimentary": null,
        "reference": null,
        "metadata": {},
        "codes": [],
        "answers": {},
        "attendees": [],
        "status": "confirmed",
        "numTickets": 3,
        "lines": [{"ticketType": ticket_type, "quantity": 3, "unitPriceMinor": 1250}],
        "totalMinor": 3750,
        "paidMinor": 3750,
        "cancelledMinor": 0,
        "refundDueMinor": 0,
        "refundMinor": 0,
        "cancellations": [],
        "messages": [],
        "currency": "EUR",
        "eventVersion": 1,
        "createdAt": "2026-12-01T12:00:00Z",
        "cancelledAt": null,
        "cancelledBy": null,
    });
    assert_eq!(booking, expected);
    // Where it is read, it says who booked.
    let mut expected = expected;
    expected["customer"] = json!({"id": api.customer.id, "name": "ann", "email": "ann@north.test"});
    let path = answer.header("location").to_owned();
    assert_eq!(api.customer.client.get(&path).await.expect(200), expected);
    let mine = api
        .customer
        .client
        .get("/api/bookings/me")
        .await
        .expect(200);
    assert_eq!(mine, json!({"items": [expected], "nextCursor": null}));
    let of_event = format!("{}/bookings", path_of(&event));
    let listed = api.organizer.client.get(&of_event).await.expect(200);
    assert_eq!(listed, mine);
}

#[tokio::test]
async fn impossible_numbers_are_refused_by_name() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let book = |number: Value| json!({"eventId": event["id"], "numTickets": number});
    let huge: Value = serde_json::from_str("1e400").unwrap_or(json!(f64::MAX));
    for number in [
        json!(0),
        json!(-5),
        json!(1_u64 << 40),
        json!(1.5),
        json!("2"),
        json!(u64::MAX),
        json!([2]),
        huge,
    ] {
        let answer = api
            .customer
            .client
            .post("/api/bookings", book(number.clone()))
            .await;
        let problem = answer.problem(422, "field-invalid");
        assert_eq!(
            problem.member("field"),
            "numTickets",
            "for {number}: {}",
            answer.text
        );
    }
    // More than one booking may have, and than there are.
    api.customer
        .client
        .post("/api/bookings", book(json!(101)))
        .await
        .problem(422, "field-invalid");
    api.customer
        .client
        .post("/api/bookings", book(json!(51)))
        .await
        .problem(409, "not-enough-tickets");
    let ticket_type = &event["ticketTypes"][0]["id"];
    let line = |quantity: Value| json!([{"ticketType": ticket_type, "quantity": quantity}]);
    for body in [
        json!({"eventId": event["id"]}),
        json!({"eventId": event["id"], "numTickets": 1, "lines": line(json!(1))}),
        json!({"eventId": event["id"], "lines": []}),
        json!({"eventId": event["id"], "lines": line(json!(0))}),
        json!({"eventId": event["id"], "lines": line(json!(-1))}),
        json!({"eventId": event["id"], "lines": [{"ticketType": "nonsense", "quantity": 1}]}),
        json!({"eventId": event["id"], "lines": [line(json!(1))[0], line(json!(1))[0]]}),
        json!({"numTickets": 1}),
    ] {
        api.customer
            .client
            .post("/api/bookings", body)
            .await
            .problem(422, "field-invalid");
    }
    let unknown = json!({"eventId": event["id"], "numTickets": 1, "discount": 5});
    api.customer
        .client
        .post("/api/bookings", unknown)
        .await
        .problem(422, "unknown-field")
        .at_field("discount");
    assert_eq!(
        api.seen(&event).await["ticketsSold"],
        0,
        "nothing half-written"
    );
}

#[tokio::test]
async fn a_total_that_differs_from_the_expected_one_is_refused() {
    let api = Api::start().await;
    let ticket_types = json!([{"name": "Balcony", "capacity": 20, "priceMinor": 1250}]);
    let event = api
        .event(json!({"totalTickets": null, "ticketTypes": ticket_types}))
        .await;
    let book =
        |total: u64| json!({"eventId": event["id"], "numTickets": 2, "expectedTotalMinor": total});
    api.customer
        .client
        .post("/api/bookings", book(2499))
        .await
        .problem(409, "price-changed");
    api.customer
        .client
        .post("/api/bookings", book(2500))
        .await
        .expect(201);
}

#[tokio::test]
async fn sales_have_a_window() {
    let api = Api::start().await;
    let ticket_types = json!([{
        "name": "Early", "capacity": 20,
        "salesOpenAt": "2026-12-02T12:00:00Z", "salesCloseAt": "2026-12-03T12:00:00Z",
    }]);
    let event = api
        .event(json!({"totalTickets": null, "ticketTypes": ticket_types}))
        .await;
    let book = json!({"eventId": event["id"], "numTickets": 1});
    let attempt = || api.customer.client.post("/api/bookings", book.clone());
    attempt().await.problem(409, "sales-not-open");
    api.platform.clock.advance(Duration::from_secs(24 * 3600));
    attempt().await.expect(201);
    api.platform.clock.advance(Duration::from_secs(24 * 3600));
    attempt().await.problem(409, "sales-closed");

    let open_ended = api.event(json!({"startsAt": "2026-12-03T13:00:00Z"})).await;
    let book = json!({"eventId": open_ended["id"], "numTickets": 1});
    api.customer
        .client
        .post("/api/bookings", book.clone())
        .await
        .expect(201);
    api.platform.clock.advance(Duration::from_secs(3600));
    api.customer
        .client
        .post("/api/bookings", book)
        .await
        .problem(409, "sales-closed");
}

#[tokio::test]
async fn an_idempotency_key_books_once() {
    let api = Api::start().await;
    let event = api.event(json!({"totalTickets": 3})).await;
    let book = |number: u32| json!({"eventId": event["id"], "numTickets": number});
    let (path, client) = ("/api/bookings", &api.customer.client);
    let first = client.post_once(path, "k1", book(2)).await;
    let again = client.post_once(path, "k1", book(2)).await;
    assert_eq!(first.expect(201), again.expect(201));
    assert_eq!(first.header("location"), again.header("location"));
    client
        .post_once(path, "k1", book(1))
        .await
        .problem(422, "idempotency-key-reused");
    // A refusal is not remembered: it is judged again when there is room.
    client
        .post_once(path, "k2", book(2))
        .await
        .problem(409, "not-enough-tickets");
    let more = json!({"totalTickets": 4});
    api.organizer
        .client
        .patch(&path_of(&event), "\"1\"", more)
        .await
        .expect(200);
    client.post_once(path, "k2", book(2)).await.expect(201);
    assert_eq!(api.seen(&event).await["ticketsSold"], 4);
    // A key belongs to its customer, and to 24 hours.
    let other = api.door.register("ben@north.test", "customer").await;
    other
        .client
        .post_once(path, "k1", book(2))
        .await
        .problem(409, "not-enough-tickets");
    let cancel = format!("/api/bookings/{}/cancel", text(&first.json()["id"]));
    client.post_empty(&cancel).await.expect(200);
    assert_eq!(
        client.post_once(path, "k1", book(2)).await.expect(201)["id"],
        first.json()["id"]
    );
    let day = Duration::from_secs(24 * 3600 + 60);
    api.platform.clock.advance(day);
    let singletons = api.platform.engine.worker().spawn_singletons();
    let later = wait_for(Patience::WORK, "the key to be free again", || async {
        let answer = client.post_once(path, "k1", book(1)).await;
        (answer.status == 201).then(|| answer.json())
    })
    .await;
    assert_ne!(later["id"], first.json()["id"]);
    drop(singletons);
    for key in ["", "with space", &"x".repeat(256), "umlaut-ä"] {
        let key_header =
            HeaderValue::from_bytes(key.as_bytes()).expect("a header that HTTP allows");
        let request = client
            .request(Method::POST, path)
            .header("Idempotency-Key", key_header)
            .json(&book(1));
        let answer = Answer::of(request).await;
        assert!(
            [400, 422].contains(&answer.status),
            "key {key:?} gave {}: {}",
            answer.status,
            answer.text
        );
    }
    client
        .post_once(path, &"x".repeat(255), book(1))
        .await
        .expect(201);
}

#[tokio::test]
async fn bookings_are_seen_by_those_they_concern() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let booking = api.book(&event, 1).await;
    let path = format!("/api/bookings/{}", text(&booking["id"]));
    let stranger = api.door.register("ben@north.test", "customer").await;
    let rival = api.door.register("rita@north.test", "organizer").await;
    api.organizer.client.get(&path).await.expect(200);
    for other in [&stranger.client, &rival.client] {
        other.get(&path).await.problem(404, "not-found");
        other
            .post_empty(&format!("{path}/cancel"))
            .await
            .problem(404, "not-found");
    }
    assert_eq!(
        stranger.client.get("/api/bookings/me").await.expect(200)["items"],
        json!([])
    );
    let of_event = format!("{}/bookings", path_of(&event));
    for other in [&stranger.client, &rival.client] {
        other.get(&of_event).await.problem(403, "forbidden");
    }
    let cancelled = api
        .organizer
        .client
        .post_empty(&format!("{path}/cancel"))
        .await
        .expect(200);
    assert_eq!(
        (&cancelled["status"], &cancelled["cancelledBy"]),
        (&json!("cancelled"), &json!("organizer"))
    );
}

#[tokio::test]
async fn a_customers_bookings_are_listed_newest_first() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        let book = json!({"eventId": event["id"], "numTickets": 1});
        made.push(
            api.customer
                .client
                .post("/api/bookings", book)
                .await
                .expect(201)["id"]
                .clone(),
        );
        api.platform.clock.advance(Duration::from_secs(1));
    }
    made.reverse();
    let first = api
        .customer
        .client
        .get("/api/bookings/me?limit=3")
        .await
        .expect(200);
    let next = text(&first["nextCursor"]);
    let second = api
        .customer
        .client
        .get(&format!("/api/bookings/me?limit=3&cursor={next}"))
        .await
        .expect(200);
    assert_eq!(second["nextCursor"], Value::Null);
    let items = [&first, &second]
        .into_iter()
        .flat_map(|page| page["items"].as_array().expect("items"));
    assert_eq!(
        items.map(|item| item["id"].clone()).collect::<Vec<_>>(),
        made
    );
}
