//! Commands to a notification: pausing, resuming, cancelling, and changing when it goes out.
//!
//! Called by app_modules. Calls the delivery_admin and notifications repositories.

use std::time::Duration;

use jiff::Timestamp;

use super::{ATTEMPTS_MAX, DeliveryAdminModule};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::{support::Attempts, to_millisecond},
    types::{
        AuditEntry, KeyedRequest, Lane, NotificationId, NotificationStatus, OutboxEntry,
        OutboxPart, RecordedAnswer, StoredNotification, TenantId,
    },
};

/// A command to a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotificationCommand {
    Pause,
    Resume,
    Cancel,
    /// Send a scheduled notification now.
    Promote,
    /// Move a scheduled notification to another time.
    Move(Timestamp),
}

impl NotificationCommand {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Promote => "promote",
            Self::Move(_) => "move",
        }
    }

    /// The new time, if the command has one.
    pub(crate) fn due_at(self) -> Option<Timestamp> {
        match self {
            Self::Move(due_at) => Some(due_at),
            Self::Pause | Self::Resume | Self::Cancel | Self::Promote => None,
        }
    }

    /// Whether it changes the notification's time.
    fn moves(self) -> bool {
        matches!(self, Self::Promote | Self::Move(_))
    }

    /// Refuses a command that is too late for a notification in this state.
    fn check(self, status: NotificationStatus) -> Result<()> {
        let over = |message| Err(Error::new(ErrorCode::NotificationOver, message));
        if status == NotificationStatus::Superseded {
            return over("A newer notification has replaced this one.");
        }
        if status == NotificationStatus::Cancelled && self != Self::Cancel {
            return over("This notification was cancelled.");
        }
        if self.moves() && status != NotificationStatus::Scheduled {
            return over(
                "This notification is being sent or was sent; it can be paused or cancelled.",
            );
        }
        Ok(())
    }

    /// The notification after the command.
    fn applied_to(self, before: &StoredNotification, now: Timestamp) -> StoredNotification {
        let mut after = before.clone();
        match self {
            Self::Promote => after.due_at = after.due_at.min(now),
            Self::Move(due_at) => after.due_at = to_millisecond(due_at),
            Self::Pause => after.is_paused = true,
            Self::Resume => after.is_paused = false,
            Self::Cancel => {
                after.status = NotificationStatus::Cancelled;
                // Waiting work must find out that it is not wanted.
                after.is_paused = false;
            }
        }
        after
    }

    /// The outbox entry that the command adds, and the one that it removes.
    fn outbox_changes(
        self,
        tenant: &TenantId,
        (before, after): (&StoredNotification, &StoredNotification),
        now: Timestamp,
    ) -> (Option<OutboxEntry>, Option<OutboxEntry>) {
        let at = |due_at| OutboxEntry {
            due_at,
            tenant: tenant.clone(),
            notification: after.id,
            part: OutboxPart::FanOut,
            lane: Lane::Bulk,
            published: false,
        };
        let is_listing = matches!(
            after.status,
            NotificationStatus::Scheduled | NotificationStatus::FanningOut
        );
        let added = match self {
            Self::Promote | Self::Move(_) => Some(at(after.due_at)),
            Self::Resume if is_listing => Some(at(now.max(after.due_at))),
            _ => None,
        };
        // One that the relay has moved meanwhile is checked against its notification, and found to be early.
        (added, self.moves().then(|| at(before.due_at)))
    }
}

impl DeliveryAdminModule {
    /// Pauses, resumes, cancels or moves a bulk notification. Idempotent.
    pub(crate) async fn apply(
        &self,
        tenant: &TenantId,
        id: NotificationId,
        command: NotificationCommand,
        audit: &AuditEntry,
        request: Option<&KeyedRequest>,
    ) -> Result<StoredNotification> {
        let mut attempts = Attempts::new("notification_command", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let found = self.notifications.find(tenant, id).await?;
            let before = found.ok_or_else(|| Error::not_found("notification", id))?;
            let now = self.context.now();
            let after = command.applied_to(&before, now);
            command.check(before.status)?;
            if after == before {
                if let Some(request) = request {
                    // A request that changes nothing is recorded, too.
                    let recorded = request.recorded(RecordedAnswer::Done);
                    let step = self.repository.record_unchanged(
                        tenant,
                        self.context.next_id(),
                        recorded,
                        now,
                    );
                    step.await?;
                }
                return Ok(before);
            }
            let (add_outbox, remove_outbox) =
                command.outbox_changes(tenant, (&before, &after), now);
            let audited = (self.context.next_id(), audit);
            let written = self
                .repository
                .replace_notification(
                    tenant,
                    &after,
                    add_outbox.as_slice(),
                    remove_outbox.as_slice(),
                    audited,
                    request.map(|one| one.recorded(RecordedAnswer::Done)),
                )
                .await?;
            if written {
                self.context.outbox_added.notify_one();
                return Ok(after);
            }
        }
        Err(Error::new(
            ErrorCode::ConflictTryAgain,
            "The notification kept changing; send the request again.",
        )
        .retry_after(Duration::from_secs(1)))
    }
}
