//! The program's log: what is said, in which form, to stderr.
//!
//! Called by cli once per process. Spans and events come from engine and host; the subscriber is chosen only here.

use std::io;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// What a level may look like, for messages about a wrong one.
pub(crate) const LEVEL_RULE: &str =
    "a level (error, warn, info, debug, trace), or TARGET=LEVEL pairs with commas";

/// Whether a text says what is logged.
pub(crate) fn is_level(text: &str) -> bool {
    EnvFilter::try_new(text).is_ok()
}

/// Starts logging. A second call changes nothing: the first one in a process decides.
pub(crate) fn start(level: &str, json: bool) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(io::stderr);
    // `Err` means that a subscriber is there already.
    let _ = if json {
        registry.with(lines.json().flatten_event(true)).try_init()
    } else {
        registry
            .with(lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr())))
            .try_init()
    };
}
