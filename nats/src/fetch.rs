//! Leases tasks: small pulls from the next shards, which never wait at the server.
//!
//! Called by queue. Calls broker and shard_scheduler.

use std::time::{Duration, Instant};

use async_nats::{Message, StatusCode, connection::State};
use boxoffice_engine::{
    Result,
    ports::{Lane, Leased, Receipt},
};
use futures::StreamExt as _;
use serde_json::json;
use tokio::time::{self, timeout};

use crate::{
    broker::{Broker, BrokerError},
    settings::{Names, TASKS_MAX},
    shard_scheduler::{LOOK_EVERY, ShardScheduler},
};

/// How long a reply to a pull may take. A pull from a shard whose workers have as many tasks as they may gets none.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// Leases up to `max` tasks of the next shard; waits up to `wait` if no shard has any.
///
/// A pull that waits at the server would be answered sooner, but only from one shard; and one at each shard leases
/// tasks of up to 16 for a worker that wanted two. So pulls never wait, and publishers send a hint.
pub(crate) async fn fetch(
    broker: &Broker,
    scheduler: &ShardScheduler,
    lane: Lane,
    max: usize,
    wait: Duration,
) -> Result<Vec<Leased>> {
    let deadline = time::Instant::now() + wait;
    let max = max.min(TASKS_MAX);
    loop {
        let hint = scheduler.hinted.notified();
        let mut hint = std::pin::pin!(hint);
        hint.as_mut().enable();
        let leased = broker
            .with_streams(|| visit(broker, scheduler, lane, max))
            .await?;
        let now = time::Instant::now();
        if !leased.is_empty() || now >= deadline || max == 0 {
            return Ok(leased);
        }
        let _ = timeout(LOOK_EVERY.min(deadline - now), hint).await;
    }
}

/// Checks the due shards, until something is found.
async fn visit(
    broker: &Broker,
    scheduler: &ShardScheduler,
    lane: Lane,
    max: usize,
) -> Result<Vec<Leased>, BrokerError> {
    if max == 0 {
        return Ok(Vec::new());
    }
    for look in scheduler.due(Instant::now()) {
        let messages = pull(broker, lane, look.shard, max).await?;
        scheduler.looked(look, !messages.is_empty(), Instant::now());
        let mut leased = Vec::with_capacity(messages.len());
        for message in messages {
            match read(&message) {
                Some(task) => leased.push(task),
                None => give_up(broker, message).await,
            }
        }
        if !leased.is_empty() {
            return Ok(leased);
        }
    }
    Ok(Vec::new())
}

/// Leases up to `max` available tasks of a shard.
async fn pull(
    broker: &Broker,
    lane: Lane,
    shard: usize,
    max: usize,
) -> Result<Vec<Message>, BrokerError> {
    if broker.client.connection_state() != State::Connected {
        return Err(BrokerError::Away(None));
    }
    let inbox = broker.client.new_inbox();
    let mut replies = broker
        .client
        .subscribe(inbox.clone())
        .await
        .map_err(BrokerError::away)?;
    let request = json!({ "batch": max, "no_wait": true }).to_string();
    let subject = format!(
        "$JS.API.CONSUMER.MSG.NEXT.{}.{}",
        broker.names.stream(lane),
        Names::consumer(shard)
    );
    broker
        .client
        .publish_with_reply(subject, inbox, request.into())
        .await
        .map_err(BrokerError::away)?;
    let mut messages = Vec::with_capacity(max.min(64));
    while messages.len() < max {
        let reply = match timeout(REPLY_TIMEOUT, replies.next()).await {
            Ok(Some(reply)) => reply,
            Ok(None) => return Err(BrokerError::Away(None)),
            // The server may have nothing to send; another request shows whether it is reachable.
            Err(_) if messages.is_empty() => {
                broker.stream_info(lane).await?;
                break;
            }
            Err(_) => break,
        };
        match reply.status {
            None => messages.push(reply),
            // No tasks, or no more.
            Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => break,
            // Tasks that were leased before the error stay leased; the next pull shows the error.
            Some(_) if !messages.is_empty() => break,
            Some(StatusCode::NO_RESPONDERS) => return Err(BrokerError::Missing),
            Some(status) => {
                return Err(refusal(status.as_u16(), reply.description));
            }
        }
    }
    Ok(messages)
}

fn refusal(status: u16, description: Option<String>) -> BrokerError {
    match status {
        // The consumer was deleted, or its leader moves: checking the streams repairs both.
        409 => BrokerError::Missing,
        status => BrokerError::Refused {
            code: 0,
            status: status.into(),
            description: description.unwrap_or_default(),
        },
    }
}

fn read(message: &Message) -> Option<Leased> {
    Some(Leased {
        tenant: Names::tenant(&message.subject)?,
        task: serde_json::from_slice(&message.payload).ok()?,
        receipt: Receipt(message.reply.as_ref()?.to_string()),
    })
}

/// Drops a message that is not a task. If a newer program wrote it, the outbox publishes it again.
async fn give_up(broker: &Broker, message: Message) {
    tracing::error!(subject = %message.subject, "dropping a message that is not a task");
    if let Some(reply) = message.reply {
        let sent = broker
            .client
            .publish(reply, "+TERM unreadable".into())
            .await;
        if let Err(error) = sent {
            tracing::warn!(error = ?error, "dropping a message failed; it will be delivered again");
        }
    }
}

/// Listens to hints of other processes, as long as the connection exists.
pub(crate) async fn listen(broker: &Broker, scheduler: &ShardScheduler, lane: Lane) {
    loop {
        match broker.client.subscribe(broker.names.hint(lane)).await {
            Ok(mut hints) => {
                while let Some(hint) = hints.next().await {
                    let shard = std::str::from_utf8(&hint.payload);
                    if let Some(shard) = shard.ok().and_then(|shard| shard.parse().ok()) {
                        scheduler.hint(shard);
                    }
                }
            }
            Err(error) => tracing::warn!(error = ?error, "listening for hints failed"),
        }
        time::sleep(LOOK_EVERY).await;
    }
}
