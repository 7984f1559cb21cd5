//! Business rules, one file per area: the only caller of repositories. Private to the crate.
//!
//! Called by app_modules and the worker's use cases. Calls its own repository and ports; never HTTP, WASM, NATS or SMTP.

mod bookings;
mod check_ins;
mod events;
mod idempotency;
#[cfg(any(
    layer_probe = "module_returns_repository",
    layer_probe = "module_names_row",
    layer_probe = "module_writes_query"
))]
mod layer_probe;
mod notifications;
mod operations;
mod operators;
mod plugins;
mod repositories;
mod support;
mod tenants;
mod users;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use ulid::Ulid;

pub(crate) use bookings::{
    BeforeCancelling, BookingIntent, BookingsModule, CancelDecision, Placement, PolicyDecision,
    RequestedBooking, RequestedCancellation, not_published, read_with_event,
};
pub(crate) use check_ins::{Admission, CheckInsModule};
pub(crate) use events::EventsModule;
pub(crate) use idempotency::{IdempotencyModule, keyed};
pub(crate) use notifications::announcements::AnnouncementsModule;
pub(crate) use notifications::delivery_admin::{
    DeliveryAdminModule, NotificationCommand, Wanted, events_of, group_reasons,
};
pub(crate) use notifications::embedded_queue::EmbeddedQueue;
pub(crate) use notifications::mail::mail_sample;
pub(crate) use notifications::subscriptions::SubscriptionsModule;
pub(crate) use notifications::{
    AfterWrite, BatchGroup, BatchTask, Claimant, ClaimedBatch, Listing, MailPorts, MailSource,
    NotificationsModule, PendingMail,
};
pub use operations::backups::Backup;
pub(crate) use operations::backups::{BackupsModule, check as check_backup, restore};
pub(crate) use operations::housekeeping::HousekeepingModule;
pub(crate) use operations::leases::LeasesModule;
pub(crate) use operations::verification::VerificationModule;
pub(crate) use operators::OperatorsModule;
pub use plugins::{FailedCall, PluginLogEntry};
pub(crate) use plugins::{NotedCall, PluginBytes, PluginsModule, SetRequest};
pub(crate) use repositories::Closing;
pub(crate) use tenants::TenantsModule;
pub(crate) use users::UsersModule;
pub(crate) use users::sessions::SessionsModule;

use crate::{
    counters::Counters,
    error::Result,
    ports::{Clock, IdSource, Traces},
    settings::{Settings, Store},
    types::TraceParent,
};

/// What every module needs in addition to its repository.
#[derive(Clone)]
pub(crate) struct ModuleContext {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) settings: Arc<Settings>,
    /// Notified when something was committed for the relay.
    pub(crate) owed: Arc<Notify>,
    /// This process's counters.
    pub(crate) counters: Arc<Counters>,
    /// The port for traces, if there is one.
    pub(crate) traces: Option<Arc<dyn Traces>>,
}

impl ModuleContext {
    /// The current time in whole milliseconds, like in rows, so that responses equal what is stored.
    pub(crate) fn now(&self) -> Timestamp {
        to_millisecond(self.clock.now())
    }

    pub(crate) fn next_id(&self) -> Ulid {
        self.ids.next()
    }

    /// The place in the current request's trace, if it is recorded.
    pub(crate) fn trace(&self) -> Option<TraceParent> {
        self.traces.as_ref()?.current()
    }
}

/// Truncates a time to whole milliseconds, like in rows.
pub(crate) fn to_millisecond(moment: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(moment.as_millisecond()).unwrap_or(moment)
}

/// All modules over one store.
pub(crate) struct Modules {
    pub(crate) announcements: AnnouncementsModule,
    pub(crate) backups: BackupsModule,
    pub(crate) bookings: BookingsModule,
    pub(crate) check_ins: CheckInsModule,
    pub(crate) delivery_admin: DeliveryAdminModule,
    pub(crate) events: EventsModule,
    pub(crate) housekeeping: HousekeepingModule,
    pub(crate) idempotency: IdempotencyModule,
    pub(crate) leases: LeasesModule,
    pub(crate) notifications: NotificationsModule,
    pub(crate) operators: OperatorsModule,
    pub(crate) plugins: PluginsModule,
    pub(crate) queue: Arc<EmbeddedQueue>,
    pub(crate) sessions: SessionsModule,
    pub(crate) subscriptions: SubscriptionsModule,
    pub(crate) tenants: TenantsModule,
    pub(crate) users: UsersModule,
    pub(crate) verification: VerificationModule,
    db: repositories::Db,
}

impl Modules {
    /// Opens the store and brings its schema up to date.
    pub(crate) async fn open(
        store: &Store,
        ports: MailPorts,
        context: &ModuleContext,
    ) -> Result<Self> {
        let db = repositories::Db::open(store, context.counters.clone()).await?;
        repositories::migrate(&db).await?;
        let lanes = Arc::new(support::event_queues::EventQueues::new(
            context.settings.limits.event_queue_max,
        ));
        let notifications = Arc::new(repositories::NotificationsRepository::new(db.clone()));
        let bookings = Arc::new(repositories::BookingsRepository::new(db.clone()));
        let events = Arc::new(repositories::EventsRepository::new(db.clone()));
        let waitlist = Arc::new(repositories::WaitlistRepository::new(db.clone()));
        let offer_maker = bookings::offers::OfferMaker {
            repository: waitlist,
            context: context.clone(),
        };
        let checks_max = context.settings.limits.password_checks_max;
        let passwords = Arc::new(users::passwords::Passwords::new(checks_max));
        Ok(Self {
            announcements: AnnouncementsModule::new(
                repositories::AnnouncementsRepository::new(db.clone()),
                bookings.clone(),
                context.clone(),
            ),
            backups: BackupsModule::new(
                repositories::BackupsRepository::new(db.clone()),
                notifications.clone(),
                context.clone(),
            ),
            bookings: BookingsModule::new(
                bookings.clone(),
                offer_maker.clone(),
                repositories::HoldsRepository::new(db.clone()),
                events.clone(),
                lanes.clone(),
                context.clone(),
            ),
            check_ins: CheckInsModule::new(
                repositories::CheckInsRepository::new(db.clone()),
                bookings.clone(),
                context.clone(),
            ),
            delivery_admin: DeliveryAdminModule::new(
                repositories::DeliveryAdminRepository::new(db.clone()),
                notifications.clone(),
                context.clone(),
            ),
            events: EventsModule::new(
                events.clone(),
                bookings.clone(),
                notifications.clone(),
                offer_maker,
                lanes,
                context.clone(),
            ),
            housekeeping: HousekeepingModule::new(
                repositories::HousekeepingRepository::new(db.clone()),
                context.clone(),
            ),
            idempotency: IdempotencyModule::new(repositories::IdempotencyRepository::new(
                db.clone(),
            )),
            leases: LeasesModule::new(repositories::LeasesRepository::new(db.clone())),
            notifications: NotificationsModule::new(&db, ports, context.clone()),
            operators: OperatorsModule::new(
                repositories::OperatorsRepository::new(db.clone()),
                passwords.clone(),
                context.clone(),
            ),
            plugins: PluginsModule::new(
                repositories::PluginsRepository::new(db.clone()),
                context.clone(),
            ),
            queue: Arc::new(EmbeddedQueue::new(
                repositories::QueueRepository::new(db.clone()),
                context.clone(),
            )),
            sessions: SessionsModule::new(
                repositories::SessionsRepository::new(db.clone()),
                context.clone(),
            ),
            subscriptions: SubscriptionsModule::new(
                repositories::SubscriptionsRepository::new(db.clone()),
                context.clone(),
            ),
            tenants: TenantsModule::new(
                repositories::TenantsRepository::new(db.clone()),
                context.clone(),
            ),
            users: UsersModule::new(
                repositories::UsersRepository::new(db.clone()),
                passwords,
                context.clone(),
            ),
            verification: VerificationModule::new(repositories::VerificationRepository::new(
                db.clone(),
            )),
            db,
        })
    }

    /// What to wait for once no module exists any more.
    pub(crate) fn closing(&self) -> Closing {
        self.db.closing()
    }

    /// Runs a trivial query.
    pub(crate) async fn ping(&self) -> Result<()> {
        self.db.ping().await
    }
}

/// The content of a request except its Idempotency-Key, as JSON. Two requests with one key must have the same.
pub(crate) fn request_hash(canonical: &Value) -> String {
    let digest = Sha256::digest(canonical.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
