//! `boxoffice worker`: relay, fan-out and delivery in a process separate from the API, with health checks.
//!
//! Called by the program. Calls config, assembly and the engine's worker.

use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use axum::{Json, Router, extract::State, http::StatusCode, response::Response, routing::get};
use boxoffice_engine::{Engine, WorkerHandle};
use clap::Args;
use serde_json::json;
use toml::Value;

use super::{
    StoreArgs,
    lifecycle::{self, Listener, Shutdown},
    print, store,
    store_watchdog::StoreWatchdog,
};
use crate::{
    assembly::MailRole,
    config::{Config, ConfigError, StoreConfig},
    locked::Locked as _,
    metrics::Metrics,
    telemetry::{self, Telemetry},
};

/// `boxoffice worker`.
#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Serves /health/live, /health/ready and /metrics here; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

/// Works until a signal comes.
pub(super) async fn worker(args: WorkerArgs) -> anyhow::Result<()> {
    let mut flags = args.store.flags();
    flags.overrides.extend(
        args.listen
            .map(|listen| ("worker.listen", "--listen", Value::from(listen))),
    );
    let config = Config::load(&flags)?;
    if matches!(config.store, StoreConfig::Memory) {
        let allowed =
            "a store that others write to: ws://HOST:PORT, or a folder that nobody else holds";
        return Err(ConfigError::new("store.url", "mem://", allowed).into());
    }
    let telemetry = telemetry::start(&config)?;
    let ended = work(&config, &telemetry).await;
    telemetry.end().await;
    ended
}

async fn work(config: &Config, telemetry: &Telemetry) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let listener = Listener::open(config.worker_listen, "worker.listen").await?;
    let opened = store::open(
        config,
        MailRole::Sender,
        "worker",
        Some(&listener.url),
        Some(telemetry),
    )
    .await?;
    let watchdog = StoreWatchdog::start(config, &opened.engine)?;
    let health = Health::new(opened.engine.clone());
    print(&format!("listening on {}", listener.url))?;

    let served = listener.serve(health.router(), &shutdown).await;
    lifecycle::drain(
        health
            .take_worker()
            .context("the worker is taken once, here")?,
    )
    .await;
    drop(health);
    drop(watchdog);
    lifecycle::close(opened.engine).await;
    drop(opened.lock_owner);
    served
}

/// The state for health checks.
#[derive(Clone)]
struct Health {
    engine: Engine,
    /// `None` while it stops.
    worker: Arc<Mutex<Option<WorkerHandle>>>,
    metrics: Arc<Metrics>,
}

impl Health {
    /// Starts the worker.
    fn new(engine: Engine) -> Self {
        let worker = engine.worker().spawn();
        Self {
            engine,
            worker: Arc::new(Mutex::new(Some(worker))),
            metrics: Metrics::new(),
        }
    }

    fn router(&self) -> Router {
        Router::new()
            .route(
                "/health/live",
                get(async || Json(json!({ "status": "ok" }))),
            )
            .route("/health/ready", get(ready))
            .route("/metrics", get(scrape))
            .with_state(self.clone())
    }

    fn take_worker(&self) -> Option<WorkerHandle> {
        self.worker.locked().take()
    }

    fn is_working(&self) -> bool {
        let worker = self.worker.locked();
        worker.as_ref().is_some_and(WorkerHandle::is_healthy)
    }
}

async fn scrape(State(health): State<Health>) -> Response {
    health.metrics.scrape(&health.engine).await
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<serde_json::Value>) {
    let reason = if !health.is_working() {
        "a loop of the worker has not come round for a minute".to_owned()
    } else if let Err(error) = health.engine.ready().await {
        error.detail().to_owned()
    } else {
        return (StatusCode::OK, Json(json!({ "status": "ok" })));
    };
    (
        StatusCode::SERVICE_UNAVAILABLE,
        Json(json!({ "status": "not-ready", "reason": reason })),
    )
}
