//! Goal: nobody else on the machine reads a data folder: neither what the program makes, nor what an older one left open.
//!
//! Method: `boxoffice dev` sells and mails in a folder, and every file in it is looked at; then all of them are opened to
//! everybody, and the next start closes them and says so.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use boxoffice_tests::{Client, Patience, Program, TempFolder, api::text, count_mails, wait_until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_is_its_owners_alone() {
    let place = TempFolder::new("private");
    let data = place.join("data");
    let program = Program::dev(&data).await;
    book(&program.client().tenant("demo")).await;
    wait_until(Patience::WORK, "a mail in the folder", || async {
        count_mails(&data.join("mails")) > 0
    })
    .await;
    let made = tree(&data);
    for needed in ["db", "mails", "secrets.toml", "boxoffice.lock"] {
        assert!(made.contains(&data.join(needed)), "{needed}: {made:?}");
    }
    assert_eq!(open_to_others(&made), [] as [String; 0]);
    program.stop().await;

    // As a program left it that knew no better.
    let left = tree(&data);
    for path in &left {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the file is ours");
    }
    assert_eq!(open_to_others(&left).len(), left.len());
    let program = Program::dev(&data).await;
    assert_eq!(open_to_others(&tree(&data)), [] as [String; 0]);
    let said = program.output();
    assert!(
        said.contains("other users of this machine could read the data folder"),
        "{said}"
    );
    program.stop().await;
    let program = Program::dev(&data).await;
    program.signal("TERM");
    let quiet = program.stopped().await;
    assert!(!quiet.contains("other users of this machine"), "{quiet}");
}

/// Books a ticket of the demo tenant as somebody new, which owes them a mail.
async fn book(door: &Client) {
    let customer = door.register("ann@demo.test", "customer").await;
    let events = door.get("/api/events").await.expect(200);
    let event = text(&events["items"][0]["id"]).to_owned();
    let body = json!({"eventId": event, "numTickets": 1});
    customer
        .client
        .post("/api/bookings", body)
        .await
        .expect(201);
}

/// A folder and everything in it.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut next) = (vec![folder.to_owned()], 0);
    while next < found.len() {
        if found[next].is_dir() {
            let entries = fs::read_dir(&found[next]).expect("the folder is ours");
            let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            found.extend(paths);
        }
        next += 1;
    }
    found
}

/// Those that others have any right to, with their modes.
fn open_to_others(paths: &[PathBuf]) -> Vec<String> {
    let open = |path: &PathBuf| {
        // The store removes files of its own while it runs.
        let mode = fs::metadata(path).ok()?.mode() & 0o777;
        (mode & 0o077 != 0).then(|| format!("{} {mode:o}", path.display()))
    };
    paths.iter().filter_map(open).collect()
}
