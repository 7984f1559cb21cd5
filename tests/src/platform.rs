//! An engine in this process: store in memory, a clock that tests move, ids from a seed, mails in a folder.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use boxoffice_engine::{
    BookTickets, Booking, Caller, CreateEvent, CreateTenant, CreateUser, EmailAddress, Engine,
    EngineBuilder, EnsureUser, Event, EventDetails, EventId, EventStatus, Label, NewTicketType,
    NotificationSummary, Prose, Reminder, Settings, TenantId, TenantSettings, UpdateEvent,
    UserRole, WorkerHandle, WorkerSettings,
    ports::{Clock, FolderMailer, SeededIds, shard_of},
};
use boxoffice_host::{SealedTicketCodes, TokenKey};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;

use crate::{
    Account, Patience, ReceivedMail, TempFolder, mails::mail_files, read_mails, wait_until,
};

/// A clock that stands still until it is moved.
pub struct FakeClock(Mutex<Timestamp>);

impl FakeClock {
    /// Stands at this moment (RFC 3339).
    ///
    /// # Panics
    /// When that is no moment.
    pub fn at(moment: &str) -> Self {
        Self(Mutex::new(
            moment.parse().expect("a moment as RFC 3339 has it"),
        ))
    }

    /// Moves on.
    ///
    /// # Panics
    /// When that leaves the calendar.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().expect("no holder panics");
        *now = now.checked_add(by).expect("tests stay within the calendar");
    }
}

impl FakeClock {
    /// Is set back, as a machine's clock may be.
    ///
    /// # Panics
    /// When that leaves the calendar.
    pub fn set_back(&self, by: Duration) {
        let mut now = self.0.lock().expect("no holder panics");
        *now = now.checked_sub(by).expect("tests stay within the calendar");
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no holder panics")
    }
}

/// Codes of tickets under a key that is the same for all tests.
///
/// # Panics
/// Never: the key is long enough.
pub fn ticket_codes() -> SealedTicketCodes {
    let key = TokenKey {
        id: "tests".to_owned(),
        secret: vec![11; 32],
    };
    SealedTicketCodes::new(vec![key]).expect("a key that is long enough")
}

/// Leases and pauses short enough for tests, and long enough for a busy machine; updates do not wait for others.
pub fn quick_settings() -> Settings {
    let mut settings = Settings::default();
    settings.delivery.update_merge_window = Duration::ZERO;
    settings.delivery.retry_pause = Duration::from_millis(200);
    settings.delivery.retry_pause_max = Duration::from_secs(1);
    settings.worker = WorkerSettings {
        delivery_lease: Duration::from_secs(3),
        singleton_lease: Duration::from_secs(2),
        republish_after: Duration::from_secs(4),
    };
    settings
}

/// An engine for tests. Dropping it fails the test when it owes mails that nobody waited for.
pub struct TestPlatform {
    /// The engine.
    pub engine: Engine,
    /// Its clock.
    pub clock: Arc<FakeClock>,
    folder: TempFolder,
    worker: Mutex<Option<WorkerHandle>>,
    owed: AtomicUsize,
    may_owe: AtomicBool,
}

impl TestPlatform {
    /// An engine without tenants.
    ///
    /// # Panics
    /// When it cannot be built.
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    /// An engine without tenants, described further by `describe`.
    ///
    /// # Panics
    /// When it cannot be built.
    pub async fn with(describe: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let folder = TempFolder::new("platform");
        let clock = Arc::new(FakeClock::at("2026-12-01T12:00:00Z"));
        let builder = Engine::builder()
            .settings(quick_settings())
            .mailer(FolderMailer::open(folder.join("mails")).expect("the folder is ours"))
            .clock(clock.clone())
            .ids(Arc::new(SeededIds::new(1)));
        let engine = describe(builder)
            .build()
            .await
            .expect("an engine in memory starts");
        let (owed, may_owe) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self {
            engine,
            clock,
            folder,
            worker: Mutex::new(None),
            owed,
            may_owe,
        }
    }

    /// Makes a tenant where anybody may register as an organizer.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn tenant(&self, name: &str) -> TenantId {
        let id = TenantId::parse(name).expect("a tenant name");
        let command = CreateTenant {
            id: id.clone(),
            name: label(name),
            currency: "EUR".to_owned(),
            settings: TenantSettings {
                organizers_may_register: true,
                // Tests about it have tenants of their own.
                bulk_to_verified_only: false,
                ..TenantSettings::default()
            },
        };
        self.engine
            .tenants()
            .create(&Caller::operator(), command)
            .await
            .expect("a new tenant");
        id
    }

    /// Makes a user with the kit's password, `NAME@TENANT.test`.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn user(&self, tenant: &TenantId, name: &str, role: UserRole) -> Caller {
        let command = CreateUser {
            email: email(name, tenant),
            name: label(name),
            password: Some(Account::PASSWORD.to_owned()),
            role,
        };
        let user = self
            .engine
            .users()
            .create(&platform(tenant), command)
            .await
            .expect("a new user");
        Caller::user(tenant.clone(), user.id, role)
    }

    /// Makes a customer as platforms bring them: no password, so that thousands are made quickly.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn customer(&self, tenant: &TenantId, name: &str) -> Caller {
        ensure_customer(&self.engine, tenant, name, email(name, tenant)).await
    }

    /// Makes a published event of this many tickets, in a month's time.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn event(&self, organizer: &Caller, tickets: u32) -> Event {
        create_event(&self.engine, organizer, self.clock.now(), tickets).await
    }

    /// Books tickets and counts their mail.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn book(&self, customer: &Caller, event: EventId, quantity: u32) -> Booking {
        let command = BookTickets::general(event, quantity);
        let booking = self
            .engine
            .bookings()
            .book_tickets(customer, command)
            .await
            .expect("a booking");
        self.owes(1);
        booking
    }

    /// Counts mails for something that was done without the kit.
    pub fn owes(&self, mails: usize) {
        self.owed.fetch_add(mails, Ordering::Relaxed);
    }

    /// Allows the test to end with mails owed.
    pub fn may_owe(&self) {
        self.may_owe.store(true, Ordering::Relaxed);
    }

    /// Starts the worker unless it runs, and waits until every counted mail is there, and no other.
    ///
    /// # Panics
    /// When mails are missing after the bound, or when there are too many.
    pub async fn settle(&self) -> Vec<ReceivedMail> {
        self.worker
            .lock()
            .expect("no holder panics")
            .get_or_insert_with(|| self.engine.worker().spawn());
        let owed = self.owed.load(Ordering::Relaxed);
        let folder = self.folder.join("mails");
        wait_until(Patience::WORK, &format!("{owed} mails"), || {
            let count = mail_files(&folder).len();
            async move { count >= owed }
        })
        .await;
        let mails = read_mails(&folder);
        assert_eq!(
            mails.len(),
            owed,
            "more mails than are owed: {:?}",
            subjects(&mails)
        );
        mails
    }
}

impl Drop for TestPlatform {
    fn drop(&mut self) {
        let (owed, sent) = (
            self.owed.load(Ordering::Relaxed),
            mail_files(&self.folder.join("mails")).len(),
        );
        if !std::thread::panicking() && !self.may_owe.load(Ordering::Relaxed) {
            assert_eq!(
                sent, owed,
                "mails are owed that nobody waited for: call `settle`, or `may_owe`"
            );
        }
    }
}

/// Makes a tenant and an organizer with the kit's password in an engine, for tests whose programs share its store.
///
/// # Panics
/// When the engine refuses.
pub async fn organizer_and_tenant(
    engine: &Engine,
    tenant: &str,
) -> (TenantId, Caller, EmailAddress) {
    let id = TenantId::parse(tenant).expect("a tenant name");
    let command = CreateTenant {
        id: id.clone(),
        name: label(tenant),
        currency: "EUR".to_owned(),
        settings: TenantSettings {
            organizers_may_register: true,
            bulk_to_verified_only: false,
            ..TenantSettings::default()
        },
    };
    engine
        .tenants()
        .create(&Caller::operator(), command)
        .await
        .expect("a new tenant");
    let address = email("organizer", &id);
    let command = CreateUser {
        email: address.clone(),
        name: label("organizer"),
        password: Some(Account::PASSWORD.to_owned()),
        role: UserRole::Organizer,
    };
    let user = engine
        .users()
        .create(&platform(&id), command)
        .await
        .expect("a new user");
    (
        id.clone(),
        Caller::user(id, user.id, UserRole::Organizer),
        address,
    )
}

/// Makes a customer as platforms bring them, with this address.
///
/// # Panics
/// When the engine refuses.
pub async fn ensure_customer(
    engine: &Engine,
    tenant: &TenantId,
    name: &str,
    email: EmailAddress,
) -> Caller {
    let command = EnsureUser {
        external_id: format!("external-{name}"),
        name: label(name),
        email,
    };
    let user = engine
        .users()
        .ensure(&platform(tenant), command)
        .await
        .expect("a customer");
    Caller::user(tenant.clone(), user.id, user.role)
}

/// Makes a published event of this many tickets, a month after `now`.
///
/// # Panics
/// When the engine refuses.
pub async fn create_event(
    engine: &Engine,
    organizer: &Caller,
    now: Timestamp,
    tickets: u32,
) -> Event {
    let month = Duration::from_secs(30 * 24 * 3600);
    let details = EventDetails {
        title: label("Jazz Night"),
        description: Prose::parse("description", "A long evening.").expect("prose"),
        starts_at: now
            .checked_add(month)
            .expect("tests stay within the calendar"),
        ends_at: None,
        time_zone: "Europe/Berlin".to_owned(),
        location: Some(label("Old Hall")),
        reminder: Reminder::AsTenant,
    };
    let ticket_types = vec![NewTicketType::general(tickets)];
    let command = CreateEvent {
        details,
        status: EventStatus::Published,
        ticket_types,
        total_tickets: None,
        cancellation_terms: Default::default(),
    };
    engine
        .events()
        .create(organizer, command)
        .await
        .expect("a new event")
}

/// Moves an event of one ticket type to another place and answers the notification that tells its customers.
///
/// # Panics
/// When the engine refuses, or tells nobody.
pub async fn move_event(
    engine: &Engine,
    organizer: &Caller,
    event: &Event,
    place: &str,
) -> NotificationSummary {
    let details = EventDetails {
        location: Some(label(place)),
        ..event.details.clone()
    };
    let command = UpdateEvent {
        event: event.id,
        expected_version: event.version,
        details,
        status: event.status,
        ticket_types: vec![NewTicketType::general(event.total_tickets)],
        cancellation_terms: Default::default(),
        total_tickets: None,
        notify_customers: None,
    };
    let change = engine.events().update(organizer, command).await;
    let notification = change.expect("a change").notification;
    notification.expect("a new place concerns customers")
}

/// `NAME@TENANT.test`.
pub fn email(name: &str, tenant: &TenantId) -> EmailAddress {
    EmailAddress::parse("email", &format!("{name}@{tenant}.test")).expect("an address")
}

/// An organizer with an event of so many tickets, which this many customers have booked, in a tenant of its own. For
/// crowds: through the engine, because thousands of sign-ups over HTTP are mostly hashing.
///
/// # Panics
/// When the engine refuses.
pub async fn booked_event(
    engine: &Engine,
    tenant: &TenantId,
    tickets: u32,
    customers: usize,
) -> (Caller, Event) {
    let (_, organizer, _) = organizer_and_tenant(engine, tenant.as_str()).await;
    let event = create_event(engine, &organizer, Timestamp::now(), tickets).await;
    let id = event.id;
    let bookings = (0..customers).map(|number| async move {
        let name = format!("c{number}");
        let customer = ensure_customer(engine, tenant, &name, email(&name, tenant)).await;
        let command = BookTickets::general(id, 1);
        let booked = engine.bookings().book_tickets(&customer, command).await;
        booked.expect("a booking");
    });
    // As many as one group of bookings takes.
    stream::iter(bookings)
        .buffer_unordered(128)
        .collect::<Vec<()>>()
        .await;
    (organizer, event)
}

/// A tenant, named `PREFIX-NUMBER`, whose tasks lie in the same shard as this one's.
///
/// # Panics
/// Never: there are few shards.
pub fn same_shard_as(tenant: &TenantId, prefix: &str) -> TenantId {
    (0..)
        .map(|number| TenantId::parse(&format!("{prefix}-{number}")).expect("a tenant name"))
        .find(|other| shard_of(other) == shard_of(tenant))
        .expect("there are few shards")
}

fn platform(tenant: &TenantId) -> Caller {
    Caller::platform(tenant.as_str())
}

fn label(text: &str) -> Label {
    Label::parse("text", text).expect("one line")
}

fn subjects(mails: &[ReceivedMail]) -> Vec<(&str, &[String])> {
    mails
        .iter()
        .map(|mail| (mail.subject.as_str(), mail.to.as_slice()))
        .collect()
}
