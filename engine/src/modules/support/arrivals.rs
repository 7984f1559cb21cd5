//! Requests on their way to an event's queue. Policies are asked about each of them, so they arrive one by one; the next group of
//! the event waits a moment for them, so that they share a commit.
//!
//! An optimisation only. Called by the bookings module, for the policy check and for the group commit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::Notify;

use super::event_queues::EventKey;
use crate::locked::Locked as _;

/// How long a group waits for requests that are on their way. With less, groups of a slow plugin's event get small; with more,
/// nothing was gained.
const GATHERING_MAX: Duration = Duration::from_millis(2);

/// The requests on their way to all event queues of a process.
#[derive(Default)]
pub(in crate::modules) struct Arrivals(Mutex<HashMap<EventKey, OnTheWay>>);

#[derive(Default)]
struct OnTheWay {
    count: usize,
    all_arrived: Arc<Notify>,
}

/// A request on its way. It has arrived, or does not come, once this is dropped.
pub(crate) struct Arrival {
    arrivals: Arc<Arrivals>,
    key: EventKey,
}

impl Arrivals {
    pub(in crate::modules) fn announce(self: &Arc<Self>, key: EventKey) -> Arrival {
        self.0.locked().entry(key.clone()).or_default().count += 1;
        Arrival {
            arrivals: self.clone(),
            key,
        }
    }

    /// Waits until no request of an event is on its way, for [`GATHERING_MAX`] at most. One task at a time does so for an event.
    pub(in crate::modules) async fn gather(&self, key: &EventKey) {
        let all_arrived = {
            let arrivals = self.0.locked();
            arrivals.get(key).map(|own| own.all_arrived.clone())
        };
        if let Some(all_arrived) = all_arrived {
            // A request that comes later is in the next group.
            let _ = tokio::time::timeout(GATHERING_MAX, all_arrived.notified()).await;
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut arrivals = self.arrivals.0.locked();
        let Some(own) = arrivals.get_mut(&self.key) else {
            return;
        };
        own.count -= 1;
        if own.count == 0 {
            own.all_arrived.notify_one();
            arrivals.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::types::{EventId, TenantId};

    fn key(number: u128) -> EventKey {
        let event = EventId::from_ulid(Ulid(number));
        (TenantId::trusted("north"), event)
    }

    #[tokio::test]
    async fn a_group_waits_until_all_of_its_event_have_arrived() {
        let arrivals = Arc::new(Arrivals::default());
        arrivals.gather(&key(1)).await;
        let first = arrivals.announce(key(1));
        let second = arrivals.announce(key(1));
        let of_another = arrivals.announce(key(2));
        let event = key(1);
        let mut gathered = Box::pin(arrivals.gather(&event));
        assert!(futures::poll!(&mut gathered).is_pending());
        drop(first);
        assert!(futures::poll!(&mut gathered).is_pending());
        drop(second);
        assert!(futures::poll!(&mut gathered).is_ready());
        drop(of_another);
        assert!(arrivals.0.locked().is_empty());
    }

    #[tokio::test]
    async fn a_group_does_not_wait_for_long() {
        let arrivals = Arc::new(Arrivals::default());
        let _never = arrivals.announce(key(1));
        arrivals.gather(&key(1)).await;
    }
}
