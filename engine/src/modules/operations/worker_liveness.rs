//! Whether a worker is alive to handle what the relay would publish.
//!
//! Without workers the relay does not publish: the work stays in the
//! outbox, and is published when a worker starts. Called by the relay's use case.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::types::WorkerStatus;

/// How long a heartbeat is valid: four fit into it. Measured by this process's own clock.
const GOOD_FOR: Duration = Duration::from_secs(20);

/// The known workers, the time of each one's last heartbeat, and when this process first saw it.
#[derive(Debug, Default)]
pub(in crate::modules) struct WorkerLiveness {
    signs: HashMap<String, (Timestamp, Instant)>,
}

impl WorkerLiveness {
    /// Records the workers' last heartbeats. Returns whether any worker is alive, or may be.
    pub(in crate::modules) fn note(&mut self, workers: &[WorkerStatus], now: Instant) -> bool {
        self.signs
            .retain(|id, _| workers.iter().any(|worker| worker.id == *id));
        for worker in workers {
            let sign = (worker.at, now);
            let known = self.signs.entry(worker.id.clone()).or_insert(sign);
            if known.0 != worker.at {
                *known = sign;
            }
        }
        self.signs
            .values()
            .any(|(_, seen)| now.duration_since(*seen) < GOOD_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::MailCounts;

    fn sign(id: &str, second: i64) -> WorkerStatus {
        let at = Timestamp::from_second(second).expect("a time");
        WorkerStatus {
            id: id.to_owned(),
            started_at: at,
            at,
            is_alive: false,
            mails: MailCounts::default(),
            lanes: Vec::new(),
        }
    }

    #[test]
    fn a_worker_counts_until_its_signs_stop_coming_whatever_its_clock_says() {
        let mut worker_liveness = WorkerLiveness::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(!worker_liveness.note(&[], start));
        // A worker whose clock is in the year 1970.
        assert!(worker_liveness.note(&[sign("a", 5)], after(1)));
        assert!(worker_liveness.note(&[sign("a", 10)], after(15)));
        assert!(worker_liveness.note(&[sign("a", 10)], after(34)));
        assert!(!worker_liveness.note(&[sign("a", 10)], after(36)));
        assert!(worker_liveness.note(&[sign("a", 10), sign("b", 0)], after(37)));
        assert!(!worker_liveness.note(&[sign("a", 10)], after(38)));
    }
}
