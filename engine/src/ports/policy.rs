//! The port for booking policies. A policy is a pure function of its arguments.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::types::WhenNotLoaded;
use crate::types::{
    BookingDetails, BookingId, Claim, EventId, Metadata, Reference, SalesChannel, Seller, TenantId,
};

/// A policy's input for a booking. It has no name and no address: the customer is a pseudonym.
#[derive(Debug, Clone, Serialize)]
pub struct BookingView {
    /// The tenant.
    pub tenant: TenantId,
    /// The event to be booked.
    pub event: EventView,
    /// The tickets to book, at the prices after the policy before.
    pub lines: Vec<LineView>,
    /// The customer.
    pub customer: CustomerView,
    /// Whether the customer asks, or somebody sells to them.
    pub channel: SalesChannel,
    /// Who sells; `None` if the customer asks. A plugin sees the pseudonym of a user.
    pub seller: Option<Seller>,
    /// What the booking carries beside its tickets: codes, metadata, answers, attendees. A plugin sees the names and addresses of attendees
    /// only if it may see the customer's.
    pub details: BookingDetails,
    /// The time of the request, UTC.
    pub now: Timestamp,
}

/// A policy's input for a cancellation by the customer.
#[derive(Debug, Clone)]
pub struct CancellationView {
    /// The tenant.
    pub tenant: TenantId,
    /// The booked event.
    pub event: EventView,
    /// The booking's id.
    pub booking: BookingId,
    /// When it was made, UTC.
    pub booked_at: Timestamp,
    /// The tickets to cancel, at the booked prices.
    pub lines: Vec<LineView>,
    /// The customer, whose count includes the tickets to cancel.
    pub customer: CustomerView,
    /// What the booking carries beside its tickets.
    pub details: BookingDetails,
    /// The time of the request, UTC.
    pub now: Timestamp,
}

/// An event in a policy's input.
#[derive(Debug, Clone, Serialize)]
pub struct EventView {
    /// The event's id.
    pub id: EventId,
    /// Its version.
    pub version: u64,
    /// Its name.
    pub title: String,
    /// When it begins, UTC.
    pub starts_at: Timestamp,
    /// When it ends, UTC, if that is known.
    pub ends_at: Option<Timestamp>,
    /// IANA name of its zone.
    pub time_zone: String,
    /// Its place, if that is known.
    pub location: Option<String>,
    /// ISO 4217 code of its prices.
    pub currency: String,
    /// Its ticket types.
    pub ticket_types: Vec<TicketTypeView>,
    /// The platform's name of it.
    pub reference: Option<Reference>,
    /// The platform's own strings.
    pub metadata: Metadata,
}

/// A ticket type in a policy's input.
#[derive(Debug, Clone, Serialize)]
pub struct TicketTypeView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its list price in minor units.
    pub price_minor: u32,
    /// The platform's own strings.
    pub metadata: Metadata,
}

/// Some tickets of one type in a request.
#[derive(Debug, Clone, Serialize)]
pub struct LineView {
    /// The ticket type.
    pub ticket_type: String,
    /// The number of tickets.
    pub quantity: u32,
    /// Price of one, in minor units.
    pub unit_price_minor: u32,
}

/// The customer in a policy's input.
#[derive(Debug, Clone, Serialize)]
pub struct CustomerView {
    /// A pseudonym, the same for the same customer of the tenant.
    pub pseudonym: String,
    /// Tickets of this event that the customer already has. Exact when the booking is written.
    pub tickets_in_event: u32,
}

/// A policy's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "decision",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Decision {
    /// The request is accepted.
    Accept,
    /// The request is rejected, with a code for programs and a reason for the customer.
    Reject {
        /// A short code that the policy chooses.
        code: String,
        /// The reason, for the customer.
        reason: String,
    },
    /// The request is accepted at these prices. Not valid for a cancellation.
    Adjust {
        /// Price of one ticket for each line, in minor units; at most ten times the list price.
        unit_prices_minor: Vec<u32>,
        /// Texts about the prices, for the customer.
        messages: Vec<String>,
        /// What the booking takes of the tenant's counters; at most 8. A quote takes nothing.
        #[serde(default)]
        claims: Vec<Claim>,
    },
}

impl Decision {
    /// Accepts a booking at the prices that it has, and lets it take of the tenant's counters.
    pub fn claiming(request: &BookingView, claims: Vec<Claim>) -> Self {
        let prices = request.lines.iter().map(|line| line.unit_price_minor);
        Self::Adjust {
            unit_prices_minor: prices.collect(),
            messages: Vec::new(),
            claims,
        }
    }
}

/// Why a policy gave no answer. Never counts as acceptance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookFailure {
    /// It was called and failed: a trap, an exceeded limit, or an invalid answer. The request is refused
    /// (`policy-unavailable`), whatever the tenant's settings say.
    #[error("{0}")]
    Failed(String),
    /// Its input is too large. The request is refused (`policy-input-too-large`).
    #[error("{0}")]
    InputTooLarge(String),
    /// It was not called, because its tenant exceeded its share of calls or the host was too busy
    /// (`policy-busy`). This is not the policy's failure.
    #[error("{0}")]
    Busy(String),
    /// It was not called, because it could not be loaded. The only failure that a tenant may choose to ignore.
    #[error("{0}")]
    NotLoaded(String),
}

impl HookFailure {
    /// What stands in place of an answer in records and reports.
    pub fn as_answer(&self) -> serde_json::Value {
        serde_json::json!({ "failure": self.to_string() })
    }
}

/// Decides about bookings. Asked about every booking and hold, before the transaction that makes it; asked
/// again if what it saw has changed meanwhile. A call that panics or takes longer than 5 seconds counts as failed.
#[async_trait]
pub trait Policy: Send + Sync + 'static {
    /// Decides whether this booking may be made, and at which prices.
    ///
    /// # Errors
    /// [`HookFailure`] if there is no answer. It never counts as acceptance.
    async fn validate_booking(&self, request: &BookingView) -> Result<Decision, HookFailure>;

    /// Decides whether a customer may cancel this booking. The default accepts.
    ///
    /// # Errors
    /// [`HookFailure`] if there is no answer. It never counts as acceptance.
    async fn validate_cancellation(
        &self,
        _request: &CancellationView,
    ) -> Result<Decision, HookFailure> {
        Ok(Decision::Accept)
    }

    /// The effect on a request if this policy fails with [`HookFailure::NotLoaded`].
    fn when_not_loaded(&self) -> WhenNotLoaded {
        WhenNotLoaded::Refuse
    }
}
