//! Goal: an operator stops a lane for all tenants, and nobody else does: no worker sends anything more of it, started
//! before or after; the other lane goes on; its mails stay due and are sent once the lane is restarted, once each.
//!
//! Method: an engine of this process over the queue in memory and over JetStream, whose mailer counts by kind and takes
//! its time. A worker is started while a lane is stopped, and a lane is stopped under a running worker.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use boxoffice_engine::{
    Caller, EmailAddress, Engine, ErrorCode, Lane, PageRequest, Reason, TenantId, UserRole,
    ports::Queue,
};
use boxoffice_tests::{
    MemoryMailer, NatsServer, Patience, booked_event, move_event, quick_settings, wait_for,
    wait_until,
};

use crate::notifications::queue::{connect, quick};

/// What a mail takes on the wire.
const WIRE: Duration = Duration::from_millis(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_lane_waits_and_the_other_goes_on_embedded() {
    a_stopped_lane_waits_and_the_other_goes_on(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_lane_waits_and_the_other_goes_on_jetstream() {
    let server = NatsServer::start().await;
    let queue = connect(&quick(&server)).await;
    a_stopped_lane_waits_and_the_other_goes_on(Some(Arc::new(queue))).await;
}

async fn a_stopped_lane_waits_and_the_other_goes_on(queue: Option<Arc<dyn Queue>>) {
    let (engine, mails) = engine(queue).await;
    let north = TenantId::parse("north").expect("a tenant name");
    let (organizer, event) = booked_event(&engine, &north, 10, 5).await;
    let delivery_admin = engine.delivery_admin();
    let operator = operator();
    let stopped = delivery_admin.pause_lane(&operator, Lane::Transactional, why("a test of ours"));
    stopped.await.expect("a lane stopped");
    for caller in [&organizer, &Caller::platform("north")] {
        let refused = delivery_admin
            .resume_lane(caller, Lane::Transactional, why("mine?"))
            .await;
        assert_eq!(
            refused.expect_err("no operator").code(),
            ErrorCode::Forbidden
        );
    }

    let worker = engine.worker().spawn();
    move_event(&engine, &organizer, &event, "New Hall").await;
    wait_until(Patience::WORK, "the other lane's mails", || async {
        sent_of(&mails, Lane::Bulk) == 5
    })
    .await;
    assert_eq!(
        sent_of(&mails, Lane::Transactional),
        0,
        "five are owed and none goes"
    );
    let overview = delivery_admin
        .overview(&operator)
        .await
        .expect("an overview");
    let [pause] = overview.paused_lanes.as_slice() else {
        panic!("one lane is stopped: {:?}", overview.paused_lanes)
    };
    assert_eq!(pause.lane, Lane::Transactional);
    assert_eq!(pause.who.as_deref(), Some("operator olivia@boxoffice.test"));
    assert_eq!(pause.why.as_deref(), Some("a test of ours"));
    let owner = Caller::user(
        north.clone(),
        organizer.user_id().expect("a user"),
        UserRole::Owner,
    );
    let shown = delivery_admin
        .overview(&owner)
        .await
        .expect("an overview")
        .paused_lanes;
    assert_eq!(
        (shown.len(), &shown[0].who, &shown[0].why),
        (1, &None, &None)
    );

    let goes_on = delivery_admin.resume_lane(&operator, Lane::Transactional, why("done"));
    goes_on.await.expect("a lane that goes on");
    wait_until(Patience::WORK, "the confirmations", || async {
        sent_of(&mails, Lane::Transactional) == 5
    })
    .await;
    let audit = delivery_admin
        .audit(&operator, PageRequest::default())
        .await;
    let audit = audit.expect("the audit outside tenants").items;
    let done: Vec<_> = audit
        .iter()
        .map(|entry| {
            (
                entry.action.as_str(),
                entry.subject.as_str(),
                entry.why.as_str(),
            )
        })
        .collect();
    assert_eq!(
        done,
        [
            ("resume-lane", "lane transactional", "done"),
            ("pause-lane", "lane transactional", "a test of ours"),
        ]
    );
    assert!(
        audit
            .iter()
            .all(|entry| entry.who == "operator olivia@boxoffice.test")
    );
    let of_tenant = delivery_admin
        .audit(&Caller::platform("north"), PageRequest::default())
        .await;
    assert!(of_tenant.expect("the tenant's own").items.is_empty());
    assert!(worker.drain(Patience::START).await);
    assert_eq!(
        (
            sent_of(&mails, Lane::Bulk),
            sent_of(&mails, Lane::Transactional)
        ),
        (5, 5)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_worker_stops_within_seconds_and_loses_nothing() {
    const CUSTOMERS: usize = 400;
    let (engine, mails) = engine(None).await;
    let north = TenantId::parse("north").expect("a tenant name");
    let (organizer, event) = booked_event(&engine, &north, 1_000, CUSTOMERS).await;
    let (delivery_admin, operator) = (engine.delivery_admin(), operator());
    let stopped =
        delivery_admin.pause_lane(&operator, Lane::Transactional, why("they are not counted"));
    stopped.await.expect("a lane stopped");
    let told = move_event(&engine, &organizer, &event, "New Hall").await;
    let worker = engine.worker().spawn();
    wait_until(Patience::WORK, "the first mails", || async {
        sent_of(&mails, Lane::Bulk) >= 10
    })
    .await;
    let stopped = delivery_admin.pause_lane(&operator, Lane::Bulk, why("wrong date"));
    stopped.await.expect("a lane stopped");
    // At rest: a mail takes 30 ms, and a hundred times that passes without one.
    let last = std::sync::Mutex::new((0, Instant::now()));
    let sent = wait_for(Patience::WORK, "the worker to stop", || async {
        let sent = sent_of(&mails, Lane::Bulk);
        let mut last = last.lock().expect("no holder panics");
        if last.0 != sent {
            *last = (sent, Instant::now());
        }
        (last.1.elapsed() > WIRE * 100).then_some(sent)
    })
    .await;
    assert!(sent < CUSTOMERS, "all {sent} went out all the same");
    let shown = engine.notifications().show(&organizer, told.id).await;
    let counts = shown.expect("the notification").deliveries;
    assert_eq!(
        (counts.sent, counts.sending),
        (sent as u64, 0),
        "{counts:?}"
    );

    let goes_on = delivery_admin.resume_lane(&operator, Lane::Bulk, why("right date"));
    goes_on.await.expect("a lane that goes on");
    wait_until(Patience::WORK, "everybody to be told", || async {
        let shown = engine.notifications().show(&organizer, told.id).await;
        shown.expect("the notification").deliveries.sent == CUSTOMERS as u64
    })
    .await;
    assert_eq!(sent_of(&mails, Lane::Bulk), CUSTOMERS, "once each");
    assert!(worker.drain(Patience::START).await);
}

async fn engine(queue: Option<Arc<dyn Queue>>) -> (Engine, MemoryMailer) {
    let mails = MemoryMailer::new(2, WIRE);
    let builder = Engine::builder()
        .settings(quick_settings())
        .mailer(mails.clone());
    let builder = match queue {
        Some(queue) => builder.queue(queue),
        None => builder,
    };
    (
        builder.build().await.expect("an engine in memory starts"),
        mails,
    )
}

fn operator() -> Caller {
    Caller::operator_named(
        EmailAddress::parse("email", "olivia@boxoffice.test").expect("an address"),
    )
}

fn why(text: &str) -> Reason {
    Reason::parse("why", text).expect("a reason")
}

/// How many mails of a lane were sent.
fn sent_of(mails: &MemoryMailer, lane: Lane) -> usize {
    let of_bulk = mails.count_with("Subject: Event changed");
    match lane {
        Lane::Bulk => of_bulk,
        Lane::Transactional => mails.count() - of_bulk,
    }
}
