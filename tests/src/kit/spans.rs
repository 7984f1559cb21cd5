//! What is traced in tests: nothing.

use std::sync::Once;

use tracing::subscriber::{NoSubscriber, set_global_default};

/// Says that nobody listens to spans. A process that does not say so may have a `log` logger, for which `tracing` writes the fields
/// of every span that a library opens: the store writes each key that it reads as text.
pub fn without_spans() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A test that listens was first.
        let _ = set_global_default(NoSubscriber::new());
    });
}
