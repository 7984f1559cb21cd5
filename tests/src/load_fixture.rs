//! A crowd: a tenant with an organizer and customers on a SurrealDB server, the events that all of them have booked,
//! and what the ledger says about their mails.
//!
//! Made through an engine of this process, because thousands of sign-ups over HTTP are mostly hashing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use boxoffice_engine::{BookTickets, Caller, Engine, TenantId};
use futures::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    Account, Answer, Patience, Program, SurrealServer, TempFolder, email, ensure_customer,
    organizer_and_tenant, wait_for,
};

/// Customers made or booking at the same time; the server's two cores are busy with fewer.
const AT_ONCE: usize = 32;

/// A SurrealDB server with a tenant named `north`, an organizer and customers.
pub struct LoadFixture {
    /// Where all of it is kept.
    pub server: SurrealServer,
    /// For configurations and mails.
    pub folder: TempFolder,
    /// An engine of this process on that server.
    pub engine: Engine,
    organizer_address: String,
    customers: Vec<Caller>,
    addresses: BTreeMap<String, String>,
}

impl LoadFixture {
    /// Makes a tenant, its organizer and this many customers, `c0@north.test` and so on.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn gather(server: SurrealServer, count: usize) -> Self {
        let engine = server.engine().await;
        let (tenant, _, address) = organizer_and_tenant(&engine, "north").await;
        let customers = (0..count).map(|number| customer(&engine, &tenant, number));
        let customers: Vec<(Caller, String)> =
            stream::iter(customers).buffered(AT_ONCE).collect().await;
        let addresses = customers.iter().map(|(caller, address)| {
            let id = caller.user_id().expect("a customer is a user");
            (id.to_string(), address.clone())
        });
        Self {
            addresses: addresses.collect(),
            customers: customers.into_iter().map(|(caller, _)| caller).collect(),
            organizer_address: address.to_string(),
            folder: TempFolder::new("crowd"),
            engine,
            server,
        }
    }

    /// How many customers there are.
    pub fn count(&self) -> usize {
        self.customers.len()
    }

    /// The organizer, signed in at this host.
    ///
    /// # Panics
    /// When the host refuses.
    pub async fn organizer(&self, host: &Program) -> Account {
        let door = host.client().tenant("north");
        door.login(&self.organizer_address).await
    }

    /// Makes an event over the API and books it for every customer.
    ///
    /// # Panics
    /// When the host or the engine refuses.
    pub async fn booked_event(&self, organizer: &Account) -> Value {
        let body = json!({
            "title": "Jazz Night", "startsAt": "2027-03-01T19:00:00+01:00", "timeZone": "Europe/Berlin",
            "location": "Old Hall", "totalTickets": self.count() + 100,
        });
        let event = organizer.client.post("/api/events", body).await.expect(201);
        let id = event["id"].as_str().expect("an id");
        let id = id.parse().expect("an id");
        let bookings = self.engine.bookings();
        let bookings = self.customers.iter().map(|customer| {
            let booked = bookings.book_tickets(customer, BookTickets::general(id, 1));
            async { drop(booked.await.expect("a booking")) }
        });
        stream::iter(bookings)
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<()>>()
            .await;
        event
    }

    /// Everybody's address.
    pub fn addresses(&self) -> BTreeSet<String> {
        self.addresses.values().cloned().collect()
    }

    /// The address of a customer whom the API named by their id.
    ///
    /// # Panics
    /// When there is no such customer.
    #[track_caller]
    pub fn address_of(&self, customer: &Value) -> String {
        let found = customer.as_str().and_then(|id| self.addresses.get(id));
        found.expect("a delivery goes to a customer").clone()
    }

    /// Moves an event to another place, which concerns everybody, and answers the notification that tells them.
    ///
    /// # Panics
    /// When the host refuses, or does not count everybody.
    pub async fn move_event(&self, organizer: &Account, event: &Value, place: &str) -> String {
        let path = format!("/api/events/{}", event["id"].as_str().expect("an id"));
        let seen = organizer.client.get(&path).await.expect(200);
        let version = format!("\"{}\"", seen["version"]);
        let body = json!({ "location": place });
        let changed = organizer.client.patch(&path, &version, body).await;
        let notification = changed.expect(200)["notification"].clone();
        assert_eq!(notification["recipients"], json!(self.count()));
        let id = notification["id"].as_str();
        id.expect("a notification has an id").to_owned()
    }

    /// What the ledger says of each customer's mail, by address: one delivery each, no more.
    ///
    /// # Panics
    /// When somebody is missing or there twice.
    pub async fn ledger(&self, organizer: &Account, id: &str) -> BTreeMap<String, Value> {
        let path = format!("/api/notifications/{id}/deliveries");
        let deliveries = organizer.client.all(&path).await;
        let listed = deliveries.len();
        let ledger: BTreeMap<String, Value> = deliveries
            .into_iter()
            .map(|delivery| (self.address_of(&delivery["customerId"]), delivery))
            .collect();
        assert_eq!(
            (listed, ledger.len()),
            (self.count(), self.count()),
            "one delivery for each customer"
        );
        ledger
    }
}

/// Waits until nothing more happens to a notification by itself, and answers it. An API that is away is asked again.
///
/// # Panics
/// After the bound, with what was seen last.
pub async fn wait_until_final(organizer: &Account, id: &str) -> Value {
    wait_until_final_within(Patience::WORK, organizer, id).await
}

/// The same for a longer crowd.
///
/// # Panics
/// After the bound, with what was seen last.
pub async fn wait_until_final_within(bound: Duration, organizer: &Account, id: &str) -> Value {
    let path = format!("/api/notifications/{id}");
    let begun = Instant::now();
    wait_for(
        bound + Patience::START,
        "a notification to be final",
        || async {
            let request = organizer.client.request(Method::GET, &path);
            let answer = Answer::try_of(request).await.ok()?;
            let shown = (answer.status == 200).then(|| answer.json())?;
            assert!(
                begun.elapsed() < bound,
                "not final after {bound:?}: {shown}"
            );
            is_final(&shown).then_some(shown)
        },
    )
    .await
}

/// Whether every delivery of a notification has come to its end.
pub fn is_final(notification: &Value) -> bool {
    let sum = |states: &[&str]| -> u64 {
        let counts = states
            .iter()
            .map(|state| notification["deliveries"][state].as_u64());
        counts.map(|count| count.unwrap_or(0)).sum()
    };
    notification["status"] == "fanned-out"
        && sum(&["queued", "sending", "deferred"]) == 0
        && notification["recipients"].as_u64()
            == Some(sum(&["sent", "dead", "suppressed", "unknown"]))
}

async fn customer(engine: &Engine, tenant: &TenantId, number: usize) -> (Caller, String) {
    let name = format!("c{number}");
    let address = email(&name, tenant);
    let shown = address.to_string();
    (ensure_customer(engine, tenant, &name, address).await, shown)
}
