//! The live overview: sampled once for all viewers of the same overview.
//!
//! One task per process takes samples while there are viewers. Each viewer keeps the newest sample only: a slow
//! reader misses some and delays nobody. A sample that fails, panics or takes too long is reported as failed, and the next one
//! is still taken.

mod places;

use std::{
    collections::HashMap,
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json as JsonAnswer,
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use boxoffice_engine::{
    Caller, DeliveryOverview, Engine, Error, ErrorCode, Result, Role, TenantId, UserId,
};
use futures::{FutureExt as _, Stream, StreamExt as _, future::BoxFuture, stream};
use serde_json::json;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Answer,
    delivery_admin::{OverviewResponse, Paces, PacesResponse},
};
use crate::routes::{extract::AsWatcher, refusals};
pub(super) use places::{Place, Places};

use crate::locked::Locked as _;

/// The pause between two samples.
const EVERY: Duration = Duration::from_secs(1);
/// Time limit of a sample: longer than a busy store needs, shorter than people wait.
const TAKES_MAX: Duration = Duration::from_secs(10);
/// A stream ends after this time, and its page reconnects.
pub(super) const LASTS: Duration = Duration::from_secs(600);
/// The pause between two checks of a viewer's session. The stream ends with the session.
pub(super) const STANDS_EVERY: Duration = Duration::from_secs(1);
/// Samples that are taken at the same time: a slow one does not delay all others.
const SAMPLES_AT_ONCE: usize = 2;

/// The key of an overview: viewers with the same key see the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Scope {
    tenant: Option<TenantId>,
    role: Role,
    /// Organizers see their own events.
    user: Option<UserId>,
}

struct WatchedScope {
    caller: Caller,
    newest: watch::Sender<Option<Shown>>,
}

/// A message of a stream: an event with this name, or without one for a sample.
#[derive(Debug, Clone, PartialEq)]
struct Shown {
    event: Option<&'static str>,
    data: Arc<str>,
}

/// Takes a sample.
type Look = dyn Fn(Caller) -> BoxFuture<'static, Result<DeliveryOverview>> + Send + Sync;
/// Checks a viewer's session.
type Stands = dyn Fn(Caller) -> BoxFuture<'static, Result<bool>> + Send + Sync;

/// The sampler.
pub(in crate::routes) struct OverviewStream {
    look: Box<Look>,
    stands: Arc<Stands>,
    every: Duration,
    takes_max: Duration,
    stopping: CancellationToken,
    places: Arc<Places>,
    watched: Mutex<HashMap<Scope, WatchedScope>>,
    paces: Mutex<Paces>,
}

impl OverviewStream {
    pub(in crate::routes) fn new(engine: Engine, stopping: CancellationToken) -> Arc<Self> {
        let sessions = engine.sessions();
        let look = move |caller: Caller| {
            let engine = engine.clone();
            async move { engine.delivery_admin().overview(&caller).await }.boxed()
        };
        let stands = move |caller: Caller| {
            let sessions = sessions.clone();
            async move { sessions.stands(&caller).await }.boxed()
        };
        let (look, stands) = (Box::new(look), Arc::new(stands));
        Arc::new(Self::looking(look, stands, EVERY, TAKES_MAX, stopping))
    }

    fn looking(
        look: Box<Look>,
        stands: Arc<Stands>,
        every: Duration,
        takes_max: Duration,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            look,
            stands,
            every,
            takes_max,
            stopping,
            places: Arc::default(),
            watched: Mutex::default(),
            paces: Mutex::default(),
        }
    }

    /// The lanes' throughput just now, for operators; `None` without viewers.
    fn newest_paces(&self, caller: &Caller) -> Option<PacesResponse> {
        let is_operator = caller.role() == Role::Operator;
        is_operator.then(|| self.paces().newest().cloned())?
    }

    /// Adds a viewer; starts sampling for the first one.
    fn watch(self: &Arc<Self>, caller: Caller) -> Result<Watcher> {
        let place = self.places.take(&caller).ok_or_else(|| {
            Error::new(
                ErrorCode::Unavailable,
                "Too many pages are watching this host; close some, or try again later.",
            )
            .retry_after(Duration::from_secs(30))
        })?;
        let scope = Scope {
            tenant: caller.tenant().ok().cloned(),
            role: caller.role(),
            user: caller
                .user_id()
                .filter(|_| caller.role() == Role::Organizer),
        };
        let before = self.before(&caller);
        let mut watched = self.watched();
        let idle = watched.is_empty();
        let one = watched.entry(scope).or_insert_with(|| WatchedScope {
            caller: caller.clone(),
            newest: watch::Sender::new(None),
        });
        let mut newest = one.newest.subscribe();
        // Earlier samples are new to this viewer.
        newest.mark_changed();
        if idle {
            let live = self.clone();
            tokio::spawn(async move { live.sample().await });
        }
        Ok(Watcher {
            before,
            newest,
            stopping: self.stopping.clone(),
            until: Instant::now() + LASTS,
            caller,
            stands: self.stands.clone(),
            stands_at: Instant::now() + STANDS_EVERY,
            _place: place,
        })
    }

    /// The lanes' throughput in the last minutes, for operators: the start of a chart.
    fn before(&self, caller: &Caller) -> Option<Shown> {
        if caller.role() != Role::Operator {
            return None;
        }
        let data = serde_json::to_string(self.paces().all()).ok()?;
        Some(Shown {
            event: Some("paces"),
            data: data.into(),
        })
    }

    /// Takes samples until there are no viewers.
    async fn sample(&self) {
        let _ended = Ended(self);
        while !self.stopping.is_cancelled() {
            let began = Instant::now();
            let mut callers: Vec<(Scope, Caller)> = {
                let mut watched = self.watched();
                watched.retain(|_, one| one.newest.receiver_count() > 0);
                if watched.is_empty() {
                    return;
                }
                let all = watched.iter();
                all.map(|(scope, one)| (scope.clone(), one.caller.clone()))
                    .collect()
            };
            // Operators outside tenants are served first.
            callers.sort_by_key(|(scope, _)| scope.role != Role::Operator);
            let sampled = stream::iter(callers).for_each_concurrent(
                SAMPLES_AT_ONCE,
                async |(scope, caller)| {
                    let told = self.take(caller).await;
                    if let Some(one) = self.watched().get(&scope) {
                        one.newest.send_replace(Some(told));
                    }
                },
            );
            sampled.await;
            // Many different overviews are refreshed less often, to limit the cost.
            tokio::time::sleep(self.every.max(began.elapsed())).await;
        }
        self.watched().clear();
    }

    /// Takes one sample, and reports failures.
    async fn take(&self, caller: Caller) -> Shown {
        let is_operator = caller.role() == Role::Operator;
        // The guard also covers the work before the first await.
        let taken = AssertUnwindSafe(async { (self.look)(caller).await }).catch_unwind();
        let detail = match tokio::time::timeout(self.takes_max, taken).await {
            Ok(Ok(Ok(overview))) => {
                self.paces().take(overview.at, &overview.workers);
                let paces = is_operator.then(|| self.paces().newest().cloned());
                match serde_json::to_string(&OverviewResponse::of(overview, paces.flatten())) {
                    Ok(text) => {
                        return Shown {
                            event: None,
                            data: text.into(),
                        };
                    }
                    Err(error) => {
                        tracing::error!(%error, "writing a sample as JSON failed");
                        "The overview could not be written.".to_owned()
                    }
                }
            }
            Ok(Ok(Err(error))) => {
                tracing::warn!(error = ?error, "sampling failed, will retry");
                error.detail().to_owned()
            }
            Ok(Err(_panic)) => {
                tracing::error!("sampling panicked, will retry");
                "The overview failed with an internal error; the server's log has details."
                    .to_owned()
            }
            Err(_) => {
                tracing::warn!("sampling took too long, will retry");
                "The database does not answer in time.".to_owned()
            }
        };
        Shown {
            event: Some("failing"),
            data: json!({ "detail": detail }).to_string().into(),
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<Scope, WatchedScope>> {
        self.watched.locked()
    }

    fn paces(&self) -> MutexGuard<'_, Paces> {
        self.paces.locked()
    }
}

/// Ends the streams of a sampler that panicked between samples: their pages reconnect, which starts another.
struct Ended<'a>(&'a OverviewStream);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.watched().clear();
        }
    }
}

/// A viewer.
struct Watcher {
    before: Option<Shown>,
    newest: watch::Receiver<Option<Shown>>,
    stopping: CancellationToken,
    until: Instant,
    caller: Caller,
    stands: Arc<Stands>,
    stands_at: Instant,
    _place: Place,
}

impl Watcher {
    /// The next message; `None` at the end.
    async fn next(&mut self) -> Option<Shown> {
        if let Some(before) = self.before.take() {
            return Some(before);
        }
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return None,
                () = tokio::time::sleep_until(self.until) => return None,
                () = tokio::time::sleep_until(self.stands_at) => {
                    // A failing store cannot show samples either; these report the failure.
                    if let Ok(false) = (self.stands)(self.caller.clone()).await {
                        return None;
                    }
                    self.stands_at = Instant::now() + STANDS_EVERY;
                    continue;
                }
                changed = self.newest.changed() => changed.ok()?,
            }
            if let Some(newest) = self.newest.borrow_and_update().clone() {
                return Some(newest);
            }
        }
    }
}

/// Shows the overview of lanes, workers and notifications
///
/// Operators also see the lanes, and without a tenant the failures of all tenants.
#[utoipa::path(get, path = "/api/admin/overview", tag = "delivery-admin",
    responses((status = 200, body = OverviewResponse), refusals::Restricted))]
pub(in crate::routes) async fn overview(
    State(engine): State<Engine>,
    State(live): State<Arc<OverviewStream>>,
    AsWatcher(caller): AsWatcher,
) -> Answer<JsonAnswer<OverviewResponse>> {
    let overview = engine.delivery_admin().overview(&caller).await?;
    let paces = live.newest_paces(&caller);
    Ok(JsonAnswer(OverviewResponse::of(overview, paces)))
}

/// Streams samples (text/event-stream): each `data` is what `GET /api/admin/overview` answers. An event `paces` comes first
/// for operators, with the lanes' throughput of the last minutes; `failing` says why there is no sample just now.
pub(in crate::routes) async fn stream(
    State(live): State<Arc<OverviewStream>>,
    AsWatcher(caller): AsWatcher,
    State(engine): State<Engine>,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    // Refused here, not in an empty stream.
    engine.delivery_admin().require_may_look(&caller)?;
    let watcher = live.watch(caller)?;
    let samples = stream::unfold(watcher, async |mut watcher| {
        let told = watcher.next().await?;
        let event = Event::default().data(&*told.data);
        let event = match told.event {
            Some(name) => event.event(name),
            None => event,
        };
        Some((Ok(event), watcher))
    });
    Ok(Sse::new(samples).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn overview() -> DeliveryOverview {
        DeliveryOverview {
            at: jiff::Timestamp::now(),
            lanes: None,
            health: None,
            workers: Vec::new(),
            paused_lanes: Vec::new(),
            dead: 7,
            unknown: 0,
            is_cut: false,
            active: Vec::new(),
        }
    }

    /// A sampler whose looks go one wrong way after the other before they go right.
    fn troubled() -> (Arc<OverviewStream>, Arc<AtomicU32>) {
        let looks = Arc::new(AtomicU32::new(0));
        let counted = looks.clone();
        let look = move |_: Caller| {
            let look = counted.fetch_add(1, Ordering::SeqCst);
            assert!(look != 0, "a panic before the first wait");
            async move {
                match look {
                    1 => panic!("a panic while looking"),
                    2 => Err(Error::new(ErrorCode::Unavailable, "The database is away.")),
                    3 => std::future::pending().await,
                    _ => Ok(overview()),
                }
            }
            .boxed()
        };
        let (every, takes_max) = (Duration::from_millis(20), Duration::from_millis(200));
        let stopping = CancellationToken::new();
        let stands = Arc::new(|_: Caller| async { Ok(true) }.boxed());
        let live = OverviewStream::looking(Box::new(look), stands, every, takes_max, stopping);
        (Arc::new(live), looks)
    }

    #[tokio::test]
    async fn a_sampler_outlives_its_samples_and_ends_with_its_watchers() {
        let (live, looks) = troubled();
        let mut watcher = live.watch(Caller::operator()).unwrap();
        let mut told = Vec::new();
        let watching = async {
            loop {
                let one = watcher.next().await.expect("the stream goes on");
                let is_sample = one.event.is_none();
                told.push(one);
                if is_sample {
                    return;
                }
            }
        };
        let patience = Duration::from_secs(30);
        tokio::time::timeout(patience, watching).await.unwrap();
        assert_eq!(told[0].event, Some("paces"));
        let failures: Vec<&str> = told
            .iter()
            .filter(|one| one.event == Some("failing"))
            .map(|one| &*one.data)
            .collect();
        assert!(
            failures
                .iter()
                .any(|data| data.contains("The database is away.")),
            "{failures:?}"
        );
        assert!(
            failures.iter().all(|data| !data.contains("a panic")),
            "{failures:?}"
        );
        let sample: serde_json::Value = serde_json::from_str(&told.last().unwrap().data).unwrap();
        assert_eq!(sample["dead"], 7);
        assert!(sample["paces"]["lanes"].is_array(), "{sample}");

        // A second one sees the newest at once, and keeps it going; then nobody looks.
        let mut second = live.watch(Caller::operator()).unwrap();
        drop(watcher);
        assert_eq!(second.next().await.unwrap().event, Some("paces"));
        assert_eq!(second.next().await.unwrap().event, None);
        drop(second);
        let ended = async {
            while !live.watched().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(patience, ended).await.unwrap();
        let looked = looks.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(
            looks.load(Ordering::SeqCst),
            looked,
            "nobody watches, nobody looks"
        );

        // And starts again with the next one.
        let mut third = live.watch(Caller::operator()).unwrap();
        third.next().await.unwrap();
        let sample = tokio::time::timeout(patience, third.next()).await.unwrap();
        assert_eq!(sample.unwrap().event, None);
    }
}
