//! Goal: what counts as a valid answer is judged once for all: an answer that is not valid refuses the booking and the hold,
//! fails dry runs and `boxoffice plugin run` alike, is counted as failed, and its owner reads why, with the call to make
//! again and the request's id.
//!
//! Method: components whose answers cannot be meant, over the engine and over REST; the failed call that is read back is
//! made again by the program.

use boxoffice_engine::{
    HoldTickets,
    ports::{HookFailure, PluginFixture},
};
use boxoffice_tests::{Component, Hosted, TempFolder, required_variable};
use serde_json::json;

use super::{Fixture, code};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_valid_leaves_the_same_trace_everywhere() {
    let scene = Fixture::make().await;
    let plugins = scene.platform.engine.plugins();
    for (name, component, reason) in [
        (
            "miscounts",
            Component::miscounting(),
            "2 prices for 1 lines",
        ),
        // The event is free.
        ("dear", Component::priced(1), "ten times the list price 0"),
    ] {
        let set = scene.put_into_use(name, &component).await;
        let plugin = &set.plugins[0];
        assert_eq!(code(scene.book().await), "policy-unavailable");
        let holds = scene.platform.engine.holds();
        let held = holds.hold_tickets(&scene.customer, HoldTickets::general(scene.event.id, 1));
        assert_eq!(code(held.await), "policy-unavailable");

        let metrics = plugins.metrics(&scene.owner, &plugin.name).await;
        let here = metrics.expect("metrics").here;
        assert_eq!((here.answered, here.failed), (0, 2), "{name}");
        let logs = plugins
            .logs(&scene.owner, &plugin.name)
            .await
            .expect("logs");
        let failures: Vec<_> = logs
            .iter()
            .filter_map(|entry| entry.failure.as_deref())
            .collect();
        assert_eq!(failures.len(), 2, "{name}: {logs:?}");
        assert!(failures[0].contains(reason), "{failures:?}");

        let failed = plugins.failed_calls(&scene.owner, &plugin.name).await;
        let failed = failed.expect("failed calls");
        assert_eq!(failed.len(), 2);
        let question = failed[0].question.clone().expect("a small question");
        let fixture = PluginFixture::read(question).expect("a fixture");
        let tried = plugins
            .dry_run(&scene.owner, plugin.version, fixture.request, None)
            .await
            .expect("a trial");
        match tried.answer {
            Err(HookFailure::Failed(text)) => assert!(text.contains(reason), "{text}"),
            other => panic!("{name}: {other:?}"),
        }
        // Logs survive what they are about.
        let removed = plugins.remove(&scene.owner, &plugin.name, None).await;
        removed.expect("a plugin in use");
        let logs = plugins
            .logs(&scene.owner, &plugin.name)
            .await
            .expect("logs");
        assert_eq!(logs.len(), 2);
    }
    assert_eq!(scene.sold().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_call_is_read_with_its_request_and_made_again_by_the_program() {
    let scene = Fixture::make().await;
    let component = Component::miscounting();
    scene.put_into_use("miscounts", &component).await;
    let host = Hosted::start(scene.platform.engine.clone()).await;
    let door = host.client().tenant("north");
    let owner = door.login("owner@north.test").await.client;
    let ann = door.register("anna@north.test", "customer").await.client;
    let body = json!({"eventId": scene.event.id.to_string(), "numTickets": 1});
    let refused = ann.post("/api/bookings", body).await;
    refused.problem(503, "policy-unavailable");
    let request_id = refused.header("x-request-id").to_owned();

    let path = "/api/plugins/miscounts/failed-calls";
    let failed = owner.get(path).await.expect(200);
    let call = &failed["items"][0];
    assert_eq!(call["requestId"], request_id);
    assert_eq!(call["export"], "validate-booking");
    let failure = call["failure"].as_str().expect("a reason");
    assert!(failure.contains("2 prices for 1 lines"), "{failure}");
    let logs = owner.get("/api/plugins/miscounts/logs").await.expect(200);
    assert_eq!(logs["items"][0]["requestId"], request_id);
    ann.get(path).await.problem(403, "forbidden");
    owner
        .get("/api/plugins/unknown/failed-calls")
        .await
        .problem(404, "not-found");

    let folder = TempFolder::new("made-again");
    let (wasm, fixture) = (folder.join("plugin.wasm"), folder.join("fixture.json"));
    std::fs::write(&wasm, &component).expect("a file of ours");
    std::fs::write(&fixture, call["fixture"].to_string()).expect("a file of ours");
    let ran = std::process::Command::new(required_variable("BOXOFFICE_BIN"))
        .args(["plugin", "run"])
        .arg(&wasm)
        .arg("--input")
        .arg(&fixture)
        .output()
        .expect("the program runs");
    assert_eq!(ran.status.code(), Some(1));
    let printed: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(printed["failure"], failure);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_plugins_tell_customers_is_as_strict_as_titles() {
    let scene = Fixture::make().await;
    let plugins = scene.platform.engine.plugins();
    let telling = |text: &str| Component::telling_text(text);
    let rejecting = |text: &str| Component::rejecting_text(text);
    // Each has three bytes: a line separator, a direction override, nothing that shows, a line break within.
    for (bytes, rule) in [
        ("a\u{85}", ""),
        ("\u{2028}", "must show something"),
        ("\u{202e}", "without control characters"),
        ("\u{200b}", "must show something"),
        ("a\nb", "without control characters"),
    ] {
        for (name, component) in [("tells", telling(bytes)), ("rejects", rejecting(bytes))] {
            let set = scene.put_into_use(name, &component).await;
            let plugin = set.plugins[0].name.clone();
            let booked = scene.book().await;
            if rule.is_empty() {
                // What stands around the line is cut off, as it is of titles.
                match booked {
                    Ok(booking) => assert_eq!(booking.messages, ["a"]),
                    Err(refusal) => assert_eq!(refusal.detail(), "a"),
                }
            } else {
                assert_eq!(code(booked), "policy-unavailable", "{bytes:?}");
                let logs = plugins.logs(&scene.owner, &plugin).await.expect("logs");
                let mut failures = logs.iter().filter_map(|entry| entry.failure.as_deref());
                let is_told = failures.any(|failure| failure.contains(rule));
                assert!(is_told, "{bytes:?}: {logs:?}");
            }
            let removed = plugins.remove(&scene.owner, &plugin, None).await;
            removed.expect("a plugin in use");
        }
    }
}
