//! Opening a store, and waiting until one has closed.
//!
//! Called by `Db::open`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use surrealdb::{
    Surreal,
    engine::any::{Any, connect},
    opt::auth::Root,
};

use super::embedded::Embedded;
use crate::error::{Error, ErrorCode, Result};

/// Opens a store of this process.
///
/// It runs as a task: opening is deep, and the caller's stack may be nearly used up. It may also never end: in surrealkv
/// 0.21.4 a read takes its locks on memory tables and levels in the order opposite to that of a flush or compaction, and
/// both wait for ever if they meet between the two. A process in which that happened can only be ended.
pub(super) async fn open_local(url: &str) -> Result<Embedded> {
    let opening = tokio::spawn(Embedded::open(url.to_owned()));
    let opened = match tokio::time::timeout(OPENING_MAX, opening).await {
        Ok(ended) => ended.map_err(|failed| cannot_open("the store", failed))?,
        Err(late) => {
            return Err(cannot_open(
                "the store did not open; start the program again",
                late,
            ));
        }
    };
    opened.map_err(|error| {
        let text = format!("{error:#}");
        // surrealkv's message for a folder that another process has locked.
        if text.to_ascii_lowercase().contains("lock") {
            Error::new(
                ErrorCode::StoreInUse,
                "Another process holds this data folder. One process at a time may; for several, run a SurrealDB \
                 server and give each its ws:// URL.",
            )
            .caused_by(error)
        } else {
            cannot_open("the store", error)
        }
    })
}

/// Creates a folder and its parents, with access for the owner only, because rows hold hashes of passwords.
pub(super) fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Returns whether the last process did not close the store: its write-ahead log is not empty.
pub(super) fn has_log(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder.join("wal")).into_iter().flatten();
    entries
        .flatten()
        .any(|entry| entry.metadata().is_ok_and(|data| data.len() > 0))
}

/// Reads a remaining log into the store's tables and closes the store again, so that the next opening
/// starts a new log.
///
/// surrealkv 0.21.4 takes a truncated record for the log's end and appends after it; at the opening after
/// next it finds the log damaged there and drops what follows, acknowledged or not. So no acknowledged write may
/// ever be appended to a remaining log. (Seen with kill -9; a clean close empties the log.)
pub(super) async fn open_after_settling(url: &str) -> Result<Embedded> {
    drop(open_local(url).await?);
    // The store closes asynchronously, and releases its lock last.
    for _ in 0..CLOSING_LOOKS_MAX {
        match open_local(url).await {
            Err(error) if error.code() == ErrorCode::StoreInUse => {
                tokio::time::sleep(CLOSING_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
    Err(Error::new(
        ErrorCode::Unavailable,
        "The store was not closed properly last time, and recovering its log took longer than two minutes.",
    ))
}

/// How long opening may take; a log of the largest size is read in seconds.
const OPENING_MAX: Duration = Duration::from_secs(180);

/// The name of surrealkv's lock file. It releases the lock last, when everything is in its tables.
pub(super) const LOCK_FILE: &str = "LOCK";

/// A store that closes asynchronously once its last handle is dropped.
pub(crate) struct Closing(pub(super) Option<PathBuf>);

impl Closing {
    /// Waits until the store has closed, up to a limit. Returns whether it has.
    pub(crate) async fn wait(self, limit: Duration) -> bool {
        let Some(lock) = self.0 else { return true };
        let is_free = || std::fs::File::open(&lock).map_or(true, |file| file.try_lock().is_ok());
        let closed = async {
            while !is_free() {
                tokio::time::sleep(CLOSING_PAUSE).await;
            }
        };
        tokio::time::timeout(limit, closed).await.is_ok()
    }
}

/// The pause between two checks whether the store has closed; a gigabyte of log takes seconds.
const CLOSING_PAUSE: Duration = Duration::from_millis(20);
const CLOSING_LOOKS_MAX: u32 = 6_000;

/// Connects and signs in, within 15 seconds: an address that drops packets, or a server that dies while it
/// answers, must not block a start for ever.
pub(super) async fn open_remote(url: &str, username: &str, password: &str) -> Result<Surreal<Any>> {
    let opening = async {
        let client = connect(url).await?;
        let root = Root {
            username: username.to_owned(),
            password: password.to_owned(),
        };
        client.signin(root).await?;
        Ok::<_, surrealdb::Error>(client)
    };
    match tokio::time::timeout(Duration::from_secs(15), opening).await {
        Ok(opened) => opened.map_err(|error| cannot_open(url, error)),
        Err(late) => Err(cannot_open(url, late)),
    }
}

pub(super) fn cannot_open(
    what: impl std::fmt::Display,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let error = error.into();
    Error::new(
        ErrorCode::Unavailable,
        format!("The store could not be opened: {what}: {error}"),
    )
    .caused_by(error)
}
