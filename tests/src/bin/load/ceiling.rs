//! What bookings could cost at best: in this process, without HTTP, over a store in a folder that syncs every commit.
//!
//! `store` writes the rows of whole groups straight into SurrealDB, one transaction after the other for each event: the
//! guarded inventory, its ledger row, and for each booking its row, the line in its customer's list and its share of
//! mail batches and outbox rows. It reads nothing and decides nothing. The rows have the shapes that the engine's have;
//! they are written down here again, because the engine shows no row to anybody. `engine` books through the engine.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use boxoffice_engine::{BookTickets, Caller, Engine, EventId, TenantId};
use boxoffice_tests::{TempFolder, create_event, email, ensure_customer, organizer_and_tenant};
use clap::{Args, ValueEnum};
use serde_json::json;
use surrealdb::{
    Surreal,
    engine::any::{Any, connect},
    types::SurrealValue as _,
};

use crate::{
    drive::{CpuWatch, Tally},
    rows::{Group, InventoryRow, TRANSACTION, name},
};

/// Events whose bookings get different serials; see `rows`.
const EVENTS_MAX: usize = 10_000;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Through {
    /// Straight into SurrealDB.
    Store,
    /// Through the engine, its lanes and its rules.
    Engine,
}

#[derive(Args)]
pub(crate) struct CeilingArguments {
    /// Which ceiling.
    #[arg(long, value_enum)]
    through: Through,
    /// Bookings of one transaction (`store`), or clients that book at the same time (`engine`).
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Events that are booked at the same time.
    #[arg(long, default_value_t = 1)]
    events: usize,
    /// How long is measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

pub(crate) async fn run(arguments: CeilingArguments) -> anyhow::Result<serde_json::Value> {
    anyhow::ensure!(
        arguments.clients > 0 && arguments.events > 0,
        "there is at least one client and one event"
    );
    anyhow::ensure!(
        arguments.events <= EVENTS_MAX,
        "at most {EVENTS_MAX} events: their serials begin with four digits of the event's number"
    );
    let folder = TempFolder::new("ceiling");
    let watch;
    let (name, tally) = match arguments.through {
        Through::Store => {
            let db = open(&folder).await?;
            watch = CpuWatch::begin(&[std::process::id()])?;
            ("store", through_store(&db, &arguments).await?)
        }
        Through::Engine => {
            let builder = Engine::builder().embedded(folder.path().join("db"));
            let engine = builder.build().await?;
            let (events, customers) = people(&engine, &arguments).await?;
            watch = CpuWatch::begin(&[std::process::id()])?;
            let tally = through_engine(&engine, &events, customers, &arguments).await?;
            ("engine", tally)
        }
    };
    let mut report = watch.end("booked", tally)?;
    report.insert("mode".to_owned(), json!("ceiling"));
    report.insert("through".to_owned(), json!(name));
    report.insert("clients".to_owned(), json!(arguments.clients));
    report.insert("events".to_owned(), json!(arguments.events));
    Ok(serde_json::Value::Object(report))
}

async fn people(
    engine: &Engine,
    arguments: &CeilingArguments,
) -> anyhow::Result<(Vec<EventId>, Vec<Caller>)> {
    let (tenant, organizer, _) = organizer_and_tenant(engine, "north").await;
    let mut events = Vec::new();
    for _ in 0..arguments.events {
        let event = create_event(engine, &organizer, jiff::Timestamp::now(), 10_000_000).await;
        events.push(event.id);
    }
    let mut customers = Vec::new();
    for number in 0..arguments.clients {
        customers.push(customer(engine, &tenant, number).await);
    }
    Ok((events, customers))
}

async fn customer(engine: &Engine, tenant: &TenantId, number: usize) -> Caller {
    let name = format!("c{number}");
    ensure_customer(engine, tenant, &name, email(&name, tenant)).await
}

async fn through_engine(
    engine: &Engine,
    events: &[EventId],
    customers: Vec<Caller>,
    arguments: &CeilingArguments,
) -> anyhow::Result<Tally> {
    let until = Instant::now() + Duration::from_secs(arguments.seconds);
    let numbers = Arc::new(AtomicU64::new(0));
    let clients = customers.into_iter().map(|customer| {
        let (engine, events, numbers) = (engine.clone(), events.to_vec(), numbers.clone());
        tokio::spawn(async move {
            let mut tally = Tally::default();
            while Instant::now() < until {
                let number = numbers.fetch_add(1, Ordering::Relaxed) as usize;
                let command = BookTickets::general(events[number % events.len()], 1);
                let start = Instant::now();
                engine.bookings().book_tickets(&customer, command).await?;
                tally.note(201, 201, start);
            }
            anyhow::Ok(tally)
        })
    });
    sum(clients.collect()).await
}

async fn sum(
    clients: Vec<tokio::task::JoinHandle<anyhow::Result<Tally>>>,
) -> anyhow::Result<Tally> {
    let mut all = Tally::default();
    for client in clients {
        all.add(client.await??);
    }
    Ok(all)
}

pub(crate) async fn open(folder: &TempFolder) -> anyhow::Result<Surreal<Any>> {
    let path = folder.path().join("db");
    std::fs::create_dir_all(&path)?;
    let db = connect(format!("surrealkv://{}?sync=every", path.display())).await?;
    db.use_ns("boxoffice").use_db("main").await?;
    let tables = [
        "inventory",
        "capacity_ledger",
        "booking",
        "booking_numbers",
        "customer_booking",
        "delivery_batch",
        "outbox",
    ];
    for table in tables {
        db.query(format!("DEFINE TABLE {table} SCHEMALESS"))
            .await?
            .check()?;
    }
    Ok(db)
}

async fn through_store(db: &Surreal<Any>, arguments: &CeilingArguments) -> anyhow::Result<Tally> {
    let until = Instant::now() + Duration::from_secs(arguments.seconds);
    let size = arguments.clients;
    let events = (0..arguments.events).map(|number| {
        let db = db.clone();
        tokio::spawn(async move {
            let event = name('e', number);
            let row = InventoryRow::of(&event, 0, 0).into_value();
            let made = db.query("INSERT INTO inventory $row").bind(("row", row));
            made.await?.check()?;
            let mut tally = Tally::default();
            let mut revision = 0;
            while Instant::now() < until {
                let start = Instant::now();
                let group = Group::of(&event, revision, size).into_value();
                db.query(TRANSACTION).bind(group).await?.check()?;
                revision += 1;
                (0..size).for_each(|_| tally.note(201, 201, start));
            }
            anyhow::Ok(tally)
        })
    });
    sum(events.collect()).await
}
