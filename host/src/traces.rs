//! Traces for an OpenTelemetry collector: sampling, continuation across the outbox, and export.
//!
//! Used by `assembly` and `telemetry`; the routes read the caller's trace. The export has a separate thread and a
//! limited queue: a slow or missing collector loses spans, but never delays a request.

#![cfg_attr(
    not(feature = "program"),
    allow(
        dead_code,
        reason = "only the program exports; a router takes in where traces are"
    )
)]

use std::{
    hash::{BuildHasher as _, RandomState},
    time::{Duration, SystemTime},
};

use axum::http::HeaderMap;
use boxoffice_engine::{TraceParent, ports::Traces};
use jiff::Timestamp;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{
        Link, SamplingResult, SpanContext, SpanKind, TraceContextExt as _, TraceState, Tracer as _,
        TracerProvider as _,
    },
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, ShouldSample,
    },
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The instrumentation scope of the spans.
const SCOPE: &str = "boxoffice";
/// Most spans that wait for the export; further ones are dropped. A request and its mail make about five.
const WAITING_MAX: usize = 4_096;
/// Most spans of one export.
const BATCH_MAX: usize = 512;
/// The pause between two exports.
const EXPORT_EVERY: Duration = Duration::from_secs(1);
/// Time limit of an export. Later spans wait meanwhile, within their limit.
const EXPORT_LASTS_MAX: Duration = Duration::from_secs(10);

/// The settings of traces.
#[derive(Debug, Clone)]
pub(crate) struct TracesConfig {
    /// The collector (OTLP over gRPC), http:// or https://.
    pub(crate) endpoint: String,
    /// The service name.
    pub(crate) service_name: String,
    /// The sampled share of requests, 0 to 1.
    pub(crate) sample_ratio: f64,
}

/// Exports spans until it is shut down.
#[derive(Debug, Clone)]
pub(crate) struct Exporting(SdkTracerProvider);

impl Exporting {
    /// Prepares the exporter. It connects later, so a host starts without a collector. Must be called on a
    /// tokio runtime.
    ///
    /// # Errors
    /// A sentence about the invalid endpoint.
    pub(crate) fn start(config: &TracesConfig) -> Result<Self, String> {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&config.endpoint)
            .with_timeout(EXPORT_LASTS_MAX)
            .build()
            .map_err(|error| error.to_string())?;
        let line = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING_MAX)
            .with_max_export_batch_size(BATCH_MAX)
            .with_scheduled_delay(EXPORT_EVERY)
            .build();
        let processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(line)
            .build();
        let resource = Resource::builder_empty()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Head::new(config.sample_ratio))
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    /// The layer that turns spans of `tracing` into OpenTelemetry spans.
    pub(crate) fn tracer(&self) -> SdkTracer {
        self.0.tracer(SCOPE)
    }

    /// The engine's port for traces.
    pub(crate) fn traces(&self) -> StoredTraces {
        StoredTraces(self.tracer())
    }

    /// Exports the waiting spans and shuts down, within this time.
    pub(crate) async fn shut_down(self, limit: Duration) {
        // It blocks its thread until the export is finished.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(limit)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("exporting spans failed; some are lost");
        }
    }
}

/// Samples by trace id, at the beginning of a trace.
///
/// A caller's decision only counts if it is no: an unsampled trace is not recorded, but no caller can make us record more than
/// the configured share, because a caller's ids are hashed with a secret of this process. Stored traces continue as they began.
#[derive(Debug, Clone)]
struct Head {
    share: Sampler,
    ratio: f64,
    lots: RandomState,
}

impl Head {
    fn new(ratio: f64) -> Self {
        Self {
            share: Sampler::TraceIdRatioBased(ratio),
            ratio,
            lots: RandomState::new(),
        }
    }
}

impl Head {
    /// Returns whether a caller's trace is in the sampled share.
    fn draws(&self, trace_id: TraceId) -> bool {
        let lot = self.lots.hash_one(trace_id.to_bytes());
        // As far along the whole range as the share is of one; the rounding of floats does not matter to a share.
        #[allow(clippy::cast_precision_loss)]
        let place = lot as f64 / u64::MAX as f64;
        place < self.ratio
    }
}

impl ShouldSample for Head {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let parent = parent_context.filter(|context| context.has_active_span());
        let parent = parent.map(|context| context.span().span_context().clone());
        let choice = match parent {
            Some(parent) if !parent.is_sampled() => &Sampler::AlwaysOff,
            Some(parent) if !parent.is_remote() => &Sampler::AlwaysOn,
            Some(_) if self.draws(trace_id) => &Sampler::AlwaysOn,
            Some(_) => &Sampler::AlwaysOff,
            None => &self.share,
        };
        choice.should_sample(parent_context, trace_id, name, span_kind, attributes, links)
    }
}

/// Traces across the outbox.
pub(crate) struct StoredTraces(SdkTracer);

impl Traces for StoredTraces {
    fn current(&self) -> Option<TraceParent> {
        let context = Span::current().context();
        let span = context.span();
        let place = span.span_context();
        if !place.is_valid() || !place.is_sampled() {
            return None;
        }
        let text = format!("00-{}-{}-01", place.trace_id(), place.span_id());
        text.parse().ok()
    }

    fn go_on(&self, span: &Span, parent: &TraceParent) {
        if let Some(context) = context_of(parent, false) {
            // A filtered span cannot be continued.
            let _ = span.set_parent(context);
        }
    }

    fn waited(&self, parent: &TraceParent, name: &'static str, from: Timestamp, to: Timestamp) {
        use opentelemetry::trace::Span as _;

        let Some(context) = context_of(parent, false) else {
            return;
        };
        // With different clocks the later time may be before the earlier.
        let (from, to) = (SystemTime::from(from), SystemTime::from(to.max(from)));
        let span = self.0.span_builder(name).with_start_time(from);
        let mut span = self.0.build_with_context(span, &context);
        span.end_with_timestamp(to);
    }
}

/// Makes a request's span part of the caller's trace, if the request has one (W3C Trace Context).
pub(crate) fn take_in(span: &Span, headers: &HeaderMap) {
    let mut values = headers.get_all("traceparent").iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return;
    };
    let parent = value.to_str().ok().and_then(|text| text.parse().ok());
    if let Some(context) = parent.and_then(|parent| context_of(&parent, true)) {
        let _ = span.set_parent(context);
    }
}

fn context_of(parent: &TraceParent, is_remote: bool) -> Option<Context> {
    let flags = match parent.is_sampled() {
        true => TraceFlags::SAMPLED,
        false => TraceFlags::default(),
    };
    let place = SpanContext::new(
        TraceId::from_hex(parent.trace_id()).ok()?,
        SpanId::from_hex(parent.span_id()).ok()?,
        flags,
        is_remote,
        TraceState::default(),
    );
    Some(Context::new().with_remote_span_context(place))
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::SamplingDecision;

    use super::*;

    fn decides(ratio: f64, parent: Option<(bool, bool)>) -> bool {
        let trace_id = TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap();
        let context = parent.map(|(sampled, remote)| {
            let text = format!("00-{trace_id}-b7ad6b7169203331-0{}", u8::from(sampled));
            context_of(&text.parse().unwrap(), remote).unwrap()
        });
        let result = Head::new(ratio).should_sample(
            context.as_ref(),
            trace_id,
            "request",
            &SpanKind::Server,
            &[],
            &[],
        );
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn nobody_outside_makes_us_record_more_than_our_share() {
        let (none, sampled, unsampled) = (None, Some((true, true)), Some((false, true)));
        let stored = Some((true, false));
        for (ratio, parent, wanted) in [
            (1.0, none, true),
            (0.0, none, false),
            (1.0, sampled, true),
            (0.0, sampled, false),
            (1.0, unsampled, false),
            (0.0, stored, true),
        ] {
            assert_eq!(decides(ratio, parent), wanted, "{ratio} {parent:?}");
        }
        // Nor by choosing ids: each is drawn for anew in each process.
        let drawn = (0..1_000).filter(|_| decides(0.1, sampled)).count();
        assert!((30..300).contains(&drawn), "{drawn} of 1,000");
    }
}
