//! The delivery writer: steps of deliveries, each written once, and repeated while the store is away.
//!
//! Each step is a compare-and-set of its own; a batch that was taken from us leaves the others alone. Steps are written in
//! order. A mail's outcome that is queued before another mail's mark `sending` is therefore never written after it, and no
//! more mails are marked `sending` than are sent at once.
//!
//! Called by the rules of delivery. Calls the notifications repository.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, Result},
    modules::{
        ModuleContext,
        repositories::{NotificationsRepository, STALE_BATCH, StepError},
    },
    types::{BatchWrite, DeliveryBatch},
};

/// The pause between two attempts while the store is unreachable.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub(super) struct DeliveryWriter {
    repository: Arc<NotificationsRepository>,
    context: ModuleContext,
}

impl DeliveryWriter {
    pub(super) fn new(repository: Arc<NotificationsRepository>, context: ModuleContext) -> Self {
        Self {
            repository,
            context,
        }
    }

    /// Puts a step in line, at once; what comes back is waited for: whether the batch was still ours. The step is written
    /// even if nobody waits.
    pub(super) fn put(
        &self,
        write: BatchWrite,
    ) -> impl Future<Output = Result<bool>> + Send + use<> {
        let begun = Instant::now();
        let first = self.repository.write_batch(&write);
        let writer = self.clone();
        let task = tokio::spawn(async move {
            let outcome = writer.settled(&write, begun, first.await).await?;
            if outcome && write.add_outbox.is_some() {
                writer.context.outbox_added.notify_one();
            }
            Ok(outcome)
        });
        async move { task.await.map_err(Error::internal)? }
    }

    /// Repeats a step until it is written, its batch is another's, or it has taken as long as a lease, after which its batch
    /// may be another's.
    ///
    /// Mails are on the wire meanwhile, and giving up at the first hiccup of the store would leave them in doubt.
    async fn settled(
        &self,
        write: &BatchWrite,
        begun: Instant,
        first: Result<(), StepError>,
    ) -> Result<bool> {
        let mut error = match first {
            Ok(()) => return Ok(true),
            Err(error) if error.is_guard(STALE_BATCH) => return Ok(false),
            Err(error) => error,
        };
        let lease = self.context.settings.worker.delivery_lease;
        while begun.elapsed() < lease {
            tracing::warn!(error = ?error, "writing a delivery failed, will retry");
            tokio::time::sleep(PAUSE).await;
            if let Some(is_written) = self.found(write).await {
                return Ok(is_written);
            }
            error = match self.repository.write_batch(write).await {
                Ok(()) => return Ok(true),
                // An earlier attempt may be what was written: the next look tells.
                Err(error) => error,
            };
        }
        Err(error.into())
    }

    /// The outcome of a step whose answer was lost: written, overtaken, or neither.
    async fn found(&self, write: &BatchWrite) -> Option<bool> {
        let batch = &write.batch;
        let ids = [(batch.notification, batch.number)];
        let found = self.repository.find_batches(&write.tenant, &ids).await;
        let found = found.ok()?.pop()?;
        if found.revision == batch.revision {
            return None;
        }
        let ours = DeliveryBatch {
            revision: found.revision,
            ..batch.clone()
        };
        Some(found.revision == batch.revision + 1 && found == ours)
    }
}
