//! Goal: every limit of a call is kept: what stays below passes, what goes beyond fails with a reason the tenant can
//! read, and the booking is refused.
//!
//! Method: pairs of components, one on each side of a limit, asked by a plugin host whose limits are set low; each pair also
//! says what the failure is called.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use boxoffice_engine::{
    PluginLimits,
    ports::{
        CallPriority, Decision, HookFailure, LoadFailure, PluginAnswer, PluginCall, PluginOutcome,
        PluginRef, PluginRequest, PluginRuntime as _,
    },
};
use boxoffice_host::{PluginHost, PluginHostSettings};
use boxoffice_tests::{Component, load_component, plugin_host, plugin_settings};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_limit_of_a_call_holds_on_both_sides() {
    let mut settings = plugin_settings();
    settings.policy.fuel = 1_000_000;
    settings.policy.memory_bytes = 1024 * 1024;
    settings.policy.output_bytes = 200;
    settings.policy.input_bytes = 2_000;
    settings.policy.log_bytes = 1_000;
    let host = plugin_host(settings);
    for (within, beyond, reason) in [
        (
            Component::working(10_000),
            Component::working(10_000_000),
            "fuel",
        ),
        (Component::growing(10), Component::growing(20), "memory"),
        (
            Component::recursing(1_000),
            Component::recursing(100_000),
            "stack",
        ),
        (
            Component::saying(150),
            Component::saying(250),
            "200 are allowed",
        ),
        // The contract's own bound, whatever the output limit.
        (
            Component::saying(150),
            Component::saying(100_000),
            "characters",
        ),
    ] {
        let answer = ask(&host, &within, "{}").await.answer;
        assert!(answer.is_ok(), "{reason}: {answer:?}");
        match ask(&host, &beyond, "{}").await.answer {
            Err(HookFailure::Failed(text)) => assert!(text.contains(reason), "{reason}: {text}"),
            other => panic!("{reason}: {other:?}"),
        }
    }
    let config = format!("{{\"x\":\"{}\"}}", "y".repeat(1_000));
    assert!(
        ask(&host, &Component::accepting(), &config)
            .await
            .answer
            .is_ok()
    );
    let config = format!("{{\"x\":\"{}\"}}", "y".repeat(2_000));
    let answer = ask(&host, &Component::accepting(), &config).await.answer;
    assert!(
        matches!(answer, Err(HookFailure::InputTooLarge(_))),
        "{answer:?}"
    );

    // A log is cut, and its plugin has not failed.
    let outcome = ask(&host, &Component::logging(100, 5), "{}").await;
    assert_eq!((outcome.answer.is_ok(), outcome.logs.len()), (true, 5));
    let outcome = ask(&host, &Component::logging(100, 50), "{}").await;
    assert!(outcome.answer.is_ok(), "{outcome:?}");
    let kept: usize = outcome.logs.iter().map(|line| line.message.len()).sum();
    assert!(kept <= 1_100, "{kept}");
    let last = outcome.logs.last().expect("lines");
    assert!(last.message.contains("cut"), "{last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_is_bounded_whatever_fuel_there_is() {
    let mut settings = plugin_settings();
    settings.policy.fuel = u64::MAX / 2;
    settings.policy.time = Duration::from_millis(200);
    let host = plugin_host(settings);
    assert!(
        ask(&host, &Component::working(1_000), "{}")
            .await
            .answer
            .is_ok()
    );
    for endless in [Component::looping(), Component::starting_forever()] {
        let outcome = ask(&host, &endless, "{}").await;
        match outcome.answer {
            Err(HookFailure::Failed(text)) => assert!(text.contains("longer than"), "{text}"),
            other => panic!("{other:?}"),
        }
        assert!(outcome.usage.microseconds >= 200_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_plugin_never_fails_for_time_on_a_busy_machine() {
    let mut settings = plugin_settings();
    // The bound of hosts, and work of some milliseconds: far below it, unless waiting for a core counts.
    settings.policy.time = Duration::from_millis(50);
    let host = plugin_host(settings);
    let plugin = plugin(&host, "north", &Component::working(1_000_000)).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..48)
        .map(|_| {
            let is_over = is_over.clone();
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let calls = (0..40).map(|_| {
        let (host, call) = (host.clone(), call(plugin.clone(), "{}"));
        async move {
            let begun = Instant::now();
            (host.call(&call, &question()).await, begun.elapsed())
        }
    });
    let outcomes = futures::future::join_all(calls).await;
    is_over.store(true, Ordering::Relaxed);
    for thread in busy {
        thread.join().expect("it only spins");
    }
    let slowest = outcomes.iter().map(|(_, took)| *took).max();
    println!("the slowest call took {slowest:?}");
    for (outcome, _) in outcomes {
        assert_eq!(outcome.answer, Ok(PluginAnswer::Decided(Decision::Accept)));
        assert!(outcome.usage.microseconds < 50_000, "{:?}", outcome.usage);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_and_their_compilation_are_bounded() {
    let component = Component::with_functions(10_000);
    let mut settings = plugin_settings();
    settings.upload_bytes_max = component.len();
    let host = plugin_host(settings.clone());
    assert!(host.check(&component).is_ok());
    settings.upload_bytes_max = component.len() - 1;
    let refusal = plugin_host(settings)
        .check(&component)
        .expect_err("too large");
    assert!(refusal.0.contains("are allowed"), "{refusal}");

    let bounded = |change: fn(&mut PluginHostSettings)| {
        let mut settings = plugin_settings();
        change(&mut settings);
        let (host, component) = (plugin_host(settings), component.clone());
        async move { load(&host, &component).await }
    };
    let plenty = bounded(|_| {}).await;
    assert!(plenty.is_ok(), "{plenty:?}");
    match bounded(|settings| settings.compile_time_max = Duration::from_millis(1)).await {
        Err(LoadFailure::TimedOut(text)) => assert!(text.contains("longer than"), "{text}"),
        other => panic!("{other:?}"),
    }
    for (reason, outcome) in [
        (
            "memory",
            bounded(|settings| settings.compile_memory_bytes_max = 1024 * 1024).await,
        ),
        (
            "machine code",
            bounded(|settings| settings.tenant_loaded_bytes_max = 64 * 1024).await,
        ),
    ] {
        match outcome {
            Err(LoadFailure::OverLimits(text)) => assert!(text.contains(reason), "{text}"),
            other => panic!("{reason}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_question_costs_and_answers_the_same() {
    let host = plugin_host(plugin_settings());
    let component = Component::looking_around();
    let first = ask(&host, &component, "{}").await;
    let again = ask(&host, &component, "{}").await;
    assert!(first.answer.is_ok(), "{first:?}");
    assert_eq!(
        (&first.answer, first.usage.fuel),
        (&again.answer, again.usage.fuel)
    );
    let elsewhere = ask(&plugin_host(plugin_settings()), &component, "{}").await;
    assert_eq!(
        first.answer, elsewhere.answer,
        "no clock, no randomness, no environment"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tenants_endless_loops_leave_room_for_others() {
    let mut settings = plugin_settings();
    settings.policy.fuel = u64::MAX / 2;
    settings.policy.time = Duration::from_secs(3);
    settings.wait_max = Duration::from_millis(500);
    let host = plugin_host(settings);
    let looping = plugin(&host, "loud", &Component::looping()).await;
    let quiet = plugin(&host, "quiet", &Component::accepting()).await;
    let loops: Vec<_> = (0..12)
        .map(|_| {
            let (host, call) = (host.clone(), call(looping.clone(), "{}"));
            tokio::spawn(async move { host.call(&call, &question()).await.answer })
        })
        .collect();
    let begun = std::time::Instant::now();
    let mut answered = 0;
    while loops.iter().any(|task| !task.is_finished()) {
        let outcome = host.call(&call(quiet.clone(), "{}"), &question()).await;
        assert_eq!(outcome.answer, Ok(PluginAnswer::Decided(Decision::Accept)));
        answered += 1;
    }
    assert!(begun.elapsed() >= Duration::from_millis(500));
    assert!(
        answered > 20,
        "the quiet tenant got {answered} answers meanwhile"
    );
    let (mut failed, mut busy) = (0, 0);
    for task in loops {
        match task.await.expect("a call ends") {
            Err(HookFailure::Failed(_)) => failed += 1,
            Err(HookFailure::Busy(_)) => busy += 1,
            other => panic!("{other:?}"),
        }
    }
    // Eight slots; those beyond them were told to come back, which is nobody's failure.
    assert_eq!((failed, busy), (8, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fuel_per_second_is_shared_out_by_tenant() {
    let mut settings = plugin_settings();
    settings.tenant_fuel_per_second = 1_000;
    settings.wait_max = Duration::from_millis(200);
    let host = plugin_host(settings);
    let busy = plugin(&host, "busy", &Component::working(10_000)).await;
    let outcome = host.call(&call(busy.clone(), "{}"), &question()).await;
    assert!(outcome.answer.is_ok());
    let outcome = host.call(&call(busy, "{}"), &question()).await;
    assert!(
        matches!(outcome.answer, Err(HookFailure::Busy(_))),
        "{outcome:?}"
    );
    let other = plugin(&host, "other", &Component::accepting()).await;
    assert!(
        host.call(&call(other, "{}"), &question())
            .await
            .answer
            .is_ok()
    );
}

/// Loads a component for a tenant.
pub(super) async fn plugin(host: &PluginHost, tenant: &str, component: &[u8]) -> PluginRef {
    let (plugin, loaded) = load_component(host, tenant, component).await;
    loaded.expect("a component that can be loaded");
    plugin
}

async fn load(host: &PluginHost, component: &[u8]) -> Result<(), LoadFailure> {
    let (_, loaded) = load_component(host, "north", component).await;
    loaded.map(drop)
}

async fn ask(host: &PluginHost, component: &[u8], config: &str) -> PluginOutcome {
    let plugin = plugin(host, "north", component).await;
    host.call(&call(plugin, config), &question()).await
}

pub(super) fn call(plugin: PluginRef, config: &str) -> PluginCall {
    PluginCall {
        plugin,
        config: config.into(),
        limits: PluginLimits::default(),
        priority: CallPriority::Request,
    }
}

/// A booking of two tickets at 1,000 each.
pub(super) fn question() -> PluginRequest {
    serde_json::from_value(question_json()).expect("a question")
}

/// The same as JSON.
pub(super) fn question_json() -> serde_json::Value {
    json!({
        "export": "validate-booking",
        "request": {
            "event": {
                "id": "e", "version": 1, "title": "Jazz Night", "startsAt": "2026-12-05T18:30:00Z",
                "timeZone": "Europe/Berlin", "currency": "EUR",
                "ticketTypes": [{ "id": "general", "name": "General", "priceMinor": 1000 }]
            },
            "lines": [{ "ticketType": "general", "quantity": 2, "unitPriceMinor": 1000 }],
            "customer": { "pseudonym": "c-7f3a", "ticketsInEvent": 0 },
            "now": { "utc": "2026-11-22T18:30:00Z", "local": "2026-11-22T19:30:00+01:00" }
        }
    })
}
