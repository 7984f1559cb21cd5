//! Goal: receipts and credit notes come from every door, say what was paid and given back, and are shown to those who may see them.
//!
//! Method: the real router over an engine in memory whose clock is moved, at first without a worker: what is due is there without a
//! number. Then the worker numbers it.

use std::time::Duration;

use boxoffice_engine::{TenantId, UserRole, WorkerHandle};
use boxoffice_tests::{
    Account, Answer, Client, Patience,
    api::{Api, path_of, text},
    assert_verified, wait_for, wait_until,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{assert_gapless, backed_up, settings, totals, wait_for_numbers};

/// A tenant whose receipts are on, with its owner.
struct Shop {
    api: Api,
    tenant: TenantId,
    owner: Account,
}

impl Shop {
    async fn open() -> Self {
        let api = Api::start().await;
        let tenant = TenantId::parse("north").expect("a tenant");
        api.platform.user(&tenant, "owen", UserRole::Owner).await;
        let owner = api.door.login("owen@north.test").await;
        let shop = Self { api, tenant, owner };
        let changed = shop
            .change(json!({"receipts": {
                "enabled": true, "issuerName": "North Stage <Ltd>", "issuerAddress": ["1 Main Street", "Old Town"],
                "taxId": "DE 123", "timeZone": "Europe/Berlin",
            }}))
            .await;
        assert_eq!(changed["receipts"]["enabled"], true);
        assert_eq!(changed["receipts"]["keepNamesYears"], 10);
        shop
    }

    async fn change(&self, settings: Value) -> Value {
        let client = &self.owner.client;
        let before = client.get("/api/tenant/settings").await;
        let etag = before.header("etag").to_owned();
        let changed = client.patch("/api/tenant/settings", &etag, settings);
        changed.await.expect(200)
    }

    /// An event with a ticket for 10.00 of which 19 % are tax, and one for 5.00 with 7 %.
    async fn event(&self) -> Value {
        let types = json!([
            {"name": "Hall", "capacity": 50, "priceMinor": 1000, "taxBasisPoints": 1900},
            {"name": "Programme", "capacity": 50, "priceMinor": 500, "taxBasisPoints": 700},
        ]);
        let body = json!({"totalTickets": null, "ticketTypes": types});
        self.api.event(body).await
    }

    fn work(&self) -> WorkerHandle {
        self.api.platform.engine.worker().spawn_singletons()
    }

    async fn receipts(&self, client: &Client, booking: &Value) -> Vec<Value> {
        let path = format!("/api/bookings/{}/receipts", text(&booking["id"]));
        let list = client.get(&path).await.expect(200);
        list["items"].as_array().expect("a list").clone()
    }
}

/// Tickets of an event: so many of the first type, and of the second.
fn wish(event: &Value, halls: u32, programmes: u32) -> Value {
    let kind = |index: usize| event["ticketTypes"][index]["id"].clone();
    let mut lines = vec![json!({"ticketType": kind(0), "quantity": halls})];
    if programmes > 0 {
        lines.push(json!({"ticketType": kind(1), "quantity": programmes}));
    }
    json!({"eventId": event["id"], "lines": lines})
}

fn members(value: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| value[name].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_says_what_was_paid_and_a_credit_note_what_is_given_back() {
    let shop = Shop::open().await;
    let (event, client) = (shop.event().await, &shop.api.customer.client);
    let booking = client.post("/api/bookings", wish(&event, 2, 1)).await;
    let booking = booking.expect(201);
    let due = shop.receipts(client, &booking).await;
    assert_eq!(due.len(), 1);
    assert_eq!(
        members(&due[0], &["kind", "number", "grossMinor", "issuedAt"]),
        json!(["receipt", null, 2500, null])
    );
    assert_verified(&shop.api.platform.engine).await;

    let worker = shop.work();
    let all = wait_for_numbers(&shop.api.platform.engine, &shop.tenant, 1).await;
    assert_eq!(
        all[0].number.as_ref().expect("a number").text,
        "R-2026-000001"
    );
    let receipt = shop.receipts(client, &booking).await.remove(0);
    assert_eq!(
        members(
            &receipt,
            &[
                "number",
                "year",
                "issuedOn",
                "corrects",
                "bookingNumber",
                "eventTitle"
            ]
        ),
        json!([
            "R-2026-000001",
            2026,
            "2026-12-01",
            null,
            booking["bookingNumber"],
            "Jazz Night"
        ])
    );
    assert_eq!(
        receipt["issuer"],
        json!({"name": "North Stage <Ltd>", "address": ["1 Main Street", "Old Town"], "taxId": "DE 123"})
    );
    assert_eq!(receipt["recipient"]["email"], "ann@north.test");
    assert_eq!(
        receipt["taxes"],
        json!([
            {"label": "VAT 7 %", "taxBasisPoints": 700, "grossMinor": 500, "netMinor": 467, "taxMinor": 33},
            {"label": "VAT 19 %", "taxBasisPoints": 1900, "grossMinor": 2000, "netMinor": 1681, "taxMinor": 319},
        ])
    );

    // Ticket by ticket; what the issuer is called meanwhile is on later ones alone.
    shop.change(json!({"receipts": {"issuerName": null, "numberPrefix": "NS"}}))
        .await;
    let cancel = format!("/api/bookings/{}/cancel", text(&booking["id"]));
    for (number, count) in [(1, 2), (3, 3), (2, 4)] {
        let body = json!({"ticketNumbers": [number]});
        client.post(&cancel, body).await.expect(200);
        let engine = &shop.api.platform.engine;
        wait_for_numbers(engine, &shop.tenant, count).await;
    }
    let all = shop.receipts(client, &booking).await;
    assert_eq!(all[0], receipt, "a receipt never changes");
    let notes: Vec<Value> = all[1..]
        .iter()
        .map(|note| members(note, &["number", "corrects", "grossMinor"]))
        .collect();
    assert_eq!(
        json!(notes),
        json!([
            ["NS-C-2026-000001", "R-2026-000001", 1000],
            ["NS-C-2026-000002", "R-2026-000001", 500],
            ["NS-C-2026-000003", "R-2026-000001", 1000],
        ])
    );
    assert_eq!(all[1]["issuer"]["name"], "north");
    let tax = |value: &Value| value["taxes"][0]["taxMinor"].as_u64().expect("a tax");
    assert_eq!(tax(&all[1]) + tax(&all[3]), 319, "as at once");
    assert_eq!(tax(&all[2]), 33);
    assert_verified(&shop.api.platform.engine).await;
    assert!(worker.drain(Duration::from_secs(10)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_door_has_receipts_and_imports_have_none() {
    let shop = Shop::open().await;
    let (api, owner) = (&shop.api, &shop.owner.client);
    let (event, ann) = (shop.event().await, &api.customer.client);
    let ben = api.door.register("ben@north.test", "customer").await;
    ann.post("/api/bookings", wish(&event, 1, 0))
        .await
        .expect(201);
    let hold = ann.post("/api/holds", wish(&event, 2, 0)).await.expect(201);
    let confirm = format!("/api/holds/{}/confirm", text(&hold["id"]));
    ann.post(&confirm, json!({})).await.expect(201);
    let hold = ben.client.post("/api/holds", wish(&event, 3, 0)).await;
    let payment = format!("/api/holds/{}/payments", text(&hold.expect(201)["id"]));
    let body =
        json!({"provider": "acme", "reference": "pay-1", "amountMinor": 3000, "currency": "EUR"});
    owner.post(&payment, body).await.expect(201);
    let body = json!({"noticeId": "evt-1", "amountMinor": 3000, "at": "2026-12-01T12:00:00Z"});
    let told = owner.post("/api/payments/acme/pay-1/captured", body).await;
    assert_eq!(told.expect(200)["status"], "booked");
    let mut sale = wish(&event, 4, 0);
    sale["customer"] = json!({"name": "Gil", "email": "gil@example.org"});
    let sold = api
        .organizer
        .client
        .post("/api/bookings", sale.clone())
        .await;
    sold.expect(201);
    sale["complimentary"] = json!("The artist's mother");
    let free = api.organizer.client.post("/api/bookings", sale).await;
    assert_eq!(free.expect(201)["totalMinor"], 0);
    let types = json!([{"name": "Seat", "capacity": 1, "priceMinor": 700}]);
    let small = api
        .event(json!({"totalTickets": null, "ticketTypes": types}))
        .await;
    let only = json!({"eventId": small["id"], "numTickets": 1});
    let first = ann.post("/api/bookings", only.clone()).await.expect(201);
    let list = format!("{}/waitlist", path_of(&small));
    ben.client
        .post(&list, json!({"numTickets": 1}))
        .await
        .expect(201);
    let cancel = format!("/api/bookings/{}/cancel", text(&first["id"]));
    ann.post(&cancel, json!({})).await.expect(200);
    let place = ben.client.get(&format!("{list}/me")).await.expect(200);
    let accept = format!("/api/holds/{}/confirm", text(&place["hold"]["id"]));
    ben.client.post(&accept, json!({})).await.expect(201);
    let row = json!({
        "reference": "old-1", "eventId": event["id"], "quantity": 1, "ticketType": "Hall", "unitPriceMinor": 1250,
        "customer": {"name": "Gus", "email": "gus@example.org"}, "bookedAt": "2024-05-01T10:00:00Z",
    });
    let imported = owner
        .post("/api/imports", json!({"rows": [row], "dryRun": false}))
        .await;
    assert_eq!(imported.expect(200)["numCreated"], 1);

    assert_verified(&api.platform.engine).await;
    let worker = shop.work();
    let all = wait_for_numbers(&api.platform.engine, &shop.tenant, 7).await;
    assert_gapless(&all);
    // 1, 2, 3 and 4 tickets, and twice the seat that was given back once.
    assert_eq!(totals(&all), [10_000 + 1_400, 700]);
    assert_eq!(all.len(), 7);
    assert_verified(&api.platform.engine).await;
    assert!(worker.drain(Duration::from_secs(10)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_an_event_gives_credit_notes_for_what_is_left() {
    let shop = Shop::open().await;
    let (event, client) = (shop.event().await, &shop.api.customer.client);
    let mut bookings = Vec::new();
    for _ in 0..3 {
        let booked = client.post("/api/bookings", wish(&event, 2, 2)).await;
        bookings.push(booked.expect(201));
    }
    let cancel = format!("/api/bookings/{}/cancel", text(&bookings[0]["id"]));
    client
        .post(&cancel, json!({"ticketNumbers": [1]}))
        .await
        .expect(200);
    let end = format!("{}/cancel", path_of(&event));
    shop.api
        .organizer
        .client
        .post(&end, json!({}))
        .await
        .expect(200);
    // Before anybody has swept the bookings they read as cancelled.
    let read = shop.receipts(client, &bookings[1]).await;
    assert_eq!(read.len(), 2);
    assert_verified(&shop.api.platform.engine).await;
    let worker = shop.work();
    let all = wait_for_numbers(&shop.api.platform.engine, &shop.tenant, 7).await;
    assert_gapless(&all);
    assert_eq!(totals(&all), [9_000, 9_000]);
    let first = shop.receipts(client, &bookings[0]).await;
    let notes: Vec<u64> = first[1..]
        .iter()
        .map(|note| note["grossMinor"].as_u64().expect("a total"))
        .collect();
    assert_eq!(notes, [1_000, 2_000]);
    assert_verified(&shop.api.platform.engine).await;
    assert!(worker.drain(Duration::from_secs(10)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_is_shown_to_those_who_may_see_its_booking_and_printed() {
    let shop = Shop::open().await;
    let (event, client) = (shop.event().await, &shop.api.customer.client);
    let booking = client
        .post("/api/bookings", wish(&event, 1, 1))
        .await
        .expect(201);
    let worker = shop.work();
    wait_for_numbers(&shop.api.platform.engine, &shop.tenant, 1).await;
    let receipt = shop.receipts(client, &booking).await.remove(0);
    let path = format!("/api/receipts/{}", text(&receipt["id"]));
    let shown = client.get(&path).await.expect(200);
    assert_eq!(shown, receipt);
    let key = json!({"name": "Books", "scopes": ["receipts"]});
    let key = shop.owner.client.post("/api/keys", key).await.expect(201);
    let books = shop.api.door.token(text(&key["secret"]));
    for reader in [&shop.owner.client, &shop.api.organizer.client, &books] {
        assert_eq!(reader.get(&path).await.expect(200), receipt);
    }
    let ben = shop.api.door.register("ben@north.test", "customer").await;
    ben.client.get(&path).await.problem(404, "not-found");
    let list = format!("/api/bookings/{}/receipts", text(&booking["id"]));
    ben.client.get(&list).await.problem(404, "not-found");
    let none = path.replace(".0", ".1");
    client.get(&none).await.problem(404, "not-found");
    client.get("/api/receipts").await.problem(403, "forbidden");
    let wrong = books.get("/api/receipts?year=1").await;
    wrong.problem(422, "field-invalid").at_field("year");
    for (year, count) in [("2026", 1), ("2027", 0)] {
        let listed = books.get(&format!("/api/receipts?year={year}")).await;
        let listed = listed.expect(200);
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(count));
    }

    for (language, words) in [
        (
            "de-AT,de;q=0.9",
            ["Rechnung", "Gesamt", "15,00 EUR", "01.12.2026"],
        ),
        ("pl", ["Receipt", "Total", "15.00 EUR", "2026-12-01"]),
    ] {
        let request = client.request(Method::GET, &path);
        let request = request.header("Accept", "text/html,*/*;q=0.8");
        let page = Answer::of(request.header("Accept-Language", language)).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(
            page.header("content-security-policy")
                .contains("default-src 'none'")
        );
        assert!(page.header("vary").contains("Accept"));
        let (_, style) = page.text.split_once("<style>").expect("its own style");
        let (style, _) = style.split_once("</style>").expect("the end of it");
        assert!(style.contains("@media print"), "{style}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("style-src 'sha256-"), "{policy}");
        for loaded in ["<link", "src=", "<script", "http"] {
            assert!(!page.text.contains(loaded), "{loaded}: {}", page.text);
        }
        for word in words
            .into_iter()
            .chain(["R-2026-000001", "North Stage &lt;Ltd&gt;"])
        {
            assert!(page.text.contains(word), "{word}: {}", page.text);
        }
        assert!(!page.text.contains("<Ltd>"));
    }
    assert!(worker.drain(Duration::from_secs(10)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn years_begin_in_the_zone_of_the_tenant_and_names_go_after_theirs() {
    let shop = Shop::open().await;
    let (engine, clock) = (&shop.api.platform.engine, &shop.api.platform.clock);
    shop.change(json!({"receipts": {"keepNamesYears": 1}}))
        .await;
    let (event, client) = (shop.event().await, &shop.api.customer.client);
    let first = client
        .post("/api/bookings", wish(&event, 1, 0))
        .await
        .expect(201);
    let worker = shop.work();
    wait_for_numbers(engine, &shop.tenant, 1).await;
    // From noon of 1 December, UTC, to half past eleven of New Year's Eve: in Berlin it is the new year.
    clock.advance(Duration::from_secs((30 * 24 + 11) * 3600 + 1800));
    // Sessions have ended meanwhile.
    let client = &shop.api.door.login("ann@north.test").await.client;
    let owner = &shop.api.door.login("owen@north.test").await.client;
    client
        .post("/api/bookings", wish(&event, 1, 0))
        .await
        .expect(201);
    let all = wait_for_numbers(engine, &shop.tenant, 2).await;
    let texts: Vec<&str> = all
        .iter()
        .map(|receipt| receipt.number.as_ref().expect("a number").text.as_str())
        .collect();
    assert_eq!(texts, ["R-2026-000001", "R-2027-000001"]);

    let erase = format!("/api/users/{}/erase", shop.api.customer.id);
    owner.post(&erase, json!({})).await.expect(200);
    let kept = shop.receipts(owner, &first).await;
    assert_eq!(
        kept[0]["recipient"]["email"], "ann@north.test",
        "for its years"
    );
    assert_verified(engine).await;
    // A year and a bit: those of 2026 named their customer until the end of 2027.
    clock.advance(Duration::from_secs(367 * 24 * 3600));
    let owner = shop.api.door.login("owen@north.test").await;
    let all = owner.client.all("/api/receipts").await;
    assert_eq!(all[0]["recipient"], Value::Null);
    assert_eq!(all[1]["recipient"]["email"], "ann@north.test");
    assert!(worker.drain(Duration::from_secs(10)).await);
    // Housekeeping looks for them when it starts.
    let worker = shop.work();
    let what = "the name to be gone from the store";
    wait_until(Patience::WORK, what, || async {
        let rows = String::from_utf8(backed_up(engine).await).expect("lines of text");
        let names = |year: i16| {
            let year = format!("\"names_until\":{year},");
            let mut own = rows.lines().filter(|row| row.contains(&year));
            own.any(|row| row.contains("ann@north.test"))
        };
        assert!(names(2028), "the later one keeps it");
        !names(2027)
    })
    .await;
    assert_verified(engine).await;
    assert!(worker.drain(Duration::from_secs(10)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switching_receipts_off_and_on_concerns_later_bookings() {
    let shop = Shop::open().await;
    let (engine, client) = (&shop.api.platform.engine, &shop.api.customer.client);
    let event = shop.event().await;
    let with = client
        .post("/api/bookings", wish(&event, 1, 0))
        .await
        .expect(201);
    settings(engine, &shop.tenant, |receipts| receipts.is_on = false).await;
    let without = client
        .post("/api/bookings", wish(&event, 1, 0))
        .await
        .expect(201);
    settings(engine, &shop.tenant, |receipts| {
        receipts.is_on = true;
        receipts.free_bookings = true;
    })
    .await;
    let free = shop.api.event(json!({})).await;
    let free = shop.api.book(&free, 1).await;
    for booking in [&with, &without, &free] {
        let cancel = format!("/api/bookings/{}/cancel", text(&booking["id"]));
        client.post(&cancel, json!({})).await.expect(200);
    }
    let worker = shop.work();
    let counts = wait_for(Patience::WORK, "the receipts", || async {
        let mut counts = Vec::new();
        for booking in [&with, &without, &free] {
            let all = shop.receipts(client, booking).await;
            if all.iter().any(|receipt| receipt["number"].is_null()) {
                return None;
            }
            counts.push(all.len());
        }
        Some(counts)
    })
    .await;
    assert_eq!(counts, [2, 0, 1], "what costs nothing gives nothing back");
    let bad = json!({"receipts": {"timeZone": "Mars/Olympus"}});
    let before = shop.owner.client.get("/api/tenant/settings").await;
    let etag = before.header("etag").to_owned();
    let refused = shop.owner.client.patch("/api/tenant/settings", &etag, bad);
    refused
        .await
        .problem(422, "field-invalid")
        .at_field("receipts.timeZone");
    assert_verified(engine).await;
    assert!(worker.drain(Duration::from_secs(10)).await);
}
