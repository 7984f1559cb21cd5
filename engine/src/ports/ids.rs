//! The port for new ids, which tests can seed.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use ulid::{Generator, Ulid};

/// Makes the ids of new records.
pub trait IdSource: Send + Sync + 'static {
    /// Returns a unique ULID.
    fn next(&self) -> Ulid;
}

/// ULIDs from the system's clock and randomness, ascending within the process.
#[derive(Default)]
pub struct UlidIds(Mutex<Generator>);

impl IdSource for UlidIds {
    fn next(&self) -> Ulid {
        let mut generator = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        // The generator fails only after 2^80 ids in one millisecond.
        generator.generate().unwrap_or_else(|_| Ulid::new())
    }
}

/// The same ids in every run: a seed and a counter. For tests.
pub struct SeededIds {
    seed: u64,
    count: AtomicU64,
}

impl SeededIds {
    /// Starts the sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            count: AtomicU64::new(0),
        }
    }
}

impl IdSource for SeededIds {
    fn next(&self) -> Ulid {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        Ulid::from_parts(1_800_000_000_000 + count, u128::from(self.seed) << 16)
    }
}
