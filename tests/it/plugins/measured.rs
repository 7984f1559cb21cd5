//! Goal: hostile uploads cost the program no memory and no disk that stay, and no neighbour the sale.
//!
//! Method: every component of the table of strangers is pushed to the program, and deleted, while a customer of another
//! tenant books; memory, cache and the time of bookings are taken before, during and after, and printed. Without --long
//! a tenth of the table, with a printed seed. BOXOFFICE_BIN may name a release build.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use boxoffice_engine::Engine;
use boxoffice_tests::{
    Answer, Client, Config, Program, SurrealServer, TempFolder, create_event, is_long_run,
    organizer_and_tenant, owner_of, quick_settings, seeded,
};
use futures::{StreamExt as _, stream};
use rand::seq::SliceRandom as _;
use reqwest::Method;
use serde_json::json;

use super::{
    pushing::{files, push, resident_bytes, settled},
    strangers,
};

/// Uploads at the same time, each of a tenant of its own.
const AT_ONCE: usize = 4;
/// Bookings before and after.
const BOOKINGS: usize = 100;
/// What memory may grow by; buffers of the process and of its store are in it.
const GROWTH_BYTES_MAX: u64 = 150_000_000;
/// Longest time of a booking beside them, in an unoptimised program on two cores with all tests beside it.
const SLOWEST_MAX: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_uploads_leave_the_program_and_its_neighbours_as_they_were() {
    let server = SurrealServer::start_on_disk().await;
    let folder = TempFolder::new("plugins-measured");
    let engine = Engine::builder()
        .store(server.store())
        .settings(quick_settings());
    let engine = engine.build().await.expect("an engine");
    let tenants: Vec<String> = (0..AT_ONCE).map(|one| format!("stranger-{one}")).collect();
    for tenant in &tenants {
        let (tenant, ..) = organizer_and_tenant(&engine, tenant).await;
        owner_of(&engine, &tenant).await;
    }
    let (_, organizer, _) = organizer_and_tenant(&engine, "south").await;
    let event = create_event(&engine, &organizer, jiff::Timestamp::now(), 1_000_000).await;
    assert!(engine.close(Duration::from_secs(30)).await, "nobody has it");
    let cache = folder.join("cache");
    let config = Config::remote(&server)
        .text("plugins", "cache_folder", &cache.display().to_string())
        .raw("plugins", "compile_seconds", "10");
    let program = Program::serve(&config.write(&folder, "boxoffice.toml")).await;
    let customer = program.client().tenant("south");
    let customer = customer.register("ann@south.test", "customer").await.client;
    let body = json!({"eventId": event.id.to_string(), "numTickets": 1});
    let book = async || {
        let begun = Instant::now();
        customer
            .post("/api/bookings", body.clone())
            .await
            .expect(201);
        begun.elapsed()
    };
    let alone = async || {
        let mut times = Vec::new();
        for _ in 0..BOOKINGS {
            times.push(book().await);
        }
        times
    };
    let mut owners = Vec::new();
    for tenant in &tenants {
        let owner = program.client().tenant(tenant);
        owners.push(owner.login(&format!("owner@{tenant}.test")).await.client);
    }

    let mut all = strangers::all();
    all.shuffle(&mut seeded());
    if !is_long_run() {
        all.truncate(all.len() / 10);
    }
    let uploads = all.len();
    let before = alone().await;
    let memory_before = resident_bytes(program.id());
    let (is_over, highest) = (AtomicBool::new(false), AtomicUsize::new(0));
    let storm = async {
        // Each tenant has its part; one of its own waits for the one before.
        let parts = owners.iter().enumerate().map(|(part, owner)| {
            let mine = all.iter().skip(part).step_by(AT_ONCE);
            let mine: Vec<_> = mine
                .map(|(name, component, _)| (*name, component))
                .collect();
            strike(owner, mine)
        });
        stream::iter(parts)
            .buffer_unordered(AT_ONCE)
            .for_each(|()| async {})
            .await;
        is_over.store(true, Ordering::Relaxed);
    };
    let neighbour = async {
        let mut times = Vec::new();
        while !is_over.load(Ordering::Relaxed) || times.is_empty() {
            times.push(book().await);
            highest.fetch_max(resident_bytes(program.id()) as usize, Ordering::Relaxed);
        }
        times
    };
    let begun = Instant::now();
    let ((), during) = tokio::join!(storm, neighbour);
    let took = begun.elapsed();
    let after = alone().await;
    let memory_after = resident_bytes(program.id());
    for (when, times) in [("before", &before), ("during", &during), ("after", &after)] {
        println!("bookings {when}: {}", in_words(times));
    }
    println!(
        "{uploads} uploads in {took:?}; memory {memory_before} bytes, at most {}, {memory_after} after; {} files in the cache",
        highest.into_inner(),
        files(&cache)
    );
    assert!(
        memory_after < memory_before + GROWTH_BYTES_MAX,
        "{memory_before}, then {memory_after}"
    );
    assert_eq!(files(&cache), 1, "the key of the seal");
    let slowest = during.iter().max().expect("a booking");
    assert!(*slowest < SLOWEST_MAX, "{slowest:?}");
    program.stop().await;
}

/// Pushes components one after the other, waits for what comes of each, and deletes it.
async fn strike(owner: &Client, components: Vec<(&str, &Vec<u8>)>) {
    for (name, component) in components {
        let Some(version) = push(owner, component.clone()).await else {
            // Refused at the door.
            continue;
        };
        let seen = settled(owner, &version).await;
        println!("{name}: {} {}", seen["state"], seen["reason"]);
        let path = format!("/api/plugins/versions/{version}");
        let gone = Answer::of(owner.request(Method::DELETE, &path)).await;
        assert_eq!(gone.status, 204, "{}", gone.text);
    }
}

fn in_words(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    format!(
        "{}; half within {:?}, 99 of 100 within {:?}, all within {:?}",
        times.len(),
        at(50),
        at(99),
        at(100)
    )
}
