//! A tenant whose mails have links, with an event, behind a router: for tests of addresses and accounts.

use boxoffice_engine::{
    Caller, CreateTenant, EngineBuilder, Label, TenantId, TenantSettings, UserRole,
};
use boxoffice_host::{RouterOptions, TokenKeys};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    Account, Answer, Client, Hosted, ReceivedMail, TestPlatform,
    api::{event_body, path_of, text},
    mail_links, wait_until_final,
};

const PUBLIC_URL: &str = "https://tickets.example.org";

const QUESTION: &str = "Confirm your address";

/// The form of whoever signed up with the kit's password.
pub const OWN_PASSWORD: &str = "password=correct+horse+battery";

/// A tenant with an event, behind a router.
pub struct EventFixture {
    /// The engine.
    pub platform: TestPlatform,
    /// `north`.
    pub tenant: TenantId,
    /// The API, nobody signed in.
    pub door: Client,
    /// `owen@north.test`.
    pub owner: Account,
    /// An event of theirs.
    pub event: Value,
    _hosted: Hosted,
}

impl EventFixture {
    /// A tenant as one is made, with an event; `with_links` tells whether its mails have any.
    ///
    /// # Panics
    /// When a request is refused.
    pub async fn open(with_links: bool) -> Self {
        Self::open_with(with_links, |_| {}).await
    }

    /// The same, with other options of its router.
    ///
    /// # Panics
    /// When a request is refused.
    pub async fn open_with(with_links: bool, change: impl FnOnce(&mut RouterOptions)) -> Self {
        let links = mail_links(PUBLIC_URL);
        let own = links.clone();
        let describe = move |builder: EngineBuilder| match with_links {
            true => builder.links(own),
            false => builder,
        };
        let platform = TestPlatform::with(describe).await;
        let tenant = TenantId::parse("north").expect("a tenant name");
        let command = CreateTenant {
            id: tenant.clone(),
            name: Label::parse("name", "North Stage").expect("a name"),
            currency: "EUR".to_owned(),
            settings: TenantSettings {
                organizers_may_register: true,
                ..TenantSettings::default()
            },
        };
        let tenants = platform.engine.tenants();
        let made = tenants.create(&Caller::operator(), command).await;
        made.expect("a new tenant");
        platform.user(&tenant, "owen", UserRole::Owner).await;
        let mut options = RouterOptions {
            keys: TokenKeys::generate(),
            links: with_links.then_some(links),
            throttle_logins: false,
            ..RouterOptions::default()
        };
        change(&mut options);
        let hosted = Hosted::with_options(platform.engine.clone(), options).await;
        let door = hosted.client().tenant("north");
        let owner = door.login("owen@north.test").await;
        let body = event_body(json!({}));
        let event = owner.client.post("/api/events", body).await.expect(201);
        Self {
            platform,
            tenant,
            door,
            owner,
            event,
            _hosted: hosted,
        }
    }

    /// Signs a customer up, who is asked, and books.
    ///
    /// # Panics
    /// When a request is refused.
    pub async fn customer(&self, name: &str) -> Account {
        let account = self
            .door
            .register(&format!("{name}@north.test"), "customer")
            .await;
        self.platform.owes(1);
        self.book(&account.client).await;
        account
    }

    /// Books a ticket.
    ///
    /// # Panics
    /// When a request is refused.
    pub async fn book(&self, customer: &Client) {
        let body = json!({"eventId": self.event["id"], "numTickets": 1});
        customer.post("/api/bookings", body).await.expect(201);
        self.platform.owes(1);
    }

    /// Announces something that reaches so many, and returns how many were suppressed.
    ///
    /// # Panics
    /// When a request is refused.
    pub async fn announce(&self, reaches: usize) -> Value {
        let path = format!("{}/announcements", path_of(&self.event));
        let body = json!({"subject": "News", "message": "There is news."});
        let summary = self.owner.client.post(&path, body).await.expect(201);
        self.platform.owes(reaches);
        self.platform.settle().await;
        let seen = wait_until_final(&self.owner, text(&summary["id"])).await;
        seen["deliveries"]["suppressed"].clone()
    }

    /// The paths of the links that a customer was mailed, as often as that happened.
    ///
    /// # Panics
    /// When a request is refused.
    pub async fn links(&self, account: &Account) -> Vec<String> {
        self.links_of(QUESTION, &account.email).await
    }

    /// The paths of the links in the mails with a subject that an address got, as often as that happened.
    ///
    /// # Panics
    /// When a mail has none.
    pub async fn links_of(&self, subject: &str, email: &str) -> Vec<String> {
        let mails = self.platform.settle().await;
        let is_question = |mail: &&ReceivedMail| mail.subject == subject && mail.is_to(email);
        let path = |mail: &ReceivedMail| {
            let line = mail
                .text
                .lines()
                .find_map(|line| line.strip_prefix(PUBLIC_URL));
            line.expect("a link").to_owned()
        };
        mails.iter().filter(is_question).map(path).collect()
    }

    /// Whether the API says that their address is confirmed.
    ///
    /// # Panics
    /// When a request is refused.
    pub async fn is_verified(&self, account: &Account) -> bool {
        account.client.get("/api/auth/me").await.expect(200)["emailVerified"] == true
    }

    /// Sends the form of a page to confirm an address, as a browser does.
    ///
    /// # Panics
    /// When a request is refused.
    pub async fn confirm(&self, path: &str, form: &str) -> Answer {
        let request = self._hosted.client().request(Method::POST, path);
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        Answer::of(request.body(form.to_owned())).await
    }

    /// Nobody signed in, no tenant named: as a browser does.
    ///
    /// # Panics
    /// When a request is refused.
    pub async fn open_page(&self, method: Method, path: &str) -> Answer {
        Answer::of(self._hosted.client().request(method, path)).await
    }
}
