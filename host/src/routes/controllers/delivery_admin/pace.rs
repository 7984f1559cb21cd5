//! The recent throughput of mails by lane, from the heartbeats of all workers, for viewers.
//!
//! Called by the sampler. Workers count since their start; this keeps the differences of the last ten minutes.

use std::collections::{HashMap, VecDeque};

use boxoffice_engine::{DurationCounts, Lane, LaneCounts, WorkerStatus};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::routes::choices;

/// The time between two points: that of workers' heartbeats.
const EVERY: SignedDuration = SignedDuration::from_secs(5);
/// Most points: ten minutes.
const POINTS_MAX: usize = 120;
/// Points of which quantiles are computed, a minute: enough for a quiet lane, and current for a busy one.
const LOOKS_BACK: usize = 12;
/// Workers whose last heartbeat is kept: as many as an overview has.
const WORKERS_MAX: usize = 200;

/// The throughput of a lane at one time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PaceResponse {
    /// `transactional` or `bulk`.
    #[schema(value_type = choices::Lane)]
    lane: &'static str,
    /// Mails a second that mail servers accepted.
    sent_per_second: f64,
    /// Median waiting time of the mails of the last minute, from listing to first attempt, in milliseconds;
    /// null without mails.
    wait_p50_millis: Option<f64>,
    /// 95th percentile.
    wait_p95_millis: Option<f64>,
    /// Median sending time of the mails of the last minute, in milliseconds.
    send_p50_millis: Option<f64>,
    /// 95th percentile.
    send_p95_millis: Option<f64>,
}

/// The throughput of the lanes at one time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PacesResponse {
    /// The time.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Each lane.
    lanes: Vec<PaceResponse>,
}

/// A worker's last heartbeat.
struct Known {
    at: Timestamp,
    lanes: Vec<LaneCounts>,
    /// Mails a second that it sent between its last two heartbeats, by lane.
    rates: [f64; 2],
}

/// The differences between two points, by lane: waiting and sending.
type Added = [(DurationCounts, DurationCounts); 2];

/// The last ten minutes.
#[derive(Default)]
pub(in crate::routes::controllers) struct Paces {
    known: HashMap<String, Known>,
    added: VecDeque<Added>,
    points: VecDeque<PacesResponse>,
    open: Added,
}

impl Paces {
    /// Adds the heartbeats of all workers; makes a point every five seconds.
    pub(in crate::routes::controllers) fn take(&mut self, at: Timestamp, workers: &[WorkerStatus]) {
        self.forget(at, workers);
        for worker in workers.iter().take(WORKERS_MAX) {
            if worker.lanes.is_empty() {
                continue;
            }
            let known = self.known.get(&worker.id);
            if known.is_some_and(|known| known.at == worker.at) {
                continue;
            }
            let mut rates = [0.0; 2];
            if let Some(known) = known {
                let seconds = worker.at.duration_since(known.at).as_secs_f64();
                for (index, now) in worker.lanes.iter().enumerate().take(rates.len()) {
                    let Some(then) = known.lanes.get(index) else {
                        continue;
                    };
                    let sent = now.mails.sent.saturating_sub(then.mails.sent);
                    if seconds > 0.0 {
                        rates[index] = sent as f64 / seconds;
                    }
                    self.open[index].0.add(&now.waiting.since(&then.waiting));
                    self.open[index].1.add(&now.sending.since(&then.sending));
                }
            }
            let known = Known {
                at: worker.at,
                lanes: worker.lanes.clone(),
                rates,
            };
            self.known.insert(worker.id.clone(), known);
        }
        let last = self.points.back().map(|point| point.at);
        if last.is_none_or(|last| at.duration_since(last) >= EVERY) {
            self.close(at);
        }
    }

    /// The newest point.
    pub(in crate::routes::controllers) fn newest(&self) -> Option<&PacesResponse> {
        self.points.back()
    }

    /// All points, the oldest first.
    pub(in crate::routes::controllers) fn all(&self) -> &VecDeque<PacesResponse> {
        &self.points
    }

    fn forget(&mut self, at: Timestamp, workers: &[WorkerStatus]) {
        let alive = |id: &String| workers.iter().any(|one| one.is_alive && one.id == *id);
        self.known.retain(|id, _| alive(id));
        // There were no viewers for a while: drop the points before.
        let lasts = EVERY * i32::try_from(POINTS_MAX).unwrap_or(i32::MAX);
        while self
            .points
            .front()
            .is_some_and(|first| at.duration_since(first.at) > lasts)
        {
            self.points.pop_front();
        }
        if self.points.is_empty() {
            self.added.clear();
        }
    }

    fn close(&mut self, at: Timestamp) {
        self.added.push_back(std::mem::take(&mut self.open));
        if self.added.len() > LOOKS_BACK {
            self.added.pop_front();
        }
        let lanes = Lane::ALL.into_iter().enumerate().map(|(index, lane)| {
            let (mut waits, mut sends) = (DurationCounts::default(), DurationCounts::default());
            for added in &self.added {
                waits.add(&added[index].0);
                sends.add(&added[index].1);
            }
            PaceResponse {
                lane: lane.as_str(),
                sent_per_second: self.known.values().map(|known| known.rates[index]).sum(),
                wait_p50_millis: waits.quantile_milliseconds(0.5),
                wait_p95_millis: waits.quantile_milliseconds(0.95),
                send_p50_millis: sends.quantile_milliseconds(0.5),
                send_p95_millis: sends.quantile_milliseconds(0.95),
            }
        });
        let point = PacesResponse {
            at,
            lanes: lanes.collect(),
        };
        self.points.push_back(point);
        if self.points.len() > POINTS_MAX {
            self.points.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_engine::MailCounts;

    use super::*;

    fn moment(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A worker that has sent so many bulk mails by then, each after 80 to 100 ms, in 3 to 5 ms.
    fn worker(id: &str, second: i64, sent: u64) -> WorkerStatus {
        let counted = |class: usize| {
            let mut counts = DurationCounts::default();
            counts.classes[class] = sent;
            counts
        };
        let counts = |lane, sent, waiting, sending| LaneCounts {
            lane,
            mails: MailCounts {
                sent,
                ..MailCounts::default()
            },
            waiting,
            sending,
            fetched: 0,
        };
        let none = DurationCounts::default;
        WorkerStatus {
            id: id.to_owned(),
            started_at: moment(0),
            at: moment(second),
            is_alive: true,
            mails: MailCounts::default(),
            lanes: vec![
                counts(Lane::Transactional, 0, none(), none()),
                counts(Lane::Bulk, sent, counted(6), counted(2)),
            ],
        }
    }

    #[test]
    fn rates_and_quantiles_are_of_what_was_added() {
        let mut paces = Paces::default();
        paces.take(moment(5), &[worker("a", 5, 1_000), worker("b", 5, 0)]);
        let first = paces.newest().unwrap();
        assert_eq!(
            first.lanes[1].sent_per_second, 0.0,
            "what was sent before is no rate"
        );
        assert_eq!(first.lanes[1].wait_p50_millis, None);
        // In between the same signs are seen again.
        paces.take(moment(7), &[worker("a", 5, 1_000), worker("b", 5, 0)]);
        assert_eq!(paces.all().len(), 1);
        paces.take(moment(10), &[worker("a", 10, 1_100), worker("b", 10, 50)]);
        let second = &paces.newest().unwrap().lanes[1];
        assert!((second.sent_per_second - 30.0).abs() < 1e-9, "{second:?}");
        assert!(
            (50.0..=100.0).contains(&second.wait_p95_millis.unwrap()),
            "{second:?}"
        );
        assert!(
            (2.0..=5.0).contains(&second.send_p50_millis.unwrap()),
            "{second:?}"
        );
        // One of them is gone: its rate goes with it.
        paces.take(moment(15), &[worker("a", 15, 1_100)]);
        assert_eq!(paces.newest().unwrap().lanes[1].sent_per_second, 0.0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut paces = Paces::default();
        for step in 0..1_000 {
            paces.take(moment(step * 5), &[worker("a", step * 5, step as u64 * 10)]);
        }
        assert_eq!(
            (paces.all().len(), paces.added.len()),
            (POINTS_MAX, LOOKS_BACK)
        );
        for number in 0..1_000 {
            let other = format!("worker-{number}");
            paces.take(moment(6_000 + number), &[worker(&other, 6_000 + number, 1)]);
        }
        assert_eq!(paces.known.len(), 1, "who is gone is forgotten");
        // Nobody watched for an hour.
        paces.take(moment(20_000), &[worker("a", 20_000, 5)]);
        assert_eq!(paces.all().len(), 1);
    }
}
