//! Goal: events are made, seen, changed and deleted as DESIGN's REST section says: versions guard every change, bad
//! input names its field, counters cannot be set, drafts are hidden.
//!
//! Method: the real router over an engine in memory, on a real port; each test has its own.

use boxoffice_tests::{
    Answer, Client,
    api::{Api, etag_of, event_body, path_of, replacement_body},
};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn an_event_is_answered_whole() {
    let api = Api::start().await;
    let event = api
        .event(json!({"endsAt": "2027-03-01T23:00:00+01:00"}))
        .await;
    let ticket_type = event["ticketTypes"][0]["id"].clone();
    assert!(ticket_type.is_string());
    let expected = json!({
        "id": event["id"],
        "version": 1,
        "title": "Jazz Night",
        "description": "A long evening.",
        "startsAt": "2027-03-01T18:00:00Z",
        "endsAt": "2027-03-01T22:00:00Z",
        "timeZone": "Europe/Berlin",
        "location": "Old Hall",
        "reminderMinutes": null,
        "reminder": null,
        "organizerId": api.organizer.id,
        "status": "published",
        "available": {"state": "yes", "left": 50},
        "totalTickets": 50,
        "ticketsSold": 0,
        "ticketsHeld": 0,
        "waiting": 0,
        "currency": "EUR",
        "ticketTypes": [{
            "id": ticket_type,
            "name": "General",
            "available": {"state": "yes", "left": 50},
            "capacity": 50,
            "sold": 0,
            "held": 0,
            "priceMinor": 0,
            "salesOpenAt": null,
            "salesCloseAt": null,
            "minPerBooking": 1,
            "maxPerBooking": 100,
            "metadata": {},
            "taxBasisPoints": null,
        }],
        "maxTicketsPerCustomer": null,
        "cancellationTerms": [{"untilHoursBefore": 0, "refundPercent": 100}],
        "reference": null,
        "metadata": {},
        "questions": [],
        "attendeesUntil": null,
        "createdAt": "2026-12-01T12:00:00Z",
        "updatedAt": "2026-12-01T12:00:00Z",
    });
    assert_eq!(event, expected);
    assert_eq!(api.seen(&event).await, expected);
    // Published events are readable without a token, without what is sold of them.
    let mut public = expected;
    for count in ["totalTickets", "ticketsSold", "ticketsHeld", "waiting"] {
        public[count] = Value::Null;
    }
    for count in ["capacity", "sold", "held"] {
        public["ticketTypes"][0][count] = Value::Null;
    }
    public["available"]["left"] = Value::Null;
    public["ticketTypes"][0]["available"]["left"] = Value::Null;
    let read = api.door.get(&path_of(&event)).await.expect(200);
    assert_eq!(read, public);
    let listed = api.door.get("/api/events").await.expect(200);
    assert_eq!(listed, json!({"items": [public], "nextCursor": null}));
}

#[tokio::test]
async fn a_whole_ticket_type_can_be_described() {
    let api = Api::start().await;
    let ticket_types = json!([{
        "name": "Balcony", "capacity": 20, "priceMinor": 1250, "minPerBooking": 2, "maxPerBooking": 4,
        "salesOpenAt": "2026-11-01T00:00:00Z", "salesCloseAt": "2027-02-28T00:00:00Z",
    }]);
    let event = api
        .event(json!({"totalTickets": null, "ticketTypes": ticket_types}))
        .await;
    assert_eq!(event["totalTickets"], 20);
    assert_eq!(
        (
            &event["ticketTypes"][0]["priceMinor"],
            &event["ticketTypes"][0]["name"]
        ),
        (&json!(1250), &json!("Balcony"))
    );
}

#[tokio::test]
async fn a_date_alone_is_midnight_in_the_zone() {
    let api = Api::start().await;
    for (date, starts_at) in [
        ("2027-03-01", "2027-02-28T23:00:00Z"),
        ("2027-07-01T20:30", "2027-07-01T18:30:00Z"),
        ("2027-07-01T20:30:00-05:00", "2027-07-02T01:30:00Z"),
    ] {
        let event = api.event(json!({"startsAt": null, "date": date})).await;
        assert_eq!(event["startsAt"], starts_at, "for {date}");
        assert_eq!(event.get("date"), None);
    }
}

#[tokio::test]
async fn bad_input_names_its_field() {
    let api = Api::start().await;
    for (changes, field) in [
        (json!({"title": null}), "title"),
        (json!({"title": "  "}), "title"),
        (json!({"title": "a\r\nBcc: x@y.z"}), "title"),
        (json!({"title": 7}), "title"),
        (json!({"title": "x".repeat(201)}), "title"),
        (json!({"startsAt": null}), "startsAt"),
        (json!({"startsAt": "soon"}), "startsAt"),
        (json!({"startsAt": "2027-03-01T19:00:00"}), "startsAt"),
        (json!({"startsAt": null, "date": "01.03.2027"}), "date"),
        (json!({"endsAt": "2027-03-01T18:00:00+01:00"}), "endsAt"),
        (json!({"timeZone": "Mars/Olympus"}), "timeZone"),
        (json!({"status": "sold-out"}), "status"),
        (json!({"status": "cancelled"}), "status"),
        (json!({"totalTickets": 0}), "totalTickets"),
        (json!({"totalTickets": -5}), "totalTickets"),
        (json!({"totalTickets": 1_u64 << 40}), "totalTickets"),
        (json!({"totalTickets": 1.5}), "totalTickets"),
        (json!({"totalTickets": "50"}), "totalTickets"),
    ] {
        let answer = api
            .organizer
            .client
            .post("/api/events", event_body(changes.clone()))
            .await;
        let problem = answer.problem(422, "field-invalid");
        assert_eq!(
            problem.member("field"),
            field,
            "for {changes}: {}",
            answer.text
        );
    }
    for changes in [
        json!({"date": "2027-03-01"}),
        json!({"totalTickets": null}),
        json!({"ticketTypes": [{"name": "A", "capacity": 5}]}),
        json!({"totalTickets": null, "ticketTypes": []}),
        json!({"totalTickets": 11, "ticketTypes": [{"name": "A", "capacity": 5}, {"name": "B", "capacity": 5}]}),
    ] {
        api.organizer
            .client
            .post("/api/events", event_body(changes))
            .await
            .problem(422, "field-invalid");
    }
    let many = json!({"totalTickets": null, "ticketTypes": [{"name": "A", "capacity": 0}]});
    let answer = api
        .organizer
        .client
        .post("/api/events", event_body(many))
        .await;
    answer
        .problem(422, "field-invalid")
        .at_field("ticketTypes[0].capacity");
    assert_eq!(
        api.door.get("/api/events").await.expect(200)["items"],
        json!([]),
        "nothing half-written"
    );
}

#[tokio::test]
async fn fields_and_parameters_that_nobody_knows_are_refused() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    for counter in ["ticketsSold", "ticketsHeld", "version", "id", "organizer"] {
        let body = event_body(json!({counter: 3}));
        let post = api.organizer.client.post("/api/events", body).await;
        post.problem(422, "unknown-field").at_field(counter);
        let put = api
            .organizer
            .client
            .put(
                &path_of(&event),
                "\"1\"",
                replacement_body(json!({counter: 3})),
            )
            .await;
        put.problem(422, "unknown-field").at_field(counter);
        let patch = api
            .organizer
            .client
            .patch(&path_of(&event), "\"1\"", json!({counter: 3}))
            .await;
        patch.problem(422, "unknown-field").at_field(counter);
    }
    assert_eq!(api.seen(&event).await, event);
    api.door
        .get("/api/events?order=title")
        .await
        .problem(422, "unknown-field")
        .at_field("order");
}

#[tokio::test]
async fn a_change_names_the_version_it_saw() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let (path, client) = (path_of(&event), &api.organizer.client);
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        let body = match method {
            Method::PUT => replacement_body(json!({"location": "New Hall"})),
            _ => json!({"location": "New Hall"}),
        };
        let request = || client.request(method.clone(), &path);
        let request = || {
            if method == Method::DELETE {
                request()
            } else {
                request().json(&body)
            }
        };
        Answer::of(request())
            .await
            .problem(428, "precondition-required");
        for other in [
            "\"2\"",
            "\"2\", \"3\"",
            "W/\"1\"",
            "\"x\"",
            "\"-1\"",
            "\"99999999999999999999\"",
        ] {
            Answer::of(request().header("If-Match", other))
                .await
                .problem(412, "version-mismatch");
        }
        for malformed in ["1", "\"1", "*, \"1\"", ""] {
            Answer::of(request().header("If-Match", malformed))
                .await
                .problem(400, "malformed-request")
                .at_field("If-Match");
        }
    }
    // The version is judged before the body's rules, and after who may change it.
    for method in [Method::PUT, Method::PATCH] {
        let broken = json!({"title": "", "sold": 1});
        let request = |client: &Client, tag: &str| {
            let request = client.request(method.clone(), &path).json(&broken);
            request.header("If-Match", tag)
        };
        Answer::of(request(client, "\"2\""))
            .await
            .problem(412, "version-mismatch");
        Answer::of(request(client, "\"1\""))
            .await
            .problem(422, "unknown-field");
        Answer::of(request(&api.customer.client, "\"2\""))
            .await
            .problem(403, "forbidden");
    }
    assert_eq!(api.seen(&event).await, event, "nothing was changed");

    let body = replacement_body(json!({"location": "New Hall"}));
    let changed = client.put(&path, "\"7\", \"1\"", body.clone()).await;
    assert_eq!(changed.header("etag"), "\"2\"");
    assert_eq!(changed.expect(200)["location"], "New Hall");
    client
        .put(&path, "\"1\"", body)
        .await
        .problem(412, "version-mismatch");

    // Counts move without the version: an answer that a client keeps is never called fresh.
    let book = json!({"eventId": event["id"], "numTickets": 3});
    api.customer
        .client
        .post("/api/bookings", book)
        .await
        .expect(201);
    let kept = api
        .organizer
        .client
        .request(Method::GET, &path)
        .header("If-None-Match", "\"2\"");
    assert_eq!(Answer::of(kept).await.expect(200)["ticketsSold"], 3);
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let api = Api::start().await;
    let event = api
        .event(json!({"endsAt": "2027-03-01T23:00:00+01:00"}))
        .await;
    let (path, client) = (path_of(&event), &api.organizer.client);
    let changed = client
        .patch(&path, "\"1\"", json!({"location": null, "endsAt": null}))
        .await
        .expect(200);
    assert_eq!(
        (&changed["location"], &changed["endsAt"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&changed["title"], &changed["startsAt"]),
        (&event["title"], &event["startsAt"])
    );
    let changed = client
        .patch(&path, "\"2\"", json!({"totalTickets": 60}))
        .await
        .expect(200);
    assert_eq!(
        (
            &changed["totalTickets"],
            &changed["ticketTypes"][0]["capacity"]
        ),
        (&json!(60), &json!(60))
    );
    assert_eq!(
        changed["notification"],
        Value::Null,
        "capacity concerns no customer"
    );
    client
        .patch(&path, "\"3\"", json!({"title": null}))
        .await
        .problem(422, "field-invalid")
        .at_field("title");
    let merge_patch = client
        .request(Method::PATCH, &path)
        .header("If-Match", "\"3\"");
    let merge_patch = merge_patch
        .header("Content-Type", "application/merge-patch+json")
        .body(r#"{"title":"Blues"}"#);
    assert_eq!(Answer::of(merge_patch).await.expect(200)["title"], "Blues");
}

#[tokio::test]
async fn who_is_told_follows_from_the_change_or_is_said() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let (path, client) = (path_of(&event), &api.organizer.client);
    let book = json!({"eventId": event["id"], "numTickets": 1});
    api.customer
        .client
        .post("/api/bookings", book)
        .await
        .expect(201);
    for (change, recipients) in [
        (json!({"description": "Longer."}), None),
        (json!({"title": "Blues Night"}), Some(1)),
        (
            json!({"title": "Soul Night", "notifyCustomers": false}),
            None,
        ),
        (
            json!({"description": "Longer still.", "notifyCustomers": true}),
            Some(1),
        ),
        (json!({"startsAt": "2027-03-02T19:00:00+01:00"}), Some(1)),
        (json!({"timeZone": "Europe/Paris"}), Some(1)),
    ] {
        let etag = etag_of(&api.seen(&event).await);
        let changed = client.patch(&path, &etag, change.clone()).await.expect(200);
        assert_eq!(
            changed["notification"]["recipients"].as_u64(),
            recipients,
            "for {change}: {changed}"
        );
    }
}

#[tokio::test]
async fn capacity_never_falls_below_what_is_sold() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let (path, client) = (path_of(&event), &api.organizer.client);
    api.customer
        .client
        .post(
            "/api/bookings",
            json!({"eventId": event["id"], "numTickets": 7}),
        )
        .await
        .expect(201);
    client
        .patch(&path, "\"1\"", json!({"totalTickets": 6}))
        .await
        .problem(409, "capacity-below-sold");
    let changed = client
        .patch(&path, "\"1\"", json!({"totalTickets": 7}))
        .await
        .expect(200);
    assert_eq!(
        (&changed["totalTickets"], &changed["ticketsSold"]),
        (&json!(7), &json!(7))
    );
    let more = json!({"eventId": event["id"], "numTickets": 1});
    api.customer
        .client
        .post("/api/bookings", more)
        .await
        .problem(409, "not-enough-tickets");
}

#[tokio::test]
async fn only_events_that_nobody_booked_are_deleted() {
    let api = Api::start().await;
    let (booked, unbooked) = (
        api.event(json!({})).await,
        api.event(json!({"title": "Empty"})).await,
    );
    api.customer
        .client
        .post(
            "/api/bookings",
            json!({"eventId": booked["id"], "numTickets": 1}),
        )
        .await
        .expect(201);
    let client = &api.organizer.client;
    client
        .delete(&path_of(&booked), "\"1\"")
        .await
        .problem(409, "event-has-bookings");
    assert_eq!(
        client.delete(&path_of(&unbooked), "\"1\"").await.status,
        204
    );
    api.door
        .get(&path_of(&unbooked))
        .await
        .problem(404, "not-found");
    client
        .delete(&path_of(&unbooked), "\"1\"")
        .await
        .problem(404, "not-found");
    let left = api.door.get("/api/events").await.expect(200);
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn drafts_are_hidden_until_they_are_published() {
    let api = Api::start().await;
    let draft = api.event(json!({"status": "draft"})).await;
    let path = path_of(&draft);
    for stranger in [&api.door, &api.customer.client] {
        stranger.get(&path).await.problem(404, "not-found");
        assert_eq!(
            stranger.get("/api/events").await.expect(200)["items"],
            json!([])
        );
    }
    let book = json!({"eventId": draft["id"], "numTickets": 1});
    let refused = api
        .customer
        .client
        .post("/api/bookings", book.clone())
        .await;
    refused.problem(404, "not-found");
    assert_eq!(
        api.organizer.client.get(&path).await.expect(200)["status"],
        "draft"
    );
    assert_eq!(
        api.organizer.client.get("/api/events").await.expect(200)["items"][0]["id"],
        draft["id"]
    );
    api.organizer
        .client
        .patch(&path, "\"1\"", json!({"status": "published"}))
        .await
        .expect(200);
    assert_eq!(api.seen(&draft).await["status"], "published");
    api.customer
        .client
        .post("/api/bookings", book)
        .await
        .expect(201);
}
