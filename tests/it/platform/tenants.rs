//! Goal: owners say how their tenant is called, where answers go, and how often it speaks; operators alone say from
//! which address it speaks; and every mail shows it.
//!
//! Method: settings are changed over the API, and the mails that follow are read as a mail program reads them.

use boxoffice_engine::UserRole;
use boxoffice_tests::{
    Account, Answer, Client, Hosted, TestPlatform,
    api::{event_body, text},
};
use mail_parser::MessageParser;
use reqwest::Method;
use serde_json::{Value, json};

const SETTINGS: &str = "/api/tenant/settings";

struct EventFixture {
    platform: TestPlatform,
    door: Client,
    owner: Account,
    _hosted: Hosted,
}

impl EventFixture {
    async fn open() -> Self {
        let platform = TestPlatform::new().await;
        let tenant = platform.tenant("north").await;
        platform.user(&tenant, "owen", UserRole::Owner).await;
        let hosted = Hosted::start(platform.engine.clone()).await;
        let door = hosted.client().tenant("north");
        let owner = door.login("owen@north.test").await;
        Self {
            platform,
            door,
            owner,
            _hosted: hosted,
        }
    }

    async fn change(&self, version: u64, change: Value) -> Answer {
        let etag = format!("\"{version}\"");
        self.owner.client.patch(SETTINGS, &etag, change).await
    }

    /// The sender's name and address, and where answers go, in the mail about a new booking.
    async fn sender_seen_by(&self, name: &str) -> (String, String, Option<String>) {
        let customer = self
            .door
            .register(&format!("{name}@north.test"), "customer")
            .await;
        let body = event_body(json!({}));
        let event = self
            .owner
            .client
            .post("/api/events", body)
            .await
            .expect(201);
        let body = json!({"eventId": event["id"], "numTickets": 1});
        customer
            .client
            .post("/api/bookings", body)
            .await
            .expect(201);
        self.platform.owes(1);
        let mails = self.platform.settle().await;
        let mail = mails.iter().find(|mail| mail.is_to(&customer.email));
        let bytes = std::fs::read(&mail.expect("a mail").path).expect("a mail file");
        let message = MessageParser::default().parse(&bytes).expect("a mail");
        let from = message
            .from()
            .and_then(|from| from.first())
            .expect("a sender");
        let reply_to = message.reply_to().and_then(|to| to.first());
        (
            from.name().unwrap_or_default().to_owned(),
            from.address().unwrap_or_default().to_owned(),
            reply_to.and_then(|to| to.address()).map(str::to_owned),
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_come_from_the_tenant_as_its_settings_say() {
    let house = EventFixture::open().await;
    let address = "boxoffice@localhost".to_owned();
    let seen = house.sender_seen_by("ann").await;
    assert_eq!(seen, ("north".to_owned(), address.clone(), None));
    let change = json!({"name": "North", "senderName": "North \"Hall\" ÄÖ", "replyTo": "Help@North.example"});
    let answer = house.change(1, change).await;
    assert_eq!(answer.header("etag"), "\"2\"");
    let settings = answer.expect(200);
    assert_eq!(settings["senderName"], "North \"Hall\" ÄÖ");
    assert_eq!(settings["replyTo"], "help@north.example");
    let seen = house.sender_seen_by("ben").await;
    let reply_to = Some("help@north.example".to_owned());
    assert_eq!(seen, ("North \"Hall\" ÄÖ".to_owned(), address, reply_to));
    // Back to the defaults: the tenant's name, and no other place for answers.
    house
        .change(2, json!({"senderName": null, "replyTo": null}))
        .await
        .expect(200);
    assert_eq!(
        house.door.get("/api/tenant").await.expect(200)["name"],
        "North"
    );
    let (name, _, reply_to) = house.sender_seen_by("cyd").await;
    assert_eq!((name.as_str(), reply_to), ("North", None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_merged_and_nobodys_change_is_lost() {
    let house = EventFixture::open().await;
    let before = house.owner.client.get(SETTINGS).await;
    assert_eq!(before.header("etag"), "\"1\"");
    let before = before.expect(200);
    assert_eq!(before["reminderMinutes"], Value::Null);
    assert_eq!(before["announcementsPerDay"], 10);
    let after = house
        .change(1, json!({"reminderMinutes": 1440}))
        .await
        .expect(200);
    let mut expected = before.clone();
    expected["version"] = json!(2);
    expected["reminderMinutes"] = json!(1440);
    assert_eq!(after, expected, "what is not named stays");
    assert_eq!(house.owner.client.get(SETTINGS).await.expect(200), expected);
    house
        .change(1, json!({"name": "Late"}))
        .await
        .problem(412, "version-mismatch");
    let request = house
        .owner
        .client
        .request(Method::PATCH, SETTINGS)
        .json(&json!({"name": "x"}));
    Answer::of(request)
        .await
        .problem(428, "precondition-required");
    let zero = house
        .change(2, json!({"reminderMinutes": 0}))
        .await
        .expect(200);
    assert_eq!(zero["reminderMinutes"], Value::Null, "0 means none");
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_fit_no_header_or_no_bound_are_refused_by_name() {
    let house = EventFixture::open().await;
    for (field, value) in [
        ("name", json!("a\r\nBcc: evil@example.net")),
        ("name", json!("")),
        ("name", Value::Null),
        ("senderName", json!("a\nb")),
        ("senderName", json!("x".repeat(201))),
        ("senderName", json!("billing@bank.example")),
        (
            "senderName",
            json!("Bank \u{ff1c}billing\u{ff20}bank.example\u{ff1e}"),
        ),
        ("name", json!("Bank <billing at bank.example>")),
        (
            "replyTo",
            json!("help@north.example\r\nBcc: evil@example.net"),
        ),
        ("replyTo", json!("a@b, c@d")),
        ("reminderMinutes", json!(4)),
        ("reminderMinutes", json!(86_401)),
        ("reminderMinutes", json!(1.5)),
        ("announcementsPerDay", json!(101)),
        ("announcementsPerDay", json!(-1)),
        ("organizersMayRegister", json!("yes")),
    ] {
        let change = json!({ field: value });
        let answer = house.change(1, change).await;
        answer.problem(422, "field-invalid").at_field(field);
    }
    for field in ["mailFrom", "id", "version", "currency"] {
        let answer = house.change(1, json!({ field: "x@north.example" })).await;
        answer.problem(422, "unknown-field").at_field(field);
    }
    house
        .change(1, json!({"announcementsPerDay": 100}))
        .await
        .expect(200);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_operators_say_from_which_address_a_tenant_speaks() {
    use boxoffice_engine::{AddOperator, Caller, EmailAddress, Label};
    let house = EventFixture::open().await;
    let operator = AddOperator {
        email: EmailAddress::parse("email", "op@boxoffice.test").expect("an address"),
        name: Label::parse("name", "Op").expect("one line"),
        password: Account::PASSWORD.to_owned(),
    };
    let operators = house.platform.engine.operators();
    operators
        .add(&Caller::operator(), operator)
        .await
        .expect("an operator");
    let login = json!({"email": "op@boxoffice.test", "password": Account::PASSWORD});
    let login = house
        .door
        .post("/api/operator/login", login)
        .await
        .expect(200);
    let operator = house.door.token(text(&login["token"]));
    let set = async |client: &Client, address: Value| {
        let path = "/api/operator/tenants/north/sender";
        let request = client
            .request(Method::PUT, path)
            .json(&json!({ "mailFrom": address }));
        Answer::of(request).await
    };
    set(&house.owner.client, json!("x@north.example"))
        .await
        .problem(403, "forbidden");
    for bad in ["x", "a@b\r\nBcc: c@d", "a@b,c@d"] {
        set(&operator, json!(bad))
            .await
            .problem(422, "field-invalid")
            .at_field("mailFrom");
    }
    let settings = set(&operator, json!("Tickets@North.example"))
        .await
        .expect(200);
    assert_eq!(settings["mailFrom"], "tickets@north.example");
    let (name, address, _) = house.sender_seen_by("ann").await;
    assert_eq!(
        (name.as_str(), address.as_str()),
        ("north", "tickets@north.example")
    );
    // An owner's change leaves it alone.
    let version = settings["version"].as_u64().expect("a version");
    let changed = house
        .change(version, json!({"senderName": "Hall"}))
        .await
        .expect(200);
    assert_eq!(changed["mailFrom"], "tickets@north.example");
    set(&operator, Value::Null).await.expect(200);
    let (name, address, _) = house.sender_seen_by("ben").await;
    assert_eq!(
        (name.as_str(), address.as_str()),
        ("Hall", "boxoffice@localhost")
    );
}
