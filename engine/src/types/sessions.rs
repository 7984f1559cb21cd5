//! Signed-in sessions of users and of operators.

use std::fmt;

use jiff::Timestamp;

use super::{EmailAddress, Label, Operator, SessionId, TenantId, User, UserId, UserRole};

/// The owner of a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SessionOwner {
    /// A user of a tenant.
    User {
        /// The tenant's name.
        tenant: TenantId,
        /// The user's id.
        user: UserId,
    },
    /// An operator of the installation, by the address of their account.
    Operator(EmailAddress),
}

impl fmt::Display for SessionOwner {
    /// The owner's name in the revocation log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { tenant, user } => write!(formatter, "user {tenant} {user}"),
            Self::Operator(email) => write!(formatter, "operator {email}"),
        }
    }
}

/// A session: a family of refresh tokens with one current generation.
#[derive(Debug, Clone)]
pub struct Session {
    /// The session's id.
    pub id: SessionId,
    /// Its owner.
    pub user: User,
    /// The generation of the refresh token that is valid now.
    pub generation: u32,
    /// When the session ends at the latest, UTC.
    pub expires_at: Timestamp,
}

/// A session of an operator.
#[derive(Debug, Clone)]
pub struct OperatorSession {
    /// The session's id.
    pub id: SessionId,
    /// Its owner.
    pub operator: Operator,
    /// The generation of the refresh token that is valid now.
    pub generation: u32,
    /// When the session ends at the latest, UTC.
    pub expires_at: Timestamp,
}

/// A session in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSession {
    /// The session's id.
    pub id: SessionId,
    /// When somebody signed in, UTC.
    pub opened_at: Timestamp,
    /// When its refresh token was last used, UTC, or when it was opened.
    pub refreshed_at: Timestamp,
    /// When it ends at the latest, UTC.
    pub expires_at: Timestamp,
    /// What the client called itself at the sign-in, if it is known: up to 200 characters of one line. Anybody can write
    /// anything there.
    pub device: Option<Label>,
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    /// The generation of the refresh token that is valid now.
    pub(crate) generation: u32,
    /// When the last generations began, newest first. Never empty: the first began when the session was opened.
    pub(crate) rotated_at: Vec<Timestamp>,
    pub(crate) opened_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// The epoch of the account when the password was checked. The session counts while the account is in this epoch.
    pub(crate) epoch: Option<String>,
    /// What the client called itself.
    pub(crate) device: Option<Label>,
}

/// What is known of a session's user. Cached in memory for a short time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    pub(crate) owner: SessionOwner,
    /// The user's role; `None` for an operator.
    pub(crate) role: Option<UserRole>,
    /// Whether the user's address is confirmed. This is never revoked, so a cached `true` stays valid; a cached `false`
    /// may be outdated.
    pub(crate) email_verified: bool,
    /// When the session ends at the latest.
    pub(crate) expires_at: Timestamp,
}
