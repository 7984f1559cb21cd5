//! Attendance: whether a worker is there to do what the relay would publish.
//!
//! Tasks that nobody fetches are not worth publishing, putting off and publishing again: what is owed stands in the
//! database, and is found there when a worker comes. Asked by the delivery_admin module.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::types::WorkerStatus;

/// How long a sign of life is good for: four of them fit in. By this process's own clock, which no other can mislead.
const GOOD_FOR: Duration = Duration::from_secs(20);

/// The workers that were seen, when each gave its last sign, and when that sign was first seen here.
#[derive(Debug, Default)]
pub(in crate::modules) struct WorkerLiveness {
    signs: HashMap<String, (Timestamp, Instant)>,
}

impl WorkerLiveness {
    /// Takes note of what the workers last said. Returns whether any of them lives, or may.
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
        // Its clock stands in the year 1970.
        assert!(worker_liveness.note(&[sign("a", 5)], after(1)));
        assert!(worker_liveness.note(&[sign("a", 10)], after(15)));
        assert!(worker_liveness.note(&[sign("a", 10)], after(34)));
        assert!(!worker_liveness.note(&[sign("a", 10)], after(36)));
        assert!(worker_liveness.note(&[sign("a", 10), sign("b", 0)], after(37)));
        assert!(!worker_liveness.note(&[sign("a", 10)], after(38)));
    }
}
