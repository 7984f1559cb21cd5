//! What customers are told: announcements, and the progress of a notification and its deliveries.
//!
//! Called by hosts and platforms. Calls the announcements, notifications and events modules.

use std::sync::Arc;

use serde_json::json;

use crate::{
    Error, ErrorCode, Result,
    engine::Inner,
    modules::request_hash,
    types::{
        Announce, Caller, Delivery, EventStatus, Notification, NotificationId, NotificationSummary,
        Page, PageRequest,
    },
};

/// Use cases around notifications.
#[derive(Clone)]
pub struct Notifications(pub(crate) Arc<Inner>);

impl Notifications {
    /// Tells all customers of an event something, in one mail to each, by those who manage the event. Counts against
    /// what the tenant may announce in a day.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid`, `event-not-published`, `event-cancelled`, `too-many-requests` when the
    /// day's announcements are made, `idempotency-key-reused`, `conflict-try-again`, `outcome-unknown`.
    pub async fn announce(
        &self,
        caller: &Caller,
        command: Announce,
    ) -> Result<NotificationSummary> {
        caller.require_signed_in()?;
        let modules = &self.0.modules;
        let tenant = modules.tenants.get(caller.tenant()?).await?;
        let none = || Error::not_found("event", command.event);
        let event = modules.events.find(&tenant.id, command.event).await?;
        let event = event.ok_or_else(none)?;
        let manages = caller.require_manager(event.organizer);
        match (event.status, manages) {
            // What somebody may not even see is not there.
            (EventStatus::Draft, Err(_)) => return Err(none()),
            (_, manages) => manages?,
        }
        command.validate()?;
        match event.status {
            EventStatus::Published => {}
            EventStatus::Draft => {
                return Err(Error::new(
                    ErrorCode::EventNotPublished,
                    "Nobody has booked a draft; publish the event first.",
                ));
            }
            EventStatus::Cancelled => {
                return Err(Error::new(
                    ErrorCode::EventCancelled,
                    "The event was called off, and its customers were told.",
                ));
            }
        }
        let hash = request_hash(&json!([command.event, command.subject, command.message]));
        modules
            .announcements
            .announce(&tenant, caller.user_id(), command, hash)
            .await
    }

    /// Shows how far a notification has come, to the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, `forbidden`.
    pub async fn show(
        &self,
        caller: &Caller,
        notification: NotificationId,
    ) -> Result<Notification> {
        self.require_may_see(caller, notification).await?;
        let found = self
            .0
            .modules
            .notifications
            .find(caller.tenant()?, notification)
            .await?;
        found.ok_or_else(|| Error::not_found("notification", notification))
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
        self.require_may_see(caller, notification).await?;
        self.0
            .modules
            .notifications
            .deliveries(caller.tenant()?, notification, &page)
            .await
    }

    /// Refuses callers who may not see a notification; reads its head only, not its deliveries.
    async fn require_may_see(&self, caller: &Caller, notification: NotificationId) -> Result<()> {
        caller.require_signed_in()?;
        let tenant = caller.tenant()?;
        let none = || Error::not_found("notification", notification);
        let modules = &self.0.modules;
        let head = modules
            .notifications
            .stored(tenant, notification)
            .await?
            .ok_or_else(none)?;
        let event = modules
            .events
            .find(tenant, head.event)
            .await?
            .ok_or_else(none)?;
        caller.require_manager_or_staff(event.organizer)
    }
}
