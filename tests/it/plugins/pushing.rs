//! What tests that push plugins at a program share: pushing, waiting for what comes of it, and what a process then has.

use std::path::Path;

use boxoffice_tests::{Answer, Client, Patience, api::text, wait_for};
use reqwest::Method;
use serde_json::Value;

/// Pushes a component and returns its version; none if it is refused at once.
pub(super) async fn push(owner: &Client, component: Vec<u8>) -> Option<String> {
    let request = owner
        .request(Method::POST, "/api/plugins/kept/versions")
        .header("Content-Type", "application/wasm")
        .body(component);
    let answer = Answer::of(request).await;
    match answer.status {
        422 | 413 => None,
        _ => Some(text(&answer.expect(202)["version"]).to_owned()),
    }
}

/// A version once it is not being compiled any more.
pub(super) async fn settled(owner: &Client, version: &str) -> Value {
    let path = format!("/api/plugins/versions/{version}");
    wait_for(Patience::WORK, "a version to be compiled", || async {
        let seen = owner.get(&path).await.expect(200);
        (seen["state"] != "compiling").then_some(seen)
    })
    .await
}

/// Files below a folder.
pub(super) fn files(folder: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        count += match entry.path() {
            path if path.is_dir() => files(&path),
            _ => 1,
        };
    }
    count
}

/// What a process holds in memory; see proc_pid_status(5).
pub(super) fn resident_bytes(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.expect("a number of kB") * 1_024
}
