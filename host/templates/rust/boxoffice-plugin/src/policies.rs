//! Policies: the trait that a plugin implements, and its way into the world's exports.
//!
//! Used by plugins through the crate's face; calls the reading of the configuration.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::{
    Adjustment, BookingRequest, CancellationDecision, CancellationRequest, Claim, Decision,
    Rejection, bindings::policy::exports::boxoffice::plugin::booking_policy::Guest, configuration,
};

/// Decides about bookings. The implementing type is the plugin's configuration.
///
/// Each call runs in a fresh instance: nothing that it keeps is there the next time.
pub trait Policy: DeserializeOwned {
    /// Says whether a booking may be made, and at which prices.
    fn validate_booking(&self, request: BookingRequest) -> Decision;

    /// Says whether a customer may cancel; yes, unless the plugin says otherwise.
    fn validate_cancellation(&self, _request: CancellationRequest) -> CancellationDecision {
        CancellationDecision::Accept
    }
}

/// Makes a component of a [`Policy`]: `boxoffice_plugin::export_policy!(MyPolicy);`
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        type BoxofficePolicy = $crate::expanded::ExportedPolicy<$policy>;
        $crate::expanded::policy::export_policy_world!(BoxofficePolicy with_types_in $crate::expanded::policy);
    };
}

/// A policy as the world's exports want it.
pub struct Exported<P>(PhantomData<P>);

impl<P: Policy> Guest for Exported<P> {
    fn validate_booking(request: BookingRequest, config: String) -> Decision {
        configuration::read::<P>(&config).validate_booking(request)
    }

    fn validate_cancellation(request: CancellationRequest, config: String) -> CancellationDecision {
        configuration::read::<P>(&config).validate_cancellation(request)
    }
}

impl Rejection {
    /// Makes a no of a code for programs (1 to 64 of `a-z`, `0-9`, `-`) and one line for the customer.
    pub fn new(code: &str, reason: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            reason: reason.into(),
        }
    }
}

impl Adjustment {
    /// A yes at these prices of one ticket: one for each line of the request, in the same order.
    pub fn prices(unit_prices_minor: Vec<u32>) -> Self {
        Self {
            unit_prices_minor: Some(unit_prices_minor),
            ..Self::unchanged()
        }
    }

    /// A yes that leaves the prices as they are.
    pub fn unchanged() -> Self {
        Self {
            unit_prices_minor: None,
            messages: Vec::new(),
            claims: Vec::new(),
        }
    }

    /// Tells the customer one more line.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.messages.push(message.into());
        self
    }

    /// Takes of one more counter.
    #[must_use]
    pub fn claim(mut self, claim: Claim) -> Self {
        self.claims.push(claim);
        self
    }
}

impl Claim {
    /// Takes 1 of a counter of which all bookings together may take `limit`. The key is one line of 1 to 64 characters.
    pub fn new(key: impl Into<String>, limit: u32) -> Self {
        Self {
            key: key.into(),
            limit,
            amount: 1,
        }
    }

    /// Takes this much instead: 1 to 1,000.
    #[must_use]
    pub fn taking(self, amount: u32) -> Self {
        Self { amount, ..self }
    }
}

impl From<Rejection> for Decision {
    fn from(rejection: Rejection) -> Self {
        Self::Reject(rejection)
    }
}

impl From<Rejection> for CancellationDecision {
    fn from(rejection: Rejection) -> Self {
        Self::Reject(rejection)
    }
}

impl From<Adjustment> for Decision {
    fn from(adjustment: Adjustment) -> Self {
        Self::Adjust(adjustment)
    }
}
