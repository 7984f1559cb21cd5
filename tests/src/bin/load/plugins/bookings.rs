//! What policies cost a booking: closed loops through the engine, each kind in turns.
//!
//! Every booking is another customer's, as in an opening sale. Nobody sends mails meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use boxoffice_engine::{
    ActivatePlugin, BookTickets, Caller, Engine, EventId, NewBookingDetails, QuoteTickets,
    TenantId, UserId,
};
use boxoffice_tests::{
    TempFolder, create_priced_event, organizer_and_tenant, owner_of, upload, using,
};
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
    for (number, kind) in kinds.into_iter().enumerate() {
        let engine = if kind.is_native { &native } else { &plain };
        let scene = Fixture::of(engine, &format!("tenant-{number}")).await;
        scene.activate(&kind).await?;
        scenes.push((kind.name, scene));
    }
    in_turns(arguments, &scenes).await
}

/// Books with each scene in turns, and tells what it cost beside the first.
pub(super) async fn in_turns(
    arguments: &PluginsArguments,
    scenes: &[(&'static str, Fixture)],
) -> anyhow::Result<Value> {
    let length = Duration::from_secs(arguments.seconds);
    let mut figures: Vec<Figures> = scenes.iter().map(|_| Figures::default()).collect();
    // The first turn warms up and is forgotten. Every second turn goes backwards: a machine that gets slower is fair to all.
    for turn in 0..=arguments.turns {
        let mut order: Vec<usize> = (0..scenes.len()).collect();
        if turn % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let own = scenes[index].1.run(arguments.clients, length).await?;
            if turn > 0 {
                figures[index].add(own);
            }
        }
    }
    let first = figures[0].done_per_cpu_second();
    let report = scenes.iter().zip(&figures).map(|((name, scene), figures)| {
        let rate = figures.done_per_cpu_second();
        json!({
            "kind": name,
            "quotes": scene.is_quoted,
            "done": figures.done,
            "donePerSecond": rounded(figures.done as f64 / figures.seconds),
            "donePerCpuSecond": rounded(rate),
            "cpuMicrosOfEach": rounded(1e6 / rate),
            "lossPercent": rounded((1.0 - rate / first) * 100.0),
            "donePerCommit": rounded(figures.done as f64 / figures.commits as f64),
            "donePerRead": rounded(figures.done as f64 / figures.reads as f64),
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

/// A tenant with an event of which everybody asks the same.
pub(super) struct Fixture {
    pub(super) engine: Engine,
    pub(super) tenant: TenantId,
    platform: Caller,
    pub(super) organizer: Caller,
    event: EventId,
    /// What each request carries beside its ticket.
    pub(super) details: NewBookingDetails,
    /// Asks what a ticket costs, and books none.
    pub(super) is_quoted: bool,
    /// Customers so far.
    customers: Arc<AtomicU64>,
}

impl Fixture {
    pub(super) async fn of(engine: &Engine, name: &str) -> Self {
        let (tenant, organizer, _) = organizer_and_tenant(engine, name).await;
        let event = create_priced_event(engine, &organizer, Timestamp::now(), 10_000_000, 2_000);
        Self {
            engine: engine.clone(),
            platform: Caller::platform(tenant.as_str()),
            event: event.await.id,
            tenant,
            organizer,
            details: NewBookingDetails::default(),
            is_quoted: false,
            customers: Arc::new(AtomicU64::new(1)),
        }
    }

    pub(super) fn event(&self) -> EventId {
        self.event
    }

    async fn activate(&self, kind: &Kind) -> anyhow::Result<()> {
        let engine = &self.engine;
        let owner = owner_of(engine, &self.tenant).await;
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
        Ok(())
    }

    async fn run(&self, clients: usize, length: Duration) -> anyhow::Result<Figures> {
        let processes = [std::process::id()];
        let before = self.engine.counts();
        let (begun, cpu_before) = (Instant::now(), cpu::seconds_of(&processes)?);
        let until = begun + length;
        let loops: Vec<_> = (0..clients)
            .map(|_| {
                let details = self.details.clone();
                let asked = self.is_quoted.then(|| QuoteTickets {
                    event: self.event,
                    lines: BookTickets::general(self.event, 1).lines,
                    customer: None,
                    details: details.clone(),
                });
                let command = BookTickets {
                    details,
                    ..BookTickets::general(self.event, 1)
                };
                tokio::spawn(ask_until(
                    until,
                    self.engine.bookings(),
                    self.platform.clone(),
                    (command, asked),
                    self.customers.clone(),
                ))
            })
            .collect();
        let mut times = Times::default();
        for own in loops {
            times.0.extend(own.await??);
        }
        Ok(Figures {
            done: times.0.len(),
            seconds: begun.elapsed().as_secs_f64(),
            cpu_seconds: cpu::seconds_of(&processes)? - cpu_before,
            commits: self.engine.counts().store_commits - before.store_commits,
            reads: self.engine.counts().store_reads - before.store_reads,
            times,
        })
    }
}

async fn ask_until(
    until: Instant,
    bookings: boxoffice_engine::app_modules::Bookings,
    platform: Caller,
    (command, asked): (BookTickets, Option<QuoteTickets>),
    customers: Arc<AtomicU64>,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    while Instant::now() < until {
        let number = customers.fetch_add(1, Ordering::Relaxed);
        let customer: UserId = format!("01{number:024}").parse()?;
        let caller = platform.on_behalf_of(customer);
        let begun = Instant::now();
        match &asked {
            Some(asked) => drop(bookings.quote(&caller, asked.clone()).await?),
            None => drop(bookings.book_tickets(&caller, command.clone()).await?),
        }
        times.push(begun.elapsed());
    }
    Ok(times)
}

#[derive(Default)]
struct Figures {
    done: usize,
    seconds: f64,
    cpu_seconds: f64,
    commits: u64,
    reads: u64,
    times: Times,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.seconds += other.seconds;
        self.cpu_seconds += other.cpu_seconds;
        self.commits += other.commits;
        self.reads += other.reads;
        self.times.0.extend(other.times.0);
    }

    fn done_per_cpu_second(&self) -> f64 {
        self.done as f64 / self.cpu_seconds
    }
}
