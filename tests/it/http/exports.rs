//! Goal: an export has every item of its list once, in both formats; it is refused to whom the list is; it ends with the session.
//!
//! Method: lists that are longer than two reads of the store, compared item by item with the pages of the API; the stream of an
//! export is read from the router without a socket, and the session ends between two pieces.

use std::collections::BTreeSet;

use axum::{body::Body, http::Request};
use boxoffice_engine::{TenantId, UserRole};
use boxoffice_tests::{
    Account, Client, Hosted, Patience,
    api::{Api, path_of, text},
    ensure_customer, pass_time, wait_for,
};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Bookings of seven tickets: reads of 500 tickets end within a booking.
const BOOKINGS: u32 = 150;
const TICKETS: u32 = 7;
/// More users than two reads have.
const USERS: usize = 1_100;

async fn owner(api: &Api) -> Account {
    let tenant = TenantId::parse("north").expect("a tenant");
    api.platform.user(&tenant, "owen", UserRole::Owner).await;
    api.door.login("owen@north.test").await
}

async fn objects(client: &Client, path: &str) -> Vec<Value> {
    let file = client.get(&format!("{path}?format=ndjson")).await;
    assert_eq!(file.status, 200, "{}", file.text);
    assert_eq!(file.header("content-type"), "application/x-ndjson");
    assert!(file.text.is_empty() || file.text.ends_with('\n'));
    let lines = file.text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("an object on each line"))
        .collect()
}

/// The rows of a CSV file, as a library that knows the format reads them, by the names of their columns.
async fn table(client: &Client, path: &str) -> Vec<Value> {
    let file = client.get(path).await;
    assert_eq!(file.status, 200, "{}", file.text);
    assert!(file.header("content-type").starts_with("text/csv"));
    assert!(
        file.header("content-disposition").ends_with(".csv\""),
        "{file:?}"
    );
    let text = file.text.strip_prefix('\u{feff}').expect("a mark");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().expect("a first line").clone();
    reader
        .records()
        .map(|record| {
            let record = record.expect("as many cells as columns");
            let cells = names.iter().zip(record.iter());
            cells
                .map(|(name, cell)| (name.to_owned(), json!(cell)))
                .collect()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_have_what_the_lists_have() {
    let api = Api::start().await;
    let owner = owner(&api).await;
    let event = api.event(json!({"totalTickets": 2_000})).await;
    for _ in 0..BOOKINGS {
        api.book(&event, TICKETS).await;
    }
    let first = owner
        .client
        .all(&format!("{}/bookings", path_of(&event)))
        .await;
    let cancel = format!("/api/bookings/{}/cancel", text(&first[0]["id"]));
    let cancelled = api
        .customer
        .client
        .post(&cancel, json!({"ticketNumbers": [2]}));
    cancelled.await.expect(200);
    let staff = [&owner.client, &api.organizer.client];

    let path = format!("{}/bookings", path_of(&event));
    for client in staff {
        let list = client.all(&path).await;
        let file = format!("{path}/export");
        assert_eq!(objects(client, &file).await, list);
        let rows = table(client, &file).await;
        assert_eq!(rows.len(), list.len());
        for (row, booking) in rows.iter().zip(&list) {
            assert_eq!(row["id"], booking["id"]);
            assert_eq!(row["customerEmail"], "ann@north.test");
            assert_eq!(row["numTickets"], booking["numTickets"].to_string());
            assert_eq!(row["cancelledMinor"], booking["cancelledMinor"].to_string());
        }
    }

    let file = format!("{}/attendees/export", path_of(&event));
    let attendees = objects(&owner.client, &file).await;
    let ids: BTreeSet<&str> = attendees.iter().map(|one| text(&one["ticketId"])).collect();
    assert_eq!(attendees.len() as u32, BOOKINGS * TICKETS);
    assert_eq!(ids.len(), attendees.len(), "each ticket once");
    let gone: Vec<&Value> = attendees
        .iter()
        .filter(|one| one["status"] == "cancelled")
        .collect();
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0]["bookingId"], first[0]["id"]);
    assert_eq!(gone[0]["number"], 2);
    assert_eq!(gone[0]["customer"]["name"], "ann");
    assert!(attendees.iter().all(|one| one.get("code").is_none()));
    let rows = table(&owner.client, &file).await;
    let named: Vec<&Value> = rows.iter().map(|row| &row["ticketId"]).collect();
    let ids: Vec<&Value> = attendees.iter().map(|one| &one["ticketId"]).collect();
    assert_eq!(named, ids);

    let users = owner.client.all("/api/users").await;
    assert_eq!(objects(&owner.client, "/api/users/export").await, users);
    assert_eq!(
        table(&owner.client, "/api/users/export").await.len(),
        users.len()
    );
    api.customer
        .client
        .get("/api/users/export")
        .await
        .problem(403, "forbidden");
    for (query, code, field) in [
        ("format=xml", "field-invalid", "format"),
        ("format=csv&format=csv", "field-invalid", "format"),
        ("limit=5", "unknown-field", "limit"),
    ] {
        let refused = owner.client.get(&format!("{file}?{query}")).await;
        refused.problem(422, code).at_field(field);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_and_the_audit_log_are_files_too() {
    let api = Api::start().await;
    let owner = owner(&api).await;
    let event = api.event(json!({})).await;
    api.book(&event, 1).await;
    let says = json!({"subject": "News", "message": "There is news."});
    let announce = format!("{}/announcements", path_of(&event));
    let said = api.organizer.client.post(&announce, says).await.expect(201);
    api.platform.drain().await;
    let path = format!("/api/notifications/{}/deliveries", text(&said["id"]));
    let list = api.organizer.client.all(&path).await;
    assert_eq!(list.len(), 1);
    let file = format!("{path}/export");
    assert_eq!(objects(&api.organizer.client, &file).await, list);
    let rows = table(&api.organizer.client, &file).await;
    assert_eq!(rows[0]["state"], list[0]["state"]);
    assert_eq!(rows[0]["customerId"], json!(api.customer.id));
    assert_eq!(rows[0]["customerName"], list[0]["customer"]["name"]);
    assert_eq!(list[0]["customer"]["id"], json!(api.customer.id));

    // An operator's words begin like a formula.
    let key = json!({"name": "=1+1", "scopes": ["events:read"]});
    owner.client.post("/api/keys", key).await.expect(201);
    let list = owner.client.all("/api/admin/audit").await;
    assert!(!list.is_empty());
    assert_eq!(
        objects(&owner.client, "/api/admin/audit/export").await,
        list
    );
    let rows = table(&owner.client, "/api/admin/audit/export").await;
    assert_eq!(rows.len(), list.len());
    assert!(rows.iter().all(|row| {
        let cells = row.as_object().expect("a row").values();
        cells
            .map(text)
            .all(|cell| !cell.starts_with(['=', '+', '-', '@']))
    }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_breaks_off_when_the_session_ends() {
    let api = Api::start().await;
    let owner = owner(&api).await;
    let tenant = TenantId::parse("north").expect("a tenant");
    for number in 0..USERS {
        let name = format!("guest-{number}");
        let email = boxoffice_tests::email(&name, &tenant);
        ensure_customer(&api.platform.engine, &tenant, &name, email).await;
    }
    let router = boxoffice_host::router(api.platform.engine.clone(), Hosted::options());
    let token = owner.token.clone();
    let ask = || {
        let request = Request::get("/api/users/export?format=ndjson")
            .header("Host", "tickets.example")
            .header("X-Tenant", "north")
            .header("Authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).expect("a request");
        router.clone().oneshot(request)
    };
    // To its end while the session lasts: more than two pieces.
    let answer = ask().await.expect("a router does not fail");
    assert_eq!(answer.status(), 200);
    let pieces: Vec<_> = answer.into_body().into_data_stream().collect().await;
    assert!(pieces.len() > 2, "{}", pieces.len());
    assert!(pieces.iter().all(Result::is_ok));

    let answer = ask().await.expect("a router does not fail");
    let mut pieces = answer.into_body().into_data_stream();
    pieces.next().await.expect("a piece").expect("users");
    let end = owner
        .client
        .request(reqwest::Method::DELETE, "/api/auth/me/sessions");
    end.send().await.expect("an answer");
    wait_for(Patience::WORK, "the session to end", || async {
        let answer = owner.client.get("/api/auth/me").await;
        (answer.status == 401).then_some(())
    })
    .await;
    // Principals are remembered for a second at most.
    pass_time(std::time::Duration::from_secs(1)).await;
    let rest: Vec<_> = pieces.collect().await;
    assert!(rest.iter().any(Result::is_err), "{} pieces", rest.len());
    assert!(rest.len() <= 2, "{} pieces", rest.len());
}
