//! Authentication: from tokens to a [`Caller`], limits of sign-in attempts, and rate limits.
//!
//! Called by routes. Calls the engine's use cases of sessions.

pub(crate) mod cookies;
pub(crate) mod devices;
mod limits;
mod links;
mod oidc;
mod throttle;
mod ticket_codes;
mod tokens;
mod transport;

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::{HeaderMap, header::AUTHORIZATION};
use boxoffice_engine::{Caller, Engine, Error, ErrorCode, Result, app_modules::ApiKeys};

pub(crate) use limits::{RateLimitState, RequestLimits};
pub use links::MailLinks;
pub(crate) use links::{TicketsLink, Unsubscription};
pub(crate) use oidc::IdTokens;
pub(crate) use throttle::{LoginThrottle, NetworkAllowance, Taken, Try, client_address, network};
pub use ticket_codes::SealedTicketCodes;
pub(crate) use tokens::{ACCESS_TOKEN_LIFE, AccessToken, RefreshToken};
pub use tokens::{TokenKey, TokenKeys};
pub(crate) use transport::Transport;

/// Authenticates requests. A platform with its own sign-in puts its implementation into
/// [`RouterOptions::authenticate`](crate::RouterOptions::authenticate).
#[async_trait]
pub trait Authenticate: Send + Sync + 'static {
    /// Authenticates a request by its headers; `None` for somebody who is not signed in.
    ///
    /// The result is trusted: the engine does not check it again. A caller without a tenant
    /// ([`Caller::operator`]) acts in the tenant that the request names.
    ///
    /// # Errors
    /// `not-authenticated` for wrong or expired credentials, `unavailable` if they cannot be checked.
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Caller>>;
}

/// How callers are authenticated: by own tokens, or by the platform.
#[derive(Clone)]
pub(crate) enum Recognition {
    /// With own tokens.
    Own(BearerAuthentication),
    /// By the platform.
    Platform(Arc<dyn Authenticate>),
}

impl Recognition {
    /// Authenticates a request by its headers.
    ///
    /// # Errors
    /// As those of [`Authenticate::authenticate`].
    pub(crate) async fn recognise(
        &self,
        headers: &HeaderMap,
        is_over_tls: bool,
    ) -> Result<Option<Caller>> {
        match self {
            Self::Own(own) => own.recognise(headers, is_over_tls).await,
            Self::Platform(platform) => platform.authenticate(headers).await,
        }
    }
}

/// Authentication by API keys and own tokens: `Authorization: Bearer` with the secret of a key, with an access token that [`TokenKeys`] signed, or such a token in the cookie of a
/// page. It is valid as long as its session, with the owner's current role.
#[derive(Clone)]
pub(crate) struct BearerAuthentication {
    keys: TokenKeys,
    engine: Engine,
}

impl BearerAuthentication {
    /// Accepts tokens that these keys signed for sessions of this engine.
    pub(crate) fn new(keys: TokenKeys, engine: Engine) -> Self {
        Self { keys, engine }
    }

    async fn recognise(&self, headers: &HeaderMap, is_over_tls: bool) -> Result<Option<Caller>> {
        let token = match bearer_token(headers)? {
            Some(secret) if ApiKeys::is_secret(secret) => {
                return self.engine.api_keys().caller(secret).await.map(Some);
            }
            Some(token) => self.keys.verify_access(token)?,
            None => match cookies::access_token(headers, is_over_tls, &self.keys)? {
                Some(token) => token,
                None => return Ok(None),
            },
        };
        let AccessToken { owner, session } = token;
        let caller = self.engine.sessions().caller(&owner, session).await?;
        Ok(Some(caller))
    }
}

/// The token of the one `Authorization: Bearer` header, if there is one.
fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(not_authenticated("Send one Authorization header."));
    }
    value
        .to_str()
        .ok()
        .and_then(|text| text.trim().split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| Some(token.trim()))
        .ok_or_else(|| not_authenticated("Send the token as `Authorization: Bearer TOKEN`."))
}

/// The error for wrong credentials.
pub(crate) fn not_authenticated(detail: &'static str) -> Error {
    Error::new(ErrorCode::NotAuthenticated, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (AUTHORIZATION, value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn one_bearer_token_is_read_and_anything_else_refused() {
        assert_eq!(bearer_token(&headers(&[])).unwrap(), None);
        assert_eq!(
            bearer_token(&headers(&["bearer  abc "])).unwrap(),
            Some("abc")
        );
        for bad in [
            &["Basic eHg6eQ=="][..],
            &["Bearer"],
            &["Bearer a", "Bearer b"],
            &["é"],
        ] {
            assert!(
                bearer_token(&headers(bad)).is_err(),
                "{bad:?} must be refused"
            );
        }
    }
}
