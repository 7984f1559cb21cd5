//! Metrics for Prometheus: requests by route, the engine's counters, and the state of the store.
//!
//! Called by the routes, which count, and by the listeners of `/metrics`. Labels are methods, route patterns, statuses, lanes and outcomes:
//! their number is limited, whatever clients send. No label names a person. Tenants are named
//! only with their plugins, the first 100 that a process calls; the others are counted under `other`.

mod collector;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing::get,
};
use boxoffice_engine::{Caller, Engine, PluginCounters, PluginName, TenantId};
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use collector::{EngineCollector, PluginSample};

use crate::locked::Locked as _;

/// Seconds; from a cached read to the longest that a request may take.
const REQUEST_BOUNDS_SECONDS: [f64; 10] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0];
/// Plugins with separate labels: with ten series each, a scrape stays below 100 KB.
const PLUGINS_MAX: usize = 100;
/// The label of all other plugins.
const OTHERS: &str = "other";
/// The media type of the text format (OpenMetrics 1.0).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// The metrics of one process. One for all routers of an engine; [`metrics_router`] serves it.
pub struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    durations: Family<Labels, Histogram>,
    /// Plugins with separate labels. They keep them, so that no series decreases.
    plugins: Mutex<HashSet<(TenantId, PluginName)>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Starts with empty counters.
    pub fn new() -> Arc<Self> {
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
            plugins: Mutex::default(),
        })
    }

    /// This process's counters of plugins, with a limited number of labels.
    fn plugins(&self, counted: Vec<(TenantId, PluginName, PluginCounters)>) -> Vec<PluginSample> {
        let mut named = self.plugins.locked();
        let mut samples = Vec::new();
        // Always present, so that a family without calls differs from a missing one.
        let mut others = PluginSample::of(OTHERS, OTHERS, &PluginCounters::default());
        for (tenant, plugin, counters) in counted {
            let key = (tenant, plugin);
            if named.len() < PLUGINS_MAX {
                named.insert(key.clone());
            }
            if named.contains(&key) {
                samples.push(PluginSample::of(key.0.as_str(), key.1.as_str(), &counters));
            } else {
                others = others.plus(PluginSample::of(OTHERS, OTHERS, &counters));
            }
        }
        samples.push(others);
        samples
    }

    /// Counts a request. The method is one of the standard ones or `other`.
    pub(crate) fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let mut labels = vec![("method", method.to_owned()), ("route", route.to_owned())];
        self.durations
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        labels.push(("status", status.to_string()));
        self.requests.get_or_create(&labels).inc();
    }

    /// All metrics as text. Without an answer of the store or queue their parts are left out, and `boxoffice_overview_ok` shows that.
    async fn text(&self, engine: &Engine) -> Result<String, fmt::Error> {
        let overview = engine.delivery_admin().overview(&Caller::operator()).await;
        if let Err(error) = &overview {
            tracing::warn!(error = ?error, "metrics: reading the state of the lanes failed");
        }
        let health = match &overview {
            Ok(overview) => overview.health,
            // The lanes could not be read: which part is to blame?
            Err(_) => engine
                .delivery_admin()
                .health(&Caller::operator())
                .await
                .ok(),
        };
        let counted = engine.plugins().counted_here(&Caller::operator());
        let mut collected = Registry::with_prefix("boxoffice");
        collected.register_collector(Box::new(EngineCollector {
            counts: engine.counts(),
            plugins: self.plugins(counted.unwrap_or_default()),
            health,
            overview: overview.ok(),
        }));
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &collected)?;
        encode_eof(&mut text)?;
        Ok(text)
    }

    /// Returns the metrics of a scrape.
    pub(crate) async fn scrape(&self, engine: &Engine) -> Response {
        match self.text(engine).await {
            Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
            Err(error) => {
                tracing::error!(%error, "writing metrics failed");
                axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// A router with `/metrics` only, for a listener that only Prometheus can reach: it has no authentication.
pub fn metrics_router(engine: Engine, metrics: Arc<Metrics>) -> Router {
    let scrape = async move || metrics.scrape(&engine).await;
    Router::new().route("/metrics", get(scrape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_family_is_exported_once_and_routes_are_patterns() {
        let engine = Engine::builder().build().await.unwrap();
        let metrics = Metrics::new();
        let took = Duration::from_millis(3);
        metrics.answered("GET", "/api/events/{id}", 200, took);
        metrics.answered("other", "none", 405, took);
        let text = metrics.text(&engine).await.unwrap();
        for line in [
            "boxoffice_http_requests_total{method=\"GET\",route=\"/api/events/{id}\",status=\"200\"} 1",
            "boxoffice_http_requests_total{method=\"other\",route=\"none\",status=\"405\"} 1",
            "boxoffice_mails_total{lane=\"bulk\",outcome=\"sent\"} 0",
            "boxoffice_workers_alive 0.0",
            "boxoffice_queue_waiting{lane=\"bulk\"} 0.0",
            "boxoffice_overview_ok 1.0",
            "boxoffice_part_answers{part=\"database\"} 1.0",
            "boxoffice_part_answers{part=\"queue\"} 1.0",
            "boxoffice_mail_wait_seconds_count{lane=\"bulk\"} 0",
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

    #[test]
    fn plugins_of_any_number_have_a_bounded_number_of_labels() {
        let counted = |plugins: std::ops::Range<u32>, answered: u64| {
            let one = |number| {
                let tenant = TenantId::parse(&format!("tenant-{number}")).unwrap();
                let plugin = PluginName::parse("name", "policy").unwrap();
                let counters = PluginCounters {
                    answered,
                    ..PluginCounters::default()
                };
                (tenant, plugin, counters)
            };
            plugins.map(one).collect::<Vec<_>>()
        };
        let metrics = Metrics::new();
        let few = metrics.plugins(counted(0..3, 1));
        assert_eq!(few.len(), 3 + 1);
        let many = metrics.plugins(counted(0..1_000, 2));
        assert_eq!(many.len(), PLUGINS_MAX + 1);
        assert!(
            few.iter()
                .all(|one| many.iter().any(|other| other.is_same(one)))
        );
        let others = many.last().unwrap();
        assert!(others.is_same(&PluginSample::of(
            OTHERS,
            OTHERS,
            &PluginCounters::default()
        )));
        assert_eq!(others.answered, 2 * (1_000 - PLUGINS_MAX as u64));
    }
}
