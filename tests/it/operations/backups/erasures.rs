//! Goal: who was erased after a backup is erased in what is restored from it, and neither rows nor log lines of the program name them.
//!
//! Method: the program is backed up, a person erases themselves, the list is written through the running host, and the backup is restored
//! with it elsewhere; a second backup is searched for the planted name.

use boxoffice_tests::{Account, Config, Program, TempFolder, api::path_of};
use serde_json::json;

use super::{EventFixture, boxoffice, shown};

const MARK: &str = "plantedperson";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_forgets_who_was_erased_after_it() {
    let folder = TempFolder::new("backup-erasures");
    let at = |name: &str| {
        let data = shown(&folder.join(name));
        let config = Config::default().with_key().quick();
        config.text("store", "url", &data)
    };
    let source = at("source").write(&folder, "source.toml");
    let target = at("target").write(&folder, "target.toml");
    let house = EventFixture::open(&source).await;
    let person = house
        .door
        .register(&format!("{MARK}@north.test"), "customer")
        .await;
    let body = json!({"eventId": house.event["id"], "numTickets": 3});
    person.client.post("/api/bookings", body).await.expect(201);
    let (file, list) = (folder.join("backup.jsonl"), folder.join("erasures.jsonl"));
    house.back_up(&file).await.expect_success();
    let whole = std::fs::read_to_string(&file).expect("a backup");
    assert!(whole.contains(MARK), "the search finds");
    let body = json!({"currentPassword": Account::PASSWORD});
    let erased = person.client.post("/api/auth/me/erase", body).await;
    assert_eq!(erased.status, 204, "{}", erased.text);
    let base = house.host.client().base().to_owned();
    let written = Program::run_command("", |command| {
        command.args(["erasures", "--url", &base, "--out", &shown(&list)]);
        command.env("BOXOFFICE_TOKEN", &house.operator);
    });
    written.await.expect_success();
    let lines = std::fs::read_to_string(&list).expect("a list");
    assert_eq!(lines.lines().count(), 1);
    assert!(
        lines.contains(&person.id) && !lines.contains(MARK),
        "{lines}"
    );
    let organizer = &house.organizer.client;
    let sold = organizer.get(&path_of(&house.event)).await.expect(200);
    house.host.signal("TERM");
    let output = house.host.stopped().await;
    assert!(!output.contains(MARK), "a log line names the person");

    // A broken line is found before anything is written.
    let broken = folder.join("broken.jsonl");
    std::fs::write(&broken, "{\"tenant\": 1}\n").expect("a file of ours");
    let (file, target_text) = (shown(&file), shown(&target));
    let erasures = shown(&broken);
    let restore = |list: String| {
        let (file, target_text) = (file.clone(), target_text.clone());
        async move {
            let arguments = [
                "restore",
                &file,
                "--erasures",
                &list,
                "--config",
                &target_text,
            ];
            boxoffice("", arguments).await
        }
    };
    let refused = restore(erasures).await;
    assert!(refused.stderr.contains("line 1"), "{refused:?}");
    let restored = restore(shown(&list)).await;
    assert!(
        restored.stderr.contains("1 accounts of the list"),
        "{restored:?}"
    );
    restored.expect_success();
    let again = folder.join("again.jsonl");
    let out = shown(&again);
    boxoffice("", ["backup", "--out", &out, "--config", &target_text])
        .await
        .expect_success();
    let rows = std::fs::read_to_string(&again).expect("a backup");
    assert!(!rows.contains(MARK), "a row names the person");
    boxoffice("", ["verify", "--config", &target_text])
        .await
        .expect_success();
    let host = Program::serve(&target).await;
    let door = host.client().tenant("north");
    let organizer = door.login(&house.organizer.email).await.client;
    let event = organizer.get(&path_of(&house.event)).await.expect(200);
    assert!(event["ticketsSold"].is_u64(), "{event}");
    assert_eq!(event["ticketsSold"], sold["ticketsSold"]);
    let body = json!({"email": format!("{MARK}@north.test"), "password": Account::PASSWORD});
    door.post("/api/auth/login", body)
        .await
        .problem(401, "wrong-credentials");
    host.stop().await;
}
