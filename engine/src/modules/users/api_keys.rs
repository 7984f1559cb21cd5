//! The rules of API keys: making, finding by secret, and revoking.
//!
//! Called by app_modules. Calls the API keys repository, and the sessions repository for the revocation log.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use rand::RngCore as _;

use super::principals::{Principals, Revocable};
use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    modules::{
        ModuleContext,
        repositories::{ApiKeysRepository, NewMails, SessionsRepository},
        sha256_hex,
    },
    types::{
        API_KEYS_MAX, ApiKey, ApiKeyId, AuditEntry, CreateApiKey, DeliveryBatch, NewApiKey,
        NotificationId, NotificationKind, TenantId, UserId,
    },
};

/// What every secret begins with, so that scanners of published code find it.
pub(crate) const API_KEY_PREFIX: &str = "bo_";
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;
/// Longest secret: prefix, tenant, separator, 43 characters.
const SECRET_CHARACTERS_MAX: usize = 3 + 63 + 1 + 43;
/// How exact the time of a key's last use is. Each use would cost a commit otherwise.
const LAST_USE_EXACT_TO: Duration = Duration::from_secs(5 * 60);
/// Keys whose last use is remembered, so that it is not written each time.
const USES_MAX: usize = 10_000;

pub(crate) struct ApiKeysModule {
    repository: Arc<ApiKeysRepository>,
    /// For the revocation log.
    sessions: SessionsRepository,
    principals: Principals<String, KnownKey>,
    /// When the last use of each key was written.
    uses: Mutex<HashMap<ApiKeyId, Timestamp>>,
    context: ModuleContext,
}

/// A key that was found.
#[derive(Clone)]
struct KnownKey {
    tenant: TenantId,
    key: ApiKey,
}

impl Revocable for KnownKey {
    fn owner_name(&self) -> String {
        owner_name(&self.tenant, self.key.id)
    }
}

/// A key's name in the revocation log.
fn owner_name(tenant: &TenantId, key: ApiKeyId) -> String {
    format!("key {tenant} {key}")
}

impl ApiKeysModule {
    pub(in crate::modules) fn new(
        repository: ApiKeysRepository,
        sessions: SessionsRepository,
        context: ModuleContext,
    ) -> Self {
        Self {
            repository: Arc::new(repository),
            sessions,
            principals: Principals::new(),
            uses: Mutex::default(),
            context,
        }
    }

    /// Makes a key, and tells the tenant's owners by mail, the first 32. Two that are made at once may exceed the limit by one.
    ///
    /// # Errors
    /// `field-invalid`, `too-many-keys`.
    pub(crate) async fn create(
        &self,
        tenant: &TenantId,
        command: CreateApiKey,
        created_by: Option<UserId>,
        audit: impl FnOnce(&ApiKey) -> AuditEntry,
    ) -> Result<NewApiKey> {
        let now = self.context.now();
        command.validate(now)?;
        if self.repository.list(tenant).await?.len() >= API_KEYS_MAX {
            return Err(Error::new(
                ErrorCode::TooManyKeys,
                format!("A tenant has at most {API_KEYS_MAX} API keys: revoke one first."),
            ));
        }
        let key = ApiKey {
            id: ApiKeyId::from_ulid(self.context.next_id()),
            name: command.name,
            scopes: command.scopes,
            created_by,
            created_at: now,
            expires_at: command.expires_at.map(crate::modules::to_millisecond),
            last_used_at: None,
        };
        let secret = new_secret(tenant);
        let audit = audit(&key);
        let entry = (self.context.next_id(), &audit);
        let hash = hash_of(&secret);
        let owners = self
            .repository
            .owners(tenant, DeliveryBatch::DELIVERIES_MAX);
        let notification = NotificationId::from_ulid(self.context.next_id());
        let what = (notification, NotificationKind::ApiKeyCreated);
        let mails = NewMails::to_users(tenant, what, &owners.await?, now);
        self.repository
            .insert(tenant, (&hash, &key), &mails, entry)
            .await?;
        self.context.outbox_added.notify_one();
        Ok(NewApiKey { key, secret })
    }

    /// A tenant's keys, the newest first, the expired ones included.
    pub(crate) async fn list(&self, tenant: &TenantId) -> Result<Vec<ApiKey>> {
        let found = self.repository.list(tenant).await?;
        let mut keys: Vec<ApiKey> = found.into_iter().map(|(_, key)| key).collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.id.ulid()));
        Ok(keys)
    }

    /// Revokes a key: within a second no host accepts it any more.
    ///
    /// # Errors
    /// `not-found`.
    pub(crate) async fn revoke(
        &self,
        tenant: &TenantId,
        id: ApiKeyId,
        audit: impl FnOnce(&ApiKey) -> AuditEntry,
    ) -> Result<()> {
        let nobody = || Error::not_found("API key", id);
        let keys = self.repository.list(tenant).await?;
        let key = keys.into_iter().find(|(_, key)| key.id == id);
        let (hash, key) = key.ok_or_else(nobody)?;
        let (audit, owner) = (audit(&key), owner_name(tenant, id));
        let entry = (self.context.next_id(), &audit);
        let was_there = self.repository.delete(tenant, &hash, &owner, entry).await?;
        self.principals.forget(|known| known.key.id == id);
        match was_there {
            true => Ok(()),
            false => Err(nobody()),
        }
    }

    /// The key of a secret, and its tenant, if it may be used now.
    ///
    /// # Errors
    /// `not-authenticated`, `unavailable`.
    pub(crate) async fn find(&self, secret: &str) -> Result<(TenantId, ApiKey)> {
        let refused = || {
            Error::new(
                ErrorCode::NotAuthenticated,
                "This API key is unknown, expired or revoked.",
            )
        };
        let tenant = tenant_of(secret).ok_or_else(refused)?;
        let hash = hash_of(secret);
        let read = async {
            let found = self.repository.find(&tenant, &hash).await?;
            Ok(found.map(|key| KnownKey {
                tenant: tenant.clone(),
                key,
            }))
        };
        let found = self
            .principals
            .find(&self.sessions, hash.clone(), read)
            .await?;
        let now = self.context.now();
        let is_over = |key: &ApiKey| key.expires_at.is_some_and(|at| at <= now);
        let found = found.filter(|found| found.tenant == tenant && !is_over(&found.key));
        let key = found.ok_or_else(refused)?.key;
        self.note_use(&tenant, hash, &key, now);
        Ok((tenant, key))
    }

    /// Returns whether a key is still valid.
    pub(crate) async fn stands(&self, tenant: &TenantId, id: ApiKeyId) -> Result<bool> {
        let now = self.context.now();
        let keys = self.list(tenant).await?;
        let key = keys.into_iter().find(|key| key.id == id);
        Ok(key.is_some_and(|key| key.expires_at.is_none_or(|at| now < at)))
    }

    /// Writes a key's use, unless one was written lately. Nobody waits for it: it is told to a few minutes.
    fn note_use(&self, tenant: &TenantId, hash: String, key: &ApiKey, now: Timestamp) {
        {
            let mut uses = self.uses.locked();
            let known = uses.get(&key.id).copied();
            let written = known.max(key.last_used_at);
            let age = written.map(|at| now.duration_since(at).unsigned_abs());
            if age.is_some_and(|age| age < LAST_USE_EXACT_TO) {
                return;
            }
            if uses.len() >= USES_MAX {
                uses.clear();
            }
            uses.insert(key.id, now);
        }
        let (repository, tenant) = (self.repository.clone(), tenant.clone());
        tokio::spawn(async move {
            if let Err(error) = repository.note_use(&tenant, &hash, now).await {
                tracing::warn!(%tenant, %error, "the use of an API key was not written");
            }
        });
    }
}

fn new_secret(tenant: &TenantId) -> String {
    let mut secret = [0_u8; SECRET_BYTES];
    rand::rng().fill_bytes(&mut secret);
    format!(
        "{API_KEY_PREFIX}{tenant}_{}",
        URL_SAFE_NO_PAD.encode(secret)
    )
}

/// The tenant that a secret names. No tenant's name has the separator.
fn tenant_of(secret: &str) -> Option<TenantId> {
    if secret.len() > SECRET_CHARACTERS_MAX {
        return None;
    }
    let (tenant, _) = secret.strip_prefix(API_KEY_PREFIX)?.split_once('_')?;
    TenantId::parse(tenant).ok()
}

/// What is kept of a secret. It has 256 random bits, so that a fast hash is enough.
fn hash_of(secret: &str) -> String {
    sha256_hex(secret.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_names_its_tenant_and_is_never_the_same() {
        let tenant = TenantId::parse("north-hall").unwrap();
        let (one, other) = (new_secret(&tenant), new_secret(&tenant));
        assert_ne!(one, other);
        assert_eq!(tenant_of(&one), Some(tenant.clone()));
        let longest = TenantId::parse(&"a".repeat(63)).unwrap();
        assert_eq!(new_secret(&longest).len(), SECRET_CHARACTERS_MAX);
        for bad in [
            "bo_",
            "bo_north",
            "bx_north_abc",
            "bo_North_abc",
            "",
            "bo__abc",
        ] {
            assert_eq!(tenant_of(bad), None, "{bad}");
        }
        assert_eq!(hash_of(&one).len(), 64);
    }
}
