//! Goal: a tenant may want addresses confirmed before anybody takes tickets; where it does not, accounts without a confirmed
//! address still cannot hold its houses empty.
//!
//! Method: the real router and worker; addresses are confirmed by the links in mails that were really sent.

use boxoffice_engine::{BookTickets, Caller, EnsureUser, EventId, Label, UserId};
use boxoffice_tests::{Account, Answer, Client, email};
use serde_json::{Value, json};

use crate::{
    api::{event_body, path_of, text},
    verification::{House, OWN_PASSWORD},
};

const CODE: &str = "email-unconfirmed";
const SETTINGS: &str = "/api/tenant/settings";

/// Makes an event of the house's owner, with so many tickets.
async fn event(house: &House, tickets: u32) -> Value {
    let body = event_body(json!({ "totalTickets": tickets }));
    let made = house.owner.client.post("/api/events", body).await;
    made.expect(201)
}

async fn book(client: &Client, event: &Value, tickets: u32) -> Answer {
    let body = json!({"eventId": event["id"], "numTickets": tickets});
    client.post("/api/bookings", body).await
}

async fn hold(client: &Client, event: &Value, tickets: u32) -> Answer {
    let body = json!({"eventId": event["id"], "numTickets": tickets});
    client.post("/api/holds", body).await
}

async fn wait(client: &Client, event: &Value, tickets: u32) -> Answer {
    let path = format!("{}/waitlist", path_of(event));
    client.post(&path, json!({"numTickets": tickets})).await
}

async fn want_confirmed(house: &House) {
    let patch = json!({"confirmBeforeBooking": true});
    let client = &house.owner.client;
    let before = client.get(SETTINGS).await;
    let etag = before.header("etag").to_owned();
    assert_eq!(before.expect(200)["confirmBeforeBooking"], false);
    let after = client.patch(SETTINGS, &etag, patch).await.expect(200);
    assert_eq!(after["confirmBeforeBooking"], true);
}

/// Signs somebody up, who is asked to confirm the address.
async fn sign_up(house: &House, name: &str) -> Account {
    let email = format!("{name}@north.test");
    let account = house.door.register(&email, "customer").await;
    house.platform.owes(1);
    account
}

async fn confirm(house: &House, account: &Account) {
    let link = house.links(account).await.remove(0);
    let done = house.confirm(&link, OWN_PASSWORD).await;
    assert_eq!(done.status, 200, "{}", done.text);
}

/// Books as the platform does for a customer whom it brought.
async fn book_for_brought(house: &House, event: &Value) {
    let caller = Caller::platform(house.tenant.as_str());
    let command = EnsureUser {
        external_id: "shop-17".to_owned(),
        name: Label::parse("name", "Cara").expect("a name"),
        email: email("cara", &house.tenant),
    };
    let engine = &house.platform.engine;
    let users = engine.users();
    let cara = users.ensure(&caller, command).await;
    let cara: UserId = cara.expect("a new user").id;
    let event: EventId = text(&event["id"]).parse().expect("an id");
    let command = BookTickets::general(event, 1);
    let bookings = engine.bookings();
    let caller = caller.on_behalf_of(cara);
    let booked = bookings.book_tickets(&caller, command).await;
    booked.expect("a booking");
    house.platform.owes(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_tenant_wants_it_addresses_are_confirmed_before_tickets_are_taken() {
    let house = House::open(true).await;
    let (open, full) = (&house.event, event(&house, 1).await);
    let ann = sign_up(&house, "ann").await;
    let held = hold(&ann.client, open, 2).await.expect(201);
    want_confirmed(&house).await;
    let confirmation = format!("/api/holds/{}/confirm", text(&held["id"]));
    for refused in [
        book(&ann.client, open, 1).await,
        hold(&ann.client, open, 1).await,
        ann.client.post_empty(&confirmation).await,
        wait(&ann.client, &full, 1).await,
    ] {
        let problem = refused.problem(403, CODE);
        let detail = text(problem.member("detail"));
        assert!(
            detail.contains("POST /api/auth/me/verification"),
            "{detail}"
        );
    }
    let path = path_of(open);
    let seen = house.owner.client.get(&path).await.expect(200);
    let taken = (&seen["ticketsSold"], &seen["ticketsHeld"]);
    assert_eq!(taken, (&json!(0), &json!(2)), "nothing was taken");
    // Whose address is confirmed, or who has nothing to confirm, is not held up.
    book(&house.owner.client, &full, 1).await.expect(201);
    house.platform.owes(1);
    book_for_brought(&house, open).await;
    // Confirmed, it goes on at once, in the same session.
    confirm(&house, &ann).await;
    ann.client.post_empty(&confirmation).await.expect(201);
    house.platform.owes(1);
    book(&ann.client, open, 1).await.expect(201);
    house.platform.owes(1);
    wait(&ann.client, &full, 1).await.expect(201);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_needs_to_confirm_what_nobody_is_asked_for() {
    let house = House::open(false).await;
    want_confirmed(&house).await;
    let ann = house.door.register("ann@north.test", "customer").await;
    book(&ann.client, &house.event, 1).await.expect(201);
    house.platform.owes(1);
    house.platform.settle().await;
}
