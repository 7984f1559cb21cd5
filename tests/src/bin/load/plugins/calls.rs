//! Calls one by one and on all cores: through the plugin host as it is shipped, bare, and of a native policy.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use boxoffice_engine::{
    PluginHash, PluginLimits, SalesChannel, TenantId,
    ports::{
        BookingView, CallPriority, CustomerView, EventView, LineView, LoadPurpose, PluginCall,
        PluginRef, PluginRequest, PluginRuntime as _, Policy as _, TicketTypeView,
    },
};
use boxoffice_host::PluginHost;
use serde_json::{Value, json};

use super::{
    Example, PluginsArguments, Times,
    bare::{Bare, Callable},
    native::EarlyBird,
    rounded,
};

const TURNS: usize = 10;
/// Tenants that call at the same time: one alone has eight slots.
const TENANTS: usize = 4;
const CALLS_OF_A_TENANT: usize = 8;

pub(super) async fn run(arguments: &PluginsArguments) -> anyhow::Result<Value> {
    let host = arguments.host()?;
    let (bare, bare_limited) = (Bare::new(false)?, Bare::new(true)?);
    let mut report = Vec::new();
    for example in arguments.examples()? {
        let own = Measured::load(&host, &bare, &bare_limited, &example).await?;
        report.push(own.measure(arguments, &example).await?);
        eprintln!("{}: done", example.name);
    }
    Ok(json!({
        "native": native(arguments).await?,
        "examples": report,
    }))
}

struct Measured {
    host: PluginHost,
    calls: Vec<PluginCall>,
    bare: Callable,
    bare_limited: Callable,
}

impl Measured {
    async fn load(
        host: &PluginHost,
        bare: &Bare,
        bare_limited: &Bare,
        example: &Example,
    ) -> anyhow::Result<Self> {
        let hash = PluginHash::of(&example.bytes);
        let mut calls = Vec::new();
        for number in 0..TENANTS {
            let tenant = TenantId::parse(&format!("tenant-{number}"))?;
            let plugin = PluginRef { tenant, hash };
            let bytes = Arc::new(example.bytes.clone());
            host.load(&plugin, bytes, LoadPurpose::Use).await?;
            calls.push(PluginCall {
                plugin,
                config: example.config.as_str().into(),
                limits: PluginLimits::default(),
                priority: CallPriority::Request,
            });
        }
        let compile = |bare: &Bare| bare.compile(&example.bytes, &example.request, &example.config);
        Ok(Self {
            host: host.clone(),
            calls,
            bare: compile(bare)?,
            bare_limited: compile(bare_limited)?,
        })
    }

    async fn measure(
        &self,
        arguments: &PluginsArguments,
        example: &Example,
    ) -> anyhow::Result<Value> {
        let each = (arguments.calls / TURNS).max(1);
        let (mut shipped, mut on_thread, mut bare, mut bare_limited) = (
            Times::default(),
            Times::default(),
            Times::default(),
            Times::default(),
        );
        let mut usage = Default::default();
        // The first turn warms up and is forgotten.
        for turn in 0..=TURNS {
            let mut own = (Vec::new(), Vec::new());
            for _ in 0..each {
                let begun = Instant::now();
                let outcome = self.host.call(&self.calls[0], &example.request).await;
                own.0.push(begun.elapsed());
                own.1
                    .push(Duration::from_micros(outcome.usage.microseconds));
                usage = outcome.usage;
                if let Err(failure) = outcome.answer {
                    bail!("{}: {failure}", example.name);
                }
            }
            let others = (timed(&self.bare, each)?, timed(&self.bare_limited, each)?);
            if turn > 0 {
                shipped.0.extend(own.0);
                on_thread.0.extend(own.1);
                bare.0.extend(others.0);
                bare_limited.0.extend(others.1);
            }
        }
        let length = Duration::from_secs(arguments.seconds);
        Ok(json!({
            "plugin": example.name,
            "fixture": example.fixture,
            "sizeBytes": example.bytes.len(),
            "fuel": usage.fuel,
            "memoryBytes": usage.memory_bytes,
            "shipped": shipped.report(),
            "shippedOnItsThread": on_thread.report(),
            "bare": bare.report(),
            "bareWithFuelAndEpochs": bare_limited.report(),
            "shippedToBare": rounded(shipped.median_micros() / bare.median_micros()),
            "shippedToBareWithFuelAndEpochs": rounded(shipped.median_micros() / bare_limited.median_micros()),
            "callsPerSecond": rounded(self.rate(length, &example.request).await?),
            "bareCallsPerSecond": rounded(bare_rate(length, &self.bare)?),
        }))
    }

    /// Calls a second with all slots of four tenants in use, on as many threads as there are cores.
    async fn rate(&self, length: Duration, request: &PluginRequest) -> anyhow::Result<f64> {
        let until = Instant::now() + length;
        let begun = Instant::now();
        let loops = self
            .calls
            .iter()
            .flat_map(|call| vec![call; CALLS_OF_A_TENANT]);
        let loops: Vec<_> = loops
            .map(|call| {
                let (host, call, request) = (self.host.clone(), call.clone(), request.clone());
                tokio::spawn(async move {
                    let mut count = 0_u64;
                    while Instant::now() < until {
                        let outcome = host.call(&call, &request).await;
                        outcome.answer.map_err(anyhow::Error::new)?;
                        count += 1;
                    }
                    anyhow::Ok(count)
                })
            })
            .collect();
        let mut calls = 0;
        for own in loops {
            calls += own.await??;
        }
        Ok(calls as f64 / begun.elapsed().as_secs_f64())
    }
}

/// Times bare calls one by one, on a thread of their own.
fn timed(callable: &Callable, count: usize) -> anyhow::Result<Vec<Duration>> {
    let callable = callable.clone();
    let one_by_one = move || {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let begun = Instant::now();
            callable.call()?;
            times.push(begun.elapsed());
        }
        anyhow::Ok(times)
    };
    join(thread::spawn(one_by_one))
}

fn bare_rate(length: Duration, callable: &Callable) -> anyhow::Result<f64> {
    let (over, calls) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let begun = Instant::now();
    let threads: Vec<_> = (0..cores)
        .map(|_| {
            let (over, calls, callable) = (over.clone(), calls.clone(), callable.clone());
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    callable.call()?;
                    calls.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            })
        })
        .collect();
    thread::sleep(length);
    over.store(true, Ordering::Relaxed);
    for thread in threads {
        join(thread)?;
    }
    Ok(calls.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

fn join<T>(thread: thread::JoinHandle<anyhow::Result<T>>) -> anyhow::Result<T> {
    thread
        .join()
        .map_err(|_| anyhow::anyhow!("a calling thread panicked"))?
}

/// The native counterpart of `early-bird-price`, a thousand calls at a time: one alone is less than a clock can tell.
async fn native(arguments: &PluginsArguments) -> anyhow::Result<Value> {
    let example = arguments.example("early-bird-price")?;
    let PluginRequest::ValidateBooking(request) = &example.request else {
        bail!("the fixtures of early-bird-price are bookings");
    };
    let moment = |text: &str| text.parse().context("a moment in RFC 3339");
    let kinds = request.event.ticket_types.iter();
    let lines = request.lines.iter();
    let view = BookingView {
        channel: SalesChannel::Own,
        seller: None,
        tenant: TenantId::parse("tenant-0")?,
        event: EventView {
            id: request.event.id.parse()?,
            version: request.event.version.into(),
            title: request.event.title.clone(),
            starts_at: moment(&request.event.starts_at)?,
            ends_at: None,
            time_zone: request.event.time_zone.clone(),
            location: request.event.location.clone(),
            currency: request.event.currency.clone(),
            ticket_types: kinds
                .map(|kind| TicketTypeView {
                    id: kind.id.clone(),
                    name: kind.name.clone(),
                    price_minor: kind.price_minor,
                    metadata: Default::default(),
                })
                .collect(),
            reference: None,
            metadata: Default::default(),
        },
        lines: lines
            .map(|line| LineView {
                ticket_type: line.ticket_type.clone(),
                quantity: line.quantity,
                unit_price_minor: line.unit_price_minor,
            })
            .collect(),
        customer: CustomerView {
            pseudonym: request.customer.pseudonym.clone(),
            tickets_in_event: request.customer.tickets_in_event,
        },
        details: Default::default(),
        now: moment(&request.now.utc)?,
    };
    let policy = EarlyBird {
        percent_off: 20,
        hours_before: 72,
    };
    let mut times = Times::default();
    for _ in 0..arguments.calls {
        let begun = Instant::now();
        for _ in 0..1_000 {
            black_box(policy.validate_booking(black_box(&view)).await)
                .map_err(anyhow::Error::new)?;
        }
        times.0.push(begun.elapsed() / 1_000);
    }
    Ok(json!({ "policy": "early-bird-price", "call": times.report() }))
}
