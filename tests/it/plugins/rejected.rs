//! Goal: what a host cannot take is rejected with the reason, once: an upload is answered at once whatever it costs to check;
//! what the pool has no room for is not compiled at each look; and what one host has no room for keeps it from nothing else.
//!
//! Method: a compiler that counts how often it is started, in front of the real one; bombs of nesting and of code; a host
//! with lower limits than the one that a plugin was activated with.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use boxoffice_engine::{BookTickets, Engine, PluginName, PluginState, UploadPlugin};
use boxoffice_host::{PluginHostSettings, plugin_host::Compiler};
use boxoffice_tests::{
    Component, Patience, SurrealServer, TempFolder, create_event, email, ensure_customer,
    organizer_and_tenant, owner_of, plugin_host, plugin_settings, put_into_use, quick_settings,
    required_variable, upload_any, using, wait_until,
};

use super::{
    Fixture, code,
    strangers::{code_bomb, nested_bomb},
};

const YES: &str = "(i32.const 64)";

/// A compiler that writes a line for each start.
struct Counted {
    folder: TempFolder,
}

impl Counted {
    fn new() -> Self {
        Self {
            folder: TempFolder::new("compilers"),
        }
    }

    fn starts(&self) -> usize {
        let text = std::fs::read_to_string(self.file()).unwrap_or_default();
        text.lines().count()
    }

    fn file(&self) -> PathBuf {
        self.folder.join("starts")
    }

    fn settings(&self) -> PluginHostSettings {
        let script = format!(
            "echo >> '{}'; exec '{}' plugin-compile",
            self.file().display(),
            required_variable("BOXOFFICE_BIN")
        );
        PluginHostSettings {
            compiler: Compiler::Program {
                path: PathBuf::from("/bin/sh"),
                arguments: vec!["-c".to_owned(), script],
            },
            ..plugin_settings()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_the_pool_has_no_room_for_is_rejected_once() {
    let counted = Counted::new();
    let scene = Fixture::with(counted.settings()).await;
    let engine = &scene.platform.engine;
    for (name, core, word) in [
        ("table", "(table 10511 funcref)", "table"),
        ("memories", "(memory 1) (memory 1)", "memor"),
        ("pages", "(memory 600)", "memory"),
    ] {
        let before = counted.starts();
        let component = Component::edited(YES, core, "", &[]);
        let (hash, state) = upload_any(engine, &scene.owner, name, &component).await;
        let PluginState::Rejected { reason, may_retry } = state else {
            panic!("{name}: {state:?}");
        };
        assert!(may_retry && reason.contains(word), "{reason}");
        for _ in 0..5 {
            let plugins = engine.plugins();
            let shown = plugins.show(&scene.owner, hash).await.expect("a version");
            assert!(matches!(shown.state, PluginState::Rejected { .. }));
            let activated = plugins.activate(&scene.owner, using(name, hash)).await;
            assert_eq!(code(activated), "plugin-not-ready");
        }
        assert!(engine.ready().await.is_ok());
        assert_eq!(counted.starts() - before, 1, "{name}");
    }
    assert!(scene.book().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_are_answered_at_once_and_rejected_within_the_childs_bounds() {
    let mut settings = plugin_settings();
    settings.compile_time_max = Duration::from_secs(1);
    let scene = Fixture::with(settings).await;
    let engine = &scene.platform.engine;
    let south = scene.platform.tenant("south").await;
    let neighbour = owner_of(engine, &south).await;
    let event = scene.platform.event(&neighbour, 10_000).await;
    let ben = scene.platform.customer(&south, "ben").await;
    // On a busy machine the child's time by the clock is over before its time on a processor.
    for (name, bomb, words) in [
        ("nested", nested_bomb(), &["nesting"][..]),
        ("code", code_bomb(), &["processor", "took longer than"][..]),
    ] {
        let begun = Instant::now();
        let command = UploadPlugin {
            name: PluginName::parse("name", name).expect("a name"),
            bytes: bomb.as_slice().into(),
        };
        let version = engine.plugins().upload(&scene.owner, command).await;
        let version = version.expect("it is checked behind the answer");
        let answered = begun.elapsed();
        assert_eq!(version.state, PluginState::Compiling);
        assert!(answered < Duration::from_secs(5), "{name}: {answered:?}");
        let (mut booked, mut slowest) = (0, Duration::ZERO);
        let reason = loop {
            let asked = Instant::now();
            scene.platform.book(&ben, event.id, 1).await;
            slowest = slowest.max(asked.elapsed());
            booked += 1;
            let shown = engine.plugins().show(&scene.owner, version.hash).await;
            match shown.expect("the version").state {
                PluginState::Compiling => {}
                PluginState::Rejected { reason, .. } => break reason,
                PluginState::Ready => panic!("{name} is taken"),
            }
            // Three times the child's second, its start, and the tests beside it.
            assert!(begun.elapsed() < Duration::from_secs(60), "{name}");
        };
        println!(
            "{name}: answered after {answered:?}, rejected after {:?}: {reason}; {booked} bookings, the slowest took {slowest:?}",
            begun.elapsed()
        );
        let names_bound = words.iter().any(|word| reason.contains(word));
        assert!(names_bound, "{name}: {reason}");
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lowered_limit_has_no_room_for_keeps_no_host_from_being_ready() {
    let server = SurrealServer::start().await;
    let first = engine_on(&server, plugin_settings()).await;
    let (tenant, organizer, _) = organizer_and_tenant(&first, "north").await;
    let owner = owner_of(&first, &tenant).await;
    let now = jiff::Timestamp::now();
    let event = create_event(&first, &organizer, now, 100).await.id;
    let ann = ensure_customer(&first, &tenant, "ann", email("ann", &tenant)).await;
    let (south, others, _) = organizer_and_tenant(&first, "south").await;
    let others_event = create_event(&first, &others, now, 100).await.id;
    let ben = ensure_customer(&first, &south, "ben", email("ben", &south)).await;
    let large = Component::edited(YES, "(memory 160)", "", &[]);
    put_into_use(&first, &owner, "large", &large).await;
    let book = BookTickets::general(event, 1);
    let booked = first.bookings().book_tickets(&ann, book.clone()).await;
    assert!(booked.is_ok(), "{booked:?}");

    let counted = Counted::new();
    let mut settings = counted.settings();
    settings.policy.memory_bytes = 4 * 1024 * 1024;
    settings.template.memory_bytes = 4 * 1024 * 1024;
    let second = engine_on(&server, settings).await;
    wait_until(
        Patience::WORK,
        "the host to be ready without it",
        || async { second.ready().await.is_ok() },
    )
    .await;
    for _ in 0..5 {
        let refused = second.bookings().book_tickets(&ann, book.clone()).await;
        assert_eq!(code(refused), "policy-unavailable");
        assert!(second.ready().await.is_ok());
    }
    assert_eq!(counted.starts(), 1, "it is tried once");
    let book = BookTickets::general(others_event, 1);
    let booked = second.bookings().book_tickets(&ben, book).await;
    assert!(booked.is_ok(), "{booked:?}");
}

async fn engine_on(server: &SurrealServer, settings: PluginHostSettings) -> Engine {
    let engine = Engine::builder()
        .store(server.store())
        .settings(quick_settings())
        .plugins(plugin_host(settings));
    engine.build().await.expect("an engine on the server")
}
