//! Tenants of the installation, for operators and embedding programs.
//!
//! Called by hosts and platforms. Calls the tenants module.

use std::sync::Arc;

use crate::{
    Result,
    engine::Inner,
    types::{Caller, CreateTenant, Page, PageRequest, Tenant, TenantId},
};

/// Use cases around tenants.
#[derive(Clone)]
pub struct Tenants(pub(crate) Arc<Inner>);

impl Tenants {
    /// Makes a tenant, by an operator.
    ///
    /// # Errors
    /// `forbidden`, `tenant-taken`, `field-invalid`.
    pub async fn create(&self, caller: &Caller, command: CreateTenant) -> Result<Tenant> {
        todo!()
    }

    /// Makes a tenant unless it is there, by an operator or embedding code; answers the one that is there.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid`.
    pub async fn ensure(&self, caller: &Caller, command: CreateTenant) -> Result<Tenant> {
        todo!()
    }

    /// Shows the caller's tenant to anybody at its door.
    ///
    /// # Errors
    /// `not-found`.
    pub async fn show(&self, caller: &Caller) -> Result<Tenant> {
        todo!()
    }

    /// Lists all tenants by name, for operators.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list(&self, caller: &Caller, page: PageRequest) -> Result<Page<Tenant>> {
        todo!()
    }

    /// The tenant that a request means which names none: the only one there is, if there is only one.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn implied(&self) -> Result<Option<TenantId>> {
        todo!()
    }
}
