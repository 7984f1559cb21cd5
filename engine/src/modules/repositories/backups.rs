//! Storage steps of backups: reading a snapshot of every table, restoring rows, and the state of a restored
//! store.
//!
//! Called by the backups module; calls models. All rows are transferred as JSON (`models/values.rs`).

use jiff::Timestamp;
use serde_json::Value as Json;
use surrealdb::types::{Array, RecordId, RecordIdKey, SurrealValue, Value};

use super::{
    db::{Count, Db, Script, Snapshot, StepError, SystemScope},
    inventory::STALE_NOTIFICATION,
    migrations::{add_restored, begin_restoring, migrate_to},
    models::{
        DeliveryBatchRow, FailedBatchRow, OutboxRow, at_millisecond, from_json, millisecond,
        record, to_json,
    },
    notifications::add_notification_change,
};
use crate::{
    error::{Error, ErrorCode, Result},
    types::{DeliveryBatch, OutboxEntry, OutboxPart, Restoration, StoredNotification, TenantId},
};

/// Tables that are not in a backup. Sessions end with a restore, so there is nothing to revoke; tasks are published again from the outbox; leases, crashes and
/// heartbeats belong to processes; failed batches follow from deliveries; the schema version is in the backup's first line.
const LEFT_OUT: [&str; 10] = [
    "crash",
    "lease",
    "queue_task",
    "restoration",
    "revocation",
    "revocation_head",
    "schema",
    "session",
    "failed_batch",
    "worker_process",
];
/// Rows read at a time; an event with a long description has some 60 KB.
const PAGE: i64 = 200;
/// The same for tables whose rows have half a megabyte.
const PAGE_OF_CHUNKS: i64 = 8;

pub(in crate::modules) struct BackupsRepository {
    db: Db,
}

#[derive(Debug, SurrealValue)]
struct RestorationRow {
    id: RecordId,
    taken_at: i64,
    restored_at: i64,
    released_at: Option<i64>,
}

/// A snapshot of the store. It has to be closed.
pub(in crate::modules) struct StoreSnapshot {
    snapshot: Snapshot,
    /// The tables that a backup holds, with how many rows each had when the snapshot was opened.
    tables: Vec<(String, u64)>,
}

/// The last row of a page.
#[derive(Debug, Clone)]
pub(in crate::modules) struct Place(Value);

impl StoreSnapshot {
    /// The tables that a backup holds, with how many rows each had when the snapshot was opened. Compare: surrealkv 0.21.4
    /// forgets an open snapshot as soon as another transaction that began at the same point ends, and a compaction then drops
    /// what the snapshot sees.
    pub(in crate::modules) fn tables(&self) -> &[(String, u64)] {
        &self.tables
    }

    /// Rows of a table after a position, in key order, and the position of the last one; none at the end.
    pub(in crate::modules) async fn page(
        &self,
        scope: SystemScope,
        table: &str,
        after: Option<&Place>,
    ) -> Result<(Vec<Json>, Option<Place>)> {
        let mut script = Script::across_tenants(scope);
        script.bind_as("table", table.to_owned());
        let page = match table {
            "plugin_chunk" => PAGE_OF_CHUNKS,
            _ => PAGE,
        };
        let from = match after {
            Some(Place(key)) => {
                script.bind_as("after", key.clone());
                "type::record($table, $after>..)"
            }
            None => "type::table($table)",
        };
        let index = script.push(format!("SELECT * FROM {from} LIMIT {page}"));
        let rows: Vec<Value> = self.snapshot.run(script).await?.rows(index)?;
        let is_last = rows.len() < usize::try_from(page).unwrap_or_default();
        let place = match rows.last() {
            Some(row) if !is_last => Some(Place(key_of(row)?)),
            _ => None,
        };
        let rows = rows.into_iter().map(to_json).collect::<Result<Vec<_>>>()?;
        Ok((rows, place))
    }

    /// Closes the snapshot, so that the store can remove deleted data.
    pub(in crate::modules) async fn end(self) -> Result<()> {
        self.snapshot.end().await
    }
}

impl BackupsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Opens a snapshot.
    pub(in crate::modules) async fn snapshot(&self, scope: SystemScope) -> Result<StoreSnapshot> {
        let snapshot = self.db.snapshot(scope).await?;
        let mut script = Script::across_tenants(scope);
        let index = script.push("INFO FOR DB");
        let tables = match snapshot.run(script).await {
            Ok(mut answers) => tables_of(answers.row(index)?),
            Err(error) => Err(error.into()),
        };
        let counted = match tables {
            Ok(tables) => count_rows(&snapshot, scope, tables).await,
            Err(error) => Err(error),
        };
        match counted {
            Ok(tables) => Ok(StoreSnapshot { snapshot, tables }),
            Err(error) => {
                let _ = snapshot.end().await;
                Err(error)
            }
        }
    }

    /// Reserves an empty store for a restore, and migrates it to the backup's schema. Until [`Self::finish`] no program opens it.
    /// Returns its tables.
    ///
    /// # Errors
    /// `store-not-empty`.
    pub(in crate::modules) async fn begin(
        &self,
        scope: SystemScope,
        schema: i64,
    ) -> Result<Vec<String>> {
        let not_empty = || {
            Error::new(
                ErrorCode::StoreNotEmpty,
                "A backup can only be restored into an empty store: name a new folder, or a new database.",
            )
        };
        if !self.tables(scope).await?.is_empty() {
            return Err(not_empty());
        }
        // One of two concurrent restores is first.
        if !begin_restoring(&self.db, scope).await? {
            return Err(not_empty());
        }
        migrate_to(&self.db, schema).await?;
        self.tables(scope).await
    }

    async fn tables(&self, scope: SystemScope) -> Result<Vec<String>> {
        let mut script = Script::across_tenants(scope);
        let index = script.push("INFO FOR DB");
        tables_of(self.db.run_retrying(&script).await?.row(index)?)
    }

    /// Writes rows of a backup: as many as given, twice as many for batches with failed deliveries. `doubt` is called with
    /// every delivery batch. Of the outbox only fan-outs are kept.
    ///
    /// # Errors
    /// `backup-invalid` for rows that belong to another table.
    pub(in crate::modules) async fn insert(
        &self,
        scope: SystemScope,
        table: &str,
        rows: Vec<Json>,
        doubt: impl Fn(&mut DeliveryBatch),
    ) -> Result<()> {
        let mut values = Vec::with_capacity(rows.len());
        let mut failed_batches = Vec::new();
        for row in rows {
            let row = from_json(row)?;
            if id_of(&row).is_none_or(|id| id.table.as_str() != table) {
                return Err(foreign(table));
            }
            match table {
                "delivery_batch" => {
                    let row = DeliveryBatchRow::from_value(row).map_err(|_| foreign(table))?;
                    let tenant = row.tenant()?;
                    let mut batch = row.into_type()?;
                    doubt(&mut batch);
                    failed_batches.extend(FailedBatchRow::of(&tenant, &batch));
                    values.push(DeliveryBatchRow::of(&tenant, &batch)?.into_value());
                }
                "outbox" => {
                    let row = OutboxRow::from_value(row).map_err(|_| foreign(table))?;
                    let entry = row.into_type()?;
                    if entry.part == OutboxPart::FanOut {
                        let entry = OutboxEntry {
                            published: false,
                            ..entry
                        };
                        values.push(OutboxRow::of(&entry).into_value());
                    }
                }
                _ => values.push(row),
            }
        }
        let mut script = Script::transaction_across_tenants(scope);
        if !values.is_empty() {
            let rows = script.bind(Value::Array(Array::from(values)));
            // The name is one of this store's tables.
            script.push(format!("INSERT INTO {table} {rows} RETURN NONE"));
        }
        if !failed_batches.is_empty() {
            let rows = script.bind(failed_batches);
            script.push(format!("INSERT INTO failed_batch {rows} RETURN NONE"));
        }
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(()),
            Err(StepError::Exists(_)) => Err(Error::new(
                ErrorCode::BackupInvalid,
                "The backup has a row twice.",
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// Marks the restore as complete: 2 rows. From then on the store can be opened, and its mails are held back.
    pub(in crate::modules) async fn finish(
        &self,
        scope: SystemScope,
        restoration: &Restoration,
    ) -> Result<()> {
        let mut script = Script::transaction_across_tenants(scope);
        let row = script.bind(RestorationRow {
            id: key(),
            taken_at: millisecond(restoration.taken_at),
            restored_at: millisecond(restoration.restored_at),
            released_at: restoration.released_at.map(millisecond),
        });
        script.push(format!("INSERT INTO restoration {row} RETURN NONE"));
        add_restored(&mut script);
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// The backup that this store was restored from, if any.
    pub(in crate::modules) async fn restoration(
        &self,
        scope: SystemScope,
    ) -> Result<Option<Restoration>> {
        let mut script = Script::across_tenants(scope);
        let index = script.read(key());
        let row: Option<RestorationRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(|row| {
            Ok(Restoration {
                taken_at: at_millisecond(row.taken_at)?,
                restored_at: at_millisecond(row.restored_at)?,
                released_at: row.released_at.map(at_millisecond).transpose()?,
            })
        })
        .transpose()
    }

    /// Writes a notification if its revision is still the one that was read: 1 row. Returns whether it was.
    pub(in crate::modules) async fn replace_notification(
        &self,
        tenant: &TenantId,
        notification: &StoredNotification,
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        add_notification_change(&mut script, tenant, notification);
        match self.db.run(script).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_guard(STALE_NOTIFICATION) => Ok(false),
            Err(StepError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Releases the store's mails, if they are held back: 1 row.
    pub(in crate::modules) async fn release(
        &self,
        scope: SystemScope,
        now: Timestamp,
    ) -> Result<()> {
        let mut script = Script::transaction_across_tenants(scope);
        let id = script.bind(key());
        let now = script.bind(millisecond(now));
        script.push(format!(
            "UPDATE {id} SET released_at = {now} WHERE released_at = NONE RETURN NONE"
        ));
        self.db.run_retrying(&script).await?;
        Ok(())
    }
}

/// Counts the rows of the tables that a backup holds, of which the store reads the keys only.
async fn count_rows(
    snapshot: &Snapshot,
    scope: SystemScope,
    tables: Vec<String>,
) -> Result<Vec<(String, u64)>> {
    let mut counted = Vec::with_capacity(tables.len());
    for table in tables {
        if LEFT_OUT.contains(&table.as_str()) {
            continue;
        }
        let mut script = Script::across_tenants(scope);
        script.bind_as("table", table.clone());
        let index = script.push("SELECT count() FROM type::table($table) GROUP ALL");
        let count: Option<Count> = snapshot.run(script).await?.row(index)?;
        counted.push((table, count.map_or(0, |count| count.count)));
    }
    Ok(counted)
}

fn key() -> RecordId {
    record("restoration", [Value::String("whole".to_owned())])
}

fn id_of(row: &Value) -> Option<&RecordId> {
    match row {
        Value::Object(members) => match members.get("id") {
            Some(Value::RecordId(id)) => Some(id),
            _ => None,
        },
        _ => None,
    }
}

fn key_of(row: &Value) -> Result<Value> {
    let id = id_of(row).ok_or_else(|| Error::internal("a row without an id"))?;
    key_value(id.key.clone())
}

fn key_value(key: RecordIdKey) -> Result<Value> {
    match key {
        RecordIdKey::Array(parts) => Ok(Value::Array(parts)),
        RecordIdKey::String(text) => Ok(Value::String(text)),
        RecordIdKey::Number(number) => Ok(number.into_value()),
        _ => Err(Error::internal("a key of a kind that no row of ours has")),
    }
}

fn foreign(table: &str) -> Error {
    Error::new(
        ErrorCode::BackupInvalid,
        format!("The backup has a row that does not belong to the table {table}."),
    )
}

/// The names in the result of `INFO FOR DB`.
fn tables_of(info: Option<Value>) -> Result<Vec<String>> {
    let Some(Value::Object(mut info)) = info else {
        return Err(Error::internal("the store did not list its tables"));
    };
    match info.remove("tables") {
        Some(Value::Object(tables)) => Ok(tables.into_inner().into_keys().collect()),
        _ => Err(Error::internal("the store did not list its tables")),
    }
}
