//! The details of bookings in rows: the reference in a column, and the rest as JSON in another, so that a row without any has two
//! empty columns, and an erasure empties one.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{key_text, record};
use crate::{
    error::{Error, Result},
    types::{Booking, BookingDetails, BookingId, Reference, TenantId},
};

/// The columns of details.
#[derive(Debug, Clone, Default)]
pub(in crate::modules::repositories) struct DetailsColumns {
    pub(in crate::modules::repositories) reference: Option<String>,
    pub(in crate::modules::repositories) details: Option<String>,
}

impl DetailsColumns {
    pub(in crate::modules::repositories) fn of(details: Option<&BookingDetails>) -> Self {
        let Some(details) = details else {
            return Self::default();
        };
        let reference = details.reference.as_ref();
        // Strings, numbers and maps by strings: this does not fail.
        let json = serde_json::to_string(details).unwrap_or_default();
        Self {
            reference: reference.map(ToString::to_string),
            details: (json.len() > 2).then_some(json),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<Option<Box<BookingDetails>>> {
        let mut details = match &self.details {
            Some(json) => serde_json::from_str(json).map_err(Error::internal)?,
            None => BookingDetails::default(),
        };
        details.reference = self.reference.map(Reference::stored);
        Ok(details.boxed())
    }
}

/// The booking with a reference: the reference is the key, so it is unique.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct BookingReferenceRow {
    pub(in crate::modules::repositories) id: RecordId,
    booking: String,
}

impl BookingReferenceRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        reference: &Reference,
    ) -> RecordId {
        let tenant = Value::String(tenant.as_str().to_owned());
        let reference = Value::String(reference.as_str().to_owned());
        record("booking_reference", [tenant, reference])
    }

    /// The row of a booking; none without a reference.
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        booking: &Booking,
    ) -> Option<Self> {
        let reference = booking.details.as_ref()?.reference.as_ref()?;
        Some(Self {
            id: Self::key(tenant, reference),
            booking: booking.id.to_string(),
        })
    }

    pub(in crate::modules::repositories) fn reference(&self) -> Result<Reference> {
        Ok(Reference::stored(key_text(&self.id, 1)?.to_owned()))
    }

    pub(in crate::modules::repositories) fn booking(&self) -> Result<BookingId> {
        self.booking.parse()
    }
}
