//! What the handles of one engine share: its modules, ports and what this process keeps in memory.
//!
//! Made by the builder; read by use cases, the policy check and the worker. There is no global state.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Instant,
};

use tokio::sync::Semaphore;

use crate::{
    app_modules::{Buckets, LanePauses, PluginReadiness, TenantLocks},
    modules::{ModuleContext, Modules},
    ports::{Links, Mailer, PluginRef, PluginRuntime, Policy, Queue, Templates, TicketCodes},
};

/// What the handles share.
pub(crate) struct EngineContext {
    pub(crate) modules: Modules,
    pub(crate) context: ModuleContext,
    pub(crate) policies: Vec<Arc<dyn Policy>>,
    pub(crate) plugins: Option<Arc<dyn PluginRuntime>>,
    /// Plugins that this process is compiling.
    pub(crate) preparing: Mutex<HashSet<PluginRef>>,
    /// When this process last looked for what its plugin runtime keeps of versions that are gone.
    pub(crate) kept_swept_at: Mutex<Option<Instant>>,
    /// Which plugins in use have been brought to this process.
    pub(crate) brought: tokio::sync::Mutex<PluginReadiness>,
    pub(crate) templates: Option<Arc<dyn Templates>>,
    pub(crate) links: Option<Arc<dyn Links>>,
    pub(crate) ticket_codes: Option<Arc<dyn TicketCodes>>,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) queue: Arc<dyn Queue>,
    /// As many permits as the mailer sends mails at once; who marks a delivery as `sending` holds one.
    pub(crate) sending: Semaphore,
    /// One less: what bulk mails may hold of them at most.
    pub(crate) sending_bulk: Semaphore,
    /// Which block of a tenant takes connections now.
    pub(crate) turns: TenantLocks,
    /// How many mails a second may go.
    pub(crate) buckets: Buckets,
    /// Which lanes an operator has stopped.
    pub(crate) lane_pauses: LanePauses,
    /// Held by whoever lists a notification's recipients.
    pub(crate) listing: tokio::sync::Mutex<()>,
    /// Names this engine among all that share the store, anew at every start.
    pub(crate) holder: String,
}
