//! Closed loops on one hot event: each client books, waits for the answer, and books again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use boxoffice_tests::{Answer, Client};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Target, cpu, customers, new_run, organizer_with_event};

#[derive(Args)]
pub(crate) struct BookingsArguments {
    #[command(flatten)]
    target: Target,
    /// Clients at the same time, each with a customer of its own.
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// How long is measured.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How long the same load runs before, unmeasured.
    #[arg(long, default_value_t = 3)]
    warm_up_seconds: u64,
    /// Sends an Idempotency-Key with every request.
    #[arg(long)]
    keys: bool,
}

pub(crate) async fn run(arguments: BookingsArguments) -> anyhow::Result<Value> {
    let BookingsArguments {
        target,
        clients,
        seconds,
        warm_up_seconds,
        keys,
    } = arguments;
    let (door, run) = (Client::new(&target.url).tenant(&target.tenant), new_run());
    let (_, event) = organizer_with_event(&door, &run, 10_000_000).await;
    let customers = customers(&door, &run, clients).await;
    let load = |phase: &'static str, length: u64| {
        let until = Instant::now() + Duration::from_secs(length);
        let loops = customers.iter().enumerate().map(|(index, customer)| {
            let key = keys.then(|| format!("{run}-{phase}-{index}"));
            tokio::spawn(book_until(
                until,
                customer.client.clone(),
                event["id"].clone(),
                key,
            ))
        });
        futures::future::join_all(loops.collect::<Vec<_>>())
    };
    load("warm-up", warm_up_seconds).await;

    let (start, cpu_before) = (Instant::now(), cpu::seconds_of(&target.pid)?);
    let loops = load("measured", seconds).await;
    let (elapsed, cpu_seconds) = (
        start.elapsed().as_secs_f64(),
        cpu::seconds_of(&target.pid)? - cpu_before,
    );
    let mut all = Tally::default();
    for tally in loops {
        all.add(tally?);
    }
    all.micros.sort_unstable();
    let booked = all.micros.len() as f64;
    Ok(json!({
        "mode": "bookings",
        "clients": clients,
        "seconds": elapsed,
        "booked": all.micros.len(),
        "refused": all.refused,
        "bookedPerSecond": booked / elapsed,
        "p50Millis": all.percentile(0.50),
        "p99Millis": all.percentile(0.99),
        "serverCpuSeconds": (!target.pid.is_empty()).then_some(cpu_seconds),
        "bookedPerServerCpuSecond": (!target.pid.is_empty()).then_some(booked / cpu_seconds),
    }))
}

/// What one client got.
#[derive(Default)]
struct Tally {
    /// How long each success took.
    micros: Vec<u64>,
    /// How often which other answer came; `0` is no answer.
    refused: BTreeMap<u16, u64>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.micros.extend(other.micros);
        for (status, count) in other.refused {
            *self.refused.entry(status).or_default() += count;
        }
    }

    fn percentile(&self, part: f64) -> Option<f64> {
        let index = ((self.micros.len() as f64 - 1.0) * part).round() as usize;
        self.micros.get(index).map(|micros| *micros as f64 / 1000.0)
    }
}

async fn book_until(until: Instant, client: Client, event: Value, key: Option<String>) -> Tally {
    let mut tally = Tally::default();
    let body = json!({"eventId": event, "numTickets": 1});
    let mut number = 0_u64;
    while Instant::now() < until {
        let mut request = client.request(Method::POST, "/api/bookings").json(&body);
        if let Some(key) = &key {
            request = request.header("Idempotency-Key", format!("{key}-{number}"));
            number += 1;
        }
        let start = Instant::now();
        let status = Answer::try_of(request)
            .await
            .map_or(0, |answer| answer.status);
        if status == 201 {
            tally.micros.push(start.elapsed().as_micros() as u64);
        } else {
            *tally.refused.entry(status).or_default() += 1;
        }
    }
    tally
}
