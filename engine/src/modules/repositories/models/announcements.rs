//! The rows of announcements: their texts, and a tenant's count a day.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{record, ulid_key};
use crate::types::{Announcement, Label, NotificationId, Prose, TenantId};

/// The text of an announcement. Separate from its notification, which a fan-out writes with every chunk.
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
