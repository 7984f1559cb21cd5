//! Limits of attempts to sign in and sign up. Failures count, successes do not.
//!
//! Called by the sign-in controllers. An attempt is counted before the password is checked and given back if it was right, so
//! concurrent attempts cannot exceed a limit. There are three limits of failures:
//!
//! - per account and network: a stranger's failures do not affect the owner, who has another network;
//! - per network, over all accounts;
//! - per account, over all networks. It locks nobody out: beyond it each network has one attempt in ten minutes at this account.
//!
//! A known device (with a signed cookie of an earlier sign-in) has its own limit instead.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use boxoffice_engine::{Error, ErrorCode, Result};

/// Failures on one account from one network at once, and the same number each minute: people fail less often, and guessing a
/// password of eight characters is hopeless.
const PAIR_FAILURES: Rate = Rate::per(10, Duration::from_secs(60));
/// Failures from one network at once, and the same number each minute: an office behind one address signs in at nine.
const NETWORK_FAILURES: Rate = Rate::per(60, Duration::from_secs(60));
/// Failures on one account from all networks at once, and the same number each hour. No person fails so often; failures from
/// so many networks are guessing.
const ACCOUNT_FAILURES: Rate = Rate::per(100, Duration::from_secs(3_600));
/// Failures from one network on an account under attack: an attacker with a thousand networks has 6,000 an hour, and the
/// owner, in another network, the one attempt that they need.
const GUESSED_PAIR_FAILURES: Rate = Rate::per(1, Duration::from_secs(600));
/// Failures of a known device on its account.
const DEVICE_FAILURES: Rate = Rate::per(10, Duration::from_secs(60));
/// Names are hashed into this many buckets of each kind: memory is limited (2 MiB for each) whatever is tried, no name
/// is stored, and two names rarely share a bucket.
const BUCKETS: usize = 1 << 18;

/// A number at once, and the same number evenly over a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Microseconds between two.
    interval: u64,
    burst: u64,
}

impl Rate {
    const fn per(burst: u32, time: Duration) -> Self {
        Self {
            interval: time.as_micros() as u64 / burst as u64,
            burst: burst as u64,
        }
    }
}

/// Token buckets by name, each one number that is changed by compare-and-set (GCRA). The crate `governor`, which counts requests,
/// cannot give a token back.
#[derive(Debug)]
struct Buckets {
    rate: Rate,
    /// When each bucket is full again, in microseconds after `begun`.
    full_at: Box<[AtomicU64]>,
}

impl Buckets {
    fn new(rate: Rate) -> Self {
        Self {
            rate,
            full_at: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Takes some tokens, all or none. Otherwise returns how long until they are available.
    fn take(&self, bucket: usize, count: u32, now: u64) -> Result<(), Duration> {
        let cost = self.rate.interval * u64::from(count);
        let most = self.rate.interval * self.rate.burst;
        let moved =
            self.full_at[bucket].fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
                let next = full_at.max(now) + cost;
                (next - now <= most).then_some(next)
            });
        moved.map(|_| ()).map_err(|full_at| {
            Duration::from_micros((full_at.max(now) + cost).saturating_sub(now + most))
        })
    }

    /// Takes a token if there is one. Returns whether there was.
    fn note(&self, bucket: usize, now: u64) -> bool {
        self.take(bucket, 1, now).is_ok()
    }

    fn is_empty(&self, bucket: usize, now: u64) -> bool {
        let left = self.rate.interval * (self.rate.burst - 1);
        self.full_at[bucket].load(Ordering::Acquire) > now + left
    }

    fn give_back(&self, bucket: usize, count: u32) {
        let refund = self.rate.interval * u64::from(count);
        let moved =
            self.full_at[bucket].fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
                Some(full_at.saturating_sub(refund))
            });
        debug_assert!(moved.is_ok(), "the update always answers a value");
    }
}

/// Counts failures to sign in.
#[derive(Debug)]
pub(crate) struct LoginThrottle {
    pairs: Buckets,
    networks: Buckets,
    accounts: Buckets,
    guessed_pairs: Buckets,
    devices: Buckets,
    // Random per process, so that nobody can target another's bucket.
    hasher: RandomState,
    begun: Instant,
}

/// An attempt to sign in. It counts as a failure until its outcome is known.
#[derive(Debug)]
#[must_use = "a try counts as a failure until it is settled"]
pub(crate) struct Try<'a>(Vec<(&'a Buckets, usize)>);

impl Try<'_> {
    /// An attempt at a host that counts none.
    pub(crate) fn uncounted() -> Self {
        Self(Vec::new())
    }

    /// Sets the outcome: only wrong credentials and ID tokens are a failure.
    pub(crate) fn settle<T>(self, outcome: &Result<T>) {
        let failed = matches!(
            outcome,
            Err(error) if matches!(error.code(), ErrorCode::WrongCredentials | ErrorCode::IdTokenInvalid)
        );
        if !failed {
            for (buckets, bucket) in self.0 {
                buckets.give_back(bucket, 1);
            }
        }
    }
}

impl LoginThrottle {
    /// Starts counting.
    pub(crate) fn new() -> Self {
        Self {
            pairs: Buckets::new(PAIR_FAILURES),
            networks: Buckets::new(NETWORK_FAILURES),
            accounts: Buckets::new(ACCOUNT_FAILURES),
            guessed_pairs: Buckets::new(GUESSED_PAIR_FAILURES),
            devices: Buckets::new(DEVICE_FAILURES),
            hasher: RandomState::new(),
            begun: Instant::now(),
        }
    }

    /// Counts an attempt on `account` from `address`, if that is known, by a `device` that signed in to the
    /// account before, if it has a valid cookie.
    ///
    /// # Errors
    /// `too-many-requests`, with the time after which the next attempt is allowed.
    pub(crate) fn begin(
        &self,
        account: impl Hash,
        address: Option<IpAddr>,
        device: Option<&str>,
    ) -> Result<Try<'_>> {
        let now = self.begun.elapsed().as_micros() as u64;
        self.begin_at(account, address, device, now)
    }

    fn begin_at(
        &self,
        account: impl Hash,
        address: Option<IpAddr>,
        device: Option<&str>,
        now: u64,
    ) -> Result<Try<'_>> {
        let mut counted = Try(Vec::with_capacity(4));
        if let Some(device) = device {
            counted.take(&self.devices, self.bucket((&account, device)), now)?;
            return Ok(counted);
        }
        let network = address.map(network);
        if let Some(network) = network {
            counted.take(&self.networks, self.bucket(network), now)?;
        }
        let (own, pair) = (self.bucket(&account), self.bucket((&account, network)));
        counted.take(&self.pairs, pair, now)?;
        // Without an address all strangers are one network, and only its own limit applies.
        if network.is_some() {
            if self.accounts.is_empty(own, now) {
                counted.take(&self.guessed_pairs, pair, now)?;
            }
            if self.accounts.note(own, now) {
                counted.0.push((&self.accounts, own));
            }
        }
        Ok(counted)
    }

    fn bucket(&self, name: impl Hash) -> usize {
        (self.hasher.hash_one(name) % BUCKETS as u64) as usize
    }
}

impl<'a> Try<'a> {
    /// Takes a token, or returns all that were taken and refuses.
    fn take(&mut self, buckets: &'a Buckets, bucket: usize, now: u64) -> Result<()> {
        match buckets.take(bucket, 1, now) {
            Ok(()) => {
                self.0.push((buckets, bucket));
                Ok(())
            }
            Err(wait) => {
                // A refused attempt was no guess.
                for (buckets, bucket) in self.0.drain(..) {
                    buckets.give_back(bucket, 1);
                }
                Err(too_many(
                    "Too many failed sign-ins; wait, or sign in on a device where you have signed in before.",
                    wait,
                ))
            }
        }
    }
}

/// Limits what a network does in a time, such as creating accounts.
#[derive(Debug)]
pub(crate) struct NetworkAllowance {
    buckets: Buckets,
    hasher: RandomState,
    begun: Instant,
    detail: &'static str,
}

impl NetworkAllowance {
    /// Allows this many in a time, at once or one by one; `detail` is the error's sentence.
    pub(crate) fn new(most: NonZeroU32, time: Duration, detail: &'static str) -> Self {
        Self {
            buckets: Buckets::new(Rate::per(most.get(), time)),
            hasher: RandomState::new(),
            begun: Instant::now(),
            detail,
        }
    }

    /// Counts `count` of them for the network of an address, within a tenant if `scope` names one.
    ///
    /// # Errors
    /// `too-many-requests`, with the time after which so many are allowed. More than the limit
    /// count as the limit.
    pub(crate) fn take(
        &self,
        scope: impl Hash,
        address: Option<IpAddr>,
        count: u32,
    ) -> Result<Taken<'_>> {
        let Some(address) = address else {
            // The server does not know the client's address.
            return Ok(Taken::nothing());
        };
        self.take_for((scope, network(address)), count)
    }

    /// Counts `count` of them for whoever the name names.
    ///
    /// # Errors
    /// As those of [`Self::take`].
    pub(crate) fn take_for(&self, name: impl Hash, count: u32) -> Result<Taken<'_>> {
        let bucket = self.hasher.hash_one(name) % BUCKETS as u64;
        let now = self.begun.elapsed().as_micros() as u64;
        let count = u64::from(count).min(self.buckets.rate.burst) as u32;
        match self.buckets.take(bucket as usize, count, now) {
            Ok(()) => Ok(Taken(Some((&self.buckets, bucket as usize, count)))),
            Err(wait) => Err(too_many(self.detail, wait)),
        }
    }
}

/// What was counted for a network.
#[derive(Debug)]
pub(crate) struct Taken<'a>(Option<(&'a Buckets, usize, u32)>);

impl Taken<'_> {
    /// Nothing was counted.
    pub(crate) fn nothing() -> Self {
        Self(None)
    }

    /// Returns it, because nothing happened.
    pub(crate) fn give_back(self) {
        if let Some((buckets, bucket, count)) = self.0 {
            buckets.give_back(bucket, count);
        }
    }
}

fn too_many(detail: &'static str, wait: Duration) -> Error {
    Error::new(ErrorCode::TooManyRequests, detail).retry_after(wait.max(Duration::from_secs(1)))
}

/// The network of one customer of an internet provider: an IPv4 address, or a /64 of IPv6.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

/// The address of the client: the connection's peer, or the one that trusted proxies report.
///
/// `forwarded` are the values of `X-Forwarded-For` in order. They are read from the end, because each proxy adds
/// its peer there, and only as long as their writers are trusted.
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
mod tests;
