//! An engine in this process: store in memory, a clock that tests move, ids from a seed, mails in a folder.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use boxoffice_engine::{
    BookTickets, Booking, Caller, Engine, EngineBuilder, Event, EventId, TenantId, UserRole,
    WorkerHandle,
    ports::{Clock as _, FolderMailer, SeededIds},
};

use super::{
    FakeClock, Patience, ReceivedMail, TempFolder, create_event, create_tenant, create_user, email,
    ensure_customer, mail_files, quick_settings, read_mails, wait_until,
};

/// An engine for tests. Dropping it fails the test when it owes mails that nobody waited for.
pub struct TestPlatform {
    /// The engine.
    pub engine: Engine,
    /// Its clock.
    pub clock: Arc<FakeClock>,
    folder: TempFolder,
    worker: Mutex<Option<WorkerHandle>>,
    owed: AtomicUsize,
    may_owe: AtomicBool,
}

impl TestPlatform {
    /// An engine without tenants.
    ///
    /// # Panics
    /// When it cannot be built.
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    /// An engine without tenants, described further by `describe`.
    ///
    /// # Panics
    /// When it cannot be built.
    pub async fn with(describe: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let folder = TempFolder::new("platform");
        let clock = Arc::new(FakeClock::at("2026-12-01T12:00:00Z"));
        let builder = Engine::builder()
            .settings(quick_settings())
            .mailer(FolderMailer::open(folder.join("mails")).expect("the folder is ours"))
            .clock(clock.clone())
            .ids(Arc::new(SeededIds::new(1)));
        let engine = describe(builder)
            .build()
            .await
            .expect("an engine in memory starts");
        let (owed, may_owe) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self {
            engine,
            clock,
            folder,
            worker: Mutex::new(None),
            owed,
            may_owe,
        }
    }

    /// Makes a tenant; see [`create_tenant`].
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn tenant(&self, name: &str) -> TenantId {
        create_tenant(&self.engine, name).await
    }

    /// Makes a user with the kit's password, `NAME@TENANT.test`.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn user(&self, tenant: &TenantId, name: &str, role: UserRole) -> Caller {
        create_user(&self.engine, tenant, name, role).await
    }

    /// Makes a customer as platforms bring them: no password, so that thousands are made quickly.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn customer(&self, tenant: &TenantId, name: &str) -> Caller {
        ensure_customer(&self.engine, tenant, name, email(name, tenant)).await
    }

    /// Makes a published event of this many tickets, in a month's time.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn event(&self, organizer: &Caller, tickets: u32) -> Event {
        create_event(&self.engine, organizer, self.clock.now(), tickets).await
    }

    /// Books tickets and counts their mail.
    ///
    /// # Panics
    /// When the engine refuses.
    pub async fn book(&self, customer: &Caller, event: EventId, quantity: u32) -> Booking {
        let command = BookTickets::general(event, quantity);
        let booking = self
            .engine
            .bookings()
            .book_tickets(customer, command)
            .await
            .expect("a booking");
        self.owes(1);
        booking
    }

    /// Counts mails for something that was done without the kit.
    pub fn owes(&self, mails: usize) {
        self.owed.fetch_add(mails, Ordering::Relaxed);
    }

    /// Allows the test to end with mails owed.
    pub fn may_owe(&self) {
        self.may_owe.store(true, Ordering::Relaxed);
    }

    /// Starts the worker unless it runs.
    fn work(&self) {
        self.worker
            .lock()
            .expect("no holder panics")
            .get_or_insert_with(|| self.engine.worker().spawn());
    }

    /// Starts the worker unless it runs, and waits until nothing is owed that is due; see [`drain`].
    ///
    /// # Panics
    /// When something is owed still after the bound.
    pub async fn drain(&self) {
        self.work();
        drain(&self.engine).await;
    }

    /// What was sent so far, in the order of file names.
    pub fn mails(&self) -> Vec<ReceivedMail> {
        read_mails(&self.folder.join("mails"))
    }

    /// Waits until every counted mail is there, and returns all mails.
    ///
    /// # Panics
    /// When mails are missing after the bound, or when there are too many.
    pub async fn settle(&self) -> Vec<ReceivedMail> {
        self.work();
        let owed = self.owed.load(Ordering::Relaxed);
        let folder = self.folder.join("mails");
        wait_until(Patience::WORK, &format!("{owed} mails"), || {
            let count = mail_files(&folder).len();
            async move { count >= owed }
        })
        .await;
        let mails = self.mails();
        assert_eq!(
            mails.len(),
            owed,
            "more mails than are owed: {:?}",
            subjects(&mails)
        );
        mails
    }
}

impl Drop for TestPlatform {
    fn drop(&mut self) {
        let (owed, sent) = (
            self.owed.load(Ordering::Relaxed),
            mail_files(&self.folder.join("mails")).len(),
        );
        if !std::thread::panicking() && !self.may_owe.load(Ordering::Relaxed) {
            assert_eq!(
                sent, owed,
                "mails are owed that nobody waited for: call `settle`, or `may_owe`"
            );
        }
    }
}

/// Waits until an engine owes no delivery: every notification that is due has reached each recipient or failed for good,
/// and how it ended is recorded. A worker must run. What is scheduled for later, such as a reminder, is not waited for.
///
/// # Panics
/// When something is owed still after the bound.
pub async fn drain(engine: &Engine) {
    // What was published again, or after a jump of the clock, is looked at within a minute of real time.
    wait_until(Patience::RUN, "no delivery to be owed", || async {
        let overview = engine.delivery_admin().overview(&Caller::operator()).await;
        let lanes = overview.expect("an overview").lanes;
        let lanes = lanes.expect("an operator sees the lanes");
        // The oldest of what has waited: it is `None` while only fan-outs of later times are owed.
        lanes.iter().all(|lane| lane.oldest_at.is_none())
    })
    .await;
}

fn subjects(mails: &[ReceivedMail]) -> Vec<(&str, &[String])> {
    mails
        .iter()
        .map(|mail| (mail.subject.as_str(), mail.to.as_slice()))
        .collect()
}
