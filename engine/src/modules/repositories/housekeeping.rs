//! Storage steps of the singletons: rows whose time is over, and bookings of cancelled events.
//!
//! Called by the housekeeping module; calls models.

use jiff::Timestamp;

use super::{
    db::{Db, Script, SystemScope},
    models::{IdRow, millisecond},
};
use crate::{
    Result,
    types::{EventId, TenantId},
};

pub(in crate::modules) struct HousekeepingRepository {
    db: Db,
}

impl HousekeepingRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Deletes idempotency records, sessions and counts of announcements whose time is over: at most `max` rows of
    /// each. Answers how many went.
    pub(in crate::modules) async fn delete_expired(
        &self,
        scope: SystemScope,
        now: Timestamp,
        max: u32,
    ) -> Result<usize> {
        let mut script = Script::across_tenants(scope);
        let (now, max) = (script.bind(millisecond(now)), script.bind(i64::from(max)));
        let statements = ["idempotency", "session", "announcement_count"].map(|table| {
            script.push(format!(
                "DELETE (SELECT VALUE id FROM {table} WHERE expires_at <= {now} LIMIT {max}) RETURN BEFORE"
            ))
        });
        let mut answers = self.db.run_retrying(&script).await?;
        let mut gone = 0;
        for index in statements {
            gone += answers.rows::<IdRow>(index)?.len();
        }
        Ok(gone)
    }

    /// Cancelled events whose bookings are still to be written as cancelled; at most `max`.
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

    /// Writes up to `max` of a cancelled event's bookings as cancelled; answers how many. When none is left, the event
    /// is taken off the list: at most `max` + 1 rows.
    pub(in crate::modules) async fn sweep_cancelled(
        &self,
        _: SystemScope,
        tenant: &TenantId,
        event: EventId,
        now: Timestamp,
        max: u32,
    ) -> Result<usize> {
        let mut script = Script::transaction(tenant);
        let event = script.bind(event.ulid().to_string());
        let (now, count) = (script.bind(millisecond(now)), script.bind(i64::from(max)));
        let index = script.push(format!(
            "LET $swept = (UPDATE (SELECT VALUE id FROM type::record('booking', [$tenant, {event}]..[$tenant, {event}, ..]) \
             WHERE cancelled_by = NONE LIMIT {count}) SET cancelled_by = 'event', cancelled_at = {now} RETURN VALUE id)"
        )) + 2;
        script.push(format!(
            "IF array::len($swept) = 0 {{ DELETE cancelled_event:[$tenant, {event}] RETURN NONE }}"
        ));
        script.push("RETURN [array::len($swept)]");
        let swept: Vec<i64> = self.db.run_retrying(&script).await?.rows(index)?;
        Ok(swept.first().copied().unwrap_or(0) as usize)
    }
}
