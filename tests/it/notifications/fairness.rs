//! Goal: a tenant with many recipients does not hold up one with few, even where both share a shard of the queue; and
//! a bound on mails a second slows down who is over it, loses nothing, and costs no attempt.
//!
//! Method: an engine of this process whose mailer holds back mails until both tenants owe their mails, the large one first.
//! Then what counts is how much of it was listed by then, and the order in which mails leave: the small tenant's come
//! while most of the large one's are still to come. For bounds, the moments at which mails leave are noted.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use boxoffice_engine::{
    Caller, Delivery, DeliveryState, Engine, Event, NotificationId, NotificationStatus,
    PageRequest, TenantId,
};
use boxoffice_tests::{
    MemoryMailer, Patience, booked_event, drain, move_event, quick_settings, same_shard_as,
    wait_for, wait_until,
};

const MANY: usize = 240;
/// Batches of 32 mails that may wait.
const WINDOW: u32 = 2;
const FEW: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_tenant_does_not_wait_for_a_large_one_in_its_shard() {
    let window = WINDOW as usize * 32;
    let (listed, order) = order_of_mails(WINDOW).await;
    assert!(
        listed <= window,
        "{listed} of the large tenant's {MANY} recipients stand in the queue"
    );
    let before = of_large_before_last_of_small(&order);
    // What the window lets wait, and twice as much again for what is listed meanwhile.
    assert!(
        before <= 3 * window,
        "{before} of the large tenant's {MANY} mails left before the small one's last"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wide_window_lets_everything_be_listed() {
    let (listed, _) = order_of_mails(1_000).await;
    assert_eq!(listed, MANY, "so that the test above is able to fail");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_over_the_rate_waits_and_loses_nothing() {
    // A second's worth at once, and then 18 a second: 60 take more than 2 s.
    let rate = NonZeroU32::new(20);
    let (took, deliveries) = told_at_rate(rate, 60).await;
    assert!(took >= Duration::from_secs(2), "60 mails took {took:?}");
    check_untroubled(&deliveries, 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_below_the_rate_is_told_at_once() {
    let (_, deliveries) = told_at_rate(NonZeroU32::new(1_000), 60).await;
    check_untroubled(&deliveries, 60);
}

fn check_untroubled(deliveries: &[Delivery], count: usize) {
    assert_eq!(deliveries.len(), count);
    for delivery in deliveries {
        assert_eq!(delivery.state, DeliveryState::Sent);
        assert_eq!((delivery.attempts, delivery.ever_unknown), (1, false));
    }
}

/// Tells so many customers of a change at a rate, and answers how long that took from its beginning, and what the
/// ledger says.
async fn told_at_rate(rate: Option<NonZeroU32>, count: usize) -> (Duration, Vec<Delivery>) {
    let mails = MemoryMailer::default();
    let mut settings = quick_settings();
    settings.delivery.tenant_mails_per_second = rate;
    let builder = Engine::builder().settings(settings).mailer(mails.clone());
    let engine = builder.build().await.expect("an engine in memory starts");
    let north = TenantId::parse("north").expect("a tenant name");
    let crowd = LoadFixture::gather(&engine, &north, count).await;
    let worker = engine.worker().spawn();
    drain(&engine).await;
    let begun = Instant::now();
    let notification = crowd.announce(&engine).await;
    drain(&engine).await;
    let took = begun.elapsed();
    assert!(worker.drain(Patience::START).await);
    assert_eq!(mails.count(), 2 * count, "one mail each");
    let page = PageRequest {
        cursor: None,
        limit: 100,
    };
    let notifications = engine.notifications();
    let page = notifications.deliveries(&crowd.organizer, notification, page);
    let items = page.await.expect("deliveries").items.into_iter();
    (took, items.map(|delivery| delivery.item).collect())
}

/// How many mails of the large tenant left before the last one of the small tenant.
fn of_large_before_last_of_small(order: &[String]) -> usize {
    let is_small = |address: &String| address.ends_with("@small.test");
    let last = order.iter().rposition(is_small).expect("mails for both");
    let before = order[..last].iter().filter(|address| !is_small(address));
    before.count()
}

/// Sends an update to both tenants' customers. Returns how many of the large one's were listed while nothing could
/// leave, and to whom the mails went then, in order.
async fn order_of_mails(window: u32) -> (usize, Vec<String>) {
    let mails = MemoryMailer::default();
    let mut settings = quick_settings();
    settings.delivery.bulk_window_batches = window;
    // Nothing is published twice while mails are held back.
    settings.worker.republish_after = Duration::from_secs(600);
    settings.worker.delivery_lease = Duration::from_secs(600);
    let builder = Engine::builder().settings(settings).mailer(mails.clone());
    let engine = builder.build().await.expect("an engine in memory starts");
    let (large, small) = same_shard();
    let large = LoadFixture::gather(&engine, &large, MANY).await;
    let small = LoadFixture::gather(&engine, &small, FEW).await;

    let worker = engine.worker().spawn();
    drain(&engine).await;
    mails.hold();
    let first = large.announce(&engine).await;
    wait_until(
        Patience::WORK,
        "the large one's mails to be listed as far as may be",
        || async { mails.waiting() > 0 },
    )
    .await;
    if window as usize * 32 > MANY {
        large.wait_until_listed(&engine, first).await;
    }
    small.announce(&engine).await;
    let listed = large.show(&engine, first).await.deliveries.total();
    mails.release();
    drain(&engine).await;
    assert!(worker.drain(Patience::START).await);
    let sent = mails.sent().into_iter();
    let order: Vec<String> = sent.map(|mail| mail.to.to_string()).collect();
    assert_eq!(order.len(), 2 * (MANY + FEW), "one mail each");
    let listed = usize::try_from(listed).expect("a thousand at most");
    (listed, order[MANY + FEW..].to_vec())
}

/// A large and a small tenant whose tasks lie in the same shard of either queue.
fn same_shard() -> (TenantId, TenantId) {
    let small = TenantId::parse("small").expect("a tenant name");
    (same_shard_as(&small, "large"), small)
}

/// A tenant with an event that so many customers have booked.
struct LoadFixture {
    organizer: Caller,
    event: Event,
}

impl LoadFixture {
    async fn gather(engine: &Engine, tenant: &TenantId, count: usize) -> Self {
        let (organizer, event) = booked_event(engine, tenant, 10_000, count).await;
        Self { organizer, event }
    }

    async fn announce(&self, engine: &Engine) -> NotificationId {
        move_event(engine, &self.organizer, &self.event, "New Hall")
            .await
            .id
    }

    async fn show(
        &self,
        engine: &Engine,
        notification: NotificationId,
    ) -> boxoffice_engine::Notification {
        let notifications = engine.notifications();
        let shown = notifications.show(&self.organizer, notification).await;
        shown.expect("a notification")
    }

    async fn wait_until_listed(&self, engine: &Engine, notification: NotificationId) {
        wait_for(Patience::WORK, "all recipients to be listed", || async {
            let shown = self.show(engine, notification).await;
            (shown.status == NotificationStatus::FannedOut).then_some(())
        })
        .await;
    }
}
