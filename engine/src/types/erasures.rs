//! Erased accounts.

use jiff::Timestamp;

use super::{EmailAddress, Label, Metadata, TenantId, User, UserId, UserRole};

/// An erased account, for the list that is kept beside backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The account's tenant.
    pub tenant: TenantId,
    /// The account.
    pub user: UserId,
    /// When it was erased, UTC.
    pub at: Timestamp,
}

impl User {
    /// What is left of an account: its id, under which bookings and ledgers stay.
    pub(crate) fn erased(&self, at: Timestamp) -> Self {
        Self {
            id: self.id,
            tenant: self.tenant.clone(),
            email: EmailAddress::stored(format!("{}@erased.invalid", self.id)),
            email_verified: true,
            name: Label::stored("Erased".to_owned()),
            role: UserRole::Customer,
            external_id: None,
            metadata: Metadata::default(),
            is_suspended: true,
            erased_at: Some(at),
            created_at: self.created_at,
        }
    }
}
