//! The plugin host: checks, compiles, keeps and calls the components that tenants upload.
//!
//! [`PluginHost`] implements the engine's [`PluginRuntime`]. Pass it to `Engine::builder().plugins(..)`, with or without the
//! router. Each call has a fresh instance with limits of time, fuel, memory, stack, input, output and log; no file, socket,
//! environment, clock or randomness. Calls run on separate threads, shared fairly by tenant.
//!
//! Only a compiling child parses uploads: this process checks their first bytes, and loads the machine code
//! that the child made. Called by the engine through its port, by assembly and by `boxoffice plugin check|run`. Calls wasmtime.

mod cache;
mod calls;
mod caps;
mod child;
mod compile;
mod compile_queue;
mod convert;
mod exports;
mod fair_share;
mod guest;
mod inspect;
mod loaded;
mod loading;
mod metered;
mod runner;
mod settings;
mod sizes;
mod wasm_engine;

use std::sync::Arc;

use async_trait::async_trait;
use boxoffice_engine::{
    PluginFacts,
    ports::{
        HookFailure, LoadFailure, LoadPurpose, PluginCall, PluginCeilings, PluginOutcome,
        PluginRef, PluginRefusal, PluginRequest, PluginRuntime, PluginSource,
    },
};
use tokio::sync::oneshot;

use fair_share::{FairShare, over_its_share};
use loaded::LoadedSet;
use loading::Loader;
use runner::{Job, run_calls};
use wasm_engine::WasmEngine;

pub use child::compile_stdin;
#[cfg(feature = "program")]
pub(crate) use settings::COMPILE_COMMAND;
pub use settings::{CallLimits, Compiler, PluginCache, PluginHostSettings};

/// Runs plugins. Cheap to clone; the last clone stops its threads.
#[derive(Clone)]
pub struct PluginHost(Arc<Inner>);

struct Inner {
    settings: Arc<PluginHostSettings>,
    wasm_engine: Arc<WasmEngine>,
    fair_share: FairShare<Job>,
    loaded: Arc<LoadedSet>,
    loader: Loader,
    /// The threads of calls. Only `drop` takes them out.
    threads: Option<tokio::runtime::Runtime>,
}

impl PluginHost {
    /// Starts a plugin host.
    ///
    /// # Errors
    /// A sentence if this machine cannot run plugins.
    pub fn new(settings: PluginHostSettings) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("plugins cannot be run here: {error}");
        let memory = settings
            .policy
            .memory_bytes
            .max(settings.template.memory_bytes);
        let wasm_engine =
            WasmEngine::for_calls(settings.calls_max, memory).map_err(|error| failed(&error))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(settings.threads.unwrap_or(cores))
            .thread_name("plugin-calls")
            .enable_time()
            .build()
            .map_err(|error| failed(&error))?;
        let settings = Arc::new(settings);
        let wasm_engine = Arc::new(wasm_engine);
        let loaded = Arc::new(LoadedSet::new(&settings));
        let loader = Loader::new(settings.clone(), wasm_engine.clone(), loaded.clone());
        Ok(Self(Arc::new(Inner {
            fair_share: FairShare::new(&settings),
            wasm_engine,
            loaded,
            loader,
            threads: Some(threads),
            settings,
        })))
    }

    /// Its settings.
    pub fn settings(&self) -> &PluginHostSettings {
        &self.0.settings
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            // Without waiting, because this may be an async thread. Calls end with their limits.
            threads.shutdown_background();
        }
    }
}

#[async_trait]
impl PluginRuntime for PluginHost {
    fn upload_bytes_max(&self) -> usize {
        self.0.settings.upload_bytes_max
    }

    fn ceilings(&self) -> PluginCeilings {
        PluginCeilings {
            policy: self.0.settings.policy.as_ceiling(),
            template: self.0.settings.template.as_ceiling(),
        }
    }

    fn check(&self, bytes: &[u8]) -> Result<(), PluginRefusal> {
        inspect::first_look(bytes, self.0.settings.upload_bytes_max)
    }

    async fn load(
        &self,
        plugin: &PluginRef,
        source: Arc<dyn PluginSource>,
        purpose: LoadPurpose,
    ) -> Result<PluginFacts, LoadFailure> {
        self.0.loader.load(plugin, source, purpose).await
    }

    fn is_loaded(&self, plugin: &PluginRef) -> bool {
        self.0.loaded.contains(plugin)
    }

    fn forget(&self, plugin: &PluginRef) {
        self.0.loader.forget(plugin);
    }

    fn kept(&self) -> Vec<PluginRef> {
        self.0.loader.kept()
    }

    async fn call(&self, call: &PluginCall, request: &PluginRequest) -> PluginOutcome {
        let Some(loaded) = self.0.loaded.take(&call.plugin) else {
            return calls::not_made(HookFailure::NotLoaded(
                "the plugin is not loaded on this host".to_owned(),
            ));
        };
        let limits = match request {
            PluginRequest::Render(_) => self.0.settings.template,
            _ => self.0.settings.policy,
        };
        let (answer, mut answered) = oneshot::channel();
        let job = Job {
            loaded,
            limits: limits.lowered(&call.limits),
            request: request.clone(),
            config: call.config.clone(),
            answer,
        };
        let Some(threads) = &self.0.threads else {
            return calls::not_made(HookFailure::NotLoaded("the plugin host stops".to_owned()));
        };
        let entered = self
            .0
            .fair_share
            .enter(&call.plugin.tenant, call.priority, job);
        let (place, runner) = match entered {
            Ok(entered) => entered,
            Err(failure) => return calls::not_made(failure),
        };
        if let Some(runner) = runner {
            threads.spawn(run_calls(self.0.wasm_engine.clone(), runner));
        }
        match tokio::time::timeout(self.0.settings.wait_max, &mut answered).await {
            Ok(Ok(outcome)) => outcome,
            // It has waited too long, by the caller's clock or by the runner's.
            Ok(Err(_)) | Err(_) if place.give_up() => calls::not_made(over_its_share()),
            Ok(Err(_)) => calls::interrupted(),
            // It has begun, and ends by its own limits.
            Err(_) => {
                let outcome = answered.await;
                outcome.unwrap_or_else(|_| calls::interrupted())
            }
        }
    }
}
