//! Goal: the database has all work, and a queue only makes it faster: whatever a queue loses, repeats, refuses or
//! reorders, each customer hears once.
//!
//! Method: an engine of this process on a queue that misbehaves at random, the seed printed, and a mailer that would
//! keep every duplicate. More customers than several chunks of the fan-out hold.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_engine::{
    BookTickets, Caller, Engine, Error, ErrorCode, HoldStatus, HoldTickets, Result, TenantId,
    ports::{Lane, LaneStats, Leased, Queue, Receipt, Settlement, Task},
};
use boxoffice_tests::{
    MemoryMailer, Patience, create_event, drain, email, ensure_customer, is_long_run, move_event,
    organizer_and_tenant, pass_time, quick_settings, seeded, wait_until,
};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use rand::{Rng as _, rngs::StdRng};

/// Batches of 32 recipients that may wait at once, half of which one chunk of the fan-out lists; the default with `--long`.
const WINDOW: u32 = 4;

/// More than a chunk of the fan-out: four and some, and of the default's one and some.
fn customers() -> usize {
    match is_long_run() {
        true => 1_100,
        false => 300,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_loses_repeats_and_refuses_changes_nothing() {
    let (queue, mails) = (Arc::new(BadQueue::new(seeded())), MemoryMailer::default());
    let mut settings = quick_settings();
    // No worker dies here. On a machine that stalls a short lease ends, and then confirmations are sent again by design.
    settings.worker.delivery_lease = Duration::from_secs(30);
    if !is_long_run() {
        settings.delivery.bulk_window_batches = WINDOW;
    }
    let customers = customers();
    let builder = Engine::builder()
        .settings(settings)
        .queue(queue)
        .mailer(mails.clone());
    let engine = builder.build().await.expect("an engine in memory starts");
    let (tenant, organizer, _) = organizer_and_tenant(&engine, "north").await;
    let event = create_event(&engine, &organizer, Timestamp::now(), 10_000).await;
    let bookings = (0..customers).map(|number| book(&engine, &tenant, number, event.id));
    stream::iter(bookings)
        .buffer_unordered(32)
        .collect::<Vec<()>>()
        .await;
    let worker = engine.worker().spawn();
    drain(&engine).await;

    let notification = move_event(&engine, &organizer, &event, "New Hall").await;
    assert_eq!(notification.recipients, customers as u64);
    drain(&engine).await;
    let shown = engine
        .notifications()
        .show(&organizer, notification.id)
        .await;
    let deliveries = shown.expect("a notification").deliveries;
    assert_eq!(
        (deliveries.sent, deliveries.total(), deliveries.ever_unknown),
        (customers as u64, customers as u64, 0)
    );
    assert!(worker.drain(Patience::START).await);
    let mut per_key = BTreeMap::<_, usize>::new();
    for mail in mails.sent() {
        *per_key.entry(mail.delivery_key).or_default() += 1;
    }
    let repeated: Vec<_> = per_key.iter().filter(|(_, count)| **count != 1).collect();
    assert!(repeated.is_empty(), "sent more than once: {repeated:?}");
    assert_eq!(
        per_key.len(),
        2 * customers,
        "a confirmation and an update each"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_published_before_a_worker_is_there_to_do_it() {
    let (queue, mails) = (Arc::new(BadQueue::new(seeded())), MemoryMailer::default());
    let mut settings = quick_settings();
    settings.bookings.hold_duration = Duration::from_millis(100);
    let builder = Engine::builder()
        .settings(settings)
        .queue(queue.clone())
        .mailer(mails.clone());
    let engine = builder.build().await.expect("an engine in memory starts");
    let (tenant, organizer, _) = organizer_and_tenant(&engine, "north").await;
    let event = create_event(&engine, &organizer, Timestamp::now(), 10).await;
    let host = engine.worker().spawn_singletons();
    book(&engine, &tenant, 0, event.id).await;
    // By the time that a hold was made and expired, a relay that had any reason to would have published.
    let name = "holder";
    let holder = ensure_customer(&engine, &tenant, name, email(name, &tenant)).await;
    let hold = HoldTickets::general(event.id, 1);
    let hold = engine
        .holds()
        .hold_tickets(&holder, hold)
        .await
        .expect("a hold");
    wait_until(Patience::WORK, "the hold to expire", || async {
        let shown = engine.holds().show(&holder, hold.id).await;
        shown.expect("a hold").status == HoldStatus::Expired
    })
    .await;
    assert_eq!((queue.asked(), mails.count()), (0, 0));

    let worker = engine.worker().spawn();
    drain(&engine).await;
    assert_eq!(mails.count(), 1);
    assert!(queue.asked() >= 1);
    assert!(worker.drain(Patience::START).await && host.drain(Patience::START).await);
}

async fn book(engine: &Engine, tenant: &TenantId, number: usize, event: boxoffice_engine::EventId) {
    let name = format!("c{number}");
    let customer: Caller = ensure_customer(engine, tenant, &name, email(&name, tenant)).await;
    engine
        .bookings()
        .book_tickets(&customer, BookTickets::general(event, 1))
        .await
        .expect("a booking");
}

/// A queue that keeps no promise but to give back what it was given, sometimes.
struct BadQueue(Mutex<State>);

struct State {
    random: StdRng,
    waiting: HashMap<Lane, Vec<(TenantId, Task)>>,
    leased: HashMap<Receipt, (Lane, TenantId, Task)>,
    receipts: u64,
    asked: u64,
}

impl BadQueue {
    /// How often it was asked to take tasks.
    fn asked(&self) -> u64 {
        self.0.lock().expect("no holder panics").asked
    }

    fn new(random: StdRng) -> Self {
        Self(Mutex::new(State {
            random,
            waiting: HashMap::new(),
            leased: HashMap::new(),
            receipts: 0,
            asked: 0,
        }))
    }

    fn take(&self, lane: Lane, max: usize) -> Vec<Leased> {
        let mut state = self.0.lock().expect("no holder panics");
        let mut taken = Vec::new();
        while taken.len() < max {
            let count = state.waiting.entry(lane).or_default().len();
            if count == 0 {
                break;
            }
            // In any order, and now and then without taking it away.
            let index = state.random.random_range(0..count);
            let stays = state.random.random_bool(0.1);
            let queue = state.waiting.entry(lane).or_default();
            let (tenant, task) = if stays {
                queue[index].clone()
            } else {
                queue.swap_remove(index)
            };
            state.receipts += 1;
            let receipt = Receipt(state.receipts.to_string());
            state
                .leased
                .insert(receipt.clone(), (lane, tenant.clone(), task.clone()));
            taken.push(Leased {
                tenant,
                task,
                receipt,
            });
        }
        taken
    }
}

#[async_trait]
impl Queue for BadQueue {
    async fn publish(&self, lane: Lane, tenant: &TenantId, tasks: &[Task]) -> Result<()> {
        let mut state = self.0.lock().expect("no holder panics");
        state.asked += 1;
        if state.random.random_bool(0.2) {
            return Err(Error::new(ErrorCode::Unavailable, "The queue is full."));
        }
        for task in tasks {
            let copies = [0, 1, 1, 1, 1, 2][state.random.random_range(0..6)];
            let queue = state.waiting.entry(lane).or_default();
            queue.extend((0..copies).map(|_| (tenant.clone(), task.clone())));
        }
        // It may be in and still be called refused, as after a lost answer.
        if state.random.random_bool(0.1) {
            return Err(Error::new(
                ErrorCode::Unavailable,
                "The queue did not answer.",
            ));
        }
        Ok(())
    }

    async fn fetch(&self, lane: Lane, max: usize, wait: Duration) -> Result<Vec<Leased>> {
        let taken = self.take(lane, max);
        if taken.is_empty() {
            // As a queue waits for what may be published meanwhile.
            pass_time(wait.min(Duration::from_millis(50))).await;
        }
        Ok(taken)
    }

    async fn extend(&self, _: &[Receipt]) -> Result<()> {
        Ok(())
    }

    async fn settle(&self, settlements: &[(Receipt, Settlement)]) -> Result<()> {
        let mut state = self.0.lock().expect("no holder panics");
        for (receipt, settlement) in settlements {
            let Some((lane, tenant, task)) = state.leased.remove(receipt) else {
                continue;
            };
            let comes_back =
                matches!(settlement, Settlement::Release(_)) || state.random.random_bool(0.1);
            if comes_back {
                state.waiting.entry(lane).or_default().push((tenant, task));
            }
        }
        Ok(())
    }

    async fn stats(&self, lane: Lane) -> Result<LaneStats> {
        let state = self.0.lock().expect("no holder panics");
        let waiting = state.waiting.get(&lane).map_or(0, Vec::len) as u64;
        let leased = state
            .leased
            .values()
            .filter(|(of, _, _)| *of == lane)
            .count() as u64;
        Ok(LaneStats { waiting, leased })
    }
}
