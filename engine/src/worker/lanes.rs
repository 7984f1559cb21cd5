//! Reads which lanes an operator has stopped at another process: two rows by key.

use std::time::Duration;

use super::LoopContext;
use crate::app_modules::MailJobs;

/// An operator who stops a lane wants it at once.
const EVERY: Duration = Duration::from_secs(1);
/// The same where no other process has the store: this one knows already.
const EVERY_IF_EXCLUSIVE: Duration = Duration::from_secs(10);

pub(super) async fn run(jobs: MailJobs, context: LoopContext) {
    let every = match jobs.0.context.is_exclusive {
        true => EVERY_IF_EXCLUSIVE,
        false => EVERY,
    };
    loop {
        context.pulse.beat();
        let read = jobs.look_at_lanes().await;
        // Keep the last known state: a short failure of the store must not restart a stopped lane.
        if let Err(error) = &read {
            tracing::debug!(error = ?error, "reading which lanes are stopped failed");
        }
        if !context.pause(read.map_or(EVERY, |()| every)).await {
            return;
        }
    }
}
