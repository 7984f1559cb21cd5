//! Housekeeping: ends due holds, writes the bookings of cancelled events, and deletes expired rows. A
//! leased singleton. Every step is guarded, so two at the same time do no harm.

use std::time::Duration;

use super::{LoopContext, round_of};
use crate::app_modules::MailJobs;

/// The pause between two sweeps for expired rows. They are kept for a day or more, so minutes do not matter.
const EXPIRY_EVERY: Duration = Duration::from_secs(600);

pub(super) async fn run(jobs: MailJobs, context: LoopContext) {
    let round = round_of(&jobs);
    let mut last_expiry: Option<tokio::time::Instant> = None;
    while !context.stop.is_cancelled() {
        context.pulse.beat();
        let mut more = false;
        match jobs.hold_lease("housekeeping").await {
            Ok(true) => {
                match jobs.expire_holds().await {
                    Ok(again) => more = again,
                    Err(error) => tracing::warn!(error = ?error, "ending due holds failed"),
                }
                match jobs.sweep_cancelled().await {
                    Ok(again) => more |= again,
                    Err(error) => {
                        tracing::warn!(error = ?error, "sweeping cancelled events failed")
                    }
                }
                if last_expiry.is_none_or(|last| last.elapsed() >= EXPIRY_EVERY) {
                    match jobs.delete_expired().await {
                        Ok(true) => more = true,
                        Ok(false) => last_expiry = Some(tokio::time::Instant::now()),
                        Err(error) => {
                            // Not again at once: what takes too long now would do so again.
                            last_expiry = Some(tokio::time::Instant::now());
                            tracing::warn!(error = ?error, "deleting expired rows failed");
                        }
                    }
                }
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(error = ?error, "housekeeping cannot reach the store"),
        }
        context
            .pause(if more {
                Duration::from_millis(5)
            } else {
                round
            })
            .await;
    }
}
