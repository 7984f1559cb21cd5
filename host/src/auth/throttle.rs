//! How often somebody may try to sign in: per account, and per client address.
//!
//! Called by the sign-in controllers. A try is counted before the password is looked at, right or wrong.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use boxoffice_engine::{Error, ErrorCode, Result};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};

/// Tries on one account at once, and as many again each minute: a person errs less often, a guesser of a
/// password of eight characters gets nowhere.
const ACCOUNT_TRIES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");
/// Tries from one address at once, and as many again each minute: an office behind one address signs in at nine.
const ADDRESS_TRIES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).expect("60 is not 0");
/// Accounts and addresses are hashed into this many buckets each: memory is bounded (some 16 MiB at worst) however
/// many names are tried, no name is kept, and strangers hardly ever share a bucket.
const BUCKETS: u64 = 1 << 18;
/// Buckets that filled up again are forgotten after every so many tries.
const TRIES_BETWEEN_SWEEPS: u32 = 4096;

/// Counts tries to sign in.
#[derive(Debug)]
pub(crate) struct LoginThrottle {
    accounts: DefaultKeyedRateLimiter<u32>,
    addresses: DefaultKeyedRateLimiter<u32>,
    // Random per process, so that nobody can aim at somebody else's bucket.
    hasher: RandomState,
    tries: AtomicU32,
}

impl LoginThrottle {
    /// Starts counting.
    pub(crate) fn new() -> Self {
        Self {
            accounts: RateLimiter::dashmap(Quota::per_minute(ACCOUNT_TRIES_PER_MINUTE)),
            addresses: RateLimiter::dashmap(Quota::per_minute(ADDRESS_TRIES_PER_MINUTE)),
            hasher: RandomState::new(),
            tries: AtomicU32::new(0),
        }
    }

    /// Counts a try on `account` (whatever names it) from `address`, if that is known.
    ///
    /// # Errors
    /// `too-many-requests`, with the time after which the next try is let through.
    pub(crate) fn check(&self, account: impl Hash, address: Option<IpAddr>) -> Result<()> {
        if self.tries.fetch_add(1, Ordering::Relaxed) % TRIES_BETWEEN_SWEEPS
            == TRIES_BETWEEN_SWEEPS - 1
        {
            self.accounts.retain_recent();
            self.addresses.retain_recent();
        }
        if let Some(address) = address {
            take(&self.addresses, self.bucket(network(address)))?;
        }
        take(&self.accounts, self.bucket(account))
    }

    fn bucket(&self, name: impl Hash) -> u32 {
        (self.hasher.hash_one(name) % BUCKETS) as u32
    }
}

fn take(limiter: &DefaultKeyedRateLimiter<u32>, bucket: u32) -> Result<()> {
    limiter.check_key(&bucket).map_err(|denied| {
        let wait = denied.wait_time_from(limiter.clock().now());
        Error::new(
            ErrorCode::TooManyRequests,
            "Too many tries to sign in; wait a little.",
        )
        .retry_after(wait.max(Duration::from_secs(1)))
    })
}

/// What one customer of an internet provider holds: a whole IPv4 address, or a /64 of IPv6.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

/// The address of the client: the connection's peer, or what trusted proxies say stands behind them.
///
/// `forwarded` are the values of `X-Forwarded-For` in their order. They are read from the end, as each proxy adds
/// its own peer there, and only as long as those who wrote them are trusted: anything further left is hearsay.
pub(crate) fn client_address<'a>(
    peer: Option<IpAddr>,
    forwarded: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[IpAddr],
) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|proxy| proxy.to_canonical() == address);
    let mut client = peer?.to_canonical();
    let mut entries = forwarded.rev().flat_map(|value| value.rsplit(','));
    while is_trusted(client) {
        match entries.next().and_then(parse_address) {
            Some(address) => client = address,
            None => break,
        }
    }
    Some(client)
}

/// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` and `[2001:db8::1]:80`.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse::<IpAddr>().ok();
    address
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_account_is_throttled_with_a_time_to_wait_and_others_are_not() {
        let throttle = LoginThrottle::new();
        for _ in 0..ACCOUNT_TRIES_PER_MINUTE.get() {
            throttle.check(("acme", "ann@example.org"), None).unwrap();
        }
        let denied = throttle
            .check(("acme", "ann@example.org"), None)
            .unwrap_err();
        assert_eq!(denied.code(), ErrorCode::TooManyRequests);
        let wait = denied.retry_after_hint().unwrap();
        assert!((1..=6).contains(&wait.as_secs()), "{wait:?}");
        throttle.check(("acme", "bob@example.org"), None).unwrap();
        throttle.check(("other", "ann@example.org"), None).unwrap();
    }

    #[test]
    fn an_address_is_throttled_whatever_account_it_tries() {
        let throttle = LoginThrottle::new();
        for account in 0..ADDRESS_TRIES_PER_MINUTE.get() {
            throttle.check(account, Some(ip("2001:db8::1"))).unwrap();
        }
        assert!(
            throttle.check(1_000, Some(ip("2001:db8::2"))).is_err(),
            "the same /64"
        );
        assert!(throttle.check(1_001, Some(ip("2001:db8:0:1::1"))).is_ok());
        assert!(throttle.check(1_002, Some(ip("192.0.2.1"))).is_ok());
    }

    #[test]
    fn forwarded_addresses_count_only_from_trusted_proxies() {
        let proxies = [ip("10.0.0.1"), ip("10.0.0.2")];
        let client = |peer: &str, forwarded: &[&str]| {
            client_address(Some(ip(peer)), forwarded.iter().copied(), &proxies)
                .unwrap()
                .to_string()
        };
        assert_eq!(
            client("192.0.2.9", &["198.51.100.1"]),
            "192.0.2.9",
            "a stranger may claim anything"
        );
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.2"]),
            "198.51.100.1"
        );
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6", "198.51.100.1:4711"]),
            "198.51.100.1"
        );
        assert_eq!(
            client("::ffff:10.0.0.1", &["[2001:db8::1]:80"]),
            "2001:db8::1"
        );
        assert_eq!(client("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(
            client_address(None, ["198.51.100.1"].into_iter(), &proxies),
            None
        );
    }
}
