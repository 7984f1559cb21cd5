//! What names a payment, in the rows of bookings, lists and refunds.

use surrealdb::types::SurrealValue;

use crate::types::{PaymentKey, PaymentProvider, PaymentReference};

/// What names a payment, in rows that point at it.
#[derive(Debug, Clone, PartialEq, Eq, SurrealValue)]
pub(in crate::modules::repositories) struct PaymentKeyRow {
    provider: String,
    reference: String,
}

impl PaymentKeyRow {
    pub(in crate::modules::repositories) fn of(key: &PaymentKey) -> Self {
        Self {
            provider: key.provider.as_str().to_owned(),
            reference: key.reference.as_str().to_owned(),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> PaymentKey {
        PaymentKey {
            provider: PaymentProvider::stored(self.provider),
            reference: PaymentReference::stored(self.reference),
        }
    }
}
