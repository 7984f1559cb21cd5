//! Schedules the shards of a lane: which ones to check, and in which order. Called by fetch; pure.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use boxoffice_engine::ports::Lane;
use tokio::sync::Notify;

use crate::settings::SHARDS;

/// How long an empty shard is not checked without a hint. Hints may get lost,
/// and an expired lease sends none.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The schedules of all lanes.
#[derive(Default)]
pub(crate) struct Lanes([ShardScheduler; Lane::ALL.len()]);

impl Lanes {
    pub(crate) fn of(&self, lane: Lane) -> &ShardScheduler {
        &self.0[usize::from(lane == Lane::Bulk)]
    }
}

/// The schedule of one lane.
#[derive(Default)]
pub(crate) struct ShardScheduler {
    state: Mutex<State>,
    /// It may have tasks.
    pub(crate) hinted: Notify,
}

#[derive(Default)]
struct State {
    shards: [Shard; SHARDS],
    next: usize,
}

#[derive(Default, Clone, Copy)]
struct Shard {
    /// Whether the last check found tasks, or a hint came since.
    is_hot: bool,
    /// Counts hints, so that a check that began before one does not undo it.
    hints: u64,
    looked_at: Option<Instant>,
}

/// One check of a shard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) shard: usize,
    hints: u64,
}

impl ShardScheduler {
    /// The shards to check now, the next one first.
    pub(crate) fn due(&self, now: Instant) -> Vec<Look> {
        let state = self.state();
        let order = (0..SHARDS).map(|step| (state.next + step) % SHARDS);
        let looks = order.map(|shard| (shard, state.shards[shard]));
        looks
            .filter(|(_, shard)| {
                shard.is_hot
                    || shard
                        .looked_at
                        .is_none_or(|at| now.saturating_duration_since(at) >= LOOK_EVERY)
            })
            .map(|(shard, seen)| Look {
                shard,
                hints: seen.hints,
            })
            .collect()
    }

    /// Records the result of a check. A shard with tasks moves to the end.
    pub(crate) fn looked(&self, look: Look, found: bool, now: Instant) {
        let mut state = self.state();
        let shard = &mut state.shards[look.shard];
        shard.looked_at = Some(now);
        if found || shard.hints == look.hints {
            shard.is_hot = found;
        }
        if found {
            state.next = (look.shard + 1) % SHARDS;
        }
    }

    /// Records that a shard may have tasks.
    pub(crate) fn hint(&self, shard: usize) {
        if let Some(shard) = self.state().shards.get_mut(shard) {
            shard.is_hot = true;
            shard.hints += 1;
        }
        self.hinted.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(scheduler: &ShardScheduler, now: Instant) -> Vec<usize> {
        scheduler.due(now).iter().map(|look| look.shard).collect()
    }

    #[test]
    fn shards_with_tasks_take_turns_and_empty_ones_rest() {
        let (scheduler, now) = (ShardScheduler::default(), Instant::now());
        assert_eq!(
            shards(&scheduler, now).len(),
            SHARDS,
            "nothing is known yet"
        );
        for look in scheduler.due(now) {
            scheduler.looked(look, [3, 7].contains(&look.shard), now);
        }
        assert_eq!(shards(&scheduler, now), [3, 7]);
        let look = scheduler.due(now)[0];
        scheduler.looked(look, true, now);
        assert_eq!(
            scheduler.due(now)[0].shard,
            if look.shard == 3 { 7 } else { 3 }
        );
        assert_eq!(
            shards(&scheduler, now + LOOK_EVERY).len(),
            SHARDS,
            "everybody is looked after"
        );
    }

    #[test]
    fn a_hint_during_a_look_is_not_lost() {
        let (scheduler, now) = (ShardScheduler::default(), Instant::now());
        for look in scheduler.due(now) {
            scheduler.looked(look, false, now);
        }
        assert_eq!(shards(&scheduler, now).len(), 0);
        scheduler.hint(5);
        let look = scheduler.due(now)[0];
        scheduler.hint(5);
        scheduler.looked(look, false, now);
        assert_eq!(shards(&scheduler, now), [5]);
        scheduler.looked(scheduler.due(now)[0], false, now);
        assert_eq!(shards(&scheduler, now).len(), 0);
        scheduler.hint(SHARDS + 1);
    }
}
