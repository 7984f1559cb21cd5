//! Counters of sent mails: by lane, and histograms of durations.

use super::Lane;

/// Upper bounds of the histogram's buckets, in milliseconds: from a mail on loopback to one that waited for a fan-out
/// of hours or for a lane that was paused overnight.
pub const DURATION_BOUNDS_MILLISECONDS: [u64; 17] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 15_000, 60_000, 300_000, 1_800_000,
    14_400_000,
];

/// Outcomes of one process's mails since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MailCounts {
    /// Accepted by mail servers.
    pub sent: u64,
    /// Refused for good.
    pub refused: u64,
    /// Failed for now.
    pub deferred: u64,
    /// Perhaps sent.
    pub unknown: u64,
}

impl MailCounts {
    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            refused: self.refused + other.refused,
            deferred: self.deferred + other.deferred,
            unknown: self.unknown + other.unknown,
        }
    }
}

/// Buckets: the last is for all above the bounds.
const CLASSES: usize = DURATION_BOUNDS_MILLISECONDS.len() + 1;

/// A histogram of durations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationCounts {
    /// The number in each bucket of [`DURATION_BOUNDS_MILLISECONDS`]; the last bucket is for all above.
    pub classes: Vec<u64>,
    /// Their sum.
    pub sum_microseconds: u64,
}

impl Default for DurationCounts {
    fn default() -> Self {
        Self {
            classes: vec![0; CLASSES],
            sum_microseconds: 0,
        }
    }
}

impl DurationCounts {
    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// Adds another histogram.
    pub fn add(&mut self, other: &Self) {
        for (own, others) in self.classes.iter_mut().zip(&other.classes) {
            *own += others;
        }
        self.sum_microseconds += other.sum_microseconds;
    }

    /// The difference to `earlier`, of the same process.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let classes = self.classes.iter().zip(&earlier.classes);
        Self {
            classes: classes
                .map(|(now, then)| now.saturating_sub(*then))
                .collect(),
            sum_microseconds: self
                .sum_microseconds
                .saturating_sub(earlier.sum_microseconds),
        }
    }

    /// A quantile (0 to 1) in milliseconds, interpolated inside its bucket; the greatest bound for all above it. `None` if
    /// nothing was counted.
    pub fn quantile_milliseconds(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = share.clamp(0.0, 1.0) * count as f64;
        let mut below = 0;
        for (index, within) in self.classes.iter().enumerate() {
            let reached = below + within;
            if *within > 0 && reached as f64 >= wanted {
                let bounds = &DURATION_BOUNDS_MILLISECONDS;
                let begins = index.checked_sub(1).map_or(0, |before| bounds[before]) as f64;
                let Some(ends) = bounds.get(index) else {
                    return Some(begins);
                };
                let part = (wanted - below as f64) / *within as f64;
                return Some(begins + (*ends as f64 - begins) * part.clamp(0.0, 1.0));
            }
            below = reached;
        }
        None
    }
}

/// A lane's counts since the process started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneCounts {
    /// The lane.
    pub lane: Lane,
    /// Outcomes of mails.
    pub mails: MailCounts,
    /// Waiting times, from the listing of a mail to its first attempt.
    pub waiting: DurationCounts,
    /// Durations of the handover to the mail server.
    pub sending: DurationCounts,
    /// Tasks fetched from the queue.
    pub fetched: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(classes: &[(usize, u64)]) -> DurationCounts {
        let mut counts = DurationCounts::default();
        for (class, count) in classes {
            counts.classes[*class] = *count;
        }
        counts
    }

    #[test]
    fn quantiles_lie_in_the_class_that_holds_them() {
        assert_eq!(counted(&[]).quantile_milliseconds(0.5), None);
        // 90 within 1 to 2 ms, 10 within 50 to 100 ms.
        let counts = counted(&[(1, 90), (6, 10)]);
        let median = counts.quantile_milliseconds(0.5).unwrap();
        assert!((1.0..=2.0).contains(&median), "{median}");
        let late = counts.quantile_milliseconds(0.95).unwrap();
        assert!((50.0..=100.0).contains(&late), "{late}");
        let beyond = counted(&[(CLASSES - 1, 1)]);
        assert_eq!(beyond.quantile_milliseconds(0.95), Some(14_400_000.0));
    }

    #[test]
    fn what_was_added_is_what_came_since() {
        let before = counted(&[(1, 90)]);
        let added = counted(&[(2, 5)]);
        let mut after = before.clone();
        after.add(&added);
        assert_eq!(after.since(&before), added);
        assert_eq!(after.count(), 95);
    }
}
