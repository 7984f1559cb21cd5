//! Tenants of the installation, for operators and embedding programs.
//!
//! Called by hosts and platforms. Calls the tenants module.

use std::sync::Arc;

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    types::{
        AuditEntry, Caller, CreateTenant, EmailAddress, IdentityProvider, Page, PageRequest, Role,
        Scope, SetIdentityProvider, Tenant, TenantId, UpdateTenant,
    },
};

const OWNERS_ONLY: &str = "Only an owner of this tenant may change its settings.";

/// Use cases of tenants.
#[derive(Clone)]
pub struct Tenants(pub(crate) Arc<EngineContext>);

impl Tenants {
    /// Creates a tenant, for operators.
    ///
    /// # Errors
    /// `forbidden`, `tenant-taken`, `field-invalid`.
    pub async fn create(&self, caller: &Caller, command: CreateTenant) -> Result<Tenant> {
        caller.require_operator()?;
        command.validate()?;
        self.0.modules.tenants.create(command).await
    }

    /// Creates a tenant unless it exists, for operators and embedding code. Returns the existing one.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid`.
    pub async fn ensure(&self, caller: &Caller, command: CreateTenant) -> Result<Tenant> {
        caller.require_any(&[], "Only an operator or trusted code may create tenants.")?;
        command.validate()?;
        let id = command.id.clone();
        match self.0.modules.tenants.create(command).await {
            Err(error) if error.code() == ErrorCode::TenantTaken => {
                self.0.modules.tenants.get(&id).await
            }
            outcome => outcome,
        }
    }

    /// Shows the caller's tenant to anybody.
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
        let caller = &caller.scoped(Scope::Settings)?;
        caller.require_any(
            &[Role::Owner, Role::Organizer],
            "Only owners and organizers may see the tenant's settings.",
        )?;
        self.0.modules.tenants.get(caller.tenant()?).await
    }

    /// Shows a tenant with its settings to those who may change them, as the base of a change.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn settings_to_change(&self, caller: &Caller) -> Result<Tenant> {
        let caller = &caller.scoped(Scope::Settings)?;
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        self.0.modules.tenants.get(caller.tenant()?).await
    }

    /// Replaces a tenant's name and settings, for its owners.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `field-invalid`, `version-mismatch`, `conflict-try-again`.
    pub async fn update(&self, caller: &Caller, command: UpdateTenant) -> Result<Tenant> {
        let caller = &caller.scoped(Scope::Settings)?;
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        command.validate(self.0.context.settings.limits.announcements_per_day_max)?;
        self.0
            .modules
            .tenants
            .update(caller.tenant()?, command)
            .await
    }

    /// Sets the sender's address of the tenant's mails (`None`: the installation's). For operators, who know for
    /// which domains the installation's mail servers may send.
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

    /// Shows the tenant's uploaded logo to anybody: the bytes of a PNG picture.
    ///
    /// # Errors
    /// `not-found` without one.
    pub async fn logo(&self, caller: &Caller) -> Result<Vec<u8>> {
        let tenant = caller.tenant()?;
        let logo = self.0.modules.tenants.logo(tenant).await?;
        logo.ok_or_else(|| Error::not_found("logo of the tenant", tenant))
    }

    /// Sets the logo in the tenant's mails, for its owners: a PNG picture of at most 64 KiB and 1,200 x 600 pixels, which is
    /// decoded whole. It is shown instead of the one at [`Brand::logo_url`](crate::Brand).
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `body-too-large`, `field-invalid` at `logo`, `conflict-try-again`.
    pub async fn set_logo(&self, caller: &Caller, png: Vec<u8>) -> Result<()> {
        let caller = &caller.scoped(Scope::Settings)?;
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        let tenants = &self.0.modules.tenants;
        tenants.set_logo(caller.tenant()?, Some(png)).await?;
        Ok(())
    }

    /// Removes the tenant's uploaded logo, for its owners.
    ///
    /// # Errors
    /// `forbidden`, `not-found` without one, `conflict-try-again`.
    pub async fn remove_logo(&self, caller: &Caller) -> Result<()> {
        let caller = &caller.scoped(Scope::Settings)?;
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        let tenant = caller.tenant()?;
        match self.0.modules.tenants.set_logo(tenant, None).await? {
            true => Ok(()),
            false => Err(Error::not_found("logo of the tenant", tenant)),
        }
    }

    /// Shows the OpenID provider that the tenant trusts, to its owners.
    ///
    /// # Errors
    /// `forbidden`, `not-found` for an unknown tenant.
    pub async fn identity_provider(&self, caller: &Caller) -> Result<Option<IdentityProvider>> {
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?.id;
        self.0.modules.tenants.identity_provider(&tenant).await
    }

    /// Sets the OpenID provider that the tenant trusts, for its owners. ID tokens that were checked with the settings before are
    /// refused from then on.
    ///
    /// The engine asks nobody whether there is such a provider: hosts do that before.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid`, `not-found` for an unknown tenant.
    pub async fn set_identity_provider(
        &self,
        caller: &Caller,
        command: SetIdentityProvider,
    ) -> Result<IdentityProvider> {
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        let tenants = &self.0.modules.tenants;
        let tenant = tenants.get(caller.tenant()?).await?.id;
        let subject = format!("{} for {}", command.issuer, command.client_id);
        let audit = self.provider_entry(caller, "set-identity-provider", subject);
        tenants
            .set_identity_provider(&tenant, command, &audit.await?)
            .await
    }

    /// Removes the OpenID provider that the tenant trusts, for its owners. Nobody signs in with its tokens from then on; sessions
    /// go on, and the identities of accounts stay, for when it is set again.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn remove_identity_provider(&self, caller: &Caller) -> Result<()> {
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        let tenants = &self.0.modules.tenants;
        let tenant = tenants.get(caller.tenant()?).await?.id;
        let audit = self.provider_entry(
            caller,
            "remove-identity-provider",
            "its settings".to_owned(),
        );
        match tenants
            .remove_identity_provider(&tenant, &audit.await?)
            .await?
        {
            true => Ok(()),
            false => Err(Error::not_found("identity provider of the tenant", &tenant)),
        }
    }

    async fn provider_entry(
        &self,
        caller: &Caller,
        action: &str,
        subject: String,
    ) -> Result<AuditEntry> {
        Ok(AuditEntry {
            at: self.0.context.now(),
            who: self.0.audited_name(caller).await?,
            action: action.to_owned(),
            subject: format!("identity provider {subject}"),
            why: String::new(),
            count: None,
        })
    }

    /// The highest daily limit of announcements that a tenant of this installation can set.
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

    /// The tenant of a request that names none: the only tenant, if there is just one.
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
