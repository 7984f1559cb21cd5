//! Goal: a broker that is killed, away, wiped or full loses no task.
//!
//! Method: real nats-servers that are stopped, emptied and started again under JetStream queues.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use boxoffice_engine::ports::{Lane, Queue as _, Settlement};
use boxoffice_nats::JetStreamOptions;
use boxoffice_tests::{NatsServer, Patience, wait_until};

use super::{NOW, SOON, connect, fetched, ids, named, quick, tasks, unavailable};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_keeps_tasks_and_remembers_ids() {
    let mut server = NatsServer::start().await;
    let queue = connect(&quick(&server)).await;
    let tenant = named("north");
    let (first, second) = (tasks("a", 1_000), tasks("b", 1));
    for tasks in [&first, &second] {
        let published = queue.publish(Lane::Bulk, &tenant, tasks).await;
        published.expect("a publication");
    }
    server.down();
    server.up().await;
    // The same object, without a restart of ours; and the repetition adds nothing.
    wait_until(
        Patience::WORK,
        "a publication after the restart",
        || async { queue.publish(Lane::Bulk, &tenant, &first).await.is_ok() },
    )
    .await;
    let mut leased = Vec::new();
    while leased.len() < 1_001 {
        let more = fetched(queue.fetch(Lane::Bulk, 1_000, SOON).await);
        assert!(!more.is_empty(), "{} of 1,001 came", leased.len());
        leased.extend(more);
    }
    let distinct: BTreeSet<String> = ids(&leased).into_iter().collect();
    assert_eq!((leased.len(), distinct.len()), (1_001, 1_001));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_is_unavailable_and_comes_back() {
    let mut server = NatsServer::start().await;
    let options = quick(&server);
    let queue = connect(&options).await;
    let (tenant, tasks) = (named("north"), tasks("a", 3));
    let published = queue.publish(Lane::Bulk, &tenant, &tasks[..1]).await;
    published.expect("a publication");
    let leased = fetched(queue.fetch(Lane::Bulk, 1, SOON).await);
    let receipts = [leased[0].receipt.clone()];
    let settlements = [(leased[0].receipt.clone(), Settlement::Done)];

    server.down();
    // A host that starts meanwhile starts all the same.
    let late = connect(&options).await;
    for queue in [&queue, &late] {
        let begun = Instant::now();
        unavailable(
            "publish one",
            queue.publish(Lane::Bulk, &tenant, &tasks[..1]).await,
        );
        unavailable("publish", queue.publish(Lane::Bulk, &tenant, &tasks).await);
        unavailable("fetch", queue.fetch(Lane::Bulk, 1, SOON).await);
        unavailable("extend", queue.extend(&receipts).await);
        unavailable("settle", queue.settle(&settlements).await);
        unavailable("stats", queue.stats(Lane::Bulk).await);
        let took = begun.elapsed();
        assert!(
            took < Duration::from_secs(60),
            "they took {took:?} to say so"
        );
    }

    server.up().await;
    for queue in [&queue, &late] {
        wait_until(Patience::WORK, "the queue to be back", || async {
            queue.publish(Lane::Bulk, &tenant, &tasks).await.is_ok()
        })
        .await;
    }
    let mut all = BTreeSet::new();
    while all.len() < 3 {
        let leased = fetched(late.fetch(Lane::Bulk, 10, SOON).await);
        assert!(!leased.is_empty(), "only {all:?} came");
        all.extend(ids(&leased));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_broker_is_set_up_anew() {
    let mut server = NatsServer::start().await;
    let queue = connect(&quick(&server)).await;
    server.down();
    server.wipe();
    server.up().await;
    let (tenant, tasks) = (named("north"), tasks("a", 3));
    wait_until(Patience::WORK, "a publication after the wipe", || async {
        queue.publish(Lane::Bulk, &tenant, &tasks).await.is_ok()
    })
    .await;
    let leased = fetched(queue.fetch(Lane::Bulk, 3, SOON).await);
    assert_eq!(leased.len(), 3);
    let settled: Vec<_> = leased
        .iter()
        .map(|leased| (leased.receipt.clone(), Settlement::Done))
        .collect();
    server.down();
    server.wipe();
    server.up().await;
    wait_until(
        Patience::WORK,
        "leases that went with the wipe to be let go",
        || async { queue.settle(&settled).await.is_ok() },
    )
    .await;
    assert!(fetched(queue.fetch(Lane::Bulk, 1, NOW).await).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_makes_publishers_wait_and_empties_as_work_is_done() {
    let server = NatsServer::start().await;
    let options = JetStreamOptions {
        tasks_max: 10,
        duplicate_window: Duration::from_secs(1),
        ..quick(&server)
    };
    let queue = connect(&options).await;
    let tenant = named("north");
    queue
        .publish(Lane::Bulk, &tenant, &tasks("a", 8))
        .await
        .expect("8 of 10");
    unavailable(
        "8 and 3",
        queue.publish(Lane::Bulk, &tenant, &tasks("b", 3)).await,
    );
    queue
        .publish(Lane::Bulk, &tenant, &tasks("c", 2))
        .await
        .expect("8 and 2");
    unavailable(
        "10 and 1",
        queue.publish(Lane::Bulk, &tenant, &tasks("d", 1)).await,
    );
    assert_eq!(server.stored("BOXOFFICE_BULK").await, 10, "all or none");
    queue
        .publish(Lane::Transactional, &tenant, &tasks("e", 10))
        .await
        .expect("the other lane has room");

    let leased = fetched(queue.fetch(Lane::Bulk, 10, SOON).await);
    let settled: Vec<_> = leased
        .iter()
        .map(|leased| (leased.receipt.clone(), Settlement::Done))
        .collect();
    assert_eq!(settled.len(), 10);
    // The last one stays in hand: it must not be purged with those around it.
    queue.settle(&settled[..9]).await.expect("settled");
    wait_until(Patience::WORK, "what is done to be purged", || async {
        queue
            .extend(&[leased[9].receipt.clone()])
            .await
            .expect("extended");
        server.stored("BOXOFFICE_BULK").await == 1
    })
    .await;
    queue
        .publish(Lane::Bulk, &tenant, &tasks("d", 9))
        .await
        .expect("there is room again");
    queue.settle(&settled[9..]).await.expect("settled");
    assert_eq!(
        server.stored("BOXOFFICE_TRANSACTIONAL").await,
        10,
        "nothing of it is done"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_whose_workers_hold_all_they_may_gives_no_more_and_loses_none() {
    let server = NatsServer::start().await;
    let queue = connect(&JetStreamOptions::new(server.url())).await;
    let tenant = named("north");
    for part in 0..3 {
        let tasks = tasks(&format!("part-{part}"), 1_000);
        let published = queue.publish(Lane::Bulk, &tenant, &tasks).await;
        published.expect("a publication");
    }
    let mut held = Vec::new();
    while held.len() < 2_000 {
        held.extend(fetched(queue.fetch(Lane::Bulk, 1_000, NOW).await));
    }
    assert_eq!(held.len(), 2_000);
    let more = fetched(queue.fetch(Lane::Bulk, 10, NOW).await);
    assert_eq!(ids(&more), [""; 0]);
    let settled: Vec<_> = held
        .iter()
        .map(|leased| (leased.receipt.clone(), Settlement::Done))
        .collect();
    queue.settle(&settled).await.expect("settled");
    // Well within the lease of 30 s, so that nothing went to the request that was given up.
    let begun = Instant::now();
    while held.len() < 3_000 {
        held.extend(fetched(queue.fetch(Lane::Bulk, 1_000, SOON).await));
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    let distinct: BTreeSet<String> = ids(&held).into_iter().collect();
    assert_eq!((held.len(), distinct.len()), (3_000, 3_000));
}
