//! Backups of a whole store, and the state of a store that was restored from one.

use jiff::Timestamp;

/// A backup's header: what it contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFacts {
    /// The moment of the snapshot, UTC.
    pub taken_at: Timestamp,
    /// The version of the store's schema.
    pub schema: i64,
    /// The number of rows.
    pub rows: u64,
}

/// The record that a store was restored from a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// When the backup was taken, UTC.
    pub taken_at: Timestamp,
    /// When it was restored.
    pub restored_at: Timestamp,
    /// Since when its mails go out; `None` while they are held back.
    pub released_at: Option<Timestamp>,
}
