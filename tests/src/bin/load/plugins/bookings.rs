//! What policies cost a booking: closed loops through the engine, each kind in turns on the same store.
//!
//! Every booking is another customer's, as in an opening sale. Nobody sends mails meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use boxoffice_engine::{ActivatePlugin, BookTickets, Caller, Engine, EventId, UserId};
use boxoffice_tests::{TempFolder, create_event, organizer_and_tenant, owner_of, upload, using};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{PluginsArguments, Times, native::EarlyBird, rounded};
use crate::cpu;

/// What differs between the kinds of bookings.
struct Kind {
    name: &'static str,
    /// Each with its configuration.
    policies: Vec<(Vec<u8>, &'static str)>,
    is_native: bool,
    /// Leaves the policies switched off: the set has a version, and nobody is asked.
    is_off: bool,
}

const EARLY_BIRD: &str = r#"{"percentOff":20,"hoursBefore":72}"#;

pub(super) async fn run(arguments: &PluginsArguments) -> anyhow::Result<Value> {
    let rust = arguments.example("early-bird-price")?;
    let javascript = arguments.example("group-discount")?;
    let early_bird = |number| (rust.numbered(number), EARLY_BIRD);
    let kind = |name, policies| Kind {
        name,
        policies,
        is_native: false,
        is_off: false,
    };
    let kinds = [
        kind("none", Vec::new()),
        Kind {
            is_off: true,
            ..kind("one switched off", vec![early_bird(0)])
        },
        Kind {
            is_native: true,
            ..kind("one native", Vec::new())
        },
        kind("one Rust", vec![early_bird(0)]),
        kind("three Rust", (0..3).map(early_bird).collect()),
        kind("one JavaScript", vec![(javascript.numbered(0), "{}")]),
    ];
    let folder = TempFolder::new("plugins");
    let plain = engine(arguments, &folder, "plain", false).await?;
    let native = engine(arguments, &folder, "native", true).await?;
    let mut scenes = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        let engine = if kind.is_native { &native } else { &plain };
        scenes.push(Fixture::make(engine, kind, number).await?);
    }
    let length = Duration::from_secs(arguments.seconds);
    let mut figures: Vec<Figures> = kinds.iter().map(|_| Figures::default()).collect();
    // The first turn warms up and is forgotten. Every second turn goes backwards: a machine that gets slower is fair to all.
    for turn in 0..=arguments.turns {
        let mut order: Vec<usize> = (0..kinds.len()).collect();
        if turn % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let own = scenes[index].book(arguments.clients, length).await?;
            if turn > 0 {
                figures[index].add(own);
            }
        }
    }
    let none = figures[0].booked_per_cpu_second();
    let report = kinds.iter().zip(&figures).map(|(kind, figures)| {
        let rate = figures.booked_per_cpu_second();
        json!({
            "policies": kind.name,
            "booked": figures.booked,
            "bookedPerSecond": rounded(figures.booked as f64 / figures.seconds),
            "bookedPerCpuSecond": rounded(rate),
            "cpuMicrosPerBooking": rounded(1e6 / rate),
            "lossPercent": rounded((1.0 - rate / none) * 100.0),
            "bookedPerCommit": rounded(figures.booked as f64 / figures.commits as f64),
            "bookedPerRead": rounded(figures.booked as f64 / figures.reads as f64),
            "latency": figures.times.report(),
        })
    });
    Ok(json!({
        "clients": arguments.clients,
        "turns": arguments.turns,
        "secondsOfATurn": arguments.seconds,
        "kinds": report.collect::<Vec<_>>(),
    }))
}

async fn engine(
    arguments: &PluginsArguments,
    folder: &TempFolder,
    name: &str,
    is_native: bool,
) -> anyhow::Result<Engine> {
    let mut builder = Engine::builder()
        .embedded(folder.join(name))
        .plugins(arguments.host()?);
    if is_native {
        builder = builder.policy(EarlyBird {
            percent_off: 20,
            hours_before: 72,
        });
    }
    Ok(builder.build().await?)
}

struct Fixture {
    engine: Engine,
    platform: Caller,
    event: EventId,
    /// Customers so far, of all scenes of this program.
    customers: Arc<AtomicU64>,
}

impl Fixture {
    async fn make(engine: &Engine, kind: &Kind, number: usize) -> anyhow::Result<Self> {
        let (tenant, organizer, _) =
            organizer_and_tenant(engine, &format!("tenant-{number}")).await;
        let event = create_event(engine, &organizer, Timestamp::now(), 10_000_000).await;
        let owner = owner_of(engine, &tenant).await;
        for (number, (component, config)) in kind.policies.iter().enumerate() {
            let name = format!("policy-{number}");
            let version = upload(engine, &owner, &name, component).await;
            let command = ActivatePlugin {
                config: Some((*config).to_owned()),
                enabled: Some(!kind.is_off),
                ..using(&name, version)
            };
            engine.plugins().activate(&owner, command).await?;
        }
        Ok(Self {
            engine: engine.clone(),
            platform: Caller::platform(tenant.as_str()),
            event: event.id,
            customers: Arc::new(AtomicU64::new(1)),
        })
    }

    async fn book(&self, clients: usize, length: Duration) -> anyhow::Result<Figures> {
        let processes = [std::process::id()];
        let before = self.engine.counts();
        let (begun, cpu_before) = (Instant::now(), cpu::seconds_of(&processes)?);
        let until = begun + length;
        let loops: Vec<_> = (0..clients)
            .map(|_| {
                tokio::spawn(book_until(
                    until,
                    self.engine.bookings(),
                    self.platform.clone(),
                    self.event,
                    self.customers.clone(),
                ))
            })
            .collect();
        let mut times = Times::default();
        for own in loops {
            times.0.extend(own.await??);
        }
        Ok(Figures {
            booked: times.0.len(),
            seconds: begun.elapsed().as_secs_f64(),
            cpu_seconds: cpu::seconds_of(&processes)? - cpu_before,
            commits: self.engine.counts().store_commits - before.store_commits,
            reads: self.engine.counts().store_reads - before.store_reads,
            times,
        })
    }
}

async fn book_until(
    until: Instant,
    bookings: boxoffice_engine::app_modules::Bookings,
    platform: Caller,
    event: EventId,
    customers: Arc<AtomicU64>,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    while Instant::now() < until {
        let number = customers.fetch_add(1, Ordering::Relaxed);
        let customer: UserId = format!("01{number:024}").parse()?;
        let caller = platform.on_behalf_of(customer);
        let begun = Instant::now();
        bookings
            .book_tickets(&caller, BookTickets::general(event, 1))
            .await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

#[derive(Default)]
struct Figures {
    booked: usize,
    seconds: f64,
    cpu_seconds: f64,
    commits: u64,
    reads: u64,
    times: Times,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.booked += other.booked;
        self.seconds += other.seconds;
        self.cpu_seconds += other.cpu_seconds;
        self.commits += other.commits;
        self.reads += other.reads;
        self.times.0.extend(other.times.0);
    }

    fn booked_per_cpu_second(&self) -> f64 {
        self.booked as f64 / self.cpu_seconds
    }
}
