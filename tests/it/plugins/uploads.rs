//! Goal: what is no plugin is refused with what is wrong and what it should be; what was uploaded stays as it is, under
//! its content's name.
//!
//! Method: each kind of wrong upload, with a word that its refusal must hold; the same bytes twice; another name.

use boxoffice_engine::{PluginName, PluginState, UploadPlugin, ports::LoadFailure};
use boxoffice_tests::{
    Component, TempFolder, TestPlatform, load_component, owner_of, plugin_host, plugin_settings,
    put_into_use, quick_settings, upload, upload_any, using,
};

use super::{Fixture, code};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_plugin_is_refused_with_what_it_should_be() {
    let host = plugin_host(plugin_settings());
    let good = Component::accepting();
    let mut mangled = good.clone();
    let middle = mangled.len() / 2;
    mangled[middle..middle + 64].fill(0xff);
    for (bytes, words) in [
        (Vec::new(), &["empty"][..]),
        (b"hello".to_vec(), &["not WebAssembly"]),
        (b"(component)".to_vec(), &["text", "wasm-tools"]),
        (Component::core_module(), &["core module", "wasm32-wasip2"]),
        (good[..good.len() / 2].to_vec(), &["too early"]),
        (good[..6].to_vec(), &["too early"]),
        (mangled, &["malformed"]),
        (
            Component::of_another_world(),
            &[
                "`run`",
                "boxoffice:plugin/booking-policy@0.2.0",
                "boxoffice.wit:",
            ],
        ),
        (
            Component::of_version("0.1.0"),
            &["built for version 0.1.0", "speaks 0.2.0", "plugin new"],
        ),
        (
            Component::of_version("0.3.0"),
            &["built for version 0.3.0", "newer"],
        ),
        (
            Component::of_version("9.0.0"),
            &["built for version 9.0.0", "newer"],
        ),
        (
            Component::importing("acme:disk/files@1.0.0"),
            &["`acme:disk/files@1.0.0`", "log: func", "boxoffice.wit:"],
        ),
        (
            Component::importing("wasi:http/outgoing-handler@0.2.0"),
            &["wasi:http"],
        ),
        (
            Component::importing("wasi:filesystem/types@0.3.0"),
            &["only WASI 0.2"],
        ),
    ] {
        let (_, loaded) = load_component(&host, "north", &bytes).await;
        let Err(LoadFailure::Rejected(refusal)) = loaded else {
            panic!("{words:?}: {loaded:?}");
        };
        for word in words {
            assert!(refusal.contains(word), "{word}: {refusal}");
        }
    }
    let (_, loaded) = load_component(&host, "north", &good).await;
    let facts = loaded.expect("a plugin");
    assert!(facts.decides && !facts.words && facts.wit_version == "0.2.0");
    // A patch version adds only what this component may do without.
    let (_, loaded) = load_component(&host, "north", &Component::of_version("0.2.7")).await;
    assert!(loaded.is_ok(), "{loaded:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_does_not_fit_is_rejected_by_its_name_and_line() {
    let scene = Fixture::make().await;
    let engine = &scene.platform.engine;
    let (hash, state) = upload_any(
        engine,
        &scene.owner,
        "half",
        &Component::without_cancellations(),
    )
    .await;
    let PluginState::Rejected { reason, .. } = state else {
        panic!("{state:?}");
    };
    assert!(
        reason.contains("validate-cancellation") && reason.contains("boxoffice.wit:"),
        "{reason}"
    );
    let plugins = engine.plugins();
    assert_eq!(
        code(plugins.activate(&scene.owner, using("half", hash)).await),
        "plugin-not-ready"
    );
    // Importing what WASI has not is found when it is linked.
    let (_, state) = upload_any(
        engine,
        &scene.owner,
        "asks",
        &Component::policy_importing("wasi:filesystem/preopens@0.2.0"),
    )
    .await;
    assert!(matches!(state, PluginState::Rejected { .. }), "{state:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_its_content() {
    let scene = Fixture::make().await;
    let engine = &scene.platform.engine;
    let component = Component::accepting();
    let first = upload(engine, &scene.owner, "one", &component).await;
    let again = upload(engine, &scene.owner, "one", &component).await;
    assert_eq!(first, again);
    let command = UploadPlugin {
        name: PluginName::parse("name", "two").expect("a name"),
        bytes: component.as_slice().into(),
    };
    let plugins = engine.plugins();
    assert_eq!(
        code(plugins.upload(&scene.owner, command).await),
        "plugin-taken"
    );
    let listed = plugins.list(&scene.owner, Default::default()).await;
    assert_eq!(listed.expect("a list").items.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiled_plugins_come_back_from_the_cache_only_as_they_were_written() {
    let folder = TempFolder::new("plugin-cache");
    let mut settings = plugin_settings();
    settings.cache = Some(boxoffice_host::plugin_host::PluginCache {
        folder: folder.join("cache"),
        key: [7; 32],
        bytes_max: 1 << 30,
    });
    let component = Component::accepting();
    super::limits::plugin(&plugin_host(settings.clone()), "north", &component).await;
    let file = std::fs::read_dir(folder.join("cache"))
        .expect("a cache")
        .next()
        .expect("a file")
        .expect("a file")
        .path();
    let written = std::fs::read(&file).expect("the file");
    // A compiler that cannot run shows that none was needed.
    let mut without_compiler = settings.clone();
    without_compiler.compiler = boxoffice_host::plugin_host::Compiler::Program {
        path: "/nowhere/at/all".into(),
        arguments: Vec::new(),
    };
    super::limits::plugin(&plugin_host(without_compiler.clone()), "north", &component).await;
    let refused = |settings: boxoffice_host::PluginHostSettings| {
        let component = component.clone();
        async move {
            let host = plugin_host(settings);
            let (_, loaded) = load_component(&host, "north", &component).await;
            loaded.is_err()
        }
    };
    let mut spoilt = written.clone();
    let last = spoilt.len() - 1;
    spoilt[last] ^= 1;
    std::fs::write(&file, &spoilt).expect("the file");
    assert!(refused(without_compiler.clone()).await, "one bit differs");
    std::fs::write(&file, &written).expect("the file");
    let mut other_key = without_compiler.clone();
    if let Some(cache) = &mut other_key.cache {
        cache.key = [8; 32];
    }
    assert!(refused(other_key).await, "sealed with another key");
    assert!(!refused(without_compiler).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_so_many_versions_and_may_delete_what_is_not_in_use() {
    let runtime = plugin_host(plugin_settings());
    let mut settings = quick_settings();
    settings.limits.plugin_versions_max = 2;
    let platform = TestPlatform::with(|builder| builder.plugins(runtime).settings(settings)).await;
    let tenant = platform.tenant("north").await;
    let owner = owner_of(&platform.engine, &tenant).await;
    let plugins = platform.engine.plugins();
    let engine = &platform.engine;
    let used = put_into_use(engine, &owner, "one", &Component::at_most(1)).await;
    let used = used.plugins[0].version;
    let spare = upload(engine, &owner, "two", &Component::at_most(2)).await;
    let third = || UploadPlugin {
        name: PluginName::parse("name", "three").expect("a name"),
        bytes: Component::at_most(3).into(),
    };
    assert_eq!(
        code(plugins.upload(&owner, third()).await),
        "too-many-plugins"
    );
    // The same bytes again are no further version.
    upload(engine, &owner, "two", &Component::at_most(2)).await;
    // Another tenant has its own.
    let south = platform.tenant("south").await;
    let neighbour = owner_of(engine, &south).await;
    upload(engine, &neighbour, "three", &Component::at_most(3)).await;

    assert_eq!(code(plugins.delete(&owner, used).await), "plugin-in-use");
    plugins.delete(&owner, spare).await.expect("nobody uses it");
    assert_eq!(code(plugins.show(&owner, spare).await), "not-found");
    assert_eq!(code(plugins.delete(&owner, spare).await), "not-found");
    let activated = plugins.activate(&owner, using("two", spare)).await;
    assert_eq!(code(activated), "not-found");
    let version = plugins
        .upload(&owner, third())
        .await
        .expect("there is room");
    assert_eq!(
        code(
            plugins
                .upload(
                    &owner,
                    UploadPlugin {
                        name: PluginName::parse("name", "four").expect("a name"),
                        bytes: Component::at_most(4).into(),
                    }
                )
                .await
        ),
        "too-many-plugins"
    );
    plugins
        .delete(&owner, version.hash)
        .await
        .expect("nobody uses it");
}
