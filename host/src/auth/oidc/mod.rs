//! ID tokens of the OpenID providers that tenants trust: from a token to an identity that the engine may trust.
//!
//! Invariants: a token counts only if a key of its provider signed it with an algorithm that the tenant pinned, and only for this
//! tenant's client id, within its time, and with the nonce that was sent. Nothing in a token chooses a key's place, an algorithm or a
//! role. Called by controllers. Calls egress.

mod claims;
mod keys;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use boxoffice_engine::{
    CheckedIdToken, Error, ErrorCode, IdentityProvider, Result, SetIdentityProvider, TenantId,
    VerifiedIdentity,
};
use quick_cache::sync::Cache;

use super::tokens::choose_provider;
use crate::{egress::Egress, locked::Locked as _};
use claims::IdToken;
use keys::{KeySource, KeysPlace};

/// Providers whose keys are kept: at most 32 keys of 0.6 KB each.
const PROVIDERS_MAX: usize = 500;
/// When a provider that cannot be asked is asked again at the earliest.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Checks ID tokens.
pub(crate) struct IdTokens {
    egress: Egress,
    /// The same for all tenants that trust the same provider.
    sources: Cache<KeysPlace, Arc<KeySource>>,
    /// Tenants whose new settings are being tried, so that none of them takes all connections.
    trying: Mutex<HashSet<TenantId>>,
}

impl IdTokens {
    /// Asks for keys through this connector.
    pub(crate) fn new(egress: Egress) -> Self {
        choose_provider();
        Self {
            egress,
            sources: Cache::new(PROVIDERS_MAX),
            trying: Mutex::default(),
        }
    }

    /// Checks an ID token and the nonce that its sign-in was begun with.
    ///
    /// # Errors
    /// `id-token-invalid` says why; `identity-provider-unavailable` if the provider's keys are not known and cannot be had.
    pub(crate) async fn verify(
        &self,
        provider: &IdentityProvider,
        token: &str,
        nonce: &str,
    ) -> Result<VerifiedIdentity> {
        let refused = |why: &'static str| Error::new(ErrorCode::IdTokenInvalid, why);
        // What can be checked without keys comes first, so that few tokens cause a request.
        let token = IdToken::read(token).map_err(refused)?;
        let now = jiff::Timestamp::now().as_second();
        token.check(provider, nonce, now).map_err(refused)?;
        let algorithm = token.algorithm();
        if !provider.algorithms.contains(&algorithm) {
            return Err(refused(
                "The ID token is signed with an algorithm that the tenant does not allow for its provider.",
            ));
        }
        let place = KeysPlace::of(&provider.issuer, provider.jwks_url.as_deref());
        let made = || Ok::<_, Error>(Arc::new(KeySource::new(place.clone())));
        let source = self.sources.get_or_insert_with(&place, made)?;
        let unavailable = |why: String| {
            Error::new(
                ErrorCode::IdentityProviderUnavailable,
                "The keys of the tenant's identity provider cannot be read now; try again, or sign in another way.",
            )
            .retry_after(RETRY_AFTER)
            .caused_by(why)
        };
        let known = source.keys(&self.egress).await.map_err(unavailable)?;
        let mut found = known.find(token.key_id(), algorithm);
        let newer;
        if found.is_empty() {
            // A key that is not known may be new.
            newer = source.newer_keys(&self.egress).await.map_err(unavailable)?;
            found = newer.find(token.key_id(), algorithm);
        }
        if found.is_empty() {
            return Err(refused(
                "The ID token is signed with a key that the provider does not publish.",
            ));
        }
        if !found.iter().any(|key| token.is_signed_with(key)) {
            return Err(refused("The ID token's signature is wrong."));
        }
        Ok(token.identity(now, |digest, valid_for| CheckedIdToken {
            provider_changed_at: provider.changed_at,
            digest,
            valid_for,
        }))
    }

    /// Tries whether a provider's keys can be had as these settings say.
    ///
    /// # Errors
    /// `field-invalid` at `issuer` or `jwksUrl` says what is wrong; `too-many-requests` if the tenant tries others now.
    pub(crate) async fn try_settings(
        &self,
        tenant: &TenantId,
        settings: &SetIdentityProvider,
    ) -> Result<()> {
        let Some(_turn) = self.begin_trying(tenant) else {
            return Err(Error::new(
                ErrorCode::TooManyRequests,
                "Other settings of this tenant's identity provider are being tried; wait for that.",
            )
            .retry_after(Duration::from_secs(1)));
        };
        let place = KeysPlace::of(&settings.issuer, settings.jwks_url.as_deref());
        let source = Arc::new(KeySource::new(place.clone()));
        let tried = source.keys(&self.egress).await.map_err(|why| {
            let field = match settings.jwks_url {
                Some(_) => "jwksUrl",
                None => "issuer",
            };
            Error::field(field, format!("The provider's keys cannot be read: {why}."))
        })?;
        let mut allowed = settings.algorithms.iter();
        if allowed.all(|algorithm| tried.find(None, *algorithm).is_empty()) {
            return Err(Error::field(
                "algorithms",
                "The provider publishes no key for any of these algorithms.",
            ));
        }
        self.sources.insert(place, source);
        Ok(())
    }

    fn begin_trying<'a>(&'a self, tenant: &TenantId) -> Option<Trying<'a>> {
        let is_first = self.trying.locked().insert(tenant.clone());
        is_first.then(|| Trying {
            all: &self.trying,
            tenant: tenant.clone(),
        })
    }
}

impl std::fmt::Debug for IdTokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IdTokens").finish_non_exhaustive()
    }
}

/// A tenant whose new settings are being tried.
struct Trying<'a> {
    all: &'a Mutex<HashSet<TenantId>>,
    tenant: TenantId,
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        self.all.locked().remove(&self.tenant);
    }
}
