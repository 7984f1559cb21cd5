//! Goal: never oversold, whoever races, and one booking per Idempotency-Key.
//!
//! Method: hundreds of requests at once over HTTP, at one program on disk, at one key, and at two programs on one
//! SurrealDB server; what was answered, what the counters say and what the list says must agree to the ticket.

use std::{collections::BTreeSet, sync::Arc};

use boxoffice_engine::{BookTickets, Caller, ErrorCode, PageRequest, UserRole};
use boxoffice_tests::{
    Account, Answer, Client, Config, Program, SurrealServer, TempFolder, TestPlatform,
    api::{Api, customers, event_body, path_of, text},
    assert_verified, organizer_and_tenant,
};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Barrier;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_clients_race_for_a_hundred_tickets() {
    let data = TempFolder::new("race");
    let program = Program::dev(data.path()).await;
    let door = program.client().tenant("demo");
    let organizer = door.register("olga@example.org", "organizer").await;
    let event = organizer
        .client
        .post("/api/events", event_body(json!({"totalTickets": 100})))
        .await
        .expect(201);
    let customers = customers(&door, 500).await;

    let book = json!({"eventId": event["id"], "numTickets": 1});
    let answers = at_once(
        customers
            .iter()
            .map(|customer| (customer.client.clone(), book.clone())),
    )
    .await;
    let booked: Vec<&Answer> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .collect();
    assert_eq!(booked.len(), 100, "statuses: {:?}", statuses(&answers));
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.problem(409, "not-enough-tickets");
    }
    check_books(
        &organizer,
        &event,
        100,
        booked.iter().map(|answer| answer.json()).collect(),
    )
    .await;
    // One who was refused has nothing, one who was not has exactly the one.
    for (customer, answer) in customers.iter().zip(&answers).step_by(25) {
        let mine = customer.client.get("/api/bookings/me").await.expect(200);
        assert_eq!(
            mine["items"].as_array().map(Vec::len),
            Some(usize::from(answer.status == 201))
        );
    }
    program.stop().await;
}

/// Without HTTP, so that it is the engine that is raced for and not the sockets of the test: all 10,000 wait in one lane.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_clients_race_for_a_hundred_tickets() {
    const CLIENTS: u64 = 10_000;
    let platform = TestPlatform::new().await;
    platform.may_owe();
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    let event = platform.event(&organizer, 100).await;
    let barrier = Arc::new(Barrier::new(CLIENTS as usize));
    let clients = (0..CLIENTS).map(|number| {
        // As a platform vouches for them; accounts are not looked at before the mail.
        let id = format!("01hzy{number:021}").parse().expect("a user's id");
        let caller = Caller::user(tenant.clone(), id, UserRole::Customer);
        let (engine, barrier, event) = (platform.engine.clone(), barrier.clone(), event.id);
        tokio::spawn(async move {
            barrier.wait().await;
            let command = BookTickets::general(event, 1);
            engine.bookings().book_tickets(&caller, command).await
        })
    });
    let answers = join_all(clients.collect::<Vec<_>>()).await;
    let mut booked = BTreeSet::new();
    for answer in answers {
        match answer.expect("nobody panics") {
            Ok(booking) => assert!(booked.insert(booking.id), "one booking each"),
            Err(error) => assert_eq!(error.code(), ErrorCode::NotEnoughTickets, "{error:?}"),
        }
    }
    assert_eq!(booked.len(), 100);
    let seen = platform.engine.events().show(&organizer, event.id).await;
    assert_eq!(seen.expect("the event").event.tickets_sold, 100);
    let whole = PageRequest {
        cursor: None,
        limit: 100,
    };
    let bookings = platform.engine.bookings();
    let listed = bookings
        .list_of_event(&organizer, event.id, None, whole)
        .await;
    let listed = listed.expect("a list");
    assert!(listed.next.is_none(), "no more than were answered");
    let listed: BTreeSet<_> = listed.items.iter().map(|booking| booking.id).collect();
    assert_eq!(listed, booked);
    assert_verified(&platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_several_sizes_fill_an_event_to_the_last_ticket() {
    let api = Api::start().await;
    let event = api.event(json!({"totalTickets": 100})).await;
    let requests = (0..60).map(|index| {
        let book = json!({"eventId": event["id"], "numTickets": 1 + index % 4});
        (api.customer.client.clone(), book)
    });
    let answers = at_once(requests).await;
    let booked: Vec<Value> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(Answer::json)
        .collect();
    let sold: u64 = booked
        .iter()
        .filter_map(|booking| booking["numTickets"].as_u64())
        .sum();
    assert!(
        sold > 96 && sold <= 100,
        "a refused group of at most 4 leaves at most 3 tickets: sold {sold}"
    );
    check_books(&api.organizer, &event, sold, booked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_sent_fifty_times_at_once_books_once() {
    let api = Api::start().await;
    let event = api.event(json!({})).await;
    let barrier = Arc::new(Barrier::new(50));
    let answers = join_all((0..50).map(|_| {
        let (client, barrier, id) = (
            api.customer.client.clone(),
            barrier.clone(),
            event["id"].clone(),
        );
        async move {
            barrier.wait().await;
            client
                .post_once(
                    "/api/bookings",
                    "one-key",
                    json!({"eventId": id, "numTickets": 2}),
                )
                .await
        }
    }))
    .await;
    let first = answers[0].expect(201);
    for answer in &answers {
        assert_eq!(answer.expect(201), first, "every answer is the same");
    }
    check_books(&api.organizer, &event, 2, vec![first]).await;
    let other = json!({"eventId": event["id"], "numTickets": 3});
    let reused = api
        .customer
        .client
        .post_once("/api/bookings", "one-key", other)
        .await;
    reused.problem(422, "idempotency-key-reused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_on_one_server_sell_exactly_what_there_is() {
    let (server, folder) = (SurrealServer::start().await, TempFolder::new("two-hosts"));
    let config = Config::remote(&server).mail_folder(&folder.join("mails"));
    let engine = server.engine().await;
    let (_, _, address) = organizer_and_tenant(&engine, "north").await;
    let config = config.write(&folder, "boxoffice.toml");
    let hosts = [Program::serve(&config).await, Program::serve(&config).await];
    let doors: Vec<Client> = hosts
        .iter()
        .map(|host| host.client().tenant("north"))
        .collect();
    let organizer = doors[0].login(address.as_str()).await;
    let event = organizer
        .client
        .post("/api/events", event_body(json!({"totalTickets": 100})))
        .await
        .expect(201);
    let customers = customers(&doors[0], 20).await;

    // 200 bookings by 20 customers, each customer at both hosts.
    let requests = (0..200).map(|index| {
        let client = customers[index % customers.len()]
            .client
            .at(&doors[(index / customers.len()) % 2]);
        (client, json!({"eventId": event["id"], "numTickets": 1}))
    });
    let answers = at_once(requests).await;
    let booked: Vec<Value> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(Answer::json)
        .collect();
    let refused = answers.iter().filter(|answer| answer.status != 201);
    for answer in refused {
        answer.problem(409, "not-enough-tickets");
    }
    assert_eq!(booked.len(), 100, "statuses: {:?}", statuses(&answers));
    check_books(&organizer, &event, 100, booked).await;
    assert_verified(&engine).await;
}

/// Sends all bookings once every one of them is ready to go.
async fn at_once(requests: impl ExactSizeIterator<Item = (Client, Value)>) -> Vec<Answer> {
    let barrier = Arc::new(Barrier::new(requests.len()));
    join_all(requests.map(|(client, body)| {
        let barrier = barrier.clone();
        async move {
            barrier.wait().await;
            client.post("/api/bookings", body).await
        }
    }))
    .await
}

/// Checks that the counters, the list and the answers tell the same story.
async fn check_books(organizer: &Account, event: &Value, sold: u64, mut answered: Vec<Value>) {
    let seen = organizer.client.get(&path_of(event)).await.expect(200);
    assert_eq!(
        (seen["ticketsSold"].as_u64(), seen["ticketsHeld"].as_u64()),
        (Some(sold), Some(0))
    );
    assert_eq!(seen["ticketTypes"][0]["sold"].as_u64(), Some(sold));
    let mut listed = organizer
        .client
        .all(&format!("{}/bookings", path_of(event)))
        .await;
    // Only reads say who booked.
    for booking in &mut listed {
        booking["customer"] = Value::Null;
    }
    let by_id = |booking: &Value| text(&booking["id"]).to_owned();
    listed.sort_by_key(by_id);
    answered.sort_by_key(by_id);
    assert_eq!(
        listed, answered,
        "the list holds what was answered, and nothing else"
    );
}

fn statuses(answers: &[Answer]) -> std::collections::BTreeMap<u16, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status).or_default() += 1;
    }
    counts
}
