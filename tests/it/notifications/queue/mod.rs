//! Goal: whatever carries the tasks keeps the promises of the queue port: nothing lost, nothing handed out twice within
//! a lease, publications repeatable, tenants in turn, lanes apart.
//!
//! Method: one suite that knows only the port, run against the queue in memory (short leases, real time), the stored queue (two
//! engines on a SurrealDB server, a clock that is moved) and JetStream (a real nats-server, short leases, real time; two
//! connections). What one of two processes publishes, the other fetches. Below it, what only JetStream can suffer: its
//! server killed and started again, away, full or wiped.

mod broker;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use boxoffice_engine::{
    Engine, ErrorCode, Result, TenantId,
    ports::{Lane, Leased, MemoryQueue, Queue, Settlement, Task, TaskKind, shard_of},
};
use boxoffice_nats::{JetStreamOptions, JetStreamQueue};
use boxoffice_tests::{FakeClock, NatsServer, SurrealServer, pass_time, quick_settings};

const NOW: Duration = Duration::ZERO;

/// Long enough for a publication in another process to be seen, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A queue under test.
struct QueueHarness {
    publisher: Arc<dyn Queue>,
    /// The same queue as another process would see it.
    worker: Arc<dyn Queue>,
    lease: Duration,
    clock: Option<Arc<FakeClock>>,
    /// How long what was published may take until a look finds it.
    is_there_within: Duration,
    _servers: (Option<SurrealServer>, Option<NatsServer>),
}

impl QueueHarness {
    async fn memory() -> Self {
        let lease = Duration::from_secs(2);
        let queue = Arc::new(MemoryQueue::with_lease(lease));
        Self {
            publisher: queue.clone(),
            worker: queue,
            lease,
            clock: None,
            is_there_within: NOW,
            _servers: (None, None),
        }
    }

    async fn stored() -> Self {
        let server = SurrealServer::start().await;
        let clock = Arc::new(FakeClock::at("2026-12-01T12:00:00Z"));
        let queue = async || {
            let builder = Engine::builder().store(server.store()).clock(clock.clone());
            let engine = builder.settings(quick_settings()).build().await;
            engine.expect("an engine on the server").queue()
        };
        Self {
            publisher: queue().await,
            worker: queue().await,
            lease: Duration::from_secs(30),
            clock: Some(clock.clone()),
            is_there_within: NOW,
            _servers: (Some(server), None),
        }
    }

    async fn jetstream() -> Self {
        let server = NatsServer::start().await;
        let options = quick(&server);
        Self {
            publisher: Arc::new(connect(&options).await),
            worker: Arc::new(connect(&options).await),
            lease: options.lease,
            clock: None,
            is_there_within: Duration::from_millis(1_500),
            _servers: (None, Some(server)),
        }
    }

    /// Lets a part of the lease time pass.
    async fn pass(&self, leases: f64) {
        let time = self.lease.mul_f64(leases);
        match &self.clock {
            Some(clock) => clock.advance(time),
            // The others go by the real time.
            None => pass_time(time).await,
        }
    }

    async fn publish(&self, tenant: &str, tasks: &[Task]) {
        self.publisher
            .publish(Lane::Bulk, &named(tenant), tasks)
            .await
            .expect("a publication");
    }

    /// Fetches what is there within `wait`, up to `max`.
    async fn fetch(&self, max: usize, wait: Duration) -> Vec<Leased> {
        fetched(self.worker.fetch(Lane::Bulk, max, wait).await)
    }

    /// Fetches until nothing more comes. What is there is a look at every shard away.
    async fn fetch_all(&self) -> Vec<Leased> {
        let mut all = Vec::new();
        loop {
            let more = self.fetch(1_000, self.is_there_within).await;
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }

    async fn done(&self, leased: &[Leased]) {
        let settlements: Vec<_> = leased
            .iter()
            .map(|leased| (leased.receipt.clone(), Settlement::Done))
            .collect();
        for settlements in settlements.chunks(1_000) {
            self.worker.settle(settlements).await.expect("settled");
        }
    }
}

macro_rules! for_each_queue {
    ($($case:ident)*) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::QueueHarness::memory().await).await;
            })*
        }
        mod stored {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::QueueHarness::stored().await).await;
            })*
        }
        mod jetstream {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::QueueHarness::jetstream().await).await;
            })*
        }
    };
}

for_each_queue! {
    tasks_come_out_as_they_went_in
    a_repeated_publication_adds_nothing
    a_thousand_go_in_at_once_and_one_more_does_not
    a_silent_workers_task_comes_again_after_its_lease
    an_extended_lease_holds
    a_released_task_comes_again_when_it_is_due
    a_small_tenant_does_not_wait_for_a_large_one
    lanes_do_not_mix
    a_waiting_worker_hears_of_a_publication
    two_workers_never_hold_the_same_task
    tasks_are_counted
}

async fn tasks_come_out_as_they_went_in(bench: QueueHarness) {
    let mut tasks = tasks("a", 2);
    tasks.push(Task {
        kind: TaskKind::FanOut,
        outbox_due_at: Some("2026-12-01T12:00:00.25Z".parse().expect("a moment")),
        ..task("fan-out")
    });
    bench.publish("north", &tasks).await;
    bench.publish("south", &tasks).await;
    bench.publish("south", &[]).await;
    let leased = bench.fetch_all().await;
    for tenant in ["north", "south"] {
        let own = leased
            .iter()
            .filter(|leased| leased.tenant == named(tenant));
        let mut own: Vec<Task> = own.map(|leased| leased.task.clone()).collect();
        own.sort_by(|one, other| one.id.cmp(&other.id));
        assert_eq!(own, tasks, "tasks of {tenant}");
    }
    assert_eq!(leased.len(), 2 * tasks.len());
    bench.done(&leased).await;
    bench.pass(1.5).await;
    assert_eq!(ids(&bench.fetch_all().await), [""; 0], "done is done");
}

async fn a_repeated_publication_adds_nothing(bench: QueueHarness) {
    let tasks = tasks("a", 5);
    bench.publish("north", &tasks[..3]).await;
    bench.publish("north", &tasks[..3]).await;
    // As a relay repeats after a crash, when more has become due meanwhile.
    bench.publish("north", &tasks[2..]).await;
    bench.publish("north", &tasks[..1]).await;
    bench
        .publish("north", &[tasks[0].clone(), task("twice"), task("twice")])
        .await;
    // Another tenant's ids are other ids.
    bench.publish("south", &tasks[..1]).await;
    assert_eq!(
        ids(&bench.fetch_all().await),
        [
            "a-0000", "a-0000", "a-0001", "a-0002", "a-0003", "a-0004", "twice"
        ]
    );
}

async fn a_thousand_go_in_at_once_and_one_more_does_not(bench: QueueHarness) {
    let tenant = named("north");
    let refused = bench
        .publisher
        .publish(Lane::Bulk, &tenant, &tasks("b", 1_001))
        .await;
    let error = refused.expect_err("1,001 tasks");
    assert_eq!(error.code(), ErrorCode::Internal);
    bench.publish("north", &tasks("a", 1_000)).await;
    let leased = bench.fetch_all().await;
    assert_eq!(
        leased.len(),
        1_000,
        "none of the refused, all of the others"
    );
    bench.done(&leased).await;
}

async fn a_silent_workers_task_comes_again_after_its_lease(bench: QueueHarness) {
    bench.publish("north", &tasks("a", 2)).await;
    let first = bench.fetch(2, SOON).await;
    assert_eq!(ids(&first), ["a-0000", "a-0001"]);
    assert_eq!(bench.fetch(2, NOW).await.len(), 0, "nobody else gets them");
    bench.done(&first[1..]).await;
    bench.pass(1.5).await;
    let again = bench.fetch(2, SOON).await;
    assert_eq!(ids(&again), ids(&first[..1]), "what was not settled");
    assert_ne!(again[0].receipt, first[0].receipt);
    // Late words of the first worker do no harm.
    bench.done(&first).await;
    bench.done(&again).await;
    bench.pass(1.5).await;
    assert_eq!(bench.fetch_all().await.len(), 0);
}

async fn an_extended_lease_holds(bench: QueueHarness) {
    bench.publish("north", &tasks("a", 1)).await;
    let leased = bench.fetch(1, SOON).await;
    let receipts = [leased[0].receipt.clone()];
    for _ in 0..4 {
        bench.pass(0.5).await;
        bench.worker.extend(&receipts).await.expect("extended");
        assert_eq!(bench.fetch(1, NOW).await.len(), 0, "the lease was extended");
    }
    bench.pass(1.5).await;
    assert_eq!(
        bench.fetch(1, SOON).await.len(),
        1,
        "and ends without a word"
    );
}

async fn a_released_task_comes_again_when_it_is_due(bench: QueueHarness) {
    bench.publish("north", &tasks("a", 1)).await;
    let leased = bench.fetch(1, SOON).await;
    let release =
        |leased: &[Leased], after| [(leased[0].receipt.clone(), Settlement::Release(after))];
    bench
        .worker
        .settle(&release(&leased, NOW))
        .await
        .expect("settled");
    let leased = bench.fetch(1, SOON).await;
    assert_eq!(leased.len(), 1, "at once");
    // Shorter than the lease, so that it is the release that brings it back.
    let after = bench.lease.mul_f64(0.5);
    bench
        .worker
        .settle(&release(&leased, after))
        .await
        .expect("settled");
    assert_eq!(bench.fetch(1, NOW).await.len(), 0, "not yet");
    bench.pass(0.6).await;
    let leased = bench.fetch(1, SOON).await;
    assert_eq!(leased.len(), 1, "now");
    bench.done(&leased).await;
}

async fn a_small_tenant_does_not_wait_for_a_large_one(bench: QueueHarness) {
    let large = "north";
    let small = (0..)
        .map(|number| format!("small-{number}"))
        .find(|name| shard_of(&named(name)) != shard_of(&named(large)))
        .expect("there are several shards");
    for part in 0..5 {
        bench
            .publish(large, &tasks(&format!("large-{part}"), 1_000))
            .await;
    }
    bench.publish(&small, &tasks("small", 5)).await;
    let (mut of_large, mut of_small) = (0, 0);
    while of_small < 5 {
        let leased = bench.fetch(2, SOON).await;
        assert!(!leased.is_empty(), "there is enough for everybody");
        let own = leased
            .iter()
            .filter(|leased| leased.tenant == named(&small));
        let own = own.count();
        of_small += own;
        of_large += leased.len() - own;
        bench.done(&leased).await;
        // 16 shards in turn, 2 tasks each: three turns of the small tenant's.
        assert!(
            of_large <= 96,
            "{of_large} of the large tenant before {of_small} of 5"
        );
    }
}

async fn lanes_do_not_mix(bench: QueueHarness) {
    bench.publish("north", &tasks("bulk", 100)).await;
    let urgent = tasks("urgent", 1);
    let published = bench
        .publisher
        .publish(Lane::Transactional, &named("north"), &urgent)
        .await;
    published.expect("a publication");
    let leased = fetched(bench.worker.fetch(Lane::Transactional, 10, SOON).await);
    assert_eq!(ids(&leased), ["urgent-0000"]);
    bench.done(&leased).await;
    let more = fetched(bench.worker.fetch(Lane::Transactional, 10, NOW).await);
    assert_eq!(ids(&more), [""; 0]);
    assert_eq!(bench.fetch_all().await.len(), 100);
}

async fn a_waiting_worker_hears_of_a_publication(bench: QueueHarness) {
    // The first look at everything, so that the worker below really waits.
    assert_eq!(bench.fetch(1, NOW).await.len(), 0);
    let worker = bench.worker.clone();
    let waiting = tokio::spawn(async move {
        let leased = fetched(worker.fetch(Lane::Bulk, 1, Duration::from_secs(60)).await);
        (leased, Instant::now())
    });
    // Nobody can see that it waits; a later one would find the task at once, and this would test less.
    pass_time(Duration::from_millis(300)).await;
    let published = Instant::now();
    bench.publish("north", &tasks("a", 1)).await;
    let (leased, woken) = waiting.await.expect("the worker lives");
    assert_eq!(ids(&leased), ["a-0000"]);
    let waited = woken.saturating_duration_since(published);
    assert!(waited < SOON, "waited {waited:?} for a task that was there");
}

async fn two_workers_never_hold_the_same_task(bench: QueueHarness) {
    bench.publish("north", &tasks("north", 100)).await;
    bench.publish("south", &tasks("south", 100)).await;
    let mut workers = Vec::new();
    for queue in [
        &bench.worker,
        &bench.publisher,
        &bench.worker,
        &bench.publisher,
    ] {
        let queue = queue.clone();
        workers.push(tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                let leased = fetched(queue.fetch(Lane::Bulk, 3, NOW).await);
                if leased.is_empty() {
                    return held;
                }
                let settlements: Vec<_> = leased
                    .iter()
                    .map(|leased| (leased.receipt.clone(), Settlement::Done))
                    .collect();
                queue.settle(&settlements).await.expect("settled");
                held.extend(leased);
            }
        }));
    }
    let mut held = Vec::new();
    for worker in workers {
        held.extend(worker.await.expect("the worker lives"));
    }
    // A worker may have ended while others had a part of what it looked for.
    held.extend(bench.fetch_all().await);
    let distinct: BTreeSet<String> = ids(&held).into_iter().collect();
    assert_eq!((held.len(), distinct.len()), (200, 200));
}

#[tokio::test]
async fn a_full_queue_in_memory_refuses_and_takes_more_when_there_is_room() {
    let bench = QueueHarness::memory().await;
    for part in 0..200 {
        bench
            .publish("north", &tasks(&format!("{part:03}"), 1_000))
            .await;
    }
    let more = tasks("more", 1);
    let north = named("north");
    let publish = || bench.publisher.publish(Lane::Bulk, &north, &more);
    unavailable("one more task", publish().await);
    // What is there already is not one more, and the other lane has room of its own, as other tenants have.
    bench.publish("north", &tasks("000", 1_000)).await;
    let other = bench.publisher.publish(Lane::Transactional, &north, &more);
    other.await.expect("room in the other lane");
    let leased = bench.fetch(1, NOW).await;
    unavailable("one more while a worker has one", publish().await);
    bench.done(&leased).await;
    publish().await.expect("room for one");
    bench.publish("south", &more).await;
}

async fn tasks_are_counted(bench: QueueHarness) {
    bench.publish("north", &tasks("a", 10)).await;
    let stats = || async {
        let stats = bench.worker.stats(Lane::Bulk).await.expect("counted");
        (stats.waiting, stats.leased)
    };
    assert_eq!(stats().await, (10, 0));
    let leased = bench.fetch(4, SOON).await;
    assert_eq!(stats().await, (6, 4));
    bench.done(&leased).await;
    assert_eq!(stats().await, (6, 0));
    let other = bench.worker.stats(Lane::Transactional).await;
    assert_eq!(other.expect("counted").waiting, 0);
}

pub(crate) fn quick(server: &NatsServer) -> JetStreamOptions {
    JetStreamOptions {
        // Short enough to wait for, long enough for a busy machine to say a word to the server within a part of it.
        lease: Duration::from_secs(3),
        ..JetStreamOptions::new(server.url())
    }
}

pub(crate) async fn connect(options: &JetStreamOptions) -> JetStreamQueue {
    JetStreamQueue::connect(options.clone())
        .await
        .expect("a connection")
}

pub(crate) fn unavailable<T>(what: &str, outcome: Result<T>) {
    let error = outcome.err().unwrap_or_else(|| panic!("{what} must fail"));
    assert_eq!(error.code(), ErrorCode::Unavailable, "{what}: {error:?}");
    assert!(error.retry_after_hint().is_some(), "{what}: {error:?}");
}

pub(crate) fn fetched(outcome: Result<Vec<Leased>>) -> Vec<Leased> {
    outcome.expect("a queue that is there")
}

pub(crate) fn tasks(name: &str, count: usize) -> Vec<Task> {
    (0..count)
        .map(|number| task(&format!("{name}-{number:04}")))
        .collect()
}

fn task(id: &str) -> Task {
    Task {
        id: id.to_owned(),
        notification: "01jd0000000000000000000000".parse().expect("an id"),
        kind: TaskKind::Deliver { batch: 7 },
        outbox_due_at: None,
    }
}

/// The tasks' ids in order.
fn ids(leased: &[Leased]) -> Vec<String> {
    let mut ids: Vec<String> = leased.iter().map(|leased| leased.task.id.clone()).collect();
    ids.sort();
    ids
}

pub(crate) fn named(tenant: &str) -> TenantId {
    TenantId::parse(tenant).expect("a tenant name")
}
