//! The delivery writer: group commit of the steps of deliveries.
//!
//! A commit costs the same for one batch as for many, and a synced one holds up whoever waits for it. So the batches
//! of this process share their commits: steps that arrive during one commit go into the next, which bookings may share. Each
//! step is a compare-and-set of its own and answered alone: a group with a batch that was taken from us is halved.
//! Steps are written in order, also after a failure. A mail's outcome that is queued before another mail's mark
//! `sending` is therefore never written after it, and no more mails are marked `sending` than are sent at once.
//!
//! Called by the rules of delivery. Calls the notifications repository.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    error::{Error, Result},
    locked::Locked as _,
    modules::{
        ModuleContext,
        repositories::{NotificationsRepository, STALE_BATCH, StepError, pause_after_conflict},
    },
    types::{BatchWrite, DeliveryBatch},
};

/// Most steps of one commit. More would make the statement longer without a gain.
const GROUP_MAX: usize = 64;
/// Consecutive conflicts before a group is treated like an unreachable store; with the pauses some seconds.
const CONFLICTS_MAX: u32 = 64;
/// The pause between two attempts while the store is unreachable.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct DeliveryWriter {
    repository: Arc<NotificationsRepository>,
    context: ModuleContext,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    /// No longer than the batches that this process has in hand, for each waits for its answer.
    waiting: VecDeque<Waiting>,
    /// Whether a task is draining the queue.
    running: bool,
}

struct Waiting {
    write: BatchWrite,
    since: Instant,
    answer: oneshot::Sender<Result<bool>>,
}

impl DeliveryWriter {
    pub(super) fn new(
        repository: Arc<NotificationsRepository>,
        context: ModuleContext,
    ) -> Arc<Self> {
        Arc::new(Self {
            repository,
            context,
            line: Mutex::default(),
        })
    }

    /// Puts a step in line, at once; what comes back is waited for: whether the batch was still ours.
    pub(super) fn put(
        self: &Arc<Self>,
        write: BatchWrite,
    ) -> impl Future<Output = Result<bool>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let mut line = self.line();
        line.waiting.push_back(Waiting {
            write,
            since: Instant::now(),
            answer,
        });
        if !std::mem::replace(&mut line.running, true) {
            // A separate task: a step is written even if nobody waits for it any more.
            let writer = self.clone();
            tokio::spawn(async move { writer.drain().await });
        }
        async move {
            answered
                .await
                .map_err(|_| Error::internal("the writer ended without an answer"))?
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.locked()
    }

    fn next_group(&self) -> Option<Vec<Waiting>> {
        let mut line = self.line();
        if line.waiting.is_empty() {
            line.running = false;
            return None;
        }
        let count = line.waiting.len().min(GROUP_MAX);
        Some(line.waiting.drain(..count).collect())
    }

    async fn drain(&self) {
        let _ended = Ended(self);
        while let Some(group) = self.next_group() {
            let mut groups = vec![group];
            let (mut conflicts, mut is_repeated) = (0, false);
            while let Some(group) = groups.pop() {
                let writes: Vec<BatchWrite> =
                    group.iter().map(|waiting| waiting.write.clone()).collect();
                let is_one = group.len() == 1;
                match self.repository.write_batches(&writes).await {
                    Ok(()) => self.answer(group, true),
                    // Only at a first attempt it is surely not this step that moved the batch.
                    Err(error) if error.is_guard(STALE_BATCH) && is_one && !is_repeated => {
                        self.answer(group, false);
                    }
                    Err(error) if error.is_guard(STALE_BATCH) && !is_one => {
                        groups.extend(halves(group));
                    }
                    // Another transaction wrote one of the rows at the same time: it must not delay the others for long.
                    Err(StepError::Conflict) if conflicts < CONFLICTS_MAX => {
                        pause_after_conflict(conflicts).await;
                        conflicts += 1;
                        groups.extend(halves(group));
                    }
                    Err(error) => {
                        tracing::warn!(error = ?error, "writing deliveries failed, will retry");
                        tokio::time::sleep(PAUSE).await;
                        is_repeated = true;
                        groups.extend(self.still_open(group, error).await);
                    }
                }
            }
        }
    }

    fn answer(&self, group: Vec<Waiting>, is_written: bool) {
        for waiting in group {
            if is_written && waiting.write.add_outbox.is_some() {
                self.context.outbox_added.notify_one();
            }
            // Who no longer listens has been told by the writer itself.
            let _ = waiting.answer.send(Ok(is_written));
        }
    }

    /// After a failure: answers those whose step turns out written, or whose batch is another's now, and those who
    /// have waited for as long as a lease, after which their batch may be another's. Gives back the others.
    ///
    /// Mails are on the wire meanwhile, and giving up at the first hiccup of the store would leave them in doubt.
    async fn still_open(&self, group: Vec<Waiting>, error: StepError) -> Option<Vec<Waiting>> {
        let lease = self.context.settings.worker.delivery_lease;
        let mut last = Some(error);
        let mut open = Vec::new();
        for waiting in group {
            match self.found(&waiting.write).await {
                Some(is_written) => self.answer(vec![waiting], is_written),
                None if waiting.since.elapsed() >= lease => {
                    let error = last.take().map_or_else(
                        || Error::from(StepError::Lost("the store was away for too long".into())),
                        Error::from,
                    );
                    let _ = waiting.answer.send(Err(error));
                }
                None => open.push(waiting),
            }
        }
        (!open.is_empty()).then_some(open)
    }

    /// The outcome of a step whose answer was lost: written, overtaken, or neither.
    async fn found(&self, write: &BatchWrite) -> Option<bool> {
        let batch = &write.batch;
        let ids = [(batch.notification, batch.number)];
        let found = self.repository.find_batches(&write.tenant, &ids).await;
        let found = found.ok()?.pop()?;
        if found.revision == batch.revision {
            return None;
        }
        let ours = DeliveryBatch {
            revision: found.revision,
            ..batch.clone()
        };
        Some(found.revision == batch.revision + 1 && found == ours)
    }
}

/// The halves of a group in the order in which they are taken from the end: the first is written first, to keep the order of steps.
fn halves(mut group: Vec<Waiting>) -> impl Iterator<Item = Vec<Waiting>> {
    let second = group.split_off(group.len().div_ceil(2));
    let halves = [second, group].into_iter();
    halves.filter(|half| !half.is_empty())
}

/// Allows the next step to start a task, if this one panics.
struct Ended<'a>(&'a DeliveryWriter);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.line().running = false;
        }
    }
}
