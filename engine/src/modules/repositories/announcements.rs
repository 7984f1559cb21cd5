//! Storage steps of announcements. Called by the announcements module; calls models.

use jiff::Timestamp;

use super::{
    db::{Db, Script, StepError},
    idempotency::add_recorded,
    models::{AnnouncementRow, announcement_count_key, millisecond},
    notifications::{add_notification, add_outbox},
};
use crate::{
    error::Result,
    types::{
        Announcement, NotificationId, OutboxEntry, RecordedRequest, StoredNotification, TenantId,
    },
};

/// The guard's word when the tenant's daily limit is reached.
pub(in crate::modules) const QUOTA_USED: &str = "announcement-quota-used";

/// An announcement to write.
#[derive(Debug, Clone)]
pub(in crate::modules) struct NewAnnouncement {
    pub(in crate::modules) notification: StoredNotification,
    pub(in crate::modules) outbox_entry: OutboxEntry,
    pub(in crate::modules) announcement: Announcement,
    /// The request with an Idempotency-Key that it answers.
    pub(in crate::modules) recorded: Option<RecordedRequest>,
    /// The day it counts for, in days since 1970, and the daily limit.
    pub(in crate::modules) day: i64,
    pub(in crate::modules) per_day_max: u32,
    /// When the day's count expires.
    pub(in crate::modules) day_forgotten_at: Timestamp,
}

pub(in crate::modules) struct AnnouncementsRepository {
    db: Db,
}

impl AnnouncementsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Writes an announcement with its outbox entry, and counts it: at most 8 rows.
    ///
    /// Fails with the guard [`QUOTA_USED`] beyond the daily limit, and as existing if its key was used meanwhile.
    pub(in crate::modules) async fn insert(
        &self,
        tenant: &TenantId,
        new: &NewAnnouncement,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        let (id, at) = (new.notification.id.ulid(), new.notification.created_at);
        add_recorded(&mut script, tenant, id, new.recorded.as_slice(), at);
        let count = script.bind(announcement_count_key(tenant, new.day));
        let max = script.bind(i64::from(new.per_day_max));
        let forgotten_at = script.bind(millisecond(new.day_forgotten_at));
        // Counting writes the row, so two concurrent announcements cannot both be the day's last.
        script.push(format!(
            "LET $made = (UPSERT {count} SET made = (made ?? 0) + 1, expires_at = {forgotten_at} RETURN VALUE made)"
        ));
        script.push(format!("IF $made[0] > {max} {{ THROW '{QUOTA_USED}' }}"));
        add_notification(&mut script, tenant, &new.notification);
        let row = script.bind(AnnouncementRow::of(
            tenant,
            new.notification.id,
            &new.announcement,
        ));
        script.push(format!("INSERT INTO announcement {row} RETURN NONE"));
        add_outbox(&mut script, std::slice::from_ref(&new.outbox_entry));
        self.db.run(script).await.map(drop)
    }

    /// The text of a notification, if it is an announcement.
    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        notification: NotificationId,
    ) -> Result<Option<Announcement>> {
        let mut script = Script::of(tenant);
        let index = script.read(AnnouncementRow::key(tenant, notification));
        let row: Option<AnnouncementRow> = self.db.run_retrying(&script).await?.row(index)?;
        Ok(row.map(AnnouncementRow::into_type))
    }
}
