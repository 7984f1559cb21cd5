//! Making, seeing, changing and calling off events: who may.
//!
//! Called by hosts and platforms. Calls the events module.

use std::sync::Arc;

use crate::{
    Result,
    engine::Inner,
    types::{Caller, CreateEvent, Event, EventChange, EventId, Page, PageRequest, UpdateEvent},
};

/// Use cases around events.
#[derive(Clone)]
pub struct Events(pub(crate) Arc<Inner>);

impl Events {
    /// Makes an event; the acting organizer owns it.
    ///
    /// # Errors
    /// `forbidden` for customers and staff, `field-invalid`, `not-found` for an unknown tenant.
    pub async fn create(&self, caller: &Caller, command: CreateEvent) -> Result<Event> {
        todo!()
    }

    /// Shows an event: published and cancelled ones to everybody, drafts to those who may change them.
    ///
    /// # Errors
    /// `not-found`.
    pub async fn show(&self, caller: &Caller, event: EventId) -> Result<Event> {
        todo!()
    }

    /// Lists the events that the caller may see, in the order they were made.
    ///
    /// # Errors
    /// `field-invalid` for a broken cursor.
    pub async fn list(&self, caller: &Caller, page: PageRequest) -> Result<Page<Event>> {
        todo!()
    }

    /// Replaces what an event says and offers; tells customers if that concerns them.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `version-mismatch`, `field-invalid`, `capacity-below-sold`,
    /// `event-cancelled`, `conflict-try-again`.
    pub async fn update(&self, caller: &Caller, command: UpdateEvent) -> Result<EventChange> {
        todo!()
    }

    /// Calls an event off: bookings end, customers are told, updates not yet sent are dropped.
    /// With an `expected_version` another version now is refused. Cancelling again answers the event as it is.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `version-mismatch`, `conflict-try-again`.
    pub async fn cancel(
        &self,
        caller: &Caller,
        event: EventId,
        expected_version: Option<u64>,
    ) -> Result<EventChange> {
        todo!()
    }

    /// Deletes an event that nobody ever booked.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `version-mismatch`, `event-has-bookings`, `conflict-try-again`.
    pub async fn delete(&self, caller: &Caller, event: EventId, expected_version: u64) -> Result<()> {
        todo!()
    }
}
