//! Fair sharing of calls: slots and fuel by tenant, so that one tenant's plugins never block another's.
//!
//! Called by the plugin host around each call.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
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

/// Slots and fuel of all tenants.
pub(super) struct FairShare {
    all: Arc<Semaphore>,
    trials: Arc<Semaphore>,
    /// One small entry for each tenant with a plugin call since the start.
    tenants: Mutex<HashMap<TenantId, Arc<Share>>>,
    settings: PluginHostSettings,
}

struct Share {
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    fuel: Mutex<Bucket>,
}

/// The available fuel; negative after a call that used more.
struct Bucket {
    fuel: i128,
    filled_at: Instant,
}

/// The permit for one call.
pub(super) struct Admission {
    share: Arc<Share>,
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Admission {
    /// Subtracts the call's cost from the tenant's share.
    pub(super) fn charge(&self, fuel: u64) {
        self.share.locked().fuel -= i128::from(fuel);
    }
}

impl FairShare {
    pub(super) fn new(settings: &PluginHostSettings) -> Self {
        Self {
            all: Arc::new(Semaphore::new(settings.calls_max)),
            trials: Arc::new(Semaphore::new(TRIALS_MAX)),
            tenants: Mutex::default(),
            settings: settings.clone(),
        }
    }

    /// Waits for a permit of a tenant.
    ///
    /// # Errors
    /// [`HookFailure::Busy`] if too many wait already, or the wait is too long.
    pub(super) async fn admit(
        &self,
        tenant: &TenantId,
        priority: CallPriority,
    ) -> Result<Admission, HookFailure> {
        let share = self.share(tenant);
        let _waiting = Waiting::enter(&share, self.settings.tenant_waiting_max)?;
        let busy = || HookFailure::Busy("this tenant's plugins are over their share".to_owned());
        let acquire = self.acquire(share.clone(), priority);
        match tokio::time::timeout(self.settings.wait_max, acquire).await {
            Ok(admission) => admission.ok_or_else(busy),
            Err(_) => Err(busy()),
        }
    }

    /// The tenant's slot first: so it never has more requests in the common queue than it may run.
    async fn acquire(&self, share: Arc<Share>, priority: CallPriority) -> Option<Admission> {
        let mut permits = vec![share.slots.clone().acquire_owned().await.ok()?];
        if priority == CallPriority::Background {
            permits.push(self.trials.clone().acquire_owned().await.ok()?);
        }
        loop {
            let wait = share
                .locked()
                .missing(self.settings.tenant_fuel_per_second, Instant::now());
            match wait {
                None => break,
                Some(wait) => tokio::time::sleep(wait).await,
            }
        }
        permits.push(self.all.clone().acquire_owned().await.ok()?);
        Some(Admission {
            share,
            _permits: permits,
        })
    }

    fn share(&self, tenant: &TenantId) -> Arc<Share> {
        let mut tenants = self.tenants.locked();
        if let Some(share) = tenants.get(tenant) {
            return share.clone();
        }
        let share = Arc::new(Share {
            slots: Arc::new(Semaphore::new(self.settings.tenant_calls_max)),
            waiting: AtomicUsize::new(0),
            fuel: Mutex::new(Bucket {
                fuel: Bucket::most(self.settings.tenant_fuel_per_second),
                filled_at: Instant::now(),
            }),
        });
        tenants.insert(tenant.clone(), share.clone());
        share
    }
}

impl Share {
    fn locked(&self) -> std::sync::MutexGuard<'_, Bucket> {
        self.fuel.locked()
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

/// A waiting request of a tenant.
struct Waiting<'a>(&'a Share);

impl<'a> Waiting<'a> {
    fn enter(share: &'a Share, most: usize) -> Result<Self, HookFailure> {
        let before = share.waiting.fetch_add(1, Ordering::Relaxed);
        let entered = Self(share);
        if before >= most {
            return Err(HookFailure::Busy(
                "too many calls of this tenant's plugins wait already".to_owned(),
            ));
        }
        Ok(entered)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

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
