//! The program's logs and traces: level, format and target. Logs go to stderr.
//!
//! Called by cli once per process. Spans and events come from engine and host. Only this file installs a subscriber.

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
    config::{Config, ConfigError, LogFormat},
    traces::Exporting,
};

/// Most lines that wait to be written to stderr; beyond it, logging blocks. Some megabytes.
const LINES_MAX: usize = 10_000;
/// Bytes that are written at once if there are many lines.
const WRITTEN_BYTES: usize = 64 * 1024;
/// How long a process waits at its end for the export of its last spans.
const SHUT_DOWN_LASTS_MAX: Duration = Duration::from_secs(3);

/// The work at the end of a process.
#[must_use]
pub(crate) struct Telemetry {
    exporting: Option<Exporting>,
    /// Writes the waiting lines when it is dropped.
    _lines: WorkerGuard,
}

impl Telemetry {
    /// Exports the waiting spans.
    pub(crate) async fn end(self) {
        if let Some(exporting) = self.exporting {
            exporting.shut_down(SHUT_DOWN_LASTS_MAX).await;
        }
    }

    /// The exporter of spans, if there is one.
    pub(crate) fn exporting(&self) -> Option<&Exporting> {
        self.exporting.as_ref()
    }
}

/// Starts logging, and traces if they are configured. Only the first call in a process has an effect.
///
/// # Errors
/// [`ConfigError`] for an invalid collector.
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
    // Each request logs a line. It is written in the background, several lines at once.
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(false)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(BufWriter::with_capacity(WRITTEN_BYTES, io::stderr()));
    let (level, lines) = (filter(&config.logs.level), fmt::layer().with_writer(writer));
    // `Err` means that a subscriber is there already.
    let _ = match config.logs.format {
        LogFormat::Json => registry
            .with(lines.json().flatten_event(true).with_filter(level))
            .try_init(),
        LogFormat::Text => registry
            .with(lines.with_ansi(is_terminal()).with_filter(level))
            .try_init(),
    };
    Ok(Telemetry {
        exporting,
        _lines: guard,
    })
}

/// Starts logging for a command that ends by itself: without traces.
pub(crate) fn start_lines(level: &str, format: LogFormat) {
    let registry = tracing_subscriber::registry().with(filter(level));
    let lines = fmt::layer().with_writer(io::stderr);
    let _ = match format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(lines.with_ansi(is_terminal())).try_init(),
    };
}

fn is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Only spans of Boxoffice: the database and the network would make thousands, and their events may contain private data.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("boxoffice")
}
