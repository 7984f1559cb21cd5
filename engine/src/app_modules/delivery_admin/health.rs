//! Whether what everything rests on answers: the database, and the queue or its broker.
//!
//! Called by whoever shows or exports how everything stands. Calls the modules and the queue port.

use std::time::{Duration, Instant};

use super::DeliveryAdmin;
use crate::{
    error::Result,
    types::{Caller, LaneStatus, PartHealth, SystemHealth},
};

/// As long as an answer may take that is of any use to whoever looks once a second.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

impl DeliveryAdmin {
    /// Asks database and queue a trivial question each, for operators; takes 2 seconds at most. That one does not answer
    /// is an answer, not an error.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn health(&self, caller: &Caller) -> Result<SystemHealth> {
        caller.require_operator()?;
        Ok(self.look_at_parts(&mut []).await)
    }

    /// Asks both, and takes along what the queue says of some lanes.
    pub(super) async fn look_at_parts(&self, lanes: &mut [LaneStatus]) -> SystemHealth {
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
        // A queue that is away must not hide the rest.
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
