//! The counters of tenants that claims take of: their list, and what is left for a quote. They are written with the bookings and
//! holds that take of them.
//!
//! Called by app_modules and verification. Calls the claims repository.

use std::{collections::HashMap, sync::Arc};

use super::{bookings::require_left, repositories::ClaimsRepository};
use crate::{
    error::Result,
    types::{Claim, ClaimCounter, ClaimKey, Page, PageRequest, TenantId},
};

pub(crate) struct ClaimsModule {
    repository: Arc<ClaimsRepository>,
}

impl ClaimsModule {
    pub(super) fn new(repository: Arc<ClaimsRepository>) -> Self {
        Self { repository }
    }

    /// A page of a tenant's counters, in the order of keys.
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        page: &PageRequest,
    ) -> Result<Page<ClaimCounter>> {
        let after = page.position::<ClaimKey>()?;
        let limit = page.limit + 1;
        let rows = self.repository.list(tenant, after.as_ref(), limit).await?;
        Ok(page.cut(rows, |counter| counter.key.to_string()))
    }

    /// Refuses claims of which not enough is left now. Takes nothing.
    ///
    /// # Errors
    /// `claim-exhausted`.
    pub(crate) async fn require_left(&self, tenant: &TenantId, claims: &[Claim]) -> Result<()> {
        if claims.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = claims.iter().map(|claim| claim.key.clone()).collect();
        let known = self.repository.find(tenant, &keys).await?;
        let known: HashMap<_, _> = known
            .into_iter()
            .map(|counter| (counter.key.clone(), counter))
            .collect();
        require_left(claims, &known)
    }
}
