//! The counters of tenants that claims take of: their list, and what is left for a quote. They are written with the bookings and
//! holds that take of them.
//!
//! Called by app_modules and verification. Calls the claims repository.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

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
        let after = page.cursor.as_deref().map(position).transpose()?;
        let limit = page.limit + 1;
        let rows = self.repository.list(tenant, after.as_ref(), limit).await?;
        let cursor = |counter: &ClaimCounter| URL_SAFE_NO_PAD.encode(counter.key.as_str());
        Ok(page.cut(rows, cursor))
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

/// The key at which the last page ended.
fn position(cursor: &str) -> Result<ClaimKey> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor);
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let key = text.and_then(|text| text.parse().ok());
    key.ok_or_else(PageRequest::not_a_cursor)
}
