//! Who requests come from, kept in memory, and the revocation log that says when to look again.
//!
//! A principal that was read once counts without another read for as long as this process knows that nothing of its owner
//! was revoked: the last successful look at the log began less than a second ago. Otherwise it is read from the store; if
//! that cannot be asked, nobody is let in. So whatever ends a session has its effect at every host within a second, and
//! whoever asks nothing costs nothing: requests themselves look at the log, twice a second at most.
//!
//! Called by the sessions module. API keys fit in: a further kind of owner and id.

use std::{
    collections::HashSet,
    future::Future,
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
    types::{Principal, SessionId, SessionOwner},
};

/// Between two looks at the log.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a look is good for: what ends a session has its effect within this.
const LOOK_GOOD_FOR: Duration = Duration::from_secs(1);
/// Principals that are kept: some 6 MB. Who is not among them costs one read of two rows.
const PRINCIPALS_MAX: usize = 20_000;

/// The principals that this process has read, and how far it has read the log.
pub(super) struct Principals {
    known: Mutex<Known>,
    /// Held by whoever looks at the log.
    looking: tokio::sync::Mutex<()>,
}

struct Known {
    principals: LruCache<SessionId, Principal>,
    /// The last entry of the log that was read.
    position: Option<i64>,
    /// When the last successful look began.
    looked_at: Option<Instant>,
    /// When the last look began, or failed.
    tried_at: Option<Instant>,
    /// How often something was forgotten. A principal that was being read meanwhile is not kept.
    forgotten: u64,
}

impl Known {
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
                self.forget(|owner| owners.contains(&owner.to_string()));
            }
            Revoked::Any => self.forget(|_| true),
        }
    }

    fn forget(&mut self, is_revoked: impl Fn(&SessionOwner) -> bool) {
        self.forgotten += 1;
        self.principals
            .retain(|principal| !is_revoked(&principal.owner));
    }
}

impl Principals {
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

    /// The principal of a session: as it is known here, or as `read` finds it.
    pub(super) async fn find(
        &self,
        repository: &SessionsRepository,
        id: SessionId,
        read: impl Future<Output = Result<Option<Principal>>>,
    ) -> Result<Option<Principal>> {
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

    /// Forgets what this process itself has just ended, without waiting for the log.
    pub(super) fn forget(&self, owner: &SessionOwner) {
        self.known().forget(|other| other == owner);
    }

    /// Looks at the log if that is due. One request at a time does; the others wait only if what is known is too old.
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
            // Somebody else looked while this one waited.
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
                tracing::warn!(?error, "the revocation log could not be read");
                // Those who waited for this look ask the store themselves, instead of each trying again.
                self.known().tried_at = Some(Instant::now());
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.locked()
    }
}
