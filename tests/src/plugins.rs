//! An engine that runs plugins, and what is uploaded to it and put into use: the host's plugin runtime, as programs are
//! assembled with it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use boxoffice_engine::{
    ActivatePlugin, Caller, Engine, PluginFacts, PluginHash, PluginName, PluginSet, PluginState,
    TenantId, UploadPlugin,
    ports::{LoadFailure, LoadPurpose, PluginRef, PluginRuntime as _},
};
use boxoffice_host::plugin_host::{Compiler, PluginHost, PluginHostSettings};

use crate::{Patience, required_variable, wait_for};

/// The settings of plugin hosts in tests: the defaults, compiled by the program under test. Time is what a busy machine
/// has least of, so that calls may take longer.
///
/// # Panics
/// When the test command did not set `BOXOFFICE_BIN`.
pub fn plugin_settings() -> PluginHostSettings {
    let mut settings = PluginHostSettings::new(Compiler::Program {
        path: PathBuf::from(required_variable("BOXOFFICE_BIN")),
        arguments: vec!["plugin-compile".to_owned()],
    });
    settings.policy.time = Duration::from_secs(2);
    settings.template.time = Duration::from_secs(4);
    settings.wait_max = Duration::from_secs(20);
    settings
}

/// A plugin host with these settings.
///
/// # Panics
/// When this machine cannot run plugins.
pub fn plugin_host(settings: PluginHostSettings) -> PluginHost {
    PluginHost::new(settings).expect("a plugin host starts")
}

/// Checks and loads a component on a plugin host, as one that a tenant has in use.
///
/// # Panics
/// When that is no tenant's name.
pub async fn load_component(
    host: &PluginHost,
    tenant: &str,
    component: &[u8],
) -> (PluginRef, Result<PluginFacts, LoadFailure>) {
    let plugin = PluginRef {
        tenant: TenantId::parse(tenant).expect("a tenant name"),
        hash: PluginHash::of(component),
    };
    let bytes: Arc<[u8]> = component.into();
    let loaded = match host.check(component) {
        Ok(()) => host.load(&plugin, Arc::new(bytes), LoadPurpose::Use).await,
        Err(refusal) => Err(LoadFailure::Rejected(refusal.0)),
    };
    (plugin, loaded)
}

/// Uploads a component and waits until it is ready.
///
/// # Panics
/// When it is refused or rejected.
pub async fn upload(engine: &Engine, owner: &Caller, name: &str, component: &[u8]) -> PluginHash {
    let (hash, state) = upload_any(engine, owner, name, component).await;
    assert_eq!(state, PluginState::Ready, "{name}");
    hash
}

/// Uploads a component and waits until it is ready or rejected.
///
/// # Panics
/// When it is refused.
pub async fn upload_any(
    engine: &Engine,
    owner: &Caller,
    name: &str,
    component: &[u8],
) -> (PluginHash, PluginState) {
    let command = UploadPlugin {
        name: PluginName::parse("name", name).expect("a name"),
        bytes: component.into(),
    };
    let hash = engine
        .plugins()
        .upload(owner, command)
        .await
        .expect("an upload that is taken")
        .hash;
    let state = wait_for(Patience::WORK, "a plugin to be compiled", || async {
        let version = engine.plugins().show(owner, hash).await.expect("a version");
        (version.state != PluginState::Compiling).then_some(version.state)
    })
    .await;
    (hash, state)
}

/// Says nothing about how a version is used but which.
pub fn using(name: &str, version: PluginHash) -> ActivatePlugin {
    ActivatePlugin {
        name: PluginName::parse("name", name).expect("a name"),
        event: None,
        version: Some(version),
        config: None,
        when_not_loaded: None,
        sees_identity: None,
        limits: None,
        enabled: None,
        position: None,
        fixtures: Vec::new(),
        skip_trial: false,
    }
}

/// Uploads a component and puts it into use for all events, whatever it does: it is not tried first.
///
/// # Panics
/// When the engine refuses.
pub async fn put_into_use(
    engine: &Engine,
    owner: &Caller,
    name: &str,
    component: &[u8],
) -> PluginSet {
    let version = upload(engine, owner, name, component).await;
    engine
        .plugins()
        .activate(
            owner,
            ActivatePlugin {
                skip_trial: true,
                ..using(name, version)
            },
        )
        .await
        .expect("a version that can be used")
        .set
}

/// An owner of a tenant, made by trusted code.
///
/// # Panics
/// When the engine refuses.
pub async fn owner_of(engine: &Engine, tenant: &boxoffice_engine::TenantId) -> Caller {
    crate::create_user(engine, tenant, "owner", boxoffice_engine::UserRole::Owner).await
}
