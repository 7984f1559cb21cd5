//! Storage steps of housekeeping: expired rows, and bookings of cancelled events.
//!
//! Called by the housekeeping module; calls models.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    db::{Db, Script, SystemScope},
    idempotency::{DUE_MAX, add_due_keys, forgetting},
    models::{IdRow, IdempotencyDueRow, PluginSetVersionRow, millisecond},
};
use crate::{
    error::Result,
    types::{ChangeKind, EventId, TenantId},
};

pub(in crate::modules) struct HousekeepingRepository {
    db: Db,
}

impl HousekeepingRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Deletes expired Idempotency-Keys, sessions, counts of announcements, addresses of mails about accounts, silent workers and ID
    /// tokens that were used: at most `max` rows of each.
    /// Returns whether there may be more.
    pub(in crate::modules) async fn delete_expired(
        &self,
        scope: SystemScope,
        now: Timestamp,
        max: u32,
    ) -> Result<bool> {
        let mut script = Script::across_tenants(scope);
        let now = self.db.present(&mut script, now);
        script.push(format!("LET $now = {now}"));
        let due = add_due_keys(&mut script, "$now");
        let most = script.bind(i64::from(max));
        // These tables are read completely, because they are small compared with bookings.
        let tables = [
            "session",
            "announcement_count",
            "account_mail",
            "worker_process",
            "used_id_token",
        ];
        let statements = tables.map(|table| {
            script.push(format!(
                "DELETE (SELECT VALUE id FROM {table} WHERE expires_at <= $now LIMIT {most}) RETURN BEFORE"
            ))
        });
        let mut answers = self.db.run_retrying(&script).await?;
        let due: Vec<IdempotencyDueRow> = answers.rows(due)?;
        let mut more = due.len() >= DUE_MAX;
        for index in statements {
            more |= answers.rows::<IdRow>(index)?.len() >= max as usize;
        }
        if !due.is_empty() {
            self.db.run_retrying(&forgetting(scope, due)).await?;
        }
        Ok(more)
    }

    /// Cancelled events whose bookings are not yet written as cancelled; at most `max`.
    pub(in crate::modules) async fn cancelled_events(
        &self,
        scope: SystemScope,
        max: u32,
    ) -> Result<Vec<(TenantId, EventId)>> {
        let mut script = Script::across_tenants(scope);
        let max = script.bind(i64::from(max));
        let index = script.push(format!("SELECT id FROM cancelled_event LIMIT {max}"));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.iter().map(IdRow::tenant_and_event).collect()
    }

    /// Tenants with uploads of plugins that were interrupted before `before`: those of at most 32 uploads.
    pub(in crate::modules) async fn broken_uploads(
        &self,
        scope: SystemScope,
        before: Timestamp,
    ) -> Result<Vec<TenantId>> {
        let mut script = Script::across_tenants(scope);
        let before = script.bind(millisecond(before));
        // Read completely: each tenant has at most a few.
        let index = script.push(format!(
            "SELECT id FROM plugin_upload WHERE at < {before} LIMIT 32"
        ));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let tenants: Result<BTreeSet<TenantId>> = rows.iter().map(IdRow::tenant).collect();
        Ok(tenants?.into_iter().collect())
    }

    /// The tenants with active plugins, and the version of each set, in order of their names: at most `max` of those
    /// after this one.
    pub(in crate::modules) async fn plugin_sets(
        &self,
        scope: SystemScope,
        after: Option<&TenantId>,
        max: u32,
    ) -> Result<Vec<(TenantId, u64)>> {
        let mut script = Script::across_tenants(scope);
        let limit = script.bind(i64::from(max));
        let after = script.bind(after.map_or("", TenantId::as_str).to_owned());
        let index = script.push(format!(
            "SELECT id, version FROM type::record('plugin_set', [{after}]>..) LIMIT {limit}"
        ));
        let rows: Vec<PluginSetVersionRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter()
            .map(PluginSetVersionRow::into_type)
            .collect()
    }

    /// Writes up to `max` of a cancelled event's bookings without a payment, claims and receipts as cancelled. When none
    /// is left, the event is removed from the list: at most `max` + 1 rows.
    pub(in crate::modules) async fn sweep_cancelled(
        &self,
        tenant: &TenantId,
        event: EventId,
        now: Timestamp,
        max: u32,
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        let event = script.bind(event.ulid().to_string());
        script.happens(now);
        let (now, count) = (script.bind(millisecond(now)), script.bind(i64::from(max)));
        script.push(format!(
            "LET $swept = (UPDATE (SELECT VALUE id FROM type::record('booking', [$tenant, {event}]..[$tenant, {event}, ..]) \
             WHERE cancelled_by = NONE AND payment = NONE AND claims = NONE AND receipt = NONE LIMIT {count}) SET cancelled_by = 'event', cancelled_at = {now} RETURN VALUE id)"
        ));
        script.tell_all(ChangeKind::BookingCancelled, "$swept");
        script.push(format!(
            "LET $left = (SELECT VALUE id FROM type::record('booking', [$tenant, {event}]..[$tenant, {event}, ..]) \
             WHERE cancelled_by = NONE LIMIT 1)"
        ));
        script.push(format!(
            "IF array::len($left) = 0 {{ DELETE cancelled_event:[$tenant, {event}] RETURN NONE }}"
        ));
        self.db.run_retrying(&script).await?;
        Ok(())
    }
}
