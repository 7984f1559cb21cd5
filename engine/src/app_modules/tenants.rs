//! Tenants of the installation, for operators and embedding programs.
//!
//! Called by hosts and platforms. Calls the tenants module.

use std::sync::Arc;

use crate::{
    context::EngineContext,
    error::{ErrorCode, Result},
    types::{
        Caller, CreateTenant, EmailAddress, Page, PageRequest, Role, Tenant, TenantId, UpdateTenant,
    },
};

const OWNERS_ONLY: &str = "Only an owner of this tenant may change its settings.";

/// Use cases of tenants.
#[derive(Clone)]
pub struct Tenants(pub(crate) Arc<EngineContext>);

impl Tenants {
    /// Makes a tenant, by an operator.
    ///
    /// # Errors
    /// `forbidden`, `tenant-taken`, `field-invalid`.
    pub async fn create(&self, caller: &Caller, command: CreateTenant) -> Result<Tenant> {
        caller.require_operator()?;
        command.validate()?;
        self.0.modules.tenants.create(command).await
    }

    /// Makes a tenant unless it is there, by an operator or embedding code; answers the one that is there.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid`.
    pub async fn ensure(&self, caller: &Caller, command: CreateTenant) -> Result<Tenant> {
        caller.require_any(&[], "Only an operator or trusted code may make tenants.")?;
        command.validate()?;
        let id = command.id.clone();
        match self.0.modules.tenants.create(command).await {
            Err(error) if error.code() == ErrorCode::TenantTaken => {
                self.0.modules.tenants.get(&id).await
            }
            outcome => outcome,
        }
    }

    /// Shows the caller's tenant to anybody at its door.
    ///
    /// # Errors
    /// `not-found`.
    pub async fn show(&self, caller: &Caller) -> Result<Tenant> {
        self.0.modules.tenants.get(caller.tenant()?).await
    }

    /// Shows a tenant with its settings, to its owners and organizers.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn settings(&self, caller: &Caller) -> Result<Tenant> {
        caller.require_any(
            &[Role::Owner, Role::Organizer],
            "Only owners and organizers see the tenant's settings.",
        )?;
        self.0.modules.tenants.get(caller.tenant()?).await
    }

    /// Shows a tenant with its settings to those who may change them: what a change is judged against before it is made.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn settings_to_change(&self, caller: &Caller) -> Result<Tenant> {
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        self.0.modules.tenants.get(caller.tenant()?).await
    }

    /// Replaces what an owner may say about their tenant.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `field-invalid`, `version-mismatch`, `conflict-try-again`.
    pub async fn update(&self, caller: &Caller, command: UpdateTenant) -> Result<Tenant> {
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        command.validate(self.0.context.settings.limits.announcements_per_day_max)?;
        self.0
            .modules
            .tenants
            .update(caller.tenant()?, command)
            .await
    }

    /// Sets the sender's address of the tenant's mails (none: the installation's), by an operator, who answers for the
    /// domains that the installation's mail servers may speak for.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `conflict-try-again`.
    pub async fn set_mail_from(
        &self,
        caller: &Caller,
        mail_from: Option<EmailAddress>,
    ) -> Result<Tenant> {
        caller.require_operator()?;
        self.0
            .modules
            .tenants
            .set_mail_from(caller.tenant()?, mail_from)
            .await
    }

    /// The most announcements a day that any tenant of this installation may allow itself.
    pub fn announcements_per_day_max(&self) -> u32 {
        self.0.context.settings.limits.announcements_per_day_max
    }

    /// Lists all tenants by name, for operators.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list(&self, caller: &Caller, page: PageRequest) -> Result<Page<Tenant>> {
        caller.require_operator()?;
        self.0.modules.tenants.list(&page).await
    }

    /// The tenant that a request means which names none: the only one there is, if there is only one.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn implied(&self) -> Result<Option<TenantId>> {
        let page = PageRequest {
            cursor: None,
            limit: 2,
        };
        let tenants = self.0.modules.tenants.list(&page).await?.items;
        Ok(match tenants.as_slice() {
            [only] => Some(only.id.clone()),
            _ => None,
        })
    }
}
