//! Traces across what is stored: the engine keeps where a request's trace was beside what it owes, and whoever does that
//! goes on there. The engine itself knows only spans of `tracing`, and no way to export any.

use jiff::Timestamp;

use crate::types::TraceParent;

/// Connects spans of `tracing` with traces that outlive a process.
pub trait Traces: Send + Sync + 'static {
    /// Where the trace of the current span is, if it is recorded; none keeps nothing. Asked once for each request that
    /// owes something, and must not wait.
    fn current(&self) -> Option<TraceParent>;

    /// Makes a span that nobody has entered go on there.
    fn go_on(&self, span: &tracing::Span, parent: &TraceParent);

    /// Tells of something that waited from one moment to another.
    fn waited(&self, parent: &TraceParent, name: &'static str, from: Timestamp, to: Timestamp);
}
