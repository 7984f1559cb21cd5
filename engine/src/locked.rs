//! Locks a mutex, also after a panic of an earlier holder. Used for every mutex.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locking without poisoning.
pub(crate) trait Locked<T> {
    /// Locks, also after a panic under the lock: no code panics there and leaves the value half changed.
    fn locked(&self) -> MutexGuard<'_, T>;
}

impl<T> Locked<T> for Mutex<T> {
    fn locked(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
