//! The rows of announcements: their words, how many a tenant made in a day, and requests that succeeded before.

use surrealdb::types::{RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::keys::{record, ulid_key};
use crate::types::{Announcement, IdempotencyKey, Label, NotificationId, Prose, TenantId, UserId};

/// The words of an announcement. Apart from its notification, which a fan-out writes again with every chunk.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct AnnouncementRow {
    pub(in crate::modules::repositories) id: RecordId,
    subject: String,
    message: String,
}

impl AnnouncementRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        notification: NotificationId,
    ) -> RecordId {
        record(
            "announcement",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(notification.ulid()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        notification: NotificationId,
        announcement: &Announcement,
    ) -> Self {
        Self {
            id: Self::key(tenant, notification),
            subject: announcement.subject.as_str().to_owned(),
            message: announcement.message.as_str().to_owned(),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Announcement {
        Announcement {
            subject: Label::stored(self.subject),
            message: Prose::stored(self.message),
        }
    }
}

/// The announcement that a request made under its Idempotency-Key.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct AnnouncedRow {
    pub(in crate::modules::repositories) id: RecordId,
    pub(in crate::modules::repositories) request_hash: String,
    pub(in crate::modules::repositories) notification: String,
    pub(in crate::modules::repositories) recipients: u64,
    pub(in crate::modules::repositories) expires_at: i64,
}

impl AnnouncedRow {
    /// In the table of all keys, under a route of its own; trusted code that names no user has the id of nobody.
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        user: Option<UserId>,
        key: &IdempotencyKey,
    ) -> RecordId {
        record(
            "idempotency",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(user.map_or_else(Ulid::nil, UserId::ulid)),
                Value::String("announcements".to_owned()),
                Value::String(key.as_str().to_owned()),
            ],
        )
    }
}

/// The key of a tenant's count of announcements on a day, by days since 1970 (UTC).
pub(in crate::modules::repositories) fn announcement_count_key(
    tenant: &TenantId,
    day: i64,
) -> RecordId {
    record(
        "announcement_count",
        [
            Value::String(tenant.as_str().to_owned()),
            Value::from_t(day),
        ],
    )
}
