//! Bulk mails that a customer has unsubscribed from.

use std::{fmt, str::FromStr};

use jiff::Timestamp;

use super::{NotificationKind, UserId};
use crate::error::{Error, Result};

/// A kind of bulk mail that a customer has unsubscribed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// The customer.
    pub customer: UserId,
    /// The kind; one of [`NotificationKind::needing_consent`].
    pub kind: NotificationKind,
    /// How they unsubscribed.
    pub source: SuppressionSource,
    /// When they unsubscribed, UTC.
    pub created_at: Timestamp,
}

/// How a customer unsubscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuppressionSource {
    /// With the link in a mail.
    Link,
    /// With a session.
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
