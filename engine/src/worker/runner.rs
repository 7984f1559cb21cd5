//! The runner of one lane: fetches due tasks, handles a bounded number at the same time, and settles each.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::LoopContext;
use crate::{
    app_modules::MailJobs,
    ports::{Lane, Leased, Receipt, Settlement},
    types::TenantId,
};

/// Batches of a lane that one process handles at the same time. Connections stay busy while other batches are
/// read or written.
const IN_FLIGHT_MAX: usize = 4;
/// Tasks fetched at once, 256 mails: common data is read once for all. Small enough that tenants, whose
/// shards are visited in turn, do not wait long for theirs.
const FETCH_MAX: usize = 8;
/// The pause between two checks whether an operator has released a restored store.
const RELEASE_LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pause between two checks of a stopped lane.
const PAUSED_LOOK: Duration = Duration::from_millis(500);
/// The pause between two extensions of a task's lease; three fit into the 30 s of the engine's queues.
const EXTEND_EVERY: Duration = Duration::from_secs(10);

pub(super) async fn run(jobs: MailJobs, context: LoopContext, lane: Lane) {
    wait_for_release(&jobs, &context, lane).await;
    // A worker that starts while its lane is stopped takes nothing.
    while let Err(error) = jobs.look_at_lanes().await {
        tracing::warn!(error = ?error, lane = lane.as_str(), "reading which lanes are stopped failed, will retry");
        context.pulse.beat();
        if !context.pause(Duration::from_secs(1)).await {
            return;
        }
    }
    let slots = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    while !context.stop.is_cancelled() {
        context.pulse.beat();
        // The slots limit the tasks in flight. Waiting here is the back-pressure on fetching.
        let slot = tokio::select! {
            () = context.stop.cancelled() => return,
            slot = slots.clone().acquire_owned() => slot,
            () = tokio::time::sleep(Duration::from_secs(5)) => continue,
        };
        let Ok(slot) = slot else { return };
        if jobs.is_lane_paused(lane) {
            drop(slot);
            context.pause(PAUSED_LOOK).await;
            continue;
        }
        // Do not cancel a fetch: its tasks would stay leased to nobody.
        match jobs.fetch(lane, FETCH_MAX, Duration::from_secs(1)).await {
            Ok(tasks) if tasks.is_empty() => {}
            Ok(tasks) => {
                let slot = Arc::new(slot);
                // Tenants in the same shard do not wait for each other.
                for (tenant, tasks) in by_tenant(tasks) {
                    let (jobs, inner, slot) = (jobs.clone(), context.clone(), slot.clone());
                    context.tasks.spawn(async move {
                        handle(jobs, inner, tenant, tasks).await;
                        drop(slot);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(error = ?error, lane = lane.as_str(), "fetching tasks failed, will retry");
                context.pause(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Fetches nothing while the mails of a restored store are held back. A store is restored before anything uses it, so this is
/// checked only until the answer is no.
async fn wait_for_release(jobs: &MailJobs, context: &LoopContext, lane: Lane) {
    let mut is_told = false;
    while !context.stop.is_cancelled() {
        context.pulse.beat();
        match jobs.are_held().await {
            Ok(false) => return,
            Ok(true) if !is_told => {
                is_told = true;
                tracing::warn!(
                    lane = lane.as_str(),
                    "this store was restored from a backup: no mail is sent before `boxoffice operator release`"
                );
            }
            Ok(true) => {}
            Err(error) => {
                tracing::warn!(error = ?error, "reading whether mails are held back failed, will retry");
            }
        }
        context.pause(RELEASE_LOOK_EVERY).await;
    }
}

fn by_tenant(tasks: Vec<Leased>) -> Vec<(TenantId, Vec<Leased>)> {
    let mut groups: Vec<(TenantId, Vec<Leased>)> = Vec::new();
    for leased in tasks {
        match groups
            .iter_mut()
            .find(|(tenant, _)| *tenant == leased.tenant)
        {
            Some((_, group)) => group.push(leased),
            None => groups.push((leased.tenant.clone(), vec![leased])),
        }
    }
    groups
}

async fn handle(jobs: MailJobs, context: LoopContext, tenant: TenantId, tasks: Vec<Leased>) {
    let receipts: Vec<Receipt> = tasks.iter().map(|leased| leased.receipt.clone()).collect();
    let (worker, stop) = (jobs.clone(), context.stop.clone());
    // A separate task: a panic ends that task only.
    let mut work = tokio::spawn(async move { worker.handle(&tenant, &tasks, &stop).await });
    let outcome = loop {
        tokio::select! {
            outcome = &mut work => break outcome,
            () = tokio::time::sleep(EXTEND_EVERY) => {
                if let Err(error) = jobs.extend(&receipts).await {
                    tracing::warn!(error = ?error, "extending leases failed");
                }
            }
        }
    };
    let settlements: Vec<(Receipt, Settlement)> = match outcome {
        Ok(settlements) => receipts.into_iter().zip(settlements).collect(),
        Err(error) => {
            tracing::error!(error = ?error, "handling tasks panicked");
            let again = |receipt| (receipt, Settlement::Release(Duration::from_secs(1)));
            receipts.into_iter().map(again).collect()
        }
    };
    if let Err(error) = jobs.settle(&settlements).await {
        tracing::warn!(error = ?error, "settling tasks failed; they will be delivered again after their leases");
    }
}
