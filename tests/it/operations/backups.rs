//! Goal: a backup of a running host is everything as it was at one moment, and whoever restores it sells no seat twice,
//! loses nothing that was acknowledged before, and mails nobody twice.
//!
//! Method: the program sells and mails over a slow SMTP server while `boxoffice backup` reads it; it then finishes what it
//! owes, and the backup is restored elsewhere, over the same SMTP server, which tells by Message-ID and recipient whether
//! anybody got a mail twice. Once on a folder, once on a SurrealDB server. A restore is killed at a certain moment: it reads a
//! pipe that the test stops filling.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use boxoffice_tests::{
    Account, Answer, Client, Config, Finished, Patience, Program, SmtpServer, SurrealServer,
    TempFolder,
    api::{customers, event_body, path_of, text},
    required_variable, wait_until,
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

type Acknowledged = Arc<Mutex<BTreeSet<(String, String)>>>;

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
    let house = EventFixture::open(&source).await;
    let early = house.move_to("First Hall").await;
    wait_until(Patience::WORK, "the first mails", || async {
        is_over(&house.organizer.client, &early).await && smtp.count() >= 2 * CUSTOMERS
    })
    .await;

    // From here on mails take their time: a backup in the middle of them has some of every state.
    smtp.control(&json!({"delayMillis": 30}));
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
    let file = folder.join("backup.jsonl");
    let said = house.back_up(&file).await.expect_success();
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
    let mode = std::fs::metadata(&file)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "others may not read it");
    let again = house.back_up(&file).await;
    assert!(
        !again.status.success() && again.stderr.contains("exists"),
        "{again:?}"
    );

    // The source does what it owes, as it would have until it was lost.
    smtp.release();
    let booked_at_all = CUSTOMERS + booked().len();
    wait_until(Patience::WORK, "all mails of the source", || async {
        smtp.count() == booked_at_all + 2 * CUSTOMERS
    })
    .await;
    let sent = mails_by_id(&smtp);
    assert!(
        sent.values().all(|count| *count == 1),
        "the source mailed somebody twice"
    );
    let EventFixture {
        host,
        customers: buyers,
        organizer,
        operator: _,
        event,
        door: _,
    } = house;
    host.stop().await;

    let (file, target_text) = (shown(&file), shown(&target));
    let restored = boxoffice("", ["restore", &file, "--config", &target_text]).await;
    assert!(restored.stderr.contains("operator release"), "{restored:?}");
    restored.expect_success();
    let twice = boxoffice("", ["restore", &file, "--config", &target_text]).await;
    assert!(twice.stderr.contains("empty store"), "{twice:?}");
    boxoffice("", ["verify", "--config", &target_text])
        .await
        .expect_success();

    let host = Program::serve_with_worker(&target).await;
    let door = host.client().tenant("north");
    for account in [&buyers[0], &organizer] {
        let refresh = json!({"refreshToken": account.refresh_token});
        door.post("/api/auth/refresh", refresh)
            .await
            .problem(401, "session-ended");
    }
    let organizer = door.login(&organizer.email).await;
    let mut there = BTreeSet::new();
    let mut signed_in = Vec::new();
    for buyer in &buyers[..BUYERS] {
        let buyer = door.login(&buyer.email).await;
        for booking in buyer.client.all("/api/bookings/me").await {
            there.insert((buyer.email.clone(), text(&booking["id"]).to_owned()));
        }
        signed_in.push(buyer);
    }
    let missing: Vec<_> = before.difference(&there).collect();
    assert!(
        missing.is_empty(),
        "acknowledged before the backup and not in it: {missing:?}"
    );

    // It sells, and keeps its mails to itself.
    let book = json!({"eventId": event["id"], "numTickets": 1});
    let new = signed_in[0]
        .client
        .post("/api/bookings", book)
        .await
        .expect(201);
    let mails = format!("/api/bookings/{}/deliveries", text(&new["id"]));
    let own = signed_in[0].client.get(&mails).await.expect(200);
    assert_eq!(own["items"][0]["state"], "queued", "{own}");
    let login = json!({"email": "op@boxoffice.test", "password": Account::PASSWORD});
    let operator = door.post("/api/operator/login", login).await.expect(200);
    let token = text(&operator["token"]).to_owned();
    let operator = host.client().token(&token);
    let held = operator.get("/api/operator/restoration").await.expect(200);
    assert_eq!(
        (&held["mailsAreHeld"], &held["releasedAt"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(mails_by_id(&smtp), sent, "no mail before the release");

    let base = host.client().base().to_owned();
    for _ in 0..2 {
        let release = ["operator", "release", "--url", &base, "--token", &token];
        boxoffice("", release).await.expect_success();
    }
    let held = operator.get("/api/operator/restoration").await.expect(200);
    assert_eq!(held["mailsAreHeld"], false);
    wait_until(Patience::WORK, "the new booking's mail", || async {
        let own = signed_in[0].client.get(&mails).await.expect(200);
        own["items"][0]["state"] == "sent"
    })
    .await;
    for notification in [&early, &late] {
        wait_until(Patience::WORK, "a notification to be over", || async {
            is_over(&organizer.client, notification).await
        })
        .await;
    }
    let shown = organizer
        .client
        .get(&format!("/api/notifications/{early}"))
        .await
        .expect(200);
    assert_eq!(
        shown["deliveries"]["sent"], CUSTOMERS,
        "what was over stays as it was: {shown}"
    );
    let shown = organizer
        .client
        .get(&format!("/api/notifications/{late}"))
        .await
        .expect(200);
    let deliveries = &shown["deliveries"];
    assert!(
        deliveries["unknown"]
            .as_u64()
            .is_some_and(|unknown| unknown > 0),
        "{shown}"
    );
    assert_eq!(deliveries["unknown"], deliveries["everUnknown"], "{shown}");
    let failed = format!("/api/admin/notifications/{late}/failed");
    let failed = organizer.client.all(&failed).await;
    assert_eq!(
        json!(failed.len()),
        deliveries["unknown"],
        "listed as failed, to be tried again"
    );

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

/// A backup of a small folder that nobody holds.
async fn small_backup(folder: &TempFolder) -> PathBuf {
    let data = shown(&folder.join("small"));
    let add = ["tenant", "add", "north", "--data", &data];
    boxoffice("", add).await.expect_success();
    let file = folder.join("small.jsonl");
    let out = shown(&file);
    boxoffice("", ["backup", "--data", &data, "--out", &out])
        .await
        .expect_success();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_not_whole_is_refused_and_writes_nothing() {
    let folder = TempFolder::new("cut-off");
    let file = small_backup(&folder).await;
    let whole = std::fs::read_to_string(&file).expect("a backup is text");
    let target = shown(&folder.join("target"));
    let last = whole.trim_end().rfind('\n').expect("many lines");
    let changed = whole.replace("north", "south");
    for (bad, word) in [
        (&whole[..last + 1], "cut off"),
        (&whole[..whole.len() - 2], "cut off"),
        ("", "not a Boxoffice backup"),
        (changed.as_str(), "checksum"),
    ] {
        let path = shown(&folder.join("bad.jsonl"));
        std::fs::write(&path, bad).expect("the folder is ours");
        let refused = boxoffice("", ["restore", &path, "--data", &target]).await;
        assert!(
            !refused.status.success() && refused.stderr.contains(word),
            "{word}: {refused:?}"
        );
        assert!(
            !Path::new(&target).join("db").exists(),
            "{word}: nothing was made"
        );
    }
    let file = shown(&file);
    boxoffice("", ["restore", &file, "--data", &target])
        .await
        .expect_success();
    let listed = boxoffice("", ["tenant", "list", "--data", &target])
        .await
        .expect_success();
    assert!(listed.starts_with("north\t"), "{listed}");
    // A store that did not come from a backup has nothing to be released.
    let own = shown(&folder.join("small"));
    let refused = boxoffice("", ["operator", "release", "--data", &own]).await;
    assert!(
        !refused.status.success() && refused.stderr.contains("not held"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_is_killed_leaves_a_store_that_nobody_serves() {
    let folder = TempFolder::new("killed-restore");
    let file = small_backup(&folder).await;
    let whole = std::fs::read(&file).expect("a backup");
    let (link, target) = (folder.join("backup"), folder.join("target"));
    let pipes = ["first", "second"].map(|name| folder.join(name));
    let made = Command::new("mkfifo")
        .args(&pipes)
        .status()
        .expect("mkfifo is there");
    assert!(made.success());
    symlink(&pipes[0], &link).expect("the folder is ours");
    let mut restore = Command::new(required_variable("BOXOFFICE_BIN"));
    // The test command's own settings are none of the program's.
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BOXOFFICE_"))
    {
        restore.env_remove(name);
    }
    let mut restore = restore
        .arg("restore")
        .arg(&link)
        .arg("--data")
        .arg(&target)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    // It reads twice: to see whether the backup is whole, and to restore it. The second time it gets half, and waits. The
    // name leads to the other pipe before the first ends.
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let new_link = folder.join("new");
    let feeder = std::thread::spawn(move || {
        let open = |pipe: &Path| {
            OpenOptions::new()
                .write(true)
                .open(pipe)
                .expect("it is read")
        };
        let mut first = open(&pipes[0]);
        first.write_all(&whole).expect("it reads the whole");
        symlink(&pipes[1], &new_link).expect("the folder is ours");
        std::fs::rename(&new_link, &link).expect("the folder is ours");
        drop(first);
        let mut second = open(&pipes[1]);
        second
            .write_all(&whole[..whole.len() / 2])
            .expect("it reads a half");
        let _ = wait.recv();
    });
    let log = target.join("db/wal");
    wait_until(Patience::START, "the restore to write", || async {
        let entries = std::fs::read_dir(&log).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.metadata().map_or(0, |data| data.len()))
            .sum::<u64>()
            > 4_000
    })
    .await;
    restore.kill().expect("it runs");
    let _ = restore.wait();
    drop(done);
    feeder.join().expect("the feeder ends");

    let data = shown(&target);
    let config = Config::default().with_key().text("store", "url", &data);
    let config = shown(&config.write(&folder, "boxoffice.toml"));
    for command in ["serve", "worker", "verify"] {
        let refused = boxoffice("", [command, "--config", &config]).await;
        let is_told = refused.stderr.contains("broken off");
        assert!(
            !refused.status.success() && is_told,
            "{command}: {refused:?}"
        );
    }
    let file = shown(&file);
    let again = boxoffice("", ["restore", &file, "--data", &data]).await;
    assert!(
        !again.status.success() && again.stderr.contains("empty store"),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_operators_take_backups_and_whoever_leaves_holds_up_nobody() {
    let folder = TempFolder::new("backup-rights");
    let data = shown(&folder.join("data"));
    let config = Config::default()
        .with_key()
        .quick()
        .text("store", "url", &data);
    let config = config
        .mail_folder(&folder.join("mails"))
        .write(&folder, "boxoffice.toml");
    let house = EventFixture::open(&config).await;
    let path = "/api/operator/backup";
    house
        .organizer
        .client
        .get(path)
        .await
        .problem(403, "forbidden");
    house.door.get(path).await.problem(401, "not-authenticated");
    let operator = house.host.client().token(&house.operator);
    let answer = operator.get(path).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let last: Value =
        serde_json::from_str(answer.text.lines().last().expect("lines")).expect("JSON");
    assert_eq!(
        last["end"]["rows"].as_u64().map(|rows| rows > 100),
        Some(true),
        "{last}"
    );
    // Sessions and what belongs to processes is not in it.
    for table in ["session", "lease", "queue_task"] {
        assert!(
            !answer.text.contains(&format!("{{\"table\":\"{table}\"}}")),
            "{table}"
        );
    }
    // Whoever goes away in the middle: the next one gets a turn.
    for _ in 0..3 {
        wait_until(Patience::START, "a turn", || async {
            let request = operator.request(reqwest::Method::GET, path);
            let answer = request.send().await.expect("an answer");
            // Dropped unread.
            answer.status() == 200
        })
        .await;
    }
    wait_until(Patience::START, "a turn", || async {
        let answer = Answer::of(operator.request(reqwest::Method::GET, path)).await;
        answer.status == 200 && answer.text.contains("\"sha256\"")
    })
    .await;
    house.host.stop().await;
}
