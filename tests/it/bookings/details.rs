//! Goal: what a booking carries beside its tickets (reference, metadata, codes, answers, attendees) comes through every door, is checked
//! against the event's questions, is seen by policies, and is shown again as it was given; references are unique.
//!
//! Method: over the API, with an event that asks per booking and per ticket; references also by many racing clients of two events.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use boxoffice_engine::{
    BookingDetails, TenantId, UserRole,
    ports::{BookingView, CancellationView, Decision, HookFailure, Policy},
};
use boxoffice_tests::{
    api::{Api, etag_of, path_of, text},
    assert_verified,
};
use futures::future::join_all;
use serde_json::{Value, json};

/// Keeps what it sees, and wants the code that the event's metadata name.
#[derive(Default)]
struct Door {
    seen: Arc<Mutex<Vec<BookingDetails>>>,
}

#[async_trait]
impl Policy for Door {
    async fn validate_booking(&self, request: &BookingView) -> Result<Decision, HookFailure> {
        self.seen
            .lock()
            .expect("a list")
            .push(request.details.clone());
        let wanted = request.event.metadata.get("code");
        let codes = &request.details.codes;
        let has = |wanted: &str| codes.iter().any(|code| code.as_str() == wanted);
        match wanted.is_none_or(has) {
            true => Ok(Decision::Accept),
            false => Ok(Decision::Reject {
                code: "no-code".to_owned(),
                reason: "Members have a code.".to_owned(),
            }),
        }
    }

    async fn validate_cancellation(
        &self,
        request: &CancellationView,
    ) -> Result<Decision, HookFailure> {
        self.seen
            .lock()
            .expect("a list")
            .push(request.details.clone());
        Ok(Decision::Accept)
    }
}

fn questions() -> Value {
    json!([
        {"id": "meal", "label": "What do you eat?", "kind": "choice", "choices": ["Meat", "Plants"], "required": true},
        {"id": "news", "label": "How did you hear of us?", "kind": "text"},
        {"id": "age", "label": "How old?", "kind": "number", "required": true, "perTicket": true},
    ])
}

fn details() -> Value {
    json!({
        "reference": "order-1",
        "metadata": {"cart": "17", "source": "partner/é"},
        "codes": [" SPRING ", "VIP"],
        "answers": {"meal": "Plants", "news": null},
        "attendees": [
            {"name": "Ann", "email": "Ann@north.test", "answers": {"age": 41}},
            {"name": "Ben", "answers": {"age": 7.5}},
        ],
    })
}

fn with(mut body: Value, more: &Value) -> Value {
    let members = body.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    body
}

/// What of an answer are details.
fn shown(answer: &Value) -> Value {
    let names = ["reference", "metadata", "codes", "answers", "attendees"];
    names
        .map(|name| (name.to_owned(), answer[name].clone()))
        .into_iter()
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn as_shown() -> Value {
    json!({
        "reference": "order-1",
        "metadata": {"cart": "17", "source": "partner/é"},
        "codes": ["SPRING", "VIP"],
        "answers": {"meal": "Plants"},
        "attendees": [
            {"number": 1, "name": "Ann", "email": "ann@north.test", "answers": {"age": 41.0}},
            {"number": 2, "name": "Ben", "email": null, "answers": {"age": 7.5}},
        ],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_shows_what_it_was_given_and_policies_see_it() {
    let door = Door::default();
    let seen = door.seen.clone();
    let api = Api::with(|builder| builder.policy(door)).await;
    let event = api.event(json!({"questions": questions()})).await;
    assert_eq!(event["questions"][0]["choices"], json!(["Meat", "Plants"]));
    let client = &api.customer.client;
    let body = with(json!({"eventId": event["id"], "numTickets": 2}), &details());
    let quote = client.post("/api/quotes", body.clone()).await.expect(200);
    assert_eq!(quote["totalMinor"], 0);
    let booked = client.post("/api/bookings", body).await.expect(201);
    assert_eq!(shown(&booked), as_shown());
    let path = format!("/api/bookings/{}", text(&booked["id"]));
    assert_eq!(shown(&client.get(&path).await.expect(200)), as_shown());
    let found = client.get("/api/booking-references/order-1").await;
    assert_eq!(found.expect(200)["id"], booked["id"]);
    let unknown = client.get("/api/booking-references/order-2").await;
    unknown.problem(404, "not-found");
    let stranger = api.door.register("eve@north.test", "customer").await;
    let hidden = stranger.client.get("/api/booking-references/order-1").await;
    hidden.problem(404, "not-found");
    client
        .post(&format!("{path}/cancel"), json!({}))
        .await
        .expect(200);
    let seen = seen.lock().expect("a list").clone();
    assert_eq!(seen.len(), 3, "a quote, a booking and a cancellation");
    for details in seen {
        assert_eq!(details.metadata.get("cart"), Some("17"));
        assert_eq!(details.ticket_holders.len(), 2);
        assert_eq!(details.codes[0].as_str(), "SPRING");
    }
    let export = format!("{}/attendees/export?format=ndjson", path_of(&event));
    let lines = api.organizer.client.get(&export).await.text;
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(
        (&lines[0]["name"], &lines[1]["answers"]),
        (&json!("Ann"), &json!({"age": 7.5}))
    );
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_and_missing_parts_are_refused_where_they_stand() {
    let api = Api::start().await;
    let event = api.event(json!({"questions": questions()})).await;
    let client = &api.customer.client;
    let base = with(json!({"eventId": event["id"], "numTickets": 2}), &details());
    let long = "x".repeat(501);
    for (change, field) in [
        (json!({"answers": {}}), "answers.meal"),
        (json!({"answers": {"meal": "Fish"}}), "answers.meal"),
        (
            json!({"answers": {"meal": "Meat", "shoe": 1}}),
            "answers.shoe",
        ),
        (json!({"answers": {"meal": {}}}), "answers.meal"),
        (json!({"attendees": [{"answers": {"age": 3}}]}), "attendees"),
        (
            json!({"attendees": [{"answers": {"age": 3}}, {"answers": {"age": "3"}}]}),
            "attendees[1].answers.age",
        ),
        (
            json!({"attendees": [{"email": "no"}]}),
            "attendees[0].email",
        ),
        (
            json!({"attendees": [{"ticketType": "t9"}]}),
            "attendees[0].ticketType",
        ),
        (
            json!({"attendees": [{}, {}, {}]}),
            "attendees[2].ticketType",
        ),
        (json!({"metadata": {"cart": long}}), "metadata.cart"),
        (json!({"codes": ["a\nb"]}), "codes[0]"),
        (json!({"codes": vec!["a"; 11]}), "codes"),
        (json!({"reference": "a b"}), "reference"),
    ] {
        let refused = client
            .post("/api/bookings", with(base.clone(), &change))
            .await;
        refused.problem(422, "field-invalid").at_field(field);
    }
    // All that is missing is said at once.
    let bare = json!({"eventId": event["id"], "numTickets": 2});
    let refused = client.post("/api/bookings", bare.clone()).await;
    let problem = refused.problem(422, "field-invalid");
    let errors = problem.member("errors").as_array().expect("errors").iter();
    let fields: Vec<_> = errors.map(|one| text(&one["field"])).collect();
    assert_eq!(fields, ["answers.meal", "attendees"]);
    // Questions that come later are asked at once, also where the event was cached.
    let plain = api.event(json!({})).await;
    let body = json!({"eventId": plain["id"], "numTickets": 1});
    client.post("/api/bookings", body.clone()).await.expect(201);
    let patch =
        json!({"questions": [{"id": "q", "label": "Why?", "kind": "text", "required": true}]});
    let organizer = &api.organizer.client;
    let patched = organizer
        .patch(&path_of(&plain), &etag_of(&plain), patch)
        .await;
    patched.expect(200);
    let refused = client.post("/api/bookings", body.clone()).await;
    refused.problem(422, "field-invalid").at_field("answers.q");
    let answered = with(body, &json!({"answers": {"q": "Jazz"}}));
    client.post("/api/bookings", answered).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_may_be_completed_until_it_is_confirmed() {
    let api = Api::with(|builder| builder.policy(Door::default())).await;
    let event = api
        .event(json!({"questions": questions(), "metadata": {"code": "VIP"}}))
        .await;
    let client = &api.customer.client;
    let body = json!({"eventId": event["id"], "numTickets": 2, "codes": ["VIP"], "metadata": {"cart": "1"}});
    let hold = client.post("/api/holds", body).await.expect(201);
    let path = format!("/api/holds/{}", text(&hold["id"]));
    let confirm = format!("{path}/confirm");
    let early = client.post(&confirm, json!({})).await;
    early.problem(422, "field-invalid").at_field("answers.meal");
    let wrong = client
        .patch(&path, "*", json!({"answers": {"meal": "Fish"}}))
        .await;
    wrong.problem(422, "field-invalid");
    let other = client.patch(&path, "*", json!({"codes": ["X"]})).await;
    other.problem(422, "field-invalid").at_field("codes");
    let some = json!({"answers": {"meal": "Meat"}, "attendees": [{"name": "Ann"}]});
    let changed = client.patch(&path, "*", some).await.expect(200);
    assert_eq!(changed["metadata"], json!({"cart": "1"}), "left out: stays");
    let attendees = details()["attendees"].clone();
    let last = json!({"attendees": attendees, "reference": "order-7"});
    let booked = client.post(&confirm, last).await.expect(201);
    assert_eq!(booked["answers"], json!({"meal": "Meat"}));
    assert_eq!(booked["codes"], json!(["VIP"]));
    assert_eq!(booked["attendees"][1]["name"], "Ben");
    assert_eq!(booked["reference"], "order-7");
    let again = client.post(&confirm, json!({})).await.expect(201);
    assert_eq!(again["id"], booked["id"]);
    let late = client.patch(&path, "*", json!({"metadata": {}})).await;
    late.problem(409, "hold-ended");
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_names_one_booking_and_one_event() {
    let api = Api::start().await;
    let events = [api.event(json!({})).await, api.event(json!({})).await];
    let client = &api.customer.client;
    let races = join_all((0..24).map(|index| {
        let body = json!({"eventId": events[index % 2]["id"], "numTickets": 1,
            "reference": format!("order-{}", index % 3)});
        client.post("/api/bookings", body)
    }));
    let answers = races.await;
    let booked = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(booked, 3, "one of each");
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.problem(409, "reference-taken").at_field("reference");
    }
    // A hold takes no reference before it becomes a booking.
    let body = json!({"eventId": events[0]["id"], "numTickets": 1, "reference": "order-1"});
    let hold = client.post("/api/holds", body).await.expect(201);
    let confirm = format!("/api/holds/{}/confirm", text(&hold["id"]));
    let refused = client.post(&confirm, json!({})).await;
    refused.problem(409, "reference-taken");
    let other = client.post(&confirm, json!({"reference": "order-9"})).await;
    assert_eq!(other.expect(201)["reference"], "order-9");

    let organizer = &api.organizer.client;
    let named = api
        .event(json!({"reference": "gig-1", "metadata": {"hall": "2"}}))
        .await;
    let body = boxoffice_tests::api::event_body(json!({"reference": "gig-1"}));
    organizer
        .post("/api/events", body.clone())
        .await
        .problem(409, "reference-taken");
    let found = api
        .door
        .get("/api/event-references/gig-1")
        .await
        .expect(200);
    assert_eq!(
        (&found["id"], &found["metadata"]),
        (&named["id"], &json!({"hall": "2"}))
    );
    let patch = json!({"reference": "gig-2", "metadata": {"hall": null, "stage": "B"}});
    let patched = organizer
        .patch(&path_of(&named), &etag_of(&named), patch)
        .await;
    let patched = patched.expect(200);
    assert_eq!(patched["metadata"], json!({"stage": "B"}));
    api.door
        .get("/api/event-references/gig-1")
        .await
        .problem(404, "not-found");
    organizer.post("/api/events", body).await.expect(201);
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_offered_what_they_asked_for() {
    let api = Api::start().await;
    let event = api
        .event(json!({"totalTickets": 1, "questions": [questions()[0].clone()]}))
        .await;
    let first = api.door.register("fay@north.test", "customer").await;
    let body = json!({"eventId": event["id"], "numTickets": 1, "answers": {"meal": "Meat"}});
    let taken = first.client.post("/api/bookings", body).await.expect(201);
    let client = &api.customer.client;
    let join = format!("{}/waitlist", path_of(&event));
    let wrong = json!({"numTickets": 1, "answers": {"meal": 3}});
    client
        .post(&join, wrong)
        .await
        .problem(422, "field-invalid");
    let wish = json!({"numTickets": 1, "metadata": {"cart": "5"}, "attendees": [{"name": "Ann"}]});
    client.post(&join, wish).await.expect(201);
    let list = api.organizer.client.all(&join).await;
    assert_eq!(list[0]["metadata"], json!({"cart": "5"}));
    let cancel = format!("/api/bookings/{}/cancel", text(&taken["id"]));
    first.client.post(&cancel, json!({})).await.expect(200);
    let place = client.get(&format!("{join}/me")).await.expect(200);
    let hold = &place["hold"];
    assert_eq!(hold["metadata"], json!({"cart": "5"}));
    let confirm = format!("/api/holds/{}/confirm", text(&hold["id"]));
    let early = client.post(&confirm, json!({})).await;
    early.problem(422, "field-invalid");
    let booked = client.post(
        &confirm,
        json!({"answers": {"meal": "Plants"}, "codes": ["LATE"]}),
    );
    let booked = booked.await.expect(201);
    assert_eq!(booked["attendees"][0]["name"], "Ann");
    assert_eq!(booked["codes"], json!(["LATE"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_keeps_the_reference_alone() {
    let api = Api::start().await;
    let tenant = TenantId::parse("north").expect("a tenant");
    api.platform.user(&tenant, "owen", UserRole::Owner).await;
    let owner = api.door.login("owen@north.test").await;
    let types = json!([{"name": "Hall", "capacity": 9, "priceMinor": 500}]);
    let event = json!({"totalTickets": null, "ticketTypes": types, "questions": questions()});
    let event = api.event(event).await;
    let client = &api.customer.client;
    let body = with(json!({"eventId": event["id"], "numTickets": 2}), &details());
    let booked = client.post("/api/bookings", body.clone()).await.expect(201);
    let hold = with(body, &json!({"reference": "order-2"}));
    let hold = client.post("/api/holds", hold).await.expect(201);
    let open =
        json!({"provider": "acme", "reference": "pi-1", "amountMinor": 1_000, "currency": "EUR"});
    let path = format!("/api/holds/{}/payments", text(&hold["id"]));
    owner.client.post(&path, open).await.expect(201);
    let full = api.event(json!({"totalTickets": 1})).await;
    let all = json!({"eventId": full["id"], "numTickets": 1});
    owner.client.post("/api/bookings", all).await.expect(201);
    let waitlist = format!("{}/waitlist", path_of(&full));
    let wish = json!({"numTickets": 1, "attendees": [{"name": "Ann"}]});
    client.post(&waitlist, wish).await.expect(201);
    let erase = format!("/api/users/{}/erase", api.customer.id);
    owner.client.post(&erase, json!({})).await.expect(200);
    let bare = json!({"metadata": {}, "codes": [], "answers": {}, "attendees": []});
    for (kind, object, reference) in [
        ("bookings", &booked, "order-1"),
        ("holds", &hold, "order-2"),
    ] {
        let path = format!("/api/{kind}/{}", text(&object["id"]));
        let left = shown(&owner.client.get(&path).await.expect(200));
        assert_eq!(left, with(bare.clone(), &json!({"reference": reference})));
    }
    let waiting = owner.client.all(&waitlist).await;
    assert_eq!(waiting[0]["attendees"], json!([]));
    // The payment makes the booking of the hold, with what is left.
    let captured = json!({"noticeId": "evt-1", "amountMinor": 1_000, "at": "2026-12-01T12:00:00Z"});
    let told = owner
        .client
        .post("/api/payments/acme/pi-1/captured", captured);
    assert_eq!(told.await.expect(200)["status"], "booked");
    let path = format!("/api/bookings/{}", text(&hold["id"]));
    let late = shown(&owner.client.get(&path).await.expect(200));
    assert_eq!(late, with(bare, &json!({"reference": "order-2"})));
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attendees_are_changed_until_the_event_says() {
    let api = Api::start().await;
    let until = json!({"questions": questions(), "attendeesUntil": "2026-12-01T12:30:00Z"});
    let event = api.event(until).await;
    let client = &api.customer.client;
    let body = with(json!({"eventId": event["id"], "numTickets": 2}), &details());
    let booked = client.post("/api/bookings", body).await.expect(201);
    let path = format!("/api/bookings/{}", text(&booked["id"]));
    let attendees = json!([{"name": "Cleo", "answers": {"age": 30}}, {"answers": {"age": 31}}]);
    let change = json!({"attendees": attendees, "answers": {"meal": "Meat"}});
    let changed = client.patch(&path, "*", change.clone()).await.expect(200);
    assert_eq!(changed["attendees"][0]["name"], "Cleo");
    assert_eq!(
        (&changed["answers"], &changed["reference"]),
        (&json!({"meal": "Meat"}), &json!("order-1"))
    );
    for (body, field) in [
        (json!({"answers": {}}), "answers.meal"),
        (json!({"attendees": []}), "attendees"),
        (json!({"metadata": {}}), "metadata"),
        (json!({"reference": "order-3"}), "reference"),
    ] {
        let refused = client.patch(&path, "*", body).await;
        refused.problem(422, "field-invalid").at_field(field);
    }
    let organizer = &api.organizer.client;
    let named = organizer.patch(&path, "*", json!({"reference": "order-3", "metadata": {}}));
    assert_eq!(named.await.expect(200)["metadata"], json!({}));
    client
        .get("/api/booking-references/order-3")
        .await
        .expect(200);
    client
        .get("/api/booking-references/order-1")
        .await
        .problem(404, "not-found");
    // A cancellation and changes that race leave one whole booking.
    let part = json!({"ticketNumbers": [2]});
    let cancel = format!("{path}/cancel");
    let (_, cancelled, _) = tokio::join!(
        client.patch(&path, "*", change.clone()),
        client.post(&cancel, part),
        organizer.patch(&path, "*", json!({"metadata": {"cart": "9"}})),
    );
    cancelled.expect(200);
    let shown = organizer.get(&path).await.expect(200);
    assert_eq!(
        (&shown["metadata"], &shown["numTickets"]),
        (&json!({"cart": "9"}), &json!(1))
    );
    api.platform
        .clock
        .advance(std::time::Duration::from_secs(3_600));
    let late = client.patch(&path, "*", change.clone()).await;
    late.problem(409, "changes-closed");
    organizer.patch(&path, "*", change).await.expect(200);
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_for_what_the_event_asked_before() {
    let api = Api::start().await;
    let event = api
        .event(json!({"questions": [questions()[0].clone()]}))
        .await;
    let client = &api.customer.client;
    let first = json!({"eventId": event["id"], "numTickets": 1, "answers": {"meal": "Meat"}});
    let booked = client
        .post_once("/api/bookings", "k-1", first.clone())
        .await;
    let booked = booked.expect(201);
    // The question gets another choice: it is taken at once.
    let asked = json!({"id": "meal", "label": "What do you eat?", "kind": "choice", "choices": ["Fish", "Plants"]});
    let patch = json!({"questions": [asked]});
    let organizer = &api.organizer.client;
    let patched = organizer
        .patch(&path_of(&event), &etag_of(&event), patch)
        .await;
    patched.expect(200);
    let second = json!({"eventId": event["id"], "numTickets": 1, "answers": {"meal": "Fish"}});
    client.post("/api/bookings", second).await.expect(201);
    // A repeated request gets the answer that it got, though its choice is gone; the same without a key is refused.
    let again = client
        .post_once("/api/bookings", "k-1", first.clone())
        .await;
    assert_eq!(again.expect(201)["id"], booked["id"]);
    let refused = client.post("/api/bookings", first).await;
    refused
        .problem(422, "field-invalid")
        .at_field("answers.meal");
    // What was answered to a question that has changed stops nobody.
    let path = format!("/api/bookings/{}", text(&booked["id"]));
    let named = organizer
        .patch(&path, "*", json!({"reference": "order-5"}))
        .await;
    assert_eq!(named.expect(200)["answers"], json!({"meal": "Meat"}));
    let cancel = format!("{}/cancel", path_of(&event));
    organizer.post(&cancel, json!({})).await.expect(200);
    let late = organizer
        .patch(&path, "*", json!({"reference": "order-6"}))
        .await;
    late.problem(409, "booking-cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_was_sold_keeps_what_the_seller_gave_it() {
    let api = Api::start().await;
    let event = api.event(json!({"questions": questions()})).await;
    let given = with(details(), &json!({"customer": {"id": api.customer.id}}));
    let body = with(json!({"eventId": event["id"], "numTickets": 2}), &given);
    let hold = api
        .organizer
        .client
        .post("/api/holds", body)
        .await
        .expect(201);
    let path = format!("/api/holds/{}", text(&hold["id"]));
    let confirm = format!("{path}/confirm");
    let client = &api.customer.client;
    for (change, field) in [
        (json!({"reference": "order-9"}), "reference"),
        (json!({"metadata": {}}), "metadata"),
        // It is complete, and stays so: a payment may be open.
        (json!({"answers": {}}), "answers.meal"),
        (json!({"attendees": []}), "attendees"),
    ] {
        let refused = client.patch(&path, "*", change.clone()).await;
        refused.problem(422, "field-invalid").at_field(field);
        let refused = client.post(&confirm, change).await;
        refused.problem(422, "field-invalid").at_field(field);
    }
    let booked = client.post(&confirm, json!({})).await.expect(201);
    assert_eq!(shown(&booked), as_shown());
    // What is taken away in a confirmation is gone.
    let plain = api.event(json!({})).await;
    let named = json!({"eventId": plain["id"], "numTickets": 1, "attendees": [{"name": "Ann"}]});
    let hold = client.post("/api/holds", named).await.expect(201);
    let confirm = format!("/api/holds/{}/confirm", text(&hold["id"]));
    let booked = client
        .post(&confirm, json!({"attendees": []}))
        .await
        .expect(201);
    assert_eq!(booked["attendees"], json!([]));
}
