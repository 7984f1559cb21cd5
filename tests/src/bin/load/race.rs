//! The last tickets: more clients than tickets, all at once. Fails unless exactly as many are sold as there are.

use std::time::Instant;

use anyhow::Context as _;
use boxoffice_tests::{Account, Answer, Client};
use clap::Args;
use futures::future;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    Target, customers,
    drive::{CpuWatch, Tally},
    event_of, new_run, organizer,
};

#[derive(Args)]
pub(crate) struct RaceArguments {
    #[command(flatten)]
    target: Target,
    /// Clients, each with a connection and a customer of its own, who book one ticket each.
    #[arg(long, default_value_t = 500)]
    clients: usize,
    /// Tickets there are.
    #[arg(long, default_value_t = 100)]
    tickets: u64,
    /// Races, each for an event of its own.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
}

pub(crate) async fn run(arguments: RaceArguments) -> anyhow::Result<Value> {
    let RaceArguments {
        target,
        clients,
        tickets,
        rounds,
    } = arguments;
    let (door, run) = (Client::new(&target.url).tenant(&target.tenant), new_run());
    let organizer = organizer(&door, &run).await;
    let customers = customers(&door, &run, clients).await;
    let mut reports = Vec::new();
    for round in 0..rounds {
        let event = event_of(&organizer, &format!("{run}-{round}"), tickets).await;
        // Everybody is at the door: connections are open before the sale begins.
        future::join_all(customers.iter().map(|one| one.client.get("/health/live"))).await;
        let watch = CpuWatch::begin(&target.pid)?;
        let tally = race(&customers, &event["id"]).await?;
        let (sold, refused) = (tally.count(), tally.count_of(409));
        let mut report = watch.end("sold", tally)?;
        let path = format!("/api/events/{}", event["id"].as_str().context("an id")?);
        let counted = organizer.client.get(&path).await.expect(200)["ticketsSold"].clone();
        let expected = tickets.min(clients as u64);
        anyhow::ensure!(
            sold == expected && counted == json!(expected) && sold + refused == clients as u64,
            "{sold} sold, {refused} refused, {counted} counted, of {tickets} tickets for {clients} clients: {report:?}"
        );
        report.insert("refused".to_owned(), json!(refused));
        reports.push(Value::Object(report));
    }
    Ok(json!({"mode": "race", "clients": clients, "tickets": tickets, "rounds": reports}))
}

/// Lets everybody ask for one ticket at once and waits until all are answered.
async fn race(customers: &[Account], event: &Value) -> anyhow::Result<Tally> {
    let body = json!({"eventId": event, "numTickets": 1});
    let clients = customers.iter().map(|customer| {
        let request = customer.client.request(Method::POST, "/api/bookings");
        let request = request.json(&body);
        tokio::spawn(async move {
            let mut tally = Tally::default();
            let start = Instant::now();
            let answer = Answer::try_of(request).await;
            tally.note(answer.map_or(0, |answer| answer.status), 201, start);
            tally
        })
    });
    let mut all = Tally::default();
    for client in clients.collect::<Vec<_>>() {
        all.add(client.await?);
    }
    Ok(all)
}
