//! The builder of an engine: store, settings and ports.
//!
//! Called by hosts and platforms. Opens the modules and connects the ports.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use tokio::{
    io::AsyncBufRead,
    sync::{Notify, Semaphore},
};

use crate::{
    app_modules::{Buckets, LanePauses, TenantLocks},
    context::EngineContext,
    engine::Engine,
    error::{Error, ErrorCode, Result},
    modules::{self, MailPorts, ModuleContext, Modules, restore, to_millisecond},
    ports::{
        Clock, FolderMailer, IdSource, Links, Mailer, PluginRuntime, Policy, Queue, SystemClock,
        Templates, TicketCodes, Traces, UlidIds,
    },
    settings::{Settings, Store},
    types::BackupFacts,
};

impl Engine {
    /// Starts building an engine.
    pub fn builder() -> EngineBuilder {
        EngineBuilder {
            store: Store::Memory,
            settings: Settings::default(),
            mailer: None,
            policies: Vec::new(),
            plugins: None,
            templates: None,
            links: None,
            ticket_codes: None,
            queue: None,
            clock: None,
            ids: None,
            traces: None,
        }
    }
}

/// Builds an engine.
pub struct EngineBuilder {
    store: Store,
    settings: Settings,
    mailer: Option<Arc<dyn Mailer>>,
    policies: Vec<Arc<dyn Policy>>,
    plugins: Option<Arc<dyn PluginRuntime>>,
    templates: Option<Arc<dyn Templates>>,
    links: Option<Arc<dyn Links>>,
    ticket_codes: Option<Arc<dyn TicketCodes>>,
    queue: Option<Arc<dyn Queue>>,
    clock: Option<Arc<dyn Clock>>,
    ids: Option<Arc<dyn IdSource>>,
    traces: Option<Arc<dyn Traces>>,
}

impl EngineBuilder {
    /// Stores the data in a local folder, durable at every commit.
    #[must_use]
    pub fn embedded(self, folder: impl Into<PathBuf>) -> Self {
        self.store(Store::Embedded(folder.into()))
    }

    /// Sets the store.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// Uses these settings instead of the defaults.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the mailer. The default writes mails to `mails/` in the store's folder (or a temporary one).
    #[must_use]
    pub fn mailer(mut self, mailer: impl Mailer) -> Self {
        self.mailer = Some(Arc::new(mailer));
        self
    }

    /// Adds a policy for every booking, after those added before.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policies.push(Arc::new(policy));
        self
    }

    /// Sets the plugin runtime. Without it this engine refuses bookings of tenants with active plugins.
    #[must_use]
    pub fn plugins(mut self, plugins: impl PluginRuntime) -> Self {
        self.plugins = Some(Arc::new(plugins));
        self
    }

    /// Sets the templates of mails. The built-in templates are used if they fail.
    #[must_use]
    pub fn templates(mut self, templates: impl Templates) -> Self {
        self.templates = Some(Arc::new(templates));
        self
    }

    /// Sets the links in mails. Without them bulk mails have no link to unsubscribe, and nobody gets one to their tickets.
    #[must_use]
    pub fn links(mut self, links: impl Links) -> Self {
        self.links = Some(Arc::new(links));
        self
    }

    /// Sets the ticket codes. Without them tickets have no codes.
    #[must_use]
    pub fn ticket_codes(mut self, codes: impl TicketCodes) -> Self {
        self.ticket_codes = Some(Arc::new(codes));
        self
    }

    /// Sets the job queue in place of the embedded one.
    #[must_use]
    pub fn queue(mut self, queue: Arc<dyn Queue>) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Sets the source of ids.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.ids = Some(ids);
        self
    }

    /// Restores a backup ([`Operators::back_up`](crate::app_modules::Operators::back_up)) into this store instead of building an engine; the store must be empty.
    ///
    /// Everything is restored except sessions and leases. Unfinished deliveries become `unknown`, because they may
    /// have been sent since the backup was taken, and nothing is mailed before [`Operators::release`]. A backup proves
    /// complete only at its end: read it with [`check_backup`] first. An interrupted restore leaves a store that
    /// every program refuses.
    ///
    /// # Errors
    /// `backup-invalid`, `store-not-empty`, `store-in-use`, `store-too-new`, `unavailable`.
    pub async fn restore(self, backup: impl AsyncBufRead + Unpin) -> Result<BackupFacts> {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        restore(&self.store, to_millisecond(clock.now()), backup).await
    }

    /// Sets the port that stores places in traces with outbox entries. Without it none are stored.
    #[must_use]
    pub fn traces(mut self, traces: impl Traces) -> Self {
        self.traces = Some(Arc::new(traces));
        self
    }

    /// Opens the store, migrates its schema, and returns the engine.
    ///
    /// # Errors
    /// `store-in-use` if another process holds the folder, `store-too-new`, `store-incomplete`, `unavailable`.
    pub async fn build(self) -> Result<Engine> {
        let context = ModuleContext {
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            ids: self.ids.unwrap_or_else(|| Arc::new(UlidIds::default())),
            settings: Arc::new(self.settings),
            is_exclusive: !matches!(self.store, Store::Remote { .. }),
            outbox_added: Arc::new(Notify::new()),
            receipts_added: Arc::new(Notify::new()),
            counters: Arc::default(),
            traces: self.traces,
        };
        let ports = MailPorts {
            links: self.links.clone(),
            ticket_codes: self.ticket_codes.clone(),
        };
        let modules = Modules::open(&self.store, ports, &context).await?;
        let mailer = match self.mailer {
            Some(mailer) => mailer,
            None => Arc::new(default_mailer(&self.store)?),
        };
        let queue = self.queue.unwrap_or_else(|| modules.queue.clone());
        let sending = Semaphore::new(mailer.concurrency().max(1));
        let sending_bulk = Semaphore::new(mailer.concurrency().saturating_sub(1).max(1));
        let buckets = Buckets::new(&context.settings.delivery);
        // Not from the id source: two engines with the same seed must still differ.
        let holder = ulid::Ulid::new().to_string();
        Ok(Engine(Arc::new(EngineContext {
            modules,
            context,
            policies: self.policies,
            plugins: self.plugins,
            preparing: Mutex::default(),
            kept_swept_at: Mutex::default(),
            plugin_readiness: tokio::sync::Mutex::default(),
            templates: self.templates,
            links: self.links,
            ticket_codes: self.ticket_codes,
            mailer,
            queue,
            sending,
            sending_bulk,
            tenant_locks: TenantLocks::default(),
            buckets,
            lane_pauses: LanePauses::default(),
            listing: tokio::sync::Mutex::default(),
            holder,
        })))
    }
}

/// Reads and checks a whole backup, and returns its header.
///
/// # Errors
/// `backup-invalid` if it is no backup, truncated or changed; `store-too-new`.
pub async fn check_backup(backup: impl AsyncBufRead + Unpin) -> Result<BackupFacts> {
    modules::check_backup(backup).await
}

/// Writes mails beside an embedded store, into its folder `mails`, or for other stores into `boxoffice-mails` of the
/// system's folder for temporary files.
fn default_mailer(store: &Store) -> Result<FolderMailer> {
    let folder = match store {
        Store::Embedded(folder) => folder.join("mails"),
        Store::Memory | Store::Remote { .. } => std::env::temp_dir().join("boxoffice-mails"),
    };
    FolderMailer::open(&folder).map_err(|error| {
        Error::new(
            ErrorCode::Unavailable,
            format!("The mail folder {} could not be made.", folder.display()),
        )
        .caused_by(error)
    })
}
