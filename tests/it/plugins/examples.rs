//! Goal: each example of `plugins/` does its job where it counts: uploaded and activated over the API, it decides about
//! bookings, and the template words the mail that arrives.
//!
//! Method: the components that the test command built, the real router over an engine in memory, and the mails as they lie
//! in the mail folder. (What many customers at once get through two hosts is in `hosts`.)

use std::path::Path;

use boxoffice_engine::UserRole;
use boxoffice_tests::{
    Account, Answer, Client, Hosted, Patience, ReceivedMail, TestPlatform,
    api::{event_body, text},
    owner_of, plugin_host, plugin_settings, required_variable, wait_for, wait_until,
};
use reqwest::Method;
use serde_json::{Value, json};

/// The bytes of an example that the test command built.
pub(super) fn example(name: &str) -> Vec<u8> {
    let path = Path::new(&required_variable("BOXOFFICE_PLUGINS")).join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{name} was not built: run `python3 tests/run.py plugin`, which builds the examples: {error}")
    })
}

/// Uploads an example, waits until it is compiled, and puts it into use.
pub(super) async fn put_into_use(owner: &Client, name: &str, settings: Value) {
    put_bytes_into_use(owner, name, &example(name), settings).await;
}

/// Does the same with a component.
pub(super) async fn put_bytes_into_use(
    owner: &Client,
    name: &str,
    component: &[u8],
    settings: Value,
) {
    let path = format!("/api/plugins/{name}/versions");
    let upload = owner
        .request(Method::POST, &path)
        .header("Content-Type", "application/wasm")
        .body(component.to_vec());
    let version = Answer::of(upload).await.expect(202)["version"].clone();
    let path = format!("/api/plugins/versions/{}", text(&version));
    let state = wait_for(Patience::WORK, "an example to be compiled", || async {
        let seen = owner.get(&path).await.expect(200);
        (seen["state"] != "compiling").then_some(seen)
    })
    .await;
    assert_eq!(state["state"], "ready", "{name}: {state}");
    change(owner, name, version, settings).await;
}

/// Changes how a version is used.
async fn change(owner: &Client, name: &str, version: Value, mut settings: Value) {
    settings["version"] = version;
    let path = format!("/api/plugins/{name}/activate");
    let set = owner.post(&path, settings).await.expect(200);
    assert_eq!(set["items"][0]["name"], name, "{set}");
}

/// A tenant whose owner and customers use the API.
struct Stage {
    platform: TestPlatform,
    door: Client,
    owner: Client,
    organizer: Client,
    _hosted: Hosted,
}

impl Stage {
    async fn open() -> Self {
        let runtime = plugin_host(plugin_settings());
        let platform = TestPlatform::with(|builder| builder.plugins(runtime)).await;
        let tenant = platform.tenant("north").await;
        owner_of(&platform.engine, &tenant).await;
        platform.user(&tenant, "olga", UserRole::Organizer).await;
        let hosted = Hosted::start(platform.engine.clone()).await;
        let door = hosted.client().tenant("north");
        Self {
            owner: door.login("owner@north.test").await.client,
            organizer: door.login("olga@north.test").await.client,
            platform,
            door,
            _hosted: hosted,
        }
    }

    async fn put_into_use(&self, name: &str, settings: Value) {
        put_into_use(&self.owner, name, settings).await;
    }

    async fn change(&self, name: &str, version: Value, settings: Value) {
        change(&self.owner, name, version, settings).await;
    }

    async fn event(&self, starts_at: &str) -> Value {
        let types = json!([{"name": "Hall", "capacity": 50, "priceMinor": 2500}]);
        let body = json!({"startsAt": starts_at, "totalTickets": null, "ticketTypes": types});
        let answer = self.organizer.post("/api/events", event_body(body)).await;
        answer.expect(201)
    }

    async fn customer(&self, email: &str) -> Account {
        self.door.register(email, "customer").await
    }

    async fn sold(&self, event: &Value) -> Value {
        let path = format!("/api/events/{}", text(&event["id"]));
        self.organizer.get(&path).await.expect(200)["ticketsSold"].clone()
    }

    /// Everything this customer was sent so far, once all mails are there.
    async fn mails_of(&self, customer: &Account) -> Vec<ReceivedMail> {
        let mails = self.platform.settle().await.into_iter();
        mails.filter(|mail| mail.is_to(&customer.email)).collect()
    }
}

async fn book(customer: &Account, event: &Value, tickets: u32) -> Answer {
    let body = json!({"eventId": event["id"], "numTickets": tickets});
    customer.client.post("/api/bookings", body).await
}

const IN_SPRING: &str = "2027-03-01T19:00:00+01:00";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_only_refuses_an_outsider_and_sells_to_a_member() {
    let stage = Stage::open().await;
    stage.platform.may_owe();
    let event = stage.event(IN_SPRING).await;
    let member = stage.customer("ann@club.example").await;
    let outsider = stage.customer("bob@club.example.org").await;
    let config = json!({"domains": ["club.example"], "reason": "This evening is for the club."});
    stage
        .put_into_use("members-only", json!({"config": config}))
        .await;
    // Nobody is known to be a member before the owner lets it see addresses.
    book(&member, &event, 1)
        .await
        .problem(409, "policy-rejected");
    // The log of a call that did not fail is recorded in the background.
    wait_until(Patience::WORK, "the log to say why", || async {
        let logs = stage.owner.get("/api/plugins/members-only/logs").await;
        logs.expect(200).to_string().contains("may not see")
    })
    .await;
    let in_use = stage.owner.get("/api/plugins").await.expect(200);
    let version = in_use["items"][0]["version"].clone();
    stage
        .change("members-only", version, json!({"seesIdentity": true}))
        .await;

    let refusal = book(&outsider, &event, 1).await;
    let refusal = refusal.problem(409, "policy-rejected");
    assert_eq!(refusal.member("policyCode"), "members-only");
    assert_eq!(refusal.member("detail"), "This evening is for the club.");
    assert_eq!(stage.sold(&event).await, 0);
    book(&member, &event, 2).await.expect(201);
    assert_eq!(stage.sold(&event).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_bird_price_books_at_the_lower_price_until_its_hour() {
    let stage = Stage::open().await;
    stage.platform.may_owe();
    let customer = stage.customer("ann@north.test").await;
    let early = stage.event(IN_SPRING).await;
    // The clock stands at noon of the day before.
    let late = stage.event("2026-12-02T12:00:00Z").await;
    let config = json!({"percentOff": 20, "hoursBefore": 72});
    stage
        .put_into_use("early-bird-price", json!({"config": config}))
        .await;
    let booking = book(&customer, &early, 2).await.expect(201);
    assert_eq!(
        (
            &booking["lines"][0]["unitPriceMinor"],
            &booking["totalMinor"]
        ),
        (&json!(2000), &json!(4000))
    );
    let path = format!("/api/bookings/{}", text(&booking["id"]));
    let seen = customer.client.get(&path).await.expect(200);
    assert_eq!(seen["totalMinor"], 4000, "it is booked, not only quoted");
    let booking = book(&customer, &late, 2).await.expect(201);
    assert_eq!(booking["totalMinor"], 5000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_discount_is_for_groups() {
    let stage = Stage::open().await;
    stage.platform.may_owe();
    let customer = stage.customer("ann@north.test").await;
    let event = stage.event(IN_SPRING).await;
    let config = json!({"ticketsMin": 5, "percentOff": 15});
    stage
        .put_into_use("group-discount", json!({"config": config}))
        .await;
    let couple = book(&customer, &event, 4).await.expect(201);
    assert_eq!(couple["totalMinor"], 10_000);
    let group = book(&customer, &event, 5).await.expect(201);
    assert_eq!(
        (&group["lines"][0]["unitPriceMinor"], &group["totalMinor"]),
        (&json!(2125), &json!(10_625))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promo_codes_are_used_as_often_as_the_tenant_says() {
    let stage = Stage::open().await;
    stage.platform.may_owe();
    let event = stage.event(IN_SPRING).await;
    let (ann, ben, cara) = (
        stage.customer("ann@north.test").await,
        stage.customer("ben@north.test").await,
        stage.customer("cara@north.test").await,
    );
    let spring = json!({"percentOff": 20, "uses": 2, "usesPerCustomer": 1});
    let config = json!({"codes": {"SPRING": spring}});
    stage
        .put_into_use("promo-codes", json!({"config": config}))
        .await;
    let wish = |code: &str| json!({"eventId": event["id"], "numTickets": 2, "codes": [code]});
    let quote = ann.client.post("/api/quotes", wish("spring")).await;
    assert_eq!(quote.expect(200)["totalMinor"], 4_000);
    let booked = ann.client.post("/api/bookings", wish("spring")).await;
    let booked = booked.expect(201);
    assert_eq!(booked["totalMinor"], 4_000);
    assert_eq!(booked["messages"], json!(["Code SPRING: 20 % off."]));
    let again = ann.client.post("/api/bookings", wish("SPRING")).await;
    again.problem(409, "claim-exhausted");
    let second = ben.client.post("/api/bookings", wish("SPRING")).await;
    second.expect(201);
    let third = || cara.client.post("/api/bookings", wish("SPRING"));
    third().await.problem(409, "claim-exhausted");
    let unknown = cara.client.post("/api/bookings", wish("SUMMER")).await;
    let unknown = unknown.problem(409, "policy-rejected");
    assert_eq!(unknown.member("policyCode"), "unknown-code");
    assert_eq!(
        book(&cara, &event, 1).await.expect(201)["totalMinor"],
        2_500
    );

    let cancel = format!("/api/bookings/{}/cancel", text(&booked["id"]));
    ann.client.post(&cancel, json!({})).await.expect(200);
    third().await.expect(201);
    let counters = stage.owner.all("/api/claims").await;
    let spring = counters.iter().find(|one| one["key"] == "promo:SPRING");
    assert_eq!(spring.expect("the code's counter")["used"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn branded_mail_words_what_arrives_and_its_failure_costs_no_mail() {
    let stage = Stage::open().await;
    let event = stage.event(IN_SPRING).await;
    let (ann, ben) = (
        stage.customer("ann@north.test").await,
        stage.customer("ben@north.test").await,
    );
    let config = json!({"brand": "North <Stage>", "footer": "1 Harbour Street"});
    stage
        .put_into_use("branded-mail", json!({"config": config}))
        .await;
    let booking = book(&ann, &event, 2).await.expect(201);
    stage.platform.owes(1);
    let mails = stage.mails_of(&ann).await;
    assert_eq!(mails[0].subject, "You're in: Jazz Night");
    assert!(mails[0].html.contains("<h1>North &#60;Stage&#62;</h1>"));
    assert!(
        mails[0].text.contains("ann, your seats are waiting")
            && mails[0].text.contains("1 Harbour Street")
            && mails[0].text.contains(text(&booking["bookingNumber"])),
        "{}",
        mails[0].text
    );

    // A kind that the plugin leaves alone: the words of the house.
    let path = format!("/api/events/{}", text(&event["id"]));
    let change = json!({"location": "New Hall"});
    let changed = stage.organizer.patch(&path, "\"1\"", change).await;
    changed.expect(200);
    stage.platform.owes(1);
    let mails = stage.mails_of(&ann).await;
    let update = mails.iter().find(|mail| mail.text.contains("New Hall"));
    let update = update.expect("a mail about the new place");
    assert!(!update.html.contains("North &#60;Stage"), "{}", update.html);

    // A configuration that the plugin refuses: each of its calls traps.
    let in_use = stage.owner.get("/api/plugins").await.expect(200);
    let version = in_use["items"][0]["version"].clone();
    let misspelt = json!({"config": {"brand": "North", "colour": "red"}});
    stage.change("branded-mail", version, misspelt).await;
    book(&ben, &event, 1).await.expect(201);
    stage.platform.owes(1);
    let mails = stage.mails_of(&ben).await;
    assert_eq!(mails.len(), 1);
    assert!(
        mails[0].subject.contains("Jazz Night") && !mails[0].subject.starts_with("You're in"),
        "the words of the house: {}",
        mails[0].subject
    );
    assert!(mails[0].calendar.is_some(), "all of the built-in mail");
    let logs = stage.owner.get("/api/plugins/branded-mail/logs").await;
    let logs = logs.expect(200).to_string();
    assert!(logs.contains("colour"), "the tenant reads why: {logs}");
}
