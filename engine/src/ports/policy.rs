//! A tenant's say in a booking: a pure function of its arguments.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::types::WhenNotLoaded;
use crate::types::{BookingId, EventId, TenantId};

/// What a policy sees of a booking request. No name, no address: the customer is a pseudonym.
#[derive(Debug, Clone, Serialize)]
pub struct BookingView {
    /// The tenant whose policy is asked.
    pub tenant: TenantId,
    /// The event to be booked.
    pub event: EventView,
    /// What is to be booked, at prices as the policy before left them.
    pub lines: Vec<LineView>,
    /// What is known of the customer.
    pub customer: CustomerView,
    /// The moment of the request, UTC.
    pub now: Timestamp,
}

/// What a policy sees of a booking that its customer wants to cancel.
#[derive(Debug, Clone)]
pub struct CancellationView {
    /// The tenant whose policy is asked.
    pub tenant: TenantId,
    /// The event that is booked.
    pub event: EventView,
    /// Which booking.
    pub booking: BookingId,
    /// When it was made, UTC.
    pub booked_at: Timestamp,
    /// What is to be cancelled, at the prices that were booked.
    pub lines: Vec<LineView>,
    /// What is known of the customer; the tickets to be cancelled are counted.
    pub customer: CustomerView,
    /// The moment of the request, UTC.
    pub now: Timestamp,
}

/// What a policy sees of an event.
#[derive(Debug, Clone, Serialize)]
pub struct EventView {
    /// Which event.
    pub id: EventId,
    /// Its version.
    pub version: u64,
    /// Its name.
    pub title: String,
    /// When it begins, UTC.
    pub starts_at: Timestamp,
    /// When it ends, if that was announced, UTC.
    pub ends_at: Option<Timestamp>,
    /// IANA name of its zone.
    pub time_zone: String,
    /// Its place, if that was announced.
    pub location: Option<String>,
    /// ISO 4217 code of its prices.
    pub currency: String,
    /// What can be booked.
    pub ticket_types: Vec<TicketTypeView>,
}

/// What a policy sees of a ticket type.
#[derive(Debug, Clone, Serialize)]
pub struct TicketTypeView {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Its list price in minor units.
    pub price_minor: u32,
}

/// Some tickets of one type in a request.
#[derive(Debug, Clone, Serialize)]
pub struct LineView {
    /// Which type.
    pub ticket_type: String,
    /// How many.
    pub quantity: u32,
    /// Price of one, in minor units.
    pub unit_price_minor: u32,
}

/// What a policy sees of the customer.
#[derive(Debug, Clone, Serialize)]
pub struct CustomerView {
    /// The same for the same customer within the tenant.
    pub pseudonym: String,
    /// Tickets of this event the customer holds already; exact when the booking is written.
    pub tickets_in_event: u32,
}

/// What a policy answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "decision",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Decision {
    /// Go ahead.
    Accept,
    /// No, with a code for programs and a reason for the customer.
    Reject {
        /// A short code of the policy's own.
        code: String,
        /// Why, for the customer.
        reason: String,
    },
    /// Go ahead at these prices. No answer to a cancellation.
    Adjust {
        /// Price of one ticket for each line, in minor units; at most ten times the list price.
        unit_prices_minor: Vec<u32>,
        /// What the customer is told about it.
        messages: Vec<String>,
    },
}

/// Why a policy gave no answer. Never read as a yes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookFailure {
    /// It was asked and failed: it trapped, ran over a limit, or answered what cannot be meant. The request is refused
    /// (`policy-unavailable`), whatever the tenant set.
    #[error("{0}")]
    Failed(String),
    /// What it was to be asked is over the input limit. The request is refused (`policy-input-too-large`).
    #[error("{0}")]
    InputTooLarge(String),
    /// It gave no answer, because its tenant is over its share of calls, or the host was too busy to let it run
    /// (`policy-busy`). Not the policy's failure.
    #[error("{0}")]
    Busy(String),
    /// It was not asked, because it could not be loaded. The only failure that a tenant may have skipped.
    #[error("{0}")]
    NotLoaded(String),
}

/// Decides about bookings. Asked at every door into a booking, before the transaction that makes it; asked
/// again if what it saw moved meanwhile. A call that panics or takes longer than 5 seconds counts as failed.
#[async_trait]
pub trait Policy: Send + Sync + 'static {
    /// Says whether this booking may be made, and at which prices.
    ///
    /// # Errors
    /// [`HookFailure`] when there is no answer; never read as a yes.
    async fn validate_booking(&self, request: &BookingView) -> Result<Decision, HookFailure>;

    /// Says whether a customer may cancel this booking; yes, unless a policy has something to say about it.
    ///
    /// # Errors
    /// [`HookFailure`] when there is no answer; never read as a yes.
    async fn validate_cancellation(
        &self,
        _request: &CancellationView,
    ) -> Result<Decision, HookFailure> {
        Ok(Decision::Accept)
    }

    /// What happens to a request while [`HookFailure::NotLoaded`] is all this policy answers.
    fn when_not_loaded(&self) -> WhenNotLoaded {
        WhenNotLoaded::Refuse
    }
}
