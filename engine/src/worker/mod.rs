//! The worker: loops that call the worker's use cases, independent of the job queue.
//!
//! Relay, housekeeping, payments, receipts and the sequencer of changes are leased singletons in any process. Fan-out and delivery run in every process with a
//! worker. Calls the use cases of `mail_jobs`, `payments`, `receipts` and
//! `changes`.

mod changes;
mod heartbeat;
mod housekeeping;
mod lanes;
mod payments;
mod receipts;
mod relay;
mod runner;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{app_modules::MailJobs, context::EngineContext, error::Result, ports::Lane};

/// A worker before its start.
pub struct Worker(pub(crate) Arc<EngineContext>);

impl Worker {
    /// Starts the singletons, fan-out and delivery.
    pub fn spawn(self) -> WorkerHandle {
        MailJobs(self.0.clone()).begun();
        let mut handle = self.start();
        for lane in Lane::ALL {
            handle.run(|jobs, context| runner::run(jobs, context, lane), &self.0);
        }
        handle.run(heartbeat::run, &self.0);
        handle.run(lanes::run, &self.0);
        handle
    }

    /// Starts only the singletons (relay, housekeeping, payments, receipts, changes), for a host that leaves mails to worker processes.
    pub fn spawn_singletons(self) -> WorkerHandle {
        self.start()
    }

    fn start(&self) -> WorkerHandle {
        let mut handle = WorkerHandle {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            pulses: Vec::new(),
        };
        handle.run(relay::run, &self.0);
        handle.run(housekeeping::run, &self.0);
        handle.run(payments::run, &self.0);
        handle.run(receipts::run, &self.0);
        handle.run(changes::run, &self.0);
        handle
    }
}

/// A running worker. Dropping it stops the worker without waiting.
pub struct WorkerHandle {
    stop: CancellationToken,
    tasks: TaskTracker,
    pulses: Vec<Arc<Pulse>>,
}

/// The shared parts of a worker's loops.
#[derive(Clone)]
struct LoopContext {
    stop: CancellationToken,
    tasks: TaskTracker,
    pulse: Arc<Pulse>,
}

impl LoopContext {
    /// Waits, or returns early if the worker shall stop. Returns whether to continue.
    async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

/// The time of each loop's last round.
struct Pulse {
    born: Instant,
    last_milliseconds: AtomicU64,
}

impl Pulse {
    fn beat(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_milliseconds.store(now, Ordering::Relaxed);
    }

    fn silent_for(&self) -> Duration {
        let last = Duration::from_millis(self.last_milliseconds.load(Ordering::Relaxed));
        self.born.elapsed().saturating_sub(last)
    }
}

impl WorkerHandle {
    fn run<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        body: impl FnOnce(MailJobs, LoopContext) -> F,
        inner: &Arc<EngineContext>,
    ) {
        let pulse = Arc::new(Pulse {
            born: Instant::now(),
            last_milliseconds: AtomicU64::new(0),
        });
        self.pulses.push(pulse.clone());
        let context = LoopContext {
            stop: self.stop.clone(),
            tasks: self.tasks.clone(),
            pulse,
        };
        self.tasks.spawn(body(MailJobs(inner.clone()), context));
    }

    /// Stops fetching tasks, finishes or returns those in flight, and returns when that is done, after
    /// `timeout` at the latest. Returns whether everything ended in time.
    pub async fn drain(self, timeout: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(timeout, self.tasks.wait())
            .await
            .is_ok()
    }

    /// Returns whether each loop of the worker has made a round within the last minute.
    pub fn is_healthy(&self) -> bool {
        self.pulses
            .iter()
            .all(|pulse| pulse.silent_for() < Duration::from_secs(60))
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Three heartbeats of a singleton's lease.
fn round_of(jobs: &MailJobs) -> Duration {
    let lease = jobs.0.context.settings.worker.singleton_lease;
    (lease / 3).max(Duration::from_millis(50))
}

/// The lease of a singleton, kept once a round.
struct KeptLease {
    name: &'static str,
    round: Duration,
    last_kept: Option<tokio::time::Instant>,
}

impl KeptLease {
    fn new(name: &'static str, round: Duration) -> Self {
        Self {
            name,
            round,
            last_kept: None,
        }
    }

    /// Returns whether this process has the lease; otherwise after a round.
    async fn is_held_or_pause(&mut self, jobs: &MailJobs, context: &LoopContext) -> bool {
        let is_held = self.is_held(jobs).await.unwrap_or_else(|error| {
            let lease = self.name;
            tracing::warn!(lease, error = ?error, "the store cannot be asked for a lease");
            false
        });
        if !is_held {
            context.pause(self.round).await;
        }
        is_held
    }

    /// Returns whether this process has the lease. Asks the store if the last round is over, or if it did not have it.
    async fn is_held(&mut self, jobs: &MailJobs) -> Result<bool> {
        let is_fresh = |kept: tokio::time::Instant| kept.elapsed() < self.round;
        if !self.last_kept.is_some_and(is_fresh) {
            self.last_kept = None;
            let is_held = jobs.hold_lease(self.name).await?;
            self.last_kept = is_held.then(tokio::time::Instant::now);
        }
        Ok(self.last_kept.is_some())
    }
}
