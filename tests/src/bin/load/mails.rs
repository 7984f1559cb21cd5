//! What a mail costs inside: an engine of this process, without HTTP, with as many of its parts as are asked for.
//!
//! The parts add up: the queue alone; with the ledger; with composed mails; with an SMTP server. A mailer that says
//! "sent" at once stands at the end of the first three: it is part of this program and of no product.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_trait::async_trait;
use boxoffice_engine::{
    Caller, Engine, Event, Label, NewTicketType, NotificationId, NotificationKind, Settings,
    TenantId, UpdateEvent,
    ports::{
        Lane, MailOutcome, Mailer, OutgoingMail, Queue, RenderFailure, Rendered, Settlement, Task,
        TaskKind, Templates,
    },
};
use boxoffice_host::{JetStreamOptions, JetStreamQueue, SmtpMailer, SmtpSettings, mail::SmtpTls};
use boxoffice_tests::{TempFolder, booked_event, same_shard_as};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cpu;

/// Recipients of one batch, and so of one task in the queue.
const BATCH: usize = 32;
/// Batches of one publication, as the engine's fan-out makes them.
const CHUNK: usize = 31;
const POLL: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Parts {
    /// Publish, fetch and settle the tasks, and nothing else.
    Queue,
    /// The engine, its mails made of one constant text and taken over at once.
    Ledger,
    /// The same with the built-in words.
    Words,
    /// The same over SMTP.
    Smtp,
}

#[derive(Args)]
pub(crate) struct MailsArguments {
    /// How much of the way is measured.
    #[arg(long, value_enum)]
    with: Parts,
    /// Customers with one booking each.
    #[arg(long, default_value_t = 10_000)]
    recipients: usize,
    /// A second tenant in the same shard with so many customers, whose event changes right after the first one's.
    #[arg(long, default_value_t = 0)]
    beside: usize,
    /// The NATS server of the queue; without it the queue is in memory.
    #[arg(long)]
    nats: Option<String>,
    /// The SMTP server, such as 127.0.0.1:2525.
    #[arg(long)]
    smtp: Option<String>,
    /// Mails under way at a time, and connections to the SMTP server.
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// Keeps the store in a folder of this disk instead of the system's for temporary files.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Further processes whose CPU time counts, such as the NATS server's.
    #[arg(long)]
    pid: Vec<u32>,
    /// When to give up.
    #[arg(long, default_value_t = 1800)]
    seconds_max: u64,
}

pub(crate) async fn run(arguments: MailsArguments) -> anyhow::Result<Value> {
    match arguments.with {
        Parts::Queue => queue_only(arguments).await,
        _ => engine(arguments).await,
    }
}

/// What was measured, from its beginning to its end.
struct Measured {
    begun: Instant,
    cpu_before: f64,
    pids: Vec<u32>,
}

impl Measured {
    fn begin(others: &[u32]) -> anyhow::Result<Self> {
        let mut pids = others.to_vec();
        pids.push(std::process::id());
        Ok(Self {
            cpu_before: cpu::seconds_of(&pids)?,
            pids,
            begun: Instant::now(),
        })
    }

    fn end(self, tasks: usize) -> anyhow::Result<Value> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let cpu_seconds = cpu::seconds_of(&self.pids)? - self.cpu_before;
        let (resident, highest) = cpu::resident_bytes()?;
        Ok(json!({
            "tasks": tasks,
            "seconds": seconds,
            "tasksPerSecond": (tasks as f64 / seconds).round(),
            "cpuSeconds": cpu_seconds,
            "tasksPerCpuSecond": (tasks as f64 / cpu_seconds).round(),
            "cpuMicrosPerTask": cpu_seconds * 1e6 / tasks as f64,
            "residentBytes": resident,
            "residentBytesHighest": highest,
        }))
    }
}

async fn queue_of(nats: Option<&String>) -> anyhow::Result<Option<Arc<dyn Queue>>> {
    let Some(url) = nats else { return Ok(None) };
    let options = JetStreamOptions {
        // Streams of its own, so that nothing of an earlier run is in them.
        prefix: format!("load-{}", crate::new_run()),
        ..JetStreamOptions::new(url.clone())
    };
    let queue = JetStreamQueue::connect(options).await?;
    Ok(Some(Arc::new(queue)))
}

async fn queue_only(arguments: MailsArguments) -> anyhow::Result<Value> {
    let folder = store_folder(&arguments)?;
    let queue = match queue_of(arguments.nats.as_ref()).await? {
        Some(queue) => queue,
        None => {
            let builder = Engine::builder().embedded(folder.path().join("db"));
            builder.build().await?.queue()
        }
    };
    let tenant = TenantId::parse("north")?;
    let batches = arguments.recipients.div_ceil(BATCH);
    let tasks: Vec<Task> = (0..batches).map(task).collect::<anyhow::Result<_>>()?;
    let measured = Measured::begin(&arguments.pid)?;
    let publishing = {
        let (queue, tenant) = (queue.clone(), tenant.clone());
        tokio::spawn(async move {
            for chunk in tasks.chunks(CHUNK) {
                queue.publish(Lane::Bulk, &tenant, chunk).await?;
            }
            Ok::<_, boxoffice_engine::Error>(())
        })
    };
    let mut done = 0;
    while done < batches {
        let leased = queue.fetch(Lane::Bulk, 8, Duration::from_secs(1)).await?;
        let settled: Vec<_> = leased
            .iter()
            .map(|leased| (leased.receipt.clone(), Settlement::Done))
            .collect();
        queue.settle(&settled).await?;
        done += settled.len();
    }
    publishing.await??;
    let mut report = measured.end(arguments.recipients)?;
    report["mode"] = json!("mails");
    report["with"] = json!("queue");
    report["queue"] = json!(if arguments.nats.is_some() {
        "jetstream"
    } else {
        "embedded"
    });
    Ok(report)
}

fn task(number: usize) -> anyhow::Result<Task> {
    Ok(Task {
        id: format!("load-{number:07}"),
        notification: "01jd0000000000000000000000".parse::<NotificationId>()?,
        kind: TaskKind::Deliver {
            batch: u32::try_from(number)?,
        },
        outbox_due_at: Some(Timestamp::now()),
    })
}

fn store_folder(arguments: &MailsArguments) -> anyhow::Result<StoreFolder> {
    match &arguments.folder {
        Some(folder) => {
            let folder = folder.join(format!("load-{}", crate::new_run()));
            std::fs::create_dir_all(&folder)?;
            Ok(StoreFolder::Named(folder))
        }
        None => Ok(StoreFolder::Temporary(TempFolder::new("load"))),
    }
}

enum StoreFolder {
    Named(PathBuf),
    Temporary(TempFolder),
}

impl StoreFolder {
    fn path(&self) -> &std::path::Path {
        match self {
            Self::Named(folder) => folder,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

async fn engine(arguments: MailsArguments) -> anyhow::Result<Value> {
    let folder = store_folder(&arguments)?;
    let counted = Counted::default();
    let mut settings = Settings::default();
    settings.delivery.update_merge_window = Duration::ZERO;
    let mut builder = Engine::builder()
        .embedded(folder.path().join("db"))
        .settings(settings);
    builder = match arguments.with {
        Parts::Smtp => {
            let address = arguments
                .smtp
                .as_ref()
                .context("--with smtp needs --smtp")?;
            let (host, port) = address.rsplit_once(':').context("--smtp is HOST:PORT")?;
            builder.mailer(CountedMailer {
                counted: counted.clone(),
                concurrency: arguments.concurrency,
                smtp: Some(SmtpMailer::new(SmtpSettings {
                    tls: SmtpTls::None,
                    connections_max: arguments.concurrency,
                    mails_per_connection_max: 10_000,
                    ..SmtpSettings::new(host, port.parse()?)
                })?),
            })
        }
        _ => builder.mailer(CountedMailer {
            counted: counted.clone(),
            concurrency: arguments.concurrency,
            smtp: None,
        }),
    };
    if arguments.with == Parts::Ledger {
        builder = builder.templates(OneText);
    }
    if let Some(queue) = queue_of(arguments.nats.as_ref()).await? {
        builder = builder.queue(queue);
    }
    let engine = builder.build().await?;
    let large = TenantId::parse("north")?;
    let small = same_shard_as(&large, "small");
    let bound = Instant::now() + Duration::from_secs(arguments.seconds_max);
    let all = LoadFixture::gather(&engine, &large, arguments.recipients).await;
    let beside = LoadFixture::gather(&engine, &small, arguments.beside).await;

    eprintln!("sending the confirmations");
    let bookings = (arguments.recipients + arguments.beside) as u64;
    let confirmations = Measured::begin(&arguments.pid)?;
    let worker = engine.worker().spawn();
    counted.wait_for(bookings, bound).await?;
    let confirmations = confirmations.end(arguments.recipients + arguments.beside)?;

    eprintln!("changing the event");
    let measured = Measured::begin(&arguments.pid)?;
    let begun = Instant::now();
    all.announce(&engine).await?;
    if arguments.beside > 0 {
        beside.announce(&engine).await?;
    }
    counted.wait_for(2 * bookings, bound).await?;
    // To the last word in the ledger, not only to the last mail.
    all.until_final(&engine, arguments.recipients, bound)
        .await?;
    let mut report = measured.end(arguments.recipients + arguments.beside)?;
    anyhow::ensure!(
        worker.drain(Duration::from_secs(60)).await,
        "the worker did not end"
    );
    report["mode"] = json!("mails");
    report["with"] = json!(match arguments.with {
        Parts::Queue => "queue",
        Parts::Ledger => "ledger",
        Parts::Words => "words",
        Parts::Smtp => "smtp",
    });
    report["queue"] = json!(if arguments.nats.is_some() {
        "jetstream"
    } else {
        "embedded"
    });
    report["confirmations"] = confirmations;
    if arguments.beside > 0 {
        let (last, before) = counted.last_to(&format!("@{small}.test"));
        report["smallTenantsLastMailAfterSeconds"] =
            json!(last.map(|at| at.duration_since(begun).as_secs_f64()));
        report["mailsBeforeIt"] = json!(before.map(|before| before - bookings));
    }
    Ok(report)
}

/// A tenant with an event that so many customers have booked.
struct LoadFixture {
    organizer: Caller,
    event: Event,
    announced: Mutex<Option<NotificationId>>,
}

impl LoadFixture {
    async fn gather(engine: &Engine, tenant: &TenantId, count: usize) -> Self {
        eprintln!("{count} customers of {tenant} sign up and book");
        let (organizer, event) = booked_event(engine, tenant, 10_000_000, count).await;
        Self {
            organizer,
            event,
            announced: Mutex::default(),
        }
    }

    async fn announce(&self, engine: &Engine) -> anyhow::Result<()> {
        let mut details = self.event.details.clone();
        details.location = Some(Label::parse("location", "New Hall")?);
        let command = UpdateEvent {
            event: self.event.id,
            expected_version: self.event.version,
            details,
            status: self.event.status,
            ticket_types: vec![NewTicketType::general(10_000_000)],
            total_tickets: None,
            cancellation_terms: Default::default(),
            max_tickets_per_customer: None,
            notify_customers: None,
        };
        let change = engine.events().update(&self.organizer, command).await?;
        let notification = change.notification.context("a new place concerns them")?;
        *self.announced.lock().expect("no holder panics") = Some(notification.id);
        Ok(())
    }

    async fn until_final(
        &self,
        engine: &Engine,
        count: usize,
        bound: Instant,
    ) -> anyhow::Result<()> {
        let notification = *self.announced.lock().expect("no holder panics");
        let notification = notification.context("it was announced")?;
        loop {
            let notifications = engine.notifications();
            let shown = notifications.show(&self.organizer, notification).await?;
            let deliveries = shown.deliveries;
            if deliveries.sent == count as u64 {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < bound, "not in time: {deliveries:?}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Counts mails, and remembers when those of small tenants left.
#[derive(Clone, Default)]
struct Counted {
    mails: Arc<AtomicU64>,
    small: Arc<Mutex<Vec<(String, Instant, u64)>>>,
}

impl Counted {
    fn note(&self, mail: &OutgoingMail) {
        let before = self.mails.fetch_add(1, Ordering::Relaxed);
        if mail.to.as_str().contains("@small-") {
            let note = (mail.to.to_string(), Instant::now(), before);
            self.small.lock().expect("no holder panics").push(note);
        }
    }

    fn last_to(&self, ending: &str) -> (Option<Instant>, Option<u64>) {
        let small = self.small.lock().expect("no holder panics");
        let last = small.iter().rev().find(|(to, ..)| to.ends_with(ending));
        (last.map(|(_, at, _)| *at), last.map(|(.., before)| *before))
    }

    async fn wait_for(&self, mails: u64, bound: Instant) -> anyhow::Result<()> {
        while self.mails.load(Ordering::Relaxed) < mails {
            anyhow::ensure!(
                Instant::now() < bound,
                "{} of {mails} mails in time",
                self.mails.load(Ordering::Relaxed)
            );
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// Counts what it hands on, or, without a server, says "sent" at once.
struct CountedMailer {
    counted: Counted,
    concurrency: usize,
    smtp: Option<SmtpMailer>,
}

#[async_trait]
impl Mailer for CountedMailer {
    async fn send(&self, mail: &OutgoingMail) -> MailOutcome {
        let outcome = match &self.smtp {
            Some(smtp) => smtp.send(mail).await,
            None => MailOutcome::Sent {
                reply: "250 2.0.0 taken over".to_owned(),
            },
        };
        if matches!(outcome, MailOutcome::Sent { .. }) {
            self.counted.note(mail);
        }
        outcome
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }
}

/// One text for every mail.
struct OneText;

#[async_trait]
impl Templates for OneText {
    async fn render(
        &self,
        _: &TenantId,
        _: NotificationKind,
        _: &Value,
    ) -> Result<Rendered, RenderFailure> {
        Ok(Rendered {
            subject: "News".to_owned(),
            text: "Something changed.".to_owned(),
            html: "<p>Something changed.</p>".to_owned(),
        })
    }
}
