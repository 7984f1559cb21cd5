//! The rules of tenants. Called by app_modules; calls the tenants repository.

mod logo;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use super::{
    ModuleContext,
    repositories::{SystemScope, TenantsRepository, later_than},
};
use crate::modules::support::lru_cache::LruCache;
use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    modules::support::Attempts,
    types::{
        AuditEntry, CreateTenant, EmailAddress, IdentityProvider, Page, PageRequest,
        SetIdentityProvider, Tenant, TenantId, UpdateTenant,
    },
};

/// How long [`TenantsModule::recent`] caches a tenant. A change takes effect at every host within this time.
const RECENT_FOR: Duration = Duration::from_secs(1);
/// Most cached tenants: some 1 KB each, and 6 KB with the longest footer, links and addresses, 24 MB in all. One that is not cached
/// costs a read.
const RECENT_MAX: usize = 4_096;

pub(crate) struct TenantsModule {
    repository: TenantsRepository,
    context: ModuleContext,
    /// Cached tenants, with the time when each read began.
    recent: Mutex<LruCache<TenantId, (Instant, Arc<Tenant>)>>,
}

impl TenantsModule {
    pub(super) fn new(repository: TenantsRepository, context: ModuleContext) -> Self {
        Self {
            repository,
            context,
            recent: Mutex::new(LruCache::new(RECENT_MAX)),
        }
    }

    pub(crate) async fn create(&self, command: CreateTenant) -> Result<Tenant> {
        let tenant = Tenant {
            id: command.id,
            name: command.name,
            currency: command.currency,
            version: 1,
            mail_from: None,
            logo: None,
            receipts_since: (command.settings.receipts.is_on).then(|| self.context.now()),
            settings: command.settings,
            created_at: self.context.now(),
        };
        if self.repository.insert(&tenant).await? {
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

    /// The tenant as it was at most a second ago, or a little longer while it is being read again; as it is now if no other process
    /// can change it. For checks of every booking, so that they cost no read.
    pub(crate) async fn recent(&self, tenant: &TenantId) -> Result<Option<Arc<Tenant>>> {
        let now = Instant::now();
        if let Some((read_at, known)) = self.known().get(tenant) {
            let is_current = now.duration_since(*read_at) < RECENT_FOR;
            if is_current || self.context.is_exclusive {
                return Ok(Some(known.clone()));
            }
            // This caller reads it again; the others use the cached one.
            *read_at = now;
        }
        let found = self.find(tenant).await;
        let mut known = self.known();
        match found {
            Ok(Some(found)) => {
                // What this process has written meanwhile is newer than what it began to read before.
                if let Some((_, newer)) = known.get(tenant)
                    && newer.version > found.version
                {
                    return Ok(Some(newer.clone()));
                }
                let found = Arc::new(found);
                known.insert(tenant.clone(), (now, found.clone()));
                Ok(Some(found))
            }
            other => {
                known.remove(tenant);
                other.map(|_| None)
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, LruCache<TenantId, (Instant, Arc<Tenant>)>> {
        self.recent.locked()
    }

    /// The tenant, or `not-found`.
    pub(crate) async fn get(&self, tenant: &TenantId) -> Result<Tenant> {
        self.find(tenant)
            .await?
            .ok_or_else(|| Error::not_found("tenant", tenant))
    }

    /// Replaces what an owner may say about a tenant.
    pub(crate) async fn update(&self, tenant: &TenantId, command: UpdateTenant) -> Result<Tenant> {
        let mut tenant = self.get(tenant).await?;
        if tenant.version != command.expected_version {
            return Err(version_mismatch(tenant.version, command.expected_version));
        }
        tenant.name = command.name;
        let were_on = tenant.receipts_since;
        let are_on = command.settings.receipts.is_on;
        tenant.receipts_since = are_on.then(|| were_on.unwrap_or_else(|| self.context.now()));
        tenant.settings = command.settings;
        if !self.repository.replace(&tenant).await? {
            return Err(changed_meanwhile());
        }
        tenant.version += 1;
        self.note_written(&tenant);
        Ok(tenant)
    }

    /// Lets a change take effect in this process at once.
    fn note_written(&self, tenant: &Tenant) {
        let written = (Instant::now(), Arc::new(tenant.clone()));
        self.known().insert(tenant.id.clone(), written);
    }

    /// Writes the sender's address of a tenant's mails, whatever the version: only operators write it.
    pub(crate) async fn set_mail_from(
        &self,
        tenant: &TenantId,
        mail_from: Option<EmailAddress>,
    ) -> Result<Tenant> {
        let mut attempts = Attempts::new("set_mail_from", 8);
        while attempts.next().await.is_some() {
            let mut tenant = self.get(tenant).await?;
            if tenant.mail_from == mail_from {
                return Ok(tenant);
            }
            tenant.mail_from.clone_from(&mail_from);
            if self.repository.replace(&tenant).await? {
                tenant.version += 1;
                self.note_written(&tenant);
                return Ok(tenant);
            }
        }
        Err(changed_meanwhile())
    }

    /// Writes a tenant's logo, or removes it, whatever the version. Returns whether the tenant had one.
    ///
    /// # Errors
    /// `field-invalid` for bytes that are no small PNG picture.
    pub(crate) async fn set_logo(&self, tenant: &TenantId, bytes: Option<Vec<u8>>) -> Result<bool> {
        let logo = match bytes {
            Some(bytes) => Some(logo::checked(bytes).await?),
            None => None,
        };
        let mut had_one = false;
        let mut attempts = Attempts::new("set_logo", 8);
        while attempts.next().await.is_some() {
            let mut tenant = self.get(tenant).await?;
            let wanted = logo.as_ref().map(|(facts, _)| facts.clone());
            let former = std::mem::replace(&mut tenant.logo, wanted);
            // Before an attempt whose answer was lost, too.
            had_one |= former.is_some();
            if tenant.logo == former {
                return Ok(had_one);
            }
            let bytes = logo.as_ref().map(|(_, bytes)| bytes.as_slice());
            let step = self
                .repository
                .replace_with_logo(&tenant, bytes, former.as_ref());
            if step.await? {
                tenant.version += 1;
                self.note_written(&tenant);
                return Ok(had_one);
            }
        }
        Err(changed_meanwhile())
    }

    /// The bytes of a tenant's logo.
    pub(crate) async fn logo(&self, tenant: &TenantId) -> Result<Option<Vec<u8>>> {
        match self.get(tenant).await?.logo {
            Some(logo) => self.repository.logo(tenant, &logo).await,
            None => Ok(None),
        }
    }

    /// The OpenID provider that a tenant trusts.
    pub(crate) async fn identity_provider(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<IdentityProvider>> {
        self.repository.identity_provider(tenant).await
    }

    /// Sets the OpenID provider that a tenant trusts.
    pub(crate) async fn set_identity_provider(
        &self,
        tenant: &TenantId,
        command: SetIdentityProvider,
        audit: &AuditEntry,
    ) -> Result<IdentityProvider> {
        command.validate()?;
        let before = self.repository.identity_provider(tenant).await?;
        let before = before.map(|before| before.changed_at);
        let provider = IdentityProvider {
            issuer: command.issuer,
            client_id: command.client_id,
            jwks_url: command.jwks_url,
            algorithms: command.algorithms,
            changed_at: later_than(self.context.now(), before),
        };
        let entry = (self.context.next_id(), audit);
        self.repository
            .set_identity_provider(tenant, &provider, entry)
            .await?;
        Ok(provider)
    }

    /// Removes the OpenID provider that a tenant trusts. Returns whether there was one.
    pub(crate) async fn remove_identity_provider(
        &self,
        tenant: &TenantId,
        audit: &AuditEntry,
    ) -> Result<bool> {
        let entry = (self.context.next_id(), audit);
        self.repository
            .remove_identity_provider(tenant, entry)
            .await
    }

    pub(crate) async fn list(&self, page: &PageRequest) -> Result<Page<Tenant>> {
        self.repository.list(SystemScope::new(), page).await
    }
}

fn version_mismatch(current: u64, expected: u64) -> Error {
    Error::new(
        ErrorCode::VersionMismatch,
        format!(
            "The settings are at version {current} now, not {expected}; read them again and repeat your change."
        ),
    )
}

fn changed_meanwhile() -> Error {
    Error::new(
        ErrorCode::ConflictTryAgain,
        "Somebody else changed the tenant at the same time; read it again and repeat your change.",
    )
}
