//! Bookings of hot events over HTTP: closed loops, or a constant rate.

use std::{sync::Arc, time::Duration};

use boxoffice_tests::{Account, Client};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    Target, customers,
    drive::{CpuWatch, Make, Pace, drive},
    event_of, new_run, organizer,
};

/// Clients that book what is to be there before: enough to fill whole groups.
const PREFILL_CLIENTS: usize = 128;

#[derive(Args)]
pub(crate) struct BookingsArguments {
    #[command(flatten)]
    target: Target,
    /// Clients at the same time, each with a connection and a customer of its own.
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Bookings a second, sent in equal distances by whichever client is free; without it each client books again as
    /// soon as it is answered. Latencies count from when a booking should have been sent. Give enough clients that
    /// `latestStartMillis` stays small, or read it as the time that people stand in line.
    #[arg(long)]
    rate: Option<f64>,
    /// Events that are booked in turn.
    #[arg(long, default_value_t = 1)]
    events: u64,
    /// Bookings that are made before, shared out among the events.
    #[arg(long, default_value_t = 0)]
    prefill: u64,
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
        events,
        ..
    } = arguments;
    anyhow::ensure!(
        clients > 0 && events > 0,
        "there is at least one client and one event"
    );
    let (door, run) = (Client::new(&target.url).tenant(&target.tenant), new_run());
    let organizer = organizer(&door, &run).await;
    let mut ids = Vec::new();
    for number in 0..events {
        let event = event_of(&organizer, &format!("{run}-{number}"), 10_000_000).await;
        ids.push(event["id"].clone());
    }
    let customers = customers(&door, &run, clients).await;
    let request = |phase: &str| booking(&ids, arguments.keys.then(|| format!("{run}-{phase}")));
    let pace = |seconds: u64| match arguments.rate {
        Some(per_second) => Pace::Constant {
            per_second,
            lasts: Duration::from_secs(seconds),
        },
        None => Pace::Closed(Duration::from_secs(seconds)),
    };
    if arguments.prefill > 0 {
        eprintln!("{} bookings before", arguments.prefill);
        let pace = Pace::Count(arguments.prefill);
        let tally = drive(&customers, PREFILL_CLIENTS, pace, 201, request("prefill")).await?;
        anyhow::ensure!(
            tally.count() == arguments.prefill,
            "not all bookings before succeeded"
        );
    }
    let warm_up = pace(arguments.warm_up_seconds);
    drive(&customers, clients, warm_up, 201, request("warm-up")).await?;

    let watch = CpuWatch::begin(&target.pid)?;
    let measured = pace(arguments.seconds);
    let tally = drive(&customers, clients, measured, 201, request("measured")).await?;
    let mut report = watch.end("booked", tally)?;
    report.insert("mode".to_owned(), json!("bookings"));
    report.insert("clients".to_owned(), json!(clients));
    report.insert("events".to_owned(), json!(events));
    report.insert("ratePerSecond".to_owned(), json!(arguments.rate));
    report.insert("bookingsBefore".to_owned(), json!(arguments.prefill));
    Ok(Value::Object(report))
}

/// One ticket of each event in turn.
fn booking(events: &[Value], key: Option<String>) -> Make {
    let events = events.to_vec();
    Arc::new(move |account: &Account, number| {
        let event = &events[(number % events.len() as u64) as usize];
        let body = json!({"eventId": event, "numTickets": 1});
        let request = account
            .client
            .request(Method::POST, "/api/bookings")
            .json(&body);
        match &key {
            Some(key) => request.header("Idempotency-Key", format!("{key}-{number}")),
            None => request,
        }
    })
}
