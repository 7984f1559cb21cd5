//! What the guard of decisions adds to the transaction that writes a group of bookings: the same rows straight into the
//! store, with and without it, in turns.

use std::time::{Duration, Instant};

use boxoffice_tests::TempFolder;
use serde_json::{Value, json};
use surrealdb::types::SurrealValue as _;

use super::{PluginsArguments, Times, rounded};
use crate::{
    ceiling, cpu,
    rows::{Group, InventoryRow, TRANSACTION, name},
};

/// The statement of the engine's `add_policy_guard`.
const GUARD: &str = "IF ((SELECT VALUE version FROM ONLY plugin_set:['north'] FOR UPDATE) ?? 0) != 1 { THROW 'policies-moved' };
";
/// Bookings of a group: alone, and under load.
const SIZES: [usize; 3] = [1, 16, 64];

pub(super) async fn run(arguments: &PluginsArguments) -> anyhow::Result<Value> {
    let guarded = TRANSACTION.replacen("BEGIN;\n", &format!("BEGIN;\n{GUARD}"), 1);
    anyhow::ensure!(guarded != TRANSACTION, "the transaction begins with BEGIN");
    let mut report = Vec::new();
    for size in SIZES {
        // A store for each: the rows of one size would be in the way of the next one's.
        let folder = TempFolder::new("guard");
        let db = ceiling::open(&folder).await?;
        let set =
            "DEFINE TABLE plugin_set SCHEMALESS; CREATE plugin_set:['north'] SET version = 1;";
        db.query(set).await?.check()?;
        let event = name('e', 0);
        let row = InventoryRow::of(&event, 0, 0).into_value();
        let made = db.query("INSERT INTO inventory $row").bind(("row", row));
        made.await?.check()?;
        let mut revision = 0;
        let mut figures = [Figures::default(), Figures::default()];
        // The first turn warms up and is forgotten.
        for turn in 0..=arguments.turns {
            for (own, transaction) in figures.iter_mut().zip([TRANSACTION, &guarded]) {
                let (begun, cpu_before) = (Instant::now(), cpu_seconds()?);
                let mut times = Vec::new();
                while begun.elapsed() < Duration::from_secs(arguments.seconds) {
                    let group = Group::of(&event, revision, size).into_value();
                    let asked = Instant::now();
                    db.query(transaction).bind(group).await?.check()?;
                    times.push(asked.elapsed());
                    revision += 1;
                }
                if turn > 0 {
                    own.cpu_seconds += cpu_seconds()? - cpu_before;
                    own.times.0.extend(times);
                }
            }
        }
        let [without, with] = figures.map(|figures| figures.report());
        report.push(json!({ "bookingsOfAGroup": size, "without": without, "with": with }));
    }
    Ok(report.into())
}

fn cpu_seconds() -> anyhow::Result<f64> {
    cpu::seconds_of(&[std::process::id()])
}

#[derive(Default)]
struct Figures {
    times: Times,
    cpu_seconds: f64,
}

impl Figures {
    fn report(&self) -> Value {
        let groups = self.times.0.len() as f64;
        let mut report = self.times.report();
        report["groups"] = self.times.0.len().into();
        report["cpuMicrosPerGroup"] = rounded(self.cpu_seconds * 1e6 / groups).into();
        report
    }
}
