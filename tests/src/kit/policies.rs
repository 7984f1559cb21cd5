//! Native policies.

use async_trait::async_trait;
use boxoffice_engine::{
    Claim,
    ports::{BookingView, Decision, HookFailure, Policy},
};

/// So many tickets of an event for each customer.
pub struct AtMost(pub u32);

#[async_trait]
impl Policy for AtMost {
    async fn validate_booking(&self, request: &BookingView) -> Result<Decision, HookFailure> {
        let wanted: u32 = request.lines.iter().map(|line| line.quantity).sum();
        if request.customer.tickets_in_event + wanted <= self.0 {
            return Ok(Decision::Accept);
        }
        Ok(Decision::Reject {
            code: "max-per-customer".to_owned(),
            reason: format!("At most {} tickets per person.", self.0),
        })
    }
}

/// Each code may be used `limit` times; a booking uses it once for each ticket.
pub struct CodeUses {
    /// How often a code may be used.
    pub limit: u32,
}

#[async_trait]
impl Policy for CodeUses {
    async fn validate_booking(&self, request: &BookingView) -> Result<Decision, HookFailure> {
        let amount = request.lines.iter().map(|line| line.quantity).sum();
        let claims = request.details.codes.iter().map(|code| Claim {
            key: format!("code:{code}").parse().expect("a key"),
            limit: self.limit,
            amount,
        });
        Ok(Decision::claiming(request, claims.collect()))
    }
}
