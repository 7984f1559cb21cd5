//! Receipts: numbers those that are due. A leased singleton. Every step is guarded, so two at the same time do no harm.

use std::time::Duration;

use super::LoopContext;
use crate::app_modules::{MailJobs, ReceiptJobs};

/// What becomes due meanwhile shares a transaction. People wait for a number for less than 2 s.
const GATHER: Duration = Duration::from_millis(200);
/// How often a process looks for what other hosts have made due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(jobs: MailJobs, context: LoopContext) {
    let receipts = ReceiptJobs(jobs.0.clone());
    let round = (jobs.0.context.settings.worker.singleton_lease / 3).max(Duration::from_millis(50));
    let mut last_kept: Option<tokio::time::Instant> = None;
    while !context.stop.is_cancelled() {
        context.pulse.beat();
        if last_kept.is_none_or(|kept| kept.elapsed() >= round) {
            last_kept = match jobs.hold_lease("receipts").await {
                Ok(is_held) => is_held.then(tokio::time::Instant::now),
                Err(error) => {
                    tracing::warn!(error = ?error, "receipts cannot reach the store");
                    None
                }
            };
        }
        if last_kept.is_none() {
            context.pause(round).await;
            continue;
        }
        let more = match receipts.number_due().await {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(error = ?error, "numbering receipts failed, will retry");
                false
            }
        };
        context.pause(GATHER.min(round)).await;
        if !more {
            tokio::select! {
                () = context.stop.cancelled() => {}
                () = receipts.wait_for_due() => {}
                () = tokio::time::sleep(LOOK_EVERY.min(round)) => {}
            }
        }
    }
}
