//! Settles tasks and extends leases, with a message to the subject of each task.
//!
//! Called by queue. Calls broker.

use std::time::Duration;

use boxoffice_engine::{
    Error, Result,
    ports::{Lane, Receipt, Settlement},
};
use futures::{StreamExt as _, stream};

use crate::{
    broker::{Broker, BrokerError, PIPELINED},
    settings::Names,
    shard_scheduler::Lanes,
};

/// Longest time that a released task waits in the stream. It still counts as leased there, and hundreds of them would block
/// the shard. A task that is deferred for longer is acknowledged: the outbox publishes it again.
pub(crate) const RELEASE_MAX: Duration = Duration::from_secs(30);

/// The prefix of every receipt, which is a subject.
const ACK_PREFIX: &str = "$JS.ACK.";

/// Settles tasks. The server confirms each message, so that no finished task is delivered
/// again because a message was lost.
///
/// The server cannot distinguish an expired lease from the next one: `Done` then still ends the task,
/// which is correct, because it is done.
pub(crate) async fn settle(
    broker: &Broker,
    lanes: &Lanes,
    settlements: &[(Receipt, Settlement)],
) -> Result<()> {
    let acks = settlements
        .iter()
        .map(|(receipt, settlement)| (receipt, ack(*settlement)));
    send(broker, acks.collect()).await?;
    for (receipt, settlement) in settlements {
        if *settlement == Settlement::Release(Duration::ZERO)
            && let Some((lane, shard)) = origin(&broker.names, receipt)
        {
            lanes.of(lane).hint(shard);
        }
    }
    Ok(())
}

/// Extends leases.
pub(crate) async fn extend(broker: &Broker, receipts: &[Receipt]) -> Result<()> {
    let acks = receipts.iter().map(|receipt| (receipt, "+WPI".to_owned()));
    send(broker, acks.collect()).await
}

fn ack(settlement: Settlement) -> String {
    match settlement {
        Settlement::Release(after) if after.is_zero() => "-NAK".to_owned(),
        Settlement::Release(after) if after <= RELEASE_MAX => {
            format!("-NAK {{\"delay\": {}}}", after.as_nanos())
        }
        Settlement::Release(_) | Settlement::Done => "+ACK".to_owned(),
    }
}

/// Sends all messages, and returns the first error.
async fn send(broker: &Broker, acks: Vec<(&Receipt, String)>) -> Result<()> {
    if let Some((odd, _)) = acks
        .iter()
        .find(|(receipt, _)| !receipt.0.starts_with(ACK_PREFIX))
    {
        return Err(Error::internal(format!(
            "not a receipt of this queue: {}",
            odd.0
        )));
    }
    let confirmations: Vec<_> = acks
        .into_iter()
        .map(|(receipt, ack)| broker.request(receipt.0.clone(), None, ack.into_bytes()))
        .collect();
    let outcomes: Vec<_> = stream::iter(confirmations)
        .buffer_unordered(PIPELINED)
        .collect()
        .await;
    for outcome in outcomes {
        match outcome {
            // Without its consumer there is no lease.
            Ok(_) | Err(BrokerError::Missing) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The stream and consumer of a receipt: `$JS.ACK.STREAM.shard-7.…`, or with domain and account before the stream.
fn origin(names: &Names, receipt: &Receipt) -> Option<(Lane, usize)> {
    let tokens: Vec<&str> = receipt.0.split('.').collect();
    Lane::ALL.into_iter().find_map(|lane| {
        let stream = names.stream(lane);
        let at = tokens.iter().position(|token| *token == stream)?;
        let shard = tokens.get(at + 1)?.strip_prefix("shard-")?.parse().ok()?;
        Some((lane, shard))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settlement_becomes_the_servers_acknowledgement() {
        let release = |after| ack(Settlement::Release(after));
        assert_eq!(ack(Settlement::Done), "+ACK");
        assert_eq!(release(Duration::ZERO), "-NAK");
        assert_eq!(
            release(Duration::from_secs(1)),
            "-NAK {\"delay\": 1000000000}"
        );
        assert_eq!(release(RELEASE_MAX), "-NAK {\"delay\": 30000000000}");
        assert_eq!(release(RELEASE_MAX + Duration::from_nanos(1)), "+ACK");
    }

    #[test]
    fn a_receipt_names_its_lane_and_shard() {
        let names = Names::new("boxoffice");
        let origin = |text: &str| origin(&names, &Receipt(text.to_owned()));
        let bulk = "$JS.ACK.BOXOFFICE_BULK.shard-7.1.2.3.4.5";
        assert_eq!(origin(bulk), Some((Lane::Bulk, 7)));
        let elsewhere = "$JS.ACK.hub.HASH.BOXOFFICE_TRANSACTIONAL.shard-15.1.2.3.4.5.x";
        assert_eq!(origin(elsewhere), Some((Lane::Transactional, 15)));
        assert_eq!(origin("$JS.ACK.BOXOFFICE_BULK.other.1.2.3.4.5"), None);
        assert_eq!(origin("$JS.ACK.OTHER_BULK.shard-1.1.2.3.4.5"), None);
    }
}
