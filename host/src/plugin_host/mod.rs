//! The plugin host: checks, compiles, keeps and calls the components that tenants upload.
//!
//! [`PluginHost`] is the engine's [`PluginRuntime`]; give it to `Engine::builder().plugins(..)`, with or without the
//! HTTP side. A fresh instance per call, bounded in time, fuel, memory, stack, input, output and log; no file, socket,
//! environment, clock or randomness; calls on threads of their own, shared out by tenant.
//!
//! Called by the engine through its port, by assembly and by `boxoffice plugin check|run`. Calls wasmtime.

mod cache;
mod calls;
mod compile;
mod convert;
mod guest;
mod inspect;
mod machine;
mod metered;
mod settings;
mod shares;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use boxoffice_engine::{
    PluginFacts, PluginHash, TenantId,
    ports::{
        HookFailure, LoadFailure, PluginCall, PluginCeilings, PluginOutcome, PluginRef,
        PluginRefusal, PluginRequest, PluginRuntime,
    },
};
use tokio::sync::Semaphore;

use cache::TrustedCode;
use compile::Loaded;
use machine::Machine;
use shares::Shares;

pub use compile::compile_stdin;
pub use settings::{CallLimits, Compiler, PluginCache, PluginHostSettings};

/// Runs plugins. Cheap to clone; the last clone stops its threads.
#[derive(Clone)]
pub struct PluginHost(Arc<Inner>);

struct Inner {
    settings: PluginHostSettings,
    machine: Arc<Machine>,
    shares: Shares,
    loaded: Mutex<HashMap<PluginRef, Kept>>,
    /// Counts uses, to know which plugin was not asked for longest.
    uses: AtomicU64,
    /// One compilation at a time, and one of each tenant in line for it.
    compiling: Semaphore,
    compiling_tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
    /// The threads that calls run on. Taken out by `drop` alone.
    threads: Option<tokio::runtime::Runtime>,
}

struct Kept {
    loaded: Arc<Loaded>,
    used: u64,
}

impl PluginHost {
    /// Starts a plugin host.
    ///
    /// # Errors
    /// A sentence when this machine cannot run plugins.
    pub fn new(settings: PluginHostSettings) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("plugins cannot be run here: {error}");
        let memory = settings
            .policy
            .memory_bytes
            .max(settings.template.memory_bytes);
        let machine =
            Machine::for_calls(settings.calls_max, memory).map_err(|error| failed(&error))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(settings.threads.unwrap_or(cores))
            .thread_name("plugin-calls")
            .enable_time()
            .build()
            .map_err(|error| failed(&error))?;
        Ok(Self(Arc::new(Inner {
            shares: Shares::new(&settings),
            machine: Arc::new(machine),
            loaded: Mutex::default(),
            uses: AtomicU64::new(0),
            compiling: Semaphore::new(1),
            compiling_tenants: Mutex::default(),
            threads: Some(threads),
            settings,
        })))
    }

    /// How it is set.
    pub fn settings(&self) -> &PluginHostSettings {
        &self.0.settings
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            // Not waiting: this may happen on an async thread. Calls end with their limits.
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

    async fn inspect(&self, bytes: Arc<[u8]>) -> Result<PluginFacts, PluginRefusal> {
        let bytes_max = self.0.settings.upload_bytes_max;
        // Up to a tenth of a second for a large component: not on an async thread.
        tokio::task::spawn_blocking(move || inspect::inspect(&bytes, bytes_max))
            .await
            .map_err(|_| PluginRefusal("The component could not be read.".to_owned()))?
    }

    async fn load(&self, plugin: &PluginRef, bytes: Arc<[u8]>) -> Result<(), LoadFailure> {
        if self.is_loaded(plugin) {
            return Ok(());
        }
        if PluginHash::of(&bytes) != plugin.hash {
            return Err(LoadFailure::Unavailable(
                "the stored bytes are not those that were uploaded".to_owned(),
            ));
        }
        if let Some(loaded) = self.cached(plugin).await {
            self.keep(plugin, loaded);
            return Ok(());
        }
        let own_line = self.0.compiling_line(&plugin.tenant);
        let closed = |_| LoadFailure::Unavailable("the plugin host stops".to_owned());
        let _own = own_line.acquire().await.map_err(closed)?;
        let _one = self.0.compiling.acquire().await.map_err(closed)?;
        if self.is_loaded(plugin) {
            return Ok(());
        }
        let code = TrustedCode::compiled(compile::compile(&self.0.settings, &bytes).await?);
        let loaded = self.link(code, Some(plugin.clone())).await?;
        self.keep(plugin, loaded);
        Ok(())
    }

    fn is_loaded(&self, plugin: &PluginRef) -> bool {
        self.0.locked().contains_key(plugin)
    }

    async fn call(&self, call: &PluginCall, request: &PluginRequest) -> PluginOutcome {
        let Some(loaded) = self.0.take(&call.plugin) else {
            return calls::not_made(HookFailure::NotLoaded(
                "the plugin is not loaded on this host".to_owned(),
            ));
        };
        let admission = match self.0.shares.admit(&call.plugin.tenant, call.urgent).await {
            Ok(admission) => admission,
            Err(failure) => return calls::not_made(failure),
        };
        let limits = match request {
            PluginRequest::Render(_) => self.0.settings.template,
            _ => self.0.settings.policy,
        };
        let limits = limits.lowered(&call.limits);
        let (machine, request, config) =
            (self.0.machine.clone(), request.clone(), call.config.clone());
        let Some(threads) = &self.0.threads else {
            return calls::not_made(HookFailure::NotLoaded("the plugin host stops".to_owned()));
        };
        let made = threads.spawn(async move {
            let outcome = calls::call(&machine, &loaded, &limits, &request, &config).await;
            // The slot is held until the instance is gone, even if nobody waits for the answer any more.
            admission.charge(calls::charge(&outcome));
            outcome
        });
        made.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a plugin call broke off");
            calls::not_made(HookFailure::Failed("the call broke off".to_owned()))
        })
    }
}

impl PluginHost {
    async fn cached(&self, plugin: &PluginRef) -> Option<Arc<Loaded>> {
        let cache = self.0.settings.cache.clone()?;
        let (machine, reference) = (self.0.machine.clone(), plugin.clone());
        let code =
            tokio::task::spawn_blocking(move || cache::read(&cache, &machine.wasm, &reference))
                .await
                .ok()??;
        self.link(code, None).await.ok()
    }

    /// Makes a plugin of its code, and keeps the code for the next start if it is to be kept.
    async fn link(
        &self,
        code: TrustedCode,
        keep_as: Option<PluginRef>,
    ) -> Result<Arc<Loaded>, LoadFailure> {
        let (machine, cache) = (self.0.machine.clone(), self.0.settings.cache.clone());
        let linked = tokio::task::spawn_blocking(move || {
            let component = code
                .load(&machine.wasm)
                .map_err(|error| LoadFailure::Unavailable(format!("{error:#}")))?;
            let loaded = Loaded::link(&machine.linker, &component)?;
            if let (Some(cache), Some(plugin)) = (cache, keep_as) {
                cache::write(&cache, &machine.wasm, &plugin, &code);
            }
            Ok(Arc::new(loaded))
        });
        linked
            .await
            .map_err(|error| LoadFailure::Unavailable(error.to_string()))?
    }

    /// Puts a plugin among those that are ready; the one not asked for longest makes room.
    fn keep(&self, plugin: &PluginRef, loaded: Arc<Loaded>) {
        let used = self.0.uses.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.0.locked();
        if kept.len() >= self.0.settings.loaded_max.max(1) && !kept.contains_key(plugin) {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.used);
            if let Some(oldest) = oldest.map(|(plugin, _)| plugin.clone()) {
                kept.remove(&oldest);
            }
        }
        kept.insert(plugin.clone(), Kept { loaded, used });
    }
}

impl Inner {
    fn locked(&self) -> MutexGuard<'_, HashMap<PluginRef, Kept>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A plugin that is ready. Who has it keeps it, whatever becomes of the list meanwhile.
    fn take(&self, plugin: &PluginRef) -> Option<Arc<Loaded>> {
        let used = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.locked();
        let found = kept.get_mut(plugin)?;
        found.used = used;
        Some(found.loaded.clone())
    }

    fn compiling_line(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut lines = self
            .compiling_tenants
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Lines that nobody stands in are made again when somebody comes.
        lines.retain(|_, line| Arc::strong_count(line) > 1);
        lines
            .entry(tenant.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(1)))
            .clone()
    }
}
