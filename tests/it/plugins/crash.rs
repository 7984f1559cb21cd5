//! Goal: a host that is killed during an upload, a compilation or an activation leaves nothing half done: what was
//! acknowledged is there, what is in use is whole, and a version that was being compiled becomes ready after all.
//!
//! Method: the program on disk; versions are uploaded and activated one after another while it is killed at a random
//! moment; after each restart the API is asked what there is.

use std::time::Duration;

use boxoffice_engine::{Engine, Store};
use boxoffice_tests::{
    Answer, Client, Component, Config, Patience, Program, TempFolder, api::text, is_long_run,
    organizer_and_tenant, owner_of, pass_time, seeded, wait_for,
};
use rand::Rng as _;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_leaves_no_plugin_half_there() {
    let folder = TempFolder::new("plugin-kills");
    let data = folder.join("data");
    make_tenant(&data).await;
    let config = Config::default()
        .with_key()
        .text("store", "url", &data.display().to_string())
        .write(&folder, "boxoffice.toml");
    let rounds = if is_long_run() { 20 } else { 4 };
    let (mut random, mut next) = (seeded(), 1);
    let mut uploaded: Vec<String> = Vec::new();
    let mut activated: Option<String> = None;
    for round in 0..rounds {
        let program = Program::serve(&config).await;
        let owner = program.client().tenant("north");
        let owner = owner.login("owner@north.test").await.client;
        check(&owner, &uploaded, activated.as_deref()).await;
        let pause = Duration::from_millis(random.random_range(0..1_500));
        println!("round {round}: killed after {pause:?}");
        let work = async {
            loop {
                let component = Component::at_most(next);
                next += 1;
                let Some(version) = try_upload(&owner, component).await else {
                    return;
                };
                uploaded.push(version.clone());
                if !try_activate(&owner, &version, &mut activated).await {
                    return;
                }
            }
        };
        let killed = async {
            // A kill at any moment is what is tested.
            pass_time(pause).await;
            program.kill();
        };
        tokio::join!(work, killed);
    }
    let program = Program::serve(&config).await;
    let owner = program.client().tenant("north");
    let owner = owner.login("owner@north.test").await.client;
    check(&owner, &uploaded, activated.as_deref()).await;
    program.stop().await;
}

/// Uploads until it is acknowledged; none once the host is gone.
async fn try_upload(owner: &Client, component: Vec<u8>) -> Option<String> {
    let request = owner
        .request(Method::POST, "/api/plugins/kept/versions")
        .header("Content-Type", "application/wasm")
        .body(component);
    let answer = Answer::try_of(request).await.ok()?;
    Some(text(&answer.expect(202)["version"]).to_owned())
}

/// Puts a version into use as soon as it is ready; false once the host is gone.
async fn try_activate(owner: &Client, version: &str, activated: &mut Option<String>) -> bool {
    let answered = wait_for(Patience::WORK, "a version to be ready", || async {
        let request = owner
            .request(Method::POST, "/api/plugins/kept/activate")
            .json(&json!({ "version": version }));
        match Answer::try_of(request).await {
            Ok(answer) if answer.status == 200 => Some(true),
            Ok(answer) => {
                answer.problem(409, "plugin-not-ready");
                None
            }
            Err(_) => Some(false),
        }
    })
    .await;
    // Of an answer that was lost nobody knows whether the version is in use; either is right.
    *activated = answered.then(|| version.to_owned());
    answered
}

async fn check(owner: &Client, uploaded: &[String], activated: Option<&str>) {
    let versions: Vec<Value> = owner.all("/api/plugins/versions").await;
    for version in uploaded {
        assert!(
            versions
                .iter()
                .any(|known| known["version"] == version.as_str()),
            "an acknowledged upload is gone: {version}"
        );
    }
    for version in &versions {
        let path = format!("/api/plugins/versions/{}", text(&version["version"]));
        let state = wait_for(Patience::WORK, "a version to be compiled", || async {
            let seen = owner.get(&path).await.expect(200);
            (seen["state"] != "compiling").then(|| text(&seen["state"]).to_owned())
        })
        .await;
        assert_eq!(state, "ready", "its bytes are whole: {version}");
    }
    let in_use = owner.get("/api/plugins").await.expect(200);
    for plugin in in_use["items"].as_array().expect("a list") {
        assert!(
            versions
                .iter()
                .any(|known| known["version"] == plugin["version"]),
            "what is in use is there: {plugin}"
        );
    }
    if let Some(activated) = activated {
        assert_eq!(in_use["items"][0]["version"], activated, "{in_use}");
    }
}

async fn make_tenant(data: &std::path::Path) {
    let engine = Engine::builder().store(Store::Embedded(data.join("db")));
    let engine = engine.build().await.expect("an engine on disk");
    let (tenant, _, _) = organizer_and_tenant(&engine, "north").await;
    owner_of(&engine, &tenant).await;
    assert!(
        engine.close(Duration::from_secs(30)).await,
        "nobody else has a handle"
    );
}
