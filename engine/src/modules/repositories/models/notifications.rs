//! The rows of notifications and of the outbox.

use jiff::Timestamp;
use surrealdb::types::{RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::keys::{
    IdRow, at_millisecond, key_number, key_text, key_ulid, millisecond, record, stored_ulid,
    ulid_key,
};
use crate::{
    error::{Error, Result},
    ports::Lane,
    types::{
        EventId, NotificationId, OutboxEntry, OutboxPart, StoredNotification, TenantId, UserId,
    },
};

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct NotificationRow {
    pub(in crate::modules::repositories) id: RecordId,
    revision: i64,
    kind: String,
    event: String,
    status: String,
    from_version: u64,
    to_version: u64,
    estimated_recipients: u64,
    recipients: u64,
    batches: u32,
    cursor: Option<String>,
    created_at: i64,
    due_at: i64,
    /// Whether it is paused.
    paused: Option<bool>,
    /// The number of retries of its failed deliveries.
    retry_generation: Option<u64>,
    /// Whether its recipients may have been told by the original store, before the restore.
    doubtful: Option<bool>,
    /// The place in the trace of the causing request.
    trace: Option<String>,
}

impl NotificationRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        notification: NotificationId,
    ) -> RecordId {
        record(
            "notification",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(notification.ulid()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        notification: &StoredNotification,
    ) -> Self {
        Self {
            id: Self::key(tenant, notification.id),
            revision: notification.revision,
            kind: notification.kind.as_str().to_owned(),
            event: notification.event.ulid().to_string(),
            status: notification.status.as_str().to_owned(),
            from_version: notification.from_version,
            to_version: notification.to_version,
            estimated_recipients: notification.estimated_recipients,
            recipients: notification.recipients,
            batches: notification.batches,
            cursor: notification
                .cursor
                .map(|customer| customer.ulid().to_string()),
            created_at: millisecond(notification.created_at),
            due_at: millisecond(notification.due_at),
            paused: notification.is_paused.then_some(true),
            retry_generation: (notification.retry_generation > 0)
                .then_some(notification.retry_generation),
            doubtful: notification.is_uncertain.then_some(true),
            trace: notification.trace.as_ref().map(ToString::to_string),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<StoredNotification> {
        Ok(StoredNotification {
            id: NotificationId::from_ulid(key_ulid(&self.id, 1)?),
            revision: self.revision,
            kind: self.kind.parse()?,
            event: EventId::from_ulid(stored_ulid(&self.event)?),
            status: self.status.parse()?,
            from_version: self.from_version,
            to_version: self.to_version,
            estimated_recipients: self.estimated_recipients,
            recipients: self.recipients,
            batches: self.batches,
            cursor: self
                .cursor
                .as_deref()
                .map(stored_ulid)
                .transpose()?
                .map(UserId::from_ulid),
            created_at: at_millisecond(self.created_at)?,
            due_at: at_millisecond(self.due_at)?,
            is_paused: self.paused.unwrap_or(false),
            retry_generation: self.retry_generation.unwrap_or(0),
            is_uncertain: self.doubtful.unwrap_or(false),
            trace: self.trace.and_then(|trace| trace.parse().ok()),
        })
    }
}

/// A notification's entry in a list: of its event, or of its tenant. Ids have inverted bits,
/// so a list begins with the newest.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct NotificationListRow {
    id: RecordId,
}

impl NotificationListRow {
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        event: Option<EventId>,
        notification: NotificationId,
    ) -> Self {
        Self {
            id: Self::key(tenant, event, notification),
        }
    }

    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        event: Option<EventId>,
        notification: NotificationId,
    ) -> RecordId {
        record(
            "notification_list",
            [
                Value::String(tenant.as_str().to_owned()),
                Value::String(Self::list(event)),
                Value::String(Self::place(notification)),
            ],
        )
    }

    /// The id of a list within its tenant.
    pub(in crate::modules::repositories) fn list(event: Option<EventId>) -> String {
        event
            .map(|event| event.ulid().to_string())
            .unwrap_or_default()
    }

    /// A notification's keys in its lists.
    pub(in crate::modules::repositories) fn place(notification: NotificationId) -> String {
        Ulid(!notification.ulid().0).to_string()
    }

    pub(in crate::modules::repositories) fn notification(row: &IdRow) -> Result<NotificationId> {
        let Ulid(turned) = key_ulid(row.id(), 2)?;
        Ok(NotificationId::from_ulid(Ulid(!turned)))
    }
}

/// A scheduled notification, by its due time.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ScheduleRow {
    id: RecordId,
}

impl ScheduleRow {
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        notification: &StoredNotification,
    ) -> Self {
        Self {
            id: record(
                "scheduled",
                [
                    Value::String(tenant.as_str().to_owned()),
                    Value::from_t(millisecond(notification.due_at)),
                    ulid_key(notification.id.ulid()),
                ],
            ),
        }
    }

    /// The due time, and the notification.
    pub(in crate::modules::repositories) fn place(
        row: &IdRow,
    ) -> Result<(Timestamp, NotificationId)> {
        let due_at = at_millisecond(key_number(row.id(), 1)?)?;
        Ok((due_at, NotificationId::from_ulid(key_ulid(row.id(), 2)?)))
    }
}

/// An outbox entry, by its due time.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct OutboxRow {
    pub(in crate::modules::repositories) id: RecordId,
    lane: String,
    /// Whether it was published before, so its work must be checked first.
    published: bool,
}

impl OutboxRow {
    pub(in crate::modules::repositories) fn key(entry: &OutboxEntry) -> RecordId {
        record("outbox", Self::place(entry))
    }

    /// What its key is made of: its place in the order in which entries are due.
    pub(in crate::modules::repositories) fn place(entry: &OutboxEntry) -> [Value; 4] {
        let part = match entry.part {
            OutboxPart::FanOut => -1,
            OutboxPart::DeliveryBatch(number) => i64::from(number),
        };
        [
            Value::from_t(millisecond(entry.due_at)),
            Value::String(entry.tenant.as_str().to_owned()),
            ulid_key(entry.notification.ulid()),
            Value::from_t(part),
        ]
    }

    pub(in crate::modules::repositories) fn of(entry: &OutboxEntry) -> Self {
        Self {
            id: Self::key(entry),
            lane: entry.lane.as_str().to_owned(),
            published: entry.published,
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<OutboxEntry> {
        let part = match key_number(&self.id, 3)? {
            -1 => OutboxPart::FanOut,
            number => OutboxPart::DeliveryBatch(u32::try_from(number).map_err(Error::internal)?),
        };
        Ok(OutboxEntry {
            due_at: at_millisecond(key_number(&self.id, 0)?)?,
            tenant: TenantId::trusted(key_text(&self.id, 1)?),
            notification: NotificationId::from_ulid(key_ulid(&self.id, 2)?),
            part,
            lane: if self.lane == "transactional" {
                Lane::Transactional
            } else {
                Lane::Bulk
            },
            published: self.published,
        })
    }
}
