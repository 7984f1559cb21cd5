//! Goal: tickets are cancelled under the terms that were promised, each once, and go back on sale; what is due is what the
//! terms say; and the customer's mail and calendar say what was cancelled and what is left.
//!
//! Method: the real router over an engine whose clock is moved; the engine with its worker for mails; engines on one
//! SurrealDB server for races. After each scenario all counters, and every booking's history, are recomputed.

mod effects;

use std::time::Duration;

use boxoffice_engine::{BookLine, Booking, CancelTickets};
use boxoffice_tests::{
    api::{Api, etag_of, path_of, text},
    assert_verified,
};
use futures::future::join_all;
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3600);

fn cancel_path(booking: &Value) -> String {
    format!("/api/bookings/{}/cancel", text(&booking["id"]))
}

/// An event 60 hours from now with a hall at 10.00 (in pairs) and a balcony at 4.95.
async fn sixty_hours_ahead(api: &Api, terms: Value) -> Value {
    let types = json!([
        {"name": "Hall", "capacity": 10, "priceMinor": 1000, "minPerBooking": 2},
        {"name": "Balcony", "capacity": 10, "priceMinor": 495},
    ]);
    api.event(json!({
        "startsAt": "2026-12-04T00:00:00Z",
        "totalTickets": null,
        "ticketTypes": types,
        "cancellationTerms": terms,
    }))
    .await
}

async fn book(api: &Api, event: &Value, hall: u32, balcony: u32) -> Value {
    let kind = |index: usize| &event["ticketTypes"][index]["id"];
    let lines = [(kind(0), hall), (kind(1), balcony)];
    let lines: Vec<Value> = lines
        .iter()
        .filter(|(_, quantity)| *quantity > 0)
        .map(|(kind, quantity)| json!({"ticketType": kind, "quantity": quantity}))
        .collect();
    let body = json!({"eventId": event["id"], "lines": lines});
    let booked = api.customer.client.post("/api/bookings", body).await;
    booked.expect(201)
}

#[tokio::test]
async fn some_tickets_go_back_and_the_rest_stays() {
    let api = Api::start().await;
    let event =
        sixty_hours_ahead(&api, json!([{"untilHoursBefore": 48, "refundPercent": 50}])).await;
    let (hall, balcony) = (
        &event["ticketTypes"][0]["id"],
        &event["ticketTypes"][1]["id"],
    );
    let booking = book(&api, &event, 4, 3).await;
    assert_eq!(booking["totalMinor"], 5485);
    let path = cancel_path(&booking);
    let ann = &api.customer.client;
    let of_balcony =
        |quantity: u32| json!({"lines": [{"ticketType": balcony, "quantity": quantity}]});

    let after = ann.post(&path, of_balcony(1)).await.expect(200);
    let cancellation = json!({
        "cancelledAt": "2026-12-01T12:00:00Z",
        "cancelledBy": "customer",
        "numTickets": 1,
        "lines": [{"ticketType": balcony, "quantity": 1, "unitPriceMinor": 495}],
        "ticketNumbers": [7],
        "refundPercent": 50,
        "refundMinor": 247,
    });
    assert_eq!(after["cancellations"], json!([cancellation]));
    assert_eq!(
        (
            &after["status"],
            &after["numTickets"],
            &after["totalMinor"],
            &after["refundMinor"]
        ),
        (&json!("confirmed"), &json!(6), &json!(4990), &json!(247))
    );
    let shown = ann
        .get(&format!("/api/bookings/{}", text(&booking["id"])))
        .await;
    let mut shown = shown.expect(200);
    // Only reads say who booked.
    shown["customer"] = Value::Null;
    assert_eq!(shown, after);
    let seen = api.seen(&event).await;
    assert_eq!(seen["ticketsSold"], 6);
    assert_eq!(seen["ticketTypes"][1]["sold"], 2);

    // What is wrong with a request is named.
    for (body, field) in [
        (of_balcony(3), "lines[0].quantity"),
        (
            json!({"lines": [{"ticketType": "nonsense", "quantity": 1}]}),
            "lines[0].ticketType",
        ),
        (json!({"lines": [{"quantity": 1}]}), "lines[0].ticketType"),
        (
            json!({"lines": [{"ticketType": hall, "quantity": 3}]}),
            "lines[0].quantity",
        ),
        (json!({"lines": []}), "lines"),
    ] {
        let refused = ann.post(&path, body).await;
        refused.problem(422, "field-invalid").at_field(field);
    }
    // A type whole, in a line that then is gone; then all that is left, without a body.
    let after = ann.post(&path, of_balcony(2)).await.expect(200);
    assert_eq!(after["lines"].as_array().map(Vec::len), Some(1));
    let after = ann.post_empty(&path).await.expect(200);
    assert_eq!(
        (
            &after["status"],
            &after["cancelledBy"],
            &after["refundMinor"]
        ),
        (&json!("cancelled"), &json!("customer"), &json!(5485 / 2))
    );
    assert_eq!(api.seen(&event).await["ticketsSold"], 0);
    // Again, whole: as it is. In part: there is nothing left.
    assert_eq!(ann.post(&path, json!({})).await.expect(200), after);
    let refused = ann.post(&path, of_balcony(1)).await;
    refused.problem(409, "booking-cancelled");
    assert_verified(&api.platform.engine).await;
}

/// Tickets of a booking as the API lists them: number and status.
async fn listed(client: &boxoffice_tests::Client, booking: &Value) -> Vec<(u64, String)> {
    let path = format!("/api/bookings/{}/tickets", text(&booking["id"]));
    let tickets = client.all(&path).await.into_iter();
    let ticket = |ticket: Value| {
        let number = ticket["number"].as_u64().expect("a number");
        (number, text(&ticket["status"]).to_owned())
    };
    tickets.map(ticket).collect()
}

#[tokio::test]
async fn parts_give_back_what_the_whole_gives() {
    let api = Api::start().await;
    let event = api
        .event(json!({
            "totalTickets": null,
            "ticketTypes": [{"name": "Seat", "capacity": 50, "priceMinor": 33}],
            "cancellationTerms": [{"untilHoursBefore": 0, "refundPercent": 50}],
        }))
        .await;
    let ann = &api.customer.client;
    let ten = json!({"eventId": event["id"], "numTickets": 10});
    for parts in [&[10][..], &[1; 10], &[3, 3, 4], &[9, 1]] {
        let booking = ann.post("/api/bookings", ten.clone()).await.expect(201);
        let mut after = booking.clone();
        for quantity in parts {
            let body = json!({"lines": [{"quantity": quantity}]});
            after = ann.post(&cancel_path(&booking), body).await.expect(200);
        }
        assert_eq!(after["refundDueMinor"], 165, "in parts of {parts:?}");
        let each = after["cancellations"].as_array().expect("a list").iter();
        let each: u64 = each
            .map(|one| one["refundMinor"].as_u64().expect("an amount"))
            .sum();
        assert_eq!(each, 165);
    }
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn tickets_are_cancelled_by_number_and_stay_the_ones_that_were() {
    let api = Api::start().await;
    let event = sixty_hours_ahead(&api, json!(null)).await;
    let (ann, olga) = (&api.customer.client, &api.organizer.client);
    let booking = book(&api, &event, 3, 2).await;
    let path = cancel_path(&booking);
    let named = |numbers: Value| json!({"ticketNumbers": numbers});

    let after = ann.post(&path, named(json!([4, 1]))).await.expect(200);
    assert_eq!(after["cancellations"][0]["ticketNumbers"], json!([1, 4]));
    assert_eq!(after["cancellations"][0]["numTickets"], 2);
    assert_eq!(after["refundDueMinor"], 1000 + 495);
    assert_eq!(
        (&after["numTickets"], &after["totalMinor"]),
        (&json!(3), &json!(2495))
    );
    let status = async || {
        let tickets = listed(ann, &booking).await.into_iter();
        tickets.map(|(_, status)| status).collect::<Vec<_>>()
    };
    let (valid, void) = ("valid", "cancelled");
    assert_eq!(status().await, [void, valid, valid, void, valid]);

    for (body, field) in [
        (named(json!([])), "ticketNumbers"),
        (named(json!([2, 6])), "ticketNumbers[1]"),
        (named(json!([4])), "ticketNumbers[0]"),
        (named(json!([5, 5])), "ticketNumbers[1]"),
        (named(json!([-1])), "ticketNumbers[0]"),
        // The hall is booked in pairs.
        (named(json!([2])), "ticketNumbers"),
        (
            json!({"ticketNumbers": [5], "lines": [{"quantity": 1}]}),
            "ticketNumbers",
        ),
    ] {
        let refused = ann.post(&path, body).await;
        refused.problem(422, "field-invalid").at_field(field);
    }
    // By type the last one of it goes; then what is left, without naming any.
    let balcony = json!({"lines": [{"ticketType": event["ticketTypes"][1]["id"], "quantity": 1}]});
    let after = olga.post(&path, balcony).await.expect(200);
    assert_eq!(after["cancellations"][1]["ticketNumbers"], json!([5]));
    let after = olga.post_empty(&path).await.expect(200);
    assert_eq!(after["cancellations"][2]["ticketNumbers"], json!([2, 3]));
    assert_eq!(status().await, [void; 5]);
    let refused = ann.post(&path, named(json!([2]))).await;
    refused.problem(409, "booking-cancelled");
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn amounts_mean_the_same_whatever_was_cancelled() {
    let api = Api::start().await;
    let event =
        sixty_hours_ahead(&api, json!([{"untilHoursBefore": 0, "refundPercent": 40}])).await;
    let (ann, olga) = (&api.customer.client, &api.organizer.client);
    let amounts = |booking: &Value| {
        ["paidMinor", "cancelledMinor", "refundDueMinor"]
            .map(|name| booking[name].as_u64().expect("an amount"))
    };
    let booking = book(&api, &event, 4, 2).await;
    assert_eq!(amounts(&booking), [4990, 0, 0]);
    let some = |index: usize, quantity: u32| json!({"lines": [{"ticketType": event["ticketTypes"][index]["id"], "quantity": quantity}]});
    let path = cancel_path(&booking);
    let after = ann.post(&path, some(1, 1)).await.expect(200);
    assert_eq!(amounts(&after), [4990, 495, 198]);
    let after = olga.post(&path, some(0, 2)).await.expect(200);
    assert_eq!(amounts(&after), [4990, 2495, 2198]);
    let whole = book(&api, &event, 0, 1).await;
    let whole = ann.post_empty(&cancel_path(&whole)).await.expect(200);
    assert_eq!(amounts(&whole), [495, 495, 198]);

    // With the event off, all that was left is cancelled, and comes back.
    let off = format!("{}/cancel", path_of(&event));
    olga.post(&off, json!({})).await.expect(200);
    let shown = async |booking: &Value| {
        let path = format!("/api/bookings/{}", text(&booking["id"]));
        ann.get(&path).await.expect(200)
    };
    let after = shown(&booking).await;
    assert_eq!(after["cancelledBy"], "event");
    assert_eq!(amounts(&after), [4990, 4990, 2198 + 2495]);
    assert_eq!(amounts(&shown(&whole).await), [495, 495, 198]);
    let list = ann.all("/api/bookings/me").await;
    let same = list.iter().find(|one| one["id"] == booking["id"]);
    assert_eq!(same, Some(&after));
}

#[tokio::test]
async fn terms_say_until_when_and_how_much() {
    let api = Api::start().await;
    let steps = json!([
        {"untilHoursBefore": 48, "refundPercent": 100},
        {"untilHoursBefore": 24, "refundPercent": 50},
    ]);
    let event = sixty_hours_ahead(&api, steps.clone()).await;
    assert_eq!(event["cancellationTerms"], steps);
    let plain = api.event(json!({})).await;
    let usual = json!([{"untilHoursBefore": 0, "refundPercent": 100}]);
    assert_eq!(plain["cancellationTerms"], usual);
    let (first, second, third) = (
        book(&api, &event, 0, 1).await,
        book(&api, &event, 0, 1).await,
        book(&api, &event, 0, 2).await,
    );
    let ann = &api.customer.client;
    let due = |booking: Value| booking["refundMinor"].clone();
    let one_of = |event: &Value| json!({"lines": [{"ticketType": event["ticketTypes"][1]["id"], "quantity": 1}]});

    // The last moment of a step belongs to it.
    api.platform.clock.advance(HOUR * 12);
    assert_eq!(
        due(ann.post(&cancel_path(&first), json!({})).await.expect(200)),
        495
    );
    api.platform.clock.advance(Duration::from_millis(1));
    assert_eq!(
        due(ann.post(&cancel_path(&second), json!({})).await.expect(200)),
        247
    );
    api.platform.clock.advance(HOUR * 24);
    let refused = ann.post(&cancel_path(&third), json!({})).await;
    let problem = refused.problem(409, "cancellation-closed");
    assert!(text(problem.member("detail")).contains("24 hours"));

    // Organizers cancel at any time, and everything comes back.
    let olga = &api.organizer.client;
    let after = olga
        .post(&cancel_path(&third), one_of(&event))
        .await
        .expect(200);
    assert_eq!(due(after.clone()), 495);
    assert_eq!(after["cancellations"][0]["cancelledBy"], "organizer");

    // Terms change with the event's version, and back to the usual ones with null.
    let change = json!({"cancellationTerms": []});
    let changed = olga
        .patch(&path_of(&event), &etag_of(&event), change)
        .await
        .expect(200);
    assert_eq!(changed["cancellationTerms"], json!([]));
    let late = book(&api, &changed, 0, 1).await;
    let refused = ann.post(&cancel_path(&late), json!({})).await;
    refused.problem(409, "cancellation-closed");
    let change = json!({"cancellationTerms": null});
    let changed = olga
        .patch(&path_of(&event), "\"2\"", change)
        .await
        .expect(200);
    assert_eq!(changed["cancellationTerms"], usual);
    assert_eq!(
        due(ann.post(&cancel_path(&late), json!({})).await.expect(200)),
        495
    );

    for (terms, field) in [
        (
            json!([{"untilHoursBefore": 24, "refundPercent": 101}]),
            "cancellationTerms[0].refundPercent",
        ),
        (
            json!([{"untilHoursBefore": 9000, "refundPercent": 1}]),
            "cancellationTerms[0].untilHoursBefore",
        ),
        (
            json!([{"untilHoursBefore": -1, "refundPercent": 1}]),
            "cancellationTerms[0].untilHoursBefore",
        ),
        (
            json!([{"untilHoursBefore": 1, "refundPercent": 1}, {"untilHoursBefore": 1, "refundPercent": 0}]),
            "cancellationTerms[1].untilHoursBefore",
        ),
    ] {
        let patch = json!({"cancellationTerms": terms});
        let refused = olga.patch(&path_of(&event), "\"3\"", patch).await;
        refused.problem(422, "field-invalid").at_field(field);
    }
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn who_booked_under_better_terms_keeps_them() {
    let api = Api::start().await;
    let event =
        sixty_hours_ahead(&api, json!([{"untilHoursBefore": 0, "refundPercent": 80}])).await;
    let booking = book(&api, &event, 0, 2).await;
    let olga = &api.organizer.client;
    let worse = json!({"cancellationTerms": []});
    olga.patch(&path_of(&event), "\"1\"", worse)
        .await
        .expect(200);
    let one = json!({"lines": [{"quantity": 1}]});
    let ann = &api.customer.client;
    let after = ann
        .post(&cancel_path(&booking), one.clone())
        .await
        .expect(200);
    assert_eq!(after["refundMinor"], 396);
    // But not once the event has begun, where it was moved to.
    let earlier = json!({"startsAt": "2026-12-02T12:00:00Z"});
    olga.patch(&path_of(&event), "\"2\"", earlier)
        .await
        .expect(200);
    api.platform.clock.advance(HOUR * 25);
    let refused = ann.post(&cancel_path(&booking), one).await;
    refused.problem(409, "cancellation-closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_cancels_once_and_is_answered_as_at_first() {
    let api = Api::start().await;
    let event = sixty_hours_ahead(&api, json!(null)).await;
    let booking = book(&api, &event, 0, 9).await;
    let (path, ann) = (cancel_path(&booking), &api.customer.client);
    let lines = |quantity: u32| json!({"lines": [{"quantity": quantity}]});
    let once = join_all((0..20).map(|_| ann.post_once(&path, "first", lines(2)))).await;
    let first = once[0].expect(200);
    assert_eq!(first["numTickets"], 7);
    for answer in &once {
        assert_eq!(answer.expect(200), first);
    }
    let second = ann.post_once(&path, "second", lines(3)).await.expect(200);
    assert_eq!(second["numTickets"], 4);
    ann.post(&path, json!({})).await.expect(200);
    // Whatever came after, the first answers come again.
    assert_eq!(
        ann.post_once(&path, "first", lines(2)).await.expect(200),
        first
    );
    assert_eq!(
        ann.post_once(&path, "second", lines(3)).await.expect(200),
        second
    );
    let refused = ann.post_once(&path, "first", lines(1)).await;
    refused.problem(422, "idempotency-key-reused");
    // Keys of the organizer are not the customer's.
    let refused = api
        .organizer
        .client
        .post_once(&path, "first", lines(2))
        .await;
    refused.problem(409, "booking-cancelled");
    assert_verified(&api.platform.engine).await;
}

fn some(booking: &Booking, quantity: u32) -> CancelTickets {
    let line = BookLine {
        ticket_type: None,
        quantity,
    };
    CancelTickets {
        lines: Some(vec![line]),
        ..CancelTickets::all(booking.id)
    }
}
