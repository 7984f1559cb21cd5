//! Goal: a copy of an event is a draft with everything that an organizer typed, at another time and with nothing that was sold; what is
//! left of an event can be read by everybody, in one answer that may be kept for a second.
//!
//! Method: the real router over an engine in memory; a copy across the change to summer time; sales windows before, around and after now.

use boxoffice_tests::api::{Api, path_of, text};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

fn hours(hours: i64) -> String {
    let now: Timestamp = "2026-12-01T12:00:00Z"
        .parse()
        .expect("the clock of the kit");
    (now + SignedDuration::from_hours(hours)).to_string()
}

#[tokio::test]
async fn a_copy_has_everything_but_what_was_sold() {
    let api = Api::start().await;
    let types = json!([
        {"name": "Hall", "capacity": 50, "priceMinor": 2_500, "maxPerBooking": 4,
         "salesOpenAt": "2031-03-01T10:00:00+01:00", "salesCloseAt": "2031-03-22T18:00:00+01:00"},
        {"name": "Balcony", "capacity": 20},
    ]);
    let event = api
        .event(json!({
            "title": "Jazz Night", "description": "A long evening.", "startsAt": "2031-03-22T20:00:00+01:00",
            "endsAt": "2031-03-23T01:00:00+01:00", "timeZone": "Europe/Berlin", "location": "Old Hall",
            "totalTickets": 60, "ticketTypes": types, "reminderMinutes": 90,
            "cancellationTerms": [{"untilHoursBefore": 48, "refundPercent": 50}],
        }))
        .await;
    let balcony = json!([{"ticketType": event["ticketTypes"][1]["id"], "quantity": 2}]);
    let book = json!({"eventId": event["id"], "lines": balcony});
    api.customer
        .client
        .post("/api/bookings", book)
        .await
        .expect(201);

    let path = format!("{}/clone", path_of(&event));
    let organizer = &api.organizer.client;
    // A week later the clocks are an hour ahead: the evening still begins at eight.
    let body = json!({"startsAt": "2031-03-30T20:00:00+02:00", "title": "Jazz Night II"});
    let answer = organizer.post(&path, body.clone()).await;
    let location = answer.header("location").to_owned();
    let copy = answer.expect(201);
    assert_eq!(location, path_of(&copy));
    assert_ne!(copy["id"], event["id"]);
    for same in [
        "description",
        "timeZone",
        "location",
        "totalTickets",
        "reminderMinutes",
        "cancellationTerms",
        "currency",
    ] {
        assert_eq!(copy[same], event[same], "{same}");
    }
    assert_eq!(copy["title"], "Jazz Night II");
    assert_eq!(copy["status"], "draft");
    assert_eq!(copy["ticketsSold"], 0);
    assert_eq!(copy["startsAt"], "2031-03-30T18:00:00Z");
    assert_eq!(copy["endsAt"], "2031-03-30T23:00:00Z");
    let hall = &copy["ticketTypes"][0];
    assert_eq!(hall["salesOpenAt"], "2031-03-09T09:00:00Z");
    assert_eq!(hall["salesCloseAt"], "2031-03-30T16:00:00Z");
    for same in ["name", "capacity", "priceMinor", "maxPerBooking"] {
        assert_eq!(hall[same], event["ticketTypes"][0][same], "{same}");
    }
    // A repeated request makes one copy.
    let once = organizer
        .post_once(&path, "copy-1", body.clone())
        .await
        .expect(201);
    let again = organizer
        .post_once(&path, "copy-1", body.clone())
        .await
        .expect(201);
    assert_eq!(again["id"], once["id"]);
    let customer = api.customer.client.post(&path, body).await;
    customer.problem(403, "forbidden");
    for (starts_at, field) in [("tomorrow", "startsAt"), ("9998-12-31T00:00:00Z", "endsAt")] {
        let refused = organizer.post(&path, json!({"startsAt": starts_at})).await;
        let problem = refused.problem(422, "field-invalid");
        if field == "startsAt" {
            problem.at_field(field);
        }
    }
}

#[tokio::test]
async fn everybody_reads_what_is_left() {
    let api = Api::start().await;
    let kind = |name: &str, more: Value| {
        let mut kind = json!({"name": name, "capacity": 5, "priceMinor": 1_000});
        for (member, value) in more.as_object().expect("members") {
            kind[member] = value.clone();
        }
        kind
    };
    let types = json!([
        kind("Now", json!({})),
        kind("Soon", json!({"salesOpenAt": hours(5)})),
        kind("Gone", json!({"salesCloseAt": hours(-5)})),
        kind("Tables", json!({"minPerBooking": 4, "capacity": 6})),
    ]);
    let event = api
        .event(json!({"startsAt": hours(500), "totalTickets": null, "ticketTypes": types}))
        .await;
    let path = format!("{}/availability", path_of(&event));
    let id = |index: usize| event["ticketTypes"][index]["id"].clone();
    let book = async |index: usize, quantity: u32| {
        let lines = json!([{"ticketType": id(index), "quantity": quantity}]);
        let body = json!({"eventId": event["id"], "lines": lines});
        api.customer
            .client
            .post("/api/bookings", body)
            .await
            .expect(201)
    };
    book(0, 3).await;
    book(3, 4).await;
    let answer = api.door.get(&path).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=1");
    assert!(answer.header("vary").contains("X-Tenant"), "{answer:?}");
    let seen = answer.expect(200);
    assert_eq!(seen["eventId"], event["id"]);
    assert_eq!(seen["available"], json!({"state": "yes", "left": null}));
    let types = seen["ticketTypes"].as_array().expect("types");
    let states: Vec<&str> = types.iter().map(|kind| text(&kind["state"])).collect();
    // Of the tables two seats are left, and nobody may book fewer than four.
    assert_eq!(states, ["open", "not-yet", "over", "sold-out"]);
    assert_eq!(types[3]["available"]["state"], "no");
    let managed = api.organizer.client.get(&path).await;
    assert_eq!(managed.header("cache-control"), "no-store");
    let managed = managed.expect(200);
    assert_eq!(managed["available"], json!({"state": "yes", "left": 14}));
    assert_eq!(managed["ticketTypes"][0]["available"]["left"], 2);
    assert_eq!(types[0]["priceMinor"], 1_000);
    book(0, 2).await;
    let seen = api.door.get(&path).await.expect(200);
    assert_eq!(seen["ticketTypes"][0]["state"], "sold-out");
    let cancel = format!("{}/cancel", path_of(&event));
    api.organizer.client.post_empty(&cancel).await.expect(200);
    let seen = api.door.get(&path).await.expect(200);
    assert_eq!(seen["status"], "cancelled");
    let types = seen["ticketTypes"].as_array().expect("types");
    assert!(
        types.iter().all(|kind| kind["state"] == "over"),
        "{types:?}"
    );

    // A draft is nobody's business, and no proxy's.
    let draft = api.event(json!({"status": "draft"})).await;
    let path = format!("{}/availability", path_of(&draft));
    api.door.get(&path).await.problem(404, "not-found");
    let own = api.organizer.client.get(&path).await;
    assert_eq!(own.header("cache-control"), "no-store");
    assert_eq!(own.expect(200)["ticketTypes"][0]["state"], "not-yet");
}
