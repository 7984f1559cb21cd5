//! The load program: figures that anybody can measure again, against any URL.
//!
//! Over HTTP: `bookings` books hot events, `race` lets a crowd run for the last tickets, `route` asks for next to
//! nothing, `fanout` changes an event that many booked and waits until all were told, `dashboards` looks on. They need a host where organizers
//! may register, as with `boxoffice dev`. In this process: `ceiling` books without HTTP, `mails` fans out with or without
//! words and SMTP, `plugins` calls components and books with policies. `smtp-sink` is a mail server that takes everything and keeps nothing. Each prints one JSON object to
//! stdout. Rates per second depend on the machine and on what else runs there; successes per CPU-second of the server
//! (`--pid`) are the figure to compare. CONTRIBUTING.md shows a whole run.

// Optimised builds lay out the database's deep futures.
#![recursion_limit = "256"]

mod bookings;
mod ceiling;
mod cpu;
mod dashboards;
mod drive;
mod fanout;
mod mails;
mod plugins;
mod race;
mod route;
mod rows;
mod sink;

use boxoffice_tests::{Account, Client};
use clap::{Args, Parser, Subcommand};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

/// The same as the program's: `mails` measures the engine inside this process.
#[global_allocator]
static ALLOCATOR: boxoffice_host::Allocator = boxoffice_host::Allocator;

#[derive(Parser)]
#[command(about = "Measures a running boxoffice")]
struct Arguments {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Books hot events, in closed loops or at a constant rate.
    Bookings(bookings::BookingsArguments),
    /// More clients than tickets, all at once.
    Race(race::RaceArguments),
    /// Asks for next to nothing: what the door costs.
    Route(route::RouteArguments),
    /// Books in this process, without HTTP: straight into the store, or through the engine.
    Ceiling(ceiling::CeilingArguments),
    /// Changes an event that many booked and waits until all were told.
    Fanout(fanout::FanoutArguments),
    /// Fans out in this process, with as many parts as asked for.
    Mails(mails::MailsArguments),
    /// Opens dashboards, and asks what they cost while something else goes on.
    Dashboards(dashboards::DashboardsArguments),
    /// Calls plugins, and books with policies, in this process.
    Plugins(plugins::PluginsArguments),
    /// Takes every mail and forgets it.
    SmtpSink(sink::SinkArguments),
}

/// Which server is measured.
#[derive(Args)]
struct Target {
    /// Where the host listens, such as http://127.0.0.1:8080.
    #[arg(long)]
    url: String,
    /// The tenant; that of `boxoffice dev` unless named.
    #[arg(long, default_value = "demo")]
    tenant: String,
    /// Process ids of the server, for CPU-seconds; several times for several processes.
    #[arg(long)]
    pid: Vec<u32>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    boxoffice_tests::without_spans();
    let report = match Arguments::parse().mode {
        Mode::Bookings(arguments) => bookings::run(arguments).await?,
        Mode::Race(arguments) => race::run(arguments).await?,
        Mode::Route(arguments) => route::run(arguments).await?,
        Mode::Ceiling(arguments) => ceiling::run(arguments).await?,
        Mode::Fanout(arguments) => fanout::run(arguments).await?,
        Mode::Mails(arguments) => mails::run(arguments).await?,
        Mode::Dashboards(arguments) => dashboards::run(arguments).await?,
        Mode::Plugins(arguments) => plugins::run(arguments).await?,
        Mode::SmtpSink(arguments) => sink::run(arguments).await?,
    };
    println!("{report:#}");
    Ok(())
}

/// A new organizer.
async fn organizer(door: &Client, run: &str) -> Account {
    door.register(&format!("organizer-{run}@load.test"), "organizer")
        .await
}

/// A new event of this many tickets.
async fn event_of(organizer: &Account, name: &str, tickets: u64) -> Value {
    let body = json!({
        "title": format!("Load {name}"),
        "startsAt": "2099-12-31T20:00:00Z",
        "location": "Old Hall",
        "ticketTypes": [{"name": "General", "capacity": tickets, "maxPerBooking": 100}],
    });
    organizer.client.post("/api/events", body).await.expect(201)
}

/// New customers, signed up some at a time.
async fn customers(door: &Client, run: &str, count: usize) -> Vec<Account> {
    let sign_ups = (0..count).map(|number| async move {
        door.register(&format!("customer-{number}-{run}@load.test"), "customer")
            .await
    });
    stream::iter(sign_ups).buffered(8).collect().await
}

/// A name that no earlier run against the same store had.
fn new_run() -> String {
    format!("{:x}", jiff::Timestamp::now().as_millisecond())
}
