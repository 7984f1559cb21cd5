//! What customers are told: progress of a notification and its deliveries.
//!
//! Called by hosts and platforms. Calls the notifications and events modules.

use std::sync::Arc;

use crate::{
    Result,
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
    pub async fn show(&self, caller: &Caller, notification: NotificationId) -> Result<Notification> {
        todo!()
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
        todo!()
    }
}
