//! Goal: an organizer's announcement reaches each customer of the event once, as text, and no more often than the
//! tenant may announce.
//!
//! Method: the real router and worker over an engine with a clock that stands still; mails are read from the folder.

use boxoffice_engine::{Caller, TenantSettings, UpdateTenant};
use boxoffice_tests::{
    Account, Client, Hosted, Patience, TestPlatform,
    api::{event_body, path_of, text},
    wait_for,
};
use futures::future::join_all;
use serde_json::{Value, json};

/// A tenant with an organizer and their event, behind the real router.
struct EventFixture {
    platform: TestPlatform,
    door: Client,
    organizer: Account,
    event: Value,
    _hosted: Hosted,
}

impl EventFixture {
    async fn open() -> Self {
        let platform = TestPlatform::new().await;
        platform.tenant("north").await;
        let hosted = Hosted::start(platform.engine.clone()).await;
        let door = hosted.client().tenant("north");
        let organizer = door.register("olga@north.test", "organizer").await;
        let body = event_body(json!({}));
        let event = organizer.client.post("/api/events", body).await.expect(201);
        Self {
            platform,
            door,
            organizer,
            event,
            _hosted: hosted,
        }
    }

    /// A customer who booked, and whose confirmation is due.
    async fn booked(&self, name: &str) -> (Account, Value) {
        let customer = self
            .door
            .register(&format!("{name}@north.test"), "customer")
            .await;
        let body = json!({"eventId": self.event["id"], "numTickets": 1});
        let booking = customer
            .client
            .post("/api/bookings", body)
            .await
            .expect(201);
        self.platform.owes(1);
        (customer, booking)
    }

    fn announcements(&self) -> String {
        format!("{}/announcements", path_of(&self.event))
    }

    /// A notification once nothing more happens to it.
    async fn finished(&self, id: &Value) -> Value {
        let path = format!("/api/notifications/{}", text(id));
        wait_for(Patience::WORK, "a notification to be finished", || async {
            let seen = self.organizer.client.get(&path).await.expect(200);
            let deliveries = &seen["deliveries"];
            let open = ["queued", "sending", "deferred"]
                .iter()
                .any(|state| deliveries[state] != 0);
            let is_listed = seen["status"] == "fanned-out" || seen["status"] == "superseded";
            (is_listed && !open).then_some(seen)
        })
        .await
    }

    async fn allow(&self, announcements_per_day: u32) {
        let caller = Caller::platform("north");
        let tenants = self.platform.engine.tenants();
        let tenant = tenants.show(&caller).await.expect("the tenant");
        let command = UpdateTenant {
            expected_version: tenant.version,
            name: tenant.name,
            settings: TenantSettings {
                announcements_per_day,
                ..tenant.settings
            },
        };
        tenants.update(&caller, command).await.expect("settings");
    }
}

fn words() -> Value {
    json!({"subject": "Doors open early", "message": "We open at <six>.\n\nSee you & yours!"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_who_booked_hears_it_once_as_text() {
    let house = EventFixture::open().await;
    let (ann, _) = house.booked("ann").await;
    let (_, of_ben) = house.booked("ben").await;
    let (cyd, _) = house.booked("cyd").await;
    house.platform.settle().await;
    let cancel = format!("/api/bookings/{}/cancel", text(&of_ben["id"]));
    house.organizer.client.post_empty(&cancel).await.expect(200);
    // A second booking of the same customer is no second mail.
    let again = json!({"eventId": house.event["id"], "numTickets": 1});
    ann.client.post("/api/bookings", again).await.expect(201);
    house.platform.owes(2);
    house.platform.settle().await;

    let answer = house
        .organizer
        .client
        .post(&house.announcements(), words())
        .await;
    let summary = answer.expect(201);
    assert_eq!(summary["recipients"], 2, "not Ben, who cancelled");
    let location = format!("/api/notifications/{}", text(&summary["id"]));
    assert_eq!(answer.header("location"), location);
    house.platform.owes(2);
    let mails = house.platform.settle().await;
    let progress = house.finished(&summary["id"]).await;
    assert_eq!(progress["kind"], "event-announcement");
    assert_eq!(
        (&progress["recipients"], &progress["deliveries"]["sent"]),
        (&json!(2), &json!(2))
    );
    let told: Vec<_> = mails
        .iter()
        .filter(|mail| mail.subject == "Doors open early")
        .collect();
    assert_eq!(told.len(), 2);
    for customer in [&ann, &cyd] {
        let mail = told.iter().find(|mail| mail.is_to(&customer.email));
        let mail = mail.expect("a mail to each");
        assert!(
            mail.text
                .replace("\r\n", "\n")
                .contains("We open at <six>.\n\nSee you & yours!")
        );
        assert!(
            mail.html.contains("We open at &lt;six&gt;."),
            "{}",
            mail.html
        );
        assert!(mail.calendar.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_and_words_tell_once_also_at_the_same_time() {
    let house = EventFixture::open().await;
    house.booked("ann").await;
    let (path, client) = (house.announcements(), &house.organizer.client);
    let many = (0..6).map(|_| client.post_once(&path, "storm-1", words()));
    let answers: Vec<Value> = join_all(many)
        .await
        .iter()
        .map(|one| one.expect(201))
        .collect();
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    let other = json!({"subject": "Something else", "message": "x"});
    client
        .post_once(&path, "storm-1", other)
        .await
        .problem(422, "idempotency-key-reused")
        .at_field("Idempotency-Key");
    house.platform.owes(1);
    let mails = house.platform.settle().await;
    assert_eq!(mails.len(), 2, "a confirmation and one announcement");
    house.finished(&answers[0]["id"]).await;
    // One of the day's two was used, however often it was asked for.
    house.allow(2).await;
    client.post(&path, words()).await.expect(201);
    client
        .post(&path, words())
        .await
        .problem(429, "too-many-requests");
    assert_eq!(
        client
            .post_once(&path, "storm-1", words())
            .await
            .expect(201),
        answers[0]
    );
    house.platform.owes(1);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_has_so_many_announcements_also_at_the_same_time() {
    let house = EventFixture::open().await;
    house.allow(3).await;
    let (path, client) = (house.announcements(), &house.organizer.client);
    let answers = join_all((0..8).map(|_| client.post(&path, words()))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 3);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.problem(429, "too-many-requests");
        // The clock stands at noon.
        assert_eq!(refused.header("retry-after"), "43200");
    }
    house
        .platform
        .clock
        .advance(std::time::Duration::from_secs(12 * 3600));
    // Tokens tell the real time; the day is the engine's.
    client.post(&path, words()).await.expect(201);
    house.allow(0).await;
    client
        .post(&path, words())
        .await
        .problem(429, "too-many-requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_announced_is_refused_by_name() {
    let house = EventFixture::open().await;
    let client = &house.organizer.client;
    let path = house.announcements();
    for (subject, message, field) in [
        ("", "x", "subject"),
        ("a\r\nBcc: evil@example.net", "x", "subject"),
        (&"x".repeat(201), "x", "subject"),
        ("x", " \n ", "message"),
        ("x", "a\u{0}b", "message"),
        ("x", &"x".repeat(10_001), "message"),
    ] {
        let body = json!({"subject": subject, "message": message});
        client
            .post(&path, body)
            .await
            .problem(422, "field-invalid")
            .at_field(field);
    }
    let draft = event_body(json!({"status": "draft"}));
    let draft = client.post("/api/events", draft).await.expect(201);
    let of_draft = format!("{}/announcements", path_of(&draft));
    client
        .post(&of_draft, words())
        .await
        .problem(409, "event-not-published");
    let rival = house.door.register("rita@north.test", "organizer").await;
    rival
        .client
        .post(&of_draft, words())
        .await
        .problem(404, "not-found");
    client
        .post_empty(&format!("{}/cancel", path_of(&house.event)))
        .await
        .expect(200);
    client
        .post(&path, words())
        .await
        .problem(409, "event-cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calling_the_event_off_overtakes_what_was_not_begun() {
    let house = EventFixture::open().await;
    house.booked("ann").await;
    let client = &house.organizer.client;
    // No worker runs yet: the announcement waits, and the event is cancelled meanwhile.
    let waiting = client
        .post(&house.announcements(), words())
        .await
        .expect(201);
    client
        .post_empty(&format!("{}/cancel", path_of(&house.event)))
        .await
        .expect(200);
    // The confirmation is no longer wanted either; what is left is that the event is off.
    let mails = house.platform.settle().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].subject, "Event cancelled: Jazz Night");
    let seen = house.finished(&waiting["id"]).await;
    assert_eq!(
        (&seen["status"], &seen["recipients"]),
        (&json!("superseded"), &json!(0))
    );
}
