//! Signed-in sessions of users and of operators.

use std::fmt;

use jiff::Timestamp;

use super::{EmailAddress, Operator, SessionId, TenantId, User, UserId, UserRole};

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SessionOwner {
    /// A user of a tenant.
    User {
        /// Which tenant.
        tenant: TenantId,
        /// Which of its users.
        user: UserId,
    },
    /// An operator of the installation, by the address of their account.
    Operator(EmailAddress),
}

impl fmt::Display for SessionOwner {
    /// The owner as the revocation log names it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { tenant, user } => write!(formatter, "user {tenant} {user}"),
            Self::Operator(email) => write!(formatter, "operator {email}"),
        }
    }
}

/// A signed-in session: a family of refresh tokens of which one generation is current.
#[derive(Debug, Clone)]
pub struct Session {
    /// Which session.
    pub id: SessionId,
    /// Whose session.
    pub user: User,
    /// Which refresh token of the family is to be used next.
    pub generation: u32,
    /// When the session ends at the latest, UTC.
    pub expires_at: Timestamp,
}

/// The same of an operator.
#[derive(Debug, Clone)]
pub struct OperatorSession {
    /// Which session.
    pub id: SessionId,
    /// Whose session.
    pub operator: Operator,
    /// Which refresh token of the family is to be used next.
    pub generation: u32,
    /// When the session ends at the latest, UTC.
    pub expires_at: Timestamp,
}

/// A session as it stands in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSession {
    /// Which session.
    pub id: SessionId,
    /// When somebody signed in, UTC.
    pub opened_at: Timestamp,
    /// When its refresh token was used last, UTC; at first when it was opened.
    pub refreshed_at: Timestamp,
    /// When it ends at the latest, UTC.
    pub expires_at: Timestamp,
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    /// Which refresh token is to be used next.
    pub(crate) generation: u32,
    /// When the last generations began, the newest first. Never empty: the first one began when the session was opened.
    pub(crate) rotated_at: Vec<Timestamp>,
    pub(crate) opened_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// The epoch of the account when the password was checked. The session counts while the account is in this epoch.
    pub(crate) epoch: Option<String>,
}

/// What a request with a session may count on. Kept in memory for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    pub(crate) owner: SessionOwner,
    /// The user's role; `None` for an operator.
    pub(crate) role: Option<UserRole>,
    /// Whether the user's address counts as confirmed. That is never taken back, so that what is kept in memory holds; an
    /// address that is not may be confirmed meanwhile.
    pub(crate) email_verified: bool,
    /// When the session ends at the latest.
    pub(crate) expires_at: Timestamp,
}
