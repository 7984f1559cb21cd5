//! Reads once a second which lanes an operator has stopped: two rows by key.

use std::time::Duration;

use super::LoopContext;
use crate::app_modules::MailJobs;

/// An operator who stops a lane wants it at once.
const EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(jobs: MailJobs, context: LoopContext) {
    loop {
        context.pulse.beat();
        // Keep the last known state: a short failure of the store must not restart a stopped lane.
        if let Err(error) = jobs.look_at_lanes().await {
            tracing::debug!(error = ?error, "reading which lanes are stopped failed");
        }
        if !context.pause(EVERY).await {
            return;
        }
    }
}
