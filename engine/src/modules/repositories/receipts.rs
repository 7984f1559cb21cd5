//! Storage steps of receipts. What is due is written in the step that makes it due; numbers are given afterwards, in one
//! transaction a batch. Called by the receipts module, by verification, and by the repositories of bookings and payments; calls
//! models.
//!
//! A number is given once: the counter of its year is compared and written, and a receipt's row exists once.

use std::collections::HashMap;

use jiff::Timestamp;
use surrealdb::types::{RecordId, Value};
use ulid::Ulid;

use super::{
    db::{Db, Script, StepError, SystemScope},
    models::{IdRow, ReceiptCounterRow, ReceiptDueRow, ReceiptNumberRow, ReceiptRow},
    notifications::{NewMails, add_mails_about},
};
use crate::{
    error::Result,
    types::{
        BookingReceipt, ChangeKind, PageRequest, ReceiptId, ReceiptKind, ReceiptNumber,
        ReceiptPlace, TenantId,
    },
};

/// The guard's word when others gave numbers meanwhile.
pub(in crate::modules) const STALE_COUNTER: &str = "receipt-counter-moved";

/// Receipts that a step makes due: 1 row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::modules) struct DueReceipts {
    /// Names the step.
    pub(in crate::modules) step: Ulid,
    /// No earlier than that of a receipt that has to be numbered before.
    pub(in crate::modules) due_at: Timestamp,
    /// At the same time receipts come before credit notes.
    pub(in crate::modules) kind: ReceiptKind,
    pub(in crate::modules) receipts: Vec<ReceiptId>,
}

/// Names a row of receipts that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::modules) struct DueKey {
    pub(in crate::modules) due_at: Timestamp,
    pub(in crate::modules) tenant: TenantId,
    /// The place of its kind.
    pub(in crate::modules) kind: i64,
    pub(in crate::modules) step: Ulid,
}

/// How far the numbers of a tenant's year and series are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::modules) struct ReceiptCounter {
    /// 0 if nothing was numbered yet.
    pub(in crate::modules) revision: i64,
    pub(in crate::modules) receipts: u64,
    pub(in crate::modules) credit_notes: u64,
    /// The last year in which one of its receipts names its customer; `None` once none does.
    pub(in crate::modules) names_until: Option<i64>,
}

/// A year and series of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::modules) struct CounterKey {
    pub(in crate::modules) tenant: TenantId,
    pub(in crate::modules) year: i64,
    pub(in crate::modules) series: String,
}

/// What is written when a batch is numbered: 1 row for the counter, 2 for each receipt and 1 for its mail, 2 for each 32 mails of an
/// event; and those that were due are removed.
pub(in crate::modules) struct NumberingStep {
    pub(in crate::modules) key: CounterKey,
    pub(in crate::modules) before: ReceiptCounter,
    pub(in crate::modules) after: ReceiptCounter,
    pub(in crate::modules) receipts: Vec<(BookingReceipt, ReceiptNumber)>,
    pub(in crate::modules) mails: NewMails,
    pub(in crate::modules) done: Vec<DueKey>,
    pub(in crate::modules) at: Timestamp,
}

/// Adds what a step makes due.
pub(in crate::modules::repositories) fn add_due_receipts(
    script: &mut Script,
    tenant: &TenantId,
    due: Option<&DueReceipts>,
) {
    let row = |due: &DueReceipts| {
        let id = ReceiptDueRow::key(due.due_at, tenant, (due.kind.place(), due.step));
        ReceiptDueRow::of(id, &due.receipts)
    };
    script.insert("receipt_due", due.map(row));
}

fn id_of(key: &DueKey) -> RecordId {
    ReceiptDueRow::key(key.due_at, &key.tenant, (key.kind, key.step))
}

pub(in crate::modules) struct ReceiptsRepository {
    db: Db,
}

impl ReceiptsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Up to `max` rows of receipts that are due, of all tenants, the oldest first.
    pub(in crate::modules) async fn due(
        &self,
        scope: SystemScope,
        times: (Timestamp, Timestamp),
        max: u32,
    ) -> Result<(Timestamp, Vec<DueKey>)> {
        let script = Script::across_tenants(scope);
        let due = self.db.due_rows::<IdRow>(script, "receipt_due", times, max);
        let (at, rows) = due.await?;
        let keys = rows.iter().map(|row| {
            let (due_at, tenant, (kind, step)) = ReceiptDueRow::path(row.id())?;
            Ok(DueKey {
                due_at,
                tenant,
                kind,
                step,
            })
        });
        Ok((at, keys.collect::<Result<_>>()?))
    }

    /// The receipts of those of a tenant's rows that are still there, by row.
    pub(in crate::modules) async fn receipts_due(
        &self,
        tenant: &TenantId,
        keys: &[DueKey],
    ) -> Result<Vec<(DueKey, Vec<ReceiptId>)>> {
        let mut script = Script::of(tenant);
        let index = script.read_all(keys.iter().map(id_of).collect::<Vec<_>>());
        let rows: Vec<ReceiptDueRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let mut found = HashMap::new();
        for row in rows {
            let (_, _, (_, step)) = ReceiptDueRow::path(&row.id)?;
            found.insert(step, row.receipts()?);
        }
        let kept = keys.iter();
        let kept = kept.filter_map(|key| Some((key.clone(), found.remove(&key.step)?)));
        Ok(kept.collect())
    }

    /// How far the numbers of a year and series are.
    pub(in crate::modules) async fn counter(&self, key: &CounterKey) -> Result<ReceiptCounter> {
        let mut script = Script::of(&key.tenant);
        let id = ReceiptCounterRow::key(&key.tenant, key.year, &key.series);
        let index = script.read(id);
        let row: Option<ReceiptCounterRow> = self.db.run_retrying(&script).await?.row(index)?;
        Ok(row.map(counter_of).unwrap_or_default())
    }

    /// Numbers a batch, if nobody else gave numbers meanwhile. Fails with the guard [`STALE_COUNTER`], or because the counter's row or
    /// a receipt exists.
    pub(in crate::modules) async fn number(&self, step: &NumberingStep) -> Result<(), StepError> {
        let CounterKey {
            tenant,
            year,
            series,
        } = &step.key;
        let mut script = Script::transaction(tenant);
        script.happens(step.at);
        if step.before != step.after {
            let row = ReceiptCounterRow {
                id: ReceiptCounterRow::key(tenant, *year, series),
                revision: step.after.revision,
                receipts: step.after.receipts,
                credit_notes: step.after.credit_notes,
                names_until: step.after.names_until,
            };
            match step.before.revision {
                0 => script.insert("receipt_counter", [row]),
                seen => script.replace_if(row.id.clone(), seen, row, STALE_COUNTER),
            }
        }
        script.remove(step.done.iter().map(id_of));
        let rows = step.receipts.iter();
        let rows = rows.map(|(receipt, number)| ReceiptRow::of(tenant, receipt, number));
        let rows: Vec<ReceiptRow> = rows
            .collect::<Result<_>>()
            .map_err(|error| StepError::Other(error.into()))?;
        let rows = rows.into_iter();
        let rows = rows.map(|row| script.telling(ChangeKind::ReceiptIssued, row));
        let rows: Vec<Value> = rows.collect();
        script.insert("receipt", rows);
        let numbers = step.receipts.iter();
        let numbers =
            numbers.map(|(receipt, number)| ReceiptNumberRow::of(tenant, receipt, number));
        script.insert("receipt_number", numbers);
        add_mails_about(&mut script, tenant, &step.mails)?;
        self.db.run(script).await.map(drop)
    }

    /// Those of these receipts that are numbered.
    pub(in crate::modules) async fn find_many(
        &self,
        tenant: &TenantId,
        ids: impl IntoIterator<Item = ReceiptId>,
    ) -> Result<HashMap<ReceiptId, BookingReceipt>> {
        let mut script = Script::of(tenant);
        let keys = ids.into_iter().map(|id| ReceiptRow::key(tenant, id));
        let keys: Vec<_> = keys.collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let index = script.read_all(keys);
        let rows: Vec<ReceiptRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let read = rows.into_iter().map(|row| {
            let receipt = row.into_type()?;
            Ok((receipt.id, receipt))
        });
        read.collect()
    }

    /// A page of a tenant's receipts in the order of numbers, all or those of a year.
    pub(in crate::modules) async fn list(
        &self,
        tenant: &TenantId,
        (year, after): (Option<i64>, Option<ReceiptPlace>),
        page: &PageRequest,
    ) -> Result<Vec<(ReceiptPlace, ReceiptId)>> {
        let mut script = Script::of(tenant);
        let limit = script.bind(i64::from(page.limit) + 1);
        let year = year.map(|year| script.bind(year));
        let start = match (after, &year) {
            (Some(after), _) => {
                let ReceiptPlace {
                    year,
                    series,
                    kind,
                    sequence,
                } = after;
                let (year, series) = (script.bind(year), script.bind(series));
                let (kind, sequence) = (script.bind(kind), script.bind(sequence));
                format!("[$tenant, {year}, {series}, {kind}, {sequence}]>")
            }
            (None, Some(year)) => format!("[$tenant, {year}]"),
            (None, None) => "[$tenant]".to_owned(),
        };
        let end = match year {
            Some(year) => format!("[$tenant, {year}, ..]"),
            None => "[$tenant, ..]".to_owned(),
        };
        let index = script.push(format!(
            "SELECT * FROM type::record('receipt_number', {start}..{end}) LIMIT {limit}"
        ));
        let rows: Vec<ReceiptNumberRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(ReceiptNumberRow::into_parts).collect()
    }

    /// Up to `max` counters of all tenants after one of them.
    pub(in crate::modules) async fn counters(
        &self,
        scope: SystemScope,
        after: Option<CounterKey>,
        max: u32,
    ) -> Result<Vec<(CounterKey, ReceiptCounter)>> {
        let mut script = Script::across_tenants(scope);
        let max = script.bind(i64::from(max));
        let start = match after {
            Some(after) => {
                let tenant = script.bind(after.tenant.as_str().to_owned());
                let (year, series) = (script.bind(after.year), script.bind(after.series));
                format!("[{tenant}, {year}, {series}]>")
            }
            None => "['']".to_owned(),
        };
        let index = script.push(format!(
            "SELECT * FROM type::record('receipt_counter', {start}..) LIMIT {max}"
        ));
        let rows: Vec<ReceiptCounterRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter()
            .map(|row| Ok((counter_key(&row)?, counter_of(row))))
            .collect()
    }

    /// Up to `max` counters of years whose receipts name no customer any more in `year`, but still hold the names.
    pub(in crate::modules) async fn with_old_names(
        &self,
        scope: SystemScope,
        year: i64,
        max: u32,
    ) -> Result<Vec<CounterKey>> {
        let mut script = Script::across_tenants(scope);
        let (year, max) = (script.bind(year), script.bind(i64::from(max)));
        // Read completely: a row for each tenant and year.
        let index = script.push(format!(
            "SELECT * FROM receipt_counter WHERE names_until != NONE AND names_until < {year} LIMIT {max}"
        ));
        let rows: Vec<ReceiptCounterRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.iter().map(counter_key).collect()
    }

    /// Removes the customers' names from these receipts: a row each.
    pub(in crate::modules) async fn forget_names(
        &self,
        tenant: &TenantId,
        ids: &[ReceiptId],
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        let ids = ids.iter().map(|id| ReceiptRow::key(tenant, *id));
        let ids = script.bind(ids.collect::<Vec<_>>());
        script.push(format!(
            "UPDATE {ids} SET name = NONE, email = NONE RETURN NONE"
        ));
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Records that no receipt of a year and series names its customer any more: 1 row.
    pub(in crate::modules) async fn names_forgotten(&self, key: &CounterKey) -> Result<()> {
        let mut script = Script::transaction(&key.tenant);
        let id = script.bind(ReceiptCounterRow::key(&key.tenant, key.year, &key.series));
        script.push(format!(
            "UPDATE {id} SET names_until = NONE, revision += 1 RETURN NONE"
        ));
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Of these receipts those that are numbered or due between two times, in one consistent read of at most `max` rows that are due;
    /// `None` if there are more.
    pub(in crate::modules) async fn numbered_or_due(
        &self,
        tenant: &TenantId,
        ids: &[ReceiptId],
        (from, until): (Timestamp, Timestamp),
        max: u32,
    ) -> Result<Option<Vec<ReceiptId>>> {
        let mut script = Script::snapshot(tenant);
        let keys = ids.iter().map(|id| ReceiptRow::key(tenant, *id));
        let numbered = script.read_all(keys.collect::<Vec<_>>());
        let from = script.bind(from.as_millisecond());
        let until = script.bind(until.as_millisecond());
        let limit = script.bind(i64::from(max));
        let due = script.push(format!(
            "SELECT * FROM type::record('receipt_due', [{from}]..[{until}, ..]) \
             WHERE record::id(id)[1] = $tenant LIMIT {limit}"
        ));
        let mut answers = self.db.run(script).await?;
        let mut found = Vec::new();
        for row in answers.rows::<ReceiptRow>(numbered)? {
            found.push(row.into_type()?.id);
        }
        let due: Vec<ReceiptDueRow> = answers.rows(due)?;
        if due.len() >= max as usize {
            return Ok(None);
        }
        for row in due {
            found.extend(row.receipts()?);
        }
        Ok(Some(found))
    }
}

fn counter_key(row: &ReceiptCounterRow) -> Result<CounterKey> {
    let (tenant, year, series) = ReceiptCounterRow::path(&row.id)?;
    Ok(CounterKey {
        tenant,
        year,
        series,
    })
}

fn counter_of(row: ReceiptCounterRow) -> ReceiptCounter {
    ReceiptCounter {
        revision: row.revision,
        receipts: row.receipts,
        credit_notes: row.credit_notes,
        names_until: row.names_until,
    }
}
