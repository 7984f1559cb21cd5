//! Goal: a tenant lowers the limits of a plugin's calls and never raises them, and reads what its plugin's calls cost.
//!
//! Method: each limit is set below the server's for a component that stays within it, and for the same limit a little lower;
//! the same component is booked with. Then a limit above the server's, and what is no limit, are refused with its name.

use boxoffice_engine::{ActivatePlugin, PluginLimits, PluginName};
use boxoffice_tests::{Component, plugin_settings, using};

use super::{Fixture, code};

fn lowered(limits: PluginLimits) -> ActivatePlugin {
    let version = boxoffice_engine::PluginHash::of(b"");
    ActivatePlugin {
        version: None,
        limits: Some(limits),
        ..using("lowered", version)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_limits_go_below_the_servers_and_hold() {
    let scene = Fixture::make().await;
    let plugins = scene.platform.engine.plugins();
    let none = PluginLimits::default();
    for (component, enough, too_little) in [
        (
            Component::working(10_000),
            PluginLimits {
                fuel: Some(1_000_000),
                ..none
            },
            PluginLimits {
                fuel: Some(10_000),
                ..none
            },
        ),
        (
            Component::growing(10),
            PluginLimits {
                memory_bytes: Some(1024 * 1024),
                ..none
            },
            PluginLimits {
                memory_bytes: Some(256 * 1024),
                ..none
            },
        ),
        (
            // Most of the fuel that a policy has, some milliseconds.
            Component::working(3_000_000),
            PluginLimits {
                time_ms: Some(2_000),
                ..none
            },
            PluginLimits {
                time_ms: Some(1),
                ..none
            },
        ),
    ] {
        scene.put_into_use("lowered", &component).await;
        let set = plugins.activate(&scene.owner, lowered(enough)).await;
        assert_eq!(set.expect("limits below").set.plugins[0].limits, enough);
        assert!(scene.book().await.is_ok(), "{enough:?}");
        let set = plugins.activate(&scene.owner, lowered(too_little)).await;
        assert_eq!(set.expect("limits below").set.plugins[0].limits, too_little);
        // A busy machine may use up a millisecond before the plugin has run at all: that is not the plugin's failure.
        let refused = code(scene.book().await);
        let is_busy = too_little.time_ms.is_some() && refused == "policy-busy";
        assert!(
            is_busy || refused == "policy-unavailable",
            "{too_little:?}: {refused}"
        );
        // Another version keeps them, until they are set anew.
        let set = plugins.activate(&scene.owner, lowered(none)).await;
        assert_eq!(set.expect("no limits").set.plugins[0].limits, none);
        assert!(scene.book().await.is_ok());
    }
    let input = PluginLimits {
        input_bytes: Some(10),
        ..none
    };
    plugins
        .activate(&scene.owner, lowered(input))
        .await
        .expect("limits below");
    assert_eq!(code(scene.book().await), "policy-input-too-large");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_limits_above_the_servers_are_refused_by_name() {
    let settings = plugin_settings();
    let scene = Fixture::with(settings.clone()).await;
    scene.put_into_use("lowered", &Component::accepting()).await;
    let plugins = scene.platform.engine.plugins();
    let none = PluginLimits::default();
    // A plugin may do either, so that the larger of both bounds is what it cannot go above.
    let most = settings.policy.fuel.max(settings.template.fuel);
    for (limits, field) in [
        (
            PluginLimits {
                fuel: Some(most + 1),
                ..none
            },
            "limits.fuel",
        ),
        (
            PluginLimits {
                time_ms: Some(0),
                ..none
            },
            "limits.timeMs",
        ),
        (
            PluginLimits {
                memory_bytes: Some(1),
                ..none
            },
            "limits.memoryBytes",
        ),
        (
            PluginLimits {
                log_bytes: Some(1 << 40),
                ..none
            },
            "limits.logBytes",
        ),
    ] {
        let outcome = plugins.activate(&scene.owner, lowered(limits)).await;
        let error = outcome.expect_err("a limit above the server's");
        assert_eq!(
            (error.code().as_str(), error.field_name()),
            ("field-invalid", Some(field))
        );
    }
    let at_most = PluginLimits {
        fuel: Some(most),
        ..none
    };
    assert!(
        plugins
            .activate(&scene.owner, lowered(at_most))
            .await
            .is_ok()
    );
    assert!(scene.book().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_metrics_tell_what_calls_came_to() {
    let scene = Fixture::make().await;
    let plugins = scene.platform.engine.plugins();
    let name = PluginName::parse("name", "counted").expect("a name");
    scene
        .put_into_use("counted", &Component::working(10_000))
        .await;
    let before = plugins.metrics(&scene.owner, &name).await.expect("metrics");
    assert_eq!((before.here.made(), before.here.since), (0, None));
    for _ in 0..3 {
        assert!(scene.book().await.is_ok());
    }
    scene.put_into_use("counted", &Component::trapping()).await;
    assert_eq!(code(scene.book().await), "policy-unavailable");
    let after = plugins.metrics(&scene.owner, &name).await.expect("metrics");
    let here = after.here;
    assert_eq!((here.answered, here.failed, here.made()), (3, 1, 4));
    assert!(
        here.fuel_max >= 10_000 && here.fuel >= 3 * 10_000,
        "{here:?}"
    );
    assert!(here.microseconds_max >= here.microseconds_mean().expect("calls were made"));
    assert!(here.memory_bytes_max >= 65_536, "{here:?}");
    let (_, reason) = here.last_failure.expect("a failure");
    assert!(reason.contains("trapped"), "{reason}");
    assert_eq!(after.uses.len(), 1);
    let all = plugins.counted_here(&boxoffice_engine::Caller::operator());
    let all = all.expect("operators read all counters");
    assert!(
        all.iter()
            .any(|(tenant, plugin, _)| *tenant == scene.tenant && *plugin == name)
    );
    assert_eq!(code(plugins.counted_here(&scene.owner)), "forbidden");
    let unknown = PluginName::parse("name", "unknown").expect("a name");
    let outcome = plugins.metrics(&scene.owner, &unknown).await;
    assert_eq!(code(outcome), "not-found");
}
