//! Storage steps of events. Called by the events module; calls models.

use jiff::Timestamp;
use surrealdb::types::SurrealValue;

use super::{
    db::{Answers, Db, Script, StepError},
    event_words::add_words,
    inventory::{InventoryChange, STALE_INVENTORY, add_change},
    models::{
        EVENT_REFERENCES, EventRow, EventStartRow, EventVersionRow, IdRow, InventoryRow,
        OldTermsRow, ReferenceRow, at_millisecond, key_number, key_ulid, millisecond,
    },
    notifications::{
        add_notification, add_notification_change, add_outbox, remove_notification, remove_outbox,
    },
    references::add_reference,
    waitlist::{Offers, add_offers},
};
use crate::{
    error::Result,
    types::{
        CancellationTerms, ChangeKind, EventDetails, EventId, EventStatus, Inventory, OutboxEntry,
        Reference, StoredEvent, StoredNotification, TenantId,
    },
};

/// An organizer's change: at most 16 rows in one transaction, up to 402 of the words by which the event is found, and the offers of freed
/// tickets.
#[derive(Debug, Clone)]
pub(in crate::modules) struct EventStep {
    /// The event as it was read; kept as an old version.
    pub(in crate::modules) before: StoredEvent,
    /// Its inventory as it was read.
    pub(in crate::modules) inventory_before: Inventory,
    /// The event to write.
    pub(in crate::modules) after: StoredEvent,
    /// Its inventory to write, and the cause.
    pub(in crate::modules) change: InventoryChange,
    /// A new notification with its outbox entry.
    pub(in crate::modules) new_notification: Option<(StoredNotification, OutboxEntry)>,
    /// A notification that changes too (merged or superseded), with the revision that was read.
    pub(in crate::modules) changed_notification: Option<StoredNotification>,
    /// The change of the event's reminder.
    pub(in crate::modules) reminder: ReminderStep,
    /// Whether the event's bookings shall be written as cancelled.
    pub(in crate::modules) sweep_bookings: bool,
    /// The offers of added tickets.
    pub(in crate::modules) offers: Offers,
}

/// The write of a change to an event's reminder: at most 4 rows.
#[derive(Debug, Clone, Default)]
pub(in crate::modules) struct ReminderStep {
    /// A new notification.
    pub(in crate::modules) new: Option<StoredNotification>,
    /// The existing one, moved or superseded, with the revision that was read.
    pub(in crate::modules) changed: Option<StoredNotification>,
    /// The outbox entry at its old time.
    pub(in crate::modules) remove_outbox: Option<OutboxEntry>,
    /// The outbox entry at its new time.
    pub(in crate::modules) add_outbox: Option<OutboxEntry>,
}

pub(in crate::modules) struct EventsRepository {
    pub(super) db: Db,
}

#[derive(SurrealValue)]
struct VersionDetails {
    event: EventRow,
}

impl EventsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Writes a new event with its inventory and its reminder: at most 9 rows, and 201 of the words by which it is found. Fails with the guard [`REFERENCE_TAKEN`].
    pub(in crate::modules) async fn insert(
        &self,
        tenant: &TenantId,
        event: &StoredEvent,
        change: &InventoryChange,
        reminder: &ReminderStep,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        let reference = ReferenceRow::of_event(tenant, event);
        add_reference(&mut script, EVENT_REFERENCES, reference);
        script.insert("event", [EventRow::of(tenant, event)]);
        let row = script.bind(EventStartRow::of(tenant, event));
        script.push(format!("INSERT INTO event_start {row} RETURN NONE"));
        add_words(&mut script, tenant, None, Some(event));
        let row = script.bind(InventoryRow::of(tenant, &change.inventory));
        script.push(format!("INSERT INTO inventory {row} RETURN NONE"));
        add_change(&mut script, tenant, change);
        tell_event(&mut script, tenant, ChangeKind::EventCreated, event.id);
        add_reminder(&mut script, tenant, reminder);
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// An event with its inventory, in one consistent read.
    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        event: EventId,
    ) -> Result<Option<(StoredEvent, Inventory)>> {
        let mut script = Script::snapshot(tenant);
        let (event, inventory) = (
            script.read(EventRow::key(tenant, event)),
            script.read(InventoryRow::key(tenant, event)),
        );
        let mut answers = self.db.run(script).await?;
        let (event, inventory) = (
            answers.row::<EventRow>(event)?,
            answers.row::<InventoryRow>(inventory)?,
        );
        match (event, inventory) {
            (Some(event), Some(inventory)) => {
                Ok(Some((event.into_type()?, inventory.into_type()?)))
            }
            _ => Ok(None),
        }
    }

    /// The event with a reference.
    pub(in crate::modules) async fn with_reference(
        &self,
        tenant: &TenantId,
        reference: &Reference,
    ) -> Result<Option<EventId>> {
        let mut script = Script::of(tenant);
        let index = script.read(ReferenceRow::key(EVENT_REFERENCES, tenant, reference));
        let row: Option<ReferenceRow> = self.db.run(script).await?.row(index)?;
        row.map(|row| row.event()).transpose()
    }

    /// A version of an event, the current one included.
    pub(in crate::modules) async fn find_version(
        &self,
        tenant: &TenantId,
        event: EventId,
        version: u64,
    ) -> Result<Option<EventDetails>> {
        let mut script = Script::of(tenant);
        let old = script.bind(EventVersionRow::key(tenant, event, version));
        let old = script.push(format!("SELECT event FROM ONLY {old}"));
        let row: Option<VersionDetails> = self.db.run_retrying(&script).await?.row(old)?;
        Ok(row
            .map(|row| row.event.into_type())
            .transpose()?
            .map(|event| event.details))
    }

    /// The beginning and the cancellation terms of an older version of an event. Such rows never change.
    pub(in crate::modules) async fn old_terms(
        &self,
        tenant: &TenantId,
        event: EventId,
        version: u64,
    ) -> Result<Option<(Timestamp, CancellationTerms)>> {
        let mut script = Script::of(tenant);
        let old = script.bind(EventVersionRow::key(tenant, event, version));
        let old = script.push(format!(
            "SELECT event.starts_at AS starts_at, cancellation_terms FROM ONLY {old}"
        ));
        let row: Option<OldTermsRow> = self.db.run_retrying(&script).await?.row(old)?;
        row.map(OldTermsRow::into_type).transpose()
    }

    /// Up to `limit` events after one of them, in order of creation, with their inventories.
    pub(in crate::modules) async fn page(
        &self,
        tenant: &TenantId,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<(StoredEvent, Inventory)>> {
        let mut script = Script::snapshot(tenant);
        let after = script.bind(
            after
                .map(|event| event.ulid().to_string())
                .unwrap_or_default(),
        );
        let limit = script.bind(i64::from(limit));
        let range = |table: &str| {
            format!(
                "SELECT * FROM type::record('{table}', [$tenant, {after}]>..[$tenant, ..]) LIMIT {limit}"
            )
        };
        let (events, inventories) = (range("event"), range("inventory"));
        let (events, inventories) = (script.push(events), script.push(inventories));
        let mut answers = self.db.run(script).await?;
        pairs(&mut answers, events, inventories)
    }

    /// Up to `limit` events in order of beginning, with their inventories: those that begin at `from` or later (after an
    /// event of that time), and before `until`. With the last position that was read, if there may be more.
    pub(in crate::modules) async fn page_by_start(
        &self,
        tenant: &TenantId,
        from: (Timestamp, Option<EventId>),
        until: Option<Timestamp>,
        limit: u32,
    ) -> Result<(Vec<(StoredEvent, Inventory)>, Option<(Timestamp, EventId)>)> {
        let mut script = Script::snapshot(tenant);
        let start = script.bind(millisecond(from.0));
        let start = match from.1 {
            None => format!("[$tenant, {start}]"),
            Some(event) => {
                let event = script.bind(event.ulid().to_string());
                format!("[$tenant, {start}, {event}]>")
            }
        };
        let end = match until {
            None => "..".to_owned(),
            Some(until) => script.bind(millisecond(until)),
        };
        let most = script.bind(i64::from(limit));
        let starts = format!(
            "SELECT * FROM type::record('event_start', {start}..[$tenant, {end}]) LIMIT {most}"
        );
        script.define("$starts", starts);
        let places = script.push("SELECT id FROM $starts");
        let events = script.push("SELECT * FROM $starts.event");
        let inventories = script.push("SELECT * FROM $starts.inventory");
        let mut answers = self.db.run(script).await?;
        let places = answers.rows::<IdRow>(places)?;
        let last = places.last().filter(|_| places.len() == limit as usize);
        let place_of = |place: &IdRow| -> Result<(Timestamp, EventId)> {
            let at = at_millisecond(key_number(place.id(), 1)?)?;
            Ok((at, EventId::from_ulid(key_ulid(place.id(), 2)?)))
        };
        let last = last.map(place_of).transpose()?;
        let pairs = pairs(&mut answers, events, inventories)?;
        Ok((pairs, last))
    }

    /// Writes an organizer's change; see [`EventStep`].
    ///
    /// Fails with the guard [`STALE_INVENTORY`] or [`STALE_NOTIFICATION`] if something changed since it was read, and with
    /// [`REFERENCE_TAKEN`].
    pub(in crate::modules) async fn update(
        &self,
        tenant: &TenantId,
        step: &EventStep,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        add_change(&mut script, tenant, &step.change);
        let old = script.bind(EventVersionRow::of(
            tenant,
            &step.before,
            &step.inventory_before,
        ));
        script.push(format!("INSERT INTO event_version {old} RETURN NONE"));
        let id = EventRow::key(tenant, step.after.id);
        let row = script.bind_content(&id, EventRow::of(tenant, &step.after));
        let key = script.bind(id);
        script.push(format!("UPDATE {key} CONTENT {row} RETURN NONE"));
        let kind = match is_cancelled_now(step) {
            true => ChangeKind::EventCancelled,
            false => ChangeKind::EventUpdated,
        };
        tell_event(&mut script, tenant, kind, step.after.id);
        let (before, after) = (&step.before.details, &step.after.details);
        if before.reference != after.reference {
            let old = before.reference.iter();
            script.remove(old.map(|one| ReferenceRow::key(EVENT_REFERENCES, tenant, one)));
            let reference = ReferenceRow::of_event(tenant, &step.after);
            add_reference(&mut script, EVENT_REFERENCES, reference);
        }
        if before.starts_at != after.starts_at {
            let old = script.bind(EventStartRow::key(tenant, before.starts_at, step.after.id));
            script.push(format!("DELETE {old} RETURN NONE"));
            let new = script.bind(EventStartRow::of(tenant, &step.after));
            script.push(format!("INSERT IGNORE INTO event_start {new} RETURN NONE"));
        }
        add_words(&mut script, tenant, Some(&step.before), Some(&step.after));
        if let Some(notification) = &step.changed_notification {
            add_notification_change(&mut script, tenant, notification);
        }
        if let Some((notification, entry)) = &step.new_notification {
            add_notification(&mut script, tenant, notification);
            add_outbox(&mut script, std::slice::from_ref(entry));
        }
        add_reminder(&mut script, tenant, &step.reminder);
        add_offers(&mut script, tenant, step.after.id, &step.offers)?;
        if step.sweep_bookings {
            let event = script.bind(step.after.id.ulid().to_string());
            script.push(format!("INSERT IGNORE INTO cancelled_event {{ id: cancelled_event:[$tenant, {event}] }} RETURN NONE"));
        }
        self.db.run(script).await.map(drop)
    }

    /// Deletes an event if it is unchanged: at most 8 rows, 201 of its words, its old versions, of which there are few before
    /// any booking, and holds that ended without one. `reminder` is its reminder's outbox entry.
    pub(in crate::modules) async fn delete(
        &self,
        tenant: &TenantId,
        (stored, inventory): (&StoredEvent, &Inventory),
        (reminder, at): (Option<&OutboxEntry>, Timestamp),
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        script.happens(at);
        let kind = ChangeKind::EventDeleted;
        tell_event(&mut script, tenant, kind, inventory.event);
        let event = script.bind(EventRow::key(tenant, inventory.event));
        let record = script.bind(InventoryRow::key(tenant, inventory.event));
        let id = script.bind(inventory.event.ulid().to_string());
        let seen = script.bind(inventory.revision);
        script.require(
            format!("DELETE {record} WHERE revision = {seen} RETURN BEFORE"),
            STALE_INVENTORY,
        );
        script.push(format!("DELETE {event} RETURN NONE"));
        let start = script.bind(EventStartRow::key(
            tenant,
            inventory.starts_at,
            inventory.event,
        ));
        script.push(format!("DELETE {start} RETURN NONE"));
        add_words(&mut script, tenant, Some(stored), None);
        let reference = stored.details.reference.iter();
        script.remove(reference.map(|one| ReferenceRow::key(EVENT_REFERENCES, tenant, one)));
        if let Some(entry) = reminder {
            remove_outbox(&mut script, std::slice::from_ref(entry));
            remove_notification(&mut script, tenant, inventory.event, entry.notification);
        }
        script.push(format!(
            "DELETE event_version:[$tenant, {id}]..[$tenant, {id}, ..] RETURN NONE"
        ));
        // Nobody waits now, but somebody may have before.
        for table in ["hold", "waitlist_pass"] {
            script.push(format!(
                "DELETE {table}:[$tenant, {id}]..[$tenant, {id}, ..] RETURN NONE"
            ));
        }
        self.db.run(script).await.map(drop)
    }
}

/// Tells of an event with its inventory.
fn tell_event(script: &mut Script, tenant: &TenantId, kind: ChangeKind, event: EventId) {
    let inventory = InventoryRow::key(tenant, event);
    script.tell_with(kind, (EventRow::key(tenant, event), inventory));
}

fn is_cancelled_now(step: &EventStep) -> bool {
    let is_cancelled = |inventory: &Inventory| inventory.status == EventStatus::Cancelled;
    is_cancelled(&step.change.inventory) && !is_cancelled(&step.inventory_before)
}

/// Events with their inventories. Both are created and deleted in one transaction, so they have the same keys.
pub(super) fn pairs(
    answers: &mut Answers,
    events: usize,
    inventories: usize,
) -> Result<Vec<(StoredEvent, Inventory)>> {
    let events = answers.rows::<EventRow>(events)?;
    let inventories = answers.rows::<InventoryRow>(inventories)?;
    let pairs = events.into_iter().zip(inventories);
    let pair = |(event, inventory): (EventRow, InventoryRow)| {
        Ok((event.into_type()?, inventory.into_type()?))
    };
    pairs.map(pair).collect()
}

/// Adds the write of a change to a reminder.
fn add_reminder(script: &mut Script, tenant: &TenantId, step: &ReminderStep) {
    if let Some(notification) = &step.changed {
        add_notification_change(script, tenant, notification);
    }
    if let Some(notification) = &step.new {
        add_notification(script, tenant, notification);
    }
    remove_outbox(script, step.remove_outbox.as_slice());
    add_outbox(script, step.add_outbox.as_slice());
}
