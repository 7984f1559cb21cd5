//! A worker's heartbeat: one small row, written every few seconds. It shows lanes without workers.
//!
//! Only displays depend on it.

use std::time::Duration;

use super::LoopContext;
use crate::app_modules::MailJobs;

/// Four heartbeats fit into the time after which a worker is shown as gone.
const EVERY: Duration = Duration::from_secs(5);

pub(super) async fn run(jobs: MailJobs, context: LoopContext) {
    loop {
        context.pulse.beat();
        if let Err(error) = jobs.beat().await {
            tracing::warn!(error = ?error, "writing a worker's heartbeat failed");
        }
        if !context.pause(EVERY).await {
            break;
        }
    }
    if let Err(error) = jobs.ended().await {
        tracing::warn!(error = ?error, "writing a worker's end failed; its row expires in minutes");
    }
}
