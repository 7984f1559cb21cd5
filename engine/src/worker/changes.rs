//! The sequencer: numbers the changes that steps tell. A leased singleton. Every step is guarded, so two at the same time do no harm.

use std::time::Duration;

use super::{KeptLease, LoopContext, round_of};
use crate::app_modules::{ChangeJobs, MailJobs};

/// What is told meanwhile shares a transaction. Short, because programs wait for it; a sale tells of hundreds of changes in that time.
const GATHER: Duration = Duration::from_millis(20);
/// How often a process looks for what other hosts have told.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often old changes are forgotten. They are kept for days, so minutes do not matter.
const FORGET_EVERY: Duration = Duration::from_secs(60);

pub(super) async fn run(jobs: MailJobs, context: LoopContext) {
    let changes = ChangeJobs(jobs.0.clone());
    let round = round_of(&jobs);
    let mut lease = KeptLease::new("changes", round);
    let mut forgot_at: Option<tokio::time::Instant> = None;
    while !context.stop.is_cancelled() {
        context.pulse.beat();
        if !lease.is_held_or_pause(&jobs, &context).await {
            continue;
        }
        let mut more = changes.number_pending().await.unwrap_or_else(|error| {
            tracing::warn!(error = ?error, "numbering changes failed, will retry");
            false
        });
        if forgot_at.is_none_or(|at| at.elapsed() >= FORGET_EVERY) {
            match changes.forget_old().await {
                Ok(true) => more = true,
                Ok(false) => forgot_at = Some(tokio::time::Instant::now()),
                Err(error) => {
                    forgot_at = Some(tokio::time::Instant::now());
                    tracing::warn!(error = ?error, "forgetting old changes failed");
                }
            }
        }
        if !more {
            tokio::select! {
                () = context.stop.cancelled() => {}
                () = changes.wait_for_pending() => {}
                () = tokio::time::sleep(LOOK_EVERY.min(round)) => {}
            }
            context.pause(GATHER).await;
        }
    }
}
