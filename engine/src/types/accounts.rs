//! What people change of their own accounts, and the links that are mailed for it.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::{EmailAddress, TenantId, UserId};

/// What the link of a mail about an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountLinkPurpose {
    /// Choosing a new password.
    ResetPassword,
    /// Moving the account to the address that got the mail.
    ChangeEmail,
    /// Joining a tenant's staff with a password of one's own.
    AcceptInvitation,
}

impl AccountLinkPurpose {
    /// How long a link is valid after it was asked for: an hour; a day for a new address, whose mails may be read later; a week for
    /// an invitation, which its reader did not ask for.
    pub fn duration(self) -> SignedDuration {
        match self {
            Self::ResetPassword => SignedDuration::from_hours(1),
            Self::ChangeEmail => SignedDuration::from_hours(24),
            Self::AcceptInvitation => SignedDuration::from_hours(7 * 24),
        }
    }
}

/// The content of a link in a mail about an account.
///
/// [`Links::account`](crate::ports::Links::account) signs it. The page of the link checks the signature and passes the content
/// on. The use case checks the rest: the purpose, the time, and the stamp, which is spent once the link was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountLink {
    /// What it is for.
    pub purpose: AccountLinkPurpose,
    /// The account's tenant.
    pub tenant: TenantId,
    /// The account.
    pub user: UserId,
    /// When it expires, UTC, in whole seconds.
    pub expires_at: Timestamp,
    /// Names what the link replaces, in up to 32 of `A-Z a-z 0-9 _ -`. It is no secret.
    pub stamp: String,
}

/// Changes the caller's password.
#[derive(Clone)]
pub struct ChangePassword {
    /// The password until now.
    pub current: String,
    /// The new one: 8 to 200 characters.
    pub new: String,
}

impl fmt::Debug for ChangePassword {
    /// Without the passwords.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ChangePassword")
            .finish_non_exhaustive()
    }
}

/// Asks for another address of the caller's account.
#[derive(Clone)]
pub struct ChangeEmail {
    /// The new address.
    pub email: EmailAddress,
    /// The account's password.
    pub password: String,
}

impl fmt::Debug for ChangeEmail {
    /// Without the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ChangeEmail")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}
