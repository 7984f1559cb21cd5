//! What a process tells Prometheus: requests by route, and what the engine counted and sees when it is asked.
//!
//! Called by the routes and by the worker's own door. Labels are methods, route patterns, statuses, lanes and outcomes:
//! their number is that of the program's own words, whatever clients send. No label names a tenant or a person.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, header::CONTENT_TYPE},
    middleware::Next,
    response::{IntoResponse, Response},
};
use boxoffice_engine::{
    Caller, Counts, DURATION_BOUNDS_MILLISECONDS, DispatchSight, DurationCounts, Engine,
};
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder,
        text::{encode_eof, encode_registry},
    },
    metrics::{MetricType, counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use tokio::time::Instant;

/// Seconds; from a cached read to the longest that a request may take.
const REQUEST_BOUNDS_SECONDS: [f64; 10] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0];
/// What the text format calls itself (OpenMetrics 1.0).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// What one process tells.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    durations: Family<Labels, Histogram>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let requests = Family::<Labels, Counter>::default();
        let durations = Family::<Labels, Histogram>::new_with_constructor(|| {
            Histogram::new(REQUEST_BOUNDS_SECONDS)
        });
        let mut registry = Registry::with_prefix("boxoffice");
        registry.register(
            "http_requests",
            "Requests by route pattern and status",
            requests.clone(),
        );
        registry.register(
            "http_request_seconds",
            "How long requests took, by route pattern",
            durations.clone(),
        );
        Arc::new(Self {
            registry,
            requests,
            durations,
        })
    }

    fn answered(&self, method: &Method, route: &str, status: u16, took: Duration) {
        let method = match method.as_str() {
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
            _ => "other",
        };
        let mut labels = vec![("method", method.to_owned()), ("route", route.to_owned())];
        self.durations
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        labels.push(("status", status.to_string()));
        self.requests.get_or_create(&labels).inc();
    }

    /// Everything as text. What the store or queue does not answer is left out, and `boxoffice_sight_ok` says so.
    async fn text(&self, engine: &Engine) -> Result<String, fmt::Error> {
        let sight = engine.dispatch().sight(&Caller::operator()).await;
        if let Err(error) = &sight {
            tracing::warn!(error = ?error, "metrics: how the lanes stand could not be read");
        }
        let mut seen = Registry::with_prefix("boxoffice");
        seen.register_collector(Box::new(Seen {
            counts: engine.counts(),
            sight: sight.ok(),
        }));
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &seen)?;
        encode_eof(&mut text)?;
        Ok(text)
    }

    /// Answers a scrape.
    pub(crate) async fn scrape(&self, engine: &Engine) -> Response {
        match self.text(engine).await {
            Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
            Err(error) => {
                tracing::error!(%error, "metrics could not be written");
                axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// Counts a request by its route's pattern, never by its path.
pub(crate) async fn count(
    State(metrics): State<Arc<Metrics>>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    metrics.answered(&method, route, response.status().as_u16(), begun.elapsed());
    response
}

/// What the engine counted and saw at one moment.
#[derive(Debug)]
struct Seen {
    counts: Counts,
    sight: Option<DispatchSight>,
}

impl Collector for Seen {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut out = Out(encoder);
        let counts = &self.counts;
        let mails = counts.lanes.iter().flat_map(|lane| {
            [
                ("sent", lane.mails.sent),
                ("refused", lane.mails.refused),
                ("deferred", lane.mails.deferred),
                ("unknown", lane.mails.unknown),
            ]
            .map(|(outcome, count)| {
                (
                    vec![("lane", lane.lane.as_str()), ("outcome", outcome)],
                    count,
                )
            })
        });
        out.counters(
            "mails",
            "Mails handed over by this process, by outcome",
            mails.collect(),
        )?;
        let sending = counts.lanes.iter();
        let sending = sending.map(|lane| (vec![("lane", lane.lane.as_str())], &lane.sending));
        out.histograms(
            "mail_seconds",
            "How long handing a mail over took",
            sending.collect(),
        )?;
        let fetched = counts.lanes.iter();
        let fetched = fetched.map(|lane| (vec![("lane", lane.lane.as_str())], lane.fetched));
        out.counters(
            "tasks_fetched",
            "Tasks fetched from the queue",
            fetched.collect(),
        )?;
        for (name, help, count) in [
            (
                "recipients_listed",
                "Recipients that fan-outs listed",
                counts.recipients_listed,
            ),
            (
                "store_scripts",
                "Scripts run on the store",
                counts.store_scripts,
            ),
            (
                "store_conflicts",
                "Transactions that met somebody else's write",
                counts.store_conflicts,
            ),
            (
                "store_retries",
                "Conflicts after which a step was tried again",
                counts.store_retries,
            ),
            (
                "store_lost",
                "Scripts whose answer was lost",
                counts.store_lost,
            ),
        ] {
            out.counters(name, help, vec![(Vec::new(), count)])?;
        }
        out.gauges(
            "sight_ok",
            "Whether lanes and workers could be read just now",
            vec![(Vec::new(), f64::from(u8::from(self.sight.is_some())))],
        )?;
        match &self.sight {
            Some(sight) => encode_sight(&mut out, sight),
            None => Ok(()),
        }
    }
}

fn encode_sight(out: &mut Out<'_>, sight: &DispatchSight) -> Result<(), fmt::Error> {
    let lanes = sight.lanes.as_deref().unwrap_or_default();
    let gauge = |value: &dyn Fn(&boxoffice_engine::LaneSight) -> Option<f64>| {
        let known = lanes.iter().filter_map(|lane| Some((lane, value(lane)?)));
        known
            .map(|(lane, value)| (vec![("lane", lane.lane.as_str())], value))
            .collect::<Vec<_>>()
    };
    let number = |value: u64| value as f64;
    out.gauges(
        "queue_waiting",
        "Tasks that no worker has fetched",
        gauge(&|lane| lane.waiting.map(number)),
    )?;
    out.gauges(
        "queue_in_flight",
        "Tasks that a worker has",
        gauge(&|lane| lane.in_flight.map(number)),
    )?;
    out.gauges(
        "owed",
        "Pieces of work that are owed, at most a thousand counted",
        gauge(&|lane| Some(number(lane.owed))),
    )?;
    out.gauges(
        "owed_oldest_seconds",
        "Since when the oldest of what is owed and due waits; 0 if nothing does",
        gauge(&|lane| {
            let waits = lane.oldest_at.map(|oldest| sight.at.duration_since(oldest));
            Some(waits.map_or(0.0, |waits| waits.as_secs_f64().max(0.0)))
        }),
    )?;
    let alive = sight.workers.iter().filter(|worker| worker.is_alive);
    out.gauges(
        "workers_alive",
        "Worker processes that showed a sign of life a moment ago",
        vec![(Vec::new(), number(alive.count() as u64))],
    )?;
    out.gauges(
        "deliveries_failed",
        "Deliveries that are dead or unknown, at most 500 blocks counted",
        vec![
            (vec![("state", "dead")], number(sight.dead)),
            (vec![("state", "unknown")], number(sight.unknown)),
        ],
    )
}

type Label = (&'static str, &'static str);

/// Writes families of values that are known already.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        values: Vec<(Vec<Label>, u64)>,
    ) -> Result<(), fmt::Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            let labels = labels.as_slice();
            if labels.is_empty() {
                metric.encode_counter::<[Label; 0], u64, f64>(&value, None)?;
            } else {
                let mut one = metric.encode_family(&labels)?;
                one.encode_counter::<[Label; 0], u64, f64>(&value, None)?;
            }
        }
        Ok(())
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        values: Vec<(Vec<Label>, f64)>,
    ) -> Result<(), fmt::Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            let labels = labels.as_slice();
            if labels.is_empty() {
                metric.encode_gauge(&value)?;
            } else {
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        values: Vec<(Vec<Label>, &DurationCounts)>,
    ) -> Result<(), fmt::Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, durations) in values {
            let bounds = DURATION_BOUNDS_MILLISECONDS.iter();
            let bounds = bounds.map(|bound| *bound as f64 / 1e3).chain([f64::MAX]);
            let classes: Vec<(f64, u64)> = bounds.zip(durations.classes.iter().copied()).collect();
            let count = durations.classes.iter().sum();
            let sum = durations.sum_microseconds as f64 / 1e6;
            let labels = labels.as_slice();
            let mut one = metric.encode_family(&labels)?;
            one.encode_histogram::<[Label; 0]>(sum, count, &classes, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_is_told_once_and_routes_are_patterns() {
        let engine = Engine::builder().build().await.unwrap();
        let metrics = Metrics::new();
        let took = Duration::from_millis(3);
        metrics.answered(&Method::GET, "/api/events/{id}", 200, took);
        let odd = Method::from_bytes(b"BREW").unwrap();
        metrics.answered(&odd, "none", 405, took);
        let text = metrics.text(&engine).await.unwrap();
        for line in [
            "boxoffice_http_requests_total{method=\"GET\",route=\"/api/events/{id}\",status=\"200\"} 1",
            "boxoffice_http_requests_total{method=\"other\",route=\"none\",status=\"405\"} 1",
            "boxoffice_mails_total{lane=\"bulk\",outcome=\"sent\"} 0",
            "boxoffice_workers_alive 0.0",
            "boxoffice_queue_waiting{lane=\"bulk\"} 0.0",
            "boxoffice_sight_ok 1.0",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        let types: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .collect();
        let mut once = types.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), types.len(), "each family once");
    }
}
