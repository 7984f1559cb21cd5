//! The rules of tenants. Called by app_modules; calls the tenants repository.

use super::{
    Surroundings,
    repositories::{SystemScope, TenantsRepository},
};
use crate::{
    Error, ErrorCode, Result,
    types::{CreateTenant, Page, PageRequest, Tenant, TenantId},
};

pub(crate) struct TenantsModule {
    repository: TenantsRepository,
    surroundings: Surroundings,
}

impl TenantsModule {
    pub(super) fn new(repository: TenantsRepository, surroundings: Surroundings) -> Self {
        Self {
            repository,
            surroundings,
        }
    }

    pub(crate) async fn create(&self, command: CreateTenant) -> Result<Tenant> {
        let tenant = Tenant {
            id: command.id,
            name: command.name,
            currency: command.currency,
            settings: command.settings,
            created_at: self.surroundings.now(),
        };
        if self.repository.insert(SystemScope::new(), &tenant).await? {
            Ok(tenant)
        } else {
            Err(Error::new(
                ErrorCode::TenantTaken,
                "There is a tenant of this name already.",
            )
            .at_field("id"))
        }
    }

    pub(crate) async fn find(&self, tenant: &TenantId) -> Result<Option<Tenant>> {
        self.repository.find(tenant).await
    }

    /// The tenant, or the refusal that there is none.
    pub(crate) async fn get(&self, tenant: &TenantId) -> Result<Tenant> {
        self.find(tenant)
            .await?
            .ok_or_else(|| Error::not_found("tenant", tenant))
    }

    pub(crate) async fn list(&self, page: &PageRequest) -> Result<Page<Tenant>> {
        self.repository.list(SystemScope::new(), page).await
    }
}
