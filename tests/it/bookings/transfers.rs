//! Goal: a ticket that is given to somebody else admits with its new code alone, at whichever door its codes are shown at once; who gives
//! it and who gets it hear of it once; and its owner hears what becomes of the event.
//!
//! Method: over the API with the codes that the API and the mails give; two engines on one SurrealDB server where scanners race a
//! transfer.

use boxoffice_engine::{
    BookTickets, Caller, Engine, EngineBuilder, ErrorCode, PageRequest, TicketId, TransferTicket,
    UserRole,
};
use boxoffice_tests::{
    Account, ReceivedMail, SurrealServer, TestPlatform,
    api::{Api, path_of, text},
    assert_verified, create_event, email, ensure_customer, organizer_and_tenant, pass_time,
    ticket_codes,
};
use serde_json::{Value, json};

async fn start() -> Api {
    Api::with(|builder| builder.ticket_codes(ticket_codes())).await
}

async fn tickets(account: &Account, booking: &Value) -> Vec<Value> {
    let path = format!("/api/bookings/{}/tickets", text(&booking["id"]));
    account.client.all(&path).await
}

fn transfer_path(ticket: &Value) -> String {
    format!("/api/tickets/{}/transfer", text(&ticket["id"]))
}

fn to(name: &str) -> Value {
    json!({"name": name, "email": format!("{name}@north.test")})
}

fn sent_to<'a>(mails: &'a [ReceivedMail], address: &str, subject: &str) -> &'a ReceivedMail {
    let found: Vec<_> = mails
        .iter()
        .filter(|mail| mail.is_to(address) && mail.subject.contains(subject))
        .collect();
    assert_eq!(found.len(), 1, "{subject} to {address} in {mails:?}");
    found[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_new_code_admits_and_the_old_one_does_not() {
    let api = start().await;
    let event = api.event(json!({})).await;
    let (ann, olga) = (&api.customer.client, &api.organizer.client);
    let booking = api.book(&event, 2).await;
    let mine = tickets(&api.customer, &booking).await;
    let (path, old) = (transfer_path(&mine[1]), mine[1]["code"].clone());
    let given = ann.post_once(&path, "give", to("ben")).await;
    let mut expected = mine[1].clone();
    expected["code"] = Value::Null;
    expected["transferredAt"] = json!("2026-12-01T12:00:00Z");
    assert_eq!(given.expect(200), expected);
    let again = ann.post_once(&path, "give", to("ben")).await;
    assert_eq!(again.text, given.text);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let seen = tickets(&api.customer, &booking).await;
    assert_eq!(seen, [mine[0].clone(), expected]);

    api.platform.drain().await;
    let mails = api.platform.mails();
    let received = sent_to(&mails, "ben@north.test", "Your ticket: Jazz Night");
    let line = received
        .text
        .lines()
        .find(|line| line.contains("ticket 2:"));
    let (_, new) = line.and_then(|line| line.rsplit_once(' ')).expect("a code");
    assert!(received.calendar.is_some());
    for hidden in ["Total", text(&booking["bookingNumber"]), "ann"] {
        let is_shown = received.text.contains(hidden) && hidden != text(&booking["bookingNumber"]);
        assert!(!is_shown, "{hidden} in {}", received.text);
    }
    let voided = sent_to(&mails, "ann@north.test", "no longer valid");
    assert!(voided.text.contains("ticket 2: given to somebody else"));
    assert!(voided.calendar.is_none(), "she has another ticket");
    let check_ins = format!("{}/check-ins", path_of(&event));
    let refused = olga.post(&check_ins, json!({"code": old})).await;
    refused.problem(409, "ticket-transferred");
    let came = olga
        .post(&check_ins, json!({"code": new}))
        .await
        .expect(201);
    assert_eq!(came["attendee"]["name"], "ben");
    let again = olga.post(&check_ins, json!({"code": new})).await;
    again.problem(409, "already-checked-in");
    let door = olga.all(&format!("{}/door-list", path_of(&event))).await;
    let ben =
        json!({"number": 2, "ticketType": mine[1]["ticketType"], "name": "ben", "checkedIn": true});
    assert_eq!(door[0]["attendees"], json!([ben]));
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_its_owner_and_the_organizer_give_a_ticket_on() {
    let api = start().await;
    let event = api.event(json!({})).await;
    let (ann, olga) = (&api.customer.client, &api.organizer.client);
    let booking = api.book(&event, 2).await;
    let mine = tickets(&api.customer, &booking).await;
    let path = transfer_path(&mine[0]);
    let ben = api.door.register("ben@north.test", "customer").await;
    let cleo = api.door.register("cleo@north.test", "customer").await;
    let stranger = ben.client.post(&path, to("ben")).await;
    stranger.problem(404, "not-found");
    ann.post(&path, to("ben")).await.expect(200);
    let second = ann.post(&path, to("cleo")).await;
    second.problem(409, "ticket-transferred");

    let received = ben.client.all("/api/tickets/me").await;
    assert_eq!(received.len(), 1, "{received:?}");
    assert_eq!(received[0]["bookingNumber"], booking["bookingNumber"]);
    let shown = format!("/api/bookings/{}", text(&booking["id"]));
    let seen = ann.get(&shown).await.expect(200);
    assert_eq!(seen["attendees"][0]["name"], "ben", "she named him");
    ben.client.post(&path, to("cleo")).await.expect(200);
    let seen = ann.get(&shown).await.expect(200);
    assert_eq!(seen["attendees"], json!([]), "cleo is ben's friend");
    let seen = olga.get(&shown).await.expect(200);
    assert_eq!(seen["attendees"][0]["name"], "cleo");
    let mails = ann.all(&format!("{shown}/deliveries")).await;
    let kinds: Vec<_> = mails.iter().map(|mail| text(&mail["kind"])).collect();
    assert_eq!(
        kinds,
        ["ticket-voided", "booking-confirmed"],
        "her own alone"
    );
    // Whoever gets a ticket gets its code, so the door gives none away.
    let tenant = boxoffice_engine::TenantId::parse("north").expect("a name");
    api.platform.user(&tenant, "stan", UserRole::Staff).await;
    let stan = api.door.login("stan@north.test").await;
    let refused = stan.client.post(&path, to("stan")).await;
    refused.problem(404, "not-found");
    assert!(ben.client.all("/api/tickets/me").await.is_empty());
    assert_eq!(cleo.client.all("/api/tickets/me").await.len(), 1);
    let second = ben.client.post(&path, to("ben")).await;
    second.problem(404, "not-found");
    olga.post(&path, to("ann")).await.expect(200);
    let back = tickets(&api.customer, &booking).await;
    assert!(back[0]["code"].is_string(), "it is hers again");
    assert_ne!(back[0]["code"], mine[0]["code"]);
    let check_ins = format!("{}/check-ins", path_of(&event));
    let old = olga
        .post(&check_ins, json!({"code": mine[0]["code"]}))
        .await;
    old.problem(409, "ticket-transferred");
    let refused = cleo.client.post(&path, to("cleo")).await;
    refused.problem(404, "not-found");
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_given_is_refused_and_says_why() {
    let api = start().await;
    let age = json!({"id": "age", "label": "How old?", "kind": "number", "required": true, "perTicket": true});
    let event = api
        .event(json!({"questions": [age], "attendeesUntil": "2026-12-01T12:30:00Z"}))
        .await;
    let (ann, olga) = (&api.customer.client, &api.organizer.client);
    let attendees = json!([1, 2, 3, 4].map(|_| json!({"answers": {"age": 40}})));
    let body = json!({"eventId": event["id"], "numTickets": 4, "attendees": attendees});
    let booking = ann.post("/api/bookings", body).await.expect(201);
    let mine = tickets(&api.customer, &booking).await;
    let path = transfer_path(&mine[0]);
    for (body, field) in [
        (json!({"name": "", "email": "ben@north.test"}), "name"),
        (json!({"name": "ben", "email": "ben"}), "email"),
        (to("ben"), "answers.age"),
        (
            json!({"name": "ben", "email": "ben@north.test", "answers": {"age": "old"}}),
            "answers.age",
        ),
    ] {
        let refused = ann.post(&path, body).await;
        refused.problem(422, "field-invalid").at_field(field);
    }
    let whole = |name: &str| {
        let mut body = to(name);
        body["answers"] = json!({"age": 33});
        body
    };
    ann.post(&path, whole("ben")).await.expect(200);
    let same = olga.post(&path, whole("ben")).await;
    same.problem(422, "field-invalid").at_field("email");
    // Whoever gave it away does not cancel it, and what they say of its attendee counts no more.
    let booking_path = format!("/api/bookings/{}", text(&booking["id"]));
    let cancel = format!("{booking_path}/cancel");
    let all = ann.post(&cancel, json!({})).await;
    all.problem(409, "ticket-transferred");
    let named = json!({"attendees": attendees});
    let named = ann.patch(&booking_path, "*", named).await.expect(200);
    assert_eq!(named["attendees"][0]["name"], "ben");
    assert_eq!(named["attendees"][1]["name"], Value::Null);
    let part = ann.post(&cancel, json!({"lines": [{"quantity": 1}]})).await;
    assert_eq!(
        part.expect(200)["cancellations"][0]["ticketNumbers"],
        json!([4])
    );
    let gone = ann.post(&transfer_path(&mine[3]), whole("cleo")).await;
    gone.problem(409, "ticket-cancelled");
    let check_ins = format!("{}/check-ins", path_of(&event));
    let came = olga
        .post(&check_ins, json!({"code": mine[2]["code"]}))
        .await;
    came.expect(201);
    let inside = ann.post(&transfer_path(&mine[2]), whole("cleo")).await;
    inside.problem(409, "already-checked-in");
    let none = format!("{}5/transfer", text(&mine[0]["id"]).trim_end_matches('1'));
    let none = ann
        .post(&format!("/api/tickets/{none}"), whole("cleo"))
        .await;
    none.problem(404, "not-found");
    let half_an_hour = std::time::Duration::from_secs(1_800);
    api.platform.clock.advance(half_an_hour);
    let path = transfer_path(&mine[1]);
    let late = ann.post(&path, whole("cleo")).await;
    late.problem(409, "changes-closed");
    olga.post(&path, whole("cleo")).await.expect(200);
    assert_verified(&api.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_got_a_ticket_sees_it_and_hears_of_the_event() {
    let platform = TestPlatform::with(|builder| builder.ticket_codes(ticket_codes())).await;
    platform.may_owe();
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    let (ann, ben) = (
        platform.customer(&tenant, "ann").await,
        platform.customer(&tenant, "ben").await,
    );
    let (event, other) = (
        platform.event(&organizer, 9).await,
        platform.event(&organizer, 9).await,
    );
    let engine = &platform.engine;
    let booking = platform.book(&ann, event.id, 3).await;
    let booked = platform.book(&ann, other.id, 1).await;
    platform.book(&ben, other.id, 1).await;
    let give = async |by: &Caller, booking, number, name: &str| {
        let command = TransferTicket {
            ticket: TicketId { booking, number },
            name: boxoffice_engine::Label::parse("name", name).expect("a name"),
            email: email(name, &tenant),
            answers: boxoffice_engine::Answers::default(),
        };
        engine.bookings().transfer_ticket(by, command).await
    };
    for number in [1, 3] {
        give(&ann, booking.id, number, "ben")
            .await
            .expect("a transfer");
    }
    give(&ann, booked.id, 1, "ben").await.expect("a transfer");
    let page = |limit| PageRequest {
        cursor: None,
        limit,
    };
    let bookings = engine.bookings();
    let first = bookings
        .list_received_tickets(&ben, page(2))
        .await
        .expect("a page");
    assert_eq!(first.items.len(), 2);
    let rest = PageRequest {
        cursor: first.next,
        limit: 2,
    };
    let rest = bookings
        .list_received_tickets(&ben, rest)
        .await
        .expect("a page");
    assert_eq!(rest.items.len(), 1);
    assert_eq!(rest.next, None);
    let numbers: Vec<_> = first
        .items
        .iter()
        .map(|one| (one.event, one.ticket.id.number))
        .collect();
    assert_eq!(numbers, [(event.id, 1), (event.id, 3)]);
    assert!(first.items.iter().all(|one| one.ticket.code.is_some()));
    // He gives one on; the other is cancelled by the organizer.
    give(&ben, booking.id, 1, "cleo").await.expect("a transfer");
    let cancelled = boxoffice_engine::CancelTickets {
        tickets: Some(vec![3]),
        ..boxoffice_engine::CancelTickets::all(booking.id)
    };
    bookings
        .cancel_tickets(&organizer, cancelled)
        .await
        .expect("a cancellation");
    platform.drain().await;
    let mails = platform.mails();
    let voided: Vec<_> = mails
        .iter()
        .filter(|mail| mail.is_to("ben@north.test") && mail.subject.contains("no longer valid"))
        .collect();
    assert_eq!(voided.len(), 2, "{voided:?}");
    assert!(
        voided
            .iter()
            .any(|mail| mail.text.contains("ticket 3: cancelled"))
    );
    sent_to(&mails, "cleo@north.test", "Your ticket");
    // Written after all of it happened, and still about both that she gave away.
    let of_ann = mails.iter().find(|mail| {
        mail.is_to("ann@north.test")
            && mail
                .subject
                .contains("Tickets of yours are no longer valid")
    });
    let text = &of_ann.expect("a mail").text;
    for line in [
        "ticket 1: given to somebody else",
        "ticket 3: given to somebody else",
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line} in {text}");
    }
    assert_eq!(text.matches("Booking number").count(), 1, "{text}");
    let before = mails.len();
    // An event that is cancelled concerns who booked, who got a ticket, and nobody twice.
    engine
        .events()
        .cancel(&organizer, event.id, None)
        .await
        .expect("a cancelled event");
    engine
        .events()
        .cancel(&organizer, other.id, None)
        .await
        .expect("a cancelled event");
    platform.drain().await;
    let mut told: Vec<String> = platform.mails()[before..]
        .iter()
        .flat_map(|mail| mail.to.clone())
        .collect();
    told.sort();
    let expected = [
        "ann@north.test",
        "ann@north.test",
        "ben@north.test",
        "cleo@north.test",
    ];
    assert_eq!(
        told, expected,
        "ann of both, cleo of one, ben of the other, where he has two"
    );
    assert_verified(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_takes_the_owners_name_out_of_the_booking() {
    let api = start().await;
    let event = api.event(json!({})).await;
    let booking = api.book(&event, 2).await;
    let mine = tickets(&api.customer, &booking).await;
    let ann = &api.customer.client;
    ann.post(&transfer_path(&mine[0]), to("ben"))
        .await
        .expect(200);
    ann.post(&transfer_path(&mine[1]), to("cleo"))
        .await
        .expect(200);
    api.platform.drain().await;
    let tenant = boxoffice_engine::TenantId::parse("north").expect("a name");
    api.platform.user(&tenant, "otto", UserRole::Owner).await;
    let owner = api.door.login("otto@north.test").await;
    let found = owner.client.get("/api/users?email=ben%40north.test");
    let found = found.await.expect(200);
    let ben = &found["items"][0];
    let path = format!("/api/users/{}", text(&ben["id"]));
    let data = owner.client.get(&format!("{path}/personal-data")).await;
    let line = data
        .text
        .lines()
        .find(|line| line.contains("received-ticket"));
    let line: Value = serde_json::from_str(line.expect("his ticket")).expect("JSON");
    assert_eq!(line["data"]["number"], 1);
    assert_eq!(line["data"]["code"], Value::Null);
    let erased = owner.client.post(&format!("{path}/erase"), json!({})).await;
    assert!((200..300).contains(&erased.status), "{}", erased.text);
    let path = format!("/api/bookings/{}", text(&booking["id"]));
    let left = ann.get(&path).await.expect(200);
    let names: Vec<_> = left["attendees"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| text(&one["name"]))
        .collect();
    assert_eq!(names, ["cleo"]);
    assert_verified(&api.platform.engine).await;
}

/// Of the old code, the new code and the transfer between them, whatever comes first decides, and one person comes in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scanners_that_race_a_transfer_let_one_person_in() {
    const TICKETS: u32 = 24;
    let server = SurrealServer::start().await;
    let hosts = [with_codes(&server).await, with_codes(&server).await];
    let (tenant, organizer, _) = organizer_and_tenant(&hosts[0], "north").await;
    let event = create_event(&hosts[0], &organizer, jiff::Timestamp::now(), 100).await;
    let customer =
        async |name: &str| ensure_customer(&hosts[0], &tenant, name, email(name, &tenant)).await;
    let (ann, ben) = (customer("ann").await, customer("ben").await);
    let (mut old_came, mut new_came) = (0, 0);
    for round in 0..TICKETS {
        let command = BookTickets::general(event.id, 1);
        let booked = hosts[0].bookings().book_tickets(&ann, command).await;
        let booking = booked.expect("a booking").id;
        let page = PageRequest {
            cursor: None,
            limit: 100,
        };
        let tickets = hosts[0]
            .check_ins()
            .tickets(&ann, booking, page.clone())
            .await;
        let ticket = tickets.expect("tickets").items.remove(0);
        let old = ticket.code.expect("a code");
        let give = TransferTicket {
            ticket: ticket.id,
            name: boxoffice_engine::Label::parse("name", "ben").expect("a name"),
            email: email("ben", &tenant),
            answers: boxoffice_engine::Answers::default(),
        };
        let transfer = hosts[0].bookings();
        let transfer = transfer.transfer_ticket(&ann, give);
        let pause = std::time::Duration::from_millis(u64::from(round % 6));
        let old_scan = async {
            // Each round scans at another moment of the transfer.
            pass_time(pause).await;
            scan(&hosts[1], &organizer, event.id, &old).await
        };
        let new_scan = async {
            loop {
                let received = hosts[1].bookings();
                let received = received.list_received_tickets(&ben, page.clone()).await;
                let received = received.expect("a list").items;
                let own = received.into_iter().find(|one| one.ticket.id == ticket.id);
                if let Some(code) = own.and_then(|one| one.ticket.code) {
                    return scan(&hosts[0], &organizer, event.id, &code).await;
                }
                tokio::task::yield_now().await;
                if hosts[1]
                    .check_ins()
                    .show(&organizer, ticket.id)
                    .await
                    .is_ok()
                {
                    return Err(ErrorCode::AlreadyCheckedIn);
                }
            }
        };
        let (given, old_code, new_code) = tokio::join!(transfer, old_scan, new_scan);
        match given {
            Ok(_) => {
                assert_eq!(old_code, Err(ErrorCode::TicketTransferred));
                assert_eq!(new_code, Ok(()));
                new_came += 1;
            }
            Err(refused) => {
                assert_eq!(refused.code(), ErrorCode::AlreadyCheckedIn);
                assert_eq!(old_code, Ok(()));
                assert_eq!(new_code, Err(ErrorCode::AlreadyCheckedIn));
                old_came += 1;
            }
        }
    }
    println!("old codes {old_came}, new codes {new_came}");
    let staff = Caller::platform("north");
    let page = PageRequest {
        cursor: None,
        limit: 100,
    };
    let came = hosts[0].check_ins().list(&staff, event.id, page).await;
    assert_eq!(came.expect("a list").items.len() as u32, TICKETS);
    assert_verified(&hosts[0]).await;
}

async fn scan(
    host: &Engine,
    organizer: &Caller,
    event: boxoffice_engine::EventId,
    code: &str,
) -> Result<(), ErrorCode> {
    loop {
        match host.check_ins().check_in(organizer, event, code).await {
            Ok(_) => return Ok(()),
            // As it says: the same row was written by others at the same time.
            Err(error) if error.code() == ErrorCode::ConflictTryAgain => {}
            Err(error) => return Err(error.code()),
        }
    }
}

async fn with_codes(server: &SurrealServer) -> Engine {
    let describe = |builder: EngineBuilder| builder.ticket_codes(ticket_codes());
    server.engine_with(describe).await
}
