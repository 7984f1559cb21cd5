//! Batches whose mails are sent before anything is written of them, and those of which nobody knows whether they were.
//!
//! Only with an embedded store and an idempotent mailer: no other process can take such a batch, and a mail that is sent again
//! replaces the first. A batch is *in hand* from its first mail until its outcomes are written. It is *in doubt* if that never
//! happened, because its task panicked, writing failed, or the process died. Whoever claims a batch in doubt marks it, and counts
//! one death for its mails.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;

use super::BatchKey;
use crate::{locked::Locked as _, types::DeliveryBatch};

/// Batches known at a time, as many as 320,000 mails. Beyond it mails are marked before they are sent.
const BATCHES_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstAttempt {
    /// A task of this process sends its mails.
    InHand,
    /// Its mails may have been sent.
    InDoubt,
}

type Known = Arc<Mutex<HashMap<BatchKey, FirstAttempt>>>;

/// The unmarked batches of this process.
pub(super) struct UnmarkedBatches {
    /// Batches made until then may have been in hand when an earlier process died.
    last_crash: Option<Timestamp>,
    known: Known,
}

/// A batch in hand. Dropped before [`UnmarkedBatch::written`], it leaves the batch in doubt.
pub(super) struct UnmarkedBatch {
    known: Known,
    /// None once the outcomes are written.
    key: Option<BatchKey>,
}

impl UnmarkedBatches {
    pub(super) fn new(last_crash: Option<Timestamp>) -> Self {
        Self {
            last_crash,
            known: Known::default(),
        }
    }

    /// Returns what is known of an unclaimed batch's first attempt; none if there was none, or its outcomes are written.
    pub(super) fn find(
        &self,
        key: &BatchKey,
        batch: &DeliveryBatch,
        now: Timestamp,
    ) -> Option<FirstAttempt> {
        // A batch from the future was made before the clock was set back, perhaps by a process that died.
        let is_older = |crash| batch.created_at <= crash || batch.created_at > now;
        let known = self.known.locked().get(key).copied();
        known.or_else(|| {
            self.last_crash
                .is_some_and(is_older)
                .then_some(FirstAttempt::InDoubt)
        })
    }

    /// Takes a batch in hand. Returns none if it is known already, or there are too many: it has to be marked then.
    pub(super) fn take(&self, key: BatchKey) -> Option<UnmarkedBatch> {
        let mut known = self.known.locked();
        if known.len() >= BATCHES_MAX || known.contains_key(&key) {
            return None;
        }
        known.insert(key.clone(), FirstAttempt::InHand);
        Some(UnmarkedBatch {
            known: self.known.clone(),
            key: Some(key),
        })
    }

    /// Forgets a batch: it is finished, or written as claimed.
    pub(super) fn forget(&self, key: &BatchKey) {
        self.known.locked().remove(key);
    }
}

impl UnmarkedBatch {
    /// Says that the outcomes are written, or that somebody else wrote the batch.
    pub(super) fn written(mut self) {
        if let Some(key) = self.key.take() {
            self.known.locked().remove(&key);
        }
    }
}

impl Drop for UnmarkedBatch {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.known.locked().insert(key, FirstAttempt::InDoubt);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;
    use crate::types::{NotificationId, NotificationKind, TenantId};

    fn batch(number: u32, created_at: Timestamp) -> (BatchKey, DeliveryBatch) {
        let tenant = TenantId::parse("north").expect("a tenant's id");
        let notification = NotificationId::from_ulid(ulid::Ulid::from_parts(1, 1));
        let batch = DeliveryBatch {
            notification,
            number,
            kind: NotificationKind::BookingConfirmed,
            event: None,
            deliveries: Vec::new(),
            claim: None,
            claims: 0,
            revision: 0,
            created_at,
        };
        ((tenant, notification, number), batch)
    }

    #[test]
    fn a_batch_is_in_hand_until_it_is_written_and_in_doubt_if_it_never_is() {
        let now = Timestamp::UNIX_EPOCH;
        let unmarked = UnmarkedBatches::new(None);
        let (key, batch) = batch(0, now);
        let find = || unmarked.find(&key, &batch, now);
        assert_eq!(find(), None);
        let taken = unmarked.take(key.clone()).expect("room for one");
        assert_eq!(find(), Some(FirstAttempt::InHand));
        taken.written();
        assert_eq!(find(), None);
        drop(unmarked.take(key.clone()));
        assert_eq!(find(), Some(FirstAttempt::InDoubt));
        unmarked.forget(&key);
        assert_eq!(find(), None);
    }

    #[test]
    fn what_was_made_before_a_crash_is_in_doubt_also_if_the_clock_was_set_back() {
        let crash = Timestamp::UNIX_EPOCH;
        let unmarked = UnmarkedBatches::new(Some(crash));
        let later = |hours: i64| crash + hours.hours();
        for (made, now, is_in_doubt) in [(0, 1, true), (1, 2, false), (3, 2, true)] {
            let (key, batch) = batch(0, later(made));
            let found = unmarked.find(&key, &batch, later(now));
            assert_eq!(found.is_some(), is_in_doubt, "made {made}, now {now}");
        }
    }

    #[test]
    fn a_batch_too_many_has_to_be_marked() {
        let unmarked = UnmarkedBatches::new(None);
        let (mut key, _) = batch(0, Timestamp::UNIX_EPOCH);
        let mut taken = Vec::new();
        for number in 0..=BATCHES_MAX {
            key.2 = u32::try_from(number).expect("few");
            taken.extend(unmarked.take(key.clone()));
        }
        assert_eq!(taken.len(), BATCHES_MAX);
    }
}
