//! Payments that wait: books what late money is for, or makes it due back. A leased singleton, apart from housekeeping,
//! because policies may be slow. Every step is guarded, so two at the same time do no harm.

use std::time::Duration;

use super::{LoopContext, round_of};
use crate::app_modules::{MailJobs, PaymentJobs};

pub(super) async fn run(jobs: MailJobs, context: LoopContext) {
    let payments = PaymentJobs(jobs.0.clone());
    let round = round_of(&jobs);
    while !context.stop.is_cancelled() {
        context.pulse.beat();
        let mut more = false;
        match jobs.hold_lease("payments").await {
            Ok(true) => match payments.settle_due().await {
                Ok(again) => more = again,
                Err(error) => tracing::warn!(error = ?error, "looking at payments failed"),
            },
            Ok(false) => {}
            Err(error) => tracing::warn!(error = ?error, "payments cannot reach the store"),
        }
        context
            .pause(match more {
                true => Duration::from_millis(5),
                false => round,
            })
            .await;
    }
}
