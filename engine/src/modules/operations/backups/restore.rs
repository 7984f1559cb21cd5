//! Restoring a backup into an empty store.
//!
//! Called by the builder, instead of building an engine. Calls the backups repository.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value as Json;
use tokio::io::AsyncBufRead;

use super::{Lines, of_all_tenants};
use crate::modules::repositories::{BackupsRepository, Db, newest_schema};
use crate::{
    counters::Counters,
    error::{Error, ErrorCode, Result},
    settings::Store,
    types::{BackupFacts, DeliveryBatch, DeliveryState, Restoration},
};

/// Most rows written in one step.
const BATCH_ROWS_MAX: usize = 500;
/// Bytes of a backup written in one step, plus one row at most.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long the store may take to close after a restore; a gigabyte takes seconds.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(120);

/// Restores a backup into an empty store. No program opens the store before it is complete.
///
/// # Errors
/// `backup-invalid`, `store-not-empty`, `store-in-use`, `store-too-new`, `unavailable`. After any of them that came later than
/// `store-not-empty` the store holds a part of the backup, and stays refused.
pub(crate) async fn restore(
    store: &Store,
    now: Timestamp,
    input: impl AsyncBufRead + Unpin,
) -> Result<BackupFacts> {
    let lines = Lines::open(input, newest_schema()).await?;
    let db = Db::open(store, Arc::<Counters>::default()).await?;
    let closing = db.closing();
    let repository = BackupsRepository::new(db);
    let outcome = fill(&repository, lines, now).await;
    drop(repository);
    let facts = outcome?;
    if !closing.wait(CLOSING_TIMEOUT).await {
        tracing::warn!("the store did not close in time; the next start recovers its log first");
    }
    Ok(facts)
}

async fn fill(
    repository: &BackupsRepository,
    mut lines: Lines<impl AsyncBufRead + Unpin>,
    now: Timestamp,
) -> Result<BackupFacts> {
    let scope = of_all_tenants();
    let tables = repository.begin(scope, lines.facts().schema).await?;
    let reason = format!(
        "restored from a backup of {}: it may have been sent since",
        lines.facts().taken_at
    );
    let doubt = |batch: &mut DeliveryBatch| doubt(batch, &reason, now);
    let (mut table, mut rows, mut bytes) = (String::new(), Vec::<Json>::new(), 0);
    while let Some(next) = lines.next().await? {
        let is_full = rows.len() >= BATCH_ROWS_MAX || bytes >= BATCH_BYTES_MAX;
        if !rows.is_empty() && (is_full || next.table != table) {
            let batch = std::mem::take(&mut rows);
            repository.insert(scope, &table, batch, doubt).await?;
            bytes = 0;
        }
        if next.table != table {
            if !tables.contains(&next.table) {
                return Err(Error::new(
                    ErrorCode::BackupInvalid,
                    "The backup has a table that its schema does not have.",
                ));
            }
            table = next.table;
        }
        bytes += next.bytes;
        rows.push(next.row);
    }
    if !rows.is_empty() {
        repository.insert(scope, &table, rows, doubt).await?;
    }
    let facts = lines.facts();
    let restoration = Restoration {
        taken_at: facts.taken_at,
        restored_at: now,
        released_at: None,
    };
    repository.finish(scope, &restoration).await?;
    Ok(facts)
}

/// Unfinished deliveries of a batch may have been sent since the backup was taken: they become `unknown`.
fn doubt(batch: &mut DeliveryBatch, reason: &str, now: Timestamp) {
    batch.claim = None;
    batch.claims = 0;
    for delivery in &mut batch.deliveries {
        let is_open = matches!(
            delivery.state,
            DeliveryState::Queued | DeliveryState::Sending | DeliveryState::Deferred
        );
        if is_open {
            delivery.record_outcome(DeliveryState::Unknown, reason.to_owned(), now);
            delivery.ever_unknown = true;
            delivery.next_at = None;
        }
    }
}
