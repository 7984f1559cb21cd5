//! The rows of references: what a platform names so. The reference is the key, so it is unique within the tenant.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{key_text, record};
use crate::{
    error::Result,
    types::{Booking, BookingId, EventId, Reference, StoredEvent, TenantId},
};

/// The bookings with references.
pub(in crate::modules::repositories) const BOOKING_REFERENCES: &str = "booking_reference";
/// The events with references.
pub(in crate::modules::repositories) const EVENT_REFERENCES: &str = "event_reference";

/// A reference, and the public id of what it names.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ReferenceRow {
    pub(in crate::modules::repositories) id: RecordId,
    named: String,
}

impl ReferenceRow {
    pub(in crate::modules::repositories) fn key(
        table: &'static str,
        tenant: &TenantId,
        reference: &Reference,
    ) -> RecordId {
        let tenant = Value::String(tenant.as_str().to_owned());
        let reference = Value::String(reference.as_str().to_owned());
        record(table, [tenant, reference])
    }

    /// The row of a booking; none without a reference.
    pub(in crate::modules::repositories) fn of_booking(
        tenant: &TenantId,
        booking: &Booking,
    ) -> Option<Self> {
        let reference = booking.details.as_ref()?.reference.as_ref()?;
        Some(Self {
            id: Self::key(BOOKING_REFERENCES, tenant, reference),
            named: booking.id.to_string(),
        })
    }

    /// The row of an event; none without a reference.
    pub(in crate::modules::repositories) fn of_event(
        tenant: &TenantId,
        event: &StoredEvent,
    ) -> Option<Self> {
        let reference = event.details.reference.as_ref()?;
        Some(Self {
            id: Self::key(EVENT_REFERENCES, tenant, reference),
            named: event.id.to_string(),
        })
    }

    pub(in crate::modules::repositories) fn reference(&self) -> Result<Reference> {
        Ok(Reference::stored(key_text(&self.id, 1)?.to_owned()))
    }

    pub(in crate::modules::repositories) fn booking(&self) -> Result<BookingId> {
        self.named.parse()
    }

    pub(in crate::modules::repositories) fn event(&self) -> Result<EventId> {
        self.named.parse()
    }
}
