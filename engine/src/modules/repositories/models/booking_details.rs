//! The details of bookings in rows: the reference in a column, and the rest as JSON in another, so that a row without any has two
//! empty columns, and an erasure empties one.

use crate::{
    error::{Error, Result},
    types::{BookingDetails, Reference},
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
