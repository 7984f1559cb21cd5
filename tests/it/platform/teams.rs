//! Goal: a place in the team of an event lets somebody do what the team's role names, there and nowhere else, whatever their role in
//! the tenant; nobody but the event's organizer and owners changes a team.
//!
//! Method: every role of a tenant without a place, as `door` and as `manager`, asks for everything that belongs to an event, of the
//! event and of another; the answers are compared with a table.

use boxoffice_engine::UserRole;
use boxoffice_tests::{
    Account, Answer, Client, EventFixture,
    api::{event_body, path_of, text},
};
use reqwest::Method;
use serde_json::{Value, json};

/// What somebody may do for an event.
#[derive(Debug, Clone, Copy, PartialEq)]
enum May {
    /// As anybody.
    Nothing,
    /// What is needed at the door.
    Door,
    /// What the organizer may, but the team.
    Manage,
}

struct Stage {
    house: EventFixture,
    olga: Account,
    event: Value,
    other: Value,
    draft: Value,
    booking: String,
}

impl Stage {
    async fn open() -> Self {
        let house = EventFixture::open(true).await;
        house.platform.may_owe();
        let (platform, tenant) = (&house.platform, &house.tenant);
        platform.user(tenant, "olga", UserRole::Organizer).await;
        platform.user(tenant, "ann", UserRole::Customer).await;
        let olga = house.door.login("olga@north.test").await;
        let make = async |changes: Value| {
            let made = olga.client.post("/api/events", event_body(changes)).await;
            made.expect(201)
        };
        let event = make(json!({})).await;
        let other = make(json!({})).await;
        let draft = make(json!({"status": "draft"})).await;
        let ann = house.door.login("ann@north.test").await;
        let body = json!({"eventId": event["id"], "numTickets": 1});
        let booking = ann.client.post("/api/bookings", body).await.expect(201);
        Self {
            booking: text(&booking["id"]).to_owned(),
            house,
            olga,
            event,
            other,
            draft,
        }
    }

    async fn put(&self, client: &Client, event: &Value, user: &str, role: &str) -> Answer {
        let path = format!("{}/team/{user}", path_of(event));
        let request = client.request(Method::PUT, &path);
        Answer::of(request.json(&json!({ "role": role }))).await
    }

    /// Somebody with a role in the tenant, who has no event of their own.
    async fn somebody(&self, name: &str, role: UserRole) -> Account {
        let (platform, tenant) = (&self.house.platform, &self.house.tenant);
        platform.user(tenant, name, role).await;
        self.house.door.login(&format!("{name}@north.test")).await
    }

    /// What somebody may do for an event with a booking, by what they are answered.
    async fn rights(&self, client: &Client, event: &Value) -> May {
        let path = path_of(event);
        let looks = client.get(&format!("{path}/bookings")).await.status;
        let checks = client.get(&format!("{path}/check-ins")).await.status;
        let waits = client.get(&format!("{path}/waitlist")).await.status;
        assert!(
            looks == checks && checks == waits,
            "{looks} {checks} {waits}"
        );
        let change = json!({"description": "Changed."});
        let seen = client.get(&path).await;
        let version = seen.header("etag").to_owned();
        let changes = client.patch(&path, &version, change).await.status;
        let says = json!({"subject": "News", "message": "There is news."});
        let says = client
            .post(&format!("{path}/announcements"), says)
            .await
            .status;
        let team = client.get(&format!("{path}/team")).await.status;
        match (looks, changes, says, team) {
            (403, 403, 403, 403) => May::Nothing,
            (200, 403, 403, 403) => May::Door,
            (200, 200, 201, 200) => May::Manage,
            other => panic!("neither nothing, nor door, nor manager: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_in_a_team_permit_what_they_name_and_there_alone() {
    let stage = Stage::open().await;
    let mut seen = Vec::new();
    for (name, role, alone) in [
        ("cleo", UserRole::Customer, May::Nothing),
        ("sam", UserRole::Staff, May::Door),
        ("rita", UserRole::Organizer, May::Nothing),
    ] {
        let account = stage.somebody(name, role).await;
        for (place, with) in [
            (None, alone),
            (Some("door"), May::Door),
            (Some("manager"), May::Manage),
        ] {
            if let Some(place) = place {
                let put = stage
                    .put(&stage.olga.client, &stage.event, &account.id, place)
                    .await;
                assert_eq!(put.expect(200)["role"], place);
            }
            let own = stage.rights(&account.client, &stage.event).await;
            let other = stage.rights(&account.client, &stage.other).await;
            let booking = format!("/api/bookings/{}", stage.booking);
            let sees = account.client.get(&booking).await.status == 200;
            assert_eq!(
                (own, other, sees),
                (with, alone, with != May::Nothing),
                "{name} {place:?}"
            );
            let teams = account.client.get("/api/auth/me/teams").await.expect(200);
            let listed: Vec<&Value> = teams["items"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|team| &team["eventId"])
                .collect();
            assert_eq!(listed.len(), usize::from(place.is_some()));
            seen.push(own);
        }
        // Out again, by themselves.
        let path = format!("{}/team/{}", path_of(&stage.event), account.id);
        assert_eq!(account.client.delete(&path, "*").await.status, 204);
        assert_eq!(stage.rights(&account.client, &stage.event).await, alone);
    }
    assert_eq!(seen.len(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_the_organizer_and_owners_changes_a_team() {
    let stage = Stage::open().await;
    let cleo = stage.somebody("cleo", UserRole::Customer).await;
    let rita = stage.somebody("rita", UserRole::Organizer).await;
    let sam = stage.somebody("sam", UserRole::Staff).await;
    let owner = &stage.house.owner.client;
    let put =
        async |client: &Client, user: &str| stage.put(client, &stage.event, user, "manager").await;
    put(owner, &cleo.id).await.expect(200);
    // A manager of the team makes no others, nor themselves the manager of another event.
    for client in [&cleo.client, &rita.client, &sam.client] {
        put(client, &rita.id).await.problem(403, "forbidden");
    }
    stage
        .put(&cleo.client, &stage.other, &cleo.id, "door")
        .await
        .problem(403, "forbidden");
    let remove = |client: &Client, user: &str| {
        let path = format!("{}/team/{user}", path_of(&stage.event));
        Answer::of(client.request(Method::DELETE, &path))
    };
    remove(&rita.client, &cleo.id)
        .await
        .problem(403, "forbidden");
    let team = cleo
        .client
        .get(&format!("{}/team", path_of(&stage.event)))
        .await
        .expect(200);
    assert_eq!(team["items"][0]["userId"], json!(cleo.id));
    assert_eq!(team["items"][0]["email"], "cleo@north.test");
    // Users of other tenants do not exist.
    let south = stage.house.platform.tenant("south").await;
    let other = stage
        .house
        .platform
        .user(&south, "sue", UserRole::Staff)
        .await;
    let sue = other.user_id().expect("a user").to_string();
    put(owner, &sue).await.problem(404, "not-found");
    stage
        .put(owner, &stage.event, &cleo.id, "boss")
        .await
        .problem(422, "field-invalid")
        .at_field("role");
    remove(owner, &cleo.id).await.expect(204);
    remove(owner, &cleo.id).await.problem(404, "not-found");
    assert_eq!(stage.rights(&cleo.client, &stage.event).await, May::Nothing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draft_is_seen_by_its_team() {
    let stage = Stage::open().await;
    let cleo = stage.somebody("cleo", UserRole::Customer).await;
    let path = path_of(&stage.draft);
    cleo.client.get(&path).await.problem(404, "not-found");
    let ids = async || {
        let listed = cleo.client.get("/api/events").await.expect(200);
        let items = listed["items"].as_array().expect("a list").clone();
        items
            .iter()
            .filter(|event| event["id"] == stage.draft["id"])
            .count()
    };
    assert_eq!(ids().await, 0);
    stage
        .put(&stage.olga.client, &stage.draft, &cleo.id, "door")
        .await
        .expect(200);
    cleo.client.get(&path).await.expect(200);
    assert_eq!(ids().await, 1);
    // A deleted event leaves no place behind.
    let deleted = stage
        .olga
        .client
        .request(Method::DELETE, &path)
        .header("If-Match", "\"1\"");
    assert_eq!(Answer::of(deleted).await.status, 204);
    let teams = cleo.client.get("/api/auth/me/teams").await.expect(200);
    assert_eq!(teams["items"], json!([]));
}
