//! Which mails a customer does without.

use std::{fmt, str::FromStr};

use jiff::Timestamp;

use super::{NotificationKind, UserId};
use crate::error::{Error, Result};

/// A kind of bulk mail that a customer does not want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// Who does not want it.
    pub customer: UserId,
    /// What they do not want; one of [`NotificationKind::BULK`].
    pub kind: NotificationKind,
    /// How they said so.
    pub source: SuppressionSource,
    /// When they said so, UTC.
    pub created_at: Timestamp,
}

/// How a customer said what they do not want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuppressionSource {
    /// With the link in a mail.
    Link,
    /// Signed in.
    Account,
}

impl SuppressionSource {
    /// The source as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Account => "account",
        }
    }
}

impl fmt::Display for SuppressionSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for SuppressionSource {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "link" => Ok(Self::Link),
            "account" => Ok(Self::Account),
            other => Err(Error::internal(format!(
                "unknown source of a suppression {other}"
            ))),
        }
    }
}
