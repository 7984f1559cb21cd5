//! When a table whose rows come and go is looked at from its very beginning.
//!
//! A store of sorted logs reads over every row that was deleted before the first one it finds, so that such a look costs
//! more the more was ever done; looks in between begin where the last one found something. Called by modules; calls
//! nothing.

use std::time::Duration;

use tokio::time::Instant;

/// Looks of one kind from the beginning take at most this part of the time, until one takes more than a fiftieth of the longest pause: one in fifty.
const SHARE: u32 = 50;

/// Decides which look is a whole one: the cheaper they are, the more of them.
#[derive(Debug)]
pub(in crate::modules) struct FullScanSchedule {
    next_at: Option<Instant>,
    /// Whatever a whole look costs, the next one follows after so long.
    every_max: Duration,
}

impl FullScanSchedule {
    pub(in crate::modules) fn new(every_max: Duration) -> Self {
        Self {
            next_at: None,
            every_max,
        }
    }

    /// Whether the look that begins now is a whole one; then no other is until it has said how long it took.
    pub(in crate::modules) fn begin(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.next_at.is_none_or(|at| now >= at);
        if is_due {
            self.next_at = Some(now + self.every_max);
        }
        is_due
    }

    /// Says when a whole look began that is over now.
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
        // One that never came back holds up no other for ever.
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(looks.begin());
    }
}
