//! Organizers' changes: written under the event's inventory lock, with the notifications that tell of them.
//!
//! Called by app_modules and the events module. Calls the events and notifications repositories.

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    super::{
        repositories::{
            EventStep, InventoryChange, Offers, ReminderStep, STALE_INVENTORY, STALE_NOTIFICATION,
            StepError,
        },
        to_millisecond,
    },
    EventAsRead, EventsModule, refused_reference, reminders,
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

/// Attempts of an organizer's change. The inventory lock keeps local bookings away; other hosts may interfere.
const ATTEMPTS_MAX: u32 = 24;

/// Which event is to be changed, and how.
pub(super) struct ChangeRequest<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) event: EventId,
    pub(super) expected_version: Option<u64>,
    /// The tenant's, for reminders of events without one of their own.
    pub(super) reminder_lead: Option<ReminderLead>,
    /// The organizer's request under its Idempotency-Key, if it has one.
    pub(super) keyed: Option<&'a KeyedRequest>,
}

/// A change while it is written.
struct Change<'a> {
    request: ChangeRequest<'a>,
    /// Names the change in each attempt.
    id: Ulid,
    /// The notification that would tell of it.
    notification: NotificationId,
    /// Estimate of those who are told.
    recipients: u64,
}

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
    /// Deletes an event that nobody ever booked, and that nobody waits for.
    ///
    /// # Errors
    /// `version-mismatch`, `event-has-bookings`, `conflict-try-again`.
    pub(crate) async fn delete(
        &self,
        tenant: &TenantId,
        read: EventAsRead,
        expected_version: u64,
    ) -> Result<()> {
        let id = read.event.id;
        let lock = self.inventory_locks.lock(tenant, id).await;
        let mut read = Some(read).filter(|_| lock.was_free);
        let mut attempts = Attempts::new("delete_event", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let EventAsRead { event, inventory } = match read.take() {
                Some(read) => read,
                None => self.get(tenant, id).await?,
            };
            expect_version(event.version, Some(expected_version))?;
            if inventory.bookings > 0 || inventory.held > 0 || inventory.waiting > 0 {
                return Err(Error::new(
                    ErrorCode::EventHasBookings,
                    "An event that was ever booked, or has a waiting list, cannot be deleted; cancel it: POST …/cancel.",
                ));
            }
            let reminder = event
                .reminder
                .map(|reminder| reminders::outbox_entry(tenant, &reminder));
            let repository = &self.repository;
            let reminder = (reminder.as_ref(), self.context.now());
            let deleted = repository.delete(tenant, (&event, &inventory), reminder);
            match deleted.await {
                // A crash in between leaves rows that name nothing.
                Ok(()) => return self.repository.remove_team(tenant, id).await,
                Err(StepError::Conflict) => {}
                Err(error) if error.is_guard(STALE_INVENTORY) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// Applies an organizer's change to the event as it is now. `apply` may find that nothing is to be changed (`None`),
    /// whatever version was expected.
    pub(super) async fn change(
        &self,
        request: ChangeRequest<'_>,
        read: EventAsRead,
        apply: impl Fn(&StoredEvent, &Inventory) -> Result<Option<Changed>>,
    ) -> Result<EventChange> {
        // Before the lock is taken: what is refused now need not count anybody, and counting may take a while. It is an
        // estimate anyway.
        let Some(changed) = apply(&read.event, &read.inventory)? else {
            return Ok(unchanged(read));
        };
        expect_version(read.event.version, request.expected_version)?;
        let (tenant, event) = (request.tenant, request.event);
        let recipients = match changed.tell {
            Some(NotificationKind::EventCancelled) => {
                let waitlist = &self.offer_maker.repository;
                count_customers_and_waiting(&self.bookings, waitlist, tenant, event).await?
            }
            Some(_) => count_customers(&self.bookings, tenant, event).await?,
            None => 0,
        };
        let lock = self.inventory_locks.lock(tenant, event).await;
        let change = Change {
            request,
            id: self.context.next_id(),
            notification: NotificationId::from_ulid(self.context.next_id()),
            recipients,
        };
        // Counting may have taken a while, in which tickets were sold: then a change on what was read before would only fail.
        let read = Some(read).filter(|_| lock.was_free && changed.tell.is_none());
        self.change_under_lock(&change, read, apply).await
    }

    /// Writes a change to the event as it was read, or as it is read anew after another writer.
    async fn change_under_lock(
        &self,
        change: &Change<'_>,
        mut read: Option<EventAsRead>,
        apply: impl Fn(&StoredEvent, &Inventory) -> Result<Option<Changed>>,
    ) -> Result<EventChange> {
        let request = &change.request;
        let tenant = request.tenant;
        let mut written: Option<EventChange> = None;
        let mut attempts = Attempts::new("update_event", ATTEMPTS_MAX);
        while let Some(attempt) = attempts.next().await {
            let read = match read.take() {
                Some(read) => read,
                None => self.get(tenant, request.event).await?,
            };
            if let Some(change) = written.take_if(|change| {
                change.event.version == read.event.version
                    && read.event.updated_at == change.event.updated_at
            }) {
                // The answer was lost but the change was committed: the event is exactly what was sent.
                return Ok(change);
            }
            let Some(changed) = apply(&read.event, &read.inventory)? else {
                return Ok(unchanged(read));
            };
            expect_version(read.event.version, request.expected_version)?;
            let (mut step, summary) = self.step(change, read, changed, attempt).await?;
            self.plan_reminder(tenant, &mut step, request.reminder_lead)
                .await?;
            if offers_more(&step) {
                let offer_maker = &self.offer_maker;
                step.offers = offer_maker
                    .offer(tenant, &mut step.change, &[], None)
                    .await?;
            }
            let parts = (step.after.clone(), step.change.inventory.clone());
            let answer = RecordedAnswer::Event(Box::new(parts), summary);
            let recorded = request.keyed.map(|one| one.recorded(answer.clone()));
            step.change.recorded = recorded.into_iter().collect();
            let answer = answer.event_change()?;
            match self.repository.update(tenant, &step).await {
                Ok(()) => {
                    self.context.outbox_added.notify_one();
                    return Ok(answer);
                }
                Err(StepError::Lost(_)) => written = Some(answer),
                Err(StepError::Conflict) => {}
                Err(error) if error.is_any_guard(&[STALE_INVENTORY, STALE_NOTIFICATION]) => {}
                Err(error) => return Err(refused_reference(error, &answer.event.details)),
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
        change: &Change<'_>,
        read: EventAsRead,
        changed: Changed,
        attempt: u32,
    ) -> Result<(EventStep, Option<NotificationSummary>)> {
        let (before, inventory_before) = (read.event, read.inventory);
        let now = self.context.now();
        let version = before.version + 1;
        let mut after = StoredEvent {
            version,
            updated_at: now,
            ..changed.after
        };
        let cancelling = changed.cause == CapacityCause::EventCancelled;
        // Nobody is told of a change of an event without bookings. The waiting list is told of the cancellation, too.
        let is_waited_for = cancelling && (inventory_before.waiting > 0 || change.recipients > 0);
        let tell = changed
            .tell
            .filter(|_| inventory_before.sold > 0 || is_waited_for);
        let open = match before.update_notification {
            Some(id) => self.notifications.find(change.request.tenant, id).await?,
            None => None,
        };
        let scheduled =
            open.filter(|notification| notification.status == NotificationStatus::Scheduled);
        let told = self.tell(change, &before, tell, scheduled, now)?;
        if let Some((new, _)) = &told.new
            && new.kind == NotificationKind::EventUpdated
        {
            after.update_notification = Some(new.id);
        }
        let step = EventStep {
            change: InventoryChange {
                inventory: Inventory {
                    event_version: version,
                    ..changed.inventory
                },
                change: change.id,
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

    /// The notifications that tell of a change, if it is told. `scheduled` is the update that has not gone out yet.
    fn tell(
        &self,
        change: &Change<'_>,
        before: &StoredEvent,
        tell: Option<NotificationKind>,
        scheduled: Option<StoredNotification>,
        now: Timestamp,
    ) -> Result<Told> {
        let recipients = change.recipients;
        let summary = |id| Some(NotificationSummary { id, recipients });
        Ok(match (tell, scheduled) {
            (Some(NotificationKind::EventUpdated), Some(open)) => Told {
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
            (Some(kind), open) => {
                let merge = match kind {
                    NotificationKind::EventCancelled => std::time::Duration::ZERO,
                    _ => self.context.settings.delivery.update_merge_window,
                };
                let due_at = to_millisecond(now.checked_add(merge).map_err(Error::internal)?);
                Told {
                    new: Some(self.new_notification(change, before, kind, (now, due_at))),
                    // The cancellation of the event makes an update that was not sent pointless.
                    changed: open.map(|open| StoredNotification {
                        status: NotificationStatus::Superseded,
                        ..open
                    }),
                    summary: summary(change.notification),
                }
            }
            (None, _) => Told::default(),
        })
    }

    /// A notification of a change of an event, and the outbox entry for it.
    fn new_notification(
        &self,
        change: &Change<'_>,
        before: &StoredEvent,
        kind: NotificationKind,
        (now, due_at): (Timestamp, Timestamp),
    ) -> (StoredNotification, OutboxEntry) {
        let notification = StoredNotification {
            id: change.notification,
            revision: 0,
            kind,
            event: before.id,
            status: NotificationStatus::Scheduled,
            from_version: before.version,
            to_version: before.version + 1,
            estimated_recipients: change.recipients,
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
        let entry = OutboxEntry {
            due_at,
            tenant: change.request.tenant.clone(),
            notification: change.notification,
            part: OutboxPart::FanOut,
            lane: Lane::Bulk,
            published: false,
        };
        (notification, entry)
    }
}

/// What is answered if nothing is to be changed.
fn unchanged(read: EventAsRead) -> EventChange {
    EventChange {
        event: read.into_event(),
        notification: None,
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
            inventory.max_tickets_per_customer,
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
