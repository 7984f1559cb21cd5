//! Schedules full scans of tables whose rows are added and deleted.
//!
//! An LSM store reads every tombstone before the first live row, so a full scan costs
//! more the more rows were ever deleted. Scans in between begin where the last one found something. Called by modules; calls
//! nothing.

use std::time::Duration;

use tokio::time::Instant;

/// Full scans of one table take at most this share of the time, one fiftieth, until a scan takes more than a fiftieth of the longest pause.
const SHARE: u32 = 50;

/// Decides which scan is a full scan: the cheaper they are, the more often.
#[derive(Debug)]
pub(in crate::modules) struct FullScanSchedule {
    next_at: Option<Instant>,
    /// Whatever a full scan costs, the next one follows after this time.
    every_max: Duration,
}

impl FullScanSchedule {
    pub(in crate::modules) fn new(every_max: Duration) -> Self {
        Self {
            next_at: None,
            every_max,
        }
    }

    /// Returns whether the scan that begins now is a full scan. If so, no other is until it has reported its duration.
    pub(in crate::modules) fn begin(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.next_at.is_none_or(|at| now >= at);
        if is_due {
            self.next_at = Some(now + self.every_max);
        }
        is_due
    }

    /// Reports the start of a full scan that is finished now.
    pub(in crate::modules) fn ended(&mut self, begun: Instant) {
        let pause = begun.elapsed().saturating_mul(SHARE);
        self.next_at = Some(Instant::now() + pause.min(self.every_max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whole_looks_are_as_rare_as_they_are_dear() {
        let mut looks = FullScanSchedule::new(Duration::from_secs(30));
        for (takes, pause) in [(2, 100), (100, 5_000), (60_000, 30_000)] {
            let begun = Instant::now();
            assert!(looks.begin());
            assert!(!looks.begin(), "one at a time");
            tokio::time::advance(Duration::from_millis(takes)).await;
            looks.ended(begun);
            tokio::time::advance(Duration::from_millis(pause - 1)).await;
            assert!(!looks.begin());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(looks.begin());
        // A scan that never reported does not block others for ever.
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(looks.begin());
    }
}
