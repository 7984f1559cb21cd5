//! One change, many mails: how long until everybody was told.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use boxoffice_tests::{Account, Client};
use clap::Args;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::{Target, cpu, customers, event_of, new_run, organizer, sink};

/// Often enough for a tenth of a second, seldom enough to cost the server nothing.
const POLL: Duration = Duration::from_millis(100);

#[derive(Args)]
pub(crate) struct FanoutArguments {
    #[command(flatten)]
    target: Target,
    /// Customers with one booking each.
    #[arg(long, default_value_t = 10_000)]
    recipients: usize,
    /// The `smtp-sink` that the server sends to; with it, the confirmations are waited for before the change is made.
    #[arg(long)]
    sink: Option<String>,
    /// When to give up.
    #[arg(long, default_value_t = 1800)]
    seconds_max: u64,
}

pub(crate) async fn run(arguments: FanoutArguments) -> anyhow::Result<Value> {
    let FanoutArguments {
        target,
        recipients,
        sink,
        seconds_max,
    } = arguments;
    let (door, run) = (Client::new(&target.url).tenant(&target.tenant), new_run());
    let before = taken(sink.as_deref()).await?;
    let organizer = organizer(&door, &run).await;
    let event = event_of(&organizer, &run, recipients as u64).await;
    eprintln!("signing up {recipients} customers");
    let customers = customers(&door, &run, recipients).await;
    let id = &event["id"];
    let bookings = customers.iter().map(|customer| async move {
        customer
            .client
            .post("/api/bookings", json!({"eventId": id, "numTickets": 1}))
            .await
            .expect(201)
    });
    stream::iter(bookings)
        .buffer_unordered(64)
        .collect::<Vec<Value>>()
        .await;
    let bound = Instant::now() + Duration::from_secs(seconds_max);
    while sink.is_some() && taken(sink.as_deref()).await? < before + recipients as u64 {
        anyhow::ensure!(Instant::now() < bound, "the confirmations did not arrive");
        tokio::time::sleep(POLL).await;
    }

    eprintln!("changing the event");
    let path = format!("/api/events/{}", id.as_str().context("an event has an id")?);
    let (start, cpu_before) = (Instant::now(), cpu::seconds_of(&target.pid)?);
    let changed = organizer
        .client
        .patch(&path, "\"1\"", json!({"location": "New Hall"}))
        .await
        .expect(200);
    let notification = changed["notification"]["id"]
        .as_str()
        .context("the change notifies")?
        .to_owned();
    let deliveries = until_final(&organizer, &notification, recipients as u64, bound).await?;
    let (elapsed, cpu_seconds) = (
        start.elapsed().as_secs_f64(),
        cpu::seconds_of(&target.pid)? - cpu_before,
    );
    Ok(json!({
        "mode": "fanout",
        "recipients": recipients,
        "seconds": elapsed,
        "mailsPerSecond": recipients as f64 / elapsed,
        "deliveries": deliveries,
        "serverCpuSeconds": (!target.pid.is_empty()).then_some(cpu_seconds),
        "mailsPerServerCpuSecond": (!target.pid.is_empty()).then_some(recipients as f64 / cpu_seconds),
    }))
}

async fn until_final(
    organizer: &Account,
    notification: &str,
    all: u64,
    bound: Instant,
) -> anyhow::Result<Value> {
    loop {
        let shown = organizer
            .client
            .get(&format!("/api/notifications/{notification}"))
            .await
            .expect(200);
        let deliveries = &shown["deliveries"];
        let ended = ["sent", "dead", "suppressed", "unknown"];
        if ended
            .iter()
            .filter_map(|state| deliveries[state].as_u64())
            .sum::<u64>()
            >= all
        {
            return Ok(deliveries.clone());
        }
        anyhow::ensure!(
            Instant::now() < bound,
            "not everybody was told in time: {shown}"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// How many mails the sink has taken; 0 without one.
async fn taken(sink: Option<&str>) -> anyhow::Result<u64> {
    match sink {
        Some(address) => sink::taken(address).await,
        None => Ok(0),
    }
}
