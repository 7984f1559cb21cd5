//! Tenants: who shares an installation with whom, and nothing else with them.

use jiff::Timestamp;

use super::{EmailAddress, Label, TenantId};
use crate::{Error, Result};

/// One tenant of the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its name in host names, tokens and record ids.
    pub id: TenantId,
    /// What people call it; the sender's name of its mails.
    pub name: Label,
    /// ISO 4217 code of every price of this tenant, such as `EUR`.
    pub currency: String,
    /// What the tenant decided about itself.
    pub settings: TenantSettings,
    /// When it was created, UTC.
    pub created_at: Timestamp,
}

/// What a tenant decides about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantSettings {
    /// Whether anybody may register as an organizer.
    pub organizers_may_register: bool,
    /// Where answers to the tenant's mails go.
    pub reply_to: Option<EmailAddress>,
}

/// Makes a tenant.
#[derive(Debug, Clone)]
pub struct CreateTenant {
    /// Its name; see [`TenantId`].
    pub id: TenantId,
    /// What people call it.
    pub name: Label,
    /// ISO 4217 code of its prices: three capital letters.
    pub currency: String,
    /// What it decides about itself.
    pub settings: TenantSettings,
}

impl CreateTenant {
    pub(crate) fn validate(&self) -> Result<()> {
        if self.currency.len() == 3 && self.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            Ok(())
        } else {
            Err(Error::field(
                "currency",
                "A currency is an ISO 4217 code of three capital letters, such as EUR.",
            ))
        }
    }
}
