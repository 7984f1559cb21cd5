//! The example `early-bird-price` as a policy that a platform writes in Rust: what the same decision costs without WASM.

use async_trait::async_trait;
use boxoffice_engine::ports::{BookingView, Decision, HookFailure, Policy};

/// Sells cheaper until some time before the event.
pub(super) struct EarlyBird {
    pub(super) percent_off: u32,
    pub(super) hours_before: i64,
}

#[async_trait]
impl Policy for EarlyBird {
    async fn validate_booking(&self, request: &BookingView) -> Result<Decision, HookFailure> {
        let left = request.event.starts_at.as_second() - request.now.as_second();
        if left < self.hours_before * 3600 {
            return Ok(Decision::Accept);
        }
        let kept = u64::from(100 - self.percent_off);
        let cheaper = |price: u32| ((u64::from(price) * kept + 50) / 100) as u32;
        let lines = request.lines.iter();
        Ok(Decision::Adjust {
            unit_prices_minor: lines.map(|line| cheaper(line.unit_price_minor)).collect(),
            messages: vec![format!(
                "Early bird: {} % off until {} hours before.",
                self.percent_off, self.hours_before
            )],
            claims: Vec::new(),
        })
    }
}
