//! Storage steps of holds. Called by the bookings module; calls models.

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    bookings::read_list_of,
    db::{Db, Script, StepError, SystemScope},
    hold_changes::{HoldChange, add_holds},
    inventory::{InventoryChange, add_change},
    models::{CustomerHoldRow, HoldDueRow, HoldRow, InventoryRow},
    waitlist::{Offers, add_offers},
};
use crate::{
    error::Result,
    types::{EventId, Hold, HoldId, Inventory, TenantId, UserId},
};

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
        let index = script.read(HoldRow::key(tenant, hold));
        let row: Option<HoldRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(HoldRow::into_type).transpose()
    }

    /// Up to `limit` of a customer's holds before one of them, newest first.
    pub(in crate::modules) async fn list_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
        before: Option<Ulid>,
        limit: u32,
    ) -> Result<Vec<Hold>> {
        let mut script = Script::of(tenant);
        let index = read_list_of(&mut script, "customer_hold", (customer, before), limit);
        let rows: Vec<CustomerHoldRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let ids = rows.iter().map(CustomerHoldRow::hold);
        let ids = ids.collect::<Result<Vec<_>>>()?;
        let mut script = Script::of(tenant);
        let keys = ids.iter().map(|hold| HoldRow::key(tenant, *hold));
        let index = script.read_all(keys.collect::<Vec<_>>());
        let rows: Vec<HoldRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let holds = rows.into_iter().map(HoldRow::into_type);
        let mut holds = holds.collect::<Result<Vec<_>>>()?;
        holds.sort_by_key(|hold| std::cmp::Reverse(hold.id.booking().serial()));
        Ok(holds)
    }

    /// Some holds of an event, and its inventory, in one consistent read.
    pub(in crate::modules) async fn read(
        &self,
        tenant: &TenantId,
        event: EventId,
        holds: &[HoldId],
    ) -> Result<(Option<Inventory>, Vec<Hold>)> {
        let mut script = Script::snapshot(tenant);
        let inventory = script.read(InventoryRow::key(tenant, event));
        let keys = holds.iter().map(|hold| HoldRow::key(tenant, *hold));
        let holds = script.read_all(keys.collect::<Vec<_>>());
        let mut answers = self.db.run(script).await?;
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
    /// still has the revision that was read: at most 5 rows for each, 2 more, and the offers'.
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
        self.db.run(script).await.map(drop)
    }

    /// Up to `max` due holds of all tenants, with their times.
    pub(in crate::modules) async fn due(
        &self,
        scope: SystemScope,
        times: (Timestamp, Timestamp),
        max: u32,
    ) -> Result<(Timestamp, Vec<DueHold>)> {
        let script = Script::across_tenants(scope);
        let due = self
            .db
            .due_rows::<HoldDueRow>(script, "hold_due", times, max);
        let (at, due) = due.await?;
        let due = due.into_iter().map(|row| {
            let (due_at, tenant, hold) = row.into_parts()?;
            Ok(DueHold {
                due_at,
                tenant,
                hold,
            })
        });
        Ok((at, due.collect::<Result<_>>()?))
    }

    /// Deletes entries without an active hold, and holds that ended long ago: a row each, and 2. Ended holds do not
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
        let ended = ended.iter().flat_map(|hold| {
            let listed = CustomerHoldRow::of(tenant, *hold).id;
            [HoldRow::key(tenant, *hold), listed]
        });
        let rows = script.bind(notes.chain(ended).collect::<Vec<_>>());
        script.push(format!("DELETE {rows} RETURN NONE"));
        self.db.run_retrying(&script).await?;
        Ok(())
    }
}
