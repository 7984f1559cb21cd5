//! Queues of requests per event: what arrives while a group is worked on forms the next group.
//!
//! An optimisation only. Correctness does not depend on them: the revision guard in the store decides. A queue starts with
//! its first request and ends when nobody waits. Called by the bookings module.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    types::{EventId, TenantId},
};

/// Requests of one group at most. Measured: rates grow up to here and hardly beyond.
pub(in crate::modules) const GROUP_MAX: usize = 128;

/// An event of a tenant.
pub(in crate::modules) type EventKey = (TenantId, EventId);

/// A request that waits for its group.
pub(in crate::modules) struct Waiting<R, A> {
    pub(in crate::modules) request: R,
    pub(in crate::modules) answer: oneshot::Sender<Result<A>>,
}

struct EventQueue<R, A> {
    waiting: VecDeque<Waiting<R, A>>,
    /// Whether a task takes its groups.
    is_running: bool,
}

/// All queues of one kind of request in this process.
pub(in crate::modules) struct EventQueues<R, A> {
    queues: Mutex<HashMap<EventKey, EventQueue<R, A>>>,
    waiting_max: usize,
}

impl<R, A> EventQueues<R, A> {
    pub(in crate::modules) fn new(waiting_max: usize) -> Self {
        Self {
            queues: Mutex::default(),
            waiting_max,
        }
    }

    /// Adds a request to its event's queue. Returns true if the caller must start a task that takes the groups.
    ///
    /// # Errors
    /// `event-busy` beyond the limit.
    pub(in crate::modules) fn enter(&self, key: &EventKey, waiting: Waiting<R, A>) -> Result<bool> {
        let mut queues = self.queues.locked();
        let queue = queues.entry(key.clone()).or_insert_with(|| EventQueue {
            waiting: VecDeque::new(),
            is_running: false,
        });
        if queue.waiting.len() >= self.waiting_max {
            return Err(Error::new(
                ErrorCode::EventBusy,
                "Too many people are booking this event right now; try again in a moment.",
            )
            .retry_after(Duration::from_secs(2)));
        }
        queue.waiting.push_back(waiting);
        Ok(!std::mem::replace(&mut queue.is_running, true))
    }

    /// Takes the next group. Returns `None` and ends the queue if nobody waits.
    pub(in crate::modules) fn next_group(&self, key: &EventKey) -> Option<Vec<Waiting<R, A>>> {
        let mut queues = self.queues.locked();
        let queue = queues.get_mut(key)?;
        // Requests of clients that disconnected while waiting are dropped: they are in no plan yet.
        queue.waiting.retain(|waiting| !waiting.answer.is_closed());
        if queue.waiting.is_empty() {
            queues.remove(key);
            return None;
        }
        let count = queue.waiting.len().min(GROUP_MAX);
        Some(queue.waiting.drain(..count).collect())
    }
}

/// The same refusal for each member of a group that failed.
pub(in crate::modules) fn same_refusal(error: &Error) -> Error {
    let copy = Error::new(error.code(), error.detail().to_owned());
    match error.retry_after_hint() {
        Some(after) => copy.retry_after(after),
        None => copy,
    }
}
