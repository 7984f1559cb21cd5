//! Storage steps of delivery administration: failed batches, retries, the audit log, worker processes.
//!
//! Called by the delivery_admin module; calls models.

use std::collections::BTreeSet;

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    db::{Db, Script, StepError, SystemScope},
    idempotency::{add_recorded, record_unchanged},
    inventory::STALE_NOTIFICATION,
    models::{
        AuditRow, BatchProgress, DeliveryBatchRow, FailedBatchRow, LanePauseRow, NotificationRow,
        WorkerRow, millisecond,
    },
    notifications::{add_notification_change, add_outbox, remove_outbox},
};
use crate::{
    error::{Error, Result},
    types::{
        AuditEntry, DeliveryBatch, Lane, LanePause, NotificationId, OutboxEntry, RecordedRequest,
        StoredNotification, TenantId, WorkerStatus,
    },
};

/// The guard's word when a batch has changed, or is claimed by a worker.
const STALE_BATCH: &str = "batch-moved";

pub(in crate::modules) struct DeliveryAdminRepository {
    db: Db,
}

/// A batch with failed deliveries, and their number.
#[derive(Debug, Clone, Copy)]
pub(in crate::modules) struct FailedBatch {
    pub(in crate::modules) notification: NotificationId,
    pub(in crate::modules) batch: u32,
    pub(in crate::modules) dead: u32,
    pub(in crate::modules) unknown: u32,
}

impl DeliveryAdminRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Up to `limit` batches of a tenant with failed deliveries, newest notification first, from one of them on, or all of one
    /// notification.
    pub(in crate::modules) async fn failed_batches(
        &self,
        tenant: &TenantId,
        of: Option<NotificationId>,
        from: Option<(NotificationId, u32)>,
        limit: u32,
    ) -> Result<Vec<FailedBatch>> {
        let mut script = Script::of(tenant);
        let limit = script.bind(i64::from(limit));
        let of = of.map(|of| script.bind(FailedBatchRow::place(of)));
        let start = match (from, &of) {
            (Some((notification, batch)), _) => {
                let notification = script.bind(FailedBatchRow::place(notification));
                let batch = script.bind(i64::from(batch));
                format!("[$tenant, {notification}, {batch}]")
            }
            (None, Some(of)) => format!("[$tenant, {of}]"),
            (None, None) => "[$tenant]".to_owned(),
        };
        let end = match &of {
            Some(of) => format!("[$tenant, {of}, ..]"),
            None => "[$tenant, ..]".to_owned(),
        };
        let index = script.push(format!(
            "SELECT * FROM type::record('failed_batch', {start}..{end}) LIMIT {limit}"
        ));
        read_failed_batches(self.db.run_retrying(&script).await?.rows(index)?)
    }

    /// Up to `limit` batches of all tenants with failed deliveries.
    pub(in crate::modules) async fn failed_batches_of_all(
        &self,
        scope: SystemScope,
        limit: u32,
    ) -> Result<Vec<FailedBatch>> {
        let mut script = Script::across_tenants(scope);
        let limit = script.bind(i64::from(limit));
        let index = script.push(format!("SELECT * FROM failed_batch LIMIT {limit}"));
        read_failed_batches(self.db.run_retrying(&script).await?.rows(index)?)
    }

    /// Writes a notification if it is unchanged, its added and removed outbox entries, and the audit entry:
    /// 6 rows, and 2 for the request's record. Returns whether it was.
    pub(in crate::modules) async fn replace_notification(
        &self,
        tenant: &TenantId,
        notification: &StoredNotification,
        added: &[OutboxEntry],
        removed: &[OutboxEntry],
        (serial, audit): (Ulid, &AuditEntry),
        recorded: Option<RecordedRequest>,
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        add_notification_change(&mut script, tenant, notification);
        remove_outbox(&mut script, removed);
        add_outbox(&mut script, added);
        add_audit(&mut script, Some(tenant), serial, audit);
        add_recorded(&mut script, tenant, serial, recorded.as_slice(), audit.at);
        match self.db.run(script).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_guard(STALE_NOTIFICATION) => Ok(false),
            Err(StepError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes batches whose failed deliveries wait again, if all are unchanged and unclaimed, with their outbox
    /// entries; and, unless there are none, the audit entry: at most 4 rows a batch, 1, and 2 for the request's record. Returns
    /// whether it was. Cached sums of a notification's deliveries become invalid.
    pub(in crate::modules) async fn retry_batches(
        &self,
        tenant: &TenantId,
        (batches, added): (&[DeliveryBatch], &[OutboxEntry]),
        (serial, audit): (Ulid, &AuditEntry),
        recorded: Option<RecordedRequest>,
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        for batch in batches {
            let key = script.bind(DeliveryBatchRow::key(
                tenant,
                batch.notification,
                batch.number,
            ));
            let progress = script.bind(BatchProgress::of(batch, batch.revision + 1)?);
            let seen = script.bind(batch.revision);
            script.require(
                format!(
                    "UPDATE {key} MERGE {progress} WHERE revision = {seen} AND claim = NONE RETURN VALUE revision"
                ),
                STALE_BATCH,
            );
            let failed_batch = script.bind(FailedBatchRow::key(
                tenant,
                batch.notification,
                batch.number,
            ));
            match FailedBatchRow::of(tenant, batch) {
                Some(row) => {
                    let row = script.bind(row);
                    script.push(format!("UPSERT {failed_batch} CONTENT {row} RETURN NONE"))
                }
                None => script.push(format!("DELETE {failed_batch} RETURN NONE")),
            };
        }
        let notifications: BTreeSet<_> = batches.iter().map(|batch| batch.notification).collect();
        let notifications = notifications.into_iter();
        let keys: Vec<_> = notifications
            .map(|notification| NotificationRow::key(tenant, notification))
            .collect();
        let keys = script.bind(keys);
        script.push(format!(
            "UPDATE {keys} SET revision += 1, retry_generation = (retry_generation ?? 0) + 1 RETURN NONE"
        ));
        add_outbox(&mut script, added);
        if audit.count.is_some_and(|count| count > 0) {
            add_audit(&mut script, Some(tenant), serial, audit);
        }
        add_recorded(&mut script, tenant, serial, recorded.as_slice(), audit.at);
        match self.db.run(script).await {
            Ok(_) => Ok(true),
            Err(StepError::Conflict) => Ok(false),
            Err(error) if error.is_guard(STALE_BATCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the record of a request that changes nothing: 2 rows.
    pub(in crate::modules) async fn record_unchanged(
        &self,
        tenant: &TenantId,
        step: Ulid,
        recorded: RecordedRequest,
        at: Timestamp,
    ) -> Result<()> {
        record_unchanged(&self.db, tenant, step, recorded, at).await
    }

    /// Up to `limit` entries of the audit log before one of them, newest first.
    pub(in crate::modules) async fn audit(
        &self,
        tenant: &TenantId,
        before: Option<Ulid>,
        limit: u32,
    ) -> Result<Vec<(Ulid, AuditEntry)>> {
        self.read_audit(Script::of(tenant), before, limit).await
    }

    /// The same outside tenants.
    pub(in crate::modules) async fn audit_outside(
        &self,
        scope: SystemScope,
        before: Option<Ulid>,
        limit: u32,
    ) -> Result<Vec<(Ulid, AuditEntry)>> {
        let mut script = Script::across_tenants(scope);
        script.bind_as("tenant", AuditRow::OUTSIDE.to_owned());
        self.read_audit(script, before, limit).await
    }

    async fn read_audit(
        &self,
        mut script: Script,
        before: Option<Ulid>,
        limit: u32,
    ) -> Result<Vec<(Ulid, AuditEntry)>> {
        let start = match before {
            Some(before) => {
                let before = script.bind(AuditRow::place(before));
                format!("[$tenant, {before}]>")
            }
            None => "[$tenant]".to_owned(),
        };
        let limit = script.bind(i64::from(limit));
        let index = script.push(format!(
            "SELECT * FROM type::record('audit', {start}..[$tenant, ..]) LIMIT {limit}"
        ));
        let rows: Vec<AuditRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(AuditRow::into_type).collect()
    }

    /// Stops a lane, or without a pause restarts it, and writes the audit entry: 2 rows, and 2 for the request's
    /// record.
    pub(in crate::modules) async fn replace_lane_pause(
        &self,
        scope: SystemScope,
        lane: Lane,
        pause: Option<&LanePause>,
        (serial, audit): (Ulid, &AuditEntry),
        recorded: Option<RecordedRequest>,
    ) -> Result<()> {
        let mut script = Script::transaction_across_tenants(scope);
        let key = script.bind(LanePauseRow::key(lane));
        match pause {
            Some(pause) => {
                let row = script.bind(LanePauseRow::of(pause));
                script.push(format!("UPSERT {key} CONTENT {row} RETURN NONE"))
            }
            None => script.push(format!("DELETE {key} RETURN NONE")),
        };
        add_audit(&mut script, None, serial, audit);
        add_recorded(
            &mut script,
            None::<&TenantId>,
            serial,
            recorded.as_slice(),
            audit.at,
        );
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// The stopped lanes: two rows at most, by key.
    pub(in crate::modules) async fn lane_pauses(
        &self,
        scope: SystemScope,
    ) -> Result<Vec<LanePause>> {
        let mut script = Script::across_tenants(scope);
        let index = script.read_all(Lane::ALL.map(LanePauseRow::key).to_vec());
        let rows: Vec<LanePauseRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(LanePauseRow::into_type).collect()
    }

    /// Writes a worker's heartbeat: 1 row.
    pub(in crate::modules) async fn write_worker(
        &self,
        scope: SystemScope,
        worker: &WorkerStatus,
        expires_at: Timestamp,
    ) -> Result<()> {
        let mut script = Script::transaction_across_tenants(scope);
        let key = script.bind(WorkerRow::key(&worker.id));
        let row = script.bind(WorkerRow::of(worker, millisecond(expires_at))?);
        script.push(format!("UPSERT {key} CONTENT {row} RETURN NONE"));
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Deletes a worker that ended: 1 row.
    pub(in crate::modules) async fn remove_worker(
        &self,
        scope: SystemScope,
        worker: &str,
    ) -> Result<()> {
        let mut script = Script::transaction_across_tenants(scope);
        let key = script.bind(WorkerRow::key(worker));
        script.push(format!("DELETE {key} RETURN NONE"));
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Up to `limit` worker processes that are alive or did not end properly.
    pub(in crate::modules) async fn workers(
        &self,
        scope: SystemScope,
        limit: u32,
    ) -> Result<Vec<WorkerStatus>> {
        let mut script = Script::across_tenants(scope);
        let limit = script.bind(i64::from(limit));
        let index = script.push(format!("SELECT * FROM worker_process LIMIT {limit}"));
        let rows: Vec<WorkerRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(WorkerRow::into_type).collect()
    }
}

/// Adds an audit entry: 1 row.
pub(super) fn add_audit(
    script: &mut Script,
    tenant: Option<&TenantId>,
    serial: Ulid,
    audit: &AuditEntry,
) {
    script.insert("audit", [AuditRow::of(tenant, serial, audit)]);
}

fn read_failed_batches(rows: Vec<FailedBatchRow>) -> Result<Vec<FailedBatch>> {
    let read = |row: FailedBatchRow| {
        let (notification, batch) = row.batch()?;
        Ok::<_, Error>(FailedBatch {
            notification,
            batch,
            dead: row.dead,
            unknown: row.unknown,
        })
    };
    rows.into_iter().map(read).collect()
}
