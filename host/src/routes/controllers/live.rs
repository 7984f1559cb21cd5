//! What is shown live: how everything stands, sampled once for all who watch the same.
//!
//! One task per process samples while anybody watches. Each who watches has a place for one sample, the newest: a slow
//! reader misses some and holds up nobody.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use boxoffice_engine::{Caller, Engine, Error, ErrorCode, Role, TenantId, UserId};
use futures::{Stream, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Answer, dispatch::SightResponse};
use crate::routes::extract::AsWatcher;

/// Between two samples.
const EVERY: Duration = Duration::from_secs(1);
/// Pages that watch at the same time in one process.
const WATCHERS_MAX: usize = 200;
/// Different sights that are sampled at the same time, each a handful of reads a second.
const SCOPES_MAX: usize = 32;
/// A stream ends after this long, and its page asks again: a role that was taken away shows nothing for longer.
const LASTS: Duration = Duration::from_secs(600);

/// Whose sight: two with the same see the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Scope {
    tenant: Option<TenantId>,
    role: Role,
    /// Organizers see events of their own.
    user: Option<UserId>,
}

struct Watched {
    caller: Caller,
    newest: watch::Sender<Arc<str>>,
}

/// The sampler.
pub(in crate::routes) struct Live {
    engine: Engine,
    stopping: CancellationToken,
    places: Arc<Semaphore>,
    watched: Mutex<HashMap<Scope, Watched>>,
}

impl Live {
    pub(in crate::routes) fn new(engine: Engine, stopping: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            engine,
            stopping,
            places: Arc::new(Semaphore::new(WATCHERS_MAX)),
            watched: Mutex::default(),
        })
    }

    /// Lets somebody watch; starts sampling if nobody did.
    fn watch(self: &Arc<Self>, caller: Caller) -> Result<Watcher, Error> {
        let full = || {
            Error::new(
                ErrorCode::Unavailable,
                "Too many pages watch this host; close some, or try again later.",
            )
            .retry_after(Duration::from_secs(30))
        };
        let place = self
            .places
            .clone()
            .try_acquire_owned()
            .map_err(|_| full())?;
        let scope = Scope {
            tenant: caller.tenant().ok().cloned(),
            role: caller.role(),
            user: caller
                .user_id()
                .filter(|_| caller.role() == Role::Organizer),
        };
        let mut watched = self.watched();
        if !watched.contains_key(&scope) && watched.len() >= SCOPES_MAX {
            return Err(full());
        }
        let idle = watched.is_empty();
        let one = watched.entry(scope).or_insert_with(|| Watched {
            caller,
            newest: watch::Sender::new("".into()),
        });
        let mut newest = one.newest.subscribe();
        // What was sampled before is news to this one.
        newest.mark_changed();
        if idle {
            let live = self.clone();
            tokio::spawn(async move { live.sample().await });
        }
        Ok(Watcher {
            newest,
            stopping: self.stopping.clone(),
            until: Instant::now() + LASTS,
            _place: place,
        })
    }

    /// Samples until nobody watches.
    async fn sample(&self) {
        while !self.stopping.is_cancelled() {
            let callers: Vec<(Scope, Caller)> = {
                let mut watched = self.watched();
                watched.retain(|_, one| one.newest.receiver_count() > 0);
                if watched.is_empty() {
                    return;
                }
                let all = watched.iter();
                all.map(|(scope, one)| (scope.clone(), one.caller.clone()))
                    .collect()
            };
            for (scope, caller) in callers {
                let sight = self.engine.dispatch().sight(&caller).await;
                let text =
                    match sight.map(|sight| serde_json::to_string(&SightResponse::from(sight))) {
                        Ok(Ok(text)) => text,
                        Ok(Err(error)) => {
                            tracing::error!(%error, "a sample could not be written as JSON");
                            continue;
                        }
                        Err(error) => {
                            tracing::warn!(error = ?error, "sampling failed; trying again");
                            continue;
                        }
                    };
                if let Some(one) = self.watched().get(&scope) {
                    one.newest.send_replace(text.into());
                }
            }
            tokio::time::sleep(EVERY).await;
        }
        self.watched().clear();
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<Scope, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who watches.
struct Watcher {
    newest: watch::Receiver<Arc<str>>,
    stopping: CancellationToken,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// The next sample; none when it is over.
    async fn next(&mut self) -> Option<Arc<str>> {
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return None,
                () = tokio::time::sleep_until(self.until) => return None,
                changed = self.newest.changed() => changed.ok()?,
            }
            let newest = self.newest.borrow_and_update().clone();
            if !newest.is_empty() {
                return Some(newest);
            }
        }
    }
}

/// Streams samples (text/event-stream): each `data` is what `GET /api/admin/sight` answers.
pub(in crate::routes) async fn stream(
    State(live): State<Arc<Live>>,
    AsWatcher(caller): AsWatcher,
    State(engine): State<Engine>,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    // Refused here, and not in a stream that never says anything.
    engine.dispatch().require_may_look(&caller)?;
    let watcher = live.watch(caller)?;
    let samples = stream::unfold(watcher, async |mut watcher| {
        let sample = watcher.next().await?;
        Some((Ok(Event::default().data(&*sample)), watcher))
    });
    Ok(Sse::new(samples).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}
