//! Looks once a second which lanes an operator has stopped: two rows, by their keys.

use std::time::Duration;

use super::LoopContext;
use crate::app_modules::MailJobs;

/// An operator who stops a lane is in a hurry.
const EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(queues: MailJobs, context: LoopContext) {
    loop {
        context.pulse.beat();
        // What was known stays: a store that is away for a moment lets no stopped lane go on.
        if let Err(error) = queues.look_at_lanes().await {
            tracing::debug!(error = ?error, "which lanes are stopped could not be read");
        }
        if !context.pause(EVERY).await {
            return;
        }
    }
}
