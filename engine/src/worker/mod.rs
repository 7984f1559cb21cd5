//! The engine's own caller of use cases: what is owed is done here, behind any queue.
//!
//! Relay and expiry are leased singletons that any process may hold; fan-out and delivery run where a worker runs.

use std::{sync::Arc, time::Duration};

use crate::{Result, engine::Inner};

/// A worker about to start.
pub struct Worker(pub(crate) Arc<Inner>);

impl Worker {
    /// Starts everything: the singletons, fan-out and delivery.
    pub fn spawn(self) -> WorkerHandle {
        todo!()
    }

    /// Starts only the singletons (relay, expiry, sweeper), as a host does that leaves mails to worker processes.
    pub fn spawn_singletons(self) -> WorkerHandle {
        todo!()
    }
}

/// A running worker. Dropping it stops the worker without waiting.
pub struct WorkerHandle {
    _private: (),
}

impl WorkerHandle {
    /// Stops taking work, lets what is in flight finish or hands it back, and returns once that is done, after
    /// `timeout` at the latest. Answers whether everything ended in time.
    pub async fn drain(self, timeout: Duration) -> bool {
        todo!()
    }

    /// Whether each loop of the worker has come round within the last minute.
    pub fn is_healthy(&self) -> bool {
        todo!()
    }
}
