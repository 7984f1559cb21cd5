//! What the table of routes is tried on: two tenants with the same people and things, and an operator.
//!
//! Made over the API where that is quick; no tests here.

use boxoffice_engine::{
    AddOperator, Caller, EmailAddress, EngineBuilder, Invite, Label, TenantId, UserRole,
};
use boxoffice_host::RouterOptions;
use boxoffice_tests::{
    Account, Answer, Client, Component, Hosted, OpenIdProvider, Patience, SMALL_PNG, TestPlatform,
    api::{event_body, path_of, text},
    mail_links, plugin_host, plugin_settings, put_into_use, quick_settings, ticket_codes, wait_for,
};
use reqwest::Method;
use serde_json::{Value, json};

/// Two tenants with the same people and things, and an operator.
pub(super) struct Context {
    pub(super) north: Side,
    pub(super) south: Side,
    pub(super) operator: Client,
    /// A session of another operator.
    pub(super) operator_session: String,
    /// The refresh token of another session of theirs.
    pub(super) operator_refresh_token: String,
    /// Whom `north` trusts.
    pub(super) provider: OpenIdProvider,
    /// The customer's identity there.
    pub(super) identity: String,
    _hosted: Hosted,
    platform: TestPlatform,
}

pub(super) struct Side {
    pub(super) door: Client,
    pub(super) owner: Account,
    pub(super) organizer: Account,
    pub(super) rival: Account,
    pub(super) customer: Account,
    pub(super) other_customer: Account,
    /// A link's token to choose a new password, for the rival at `north`.
    pub(super) reset_token: Option<String>,
    /// A link's token to accept an invitation at `north`.
    pub(super) invitation_token: Option<String>,
    /// An invitation that waits.
    pub(super) invitation: String,
    /// A customer whom nothing else needs.
    pub(super) other_user: String,
    /// One who leaves.
    pub(super) leaver: Account,
    /// Another session of the customer.
    pub(super) session: String,
    pub(super) event: String,
    pub(super) empty_event: String,
    /// One of which nothing is left.
    pub(super) full_event: String,
    pub(super) typed_event: String,
    /// The event and its second ticket type: `EVENT/TYPE`.
    pub(super) ticket_type: String,
    pub(super) booking: String,
    pub(super) booking_number: String,
    pub(super) booking_reference: String,
    /// Of the typed event.
    pub(super) event_reference: String,
    /// The code of its first ticket.
    pub(super) ticket_code: String,
    /// A ticket of another booking of the customer's.
    pub(super) other_ticket: String,
    pub(super) hold: String,
    pub(super) other_hold: String,
    pub(super) priced_hold: String,
    /// `PROVIDER/REFERENCE` of a payment that was captured twice.
    pub(super) payment: String,
    /// What is due back of it.
    pub(super) refund: String,
    pub(super) notification: String,
    /// The mail that confirms the booking.
    pub(super) delivery: String,
    /// The version of the plugin `plugin-TENANT` that is in use, which says yes.
    pub(super) plugin: String,
    /// An API key that nobody uses.
    pub(super) api_key: String,
}

impl Context {
    pub(super) const OTHER_OPERATOR: &str = "two@boxoffice.test";

    pub(super) async fn make() -> Self {
        let runtime = plugin_host(plugin_settings());
        let links = mail_links("https://tickets.example.org");
        let own = links.clone();
        let describe = |builder: EngineBuilder| {
            let mut settings = quick_settings();
            // Everybody here has a confirmed address.
            settings.delivery.require_email_verification = false;
            let builder = builder.settings(settings).links(own);
            builder.plugins(runtime).ticket_codes(ticket_codes())
        };
        let platform = TestPlatform::with(describe).await;
        platform.may_owe();
        for email in ["op@boxoffice.test", Self::OTHER_OPERATOR] {
            let operator = AddOperator {
                email: EmailAddress::parse("email", email).expect("an address"),
                name: Label::parse("name", "Op").expect("one line"),
                password: Account::PASSWORD.to_owned(),
            };
            let operators = platform.engine.operators();
            let added = operators.add(&Caller::operator(), operator).await;
            added.expect("an operator");
        }
        let provider = OpenIdProvider::start().await;
        let options = RouterOptions {
            links: Some(links),
            egress: provider.egress(),
            ..Hosted::options()
        };
        let hosted = Hosted::with_options(platform.engine.clone(), options).await;
        let north = Side::make(&platform, &hosted, "north").await;
        let identity = linked_identity(&provider, &north).await;
        let south = Side::make(&platform, &hosted, "south").await;
        let login = async |email: &str| {
            let body = json!({"email": email, "password": Account::PASSWORD});
            let answer = hosted.client().post("/api/operator/login", body).await;
            answer.expect(200)
        };
        let first = login("op@boxoffice.test").await;
        login(Self::OTHER_OPERATOR).await;
        let second = login(Self::OTHER_OPERATOR).await;
        let operator = hosted.client().token(text(&first["token"]));
        let path = format!("/api/operator/operators/{}/sessions", Self::OTHER_OPERATOR);
        let sessions = operator.get(&path).await.expect(200);
        // The newest comes first.
        let operator_session = text(&sessions["items"][1]["id"]).to_owned();
        let operator_refresh_token = text(&second["refreshToken"]).to_owned();
        Self {
            north,
            south,
            operator,
            operator_session,
            operator_refresh_token,
            provider,
            identity,
            _hosted: hosted,
            platform,
        }
    }
}

impl Context {
    /// Somebody who works at `north`: with a role, or with a place in the teams of all its events.
    pub(super) async fn colleague(
        &self,
        name: &str,
        role: UserRole,
        place: Option<&str>,
    ) -> Client {
        let tenant = TenantId::parse("north").expect("a tenant");
        self.platform.user(&tenant, name, role).await;
        let colleague = self.north.door.login(&format!("{name}@north.test")).await;
        if let Some(place) = place {
            let owner = &self.north.owner.client;
            for event in owner.all("/api/events").await {
                let path = format!("{}/team/{}", path_of(&event), colleague.id);
                let put = owner.request(Method::PUT, &path);
                Answer::of(put.json(&json!({"role": place})))
                    .await
                    .expect(200);
            }
        }
        colleague.client
    }
}

impl Side {
    async fn make(platform: &TestPlatform, hosted: &Hosted, tenant: &str) -> Self {
        let id = platform.tenant(tenant).await;
        let door = hosted.client().tenant(tenant);
        let address = |name: &str| format!("{name}@{tenant}.test");
        for (name, role) in [
            ("owen", UserRole::Owner),
            ("olga", UserRole::Organizer),
            ("rita", UserRole::Organizer),
            ("ann", UserRole::Customer),
            ("ben", UserRole::Customer),
            ("cleo", UserRole::Customer),
            ("dora", UserRole::Customer),
        ] {
            platform.user(&id, name, role).await;
        }
        let (reset_token, invitation_token) = match tenant {
            "north" => {
                let (reset, invitation) = tokens(platform, &door, &address("rita")).await;
                (Some(reset), Some(invitation))
            }
            _ => (None, None),
        };
        let owner = door.login(&address("owen")).await;
        let plugin = put_a_plugin_into_use_twice(platform, tenant).await;
        let organizer = door.login(&address("olga")).await;
        let session = door.login(&address("ann")).await;
        let listed = session
            .client
            .get("/api/auth/me/sessions")
            .await
            .expect(200);
        let session = text(&listed["items"][0]["id"]).to_owned();
        let customer = door.login(&address("ann")).await;
        let make = || organizer.client.post("/api/events", event_body(json!({})));
        let receipts = json!({"receipts": {"enabled": true, "freeBookings": true}});
        let settings = owner
            .client
            .patch("/api/tenant/settings", "\"1\"", receipts);
        settings.await.expect(200);
        let logo = owner.client.request(Method::PUT, "/api/tenant/logo");
        let logo = logo.header("Content-Type", "image/png").body(SMALL_PNG);
        assert_eq!(Answer::of(logo).await.status, 204);
        let (event, empty_event) = (make().await.expect(201), make().await.expect(201));
        let (order, gig) = (format!("order-{tenant}"), format!("gig-{tenant}"));
        let book = json!({"eventId": event["id"], "numTickets": 1, "reference": order});
        let booking = customer
            .client
            .post("/api/bookings", book)
            .await
            .expect(201);
        let tickets = format!("/api/bookings/{}/tickets", text(&booking["id"]));
        let tickets = customer.client.get(&tickets).await.expect(200);
        let single = event_body(json!({"totalTickets": 1}));
        let full_event = organizer
            .client
            .post("/api/events", single)
            .await
            .expect(201);
        let book = json!({"eventId": full_event["id"], "numTickets": 1});
        let other_booking = customer.client.post("/api/bookings", book).await;
        let other_booking = other_booking.expect(201);
        let kinds = json!([{"name": "Hall", "capacity": 5}, {"name": "Balcony", "capacity": 5}]);
        let typed =
            event_body(json!({"totalTickets": null, "ticketTypes": kinds, "reference": gig}));
        let typed_event = organizer
            .client
            .post("/api/events", typed)
            .await
            .expect(201);
        let change = json!({"location": "New Hall"});
        let changed = organizer
            .client
            .patch(&path_of(&event), "\"1\"", change)
            .await
            .expect(200);
        let rival = door.login(&address("rita")).await;
        let other_customer = door.login(&address("ben")).await;
        let hold = async || {
            let event = make().await.expect(201);
            let body = json!({"eventId": event["id"], "numTickets": 1});
            customer.client.post("/api/holds", body).await.expect(201)
        };
        let (hold, other_hold) = (hold().await, hold().await);
        let paid = paid_twice(tenant, [&organizer.client, &customer.client, &owner.client]).await;
        let key = json!({"name": "Unused", "scopes": ["holds"]});
        let api_key = owner.client.post("/api/keys", key).await.expect(201);
        let other_user = door.login(&address("cleo")).await.id;
        let leaver = door.login(&address("dora")).await;
        let invited = json!({"email": address("walt"), "name": "Walt", "role": "staff"});
        let invited = owner.client.post("/api/invitations", invited).await;
        let invited = invited.expect(201);
        let mails = format!("/api/bookings/{}/deliveries", text(&booking["id"]));
        let mails = customer.client.get(&mails).await.expect(200);
        let id_of = |value: &Value| text(&value["id"]).to_owned();
        Self {
            event: id_of(&event),
            empty_event: id_of(&empty_event),
            full_event: id_of(&full_event),
            typed_event: id_of(&typed_event),
            ticket_type: format!(
                "{}/{}",
                id_of(&typed_event),
                id_of(&typed_event["ticketTypes"][1])
            ),
            booking: id_of(&booking),
            booking_reference: order,
            event_reference: gig,
            booking_number: text(&booking["bookingNumber"]).to_owned(),
            ticket_code: text(&tickets["items"][0]["code"]).to_owned(),
            other_ticket: format!("{}.1", id_of(&other_booking)),
            hold: id_of(&hold),
            other_hold: id_of(&other_hold),
            priced_hold: paid.hold,
            payment: paid.payment,
            refund: paid.refund,
            notification: id_of(&changed["notification"]),
            delivery: id_of(&mails["items"][0]),
            plugin,
            api_key: id_of(&api_key),
            door,
            owner,
            organizer,
            rival,
            customer,
            other_customer,
            reset_token,
            invitation_token,
            invitation: id_of(&invited),
            other_user,
            leaver,
            session,
        }
    }
}

/// A payment of which something is due back, and another hold of its customer that costs something.
struct PaidTwice {
    payment: String,
    refund: String,
    hold: String,
}

async fn paid_twice(tenant: &str, [organizer, customer, owner]: [&Client; 3]) -> PaidTwice {
    let types = json!([{"name": "Hall", "capacity": 50, "priceMinor": 1000}]);
    let body = event_body(json!({"totalTickets": null, "ticketTypes": types}));
    let event = organizer.post("/api/events", body).await.expect(201);
    let hold = async || {
        let body = json!({"eventId": event["id"], "numTickets": 1});
        let hold = customer.post("/api/holds", body).await.expect(201);
        text(&hold["id"]).to_owned()
    };
    let first = hold().await;
    let payment = format!("acme/pay-{tenant}");
    let body = json!({
        "provider": "acme", "reference": format!("pay-{tenant}"), "amountMinor": 1000, "currency": "EUR",
    });
    let path = format!("/api/holds/{first}/payments");
    owner.post(&path, body).await.expect(201);
    let mut refund = String::new();
    for notice in ["evt-1", "evt-2"] {
        let path = format!("/api/payments/{payment}/captured");
        let body = json!({"noticeId": notice, "amountMinor": 1000, "at": "2026-12-01T12:00:00Z"});
        let told = owner.post(&path, body).await.expect(200);
        if let Some(due) = told["refunds"].get(0) {
            refund = text(&due["id"]).to_owned();
        }
    }
    PaidTwice {
        payment,
        refund,
        hold: hold().await,
    }
}

/// The id of an identity that the customer can sign in with.
async fn linked_identity(provider: &OpenIdProvider, side: &Side) -> String {
    let path = "/api/tenant/identity-provider";
    let request = side.owner.client.request(Method::PUT, path);
    let set = Answer::of(request.json(&provider.settings(json!({}))));
    set.await.expect(200);
    let mut body = provider.sign_in("ann", json!({}));
    body["currentPassword"] = json!(Account::PASSWORD);
    let linked = side.customer.client.post("/api/auth/me/identities", body);
    text(&linked.await.expect(201)["id"]).to_owned()
}

/// A token to choose a new password for the rival, and one to accept an invitation, from the mails with the links. The worker ends
/// before anything else is made, so that all other mails wait.
async fn tokens(platform: &TestPlatform, door: &Client, email: &str) -> (String, String) {
    const INVITED: &str = "stella@north.test";
    let body = json!({ "email": email });
    let asked = door.post("/api/auth/password/forgotten", body).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let invite = Invite {
        email: EmailAddress::parse("email", INVITED).expect("an address"),
        name: Label::parse("name", "Stella").expect("one line"),
        role: UserRole::Staff,
    };
    let users = platform.engine.users();
    let invited = users.invite(&Caller::platform("north"), invite).await;
    invited.expect("an invitation");
    let worker = platform.engine.worker().spawn();
    let token = async |email: &str, page: &str| {
        let mail = wait_for(Patience::WORK, "the mail with the link", || async {
            let mut mails = platform.mails().into_iter();
            mails.find(|mail| mail.is_to(email))
        });
        let mail = mail.await;
        let mut lines = mail.text.lines();
        let link = lines.find_map(|line| line.strip_prefix(page).map(str::to_owned));
        link.expect("a link")
    };
    let reset = token(email, "https://tickets.example.org/password/").await;
    let invitation = token(INVITED, "https://tickets.example.org/invitation/").await;
    assert!(worker.drain(Patience::WORK).await, "the worker ends");
    (reset, invitation)
}

/// Puts two versions of a plugin that says yes into use, one after the other, so that there is one to go back to.
/// Returns the second.
async fn put_a_plugin_into_use_twice(platform: &TestPlatform, tenant: &str) -> String {
    let owner = Caller::platform(tenant);
    let mut version = String::new();
    // Neither name nor content is the other tenant's, too: then asking for it would find the asker's own.
    let most = if tenant == "north" { 1_000 } else { 2_000 };
    for component in [Component::at_most(most), Component::at_most(most + 1)] {
        let name = format!("plugin-{tenant}");
        let set = put_into_use(&platform.engine, &owner, &name, &component).await;
        version = set.plugins[0].version.to_string();
    }
    version
}
