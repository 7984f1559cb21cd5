//! Policy snapshots: the policies' input about an event and a customer, read for many requests in one query.
//!
//! An optimisation only: a snapshot is read after its request arrived, and it must still be current in the
//! booking's transaction. Called by the bookings module. Calls the bookings repository.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::sync::oneshot;

use super::group_commit::same_refusal;
use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    modules::{
        repositories::{BookingsRepository, GroupQuery, GroupSnapshot},
        support::event_queues::GROUP_MAX,
    },
    types::{EventId, HoldId, RequestKey, TenantId, UserId},
};

type Key = (TenantId, EventId);

/// The snapshots that are being read.
#[derive(Default)]
pub(super) struct PolicySnapshots {
    /// One entry for each event with a running query.
    waiting: Mutex<HashMap<Key, Vec<Wanted>>>,
}

/// The input that one request needs.
pub(super) struct PolicySnapshot {
    pub(super) customer: UserId,
    /// The key, which may have been used before.
    pub(super) key: Option<RequestKey>,
    /// The offer that is being accepted.
    pub(super) hold: Option<HoldId>,
}

struct Wanted {
    sight: PolicySnapshot,
    answer: oneshot::Sender<Result<Arc<GroupSnapshot>>>,
}

impl PolicySnapshots {
    /// Reads the snapshot of a request, together with those of others.
    ///
    /// # Errors
    /// `event-busy` when more than `waiting_max` wait, `unavailable`.
    pub(super) async fn read(
        self: &Arc<Self>,
        repository: &Arc<BookingsRepository>,
        at: Key,
        sight: PolicySnapshot,
        waiting_max: usize,
    ) -> Result<Arc<GroupSnapshot>> {
        let (answer, answered) = oneshot::channel();
        let wanted = Wanted { sight, answer };
        let is_first = {
            let mut waiting = self.locked();
            let line = waiting.get_mut(&at);
            if line.as_ref().is_some_and(|line| line.len() >= waiting_max) {
                return Err(Error::new(
                    ErrorCode::EventBusy,
                    "Too many people are booking this event right now; try again in a moment.",
                )
                .retry_after(Duration::from_secs(2)));
            }
            match line {
                Some(line) => {
                    line.push(wanted);
                    false
                }
                None => {
                    waiting.insert(at.clone(), vec![wanted]);
                    true
                }
            }
        };
        if is_first {
            // A separate task: a client that disconnects must not cancel the others' query.
            let (snapshots, repository) = (self.clone(), repository.clone());
            tokio::spawn(async move { snapshots.drain(&repository, &at).await });
        }
        answered
            .await
            .map_err(|_| Error::internal("a sight ended without an answer"))?
    }

    /// Reads for all waiting requests, until none is left.
    async fn drain(&self, repository: &BookingsRepository, at: &Key) {
        while let Some(group) = self.next_group(at) {
            let mut question = GroupQuery::default();
            for Wanted { sight, .. } in &group {
                if !question.customers.contains(&sight.customer) {
                    question.customers.push(sight.customer);
                }
                question.keys.extend(sight.key.clone());
                question.holds.extend(sight.hold);
            }
            let read = repository.read_group(&at.0, at.1, &question).await;
            let read = read.map(Arc::new).map_err(Error::from);
            for wanted in group {
                let own = read.as_ref().map(Arc::clone).map_err(same_refusal);
                // The receiver is gone if the client disconnected.
                let _ = wanted.answer.send(own);
            }
        }
    }

    fn next_group(&self, at: &Key) -> Option<Vec<Wanted>> {
        let mut waiting = self.locked();
        let line = waiting.get_mut(at)?;
        line.retain(|wanted| !wanted.answer.is_closed());
        if line.is_empty() {
            waiting.remove(at);
            return None;
        }
        let count = line.len().min(GROUP_MAX);
        Some(line.drain(..count).collect())
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Key, Vec<Wanted>>> {
        // No code panics while it holds the lock and has half changed the map.
        self.waiting.locked()
    }
}
