//! The API in this process: a tenant with an organizer and a customer behind the real router, and what requests say.

use boxoffice_engine::EngineBuilder;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::{Account, Answer, Client, Hosted, TestPlatform};

/// Sign-ups at once; more only wait for the two cores that hash passwords.
const SIGN_UPS_AT_ONCE: usize = 8;

/// A tenant named `north`, its door, and two of its people, signed up over the API.
pub struct Api {
    /// The engine.
    pub platform: TestPlatform,
    /// The API, nobody signed in.
    pub door: Client,
    /// `olga@north.test`.
    pub organizer: Account,
    /// `ann@north.test`.
    pub customer: Account,
    _hosted: Hosted,
}

impl Api {
    /// Makes the tenant and its people.
    pub async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    /// The same over an engine that is described further by `describe`.
    pub async fn with(describe: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let platform = TestPlatform::with(describe).await;
        // No worker runs here: these tests are about answers. Mails have tests of their own.
        platform.may_owe();
        platform.tenant("north").await;
        let hosted = Hosted::start(platform.engine.clone()).await;
        let door = hosted.client().tenant("north");
        let organizer = door.register("olga@north.test", "organizer").await;
        let customer = door.register("ann@north.test", "customer").await;
        Self {
            platform,
            door,
            organizer,
            customer,
            _hosted: hosted,
        }
    }

    /// Makes an event from `event_body` with these members changed; null takes one away.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn event(&self, changes: Value) -> Value {
        self.organizer
            .client
            .post("/api/events", event_body(changes))
            .await
            .expect(201)
    }

    /// Books tickets for the customer.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn book(&self, event: &Value, tickets: u32) -> Value {
        let body = json!({"eventId": event["id"], "numTickets": tickets});
        let booked = self.customer.client.post("/api/bookings", body).await;
        booked.expect(201)
    }

    /// Reads an event as its organizer does.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn seen(&self, event: &Value) -> Value {
        self.organizer.client.get(&path_of(event)).await.expect(200)
    }
}

/// A request that makes an event, with these members changed; null takes one away.
pub fn event_body(changes: Value) -> Value {
    let mut body = json!({
        "title": "Jazz Night",
        "description": "A long evening.",
        "startsAt": "2027-03-01T19:00:00+01:00",
        "timeZone": "Europe/Berlin",
        "location": "Old Hall",
        "totalTickets": 50,
    });
    merge(&mut body, changes);
    body
}

/// A body that replaces the event of [`event_body`].
pub fn replacement_body(changes: Value) -> Value {
    let mut body = event_body(json!({
        "totalTickets": null,
        "status": "published",
        "ticketTypes": [{"name": "General", "capacity": 50, "priceMinor": 0}],
    }));
    merge(&mut body, changes);
    body
}

/// Changes members of an object; null takes one away.
///
/// # Panics
/// When one of them is no object.
pub fn merge(body: &mut Value, changes: Value) {
    let members = body.as_object_mut().expect("bodies are objects");
    for (name, value) in changes.as_object().expect("changes are objects") {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
}

/// The path of an event that the API answered.
pub fn path_of(event: &Value) -> String {
    format!("/api/events/{}", text(&event["id"]))
}

/// The version of an event as `If-Match` wants it.
pub fn etag_of(event: &Value) -> String {
    format!("\"{}\"", event["version"])
}

/// Books tickets of an event's only type.
pub async fn book(client: &Client, event: &Value, tickets: u32) -> Answer {
    let body = json!({"eventId": event["id"], "numTickets": tickets});
    client.post("/api/bookings", body).await
}

/// Holds tickets of an event's only type.
pub async fn hold(client: &Client, event: &Value, tickets: u32) -> Answer {
    let body = json!({"eventId": event["id"], "numTickets": tickets});
    client.post("/api/holds", body).await
}

/// The text of a JSON value.
///
/// # Panics
/// When it is none.
#[track_caller]
pub fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}

/// Customers signed up over the API.
pub async fn customers(door: &Client, count: usize) -> Vec<Account> {
    let sign_ups = (0..count).map(|number| async move {
        door.register(&format!("c{number}@example.org"), "customer")
            .await
    });
    stream::iter(sign_ups)
        .buffered(SIGN_UPS_AT_ONCE)
        .collect()
        .await
}
