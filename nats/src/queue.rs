//! The queue: implements the port with the operations of the other files.
//!
//! Called by hosts, and by the engine through the port. Calls publish, fetch, settle and purge.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_engine::{
    Result, TenantId,
    ports::{Lane, LaneStats, Leased, Queue, Receipt, Settlement, Task},
};
use tokio::task::JoinHandle;

use crate::{
    broker::Broker,
    durability, fetch,
    options::{ConnectError, JetStreamOptions},
    publish, purge, settle,
    shard_scheduler::Lanes,
};

/// The engine's queue on NATS JetStream. Dropping it ends its background tasks.
pub struct JetStreamQueue {
    inner: Arc<Inner>,
    background: Vec<JoinHandle<()>>,
}

struct Inner {
    broker: Broker,
    lanes: Lanes,
}

impl JetStreamQueue {
    /// Connects and creates the streams. If the servers are unreachable it retries in the background, and until then
    /// returns `unavailable`: a host sells tickets without its broker.
    ///
    /// With one replica, acknowledged tasks survive a power cut only if the server syncs every write
    /// (`sync_interval: always`). Clients cannot query that: it is read from the monitoring endpoint if that is given,
    /// and otherwise the log has a reminder.
    ///
    /// # Errors
    /// [`ConnectError`], for permanent errors: a wrong option, wrong credentials, a server that is too
    /// old or that refuses the streams.
    pub async fn connect(options: JetStreamOptions) -> Result<Self, ConnectError> {
        options.validate()?;
        let client = options.connect().await?;
        let (window, replicas) = (options.duplicate_window, options.replicas);
        let monitors = options.monitor_urls.clone();
        let inner = Arc::new(Inner {
            broker: Broker::new(client, options),
            lanes: Lanes::default(),
        });
        if let Err(trouble) = inner.broker.prepare().await
            && let Some(error) = inner.broker.lasting(trouble)
        {
            return Err(error);
        }
        let mut background = vec![tokio::spawn(durability::check(monitors, replicas))];
        let purging = inner.clone();
        background.push(tokio::spawn(async move {
            purge::run(&purging.broker, window).await;
        }));
        for lane in Lane::ALL {
            let inner = inner.clone();
            background.push(tokio::spawn(async move {
                fetch::listen(&inner.broker, inner.lanes.of(lane), lane).await;
            }));
        }
        Ok(Self { inner, background })
    }
}

impl Drop for JetStreamQueue {
    fn drop(&mut self) {
        for task in &self.background {
            task.abort();
        }
    }
}

#[async_trait]
impl Queue for JetStreamQueue {
    async fn publish(&self, lane: Lane, tenant: &TenantId, tasks: &[Task]) -> Result<()> {
        let inner = &self.inner;
        publish::publish(&inner.broker, inner.lanes.of(lane), lane, tenant, tasks).await
    }

    async fn fetch(&self, lane: Lane, max: usize, wait: Duration) -> Result<Vec<Leased>> {
        let inner = &self.inner;
        fetch::fetch(&inner.broker, inner.lanes.of(lane), lane, max, wait).await
    }

    async fn extend(&self, receipts: &[Receipt]) -> Result<()> {
        settle::extend(&self.inner.broker, receipts).await
    }

    async fn settle(&self, settlements: &[(Receipt, Settlement)]) -> Result<()> {
        settle::settle(&self.inner.broker, &self.inner.lanes, settlements).await
    }

    async fn stats(&self, lane: Lane) -> Result<LaneStats> {
        let broker = &self.inner.broker;
        let consumers = broker.with_streams(|| broker.consumers(lane)).await?;
        let mut stats = LaneStats::default();
        for consumer in consumers {
            stats.waiting += consumer.num_pending;
            stats.leased += u64::try_from(consumer.num_ack_pending).unwrap_or(u64::MAX);
        }
        Ok(stats)
    }
}
