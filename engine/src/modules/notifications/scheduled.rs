//! What has not begun to go out, in the order it is due.
//!
//! Called by app_modules. Calls the notifications repository.

use std::{fmt, str::FromStr};

use jiff::Timestamp;

use super::{NotificationsModule, delivery_lookup::head};
use crate::{
    error::{Error, Result},
    types::{NotificationHead, NotificationId, NotificationStatus, Page, PageRequest, TenantId},
};

impl NotificationsModule {
    /// Notifications that have not begun to go out, the one due first before the others.
    pub(crate) async fn scheduled(
        &self,
        tenant: &TenantId,
        page: &PageRequest,
    ) -> Result<Page<NotificationHead>> {
        let behind = page.position::<Place>()?;
        let behind = behind.map(|Place(due_at, id)| (due_at, id));
        let limit = page.limit + 1;
        let places = self.repository.list_scheduled(tenant, behind, limit);
        let places = page.cut(places.await?, |(due_at, id)| {
            Place(*due_at, *id).to_string()
        });
        let ids: Vec<NotificationId> = places.items.iter().map(|(_, id)| *id).collect();
        let mut found = self.repository.find_many(tenant, &ids).await?;
        // Between the two reads it may have begun.
        found.retain(|stored| stored.status == NotificationStatus::Scheduled);
        found.sort_by_key(|stored| (stored.due_at, stored.id));
        Ok(Page {
            items: found.iter().map(head).collect(),
            next: places.next,
        })
    }
}

/// Where a page goes on: `MILLISECONDS.NOTIFICATION`.
struct Place(Timestamp, NotificationId);

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.0.as_millisecond(), self.1)
    }
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let place = || {
            let (due_at, id) = text.split_once('.')?;
            let due_at = Timestamp::from_millisecond(due_at.parse().ok()?).ok()?;
            Some(Self(due_at, id.parse().ok()?))
        };
        place().ok_or_else(PageRequest::not_a_cursor)
    }
}
