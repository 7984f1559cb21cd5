//! Backups of a whole store, and what is known of a store that came from one.

use jiff::Timestamp;

/// What a backup is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFacts {
    /// The moment at which it shows the store.
    pub taken_at: Timestamp,
    /// The store's schema then.
    pub schema: i64,
    /// How many rows it holds.
    pub rows: u64,
}

/// That a store came from a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// When the backup was taken.
    pub taken_at: Timestamp,
    /// When it was restored.
    pub restored_at: Timestamp,
    /// Since when its mails go out; none while they are held.
    pub released_at: Option<Timestamp>,
}
