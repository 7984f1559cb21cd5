//! Password hashing (Argon2id): off the async threads, and only so many at a time.
//!
//! Called by the users module.

use std::{sync::Arc, time::Duration};

use argon2::{
    Argon2,
    password_hash::{
        PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString, rand_core::OsRng,
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Error, ErrorCode, Result};

/// Hashes that may wait for their turn. At some 50 ms each that is half a minute; beyond it trying later is kinder.
const WAITING_MAX: usize = 1_024;

/// Hashes and checks passwords with Argon2id at the crate's defaults (19 MiB, 2 passes, 1 lane: OWASP's first choice).
pub(super) struct Passwords {
    slots: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(slots.max(1))),
            queue: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }

    /// Checks a new password's length: 8 to 200 characters. The upper bound keeps hashing time bounded.
    pub(super) fn check(password: &str) -> Result<()> {
        match password.chars().count() {
            8..=200 => Ok(()),
            _ => Err(Error::field(
                "password",
                "A password has 8 to 200 characters.",
            )),
        }
    }

    pub(super) async fn hash(&self, password: String) -> Result<String> {
        self.off_thread(move || {
            let salt = SaltString::generate(&mut OsRng);
            let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string())
                .map_err(|error| Error::internal(error.to_string()))
        })
        .await
    }

    /// Whether the password is the one hashed. Without a hash it takes as long, and is not.
    pub(super) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool> {
        self.off_thread(move || match hash.as_deref().map(PasswordHash::new) {
            Some(Ok(hash)) => Ok(Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()),
            Some(Err(error)) => Err(Error::internal(error.to_string())),
            None => {
                let salt = SaltString::generate(&mut OsRng);
                let _ = Argon2::default().hash_password(password.as_bytes(), &salt);
                Ok(false)
            }
        })
        .await
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let busy = || {
            Error::new(
                ErrorCode::TooManyRequests,
                "Very many people are signing in right now; try again in a moment.",
            )
            .retry_after(Duration::from_secs(2))
        };
        let place: OwnedSemaphorePermit =
            self.queue.clone().try_acquire_owned().map_err(|_| busy())?;
        let slot = self
            .slots
            .clone()
            .acquire_owned()
            .await
            .map_err(Error::internal)?;
        // The permits go with the work: a client that hangs up ends the waiting, not the hashing.
        let work = move || {
            let _held = (slot, place);
            work()
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(Error::internal)?
    }
}
