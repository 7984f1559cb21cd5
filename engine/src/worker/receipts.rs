//! Receipts: numbers those that are due. A leased singleton. Every step is guarded, so two at the same time do no harm.

use std::time::Duration;

use super::{KeptLease, LoopContext, round_of};
use crate::app_modules::{MailJobs, ReceiptJobs};

/// What becomes due meanwhile shares a transaction. People wait for a number for less than 2 s.
const GATHER: Duration = Duration::from_millis(200);
/// How often a process looks for what other hosts have made due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(jobs: MailJobs, context: LoopContext) {
    let receipts = ReceiptJobs(jobs.0.clone());
    let round = round_of(&jobs);
    let mut lease = KeptLease::new("receipts", round);
    while !context.stop.is_cancelled() {
        context.pulse.beat();
        if !lease.is_held_or_pause(&jobs, &context).await {
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
