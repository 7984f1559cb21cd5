//! Goal: who waits is offered tickets in order as soon as enough are free for all they want, exactly those that are free, and
//! may have them if the policies agree; who is passed over can be told why.
//!
//! Method: the real router over an engine whose clock is moved, with the worker where offers must end by themselves or mails
//! go out; native policies; two engines on one SurrealDB server for races. After each scenario all counters are recomputed.

mod hosts;
mod policies;

use std::time::Duration;

use boxoffice_engine::{
    BookTickets, Caller, Engine, ErrorCode, Hold, JoinWaitlist, UserRole, WaitlistPlace,
};
use boxoffice_tests::{
    Account, Patience, TestPlatform,
    api::{Api, merge, path_of, replacement_body, text},
    assert_verified, quick_settings, wait_for,
};
use serde_json::{Value, json};

fn list_of(event: &Value) -> String {
    format!("{}/waitlist", path_of(event))
}

fn mine(event: &Value) -> String {
    format!("{}/waitlist/me", path_of(event))
}

async fn join(customer: &Account, event: &Value, quantity: u32) -> boxoffice_tests::Answer {
    let body = json!({"numTickets": quantity});
    customer.client.post(&list_of(event), body).await
}

async fn book(customer: &Account, event: &Value, quantity: u32) -> Value {
    let body = json!({"eventId": event["id"], "numTickets": quantity});
    customer
        .client
        .post("/api/bookings", body)
        .await
        .expect(201)
}

async fn cancel(customer: &Account, booking: &Value, quantity: u32) {
    let path = format!("/api/bookings/{}/cancel", text(&booking["id"]));
    let lines = json!({"lines": [{"quantity": quantity}]});
    customer.client.post(&path, lines).await.expect(200);
}

#[tokio::test]
async fn free_tickets_are_offered_to_the_first_whom_they_are_enough_for() {
    let api = Api::start().await;
    let event = api.event(json!({"totalTickets": 6})).await;
    let [ben, cal, dan] = [
        api.door.register("ben@north.test", "customer").await,
        api.door.register("cal@north.test", "customer").await,
        api.door.register("dan@north.test", "customer").await,
    ];
    // Nobody waits for what can be had, or for what there never is.
    join(&ben, &event, 6)
        .await
        .problem(409, "tickets-available");
    join(&ben, &event, 7)
        .await
        .problem(422, "field-invalid")
        .at_field("numTickets");
    let booking = book(&api.customer, &event, 6).await;
    let answer = join(&ben, &event, 4).await;
    assert_eq!(answer.header("location"), mine(&event));
    let kind = &event["ticketTypes"][0]["id"];
    let place = json!({
        "status": "waiting",
        "eventId": event["id"],
        "numTickets": 4,
        "position": 1,
        "lines": [{"ticketType": kind, "quantity": 4}],
        "joinedAt": "2026-12-01T12:00:00Z",
        "hold": null,
    });
    assert_eq!(answer.expect(201), place);
    assert_eq!(
        join(&ben, &event, 4).await.expect(201),
        place,
        "once is enough"
    );
    join(&ben, &event, 3).await.problem(409, "already-waiting");
    assert_eq!(join(&cal, &event, 1).await.expect(201)["position"], 2);
    assert_eq!(join(&dan, &event, 2).await.expect(201)["position"], 3);
    assert_eq!(api.seen(&event).await["waiting"], 3);
    assert_verified(&api.platform.engine).await;

    // Three become free: too few for Ben, enough for Cal and Dan. All of it in one step.
    cancel(&api.customer, &booking, 3).await;
    let seen = api.seen(&event).await;
    assert_eq!(
        (&seen["ticketsSold"], &seen["ticketsHeld"], &seen["waiting"]),
        (&json!(3), &json!(3), &json!(1))
    );
    let offered = cal.client.get(&mine(&event)).await.expect(200);
    assert_eq!(
        (&offered["status"], &offered["position"]),
        (&json!("offered"), &json!(null))
    );
    assert_eq!(offered["hold"]["offered"], true);
    assert_eq!(offered["hold"]["expiresAt"], "2026-12-02T00:00:00Z");
    assert_eq!(
        ben.client.get(&mine(&event)).await.expect(200)["position"],
        1
    );
    let skips = format!("{}/skips", list_of(&event));
    let olga = &api.organizer.client;
    let passes = olga.get(&skips).await.expect(200);
    let skipped = &passes["items"][0]["skips"];
    assert_eq!(
        (
            skipped.as_array().map(Vec::len),
            &skipped[0]["customerId"],
            &skipped[0]["reason"]
        ),
        (Some(1), &json!(ben.id), &json!("not-enough-tickets"))
    );
    let listed = olga.get(&list_of(&event)).await.expect(200);
    assert_eq!(listed["items"][0]["numTickets"], 4);
    cal.client
        .get(&list_of(&event))
        .await
        .problem(403, "forbidden");

    // Accepted, given back, and what fits nobody is on sale again.
    let hold = |place: &Value| format!("/api/holds/{}", text(&place["hold"]["id"]));
    let path = hold(&offered);
    cal.client
        .post(&format!("{path}/extend"), json!({}))
        .await
        .problem(409, "hold-already-extended");
    let confirmed = cal
        .client
        .post(&format!("{path}/confirm"), json!({}))
        .await
        .expect(201);
    assert_eq!(confirmed["numTickets"], 1);
    cal.client
        .get(&mine(&event))
        .await
        .problem(404, "not-found");
    let dans = hold(&dan.client.get(&mine(&event)).await.expect(200));
    dan.client
        .post(&format!("{dans}/release"), json!({}))
        .await
        .expect(200);
    let seen = api.seen(&event).await;
    assert_eq!(
        (&seen["ticketsSold"], &seen["ticketsHeld"]),
        (&json!(4), &json!(0))
    );
    assert_eq!(book(&dan, &event, 1).await["numTickets"], 1);

    // More capacity is free capacity.
    let more = json!({"totalTickets": 9});
    olga.patch(&path_of(&event), "\"1\"", more)
        .await
        .expect(200);
    let offered = ben.client.get(&mine(&event)).await.expect(200);
    assert_eq!(offered["hold"]["numTickets"], 4);
    assert_verified(&api.platform.engine).await;

    // Who leaves is no longer asked.
    assert_eq!(join(&dan, &event, 2).await.expect(201)["position"], 1);
    let left = dan.client.delete(&mine(&event), "\"1\"").await;
    assert_eq!(left.status, 204, "{}", left.text);
    dan.client
        .delete(&mine(&event), "\"1\"")
        .await
        .problem(404, "not-found");
    cancel(&api.customer, &booking, 3).await;
    dan.client
        .get(&mine(&event))
        .await
        .problem(404, "not-found");
    // Somebody waits no more, and the event was booked: it is cancelled, not deleted; nobody is offered anything then.
    assert_eq!(api.seen(&event).await["waiting"], 0);
    assert_verified(&api.platform.engine).await;
}

/// Replaces what an event says by the usual with these members changed.
async fn put(api: &Api, event: &Value, version: u64, changes: Value) {
    let (path, etag) = (path_of(event), format!("\"{version}\""));
    let olga = &api.organizer.client;
    olga.put(&path, &etag, replacement_body(changes))
        .await
        .expect(200);
}

/// Two tickets of one type that is sold so.
fn sold_so(terms: Value) -> Value {
    let mut kind = json!({"name": "General", "capacity": 2, "priceMinor": 0});
    merge(&mut kind, terms);
    json!({"totalTickets": null, "ticketTypes": [kind]})
}

/// A sold-out event for both tickets of which somebody waits; they come back while it is `before`, so that nobody can have
/// them. And who waits.
async fn waited_for(api: &Api, email: &str, before: Value) -> (Value, Account) {
    let event = api.event(sold_so(json!({}))).await;
    let booking = book(&api.customer, &event, 2).await;
    let ben = api.door.register(email, "customer").await;
    join(&ben, &event, 2).await.expect(201);
    put(api, &event, 1, before).await;
    let path = format!("/api/bookings/{}/cancel", text(&booking["id"]));
    let olga = &api.organizer.client;
    olga.post_empty(&path).await.expect(200);
    let place = ben.client.get(&mine(&event)).await.expect(200);
    assert_eq!(place["status"], "waiting");
    (event, ben)
}

#[tokio::test]
async fn whatever_makes_tickets_sellable_again_offers_them() {
    let api = Api::start().await;
    let mut begun = sold_so(json!({}));
    begun["startsAt"] = json!("2026-12-01T11:00:00Z");
    let hour_ago = json!("2026-12-01T11:00:00Z");
    for (index, before) in [
        // The event has begun, and is postponed then.
        begun,
        // The sale was closed, and opens again; it was put off, and is not any more.
        sold_so(json!({"salesCloseAt": hour_ago})),
        sold_so(json!({"salesOpenAt": "2026-12-20T00:00:00Z"})),
        // Fewer or more at once than are waited for.
        sold_so(json!({"maxPerBooking": 1})),
        sold_so(json!({"capacity": 3, "minPerBooking": 3})),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("ben{index}@north.test");
        let (event, ben) = waited_for(&api, &email, before.clone()).await;
        put(&api, &event, 2, sold_so(json!({}))).await;
        let place = ben.client.get(&mine(&event)).await.expect(200);
        assert_eq!(place["status"], "offered", "after {before}");
        assert_eq!(
            (&place["numTickets"], &place["lines"][0]["quantity"]),
            (&json!(2), &json!(2))
        );
        let body = json!({"eventId": event["id"], "numTickets": 1});
        let late = api.customer.client.post("/api/bookings", body).await;
        late.problem(409, "not-enough-tickets");
    }
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn what_is_published_again_is_offered_and_mere_words_offer_nothing() {
    let api = Api::start().await;
    let event = api.event(sold_so(json!({}))).await;
    let hold = json!({"eventId": event["id"], "numTickets": 2});
    let hold = api.customer.client.post("/api/holds", hold).await;
    let hold = hold.expect(201);
    let dan = api.door.register("dan@north.test", "customer").await;
    join(&dan, &event, 2).await.expect(201);
    let closed = json!({"salesCloseAt": "2026-12-01T11:00:00Z"});
    put(&api, &event, 1, sold_so(closed)).await;
    let release = format!("/api/holds/{}/release", text(&hold["id"]));
    api.customer.client.post_empty(&release).await.expect(200);
    let mut draft = sold_so(json!({}));
    draft["status"] = json!("draft");
    put(&api, &event, 2, draft.clone()).await;
    draft["description"] = json!("Other words.");
    put(&api, &event, 3, draft).await;
    let place = dan.client.get(&mine(&event)).await.expect(200);
    assert_eq!(place["status"], "waiting");
    let skips = format!("{}/skips", list_of(&event));
    assert!(api.organizer.client.all(&skips).await.is_empty());
    put(&api, &event, 4, sold_so(json!({}))).await;
    let place = dan.client.get(&mine(&event)).await.expect(200);
    assert_eq!(place["status"], "offered");
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_that_opens_by_itself_offers_what_is_free() {
    let api = Api::start().await;
    let later = json!({"salesOpenAt": "2026-12-01T18:00:00Z"});
    let (event, ben) = waited_for(&api, "ben@north.test", sold_so(later)).await;
    let _worker = api.platform.engine.worker().spawn_singletons();
    api.platform.clock.advance(Duration::from_secs(6 * 3600));
    let place = wait_for(Patience::WORK, "an offer", || async {
        let place = ben.client.get(&mine(&event)).await.expect(200);
        (place["status"] == "offered").then_some(place)
    })
    .await;
    assert_eq!(place["hold"]["numTickets"], 2);
    let seen = api.seen(&event).await;
    assert_eq!(
        (&seen["ticketsHeld"], &seen["waiting"]),
        (&json!(2), &json!(0))
    );
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn a_list_is_bounded_and_a_cancelled_event_offers_nothing() {
    let mut settings = quick_settings();
    settings.bookings.waitlist_entries_max = 2;
    let platform = TestPlatform::with(|builder| builder.settings(settings)).await;
    platform.may_owe();
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    let event = platform.event(&organizer, 1).await.id;
    let mut people = Vec::new();
    for name in ["ann", "ben", "cal", "dan"] {
        people.push(platform.customer(&tenant, name).await);
    }
    let booking = platform.book(&people[0], event, 1).await;
    let waitlist = platform.engine.waitlist();
    let command = JoinWaitlist::new(event, BookTickets::general(event, 1).lines);
    for person in &people[1..3] {
        waitlist
            .join(person, command.clone())
            .await
            .expect("a place");
    }
    let full = waitlist.join(&people[3], command.clone()).await;
    assert_eq!(full.unwrap_err().code(), ErrorCode::WaitlistFull);
    let events = platform.engine.events();
    events
        .cancel(&organizer, event, None)
        .await
        .expect("it is off");
    let off = waitlist.join(&people[3], command).await;
    assert_eq!(off.unwrap_err().code(), ErrorCode::EventCancelled);
    platform
        .engine
        .bookings()
        .cancel(&organizer, booking.id)
        .await
        .expect("as it is");
    let seen = events.show(&organizer, event).await.expect("the event");
    assert_eq!((seen.event.tickets_held, seen.event.waiting), (0, 2));
    waitlist
        .leave(&people[1], event)
        .await
        .expect("they may leave");
    assert_verified(&platform.engine).await;
}

async fn offered(
    engine: &Engine,
    customer: &Caller,
    event: boxoffice_engine::EventId,
) -> Option<Hold> {
    match engine.waitlist().place(customer, event).await {
        Ok(WaitlistPlace::Offered(hold)) => Some(hold),
        Ok(WaitlistPlace::Waiting { .. }) => None,
        Err(error) if error.code() == ErrorCode::NotFound => None,
        Err(error) => panic!("{error:?}"),
    }
}
