//! What tests of the API in this process share: a tenant with an organizer and a customer behind the real router.
//!
//! Used by events, bookings, sessions and race; no tests here.

use boxoffice_tests::{Account, Client, Hosted, TestPlatform};
use serde_json::{Value, json};

/// A tenant named `north`, its door, and two of its people, signed up over the API.
pub(crate) struct Api {
    pub(crate) platform: TestPlatform,
    pub(crate) door: Client,
    pub(crate) organizer: Account,
    pub(crate) customer: Account,
    _hosted: Hosted,
}

impl Api {
    pub(crate) async fn start() -> Self {
        let platform = TestPlatform::new().await;
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
    pub(crate) async fn event(&self, changes: Value) -> Value {
        self.organizer
            .client
            .post("/api/events", event_body(changes))
            .await
            .expect(201)
    }

    /// Reads an event as a stranger does.
    pub(crate) async fn seen(&self, event: &Value) -> Value {
        self.door.get(&path_of(event)).await.expect(200)
    }
}

/// A request that makes an event, with these members changed; null takes one away.
pub(crate) fn event_body(changes: Value) -> Value {
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
pub(crate) fn replacement_body(changes: Value) -> Value {
    let mut body = event_body(json!({
        "totalTickets": null,
        "status": "published",
        "ticketTypes": [{"name": "General", "capacity": 50, "priceMinor": 0}],
    }));
    merge(&mut body, changes);
    body
}

/// Changes members of an object; null takes one away.
pub(crate) fn merge(body: &mut Value, changes: Value) {
    let members = body.as_object_mut().expect("bodies are objects");
    for (name, value) in changes.as_object().expect("changes are objects") {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
}

/// The path of an event that the API answered.
pub(crate) fn path_of(event: &Value) -> String {
    format!("/api/events/{}", text(&event["id"]))
}

/// The version of an event as `If-Match` wants it.
pub(crate) fn etag_of(event: &Value) -> String {
    format!("\"{}\"", event["version"])
}

/// The text of a JSON value.
#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}
