//! An organizer has something to say to everybody who booked. What was begun is said to all, also when the event is
//! cancelled meanwhile.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Audience, CalendarAction, Kind, KindParts, KindTemplates, MailContext, SourceReader,
    stands_or_fell_with_event, templates,
};
use crate::{
    error::Result,
    types::{Booking, EventStatus, NotificationStatus, StoredEvent, StoredNotification},
};

pub(super) struct EventAnnouncement;

#[async_trait]
impl Kind for EventAnnouncement {
    fn audience(&self) -> Audience {
        Audience::EventCustomers
    }

    fn templates(&self) -> KindTemplates {
        templates!("event-announcement")
    }

    fn needs_consent(&self) -> bool {
        true
    }

    fn concerns(&self, _notification: &StoredNotification, booking: &Booking) -> bool {
        stands_or_fell_with_event(booking)
    }

    fn is_pointless(
        &self,
        notification: &StoredNotification,
        _event: &StoredEvent,
        status: EventStatus,
        _now: Timestamp,
    ) -> bool {
        let has_begun = notification.status != NotificationStatus::Scheduled;
        status == EventStatus::Cancelled && !has_begun
    }

    fn still_wanted(&self, booking: &Booking, _event: EventStatus) -> bool {
        stands_or_fell_with_event(booking)
    }

    async fn parts(&self, reader: &SourceReader<'_>) -> Result<KindParts> {
        Ok(KindParts {
            announcement: reader.announcement().await?,
            ..KindParts::default()
        })
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        data["announcement"] = json!(context.announcement.map(|announcement| json!({
            "subject": announcement.subject,
            "message": announcement.message.as_str().replace("\r\n", "\n").trim(),
        })));
    }

    fn add_sample(&self, sample: &mut Value) {
        sample["announcement"] =
            json!({ "subject": "Doors open early", "message": "We open at six." });
    }

    fn calendar(&self, _context: &MailContext<'_>) -> Option<CalendarAction> {
        None
    }
}
