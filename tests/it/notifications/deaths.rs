//! Goal: a process that dies over unmarked mails costs nobody a mail, and a mail that kills processes ends after three.
//!
//! Method: an engine on an embedded store with a mailer that is idempotent, so that nothing is written before a first
//! attempt. The mailer never finishes a deadly mail. The store's folder is copied while such a mail is on the wire, which
//! is what a kill leaves, and the next engine opens the copy.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use boxoffice_engine::{
    BookTickets, Caller, Engine,
    ports::{Lane, MailOutcome, Mailer, OutgoingMail},
};
use boxoffice_tests::{
    Patience, TempFolder, create_event, drain, email, ensure_customer, organizer_and_tenant,
    quick_settings, wait_until,
};

/// Deaths after which a mail is given up.
const DEATHS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_kills_three_processes_is_dead_and_others_arrive() {
    let folder = TempFolder::new("deaths");
    let store = |death: usize| folder.join(&format!("store-{death}"));
    let mailer = DeadlyMailer::default();
    let engine = start(&store(0), &mailer).await;
    let (tenant, organizer, _) = organizer_and_tenant(&engine, "north").await;
    let event = create_event(&engine, &organizer, jiff::Timestamp::now(), 100).await;
    for name in ["deadly", "ann"] {
        let customer = ensure_customer(&engine, &tenant, name, email(name, &tenant)).await;
        let order = BookTickets::general(event.id, 1);
        let booking = engine.bookings().book_tickets(&customer, order).await;
        booking.expect("tickets are left");
    }
    let mut engine = engine;
    for death in 1..=DEATHS {
        let worker = engine.worker().spawn();
        wait_until(
            Patience::WORK,
            "the deadly mail alone to be owed",
            || async { mailer.deadly() == death && waiting(&engine).await == 1 },
        )
        .await;
        copy(&store(death - 1), &store(death));
        drop(worker);
        // A command opens the store in between, and closes it properly.
        let command = start(&store(death), &mailer).await;
        assert!(command.close(Patience::START).await);
        engine = start(&store(death), &mailer).await;
    }
    let worker = engine.worker().spawn();
    drain(&engine).await;
    let overview = engine.delivery_admin().overview(&Caller::operator()).await;
    let overview = overview.expect("an overview");
    assert_eq!((overview.dead, overview.unknown), (1, 0));
    assert_eq!(mailer.deadly(), DEATHS, "it was not sent a fourth time");
    assert_eq!(mailer.kept().len(), 1, "one mail, sent again under its key");
    assert!(worker.drain(Patience::START).await);
}

/// Outbox entries of mails that answer what somebody did.
async fn waiting(engine: &Engine) -> u64 {
    let overview = engine.delivery_admin().overview(&Caller::operator()).await;
    let lanes = overview.expect("an overview").lanes;
    let lanes = lanes.expect("an operator sees the lanes");
    let lanes = lanes.iter().filter(|lane| lane.lane == Lane::Transactional);
    lanes.map(|lane| lane.outbox_entries).sum()
}

async fn start(store: &Path, mailer: &DeadlyMailer) -> Engine {
    let builder = Engine::builder().embedded(store).mailer(mailer.clone());
    let engine = builder.settings(quick_settings()).build().await;
    engine.expect("an engine on what a kill left")
}

/// Copies a store as a kill at this moment would leave it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder is ours");
    for entry in std::fs::read_dir(from).expect("a store").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(std::fs::copy(from, to).expect("a file of the store")),
        }
    }
}

/// Keeps mails by their key, except those to `deadly`, which it never finishes.
#[derive(Clone, Default)]
struct DeadlyMailer {
    kept: Arc<Mutex<BTreeMap<String, String>>>,
    deadly: Arc<AtomicUsize>,
}

impl DeadlyMailer {
    /// The mails that arrived, by recipient, with their keys.
    fn kept(&self) -> BTreeMap<String, String> {
        self.kept.lock().expect("no holder panics").clone()
    }

    fn deadly(&self) -> usize {
        self.deadly.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Mailer for DeadlyMailer {
    async fn send(&self, mail: &OutgoingMail) -> MailOutcome {
        if mail.to.as_str().starts_with("deadly@") {
            self.deadly.fetch_add(1, Ordering::SeqCst);
            return std::future::pending().await;
        }
        let mut kept = self.kept.lock().expect("no holder panics");
        let key = mail.delivery_key.clone();
        let before = kept.insert(mail.to.as_str().to_owned(), key.clone());
        assert!(before.is_none_or(|before| before == key), "two mails");
        MailOutcome::Sent {
            reply: "kept".to_owned(),
        }
    }

    fn concurrency(&self) -> usize {
        8
    }

    fn is_idempotent(&self) -> bool {
        true
    }
}
