//! Goal: people get all that is kept about them, also what was sold to them before they had an account, and nothing that names
//! somebody else; owners and keys with the scope get the same, and nobody else does.
//!
//! Method: the real router and worker; a person does all that leaves a record; each list of the API is compared with the file.

use boxoffice_engine::UserRole;
use boxoffice_tests::{
    Answer, Client, EventFixture, OWN_PASSWORD,
    api::{event_body, path_of, text},
};
use reqwest::Method;
use serde_json::{Value, json};

async fn records(client: &Client, path: &str) -> Vec<Value> {
    let file = client.get(path).await;
    assert_eq!(file.status, 200, "{}", file.text);
    assert_eq!(file.header("content-type"), "application/x-ndjson");
    let lines = file.text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("an object on each line"))
        .collect()
}

/// The data of one kind, in the file's order.
fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let found = records.iter().filter(|record| record["kind"] == kind);
    found.map(|record| &record["data"]).collect()
}

fn ids(items: &[&Value]) -> Vec<String> {
    items
        .iter()
        .map(|item| text(&item["id"]).to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_get_all_that_is_kept_about_them() {
    let house = EventFixture::open(true).await;
    let (owner, door) = (&house.owner.client, &house.door);
    let tenant = &house.tenant;
    house.platform.user(tenant, "stan", UserRole::Staff).await;
    let stan = door.login("stan@north.test").await;

    // Sold to the address before anybody had it.
    let customer = json!({"name": "Ann the Guest", "email": "ann@north.test"});
    let sale = json!({
        "eventId": house.event["id"], "numTickets": 1, "customer": customer, "complimentary": "A friend of Olga",
    });
    let sold = stan.client.post("/api/bookings", sale).await.expect(201);
    house.platform.owes(1);
    // The account that confirms the address takes it over.
    let ann = door.register("ann@north.test", "customer").await;
    house.platform.owes(1);
    let link = house.links(&ann).await.remove(0);
    house.confirm(&link, OWN_PASSWORD).await;
    house.platform.may_owe();
    let ann = door.login("ann@north.test").await;
    let client = &ann.client;
    let book = json!({"eventId": house.event["id"], "numTickets": 2});
    let booked = client.post("/api/bookings", book).await.expect(201);
    let row = json!({
        "reference": "old-1", "eventId": house.event["id"], "quantity": 1, "unitPriceMinor": 5,
        "customer": {"id": ann.id}, "bookedAt": "2024-05-01T10:00:00Z", "checkedInAt": "2024-05-02T18:00:00Z",
    });
    owner
        .post("/api/imports", json!({"rows": [row]}))
        .await
        .expect(200);

    let other = owner
        .post("/api/events", event_body(json!({"totalTickets": 1})))
        .await;
    let other = other.expect(201);
    let hold = json!({"eventId": other["id"], "numTickets": 1});
    let held = client.post("/api/holds", hold).await.expect(201);
    let types = json!([{"name": "Hall", "capacity": 5, "priceMinor": 700}]);
    let body = event_body(json!({"totalTickets": null, "ticketTypes": types}));
    let priced = owner.post("/api/events", body).await.expect(201);
    let hold = json!({"eventId": priced["id"], "numTickets": 1});
    let paid = client.post("/api/holds", hold).await.expect(201);
    let path = format!("/api/holds/{}/payments", text(&paid["id"]));
    let body =
        json!({"provider": "acme", "reference": "pi-1", "amountMinor": 700, "currency": "EUR"});
    let payment = owner.post(&path, body).await.expect(201);
    let full = owner
        .post("/api/events", event_body(json!({"totalTickets": 1})))
        .await;
    let full = full.expect(201);
    let last = json!({"eventId": full["id"], "numTickets": 1});
    stan.client.post("/api/bookings", last).await.expect(201);
    let join = format!("{}/waitlist", path_of(&full));
    client
        .post(&join, json!({"numTickets": 1}))
        .await
        .expect(201);
    let team = owner.request(Method::PUT, &format!("{}/team/{}", path_of(&full), ann.id));
    Answer::of(team.json(&json!({"role": "door"})))
        .await
        .expect(200);
    let unsubscribe = client.request(Method::PUT, "/api/auth/me/subscriptions");
    let unsubscribe = unsubscribe.json(&json!({"unsubscribed": ["event-reminder"]}));
    Answer::of(unsubscribe).await.expect(200);
    house.platform.drain().await;

    let own = records(client, "/api/auth/me/personal-data").await;
    let accounts = of_kind(&own, "account");
    assert_eq!(accounts[0], &client.get("/api/auth/me").await.expect(200));
    assert_eq!(accounts.len(), 2, "the guest is there, too");
    assert_eq!(accounts[1]["name"], "Ann the Guest");
    let bookings = of_kind(&own, "booking");
    assert_eq!(bookings.len(), 3);
    assert_eq!(
        ids(&bookings[..2]),
        [text(&booked["id"]), text(&sold["id"])]
    );
    assert_eq!(
        bookings[1]["complimentary"],
        Value::Null,
        "as the customer sees it"
    );
    let came = json!([{"number": 1, "checkedInAt": "2024-05-02T18:00:00Z"}]);
    assert_eq!(bookings[2]["checkIns"], came);
    assert_eq!(bookings[0]["checkIns"], json!([]));
    let holds = [text(&paid["id"]), text(&held["id"])];
    assert_eq!(ids(&of_kind(&own, "hold")), holds);
    assert_eq!(of_kind(&own, "payment"), [&payment]);
    let places = of_kind(&own, "waitlist-place");
    assert_eq!(places.len(), 1);
    assert_eq!(places[0]["eventId"], full["id"]);
    assert_eq!(of_kind(&own, "team")[0]["eventId"], full["id"]);
    assert_eq!(
        of_kind(&own, "unsubscribed"),
        [&json!({"kind": "event-reminder"})]
    );
    assert!(!of_kind(&own, "session").is_empty());
    // Both accounts' mails, the guest's among them.
    let mails = of_kind(&own, "delivery");
    let to = |id: &Value| {
        mails
            .iter()
            .filter(|mail| mail["customerId"] == *id)
            .count()
    };
    let listed = client
        .all(&format!("/api/users/{}/deliveries", ann.id))
        .await;
    assert_eq!(to(&json!(ann.id)), listed.len());
    assert!(to(&sold["customerId"]) >= 1, "{mails:?}");
    let kinds: Vec<&str> = own.iter().map(|record| text(&record["kind"])).collect();
    let mut once = kinds.clone();
    once.dedup();
    assert_eq!(once[0], "account");
    assert_eq!(once.len(), 9, "each kind stands together: {once:?}");
    // Nobody else's name or address.
    let whole = serde_json::to_string(&own).expect("JSON").to_lowercase();
    for text in ["stan", "owen", "olga"] {
        assert!(!whole.contains(text), "{text}");
    }

    let path = format!("/api/users/{}/personal-data", ann.id);
    let without_sessions = |records: Vec<Value>| -> Vec<Value> {
        let is_other = |record: &Value| record["kind"] != "session";
        records.into_iter().filter(is_other).collect()
    };
    let key = |scope: &str| json!({"name": "Till", "scopes": [scope]});
    let made = owner.post("/api/keys", key("customers")).await.expect(201);
    let program = door.token(text(&made["secret"]));
    for reader in [owner, &program] {
        let seen = records(reader, &path).await;
        assert_eq!(without_sessions(seen), without_sessions(own.clone()));
    }
    stan.client.get(&path).await.problem(403, "forbidden");
    let made = owner
        .post("/api/keys", key("events:read"))
        .await
        .expect(201);
    let poor = door.token(text(&made["secret"]));
    poor.get(&path).await.problem(403, "forbidden");
    let stranger = door.register("ben@north.test", "customer").await;
    stranger.client.get(&path).await.problem(403, "forbidden");
    let nobody = "/api/users/01hzy0000000000000000000ab/personal-data";
    owner.get(nobody).await.problem(404, "not-found");
}
