//! Backups of a whole store, and the state of a store that was restored from one.

use jiff::Timestamp;
use ulid::Ulid;

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

impl Restoration {
    /// What names the restored store in numbers that it gives: the second of the restore in Crockford's base 32.
    pub(crate) fn mark(&self) -> String {
        let second = u128::try_from(self.restored_at.as_second());
        let digits = Ulid(second.unwrap_or_default()).to_string();
        digits.trim_start_matches('0').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_restores_have_other_marks() {
        let of = |restored_at: &str| {
            let restoration = Restoration {
                taken_at: Timestamp::UNIX_EPOCH,
                restored_at: restored_at.parse().unwrap(),
                released_at: None,
            };
            restoration.mark()
        };
        let (first, second) = (of("2026-12-01T12:00:00Z"), of("2026-12-01T12:00:01Z"));
        assert_ne!(first, second);
        assert_eq!(first, "1NGXDP0");
        assert!(first < second);
        assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
