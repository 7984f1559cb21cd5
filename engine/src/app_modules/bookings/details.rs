//! What bookings and holds carry beside their tickets, as requests give it: it is compared with the event's questions before a
//! request enters its queue, and again if the event or the hold has changed.
//!
//! Called by the use cases of bookings, holds and waiting lists. Calls the events and bookings modules.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::{BookingIntent, RequestedBooking, details_for},
    types::{
        BookingDetails, Event, EventId, EventStatus, JoinWaitlist, NewBookingDetails, TenantId,
        wanted_quantities,
    },
};

impl EngineContext {
    /// Compares a request's details with the event's questions, and with the hold that it confirms. `is_stale` says that the
    /// planner found that they were not compared with the present ones. A request without details costs nothing.
    ///
    /// # Errors
    /// `field-invalid` at each wrong or missing answer, `not-found`, `event-not-published` for a draft.
    pub(super) async fn compare_details(
        &self,
        tenant: &TenantId,
        request: &mut RequestedBooking,
        is_stale: bool,
    ) -> Result<()> {
        let given = request.details.given.as_ref();
        if given.is_none() && !is_stale {
            return Ok(());
        }
        let hold = match request.intent {
            BookingIntent::Confirm(hold) | BookingIntent::AcceptOffer(hold) => Some(hold),
            BookingIntent::Book | BookingIntent::Import | BookingIntent::Hold => None,
        };
        let depends = given.is_some_and(|given| given.depends_on_event());
        if hold.is_none() && !depends && !is_stale {
            return request.details.take();
        }
        let event = self
            .event_to_compare(tenant, request.event, is_stale)
            .await?;
        let mut details = std::mem::take(&mut request.details);
        match hold {
            Some(id) => {
                let found = self.modules.bookings.find_hold(tenant, id).await?;
                let found = found.ok_or_else(|| Error::not_found("hold", id))?;
                details.compare_with_hold(&event, &found)?;
            }
            None => details.compare(&event, request)?,
        }
        request.details = details;
        Ok(())
    }

    /// What the offered hold of somebody who joins a waiting list is to carry.
    ///
    /// # Errors
    /// `field-invalid`, `not-found`, `event-not-published` for a draft.
    pub(super) async fn details_to_wait_with(
        &self,
        tenant: &TenantId,
        command: &JoinWaitlist,
    ) -> Result<Option<Box<BookingDetails>>> {
        let given = &command.details;
        if given.is_empty() {
            return Ok(None);
        }
        let event = self.event_to_compare(tenant, command.event, true).await?;
        let lines = wanted_quantities(&command.lines, &event.ticket_types)?;
        details_for(&event, &lines, None, given, false)
    }

    /// The event whose questions are answered, as it is cached or as it is now.
    pub(in crate::app_modules) async fn event_to_compare(
        &self,
        tenant: &TenantId,
        event: EventId,
        is_stale: bool,
    ) -> Result<Arc<Event>> {
        let events = &self.modules.events;
        let found = match is_stale {
            true => events.refreshed(tenant, event).await?,
            false => events.cached(tenant, event).await?,
        };
        let found = found.ok_or_else(|| Error::not_found("event", event))?;
        match found.status {
            // First, so that the questions of a draft are not revealed.
            EventStatus::Draft => Err(Error::new(
                ErrorCode::EventNotPublished,
                "This event is not on sale yet.",
            )),
            EventStatus::Published | EventStatus::Cancelled => Ok(found),
        }
    }
}

/// The content of a request with a key, with the details that it gives.
pub(super) fn with_details(mut canonical: Value, details: &NewBookingDetails) -> Value {
    if let (false, Some(parts)) = (details.is_empty(), canonical.as_array_mut()) {
        parts.push(json!(details));
    }
    canonical
}
