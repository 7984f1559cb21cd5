//! Storage steps of delivery batches. Called by the notifications module; calls models.

use surrealdb::types::RecordId;

use super::{
    db::{Script, StepError, SystemScope},
    models::{BatchProgress, DeliveryBatchRow, FailedBatchRow, FirstRecipientRow, is_open},
    notifications::{NotificationsRepository, add_outbox, remove_outbox},
};
use crate::{
    error::Result,
    types::{BatchWrite, DeliveryBatch, NotificationId, OutboxEntry, OutboxPart, TenantId, UserId},
};

/// The guard's word when somebody else has written a batch.
pub(in crate::modules) const STALE_BATCH: &str = "batch-moved";

impl NotificationsRepository {
    /// The first customer of each of some batches of a notification, those that are there; at most 64.
    pub(in crate::modules) async fn first_recipients(
        &self,
        tenant: &TenantId,
        id: NotificationId,
        batches: &[u32],
    ) -> Result<Vec<(u32, UserId)>> {
        let mut script = Script::of(tenant);
        let keys: Vec<RecordId> = batches
            .iter()
            .map(|number| DeliveryBatchRow::key(tenant, id, *number))
            .collect();
        let ids = script.bind(keys);
        let index = script.push(format!(
            "SELECT id, {} FROM {ids}",
            FirstRecipientRow::FIELDS
        ));
        let rows: Vec<FirstRecipientRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(FirstRecipientRow::into_type).collect()
    }

    /// The batches that some outbox rows are about, those that are there; at most 1,000.
    pub(in crate::modules) async fn find_batches_of(
        &self,
        scope: SystemScope,
        entries: &[OutboxEntry],
    ) -> Result<Vec<(TenantId, DeliveryBatch)>> {
        let mut script = Script::across_tenants(scope);
        let keys: Vec<RecordId> = entries
            .iter()
            .filter_map(|entry| match entry.part {
                OutboxPart::DeliveryBatch(number) => Some(DeliveryBatchRow::key(
                    &entry.tenant,
                    entry.notification,
                    number,
                )),
                OutboxPart::FanOut => None,
            })
            .collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let index = script.read_all(keys);
        let rows: Vec<DeliveryBatchRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter()
            .map(|row| Ok((row.tenant()?, row.into_type()?)))
            .collect()
    }

    /// Those of some batches that are there, in no order; at most 64.
    pub(in crate::modules) async fn find_batches(
        &self,
        tenant: &TenantId,
        batches: &[(NotificationId, u32)],
    ) -> Result<Vec<DeliveryBatch>> {
        let mut script = Script::of(tenant);
        let keys: Vec<RecordId> = batches
            .iter()
            .map(|(id, number)| DeliveryBatchRow::key(tenant, *id, *number))
            .collect();
        let index = script.read_all(keys);
        let rows: Vec<DeliveryBatchRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(DeliveryBatchRow::into_type).collect()
    }

    /// Writes steps of several batches' deliveries in one transaction, at most 4 rows each, perhaps with what others write. If one
    /// of the batches is no longer as it was seen, [`STALE_BATCH`] stops all of them.
    pub(in crate::modules) async fn write_batches(
        &self,
        writes: &[BatchWrite],
    ) -> Result<(), StepError> {
        let steps = writes.iter().map(step_of).collect::<Result<Vec<_>>>();
        let steps = steps.map_err(|error| StepError::Other(error.into()))?;
        self.db.commit(None, Script::merged(steps)).await
    }

    /// How many of a notification's batches from number `from` on wait for a worker now, or are in one's hand. Reads as
    /// many rows as there are from there on; the caller limits that.
    pub(in crate::modules) async fn count_open_batches(
        &self,
        tenant: &TenantId,
        id: NotificationId,
        from: u32,
    ) -> Result<u32> {
        let mut script = Script::of(tenant);
        let id = script.bind(id.ulid().to_string());
        let from = script.bind(i64::from(from));
        let index = script.push(format!(
            "SELECT VALUE states FROM delivery_batch:[$tenant, {id}, {from}]..[$tenant, {id}, ..]"
        ));
        let states: Vec<String> = self.db.run_retrying(&script).await?.rows(index)?;
        let open = states.iter().filter(|states| is_open(states)).count();
        u32::try_from(open).map_err(crate::error::Error::internal)
    }

    /// Up to `limit` batches of a notification from number `from` on.
    pub(in crate::modules) async fn list_batches(
        &self,
        tenant: &TenantId,
        id: NotificationId,
        from: u32,
        limit: u32,
    ) -> Result<Vec<DeliveryBatch>> {
        let mut script = Script::of(tenant);
        let id = script.bind(id.ulid().to_string());
        let (from, limit) = (script.bind(i64::from(from)), script.bind(i64::from(limit)));
        let index = script.push(format!(
            "SELECT * FROM type::record('delivery_batch', [$tenant, {id}, {from}]..[$tenant, {id}, ..]) LIMIT {limit}"
        ));
        let rows: Vec<DeliveryBatchRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(DeliveryBatchRow::into_type).collect()
    }
}

fn step_of(write: &BatchWrite) -> Result<Script> {
    let BatchWrite { tenant, batch, .. } = write;
    let mut script = Script::transaction(tenant);
    let key = DeliveryBatchRow::key(tenant, batch.notification, batch.number);
    let progress = BatchProgress::of(batch, batch.revision + 1)?;
    script.merge_if(key, batch.revision, progress, STALE_BATCH);
    remove_outbox(&mut script, write.remove_outbox.as_slice());
    add_outbox(&mut script, write.add_outbox.as_slice());
    if let Some(row) = FailedBatchRow::of(tenant, batch) {
        script.put(row.id.clone(), row);
    }
    Ok(script)
}
