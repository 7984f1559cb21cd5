//! Goal: whoever gets a mail of a bulk kind leaves it with one click and without signing in; nobody else can, looking
//! changes nothing, and what a customer asked for themselves still comes.
//!
//! Method: the link is taken from the header of a mail that was really sent, and POSTed as mail programs do
//! (RFC 8058). The address in it is the test's own name for the door; path and signature are used as they are.

use boxoffice_engine::{Engine, EngineBuilder, TenantId};
use boxoffice_host::{MailLinks, RouterOptions, TokenKey, TokenKeys};
use boxoffice_tests::{
    Account, Answer, Client, Hosted, ReceivedMail, TestPlatform,
    api::{event_body, path_of, text},
    wait_until_final,
};
use reqwest::Method;
use serde_json::{Value, json};

const PUBLIC_URL: &str = "https://tickets.example.org";

fn links(byte: u8) -> MailLinks {
    let key = TokenKey {
        id: "links".to_owned(),
        secret: vec![byte; 32],
    };
    MailLinks::new(PUBLIC_URL, vec![key]).expect("an address and a key")
}

async fn hosted(engine: Engine, links: Option<MailLinks>) -> Hosted {
    let options = RouterOptions {
        keys: TokenKeys::generate(),
        links,
        throttle_logins: false,
        ..RouterOptions::default()
    };
    Hosted::with_options(engine, options).await
}

struct EventFixture {
    platform: TestPlatform,
    door: Client,
    owner: Account,
    ann: Account,
    ben: Account,
    event: Value,
    _hosted: Hosted,
}

impl EventFixture {
    /// A tenant with an event that Ann and Ben have booked.
    async fn open(describe: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let platform = TestPlatform::with(describe).await;
        let tenant = platform.tenant("north").await;
        platform
            .user(&tenant, "owen", boxoffice_engine::UserRole::Owner)
            .await;
        let hosted = hosted(platform.engine.clone(), Some(links(9))).await;
        let door = hosted.client().tenant("north");
        let owner = door.login("owen@north.test").await;
        let ann = door.register("ann@north.test", "customer").await;
        let ben = door.register("ben@north.test", "customer").await;
        let body = event_body(json!({}));
        let event = owner.client.post("/api/events", body).await.expect(201);
        let house = Self {
            platform,
            door: hosted.client(),
            owner,
            ann,
            ben,
            event,
            _hosted: hosted,
        };
        house.book(&house.ann).await;
        house.book(&house.ben).await;
        house.platform.settle().await;
        house
    }

    async fn book(&self, customer: &Account) {
        let body = json!({"eventId": self.event["id"], "numTickets": 1});
        customer
            .client
            .post("/api/bookings", body)
            .await
            .expect(201);
        self.platform.owes(1);
    }

    /// Announces something that reaches so many, and answers all mails and the deliveries' counts.
    async fn announce(&self, reaches: usize) -> (Vec<ReceivedMail>, Value) {
        let path = format!("{}/announcements", path_of(&self.event));
        let body = json!({"subject": "News", "message": "There is news."});
        let summary = self.owner.client.post(&path, body).await.expect(201);
        self.platform.owes(reaches);
        let mails = self.platform.settle().await;
        let seen = wait_until_final(&self.owner, text(&summary["id"])).await;
        (mails, seen)
    }

    /// The path of the link in the header of Ann's announcement.
    async fn link(&self) -> String {
        let (mails, _) = self.announce(2).await;
        let mail = mails
            .iter()
            .find(|mail| mail.subject == "News" && mail.is_to(&self.ann.email))
            .expect("a mail to Ann");
        let url = unsubscribe_url(mail).expect("a link");
        assert!(mail.text.contains(&url), "the link stands in the text too");
        assert!(!url.contains('@') && !url.contains("north.test"), "{url}");
        url.strip_prefix(PUBLIC_URL).expect(&url).to_owned()
    }

    /// POSTs as a mail program does: nobody signed in, no tenant named, this one body.
    async fn click(&self, path: &str) -> Answer {
        let request = self
            .door
            .request(Method::POST, path)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("List-Unsubscribe=One-Click");
        Answer::of(request).await
    }

    async fn unsubscribed(&self, account: &Account) -> Value {
        let seen = account
            .client
            .get("/api/auth/me/subscriptions")
            .await
            .expect(200);
        seen["unsubscribed"].clone()
    }
}

fn header<'a>(mail: &'a ReceivedMail, name: &str) -> Option<&'a str> {
    let head = mail.raw.split("\r\n\r\n").next()?;
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn unsubscribe_url(mail: &ReceivedMail) -> Option<String> {
    let value = header(mail, "List-Unsubscribe")?;
    Some(value.strip_prefix('<')?.strip_suffix('>')?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_click_ends_mails_of_that_kind_and_no_others() {
    let house = EventFixture::open(|builder| builder.links(links(9))).await;
    let path = house.link().await;
    for mail in house.platform.settle().await {
        let is_bulk = mail.subject == "News";
        assert_eq!(
            unsubscribe_url(&mail).is_some(),
            is_bulk,
            "{}",
            mail.subject
        );
        let one_click = header(&mail, "List-Unsubscribe-Post");
        assert_eq!(one_click, is_bulk.then_some("List-Unsubscribe=One-Click"));
    }
    for _ in 0..2 {
        let done = house.click(&path).await;
        assert_eq!(done.status, 200, "again is as good as once: {}", done.text);
    }
    assert_eq!(
        house.unsubscribed(&house.ann).await,
        json!(["event-announcement"])
    );
    assert_eq!(house.unsubscribed(&house.ben).await, json!([]));
    let (_, seen) = house.announce(1).await;
    let counts = &seen["deliveries"];
    assert_eq!(
        (&counts["sent"], &counts["suppressed"]),
        (&json!(1), &json!(1))
    );
    let deliveries = format!("/api/notifications/{}/deliveries", text(&seen["id"]));
    let of_ann = house.owner.client.all(&deliveries).await;
    let of_ann = of_ann
        .iter()
        .find(|one| one["customerId"] == house.ann.id.as_str());
    let of_ann = of_ann.expect("a delivery to Ann");
    assert_eq!(of_ann["state"], "suppressed");
    assert!(text(&of_ann["reason"]).contains("unsubscribed"), "{of_ann}");
    // What she asks for herself still comes, and so do mails of other kinds.
    house.book(&house.ann).await;
    house.platform.settle().await;
    let change = json!({"location": "New Hall"});
    house
        .owner
        .client
        .patch(&path_of(&house.event), "\"1\"", change)
        .await
        .expect(200);
    house.platform.owes(2);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_changes_nothing_and_the_way_back_is_open() {
    let house = EventFixture::open(|builder| builder.links(links(9))).await;
    let path = house.link().await;
    let page = house.door.get(&path).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        page.header("content-security-policy")
            .contains("form-action 'self'")
    );
    assert!(
        page.text.contains("<form method=\"post\"") && page.text.contains("north"),
        "{}",
        page.text
    );
    assert!(
        !page.text.contains("ann@"),
        "a page that is forwarded tells no address"
    );
    assert_eq!(house.unsubscribed(&house.ann).await, json!([]));

    let done = house.click(&path).await;
    let token = path.rsplit('/').next().expect("a token");
    assert!(
        done.text.contains(&format!("action=\"{token}/undo\"")),
        "{}",
        done.text
    );
    assert!(house.door.get(&path).await.text.contains("Subscribe again"));
    let undone = house.door.post_empty(&format!("{path}/undo")).await;
    assert_eq!(undone.status, 200);
    assert!(
        undone.text.contains(&format!("action=\"../{token}\"")),
        "{}",
        undone.text
    );
    assert_eq!(house.unsubscribed(&house.ann).await, json!([]));
    assert_eq!(house.announce(2).await.1["deliveries"]["sent"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_signed_here_is_nothing() {
    let house = EventFixture::open(|builder| builder.links(links(9))).await;
    let path = house.link().await;
    let spoilt = [
        path.replace("north", "south"),
        path.replace("event-announcement", "event-reminder"),
        path.replace(house.ann.id.as_str(), house.ben.id.as_str()),
        format!("{}A", path),
        path[..path.len() - 2].to_owned(),
        "/unsubscribe/x".to_owned(),
        format!("/unsubscribe/{}", "a".repeat(5_000)),
    ];
    for bad in &spoilt {
        assert_ne!(*bad, path);
        for answer in [
            house.door.get(bad).await,
            house.click(bad).await,
            house.door.post_empty(&format!("{bad}/undo")).await,
        ] {
            answer.problem(404, "not-found");
        }
    }
    // Another installation's key, and a router that was given none.
    for other in [Some(links(8)), None] {
        let other = hosted(house.platform.engine.clone(), other).await;
        other
            .client()
            .post_empty(&path)
            .await
            .problem(404, "not-found");
    }
    assert_eq!(house.unsubscribed(&house.ann).await, json!([]));
    assert_eq!(house.unsubscribed(&house.ben).await, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_links_mails_go_out_without() {
    let house = EventFixture::open(|builder| builder).await;
    let (mails, _) = house.announce(2).await;
    for mail in &mails {
        assert!(unsubscribe_url(mail).is_none() && header(mail, "List-Unsubscribe-Post").is_none());
        assert!(!mail.text.contains("No more mails"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn customers_choose_signed_in_and_managers_see_it() {
    let house = EventFixture::open(|builder| builder.links(links(9))).await;
    let choose = async |account: &Account, unsubscribed: Value| {
        let request = account
            .client
            .request(Method::PUT, "/api/auth/me/subscriptions")
            .json(&json!({ "unsubscribed": unsubscribed }));
        Answer::of(request).await
    };
    let optional = json!(["event-reminder", "event-announcement"]);
    let chosen = choose(&house.ann, optional.clone()).await.expect(200);
    let mut unsubscribed = chosen["unsubscribed"].as_array().expect("a list").clone();
    unsubscribed.sort_by(|one, other| text(one).cmp(text(other)));
    assert_eq!(
        json!(unsubscribed),
        json!(["event-announcement", "event-reminder"])
    );
    assert_eq!(chosen["kinds"], optional);
    choose(&house.ben, json!(["event-announcement"]))
        .await
        .expect(200);
    for (bad, field) in [
        (json!(["booking-confirmed"]), "unsubscribed[0]"),
        // Who booked must hear that it moves or is off.
        (json!(["event-updated"]), "unsubscribed[0]"),
        (
            json!(["event-reminder", "event-cancelled"]),
            "unsubscribed[1]",
        ),
        (json!(["event-reminder", "spam"]), "unsubscribed[1]"),
        (json!(vec!["event-reminder"; 17]), "unsubscribed"),
    ] {
        choose(&house.ann, bad)
            .await
            .problem(422, "field-invalid")
            .at_field(field);
    }
    let change = json!({"location": "New Hall"});
    house
        .owner
        .client
        .patch(&path_of(&house.event), "\"1\"", change)
        .await
        .expect(200);
    house.platform.owes(2);
    let mails = house.platform.settle().await;
    let told = mails
        .iter()
        .filter(|mail| mail.subject.starts_with("Event changed"));
    assert_eq!(told.clone().count(), 2, "both booked, both are told");
    assert!(told.into_iter().all(|mail| unsubscribe_url(mail).is_none()));

    let first = house
        .owner
        .client
        .get("/api/tenant/suppressions?limit=2")
        .await
        .expect(200);
    assert_eq!(first["items"].as_array().map(Vec::len), Some(2));
    let all = house.owner.client.all("/api/tenant/suppressions").await;
    let seen: Vec<(&str, &str, &str)> = all
        .iter()
        .map(|one| {
            (
                text(&one["customerId"]),
                text(&one["kind"]),
                text(&one["source"]),
            )
        })
        .collect();
    let mut expected = vec![
        (house.ann.id.as_str(), "event-announcement", "account"),
        (house.ann.id.as_str(), "event-reminder", "account"),
        (house.ben.id.as_str(), "event-announcement", "account"),
    ];
    expected.sort_unstable();
    assert_eq!(seen, expected);
    // An organizer sees customers of events of their own.
    let tenant = TenantId::parse("north").expect("a name");
    let role = boxoffice_engine::UserRole::Organizer;
    house.platform.user(&tenant, "rita", role).await;
    let rita = house.door.tenant("north").login("rita@north.test").await;
    let own = rita.client.all("/api/tenant/suppressions").await;
    assert_eq!(own, Vec::<Value>::new());
    let event = rita.client.post("/api/events", event_body(json!({})));
    let body = json!({"eventId": event.await.expect(201)["id"], "numTickets": 1});
    let booked = house.ben.client.post("/api/bookings", body).await;
    booked.expect(201);
    house.platform.owes(1);
    let own = rita.client.all("/api/tenant/suppressions").await;
    let of_ben = all.iter().filter(|one| one["customerId"] == house.ben.id);
    assert_eq!(own, of_ben.cloned().collect::<Vec<_>>());
    house.platform.settle().await;
    let cursor = text(&first["nextCursor"]);
    let rest = format!("/api/tenant/suppressions?limit=2&cursor={cursor}");
    let rest = house.owner.client.get(&rest).await.expect(200);
    assert_eq!(rest["items"], json!([all[2]]));
    assert!(rest["nextCursor"].is_null());
    let nonsense = "/api/tenant/suppressions?cursor=x";
    house
        .owner
        .client
        .get(nonsense)
        .await
        .problem(422, "field-invalid")
        .at_field("cursor");
    // Everything comes again.
    assert_eq!(
        choose(&house.ann, json!([])).await.expect(200)["unsubscribed"],
        json!([])
    );
    assert_eq!(
        house
            .owner
            .client
            .all("/api/tenant/suppressions")
            .await
            .len(),
        1
    );
}
