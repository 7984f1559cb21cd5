//! An event changed in a way that its customers must know: they read what differs from what they knew.

use std::collections::HashSet;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    Audience, Kind, KindParts, KindTemplates, MailContext, MailSource, SourceReader, is_confirmed,
    stands, templates,
};
use crate::{
    error::Result,
    modules::notifications::mail::data::changes,
    types::{Booking, EventStatus, StoredNotification},
};

pub(super) struct EventUpdated;

#[async_trait]
impl Kind for EventUpdated {
    fn audience(&self) -> Audience {
        Audience::EventCustomers
    }

    fn templates(&self) -> KindTemplates {
        templates!("event-updated")
    }

    /// Whoever booked after the change has read it.
    fn concerns(&self, notification: &StoredNotification, booking: &Booking) -> bool {
        is_confirmed(booking) && booking.event_version < notification.to_version
    }

    fn still_wanted(&self, booking: &Booking, event: EventStatus) -> bool {
        stands(booking, event)
    }

    async fn add_parts(
        &self,
        reader: &SourceReader<'_>,
        source: &MailSource,
        parts: &mut KindParts,
    ) -> Result<()> {
        let customers = reader.customers.iter();
        let known: HashSet<u64> = customers
            .filter_map(|customer| source.known_version(*customer))
            .collect();
        parts.versions = reader.versions(known).await?;
        Ok(())
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        if let (Some(previous), Some(event)) = (context.previous, context.event) {
            data["changes"] = changes(previous, &event.details).into();
        }
    }

    fn add_sample(&self, sample: &mut Value) {
        sample["changes"] =
            json!([{ "what": "title", "label": "Title", "before": "A test", "after": "A trial" }]);
    }
}
