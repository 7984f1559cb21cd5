//! Goal: what an upload leaves that broke off is taken away an hour later, by the tenant's next upload or by a worker, and
//! nothing else is: neither what is still being uploaded nor what was uploaded again.
//!
//! Method: uploads of many chunks to an engine on a SurrealDB server, cut off once some chunks are there; the clock is moved,
//! and the chunks are counted in the store.

use std::{sync::Arc, time::Duration};

use boxoffice_engine::{Caller, Engine, PluginHash, PluginName, PluginState, UploadPlugin};
use boxoffice_tests::{
    Component, FakeClock, Patience, SurrealServer, organizer_and_tenant, owner_of, plugin_host,
    plugin_settings, quick_settings, upload, upload_any, wait_for, wait_until,
};

use super::code;

/// As in the engine's `repositories/plugins.rs`.
const CHUNK_BYTES: usize = 512 * 1024;
/// Enough chunks that an upload is cut off among them.
const LARGE_BYTES: usize = 24 * CHUNK_BYTES;
const MINUTE: Duration = Duration::from_secs(60);

struct Fixture {
    server: SurrealServer,
    engine: Engine,
    clock: Arc<FakeClock>,
    owner: Caller,
}

impl Fixture {
    async fn open() -> Self {
        let server = SurrealServer::start().await;
        let mut plugins = plugin_settings();
        plugins.upload_bytes_max = 2 * LARGE_BYTES;
        let clock = Arc::new(FakeClock::at("2026-12-01T12:00:00Z"));
        let engine = Engine::builder()
            .store(server.store())
            .settings(quick_settings())
            .clock(clock.clone())
            .plugins(plugin_host(plugins))
            .build()
            .await
            .expect("an engine on the server starts");
        let (tenant, ..) = organizer_and_tenant(&engine, "north").await;
        let owner = owner_of(&engine, &tenant).await;
        Self {
            server,
            engine,
            clock,
            owner,
        }
    }

    async fn count(&self, rows: &str) -> u64 {
        let namespace = SurrealServer::NAMESPACE;
        let question = format!("SELECT count() FROM {rows} GROUP ALL");
        let answer = self.server.sql(namespace, namespace, &question).await;
        answer[0]["result"][0]["count"].as_u64().unwrap_or(0)
    }

    async fn chunks(&self, hash: PluginHash) -> u64 {
        let rows = format!("plugin_chunk:['north', '{hash}']..['north', '{hash}', ..]");
        self.count(&rows).await
    }

    /// How many uploads are noted as begun and not ended.
    async fn notes(&self) -> u64 {
        self.count("plugin_upload").await
    }

    /// Begins an upload and breaks it off once some of its chunks are there.
    async fn break_off(&self, name: &str, component: &[u8]) -> PluginHash {
        let hash = PluginHash::of(component);
        let command = UploadPlugin {
            name: PluginName::parse("name", name).expect("a name"),
            bytes: component.into(),
        };
        let (engine, owner) = (self.engine.clone(), self.owner.clone());
        let upload = tokio::spawn(async move { engine.plugins().upload(&owner, command).await });
        wait_for(Patience::WORK, "some chunks", || async {
            (self.chunks(hash).await >= 2).then_some(())
        })
        .await;
        upload.abort();
        assert!(
            upload.await.is_err_and(|error| error.is_cancelled()),
            "the upload was faster than the test"
        );
        let shown = self.engine.plugins().show(&self.owner, hash).await;
        assert_eq!(code(shown), "not-found");
        hash
    }
}

/// A component that is cut off among its chunks.
fn padded(component: Vec<u8>, filler: u8) -> Vec<u8> {
    padded_to(LARGE_BYTES, component, filler)
}

/// A component of so many bytes, all but the beginning of it of no meaning (a custom section).
pub(super) fn padded_to(length: usize, component: Vec<u8>, filler: u8) -> Vec<u8> {
    let mut bytes = component;
    let content = length - bytes.len();
    bytes.push(0);
    // LEB128 in five bytes, as a u32 may have.
    let length = u32::try_from(content).expect("it is small");
    bytes.extend((0..5).map(|part| {
        let seven = (length >> (7 * part)) as u8 & 0x7f;
        if part < 4 { seven | 0x80 } else { seven }
    }));
    bytes.extend([3, b'p', b'a', b'd']);
    bytes.resize(bytes.len() + content - 4, filler);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_broke_off_is_swept_an_hour_later_and_what_runs_is_not() {
    let scene = Fixture::open().await;
    let (engine, owner) = (&scene.engine, &scene.owner);
    let old = padded(Component::accepting(), 1);
    let old = scene.break_off("old", &old).await;
    assert_eq!(scene.notes().await, 1);

    // It may still be running for all anybody knows.
    scene.clock.advance(50 * MINUTE);
    upload(engine, owner, "small-1", &Component::at_most(1)).await;
    assert!(scene.chunks(old).await >= 2);
    assert_eq!(scene.notes().await, 1);

    scene.clock.advance(11 * MINUTE);
    let young = padded(Component::accepting(), 2);
    let young_hash = scene.break_off("young", &young).await;
    upload(engine, owner, "small-2", &Component::at_most(2)).await;
    assert_eq!(scene.chunks(old).await, 0, "an hour is over");
    assert!(scene.chunks(young_hash).await >= 2, "it has just begun");
    assert_eq!(scene.notes().await, 1);

    // Uploaded again, it is whole, and no note of the first try takes it away later.
    let large = padded(Component::accepting(), 3);
    let (again, running, ()) = tokio::join!(
        upload_any(engine, owner, "young", &young),
        upload_any(engine, owner, "large", &large),
        async {
            for tickets in 3..8 {
                upload(engine, owner, "small-3", &Component::at_most(tickets)).await;
            }
        }
    );
    scene.clock.advance(120 * MINUTE);
    upload(engine, owner, "small-4", &Component::at_most(9)).await;
    for (hash, state) in [again, running] {
        assert_eq!(state, PluginState::Ready);
        let whole = LARGE_BYTES.div_ceil(CHUNK_BYTES) as u64;
        assert!(scene.chunks(hash).await >= whole);
    }
    assert_eq!(scene.notes().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_sweep_what_broke_off_of_tenants_that_never_come_back() {
    let scene = Fixture::open().await;
    let left = padded(Component::accepting(), 1);
    let left = scene.break_off("left", &left).await;
    scene.clock.advance(61 * MINUTE);
    let _singletons = scene.engine.worker().spawn_singletons();
    wait_until(Patience::WORK, "what broke off to be swept", || async {
        scene.notes().await == 0
    })
    .await;
    assert_eq!(scene.chunks(left).await, 0);
}
