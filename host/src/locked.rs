//! Locking a mutex, whatever happened to whoever held it before. Called wherever a mutex is.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locking without a poisoned state.
pub(crate) trait Locked<T> {
    /// Locks, also after a panic under the lock: no code panics there in a way that leaves the value half changed.
    fn locked(&self) -> MutexGuard<'_, T>;
}

impl<T> Locked<T> for Mutex<T> {
    fn locked(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
