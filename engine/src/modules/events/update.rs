//! Organizers' changes of events, written under the event's inventory lock, with their notifications.
//!
//! Called by the events module. Calls the events and notifications repositories.

use jiff::Timestamp;

use super::{
    super::{
        repositories::{
            EventStep, InventoryChange, Offers, ReminderStep, STALE_INVENTORY, STALE_NOTIFICATION,
            StepError,
        },
        to_millisecond,
    },
    EventsModule, reminders,
};
use crate::modules::notifications::recipient_count::{
    count_customers, count_customers_and_waiting,
};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::support::Attempts,
    ports::Lane,
    types::{
        CapacityCause, EventChange, EventId, EventStatus, Inventory, KeyedRequest, NotificationId,
        NotificationKind, NotificationStatus, NotificationSummary, OutboxEntry, OutboxPart,
        RecordedAnswer, ReminderLead, StoredEvent, StoredNotification, TenantId,
    },
};

/// Attempts of an organizer's change. The inventory lock excludes local bookings; other hosts may conflict.
const ATTEMPTS_MAX: u32 = 24;

/// The event after a change, without its notification.
pub(super) struct Changed {
    pub(super) after: StoredEvent,
    pub(super) inventory: Inventory,
    pub(super) cause: CapacityCause,
    pub(super) tell: Option<NotificationKind>,
}

/// The notifications that a change adds and changes, and the one that its caller gets.
#[derive(Default)]
struct Told {
    new: Option<(StoredNotification, OutboxEntry)>,
    changed: Option<StoredNotification>,
    summary: Option<NotificationSummary>,
}

impl EventsModule {
    pub(crate) async fn delete(
        &self,
        tenant: &TenantId,
        event: EventId,
        expected_version: u64,
    ) -> Result<()> {
        let key = (tenant.clone(), event);
        let turn = self.event_queues.turn(&key).await;
        let outcome = self.delete_in_turn(tenant, event, expected_version).await;
        self.event_queues.done(&key, turn);
        outcome
    }

    async fn delete_in_turn(
        &self,
        tenant: &TenantId,
        event: EventId,
        expected_version: u64,
    ) -> Result<()> {
        let mut attempts = Attempts::new("delete_event", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let (stored, inventory) = self
                .repository
                .find(tenant, event)
                .await?
                .ok_or_else(|| Error::not_found("event", event))?;
            expect_version(stored.version, Some(expected_version))?;
            if inventory.bookings > 0 || inventory.held > 0 || inventory.waiting > 0 {
                return Err(Error::new(
                    ErrorCode::EventHasBookings,
                    "An event that was ever booked, or has a waiting list, cannot be deleted; cancel it: POST …/cancel.",
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
                Err(error) if error.is_guard(STALE_INVENTORY) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// Applies an organizer's change to the current event, under its inventory lock. `apply` may
    /// find that nothing changes (`None`), whatever version was expected. `lead` is the tenant's for reminders,
    /// `request` the organizer's request with its Idempotency-Key.
    pub(super) async fn change(
        &self,
        tenant: &TenantId,
        event: EventId,
        expected_version: Option<u64>,
        (lead, request): (Option<ReminderLead>, Option<&KeyedRequest>),
        apply: impl Fn(&StoredEvent, &Inventory) -> Result<Option<Changed>>,
    ) -> Result<EventChange> {
        // Before the lock is taken: a refused change need not count recipients, and counting may take a
        // while. The count is an estimate anyway.
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
                    Some(NotificationKind::EventCancelled) => {
                        let waitlist = &self.offer_maker.repository;
                        count_customers_and_waiting(&self.bookings, waitlist, tenant, event).await?
                    }
                    Some(_) => count_customers(&self.bookings, tenant, event).await?,
                    None => 0,
                }
            }
        };
        let key = (tenant.clone(), event);
        let turn = self.event_queues.turn(&key).await;
        let outcome = self
            .change_in_turn(
                tenant,
                event,
                expected_version,
                (recipients, lead, request),
                apply,
            )
            .await;
        self.event_queues.done(&key, turn);
        outcome
    }

    async fn change_in_turn(
        &self,
        tenant: &TenantId,
        event: EventId,
        expected_version: Option<u64>,
        (recipients, lead, request): (u64, Option<ReminderLead>, Option<&KeyedRequest>),
        apply: impl Fn(&StoredEvent, &Inventory) -> Result<Option<Changed>>,
    ) -> Result<EventChange> {
        let change_id = self.context.next_id();
        let notification_id = NotificationId::from_ulid(self.context.next_id());
        let mut written: Option<EventChange> = None;
        let mut attempts = Attempts::new("update_event", ATTEMPTS_MAX);
        while let Some(attempt) = attempts.next().await {
            let (before, inventory_before) = self.get(tenant, event).await?;
            if let Some(change) = written.take_if(|change| {
                change.event.version == before.version
                    && before.updated_at == change.event.updated_at
            }) {
                // The answer was lost but the change was committed: the event is exactly what was sent.
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
            if offers_more(&step) {
                let offer_maker = &self.offer_maker;
                step.offers = offer_maker
                    .offer(tenant, &mut step.change, &[], None)
                    .await?;
            }
            let parts = (step.after.clone(), step.change.inventory.clone());
            let answer = RecordedAnswer::Event(Box::new(parts), summary);
            let recorded = request.map(|one| one.recorded(answer.clone()));
            step.change.recorded = recorded.into_iter().collect();
            let answer = answer.event_change()?;
            match self.repository.update(tenant, &step).await {
                Ok(()) => {
                    self.context.owed.notify_one();
                    return Ok(answer);
                }
                Err(StepError::Lost(_)) => written = Some(answer),
                Err(StepError::Conflict) => {}
                Err(error)
                    if error.is_guard(STALE_INVENTORY) || error.is_guard(STALE_NOTIFICATION) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// Adds to a change its effect on the event's reminder.
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
        let id = NotificationId::from_ulid(self.context.next_id());
        let planned = reminders::plan(present, &wanted, id, self.context.now());
        step.after.reminder = planned.reminder;
        step.after.reminded_start = planned.reminded_start;
        step.reminder = planned.step;
        Ok(())
    }

    /// Turns a change into the step to write, with its notification.
    async fn step(
        &self,
        tenant: &TenantId,
        before: StoredEvent,
        inventory_before: Inventory,
        changed: Changed,
        (change, attempt): (ulid::Ulid, u32),
        (notification_id, recipients): (NotificationId, u64),
    ) -> Result<(EventStep, Option<NotificationSummary>)> {
        let now = self.context.now();
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
        // Nobody is told of a change of an event without bookings. The waiting list is told of the cancellation, too.
        let is_waited_for = cancelling && (inventory_before.waiting > 0 || recipients > 0);
        let tell = changed
            .tell
            .filter(|_| inventory_before.sold > 0 || is_waited_for);
        let open = match before.update_notification {
            Some(id) => self.notifications.find(tenant, id).await?,
            None => None,
        };
        let scheduled =
            open.filter(|notification| notification.status == NotificationStatus::Scheduled);
        let about = (notification_id, recipients, now);
        let told = self.tell(
            tenant,
            &before,
            tell.map(|kind| (kind, cancelling)),
            scheduled,
            about,
        )?;
        if let Some((new, _)) = &told.new
            && new.kind == NotificationKind::EventUpdated
        {
            after.update_notification = Some(new.id);
        }
        let step = EventStep {
            change: InventoryChange {
                inventory,
                change,
                attempt,
                cause: changed.cause,
                before: inventory_before.clone(),
                at: now,
                recorded: Vec::new(),
            },
            sweep_bookings: cancelling && inventory_before.bookings > 0,
            before,
            inventory_before,
            after,
            new_notification: told.new,
            changed_notification: told.changed,
            reminder: ReminderStep::default(),
            offers: Offers::default(),
        };
        Ok((step, told.summary))
    }

    /// The notifications of a change. `tell` is the kind, and whether the event is cancelled; `scheduled`
    /// the update that was not sent yet.
    fn tell(
        &self,
        tenant: &TenantId,
        before: &StoredEvent,
        tell: Option<(NotificationKind, bool)>,
        scheduled: Option<StoredNotification>,
        (id, recipients, now): (NotificationId, u64, Timestamp),
    ) -> Result<Told> {
        let summary = |id| Some(NotificationSummary { id, recipients });
        Ok(match (tell, scheduled) {
            (Some((NotificationKind::EventUpdated, _)), Some(open)) => Told {
                new: None,
                summary: summary(open.id),
                changed: Some(StoredNotification {
                    to_version: before.version + 1,
                    estimated_recipients: recipients,
                    // Nobody can have been told of this change yet.
                    created_at: now,
                    is_uncertain: false,
                    ..open
                }),
            },
            (Some((kind, cancelling)), open) => {
                let merge = match cancelling {
                    true => std::time::Duration::ZERO,
                    false => self.context.settings.delivery.update_merge_window,
                };
                let due_at = to_millisecond(now.checked_add(merge).map_err(Error::internal)?);
                let about = (id, kind, recipients);
                Told {
                    new: Some(self.new_notification(tenant, before, about, (now, due_at))),
                    // The cancellation of the event makes an update that was not sent pointless.
                    changed: open.map(|open| StoredNotification {
                        status: NotificationStatus::Superseded,
                        ..open
                    }),
                    summary: summary(id),
                }
            }
            (None, _) => Told::default(),
        })
    }

    /// A notification of a change of an event, and the outbox entry for it.
    fn new_notification(
        &self,
        tenant: &TenantId,
        before: &StoredEvent,
        (id, kind, recipients): (NotificationId, NotificationKind, u64),
        (now, due_at): (Timestamp, Timestamp),
    ) -> (StoredNotification, OutboxEntry) {
        let notification = StoredNotification {
            id,
            revision: 0,
            kind,
            event: before.id,
            status: NotificationStatus::Scheduled,
            from_version: before.version,
            to_version: before.version + 1,
            estimated_recipients: recipients,
            recipients: 0,
            batches: 0,
            cursor: None,
            created_at: now,
            due_at,
            is_paused: false,
            retry_generation: 0,
            is_uncertain: false,
            trace: self.context.trace(),
        };
        let owed = OutboxEntry {
            due_at,
            tenant: tenant.clone(),
            notification: id,
            part: OutboxPart::FanOut,
            lane: Lane::Bulk,
            published: false,
        };
        (notification, owed)
    }
}

/// Returns whether a change may allow offers to the waiting list: whether anything changed for which a booking
/// can be refused. The beginning is included, because sales end with it.
fn offers_more(step: &EventStep) -> bool {
    let sold = |inventory: &Inventory| {
        (
            inventory.status,
            inventory.starts_at,
            inventory.total,
            inventory.ticket_types.clone(),
        )
    };
    sold(&step.inventory_before) != sold(&step.change.inventory)
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
