//! Goal: what would fail for customers fails at activation, for the owner: each export of a policy is tried, and the
//! fixtures that come with it. A policy that says no has not failed.
//!
//! Method: components that trap at one export, and fixtures that are met and are not; what is in use is compared before
//! and after.

use boxoffice_engine::ActivatePlugin;
use boxoffice_tests::{Component, upload, using};
use serde_json::{Value, json};

use super::{Fixture, code};

/// A fixture of a booking of so many tickets.
fn fixture(tickets: u32, expected: Value) -> Value {
    let mut question = serde_json::to_value(super::limits::question()).expect("JSON");
    question["request"]["lines"][0]["quantity"] = tickets.into();
    question["expected"] = expected;
    question
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activation_tries_every_export_of_a_version() {
    let scene = Fixture::make().await;
    let engine = &scene.platform.engine;
    let plugins = engine.plugins();
    for (name, component, export) in [
        ("traps", Component::trapping(), "validate-booking"),
        ("loops", Component::looping(), "validate-booking"),
        ("starts", Component::starting_forever(), "validate-booking"),
        ("miscounts", Component::miscounting(), "validate-booking"),
        (
            "half",
            Component::trapping_at_cancellations(),
            "validate-cancellation",
        ),
    ] {
        let version = upload(engine, &scene.owner, name, &component).await;
        let refused = plugins.activate(&scene.owner, using(name, version)).await;
        let error = refused.expect_err("it fails when it is tried");
        assert_eq!(
            (error.code().as_str(), error.field_name()),
            ("plugin-trial-failed", Some("version")),
            "{name}"
        );
        assert!(error.detail().starts_with(export), "{}", error.detail());
        let in_use = plugins.in_use(&scene.owner).await.expect("a set");
        assert_eq!(in_use.plugins, [], "{name}");
        let skipping = ActivatePlugin {
            skip_trial: true,
            ..using(name, version)
        };
        let activated = plugins.activate(&scene.owner, skipping).await;
        assert_eq!(activated.expect("as the owner wishes").set.plugins.len(), 1);
        let name = name.parse().expect("a name");
        let removed = plugins.remove(&scene.owner, &name, None).await;
        removed.expect("a plugin in use");
    }
    for (name, component) in [
        ("never", Component::rejecting()),
        ("always", Component::accepting()),
    ] {
        let version = upload(engine, &scene.owner, name, &component).await;
        let activated = plugins.activate(&scene.owner, using(name, version)).await;
        assert_eq!(activated.expect("it answers").warnings, [] as [String; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activation_runs_the_fixtures_that_come_with_it() {
    let scene = Fixture::make().await;
    let engine = &scene.platform.engine;
    let plugins = engine.plugins();
    let version = upload(engine, &scene.owner, "two-each", &Component::at_most(2)).await;
    let with = |fixtures: Vec<Value>| ActivatePlugin {
        fixtures,
        ..using("two-each", version)
    };
    let met = fixture(2, json!({"decision": "accept"}));
    let other = fixture(3, json!({"decision": "accept"}));
    let unmet = plugins
        .activate(&scene.owner, with(vec![met.clone(), other]))
        .await;
    let error = unmet.expect_err("it says no to three");
    assert_eq!(
        (error.code().as_str(), error.field_name()),
        ("plugin-trial-failed", Some("fixtures[1]"))
    );
    assert!(error.detail().contains("reject"), "{}", error.detail());
    let broken = plugins
        .activate(&scene.owner, with(vec![json!({"export": "x"})]))
        .await;
    let error = broken.expect_err("no fixture");
    assert_eq!(
        (error.code().as_str(), error.field_name()),
        ("field-invalid", Some("fixtures[0]"))
    );
    let many = vec![met.clone(); ActivatePlugin::FIXTURES_MAX + 1];
    assert_eq!(
        code(plugins.activate(&scene.owner, with(many)).await),
        "field-invalid"
    );
    let refused = fixture(3, json!({"decision": "reject", "code": "no"}));
    let activated = plugins
        .activate(&scene.owner, with(vec![met, refused]))
        .await;
    assert_eq!(activated.expect("both are met").set.plugins.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixture_may_expect_a_failure() {
    let scene = Fixture::make().await;
    let engine = &scene.platform.engine;
    let component = Component::trapping_from(3);
    let version = upload(engine, &scene.owner, "some", &component).await;
    let with = |expected: Value| ActivatePlugin {
        fixtures: vec![fixture(3, expected)],
        ..using("some", version)
    };
    let plugins = engine.plugins();
    let other = with(json!({"failure": "a word that it never says"}));
    let refused = plugins.activate(&scene.owner, other).await;
    assert_eq!(code(refused), "plugin-trial-failed");
    let expected = with(json!({"failure": "trapped"}));
    let activated = plugins.activate(&scene.owner, expected).await;
    assert_eq!(activated.expect("as expected").set.plugins.len(), 1);
}
