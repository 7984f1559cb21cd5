//! Building an engine, and the handles to its use cases.
//!
//! Called by hosts and platforms. Wires modules and ports together; there is no global state.

use std::{
    collections::HashSet,
    num::NonZeroU32,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::AsyncBufRead,
    sync::{Notify, Semaphore},
};

use crate::{
    Error, ErrorCode, Result,
    app_modules::{
        Bookings, Brought, Buckets, CheckIns, DeliveryAdmin, Events, Holds, LanePauses,
        Notifications, Operators, Plugins, Sessions, Subscriptions, TenantLocks, Tenants, Users,
        Waitlist,
    },
    counters::Counts,
    modules::{self, ModuleContext, Modules, restore, to_millisecond},
    ports::{
        Clock, FolderMailer, IdSource, Links, Mailer, PluginRef, PluginRuntime, Policy, Queue,
        SystemClock, Templates, TicketCodes, Traces, UlidIds,
    },
    types::{BackupFacts, EmailAddress},
    worker::Worker,
};

/// Where the engine keeps its state.
#[derive(Debug, Clone)]
pub enum Store {
    /// In a folder of this machine; one process at a time.
    Embedded(PathBuf),
    /// In memory, gone with the engine; for tests.
    Memory,
    /// On a SurrealDB server (`ws://` or `wss://`); any number of processes.
    Remote {
        /// Its URL.
        url: String,
        /// SurrealDB namespace.
        namespace: String,
        /// SurrealDB database.
        database: String,
        /// A user who may define tables there.
        username: String,
        /// Their password.
        password: String,
    },
}

/// Numbers an installation may turn. The defaults suit one process on one machine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Envelope and header sender of every mail.
    pub mail_from: EmailAddress,
    /// How long an event update waits for further ones, to become one mail.
    pub update_merge_window: Duration,
    /// How long a hold keeps its tickets, and how much more time it can be given, once.
    pub hold_duration: Duration,
    /// How long tickets are kept for a customer on a waiting list whom they were offered; never longer than they are sold.
    pub offer_duration: Duration,
    /// Most customers on the waiting list of an event.
    pub waitlist_entries_max: u32,
    /// Bookings that may wait for one event inside this process; beyond it `event-busy`.
    pub lane_waiting_max: usize,
    /// Passwords hashed at the same time; each takes 19 MiB.
    pub password_checks_max: usize,
    /// How long a silent worker keeps its block of deliveries.
    pub delivery_lease: Duration,
    /// How long a silent process keeps a singleton's lease.
    pub singleton_lease: Duration,
    /// How long work may stay unfinished before the relay publishes it again.
    pub republish_after: Duration,
    /// Blocks of 32 mails of one notification that wait for workers at a time, at least 2. A tenant with 100,000
    /// recipients puts no more than these before another tenant's mails in the same shard of the queue; too few keep
    /// workers waiting for more to be listed.
    pub bulk_window_blocks: u32,
    /// Mails a second that each tenant may send from one process; none for as many as go. Bulk mails leave a tenth of
    /// it to the others.
    pub tenant_mails_per_second: Option<NonZeroU32>,
    /// Mails a second that all tenants together may send from one process, as providers of mail accounts ask for.
    pub account_mails_per_second: Option<NonZeroU32>,
    /// First pause after a failed send; doubles each time, with jitter, up to `retry_pause_max`.
    pub retry_pause: Duration,
    /// Longest pause between two tries of a delivery.
    pub retry_pause_max: Duration,
    /// Tries of a delivery before it is dead.
    pub attempts_max: u32,
    /// Versions of plugins that a tenant may have, those of before included. With 4 MiB each they are 4 GB at most.
    pub plugin_versions_max: u32,
    /// Announcements that a tenant may allow itself in a day; each is a mail to every customer of an event.
    pub announcements_per_day_max: u32,
    /// Mails of one kind that an address gets in a day (UTC) until somebody confirms it, of those that whoever typed it brings
    /// about; further ones are suppressed.
    pub unconfirmed_mails_per_day: u32,
    /// Whether customers are asked to confirm their address where their tenant wants that. Off for trying things out.
    pub require_email_verification: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mail_from: EmailAddress::stored("boxoffice@localhost".to_owned()),
            update_merge_window: Duration::from_secs(60),
            // Long enough to type a card number in, short enough that a full house is not held by ghosts.
            hold_duration: Duration::from_secs(600),
            // Long enough to see a mail of the evening in the morning.
            offer_duration: Duration::from_secs(12 * 3600),
            // Where somebody stands is counted: 5,000 keys take some ten milliseconds.
            waitlist_entries_max: 5_000,
            lane_waiting_max: 16_384,
            password_checks_max: 2,
            delivery_lease: Duration::from_secs(30),
            singleton_lease: Duration::from_secs(6),
            republish_after: Duration::from_secs(60),
            bulk_window_blocks: 64,
            tenant_mails_per_second: None,
            account_mails_per_second: None,
            retry_pause: Duration::from_secs(30),
            retry_pause_max: Duration::from_secs(4 * 3600),
            attempts_max: 40,
            // Ten to go back to for each of 64 plugins in use, and as many again to try.
            plugin_versions_max: 1_000,
            announcements_per_day_max: 100,
            // As many as a person books in a day before they look into their mails; no flood for a stranger.
            unconfirmed_mails_per_day: 5,
            require_email_verification: true,
        }
    }
}

/// A booking engine: cheap to clone, safe to share.
#[derive(Clone)]
pub struct Engine(Arc<EngineContext>);

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
    pub(crate) brought: tokio::sync::Mutex<Brought>,
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

impl Engine {
    /// Starts describing an engine.
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

    /// Use cases around bookings.
    pub fn bookings(&self) -> Bookings {
        Bookings(self.0.clone())
    }

    /// Use cases around holds.
    pub fn holds(&self) -> Holds {
        Holds(self.0.clone())
    }

    /// Use cases around waiting lists.
    pub fn waitlist(&self) -> Waitlist {
        Waitlist(self.0.clone())
    }

    /// Use cases around tickets at the door.
    pub fn check_ins(&self) -> CheckIns {
        CheckIns(self.0.clone())
    }

    /// Use cases around events.
    pub fn events(&self) -> Events {
        Events(self.0.clone())
    }

    /// Use cases around users.
    pub fn users(&self) -> Users {
        Users(self.0.clone())
    }

    /// Use cases around sessions.
    pub fn sessions(&self) -> Sessions {
        Sessions(self.0.clone())
    }

    /// Use cases around tenants.
    pub fn tenants(&self) -> Tenants {
        Tenants(self.0.clone())
    }

    /// Use cases around operators.
    pub fn operators(&self) -> Operators {
        Operators(self.0.clone())
    }

    /// Use cases around which mails customers do without.
    pub fn subscriptions(&self) -> Subscriptions {
        Subscriptions(self.0.clone())
    }

    /// Use cases around notifications.
    pub fn notifications(&self) -> Notifications {
        Notifications(self.0.clone())
    }

    /// Use cases around what goes out: how it stands, and what to do about it.
    pub fn delivery_admin(&self) -> DeliveryAdmin {
        DeliveryAdmin(self.0.clone())
    }

    /// What this process did since it started, for whoever exports it.
    pub fn counts(&self) -> Counts {
        self.0.context.counters.read()
    }

    /// Use cases around plugins.
    pub fn plugins(&self) -> Plugins {
        Plugins(self.0.clone())
    }

    /// The queue that tasks go through: the embedded one, or what the platform supplied. For looking at it and for
    /// tests of queues; the worker needs no help, and a task fetched here is a task it does not get.
    pub fn queue(&self) -> Arc<dyn Queue> {
        self.0.queue.clone()
    }

    /// The worker that does what is owed; start it in at least one process.
    pub fn worker(&self) -> Worker {
        Worker(self.0.clone())
    }

    /// Lets an embedded store close, and waits until it has: then its folder can be opened again, or copied. Without this a
    /// dropped engine's store closes a moment later, and not at all if the process ends first; what was acknowledged is
    /// safe all the same. Returns false if that took longer than `limit`: something else still has a handle, such as
    /// another clone of the engine or a worker that was not drained. Other stores have nothing to wait for.
    pub async fn close(self, limit: Duration) -> bool {
        let closing = self.0.modules.closing();
        drop(self);
        closing.wait(limit).await
    }

    /// Asks the store a trivial question, for readiness checks; gives up after 2 seconds.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn ping(&self) -> Result<()> {
        self.0.modules.ping().await
    }

    /// Asks whether this process can serve: the store answers, and every plugin that tenants have in use was brought here.
    /// What is missing is brought behind the answer, so that asking again makes it ready.
    ///
    /// # Errors
    /// `unavailable` says what is missing.
    pub async fn ready(&self) -> Result<()> {
        self.ping().await?;
        self.0.has_all_plugins().await
    }
}

/// Describes an engine before it is built.
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
    /// Keeps the state in a folder of this machine, durable at every commit.
    #[must_use]
    pub fn embedded(self, folder: impl Into<PathBuf>) -> Self {
        self.store(Store::Embedded(folder.into()))
    }

    /// Keeps the state wherever this says.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// Turns numbers.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Sends mails this way; without it they are written to `mails/` in the store's folder (or a temporary one).
    #[must_use]
    pub fn mailer(mut self, mailer: impl Mailer) -> Self {
        self.mailer = Some(Arc::new(mailer));
        self
    }

    /// Asks this policy at every booking, after those added before.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policies.push(Arc::new(policy));
        self
    }

    /// Runs what tenants upload; without it tenants with plugins in use get no bookings from this engine.
    #[must_use]
    pub fn plugins(mut self, plugins: impl PluginRuntime) -> Self {
        self.plugins = Some(Arc::new(plugins));
        self
    }

    /// Words mails this way; the built-in templates stand in when it fails.
    #[must_use]
    pub fn templates(mut self, templates: impl Templates) -> Self {
        self.templates = Some(Arc::new(templates));
        self
    }

    /// Makes the links in mails this way; without it bulk mails have none to unsubscribe with.
    #[must_use]
    pub fn links(mut self, links: impl Links) -> Self {
        self.links = Some(Arc::new(links));
        self
    }

    /// Makes and reads the codes of tickets this way; without it tickets have none.
    #[must_use]
    pub fn ticket_codes(mut self, codes: impl TicketCodes) -> Self {
        self.ticket_codes = Some(Arc::new(codes));
        self
    }

    /// Hurries work through this queue instead of the embedded one.
    #[must_use]
    pub fn queue(mut self, queue: Arc<dyn Queue>) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Tells the time this way.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Takes ids from here.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.ids = Some(ids);
        self
    }

    /// Restores a backup ([`Operators::back_up`]) into this store instead of building an engine; the store must be empty.
    ///
    /// Everything is there then but sessions and leases. Deliveries that were not over are marked `unknown`, because they may
    /// have been sent since the backup was taken, and nothing is mailed before [`Operators::release`]. Whether the backup is
    /// whole is known at its end: read it with [`check_backup`] before. A restore that was broken off leaves a store that
    /// every program refuses.
    ///
    /// # Errors
    /// `backup-invalid`, `store-not-empty`, `store-in-use`, `store-too-new`, `unavailable`.
    pub async fn restore(self, backup: impl AsyncBufRead + Unpin) -> Result<BackupFacts> {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        restore(&self.store, to_millisecond(clock.now()), backup).await
    }

    /// Keeps traces of requests together with what they owe; without it nothing is kept of them.
    #[must_use]
    pub fn traces(mut self, traces: impl Traces) -> Self {
        self.traces = Some(Arc::new(traces));
        self
    }

    /// Opens the store, brings its schema up to date, and answers the engine.
    ///
    /// # Errors
    /// `store-in-use` if another process holds the folder, `store-too-new`, `store-incomplete`, `unavailable`.
    pub async fn build(self) -> Result<Engine> {
        let context = ModuleContext {
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            ids: self.ids.unwrap_or_else(|| Arc::new(UlidIds::default())),
            settings: Arc::new(self.settings),
            owed: Arc::new(Notify::new()),
            counters: Arc::default(),
            traces: self.traces,
        };
        let modules = Modules::open(&self.store, &context).await?;
        let mailer = match self.mailer {
            Some(mailer) => mailer,
            None => Arc::new(default_mailer(&self.store)?),
        };
        let queue = self.queue.unwrap_or_else(|| modules.queue.clone());
        let sending = Semaphore::new(mailer.concurrency().max(1));
        let sending_bulk = Semaphore::new(mailer.concurrency().saturating_sub(1).max(1));
        let buckets = Buckets::new(&context.settings);
        // Not from the id source: two engines with seeded ids must still be told apart.
        let holder = ulid::Ulid::new().to_string();
        Ok(Engine(Arc::new(EngineContext {
            modules,
            context,
            policies: self.policies,
            plugins: self.plugins,
            preparing: Mutex::default(),
            kept_swept_at: Mutex::default(),
            brought: tokio::sync::Mutex::default(),
            templates: self.templates,
            links: self.links,
            ticket_codes: self.ticket_codes,
            mailer,
            queue,
            sending,
            sending_bulk,
            turns: TenantLocks::default(),
            buckets,
            lane_pauses: LanePauses::default(),
            listing: tokio::sync::Mutex::default(),
            holder,
        })))
    }
}

/// Reads a backup to its end, and says what it is.
///
/// # Errors
/// `backup-invalid` for what is none, was cut off or changed; `store-too-new`.
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
