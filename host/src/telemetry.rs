//! The program's log and traces: what is said, in which form, and where to. Logs go to stderr.
//!
//! Called by cli once per process. Spans and events come from engine and host; the subscriber is chosen only here.

use std::{
    io::{self, BufWriter},
    time::Duration,
};

use tracing::{Metadata, level_filters::LevelFilter};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::FilterFn, fmt, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    config::{Config, ConfigError},
    traces::Exporting,
};

/// What a level may look like, for messages about a wrong one.
pub(crate) const LEVEL_RULE: &str =
    "a level (error, warn, info, debug, trace), or TARGET=LEVEL pairs with commas";
/// Lines that wait for whoever reads stderr; beyond it, who has something to say waits. Some megabytes.
const LINES_MAX: usize = 10_000;
/// Bytes written at once when lines come faster than that.
const WRITTEN_BYTES: usize = 64 * 1024;
/// How long a process that ends waits for its last spans to leave.
const SHUT_DOWN_LASTS_MAX: Duration = Duration::from_secs(3);

/// Whether a text says what is logged.
pub(crate) fn is_level(text: &str) -> bool {
    EnvFilter::try_new(text).is_ok()
}

/// What is left to do when a process ends.
#[must_use]
pub(crate) struct Telemetry {
    exporting: Option<Exporting>,
    /// Writes what waits when it is dropped.
    _lines: WorkerGuard,
}

impl Telemetry {
    /// Sends off what waits to be told.
    pub(crate) async fn end(self) {
        if let Some(exporting) = self.exporting {
            exporting.shut_down(SHUT_DOWN_LASTS_MAX).await;
        }
    }

    /// What spans leave through, if they do.
    pub(crate) fn exporting(&self) -> Option<&Exporting> {
        self.exporting.as_ref()
    }
}

/// Starts logging, and traces if they go anywhere. A second call changes nothing: the first one in a process decides.
///
/// # Errors
/// [`ConfigError`] for a collector that cannot be one.
pub(crate) fn start(config: &Config) -> Result<Telemetry, ConfigError> {
    let exporting = match &config.traces {
        None => None,
        Some(traces) => Some(Exporting::start(traces).map_err(|reason| {
            ConfigError::new("telemetry.otlp_endpoint", &traces.endpoint, reason)
        })?),
    };
    let spans = exporting.as_ref().map(|exporting| {
        tracing_opentelemetry::layer()
            .with_tracer(exporting.tracer())
            .with_location(false)
            .with_threads(false)
            .with_filter(FilterFn::new(is_ours).with_max_level_hint(LevelFilter::INFO))
    });
    let registry = tracing_subscriber::registry().with(spans);
    // Each request leaves a line: writing it is not the request's business, and lines that come together are written at once.
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(false)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(BufWriter::with_capacity(WRITTEN_BYTES, io::stderr()));
    let (level, lines) = (filter(&config.logs.level), fmt::layer().with_writer(writer));
    // `Err` means that a subscriber is there already.
    let _ = if config.logs.json {
        registry
            .with(lines.json().flatten_event(true).with_filter(level))
            .try_init()
    } else {
        let is_terminal = io::IsTerminal::is_terminal(&io::stderr());
        registry
            .with(lines.with_ansi(is_terminal).with_filter(level))
            .try_init()
    };
    Ok(Telemetry {
        exporting,
        _lines: guard,
    })
}

/// Starts logging for a command that ends by itself: without traces.
pub(crate) fn start_lines(level: &str, json: bool) {
    let registry = tracing_subscriber::registry().with(filter(level));
    let lines = fmt::layer().with_writer(io::stderr);
    let _ = match json {
        true => registry.with(lines.json().flatten_event(true)).try_init(),
        false => {
            let is_terminal = io::IsTerminal::is_terminal(&io::stderr());
            registry.with(lines.with_ansi(is_terminal)).try_init()
        }
    };
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Our own spans only: the database and the network would make thousands, and their events hold what is nobody's business.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("boxoffice")
}
