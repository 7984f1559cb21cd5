//! Optimistic retry: read, decide, write under a guard, and start again if another write came first.
//!
//! Called by modules around steps whose guard may fail. An iterator instead of a function that takes the step: most steps
//! keep something between attempts, such as what was sent when an answer got lost.

use super::super::repositories::pause_after_conflict;

/// The attempts of one step, with growing random pauses between them.
pub(in crate::modules) struct Attempts {
    step: &'static str,
    limit: u32,
    made: u32,
}

impl Attempts {
    /// Up to `limit` attempts of the step with this name.
    pub(in crate::modules) fn new(step: &'static str, limit: u32) -> Self {
        Self {
            step,
            limit,
            made: 0,
        }
    }

    /// The number of the next attempt, from 0. Waits before each except the first. Returns `None` after the last.
    pub(in crate::modules) async fn next(&mut self) -> Option<u32> {
        let attempt = self.made;
        if attempt >= self.limit {
            tracing::debug!(
                step = self.step,
                attempts = self.made,
                "too many conflicts with other writes"
            );
            return None;
        }
        if attempt > 0 {
            pause_after_conflict(attempt).await;
        }
        self.made += 1;
        Some(attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn attempts_are_numbered_and_end_at_the_limit() {
        let mut attempts = Attempts::new("test", 3);
        let mut seen = Vec::new();
        while let Some(attempt) = attempts.next().await {
            seen.push(attempt);
        }
        assert_eq!(seen, [0, 1, 2]);
        assert_eq!(attempts.next().await, None);
    }
}
