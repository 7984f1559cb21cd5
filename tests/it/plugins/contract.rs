//! Goal: a plugin sees what a booking carries (codes, metadata, references, typed answers, attendees), how it came about and who sold it;
//! who people are it sees only with the owner's leave; and recorded decisions carry all of it and replay exactly.
//!
//! Method: bookings and sales over the API with a plugin that says yes, and the inputs as they were recorded with the decisions. (That
//! guests see the same is in `projects`.)

use boxoffice_engine::UserRole;
use boxoffice_tests::{
    Account, Component,
    api::{Api, text},
    plugin_host, plugin_settings,
};
use serde_json::{Value, json};

use super::examples;

struct Stage {
    api: Api,
    owner: Account,
    event: Value,
}

fn questions() -> Value {
    json!([
        {"id": "meal", "label": "What do you eat?", "kind": "choice", "choices": ["Meat", "Plants"]},
        {"id": "with", "label": "With what?", "kind": "choices", "choices": ["Wine", "Water"]},
        {"id": "news", "label": "How did you hear of us?", "kind": "text"},
        {"id": "vegan", "label": "Vegan?", "kind": "yes-no"},
        {"id": "day", "label": "Since when?", "kind": "date"},
        {"id": "age", "label": "How old?", "kind": "number", "perTicket": true},
    ])
}

impl Stage {
    async fn open() -> Self {
        let runtime = plugin_host(plugin_settings());
        let api = Api::with(|builder| builder.plugins(runtime)).await;
        let tenant = boxoffice_engine::TenantId::parse("north").expect("a tenant");
        api.platform.user(&tenant, "owen", UserRole::Owner).await;
        let owner = api.door.login("owen@north.test").await;
        let types = json!([{"name": "Hall", "capacity": 50, "priceMinor": 100, "metadata": {"row": "1"}},
            {"name": "Balcony", "capacity": 50, "priceMinor": 50}]);
        let event = api
            .event(
                json!({"totalTickets": null, "ticketTypes": types, "questions": questions(),
                "reference": "gig-1", "metadata": {"hall": "2"}}),
            )
            .await;
        Self { api, owner, event }
    }

    async fn put_into_use(&self, component: &[u8], sees_identity: bool) {
        let settings = json!({"seesIdentity": sees_identity});
        examples::put_bytes_into_use(&self.owner.client, "sees", component, settings).await;
    }

    /// A booking of two tickets in the hall and one on the balcony, with everything.
    fn wish(&self) -> Value {
        let kind = |index: usize| self.event["ticketTypes"][index]["id"].clone();
        json!({
            "eventId": self.event["id"],
            "lines": [{"ticketType": kind(0), "quantity": 2}, {"ticketType": kind(1), "quantity": 1}],
            "reference": "order-1",
            "metadata": {"cart": "17"},
            "codes": [" SPRING ", "VIP"],
            "answers": {"meal": "Plants", "with": ["Water"], "news": "2026-11-30", "vegan": true, "day": "2026-11-30"},
            "attendees": [
                {"ticketType": kind(1), "name": "Cara", "answers": {"age": 7.25}},
                {"ticketType": kind(0), "name": "Ann", "email": "ann@north.test", "answers": {"age": 0.1}},
            ],
        })
    }

    /// What the plugin was asked about a booking.
    async fn asked(&self, booking: &Value) -> Value {
        let path = format!("/api/bookings/{}/decision", text(&booking["id"]));
        let decision = self.owner.client.get(&path).await.expect(200);
        decision["steps"][0]["question"]["request"].clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_sees_what_a_booking_carries_and_no_person_without_leave() {
    let stage = Stage::open().await;
    stage.put_into_use(&Component::accepting(), false).await;
    let client = &stage.api.customer.client;
    let booked = client.post("/api/bookings", stage.wish()).await.expect(201);
    let asked = stage.asked(&booked).await;
    let (hall, balcony) = (
        &stage.event["ticketTypes"][0]["id"],
        &stage.event["ticketTypes"][1]["id"],
    );
    assert_eq!(
        asked["details"],
        json!({
            "reference": "order-1",
            "metadata": {"cart": "17"},
            "codes": ["SPRING", "VIP"],
            "answers": {"day": {"date": "2026-11-30"}, "meal": {"choice": "Plants"}, "news": {"text": "2026-11-30"},
                "vegan": {"yesNo": true}, "with": {"choices": ["Water"]}},
            "attendees": [
                {"ticket": 1, "ticketType": hall, "answers": {"age": {"number": 0.1}}},
                {"ticket": 3, "ticketType": balcony, "answers": {"age": {"number": 7.25}}},
            ],
        })
    );
    let event = &asked["event"];
    assert_eq!(
        (&event["reference"], &event["metadata"]),
        (&json!("gig-1"), &json!({"hall": "2"}))
    );
    assert_eq!(event["ticketTypes"][0]["metadata"], json!({"row": "1"}));
    assert_eq!(
        (&asked["channel"], &asked["seller"]),
        (&json!("self"), &Value::Null)
    );
    for person in ["Cara", "Ann", "north.test"] {
        assert!(!asked.to_string().contains(person), "{person}: {asked}");
    }

    // A version that may see people.
    stage.put_into_use(&Component::accepting(), true).await;
    let mut wish = stage.wish();
    wish["reference"] = json!("order-2");
    let booked = client.post("/api/bookings", wish).await.expect(201);
    let asked = stage.asked(&booked).await;
    assert_eq!(asked["customer"]["email"], "ann@north.test");
    let attendees = &asked["details"]["attendees"];
    assert_eq!(
        (&attendees[0]["name"], &attendees[0]["email"]),
        (&json!("Ann"), &json!("ann@north.test"))
    );
    assert_eq!(
        (&attendees[1]["name"], &attendees[1]["email"]),
        (&json!("Cara"), &Value::Null)
    );
    replays_exactly(&stage, 2).await;
}

/// Every recorded decision is the same when it is made again.
async fn replays_exactly(stage: &Stage, decisions: u64) {
    let in_use = stage.owner.client.get("/api/plugins").await.expect(200);
    let version = text(&in_use["items"][0]["version"]).to_owned();
    let path = format!("/api/plugins/versions/{version}/replay");
    let report = stage.owner.client.post(&path, json!({"last": 100})).await;
    let report = report.expect(200);
    assert_eq!(
        (
            &report["replayed"],
            &report["notReplayable"],
            &report["differing"]
        ),
        (&json!(decisions), &json!(0), &json!([]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_sees_who_sells_as_a_pseudonym() {
    let stage = Stage::open().await;
    stage.put_into_use(&Component::accepting(), true).await;
    let key = json!({"name": "Till", "scopes": ["bookings:write"]});
    let key = stage.owner.client.post("/api/keys", key).await.expect(201);
    let till = stage.api.door.token(text(&key["secret"]));
    let mut sellers = Vec::new();
    let organizer = &stage.api.organizer;
    for (client, reference) in [
        (&organizer.client, "o-1"),
        (&organizer.client, "o-2"),
        (&till, "o-3"),
    ] {
        let mut wish = stage.wish();
        wish["reference"] = json!(reference);
        wish["customer"] = json!({"id": stage.api.customer.id});
        let sold = client.post("/api/bookings", wish).await.expect(201);
        let asked = stage.asked(&sold).await;
        assert_eq!(asked["channel"], "sold");
        // Not even a plugin that sees customers sees who sells.
        assert!(!asked.to_string().contains("olga"), "{asked}");
        assert!(!asked.to_string().contains(&*organizer.id), "{asked}");
        sellers.push(asked["seller"].clone());
    }
    assert_eq!(sellers[0]["kind"], "user");
    assert_eq!(text(&sellers[0]["id"]).len(), 32);
    assert_eq!(sellers[0], sellers[1], "the same seller");
    assert_eq!(sellers[2], json!({"kind": "api-key", "id": key["id"]}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_shows_what_the_booking_carries_without_tickets_that_are_gone() {
    let stage = Stage::open().await;
    let client = &stage.api.customer.client;
    let booked = client.post("/api/bookings", stage.wish()).await.expect(201);
    let cancel = format!("/api/bookings/{}/cancel", text(&booked["id"]));
    let part = client.post(&cancel, json!({"ticketNumbers": [1]})).await;
    part.expect(200);
    let component = Component::trapping_at_cancellations();
    let settings = json!({"skipTrial": true});
    examples::put_bytes_into_use(&stage.owner.client, "traps", &component, settings).await;
    client
        .post(&cancel, json!({}))
        .await
        .problem(503, "policy-unavailable");
    let failed = stage.owner.client.get("/api/plugins/traps/failed-calls");
    let failed = failed.await.expect(200);
    let request = &failed["items"][0]["fixture"]["request"];
    let details = &request["details"];
    assert_eq!(
        (&details["codes"], &details["reference"]),
        (&json!(["SPRING", "VIP"]), &json!("order-1"))
    );
    let balcony = &stage.event["ticketTypes"][1]["id"];
    let left = json!([{"ticket": 3, "ticketType": balcony, "answers": {"age": {"number": 7.25}}}]);
    assert_eq!(details["attendees"], left, "{request}");
}
