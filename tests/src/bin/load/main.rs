//! The load program: figures that anybody can measure again, against any URL.
//!
//! `bookings` books one hot event in closed loops, `fanout` changes an event that many booked and waits until all
//! were told, `mails` fans out inside this process with or without words and SMTP, `smtp-sink` is a mail server that takes everything and keeps nothing. The first two need a host where
//! organizers may register, as with `boxoffice dev`; they print one JSON object to stdout. Rates per second depend on
//! the machine and on what else runs there; successes per CPU-second of the server (`--pid`) are the figure to compare.

mod bookings;
mod cpu;
mod fanout;
mod mails;
mod sink;

use boxoffice_tests::{Account, Client};
use clap::{Args, Parser, Subcommand};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

/// The same as the program's: `mails` measures the engine inside this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures a running boxoffice")]
struct Arguments {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Books one event in closed loops.
    Bookings(bookings::BookingsArguments),
    /// Changes an event that many booked and waits until all were told.
    Fanout(fanout::FanoutArguments),
    /// Fans out in this process, with as many parts as asked for.
    Mails(mails::MailsArguments),
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
    let report = match Arguments::parse().mode {
        Mode::Bookings(arguments) => bookings::run(arguments).await?,
        Mode::Fanout(arguments) => fanout::run(arguments).await?,
        Mode::Mails(arguments) => mails::run(arguments).await?,
        Mode::SmtpSink(arguments) => sink::run(arguments).await?,
    };
    println!("{report:#}");
    Ok(())
}

/// A new organizer with a new event of this many tickets.
async fn organizer_with_event(door: &Client, run: &str, tickets: u64) -> (Account, Value) {
    let organizer = door
        .register(&format!("organizer-{run}@load.test"), "organizer")
        .await;
    let body = json!({
        "title": format!("Load {run}"),
        "startsAt": "2099-12-31T20:00:00Z",
        "location": "Old Hall",
        "ticketTypes": [{"name": "General", "capacity": tickets, "maxPerBooking": 100}],
    });
    let event = organizer.client.post("/api/events", body).await.expect(201);
    (organizer, event)
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
