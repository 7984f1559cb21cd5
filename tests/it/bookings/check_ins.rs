//! Goal: each ticket lets one person in, once, at the door of its own event, as long as it is not cancelled; and the
//! list of who came is complete.
//!
//! Method: the real router over an engine in memory, with the codes that the API and the confirmation mail give; two
//! engines on one SurrealDB server where scanners race.

use boxoffice_engine::{Caller, Engine, EngineBuilder, PageRequest, UserRole};
use boxoffice_tests::{
    Account, Answer, Hosted, SurrealServer, TestPlatform,
    api::{event_body, path_of, text},
    ensure_customer, organizer_and_tenant, ticket_codes,
};
use futures::future::join_all;
use mail_parser::{MessageParser, MimeHeaders as _};
use serde_json::{Value, json};

/// A house with people at its door.
struct EventFixture {
    platform: TestPlatform,
    organizer: Account,
    staff: Account,
    customer: Account,
    _hosted: Hosted,
}

impl EventFixture {
    async fn open() -> Self {
        let platform = TestPlatform::with(|builder| builder.ticket_codes(ticket_codes())).await;
        let tenant = platform.tenant("north").await;
        platform.user(&tenant, "stan", UserRole::Staff).await;
        let hosted = Hosted::start(platform.engine.clone()).await;
        let door = hosted.client().tenant("north");
        Self {
            organizer: door.register("olga@north.test", "organizer").await,
            staff: door.login("stan@north.test").await,
            customer: door.register("ann@north.test", "customer").await,
            platform,
            _hosted: hosted,
        }
    }

    async fn event(&self, changes: Value) -> Value {
        let made = self
            .organizer
            .client
            .post("/api/events", event_body(changes))
            .await;
        made.expect(201)
    }

    async fn book(&self, event: &Value, tickets: u32) -> Value {
        let body = json!({"eventId": event["id"], "numTickets": tickets});
        let booked = self.customer.client.post("/api/bookings", body).await;
        self.platform.owes(1);
        booked.expect(201)
    }
}

async fn tickets(account: &Account, booking: &Value) -> Vec<Value> {
    let path = format!("/api/bookings/{}/tickets", text(&booking["id"]));
    account.client.all(&path).await
}

async fn check_in(account: &Account, event: &Value, code: &Value) -> Answer {
    let path = format!("{}/check-ins", path_of(event));
    account.client.post(&path, json!({ "code": code })).await
}

async fn undo(account: &Account, event: &Value, ticket: &Value) -> Answer {
    let path = format!("{}/check-ins/undo", path_of(event));
    account
        .client
        .post(&path, json!({ "ticketId": ticket }))
        .await
}

fn statuses(tickets: &[Value]) -> Vec<&str> {
    tickets
        .iter()
        .map(|ticket| text(&ticket["status"]))
        .collect()
}

#[tokio::test]
async fn a_ticket_admits_once_and_again_after_undo() {
    let house = EventFixture::open().await;
    house.platform.may_owe();
    let event = house.event(json!({})).await;
    let booking = house.book(&event, 2).await;
    let mine = tickets(&house.customer, &booking).await;
    assert_eq!(statuses(&mine), ["valid", "valid"]);
    let seen = tickets(&house.staff, &booking).await;
    assert!(
        seen.iter().all(|ticket| ticket["code"].is_null()),
        "{seen:?}"
    );

    let (first, code) = (&mine[0], &mine[0]["code"]);
    let answer = check_in(&house.staff, &event, code).await;
    let came = answer.expect(201);
    let place = answer.header("location");
    assert_eq!(house.organizer.client.get(place).await.expect(200), came);
    let shown = house.customer.client.get(place).await;
    shown.problem(403, "forbidden");
    let expected = json!({
        "ticketId": first["id"],
        "bookingId": booking["id"],
        "bookingNumber": booking["bookingNumber"],
        "number": 1,
        "ticketType": first["ticketType"],
        "customerId": house.customer.id,
        "customer": {"id": house.customer.id, "name": "ann", "email": "ann@north.test"},
        "attendee": null,
        "checkedInAt": "2026-12-01T12:00:00Z",
        "checkedInBy": house.staff.id,
        "checkedInByName": "stan",
    });
    assert_eq!(came, expected);
    let again = check_in(&house.organizer, &event, code).await;
    let detail = again
        .problem(409, "already-checked-in")
        .member("detail")
        .clone();
    let said = "This ticket was checked in at 2026-12-01 13:00:00 (Europe/Berlin) by stan.";
    assert_eq!(detail, said);
    let mine = tickets(&house.customer, &booking).await;
    assert_eq!(statuses(&mine), ["checked-in", "valid"]);

    let list = format!("{}/check-ins", path_of(&event));
    assert_eq!(house.organizer.client.all(&list).await, [came]);
    let undone = undo(&house.staff, &event, &first["id"]).await.expect(200);
    assert_eq!(undone["status"], "valid");
    undo(&house.staff, &event, &first["id"])
        .await
        .problem(404, "not-found");
    assert!(house.organizer.client.all(&list).await.is_empty());
    check_in(&house.organizer, &event, code).await.expect(201);

    // What somebody came in with is no longer the customer's to cancel, but the organizer's.
    let cancel = format!("/api/bookings/{}/cancel", text(&booking["id"]));
    let refused = house.customer.client.post_empty(&cancel).await;
    refused.problem(409, "already-checked-in");
    house.organizer.client.post_empty(&cancel).await.expect(200);
    let seen = tickets(&house.customer, &booking).await;
    assert_eq!(statuses(&seen), ["cancelled", "cancelled"]);
    check_in(&house.staff, &event, code)
        .await
        .problem(409, "ticket-cancelled");
}

#[tokio::test]
async fn cancelling_some_tickets_voids_the_last_that_nobody_came_in_with() {
    let house = EventFixture::open().await;
    house.platform.may_owe();
    let event = house.event(json!({})).await;
    let booking = house.book(&event, 3).await;
    let mine = tickets(&house.customer, &booking).await;
    check_in(&house.staff, &event, &mine[2]["code"])
        .await
        .expect(201);
    let path = format!("/api/bookings/{}/cancel", text(&booking["id"]));
    let cancel = async |quantity: u32| {
        let some = json!({"lines": [{ "quantity": quantity }]});
        house.customer.client.post(&path, some).await
    };
    cancel(1).await.expect(200);
    let seen = tickets(&house.customer, &booking).await;
    assert_eq!(statuses(&seen), ["valid", "cancelled", "checked-in"]);
    let refused = check_in(&house.staff, &event, &mine[1]["code"]).await;
    refused.problem(409, "ticket-cancelled");
    cancel(2).await.problem(409, "already-checked-in");
    cancel(1).await.expect(200);
    let seen = tickets(&house.customer, &booking).await;
    assert_eq!(statuses(&seen), ["cancelled", "cancelled", "checked-in"]);
}

#[tokio::test]
async fn only_good_tickets_of_this_event_admit() {
    let house = EventFixture::open().await;
    house.platform.may_owe();
    let (event, other) = (house.event(json!({})).await, house.event(json!({})).await);
    let booking = house.book(&event, 1).await;
    let code = tickets(&house.customer, &booking).await[0]["code"].clone();
    check_in(&house.customer, &event, &code)
        .await
        .problem(403, "forbidden");
    check_in(&house.staff, &other, &code)
        .await
        .problem(409, "ticket-of-other-event");
    let made_up = [
        text(&code).replacen(".1.", ".2.", 1),
        text(&code)[..text(&code).len() - 1].to_owned(),
        format!("{}.1", text(&booking["id"])),
        String::new(),
        "x".repeat(10_000),
    ];
    for bad in made_up {
        let refused = check_in(&house.staff, &event, &json!(bad)).await;
        refused.problem(422, "ticket-code-invalid").at_field("code");
    }
    // A second ticket that the booking does not have, sealed by whoever has the key.
    let codes = ticket_codes();
    let sealed = |number: u32| {
        let id = format!("{}.{number}", text(&booking["id"]))
            .parse()
            .expect("an id");
        let tenant = boxoffice_engine::TenantId::parse("north").expect("a tenant name");
        boxoffice_engine::ports::TicketCodes::code(&codes, &tenant, id)
    };
    assert_eq!(json!(sealed(1)), code);
    let refused = check_in(&house.staff, &event, &json!(sealed(2))).await;
    refused.problem(422, "ticket-code-invalid");

    let cancel = format!("{}/cancel", path_of(&event));
    house.organizer.client.post_empty(&cancel).await.expect(200);
    check_in(&house.staff, &event, &code)
        .await
        .problem(409, "ticket-cancelled");
    let mine = tickets(&house.customer, &booking).await;
    assert_eq!(statuses(&mine), ["cancelled"], "with its event");
}

#[tokio::test]
async fn without_keys_tickets_have_no_codes() {
    let api = boxoffice_tests::api::Api::start().await;
    let event = api.event(json!({})).await;
    let body = json!({"eventId": event["id"], "numTickets": 1});
    let booking = api
        .customer
        .client
        .post("/api/bookings", body)
        .await
        .expect(201);
    let mine = tickets(&api.customer, &booking).await;
    assert!(mine[0]["code"].is_null(), "{mine:?}");
    let refused = check_in(&api.organizer, &event, &json!("any")).await;
    refused.problem(503, "ticket-codes-off");
}

#[tokio::test]
async fn everybody_who_came_is_on_the_list_and_in_the_csv() {
    const CAME: u32 = 120;
    let house = EventFixture::open().await;
    house.platform.may_owe();
    let types = json!([{"name": "Hall", "capacity": 500, "maxPerBooking": 200}]);
    let event = house
        .event(json!({"totalTickets": null, "ticketTypes": types}))
        .await;
    let booking = house.book(&event, CAME + 5).await;
    let mine = tickets(&house.customer, &booking).await;
    assert_eq!(mine.len() as u32, CAME + 5, "all pages");
    // Out of order, as people come.
    for ticket in mine.iter().take(CAME as usize).rev() {
        check_in(&house.staff, &event, &ticket["code"])
            .await
            .expect(201);
    }
    let list = format!("{}/check-ins", path_of(&event));
    let listed = house.organizer.client.all(&list).await;
    let numbers: Vec<u64> = listed
        .iter()
        .filter_map(|row| row["number"].as_u64())
        .collect();
    assert_eq!(numbers, (1..=u64::from(CAME)).collect::<Vec<_>>());

    // Somebody whose name is a formula.
    let evil = json!({
        "email": "eve@north.test", "name": "=HYPERLINK(\"http://x\")", "password": Account::PASSWORD, "role": "customer",
    });
    let door = house.staff.client.without_token();
    door.post("/api/auth/register", evil).await.expect(201);
    let eve = door.login("eve@north.test").await;
    let body = json!({"eventId": event["id"], "numTickets": 1});
    let hers = eve.client.post("/api/bookings", body).await.expect(201);
    let hers = tickets(&eve, &hers).await;
    check_in(&house.staff, &event, &hers[0]["code"])
        .await
        .expect(201);

    let csv = house.organizer.client.get(&format!("{list}/export")).await;
    assert_eq!(csv.status, 200, "{csv:?}");
    assert!(
        csv.header("content-type").starts_with("text/csv"),
        "{csv:?}"
    );
    let lines: Vec<&str> = csv.text.split_terminator("\r\n").collect();
    assert_eq!(lines.len() as u32, 1 + CAME + 1);
    // With the mark by which spreadsheets know UTF-8.
    assert!(
        lines[0].starts_with("\u{feff}ticketId,bookingId,bookingNumber,number,"),
        "{}",
        lines[0]
    );
    assert_eq!(csv.text.matches('\u{feff}').count(), 1);
    for row in &listed {
        let cells = [
            text(&row["ticketId"]),
            text(&row["bookingId"]),
            text(&row["bookingNumber"]),
            &row["number"].to_string(),
            text(&row["ticketType"]),
            text(&row["customerId"]),
            "ann",
            "ann@north.test",
            "",
            text(&row["checkedInAt"]),
            text(&row["checkedInBy"]),
            "stan",
        ];
        let line = cells.join(",");
        assert!(lines.contains(&line.as_str()), "{line} in {lines:?}");
    }
    let formula = "\"'=HYPERLINK(\"\"http://x\"\")\"";
    assert!(csv.text.contains(formula), "{}", lines[lines.len() - 1]);
}

#[tokio::test]
async fn the_confirmation_shows_codes_that_admit() {
    let house = EventFixture::open().await;
    let event = house.event(json!({})).await;
    let (two, twelve) = (house.book(&event, 2).await, house.book(&event, 12).await);
    let mails = house.platform.settle().await;
    for (booking, shown, others) in [(&two, 2, None), (&twelve, 10, Some("other 2 tickets"))] {
        let mail = mails
            .iter()
            .find(|mail| mail.text.contains(text(&booking["bookingNumber"])));
        let mail = mail.expect("a confirmation");
        let mine = tickets(&house.customer, booking).await;
        for (index, ticket) in mine.iter().enumerate() {
            let code = text(&ticket["code"]);
            let is_shown = index < shown;
            assert_eq!(
                mail.text.contains(code),
                is_shown,
                "{code} in {}",
                mail.text
            );
            assert_eq!(
                mail.html.contains(code),
                is_shown,
                "{code} in {}",
                mail.html
            );
        }
        let message = MessageParser::default()
            .parse(mail.raw.as_bytes())
            .expect("a mail");
        let pictures: Vec<_> = message
            .parts
            .iter()
            .filter(|part| {
                part.content_type()
                    .is_some_and(|kind| kind.ctype() == "image")
            })
            .collect();
        assert_eq!(pictures.len(), shown);
        for picture in pictures {
            assert!(picture.contents().starts_with(b"\x89PNG"), "a PNG");
            let id = picture.content_id().expect("a Content-ID");
            assert!(
                mail.html.contains(&format!("src=\"cid:{id}\"")),
                "{id} is shown"
            );
        }
        if let Some(others) = others {
            assert!(
                mail.text.contains(others) && mail.html.contains(others),
                "{}",
                mail.text
            );
        }
        check_in(&house.staff, &event, &mine[0]["code"])
            .await
            .expect(201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_scanners_at_two_hosts_one_wins() {
    const TICKETS: u32 = 8;
    const SCANNERS: usize = 4;
    let server = SurrealServer::start().await;
    let hosts = [with_codes(&server).await, with_codes(&server).await];
    let (tenant, organizer, _) = organizer_and_tenant(&hosts[0], "north").await;
    let now = jiff::Timestamp::now();
    let event = boxoffice_tests::create_event(&hosts[0], &organizer, now, 100).await;
    let address = boxoffice_tests::email("ann", &tenant);
    let customer = ensure_customer(&hosts[0], &tenant, "ann", address).await;
    // All in one booking, so that different tickets meet at one row, too.
    let command = boxoffice_engine::BookTickets::general(event.id, TICKETS);
    let booked = hosts[0].bookings().book_tickets(&customer, command).await;
    let booking = booked.expect("a booking").id;
    let whole = || PageRequest {
        cursor: None,
        limit: 100,
    };
    let tickets = hosts[0]
        .check_ins()
        .tickets(&customer, booking, whole())
        .await;
    let tickets = tickets.expect("tickets").items;
    let scan = |host: &Engine, code: Option<String>| {
        let (host, organizer) = (host.clone(), organizer.clone());
        async move {
            let code = code.expect("a code");
            loop {
                match host.check_ins().check_in(&organizer, event.id, &code).await {
                    Ok(came) => return Some(came.check_in.ticket),
                    Err(error) if error.code().as_str() == "already-checked-in" => return None,
                    // As it says: the same row was written by others many times over.
                    Err(error) if error.code().as_str() == "conflict-try-again" => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    };
    let scans = tickets.iter().flat_map(|ticket| {
        let scan = &scan;
        (0..SCANNERS).map(move |number| (ticket, number)).map({
            let hosts = &hosts;
            move |(ticket, number)| scan(&hosts[number % 2], ticket.code.clone())
        })
    });
    let came = join_all(scans).await;
    let mut winners: Vec<_> = came.into_iter().flatten().collect();
    winners.sort_unstable();
    let all: Vec<_> = tickets.iter().map(|ticket| ticket.id).collect();
    assert_eq!(winners, all, "each ticket admitted one");
    let staff = Caller::platform("north");
    let listed = hosts[1].check_ins().list(&staff, event.id, whole()).await;
    let listed = listed.expect("a list").items;
    let listed: Vec<_> = listed.iter().map(|row| row.check_in.ticket).collect();
    assert_eq!(listed, all);
}

async fn with_codes(server: &SurrealServer) -> Engine {
    let describe = |builder: EngineBuilder| builder.ticket_codes(ticket_codes());
    server.engine_with(describe).await
}
