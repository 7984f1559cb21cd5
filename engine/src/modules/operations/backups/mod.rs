//! Backups: a consistent snapshot of a running store, and the restore into an empty one.
//!
//! Called by app_modules, and by whoever builds an engine. Calls the backups repository.
//!
//! A backup shows the past: what was due then may have been done since. So deliveries of a restored store that may have
//! been sent become `unknown`, and no mail is sent before an operator releases the store.

mod format;
mod restore;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::modules::{
    ModuleContext,
    repositories::{
        BackupsRepository, NotificationsRepository, OutboxFrom, StoreSnapshot, SystemScope,
        newest_schema,
    },
};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::support::Attempts,
    types::{BackupFacts, NotificationStatus, OutboxPart, Restoration},
};
pub(crate) use format::Lines;
use format::Writer;
pub(crate) use restore::restore;

/// Pieces that wait for a slow reader, of about 300 KB each, 12 MB at worst.
const PIECES_MAX: usize = 2;
/// How long a reader may take for a piece. Meanwhile the store cannot remove deleted data.
const READER_PATIENCE: Duration = Duration::from_secs(60);
/// Rows of the outbox that one step of a release reads.
const ENTRIES_PAGE: u32 = 500;
/// Attempts to mark a notification that others change, too.
const TRIES_MAX: u32 = 16;

pub(crate) struct BackupsModule {
    repository: BackupsRepository,
    notifications: Arc<NotificationsRepository>,
    context: ModuleContext,
    /// One at a time: each reads the whole store.
    turn: Arc<Semaphore>,
}

/// A running backup, piece by piece. Dropping it cancels it.
#[derive(Debug)]
pub struct Backup {
    pieces: mpsc::Receiver<Vec<u8>>,
    /// The outcome, separate from the pieces, so that a reader who is too slow for them still gets it.
    outcome: Option<oneshot::Receiver<Result<()>>>,
}

impl Backup {
    /// The next piece; `None` after the last. A backup is complete only if no piece is an error.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>>> {
        if let Some(piece) = self.pieces.recv().await {
            return Some(Ok(piece));
        }
        match self.outcome.take()?.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error)),
            Err(_) => Some(Err(Error::internal("a backup ended without an outcome"))),
        }
    }
}

impl BackupsModule {
    pub(in crate::modules) fn new(
        repository: BackupsRepository,
        notifications: Arc<NotificationsRepository>,
        context: ModuleContext,
    ) -> Self {
        Self {
            repository,
            notifications,
            context,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Begins a backup of everything that is committed now.
    ///
    /// # Errors
    /// `unavailable` while this process takes another one.
    pub(crate) async fn back_up(&self) -> Result<Backup> {
        let turn = self.turn.clone().try_acquire_owned().map_err(|_| {
            Error::new(
                ErrorCode::Unavailable,
                "This host is already taking a backup; wait until it is finished.",
            )
            .retry_after(Duration::from_secs(30))
        })?;
        // Before the snapshot, so that it includes everything up to this time.
        let taken_at = self.context.now();
        let snapshot = self.repository.snapshot(of_all_tenants()).await?;
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        // A separate task: the snapshot must be closed even if the reader goes away.
        let (tell, outcome) = oneshot::channel();
        tokio::spawn(async move {
            let ended = write(snapshot, taken_at, sender).await;
            // The permit is released before the reader sees the end, so that the next backup can begin at once.
            drop(turn);
            // The receiver is gone if the backup was cancelled.
            let _ = tell.send(ended);
        });
        Ok(Backup {
            pieces,
            outcome: Some(outcome),
        })
    }

    /// The backup that this store was restored from, if any.
    pub(crate) async fn restoration(&self) -> Result<Option<Restoration>> {
        self.repository.restoration(of_all_tenants()).await
    }

    /// Releases the mails of a restored store. First marks the fan-outs that were pending at the restore: their recipients
    /// may have been told by the original store. Later ones cannot.
    ///
    /// # Errors
    /// `not-found` if the store did not come from a backup.
    pub(crate) async fn release(&self) -> Result<Restoration> {
        let scope = of_all_tenants();
        let nothing = || {
            Error::new(
                ErrorCode::NotFound,
                "This store was not restored from a backup: its mails are not held back.",
            )
        };
        let restoration = self.restoration().await?.ok_or_else(nothing)?;
        if restoration.released_at.is_some() {
            return Ok(restoration);
        }
        let now = self.context.now();
        let mut after = None;
        loop {
            let from = (after.as_ref()).map_or(OutboxFrom::Time(Timestamp::MIN), OutboxFrom::After);
            let entries = self.notifications.outbox(scope, from, None, ENTRIES_PAGE);
            let entries = entries.await?;
            for one in &entries {
                if one.part == OutboxPart::FanOut {
                    self.mark(&one.tenant, one.notification, restoration.restored_at)
                        .await?;
                }
            }
            if entries.len() < ENTRIES_PAGE as usize {
                break;
            }
            after = entries.into_iter().next_back();
        }
        self.repository.release(scope, now).await?;
        self.restoration().await?.ok_or_else(nothing)
    }

    /// Marks a notification whose recipients may have been told, unless it is over, or was caused or due
    /// after the restore.
    async fn mark(
        &self,
        tenant: &crate::types::TenantId,
        id: crate::types::NotificationId,
        restored_at: Timestamp,
    ) -> Result<()> {
        let mut attempts = Attempts::new("mark_uncertain", TRIES_MAX);
        while attempts.next().await.is_some() {
            let Some(mut notification) = self.notifications.find(tenant, id).await? else {
                return Ok(());
            };
            let may_be_told = match notification.status {
                NotificationStatus::Scheduled => notification.due_at <= restored_at,
                NotificationStatus::FanningOut => true,
                _ => false,
            };
            let is_new = notification.created_at > restored_at;
            if !may_be_told || is_new || notification.is_uncertain {
                return Ok(());
            }
            notification.is_uncertain = true;
            if self
                .repository
                .replace_notification(tenant, &notification)
                .await?
            {
                return Ok(());
            }
        }
        Err(Error::new(
            ErrorCode::ConflictTryAgain,
            "A notification kept changing; send the request again.",
        ))
    }
}

/// Writes a backup to its reader, and closes the snapshot in any case.
async fn write(
    snapshot: StoreSnapshot,
    taken_at: Timestamp,
    pieces: mpsc::Sender<Vec<u8>>,
) -> Result<()> {
    let outcome = write_all(&snapshot, taken_at, &pieces).await;
    if let Err(error) = snapshot.end().await {
        tracing::warn!(error = ?error, "closing the snapshot of a backup failed");
    }
    match &outcome {
        Ok(rows) => tracing::info!(rows, "a backup was taken"),
        Err(error) => tracing::warn!(error = ?error, "a backup was broken off"),
    }
    outcome.map(drop)
}

async fn write_all(
    snapshot: &StoreSnapshot,
    taken_at: Timestamp,
    pieces: &mpsc::Sender<Vec<u8>>,
) -> Result<u64> {
    let scope = of_all_tenants();
    let (mut writer, head) = Writer::begin(newest_schema(), taken_at)?;
    hand_over(pieces, head).await?;
    for (table, count) in snapshot.tables() {
        hand_over(pieces, writer.table(table)?).await?;
        let (mut after, mut written) = (None, 0);
        loop {
            let (rows, next) = snapshot.page(scope, table, after.as_ref()).await?;
            written += rows.len() as u64;
            hand_over(pieces, writer.rows(rows)?).await?;
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        if written != *count {
            tracing::error!(
                table,
                count,
                written,
                "the store dropped rows of an open snapshot"
            );
            return Err(Error::new(
                ErrorCode::Unavailable,
                "The store was compacted while the backup was read, and dropped rows of it. Take the backup again.",
            ));
        }
    }
    let (end, rows) = writer.end()?;
    hand_over(pieces, end).await?;
    Ok(rows)
}

async fn hand_over(pieces: &mpsc::Sender<Vec<u8>>, piece: Vec<u8>) -> Result<()> {
    if piece.is_empty() {
        return Ok(());
    }
    let gone = |what: &'static str| Error::new(ErrorCode::Unavailable, what);
    match tokio::time::timeout(READER_PATIENCE, pieces.send(piece)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(gone("The reader of the backup has disconnected.")),
        Err(_) => Err(gone("The reader of the backup is too slow.")),
    }
}

/// A backup contains all tenants.
fn of_all_tenants() -> SystemScope {
    SystemScope::new()
}

/// The header of a backup, once it was read to its end.
///
/// # Errors
/// `backup-invalid`.
pub(crate) async fn check(input: impl tokio::io::AsyncBufRead + Unpin) -> Result<BackupFacts> {
    let mut lines = Lines::open(input, newest_schema()).await?;
    while lines.next().await?.is_some() {}
    Ok(lines.facts())
}
