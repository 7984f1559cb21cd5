//! Removing what is done: a stream with limits keeps acknowledged tasks until somebody purges them.
//!
//! Called by queue, as a task beside it. Calls broker.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use boxoffice_engine::ports::Lane;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::broker::{Broker, BrokerError};

/// Shortest pause between two purges, for windows that only tests have.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Sights of a stream that are kept; with a purge each half window three are enough.
const SIGHTS_MAX: usize = 8;

/// Purges again and again. Any number of processes may do so: what one has purged the others find gone.
pub(crate) async fn run(broker: &Broker, window: Duration) {
    let mut ticks = interval((window / 2).max(PAUSE_MIN));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sights = Lane::ALL.map(|lane| (lane, VecDeque::new()));
    loop {
        ticks.tick().await;
        for (lane, sights) in &mut sights {
            if let Err(trouble) = purge_done(broker, *lane, window, sights).await {
                tracing::debug!(lane = lane.as_str(), error = ?trouble, "purging can wait");
            }
        }
    }
}

/// When a stream ended where.
struct StreamEnd {
    at: Instant,
    last: u64,
}

/// Purges what every consumer is past and what is older than the duplicate window: after a restart the server learns
/// the ids it must refuse from the messages themselves.
async fn purge_done(
    broker: &Broker,
    lane: Lane,
    window: Duration,
    sights: &mut VecDeque<StreamEnd>,
) -> Result<(), BrokerError> {
    let stream = broker.stream_info(lane).await?.state;
    let now = Instant::now();
    let outside = |sight: &StreamEnd| now.saturating_duration_since(sight.at) > window;
    // The youngest sight that is old enough says what is outside of the window.
    while sights.get(1).is_some_and(outside) {
        sights.pop_front();
    }
    let old = sights
        .front()
        .filter(|sight| outside(sight))
        .map(|sight| sight.last);
    sights.push_back(StreamEnd {
        at: now,
        last: stream.last_sequence,
    });
    if sights.len() > SIGHTS_MAX {
        sights.remove(1);
    }
    let Some(old) = old.filter(|old| *old >= stream.first_sequence && stream.messages > 0) else {
        return Ok(());
    };
    // Asked after the stream: a consumer without work now is past everything that was there then.
    let floors = broker.consumers(lane).await?.into_iter().map(|consumer| {
        match consumer.num_pending == 0 && consumer.num_ack_pending == 0 {
            true => stream.last_sequence,
            false => consumer.ack_floor.stream_sequence,
        }
    });
    let Some(done) = floors.min().map(|floor| floor.min(old)) else {
        return Ok(());
    };
    if done >= stream.first_sequence {
        let what = format!("STREAM.PURGE.{}", broker.names.stream(lane));
        // Everything below this number.
        let _: serde_json::Value = broker.ask(&what, &json!({ "seq": done + 1 })).await?;
    }
    Ok(())
}
