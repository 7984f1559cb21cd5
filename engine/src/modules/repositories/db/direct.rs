//! Writes the parts of a script straight into the embedded store, as the records that SurrealQL would write.
//!
//! SurrealQL takes many times as long for the same records: it parses, plans and checks every statement, for which a record
//! without indexes, events and fields has no use. Tables must therefore have none of them, and a test compares what both ways
//! write. Called by the database handle.

use std::borrow::Cow;

use futures::future::BoxFuture;
use surrealdb::types::{RecordId as PublicId, Value as PublicValue};
use surrealdb_core::err::anyhow_to_types_error;
use surrealdb_datastore::{
    Error as StorageError, Transaction, TransactionType,
    catalog::{Record, providers::TableProvider as _},
    key::schema::{RecordKey, RecordPrefix},
    storage_error,
    val::{Range, RecordId, RecordIdKey, TableName, Value},
};
use surrealdb_kvs::{key::KVKeyDecode as _, value::KVValue as _};

use super::{
    StepError,
    embedded::{DATABASE, Embedded, NAMESPACE},
    parts::{Guard, GuardWrite, IfExists, Part},
};
use crate::locked::Locked as _;

/// As many records as most ranges have at most: a customer's bookings of an event.
const FEW_RECORDS: u32 = 16;

impl From<anyhow::Error> for StepError {
    /// Of an error before a commit: nothing was written.
    fn from(error: anyhow::Error) -> Self {
        super::sort_out(anyhow_to_types_error(error), false)
    }
}

impl Embedded {
    /// Writes parts of rows in one transaction, in their order.
    pub(super) fn write(&self, parts: Vec<Part>) -> BoxFuture<'_, Result<(), StepError>> {
        Box::pin(self.write_now(parts))
    }

    async fn write_now(&self, parts: Vec<Part>) -> Result<(), StepError> {
        let transaction = self.transaction(TransactionType::Write).await?;
        let write = DirectWrite {
            store: self,
            transaction: &transaction,
            new_tables: Vec::new(),
        };
        match write.all(parts).await {
            Ok(new_tables) => {
                transaction.commit().await.map_err(commit_failed)?;
                self.tables.locked().extend(new_tables);
                Ok(())
            }
            Err(stopped) => {
                if let Err(error) = transaction.cancel().await {
                    tracing::warn!(%error, "a transaction was not cancelled");
                }
                Err(stopped)
            }
        }
    }

    /// Reads records as they are at one moment: a value for each part.
    pub(super) fn read(
        &self,
        parts: Vec<Part>,
    ) -> BoxFuture<'_, Result<Vec<PublicValue>, StepError>> {
        Box::pin(async move {
            let transaction = self.transaction(TransactionType::Read).await?;
            let values = self.read_parts(&transaction, parts).await;
            transaction.cancel().await?;
            Ok(values?)
        })
    }

    async fn read_parts(
        &self,
        transaction: &Transaction,
        parts: Vec<Part>,
    ) -> anyhow::Result<Vec<PublicValue>> {
        let mut values = Vec::with_capacity(parts.len());
        for part in parts {
            values.push(self.read_part(transaction, part).await?);
        }
        Ok(values)
    }

    async fn read_part(
        &self,
        transaction: &Transaction,
        part: Part,
    ) -> anyhow::Result<PublicValue> {
        match part {
            Part::Read(id) => {
                let id = RecordId::from(id);
                let found = transaction.get_key(&self.key(&id), None).await?;
                let record = found.map_or(Value::None, |record| record.data);
                public(record)
            }
            Part::ReadAll(ids) => {
                let ids: Vec<RecordId> = ids.into_iter().map(RecordId::from).collect();
                let keys = ids.iter().map(|id| self.key(id)).collect();
                let found = transaction.get_many_key(keys, None).await?;
                let records = found
                    .into_iter()
                    .flatten()
                    .map(|record| public(record.data));
                let records = records.collect::<anyhow::Result<Vec<_>>>()?;
                Ok(PublicValue::Array(records.into()))
            }
            Part::ReadUnder { table, prefix } => {
                let table = TableName::from(table);
                let first: Vec<Value> = prefix.into_iter().map(Value::from).collect();
                let mut last = first.clone();
                last.push(Value::Range(Box::new(Range::unbounded())));
                let key = |parts: Vec<Value>| Cow::Owned(RecordIdKey::Array(parts.into()));
                let keys = RecordPrefix {
                    ns: self.namespace,
                    db: self.database,
                    tb: Cow::Borrowed(&table),
                };
                let range = keys.range_where(key(first)..key(last))?;
                // To read a range to its end makes room for 500 records at a time, which takes longer than to read a few.
                let mut rows = transaction
                    .scan_raw(range.clone(), FEW_RECORDS, 0, None)
                    .await?;
                if rows.len() == FEW_RECORDS as usize {
                    rows = transaction.getr_raw(range, None).await?;
                }
                let records = rows.into_iter().map(|(key, bytes)| {
                    let key = RecordKey::decode_key(&key)?;
                    let id = RecordId {
                        table: key.tb.into_owned(),
                        key: key.id.into_owned(),
                    };
                    public(Record::kv_decode_value(&bytes, id)?.data)
                });
                let records = records.collect::<anyhow::Result<Vec<_>>>()?;
                Ok(PublicValue::Array(records.into()))
            }
            _ => anyhow::bail!("not a read"),
        }
    }

    fn key<'k>(&self, id: &'k RecordId) -> RecordKey<'k> {
        RecordKey {
            ns: self.namespace,
            db: self.database,
            tb: Cow::Borrowed(&id.table),
            id: Cow::Borrowed(&id.key),
        }
    }
}

fn public(value: Value) -> anyhow::Result<PublicValue> {
    Ok(PublicValue::try_from(value)?)
}

struct DirectWrite<'a> {
    store: &'a Embedded,
    transaction: &'a Transaction,
    /// Tables that this transaction may be the first to use.
    new_tables: Vec<TableName>,
}

impl DirectWrite<'_> {
    async fn all(mut self, parts: Vec<Part>) -> Result<Vec<TableName>, StepError> {
        for part in parts {
            match part {
                Part::Text(_) | Part::Read(_) | Part::ReadAll(_) | Part::ReadUnder { .. } => {
                    return Err(StepError::Other("not a row".into()));
                }
                Part::Guard(guard) => self.guard(guard).await?,
                Part::Changes(rows) => {
                    for row in rows {
                        self.replace(row).await?;
                    }
                }
                Part::Removals(ids) => {
                    for id in ids {
                        self.remove(id).await?;
                    }
                }
                Part::Rows {
                    table,
                    if_exists,
                    rows,
                } => {
                    let table = TableName::from(table);
                    self.define(&table).await?;
                    for row in rows {
                        self.insert(&table, if_exists, row).await?;
                    }
                }
                Part::Put { id, row } => {
                    let id = RecordId::from(id);
                    self.define(&id.table).await?;
                    let record = record_of(&id, row.into());
                    self.transaction.set_key(&self.key(&id), &record).await?;
                }
            }
        }
        Ok(self.new_tables)
    }

    fn key<'k>(&self, id: &'k RecordId) -> RecordKey<'k> {
        self.store.key(id)
    }

    /// Defines a table that is not, as SurrealQL does for the first record of one.
    async fn define(&mut self, table: &TableName) -> Result<(), StepError> {
        let is_known = self.store.tables.locked().contains(table);
        if !is_known && !self.new_tables.contains(table) {
            let transaction = self.transaction;
            let defined = transaction.get_or_add_tb(None, NAMESPACE, DATABASE, table, None);
            defined.await?;
            self.new_tables.push(table.clone());
        }
        Ok(())
    }

    async fn guard(&mut self, guard: Guard) -> Result<(), StepError> {
        let id = RecordId::from(guard.id);
        let stale = || StepError::Thrown(guard.word.to_owned());
        let seen = Value::from(guard.seen);
        if guard.write == GuardWrite::None {
            let (namespace, database) = (self.store.namespace, self.store.database);
            let transaction = self.transaction;
            let found = transaction.get_record_for_update(namespace, database, &id.table, &id.key);
            let version = match field(&found.await?.data, "version") {
                Value::None | Value::Null => Value::from(0),
                version => version,
            };
            return match version == seen {
                true => Ok(()),
                false => Err(stale()),
            };
        }
        let key = self.key(&id);
        let found = self.transaction.get_key(&key, None).await?;
        let found = found.filter(|found| field(&found.data, "revision") == seen);
        let mut data = found.ok_or_else(stale)?.data;
        match guard.write {
            GuardWrite::None => {}
            GuardWrite::Content(row) => data = row.into(),
            GuardWrite::Merge(fields) => data.merge(fields.into())?,
        }
        // The guard writes the record that it guards: with a read alone two transactions could both commit (snapshot
        // isolation).
        self.transaction
            .set_key(&key, &record_of(&id, data))
            .await?;
        Ok(())
    }

    /// Replaces a record that exists.
    async fn replace(&mut self, row: PublicValue) -> Result<(), StepError> {
        let id = id_of(&row)?;
        let key = self.key(&id);
        if self.transaction.exists_key(&key, None).await? {
            let record = record_of(&id, row.into());
            self.transaction.set_key(&key, &record).await?;
        }
        Ok(())
    }

    async fn remove(&mut self, id: PublicValue) -> Result<(), StepError> {
        let PublicValue::RecordId(id) = id else {
            return Err(without_id());
        };
        let id = RecordId::from(id);
        let key = self.key(&id);
        // A record that does not exist is not written, so that nobody else conflicts with it.
        if self.transaction.exists_key(&key, None).await? {
            self.transaction.del_key(&key).await?;
        }
        Ok(())
    }

    async fn insert(
        &mut self,
        table: &TableName,
        if_exists: IfExists,
        row: PublicValue,
    ) -> Result<(), StepError> {
        let mut id = id_of(&row)?;
        id.table = table.clone();
        let record = record_of(&id, row.into());
        match self.transaction.put_key(&self.key(&id), &record).await {
            Ok(()) => Ok(()),
            Err(error) => match storage_error(&error) {
                Some(StorageError::TransactionKeyAlreadyExists) => match if_exists {
                    IfExists::Keep => Ok(()),
                    IfExists::Fail => {
                        let taken = format!("a record of {} exists", table.as_str());
                        Err(StepError::Exists(taken))
                    }
                },
                _ => Err(error.into()),
            },
        }
    }
}

fn field(data: &Value, name: &str) -> Value {
    match data {
        Value::Object(object) => object.get(name).cloned().unwrap_or_default(),
        _ => Value::None,
    }
}

/// The id of a row, which has one.
fn id_of(row: &PublicValue) -> Result<RecordId, StepError> {
    let id: Option<&PublicId> = match row {
        PublicValue::Object(row) => match row.get("id") {
            Some(PublicValue::RecordId(id)) => Some(id),
            _ => None,
        },
        _ => None,
    };
    id.map(|id| RecordId::from(id.clone()))
        .ok_or_else(without_id)
}

fn without_id() -> StepError {
    StepError::Other("a row without a record id".into())
}

/// A record as SurrealQL stores it: with its id, and without fields that have no value.
fn record_of(id: &RecordId, mut data: Value) -> Record {
    drop_missing(&mut data);
    if let Value::Object(object) = &mut data {
        object.insert("id", Value::RecordId(id.clone()));
    }
    Record::new(data)
}

/// Takes fields without a value from objects, at every depth.
fn drop_missing(value: &mut Value) {
    match value {
        Value::Object(object) => object.0.retain(|_, value| {
            drop_missing(value);
            !matches!(value, Value::None)
        }),
        Value::Array(values) => values.0.iter_mut().for_each(drop_missing),
        _ => {}
    }
}

/// A commit that conflicts is undone. Any other failure may come after it was written to the log, or be about syncing it.
fn commit_failed(error: anyhow::Error) -> StepError {
    match StepError::from(error) {
        StepError::Conflict => StepError::Conflict,
        StepError::Exists(text) => StepError::Exists(text),
        StepError::Other(source) => StepError::Lost(source),
        other => other,
    }
}

#[cfg(test)]
mod tests;
