//! Goal: nobody has more tickets of an event than its limit for one customer allows, however they ask for them, and what ends gives back.
//!
//! Method: each way to tickets over the API with a moved clock, then one customer's requests at two engines on one SurrealDB server at
//! once.

use std::time::Duration;

use boxoffice_engine::{
    BookTickets, CustomerFilter, ErrorCode, HoldTickets, PageRequest, TenantId, UpdateEvent,
    UserRole,
};
use boxoffice_tests::{
    Account, Answer, Client, Patience, SurrealServer,
    api::{Api, book, etag_of, hold, path_of, text},
    assert_verified, create_event, email, ensure_customer, organizer_and_tenant, wait_until,
};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

const LIMIT: &str = "customer-limit";

async fn quote(client: &Client, event: &Value, tickets: u32) -> Answer {
    let body = json!({"eventId": event["id"], "numTickets": tickets});
    client.post("/api/quotes", body).await
}

async fn cancel(client: &Client, booking: &Value, tickets: u32) {
    let path = format!("/api/bookings/{}/cancel", text(&booking["id"]));
    let body = json!({"lines": [{"quantity": tickets}]});
    client.post(&path, body).await.expect(200);
}

async fn limited(max: u32) -> (Api, Value) {
    let api = Api::start().await;
    let event = api.event(json!({"maxTicketsPerCustomer": max})).await;
    assert_eq!(event["maxTicketsPerCustomer"], max);
    (api, event)
}

#[tokio::test]
async fn bookings_and_holds_count_together_and_what_ends_gives_back() {
    let (api, event) = limited(4).await;
    let ann = &api.customer.client;
    let first = book(ann, &event, 3).await.expect(201);
    for refused in [
        book(ann, &event, 2).await,
        hold(ann, &event, 2).await,
        quote(ann, &event, 2).await,
    ] {
        assert_eq!(
            refused.problem(409, LIMIT).member("detail"),
            "One customer may have at most 4 tickets of this event: 3 are booked or held, and 2 are wanted."
        );
    }
    let quoted = quote(ann, &event, 1).await.expect(200);
    assert_eq!(quoted["customerLimit"], json!({"max": 4, "has": 3}));
    let held = hold(ann, &event, 1).await.expect(201);
    book(ann, &event, 1).await.problem(409, LIMIT);
    let path = format!("/api/holds/{}", text(&held["id"]));
    ann.post_empty(&format!("{path}/release")).await.expect(200);
    let held = hold(ann, &event, 1).await.expect(201);
    let path = format!("/api/holds/{}", text(&held["id"]));
    ann.post_empty(&format!("{path}/confirm")).await.expect(201);
    book(ann, &event, 1).await.problem(409, LIMIT);
    cancel(ann, &first, 2).await;
    book(ann, &event, 3).await.problem(409, LIMIT);
    book(ann, &event, 2).await.expect(201);
    // Others have limits of their own, and other events have none.
    let ben = api.door.register("ben@north.test", "customer").await;
    book(&ben.client, &event, 4).await.expect(201);
    let other = api.event(json!({})).await;
    book(ann, &other, 5).await.expect(201);
    let quoted = quote(ann, &other, 5).await.expect(200);
    assert!(quoted["customerLimit"].is_null(), "{quoted}");
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_hold_counts_no_more() {
    let (api, event) = limited(2).await;
    let ann = &api.customer.client;
    hold(ann, &event, 2).await.expect(201);
    book(ann, &event, 1).await.problem(409, LIMIT);
    api.platform.clock.advance(Duration::from_secs(1_200));
    let worker = api.platform.engine.worker().spawn_singletons();
    wait_until(Patience::WORK, "the hold to expire", || async {
        api.seen(&event).await["ticketsHeld"] == 0
    })
    .await;
    book(ann, &event, 2).await.expect(201);
    assert!(worker.drain(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn sales_count_for_the_customer_and_complimentary_ones_are_not_refused() {
    let (api, event) = limited(2).await;
    let tenant = TenantId::parse("north").expect("a tenant");
    api.platform.user(&tenant, "owen", UserRole::Owner).await;
    let owner = api.door.login("owen@north.test").await.client;
    let sale = |tickets: u32, reason: Option<&str>| {
        let mut body = json!({"eventId": event["id"], "numTickets": tickets,
            "customer": {"id": api.customer.id}});
        if let Some(reason) = reason {
            body["complimentary"] = json!(reason);
        }
        let owner = &owner;
        async move { owner.post("/api/bookings", body).await }
    };
    sale(3, None).await.problem(409, LIMIT);
    sale(1, None).await.expect(201);
    sale(2, None).await.problem(409, LIMIT);
    sale(3, Some("press")).await.expect(201);
    // They count for what comes later.
    book(&api.customer.client, &event, 1)
        .await
        .problem(409, LIMIT);
    let import = json!({"rows": [{"eventId": event["id"], "reference": "old-1", "quantity": 3, "unitPriceMinor": 0,
        "bookedAt": "2026-01-01T00:00:00Z", "customer": {"email": "ann@north.test", "name": "Ann"}}]});
    let imported = owner.post("/api/imports", import).await;
    let imported = imported.expect(200);
    assert_eq!(imported["rows"][0]["status"], "created", "{imported}");
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn who_has_the_most_is_offered_nothing_until_the_limit_is_raised() {
    let (api, event) = limited(4).await;
    let event = api
        .organizer
        .client
        .patch(&path_of(&event), "\"1\"", json!({"totalTickets": 6}))
        .await
        .expect(200);
    let [ben, cal] = [
        api.door.register("ben@north.test", "customer").await,
        api.door.register("cal@north.test", "customer").await,
    ];
    let taken = book(&api.customer.client, &event, 3).await.expect(201);
    book(&ben.client, &event, 3).await.expect(201);
    let wait = async |who: &Account, tickets: u32| {
        let path = format!("{}/waitlist", path_of(&event));
        who.client.post(&path, json!({"numTickets": tickets})).await
    };
    let vain = wait(&ben, 5).await;
    vain.problem(422, "field-invalid").at_field("numTickets");
    // With what he has, more than he may have.
    wait(&ben, 2).await.problem(409, LIMIT);
    wait(&ben, 1).await.expect(201);
    wait(&cal, 2).await.expect(201);
    let organizer = &api.organizer.client;
    let limit = |event: Value, max: u32| async move {
        let change = json!({"maxTicketsPerCustomer": max});
        let (path, tag) = (path_of(&event), etag_of(&event));
        organizer.patch(&path, &tag, change).await.expect(200)
    };
    let lowered = limit(event.clone(), 3).await;
    cancel(&api.customer.client, &taken, 3).await;
    let place = |who: &Account| {
        let (path, client) = (
            format!("{}/waitlist/me", path_of(&event)),
            who.client.clone(),
        );
        async move { client.get(&path).await.expect(200) }
    };
    assert_eq!(place(&ben).await["status"], "waiting");
    let offered = place(&cal).await;
    assert_eq!(offered["status"], "offered");
    let skips = format!("{}/waitlist/skips", path_of(&event));
    let skips = api.organizer.client.get(&skips).await.expect(200);
    assert_eq!(skips["items"][0]["skips"][0]["reason"], LIMIT);
    let confirm = format!("/api/holds/{}/confirm", text(&offered["hold"]["id"]));
    cal.client.post_empty(&confirm).await.expect(201);
    limit(lowered, 4).await;
    assert_eq!(place(&ben).await["status"], "offered");
    assert_verified(&api.platform.engine).await;
}

#[tokio::test]
async fn a_limit_is_changed_copied_and_checked() {
    let (api, event) = limited(4).await;
    let (ann, organizer) = (&api.customer.client, &api.organizer.client);
    book(ann, &event, 4).await.expect(201);
    let held = api.door.register("ben@north.test", "customer").await;
    let held = (hold(&held.client, &event, 3).await.expect(201), held);
    let patch = |tag: String, change: Value| {
        let path = path_of(&event);
        async move { organizer.patch(&path, &tag, change).await }
    };
    // Lowered: who has more keeps it, and a hold that was made before is confirmed.
    let lower = patch(etag_of(&event), json!({"maxTicketsPerCustomer": 2})).await;
    let lower = lower.expect(200);
    assert_eq!(lower["maxTicketsPerCustomer"], 2);
    let confirm = format!("/api/holds/{}/confirm", text(&held.0["id"]));
    held.1.client.post_empty(&confirm).await.expect(201);
    book(ann, &event, 1).await.problem(409, LIMIT);
    let copy = json!({"startsAt": "2032-01-01T00:00:00Z"});
    let path = format!("{}/clone", path_of(&event));
    let copy = organizer.post(&path, copy).await.expect(201);
    assert_eq!(copy["maxTicketsPerCustomer"], 2);
    let none = patch(etag_of(&lower), json!({"maxTicketsPerCustomer": null})).await;
    let none = none.expect(200);
    assert!(none["maxTicketsPerCustomer"].is_null(), "{none}");
    book(ann, &event, 5).await.expect(201);
    let tag = etag_of(&none);
    for wrong in [json!(0), json!(10_001), json!("4"), json!(1.5)] {
        let refused = patch(tag.clone(), json!({"maxTicketsPerCustomer": wrong})).await;
        refused
            .problem(422, "field-invalid")
            .at_field("maxTicketsPerCustomer");
    }
    let kind = json!({"name": "Table", "capacity": 20, "minPerBooking": 4, "maxPerBooking": 8});
    let body = json!({"title": "Dinner", "startsAt": "2031-01-01T00:00:00Z", "ticketTypes": [kind],
        "maxTicketsPerCustomer": 3});
    let refused = organizer.post("/api/events", body).await;
    refused
        .problem(422, "field-invalid")
        .at_field("ticketTypes[0].minPerBooking");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_customer_at_two_hosts_at_once_never_has_more() {
    const MAX: u32 = 3;
    const PEOPLE: usize = 6;
    const REQUESTS: usize = 16;
    let server = SurrealServer::start().await;
    let hosts = [server.engine().await, server.engine().await];
    let (tenant, organizer, _) = organizer_and_tenant(&hosts[0], "north").await;
    let event = create_event(&hosts[0], &organizer, Timestamp::now(), 1_000).await;
    let limited = UpdateEvent {
        max_tickets_per_customer: Some(MAX),
        ..UpdateEvent::of(&event)
    };
    let limited = hosts[0].events().update(&organizer, limited).await;
    assert!(limited.is_ok(), "{limited:?}");
    let mut people = Vec::new();
    for index in 0..PEOPLE {
        let name = format!("c{index}");
        people.push(ensure_customer(&hosts[0], &tenant, &name, email(&name, &tenant)).await);
    }
    let racing = (0..PEOPLE * REQUESTS).map(|at| {
        let (person, way) = (people[at % PEOPLE].clone(), at / PEOPLE);
        let (here, there) = (hosts[way % 2].clone(), hosts[(way + 1) % 2].clone());
        let event = event.id;
        async move {
            if way % 4 == 3 {
                let command = HoldTickets::from(BookTickets::general(event, 1));
                let held = here.holds().hold_tickets(&person, command).await?;
                there.holds().confirm(&person, held.id).await
            } else {
                let command = BookTickets::general(event, 1);
                here.bookings().book_tickets(&person, command).await
            }
        }
    });
    for refusal in join_all(racing)
        .await
        .iter()
        .filter_map(|one| one.as_ref().err())
    {
        let known = [ErrorCode::CustomerLimit, ErrorCode::HoldExists];
        assert!(known.contains(&refusal.code()), "{refusal:?}");
    }
    let count = async |person: &boxoffice_engine::Caller| {
        let filter = person.user_id().map(CustomerFilter::Id);
        let page = PageRequest {
            cursor: None,
            limit: 100,
        };
        let bookings = hosts[0].bookings();
        let list = bookings
            .list_of_event(&organizer, event.id, filter, page)
            .await;
        let list = list.expect("a list").items;
        let open = list.iter().filter(|one| one.item.cancelled.is_none());
        open.map(|one| one.item.tickets()).sum::<u32>()
    };
    for person in &people {
        assert_eq!(count(person).await, MAX);
    }
    // While some give back, the others may have that much again, and no more.
    let again = (0..PEOPLE * REQUESTS).map(|at| {
        let (person, way) = (people[at % PEOPLE].clone(), at / PEOPLE);
        let (host, event) = (hosts[way % 2].clone(), event.id);
        async move {
            if way % 4 == 0 {
                let mine = host
                    .bookings()
                    .list_mine(&person, PageRequest::default())
                    .await;
                if let Some(one) = mine.expect("a list").items.first() {
                    // Another may have cancelled it.
                    let _ = host.bookings().cancel(&person, one.item.id).await;
                }
            } else {
                let _ = host
                    .bookings()
                    .book_tickets(&person, BookTickets::general(event, 1))
                    .await;
            }
        }
    });
    join_all(again).await;
    for person in &people {
        let has = count(person).await;
        assert!(has <= MAX, "{has}");
    }
    assert_verified(&hosts[0]).await;
}
