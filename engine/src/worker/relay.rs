//! The relay: publishes what the outbox says is due, and looks again at what it published until it is done.
//!
//! Outbox and sweeper in one: rows are ordered by the time they are due, and a row stays until its work is finished.
//! A leased singleton; were two to run, both would publish the same task ids. It rests while no worker lives, so that a
//! host that only sells pays nothing for mails that nobody sends.

use std::time::Duration;

use super::LoopContext;
use crate::app_modules::MailJobs;

/// How often a resting relay looks whether a worker has come.
const LOOK_FOR_WORKERS_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(queues: MailJobs, context: LoopContext) {
    let lease = queues.0.context.settings.worker.singleton_lease;
    // Three signs of life within each lease.
    let round = (lease / 3).max(Duration::from_millis(50));
    let mut last_kept: Option<tokio::time::Instant> = None;
    let mut last_attended: Option<tokio::time::Instant> = None;
    while !context.stop.is_cancelled() {
        context.pulse.beat();
        if last_kept.is_none_or(|kept| kept.elapsed() >= round) {
            match queues.hold_lease("relay").await {
                Ok(true) => last_kept = Some(tokio::time::Instant::now()),
                Ok(false) => {
                    last_kept = None;
                    context.pause(round).await;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(error = ?error, "the relay could not reach the store");
                    last_kept = None;
                    context.pause(Duration::from_secs(1)).await;
                    continue;
                }
            }
        }
        if last_attended.is_none_or(|at| at.elapsed() >= LOOK_FOR_WORKERS_EVERY) {
            // A store that gives no answer is no reason to rest.
            if queues.has_worker().await.unwrap_or(true) {
                last_attended = Some(tokio::time::Instant::now());
            } else {
                last_attended = None;
                context.pause(LOOK_FOR_WORKERS_EVERY.min(round)).await;
                continue;
            }
        }
        match queues.relay().await {
            Ok(true) => {}
            Ok(false) => {
                tokio::select! {
                    () = context.stop.cancelled() => {}
                    () = queues.wait_for_owed(round) => {}
                }
            }
            Err(error) => {
                tracing::warn!(error = ?error, "publishing what is owed failed; trying again");
                context.pause(Duration::from_secs(1)).await;
            }
        }
    }
}
