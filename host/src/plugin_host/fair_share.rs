//! Fair sharing of calls: slots and fuel by tenant, so that one tenant's plugins never block another's.
//!
//! Calls of a tenant wait in its line. Runners on the plugins' threads take them from there, as many runners as the tenant has
//! slots: calls that come together are handed over together. Called by the plugin host around each call.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use boxoffice_engine::{
    TenantId,
    ports::{CallPriority, HookFailure},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::settings::PluginHostSettings;

use crate::locked::Locked as _;

/// Most trials and replays that run at once, of all tenants: the other slots are for real requests.
const TRIALS_MAX: usize = 2;

/// Slots and fuel of all tenants, whose calls are jobs of this kind.
pub(super) struct FairShare<J> {
    common: Arc<Common>,
    /// One small entry for each tenant with a plugin call since the start.
    tenants: Mutex<HashMap<TenantId, Arc<Share<J>>>>,
}

/// What all tenants share.
struct Common {
    all: Arc<Semaphore>,
    trials: Arc<Semaphore>,
    settings: Arc<PluginHostSettings>,
}

struct Share<J> {
    line: Mutex<Line<J>>,
    fuel: Mutex<Bucket>,
}

struct Line<J> {
    waiting: VecDeque<Waiting<J>>,
    /// At most as many as the tenant has slots.
    runners: usize,
}

/// A call in its tenant's line.
struct Waiting<J> {
    job: J,
    priority: CallPriority,
    since: Instant,
    is_settled: Arc<AtomicBool>,
}

/// The place of a call in its tenant's line. A call whose place is dropped before it began is not made.
pub(super) struct Place {
    /// Set by whoever comes first: the runner that begins the call, or the caller who gives it up.
    is_settled: Arc<AtomicBool>,
}

/// Takes calls of one tenant out of its line, one at a time: one slot of the tenant.
pub(super) struct Runner<J> {
    share: Arc<Share<J>>,
    common: Arc<Common>,
    is_over: bool,
}

/// The available fuel; negative after a call that used more.
struct Bucket {
    fuel: i128,
    filled_at: Instant,
}

/// The permit for one call.
pub(super) struct Admission<J> {
    share: Arc<Share<J>>,
    _permits: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
}

impl<J> Admission<J> {
    /// Subtracts the call's cost from the tenant's share.
    pub(super) fn charge(&self, fuel: u64) {
        self.share.fuel.locked().fuel -= i128::from(fuel);
    }
}

/// The failure of a call that waited too long.
pub(super) fn over_its_share() -> HookFailure {
    HookFailure::Busy("this tenant's plugins are over their share".to_owned())
}

impl<J> FairShare<J> {
    pub(super) fn new(settings: &Arc<PluginHostSettings>) -> Self {
        Self {
            common: Arc::new(Common {
                all: Arc::new(Semaphore::new(settings.calls_max)),
                trials: Arc::new(Semaphore::new(TRIALS_MAX)),
                settings: settings.clone(),
            }),
            tenants: Mutex::default(),
        }
    }

    /// Puts a call into its tenant's line. If the tenant has a free slot, the caller must run what comes with the call's place.
    ///
    /// # Errors
    /// [`HookFailure::Busy`] if too many wait already.
    pub(super) fn enter(
        &self,
        tenant: &TenantId,
        priority: CallPriority,
        job: J,
    ) -> Result<(Place, Option<Runner<J>>), HookFailure> {
        let share = self.share(tenant);
        let settings = &self.common.settings;
        let is_settled = Arc::new(AtomicBool::new(false));
        let has_free_slot = {
            let mut line = share.line.locked();
            if line.waiting.len() >= settings.tenant_waiting_max {
                line.waiting.retain(|one| !one.is_settled());
            }
            if line.waiting.len() >= settings.tenant_waiting_max {
                return Err(HookFailure::Busy(
                    "too many calls of this tenant's plugins wait already".to_owned(),
                ));
            }
            line.waiting.push_back(Waiting {
                job,
                priority,
                since: Instant::now(),
                is_settled: is_settled.clone(),
            });
            let has_free_slot = line.runners < settings.tenant_calls_max;
            line.runners += usize::from(has_free_slot);
            has_free_slot
        };
        let runner = has_free_slot.then(|| Runner {
            share,
            common: self.common.clone(),
            is_over: false,
        });
        Ok((Place { is_settled }, runner))
    }

    fn share(&self, tenant: &TenantId) -> Arc<Share<J>> {
        let mut tenants = self.tenants.locked();
        if let Some(share) = tenants.get(tenant) {
            return share.clone();
        }
        let per_second = self.common.settings.tenant_fuel_per_second;
        let share = Arc::new(Share {
            line: Mutex::new(Line {
                waiting: VecDeque::new(),
                runners: 0,
            }),
            fuel: Mutex::new(Bucket {
                fuel: Bucket::most(per_second),
                filled_at: Instant::now(),
            }),
        });
        tenants.insert(tenant.clone(), share.clone());
        share
    }
}

impl<J> Waiting<J> {
    fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::SeqCst)
    }
}

impl Place {
    /// Gives the call up, if it has not begun. Returns whether that is so.
    pub(super) fn give_up(&self) -> bool {
        !self.is_settled.swap(true, Ordering::SeqCst)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<J> Runner<J> {
    /// Waits for the permit of the tenant's next call. `None` ends the runner: nothing waits.
    pub(super) async fn next(&mut self) -> Option<(J, Admission<J>)> {
        while let Some(waiting) = self.take() {
            let wait_max = self.common.settings.wait_max;
            let left = wait_max.saturating_sub(waiting.since.elapsed());
            let permits = tokio::time::timeout(left, self.permits(waiting.priority)).await;
            // After its time the caller has given it up, or is about to.
            let Ok(Some(permits)) = permits else { continue };
            if !waiting.is_settled.swap(true, Ordering::SeqCst) {
                let admission = Admission {
                    share: self.share.clone(),
                    _permits: permits,
                };
                return Some((waiting.job, admission));
            }
        }
        None
    }

    fn take(&mut self) -> Option<Waiting<J>> {
        let mut line = self.share.line.locked();
        while let Some(waiting) = line.waiting.pop_front() {
            if !waiting.is_settled() {
                return Some(waiting);
            }
        }
        // Under the lock, so that a call that comes now finds the slot free.
        line.runners -= 1;
        self.is_over = true;
        None
    }

    /// The tenant's slot comes first: so it never has more calls in the common queue than it may run.
    async fn permits(
        &self,
        priority: CallPriority,
    ) -> Option<(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>)> {
        let common = &self.common;
        let trial = match priority {
            CallPriority::Background => Some(common.trials.clone().acquire_owned().await.ok()?),
            CallPriority::Request => None,
        };
        loop {
            let per_second = common.settings.tenant_fuel_per_second;
            let wait = self.share.fuel.locked().missing(per_second, Instant::now());
            match wait {
                None => break,
                Some(wait) => tokio::time::sleep(wait).await,
            }
        }
        Some((common.all.clone().acquire_owned().await.ok()?, trial))
    }
}

impl<J> Drop for Runner<J> {
    /// A runner that was interrupted frees its slot.
    fn drop(&mut self) {
        if !self.is_over {
            self.share.line.locked().runners -= 1;
        }
    }
}

impl Bucket {
    fn most(per_second: u64) -> i128 {
        i128::from(per_second) * i128::from(PluginHostSettings::BURST.as_secs())
    }

    /// How long until there is fuel; `None` if there is.
    fn missing(&mut self, per_second: u64, now: Instant) -> Option<std::time::Duration> {
        let since = now.saturating_duration_since(self.filled_at).as_nanos();
        let more =
            i128::from(per_second) * i128::try_from(since).unwrap_or(i128::MAX / 2) / 1_000_000_000;
        self.fuel = (self.fuel + more).min(Self::most(per_second));
        self.filled_at = now;
        if self.fuel > 0 {
            return None;
        }
        let seconds = (1 - self.fuel) as f64 / (per_second.max(1) as f64);
        // Rather late than early; an hour is far above any waiting time.
        Some(std::time::Duration::from_secs_f64(
            (seconds + 0.001).min(3_600.0),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::settings::Compiler, *};

    #[tokio::test]
    async fn a_slot_makes_the_calls_that_wait_but_for_those_that_were_given_up() {
        let mut settings = PluginHostSettings::new(Compiler::InProcess);
        settings.tenant_calls_max = 1;
        let shares = FairShare::new(&Arc::new(settings));
        let tenant = TenantId::parse("north").expect("a tenant name");
        let enter = |job: u32| {
            let entered = shares.enter(&tenant, CallPriority::Request, job);
            entered.expect("there is room")
        };
        let (_first, runner) = enter(1);
        let mut runner = runner.expect("a free slot");
        let (second, more) = enter(2);
        let (third, _) = enter(3);
        let (fourth, _) = enter(4);
        assert!(more.is_none(), "there is one slot");
        assert_eq!(runner.next().await.expect("a call").0, 1);
        assert!(second.give_up());
        drop(third);
        assert_eq!(runner.next().await.expect("a call").0, 4);
        assert!(!fourth.give_up(), "it has begun");
        assert!(runner.next().await.is_none());
        let (_fifth, runner) = enter(5);
        drop(runner.expect("the slot is free again"));
        assert!(
            enter(6).1.is_some(),
            "and behind a runner that was interrupted"
        );
    }

    #[test]
    fn fuel_comes_back_with_time_and_adds_up_to_the_burst_only() {
        let begun = Instant::now();
        let mut bucket = Bucket {
            fuel: Bucket::most(1_000),
            filled_at: begun,
        };
        assert_eq!(bucket.missing(1_000, begun), None);
        bucket.fuel -= 3_000;
        let wait = bucket.missing(1_000, begun).expect("a debt of 1,000");
        assert!(wait > Duration::from_millis(900) && wait < Duration::from_millis(1_100));
        assert_eq!(
            bucket.missing(1_000, begun + Duration::from_millis(1_100)),
            None
        );
        assert_eq!(
            bucket.missing(1_000, begun + Duration::from_secs(3_600)),
            None
        );
        assert_eq!(bucket.fuel, Bucket::most(1_000));
    }
}
