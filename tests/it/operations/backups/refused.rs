//! Goal: a backup that is not whole is refused, a restore that was killed leaves a store that nobody serves, and only operators take
//! backups.
//!
//! Method: backups are cut and changed, restores are killed, and others than operators ask.

use std::{
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use boxoffice_tests::{Answer, Config, Patience, TempFolder, required_variable, wait_until};
use serde_json::Value;

use super::{EventFixture, boxoffice, shown};

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
        let is_told = refused.stderr.contains("interrupted");
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
