//! The port that continues traces across the outbox: the engine stores a request's place in its trace with the outbox
//! entry, and the worker continues there. The engine itself only uses spans of `tracing` and exports none.

use jiff::Timestamp;

use crate::types::TraceParent;

/// Connects spans of `tracing` with traces across processes.
pub trait Traces: Send + Sync + 'static {
    /// The current span's place in its trace; `None` if it is not recorded. Called once for each request that
    /// adds an outbox entry. Must not block.
    fn current(&self) -> Option<TraceParent>;

    /// Makes a span, before it is entered, continue there.
    fn go_on(&self, span: &tracing::Span, parent: &TraceParent);

    /// Records that something waited from one time to another.
    fn waited(&self, parent: &TraceParent, name: &'static str, from: Timestamp, to: Timestamp);
}
