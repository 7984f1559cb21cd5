//! Users of a tenant, operators of the installation, and their sessions.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EmailAddress, Label, Metadata, TenantId, UserId};
use crate::error::{Error, Result};

/// The role of a user in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    /// Runs the whole tenant.
    Owner,
    /// Runs events of their own.
    Organizer,
    /// Works at the door and reads bookings.
    Staff,
    /// Books tickets.
    Customer,
}

impl UserRole {
    /// The role as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Organizer => "organizer",
            Self::Staff => "staff",
            Self::Customer => "customer",
        }
    }
}

impl fmt::Display for UserRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for UserRole {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "owner" => Ok(Self::Owner),
            "organizer" => Ok(Self::Organizer),
            "staff" => Ok(Self::Staff),
            "customer" => Ok(Self::Customer),
            _ => Err(Error::field(
                "role",
                "A role is one of owner, organizer, staff, customer.",
            )),
        }
    }
}

/// A user of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The tenant they belong to.
    pub tenant: TenantId,
    /// Their e-mail address, which is also their login.
    pub email: EmailAddress,
    /// Whether the address counts as confirmed: they followed the link in a mail, a platform brought it, or nobody asked.
    /// See [`TenantSettings::bulk_to_verified_only`](super::TenantSettings::bulk_to_verified_only).
    pub email_verified: bool,
    /// Their display name.
    pub name: Label,
    /// Their role.
    pub role: UserRole,
    /// The platform's id of the user, if a platform brought them.
    pub external_id: Option<String>,
    /// The platform's own strings, which the tenant's owners and programs change.
    pub metadata: Metadata,
    /// Whether they may not sign in.
    pub is_suspended: bool,
    /// When their personal data were erased, UTC. Name and address say nothing from then on.
    pub erased_at: Option<Timestamp>,
    /// When the record was made, UTC.
    pub created_at: Timestamp,
}

/// The requests to confirm an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VerificationRequest {
    /// When the last mail was sent, UTC.
    pub(crate) at: Timestamp,
    /// The number of mails.
    pub(crate) mails: u32,
}

/// The account that an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressOwner {
    pub(crate) user: UserId,
    /// When they were last notified that somebody signed up with their address.
    pub(crate) noticed_at: Option<Timestamp>,
}

/// How somebody confirms an address after following the link in a mail.
///
/// The link proves that they read the address's mails, not that they signed up: a stranger may have done that. So they
/// give their password, or choose a new one.
#[derive(Clone)]
pub enum Confirmation {
    /// The password of one of the accounts that signed up with the address. That account is confirmed.
    Password(String),
    /// A new password, 8 to 200 characters. The old one becomes invalid.
    NewPassword(String),
    /// Nothing else, for an account that an owner made for this address.
    Link,
}

/// Signs somebody up with a password.
#[derive(Debug, Clone)]
pub struct Register {
    /// Their address and login.
    pub email: EmailAddress,
    /// Their display name.
    pub name: Label,
    /// 8 to 200 characters.
    pub password: String,
    /// `Customer`, or `Organizer` if the tenant allows that.
    pub role: UserRole,
}

/// Creates a user. Needs the right to do so.
#[derive(Debug, Clone)]
pub struct CreateUser {
    /// Their address and login.
    pub email: EmailAddress,
    /// Their display name.
    pub name: Label,
    /// 8 to 200 characters. Without a password they cannot sign in here.
    pub password: Option<String>,
    /// Their role.
    pub role: UserRole,
}

/// Finds or creates a user by the platform's id, and updates name, address and metadata.
#[derive(Debug, Clone)]
pub struct EnsureUser {
    /// The platform's id of the user, 1 to 255 characters.
    pub external_id: String,
    /// Their display name.
    pub name: Label,
    /// Their e-mail address.
    pub email: EmailAddress,
    /// The platform's own strings, instead of those that the user has; `None`: they stay.
    pub metadata: Option<Metadata>,
}

/// E-mail address and password.
#[derive(Debug, Clone)]
pub struct Login {
    /// The login.
    pub email: EmailAddress,
    /// The password.
    pub password: String,
}

/// An operator of the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Their login.
    pub email: EmailAddress,
    /// Their display name.
    pub name: Label,
    /// When the account was made, UTC.
    pub created_at: Timestamp,
}

/// Creates an operator.
#[derive(Debug, Clone)]
pub struct AddOperator {
    /// Their login.
    pub email: EmailAddress,
    /// Their display name.
    pub name: Label,
    /// 8 to 200 characters.
    pub password: String,
}

/// Sets an operator's password.
#[derive(Debug, Clone)]
pub struct SetOperatorPassword {
    /// The operator's address.
    pub email: EmailAddress,
    /// The new password: 8 to 200 characters.
    pub password: String,
    /// The old password. An operator with a session needs it, and may change only their own.
    pub present: Option<String>,
}
