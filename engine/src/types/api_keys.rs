//! API keys: what programs sign in with, and what each may do.

use std::{fmt, str::FromStr};

use jiff::Timestamp;

use super::{ApiKeyId, Label, UserId};
use crate::error::{Error, Result};

/// Most keys of a tenant.
pub(crate) const API_KEYS_MAX: usize = 100;

macro_rules! scopes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What an API key may be allowed to do. Everything else is refused to it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Scope {
            $($(#[$doc])* $variant,)*
        }

        impl Scope {
            /// Every scope.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name, such as `events:read`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

scopes! {
    /// Read events and ticket types, drafts included.
    EventsRead = "events:read",
    /// Create, change, cancel and delete events and ticket types.
    EventsWrite = "events:write",
    /// Read bookings, their tickets and decisions, and waiting lists.
    BookingsRead = "bookings:read",
    /// Book for customers, and cancel bookings and tickets.
    BookingsWrite = "bookings:write",
    /// Hold for customers, and read, extend, confirm and release holds.
    Holds = "holds",
    /// Open payments for holds, tell what the payment provider said, and read payments.
    Payments = "payments",
    /// Read refunds, and say that one was paid back.
    Refunds = "refunds",
    /// Read receipts and credit notes.
    Receipts = "receipts",
    /// Check tickets in, undo that, and read check-ins and door lists.
    CheckIns = "check-ins",
    /// Import bookings of another system.
    Imports = "imports",
    /// Read users, and erase their personal data.
    Customers = "customers",
    /// Read notifications, deliveries and subscriptions.
    NotificationsRead = "notifications:read",
    /// Announce, and pause, move, cancel and retry mails.
    NotificationsWrite = "notifications:write",
    /// Read the feed of changes: everything about events, bookings, payments and customers.
    ChangesRead = "changes:read",
    /// Upload, activate and try out plugins, and read about them.
    Plugins = "plugins",
    /// Read and change the tenant's settings.
    Settings = "settings",
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = Error;

    /// # Errors
    /// `field-invalid` names the scopes that there are.
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|scope| scope.as_str() == text);
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|scope| scope.as_str()).collect();
            Error::field(
                "scopes",
                format!("A scope is one of: {}.", names.join(", ")),
            )
        })
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u32);

impl Scopes {
    /// Returns whether a scope is in it.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u32) != 0
    }

    /// Its scopes, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        let all = Scope::ALL.iter().copied();
        all.filter(move |scope| self.has(*scope))
    }

    /// Returns whether it has none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let bits = scopes.into_iter().map(|scope| 1 << scope as u32);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The key's id.
    pub id: ApiKeyId,
    /// What it is called.
    pub name: Label,
    /// What it may do.
    pub scopes: Scopes,
    /// The owner who made it; `None` for trusted code.
    pub created_by: Option<UserId>,
    /// When it was made, UTC.
    pub created_at: Timestamp,
    /// When it stops working, UTC; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, UTC, to five minutes; `None`: never.
    pub last_used_at: Option<Timestamp>,
}

/// A new API key with its secret, which is shown this once.
#[derive(Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// The key.
    pub key: ApiKey,
    /// What programs send: `bo_TENANT_…`, with 256 random bits. Only its hash is kept.
    pub secret: String,
}

impl fmt::Debug for NewApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("NewApiKey");
        debug.field("key", &self.key).finish_non_exhaustive()
    }
}

/// The command to make an API key.
#[derive(Debug, Clone)]
pub struct CreateApiKey {
    /// What it is called.
    pub name: Label,
    /// What it may do: at least one scope.
    pub scopes: Scopes,
    /// When it stops working, UTC; `None`: never.
    pub expires_at: Option<Timestamp>,
}

impl CreateApiKey {
    pub(crate) fn validate(&self, now: Timestamp) -> Result<()> {
        if self.scopes.is_empty() {
            return Err(Error::field("scopes", "A key needs at least one scope."));
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err(Error::field(
                "expiresAt",
                "The key's end must lie in the future.",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_comes_back_from_its_name_and_a_set_has_what_was_put_in() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse::<Scope>().unwrap(), *scope);
            let one: Scopes = [*scope].into_iter().collect();
            assert_eq!(one.iter().collect::<Vec<_>>(), [*scope]);
        }
        assert!("events".parse::<Scope>().is_err());
        let all: Scopes = Scope::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), Scope::ALL.len());
        assert!(Scopes::default().is_empty());
    }
}
