//! Goal: a backup of a running host is everything as it was at one moment, and whoever restores it sells no seat twice,
//! loses nothing that was acknowledged before, and mails nobody twice.
//!
//! Method: the program sells and mails over a slow SMTP server while `boxoffice backup` reads it; it then finishes what it
//! owes, and the backup is restored elsewhere, over the same SMTP server, which tells by Message-ID and recipient whether
//! anybody got a mail twice. Once on a folder, once on a SurrealDB server. A restore is killed at a certain moment: it reads a
//! pipe that the test stops filling.

mod compaction;
mod erasures;
mod refused;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use boxoffice_tests::{
    Account, Client, Config, Finished, Patience, Program, SmtpServer, SurrealServer, TempFolder,
    api::{customers, event_body, path_of, text},
    wait_until,
};
use futures::future::join_all;
use serde_json::{Value, json};

const CUSTOMERS: usize = 40;

/// Customers who go on booking while the backup is taken.
const BUYERS: usize = 8;

async fn boxoffice<const N: usize>(input: &str, arguments: [&str; N]) -> Finished {
    Program::run_command(input, |command| {
        command.args(arguments);
    })
    .await
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A house that sells and mails, before a backup of it is taken.
struct EventFixture {
    host: Program,
    door: Client,
    operator: String,
    organizer: Account,
    customers: Vec<Account>,
    event: Value,
}

impl EventFixture {
    /// Fills an empty store: an operator, a tenant, an organizer, customers, and an event that all of them booked.
    async fn open(config: &Path) -> Self {
        let config_text = shown(config);
        let password = format!("{}\n", Account::PASSWORD);
        let add = [
            "operator",
            "add",
            "--email",
            "op@boxoffice.test",
            "--name",
            "Op",
        ];
        let add = [&add[..], &["--password-stdin", "--config", &config_text]].concat();
        let add: [&str; 9] = add.try_into().expect("nine words");
        boxoffice(&password, add).await.expect_success();
        let add = [
            "tenant",
            "add",
            "north",
            "--organizers-may-register",
            "--config",
            &config_text,
        ];
        boxoffice("", add).await.expect_success();
        let host = Program::serve_with_worker(config).await;
        let login = ["operator", "login", "--email", "op@boxoffice.test", "--url"];
        let base = host.client().base().to_owned();
        let login = [&login[..], &[&base]].concat();
        let login: [&str; 6] = login.try_into().expect("six words");
        let operator = boxoffice(&password, login).await.expect_success();
        let door = host.client().tenant("north");
        let organizer = door.register("olga@north.test", "organizer").await;
        let customers = customers(&door, CUSTOMERS).await;
        let body = event_body(json!({"totalTickets": 100_000}));
        let event = organizer.client.post("/api/events", body).await.expect(201);
        for customer in &customers {
            let book = json!({"eventId": event["id"], "numTickets": 1});
            customer
                .client
                .post("/api/bookings", book)
                .await
                .expect(201);
        }
        Self {
            host,
            door,
            operator: operator.trim().to_owned(),
            organizer,
            customers,
            event,
        }
    }

    async fn back_up(&self, out: &Path) -> Finished {
        let (base, out) = (self.host.client().base().to_owned(), shown(out));
        let token = self.operator.clone();
        Program::run_command("", |command| {
            command.args(["backup", "--url", &base, "--out", &out]);
            command.env("BOXOFFICE_TOKEN", token);
        })
        .await
    }

    /// Moves the event, which concerns everybody, and answers the notification.
    async fn move_to(&self, place: &str) -> String {
        let seen = self.door.get(&path_of(&self.event)).await.expect(200);
        let version = format!("\"{}\"", seen["version"]);
        let change = json!({ "location": place });
        let organizer = &self.organizer.client;
        let changed = organizer
            .patch(&path_of(&self.event), &version, change)
            .await;
        text(&changed.expect(200)["notification"]["id"]).to_owned()
    }
}

/// Goes on booking until it is told to stop, and notes what was acknowledged, by customer.
async fn book_until(
    stop: Arc<AtomicBool>,
    event: Value,
    buyer: Account,
    acknowledged: Acknowledged,
) {
    while !stop.load(Ordering::Relaxed) {
        let book = json!({"eventId": event["id"], "numTickets": 1});
        let booking = buyer.client.post("/api/bookings", book).await.expect(201);
        let booked = (buyer.email.clone(), text(&booking["id"]).to_owned());
        acknowledged.lock().expect("nobody panics").insert(booked);
    }
}

/// Customers with the ids of what they booked.
type Bookings = BTreeSet<(String, String)>;

type Acknowledged = Arc<Mutex<Bookings>>;

/// How many mails each recipient has by Message-ID.
fn mails_by_id(smtp: &SmtpServer) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for mail in smtp.mails() {
        let key = (mail.recipients[0].clone(), mail.mail.message_id.clone());
        *counts.entry(key).or_default() += 1;
    }
    counts
}

/// What only a mail about the change says: later ones name the place, too.
fn changed_to(place: &str) -> String {
    format!("  Place: {place}")
}

async fn is_over(client: &Client, notification: &str) -> bool {
    let shown = client
        .get(&format!("/api/notifications/{notification}"))
        .await
        .expect(200);
    boxoffice_tests::is_final(&shown)
}

/// Backs a running host up, restores it elsewhere, and looks for what was lost or done twice.
async fn back_up_and_restore(source: Config, target: Config, folder: &TempFolder) {
    let smtp = SmtpServer::start().await;
    let describe = |config: Config| config.smtp(&smtp).text("mail", "from", "box@tickets.test");
    let source = describe(source).write(folder, "source.toml");
    let target = describe(target).write(folder, "target.toml");
    let file = folder.join("backup.jsonl");
    let house = EventFixture::open(&source).await;
    let early = house.move_to("First Hall").await;
    wait_until(Patience::WORK, "the first mails", || async {
        is_over(&house.organizer.client, &early).await && smtp.count() >= 2 * CUSTOMERS
    })
    .await;

    // From here on mails take their time: a backup in the middle of them has some of every state.
    smtp.control(&json!({"delayMillis": 30}));
    let (late, before, after) = back_up_while_it_sells(&house, &file).await;
    check_file(&house, &file).await;
    // The source does what it owes, as it would have until it was lost.
    smtp.release();
    wait_until(Patience::WORK, "all mails of the source", || async {
        smtp.count() == CUSTOMERS + after.len() + 2 * CUSTOMERS
    })
    .await;
    let sent = mails_by_id(&smtp);
    assert!(
        sent.values().all(|count| *count == 1),
        "the source mailed somebody twice"
    );
    house.host.stop().await;

    restore_once(&file, &target).await;
    let host = Program::serve_with_worker(&target).await;
    let door = host.client().tenant("north");
    for account in [&house.customers[0], &house.organizer] {
        let refresh = json!({"refreshToken": account.refresh_token});
        door.post("/api/auth/refresh", refresh)
            .await
            .problem(401, "session-ended");
    }
    check_bookings(&door, &house.customers[..BUYERS], &before).await;
    let found = door.get("/api/events?q=jazz&location=second").await;
    assert_eq!(found.expect(200)["items"][0]["id"], house.event["id"]);
    let buyer = door.login(&house.customers[0].email).await;
    check_release(&host, &buyer, &house.event, || {
        assert_eq!(mails_by_id(&smtp), sent, "no mail before the release");
    })
    .await;
    let organizer = door.login(&house.organizer.email).await;
    check_deliveries(&organizer.client, &early, &late).await;

    let ended = mails_by_id(&smtp);
    let twice: Vec<_> = ended.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "mailed twice: {twice:?}");
    assert_eq!(
        ended.len(),
        sent.len() + 1,
        "only the new booking's mail is new"
    );
    for place in ["First Hall", "Second Hall"] {
        let told = smtp.count_per_recipient(&changed_to(place));
        assert_eq!(told.len(), CUSTOMERS, "{place}");
        assert!(told.values().all(|count| *count == 1), "{place}: {told:?}");
    }
    host.stop().await;
}

/// Moves the event and backs the host up while customers book. Returns the notification, what was acknowledged before the
/// backup began, and what was acknowledged in all.
async fn back_up_while_it_sells(house: &EventFixture, file: &Path) -> (String, Bookings, Bookings) {
    let acknowledged = Acknowledged::default();
    let stop = Arc::new(AtomicBool::new(false));
    let buyers: Vec<_> = house.customers[..BUYERS]
        .iter()
        .map(|buyer| {
            let (event, buyer) = (house.event.clone(), buyer.clone());
            tokio::spawn(book_until(stop.clone(), event, buyer, acknowledged.clone()))
        })
        .collect();
    let booked = || acknowledged.lock().expect("nobody panics").clone();
    wait_until(Patience::WORK, "some bookings", || async {
        booked().len() >= 40
    })
    .await;
    let late = house.move_to("Second Hall").await;
    let before = booked();
    let said = house.back_up(file).await.expect_success();
    assert!(said.contains(" rows, as of "), "{said}");
    let after = booked();
    assert!(after.len() > before.len(), "it was booked all the while");
    wait_until(Patience::WORK, "more bookings", || async {
        booked().len() >= after.len() + 10
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for buyer in join_all(buyers).await {
        buyer.expect("a buyer does not panic");
    }
    (late, before, booked())
}

/// Nobody else may read a backup, and another does not overwrite it.
async fn check_file(house: &EventFixture, file: &Path) {
    let metadata = std::fs::metadata(file).expect("a file");
    assert_eq!(
        metadata.permissions().mode() & 0o777,
        0o600,
        "others may not read it"
    );
    let again = house.back_up(file).await;
    assert!(
        !again.status.success() && again.stderr.contains("exists"),
        "{again:?}"
    );
}

/// A backup goes into an empty store, once, and can be verified there.
async fn restore_once(file: &Path, target: &Path) {
    let (file, target) = (shown(file), shown(target));
    let restored = boxoffice("", ["restore", &file, "--config", &target]).await;
    assert!(restored.stderr.contains("operator release"), "{restored:?}");
    restored.expect_success();
    let twice = boxoffice("", ["restore", &file, "--config", &target]).await;
    assert!(twice.stderr.contains("empty store"), "{twice:?}");
    boxoffice("", ["verify", "--config", &target])
        .await
        .expect_success();
}

/// All that was acknowledged before the backup is there.
async fn check_bookings(door: &Client, buyers: &[Account], before: &Bookings) {
    let mut there = BTreeSet::new();
    for buyer in buyers {
        let buyer = door.login(&buyer.email).await;
        for booking in buyer.client.all("/api/bookings/me").await {
            there.insert((buyer.email.clone(), text(&booking["id"]).to_owned()));
        }
    }
    let missing: Vec<_> = before.difference(&there).collect();
    assert!(
        missing.is_empty(),
        "acknowledged before the backup and not in it: {missing:?}"
    );
}

/// A restored host sells, and keeps its mails to itself until an operator releases them. `held` checks that none went out.
async fn check_release(host: &Program, buyer: &Account, event: &Value, held: impl FnOnce()) {
    let book = json!({"eventId": event["id"], "numTickets": 1});
    let new = buyer.client.post("/api/bookings", book).await.expect(201);
    let mails = format!("/api/bookings/{}/deliveries", text(&new["id"]));
    let own = buyer.client.get(&mails).await.expect(200);
    assert_eq!(own["items"][0]["state"], "queued", "{own}");
    let login = json!({"email": "op@boxoffice.test", "password": Account::PASSWORD});
    let door = host.client();
    let operator = door.post("/api/operator/login", login).await.expect(200);
    let token = text(&operator["token"]).to_owned();
    let operator = door.token(&token);
    let seen = operator.get("/api/operator/restoration").await.expect(200);
    assert_eq!(
        (&seen["mailsAreHeld"], &seen["releasedAt"]),
        (&json!(true), &Value::Null)
    );
    held();

    let base = host.client().base().to_owned();
    for _ in 0..2 {
        let release = ["operator", "release", "--url", &base, "--token", &token];
        boxoffice("", release).await.expect_success();
    }
    let seen = operator.get("/api/operator/restoration").await.expect(200);
    assert_eq!(seen["mailsAreHeld"], false);
    wait_until(Patience::WORK, "the new booking's mail", || async {
        let own = buyer.client.get(&mails).await.expect(200);
        own["items"][0]["state"] == "sent"
    })
    .await;
}

/// What was over before the backup stays as it was; of the rest it is unknown who was told.
async fn check_deliveries(organizer: &Client, early: &str, late: &str) {
    let mut deliveries = Vec::new();
    for notification in [early, late] {
        wait_until(Patience::WORK, "a notification to be over", || async {
            is_over(organizer, notification).await
        })
        .await;
        let path = format!("/api/notifications/{notification}");
        deliveries.push(organizer.get(&path).await.expect(200)["deliveries"].clone());
    }
    assert_eq!(
        deliveries[0]["sent"], CUSTOMERS,
        "what was over stays as it was: {deliveries:?}"
    );
    let unknown = &deliveries[1]["unknown"];
    assert!(
        unknown.as_u64().is_some_and(|unknown| unknown > 0),
        "{deliveries:?}"
    );
    assert_eq!(*unknown, deliveries[1]["everUnknown"], "{deliveries:?}");
    let failed = format!("/api/admin/notifications/{late}/failed");
    let failed = organizer.all(&failed).await;
    assert_eq!(
        json!(failed.len()),
        *unknown,
        "listed as failed, to be tried again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_backed_up_while_it_sells_and_restored_elsewhere() {
    let folder = TempFolder::new("backup");
    let at = |name: &str| {
        let data = shown(&folder.join(name));
        Config::default()
            .with_key()
            .quick()
            .text("store", "url", &data)
    };
    back_up_and_restore(at("source"), at("target"), &folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_backed_up_while_it_sells_and_restored_elsewhere() {
    let folder = TempFolder::new("backup-server");
    let server = SurrealServer::start().await;
    let source = Config::remote(&server);
    let target = Config::remote(&server).text("store", "database", "restored");
    back_up_and_restore(source, target, &folder).await;
}

/// A change that waits for further ones lies in the backup. Another one after the restore joins it, and nobody can have been
/// told of that one: so it goes out, though what it joined is older than the restore.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_after_a_restore_is_told() {
    let folder = TempFolder::new("backup-then-change");
    let smtp = SmtpServer::start().await;
    let at = |name: &str| {
        let data = shown(&folder.join(name));
        let config = Config::default().with_key().quick();
        let config = config.text("store", "url", &data).smtp(&smtp);
        // Long enough for the source to be backed up and stopped before it sends anything.
        let config = config.raw("worker", "update_merge_seconds", "4");
        config.write(&folder, &format!("{name}.toml"))
    };
    let (source, target) = (at("source"), at("target"));
    let house = EventFixture::open(&source).await;
    wait_until(Patience::WORK, "the confirmations", || async {
        smtp.count() == CUSTOMERS
    })
    .await;
    let first = house.move_to("First Hall").await;
    let due_at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4);
    let file = folder.join("backup.jsonl");
    house.back_up(&file).await.expect_success();
    let EventFixture {
        host,
        organizer,
        event,
        ..
    } = house;
    host.stop().await;
    // By the time of the restore a source that lives on might have sent it.
    wait_until(Patience::WORK, "the first change to be due", || async {
        jiff::Timestamp::now() > due_at
    })
    .await;
    let (file, config) = (shown(&file), shown(&target));
    boxoffice("", ["restore", &file, "--config", &config])
        .await
        .expect_success();

    let host = Program::serve_with_worker(&target).await;
    let organizer = host.client().tenant("north").login(&organizer.email).await;
    let seen = organizer.client.get(&path_of(&event)).await.expect(200);
    let version = format!("\"{}\"", seen["version"]);
    let change = json!({"location": "Second Hall"});
    let changed = organizer
        .client
        .patch(&path_of(&event), &version, change)
        .await
        .expect(200);
    assert_eq!(changed["notification"]["id"], first.as_str(), "it joins");
    let login = json!({"email": "op@boxoffice.test", "password": Account::PASSWORD});
    let operator = host.client().post("/api/operator/login", login).await;
    let token = text(&operator.expect(200)["token"]).to_owned();
    let base = host.client().base().to_owned();
    let release = ["operator", "release", "--url", &base, "--token", &token];
    boxoffice("", release).await.expect_success();
    wait_until(Patience::WORK, "everybody to be told", || async {
        is_over(&organizer.client, &first).await
    })
    .await;
    let shown = format!("/api/notifications/{first}");
    let shown = organizer.client.get(&shown).await.expect(200);
    assert_eq!(shown["deliveries"]["sent"], CUSTOMERS, "{shown}");
    let told = smtp.count_per_recipient(&changed_to("Second Hall"));
    assert_eq!(told.len(), CUSTOMERS);
    assert!(told.values().all(|count| *count == 1), "{told:?}");
    host.stop().await;
}
