//! Storage steps of holds. Called by the bookings module; calls models.

use jiff::Timestamp;
use surrealdb::types::SurrealValue;

use super::{
    db::{Db, Script, StepError, SystemScope},
    inventory::{InventoryChange, add_change},
    models::{HoldDueRow, HoldRow, InventoryRow, OpenHoldRow, at_millisecond, millisecond},
    waitlist::{Offers, add_offers},
};
use crate::{
    error::{Error, Result},
    types::{EventId, Hold, HoldId, HoldStatus, Inventory, TenantId},
};

/// A hold before and after a step.
#[derive(Debug, Clone)]
pub(in crate::modules) struct HoldChange {
    /// As it was read; `None` if the step creates it.
    pub(in crate::modules) before: Option<Hold>,
    /// As it is written.
    pub(in crate::modules) after: Hold,
}

/// An entry for a hold's end.
#[derive(Debug, Clone)]
pub(in crate::modules) struct DueHold {
    pub(in crate::modules) due_at: Timestamp,
    pub(in crate::modules) tenant: TenantId,
    pub(in crate::modules) hold: HoldId,
}

pub(in crate::modules) struct HoldsRepository {
    db: Db,
}

impl HoldsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        hold: HoldId,
    ) -> Result<Option<Hold>> {
        let mut script = Script::of(tenant);
        let key = script.bind(HoldRow::key(tenant, hold));
        let index = script.push(format!("SELECT * FROM ONLY {key}"));
        let row: Option<HoldRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(HoldRow::into_type).transpose()
    }

    /// Some holds of an event, and its inventory, in one consistent read.
    pub(in crate::modules) async fn read(
        &self,
        tenant: &TenantId,
        event: EventId,
        holds: &[HoldId],
    ) -> Result<(Option<Inventory>, Vec<Hold>)> {
        let mut script = Script::snapshot(tenant);
        let record = script.bind(InventoryRow::key(tenant, event));
        let inventory = script.push(format!("SELECT * FROM ONLY {record}"));
        let keys = holds.iter().map(|hold| HoldRow::key(tenant, *hold));
        let keys = script.bind(keys.collect::<Vec<_>>());
        let holds = script.push(format!("SELECT * FROM {keys}"));
        let mut answers = self.db.run(&script).await?;
        let inventory = answers.row::<InventoryRow>(inventory)?;
        let holds = answers.rows::<HoldRow>(holds)?;
        Ok((
            inventory.map(InventoryRow::into_type).transpose()?,
            holds
                .into_iter()
                .map(HoldRow::into_type)
                .collect::<Result<_>>()?,
        ))
    }

    /// Writes holds of one event, and the offers of the freed tickets, if its inventory
    /// still has the revision that was read: at most 4 rows for each, 2 more, and the offers'.
    pub(in crate::modules) async fn update(
        &self,
        tenant: &TenantId,
        change: &InventoryChange,
        holds: &[HoldChange],
        offers: &Offers,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        add_change(&mut script, tenant, change);
        // Ended holds first: the customer of one may be the next who gets an offer.
        add_holds(&mut script, tenant, holds);
        add_offers(&mut script, tenant, change.inventory.event, offers)?;
        self.db.run(&script).await.map(drop)
    }

    /// Up to `max` due holds of all tenants, the longest overdue first, with their times. Not from the
    /// beginning of the table: an LSM store reads every tombstone there. Not later than the store's
    /// own clock, either.
    pub(in crate::modules) async fn due(
        &self,
        scope: SystemScope,
        (from, until): (Timestamp, Timestamp),
        max: u32,
    ) -> Result<(Timestamp, Vec<DueHold>)> {
        let mut script = Script::across_tenants(scope);
        let from = script.bind(millisecond(from));
        let until = self.db.present(&mut script, until);
        let max = script.bind(i64::from(max));
        script.push(format!("LET $until = {until}"));
        let index = script.push(format!(
            "SELECT id FROM type::record('hold_due', [{from}]..[$until, ..]) LIMIT {max}"
        ));
        let at = script.push("RETURN [$until]");
        let mut answers = self.db.run_retrying(&script).await?;
        let at = answers.rows::<i64>(at)?.pop();
        let at = at.ok_or_else(|| Error::internal("the store did not say what time it took"))?;
        let due = answers.rows::<HoldDueRow>(index)?.into_iter().map(|row| {
            let (due_at, tenant, hold) = row.into_parts()?;
            Ok(DueHold {
                due_at,
                tenant,
                hold,
            })
        });
        Ok((at_millisecond(at)?, due.collect::<Result<_>>()?))
    }

    /// Deletes entries without an active hold, and holds that ended long ago: as many rows. Ended holds do not
    /// change any more, so no guard is needed.
    pub(in crate::modules) async fn forget(
        &self,
        tenant: &TenantId,
        due: &[DueHold],
        ended: &[HoldId],
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        let notes = due
            .iter()
            .map(|due| HoldDueRow::of(tenant, due.hold, due.due_at).id);
        let ended = ended.iter().map(|hold| HoldRow::key(tenant, *hold));
        let rows = script.bind(notes.chain(ended).collect::<Vec<_>>());
        script.push(format!("DELETE {rows} RETURN NONE"));
        self.db.run_retrying(&script).await?;
        Ok(())
    }
}

/// Adds holds, with the entries for their customers and their end: at most 4 rows for each. The
/// inventory's guard covers them, because every change of a hold also changes its event's inventory.
pub(in crate::modules::repositories) fn add_holds(
    script: &mut Script,
    tenant: &TenantId,
    holds: &[HoldChange],
) {
    let is_open = |hold: &&Hold| hold.status == HoldStatus::Held;
    let (mut new, mut opened, mut due) = (Vec::new(), Vec::new(), Vec::new());
    let mut gone = Vec::new();
    for change in holds {
        let row = HoldRow::of(tenant, &change.after);
        let before = change.before.as_ref().filter(is_open);
        let after = Some(&change.after).filter(is_open);
        let due_row = |hold: &Hold| HoldDueRow::of(tenant, hold.id, hold.noted_at());
        let noted = change.before.as_ref();
        if noted.map(Hold::noted_at) != Some(change.after.noted_at()) {
            gone.extend(noted.map(|hold| due_row(hold).id));
            due.push(due_row(&change.after));
        }
        match (before, after) {
            (None, Some(after)) => opened.push(OpenHoldRow::of(tenant, after)),
            (Some(before), None) => gone.push(OpenHoldRow::of(tenant, before).id),
            _ => {}
        }
        if change.before.is_none() {
            new.push(row);
        } else {
            let key = script.bind(row.id.clone());
            let row = script.bind(row);
            script.push(format!("UPDATE {key} CONTENT {row} RETURN NONE"));
        }
    }
    // Ended holds first: in one group a customer may confirm a hold and make another.
    if !gone.is_empty() {
        let gone = script.bind(gone);
        script.push(format!("DELETE {gone} RETURN NONE"));
    }
    insert_all(script, "hold", new);
    insert_all(script, "open_hold", opened);
    insert_all(script, "hold_due", due);
}

fn insert_all<T: SurrealValue>(script: &mut Script, table: &str, rows: Vec<T>) {
    if !rows.is_empty() {
        let rows = script.bind(rows);
        script.push(format!("INSERT INTO {table} {rows} RETURN NONE"));
    }
}
