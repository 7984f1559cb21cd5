//! Verification of claims: each counter is the sum of what bookings and holds have of it.
//!
//! Called by app_modules. Calls the claims repository.

use super::VerificationModule;
use crate::{
    error::Result,
    modules::repositories::SystemScope,
    types::{ClaimVerdict, Page, PageRequest, TenantId},
};

impl VerificationModule {
    /// Verifies a page of all tenants' counters.
    pub(crate) async fn verify_claims(&self, page: &PageRequest) -> Result<Page<ClaimVerdict>> {
        let position = |cursor: &str| {
            let parts = cursor.split_once('/');
            let (tenant, key) = parts.ok_or_else(PageRequest::not_a_cursor)?;
            let bad = |_| PageRequest::not_a_cursor();
            let tenant = TenantId::parse(tenant).map_err(bad)?;
            Ok::<_, crate::error::Error>((tenant, key.parse().map_err(bad)?))
        };
        let after = page.cursor.as_deref().map(position).transpose()?;
        let limit = page.limit + 1;
        let all = self.claims.all(SystemScope::new(), after, limit).await?;
        let page = page.cut(all, |(tenant, key)| format!("{tenant}/{key}"));
        let mut items = Vec::with_capacity(page.items.len());
        for (tenant, key) in page.items {
            let Some(sums) = self.claims.sums(&tenant, &key).await? else {
                continue;
            };
            let used = sums.counter.used;
            let difference = (used != sums.taken).then(|| {
                let taken = sums.taken;
                format!("{used} are used, bookings and holds have {taken}")
            });
            items.push(ClaimVerdict {
                tenant,
                key,
                used,
                difference,
            });
        }
        Ok(Page {
            items,
            next: page.next,
        })
    }
}
