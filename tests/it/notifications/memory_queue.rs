//! Goal: what a queue in memory has no room for waits in the outbox and keeps nobody else back, and work that is published
//! again is the same task.
//!
//! Method: an engine of this process on the queue in memory, behind a wrapper that refuses a tenant's tasks as a full
//! queue does, or hands none out, and remembers the ids that it was given.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_engine::{
    BookTickets, Engine, Error, ErrorCode, EventId, Result, TenantId,
    ports::{
        Clock as _, Lane, LaneStats, Leased, MailOutcome, Mailer, MemoryQueue, OutgoingMail, Queue,
        Receipt, Settlement, Task,
    },
};
use boxoffice_tests::{
    FakeClock, MemoryMailer, Patience, create_event, drain, email, ensure_customer,
    organizer_and_tenant, pass_time, quick_settings, wait_until,
};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_whose_queue_is_full_keeps_nobody_else_back() {
    let (queue, mails) = (Arc::new(Watched::default()), MemoryMailer::default());
    // It stands still, so that all mails are due at one time, more of them than the relay reads at once.
    let clock = Arc::new(FakeClock::at("2026-12-01T12:00:00Z"));
    let engine = start(&queue, &clock, mails.clone()).await;
    // In the order in which they are published: the one without room comes first.
    queue.refuse("a-full");
    for (name, bookings) in [("a-full", REFUSED), ("north", 1), ("south", 1)] {
        let (tenant, organizer, _) = organizer_and_tenant(&engine, name).await;
        let event = create_event(&engine, &organizer, clock.now(), 1_000).await;
        let bookings = (0..bookings).map(|_| book(&engine, &tenant, event.id));
        stream::iter(bookings)
            .buffer_unordered(32)
            .collect::<Vec<()>>()
            .await;
    }
    let worker = engine.worker().spawn();
    wait_until(Patience::WORK, "the others' mails", || async {
        mails.count() == 2
    })
    .await;
    assert!(mails.sent().iter().all(|mail| !is_to(mail, "a-full")));
    queue.refuse("nobody");
    // When the relay looks again.
    clock.advance(Duration::from_secs(61));
    drain(&engine).await;
    assert_eq!(mails.count(), REFUSED + 2);
    assert!(worker.drain(Patience::START).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deferred_batch_is_one_task_however_often_it_is_published() {
    let clock = Arc::new(FakeClock::at("2026-12-01T12:00:00Z"));
    let (queue, mailer) = (Arc::new(Watched::default()), Defers::default());
    let engine = start(&queue, &clock, mailer.clone()).await;
    let (tenant, organizer, _) = organizer_and_tenant(&engine, "north").await;
    let event = create_event(&engine, &organizer, Timestamp::now(), 10).await;
    book(&engine, &tenant, event.id).await;
    let worker = engine.worker().spawn();
    wait_until(Patience::WORK, "the mail to be deferred", || async {
        !mailer.0.lock().expect("no holder panics").is_empty()
    })
    .await;
    queue.hands_out.store(false, Ordering::SeqCst);
    // Wait for a fetch that began before.
    pass_time(Duration::from_millis(1_200)).await;
    queue.forget();
    for times in 1..=3 {
        clock.advance(Duration::from_secs(3_700));
        wait_until(Patience::WORK, "it to be published", || async {
            queue.publications().values().sum::<usize>() >= times
        })
        .await;
    }
    assert_eq!(queue.publications().len(), 1, "{:?}", queue.publications());
    let stats = queue.stats(Lane::Transactional).await.expect("counted");
    assert_eq!((stats.waiting, stats.leased), (1, 0));
    queue.hands_out.store(true, Ordering::SeqCst);
    drain(&engine).await;
    assert!(worker.drain(Patience::START).await);
}

async fn start(queue: &Arc<Watched>, clock: &Arc<FakeClock>, mailer: impl Mailer) -> Engine {
    let builder = Engine::builder()
        .settings(quick_settings())
        .queue(queue.clone())
        .clock(clock.clone())
        .mailer(mailer);
    builder.build().await.expect("an engine in memory starts")
}

/// More than one page of the outbox.
const REFUSED: usize = 300;

fn is_to(mail: &OutgoingMail, tenant: &str) -> bool {
    mail.to.as_str().contains(tenant)
}

async fn book(engine: &Engine, tenant: &TenantId, event: EventId) {
    let customer = ensure_customer(engine, tenant, "ann", email("ann", tenant)).await;
    let order = BookTickets::general(event, 1);
    let booking = engine.bookings().book_tickets(&customer, order).await;
    booking.expect("tickets are left");
}

/// Defers a mail's first attempt.
#[derive(Clone, Default)]
struct Defers(Arc<Mutex<BTreeSet<String>>>);

#[async_trait]
impl Mailer for Defers {
    async fn send(&self, mail: &OutgoingMail) -> MailOutcome {
        let mut known = self.0.lock().expect("no holder panics");
        let reply = "451 later".to_owned();
        match known.insert(mail.delivery_key.clone()) {
            true => MailOutcome::Deferred { reply },
            false => MailOutcome::Sent { reply },
        }
    }

    fn concurrency(&self) -> usize {
        4
    }
}

/// The queue in memory, watched.
struct Watched {
    queue: MemoryQueue,
    refused: Mutex<String>,
    hands_out: AtomicBool,
    /// The ids of published tasks, and how often.
    published: Mutex<BTreeMap<String, usize>>,
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            queue: MemoryQueue::default(),
            refused: Mutex::default(),
            hands_out: AtomicBool::new(true),
            published: Mutex::default(),
        }
    }
}

impl Watched {
    fn refuse(&self, tenant: &str) {
        *self.refused.lock().expect("no holder panics") = tenant.to_owned();
    }

    fn publications(&self) -> BTreeMap<String, usize> {
        self.published.lock().expect("no holder panics").clone()
    }

    fn forget(&self) {
        self.published.lock().expect("no holder panics").clear();
    }
}

#[async_trait]
impl Queue for Watched {
    async fn publish(&self, lane: Lane, tenant: &TenantId, tasks: &[Task]) -> Result<()> {
        if *self.refused.lock().expect("no holder panics") == tenant.as_str() {
            return Err(Error::new(ErrorCode::Unavailable, "The queue is full."));
        }
        for task in tasks {
            let mut published = self.published.lock().expect("no holder panics");
            *published.entry(task.id.clone()).or_default() += 1;
        }
        self.queue.publish(lane, tenant, tasks).await
    }

    async fn fetch(&self, lane: Lane, max: usize, wait: Duration) -> Result<Vec<Leased>> {
        if !self.hands_out.load(Ordering::SeqCst) {
            pass_time(Duration::from_millis(50)).await;
            return Ok(Vec::new());
        }
        self.queue.fetch(lane, max, wait).await
    }

    async fn extend(&self, receipts: &[Receipt]) -> Result<()> {
        self.queue.extend(receipts).await
    }

    async fn settle(&self, settlements: &[(Receipt, Settlement)]) -> Result<()> {
        self.queue.settle(settlements).await
    }

    async fn stats(&self, lane: Lane) -> Result<LaneStats> {
        self.queue.stats(lane).await
    }

    fn is_durable(&self) -> bool {
        false
    }
}
