//! Token buckets: the rate limits of mails of each tenant, and of the shared mail account, in this process.
//!
//! Who finds a bucket empty hands the batch back and comes again; waiting holds no connection, no claim and no lease,
//! and costs no attempt. Called by the delivery of batches.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};

use crate::{
    settings::DeliverySettings,
    types::{Lane, TenantId},
};

/// A batch that is put off for longer is forgotten by some queues and comes through the outbox.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Shorter waits would make a batch come and go without getting a token.
const WAIT_MIN: Duration = Duration::from_millis(50);
/// Tenants that are kept before full buckets are removed.
const TENANTS_MAX: usize = 1_000;

/// The buckets of one process.
pub(crate) struct Buckets {
    account: Option<Bucket<()>>,
    tenants: Option<Bucket<TenantId>>,
}

/// The taken tokens, and if there are fewer than requested, how long to wait for more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) tokens: usize,
    pub(super) wait: Duration,
}

struct Bucket<K: std::hash::Hash + Eq + Clone> {
    rate: NonZeroU32,
    all: DefaultKeyedRateLimiter<K>,
    /// Bulk mails pass this one first: a tenth of the rate is left to transactional mails.
    bulk: DefaultKeyedRateLimiter<K>,
}

impl Buckets {
    pub(crate) fn new(settings: &DeliverySettings) -> Self {
        Self {
            account: settings.account_mails_per_second.map(Bucket::new),
            tenants: settings.tenant_mails_per_second.map(Bucket::new),
        }
    }

    /// Takes up to `max` tokens, one for each mail that is sent now.
    pub(super) fn take(&self, tenant: &TenantId, lane: Lane, max: usize) -> Taken {
        for tokens in 0..max {
            // A tenant's token is lost if the account has none; the tenant then sends a little below its rate.
            let missing = self
                .tenants
                .as_ref()
                .and_then(|bucket| bucket.take(tenant, lane))
                .or_else(|| {
                    self.account
                        .as_ref()
                        .and_then(|bucket| bucket.take(&(), lane))
                });
            if let Some((first, rate)) = missing {
                // Until there are tokens for the rest, or a full bucket.
                let rest = u32::try_from(max - tokens).unwrap_or(u32::MAX);
                let more = Duration::from_secs(1) * (rest.min(rate.get()) - 1) / rate.get();
                let wait = (first + more).clamp(WAIT_MIN, WAIT_MAX);
                return Taken { tokens, wait };
            }
        }
        Taken {
            tokens: max,
            wait: Duration::ZERO,
        }
    }
}

impl<K: std::hash::Hash + Eq + Clone> Bucket<K> {
    /// A bucket has the tokens of one second.
    fn new(rate: NonZeroU32) -> Self {
        let nine_tenths = rate.get() - rate.get() / 10;
        let bulk = NonZeroU32::new(nine_tenths).unwrap_or(rate);
        Self {
            rate,
            all: RateLimiter::keyed(Quota::per_second(rate)),
            bulk: RateLimiter::keyed(Quota::per_second(bulk)),
        }
    }

    /// Takes a token, or returns how long until there is one, and the rate.
    fn take(&self, key: &K, lane: Lane) -> Option<(Duration, NonZeroU32)> {
        if self.all.len() > TENANTS_MAX {
            self.all.retain_recent();
            self.bulk.retain_recent();
        }
        let now = DefaultClock::default().now();
        let bulk = match lane {
            Lane::Bulk => self.bulk.check_key(key),
            Lane::Transactional => Ok(()),
        };
        let refused = bulk.and_then(|()| self.all.check_key(key)).err()?;
        Some((refused.wait_time_from(now), self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(tenant: u32, account: u32) -> Buckets {
        Buckets::new(&DeliverySettings {
            tenant_mails_per_second: NonZeroU32::new(tenant),
            account_mails_per_second: NonZeroU32::new(account),
            ..DeliverySettings::default()
        })
    }

    #[test]
    fn without_limits_everything_goes() {
        let north = TenantId::parse("north").unwrap();
        let taken = buckets(0, 0).take(&north, Lane::Bulk, 1_000);
        assert_eq!((taken.tokens, taken.wait), (1_000, Duration::ZERO));
    }

    #[test]
    fn a_tenant_gets_its_second_and_is_told_to_wait() {
        let [north, south] = ["north", "south"].map(|name| TenantId::parse(name).unwrap());
        let buckets = buckets(10, 0);
        let first = buckets.take(&north, Lane::Bulk, 32);
        assert!((9..=10).contains(&first.tokens), "{first:?}");
        assert!(first.wait >= WAIT_MIN && first.wait <= Duration::from_secs(2));
        let urgent = buckets.take(&north, Lane::Transactional, 1);
        assert_eq!(urgent.tokens, 1, "a tenth is left to what is urgent");
        assert!(buckets.take(&south, Lane::Bulk, 9).tokens >= 9);
    }

    #[test]
    fn the_account_is_shared_by_all_tenants() {
        let [north, south] = ["north", "south"].map(|name| TenantId::parse(name).unwrap());
        let buckets = buckets(0, 10);
        let both = buckets.take(&north, Lane::Transactional, 32).tokens
            + buckets.take(&south, Lane::Transactional, 32).tokens;
        assert!((10..=12).contains(&both), "{both}");
    }
}
