//! A cache of principals (the callers of requests), and the revocation log that invalidates it.
//!
//! A cached principal is valid as long as this process knows that nothing of its owner
//! was revoked: the last successful read of the log began less than a second ago. Otherwise it is read from the store. If
//! the store does not answer, the request is refused. So the end of a session takes effect at every host within a second, and
//! without requests there is no cost: requests themselves read the log, at most twice a second.
//!
//! Called by the rules of sessions and of API keys.

use std::{
    collections::HashSet,
    future::Future,
    hash::Hash,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use crate::{
    error::Result,
    locked::Locked as _,
    modules::{
        repositories::{Revoked, SessionsRepository, SystemScope},
        support::lru_cache::LruCache,
    },
};

/// Something that the revocation log can end.
pub(super) trait Revocable: Clone {
    /// Its owner's name in the log.
    fn owner_name(&self) -> String;
}

/// The pause between two reads of the log.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a read of the log is valid. The end of a session takes effect within this time.
const LOOK_GOOD_FOR: Duration = Duration::from_secs(1);
/// Most cached principals: about 6 MB. One that is not cached costs one read of two rows.
const PRINCIPALS_MAX: usize = 20_000;

/// The cached principals, and the position in the log.
pub(super) struct Principals<K, P> {
    known: Mutex<Known<K, P>>,
    /// Held while the log is read.
    looking: tokio::sync::Mutex<()>,
}

struct Known<K, P> {
    principals: LruCache<K, P>,
    /// The last entry that was read.
    position: Option<i64>,
    /// When the last successful read began.
    looked_at: Option<Instant>,
    /// When the last read began, or failed.
    tried_at: Option<Instant>,
    /// The number of removals. A principal that was being read during a removal is not cached.
    forgotten: u64,
}

impl<K: Eq + Hash + Clone, P: Revocable> Known<K, P> {
    fn is_current(&self, now: Instant) -> bool {
        let looked_at = self.looked_at;
        looked_at.is_some_and(|at| now.duration_since(at) < LOOK_GOOD_FOR)
    }

    fn is_due(&self, now: Instant) -> bool {
        let tried_at = self.tried_at;
        tried_at.is_none_or(|at| now.duration_since(at) >= LOOK_EVERY)
    }

    fn take(&mut self, position: i64, revoked: Revoked) {
        self.position = Some(position);
        match revoked {
            Revoked::Of(owners) if owners.is_empty() => {}
            Revoked::Of(owners) => {
                let owners: HashSet<String> = owners.into_iter().collect();
                self.forget(|principal| owners.contains(&principal.owner_name()));
            }
            Revoked::Any => self.forget(|_| true),
        }
    }

    fn forget(&mut self, is_revoked: impl Fn(&P) -> bool) {
        self.forgotten += 1;
        self.principals.retain(|principal| !is_revoked(principal));
    }
}

impl<K: Eq + Hash + Clone, P: Revocable> Principals<K, P> {
    pub(super) fn new() -> Self {
        let known = Known {
            principals: LruCache::new(PRINCIPALS_MAX),
            position: None,
            looked_at: None,
            tried_at: None,
            forgotten: 0,
        };
        Self {
            known: Mutex::new(known),
            looking: tokio::sync::Mutex::new(()),
        }
    }

    /// The principal of a session or API key: the cached one, or what `read` finds.
    pub(super) async fn find(
        &self,
        repository: &SessionsRepository,
        id: K,
        read: impl Future<Output = Result<Option<P>>>,
    ) -> Result<Option<P>> {
        self.follow(repository).await;
        let forgotten = {
            let mut known = self.known();
            if known.is_current(Instant::now())
                && let Some(principal) = known.principals.get(&id)
            {
                return Ok(Some(principal.clone()));
            }
            known.forgotten
        };
        let found = read.await?;
        if let Some(principal) = &found {
            let mut known = self.known();
            if known.forgotten == forgotten {
                known.principals.insert(id, principal.clone());
            }
        }
        Ok(found)
    }

    /// Removes what this process has just ended, without waiting for the log.
    pub(super) fn forget(&self, is_revoked: impl Fn(&P) -> bool) {
        self.known().forget(is_revoked);
    }

    /// Reads the log if that is due. One request at a time does; the others wait only if the last read is too old.
    async fn follow(&self, repository: &SessionsRepository) {
        let (is_due, is_current) = {
            let (known, now) = (self.known(), Instant::now());
            (known.is_due(now), known.is_current(now))
        };
        if !is_due {
            return;
        }
        let _looking = if is_current {
            match self.looking.try_lock() {
                Ok(looking) => looking,
                Err(_) => return,
            }
        } else {
            self.looking.lock().await
        };
        let began = Instant::now();
        let position = {
            let mut known = self.known();
            // Another request read it while this one waited.
            if !known.is_due(began) {
                return;
            }
            known.tried_at = Some(began);
            known.position
        };
        match repository.revoked_since(SystemScope::new(), position).await {
            Ok((position, revoked)) => {
                let mut known = self.known();
                known.take(position, revoked);
                known.looked_at = Some(began);
            }
            Err(error) => {
                tracing::warn!(?error, "reading the revocation log failed");
                // Requests that waited for this read ask the store instead of trying again.
                self.known().tried_at = Some(Instant::now());
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known<K, P>> {
        self.known.locked()
    }
}
