//! Where the next scan for changes without numbers begins. An LSM store reads every deleted row before the first live one, so a scan
//! begins a little before where the last one ended. Steps of hosts whose clocks are behind are found by scans from further back, which
//! follow now and then.
//!
//! An optimisation only: what a change follows is known by its step, wherever that lies.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use ulid::Ulid;

use crate::locked::Locked as _;

/// How far back a scan begins, and how often such a scan is made: clocks differ by little, by more, or by anything.
const LEVELS: [(Duration, Duration); 2] = [
    (Duration::from_secs(600), Duration::from_secs(5)),
    (Duration::MAX, Duration::from_secs(600)),
];
const LEAST: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct PendingScan(Mutex<State>);

#[derive(Default)]
struct State {
    /// Milliseconds since 1970, by the ids of steps.
    reached: u64,
    scanned_at: [Option<Instant>; LEVELS.len()],
}

impl PendingScan {
    /// The first id that the next scan looks at.
    pub(super) fn begin(&self, now: u64) -> Ulid {
        let mut state = self.0.locked();
        // A clock that was set back.
        state.reached = state.reached.min(now);
        let mut back = LEAST;
        for (level, (far, every)) in LEVELS.into_iter().enumerate() {
            let is_due = state.scanned_at[level].is_none_or(|at| at.elapsed() >= every);
            if is_due {
                state.scanned_at[level] = Some(Instant::now());
                back = far;
            }
        }
        let back = u64::try_from(back.as_millis()).unwrap_or(u64::MAX);
        Ulid::from_parts(state.reached.saturating_sub(back), 0)
    }

    /// Records that what lies before an id has numbers, as far as scans see.
    pub(super) fn reached(&self, until: u64) {
        self.0.locked().reached = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_begin_near_the_last_end_and_from_the_beginning_at_first() {
        let scan = PendingScan::default();
        assert_eq!(scan.begin(10_000_000).timestamp_ms(), 0);
        scan.reached(10_000_000);
        assert_eq!(scan.begin(10_000_100).timestamp_ms(), 10_000_000 - 2_000);
        // The clock was set back by an hour: what is told now has lower ids.
        assert_eq!(scan.begin(6_400_000).timestamp_ms(), 6_400_000 - 2_000);
    }
}
