//! The rules of events: creating, reading and changing them.
//!
//! `update` writes a change under the event's inventory lock and says who is told. `ticket_types` decides what can be sold.
//! `list` walks a tenant's events. Called by app_modules and the notifications module; calls the events, bookings and
//! notifications repositories.

mod list;
mod reminders;
mod team;
mod ticket_types;
mod update;

use std::sync::{Arc, Mutex};

use ticket_types::{check_room, total_of, type_metadata};
use update::{ChangeRequest, Changed};

use super::{
    ModuleContext,
    repositories::{
        BookingsRepository, EventsRepository, InventoryChange, NotificationsRepository,
        REFERENCE_TAKEN, StepError,
    },
    to_millisecond,
};
use crate::modules::{
    bookings::{offers::OfferMaker, reference_taken},
    support::{inventory_locks::InventoryLocks, lru_cache::LruCache},
};
use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    types::{
        CapacityCause, CreateEvent, Event, EventChange, EventDetails, EventId, EventStatus,
        Inventory, KeyedRequest, NotificationId, NotificationKind, RecordedAnswer, Reference,
        StoredEvent, Tenant, TenantId, UpdateEvent, UserId,
    },
};

/// Cached versions of events, for policies. With a long
/// description, one has some 10 KB.
const VERSIONS_KEPT_MAX: usize = 1_000;

/// An event as it was read at one moment.
#[derive(Debug, Clone)]
pub(crate) struct EventAsRead {
    event: StoredEvent,
    inventory: Inventory,
}

impl EventAsRead {
    pub(crate) fn into_event(self) -> Event {
        self.event.with(self.inventory)
    }

    pub(crate) fn status(&self) -> EventStatus {
        self.inventory.status
    }

    pub(crate) fn organizer(&self) -> Option<UserId> {
        self.event.organizer
    }
}

pub(crate) struct EventsModule {
    repository: Arc<EventsRepository>,
    bookings: Arc<BookingsRepository>,
    notifications: Arc<NotificationsRepository>,
    offer_maker: OfferMaker,
    inventory_locks: Arc<InventoryLocks>,
    context: ModuleContext,
    /// A version of an event never changes; the counters here may be outdated.
    versions: Mutex<LruCache<(TenantId, EventId), Arc<Event>>>,
}

impl EventsModule {
    pub(super) fn new(
        repository: Arc<EventsRepository>,
        bookings: Arc<BookingsRepository>,
        notifications: Arc<NotificationsRepository>,
        offer_maker: OfferMaker,
        inventory_locks: Arc<InventoryLocks>,
    ) -> Self {
        let context = offer_maker.context.clone();
        Self {
            repository,
            bookings,
            notifications,
            offer_maker,
            inventory_locks,
            context,
            versions: Mutex::new(LruCache::new(VERSIONS_KEPT_MAX)),
        }
    }

    pub(crate) async fn create(
        &self,
        tenant: &Tenant,
        organizer: Option<UserId>,
        command: CreateEvent,
        request: Option<&KeyedRequest>,
    ) -> Result<Event> {
        let (mut event, inventory) = self.new_event(tenant, organizer, command)?;
        let now = event.created_at;
        let planned = reminders::plan(
            reminders::Present::default(),
            &reminders::Wanted {
                tenant: tenant.id.clone(),
                event: event.id,
                version: event.version,
                is_published: inventory.status == EventStatus::Published,
                starts_at: event.details.starts_at,
                lead: (event.details.reminder).lead(tenant.settings.reminder_lead),
            },
            NotificationId::from_ulid(self.context.next_id()),
            now,
        );
        event.reminder = planned.reminder;
        let made = || RecordedAnswer::Event(Box::new((event.clone(), inventory.clone())), None);
        let change = InventoryChange {
            inventory: inventory.clone(),
            change: self.context.next_id(),
            attempt: 0,
            cause: CapacityCause::EventCreated,
            before: inventory.clone(),
            at: now,
            recorded: request
                .map(|one| one.recorded(made()))
                .into_iter()
                .collect(),
        };
        let inserted = self
            .repository
            .insert(&tenant.id, &event, &change, &planned.step);
        inserted
            .await
            .map_err(|error| refused_reference(error, &event.details))?;
        Ok(event.with(inventory))
    }

    /// The first version of an event, and nothing of it sold.
    fn new_event(
        &self,
        tenant: &Tenant,
        organizer: Option<UserId>,
        command: CreateEvent,
    ) -> Result<(StoredEvent, Inventory)> {
        let now = self.context.now();
        let id = EventId::from_ulid(self.context.next_id());
        let ticket_types = self.new_types(&command.ticket_types, &[])?;
        let event = StoredEvent {
            id,
            organizer,
            version: 1,
            details: whole_milliseconds(command.details),
            currency: tenant.currency.clone(),
            created_at: now,
            updated_at: now,
            update_notification: None,
            reminder: None,
            reminded_start: None,
            type_metadata: type_metadata(&ticket_types, &command.ticket_types),
        };
        let inventory = Inventory {
            event: id,
            revision: 0,
            status: command.status,
            event_version: 1,
            starts_at: event.details.starts_at,
            currency: tenant.currency.clone(),
            total: total_of(&ticket_types, command.total_tickets),
            sold: 0,
            held: 0,
            waiting: 0,
            waitlist_next: 0,
            bookings: 0,
            ticket_types,
            cancellation_terms: command.cancellation_terms,
            max_tickets_per_customer: command.max_tickets_per_customer,
            requires_answers: event.details.requires_answers(),
        };
        Ok((event, inventory))
    }

    pub(crate) async fn find(&self, tenant: &TenantId, event: EventId) -> Result<Option<Event>> {
        let read = self.read(tenant, event).await?;
        Ok(read.map(EventAsRead::into_event))
    }

    /// An event with what a change of it needs: read once, for the permission and for the change.
    pub(crate) async fn read(
        &self,
        tenant: &TenantId,
        event: EventId,
    ) -> Result<Option<EventAsRead>> {
        let found = self.repository.find(tenant, event).await?;
        Ok(found.map(|(event, inventory)| EventAsRead { event, inventory }))
    }

    /// The event with a reference.
    pub(crate) async fn with_reference(
        &self,
        tenant: &TenantId,
        reference: &Reference,
    ) -> Result<Option<EventId>> {
        self.repository.with_reference(tenant, reference).await
    }

    /// An event in the newest version that is cached, or as it is if none is. Its counters may be outdated.
    pub(crate) async fn cached(
        &self,
        tenant: &TenantId,
        event: EventId,
    ) -> Result<Option<Arc<Event>>> {
        match self.kept(tenant, event) {
            Some(known) => Ok(Some(known)),
            None => self.refreshed(tenant, event).await,
        }
    }

    /// An event as it is, which is cached then.
    pub(crate) async fn refreshed(
        &self,
        tenant: &TenantId,
        event: EventId,
    ) -> Result<Option<Arc<Event>>> {
        let found = self.find(tenant, event).await?.map(Arc::new);
        if let Some(found) = &found {
            let key = (tenant.clone(), event);
            self.versions.locked().insert(key, found.clone());
        }
        Ok(found)
    }

    /// An event in this version or a newer one; read only if it is not cached. Its
    /// counters may be outdated.
    pub(crate) async fn at_version(
        &self,
        tenant: &TenantId,
        event: EventId,
        version: u64,
    ) -> Result<Option<Arc<Event>>> {
        let known = self.kept(tenant, event);
        match known.filter(|known| known.version == version) {
            Some(known) => Ok(Some(known)),
            None => self.refreshed(tenant, event).await,
        }
    }

    fn kept(&self, tenant: &TenantId, event: EventId) -> Option<Arc<Event>> {
        let mut versions = self.versions.locked();
        versions.get(&(tenant.clone(), event)).cloned()
    }

    /// Replaces what an event says and offers.
    ///
    /// # Errors
    /// `version-mismatch`, `event-cancelled`, `event-has-bookings`, `field-invalid`, `capacity-below-sold`,
    /// `conflict-try-again`.
    pub(crate) async fn update(
        &self,
        tenant: &Tenant,
        read: EventAsRead,
        command: UpdateEvent,
        request: Option<&KeyedRequest>,
    ) -> Result<EventChange> {
        let change = ChangeRequest {
            tenant: &tenant.id,
            event: command.event,
            expected_version: Some(command.expected_version),
            reminder_lead: tenant.settings.reminder_lead,
            keyed: request,
        };
        let details = whole_milliseconds(command.details.clone());
        let apply = |event: &StoredEvent, inventory: &Inventory| {
            self.updated(&command, &details, event, inventory).map(Some)
        };
        self.change(change, read, apply).await
    }

    /// What an update makes of the event as it is now.
    fn updated(
        &self,
        command: &UpdateEvent,
        details: &EventDetails,
        event: &StoredEvent,
        inventory: &Inventory,
    ) -> Result<Changed> {
        if inventory.status == EventStatus::Cancelled {
            return Err(Error::new(
                ErrorCode::EventCancelled,
                "A cancelled event cannot be changed.",
            ));
        }
        if command.status == EventStatus::Cancelled {
            return Err(Error::field(
                "status",
                "To cancel an event, use POST …/cancel.",
            ));
        }
        let taken = inventory.bookings > 0 || inventory.held > 0;
        if command.status == EventStatus::Draft && taken {
            return Err(Error::new(
                ErrorCode::EventHasBookings,
                "An event that was booked cannot go back to draft; cancel it instead.",
            )
            .at_field("status"));
        }
        let ticket_types = self.new_types(&command.ticket_types, &inventory.ticket_types)?;
        let total = total_of(&ticket_types, command.total_tickets);
        check_room(inventory, &ticket_types, total)?;
        let concerns = event.details.differs_for_customers(details);
        let tell = command
            .notify_customers
            .unwrap_or(concerns)
            .then_some(NotificationKind::EventUpdated);
        Ok(Changed {
            after: StoredEvent {
                details: details.clone(),
                type_metadata: type_metadata(&ticket_types, &command.ticket_types),
                ..event.clone()
            },
            inventory: Inventory {
                status: command.status,
                starts_at: details.starts_at,
                total,
                ticket_types,
                cancellation_terms: command.cancellation_terms.clone(),
                max_tickets_per_customer: command.max_tickets_per_customer,
                requires_answers: details.requires_answers(),
                ..inventory.clone()
            },
            cause: CapacityCause::EventChanged,
            tell,
        })
    }

    /// Cancels an event; one that is cancelled already is answered as it is.
    ///
    /// # Errors
    /// `version-mismatch`, `conflict-try-again`.
    pub(crate) async fn cancel(
        &self,
        tenant: &TenantId,
        read: EventAsRead,
        expected_version: Option<u64>,
        request: Option<&KeyedRequest>,
    ) -> Result<EventChange> {
        let change = ChangeRequest {
            tenant,
            event: read.event.id,
            expected_version,
            reminder_lead: None,
            keyed: request,
        };
        let apply = |event: &StoredEvent, inventory: &Inventory| {
            if inventory.status == EventStatus::Cancelled {
                return Ok(None);
            }
            Ok(Some(Changed {
                after: event.clone(),
                inventory: Inventory {
                    status: EventStatus::Cancelled,
                    ..inventory.clone()
                },
                cause: CapacityCause::EventCancelled,
                tell: Some(NotificationKind::EventCancelled),
            }))
        };
        self.change(change, read, apply).await
    }

    async fn get(&self, tenant: &TenantId, event: EventId) -> Result<EventAsRead> {
        let read = self.read(tenant, event).await?;
        read.ok_or_else(|| Error::not_found("event", event))
    }
}

/// The error of a write that failed because another event has the reference.
fn refused_reference(error: StepError, details: &EventDetails) -> Error {
    match &details.reference {
        Some(reference) if error.is_guard(REFERENCE_TAKEN) => reference_taken("event", reference),
        _ => error.into(),
    }
}

fn whole_milliseconds(details: EventDetails) -> EventDetails {
    EventDetails {
        starts_at: to_millisecond(details.starts_at),
        ends_at: details.ends_at.map(to_millisecond),
        attendees_until: details.attendees_until.map(to_millisecond),
        ..details
    }
}
