//! The rules of events: versions, capacity, and when customers must be told of a change.
//!
//! Called by app_modules and the notifications module. Calls the events, bookings and notifications repositories.

use std::sync::Arc;

use super::{
    Surroundings,
    audience::count_customers,
    lanes::Lanes,
    reminders,
    repositories::{
        BookingsRepository, EventStep, EventsRepository, INVENTORY_MOVED, InventoryChange,
        NOTIFICATION_MOVED, NotificationsRepository, ReminderStep, StepError, pause_after_conflict,
    },
    to_millisecond,
};
use crate::{
    Error, ErrorCode, Result,
    ports::Lane,
    types::{
        CapacityCause, CreateEvent, Event, EventChange, EventDetails, EventId, EventStatus,
        Inventory, NewTicketType, NotificationId, NotificationKind, NotificationStatus,
        NotificationSummary, Owed, OwedPart, Page, PageRequest, ReminderLead, StoredEvent,
        StoredNotification, Tenant, TenantId, TicketType, TicketTypeId, UpdateEvent, UserId,
    },
};

/// Attempts of an organizer's change. Its turn in the lane keeps local bookings away; other hosts may interfere.
const ATTEMPTS_MAX: u32 = 24;

pub(crate) struct EventsModule {
    repository: Arc<EventsRepository>,
    bookings: Arc<BookingsRepository>,
    notifications: Arc<NotificationsRepository>,
    lanes: Arc<Lanes>,
    surroundings: Surroundings,
}

/// What a change turns an event into, before anybody is told.
struct Changed {
    after: StoredEvent,
    inventory: Inventory,
    cause: CapacityCause,
    tell: Option<NotificationKind>,
}

impl EventsModule {
    pub(super) fn new(
        repository: Arc<EventsRepository>,
        bookings: Arc<BookingsRepository>,
        notifications: Arc<NotificationsRepository>,
        lanes: Arc<Lanes>,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            repository,
            bookings,
            notifications,
            lanes,
            surroundings,
        }
    }

    pub(crate) async fn create(
        &self,
        tenant: &Tenant,
        organizer: Option<UserId>,
        command: CreateEvent,
    ) -> Result<Event> {
        let now = self.surroundings.now();
        let id = EventId::from_ulid(self.surroundings.next_id());
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
            bookings: 0,
            ticket_types,
        };
        let change = InventoryChange {
            inventory: inventory.clone(),
            change: self.surroundings.next_id(),
            attempt: 0,
            cause: CapacityCause::EventCreated,
            before: inventory.clone(),
            at: now,
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
            NotificationId::from_ulid(self.surroundings.next_id()),
            now,
        );
        event.reminder = planned.reminder;
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

    /// What an event said in an older version, if that version is known.
    pub(crate) async fn find_version(
        &self,
        tenant: &TenantId,
        event: EventId,
        version: u64,
    ) -> Result<Option<EventDetails>> {
        self.repository.find_version(tenant, event, version).await
    }

    /// A page of the events that `sees` lets through. Looks at 1,000 events at most; a page may then be short.
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        page: &PageRequest,
        sees: impl Fn(EventStatus, Option<UserId>) -> bool,
    ) -> Result<Page<Event>> {
        let limit = page.limit as usize;
        let mut after = page.position::<EventId>()?;
        let mut items: Vec<Event> = Vec::new();
        for _ in 0..10 {
            let rows = self
                .repository
                .page(tenant, after, PageRequest::LIMIT_MAX)
                .await?;
            let ended = rows.len() < PageRequest::LIMIT_MAX as usize;
            for (event, inventory) in rows {
                if items.len() == limit {
                    return Ok(Page {
                        items,
                        next: after.map(|event| event.to_string()),
                    });
                }
                after = Some(event.id);
                if sees(inventory.status, event.organizer) {
                    items.push(event.with(inventory));
                }
            }
            if ended {
                return Ok(Page { items, next: None });
            }
        }
        Ok(Page {
            items,
            next: after.map(|event| event.to_string()),
        })
    }

    pub(crate) async fn update(
        &self,
        tenant: &Tenant,
        command: UpdateEvent,
    ) -> Result<EventChange> {
        let details = whole_milliseconds(command.details);
        self.change(
            &tenant.id,
            command.event,
            Some(command.expected_version),
            tenant.settings.reminder_lead,
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
                        "To call an event off, cancel it: POST …/cancel.",
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
                fits(inventory, &ticket_types, total)?;
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
    ) -> Result<EventChange> {
        self.change(tenant, event, expected_version, None, |event, inventory| {
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
        })
        .await
    }

    pub(crate) async fn delete(
        &self,
        tenant: &TenantId,
        event: EventId,
        expected_version: u64,
    ) -> Result<()> {
        let key = (tenant.clone(), event);
        let turn = self.lanes.turn(&key).await;
        let outcome = self.delete_in_turn(tenant, event, expected_version).await;
        self.lanes.done(&key, turn);
        outcome
    }

    async fn delete_in_turn(
        &self,
        tenant: &TenantId,
        event: EventId,
        expected_version: u64,
    ) -> Result<()> {
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                pause_after_conflict(attempt).await;
            }
            let (stored, inventory) = self
                .repository
                .find(tenant, event)
                .await?
                .ok_or_else(|| Error::not_found("event", event))?;
            expect_version(stored.version, Some(expected_version))?;
            if inventory.bookings > 0 || inventory.held > 0 {
                return Err(Error::new(
                    ErrorCode::EventHasBookings,
                    "An event that was ever booked is cancelled, not deleted: POST …/cancel.",
                ));
            }
            let reminder = stored
                .reminder
                .map(|reminder| reminders::owed(tenant, &reminder));
            match self
                .repository
                .delete(tenant, &inventory, reminder.as_ref())
                .await
            {
                Ok(()) => return Ok(()),
                Err(StepError::Conflict) => {}
                Err(error) if error.is_guard(INVENTORY_MOVED) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// Applies an organizer's change to the event as it is now, in its turn among the event's bookings. `apply` may
    /// find that nothing is to be changed (none), whatever version was expected. `lead` is the tenant's for reminders.
    async fn change(
        &self,
        tenant: &TenantId,
        event: EventId,
        expected_version: Option<u64>,
        lead: Option<ReminderLead>,
        apply: impl Fn(&StoredEvent, &Inventory) -> Result<Option<Changed>>,
    ) -> Result<EventChange> {
        // Looked at before the turn is taken: what is refused now need not count anybody, and counting may take a
        // while. It is an estimate anyway.
        let (before, inventory) = self.get(tenant, event).await?;
        let recipients = match apply(&before, &inventory)? {
            None => {
                return Ok(EventChange {
                    event: before.with(inventory),
                    notification: None,
                });
            }
            Some(changed) => {
                expect_version(before.version, expected_version)?;
                match changed.tell {
                    Some(_) => count_customers(&self.bookings, tenant, event).await?,
                    None => 0,
                }
            }
        };
        let key = (tenant.clone(), event);
        let turn = self.lanes.turn(&key).await;
        let outcome = self
            .change_in_turn(tenant, event, expected_version, (recipients, lead), apply)
            .await;
        self.lanes.done(&key, turn);
        outcome
    }

    async fn change_in_turn(
        &self,
        tenant: &TenantId,
        event: EventId,
        expected_version: Option<u64>,
        (recipients, lead): (u64, Option<ReminderLead>),
        apply: impl Fn(&StoredEvent, &Inventory) -> Result<Option<Changed>>,
    ) -> Result<EventChange> {
        let change_id = self.surroundings.next_id();
        let notification_id = NotificationId::from_ulid(self.surroundings.next_id());
        let mut written: Option<EventChange> = None;
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                pause_after_conflict(attempt).await;
            }
            let (before, inventory_before) = self.get(tenant, event).await?;
            if let Some(change) = written.take_if(|change| {
                change.event.version == before.version
                    && before.updated_at == change.event.updated_at
            }) {
                // The answer was lost, the change was not: the event is exactly what was sent.
                return Ok(change);
            }
            let Some(changed) = apply(&before, &inventory_before)? else {
                return Ok(EventChange {
                    event: before.with(inventory_before),
                    notification: None,
                });
            };
            expect_version(before.version, expected_version)?;
            let (mut step, summary) = self
                .step(
                    tenant,
                    before,
                    inventory_before,
                    changed,
                    (change_id, attempt),
                    (notification_id, recipients),
                )
                .await?;
            self.plan_reminder(tenant, &mut step, lead).await?;
            let answer = EventChange {
                event: step.after.clone().with(step.change.inventory.clone()),
                notification: summary,
            };
            match self.repository.update(tenant, &step).await {
                Ok(()) => {
                    self.surroundings.owed.notify_one();
                    return Ok(answer);
                }
                Err(StepError::Lost(_)) => written = Some(answer),
                Err(StepError::Conflict) => {}
                Err(error)
                    if error.is_guard(INVENTORY_MOVED) || error.is_guard(NOTIFICATION_MOVED) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// Adds to a change what it does to the event's reminder.
    async fn plan_reminder(
        &self,
        tenant: &TenantId,
        step: &mut EventStep,
        lead: Option<ReminderLead>,
    ) -> Result<()> {
        let notification = match step.before.reminder {
            Some(reminder) => {
                self.notifications
                    .find(tenant, reminder.notification)
                    .await?
            }
            None => None,
        };
        let present = reminders::Present {
            reminder: step.before.reminder,
            notification,
            reminded_start: step.before.reminded_start,
        };
        let wanted = reminders::Wanted {
            tenant: tenant.clone(),
            event: step.after.id,
            version: step.after.version,
            is_published: step.change.inventory.status == EventStatus::Published,
            starts_at: step.after.details.starts_at,
            lead: step.after.details.reminder.lead(lead),
        };
        let id = NotificationId::from_ulid(self.surroundings.next_id());
        let planned = reminders::plan(present, &wanted, id, self.surroundings.now());
        step.after.reminder = planned.reminder;
        step.after.reminded_start = planned.reminded_start;
        step.reminder = planned.step;
        Ok(())
    }

    async fn get(&self, tenant: &TenantId, event: EventId) -> Result<(StoredEvent, Inventory)> {
        let found = self.repository.find(tenant, event).await?;
        found.ok_or_else(|| Error::not_found("event", event))
    }

    /// Turns a change into the step to write, with the notification that tells of it.
    async fn step(
        &self,
        tenant: &TenantId,
        before: StoredEvent,
        inventory_before: Inventory,
        changed: Changed,
        (change, attempt): (ulid::Ulid, u32),
        (notification_id, recipients): (NotificationId, u64),
    ) -> Result<(EventStep, Option<NotificationSummary>)> {
        let now = self.surroundings.now();
        let version = before.version + 1;
        let mut after = StoredEvent {
            version,
            updated_at: now,
            ..changed.after
        };
        let inventory = Inventory {
            event_version: version,
            ..changed.inventory
        };
        let cancelling = changed.cause == CapacityCause::EventCancelled;
        // A change that nobody could have booked under need not be told.
        let tell = changed.tell.filter(|_| inventory_before.sold > 0);
        let open = match before.update_notification {
            Some(id) => self.notifications.find(tenant, id).await?,
            None => None,
        };
        let scheduled =
            open.filter(|notification| notification.status == NotificationStatus::Scheduled);
        let (mut new_notification, mut changed_notification, mut summary) = (None, None, None);
        match (tell, scheduled) {
            (Some(NotificationKind::EventUpdated), Some(open)) => {
                summary = Some(NotificationSummary {
                    id: open.id,
                    recipients,
                });
                changed_notification = Some(StoredNotification {
                    to_version: version,
                    estimated_recipients: recipients,
                    ..open
                });
            }
            (Some(kind), open) => {
                // Calling the event off makes an update that was not sent yet pointless.
                changed_notification = open.map(|open| StoredNotification {
                    status: NotificationStatus::Superseded,
                    ..open
                });
                let merge = if cancelling {
                    std::time::Duration::ZERO
                } else {
                    self.surroundings.settings.update_merge
                };
                let due_at = to_millisecond(now.checked_add(merge).map_err(Error::internal)?);
                let notification = StoredNotification {
                    id: notification_id,
                    revision: 0,
                    kind,
                    event: before.id,
                    status: NotificationStatus::Scheduled,
                    from_version: before.version,
                    to_version: version,
                    estimated_recipients: recipients,
                    recipients: 0,
                    blocks: 0,
                    cursor: None,
                    created_at: now,
                    due_at,
                };
                let owed = Owed {
                    due_at,
                    tenant: tenant.clone(),
                    notification: notification_id,
                    part: OwedPart::FanOut,
                    lane: Lane::Bulk,
                    published: false,
                };
                if kind == NotificationKind::EventUpdated {
                    after.update_notification = Some(notification_id);
                }
                summary = Some(NotificationSummary {
                    id: notification_id,
                    recipients,
                });
                new_notification = Some((notification, owed));
            }
            (None, _) => {}
        }
        let step = EventStep {
            change: InventoryChange {
                inventory,
                change,
                attempt,
                cause: changed.cause,
                before: inventory_before.clone(),
                at: now,
            },
            sweep_bookings: cancelling && inventory_before.bookings > 0,
            before,
            inventory_before,
            after,
            new_notification,
            changed_notification,
            reminder: ReminderStep::default(),
        };
        Ok((step, summary))
    }

    /// The ticket types as they shall be; counters come from those that are there, matched by id (or, if there is one
    /// before and after, by being it).
    fn new_types(
        &self,
        wanted: &[NewTicketType],
        present: &[TicketType],
    ) -> Result<Vec<TicketType>> {
        let new_type = |(index, new): (usize, &NewTicketType)| {
            let found = match (&new.id, present) {
                (Some(id), _) => {
                    let found = present.iter().find(|kind| kind.id == *id);
                    Some(found.ok_or_else(|| {
                        let rule = "This event has no ticket type with this id.";
                        Error::field(format!("ticketTypes[{index}].id"), rule)
                    })?)
                }
                (None, [only]) if wanted.len() == 1 => Some(only),
                (None, _) => None,
            };
            Ok(TicketType {
                id: found.map_or_else(|| self.new_type_id(), |kind| kind.id.clone()),
                name: new.name.clone(),
                capacity: new.capacity,
                sold: found.map_or(0, |kind| kind.sold),
                held: found.map_or(0, |kind| kind.held),
                price_minor: new.price_minor,
                sales_open_at: new.sales_open_at.map(to_millisecond),
                sales_close_at: new.sales_close_at.map(to_millisecond),
                min_per_booking: new.min_per_booking,
                max_per_booking: new.max_per_booking,
                ever_taken: found.is_some_and(|kind| kind.ever_taken),
            })
        };
        wanted.iter().enumerate().map(new_type).collect()
    }

    fn new_type_id(&self) -> TicketTypeId {
        TicketTypeId::new(self.surroundings.next_id().to_string().to_ascii_lowercase())
    }
}

/// Checks that what an organizer wants leaves room for everything sold and held, and for every type that was booked.
fn fits(inventory: &Inventory, wanted: &[TicketType], total: u32) -> Result<()> {
    let gone = |kind: &&TicketType| !wanted.iter().any(|new| new.id == kind.id);
    let mut removed = inventory.ticket_types.iter().filter(gone);
    if let Some(kind) = removed.find(|kind| kind.ever_taken) {
        return Err(Error::new(
            ErrorCode::EventHasBookings,
            format!(
                "The ticket type {} ({}) was booked, so that it must stay; set its salesCloseAt to end its sale.",
                kind.name, kind.id
            ),
        )
        .at_field("ticketTypes"));
    }
    let below = |what: String, field: String| {
        let detail = format!("{what}; the capacity cannot go below that.");
        Err(Error::new(ErrorCode::CapacityBelowSold, detail).at_field(field))
    };
    for (index, kind) in wanted.iter().enumerate() {
        if kind.capacity < kind.sold + kind.held {
            return below(
                format!("{} tickets are sold and {} held", kind.sold, kind.held),
                format!("ticketTypes[{index}].capacity"),
            );
        }
    }
    if total < inventory.sold + inventory.held {
        return below(
            format!(
                "{} tickets are sold and {} held",
                inventory.sold, inventory.held
            ),
            "totalTickets".to_owned(),
        );
    }
    Ok(())
}

fn whole_milliseconds(details: EventDetails) -> EventDetails {
    EventDetails {
        starts_at: to_millisecond(details.starts_at),
        ends_at: details.ends_at.map(to_millisecond),
        ..details
    }
}

/// What the event can sell in all: what its types hold together, unless the organizer says less. Checked before.
fn total_of(types: &[TicketType], wanted: Option<u32>) -> u32 {
    wanted.unwrap_or_else(|| types.iter().map(|kind| kind.capacity).sum())
}

fn expect_version(current: u64, expected: Option<u64>) -> Result<()> {
    match expected {
        Some(expected) if expected != current => Err(Error::new(
            ErrorCode::VersionMismatch,
            format!(
                "The event is at version {current} now, not {expected}; read it again and repeat your change."
            ),
        )),
        _ => Ok(()),
    }
}
