//! Counters of this process since it started.
//!
//! Written by the database handle and the worker's use cases. Relaxed atomics, because no decision depends on a counter.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{
    ports::{Lane, MailOutcome},
    types::{DURATION_BOUNDS_MILLISECONDS, DurationCounts, LaneCounts, MailCounts},
};

/// A histogram of durations.
#[derive(Debug, Default)]
struct Durations {
    classes: [AtomicU64; DURATION_BOUNDS_MILLISECONDS.len() + 1],
    sum_microseconds: AtomicU64,
}

impl Durations {
    fn add(&self, duration: Duration) {
        let milliseconds = duration.as_millis();
        let class = DURATION_BOUNDS_MILLISECONDS
            .iter()
            .position(|bound| milliseconds <= u128::from(*bound))
            .unwrap_or(DURATION_BOUNDS_MILLISECONDS.len());
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_microseconds
            .fetch_add(microseconds, Ordering::Relaxed);
    }

    fn read(&self) -> DurationCounts {
        DurationCounts {
            classes: self.classes.iter().map(load).collect(),
            sum_microseconds: load(&self.sum_microseconds),
        }
    }
}

/// The counters of a lane.
#[derive(Debug, Default)]
struct LaneCounters {
    sent: AtomicU64,
    refused: AtomicU64,
    deferred: AtomicU64,
    unknown: AtomicU64,
    waiting: Durations,
    sending: Durations,
    fetched: AtomicU64,
}

/// A process's counters since it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// By lane.
    pub lanes: Vec<LaneCounts>,
    /// Recipients that fan-outs listed.
    pub recipients_listed: u64,
    /// Transactions that conflicted with another write.
    pub store_conflicts: u64,
    /// Those of them that were retried by the repository.
    pub store_retries: u64,
    /// Scripts whose response was lost.
    pub store_lost: u64,
    /// Scripts run.
    pub store_scripts: u64,
    /// Commits that those asked for; each waits for the disk. Reads ask for none.
    pub store_commits: u64,
    /// Those of the scripts that only read.
    pub store_reads: u64,
}

/// The counters of a process.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    transactional: LaneCounters,
    bulk: LaneCounters,
    pub(crate) recipients_listed: AtomicU64,
    pub(crate) store_conflicts: AtomicU64,
    pub(crate) store_retries: AtomicU64,
    pub(crate) store_lost: AtomicU64,
    pub(crate) store_scripts: AtomicU64,
    pub(crate) store_commits: AtomicU64,
    pub(crate) store_reads: AtomicU64,
}

impl Counters {
    /// Counts a mail by its outcome.
    pub(crate) fn mail(&self, lane: Lane, outcome: &MailOutcome, took: Duration) {
        let lane = self.lane(lane);
        let counter = match outcome {
            MailOutcome::Sent { .. } => &lane.sent,
            MailOutcome::Refused { .. } => &lane.refused,
            MailOutcome::Deferred { .. } => &lane.deferred,
            MailOutcome::Unknown { .. } => &lane.unknown,
        };
        count(counter, 1);
        lane.sending.add(took);
    }

    /// Counts a mail's waiting time before its first attempt.
    pub(crate) fn waited(&self, lane: Lane, took: Duration) {
        self.lane(lane).waiting.add(took);
    }

    /// Counts fetched tasks.
    pub(crate) fn fetched(&self, lane: Lane, tasks: usize) {
        count(&self.lane(lane).fetched, tasks as u64);
    }

    /// Counters of mails by lane.
    pub(crate) fn lanes(&self) -> Vec<LaneCounts> {
        let lanes = Lane::ALL.map(|lane| {
            let counters = self.lane(lane);
            LaneCounts {
                lane,
                mails: counters.mails(),
                waiting: counters.waiting.read(),
                sending: counters.sending.read(),
                fetched: load(&counters.fetched),
            }
        });
        lanes.to_vec()
    }

    pub(crate) fn read(&self) -> Counts {
        Counts {
            lanes: self.lanes(),
            recipients_listed: load(&self.recipients_listed),
            store_conflicts: load(&self.store_conflicts),
            store_retries: load(&self.store_retries),
            store_lost: load(&self.store_lost),
            store_scripts: load(&self.store_scripts),
            store_commits: load(&self.store_commits),
            store_reads: load(&self.store_reads),
        }
    }

    fn lane(&self, lane: Lane) -> &LaneCounters {
        match lane {
            Lane::Transactional => &self.transactional,
            Lane::Bulk => &self.bulk,
        }
    }
}

impl LaneCounters {
    fn mails(&self) -> MailCounts {
        MailCounts {
            sent: load(&self.sent),
            refused: load(&self.refused),
            deferred: load(&self.deferred),
            unknown: load(&self.unknown),
        }
    }
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
