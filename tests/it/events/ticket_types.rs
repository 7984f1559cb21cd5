//! Goal: several ticket types in one event: each with its own capacity, price, window and limits inside the event's
//! total, several of them in one booking, and changes that cannot take away what somebody has.
//!
//! Method: the real router over an engine in memory; requests at once where counting is the point.

use boxoffice_tests::{
    Answer,
    api::{Api, etag_of, event_body, path_of, replacement_body},
};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

/// An event of this total with a hall of 6 and a balcony of 4.
async fn hall_and_balcony(api: &Api, total: Value) -> Value {
    let ticket_types = json!([
        {"name": "Hall", "capacity": 6, "priceMinor": 1000, "maxPerBooking": 5},
        {"name": "Balcony", "capacity": 4, "priceMinor": 4_000_000_000_u32, "minPerBooking": 2},
    ]);
    api.event(json!({"totalTickets": total, "ticketTypes": ticket_types}))
        .await
}

fn lines(event: &Value, quantities: [u32; 2]) -> Value {
    let line = |index: usize| json!({"ticketType": event["ticketTypes"][index]["id"], "quantity": quantities[index]});
    let lines: Vec<Value> = (0..2)
        .filter(|index| quantities[*index] > 0)
        .map(line)
        .collect();
    json!({"eventId": event["id"], "lines": lines})
}

fn counters(event: &Value) -> Vec<u64> {
    let number = |value: &Value| value.as_u64().expect("a counter");
    let types = event["ticketTypes"].as_array().expect("types");
    let mut all = vec![
        number(&event["totalTickets"]),
        number(&event["ticketsSold"]),
    ];
    all.extend(
        types
            .iter()
            .flat_map(|one| [number(&one["capacity"]), number(&one["sold"])]),
    );
    all
}

#[tokio::test]
async fn one_booking_has_tickets_of_several_types() {
    let api = Api::start().await;
    let event = hall_and_balcony(&api, Value::Null).await;
    assert_eq!(counters(&event), [10, 0, 6, 0, 4, 0]);
    let client = &api.customer.client;
    let booking = client
        .post("/api/bookings", lines(&event, [2, 3]))
        .await
        .expect(201);
    // Beyond u32: three balcony tickets alone cost 12,000,000,000.
    assert_eq!(booking["totalMinor"], 12_000_002_000_u64);
    assert_eq!(
        (
            &booking["numTickets"],
            &booking["lines"][1]["unitPriceMinor"]
        ),
        (&json!(5), &json!(4_000_000_000_u32))
    );
    assert_eq!(counters(&api.seen(&event).await), [10, 5, 6, 2, 4, 3]);
    let cancel = format!(
        "/api/bookings/{}/cancel",
        booking["id"].as_str().expect("an id")
    );
    client.post(&cancel, json!({})).await.expect(200);
    assert_eq!(counters(&api.seen(&event).await), [10, 0, 6, 0, 4, 0]);
}

#[tokio::test]
async fn each_type_has_its_own_bounds_and_the_event_has_one_more() {
    let api = Api::start().await;
    let event = hall_and_balcony(&api, json!(7)).await;
    let client = &api.customer.client;
    let book = async |quantities| {
        client
            .post("/api/bookings", lines(&event, quantities))
            .await
    };
    book([6, 0])
        .await
        .problem(422, "field-invalid")
        .at_field("lines[0].quantity");
    book([1, 1])
        .await
        .problem(422, "field-invalid")
        .at_field("lines[1].quantity");
    let refused = book([1, 5]).await;
    assert_eq!(
        refused.problem(409, "not-enough-tickets").member("detail"),
        "There are not that many tickets of Balcony left."
    );
    book([4, 4]).await.problem(409, "not-enough-tickets"); // 8 of 7, though each type has enough.
    book([4, 2]).await.expect(201);
    let refused = book([2, 0]).await;
    assert_eq!(
        refused.problem(409, "not-enough-tickets").member("detail"),
        "There are not that many tickets left."
    );
    book([1, 0]).await.expect(201);
    assert_eq!(counters(&api.seen(&event).await), [7, 7, 6, 5, 4, 2]);
    // Several types: a line must say which.
    let open = json!({"eventId": event["id"], "numTickets": 1});
    client
        .post("/api/bookings", open)
        .await
        .problem(422, "field-invalid");
}

#[tokio::test]
async fn two_lines_never_mean_one_type() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let kind = &event["ticketTypes"][0]["id"];
    let twice = json!([{"quantity": 60}, {"ticketType": kind, "quantity": 60}]);
    let body = json!({"eventId": event["id"], "lines": twice});
    let twice_open = json!({"eventId": event["id"], "lines": [{"quantity": 1}, {"ticketType": kind, "quantity": 1}]});
    for body in [body, twice_open] {
        let answer = api.customer.client.post("/api/bookings", body).await;
        assert!([409, 422].contains(&answer.status), "{}", answer.text);
    }
    assert_eq!(api.seen(&event).await["ticketsSold"], 0);
}

#[tokio::test]
async fn an_event_with_impossible_types_is_refused_by_name() {
    let api = Api::start().await;
    let one = |name: &str, capacity: u32| json!({"name": name, "capacity": capacity});
    let many: Vec<Value> = (0..51).map(|index| one(&format!("T{index}"), 1)).collect();
    for (changes, field) in [
        (
            json!({"ticketTypes": [one("A", 5), one("B", 0)], "totalTickets": null}),
            "ticketTypes[1].capacity",
        ),
        (
            json!({"ticketTypes": [one("A", 5), one("A", 5)], "totalTickets": null}),
            "ticketTypes[1].name",
        ),
        (
            json!({"ticketTypes": [one("A", 5), one("B", 5)], "totalTickets": 11}),
            "totalTickets",
        ),
        (
            json!({"ticketTypes": [one("A", 5), one("B", 5)], "totalTickets": 0}),
            "totalTickets",
        ),
        (
            json!({"ticketTypes": many, "totalTickets": null}),
            "ticketTypes",
        ),
        (
            json!({"ticketTypes": [one("A", 5), {"name": "B", "capacity": 5, "minPerBooking": 3, "maxPerBooking": 2}], "totalTickets": null}),
            "ticketTypes[1].minPerBooking",
        ),
    ] {
        let body = boxoffice_tests::api::event_body(changes);
        let answer = api.organizer.client.post("/api/events", body.clone()).await;
        answer.problem(422, "field-invalid").at_field(field);
    }
    // Counters are nobody's to send.
    let counted =
        json!({"ticketTypes": [{"name": "A", "capacity": 5, "sold": 0}], "totalTickets": null});
    let body = boxoffice_tests::api::event_body(counted);
    api.organizer
        .client
        .post("/api/events", body)
        .await
        .problem(422, "unknown-field")
        .at_field("ticketTypes[0].sold");
}

#[tokio::test]
async fn a_change_keeps_counters_and_cannot_take_what_is_sold() {
    let api = Api::start().await;
    let event = hall_and_balcony(&api, Value::Null).await;
    let (path, organizer) = (path_of(&event), &api.organizer.client);
    let customer = &api.customer.client;
    let booking = customer
        .post("/api/bookings", lines(&event, [3, 2]))
        .await
        .expect(201);
    let id = |index: usize| event["ticketTypes"][index]["id"].clone();
    let hall = |capacity: u32| json!({"id": id(0), "name": "Hall", "capacity": capacity, "priceMinor": 900});
    let balcony = json!({"id": id(1), "name": "Upper", "capacity": 2, "priceMinor": 5});
    let put = async |version: &Value, types: Value| {
        let tag = etag_of(version);
        let body = replacement_body(json!({"ticketTypes": types}));
        organizer.put(&path, &tag, body).await
    };
    put(&event, json!([balcony, hall(2)]))
        .await
        .problem(409, "capacity-below-sold")
        .at_field("ticketTypes[1].capacity");
    put(&event, json!([hall(6)]))
        .await
        .problem(409, "event-has-bookings")
        .at_field("ticketTypes");
    put(&event, json!([hall(6), balcony, balcony]))
        .await
        .problem(422, "field-invalid")
        .at_field("ticketTypes[2].id");
    let tag = etag_of(&event);
    organizer
        .patch(&path, &tag, json!({"totalTickets": 4}))
        .await
        .problem(409, "capacity-below-sold")
        .at_field("totalTickets");
    // Reordered, renamed, resized, and one more: the counters stay where they belong.
    let standing = json!({"name": "Standing", "capacity": 7, "priceMinor": 0});
    let changed = put(&event, json!([balcony, standing, hall(3)]))
        .await
        .expect(200);
    assert_eq!(counters(&changed), [12, 5, 2, 2, 7, 0, 3, 3]);
    let changed = organizer
        .patch(&path, &etag_of(&changed), json!({"totalTickets": 6}))
        .await
        .expect(200);
    assert_eq!(counters(&changed), [6, 5, 2, 2, 7, 0, 3, 3]);
    // What was paid is not touched by a new price, and a type that was only ever cancelled still stays.
    let cancel = format!("/api/bookings/{}", booking["id"].as_str().expect("an id"));
    let mut read = customer.get(&cancel).await.expect(200);
    // Answers to a booking do not say who booked.
    read["customer"] = json!(null);
    assert_eq!(read, booking);
    customer
        .post(&format!("{cancel}/cancel"), json!({}))
        .await
        .expect(200);
    put(&changed, json!([standing]))
        .await
        .problem(409, "event-has-bookings");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bookings_of_several_types_at_once_fill_each_to_the_last_ticket() {
    let api = Api::start().await;
    let ticket_types = json!([
        {"name": "Hall", "capacity": 30}, {"name": "Balcony", "capacity": 20}, {"name": "Box", "capacity": 10},
    ]);
    let event = api
        .event(json!({"totalTickets": 45, "ticketTypes": ticket_types}))
        .await;
    let requests = (0..80_usize).map(|index| {
        let kind = |index: usize| event["ticketTypes"][index % 3]["id"].clone();
        let lines = json!([{"ticketType": kind(index), "quantity": 1}, {"ticketType": kind(index + 1), "quantity": 1}]);
        let client = api.customer.client.clone();
        let body = json!({"eventId": event["id"], "lines": lines});
        async move { client.post("/api/bookings", body).await }
    });
    let answers = join_all(requests).await;
    let mut sold = std::collections::BTreeMap::<String, u64>::new();
    for answer in answers.iter().filter(|answer| answer.status == 201) {
        for line in answer.json()["lines"].as_array().expect("lines") {
            *sold
                .entry(line["ticketType"].as_str().expect("a type").to_owned())
                .or_default() += line["quantity"].as_u64().expect("a quantity");
        }
    }
    let seen = api.seen(&event).await;
    assert_eq!(seen["ticketsSold"], sold.values().sum::<u64>());
    for one in seen["ticketTypes"].as_array().expect("types") {
        let id = one["id"].as_str().expect("an id");
        assert_eq!(one["sold"], sold.get(id).copied().unwrap_or(0), "{one}");
        assert!(one["sold"].as_u64() <= one["capacity"].as_u64(), "{one}");
    }
    // Pairs of one each: 22 fit into 45, unless the types run out first; nothing else could be refused.
    let left = 45 - seen["ticketsSold"].as_u64().expect("a counter");
    let full = seen["ticketTypes"].as_array().expect("types").iter();
    let full = full.filter(|one| one["sold"] == one["capacity"]).count();
    assert!(left <= 1 || full >= 2, "{seen}");
}

#[tokio::test]
async fn a_ticket_type_is_changed_alone() {
    let api = Api::start().await;
    let event = hall_and_balcony(&api, Value::Null).await;
    let (path, organizer) = (path_of(&event), &api.organizer.client);
    let type_path = |index: usize| {
        let id = event["ticketTypes"][index]["id"].as_str().expect("an id");
        format!("{path}/ticket-types/{id}")
    };
    let before = event["ticketTypes"].clone();
    // The capacity of one type: its price, its window and the other type stay.
    let changed = organizer
        .patch(&type_path(0), &etag_of(&event), json!({"capacity": 12}))
        .await;
    assert_eq!(changed.header("etag"), "\"2\"");
    let mut hall = before[0].clone();
    hall["capacity"] = json!(12);
    hall["available"]["left"] = json!(12);
    assert_eq!(changed.expect(200), hall);
    let seen = api.seen(&event).await;
    assert_eq!(seen["ticketTypes"], json!([hall, before[1]]));
    assert_eq!(organizer.get(&type_path(0)).await.expect(200), hall);
    // The event's own patch does not know types, and says where they are.
    let refused = organizer
        .patch(
            &path,
            &etag_of(&seen),
            json!({"ticketTypes": [{"name": "A", "capacity": 1}]}),
        )
        .await;
    let problem = refused
        .problem(422, "unknown-field")
        .at_field("ticketTypes");
    let detail = problem.member("detail").as_str().unwrap_or_default();
    assert!(detail.contains("/ticket-types"), "{detail}");
    // Free only when it is said; wrong values name their field.
    for (body, field) in [
        (json!({"priceMinor": null}), "priceMinor"),
        (json!({"capacity": 0}), "capacity"),
        (json!({"name": before[1]["name"]}), "name"),
        (
            json!({"minPerBooking": 3, "maxPerBooking": 2}),
            "minPerBooking",
        ),
        (json!({"salesOpenAt": "soon"}), "salesOpenAt"),
    ] {
        let answer = organizer.patch(&type_path(0), &etag_of(&seen), body).await;
        answer.problem(422, "field-invalid").at_field(field);
    }
    organizer
        .patch(&type_path(0), "\"1\"", json!({"priceMinor": 0}))
        .await
        .problem(412, "version-mismatch");
    let free = organizer
        .patch(&type_path(0), &etag_of(&seen), json!({"priceMinor": 0}))
        .await
        .expect(200);
    assert_eq!(free["priceMinor"], 0);
}

#[tokio::test]
async fn ticket_types_are_added_and_removed_one_by_one() {
    let api = Api::start().await;
    let event = hall_and_balcony(&api, Value::Null).await;
    let (path, organizer) = (path_of(&event), &api.organizer.client);
    let types = format!("{path}/ticket-types");
    let added = organizer
        .post(&types, json!({"name": "Standing", "capacity": 7}))
        .await;
    let location = added.header("location").to_owned();
    assert_eq!(added.header("etag"), "\"2\"");
    let standing = added.expect(201);
    assert_eq!(organizer.get(&location).await.expect(200), standing);
    let seen = api.seen(&event).await;
    let total = |event: &Value| event["totalTickets"].as_u64().expect("a number");
    assert_eq!(total(&seen), total(&event) + 7, "the total follows");
    organizer
        .post(&types, json!({"name": "Standing", "capacity": 7}))
        .await
        .problem(422, "field-invalid")
        .at_field("name");
    // Another spelling of a name is that name (NFC), there and where events are made.
    let cafe = json!({"name": "Caf\u{e9}", "capacity": 7});
    let same = json!({"name": "Cafe\u{301}", "capacity": 7});
    let body = event_body(json!({"totalTickets": null, "ticketTypes": [cafe, same]}));
    let refused = organizer.post("/api/events", body).await;
    refused
        .problem(422, "field-invalid")
        .at_field("ticketTypes[1].name");
    // What was booked stays; what was not goes when it is said, and the total with it.
    let book =
        json!({"eventId": event["id"], "lines": [{"ticketType": standing["id"], "quantity": 1}]});
    api.customer
        .client
        .post("/api/bookings", book)
        .await
        .expect(201);
    organizer
        .delete(&location, &etag_of(&seen))
        .await
        .problem(409, "event-has-bookings");
    let balcony = event["ticketTypes"][1]["id"].as_str().expect("an id");
    let gone = format!("{types}/{balcony}");
    assert_eq!(organizer.delete(&gone, &etag_of(&seen)).await.status, 204);
    api.door.get(&gone).await.problem(404, "not-found");
    let seen = api.seen(&event).await;
    let left: Vec<&Value> = seen["ticketTypes"]
        .as_array()
        .expect("types")
        .iter()
        .collect();
    assert_eq!(left.len(), 2);
    assert_eq!(left[1]["id"], standing["id"]);
    organizer
        .delete(&format!("{types}/unknown"), &etag_of(&seen))
        .await
        .problem(404, "not-found");
    // Twenty at once, each sent twice under its key: each is added once, and the repetition has the first answer.
    let add = |index: usize| {
        let body = json!({"name": format!("Row {index}"), "capacity": 1});
        let request = organizer.request(Method::POST, &types).json(&body);
        Answer::of(request.header("Idempotency-Key", format!("row-{index}")))
    };
    let first = join_all((0..20).map(add)).await;
    let again = join_all((0..20).map(add)).await;
    for (first, again) in first.into_iter().zip(again) {
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(first.expect(201), again.expect(201));
    }
    let seen = api.seen(&event).await;
    let all = seen["ticketTypes"].as_array().expect("types");
    assert_eq!(all.len(), 2 + 20);
}
