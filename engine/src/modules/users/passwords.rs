//! Password hashing (Argon2id): outside the async threads, with limited concurrency.
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
use unicode_normalization::UnicodeNormalization as _;

use crate::error::{Error, ErrorCode, Result};

/// Most waiting hashes. At about 50 ms each that is half a minute; beyond it the request is refused.
const WAITING_MAX: usize = 1_024;

/// Most characters of a password.
const CHARACTERS_MAX: usize = 200;
/// Decomposed text has at most this many times the bytes of composed text (UAX 15, 9.2, for NFC in UTF-8).
const NFC_GROWTH_MAX: usize = 3;

/// A password prepared for hashing: the OpaqueString profile of RFC 8265, 4.2.2. Spaces of other scripts become the ASCII space,
/// and the text is composed (NFC), so that all keyboards give the same text.
fn prepared(password: &str) -> String {
    let space = |character: char| match character {
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            ' '
        }
        other => other,
    };
    password.chars().map(space).nfc().collect()
}

/// Hashes and checks passwords with Argon2id at the crate's defaults (19 MiB, 2 passes, 1 lane: OWASP's first choice).
pub(in crate::modules) struct Passwords {
    slots: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Passwords {
    pub(in crate::modules) fn new(slots: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(slots.max(1))),
            queue: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }

    /// Checks a new password: 8 to 200 characters, no control characters (RFC 8265, 4.2.1, with the
    /// FreeformClass of RFC 8264). The upper limit bounds the time of hashing.
    pub(in crate::modules) fn check(password: &str) -> Result<()> {
        let rule = |rule: &'static str| Err(Error::field("password", rule));
        match prepared(password).chars().count() {
            8..=CHARACTERS_MAX if password.chars().any(char::is_control) => {
                rule("A password has no control characters.")
            }
            8..=CHARACTERS_MAX => Ok(()),
            _ => rule("A password has 8 to 200 characters."),
        }
    }

    /// Hashes a password in its prepared form.
    pub(in crate::modules) async fn hash(&self, password: String) -> Result<String> {
        self.off_thread(move || {
            let password = prepared(&password);
            let salt = SaltString::generate(&mut OsRng);
            let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string())
                .map_err(|error| Error::internal(error.to_string()))
        })
        .await
    }

    /// Returns whether the password matches the hash. Without a hash it returns false after the same time.
    ///
    /// Hashes of unprepared passwords still work: if the prepared form differs and does not
    /// match, the password is tried as it was typed.
    pub(in crate::modules) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool> {
        // Longer than any password: compute one hash for the time, and compare nothing.
        let too_long = password.len() > 4 * CHARACTERS_MAX * NFC_GROWTH_MAX;
        let (password, hash) = match too_long {
            true => (String::new(), None),
            false => (password, hash),
        };
        self.off_thread(move || {
            let normal = prepared(&password);
            match hash.as_deref().map(PasswordHash::new) {
                Some(Ok(hash)) => {
                    let fits = |text: &str| {
                        let outcome = Argon2::default().verify_password(text.as_bytes(), &hash);
                        outcome.is_ok()
                    };
                    Ok(fits(&normal) || (normal != password && fits(&password)))
                }
                Some(Err(error)) => Err(Error::internal(error.to_string())),
                None => {
                    let salt = SaltString::generate(&mut OsRng);
                    for text in [Some(&normal), (normal != password).then_some(&password)]
                        .into_iter()
                        .flatten()
                    {
                        let _ = Argon2::default().hash_password(text.as_bytes(), &salt);
                    }
                    Ok(false)
                }
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
                "Too many people are signing in right now; try again in a moment.",
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
        // The permits move into the task: a client that disconnects stops waiting, but the hash is still computed.
        let work = move || {
            let _held = (slot, place);
            work()
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(Error::internal)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_the_same_however_a_keyboard_composes_it() {
        let passwords = Passwords::new(2);
        let composed = "Gr\u{fc}nkohl Caf\u{e9}";
        let typed = "Gru\u{308}nkohl\u{a0}Cafe\u{301}";
        for (set, other) in [(composed, typed), (typed, composed)] {
            let hash = passwords.hash(set.to_owned()).await.unwrap();
            let verify = |text: &str| passwords.verify(text.to_owned(), Some(hash.clone()));
            assert!(verify(set).await.unwrap() && verify(other).await.unwrap());
            assert!(!verify("Grunkohl Cafe").await.unwrap());
            assert!(
                !verify(&composed.to_uppercase()).await.unwrap(),
                "case counts"
            );
        }
    }

    #[tokio::test]
    async fn hashes_of_passwords_as_they_were_typed_still_work() {
        let typed = "Gru\u{308}nkohl";
        let salt = SaltString::generate(&mut OsRng);
        let old = Argon2::default().hash_password(typed.as_bytes(), &salt);
        let old = old.unwrap().to_string();
        let passwords = Passwords::new(2);
        assert!(
            passwords
                .verify(typed.to_owned(), Some(old.clone()))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify("Grunkohl".to_owned(), Some(old))
                .await
                .unwrap()
        );
    }

    #[test]
    fn new_passwords_have_a_length_and_no_control_characters() {
        let composed = "\u{e9}".repeat(200);
        let decomposed = "e\u{301}".repeat(200);
        for good in [
            "p\u{e4}ssword",
            &composed,
            &decomposed,
            "\u{1f600}\u{200d} emoji",
        ] {
            assert!(Passwords::check(good).is_ok(), "{good:?}");
        }
        for bad in ["short", &"x".repeat(201), "nul\0 password", "line\nbreak"] {
            assert!(Passwords::check(bad).is_err(), "{bad:?}");
        }
        assert!(
            Passwords::check(&"e\u{301}".repeat(7)).is_err(),
            "seven letters"
        );
    }
}
