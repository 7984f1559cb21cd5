//! Event queues: in one process, requests for one event wait and are committed in groups.
//!
//! An optimisation only: correctness depends on the revision guard in the database. A queue starts with its
//! first request and ends when nothing waits. Called by the bookings and events modules.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::sync::{OwnedMutexGuard, oneshot};

use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    modules::bookings::{Placement, RequestedBooking},
    types::{EventId, TenantId},
};

/// Most bookings that are committed together. Measured: rates grow up to here and hardly beyond.
pub(in crate::modules) const GROUP_MAX: usize = 128;

/// A request that waits for its group.
pub(in crate::modules) struct Waiting {
    pub(in crate::modules) request: RequestedBooking,
    pub(in crate::modules) answer: oneshot::Sender<Result<Placement>>,
}

type Key = (TenantId, EventId);

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    /// Whether a task is draining the queue.
    running: bool,
    /// Held by the writer of the event's inventory: a group, or an organizer's change, in order of arrival.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// All event queues of a process.
pub(crate) struct EventQueues {
    event_queues: Mutex<HashMap<Key, Lane>>,
    waiting_max: usize,
}

/// The lock on an event's inventory within this process.
pub(crate) struct InventoryLock {
    _guard: OwnedMutexGuard<()>,
}

impl EventQueues {
    pub(in crate::modules) fn new(waiting_max: usize) -> Self {
        Self {
            event_queues: Mutex::default(),
            waiting_max,
        }
    }

    /// Queues a request. Returns true if the caller must start a task that drains the queue.
    ///
    /// # Errors
    /// `event-busy` beyond the bound.
    pub(in crate::modules) fn enter(&self, key: &Key, waiting: Waiting) -> Result<bool> {
        let mut event_queues = self.locked();
        let lane = event_queues.entry(key.clone()).or_default();
        if lane.waiting.len() >= self.waiting_max {
            return Err(Error::new(
                ErrorCode::EventBusy,
                "Too many people are booking this event right now; try again in a moment.",
            )
            .retry_after(Duration::from_secs(2)));
        }
        lane.waiting.push_back(waiting);
        Ok(!std::mem::replace(&mut lane.running, true))
    }

    /// Takes the next group. With none left, the queue ends.
    pub(in crate::modules) fn next_group(&self, key: &Key) -> Option<Vec<Waiting>> {
        let mut event_queues = self.locked();
        let lane = event_queues.get_mut(key)?;
        // Requests of clients that disconnected while waiting are dropped: they are in no plan yet.
        lane.waiting.retain(|waiting| !waiting.answer.is_closed());
        if lane.waiting.is_empty() {
            lane.running = false;
            Self::forget_if_idle(&mut event_queues, key);
            return None;
        }
        let count = lane.waiting.len().min(GROUP_MAX);
        Some(lane.waiting.drain(..count).collect())
    }

    /// Waits for the lock on an event's inventory.
    pub(in crate::modules) async fn turn(&self, key: &Key) -> InventoryLock {
        let turn = self.locked().entry(key.clone()).or_default().turn.clone();
        InventoryLock {
            _guard: turn.lock_owned().await,
        }
    }

    /// Releases the lock, and removes the queue if it is empty.
    pub(in crate::modules) fn done(&self, key: &Key, turn: InventoryLock) {
        drop(turn);
        Self::forget_if_idle(&mut self.locked(), key);
    }

    fn forget_if_idle(event_queues: &mut HashMap<Key, Lane>, key: &Key) {
        let idle = |lane: &Lane| {
            !lane.running && lane.waiting.is_empty() && Arc::strong_count(&lane.turn) == 1
        };
        if event_queues.get(key).is_some_and(idle) {
            event_queues.remove(key);
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Key, Lane>> {
        // No code panics while it holds the lock and has half changed the map.
        self.event_queues.locked()
    }
}
