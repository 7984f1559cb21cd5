//! What the dashboard is tried on: a tenant with its people, and an operator, whose mails go to an SMTP server.
//!
//! No tests here.

use boxoffice_engine::{
    AddOperator, Caller, CreateUser, EmailAddress, Engine, Label, UserRole, WorkerHandle,
};
use boxoffice_tests::{
    Account, Client, Hosted, Patience, SmtpServer,
    api::{event_body, path_of, text},
    email, organizer_and_tenant,
};
use serde_json::{Value, json};

/// A tenant with an owner and an organizer, over HTTP, whose mails go to an SMTP server.
pub(super) struct Desk {
    pub(super) engine: Engine,
    pub(super) hosted: Hosted,
    pub(super) door: Client,
    pub(super) owner: Account,
    pub(super) organizer: Account,
    pub(super) staff: Account,
    /// The installation's, outside tenants.
    pub(super) operator: Client,
}

impl Desk {
    pub(super) const OPERATOR: &str = "olivia@boxoffice.test";

    pub(super) async fn open(server: &SmtpServer) -> Self {
        let engine = server.engine().await;
        let (tenant, _, organizer) = organizer_and_tenant(&engine, "north").await;
        for (name, role) in [("owner", UserRole::Owner), ("staff", UserRole::Staff)] {
            let user = CreateUser {
                email: email(name, &tenant),
                name: Label::parse("name", name).expect("one line"),
                password: Some(Account::PASSWORD.to_owned()),
                role,
            };
            let made = engine
                .users()
                .create(&Caller::platform("north"), user)
                .await;
            made.expect("a user");
        }
        let operator = AddOperator {
            email: EmailAddress::parse("email", Self::OPERATOR).expect("an address"),
            name: Label::parse("name", "Olivia").expect("one line"),
            password: Account::PASSWORD.to_owned(),
        };
        let added = engine.operators().add(&Caller::operator(), operator).await;
        added.expect("an operator");
        let hosted = Hosted::start(engine.clone()).await;
        let door = hosted.client().tenant("north");
        let login = json!({"email": Self::OPERATOR, "password": Account::PASSWORD});
        let signed_in = hosted.client().post("/api/operator/login", login).await;
        let operator = hosted.client().token(text(&signed_in.expect(200)["token"]));
        Self {
            operator,
            staff: door.login("staff@north.test").await,
            owner: door.login("owner@north.test").await,
            organizer: door.login(organizer.as_str()).await,
            engine,
            hosted,
            door,
        }
    }

    /// An event that a new customer has booked.
    pub(super) async fn booked(&self, name: &str) -> (Account, Value) {
        let event = self
            .organizer
            .client
            .post("/api/events", event_body(json!({})))
            .await;
        let event = event.expect(201);
        let customer = self
            .door
            .register(&format!("{name}@north.test"), "customer")
            .await;
        let body = json!({"eventId": event["id"], "numTickets": 1});
        customer
            .client
            .post("/api/bookings", body)
            .await
            .expect(201);
        (customer, event)
    }

    /// Moves an event; answers the notification.
    pub(super) async fn told(&self, event: &Value) -> String {
        self.moved(event, "\"1\"", "New Hall").await
    }

    pub(super) async fn told_again(&self, event: &Value) -> String {
        self.moved(event, "\"2\"", "Third Hall").await
    }

    async fn moved(&self, event: &Value, version: &str, place: &str) -> String {
        let change = json!({"location": place});
        let changed = self
            .organizer
            .client
            .patch(&path_of(event), version, change)
            .await;
        text(&changed.expect(200)["notification"]["id"]).to_owned()
    }
}

pub(super) fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().expect("a list")
}

pub(super) async fn close(worker: WorkerHandle) {
    assert!(
        worker.drain(Patience::START).await,
        "the worker ends in time"
    );
}
