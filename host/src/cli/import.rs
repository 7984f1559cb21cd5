//! `boxoffice import`: bookings of another system, from CSV or NDJSON of any size, through a running host.
//!
//! It sends the rows in batches, in their order, and tries a batch again that was not answered. Invariant: it keeps nothing
//! itself, because the host knows each row by its reference. So it is resumed by running it again. Called by the program.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use axum::http::Method;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    print,
    remote::{Remote, text},
};
use crate::config;

/// Rows of one request, and their bytes: both below what a host takes.
const BATCH_ROWS: usize = 500;
const BATCH_BYTES: usize = 512 * 1024;
/// Longest line of NDJSON: a row has some 300 bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// The pause after a batch's first attempt; it doubles up to the longest. A host restarts within some seconds.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Rows whose digests a dry run keeps to find the same reference twice: 100 bytes each. Beyond, only the host compares.
const DIGESTS_MAX: usize = 1_000_000;

/// Columns of a CSV file that are whole numbers in JSON.
const NUMBERS: [&str; 3] = ["quantity", "unitPriceMinor", "totalMinor"];

/// Objects of a row whose members are columns of a CSV file.
const NESTED: [&str; 2] = ["customer", "metadata"];

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A line with the names of columns, then one for each row.
    Csv,
    /// A JSON object on each line.
    Ndjson,
}

/// `boxoffice import`.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The file: `.csv`, or `.ndjson` or `.jsonl`.
    file: PathBuf,
    /// The host: https://HOST or http://HOST:PORT.
    #[arg(long, value_name = "URL")]
    url: String,
    /// An API key with the scope `imports`, or a token of one of the tenant's owners. Better set BOXOFFICE_TOKEN, which `ps` does
    /// not show.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Writes nothing, and lists the faulty rows.
    #[arg(long)]
    dry_run: bool,
    /// Sends the customers a confirmation.
    #[arg(long)]
    send_mails: bool,
    /// Gives up when the host has not answered for so long.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
    /// How rows are written [default: by the file's name].
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

/// A row on its way, with its number in the file, from 1.
struct Row {
    number: u64,
    content: Map<String, Value>,
}

/// What became of the rows so far.
#[derive(Default)]
struct Progress {
    created: u64,
    present: u64,
    faulty: u64,
    /// Of a dry run: what the rows so far take.
    taken: Value,
    digests: HashMap<String, [u8; 32]>,
}

/// Imports a file. Prints each faulty row as a line of JSON.
pub(super) async fn import(args: ImportArgs) -> anyhow::Result<()> {
    let Some(token) = args.token.clone().or_else(config::token_from_environment) else {
        bail!("an API key or an owner's token is needed: --token TOKEN, or BOXOFFICE_TOKEN");
    };
    let remote = Remote::new(&args.url, Some(token))?;
    let format = match args.format {
        Some(format) => format,
        None => format_of(&args.file)?,
    };
    let file = File::open(&args.file).with_context(|| args.file.display().to_string())?;
    let rows: Box<dyn Iterator<Item = anyhow::Result<Row>>> = match format {
        Format::Csv => Box::new(csv_rows(file)?),
        Format::Ndjson => Box::new(json_rows(file)),
    };
    let (mut progress, mut batch, mut bytes) = (Progress::default(), Vec::new(), 0);
    let begun = Instant::now();
    for row in rows {
        let row = row.with_context(|| args.file.display().to_string())?;
        if args.dry_run && !progress.is_new(&row)? {
            continue;
        }
        bytes += Value::Object(row.content.clone()).to_string().len();
        batch.push(row);
        if batch.len() >= BATCH_ROWS || bytes >= BATCH_BYTES {
            progress
                .send(&remote, &args, std::mem::take(&mut batch))
                .await?;
            bytes = 0;
        }
    }
    if !batch.is_empty() {
        progress.send(&remote, &args, batch).await?;
    }
    let seconds = begun.elapsed().as_secs_f64().max(0.001);
    let all = progress.created + progress.present + progress.faulty;
    let done = match args.dry_run {
        true => "would be imported",
        false => "imported",
    };
    eprintln!(
        "{} rows {done}, {} were imported before, {} are faulty; {:.0} rows/s",
        progress.created,
        progress.present,
        progress.faulty,
        all as f64 / seconds
    );
    match progress.faulty {
        0 => Ok(()),
        faulty => bail!("{faulty} rows are faulty"),
    }
}

impl Progress {
    /// Returns whether no row before has the reference, for a dry run, and tells of one with other content.
    fn is_new(&mut self, row: &Row) -> anyhow::Result<bool> {
        let Some(reference) = row.content.get("reference").and_then(Value::as_str) else {
            return Ok(true);
        };
        let content = Value::Object(row.content.clone()).to_string();
        let digest: [u8; 32] = Sha256::digest(content.as_bytes()).into();
        match self.digests.get(reference) {
            Some(known) if *known == digest => {
                self.present += 1;
                Ok(false)
            }
            Some(_) => {
                self.faulty += 1;
                let error = json!({
                    "code": "field-invalid", "field": "reference",
                    "detail": "Another row of the file has this reference: its content differs.",
                });
                print(
                    &json!({"row": row.number, "reference": reference, "error": error}).to_string(),
                )?;
                Ok(false)
            }
            None => {
                if self.digests.len() < DIGESTS_MAX {
                    self.digests.insert(reference.to_owned(), digest);
                }
                Ok(true)
            }
        }
    }

    async fn send(
        &mut self,
        remote: &Remote,
        args: &ImportArgs,
        batch: Vec<Row>,
    ) -> anyhow::Result<()> {
        let rows: Vec<&Map<String, Value>> = batch.iter().map(|row| &row.content).collect();
        let mut body = json!({"rows": rows, "dryRun": args.dry_run, "sendMails": args.send_mails});
        if args.dry_run && self.taken.is_array() {
            body["taken"] = self.taken.take();
        }
        let mut answer = sent(remote, body, Duration::from_secs(args.patience)).await?;
        for key in ["numCreated", "numPresent", "numFaulty"] {
            if !answer[key].is_u64() {
                bail!("the host sent no report; is it a Boxoffice host?");
            }
        }
        let count = |key: &str| answer[key].as_u64().unwrap_or_default();
        self.created += count("numCreated");
        self.present += count("numPresent");
        self.faulty += count("numFaulty");
        for outcome in answer["rows"].as_array().into_iter().flatten() {
            let index = outcome["row"]
                .as_u64()
                .and_then(|row| usize::try_from(row).ok());
            let row = index.and_then(|index| batch.get(index));
            if let (Some(row), true) = (row, text(outcome, "status") == "faulty") {
                let reference = row.content.get("reference");
                let line =
                    json!({"row": row.number, "reference": reference, "error": outcome["error"]});
                print(&line.to_string())?;
            }
        }
        if args.dry_run {
            self.taken = answer["taken"].take();
        }
        let all = self.created + self.present + self.faulty;
        eprintln!(
            "{all} rows: {} imported, {} before, {} faulty",
            self.created, self.present, self.faulty
        );
        Ok(())
    }
}

/// Sends a batch, again if the host does not answer or is busy: a row that was imported is not imported again.
async fn sent(remote: &Remote, body: Value, patience: Duration) -> anyhow::Result<Value> {
    let (begun, mut pause) = (Instant::now(), PAUSE);
    loop {
        let error = match remote
            .call(Method::POST, "/api/imports", Some(body.clone()))
            .await
        {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if begun.elapsed() >= patience || is_refused(&error) {
            return Err(error.context("importing stopped; run it again to go on where it stopped"));
        }
        eprintln!(
            "boxoffice: {error:#}; trying again in {} s",
            pause.as_secs_f32()
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Returns whether the host refuses the request itself: then it refuses the next one, too.
fn is_refused(error: &anyhow::Error) -> bool {
    let said = error.to_string();
    let codes = [
        "not-authenticated",
        "forbidden",
        "not-found",
        "field-invalid",
        "unknown-field",
        "body-too-large",
        "malformed-request",
        "unsupported-media-type",
    ];
    codes
        .iter()
        .any(|code| said.starts_with(&format!("{code}: ")))
}

fn format_of(file: &Path) -> anyhow::Result<Format> {
    let ending = file.extension().and_then(|ending| ending.to_str());
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => Ok(Format::Csv),
        Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
        _ => bail!("--format csv or --format ndjson is needed: the file's name does not say it"),
    }
}

/// The object and the member that a column such as `customer.email` names.
fn member_of<'n>(object: &'static str, column: &'n str) -> Option<(&'static str, &'n str)> {
    let member = column.strip_prefix(object)?.strip_prefix('.')?;
    Some((object, member))
}

/// The rows of a CSV file (RFC 4180), whose first line names the columns. Columns of the customer are `customer.email` and so
/// on, those of metadata `metadata.KEY`. Empty cells are left out.
fn csv_rows(file: File) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Row>>> {
    let mut reader = csv::ReaderBuilder::new().from_reader(BufReader::new(file));
    let names: Vec<String> = reader
        .headers()
        .context("reading the first line")?
        .iter()
        .map(|name| name.trim().trim_start_matches('\u{feff}').to_owned())
        .collect();
    Ok(reader.into_records().zip(1..).map(move |(record, number)| {
        let record = record.with_context(|| format!("row {number}"))?;
        let mut content = Map::new();
        for (name, cell) in names.iter().zip(&record) {
            if cell.is_empty() {
                continue;
            }
            let value = match NUMBERS.contains(&name.as_str()) {
                true => cell
                    .parse::<u64>()
                    .map_or_else(|_| json!(cell), |number| json!(number)),
                false => json!(cell),
            };
            match NESTED.iter().find_map(|object| member_of(object, name)) {
                Some((object, member)) => {
                    let object = content.entry(object).or_insert_with(|| json!({}));
                    object[member] = value;
                }
                None => drop(content.insert(name.clone(), value)),
            }
        }
        Ok(Row { number, content })
    }))
}

/// The rows of a file with a JSON object on each line. Empty lines are left out.
fn json_rows(file: File) -> impl Iterator<Item = anyhow::Result<Row>> {
    let mut reader = BufReader::new(file);
    let mut number = 0;
    std::iter::from_fn(move || {
        loop {
            let mut line = Vec::new();
            number += 1;
            let read = std::io::Read::take(&mut reader, LINE_BYTES_MAX as u64 + 1)
                .read_until(b'\n', &mut line);
            match read.with_context(|| format!("line {number}")) {
                Err(error) => return Some(Err(error)),
                Ok(0) => return None,
                Ok(_) if line.len() > LINE_BYTES_MAX => {
                    return Some(Err(anyhow::anyhow!("line {number} is too long")));
                }
                Ok(_) if line.trim_ascii().is_empty() => {}
                Ok(_) => {
                    let content = serde_json::from_slice(&line);
                    let content =
                        content.with_context(|| format!("line {number} is no JSON object"));
                    return Some(content.map(|content| Row { number, content }));
                }
            }
        }
    })
}
