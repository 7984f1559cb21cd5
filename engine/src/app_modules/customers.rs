//! Who the customers of bookings, holds, waiting places and check-ins are: read in one batch for a page.
//!
//! Called by the use cases that have shown their callers to be allowed to see them. Calls the users module.

use std::collections::HashMap;

use crate::{
    context::EngineContext,
    error::Result,
    types::{Customer, Page, TenantId, UserId, WithCustomer},
};

/// Most users of one read: some 200 KB.
const READ_MAX: usize = 500;

impl EngineContext {
    /// The customers with these ids that exist.
    pub(super) async fn customers(
        &self,
        tenant: &TenantId,
        ids: impl IntoIterator<Item = UserId>,
    ) -> Result<HashMap<UserId, Customer>> {
        let mut ids: Vec<UserId> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        let mut customers = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(READ_MAX) {
            let users = self.modules.users.find_many(tenant, ids).await?;
            customers.extend(users.into_iter().map(|user| (user.id, user.into())));
        }
        Ok(customers)
    }

    /// The items of a page with their customers.
    pub(super) async fn page_with_customers<T>(
        &self,
        tenant: &TenantId,
        page: Page<T>,
        customer_of: impl Fn(&T) -> UserId,
    ) -> Result<Page<WithCustomer<T>>> {
        let ids = page.items.iter().map(&customer_of);
        let customers = self.customers(tenant, ids).await?;
        Ok(page.map(|item| WithCustomer {
            person: customers.get(&customer_of(&item)).cloned(),
            item,
        }))
    }

    /// An item with its customer.
    pub(super) async fn with_customer<T>(
        &self,
        tenant: &TenantId,
        item: T,
        customer: UserId,
    ) -> Result<WithCustomer<T>> {
        let mut customers = self.customers(tenant, [customer]).await?;
        Ok(WithCustomer {
            person: customers.remove(&customer),
            item,
        })
    }
}
