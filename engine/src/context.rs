//! The state that the handles of one engine share: modules, ports and caches.
//!
//! Made by the builder; read by use cases, the policy check and the worker. There is no global state.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Instant,
};

use tokio::sync::Semaphore;

use crate::{
    app_modules::{Buckets, LanePauses, TenantLocks},
    modules::{ModuleContext, Modules, PluginReadiness},
    ports::{Links, Mailer, PluginRef, PluginRuntime, Policy, Queue, Templates, TicketCodes},
};

/// The shared state.
pub(crate) struct EngineContext {
    pub(crate) modules: Modules,
    pub(crate) context: ModuleContext,
    pub(crate) policies: Vec<Arc<dyn Policy>>,
    pub(crate) plugins: Option<Arc<dyn PluginRuntime>>,
    /// Plugins that this process is compiling.
    pub(crate) preparing: Mutex<HashSet<PluginRef>>,
    /// When this process last looked for files of deleted plugin versions.
    pub(crate) kept_swept_at: Mutex<Option<Instant>>,
    /// Which plugins in use this process has yet to load.
    pub(crate) plugin_readiness: tokio::sync::Mutex<PluginReadiness>,
    pub(crate) templates: Option<Arc<dyn Templates>>,
    pub(crate) links: Option<Arc<dyn Links>>,
    pub(crate) ticket_codes: Option<Arc<dyn TicketCodes>>,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) queue: Arc<dyn Queue>,
    /// One permit for each mail that the mailer sends at the same time. Required to mark a delivery as `sending`.
    pub(crate) sending: Semaphore,
    /// One permit less: the most that bulk mails may take.
    pub(crate) sending_bulk: Semaphore,
    /// Of the batches of a tenant that a worker has, one at a time sends.
    pub(crate) tenant_locks: TenantLocks,
    /// The rate limits of mails.
    pub(crate) buckets: Buckets,
    /// The lanes that an operator has stopped.
    pub(crate) lane_pauses: LanePauses,
    /// Held during a fan-out.
    pub(crate) listing: tokio::sync::Mutex<()>,
    /// The id of this engine among all that share the store, new at every start.
    pub(crate) holder: String,
}
