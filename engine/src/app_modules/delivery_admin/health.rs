//! Health of the database and the job queue.
//!
//! Called by the overview and by metrics. Calls the modules and the queue port.

use std::time::{Duration, Instant};

use super::DeliveryAdmin;
use crate::{
    error::Result,
    types::{Caller, LaneStatus, PartHealth, SystemHealth},
};

/// A later answer is of no use to displays that refresh once a second.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

impl DeliveryAdmin {
    /// Runs a trivial request against database and queue, for operators; takes 2 seconds at most. A failure
    /// is part of the result, not an error.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn health(&self, caller: &Caller) -> Result<SystemHealth> {
        caller.require_operator()?;
        Ok(self.check_parts(&mut []).await)
    }

    /// Checks both, and returns the queue's counts of some lanes.
    pub(super) async fn check_parts(&self, lanes: &mut [LaneStatus]) -> SystemHealth {
        let queue = async {
            for lane in lanes.iter_mut() {
                let stats = self.0.queue.stats(lane.lane).await?;
                lane.waiting = Some(stats.waiting);
                lane.in_flight = Some(stats.leased);
            }
            if lanes.is_empty() {
                self.0
                    .queue
                    .stats(crate::ports::Lane::Transactional)
                    .await?;
            }
            Ok(())
        };
        // A failing queue must not hide the rest.
        let (database, queue) = tokio::join!(timed(self.0.modules.ping()), timed(queue));
        SystemHealth { database, queue }
    }
}

async fn timed(question: impl Future<Output = Result<()>>) -> PartHealth {
    let begun = Instant::now();
    let answered = tokio::time::timeout(ANSWERS_WITHIN, question).await;
    PartHealth {
        answers: matches!(answered, Ok(Ok(()))),
        took: begun.elapsed(),
    }
}
