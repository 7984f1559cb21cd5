//! Purges finished tasks: a stream with limits keeps acknowledged tasks until they are purged.
//!
//! Called by queue, as a background task. Calls broker.

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
/// Recorded ends of a stream; with a purge each half window three are enough.
const ENDS_MAX: usize = 8;

/// Purges periodically. Any number of processes may do so at the same time.
pub(crate) async fn run(broker: &Broker, window: Duration) {
    let mut ticks = interval((window / 2).max(PAUSE_MIN));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ends = Lane::ALL.map(|lane| (lane, VecDeque::new()));
    loop {
        ticks.tick().await;
        for (lane, ends) in &mut ends {
            if let Err(trouble) = purge_done(broker, *lane, window, ends).await {
                tracing::debug!(lane = lane.as_str(), error = ?trouble, "purging can wait");
            }
        }
    }
}

/// The end of a stream at a time.
struct StreamEnd {
    at: Instant,
    last: u64,
}

/// Purges messages that every consumer has passed and that are older than the duplicate window: after a restart the server learns
/// the ids it must refuse from the messages themselves.
async fn purge_done(
    broker: &Broker,
    lane: Lane,
    window: Duration,
    ends: &mut VecDeque<StreamEnd>,
) -> Result<(), BrokerError> {
    let stream = broker.stream_info(lane).await?.state;
    let now = Instant::now();
    let outside = |end: &StreamEnd| now.saturating_duration_since(end.at) > window;
    // The youngest end that is old enough marks what is outside the window.
    while ends.get(1).is_some_and(outside) {
        ends.pop_front();
    }
    let old = ends.front().filter(|end| outside(end)).map(|end| end.last);
    ends.push_back(StreamEnd {
        at: now,
        last: stream.last_sequence,
    });
    if ends.len() > ENDS_MAX {
        ends.remove(1);
    }
    let Some(old) = old.filter(|old| *old >= stream.first_sequence && stream.messages > 0) else {
        return Ok(());
    };
    // Read after the stream: a consumer without work now has passed everything that was there then.
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
