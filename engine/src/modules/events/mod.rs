//! The rules of events: creating, reading and changing them.
//!
//! Called by app_modules and the notifications module. `update` writes a change under the event's inventory lock and
//! decides who is told; `ticket_types` decides what can be sold; `list` lists a tenant's events. Calls the events, bookings and notifications repositories.

mod list;
mod reminders;
mod ticket_types;
mod update;

use std::sync::{Arc, Mutex};

use ticket_types::{check_room, total_of};
use update::Changed;

use super::{
    ModuleContext,
    repositories::{
        BookingsRepository, EventsRepository, InventoryChange, NotificationsRepository,
    },
    to_millisecond,
};
use crate::modules::{
    bookings::offers::OfferMaker,
    support::{event_queues::EventQueues, lru_cache::LruCache},
};
use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    types::{
        CapacityCause, CreateEvent, Event, EventChange, EventDetails, EventId, EventStatus,
        Inventory, KeyedRequest, NotificationId, NotificationKind, RecordedAnswer, StoredEvent,
        Tenant, TenantId, UpdateEvent, UserId,
    },
};

/// Cached versions of events, for policies. With a long
/// description, one has some 10 KB.
const VERSIONS_KEPT_MAX: usize = 1_000;

pub(crate) struct EventsModule {
    repository: Arc<EventsRepository>,
    bookings: Arc<BookingsRepository>,
    notifications: Arc<NotificationsRepository>,
    offer_maker: OfferMaker,
    event_queues: Arc<EventQueues>,
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
        event_queues: Arc<EventQueues>,
        context: ModuleContext,
    ) -> Self {
        Self {
            repository,
            bookings,
            notifications,
            offer_maker,
            event_queues,
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
        let now = self.context.now();
        let id = EventId::from_ulid(self.context.next_id());
        let currency = tenant.currency.clone();
        let mut event = StoredEvent {
            id,
            organizer,
            version: 1,
            details: whole_milliseconds(command.details),
            currency: currency.clone(),
            created_at: now,
            updated_at: now,
            update_notification: None,
            reminder: None,
            reminded_start: None,
        };
        let ticket_types = self.new_types(&command.ticket_types, &[])?;
        let total = total_of(&ticket_types, command.total_tickets);
        let inventory = Inventory {
            event: id,
            revision: 0,
            status: command.status,
            event_version: 1,
            starts_at: event.details.starts_at,
            currency,
            total,
            sold: 0,
            held: 0,
            waiting: 0,
            waitlist_next: 0,
            bookings: 0,
            ticket_types,
            cancellation_terms: command.cancellation_terms.clone(),
        };
        let mut change = InventoryChange {
            inventory: inventory.clone(),
            change: self.context.next_id(),
            attempt: 0,
            cause: CapacityCause::EventCreated,
            before: inventory.clone(),
            at: now,
            recorded: Vec::new(),
        };
        let planned = reminders::plan(
            reminders::Present::default(),
            &reminders::Wanted {
                tenant: tenant.id.clone(),
                event: id,
                version: event.version,
                is_published: command.status == EventStatus::Published,
                starts_at: event.details.starts_at,
                lead: (event.details.reminder).lead(tenant.settings.reminder_lead),
            },
            NotificationId::from_ulid(self.context.next_id()),
            now,
        );
        event.reminder = planned.reminder;
        let made = || RecordedAnswer::Event(Box::new((event.clone(), inventory.clone())), None);
        change.recorded = request
            .map(|one| one.recorded(made()))
            .into_iter()
            .collect();
        self.repository
            .insert(&tenant.id, &event, &change, &planned.step)
            .await?;
        Ok(event.with(inventory))
    }

    pub(crate) async fn find(&self, tenant: &TenantId, event: EventId) -> Result<Option<Event>> {
        Ok(self
            .repository
            .find(tenant, event)
            .await?
            .map(|(event, inventory)| event.with(inventory)))
    }

    /// An event in this version or a newer one; read only if it is not cached. Its
    /// counters may be outdated.
    pub(crate) async fn at_version(
        &self,
        tenant: &TenantId,
        event: EventId,
        version: u64,
    ) -> Result<Option<Arc<Event>>> {
        let key = (tenant.clone(), event);
        let kept = || self.versions.locked();
        if let Some(known) = kept().get(&key)
            && known.version == version
        {
            return Ok(Some(known.clone()));
        }
        let found = self.find(tenant, event).await?.map(Arc::new);
        if let Some(found) = &found {
            kept().insert(key, found.clone());
        }
        Ok(found)
    }

    pub(crate) async fn update(
        &self,
        tenant: &Tenant,
        command: UpdateEvent,
        request: Option<&KeyedRequest>,
    ) -> Result<EventChange> {
        let details = whole_milliseconds(command.details);
        self.change(
            &tenant.id,
            command.event,
            Some(command.expected_version),
            (tenant.settings.reminder_lead, request),
            |event, inventory| {
                if inventory.status == EventStatus::Cancelled {
                    return Err(Error::new(
                        ErrorCode::EventCancelled,
                        "A cancelled event cannot be changed.",
                    ));
                }
                if command.status == EventStatus::Cancelled {
                    return Err(Error::field(
                        "status",
                        "Use POST …/cancel to cancel an event.",
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
                let ticket_types =
                    self.new_types(&command.ticket_types, &inventory.ticket_types)?;
                let total = total_of(&ticket_types, command.total_tickets);
                check_room(inventory, &ticket_types, total)?;
                let concerns = event.details.differs_for_customers(&details);
                let tell = command
                    .notify_customers
                    .unwrap_or(concerns)
                    .then_some(NotificationKind::EventUpdated);
                Ok(Some(Changed {
                    after: StoredEvent {
                        details: details.clone(),
                        ..event.clone()
                    },
                    inventory: Inventory {
                        status: command.status,
                        starts_at: details.starts_at,
                        total,
                        ticket_types,
                        cancellation_terms: command.cancellation_terms.clone(),
                        ..inventory.clone()
                    },
                    cause: CapacityCause::EventChanged,
                    tell,
                }))
            },
        )
        .await
    }

    pub(crate) async fn cancel(
        &self,
        tenant: &TenantId,
        event: EventId,
        expected_version: Option<u64>,
        request: Option<&KeyedRequest>,
    ) -> Result<EventChange> {
        let asked = (None, request);
        self.change(
            tenant,
            event,
            expected_version,
            asked,
            |event, inventory| {
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
            },
        )
        .await
    }

    async fn get(&self, tenant: &TenantId, event: EventId) -> Result<(StoredEvent, Inventory)> {
        let found = self.repository.find(tenant, event).await?;
        found.ok_or_else(|| Error::not_found("event", event))
    }
}

fn whole_milliseconds(details: EventDetails) -> EventDetails {
    EventDetails {
        starts_at: to_millisecond(details.starts_at),
        ends_at: details.ends_at.map(to_millisecond),
        ..details
    }
}
