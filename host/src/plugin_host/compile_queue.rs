//! The queue for compiling: a few at a time, fair by tenant, active plugins before uploads, and a daily budget for each
//! tenant.
//!
//! Called by the plugin host around each compilation. Each process counts the tenants' use, since its start.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use boxoffice_engine::{
    TenantId,
    ports::{LoadFailure, LoadPurpose},
};
use tokio::sync::oneshot;

use crate::locked::Locked as _;

/// Seconds of a day.
const DAY: u64 = 24 * 3_600;

/// The queue.
#[derive(Clone)]
pub(super) struct CompileQueue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    places: usize,
    budget: Duration,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: Vec<Waiting>,
    /// Tenants that had something compiled today, or have it now.
    tenants: HashMap<TenantId, Used>,
    /// Counts arrivals, to serve in order of arrival.
    came: u64,
    /// The day of the tenants' counters.
    day: u64,
}

#[derive(Default)]
struct Used {
    running: usize,
    time: Duration,
    time_of_uploads: Duration,
}

struct Waiting {
    tenant: TenantId,
    purpose: LoadPurpose,
    came: u64,
    slot: oneshot::Sender<CompileSlot>,
}

/// The permit to compile one plugin. Dropping it starts the next.
pub(super) struct CompileSlot {
    queue: Arc<Shared>,
    tenant: TenantId,
    purpose: LoadPurpose,
    began: Instant,
    is_over: bool,
}

impl CompileQueue {
    pub(super) fn new(places: usize, budget: Duration) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            places: places.max(1),
            budget,
        }))
    }

    /// Waits for a permit of a tenant. A tenant has one at a time; the tenant that used least today
    /// is first.
    ///
    /// # Errors
    /// [`LoadFailure::OverLimits`] if the tenant has used up its budget for uploads.
    pub(super) async fn acquire(
        &self,
        tenant: &TenantId,
        purpose: LoadPurpose,
    ) -> Result<CompileSlot, LoadFailure> {
        let (slot, comes) = oneshot::channel();
        {
            let mut state = self.0.locked();
            state.came += 1;
            let waiting = Waiting {
                tenant: tenant.clone(),
                purpose,
                came: state.came,
                slot,
            };
            state.waiting.push(waiting);
        }
        self.0.serve();
        let closed = |_| LoadFailure::Unavailable("the plugin host stops".to_owned());
        let slot = comes.await.map_err(closed)?;
        if purpose == LoadPurpose::Upload && self.0.used_by_uploads(tenant) >= self.0.budget {
            return Err(LoadFailure::OverLimits(format!(
                "This tenant's uploads have used their {} seconds of compiling for today. Upload it again after midnight UTC.",
                self.0.budget.as_secs()
            )));
        }
        Ok(slot)
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.locked()
    }

    fn used_by_uploads(&self, tenant: &TenantId) -> Duration {
        let mut state = self.locked();
        state.begin_day(today());
        state
            .tenants
            .get(tenant)
            .map_or(Duration::ZERO, |used| used.time_of_uploads)
    }

    /// Gives free permits to waiting requests.
    fn serve(self: &Arc<Self>) {
        let mut state = self.locked();
        state.begin_day(today());
        while state.running < self.places {
            let Some(next) = state.next() else { return };
            let Waiting {
                tenant,
                purpose,
                slot: waiter,
                ..
            } = state.waiting.swap_remove(next);
            let slot = CompileSlot {
                queue: self.clone(),
                tenant: tenant.clone(),
                purpose,
                began: Instant::now(),
                is_over: false,
            };
            match waiter.send(slot) {
                Ok(()) => {
                    state.running += 1;
                    state.tenants.entry(tenant).or_default().running += 1;
                }
                // Nobody waits for it any more. It took no permit, so dropping it frees none.
                Err(mut slot) => slot.is_over = true,
            }
        }
    }

    fn end(self: &Arc<Self>, slot: &CompileSlot) {
        {
            let mut state = self.locked();
            state.running -= 1;
            state.begin_day(today());
            let used = state.tenants.entry(slot.tenant.clone()).or_default();
            let time = slot.began.elapsed();
            used.running = used.running.saturating_sub(1);
            used.time += time;
            if slot.purpose == LoadPurpose::Upload {
                used.time_of_uploads += time;
            }
        }
        self.serve();
    }
}

impl State {
    /// The next request: active plugins first, then the tenant that used least, then in order of arrival. `None` while all waiting tenants
    /// have one running already.
    fn next(&self) -> Option<usize> {
        let used = |tenant: &TenantId| self.tenants.get(tenant);
        let free = |waiting: &&(usize, &Waiting)| {
            used(&waiting.1.tenant).is_none_or(|used| used.running == 0)
        };
        let waiting = self.waiting.iter().enumerate();
        let first = waiting
            .filter(|waiting| free(&waiting))
            .min_by_key(|(_, waiting)| {
                let time = used(&waiting.tenant).map_or(Duration::ZERO, |used| used.time);
                (waiting.purpose == LoadPurpose::Upload, time, waiting.came)
            });
        first.map(|(index, _)| index)
    }

    /// Resets the counters on a new day.
    fn begin_day(&mut self, day: u64) {
        if self.day == day {
            return;
        }
        self.day = day;
        self.tenants.retain(|_, used| used.running > 0);
        for used in self.tenants.values_mut() {
            used.time = Duration::ZERO;
            used.time_of_uploads = Duration::ZERO;
        }
    }
}

impl Drop for CompileSlot {
    fn drop(&mut self) {
        if !self.is_over {
            self.is_over = true;
            let queue = self.queue.clone();
            queue.end(self);
        }
    }
}

fn today() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs() / DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).expect("a tenant name")
    }

    #[tokio::test]
    async fn tenants_take_turns_and_what_is_in_use_comes_first() {
        let queue = CompileQueue::new(1, Duration::from_secs(60));
        let loud = queue.acquire(&tenant("loud"), LoadPurpose::Upload).await;
        let mut order = Vec::new();
        let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
        for (name, purpose) in [
            ("loud", LoadPurpose::Upload),
            ("loud", LoadPurpose::Upload),
            ("quiet", LoadPurpose::Upload),
            ("used", LoadPurpose::Use),
        ] {
            let (own, said) = (queue.clone(), said.clone());
            tokio::spawn(async move {
                let slot = own.acquire(&tenant(name), purpose).await.expect("a slot");
                said.send(name).expect("the test listens");
                tokio::time::sleep(Duration::from_millis(5)).await;
                drop(slot);
            });
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(loud);
        for _ in 0..4 {
            order.push(heard.recv().await.expect("all get their slot"));
        }
        assert_eq!(order, ["used", "quiet", "loud", "loud"]);
    }

    #[tokio::test]
    async fn a_tenant_has_one_slot_and_whoever_gives_up_holds_nobody_up() {
        let queue = CompileQueue::new(2, Duration::from_secs(60));
        let first = queue.acquire(&tenant("loud"), LoadPurpose::Upload).await;
        let loud = tenant("loud");
        let second = queue.acquire(&loud, LoadPurpose::Upload);
        let waited = tokio::time::timeout(Duration::from_millis(20), second).await;
        assert!(waited.is_err(), "a tenant has one slot at a time");
        let other = queue.acquire(&tenant("quiet"), LoadPurpose::Upload).await;
        assert!(other.is_ok());
        drop((first, other));
        assert!(
            queue
                .acquire(&tenant("loud"), LoadPurpose::Upload)
                .await
                .is_ok()
        );
        assert_eq!(queue.0.locked().running, 0);
        assert!(queue.0.locked().waiting.is_empty());
    }

    #[tokio::test]
    async fn a_budget_is_for_uploads_alone_and_for_a_day() {
        let queue = CompileQueue::new(1, Duration::from_millis(10));
        let loud = tenant("loud");
        let slot = queue.acquire(&loud, LoadPurpose::Upload).await;
        tokio::time::sleep(Duration::from_millis(15)).await;
        drop(slot);
        let refused = queue.acquire(&tenant("loud"), LoadPurpose::Upload).await;
        assert!(matches!(refused.err(), Some(LoadFailure::OverLimits(_))));
        assert!(
            queue
                .acquire(&tenant("loud"), LoadPurpose::Use)
                .await
                .is_ok()
        );
        assert!(
            queue
                .acquire(&tenant("quiet"), LoadPurpose::Upload)
                .await
                .is_ok()
        );
        queue.0.locked().begin_day(today() + 1);
        assert!(queue.0.locked().tenants.is_empty());
    }
}
