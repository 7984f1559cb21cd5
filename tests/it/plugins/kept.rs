//! Goal: what is kept of uploads goes with them: in the store, in memory and on disk; and machine code is kept over a restart
//! whatever the store is.
//!
//! Method: many uploads that are tried and deleted, at an engine whose plugin host, folder and store are looked into, and at
//! the program, whose memory and cache are measured, with a store that is another process; with --long a thousand of 3 MB. Two programs one after the other with a
//! store on a server, of which the second has no time to compile.

use std::time::Duration;

use boxoffice_engine::{Engine, PluginName, Store, UploadPlugin, ports::PluginRuntime as _};
use boxoffice_host::plugin_host::PluginCache;
use boxoffice_tests::{
    Answer, Component, Config, Patience, Program, SurrealServer, TempFolder, is_long_run,
    organizer_and_tenant, owner_of, plugin_host, plugin_settings, quick_settings, upload,
    wait_until,
};
use reqwest::Method;
use serde_json::json;

use super::{
    broken_uploads::padded_to,
    limits::{question, question_json},
    pushing::{files, push, resident_bytes, settled},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_leave_nothing_behind_once_they_are_deleted() {
    let server = SurrealServer::start().await;
    let folder = TempFolder::new("plugins-kept");
    let mut settings = plugin_settings();
    settings.cache = Some(PluginCache {
        folder: folder.join("cache"),
        key: [7; 32],
        bytes_max: 1 << 30,
    });
    let host = plugin_host(settings);
    let engine = Engine::builder()
        .store(server.store())
        .settings(quick_settings())
        .plugins(host.clone())
        .build()
        .await
        .expect("an engine on the server");
    let (tenant, ..) = organizer_and_tenant(&engine, "north").await;
    let owner = owner_of(&engine, &tenant).await;
    let plugins = engine.plugins();
    for tickets in 0..24 {
        let component = padded_to(700_000, Component::at_most(tickets), 7);
        let hash = upload(&engine, &owner, "tried", &component).await;
        let tried = plugins.dry_run(&owner, hash, question(), None).await;
        assert!(tried.is_ok_and(|outcome| outcome.answer.is_ok()));
        // Loaded, and on disk.
        assert_eq!(host.kept().len(), 2);
        plugins.delete(&owner, hash).await.expect("not in use");
        assert!(host.kept().is_empty());
    }
    // Deleted while they are compiled.
    for tickets in 100..108 {
        let command = UploadPlugin {
            name: PluginName::parse("name", "brief").expect("a name"),
            bytes: Component::at_most(tickets).into(),
        };
        let version = plugins.upload(&owner, command).await.expect("an upload");
        plugins
            .delete(&owner, version.hash)
            .await
            .expect("not in use");
    }
    // The line is first come, first served for one tenant: behind this one they are all done with.
    let last = upload(&engine, &owner, "last", &Component::at_most(200)).await;
    plugins.delete(&owner, last).await.expect("not in use");
    wait_until(
        Patience::WORK,
        "what was compiled in vain to be dropped",
        || async { host.kept().is_empty() },
    )
    .await;
    assert_eq!(files(&folder.join("cache")), 0);
    for table in ["plugin", "plugin_chunk", "plugin_upload", "plugin_log"] {
        let namespace = SurrealServer::NAMESPACE;
        let question = format!("SELECT count() FROM {table} GROUP ALL");
        let answer = server.sql(namespace, namespace, &question).await;
        let count = answer[0]["result"][0]["count"].as_u64().unwrap_or(0);
        assert_eq!(count, 0, "{table}");
    }
}

const TAKEN: &str = "it is no bomb";

/// Uploads before the first measurement and in all; the first ones fill pools and buffers that stay.
fn rounds() -> (u32, u32) {
    match is_long_run() {
        true => (50, 1_000),
        false => (6, 18),
    }
}

/// What memory may grow by. A thousand uploads of 3 MB that stayed would take ten times as much.
const GROWTH_BYTES_MAX: u64 = 300_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_programs_memory_and_cache_are_as_before_many_uploads() {
    // A store in the program has buffers of its own, which grow with what is written.
    let server = SurrealServer::start_on_disk().await;
    make_owner(server.store()).await;
    let folder = TempFolder::new("plugins-memory");
    let cache = folder.join("cache");
    let config =
        Config::remote(&server).text("plugins", "cache_folder", &cache.display().to_string());
    let program = Program::serve(&config.write(&folder, "boxoffice.toml")).await;
    let door = program.client().tenant("north");
    let mut owner = door.login("owner@north.test").await.client;
    let (warm, all) = rounds();
    let mut before = 0;
    for round in 0..all {
        // A thousand uploads take longer than a token lives.
        if round % 100 == 99 {
            owner = door.login("owner@north.test").await.client;
        }
        if round == warm {
            before = resident_bytes(program.id());
        }
        let component = padded_to(3_000_000, Component::at_most(round), 7);
        let version = push(&owner, component).await.expect(TAKEN);
        let path = format!("/api/plugins/versions/{version}");
        assert_eq!(settled(&owner, &version).await["state"], "ready");
        let gone = Answer::of(owner.request(Method::DELETE, &path)).await;
        assert_eq!(gone.status, 204, "{}", gone.text);
    }
    let after = resident_bytes(program.id());
    let measured = all - warm;
    println!("{before} bytes of memory before, {after} after {measured} uploads");
    assert!(after < before + GROWTH_BYTES_MAX, "{before}, then {after}");
    assert_eq!(files(&cache), 1, "the key of the seal");
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machine_code_is_kept_over_a_restart_with_a_store_on_a_server() {
    let server = SurrealServer::start().await;
    make_owner(server.store()).await;
    let folder = TempFolder::new("plugins-server");
    let cache = folder.join("cache");
    let config =
        Config::remote(&server).text("plugins", "cache_folder", &cache.display().to_string());
    let program = Program::serve(&config.write(&folder, "first.toml")).await;
    let owner = program.client().tenant("north");
    let owner = owner.login("owner@north.test").await.client;
    let version = push(&owner, Component::at_most(2)).await.expect(TAKEN);
    assert_eq!(settled(&owner, &version).await["state"], "ready");
    program.stop().await;
    assert_eq!(files(&cache), 2, "the machine code and the key of its seal");

    let config = config.raw("plugins", "compile_seconds", "0.01");
    let program = Program::serve(&config.write(&folder, "second.toml")).await;
    let owner = program.client().tenant("north");
    let owner = owner.login("owner@north.test").await.client;
    let asked = owner
        .post(
            &format!("/api/plugins/versions/{version}/dry-run"),
            json!({ "question": question_json() }),
        )
        .await;
    let answer = asked.expect(200);
    assert_eq!(answer["answer"]["decision"], "accept", "{answer}");
    // Another one shows that there is no time.
    let other = push(&owner, Component::with_functions(2_000))
        .await
        .expect(TAKEN);
    let other = settled(&owner, &other).await;
    assert_eq!(
        (&other["state"], &other["mayRetry"]),
        (&json!("rejected"), &json!(true)),
        "{other}"
    );
    program.stop().await;
}

async fn make_owner(store: Store) {
    let engine = Engine::builder().store(store).settings(quick_settings());
    let engine = engine.build().await.expect("an engine");
    let (tenant, ..) = organizer_and_tenant(&engine, "north").await;
    owner_of(&engine, &tenant).await;
    assert!(
        engine.close(Duration::from_secs(30)).await,
        "nobody else has it"
    );
}
