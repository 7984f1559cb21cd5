//! `boxoffice backup` and `boxoffice restore`: writes a whole store to a file, and restores it into an empty one.
//!
//! Called by the program. Calls the engine's use case as an operator, or the same over REST; and the engine's restore.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use boxoffice_engine::{Caller, check_backup};
use clap::Args;
use tokio::{
    fs::File,
    io::{AsyncWriteExt as _, BufReader},
};

use super::{
    StoreArgs,
    accounts::{Place, open},
    erasures,
    part_files::{create, part_of},
    print, store,
};
use crate::{
    assembly::{self, MailRole},
    config::Config,
    telemetry,
};

/// Bytes of a file read at a time.
const READ_BYTES: usize = 256 * 1024;

/// `boxoffice backup`.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Writes the backup to this file, which must not exist. It has personal data and hashes of passwords, and is readable
    /// by its owner only.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// `boxoffice restore`.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup's file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Erases the accounts of this list again (`boxoffice erasures` writes it): those that were erased after the backup.
    #[arg(long, value_name = "LIST")]
    erasures: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

/// Takes a backup. Succeeds only when it is complete and on disk.
pub(super) async fn backup(args: BackupArgs) -> anyhow::Result<()> {
    let BackupArgs { out, place } = args;
    if out.exists() {
        bail!("{} exists; a backup overwrites nothing", out.display());
    }
    let part = part_of(&out);
    let mut file = create(&part)
        .await
        .with_context(|| format!("making {}", part.display()))?;
    let written = match place.remote.remote()? {
        Some(remote) => {
            let path = "/api/operator/backup";
            remote.download(path, &mut file, |_| {}).await
        }
        None => at_store(&place, &mut file).await,
    };
    match finish(written, file, &part, &out).await {
        Ok(said) => print(&said),
        Err(error) => {
            // An incomplete backup must not look like a backup.
            let _ = tokio::fs::remove_file(&part).await;
            Err(error)
        }
    }
}

/// Restores a backup into an empty store.
pub(super) async fn restore(args: RestoreArgs) -> anyhow::Result<()> {
    let RestoreArgs {
        file,
        erasures: list,
        store,
    } = args;
    // Before anything is written, because a line may be broken.
    let erased = list.as_deref().map(erasures::read).transpose()?;
    let config = Config::load(&store.flags())?;
    telemetry::start_lines(&config.logs.level, config.logs.format);
    let shown = file.display();
    let read = async || {
        let file = File::open(&file).await;
        let file = file.with_context(|| format!("opening {shown}"))?;
        Ok::<_, anyhow::Error>(BufReader::with_capacity(READ_BYTES, file))
    };
    // A backup proves complete only at its end: nothing is written before.
    check_backup(read().await?)
        .await
        .with_context(|| format!("reading {shown}"))?;
    store::close_to_others(&config);
    let facts = assembly::restore(&config, read().await?).await?;
    print(&format!(
        "restored {} rows, as of {}",
        facts.rows, facts.taken_at
    ))?;
    if let Some(erased) = erased {
        let opened = store::open(&config, MailRole::None, "restore", None, None).await?;
        erasures::apply(&opened.engine, &erased).await?;
    }
    say_what_is_next();
    Ok(())
}

fn say_what_is_next() {
    let _ = writeln!(
        io::stderr(),
        "No mail is sent yet. Check the store (`boxoffice verify`, /admin/queues), then release the mails: `boxoffice \
        operator release`. Everybody has to sign in again."
    );
}

async fn at_store(place: &Place, file: &mut File) -> anyhow::Result<()> {
    let opened = open(&place.store, "backup").await?;
    let mut backup = opened
        .engine
        .operators()
        .back_up(&Caller::operator())
        .await?;
    while let Some(piece) = backup.next().await {
        file.write_all(&piece?)
            .await
            .context("writing the backup")?;
    }
    Ok(())
}

/// Checks that the backup is complete and on disk, and renames it.
async fn finish(
    written: anyhow::Result<()>,
    mut file: File,
    part: &Path,
    out: &Path,
) -> anyhow::Result<String> {
    written?;
    file.flush().await.context("writing the backup")?;
    file.sync_all().await.context("writing the backup")?;
    drop(file);
    let file = File::open(part).await.context("reading the backup")?;
    let facts = check_backup(BufReader::with_capacity(READ_BYTES, file)).await?;
    tokio::fs::rename(part, out)
        .await
        .with_context(|| format!("giving the backup its name {}", out.display()))?;
    Ok(format!("{} rows, as of {}", facts.rows, facts.taken_at))
}
