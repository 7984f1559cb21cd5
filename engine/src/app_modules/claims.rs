//! Use cases of a tenant's counters. Called by hosts and platforms. Calls the claims module.

use std::sync::Arc;

use crate::{
    context::EngineContext,
    error::Result,
    types::{Caller, ClaimCounter, Page, PageRequest, Role, Scope},
};

/// Use cases of a tenant's counters, of which policies let bookings claim something.
#[derive(Clone)]
pub struct Claims(pub(crate) Arc<EngineContext>);

impl Claims {
    /// Lists the tenant's counters, in the order of keys, for the tenant's owners.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list(&self, caller: &Caller, page: PageRequest) -> Result<Page<ClaimCounter>> {
        let caller = &caller.scoped(Scope::BookingsRead)?;
        caller.require_any(
            &[Role::Owner],
            "Only the tenant's owners and its programs see its counters.",
        )?;
        self.0.modules.claims.list(caller.tenant()?, &page).await
    }
}
