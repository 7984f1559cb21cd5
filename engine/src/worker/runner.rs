//! The runner of one lane: fetches due tasks, handles a bounded number at the same time, and settles each.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::LoopContext;
use crate::{
    app_modules::Queues,
    ports::{Lane, Leased, Settlement},
};

/// Tasks of a lane handled at the same time by one process: blocks of 32 mails, so that connections stay busy while
/// other blocks are being written down.
const IN_FLIGHT_MAX: usize = 4;
/// Tasks fetched at once; small, so that tenants take turns.
const FETCH_MAX: usize = 2;
/// Between two extensions of a task's lease; three fit into the embedded queue's 30 s.
const EXTEND_EVERY: Duration = Duration::from_secs(10);

pub(super) async fn run(queues: Queues, context: LoopContext, lane: Lane) {
    let slots = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    while !context.stop.is_cancelled() {
        context.pulse.beat();
        let free = tokio::select! {
            () = context.stop.cancelled() => return,
            free = slots.clone().acquire_owned() => free,
            () = tokio::time::sleep(Duration::from_secs(5)) => continue,
        };
        // Not cancelled half-way: a fetch that is dropped would leave its tasks leased to nobody.
        let fetched = queues
            .fetch(
                lane,
                FETCH_MAX.min(1 + slots.available_permits()),
                Duration::from_secs(1),
            )
            .await;
        drop(free);
        match fetched {
            Ok(tasks) => {
                for leased in tasks {
                    // The slots in use bound what is in flight; the wait here is the back-pressure on fetching.
                    let Ok(slot) = slots.clone().acquire_owned().await else {
                        return;
                    };
                    let (queues, inner) = (queues.clone(), context.clone());
                    context.tasks.spawn(async move {
                        handle(queues, inner, leased).await;
                        drop(slot);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(error = ?error, lane = lane.as_str(), "fetching tasks failed; trying again");
                context.pause(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn handle(queues: Queues, context: LoopContext, leased: Leased) {
    let stop = context.stop.clone();
    let (worker, task) = (queues.clone(), leased.clone());
    // A task of its own, so that a panic on one block ends that task and nothing else; the ledger counts it.
    let mut work = tokio::spawn(async move { worker.handle(&task, || stop.is_cancelled()).await });
    let outcome = loop {
        tokio::select! {
            outcome = &mut work => break outcome,
            () = tokio::time::sleep(EXTEND_EVERY) => {
                if let Err(error) = queues.extend(&leased.receipt).await {
                    tracing::warn!(error = ?error, "extending a lease failed");
                }
            }
        }
    };
    let settlement = match outcome {
        Ok(Ok(settlement)) => settlement,
        Ok(Err(error)) => {
            tracing::warn!(error = ?error, task = leased.task.id, "a task failed; it is tried again");
            Settlement::Release(Duration::from_secs(1))
        }
        Err(error) => {
            tracing::error!(error = ?error, task = leased.task.id, "a task panicked");
            Settlement::Release(Duration::from_secs(1))
        }
    };
    if let Err(error) = queues.settle(leased.receipt, settlement).await {
        tracing::warn!(error = ?error, task = leased.task.id, "settling a task failed; it comes again after its lease");
    }
}
