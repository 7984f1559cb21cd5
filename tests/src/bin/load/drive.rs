//! The clients of a run: each sends, waits for the answer and sends again, at once or at a constant rate; and what
//! they got, as JSON.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use boxoffice_tests::{Account, Answer};
use reqwest::RequestBuilder;
use serde_json::{Map, Value, json};

use crate::cpu;

/// When the next request is to start.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// As soon as a client is free, for so long (closed loop).
    Closed(Duration),
    /// So many a second in equal distances, for so long, whether or not those before were answered (open loop).
    /// Latencies count from when a request should have started: one that waited for a free client was late for the
    /// server's sake, and leaving that out would be coordinated omission.
    Constant { per_second: f64, lasts: Duration },
    /// As soon as a client is free, until so many have been sent.
    Count(u64),
}

impl Pace {
    /// When the request of this number starts; none if the run is over.
    fn start_of(self, number: u64, begun: Instant) -> Option<Instant> {
        match self {
            Self::Closed(lasts) => (begun.elapsed() < lasts).then(Instant::now),
            Self::Constant { per_second, lasts } => {
                let after = Duration::from_secs_f64(number as f64 / per_second);
                (after < lasts).then(|| begun + after)
            }
            Self::Count(all) => (number < all).then(Instant::now),
        }
    }
}

/// What the clients got.
#[derive(Default)]
pub(crate) struct Tally {
    /// How long each wanted answer took.
    micros: Vec<u64>,
    /// How often which other answer came; `0` is no answer.
    others: BTreeMap<u16, u64>,
    /// Longest time that a request waited for a free client.
    latest_start: Duration,
}

impl Tally {
    /// Notes an answer to a request that should have started then.
    pub(crate) fn note(&mut self, status: u16, wanted: u16, start: Instant) {
        if status == wanted {
            self.micros.push(start.elapsed().as_micros() as u64);
        } else {
            *self.others.entry(status).or_default() += 1;
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.micros.extend(other.micros);
        for (status, count) in other.others {
            *self.others.entry(status).or_default() += count;
        }
        self.latest_start = self.latest_start.max(other.latest_start);
    }

    /// How many wanted answers came.
    pub(crate) fn count(&self) -> u64 {
        self.micros.len() as u64
    }

    /// How often this other answer came.
    pub(crate) fn count_of(&self, status: u16) -> u64 {
        self.others.get(&status).copied().unwrap_or(0)
    }

    /// Counts and latencies; the count of wanted answers goes by `noun`.
    pub(crate) fn report(mut self, noun: &str, seconds: f64) -> Map<String, Value> {
        self.micros.sort_unstable();
        let count = self.micros.len() as f64;
        let at = |part: f64| {
            let index = ((count - 1.0) * part).round() as usize;
            self.micros.get(index).map(|micros| *micros as f64 / 1000.0)
        };
        let mut report = Map::new();
        report.insert("seconds".to_owned(), json!(seconds));
        report.insert(noun.to_owned(), json!(self.micros.len()));
        report.insert("otherAnswers".to_owned(), json!(self.others));
        report.insert(format!("{noun}PerSecond"), json!(count / seconds));
        report.insert("p50Millis".to_owned(), json!(at(0.5)));
        report.insert("p99Millis".to_owned(), json!(at(0.99)));
        report.insert("p999Millis".to_owned(), json!(at(0.999)));
        report.insert("maxMillis".to_owned(), json!(at(1.0)));
        let late = self.latest_start.as_secs_f64() * 1000.0;
        report.insert("latestStartMillis".to_owned(), json!(late));
        report
    }
}

/// Makes the request of this number as this account.
pub(crate) type Make = Arc<dyn Fn(&Account, u64) -> RequestBuilder + Send + Sync>;

/// Lets each account be a client, or several in turn if `clients` are more, and answers what they got.
pub(crate) async fn drive(
    accounts: &[Account],
    clients: usize,
    pace: Pace,
    wanted: u16,
    make: Make,
) -> anyhow::Result<Tally> {
    let (begun, numbers) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let clients = accounts.iter().cycle().take(clients);
    let clients = clients.map(|account| {
        let (account, numbers, make) = (account.clone(), numbers.clone(), make.clone());
        tokio::spawn(async move {
            let mut tally = Tally::default();
            loop {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                let Some(start) = pace.start_of(number, begun) else {
                    return tally;
                };
                tokio::time::sleep_until(start.into()).await;
                tally.latest_start = tally.latest_start.max(start.elapsed());
                let answer = Answer::try_of(make(&account, number)).await;
                tally.note(answer.map_or(0, |answer| answer.status), wanted, start);
            }
        })
    });
    let mut all = Tally::default();
    for client in clients.collect::<Vec<_>>() {
        all.add(client.await?);
    }
    Ok(all)
}

/// CPU time of the server's processes and of this one, from here on.
pub(crate) struct CpuWatch {
    pids: Vec<u32>,
    server: f64,
    own: f64,
    begun: Instant,
}

impl CpuWatch {
    pub(crate) fn begin(pids: &[u32]) -> anyhow::Result<Self> {
        Ok(Self {
            pids: pids.to_vec(),
            server: cpu::seconds_of(pids)?,
            own: cpu::seconds_of(&[std::process::id()])?,
            begun: Instant::now(),
        })
    }

    /// What a run took, and what it made of it.
    pub(crate) fn end(self, noun: &str, tally: Tally) -> anyhow::Result<Map<String, Value>> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let server = cpu::seconds_of(&self.pids)? - self.server;
        let own = cpu::seconds_of(&[std::process::id()])? - self.own;
        let count = tally.count() as f64;
        let mut report = tally.report(noun, seconds);
        if !self.pids.is_empty() {
            report.insert("serverCpuSeconds".to_owned(), json!(server));
            report.insert(format!("{noun}PerServerCpuSecond"), json!(count / server));
        }
        report.insert("ownCpuSeconds".to_owned(), json!(own));
        Ok(report)
    }
}
