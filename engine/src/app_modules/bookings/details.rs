//! What bookings and holds carry beside their tickets, as requests give it: it is compared with the event's questions before a
//! request enters its queue, and again if the event or the hold has changed.
//!
//! Called by the use cases of bookings, holds and waiting lists. Calls the events and bookings modules.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    context::EngineContext,
    error::{Error, Result},
    modules::{BookingIntent, RequestedBooking, RequestedDetails, details_for, not_published},
    types::{
        BookingDetails, Event, EventId, EventStatus, HoldId, JoinWaitlist, NewBookingDetails,
        TenantId, wanted_quantities,
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
        let is_of_hold = matches!(
            request.intent,
            BookingIntent::Confirm(_) | BookingIntent::AcceptOffer(_)
        );
        let depends = given.is_some_and(|given| given.depends_on_event());
        if !is_of_hold && !depends && !is_stale {
            return request.details.take();
        }
        match self.compared(tenant, request, is_stale).await {
            Ok(details) => request.details = details,
            // The event may have changed since it was cached: nobody is refused for what it said before.
            Err(_) if !is_stale => request.details = self.compared(tenant, request, true).await?,
            Err(refusal) => return Err(refusal),
        }
        Ok(())
    }

    async fn compared(
        &self,
        tenant: &TenantId,
        request: &RequestedBooking,
        is_stale: bool,
    ) -> Result<RequestedDetails> {
        let event = self.event_to_compare(tenant, request.event, is_stale);
        let event = event.await?;
        let mut details = request.details.clone();
        match request.intent {
            BookingIntent::Confirm(id) | BookingIntent::AcceptOffer(id) => {
                let found = self.modules.bookings.find_hold(tenant, id).await?;
                let found = found.ok_or_else(|| Error::not_found("hold", id))?;
                details.compare_with_hold(&event, &found)?;
            }
            BookingIntent::Book | BookingIntent::Import | BookingIntent::Hold => {
                details.compare(&event, request)?;
            }
        }
        Ok(details)
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

    /// Refuses a customer's change of what whoever sold them the tickets keeps with their hold.
    ///
    /// # Errors
    /// `field-invalid` at `reference` or `metadata`.
    pub(super) async fn require_own_details(
        &self,
        tenant: &TenantId,
        hold: HoldId,
        given: &NewBookingDetails,
    ) -> Result<()> {
        let field = match (&given.reference, &given.metadata) {
            (Some(_), _) => "reference",
            (None, Some(_)) => "metadata",
            (None, None) => return Ok(()),
        };
        let found = self.modules.bookings.find_hold(tenant, hold).await?;
        match found.is_some_and(|hold| hold.sale.is_some()) {
            true => Err(Error::field(
                field,
                "Only those who look after the event change this of what was sold to you.",
            )),
            false => Ok(()),
        }
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
            EventStatus::Draft => Err(not_published()),
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
