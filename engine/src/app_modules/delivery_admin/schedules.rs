//! Scheduled notifications, mainly reminders: listing, sending at once, and moving them. They are cancelled
//! like all others.
//!
//! Called by hosts and platforms. Calls the delivery_admin, notifications and events modules.

use std::time::Duration;

use jiff::Timestamp;

use super::{DeliveryAdmin, require_viewer};
use crate::{
    error::{Error, Result},
    modules::NotificationCommand,
    types::{
        Caller, NotificationHead, NotificationId, NotificationKind, Page, PageRequest, Reason,
        Scope,
    },
};

/// The latest time to move something to: a season's events are announced a year ahead; a later date is a typing error.
const AHEAD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

impl DeliveryAdmin {
    /// Lists the tenant's scheduled notifications, in order of their time. An
    /// organizer sees those of their own events; a page may then have fewer items than the limit.
    ///
    /// # Errors
    /// `forbidden`, `not-found` for an operator who named no tenant, `field-invalid` for a broken cursor.
    pub async fn schedules(
        &self,
        caller: &Caller,
        page: PageRequest,
    ) -> Result<Page<NotificationHead>> {
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        require_viewer(caller)?;
        let tenant = caller.tenant()?;
        let heads = self
            .0
            .modules
            .notifications
            .scheduled(tenant, &page)
            .await?;
        self.only_visible(caller, tenant, heads).await
    }

    /// Sends a scheduled notification now.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `notification-over` if its fan-out has begun, `conflict-try-again`.
    pub async fn promote(&self, caller: &Caller, id: NotificationId, why: Reason) -> Result<()> {
        let caller = &caller.scoped(Scope::NotificationsWrite)?;
        self.apply(caller, id, NotificationCommand::Promote, why)
            .await
    }

    /// Moves a scheduled notification to another time, at most 366 days ahead and, for a reminder,
    /// before its event begins. It keeps this time until the event itself is moved.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid`, `notification-over` if its fan-out has begun, `conflict-try-again`.
    pub async fn move_to(
        &self,
        caller: &Caller,
        id: NotificationId,
        due_at: Timestamp,
        why: Reason,
    ) -> Result<()> {
        let caller = &caller.scoped(Scope::NotificationsWrite)?;
        let now = self.0.context.now();
        let ahead = Duration::try_from(due_at.duration_since(now));
        if !ahead.is_ok_and(|ahead| !ahead.is_zero() && ahead <= AHEAD_MAX) {
            return Err(Error::field(
                "dueAt",
                "Name a future time, at most 366 days ahead; to send it now, promote it.",
            ));
        }
        self.apply(caller, id, NotificationCommand::Move(due_at), why)
            .await
    }

    /// Refuses to move a reminder behind its event's beginning: nobody would get it.
    pub(super) async fn check_time(
        &self,
        caller: &Caller,
        head: &NotificationHead,
        command: NotificationCommand,
    ) -> Result<()> {
        let (NotificationCommand::Move(due_at), NotificationKind::EventReminder) =
            (command, head.kind)
        else {
            return Ok(());
        };
        let event = self
            .0
            .modules
            .events
            .find(caller.tenant()?, head.event)
            .await?;
        match event {
            Some(event) if due_at >= event.details.starts_at => Err(Error::field(
                "dueAt",
                "A reminder must be sent before its event begins.",
            )),
            _ => Ok(()),
        }
    }
}
