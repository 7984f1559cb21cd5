//! Adds tasks: a single one as a message, many as one atomic batch.
//!
//! Called by queue. Calls broker.

use std::collections::HashSet;

use async_nats::{HeaderMap, jetstream::publish::PublishAck};
use boxoffice_engine::{
    Error, Result, TenantId,
    ports::{Lane, Task},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    broker::{Broker, BrokerError, PIPELINED},
    settings::{ID_BYTES_MAX, TASKS_MAX, shard_of},
    shard_scheduler::ShardScheduler,
};

/// JetStream's code for a batch with an id that is in the stream already.
const BATCH_HAS_DUPLICATE: u64 = 10_201;

/// A task as a message.
struct Wire {
    /// With the tenant, so that ids of two tenants never collide.
    id: String,
    body: Vec<u8>,
}

/// Adds tasks atomically, each at most once within the duplicate window.
///
/// If a part of a batch is in the stream already, it repeats an earlier publication, or was combined with
/// others: then the rest is added one by one. If that is interrupted, the caller gets an error and repeats.
pub(crate) async fn publish(
    broker: &Broker,
    scheduler: &ShardScheduler,
    lane: Lane,
    tenant: &TenantId,
    tasks: &[Task],
) -> Result<()> {
    if tasks.len() > TASKS_MAX {
        let text = format!("{} tasks at once; {TASKS_MAX} at most", tasks.len());
        return Err(Error::internal(text));
    }
    let wires = wires(tenant, tasks)?;
    let Some(subject) = broker.names.subject(lane, tenant) else {
        return Err(Error::internal("a tenant's name that is no host label"));
    };
    match wires.as_slice() {
        [] => return Ok(()),
        [one] => {
            broker
                .with_streams(|| publish_one(broker, &subject, one))
                .await?;
        }
        many => {
            let batched = broker
                .with_streams(|| publish_batch(broker, &subject, many))
                .await;
            match batched {
                Err(BrokerError::Refused { code, .. }) if code == BATCH_HAS_DUPLICATE => {
                    broker
                        .with_streams(|| publish_each(broker, &subject, many))
                        .await?;
                }
                outcome => outcome?,
            }
        }
    }
    let shard = shard_of(tenant);
    scheduler.hint(shard);
    // A lost hint costs a second, so do not wait for this one.
    let hinted = broker
        .client
        .publish(broker.names.hint(lane), shard.to_string().into());
    if let Err(error) = hinted.await {
        tracing::debug!(error = ?error, "sending a wake-up hint failed");
    }
    Ok(())
}

fn wires(tenant: &TenantId, tasks: &[Task]) -> Result<Vec<Wire>> {
    let mut known = HashSet::with_capacity(tasks.len());
    let mut wires = Vec::with_capacity(tasks.len());
    for task in tasks {
        let is_visible = task.id.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || !(1..=ID_BYTES_MAX).contains(&task.id.len()) {
            return Err(Error::internal("a task id that is no short visible ASCII"));
        }
        if known.insert(task.id.as_str()) {
            wires.push(Wire {
                id: format!("{tenant}/{}", task.id),
                body: serde_json::to_vec(task).map_err(Error::internal)?,
            });
        }
    }
    Ok(wires)
}

async fn publish_one(broker: &Broker, subject: &str, wire: &Wire) -> Result<(), BrokerError> {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", wire.id.as_str());
    let answer = broker
        .request(subject.to_owned(), Some(headers), wire.body.clone())
        .await?;
    // A duplicate is acknowledged too, and marked.
    let _: PublishAck = BrokerError::read(&answer)?;
    Ok(())
}

async fn publish_each(broker: &Broker, subject: &str, wires: &[Wire]) -> Result<(), BrokerError> {
    let publications: Vec<_> = wires
        .iter()
        .map(|wire| publish_one(broker, subject, wire))
        .collect();
    stream::iter(publications)
        .buffer_unordered(PIPELINED)
        .try_for_each(async |()| Ok(()))
        .await
}

/// All or none, with one sync to disk: the server stages the messages, and the last one commits them.
async fn publish_batch(broker: &Broker, subject: &str, wires: &[Wire]) -> Result<(), BrokerError> {
    // Unique, like inboxes.
    let inbox = broker.client.new_inbox();
    let batch = inbox.rsplit('.').next().unwrap_or(&inbox);
    for (index, wire) in wires.iter().enumerate() {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", wire.id.as_str());
        headers.insert("Nats-Batch-Id", batch);
        headers.insert("Nats-Batch-Sequence", (index + 1).to_string());
        let body = wire.body.clone();
        if index + 1 < wires.len() {
            broker
                .client
                .publish_with_headers(subject.to_owned(), headers, body.into())
                .await
                .map_err(BrokerError::away)?;
        } else {
            headers.insert("Nats-Batch-Commit", "1");
            let answer = broker
                .request(subject.to_owned(), Some(headers), body)
                .await?;
            let _: PublishAck = BrokerError::read(&answer)?;
        }
    }
    Ok(())
}
