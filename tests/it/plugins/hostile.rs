//! Goal: a host lives whatever is uploaded, and whatever it does when it is asked: nothing is booked on it, the tenant
//! reads what happened, and other tenants book on.
//!
//! Method: each hostile component goes the whole way, from upload to a booking; after each, another tenant books. Then
//! 10,000 random mutations of a good component (without --long as many as 15 seconds hold) go through the check, the
//! compiler and a call. The host is in this process: if one of them could bring it down, the test would not end.

use std::time::{Duration, Instant};

use boxoffice_engine::ports::{HookFailure, LoadFailure, PluginRuntime as _};
use boxoffice_tests::{
    Component, is_long_run, load_component, owner_of, plugin_host, plugin_settings, seeded,
};
use rand::Rng as _;

use super::{Fixture, code};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_components_refuse_their_own_bookings_and_nobody_elses() {
    let scene = Fixture::make().await;
    let engine = &scene.platform.engine;
    let south = scene.platform.tenant("south").await;
    let neighbour = owner_of(engine, &south).await;
    let neighbours_event = scene.platform.event(&neighbour, 1_000).await;
    let neighbours_customer = scene.platform.customer(&south, "ben").await;
    for (name, component) in [
        ("loops", Component::looping()),
        ("starts", Component::starting_forever()),
        ("grows", Component::growing(10_000)),
        ("recurses", Component::recursing(10_000_000)),
        ("traps", Component::trapping()),
        ("babbles", Component::saying(10_000_000)),
        ("shouts", Component::logging(20_000_000, 3)),
    ] {
        let set = scene.put_into_use(name, &component).await;
        assert_eq!(code(scene.book().await), "policy-unavailable", "{name}");
        scene
            .platform
            .book(&neighbours_customer, neighbours_event.id, 1)
            .await;
        let plugin = &set.plugins[0].name;
        let logs = engine.plugins().logs(&scene.owner, plugin).await;
        assert!(
            logs.expect("logs")
                .iter()
                .any(|entry| entry.failure.is_some()),
            "the tenant reads what {name} did"
        );
        let removed = engine.plugins().remove(&scene.owner, plugin, None).await;
        removed.expect("a plugin in use");
    }
    assert_eq!(scene.sold().await, 0);
    assert!(scene.book().await.is_ok());
}

/// Mutations that are tried, and how many of them at least on a machine that is slow.
const MUTATIONS: u32 = 10_000;
const MUTATIONS_MIN: u32 = 300;
/// How long they may take where nobody asked for all of them.
const MUTATED_FOR: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_functions_are_only_a_larger_plugin() {
    let scene = Fixture::make().await;
    scene
        .put_into_use("many", &Component::with_functions(10_000))
        .await;
    assert!(scene.book().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutations_of_a_good_component_never_harm_the_host() {
    let mut random = seeded();
    let mut settings = plugin_settings();
    settings.policy.time = Duration::from_millis(200);
    let host = plugin_host(settings);
    let good = Component::at_most(2);
    let begun = Instant::now();
    let (mut refused, mut rejected, mut crashed, mut asked) = (0, 0, 0, 0);
    for round in 0..MUTATIONS {
        if !is_long_run() && round >= MUTATIONS_MIN && begun.elapsed() > MUTATED_FOR {
            break;
        }
        let mut bytes = good.clone();
        for _ in 0..random.random_range(1..=4) {
            let index = random.random_range(8..bytes.len());
            bytes[index] = random.random();
        }
        if host.check(&bytes).is_err() {
            refused += 1;
            continue;
        }
        let (plugin, loaded) = load_component(&host, "north", &bytes).await;
        match loaded {
            // A compiler that crashed in its own process rejects the component, and harms nobody.
            Err(LoadFailure::Rejected(reason)) if reason.contains("compiler failed") => {
                println!("the compiler crashed in round {round}: {reason}");
                crashed += 1;
            }
            Err(LoadFailure::Rejected(_) | LoadFailure::OverLimits(_)) => rejected += 1,
            Err(failure) => panic!("{failure}"),
            Ok(_) => {
                asked += 1;
                let call = super::limits::call(plugin, "{}");
                let outcome = host.call(&call, &super::limits::question()).await;
                assert!(
                    matches!(outcome.answer, Ok(_) | Err(HookFailure::Failed(_))),
                    "{outcome:?}"
                );
            }
        }
    }
    println!(
        "{refused} refused, {rejected} rejected, {crashed} crashed the compiler, {asked} asked"
    );
    assert!(rejected > 0 && asked > 0);
    let plugin = super::limits::plugin(&host, "north", &good).await;
    let call = super::limits::call(plugin, "{}");
    assert!(
        host.call(&call, &super::limits::question())
            .await
            .answer
            .is_ok()
    );
}
