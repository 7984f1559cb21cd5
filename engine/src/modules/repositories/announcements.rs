//! Storage steps of announcements. Called by the announcements module; calls models.

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    db::{Db, Script, StepError},
    idempotency::add_key_expiry,
    models::{AnnouncedRow, AnnouncementRow, announcement_count_key, millisecond},
    notifications::{add_notification, add_owed},
};
use crate::{
    Error, Result,
    types::{
        Announcement, IdempotencyKey, NotificationId, NotificationSummary, Owed,
        StoredNotification, TenantId, UserId,
    },
};

/// The word a transaction stops with when the tenant has made its announcements of the day.
pub(in crate::modules) const QUOTA_USED: &str = "announcement-quota-used";

/// A request that made an announcement before under the same Idempotency-Key.
#[derive(Debug, Clone)]
pub(in crate::modules) struct Announced {
    pub(in crate::modules) request_hash: String,
    pub(in crate::modules) summary: NotificationSummary,
}

/// An announcement that is to be written.
#[derive(Debug, Clone)]
pub(in crate::modules) struct NewAnnouncement {
    pub(in crate::modules) notification: StoredNotification,
    pub(in crate::modules) owed: Owed,
    pub(in crate::modules) announcement: Announcement,
    /// Who asked under which key with which request, and until when that is kept.
    pub(in crate::modules) recorded: Option<(Option<UserId>, IdempotencyKey, Announced, Timestamp)>,
    /// The day it counts against, in days since 1970, and how many the day may have.
    pub(in crate::modules) day: i64,
    pub(in crate::modules) per_day_max: u32,
    /// When the day's count is of no use any more.
    pub(in crate::modules) day_forgotten_at: Timestamp,
}

pub(in crate::modules) struct AnnouncementsRepository {
    db: Db,
}

impl AnnouncementsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// What a request made before under a key, if it did.
    pub(in crate::modules) async fn find_announced(
        &self,
        tenant: &TenantId,
        user: Option<UserId>,
        key: &IdempotencyKey,
    ) -> Result<Option<Announced>> {
        let mut script = Script::of(tenant);
        let id = script.bind(AnnouncedRow::key(tenant, user, key));
        let index = script.push(format!("SELECT * FROM ONLY {id}"));
        let row: Option<AnnouncedRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(|row| {
            let notification = Ulid::from_string(&row.notification).map_err(Error::internal)?;
            Ok(Announced {
                request_hash: row.request_hash,
                summary: NotificationSummary {
                    id: NotificationId::from_ulid(notification),
                    recipients: row.recipients,
                },
            })
        })
        .transpose()
    }

    /// Writes an announcement with what it owes, and counts it: at most 8 rows.
    ///
    /// Fails with the guard [`QUOTA_USED`] if the day has no more, and as existing if its key was used meanwhile.
    pub(in crate::modules) async fn insert(
        &self,
        tenant: &TenantId,
        new: &NewAnnouncement,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        if let Some((user, key, announced, until)) = &new.recorded {
            let row = script.bind(AnnouncedRow {
                id: AnnouncedRow::key(tenant, *user, key),
                request_hash: announced.request_hash.clone(),
                notification: announced.summary.id.ulid().to_string(),
                recipients: announced.summary.recipients,
                expires_at: millisecond(*until),
            });
            script.push(format!("INSERT INTO idempotency {row} RETURN NONE"));
            let keys = vec![AnnouncedRow::key(tenant, *user, key)];
            let change = new.notification.id.ulid();
            add_key_expiry(&mut script, tenant, change, *until, keys);
        }
        let count = script.bind(announcement_count_key(tenant, new.day));
        let max = script.bind(i64::from(new.per_day_max));
        let forgotten_at = script.bind(millisecond(new.day_forgotten_at));
        // Counting writes the row, so that two announcements at once cannot both be the day's last.
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
        add_owed(&mut script, std::slice::from_ref(&new.owed));
        self.db.run(&script).await.map(drop)
    }

    /// What a notification announces, if it is an announcement.
    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        notification: NotificationId,
    ) -> Result<Option<Announcement>> {
        let mut script = Script::of(tenant);
        let id = script.bind(AnnouncementRow::key(tenant, notification));
        let index = script.push(format!("SELECT * FROM ONLY {id}"));
        let row: Option<AnnouncementRow> = self.db.run_retrying(&script).await?.row(index)?;
        Ok(row.map(AnnouncementRow::into_type))
    }
}
