//! Where the next scan of a table of due times begins. An LSM store reads every deleted row before the first live one.
//!
//! An optimisation only. Called by the modules that work off what is due: holds, payments and receipts.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::locked::Locked as _;

/// A scan begins this long before the last one ended: another host's clock may be behind ours.
const LOOK_BACK: Duration = Duration::from_secs(600);
/// A full scan follows this often, for notes that lie still further back.
const FULL_SCAN_EVERY: Duration = Duration::from_secs(600);

/// Where the next scan for due entries begins.
#[derive(Default)]
pub(in crate::modules) struct DueScanCursor(Mutex<Option<(Timestamp, Instant)>>);

impl DueScanCursor {
    pub(in crate::modules) fn begin(&self, now: Timestamp) -> Timestamp {
        let cursor = self.0.locked();
        let back = now.checked_sub(LOOK_BACK).unwrap_or(Timestamp::UNIX_EPOCH);
        match *cursor {
            // A clock that was set back meanwhile says nothing about what is due.
            Some((from, full_scan_at))
                if full_scan_at.elapsed() < FULL_SCAN_EVERY && from <= back =>
            {
                from
            }
            _ => Timestamp::UNIX_EPOCH,
        }
    }

    /// Records that a scan from `begun` on found nothing that is due before `until`.
    pub(in crate::modules) fn reached(&self, begun: Timestamp, until: Timestamp) {
        let mut cursor = self.0.locked();
        let from = until
            .checked_sub(LOOK_BACK)
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let full_scan_at = match *cursor {
            Some((_, full_scan_at)) if begun > Timestamp::UNIX_EPOCH => full_scan_at,
            _ => Instant::now(),
        };
        *cursor = Some((from, full_scan_at));
    }
}
