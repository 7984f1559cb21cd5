//! Storage steps of delivery batches. Called by the notifications module; calls models.

use surrealdb::types::RecordId;

use super::{
    db::{Script, StepError, SystemScope},
    models::{
        BatchProgress, DeliveryBatchRow, FailedBatchRow, FirstRecipientRow, OutboxRow, is_open,
    },
    notifications::NotificationsRepository,
};
use crate::{
    error::Result,
    types::{BatchWrite, DeliveryBatch, NotificationId, OutboxEntry, OutboxPart, TenantId, UserId},
};

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
        let ids = script.bind(keys);
        let index = script.push(format!("SELECT * FROM {ids}"));
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
        let ids = script.bind(keys);
        let index = script.push(format!("SELECT * FROM {ids}"));
        let rows: Vec<DeliveryBatchRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(DeliveryBatchRow::into_type).collect()
    }

    /// Writes steps of several batches' deliveries in one transaction, each only if its batch is still as it was seen:
    /// at most 4 rows each. Returns for each whether it was. A changed batch does not affect the others.
    ///
    /// Fails with a conflict if another transaction wrote one of the rows at the same time; nothing is written then.
    pub(in crate::modules) async fn write_batches(
        &self,
        scope: SystemScope,
        writes: &[BatchWrite],
    ) -> Result<Vec<bool>, StepError> {
        let other = |error: crate::error::Error| StepError::Other(error.into());
        let mut script = Script::transaction_across_tenants(scope);
        let mut answers = Vec::with_capacity(writes.len());
        for (index, write) in writes.iter().enumerate() {
            let batch = &write.batch;
            let seen = script.bind(batch.revision);
            let key = script.bind(DeliveryBatchRow::key(
                &write.tenant,
                batch.notification,
                batch.number,
            ));
            let progress =
                script.bind(BatchProgress::of(batch, batch.revision + 1).map_err(other)?);
            script.push(format!(
                "LET $written{index} = (UPDATE {key} MERGE {progress} WHERE revision = {seen} RETURN VALUE revision)"
            ));
            let mut then = String::new();
            if let Some(done) = &write.remove_outbox {
                let done = script.bind(OutboxRow::key(done));
                then.push_str(&format!("DELETE {done} RETURN NONE; "));
            }
            if let Some(entry) = &write.add_outbox {
                let row = script.bind(OutboxRow::of(entry));
                then.push_str(&format!("INSERT IGNORE INTO outbox {row} RETURN NONE; "));
            }
            if let Some(row) = FailedBatchRow::of(&write.tenant, batch) {
                let key = script.bind(row.id.clone());
                let row = script.bind(row);
                then.push_str(&format!("UPSERT {key} CONTENT {row} RETURN NONE; "));
            }
            if !then.is_empty() {
                script.push(format!("IF array::len($written{index}) > 0 {{ {then}}}"));
            }
            answers.push(format!("array::len($written{index}) > 0"));
        }
        let index = script.push(format!("RETURN [{}]", answers.join(", ")));
        self.db.run(script).await?.rows(index).map_err(other)
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
