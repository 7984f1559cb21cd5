//! The rules of announcements and their daily limit.
//!
//! Called by app_modules. Calls the announcements and bookings repositories.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::recipient_count::count_customers;
use crate::modules::{
    ModuleContext,
    repositories::{
        AnnouncementsRepository, BookingsRepository, NewAnnouncement, QUOTA_USED, StepError,
    },
};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::support::Attempts,
    ports::Lane,
    types::{
        Announce, Announcement, EventStatus, KeyedRequest, NotificationId, NotificationKind,
        NotificationStatus, NotificationSummary, OutboxEntry, OutboxPart, RecordedAnswer,
        StoredNotification, Tenant, TenantId,
    },
};

/// Attempts to write, because all of the tenant count in the same row.
const ATTEMPTS_MAX: u32 = 16;
const DAY_SECONDS: i64 = 24 * 3600;

pub(crate) struct AnnouncementsModule {
    repository: AnnouncementsRepository,
    bookings: Arc<BookingsRepository>,
    context: ModuleContext,
}

impl AnnouncementsModule {
    pub(in crate::modules) fn new(
        repository: AnnouncementsRepository,
        bookings: Arc<BookingsRepository>,
        context: ModuleContext,
    ) -> Self {
        Self {
            repository,
            bookings,
            context,
        }
    }

    /// Makes an announcement about an event with this status.
    ///
    /// # Errors
    /// `event-not-published`, `event-cancelled`, `too-many-requests` when the day's announcements are made,
    /// `conflict-try-again`, `outcome-unknown`.
    pub(crate) async fn announce(
        &self,
        tenant: &Tenant,
        status: EventStatus,
        command: Announce,
        request: Option<&KeyedRequest>,
    ) -> Result<NotificationSummary> {
        require_published(status)?;
        let recipients = count_customers(&self.bookings, &tenant.id, command.event).await?;
        let new = self.prepare(tenant, command, request, recipients)?;
        let summary = NotificationSummary {
            id: new.notification.id,
            recipients,
        };
        let mut attempts = Attempts::new("announce", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            match self.repository.insert(&tenant.id, &new).await {
                Ok(()) => {
                    self.context.outbox_added.notify_one();
                    return Ok(summary);
                }
                Err(error) if error.is_guard(QUOTA_USED) => return Err(quota_used(&new)),
                Err(StepError::Conflict) => {}
                // This request's own, whose answer was lost; or the same request at the same time, whose record is then found.
                Err(StepError::Exists(_)) if self.is_written(&tenant.id, &new).await? => {
                    return Ok(summary);
                }
                Err(StepError::Lost(source)) => match self.is_written(&tenant.id, &new).await {
                    Ok(true) => return Ok(summary),
                    Ok(false) => {}
                    Err(_) => return Err(outcome_unknown().caused_by(source)),
                },
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    async fn is_written(&self, tenant: &TenantId, new: &NewAnnouncement) -> Result<bool> {
        let found = self.repository.find(tenant, new.notification.id).await?;
        Ok(found.is_some())
    }

    fn prepare(
        &self,
        tenant: &Tenant,
        command: Announce,
        request: Option<&KeyedRequest>,
        recipients: u64,
    ) -> Result<NewAnnouncement> {
        let now = self.context.now();
        let id = NotificationId::from_ulid(self.context.next_id());
        let notification = StoredNotification {
            id,
            revision: 0,
            kind: NotificationKind::EventAnnouncement,
            event: command.event,
            status: NotificationStatus::Scheduled,
            from_version: 0,
            to_version: 0,
            estimated_recipients: recipients,
            recipients: 0,
            batches: 0,
            cursor: None,
            created_at: now,
            due_at: now,
            is_paused: false,
            retry_generation: 0,
            is_uncertain: false,
            trace: self.context.trace(),
        };
        let outbox_entry = OutboxEntry {
            due_at: now,
            tenant: tenant.id.clone(),
            notification: id,
            part: OutboxPart::FanOut,
            lane: Lane::Bulk,
            published: false,
        };
        let summary = NotificationSummary { id, recipients };
        let recorded =
            request.map(|one| one.recorded(RecordedAnswer::Announcement(summary.clone())));
        let day = now.as_second().div_euclid(DAY_SECONDS);
        Ok(NewAnnouncement {
            notification,
            outbox_entry,
            announcement: Announcement {
                subject: command.subject,
                message: command.message,
            },
            recorded,
            day,
            per_day_max: (tenant.settings.announcements_per_day)
                .min(self.context.settings.limits.announcements_per_day_max),
            // A host whose clock is behind may still count for the day.
            day_forgotten_at: start_of(day + 2)?,
        })
    }
}

/// Refuses events whose customers can be told nothing.
fn require_published(status: EventStatus) -> Result<()> {
    match status {
        EventStatus::Published => Ok(()),
        EventStatus::Draft => Err(Error::new(
            ErrorCode::EventNotPublished,
            "Nobody can have booked a draft; publish the event first.",
        )),
        EventStatus::Cancelled => Err(Error::new(
            ErrorCode::EventCancelled,
            "The event was cancelled, and its customers were told.",
        )),
    }
}

fn start_of(day: i64) -> Result<Timestamp> {
    Timestamp::from_second(day * DAY_SECONDS).map_err(Error::internal)
}

fn quota_used(new: &NewAnnouncement) -> Error {
    let now = new.notification.created_at;
    let tomorrow = start_of(new.day + 1).unwrap_or(now);
    let wait = tomorrow
        .duration_since(now)
        .max(SignedDuration::from_secs(1));
    Error::new(
        ErrorCode::TooManyRequests,
        match new.per_day_max {
            0 => {
                "No announcements may be made here; the tenant's owner can change that.".to_owned()
            }
            max => format!("The daily limit of {max} announcements (UTC) is reached."),
        },
    )
    .retry_after(wait.unsigned_abs())
}

fn outcome_unknown() -> Error {
    Error::new(
        ErrorCode::OutcomeUnknown,
        "The announcement may have been made or not. Send it again with the same Idempotency-Key.",
    )
}
