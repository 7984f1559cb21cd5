//! What customers are told: progress of a notification and its deliveries.
//!
//! Called by hosts and platforms. Calls the notifications and events modules.

use std::sync::Arc;

use crate::{
    Error, Result,
    engine::Inner,
    types::{Caller, Delivery, Notification, NotificationId, Page, PageRequest},
};

/// Use cases around notifications.
#[derive(Clone)]
pub struct Notifications(pub(crate) Arc<Inner>);

impl Notifications {
    /// Shows how far a notification has come, to the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, `forbidden`.
    pub async fn show(
        &self,
        caller: &Caller,
        notification: NotificationId,
    ) -> Result<Notification> {
        caller.require_signed_in()?;
        let tenant = caller.tenant()?;
        let none = || Error::not_found("notification", notification);
        let found = self
            .0
            .modules
            .notifications
            .find(tenant, notification)
            .await?
            .ok_or_else(none)?;
        let event = self
            .0
            .modules
            .events
            .find(tenant, found.event)
            .await?
            .ok_or_else(none)?;
        caller.require_manager_or_staff(event.organizer)?;
        Ok(found)
    }

    /// Lists a notification's deliveries in customer order, for those who may see the notification.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn deliveries(
        &self,
        caller: &Caller,
        notification: NotificationId,
        page: PageRequest,
    ) -> Result<Page<Delivery>> {
        self.show(caller, notification).await?;
        self.0
            .modules
            .notifications
            .deliveries(caller.tenant()?, notification, &page)
            .await
    }
}
