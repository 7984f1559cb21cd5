//! Storage steps of notifications and the outbox. Called by the notifications module; calls models.

use jiff::Timestamp;
use surrealdb::types::{RecordId, Value};

use super::{
    db::{Db, Script, StepError, SystemScope},
    inventory::STALE_NOTIFICATION,
    models::{
        CustomerBookingRow, DeliveryBatchRow, FailedBatchRow, IdRow, NotificationListRow,
        NotificationRow, OutboxRow, ScheduleRow, at_millisecond, millisecond, record,
    },
};
use crate::{
    error::Result,
    types::{
        BookingId, Chunk, DeliveryBatch, DeliveryId, DeliveryRecord, EventId, Lane, NotificationId,
        NotificationKind, NotificationStatus, OutboxEntry, OutboxPart, StoredNotification,
        TenantId, TraceParent, UserId,
    },
};

/// The mails of a step: delivery batches and their outbox entries.
#[derive(Debug, Clone, Default)]
pub(in crate::modules) struct NewMails {
    pub(in crate::modules) batches: Vec<DeliveryBatch>,
    pub(in crate::modules) outbox: Vec<OutboxEntry>,
}

impl NewMails {
    /// A mail to each of these users, at most one batch, that is about no event and due at once.
    pub(in crate::modules) fn to_users(
        tenant: &TenantId,
        (notification, kind): (NotificationId, NotificationKind),
        users: &[UserId],
        now: Timestamp,
    ) -> Self {
        if users.is_empty() {
            return Self::default();
        }
        let deliveries = users.iter().map(|user| DeliveryRecord::queued(*user, None));
        Self {
            batches: vec![DeliveryBatch {
                notification,
                number: 0,
                revision: 0,
                kind,
                event: None,
                deliveries: deliveries.collect(),
                claim: None,
                claims: 0,
                created_at: now,
            }],
            outbox: vec![OutboxEntry {
                due_at: now,
                tenant: tenant.clone(),
                notification,
                part: OutboxPart::DeliveryBatch(0),
                lane: Lane::Transactional,
                published: false,
            }],
        }
    }
}

pub(in crate::modules) struct NotificationsRepository {
    pub(super) db: Db,
}

impl NewMails {
    /// These mails and others.
    pub(in crate::modules) fn and(mut self, others: Self) -> Self {
        self.batches.extend(others.batches);
        self.outbox.extend(others.outbox);
        self
    }

    /// The same mails, each with the place in its trace.
    pub(in crate::modules) fn traced(
        mut self,
        trace_of: impl Fn(BookingId) -> Option<TraceParent>,
    ) -> Self {
        for batch in &mut self.batches {
            for delivery in &mut batch.deliveries {
                delivery.trace = delivery.booking.and_then(&trace_of);
            }
        }
        self
    }

    /// The bookings of these mails.
    pub(in crate::modules::repositories) fn places(
        &self,
    ) -> impl Iterator<Item = (BookingId, DeliveryId)> {
        self.batches.iter().flat_map(|batch| {
            let deliveries = (0_u32..).zip(&batch.deliveries);
            deliveries.filter_map(|(index, delivery)| {
                let place = DeliveryId::new(batch.notification, batch.number, index);
                delivery.booking.map(|booking| (booking, place))
            })
        })
    }
}

/// Adds mails about existing bookings, so that each is found from its booking: 3 rows for a mail, and 2
/// for each further 32.
pub(in crate::modules::repositories) fn add_mails_about(
    script: &mut Script,
    tenant: &TenantId,
    mails: &NewMails,
) -> Result<(), StepError> {
    for (booking, place) in mails.places() {
        let key = script.bind(CustomerBookingRow::key(tenant, booking));
        let place = script.bind(place.to_string());
        script.push(format!(
            "UPDATE {key} SET mails = array::append(mails ?? [], {place}) RETURN NONE"
        ));
    }
    add_mails(script, tenant, mails)
}

/// Adds a notification, its entries in the lists of its event and tenant, and its schedule: 4 rows.
pub(in crate::modules::repositories) fn add_notification(
    script: &mut Script,
    tenant: &TenantId,
    notification: &StoredNotification,
) {
    let row = script.bind(NotificationRow::of(tenant, notification));
    script.push(format!("INSERT INTO notification {row} RETURN NONE"));
    let event = Some(notification.event);
    let listed = [event, None].map(|event| NotificationListRow::of(tenant, event, notification.id));
    let rows = script.bind(listed.to_vec());
    script.push(format!("INSERT INTO notification_list {rows} RETURN NONE"));
    add_schedule(script, tenant, notification);
}

/// Adds a notification's schedule, if it is scheduled: 1 row.
fn add_schedule(script: &mut Script, tenant: &TenantId, notification: &StoredNotification) {
    if notification.status == NotificationStatus::Scheduled {
        let row = script.bind(ScheduleRow::of(tenant, notification));
        script.push(format!("INSERT IGNORE INTO scheduled {row} RETURN NONE"));
    }
}

/// Adds a notification's change, guarded by the revision that was read: 1 row, and at most 2 of its schedule.
pub(in crate::modules::repositories) fn add_notification_change(
    script: &mut Script,
    tenant: &TenantId,
    notification: &StoredNotification,
) {
    let seen = script.bind(notification.revision);
    let next = StoredNotification {
        revision: notification.revision + 1,
        ..notification.clone()
    };
    let key = script.bind(NotificationRow::key(tenant, notification.id));
    let row = script.bind(NotificationRow::of(tenant, &next));
    script.push(format!(
        "LET $told = (UPDATE {key} CONTENT {row} WHERE revision = {seen} RETURN BEFORE)"
    ));
    script.push(format!(
        "IF array::len($told) = 0 {{ THROW '{STALE_NOTIFICATION}' }}"
    ));
    add_schedule_change(script, tenant, &next);
}

/// Moves or deletes a notification's schedule, after a statement that left the row as
/// it was before in `$told`: 2 rows.
fn add_schedule_change(script: &mut Script, tenant: &TenantId, notification: &StoredNotification) {
    let id = script.bind(notification.id.ulid().to_string());
    let due = script.bind(notification.due_at.as_millisecond());
    let is_scheduled = notification.status == NotificationStatus::Scheduled;
    let left = script.bind(!is_scheduled);
    let scheduled = script.bind(NotificationStatus::Scheduled.as_str().to_owned());
    // Deleted only if it exists, because a fan-out changes its notification with every chunk.
    script.push(format!(
        "IF $told[0].status = {scheduled} AND ({left} OR $told[0].due_at != {due}) {{ \
         DELETE type::record('scheduled', [$tenant, $told[0].due_at, {id}]) RETURN NONE }}"
    ));
    add_schedule(script, tenant, notification);
}

/// Deletes a notification that was not sent to anybody: 4 rows.
pub(in crate::modules::repositories) fn remove_notification(
    script: &mut Script,
    tenant: &TenantId,
    event: EventId,
    notification: NotificationId,
) {
    let key = script.bind(NotificationRow::key(tenant, notification));
    let id = script.bind(notification.ulid().to_string());
    script.push(format!("LET $gone = (SELECT VALUE due_at FROM ONLY {key})"));
    script.push(format!(
        "IF $gone != NONE {{ DELETE type::record('scheduled', [$tenant, $gone, {id}]) RETURN NONE }}"
    ));
    let keys = script.bind(vec![
        NotificationRow::key(tenant, notification),
        NotificationListRow::key(tenant, Some(event), notification),
        NotificationListRow::key(tenant, None, notification),
    ]);
    script.push(format!("DELETE {keys} RETURN NONE"));
}

/// Adds the batches and outbox entries of mails: 2 rows for each 32 mails.
pub(in crate::modules::repositories) fn add_mails(
    script: &mut Script,
    tenant: &TenantId,
    mails: &NewMails,
) -> Result<(), StepError> {
    script.insert("delivery_batch", batch_rows(tenant, mails)?);
    add_outbox(script, &mails.outbox);
    Ok(())
}

/// The same, if a variable of the transaction is true.
pub(in crate::modules::repositories) fn add_mails_if(
    script: &mut Script,
    tenant: &TenantId,
    mails: &NewMails,
    condition: &str,
) -> Result<(), StepError> {
    let statements = mail_statements(script, tenant, mails)?.join("; ");
    script.push(format!("IF {condition} {{ {statements} }}"));
    Ok(())
}

fn mail_statements(
    script: &mut Script,
    tenant: &TenantId,
    mails: &NewMails,
) -> Result<Vec<String>, StepError> {
    let mut statements = Vec::new();
    if !mails.batches.is_empty() {
        let rows = script.bind(batch_rows(tenant, mails)?);
        statements.push(format!("INSERT INTO delivery_batch {rows} RETURN NONE"));
    }
    if !mails.outbox.is_empty() {
        let rows: Vec<_> = mails.outbox.iter().map(OutboxRow::of).collect();
        let rows = script.bind(rows);
        statements.push(format!("INSERT IGNORE INTO outbox {rows} RETURN NONE"));
    }
    Ok(statements)
}

fn batch_rows(tenant: &TenantId, mails: &NewMails) -> Result<Vec<DeliveryBatchRow>, StepError> {
    let rows = mails.batches.iter();
    let rows = rows.map(|batch| DeliveryBatchRow::of(tenant, batch));
    rows.collect::<Result<_>>()
        .map_err(|error| StepError::Other(error.into()))
}

/// Adds outbox entries; an existing one is kept.
pub(in crate::modules::repositories) fn add_outbox(script: &mut Script, entries: &[OutboxEntry]) {
    script.insert_new("outbox", entries.iter().map(OutboxRow::of));
}

/// Deletes outbox entries. One that the relay has moved meanwhile is dropped later, when its notification is checked.
pub(in crate::modules::repositories) fn remove_outbox(
    script: &mut Script,
    entries: &[OutboxEntry],
) {
    script.remove(entries.iter().map(OutboxRow::key));
}

/// Where a read of the outbox begins.
#[derive(Debug, Clone, Copy)]
pub(in crate::modules) enum OutboxFrom<'a> {
    /// With what is due at this time.
    Time(Timestamp),
    /// Behind this entry.
    After(&'a OutboxEntry),
}

impl NotificationsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// When the last process with this embedded store that died was found to have; recorded now if this opening found it: 1 row.
    pub(in crate::modules) async fn last_crash(
        &self,
        scope: SystemScope,
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let key = record("crash", [Value::String("last".to_owned())]);
        let mut script = match self.db.is_after_crash() {
            true => Script::transaction_across_tenants(scope),
            false => Script::across_tenants(scope),
        };
        let id = script.bind(key);
        let index = if self.db.is_after_crash() {
            let now = script.bind(millisecond(now));
            script.push(format!("UPSERT ONLY {id} SET at = {now} RETURN VALUE at"))
        } else {
            script.push(format!("SELECT VALUE at FROM ONLY {id}"))
        };
        let at: Option<i64> = self.db.run_retrying(&script).await?.row(index)?;
        at.map(at_millisecond).transpose()
    }

    /// Up to `max` outbox entries of all tenants, in the order they are due, until a time if there is one.
    pub(in crate::modules) async fn outbox(
        &self,
        scope: SystemScope,
        from: OutboxFrom<'_>,
        until: Option<Timestamp>,
        max: u32,
    ) -> Result<Vec<OutboxEntry>> {
        let mut script = Script::across_tenants(scope);
        let from = match from {
            OutboxFrom::Time(from) => format!("[{}]", script.bind(from.as_millisecond())),
            OutboxFrom::After(entry) => format!("{}>", script.bind(OutboxRow::place(entry))),
        };
        let until = until.map(|until| format!("[{}, ..]", script.bind(until.as_millisecond())));
        let until = until.unwrap_or_default();
        let max = script.bind(i64::from(max));
        let index = script.push(format!(
            "SELECT * FROM type::record('outbox', {from}..{until}) LIMIT {max}"
        ));
        let rows: Vec<OutboxRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(OutboxRow::into_type).collect()
    }

    /// Replaces outbox entries: as many rows as are named, at most 1,000.
    pub(in crate::modules) async fn replace_outbox(
        &self,
        scope: SystemScope,
        old: &[OutboxEntry],
        new: &[OutboxEntry],
    ) -> Result<()> {
        let mut script = Script::transaction_across_tenants(scope);
        let ids: Vec<RecordId> = old.iter().map(OutboxRow::key).collect();
        let ids = script.bind(ids);
        script.push(format!("DELETE {ids} RETURN NONE"));
        add_outbox(&mut script, new);
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        id: NotificationId,
    ) -> Result<Option<StoredNotification>> {
        let mut script = Script::of(tenant);
        let index = script.read(NotificationRow::key(tenant, id));
        let row: Option<NotificationRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(NotificationRow::into_type).transpose()
    }

    /// Notifications of an event, or of the whole tenant, newest first: up to `limit` of those before one of them.
    pub(in crate::modules) async fn list_newest(
        &self,
        tenant: &TenantId,
        event: Option<EventId>,
        before: Option<NotificationId>,
        limit: u32,
    ) -> Result<Vec<NotificationId>> {
        let mut script = Script::of(tenant);
        let list = script.bind(NotificationListRow::list(event));
        let start = match before {
            Some(before) => {
                let before = script.bind(NotificationListRow::place(before));
                format!("[$tenant, {list}, {before}]>")
            }
            None => format!("[$tenant, {list}]"),
        };
        let limit = script.bind(i64::from(limit));
        let index = script.push(format!(
            "SELECT id FROM type::record('notification_list', {start}..[$tenant, {list}, ..]) LIMIT {limit}"
        ));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.iter().map(NotificationListRow::notification).collect()
    }

    /// Scheduled notifications in order of their time: up to `limit` after one of them.
    pub(in crate::modules) async fn list_scheduled(
        &self,
        tenant: &TenantId,
        behind: Option<(Timestamp, NotificationId)>,
        limit: u32,
    ) -> Result<Vec<(Timestamp, NotificationId)>> {
        let mut script = Script::of(tenant);
        let start = match behind {
            Some((due_at, id)) => {
                let due_at = script.bind(due_at.as_millisecond());
                let id = script.bind(id.ulid().to_string());
                format!("[$tenant, {due_at}, {id}]>")
            }
            None => "[$tenant]".to_owned(),
        };
        let limit = script.bind(i64::from(limit));
        let index = script.push(format!(
            "SELECT id FROM type::record('scheduled', {start}..[$tenant, ..]) LIMIT {limit}"
        ));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.iter().map(ScheduleRow::place).collect()
    }

    /// The notifications with these ids, unordered; at most 101.
    pub(in crate::modules) async fn find_many(
        &self,
        tenant: &TenantId,
        ids: &[NotificationId],
    ) -> Result<Vec<StoredNotification>> {
        let mut script = Script::of(tenant);
        let keys: Vec<RecordId> = ids
            .iter()
            .map(|id| NotificationRow::key(tenant, *id))
            .collect();
        let index = script.read_all(keys);
        let rows: Vec<NotificationRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(NotificationRow::into_type).collect()
    }

    /// Writes a notification if its revision is still the one that was read: 1 row. Returns whether it was.
    pub(in crate::modules) async fn replace(
        &self,
        tenant: &TenantId,
        notification: &StoredNotification,
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        add_notification_change(&mut script, tenant, notification);
        written(self.db.run_retrying(&script).await)
    }

    /// Stores a chunk of a fan-out if its notification is unchanged: at most 66 rows, and as
    /// many as it has batches if these are uncertain from the beginning. Returns whether it was.
    pub(in crate::modules) async fn insert_chunk(
        &self,
        tenant: &TenantId,
        chunk: &Chunk,
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        add_notification_change(&mut script, tenant, &chunk.notification);
        let mails = NewMails {
            batches: chunk.batches.clone(),
            outbox: chunk.outbox.clone(),
        };
        add_mails(&mut script, tenant, &mails)?;
        let failed_batches: Vec<_> = (mails.batches.iter())
            .filter_map(|batch| FailedBatchRow::of(tenant, batch))
            .collect();
        if !failed_batches.is_empty() {
            let rows = script.bind(failed_batches);
            script.push(format!("INSERT INTO failed_batch {rows} RETURN NONE"));
        }
        if let Some(done) = &chunk.remove_outbox {
            let done = script.bind(OutboxRow::key(done));
            script.push(format!("DELETE {done} RETURN NONE"));
        }
        written(self.db.run_retrying(&script).await)
    }
}

fn written<T>(outcome: Result<T, StepError>) -> Result<bool> {
    match outcome {
        Ok(_) => Ok(true),
        Err(error) if error.is_guard(STALE_NOTIFICATION) => Ok(false),
        Err(StepError::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
