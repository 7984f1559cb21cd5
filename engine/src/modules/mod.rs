//! Business rules, one file per area: the only caller of repositories. Private to the crate.
//!
//! Called by app_modules and the worker's use cases. Calls its own repository and ports; never HTTP, WASM, NATS or SMTP.

mod bookings;
pub(crate) mod catalogue;
mod changes;
mod check_ins;
mod claims;
mod door_list;
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
mod payments;
mod plugins;
mod receipts;
mod repositories;
mod support;
mod tenants;
mod tickets;
mod users;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use ulid::Ulid;

pub(crate) use bookings::{
    BeforeCancelling, BeforePolicies, BookingIntent, BookingsModule, CancelDecision,
    ImportedBooking, PaidRequest, Placement, PolicyDecision, RequestedBooking,
    RequestedCancellation, RequestedDetails, RequestedTransfer, WaitingCustomer, details_for,
    imports, not_published, policy_check, read_with_event, require_answers, require_transferable,
    with_holder,
};
pub(crate) use changes::ChangesModule;
pub(crate) use check_ins::{Admission, CheckInsModule};
pub(crate) use claims::ClaimsModule;
pub(crate) use door_list::DoorListPage;
pub(crate) use events::{EventAsRead, EventsModule};
pub(crate) use idempotency::{IdempotencyModule, imported_request, keyed};
pub(crate) use notifications::announcements::AnnouncementsModule;
pub(crate) use notifications::delivery_admin::{
    DeliveryAdminModule, NotificationCommand, Wanted, events_of, group_reasons,
};
pub(crate) use notifications::mail::mail_sample;
pub(crate) use notifications::subscriptions::SubscriptionsModule;
pub(crate) use notifications::{
    AfterWrite, BatchGroup, BatchTask, Claimant, ClaimedBatch, Listing, MailPorts, MailSource,
    NotificationsModule, PendingMail, Publications,
};
pub use operations::backups::Backup;
pub(crate) use operations::backups::{BackupsModule, check as check_backup, restore};
pub(crate) use operations::housekeeping::HousekeepingModule;
pub(crate) use operations::leases::LeasesModule;
pub(crate) use operations::verification::VerificationModule;
pub(crate) use operators::OperatorsModule;
pub(crate) use payments::{LateStep, PaymentsModule, in_currency};
pub use plugins::{FailedCall, PluginLogEntry};
pub(crate) use plugins::{
    NotedCall, PluginBytes, PluginReadiness, PluginsModule, SetRequest, is_known_account,
    quarantined,
};
pub(crate) use receipts::ReceiptsModule;
pub(crate) use repositories::Closing;
pub(crate) use tenants::TenantsModule;
pub(crate) use tickets::BookingOfReader;
pub use tickets::qr_code::{qr_code_png, qr_code_svg};
pub(crate) use users::accounts::link_owner;
pub(crate) use users::api_keys::{API_KEY_PREFIX, ApiKeysModule};
pub(crate) use users::roles::require_not_suspended;
pub(crate) use users::sessions::SessionsModule;
pub(crate) use users::{AddressConfirmation, PasswordCheck, UsersModule};

use bookings::offers::OfferMaker;
use notifications::stored_queue::StoredQueue;
use support::inventory_locks::InventoryLocks;

use crate::{
    counters::Counters,
    error::Result,
    ports::{Clock, IdSource, MemoryQueue, Queue, Traces},
    settings::{Settings, Store},
    types::TraceParent,
};

/// What every module needs in addition to its repository.
#[derive(Clone)]
pub(crate) struct ModuleContext {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) settings: Arc<Settings>,
    /// Whether no other process can have the store open.
    pub(crate) is_exclusive: bool,
    /// Notified when something was committed for the relay.
    pub(crate) outbox_added: Arc<Notify>,
    /// Notified when a receipt became due.
    pub(crate) receipts_added: Arc<Notify>,
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
    pub(crate) api_keys: ApiKeysModule,
    pub(crate) backups: BackupsModule,
    pub(crate) bookings: Arc<BookingsModule>,
    pub(crate) changes: ChangesModule,
    pub(crate) check_ins: CheckInsModule,
    pub(crate) delivery_admin: DeliveryAdminModule,
    pub(crate) events: EventsModule,
    pub(crate) housekeeping: HousekeepingModule,
    pub(crate) idempotency: IdempotencyModule,
    pub(crate) leases: LeasesModule,
    pub(crate) notifications: NotificationsModule,
    pub(crate) operators: OperatorsModule,
    pub(crate) claims: ClaimsModule,
    pub(crate) payments: PaymentsModule,
    pub(crate) plugins: PluginsModule,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) receipts: ReceiptsModule,
    pub(crate) sessions: SessionsModule,
    pub(crate) subscriptions: SubscriptionsModule,
    pub(crate) tenants: TenantsModule,
    pub(crate) users: UsersModule,
    pub(crate) verification: VerificationModule,
    db: repositories::Db,
}

impl Modules {
    /// Opens the store and migrates its schema.
    pub(crate) async fn open(
        store: &Store,
        ports: MailPorts,
        context: &ModuleContext,
    ) -> Result<Self> {
        use repositories::*;
        let db = Db::open(store, context.counters.clone()).await?;
        migrate(&db).await?;
        let notifications = Arc::new(NotificationsRepository::new(db.clone()));
        let bookings = Arc::new(BookingsRepository::new(db.clone()));
        let events = Arc::new(EventsRepository::new(db.clone()));
        let waitlist = Arc::new(WaitlistRepository::new(db.clone()));
        let payments = Arc::new(PaymentsRepository::new(db.clone()));
        let claims = Arc::new(ClaimsRepository::new(db.clone()));
        let inventory_locks = Arc::new(InventoryLocks::default());
        let offer_maker = OfferMaker {
            repository: waitlist,
            context: context.clone(),
        };
        let checks_max = context.settings.limits.password_checks_max;
        let passwords = Arc::new(users::passwords::Passwords::new(checks_max));
        let (db, context) = (|| db.clone(), || context.clone());
        // Processes that share a store share its tasks. A single one takes up at its start what the outbox has.
        let queue: Arc<dyn Queue> = match store {
            Store::Remote { .. } => {
                Arc::new(StoredQueue::new(QueueRepository::new(db()), context()))
            }
            Store::Memory | Store::Embedded(_) => Arc::new(MemoryQueue::default()),
        };
        Ok(Self {
            announcements: AnnouncementsModule::new(
                AnnouncementsRepository::new(db()),
                bookings.clone(),
                context(),
            ),
            api_keys: ApiKeysModule::new(
                ApiKeysRepository::new(db()),
                SessionsRepository::new(db()),
                context(),
            ),
            backups: BackupsModule::new(
                BackupsRepository::new(db()),
                notifications.clone(),
                context(),
            ),
            bookings: Arc::new(BookingsModule::new(
                bookings.clone(),
                offer_maker.clone(),
                HoldsRepository::new(db()),
                events.clone(),
                inventory_locks.clone(),
            )),
            changes: ChangesModule::new(
                ChangesRepository::new(db()),
                BackupsRepository::new(db()),
                context(),
            ),
            check_ins: CheckInsModule::new(
                CheckInsRepository::new(db()),
                bookings.clone(),
                context(),
            ),
            delivery_admin: DeliveryAdminModule::new(
                DeliveryAdminRepository::new(db()),
                notifications.clone(),
                context(),
            ),
            events: EventsModule::new(
                events.clone(),
                bookings.clone(),
                notifications,
                offer_maker,
                inventory_locks,
            ),
            housekeeping: HousekeepingModule::new(
                HousekeepingRepository::new(db()),
                payments.clone(),
                context(),
            ),
            idempotency: IdempotencyModule::new(IdempotencyRepository::new(db())),
            leases: LeasesModule::new(LeasesRepository::new(db()), context()),
            notifications: NotificationsModule::open(&db(), ports, context()).await?,
            operators: OperatorsModule::new(
                OperatorsRepository::new(db()),
                passwords.clone(),
                context(),
            ),
            claims: ClaimsModule::new(claims.clone()),
            payments: PaymentsModule::new(payments.clone(), context()),
            plugins: PluginsModule::new(PluginsRepository::new(db()), context()),
            queue,
            receipts: ReceiptsModule::new(
                ReceiptsRepository::new(db()),
                bookings,
                events,
                receipts::OtherRepositories {
                    users: UsersRepository::new(db()),
                    tenants: TenantsRepository::new(db()),
                    backups: BackupsRepository::new(db()),
                },
                context(),
            ),
            sessions: SessionsModule::new(SessionsRepository::new(db()), context()),
            subscriptions: SubscriptionsModule::new(SubscriptionsRepository::new(db()), context()),
            tenants: TenantsModule::new(TenantsRepository::new(db()), context()),
            users: UsersModule::new(UsersRepository::new(db()), passwords, context()),
            verification: VerificationModule::new(
                VerificationRepository::new(db()),
                payments,
                claims,
                (ReceiptsRepository::new(db()), TenantsRepository::new(db())),
            ),
            db: db(),
        })
    }

    /// What to wait for once no module exists any more.
    pub(crate) fn closing(&self) -> Closing {
        self.db.closing()
    }

    /// Reads a row.
    pub(crate) async fn ping(&self) -> Result<()> {
        self.db.ping().await
    }
}

/// The content of a request except its Idempotency-Key, as JSON. Two requests with one key must have the same.
pub(crate) fn request_hash(canonical: &Value) -> String {
    sha256_hex(canonical.to_string().as_bytes())
}

/// The SHA-256 of some bytes as hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
