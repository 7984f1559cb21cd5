//! A native policy.

use async_trait::async_trait;
use boxoffice_engine::ports::{BookingView, Decision, HookFailure, Policy};

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
