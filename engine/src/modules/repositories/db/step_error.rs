//! Why a step of the store did not go through, and what callers are told.

use std::time::Duration;

use super::unavailable;
use crate::error::{Error, ErrorCode};

/// Why a step failed.
#[derive(Debug)]
pub(in crate::modules) enum StepError {
    /// Another transaction wrote the same record first; nothing was written.
    Conflict,
    /// A guard failed, with its word; nothing was written.
    Thrown(String),
    /// A record id was taken; nothing was written.
    Exists(String),
    /// It did not run, because of another statement's error.
    NotExecuted,
    /// The connection broke: it may or may not have been written.
    Lost(Box<dyn std::error::Error + Send + Sync>),
    /// Anything else; nothing was written.
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl StepError {
    /// Returns whether a guard stopped the step with this word.
    pub(in crate::modules) fn is_guard(&self, word: &str) -> bool {
        matches!(self, Self::Thrown(text) if text.contains(word))
    }

    /// Returns whether a guard stopped the step with one of these words.
    pub(in crate::modules) fn is_any_guard(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_guard(word))
    }

    fn weight(&self) -> u8 {
        match self {
            Self::Lost(_) => 5,
            Self::Conflict => 4,
            Self::Exists(_) => 3,
            Self::Thrown(_) => 2,
            Self::Other(_) => 1,
            Self::NotExecuted => 0,
        }
    }
}

impl From<StepError> for Error {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Conflict => Error::new(
                ErrorCode::ConflictTryAgain,
                "Others changed the same record at the same time; send the request again.",
            )
            .retry_after(Duration::from_secs(1)),
            StepError::Lost(source) => unavailable(source),
            StepError::Thrown(text) | StepError::Exists(text) => Error::internal(text),
            StepError::NotExecuted => Error::internal("a statement did not run"),
            StepError::Other(source) => Error::internal(source),
        }
    }
}

pub(super) fn worst_of(errors: impl Iterator<Item = StepError>) -> StepError {
    errors
        .max_by_key(StepError::weight)
        .unwrap_or(StepError::NotExecuted)
}
