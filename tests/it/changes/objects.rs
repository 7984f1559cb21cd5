//! Goal: each step of each object is told, with the object as the step left it.
//!
//! Method: the real router over an engine in memory with a clock that is moved and a worker. What was told last of an object is what the
//! API answers.

use std::time::Duration;

use boxoffice_engine::{TenantId, UserRole};
use boxoffice_tests::{
    Account, FeedReader, Patience,
    api::{Api, etag_of, hold, path_of, text},
    ticket_codes, wait_until,
};
use serde_json::{Value, json};

pub(super) struct Shop {
    pub(super) api: Api,
    pub(super) owner: Account,
    feed: FeedReader,
}

impl Shop {
    pub(super) async fn open() -> Self {
        let api = Api::with(|builder| builder.ticket_codes(ticket_codes())).await;
        let tenant = TenantId::parse("north").expect("a tenant");
        api.platform.user(&tenant, "owen", UserRole::Owner).await;
        let owner = api.door.login("owen@north.test").await;
        api.platform.drain().await;
        Self {
            api,
            owner,
            feed: FeedReader::default(),
        }
    }

    /// Reads as many more changes, and returns their names.
    async fn told(&mut self, more: usize) -> Vec<&'static str> {
        let before = self.feed.changes.len();
        let engine = &self.api.platform.engine;
        let caller = boxoffice_engine::Caller::platform("north");
        let until = before + more;
        self.feed.read_until(engine, &caller, until).await;
        let new = &self.feed.changes[before..];
        new.iter().map(|change| change.kind.as_str()).collect()
    }

    /// The last change as the API tells it.
    async fn last(&self) -> Value {
        let count = self.feed.changes.len();
        let path = format!("/api/changes?after=0.{}", count - 1);
        let page = self.owner.client.get(&path).await.expect(200);
        page["items"][0].clone()
    }

    /// Compares the object that was told last with what the API answers about it now.
    async fn assert_is(&self, path: &str) {
        let told = self.last().await;
        let now = self.owner.client.get(path).await.expect(200);
        for (name, value) in now.as_object().expect("an object") {
            // Lists and pages name people beside the objects.
            if name != "customer" {
                assert_eq!(told["data"][name], *value, "{name} of {}", told["type"]);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_booking_is_told_step_by_step() {
    let mut shop = Shop::open().await;
    let created = shop.told(3).await;
    assert_eq!(created, ["customer.created"; 3]);
    let (ann, olga) = (
        shop.api.customer.client.clone(),
        shop.api.organizer.client.clone(),
    );
    let event = shop.api.event(json!({})).await;
    let booking = shop.api.book(&event, 3).await;
    let path = format!("/api/bookings/{}", text(&booking["id"]));
    let changed = olga.request(reqwest::Method::PATCH, &path);
    let changed = changed.json(&json!({"reference": "order-1"}));
    boxoffice_tests::Answer::of(changed).await.expect(200);
    let tickets = ann.all(&format!("{path}/tickets")).await;
    let transfer = format!("/api/tickets/{}/transfer", text(&tickets[1]["id"]));
    let to = json!({"name": "Ben", "email": "ben@north.test"});
    ann.post(&transfer, to).await.expect(200);
    let door = format!("{}/check-ins", path_of(&event));
    let code = json!({"code": tickets[0]["code"]});
    olga.post(&door, code).await.expect(201);
    let undo = json!({"ticketId": tickets[0]["id"]});
    olga.post(&format!("{door}/undo"), undo).await.expect(200);
    let some = json!({"ticketNumbers": [3]});
    ann.post(&format!("{path}/cancel"), some).await.expect(200);
    let kinds = shop.told(8).await;
    assert_eq!(
        kinds,
        [
            "event.created",
            "booking.confirmed",
            "booking.updated",
            "customer.created",
            "booking.ticket-transferred",
            "booking.checked-in",
            "booking.check-in-undone",
            "booking.cancelled",
        ]
    );
    shop.assert_is(&path).await;
    let last = shop.last().await;
    assert_eq!(last["version"], 6);
    assert_eq!(last["id"], booking["id"]);
    assert_eq!(last["data"]["transferredTickets"][0]["number"], 2);
    assert_eq!(last["data"]["checkedInTickets"], json!([]));
    assert_eq!(last["at"], "2026-12-01T12:00:00Z");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_and_waiting_lists_are_told_until_their_end() {
    let mut shop = Shop::open().await;
    shop.told(3).await;
    let event = shop.api.event(json!({"totalTickets": 2})).await;
    let ann = shop.api.customer.client.clone();
    let ben = shop.api.door.register("ben@north.test", "customer").await;
    let held = hold(&ann, &event, 2).await.expect(201);
    let path = format!("/api/holds/{}", text(&held["id"]));
    ann.post_empty(&format!("{path}/extend")).await.expect(200);
    let waitlist = format!("{}/waitlist", path_of(&event));
    let wish = json!({"numTickets": 1});
    ben.client.post(&waitlist, wish.clone()).await.expect(201);
    let kinds = shop.told(5).await;
    let expected = [
        "event.created",
        "customer.created",
        "hold.created",
        "hold.updated",
        "waitlist.joined",
    ];
    assert_eq!(kinds, expected);
    let joined = shop.last().await;
    assert_eq!(joined["data"]["eventId"], event["id"]);
    assert_eq!(joined["data"]["customerId"], json!(ben.id));
    ann.post_empty(&format!("{path}/release")).await.expect(200);
    let mut kinds = shop.told(3).await;
    kinds.sort_unstable();
    let expected = ["hold.created", "hold.released", "waitlist.offered"];
    assert_eq!(kinds, expected, "the offer is a hold");
    // The offer ends with time.
    let day = Duration::from_secs(24 * 3600);
    shop.api.platform.clock.advance(day);
    let kinds = shop.told(1).await;
    assert_eq!(kinds[0], "hold.expired");
    let booked = hold(&ann, &event, 1).await.expect(201);
    let path = format!("/api/holds/{}", text(&booked["id"]));
    ann.post_empty(&format!("{path}/confirm")).await.expect(201);
    let mut kinds = shop.told(3).await;
    kinds.sort_unstable();
    let expected = ["booking.confirmed", "hold.confirmed", "hold.created"];
    assert_eq!(kinds, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_event_cancels_its_bookings_one_by_one() {
    let mut shop = Shop::open().await;
    shop.told(3).await;
    let olga = shop.api.organizer.client.clone();
    let event = shop.api.event(json!({})).await;
    let mut bookings = Vec::new();
    for tickets in 1..=3 {
        bookings.push(shop.api.book(&event, tickets).await);
    }
    let path = path_of(&event);
    let title = json!({"title": "Late Jazz"});
    let renamed = olga.patch(&path, &etag_of(&event), title).await;
    let renamed = renamed.expect(200);
    let cancel = olga.request(reqwest::Method::POST, &format!("{path}/cancel"));
    let cancel = cancel.header("if-match", etag_of(&renamed));
    boxoffice_tests::Answer::of(cancel).await.expect(200);
    let kinds = shop.told(9).await;
    assert_eq!(
        kinds[..4],
        [
            "event.created",
            "booking.confirmed",
            "booking.confirmed",
            "booking.confirmed"
        ]
    );
    assert_eq!(kinds[4..6], ["event.updated", "event.cancelled"]);
    assert_eq!(kinds[6..], ["booking.cancelled"; 3]);
    let last = shop.last().await;
    assert_eq!(last["data"]["cancelledBy"], "event");
    let other = shop.api.event(json!({})).await;
    let path = path_of(&other);
    olga.delete(&path, &etag_of(&other)).await.expect(204);
    assert_eq!(shop.told(2).await, ["event.created", "event.deleted"]);
    let last = shop.last().await;
    assert_eq!((&last["id"], &last["version"]), (&other["id"], &json!(2)));
    assert_eq!(last["data"]["title"], "Jazz Night");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasure_takes_the_data_and_leaves_the_numbers() {
    let mut shop = Shop::open().await;
    let event = shop.api.event(json!({})).await;
    let ann = shop.api.customer.clone();
    shop.api.book(&event, 2).await;
    shop.told(5).await;
    let erase = format!("/api/users/{}/erase", ann.id);
    shop.owner.client.post_empty(&erase).await.expect(200);
    shop.told(1).await;
    let erased = "the booking's data to be gone";
    wait_until(Patience::WORK, erased, || async {
        let page = shop.owner.client.get("/api/changes").await;
        !page.text.contains("ann@north.test")
    })
    .await;
    let page = shop.owner.client.get("/api/changes").await.expect(200);
    let items = page["items"].as_array().expect("changes");
    let of_ann = |change: &&Value| change["id"] == json!(ann.id);
    let kinds: Vec<_> = items
        .iter()
        .filter(of_ann)
        .map(|one| text(&one["type"]))
        .collect();
    assert_eq!(kinds, ["customer.created", "customer.erased"]);
    let booked = items.iter().find(|one| one["type"] == "booking.confirmed");
    let booked = booked.expect("its number stays");
    assert_eq!(
        (&booked["data"], &booked["version"]),
        (&Value::Null, &json!(1))
    );
    let numbers: Vec<_> = items.iter().map(|one| one["sequence"].as_u64()).collect();
    let expected: Vec<_> = (1..=items.len() as u64).map(Some).collect();
    assert_eq!(numbers, expected);
    let of_event = items.iter().find(|one| one["type"] == "event.created");
    assert_eq!(of_event.expect("the event")["data"]["title"], "Jazz Night");
}
