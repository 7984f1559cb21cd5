//! Goal: the database has all work, and a queue only makes it faster: whatever a queue loses, repeats, refuses or
//! reorders, each customer hears once.
//!
//! Method: an engine of this process on a queue that misbehaves at random, the seed printed, and a mailer that would
//! keep every duplicate. More customers than one chunk of the fan-out holds.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_engine::{
    BookTickets, Caller, Engine, Error, ErrorCode, HoldStatus, HoldTickets, NotificationStatus,
    Result, TenantId,
    ports::{
        Lane, LaneStats, Leased, MailOutcome, Mailer, OutgoingMail, Queue, Receipt, Settlement,
        Task,
    },
};
use boxoffice_tests::{
    Patience, create_event, email, ensure_customer, move_event, organizer_and_tenant,
    quick_settings, wait_for, wait_until,
};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// One chunk of the fan-out and some.
const CUSTOMERS: usize = 1_100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_loses_repeats_and_refuses_changes_nothing() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let (queue, mails) = (Arc::new(BadQueue::new(seed)), KeptMails::default());
    let builder = Engine::builder()
        .settings(quick_settings())
        .queue(queue)
        .mailer(mails.clone());
    let engine = builder.build().await.expect("an engine in memory starts");
    let (tenant, organizer, _) = organizer_and_tenant(&engine, "north").await;
    let event = create_event(&engine, &organizer, Timestamp::now(), 10_000).await;
    let bookings = (0..CUSTOMERS).map(|number| book(&engine, &tenant, number, event.id));
    stream::iter(bookings)
        .buffer_unordered(32)
        .collect::<Vec<()>>()
        .await;
    let worker = engine.worker().spawn();
    wait_until(Patience::WORK, "the confirmations", || async {
        mails.count() >= CUSTOMERS
    })
    .await;

    let notification = move_event(&engine, &organizer, &event, "New Hall").await;
    assert_eq!(notification.recipients, CUSTOMERS as u64);
    let shown = wait_for(Patience::WORK, "everybody to be told", || async {
        let shown = engine
            .notifications()
            .show(&organizer, notification.id)
            .await
            .expect("a notification");
        let is_fanned_out = shown.status == NotificationStatus::FannedOut;
        (is_fanned_out && shown.deliveries.sent >= shown.recipients).then_some(shown)
    })
    .await;
    assert_eq!(
        (shown.deliveries.total(), shown.deliveries.ever_unknown),
        (CUSTOMERS as u64, 0)
    );
    assert!(worker.drain(Patience::START).await);
    let per_key = mails.per_key();
    let repeated: Vec<_> = per_key.iter().filter(|(_, count)| **count != 1).collect();
    assert!(repeated.is_empty(), "sent more than once: {repeated:?}");
    assert_eq!(
        per_key.len(),
        2 * CUSTOMERS,
        "a confirmation and an update each"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_published_before_a_worker_is_there_to_do_it() {
    let (queue, mails) = (Arc::new(BadQueue::new(1)), KeptMails::default());
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
    wait_until(Patience::WORK, "the confirmation", || async {
        mails.count() >= 1
    })
    .await;
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

/// Keeps every mail, the same one twice if it comes twice.
#[derive(Clone, Default)]
struct KeptMails(Arc<Mutex<Vec<String>>>);

impl KeptMails {
    fn count(&self) -> usize {
        self.0.lock().expect("no holder panics").len()
    }

    fn per_key(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for key in self.0.lock().expect("no holder panics").iter() {
            *counts.entry(key.clone()).or_default() += 1;
        }
        counts
    }
}

#[async_trait]
impl Mailer for KeptMails {
    async fn send(&self, mail: &OutgoingMail) -> MailOutcome {
        self.0
            .lock()
            .expect("no holder panics")
            .push(mail.delivery_key.clone());
        MailOutcome::Sent {
            reply: "kept".to_owned(),
        }
    }

    fn concurrency(&self) -> usize {
        8
    }
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

    fn new(seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
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
            tokio::time::sleep(wait.min(Duration::from_millis(50))).await;
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
