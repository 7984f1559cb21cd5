//! Goal: nobody but those who manage an event can read from the API how many tickets of it are sold, held or left, unless the tenant
//! shows it; and everybody is told what the tenant shows.
//!
//! Method: an event whose counts are numbers that nothing else has. Everything that customers, guests, staff and programs may call is
//! called, and every number of every answer, refusals and headers included, is compared with the counts.

use std::collections::BTreeSet;

use boxoffice_engine::{TenantId, UserRole};
use boxoffice_tests::{
    Account, Answer, Client,
    api::{Api, path_of, text},
};
use reqwest::Method;
use serde_json::{Value, json};

const CAPACITIES: [u64; 2] = [7_001, 5_003];
const TOTAL: u64 = 11_003;
const SOLD: u64 = 1_013;
const HELD: u64 = 509;
/// What the walk itself takes at most.
const TAKEN_MAX: u64 = 8;

/// A tenant that sells, and everybody who has a say in it.
struct EventFixture {
    api: Api,
    owner: Client,
    event: Value,
}

impl EventFixture {
    async fn open() -> Self {
        let api = Api::start().await;
        let tenant = TenantId::parse("north").expect("a tenant");
        for (name, role) in [
            ("owen", UserRole::Owner),
            ("sid", UserRole::Staff),
            ("otto", UserRole::Organizer),
        ] {
            api.platform.user(&tenant, name, role).await;
        }
        let owner = api.door.login("owen@north.test").await.client;
        let kind = |name: &str, capacity: u64| json!({"name": name, "capacity": capacity, "maxPerBooking": 10_000});
        let types = [kind("Hall", CAPACITIES[0]), kind("Balcony", CAPACITIES[1])];
        let event = json!({"reference": "gala-1", "totalTickets": TOTAL, "ticketTypes": types});
        let event = api.event(event).await;
        let house = Self { api, owner, event };
        let ben = house.register("ben").await;
        let sold = ben.client.post("/api/bookings", house.lines(0, SOLD));
        sold.await.expect(201);
        let held = ben.client.post("/api/holds", house.lines(1, HELD)).await;
        held.expect(201);
        house
    }

    async fn register(&self, name: &str) -> Account {
        let email = format!("{name}@north.test");
        self.api.door.register(&email, "customer").await
    }

    fn type_id(&self, index: usize) -> &str {
        text(&self.event["ticketTypes"][index]["id"])
    }

    fn lines(&self, index: usize, quantity: u64) -> Value {
        let line = json!({"ticketType": self.type_id(index), "quantity": quantity});
        json!({"eventId": self.event["id"], "lines": [line]})
    }

    async fn show(&self, how: &str) {
        let settings = self.owner.get("/api/tenant/settings").await;
        let tag = settings.header("etag").to_owned();
        let change = json!({"shownAvailability": how});
        let changed = self.owner.patch("/api/tenant/settings", &tag, change).await;
        assert_eq!(changed.expect(200)["shownAvailability"], how);
    }

    async fn program(&self, scopes: &[&str]) -> Client {
        let key = json!({"name": scopes.join(" and "), "scopes": scopes});
        let key = self.owner.post("/api/keys", key).await.expect(201);
        self.api.door.token(text(&key["secret"]))
    }

    async fn member(&self, name: &str, role: &str) -> Account {
        let account = self.register(name).await;
        let path = format!("{}/team/{}", path_of(&self.event), account.id);
        let put = self.owner.request(Method::PUT, &path);
        let put = Answer::of(put.json(&json!({"role": role}))).await;
        put.expect(200);
        account
    }

    /// What everybody reads of events.
    fn reads(&self) -> Vec<String> {
        let path = path_of(&self.event);
        vec![
            "/api/events".to_owned(),
            "/api/events?q=jazz&sort=startsAt".to_owned(),
            format!("{path}/availability"),
            format!("{path}/ticket-types/{}", self.type_id(0)),
            format!("{path}/ticket-types/{}", self.type_id(1)),
            "/api/event-references/gala-1".to_owned(),
            path,
        ]
    }
}

/// Every count of the event, as it was before the walk and at each moment of it.
fn secrets() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for taken in 0..=TAKEN_MAX {
        let sold = [SOLD, HELD, SOLD + HELD].map(|count| count + taken);
        let left = [
            TOTAL - SOLD - HELD,
            CAPACITIES[0] - SOLD,
            CAPACITIES[1] - HELD,
        ];
        all.extend(sold.into_iter().chain(left.map(|count| count - taken)));
    }
    all.extend(CAPACITIES);
    all.extend([TOTAL, CAPACITIES.iter().sum()]);
    all.iter().map(u64::to_string).collect()
}

/// Fails if an answer has a count, in its body or its headers. Lengths and limits of requests are no counts.
fn check(who: &str, path: &str, answer: &Answer) {
    let headers = answer.headers.iter();
    let headers = headers.filter(|(name, _)| {
        let name = name.as_str();
        name != "content-length" && !name.contains("ratelimit")
    });
    let headers: Vec<_> = headers.collect();
    let shown = format!("{} {headers:?}", answer.text);
    let secrets = secrets();
    for word in shown.split(|one: char| !one.is_ascii_alphanumeric()) {
        assert!(
            !secrets.contains(word),
            "{who} reads {word} at {path}: {shown}"
        );
    }
}

#[tokio::test]
async fn no_answer_for_the_public_has_a_count() {
    let house = EventFixture::open().await;
    let (api, ann) = (&house.api, &house.api.customer.client);
    let staff = api.door.login("sid@north.test").await.client;
    let other = api.door.login("otto@north.test").await.client;
    let door = house.member("dora", "door").await.client;
    let program = house.program(&["events:read"]).await;
    for how in ["few-left", "yes-no"] {
        house.show(how).await;
        for (who, client) in [
            ("a stranger", &api.door),
            ("a customer", ann),
            ("staff", &staff),
            ("another organizer", &other),
            ("one at the door", &door),
            ("a program", &program),
        ] {
            for path in house.reads() {
                let answer = client.get(&path).await;
                answer.expect(200);
                check(who, &path, &answer);
            }
        }
    }
    // Of what a customer does, each answer and each refusal.
    let (some, many) = (house.lines(0, 2), house.lines(0, 6_500));
    for path in ["/api/quotes", "/api/bookings", "/api/holds"] {
        let refused = ann.post(path, many.clone()).await;
        let problem = refused.problem(409, "not-enough-tickets");
        assert!(problem.member("left").is_null(), "{refused:?}");
        check("a customer", path, &refused);
        let taken = ann.post(path, some.clone()).await;
        assert!(taken.status < 300, "{taken:?}");
        check("a customer", path, &taken);
    }
    let waitlist = format!("{}/waitlist", path_of(&house.event));
    for wanted in [2, 9_000, 6_500] {
        let line = json!([{"ticketType": house.type_id(0), "quantity": wanted}]);
        let answer = ann.post(&waitlist, json!({"lines": line})).await;
        check("a customer", &waitlist, &answer);
    }
    for path in [
        format!("{waitlist}/me"),
        "/api/waitlist/me".to_owned(),
        "/api/bookings/me".to_owned(),
        "/api/holds/me".to_owned(),
        "/api/tickets/me".to_owned(),
        "/api/auth/me".to_owned(),
        "/api/auth/me/personal-data".to_owned(),
        "/api/tenant".to_owned(),
    ] {
        let answer = ann.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        check("a customer", &path, &answer);
    }
}

#[tokio::test]
async fn those_who_manage_an_event_and_programs_for_sales_read_its_counts() {
    let house = EventFixture::open().await;
    let manager = house.member("mia", "manager").await.client;
    let bookings = house.program(&["events:read", "bookings:read"]).await;
    let changes = house.program(&["events:read", "events:write"]).await;
    house.show("yes-no").await;
    for client in [
        &house.api.organizer.client,
        &house.owner,
        &manager,
        &bookings,
        &changes,
    ] {
        let seen = client.get(&path_of(&house.event)).await.expect(200);
        let listed = client.get("/api/events").await.expect(200);
        assert_eq!(listed["items"][0], seen);
        let counts = ["totalTickets", "ticketsSold", "ticketsHeld", "waiting"];
        let counts = counts.map(|count| seen[count].as_u64());
        assert_eq!(counts, [Some(TOTAL), Some(SOLD), Some(HELD), Some(0)]);
        let left = TOTAL - SOLD - HELD;
        assert_eq!(seen["available"], json!({"state": "yes", "left": left}));
        let hall = &seen["ticketTypes"][0];
        assert_eq!(hall["available"]["left"], CAPACITIES[0] - SOLD);
        assert_eq!(
            (&hall["capacity"], &hall["sold"]),
            (&json!(CAPACITIES[0]), &json!(SOLD))
        );
        let path = format!("{}/availability", path_of(&house.event));
        let answer = client.get(&path).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.expect(200)["available"]["left"], left);
    }
    // Who sells is told how many are left.
    let sale = |wanted| {
        let mut body = house.lines(0, wanted);
        body["customer"] = json!({"id": house.api.customer.id});
        body
    };
    let refused = house.owner.post("/api/bookings", sale(6_500)).await;
    let problem = refused.problem(409, "not-enough-tickets");
    assert_eq!(problem.member("left"), CAPACITIES[0] - SOLD);
    assert_eq!(
        problem.member("detail"),
        "Only 5988 tickets of Hall are left."
    );
}

#[tokio::test]
async fn everybody_is_told_what_the_tenant_shows() {
    let house = EventFixture::open().await;
    let api = &house.api;
    let small = api.event(json!({"totalTickets": 5})).await;
    let path = format!("{}/availability", path_of(&small));
    let seen = async || {
        let answer = api.door.get(&path).await;
        let cache = answer.header("cache-control").to_owned();
        assert_eq!(cache, "public, max-age=1");
        let vary = answer.header("vary").to_owned();
        for header in ["X-Tenant", "Authorization", "Cookie"] {
            assert!(vary.contains(header), "{vary}");
        }
        let read = answer.expect(200);
        let event = api.door.get(&path_of(&small)).await.expect(200);
        assert_eq!(event["available"], read["available"]);
        let kind = &event["ticketTypes"][0]["available"];
        assert_eq!(kind, &read["ticketTypes"][0]["available"]);
        assert_eq!(kind, &read["available"], "it has one type");
        read["available"].clone()
    };
    let told = |state: &str, left: Option<u64>| json!({"state": state, "left": left});
    // The default, and with every ticket that is taken.
    assert_eq!(seen().await, told("yes", None));
    api.book(&small, 3).await;
    assert_eq!(seen().await, told("yes", None));
    api.book(&small, 1).await;
    assert_eq!(seen().await, told("few", None));
    house.show("yes-no").await;
    assert_eq!(seen().await, told("yes", None));
    house.show("exact").await;
    assert_eq!(seen().await, told("few", Some(1)));
    let more = json!({"eventId": small["id"], "numTickets": 2});
    let refused = api.customer.client.post("/api/bookings", more).await;
    let problem = refused.problem(409, "not-enough-tickets");
    assert_eq!(problem.member("left"), 1);
    api.book(&small, 1).await;
    assert_eq!(seen().await, told("no", Some(0)));
    house.show("few-left").await;
    assert_eq!(seen().await, told("no", None));
    let settings = house.owner.get("/api/tenant/settings").await;
    let tag = settings.header("etag").to_owned();
    let change = json!({"shownAvailability": "some"});
    let refused = house
        .owner
        .patch("/api/tenant/settings", &tag, change)
        .await;
    refused
        .problem(422, "field-invalid")
        .at_field("shownAvailability");
}
