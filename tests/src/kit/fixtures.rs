//! Tenants, people, events and bookings, made through an engine.

use std::time::Duration;

use boxoffice_engine::{
    BookTickets, Caller, CreateEvent, CreateTenant, CreateUser, EmailAddress, Engine, EnsureUser,
    Event, EventDetails, EventStatus, Label, NewTicketType, NotificationSummary, Prose, Reminder,
    Settings, TenantId, TenantSettings, UpdateEvent, UserRole, WorkerSettings, ports::shard_of,
};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;

/// The password of every account that the kit makes.
pub const PASSWORD: &str = "correct horse battery";

/// A PNG picture of one pixel.
pub const SMALL_PNG: &[u8] =
    b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\
    \x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x0d\x49\x44\x41\x54\x78\xda\x63\
    \x64\x60\xf8\x5f\x0f\x00\x02\x87\x01\x80\xeb\x47\xba\x92\x00\x00\x00\x00\x49\x45\x4e\x44\
    \xae\x42\x60\x82";

/// Leases and pauses short enough for tests, and long enough for a busy machine; updates do not wait for others.
pub fn quick_settings() -> Settings {
    super::without_spans();
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

/// Makes a tenant where anybody may register as an organizer, and bulk mails go to unconfirmed addresses, too.
///
/// # Panics
/// When the engine refuses.
pub async fn create_tenant(engine: &Engine, name: &str) -> TenantId {
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
    let tenants = engine.tenants();
    let made = tenants.create(&Caller::operator(), command).await;
    made.expect("a new tenant");
    id
}

/// Makes a user with the kit's password, `NAME@TENANT.test`.
///
/// # Panics
/// When the engine refuses.
pub async fn create_user(engine: &Engine, tenant: &TenantId, name: &str, role: UserRole) -> Caller {
    let command = CreateUser {
        email: email(name, tenant),
        name: label(name),
        password: Some(PASSWORD.to_owned()),
        role,
    };
    let user = engine.users().create(&platform(tenant), command).await;
    Caller::user(tenant.clone(), user.expect("a new user").id, role)
}

/// Makes a tenant and an organizer with the kit's password, whose address is the last of what it returns.
///
/// # Panics
/// When the engine refuses.
pub async fn organizer_and_tenant(
    engine: &Engine,
    tenant: &str,
) -> (TenantId, Caller, EmailAddress) {
    let id = create_tenant(engine, tenant).await;
    let organizer = create_user(engine, &id, "organizer", UserRole::Organizer).await;
    let address = email("organizer", &id);
    (id, organizer, address)
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
        metadata: None,
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
    create_priced_event(engine, organizer, now, tickets, 0).await
}

/// [`create_event`], with tickets that cost this much in minor units.
///
/// # Panics
/// When the engine refuses.
pub async fn create_priced_event(
    engine: &Engine,
    organizer: &Caller,
    now: Timestamp,
    tickets: u32,
    price_minor: u32,
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
        reference: None,
        metadata: Default::default(),
        questions: Vec::new(),
        attendees_until: None,
    };
    let mut kind = NewTicketType::general(tickets);
    kind.price_minor = price_minor;
    let command = CreateEvent {
        details,
        status: EventStatus::Published,
        ticket_types: vec![kind],
        total_tickets: None,
        cancellation_terms: Default::default(),
        max_tickets_per_customer: None,
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
        max_tickets_per_customer: None,
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
