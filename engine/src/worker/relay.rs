//! The relay: publishes due outbox entries as tasks, and publishes them again until their work is done.
//!
//! Entries are ordered by the time they are due, and an entry stays until its work is finished.
//! A leased singleton. Two relays would publish the same task ids, which is harmless. It pauses while no worker runs, so a
//! host without workers does no work for mails.

use std::time::Duration;

use super::{KeptLease, LoopContext, round_of};
use crate::app_modules::MailJobs;

/// How often a paused relay checks for a worker.
const LOOK_FOR_WORKERS_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(jobs: MailJobs, context: LoopContext) {
    let round = round_of(&jobs);
    let mut lease = KeptLease::new("relay", round);
    let mut has_taken_up = false;
    let mut last_attended: Option<tokio::time::Instant> = None;
    while !context.stop.is_cancelled() {
        context.pulse.beat();
        match lease.is_held(&jobs).await {
            Ok(true) => {}
            Ok(false) => {
                context.pause(round).await;
                continue;
            }
            Err(error) => {
                tracing::warn!(error = ?error, "the relay cannot reach the store");
                context.pause(Duration::from_secs(1)).await;
                continue;
            }
        }
        if last_attended.is_none_or(|at| at.elapsed() >= LOOK_FOR_WORKERS_EVERY) {
            // Do not pause because the store does not answer.
            if jobs.has_worker().await.unwrap_or(true) {
                last_attended = Some(tokio::time::Instant::now());
            } else {
                last_attended = None;
                context.pause(LOOK_FOR_WORKERS_EVERY.min(round)).await;
                continue;
            }
        }
        if !std::mem::replace(&mut has_taken_up, true) {
            take_up(&jobs, &context).await;
        }
        match jobs.relay().await {
            Ok(true) => {}
            Ok(false) => {
                tokio::select! {
                    () = context.stop.cancelled() => {}
                    () = jobs.wait_for_outbox(round) => {}
                }
            }
            Err(error) => {
                tracing::warn!(error = ?error, "publishing outbox entries failed, will retry");
                context.pause(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Publishes what an earlier process published and did not finish, page by page.
async fn take_up(jobs: &MailJobs, context: &LoopContext) {
    let mut after = None;
    while !context.stop.is_cancelled() {
        context.pulse.beat();
        match jobs.take_up(after.as_ref()).await {
            Ok(None) => return,
            Ok(last) => after = last,
            Err(error) => {
                tracing::warn!(error = ?error, "taking up earlier work failed; it is published when it is due again");
                return;
            }
        }
    }
}
