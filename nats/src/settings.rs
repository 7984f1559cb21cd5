//! Names and settings of the streams and consumers: the one place, with the reason for each.
//!
//! Called by broker and the queue's operations. Pure.

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream::{
    consumer::{self, AckPolicy, DeliverPolicy, ReplayPolicy, pull},
    stream::{self, DiscardPolicy, RetentionPolicy, StorageType},
};
use boxoffice_engine::{
    TenantId,
    ports::{self, Lane},
};

use crate::options::JetStreamOptions;

/// Raise it with every change of a setting below. A program does not change streams of a newer version, so that hosts
/// of two versions can run side by side during an upgrade.
const VERSION: u32 = 1;
const VERSION_KEY: &str = "boxoffice-settings";

/// Tenants are spread over this many subjects with a consumer each, which are visited in turn, so that one tenant's
/// work delays only its shard: one consumer for all would be first in, first out.
pub(crate) const SHARDS: usize = ports::SHARDS as usize;
/// Tasks of one publication; also the most that the server takes in one atomic batch.
pub(crate) const TASKS_MAX: usize = 1_000;
/// Longest task id, and so the longest `Nats-Msg-Id` less the tenant.
pub(crate) const ID_BYTES_MAX: usize = 200;

/// Longest lifetime of a task. Unfinished work is published again within minutes, so an old task is only a copy of a
/// newer one. Without this limit the copies would accumulate while no worker runs.
const AGE_MAX: Duration = Duration::from_secs(3_600);
/// Disk space of a task: about 150 bytes of JSON, as many of headers, the subject, and the store's overhead.
const TASK_BYTES: i64 = 512;
/// Tasks of one shard that workers may have at a time, two whole publications. The server stops handing out beyond
/// it, so it limits what the server remembers, and what is redelivered after a crash of all workers.
const LEASED_MAX: i64 = 2_000;
/// Requests for tasks of one shard that may wait at the server. They never wait, so this only has to exceed the
/// number of workers that ask at the same time.
const WAITING_MAX: i64 = 2_048;

/// The names of streams, consumers and subjects.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// `BOXOFFICE_BULK`: two streams, because a full or slow one must not affect the other.
    pub(crate) fn stream(&self, lane: Lane) -> String {
        format!("{}_{}", self.prefix, lane.as_str()).to_uppercase()
    }

    pub(crate) fn consumer(shard: usize) -> String {
        format!("shard-{shard}")
    }

    /// `boxoffice.bulk.7.acme`. A tenant's name is a DNS label and so one token of a subject: checked here once more,
    /// because a `.`, `*` or `>` in it would reach another tenant's subjects.
    pub(crate) fn subject(&self, lane: Lane, tenant: &TenantId) -> Option<String> {
        let tenant = TenantId::parse(tenant.as_str()).ok()?;
        let shard = shard_of(&tenant);
        Some(format!(
            "{}.{}.{shard}.{tenant}",
            self.prefix,
            lane.as_str()
        ))
    }

    fn shard_subjects(&self, lane: Lane, shard: usize) -> String {
        format!("{}.{}.{shard}.*", self.prefix, lane.as_str())
    }

    /// The tenant of a task's subject.
    pub(crate) fn tenant(subject: &str) -> Option<TenantId> {
        TenantId::parse(subject.rsplit('.').next()?).ok()
    }

    /// The subject of hints from publishers (no stream stores it). Workers that miss one check every second.
    pub(crate) fn hint(&self, lane: Lane) -> String {
        format!("{}.hint.{}", self.prefix, lane.as_str())
    }
}

/// The stream of a lane.
pub(crate) fn stream(options: &JetStreamOptions, lane: Lane) -> stream::Config {
    let names = Names::new(&options.prefix);
    stream::Config {
        name: names.stream(lane),
        description: Some(format!("Boxoffice: {} tasks", lane.as_str())),
        subjects: vec![format!("{}.{}.*.*", options.prefix, lane.as_str())],
        // Not WorkQueue: that syncs to disk for every acknowledgement, forgets the ids of acknowledged tasks at a
        // restart, and does not allow a second consumer. The cost: a power cut may redeliver tasks that were
        // acknowledged a moment before, which is harmless.
        retention: RetentionPolicy::Limits,
        // A full stream refuses the publisher, whose entries stay in the outbox; the default would silently drop
        // the oldest tasks.
        discard: DiscardPolicy::New,
        max_messages: i64::from(options.tasks_max),
        max_bytes: i64::from(options.tasks_max) * TASK_BYTES,
        max_age: AGE_MAX.max(options.duplicate_window),
        storage: StorageType::File,
        num_replicas: options.replicas,
        duplicate_window: options.duplicate_window,
        // A chunk of tasks with one sync to disk, all or none; single publications cost one each.
        allow_atomic_publish: true,
        // One consumer for each shard, and some for inspection.
        max_consumers: -1,
        metadata: metadata(),
        ..stream::Config::default()
    }
}

/// The consumer of a shard.
pub(crate) fn consumer(options: &JetStreamOptions, lane: Lane, shard: usize) -> consumer::Config {
    use consumer::IntoConsumerConfig as _;
    let name = Names::consumer(shard);
    pull::Config {
        durable_name: Some(name.clone()),
        name: Some(name),
        filter_subject: Names::new(&options.prefix).shard_subjects(lane, shard),
        // A recreated consumer delivers everything again; the store knows what is done.
        deliver_policy: DeliverPolicy::All,
        replay_policy: ReplayPolicy::Instant,
        ack_policy: AckPolicy::Explicit,
        ack_wait: options.lease,
        // Without a limit: the store counts deaths of workers. The server would silently stop delivering.
        max_deliver: -1,
        max_ack_pending: LEASED_MAX,
        max_waiting: WAITING_MAX,
        max_batch: i64::try_from(TASKS_MAX).unwrap_or(i64::MAX),
        metadata: metadata(),
        ..pull::Config::default()
    }
    .into_consumer_config()
}

/// How an existing stream compares with the wanted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamState {
    /// It has the right settings.
    Current,
    /// It has other settings.
    Outdated,
    /// A newer program created it: leave its settings unchanged.
    Newer,
}

/// Compares a stream with its intended settings.
pub(crate) fn stream_state(found: &stream::Config, wanted: &stream::Config) -> StreamState {
    let version = |config: &stream::Config| -> u32 {
        let text = config.metadata.get(VERSION_KEY);
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let settings = |config: &stream::Config| {
        (
            config.subjects.clone(),
            (config.max_messages, config.max_bytes, config.max_age),
            (config.num_replicas, config.duplicate_window),
            (config.discard, config.allow_atomic_publish),
        )
    };
    match version(found).cmp(&version(wanted)) {
        std::cmp::Ordering::Greater => StreamState::Newer,
        std::cmp::Ordering::Equal if settings(found) == settings(wanted) => StreamState::Current,
        _ => StreamState::Outdated,
    }
}

fn metadata() -> HashMap<String, String> {
    HashMap::from([(VERSION_KEY.to_owned(), VERSION.to_string())])
}

/// The shard of a tenant's tasks, as an index.
pub(crate) fn shard_of(tenant: &TenantId) -> usize {
    ports::shard_of(tenant) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_holds_lane_shard_and_tenant() {
        let names = Names::new("boxoffice");
        let tenant = TenantId::parse("acme").unwrap();
        let subject = names.subject(Lane::Bulk, &tenant).unwrap();
        assert_eq!(
            subject,
            format!("boxoffice.bulk.{}.acme", shard_of(&tenant))
        );
        assert_eq!(Names::tenant(&subject), Some(tenant));
        assert_eq!(Names::tenant("boxoffice.bulk.1.*"), None);
        assert_eq!(names.stream(Lane::Transactional), "BOXOFFICE_TRANSACTIONAL");
    }

    #[test]
    fn only_an_older_or_different_stream_is_changed() {
        let options = JetStreamOptions::new("nats://127.0.0.1");
        let wanted = stream(&options, Lane::Bulk);
        assert_eq!(stream_state(&wanted, &wanted), StreamState::Current);
        let mut found = wanted.clone();
        found.num_replicas = 3;
        assert_eq!(stream_state(&found, &wanted), StreamState::Outdated);
        found.metadata = HashMap::from([(VERSION_KEY.to_owned(), (VERSION + 1).to_string())]);
        assert_eq!(stream_state(&found, &wanted), StreamState::Newer);
        found.metadata.clear();
        assert_eq!(stream_state(&found, &wanted), StreamState::Outdated);
    }
}
