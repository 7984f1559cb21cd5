//! API keys of programs: made, listed and revoked by a tenant's owners.
//!
//! Called by hosts and platforms. Calls the API keys and users modules.

use std::sync::Arc;

use crate::{
    context::EngineContext,
    error::{Error, Result},
    modules::API_KEY_PREFIX,
    types::{ApiKey, ApiKeyId, AuditEntry, Caller, CreateApiKey, NewApiKey, Role},
};

const OWNERS_ONLY: &str = "Only an owner of this tenant may do this.";

/// Use cases of API keys.
#[derive(Clone)]
pub struct ApiKeys(pub(crate) Arc<EngineContext>);

impl ApiKeys {
    /// Makes a key, for the tenant's owners. Its secret is in the answer and nowhere else. A tenant has at most 100.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid`, `too-many-keys`.
    pub async fn create(&self, caller: &Caller, command: CreateApiKey) -> Result<NewApiKey> {
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?.id;
        let who = self.0.audited_name(caller).await?;
        let keys = &self.0.modules.api_keys;
        let audit = |key: &ApiKey| self.entry(who, "create-key", key);
        keys.create(&tenant, command, caller.user_id(), audit).await
    }

    /// Lists the tenant's keys, the newest first, for its owners.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<ApiKey>> {
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?.id;
        self.0.modules.api_keys.list(&tenant).await
    }

    /// Shows a key, for the tenant's owners.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn show(&self, caller: &Caller, key: ApiKeyId) -> Result<ApiKey> {
        let keys = self.list(caller).await?;
        let found = keys.into_iter().find(|one| one.id == key);
        found.ok_or_else(|| Error::not_found("API key", key))
    }

    /// Revokes a key, for the tenant's owners. Within a second no host accepts it.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn revoke(&self, caller: &Caller, key: ApiKeyId) -> Result<()> {
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        let tenant = caller.tenant()?;
        let who = self.0.audited_name(caller).await?;
        let keys = &self.0.modules.api_keys;
        let audit = |key: &ApiKey| self.entry(who, "revoke-key", key);
        keys.revoke(tenant, key, audit).await
    }

    /// Whether a token is the secret of an API key, by what it begins with. No access token of a host does.
    pub fn is_secret(token: &str) -> bool {
        token.starts_with(API_KEY_PREFIX)
    }

    /// Finds the caller behind a key's secret, for hosts that authenticate requests.
    ///
    /// Results are cached like those of sessions: a revoked key is refused within a second.
    ///
    /// # Errors
    /// `not-authenticated`, `unavailable`.
    pub async fn caller(&self, secret: &str) -> Result<Caller> {
        let (tenant, key) = self.0.modules.api_keys.find(secret).await?;
        Ok(Caller::api_key(tenant, key.id, key.scopes))
    }

    fn entry(&self, who: String, action: &str, key: &ApiKey) -> AuditEntry {
        let scopes: Vec<String> = key.scopes.iter().map(|scope| scope.to_string()).collect();
        AuditEntry {
            at: self.0.context.now(),
            who,
            action: action.to_owned(),
            subject: format!("API key {} ({})", key.id, scopes.join(", ")),
            why: key.name.to_string(),
            count: None,
        }
    }
}
