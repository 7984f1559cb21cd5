//! Goal: whoever has the link to somebody's tickets sees on its page what that person has of the booking now, and nothing else; nobody
//! makes such a link, and it is good for nothing else.
//!
//! Method: the links come from the API and from mails that were really sent; their pages are opened as a browser does, without signing
//! in. Pictures are compared with the QR code of the code that the API shows; the engine's own tests read those back.

use std::time::Duration;

use boxoffice_engine::{
    Caller, Engine, NotificationKind, TenantId, UserRole, ports::Links as _, qr_code_png,
    qr_code_svg,
};
use boxoffice_host::{MailLinks, RouterOptions, TokenKey, TokenKeys};
use boxoffice_tests::{
    Account, Answer, Client, Hosted, ReceivedMail, TestPlatform,
    api::{event_body, path_of, text},
    mail_links, ticket_codes,
};
use reqwest::Method;
use serde_json::{Value, json};

const PUBLIC_URL: &str = "https://tickets.example.org/shop";
const HOSTILE: &str = "<script>alert(1)</script> \"'& {{ x }} \u{5d0}";

/// Two tenants behind a router, and people of the first.
struct TicketShop {
    platform: TestPlatform,
    north: TenantId,
    /// Nobody signed in, no tenant named.
    browser: Client,
    owner: Account,
    ann: Account,
    ben: Account,
    _hosted: Hosted,
}

async fn hosted(engine: Engine, change: impl FnOnce(&mut RouterOptions)) -> Hosted {
    let mut options = RouterOptions {
        keys: TokenKeys::generate(),
        links: Some(mail_links(PUBLIC_URL)),
        throttle_logins: false,
        ..RouterOptions::default()
    };
    change(&mut options);
    Hosted::with_options(engine, options).await
}

impl TicketShop {
    async fn open() -> Self {
        let platform = TestPlatform::with(|builder| {
            let links = mail_links(PUBLIC_URL);
            builder.links(links).ticket_codes(ticket_codes())
        })
        .await;
        platform.may_owe();
        let north = platform.tenant("north").await;
        platform.tenant("south").await;
        let roles = [
            ("owen", UserRole::Owner),
            ("ann", UserRole::Customer),
            ("ben", UserRole::Customer),
        ];
        for (name, role) in roles {
            platform.user(&north, name, role).await;
        }
        let hosted = hosted(platform.engine.clone(), |_| {}).await;
        let door = hosted.client().tenant("north");
        Self {
            north,
            browser: hosted.client(),
            owner: door.login("owen@north.test").await,
            ann: door.login("ann@north.test").await,
            ben: door.login("ben@north.test").await,
            platform,
            _hosted: hosted,
        }
    }

    async fn event(&self, changes: Value) -> Value {
        let made = self.owner.client.post("/api/events", event_body(changes));
        made.await.expect(201)
    }

    /// A booking of Ann's, and her tickets in the API.
    async fn booked(&self, body: Value) -> (Value, Vec<Value>) {
        let booking = self.ann.client.post("/api/bookings", body).await;
        let booking = booking.expect(201);
        let tickets = tickets(&self.ann.client, &booking).await;
        (booking, tickets)
    }

    async fn page(&self, path: &str) -> Answer {
        let page = self.browser.get(path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        page
    }

    async fn gone(&self, path: &str) {
        let page = self.browser.get(path).await;
        assert_eq!(page.status, 404, "{}", page.text);
        assert!(page.text.contains("No tickets here"), "{}", page.text);
        assert!(page.header("content-type").starts_with("text/html"));
        check_headers(&page);
    }

    /// Gives a ticket of an account to Ben.
    async fn give(&self, from: &Account, ticket: &Value, name: &str) {
        let path = format!("/api/tickets/{}/transfer", text(&ticket["id"]));
        let to = json!({"name": name, "email": format!("{name}@north.test")});
        from.client.post(&path, to).await.expect(200);
    }

    async fn mail_to(&self, address: &str, subject: &str) -> ReceivedMail {
        self.platform.drain().await;
        let mails = self.platform.mails();
        let mut found = mails.into_iter();
        let found = found.find(|mail| mail.is_to(address) && mail.subject.contains(subject));
        found.unwrap_or_else(|| panic!("{subject} to {address}"))
    }
}

async fn tickets(client: &Client, booking: &Value) -> Vec<Value> {
    let path = format!("/api/bookings/{}/tickets", text(&booking["id"]));
    client.all(&path).await
}

/// The path of a link, below the router's address.
fn path_in(url: &str) -> String {
    url.strip_prefix(PUBLIC_URL).expect(url).to_owned()
}

fn path(ticket: &Value) -> String {
    path_in(text(&ticket["ticketsUrl"]))
}

fn of_event(event: &Value, quantity: u32) -> Value {
    json!({"eventId": event["id"], "numTickets": quantity})
}

fn check_headers(answer: &Answer) {
    assert_eq!(answer.header("cache-control"), "private, no-store");
    assert_eq!(answer.header("x-robots-tag"), "noindex");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert!(
        answer
            .header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    assert!(answer.headers.get("set-cookie").is_none());
}

async fn bytes(client: &Client, path: &str) -> Vec<u8> {
    let answer = client.request(Method::GET, path).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert_eq!(answer.headers()["cache-control"], "private, no-store");
    answer.bytes().await.expect("a body").to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_has_the_event_and_what_admits_to_it() {
    let shop = TicketShop::open().await;
    let event = shop.event(json!({})).await;
    let mut body = of_event(&event, 2);
    body["attendees"] = json!([{"name": "Ann Example"}, {}]);
    let (booking, mine) = shop.booked(body).await;
    let path = path(&mine[0]);
    assert_eq!(mine[0]["ticketsUrl"], mine[1]["ticketsUrl"]);
    assert!(
        !path.contains('@') && !path.contains("north.test"),
        "{path}"
    );
    let page = shop.page(&path).await;
    check_headers(&page);
    assert!(page.header("content-type").starts_with("text/html"));
    for said in [
        "<h1><bdi>Jazz Night</bdi></h1>",
        "Begins: <strong>Monday, 1 March 2027, 19:00 (Europe/Berlin)</strong>",
        "Place: <bdi>Old Hall</bdi>",
        "<bdi>General</bdi>, ticket 1",
        "<bdi>General</bdi>, ticket 2",
        "<bdi>Ann Example</bdi>",
        text(&booking["bookingNumber"]),
        "Add the event to your calendar",
    ] {
        assert!(page.text.contains(said), "{said} in {}", page.text);
    }
    assert!(!page.text.contains("<script") && !page.text.contains("style=\""));
    assert!(!page.text.contains("@north.test"), "it tells no address");
    for ticket in &mine {
        let (code, number) = (text(&ticket["code"]), &ticket["number"]);
        assert!(page.text.contains(&format!("<code>{code}</code>")));
        let picture = qr_code_svg(code).expect("a picture");
        assert!(page.text.contains(&picture), "the code as a picture");
        let svg = shop.browser.get(&format!("{path}/{number}.svg")).await;
        assert_eq!((svg.status, svg.text.as_str()), (200, picture.as_str()));
        assert_eq!(svg.header("content-type"), "image/svg+xml");
        check_headers(&svg);
        let png = bytes(&shop.browser, &format!("{path}/{number}.png")).await;
        assert_eq!(png, qr_code_png(code).expect("a picture"));
    }
    let calendar = shop.browser.get(&format!("{path}/event.ics")).await;
    assert_eq!(calendar.status, 200);
    assert!(
        calendar
            .header("content-type")
            .starts_with("text/calendar; charset=utf-8")
    );
    check_headers(&calendar);
    let confirmed = shop.mail_to(&shop.ann.email, "Your booking").await;
    let uid = confirmed.calendar_property("UID").expect("a UID");
    for line in [
        "METHOD:PUBLISH",
        "STATUS:CONFIRMED",
        "SUMMARY:Jazz Night",
        &format!("UID:{uid}"),
    ] {
        let has = calendar.text.split("\r\n").any(|one| one == line);
        assert!(has, "{line} in {}", calendar.text);
    }
    let style = shop.browser.get("/docs/tickets.css").await;
    assert_eq!(style.status, 200);
    assert!(page.text.contains("href=\"../docs/tickets.css\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_signed_for_this_is_nothing() {
    let shop = TicketShop::open().await;
    let event = shop.event(json!({})).await;
    let (booking, mine) = shop.booked(of_event(&event, 2)).await;
    let path = path(&mine[0]);
    let (_, other) = shop.booked(of_event(&event, 1)).await;
    let body_of = |path: &str| {
        let (body, mac) = path.rsplit_once('.').expect("a signature");
        (body.to_owned(), mac.to_owned())
    };
    let ((body, mac), (other_body, _)) = (
        body_of(&path),
        body_of(&path_in(text(&other[0]["ticketsUrl"]))),
    );
    let foreign = MailLinks::new(
        PUBLIC_URL,
        vec![TokenKey {
            id: "links".to_owned(),
            secret: vec![8; 32],
        }],
    );
    let foreign = foreign.expect("links");
    let own = mail_links(PUBLIC_URL);
    let ann = shop.ann.id.parse().expect("an id");
    let kind = NotificationKind::EventReminder;
    let unsubscribe = path_in(&own.unsubscribe(&shop.north, ann, kind));
    let id = text(&booking["id"]).parse().expect("an id");
    let forged = [
        path_in(&foreign.tickets(&shop.north, ann, id)),
        format!("{other_body}.{mac}"),
        body.clone(),
        format!("{path}A"),
        path[..path.len() - 1].to_owned(),
        path.replace(shop.ann.id.as_str(), shop.ben.id.as_str()),
        path.replace("/north.", "/south."),
        unsubscribe.replace("/unsubscribe/", "/tickets/"),
        // Well signed, for somebody who never had a ticket of it, and for a booking that is not there.
        path_in(&own.tickets(&shop.north, shop.ben.id.parse().expect("an id"), id)),
        path_in(&own.tickets(&TenantId::parse("south").expect("a name"), ann, id)),
        "/tickets/x".to_owned(),
        format!("/tickets/{}", "a".repeat(5_000)),
    ];
    for bad in &forged {
        assert_ne!(*bad, path);
        shop.gone(bad).await;
        for file in ["event.ics", "1.svg", "1.png"] {
            let refused = shop.browser.get(&format!("{bad}/{file}")).await;
            refused.problem(404, "not-found");
        }
    }
    for file in ["3.svg", "0.png", "01.png", "1.gif", "event.txt", "me"] {
        let refused = shop.browser.get(&format!("{path}/{file}")).await;
        refused.problem(404, "not-found");
    }
    // It is good for no other page, and nothing is done by it.
    let unsubscribes = path.replace("/tickets/", "/unsubscribe/");
    let refused = shop.browser.get(&unsubscribes).await;
    refused.problem(404, "not-found");
    assert_eq!(shop.browser.post_empty(&path).await.status, 405);
    // A router without keys, or with another one's.
    for links in [None, Some(foreign)] {
        let other = hosted(shop.platform.engine.clone(), |options| {
            options.links = links
        })
        .await;
        assert_eq!(other.client().get(&path).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_good_at_its_tenant_alone() {
    let shop = TicketShop::open().await;
    let event = shop.event(json!({})).await;
    let (_, mine) = shop.booked(of_event(&event, 1)).await;
    let path = path(&mine[0]);
    let at = |tenant: &str| shop.browser.tenant(tenant);
    assert_eq!(at("north").get(&path).await.status, 200);
    assert_eq!(at("south").get(&path).await.status, 404);
    let refused = at("south").get(&format!("{path}/1.png")).await;
    refused.problem(404, "not-found");
    let below = hosted(shop.platform.engine.clone(), |options| {
        options.base_domain = Some("tickets.example".to_owned());
    })
    .await;
    for (host, status) in [
        ("north.tickets.example", 200),
        ("south.tickets.example", 404),
        ("tickets.example", 200),
        // The host's own name is no tenant, whatever it looks like.
        ("www.tickets.example", 200),
    ] {
        let request = below.client().request(Method::GET, &path);
        let answer = Answer::of(request.header("Host", host)).await;
        assert_eq!(answer.status, status, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gave_a_ticket_away_sees_nothing_of_it() {
    let shop = TicketShop::open().await;
    let event = shop.event(json!({})).await;
    let (booking, mine) = shop.booked(of_event(&event, 2)).await;
    let path_of_ann = path(&mine[0]);
    let old = text(&mine[1]["code"]);
    shop.give(&shop.ann, &mine[1], "ben").await;

    let page = shop.page(&path_of_ann).await;
    assert!(page.text.contains("ticket 1") && !page.text.contains("ticket 2"));
    assert!(!page.text.contains(old) && !page.text.contains("<bdi>ben"));
    let refused = shop.browser.get(&format!("{path_of_ann}/2.svg")).await;
    refused.problem(404, "not-found");
    let received = shop.ben.client.all("/api/tickets/me").await;
    let path_of_ben = path(&received[0]);
    assert_ne!(path_of_ann, path_of_ben);
    let page = shop.page(&path_of_ben).await;
    assert!(page.text.contains("ticket 2") && !page.text.contains("ticket 1"));
    assert!(page.text.contains(text(&received[0]["code"])));
    let refused = shop.browser.get(&format!("{path_of_ben}/1.png")).await;
    refused.problem(404, "not-found");
    let told = shop.mail_to(&shop.ben.email, "Your ticket").await;
    assert!(told.text.contains(&format!("{PUBLIC_URL}{path_of_ben}")));
    assert!(!told.text.contains(&path_of_ann));

    // The links in the list are those of who has each ticket; Ann gets none to what is Ben's.
    let seen = tickets(&shop.ann.client, &booking).await;
    assert_eq!(seen[0]["ticketsUrl"], mine[0]["ticketsUrl"]);
    assert_eq!(seen[1]["ticketsUrl"], Value::Null);
    let engine = &shop.platform.engine;
    let platform = Caller::platform("north");
    let id = text(&booking["id"]).parse().expect("an id");
    let check_ins = engine.check_ins();
    let all = check_ins.tickets(&platform, id, Default::default());
    let all = all.await.expect("tickets").items;
    let urls: Vec<_> = all.iter().map(|one| one.tickets_url.as_deref()).collect();
    let expected = [&path_of_ann, &path_of_ben].map(|path| format!("{PUBLIC_URL}{path}"));
    assert_eq!(urls, expected.each_ref().map(|url| Some(url.as_str())));
    let of_owner = tickets(&shop.owner.client, &booking).await;
    assert!(of_owner.iter().all(|one| one["ticketsUrl"].is_null()));

    shop.give(&shop.ben, &received[0], "cleo").await;
    let page = shop.page(&path_of_ben).await;
    assert!(
        page.text
            .contains("You have no tickets of this booking any more")
    );
    assert!(!page.text.contains("<svg") && !page.text.contains(text(&booking["bookingNumber"])));
    let calendar = shop.browser.get(&format!("{path_of_ben}/event.ics")).await;
    assert!(
        calendar.text.contains("STATUS:CANCELLED"),
        "{}",
        calendar.text
    );
    let calendar = shop.browser.get(&format!("{path_of_ann}/event.ics")).await;
    assert!(calendar.text.contains("STATUS:CONFIRMED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cancelled_or_used_is_said() {
    let shop = TicketShop::open().await;
    let event = shop.event(json!({})).await;
    let (booking, mine) = shop.booked(of_event(&event, 3)).await;
    let path = path(&mine[0]);
    let check_ins = format!("{}/check-ins", path_of(&event));
    let came = json!({"code": mine[0]["code"]});
    shop.owner.client.post(&check_ins, came).await.expect(201);
    let page = shop.page(&path).await;
    assert_eq!(page.text.matches("This ticket was checked in").count(), 1);

    let cancel = format!("/api/bookings/{}/cancel", text(&booking["id"]));
    let part = json!({"ticketNumbers": [2]});
    shop.owner.client.post(&cancel, part).await.expect(200);
    let page = shop.page(&path).await;
    assert!(!page.text.contains(text(&mine[1]["code"])));
    assert!(page.text.contains(text(&mine[2]["code"])));
    let refused = shop.browser.get(&format!("{path}/2.png")).await;
    refused.problem(404, "not-found");

    // The rest; another booking of the event keeps it in the calendar.
    let (other, _) = shop.booked(of_event(&event, 1)).await;
    shop.owner.client.post(&cancel, json!({})).await.expect(200);
    let page = shop.page(&path).await;
    assert!(page.text.contains("This booking was cancelled."));
    assert!(!page.text.contains("<svg"));
    let calendar = shop.browser.get(&format!("{path}/event.ics")).await;
    assert!(calendar.text.contains("STATUS:CONFIRMED"));
    let cancel = format!("/api/bookings/{}/cancel", text(&other["id"]));
    shop.owner.client.post(&cancel, json!({})).await.expect(200);
    let calendar = shop.browser.get(&format!("{path}/event.ics")).await;
    for line in ["METHOD:CANCEL", "STATUS:CANCELLED"] {
        assert!(calendar.text.contains(line), "{line} in {}", calendar.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_event_is_said_and_leaves_the_calendar() {
    let shop = TicketShop::open().await;
    let event = shop.event(json!({})).await;
    let (_, mine) = shop.booked(of_event(&event, 2)).await;
    let path = path(&mine[0]);
    let cancel = format!("{}/cancel", path_of(&event));
    shop.owner.client.post_empty(&cancel).await.expect(200);
    let page = shop.page(&path).await;
    assert!(page.text.contains("This event was cancelled"));
    assert!(page.text.contains("Take the event out of your calendar"));
    assert!(!page.text.contains("<svg") && !page.text.contains(text(&mine[0]["code"])));
    let refused = shop.browser.get(&format!("{path}/1.svg")).await;
    refused.problem(404, "not-found");
    let calendar = shop.browser.get(&format!("{path}/event.ics")).await;
    assert!(calendar.header("content-type").contains("method=CANCEL"));
    assert!(calendar.text.contains("STATUS:CANCELLED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_owner_has_nothing() {
    let shop = TicketShop::open().await;
    let event = shop.event(json!({})).await;
    let (_, mine) = shop.booked(of_event(&event, 2)).await;
    let path_of_ann = path(&mine[0]);
    shop.give(&shop.ann, &mine[1], "ben").await;
    let received = shop.ben.client.all("/api/tickets/me").await;
    let erase = format!("/api/users/{}/erase", shop.ann.id);
    shop.owner.client.post(&erase, json!({})).await.expect(200);
    shop.gone(&path_of_ann).await;
    for file in ["event.ics", "1.svg"] {
        let refused = shop.browser.get(&format!("{path_of_ann}/{file}")).await;
        refused.problem(404, "not-found");
    }
    let page = shop.page(&path(&received[0])).await;
    assert!(page.text.contains("ticket 2"), "Ben keeps what he has");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_typed_stays_text() {
    let shop = TicketShop::open().await;
    let event = shop
        .event(json!({
            "title": HOSTILE, "location": HOSTILE, "totalTickets": null,
            "ticketTypes": [{"name": HOSTILE, "capacity": 9, "priceMinor": 0}],
        }))
        .await;
    let mut body = of_event(&event, 1);
    body["attendees"] = json!([{"name": HOSTILE}]);
    let (_, mine) = shop.booked(body).await;
    let page = shop.page(&path(&mine[0])).await;
    let escaped = "&lt;script&gt;alert(1)&lt;/script&gt; &quot;&#39;&amp; {{ x }} \u{5d0}";
    assert!(!page.text.contains("<script"), "{}", page.text);
    // Title, heading, place, type, attendee, and the title on paper; each isolated.
    assert_eq!(page.text.matches(escaped).count(), 6, "{}", page.text);
    assert_eq!(page.text.matches(&format!("<bdi>{escaped}")).count(), 5);
    let calendar = shop
        .browser
        .get(&format!("{}/event.ics", path(&mine[0])))
        .await;
    assert!(calendar.text.split("\r\n").all(|line| line.len() <= 75));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_words_wait_until_the_address_is_confirmed() {
    let shop = TicketShop::open().await;
    let event = shop.event(json!({})).await;
    let mut body = of_event(&event, 1);
    body["attendees"] = json!([{"name": "Call 0900 1234"}]);
    body["customer"] = json!({"name": "Dora", "email": "dora@north.test"});
    let sold = shop.owner.client.post("/api/bookings", body).await;
    sold.expect(201);
    let told = shop.mail_to("dora@north.test", "Your booking").await;
    let mut lines = told.text.lines();
    let path = lines.find_map(|line| Some(line.split_once(PUBLIC_URL)?.1.trim()));
    let path = path.expect("a link");
    let page = shop.page(path).await;
    let shown = page.text.split_once("<code>").expect("a code").1;
    let (code, _) = shown.split_once('<').expect("a code");
    assert!(told.text.contains(code), "{}", told.text);
    for text in [&page.text, &told.text] {
        assert!(!text.contains("0900"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_have_the_link_where_they_show_tickets_or_remind_of_them() {
    let shop = TicketShop::open().await;
    let event = shop
        .event(json!({"startsAt": "2026-12-03T12:00:00Z", "reminderMinutes": 60}))
        .await;
    let (_, few) = shop.booked(of_event(&event, 2)).await;
    let (_, many) = shop.booked(of_event(&event, 12)).await;
    shop.platform.drain().await;
    let mails = shop.platform.mails();
    let confirmed = |ticket: &Value| {
        let mut mails = mails.iter();
        let code = text(&ticket["code"]);
        mails.find(|mail| mail.text.contains(code)).expect("a mail")
    };
    // Templates escape the slashes, too.
    let escaped = |url: &str| url.replace('/', "&#x2f;");
    let has_button = |mail: &ReceivedMail, url: &str| {
        let link = format!("<a href=\"{}\" style=", escaped(url));
        mail.html.contains(&link) && mail.html.contains(">Show or print your tickets</a>")
    };
    let says = |mail: &ReceivedMail, line: &str| mail.text.lines().any(|one| one.trim() == line);
    let (small, large) = (confirmed(&few[0]), confirmed(&many[0]));
    let (url, of_many) = (text(&few[0]["ticketsUrl"]), text(&many[0]["ticketsUrl"]));
    let line = format!("Show or print your tickets: {url}");
    assert!(says(small, &line), "{}", small.text);
    assert!(has_button(small, url), "{}", small.html);
    assert!(!small.text.contains("The codes of the other"));
    let line = "The codes of the other 2 tickets are on the page of your tickets.";
    assert!(says(large, line), "{}", large.text);
    assert!(large.text.contains(of_many), "{}", large.text);
    let url_there = escaped(of_many);
    let rest = format!("2 tickets are <a href=\"{url_there}\">on the page of your tickets</a>.");
    assert!(large.html.contains(&rest), "{}", large.html);

    shop.platform
        .clock
        .advance(Duration::from_secs(47 * 3_600 + 60));
    let reminder = shop.mail_to(&shop.ann.email, "Reminder").await;
    for url in [url, of_many] {
        assert!(reminder.text.contains(url), "{}", reminder.text);
        assert!(has_button(&reminder, url), "{}", reminder.html);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_booking_has_more_pages() {
    let shop = TicketShop::open().await;
    let event = shop.event(json!({"totalTickets": 100})).await;
    let (_, mine) = shop.booked(of_event(&event, 60)).await;
    let path = path(&mine[0]);
    let page = shop.page(&path).await;
    assert_eq!(page.text.matches("<section>").count(), 50);
    assert!(page.text.contains("50 of your 60 tickets are on this page"));
    let token = path.rsplit('/').next().expect("a token");
    assert!(
        page.text
            .contains(&format!("<a href=\"{token}?after=50\">"))
    );
    let page = shop.page(&format!("{path}?utm_source=x&after=50")).await;
    assert_eq!(page.text.matches("<section>").count(), 10);
    assert!(page.text.contains("ticket 60") && page.text.contains("First tickets"));
    let page = shop.page(&format!("{path}?after=60")).await;
    assert_eq!(page.text.matches("<section>").count(), 0);
    shop.page(&format!("{path}?after=4294967295")).await;
}
