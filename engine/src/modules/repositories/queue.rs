//! Storage steps of the stored queue: rows `[lane, shard, id]`, leased in place. Called by the queue module.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::{
    db::{Count, Db, Script, StepError, SystemScope},
    models::{key_number, key_text, record},
};
use crate::{
    error::{Error, Result},
    ports::{Lane, LaneStats, Leased, Receipt, Settlement, Task},
    types::TenantId,
};

#[derive(Debug, Clone, SurrealValue)]
struct TaskRow {
    id: RecordId,
    tenant: String,
    task: String,
    /// When its lease ends; 0 without a lease. Milliseconds UTC.
    leased_until: i64,
    /// The number of the lease, which a receipt names.
    lease: i64,
}

pub(in crate::modules) struct QueueRepository {
    db: Db,
}

impl QueueRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Adds tasks that do not exist yet, in one transaction: at most 1,000 rows.
    pub(in crate::modules) async fn insert(
        &self,
        lane: Lane,
        shard: u32,
        tenant: &TenantId,
        tasks: &[Task],
    ) -> Result<()> {
        let mut rows = Vec::with_capacity(tasks.len());
        for task in tasks {
            rows.push(TaskRow {
                id: key(lane, shard, &task.id),
                tenant: tenant.as_str().to_owned(),
                task: serde_json::to_string(task).map_err(Error::internal)?,
                leased_until: 0,
                lease: 0,
            });
        }
        let mut script = Script::transaction(tenant);
        let rows = script.bind(rows);
        script.push(format!("INSERT IGNORE INTO queue_task {rows} RETURN NONE"));
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// The first task of each shard of a lane, leased or not, from a floor on; in one read.
    pub(in crate::modules) async fn first_tasks(
        &self,
        scope: SystemScope,
        lane: Lane,
        floors: &[String],
    ) -> Result<Vec<(u32, String)>> {
        let mut script = Script::across_tenants(scope);
        let lane = script.bind(lane.as_str().to_owned());
        let mut looks = Vec::with_capacity(floors.len());
        for (shard, floor) in floors.iter().enumerate() {
            let floor = script.bind(floor.clone());
            looks.push(format!(
                "(SELECT VALUE id FROM type::record('queue_task', [{lane}, {shard}, {floor}]..[{lane}, {shard}, ..]) LIMIT 1)"
            ));
        }
        let index = script.push(format!("RETURN array::flatten([{}])", looks.join(", ")));
        let ids: Vec<RecordId> = self.db.run_retrying(&script).await?.rows(index)?;
        ids.iter()
            .map(|id| {
                let shard = u32::try_from(key_number(id, 1)?).map_err(Error::internal)?;
                Ok((shard, key_text(id, 2)?.to_owned()))
            })
            .collect()
    }

    /// Leases up to `max` tasks of a shard from `floor` on, smallest id first: at most `max` rows. Nothing if another
    /// worker was faster.
    pub(in crate::modules) async fn lease(
        &self,
        scope: SystemScope,
        lane: Lane,
        (shard, floor): (u32, &str),
        max: usize,
        now: i64,
        until: i64,
    ) -> Result<Vec<Leased>> {
        let mut script = Script::transaction_across_tenants(scope);
        let (lane, shard) = (
            script.bind(lane.as_str().to_owned()),
            script.bind(i64::from(shard)),
        );
        let (floor, max) = (script.bind(floor.to_owned()), script.bind(max as i64));
        let (now, until) = (script.bind(now), script.bind(until));
        let index = script.push(format!(
            "UPDATE (SELECT VALUE id FROM type::record('queue_task', [{lane}, {shard}, {floor}]..[{lane}, {shard}, ..]) \
             WHERE leased_until <= {now} LIMIT {max}) SET leased_until = {until}, lease += 1 RETURN AFTER"
        ));
        let rows: Vec<TaskRow> = match self.db.run(script).await {
            Ok(mut answers) => answers.rows(index)?,
            Err(StepError::Conflict) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        rows.into_iter().map(leased).collect()
    }

    /// Extends leases: as many rows as receipts, at most 100.
    pub(in crate::modules) async fn extend(
        &self,
        scope: SystemScope,
        receipts: &[Receipt],
        until: i64,
    ) -> Result<()> {
        let mut script = Script::transaction_across_tenants(scope);
        let until = script.bind(until);
        for receipt in receipts {
            let (id, lease) = read_receipt(receipt)?;
            let (id, lease) = (script.bind(id), script.bind(lease));
            script.push(format!(
                "UPDATE {id} SET leased_until = {until} WHERE lease = {lease} RETURN NONE"
            ));
        }
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Ends leases: as many rows as settlements, at most 100.
    pub(in crate::modules) async fn settle(
        &self,
        scope: SystemScope,
        settlements: &[(Receipt, Settlement)],
        now: i64,
    ) -> Result<()> {
        let mut script = Script::transaction_across_tenants(scope);
        for (receipt, settlement) in settlements {
            let (id, lease) = read_receipt(receipt)?;
            let (id, lease) = (script.bind(id), script.bind(lease));
            match settlement {
                Settlement::Done => {
                    script.push(format!("DELETE {id} WHERE lease = {lease} RETURN NONE"))
                }
                Settlement::Release(after) => {
                    let at =
                        script.bind(now + i64::try_from(after.as_millis()).unwrap_or(i64::MAX / 2));
                    script.push(format!(
                        "UPDATE {id} SET leased_until = {at} WHERE lease = {lease} RETURN NONE"
                    ))
                }
            };
        }
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// How many tasks of a lane wait and are leased, from the first one of each shard on.
    pub(in crate::modules) async fn stats(
        &self,
        scope: SystemScope,
        lane: Lane,
        firsts: &[(u32, String)],
        now: i64,
    ) -> Result<LaneStats> {
        let mut script = Script::across_tenants(scope);
        let (lane, now) = (script.bind(lane.as_str().to_owned()), script.bind(now));
        let (mut all, mut leased) = (Vec::new(), Vec::new());
        for (shard, first) in firsts {
            let (shard, first) = (script.bind(i64::from(*shard)), script.bind(first.clone()));
            let tasks = format!(
                "SELECT count() FROM queue_task:[{lane}, {shard}, {first}]..[{lane}, {shard}, ..]"
            );
            all.push(script.push(format!("{tasks} GROUP ALL")));
            leased.push(script.push(format!("{tasks} WHERE leased_until > {now} GROUP ALL")));
        }
        let mut answers = self.db.run_retrying(&script).await?;
        let mut sum = |indexes: Vec<usize>| -> Result<u64> {
            let mut sum = 0;
            for index in indexes {
                sum += answers
                    .rows::<Count>(index)?
                    .first()
                    .map_or(0, |row| row.count);
            }
            Ok(sum)
        };
        let (all, leased) = (sum(all)?, sum(leased)?);
        Ok(LaneStats {
            waiting: all.saturating_sub(leased),
            leased,
        })
    }
}

fn key(lane: Lane, shard: u32, task: &str) -> RecordId {
    record(
        "queue_task",
        [
            Value::String(lane.as_str().to_owned()),
            Value::from_t(i64::from(shard)),
            Value::String(task.to_owned()),
        ],
    )
}

fn leased(row: TaskRow) -> Result<Leased> {
    let (lane, shard) = (key_text(&row.id, 0)?, key_number(&row.id, 1)?);
    let task: Task = serde_json::from_str(&row.task).map_err(Error::internal)?;
    let receipt = Receipt(format!("{lane}/{shard}/{}/{}", row.lease, task.id));
    Ok(Leased {
        tenant: TenantId::trusted(&row.tenant),
        task,
        receipt,
    })
}

fn read_receipt(receipt: &Receipt) -> Result<(RecordId, i64)> {
    let odd = || Error::internal(format!("not a receipt of this queue: {}", receipt.0));
    let mut parts = receipt.0.splitn(4, '/');
    let (Some(lane), Some(shard), Some(lease), Some(task)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(odd());
    };
    let lane = Lane::ALL
        .into_iter()
        .find(|known| known.as_str() == lane)
        .ok_or_else(odd)?;
    let shard: u32 = shard.parse().map_err(|_| odd())?;
    Ok((key(lane, shard, task), lease.parse().map_err(|_| odd())?))
}
