//! Rate limits of clients and tenants: token buckets in front of all routes with a caller.
//!
//! Called by the extractors, once they know the caller. One request takes one token of its client (a signed-in user, an API
//! key, or the network address of anybody else) and one of its tenant. Only a tenant over its limit is refused.
//!
//! No lock is held while anything waits: a bucket is one number (GCRA) that is changed by compare-and-set, found under the read
//! lock of one of some dozens of small maps. Only a client's first request in a while writes to such a map.

use std::{
    fmt,
    hash::{BuildHasher as _, Hash, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::http::HeaderValue;
use boxoffice_engine::{Caller, Error, ErrorCode, Result, TenantId};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};

use super::throttle::network;

use crate::locked::Locked as _;

/// A limit is a number of requests at once, and the same number evenly over a minute.
const WINDOW_SECONDS: u64 = 60;
/// Full buckets are removed after this number of requests; a sweep over all of them takes some milliseconds.
const REQUESTS_BETWEEN_SWEEPS: u32 = 1 << 16;
/// With more buckets than this, new clients share one of [`SHARED_BUCKETS`]: memory stays below about 30 MiB
/// (this, the growth between two sweeps, and the shared ones, at about 100 bytes each), whatever names clients invent.
const BUCKETS_MAX: usize = 1 << 17;
const SHARED_BUCKETS: u64 = 1 << 16;

/// The limits of clients and of tenants, if they are set.
#[derive(Debug)]
pub(crate) struct RequestLimits<C: Clock = DefaultClock> {
    clients: Option<Buckets<C>>,
    tenants: Option<Buckets<C>>,
}

/// The state of a request's client limit, for the headers of the response. The extractors fill it in.
#[derive(Debug, Default)]
pub(crate) struct RateLimitState(Mutex<Option<Remaining>>);

#[derive(Debug, Clone, Copy)]
struct Remaining {
    policy: &'static str,
    requests: u32,
    seconds: u64,
}

impl RequestLimits {
    /// Limits to this many requests a minute; `None` for no limit.
    pub(crate) fn new(
        client_per_minute: Option<NonZeroU32>,
        tenant_per_minute: Option<NonZeroU32>,
    ) -> Option<Self> {
        Self::with_clock(
            client_per_minute,
            tenant_per_minute,
            &DefaultClock::default(),
        )
    }
}

impl<C: Clock + Clone> RequestLimits<C> {
    fn with_clock(
        client_per_minute: Option<NonZeroU32>,
        tenant_per_minute: Option<NonZeroU32>,
        clock: &C,
    ) -> Option<Self> {
        let buckets = |policy, limit: Option<NonZeroU32>| {
            limit.map(|limit| Buckets::new(policy, limit, clock.clone()))
        };
        let limits = Self {
            clients: buckets("client", client_per_minute),
            tenants: buckets("tenant", tenant_per_minute),
        };
        (limits.clients.is_some() || limits.tenants.is_some()).then_some(limits)
    }

    /// Counts a request: of `caller` if it is a user or an API key, else of `address`, and of `tenant`. Unknown ones are not
    /// counted. Records the state of the client's limit.
    ///
    /// # Errors
    /// `too-many-requests`, with the time after which the next one is allowed.
    pub(crate) fn count(
        &self,
        caller: Option<&Caller>,
        address: Option<IpAddr>,
        tenant: Option<&TenantId>,
        state: Option<&RateLimitState>,
    ) -> Result<()> {
        let user = caller.and_then(|caller| Some((caller.tenant().ok()?, caller.user_id()?)));
        let key = caller.and_then(|caller| Some((caller.tenant().ok()?, caller.api_key_id()?)));
        if let Some(clients) = &self.clients {
            match (user, key, address) {
                (Some((own, user)), _, _) => clients.take((own.as_str(), user), state)?,
                (None, Some((own, key)), _) => clients.take((own.as_str(), key), state)?,
                (None, None, Some(address)) => clients.take(network(address), state)?,
                // The server does not know the client's address.
                (None, None, None) => {}
            }
        }
        match (&self.tenants, tenant) {
            // The rest of a tenant's limit is not shown to its clients, because it reveals how much is sold there.
            (Some(tenants), Some(tenant)) => {
                tenants.take(tenant.as_str(), None).inspect_err(|_| {
                    if let Some(state) = state {
                        state.set(Remaining {
                            policy: tenants.policy,
                            requests: 0,
                            seconds: WINDOW_SECONDS,
                        });
                    }
                })
            }
            _ => Ok(()),
        }
    }

    /// The value of `RateLimit-Policy`: the same in every response.
    pub(crate) fn policies(&self) -> HeaderValue {
        let all = [&self.clients, &self.tenants].into_iter().flatten();
        let texts: Vec<String> = all
            .map(|buckets| {
                format!(
                    "\"{}\";q={};w={WINDOW_SECONDS}",
                    buckets.policy, buckets.limit
                )
            })
            .collect();
        HeaderValue::from_str(&texts.join(", ")).expect("words and numbers are a header value")
    }
}

impl RateLimitState {
    /// The value of `RateLimit` for the request's client; `None` if it was not counted.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let Remaining {
            policy,
            requests,
            seconds,
        } = (*self.0.locked())?;
        HeaderValue::from_str(&format!("\"{policy}\";r={requests};t={seconds}")).ok()
    }

    fn set(&self, remaining: Remaining) {
        *self.0.locked() = Some(remaining);
    }
}

type Limiter<C> = RateLimiter<u64, DefaultKeyedStateStore<u64>, C, StateInformationMiddleware>;

/// One bucket for each name.
struct Buckets<C: Clock> {
    policy: &'static str,
    limit: NonZeroU32,
    limiter: Limiter<C>,
    // Random per process, so that nobody can target another's bucket.
    hasher: RandomState,
    requests: AtomicU32,
    is_crowded: AtomicBool,
}

impl<C: Clock> fmt::Debug for Buckets<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Buckets")
            .field("policy", &self.policy)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<C: Clock> Buckets<C> {
    fn new(policy: &'static str, limit: NonZeroU32, clock: C) -> Self {
        let quota = Quota::per_minute(limit);
        Self {
            policy,
            limit,
            limiter: RateLimiter::dashmap_with_clock(quota, clock)
                .with_middleware::<StateInformationMiddleware>(),
            hasher: RandomState::new(),
            requests: AtomicU32::new(0),
            is_crowded: AtomicBool::new(false),
        }
    }

    fn take(&self, name: impl Hash, state: Option<&RateLimitState>) -> Result<()> {
        if self.requests.fetch_add(1, Ordering::Relaxed) % REQUESTS_BETWEEN_SWEEPS
            == REQUESTS_BETWEEN_SWEEPS - 1
        {
            self.sweep();
        }
        let (left, outcome) = match self.limiter.check_key(&self.bucket(name)) {
            Ok(state) => (state.remaining_burst_capacity(), Ok(())),
            Err(denied) => {
                let wait = denied.wait_time_from(self.limiter.clock().now());
                (0, Err(self.refusal(wait)))
            }
        };
        if let Some(state) = state {
            let used = u64::from(self.limit.get().saturating_sub(left));
            state.set(Remaining {
                policy: self.policy,
                requests: left,
                // When the bucket is full.
                seconds: (used * WINDOW_SECONDS).div_ceil(u64::from(self.limit.get())),
            });
        }
        outcome
    }

    fn refusal(&self, wait: Duration) -> Error {
        let detail = match self.policy {
            "tenant" => "Too many requests to this tenant; retry after the time in Retry-After.",
            _ => "Too many requests; retry after the time in Retry-After.",
        };
        Error::new(ErrorCode::TooManyRequests, detail).retry_after(wait.max(Duration::from_secs(1)))
    }

    fn bucket(&self, name: impl Hash) -> u64 {
        let hash = self.hasher.hash_one(name);
        if self.is_crowded.load(Ordering::Relaxed) {
            hash % SHARED_BUCKETS
        } else {
            hash
        }
    }

    /// Removes full buckets: a new one starts full.
    fn sweep(&self) {
        self.limiter.retain_recent();
        let crowded = self.limiter.len() > BUCKETS_MAX;
        self.is_crowded.store(crowded, Ordering::Relaxed);
        if !crowded {
            self.limiter.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_engine::{UserId, UserRole};
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limits(client: u32, tenant: u32) -> (RequestLimits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let limits =
            RequestLimits::with_clock(NonZeroU32::new(client), NonZeroU32::new(tenant), &clock);
        (limits.unwrap(), clock)
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn user(name: &str, id: &str) -> Caller {
        let id: UserId = id.parse().unwrap();
        Caller::user(tenant(name), id, UserRole::Customer)
    }

    const ANN: &str = "01jaaaaaaaaaaaaaaaaaaaaaaa";
    const BEN: &str = "01jbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn a_client_over_its_limit_waits_and_others_do_not() {
        let (limits, clock) = limits(3, 0);
        let north = tenant("north");
        let ask = |caller: &Caller, address: Option<&str>, state: &RateLimitState| {
            let address = address.map(|address| address.parse().unwrap());
            limits.count(Some(caller), address, Some(&north), Some(state))
        };
        let ann = user("north", ANN);
        for left in [2, 1, 0] {
            let state = RateLimitState::default();
            ask(&ann, Some("192.0.2.1"), &state).unwrap();
            let header = state.header().unwrap();
            let seconds = 20 * (3 - left);
            assert_eq!(header, format!("\"client\";r={left};t={seconds}").as_str());
        }
        let state = RateLimitState::default();
        let denied = ask(&ann, None, &state).unwrap_err();
        assert_eq!(denied.code(), ErrorCode::TooManyRequests);
        assert_eq!(denied.retry_after_hint().unwrap().as_secs(), 20);
        assert_eq!(state.header().unwrap(), "\"client\";r=0;t=60");

        // Somebody else, the same address without a sign-in, and the same id elsewhere.
        ask(
            &user("north", BEN),
            Some("192.0.2.1"),
            &RateLimitState::default(),
        )
        .unwrap();
        let stranger = Caller::anonymous(north.clone());
        ask(&stranger, Some("192.0.2.1"), &RateLimitState::default()).unwrap();
        ask(&user("south", ANN), None, &RateLimitState::default()).unwrap();

        clock.advance(Duration::from_secs(20));
        ask(&ann, None, &RateLimitState::default()).unwrap();
        ask(&ann, None, &RateLimitState::default()).unwrap_err();
    }

    #[test]
    fn a_tenant_over_its_limit_hurts_only_itself() {
        let (limits, _) = limits(1_000, 2);
        for id in [ANN, BEN] {
            let caller = user("north", id);
            limits
                .count(Some(&caller), None, Some(&tenant("north")), None)
                .unwrap();
        }
        let late = user("north", "01jccccccccccccccccccccccc");
        let denied = limits
            .count(Some(&late), None, Some(&tenant("north")), None)
            .unwrap_err();
        assert_eq!(denied.code(), ErrorCode::TooManyRequests);
        let south = user("south", ANN);
        limits
            .count(Some(&south), None, Some(&tenant("south")), None)
            .unwrap();
    }

    #[test]
    fn without_limits_there_is_nothing_to_count() {
        assert!(RequestLimits::new(None, None).is_none());
        let (limits, _) = limits(100, 7);
        assert_eq!(
            limits.policies(),
            "\"client\";q=100;w=60, \"tenant\";q=7;w=60"
        );
    }

    #[test]
    fn names_that_strangers_invent_are_forgotten_or_share_buckets() {
        let (limits, clock) = limits(10, 0);
        let clients = limits.clients.as_ref().unwrap();
        let most = BUCKETS_MAX + 4 * REQUESTS_BETWEEN_SWEEPS as usize;
        for name in 0..most {
            // Those that share a bucket may well be over its limit.
            let _ = clients.take(name, None);
        }
        assert!(clients.is_crowded.load(Ordering::Relaxed));
        let bound = BUCKETS_MAX + REQUESTS_BETWEEN_SWEEPS as usize + SHARED_BUCKETS as usize;
        assert!(clients.limiter.len() <= bound, "{}", clients.limiter.len());
        // Some minutes later all are full again, whatever was asked meanwhile.
        clock.advance(Duration::from_secs(180));
        clients.sweep();
        assert_eq!(clients.limiter.len(), 0);
        assert!(!clients.is_crowded.load(Ordering::Relaxed));
    }
}
