//! `boxoffice export`: a list of a running host as a file.
//!
//! Invariant: a file with the asked name is complete; what broke off is deleted. Called by the program.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use tokio::{fs::File, io::AsyncWriteExt as _};

use super::{
    import::Format,
    part_files::{create, part_of},
    print,
    remote::{Remote, percent_encoded},
};
use crate::config;

/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(2);

/// The lists that can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum List {
    /// The bookings of an event.
    Bookings,
    /// The tickets of an event, with their customers.
    Attendees,
    /// The check-ins of an event.
    CheckIns,
    /// The door list of an event.
    DoorList,
    /// The tenant's users.
    Users,
    /// The deliveries of a notification.
    Deliveries,
    /// The audit log, for owners.
    Audit,
    /// All that is kept about a user, as NDJSON.
    PersonalData,
}

/// `boxoffice export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// What is exported.
    list: List,
    /// The event, the notification or the user: its id. The lists of the whole tenant have none.
    id: Option<String>,
    /// The file to write. It must not exist.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// The host: https://HOST or http://HOST:PORT.
    #[arg(long, value_name = "URL")]
    url: String,
    /// An API key with the list's scope, or a user's token. Better set BOXOFFICE_TOKEN, which `ps` does not show.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// How the file is written [default: csv; personal data: ndjson].
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

impl ExportArgs {
    fn path(&self) -> anyhow::Result<String> {
        let id = self.id.as_deref().map(percent_encoded);
        let of = |named: &str| {
            id.as_deref()
                .with_context(|| format!("name the {named}: its id comes after the list"))
        };
        let path = match self.list {
            List::Bookings => format!("/api/events/{}/bookings/export", of("event")?),
            List::Attendees => format!("/api/events/{}/attendees/export", of("event")?),
            List::CheckIns => format!("/api/events/{}/check-ins/export", of("event")?),
            List::DoorList => format!("/api/events/{}/door-list/export", of("event")?),
            List::Deliveries => {
                let of = of("notification")?;
                format!("/api/notifications/{of}/deliveries/export")
            }
            List::PersonalData if self.format == Some(Format::Csv) => {
                bail!("personal data has no table: leave --format out, or say ndjson")
            }
            List::PersonalData => return Ok(format!("/api/users/{}/personal-data", of("user")?)),
            List::Users | List::Audit if id.is_some() => {
                bail!("this list is of the whole tenant: leave the id out")
            }
            List::Users => "/api/users/export".to_owned(),
            List::Audit => "/api/admin/audit/export".to_owned(),
        };
        Ok(match self.format {
            Some(Format::Ndjson) => format!("{path}?format=ndjson"),
            Some(Format::Csv) | None => path,
        })
    }
}

/// Writes a list to a file.
pub(super) async fn export(args: ExportArgs) -> anyhow::Result<()> {
    let path = args.path()?;
    let Some(token) = args.token.clone().or_else(config::token_from_environment) else {
        bail!("an API key or a user's token is needed: --token TOKEN, or BOXOFFICE_TOKEN");
    };
    let out = &args.out;
    if out.exists() {
        bail!("{} exists; an export overwrites nothing", out.display());
    }
    let remote = Remote::new(&args.url, Some(token))?;
    let part = part_of(out);
    let mut file = create(&part)
        .await
        .with_context(|| format!("making {}", part.display()))?;
    let mut progress = Progress::begin();
    let download = remote.download(&path, &mut file, |piece| progress.add(piece));
    let written = download.await;
    match finish(written, file).await {
        Ok(()) => {
            let named = tokio::fs::rename(&part, out).await;
            named.with_context(|| format!("giving the file its name {}", out.display()))?;
            print(&format!("{} lines in {}", progress.lines, out.display()))
        }
        Err(error) => {
            // An incomplete file must not look like a complete one.
            let _ = tokio::fs::remove_file(&part).await;
            Err(error)
        }
    }
}

async fn finish(written: anyhow::Result<()>, mut file: File) -> anyhow::Result<()> {
    written?;
    file.flush().await.context("writing the file")?;
    file.sync_all().await.context("writing the file")
}

/// What has arrived so far.
struct Progress {
    lines: u64,
    bytes: u64,
    told: Instant,
}

impl Progress {
    fn begin() -> Self {
        Self {
            lines: 0,
            bytes: 0,
            told: Instant::now(),
        }
    }

    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        if self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            eprintln!("{} lines, {} MB", self.lines, self.bytes / 1_000_000);
        }
    }
}
