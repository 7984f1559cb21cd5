//! Users of a tenant, operators of the installation, and their sessions.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EmailAddress, Label, TenantId, UserId};
use crate::error::{Error, Result};

/// What a user is in their tenant.
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
    /// Which user.
    pub id: UserId,
    /// The tenant they belong to.
    pub tenant: TenantId,
    /// The address their mails go to, and their login.
    pub email: EmailAddress,
    /// Whether the address counts as theirs: they followed the link in a mail, their platform brought it, or nobody asked.
    /// See [`TenantSettings::bulk_to_verified_only`](super::TenantSettings::bulk_to_verified_only).
    pub email_verified: bool,
    /// What to call them.
    pub name: Label,
    /// What they are in the tenant.
    pub role: UserRole,
    /// The id the embedding platform knows them by, if it brought them.
    pub external_id: Option<String>,
    /// When the record was made, UTC.
    pub created_at: Timestamp,
}

/// How somebody was asked to confirm their address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VerificationRequest {
    /// When last, UTC.
    pub(crate) at: Timestamp,
    /// How many mails asked.
    pub(crate) mails: u32,
}

/// The account that an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressOwner {
    pub(crate) user: UserId,
    /// When they were last told that somebody signed up with their address.
    pub(crate) noticed_at: Option<Timestamp>,
}

/// How somebody who followed the link in a mail confirms the address.
///
/// The link proves that they read the address's mails, not that they are who signed up: a stranger may have done that first. So
/// they show the password that they chose, or choose one.
#[derive(Clone)]
pub enum Confirmation {
    /// The password of one of the accounts that signed up with the address: that account is confirmed.
    Password(String),
    /// A new password, 8 to 200 characters. Whoever knew the account's password before is locked out.
    NewPassword(String),
    /// Nothing more, for an account that an owner made for this address.
    Link,
}

/// Signs somebody up with a password.
#[derive(Debug, Clone)]
pub struct Register {
    /// Their address and login.
    pub email: EmailAddress,
    /// What to call them.
    pub name: Label,
    /// 8 to 200 characters.
    pub password: String,
    /// `Customer`, or `Organizer` where the tenant leaves that open.
    pub role: UserRole,
}

/// Makes a user, by somebody with the right to.
#[derive(Debug, Clone)]
pub struct CreateUser {
    /// Their address and login.
    pub email: EmailAddress,
    /// What to call them.
    pub name: Label,
    /// 8 to 200 characters; without one they cannot sign in here.
    pub password: Option<String>,
    /// What they are in the tenant.
    pub role: UserRole,
}

/// Finds or makes the user that a platform knows under its own id; name and address are brought up to date.
#[derive(Debug, Clone)]
pub struct EnsureUser {
    /// The platform's own id of the user, 1 to 255 characters.
    pub external_id: String,
    /// What to call them.
    pub name: Label,
    /// The address their mails go to.
    pub email: EmailAddress,
}

/// Proves who somebody is.
#[derive(Debug, Clone)]
pub struct Login {
    /// The login.
    pub email: EmailAddress,
    /// The password.
    pub password: String,
}

/// Somebody who runs the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Their login.
    pub email: EmailAddress,
    /// What to call them.
    pub name: Label,
    /// When the account was made, UTC.
    pub created_at: Timestamp,
}

/// Makes an operator.
#[derive(Debug, Clone)]
pub struct AddOperator {
    /// Their login.
    pub email: EmailAddress,
    /// What to call them.
    pub name: Label,
    /// 8 to 200 characters.
    pub password: String,
}

/// Sets an operator's password.
#[derive(Debug, Clone)]
pub struct SetOperatorPassword {
    /// Whose.
    pub email: EmailAddress,
    /// The new one: 8 to 200 characters.
    pub password: String,
    /// The one before. Who comes with a session must know it, and may change their own only.
    pub present: Option<String>,
}
