//! Loads plugins from stored bytes: the cache, the compile queue, the compiler, and whether this host has room for
//! the result.
//!
//! Called by the plugin host. Calls the cache, the compiler and wasmtime.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use boxoffice_engine::{
    PluginFacts, PluginHash,
    ports::{LoadFailure, LoadPurpose, PluginRef, PluginSource},
};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use wasmtime::component::Component;

use super::{
    cache::{self, TrustedCode},
    caps, compile,
    compile_queue::CompileQueue,
    exports::Loaded,
    loaded::LoadedSet,
    settings::PluginHostSettings,
    wasm_engine::{self, WasmEngine},
};

use crate::locked::Locked as _;

/// Most refusals that are remembered. Others are found again.
const REFUSED_MAX: usize = 4_096;
/// How long an active plugin is not tried again after its compiling took too long.
const TIMED_OUT_REST: Duration = Duration::from_secs(600);
/// A page of a component's memory.
const PAGE_BYTES: u64 = 64 * 1024;

/// Loads plugins. Cheap to clone.
#[derive(Clone)]
pub(super) struct Loader {
    settings: Arc<PluginHostSettings>,
    wasm_engine: Arc<WasmEngine>,
    loaded: Arc<LoadedSet>,
    compile_queue: CompileQueue,
    under_way: Arc<Mutex<HashMap<PluginRef, Flight>>>,
    /// Active plugins that this host refused to load, and when, so that not every booking tries again. A restart may have other
    /// limits.
    refused: Arc<Mutex<HashMap<PluginRef, (LoadFailure, Instant)>>>,
}

/// Work that several callers may wait for.
type Flight = Shared<BoxFuture<'static, Result<PluginFacts, LoadFailure>>>;

impl Loader {
    pub(super) fn new(
        settings: Arc<PluginHostSettings>,
        wasm_engine: Arc<WasmEngine>,
        loaded: Arc<LoadedSet>,
    ) -> Self {
        let compile_queue =
            CompileQueue::new(settings.compilers_max, settings.tenant_compile_time_per_day);
        Self {
            settings,
            wasm_engine,
            loaded,
            compile_queue,
            under_way: Arc::default(),
            refused: Arc::default(),
        }
    }

    /// Loads a plugin, or waits for a load in progress.
    ///
    /// # Errors
    /// [`LoadFailure`].
    pub(super) async fn load(
        &self,
        plugin: &PluginRef,
        source: Arc<dyn PluginSource>,
        purpose: LoadPurpose,
    ) -> Result<PluginFacts, LoadFailure> {
        loop {
            if let Some(facts) = self.loaded.facts(plugin) {
                return Ok(facts);
            }
            if purpose == LoadPurpose::Use
                && let Some(refusal) = self.refusal(plugin)
            {
                return Err(refusal);
            }
            let (flight, own_purpose) = self.flight(plugin, &source, purpose);
            let facts = flight.await?;
            // An upload is not kept in memory; it is loaded from the cache when it is used.
            if own_purpose || purpose == LoadPurpose::Upload {
                return Ok(facts);
            }
        }
    }

    /// Drops everything that is kept of a plugin.
    pub(super) fn forget(&self, plugin: &PluginRef) {
        self.loaded.remove(plugin);
        let mut refused = self.refused.locked();
        refused.remove(plugin);
        drop(refused);
        if let Some(cache) = &self.settings.cache {
            cache::remove(cache, plugin);
        }
    }

    /// Lists the plugins of which anything is kept.
    pub(super) fn kept(&self) -> Vec<PluginRef> {
        let mut kept = self.loaded.list();
        kept.extend(self.settings.cache.iter().flat_map(cache::kept));
        kept
    }

    fn refusal(&self, plugin: &PluginRef) -> Option<LoadFailure> {
        let refused = self.refused.locked();
        let (failure, at) = refused.get(plugin)?;
        let is_over = matches!(failure, LoadFailure::TimedOut(_)) && at.elapsed() >= TIMED_OUT_REST;
        (!is_over).then(|| failure.clone())
    }

    /// The running or new work on a plugin; and whether it is for this purpose.
    fn flight(
        &self,
        plugin: &PluginRef,
        source: &Arc<dyn PluginSource>,
        purpose: LoadPurpose,
    ) -> (Flight, bool) {
        let mut under_way = self.under_way.locked();
        if let Some(flight) = under_way.get(plugin) {
            return (flight.clone(), false);
        }
        let (loader, own, source) = (self.clone(), plugin.clone(), source.clone());
        // A separate task: it continues when nobody waits for it any more.
        let task = tokio::spawn(async move {
            let done = loader.work(&own, source, purpose).await;
            if let Err(failure) = &done {
                loader.remember(&own, purpose, failure);
            }
            let mut under_way = loader.under_way.locked();
            under_way.remove(&own);
            done
        });
        let ended = task.map(|ended| {
            ended.unwrap_or_else(|error| Err(LoadFailure::Unavailable(error.to_string())))
        });
        let flight = ended.boxed().shared();
        under_way.insert(plugin.clone(), flight.clone());
        (flight, true)
    }

    fn remember(&self, plugin: &PluginRef, purpose: LoadPurpose, failure: &LoadFailure) {
        if purpose != LoadPurpose::Use || matches!(failure, LoadFailure::Unavailable(_)) {
            return;
        }
        let mut refused = self.refused.locked();
        if refused.len() >= REFUSED_MAX {
            refused.clear();
        }
        refused.insert(plugin.clone(), (failure.clone(), Instant::now()));
    }

    async fn work(
        &self,
        plugin: &PluginRef,
        source: Arc<dyn PluginSource>,
        purpose: LoadPurpose,
    ) -> Result<PluginFacts, LoadFailure> {
        if let Some(code) = self.cached(plugin).await {
            match self.link(plugin, code, purpose).await {
                // Another build wrote it, or it is damaged in a way that the seal does not show: compile it again.
                Err(LoadFailure::Unavailable(_)) => {}
                done => return done,
            }
        }
        let code = {
            let _slot = self.compile_queue.acquire(&plugin.tenant, purpose).await?;
            let bytes = source.read().await?;
            drop(source);
            let (hash, read) = (plugin.hash, bytes.clone());
            let is_same = blocking(move || Ok(PluginHash::of(&read) == hash)).await?;
            if !is_same {
                return Err(LoadFailure::Unavailable(
                    "the stored bytes are not those that were uploaded".to_owned(),
                ));
            }
            compile::compile(&self.settings, bytes).await?
        };
        let code = self.keep_code(plugin, code).await?;
        self.link(plugin, code, purpose).await
    }

    async fn cached(&self, plugin: &PluginRef) -> Option<TrustedCode> {
        let cache = self.settings.cache.clone()?;
        let (wasm_engine, plugin) = (self.wasm_engine.clone(), plugin.clone());
        let read = blocking(move || Ok(cache::read(&cache, &wasm_engine.wasm, &plugin)));
        read.await.ok().flatten()
    }

    async fn keep_code(
        &self,
        plugin: &PluginRef,
        code: TrustedCode,
    ) -> Result<TrustedCode, LoadFailure> {
        let Some(cache) = self.settings.cache.clone() else {
            return Ok(code);
        };
        let (wasm_engine, plugin) = (self.wasm_engine.clone(), plugin.clone());
        blocking(move || {
            cache::write(&cache, &wasm_engine.wasm, &plugin, &code);
            Ok(code)
        })
        .await
    }

    /// Loads a plugin from its code, and keeps it in memory if it is used, or would have to be compiled again.
    async fn link(
        &self,
        plugin: &PluginRef,
        code: TrustedCode,
        purpose: LoadPurpose,
    ) -> Result<PluginFacts, LoadFailure> {
        let (wasm_engine, settings) = (self.wasm_engine.clone(), self.settings.clone());
        let (facts, bytes) = (code.facts().clone(), code.bytes());
        let linked = blocking(move || {
            let component = load(&wasm_engine, &code)?;
            let loaded = Loaded::link(&wasm_engine.linker, &component)?;
            check_memory(&settings, &component, &loaded)?;
            Ok(Arc::new(loaded))
        });
        let loaded = linked.await?;
        if purpose == LoadPurpose::Use || self.settings.cache.is_none() {
            self.loaded.keep(plugin, loaded, facts.clone(), bytes);
        }
        Ok(facts)
    }
}

/// Creates the component, if it fits into this host's pool.
fn load(wasm_engine: &WasmEngine, code: &TrustedCode) -> Result<Component, LoadFailure> {
    let error = match code.load(&wasm_engine.wasm) {
        Ok(component) => return Ok(component),
        Err(error) => error,
    };
    // If an engine without a pool accepts it, it exceeds this pool's limits; other errors are not the component's.
    let plain = wasm_engine::compiling().and_then(|plain| code.load(&plain));
    Err(match plain {
        Ok(_) => LoadFailure::OverLimits(format!(
            "It exceeds the limits of this host: {}.",
            caps::shown(&format!("{error:#}"))
        )),
        Err(_) => LoadFailure::Unavailable(format!("{error:#}")),
    })
}

/// Refuses components that need more memory at their start than calls may have.
fn check_memory(
    settings: &PluginHostSettings,
    component: &Component,
    loaded: &Loaded,
) -> Result<(), LoadFailure> {
    let policy = loaded.policy.as_ref().map(|_| settings.policy.memory_bytes);
    let template = loaded
        .template
        .as_ref()
        .map(|_| settings.template.memory_bytes);
    let most = policy.into_iter().chain(template).min().unwrap_or(0) as u64;
    let needed = component.resources_required();
    let pages = needed.and_then(|needed| needed.max_initial_memory_size);
    let bytes = pages.unwrap_or(0).saturating_mul(PAGE_BYTES);
    if bytes > most {
        return Err(LoadFailure::OverLimits(format!(
            "It needs {bytes} bytes of memory at its start, and a call may have {most}."
        )));
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadFailure> + Send + 'static,
) -> Result<T, LoadFailure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LoadFailure::Unavailable(error.to_string()))?
}
