//! Access tokens (JWT, HS256) and refresh tokens, signed and checked with keys that can be rotated.
//!
//! Called by sign-in controllers and by [`BearerAuthentication`](super::BearerAuthentication). Both kinds of token name a session and its owner.
//! The engine decides whether the session is valid, what its owner may do, and which of its refresh tokens is current.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_engine::{
    Caller, EmailAddress, Error, ErrorCode, Result, SessionId, SessionOwner, TenantId, UserRole,
};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quick_cache::sync::Cache;
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::not_authenticated;

/// Longest lifetime of an access token. Short, so that a copy in a log is
/// soon worthless.
pub(crate) const ACCESS_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// Verified access tokens that are kept: those of a sale's customers within a token's life, at 0.5 KB each.
const VERIFIED_MAX: usize = 10_000;
/// How far the clocks of two hosts may differ, in seconds.
const CLOCK_SKEW_SECONDS: u64 = 5;
/// The issuer in tokens.
const ISSUER: &str = "boxoffice";
/// HS256 is as strong as its key up to the 32 bytes of SHA-256's output (RFC 7518, 3.2 demands them).
const SECRET_BYTES_MIN: usize = 32;
/// Longest refresh token that is read; valid ones have fewer than 200 bytes.
const REFRESH_TOKEN_BYTES_MAX: usize = 512;

/// One signing key: its public name and its secret.
#[derive(Clone)]
pub struct TokenKey {
    /// The `kid` in the head of tokens: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub id: String,
    /// At least 32 random bytes.
    pub secret: Vec<u8>,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The keys of an installation: the first signs, all of them verify.
///
/// To rotate: add a new key at the end on every host, then move it to the front, and after 30 days (the life of
/// a session) drop the old one.
#[derive(Clone)]
pub struct TokenKeys(Arc<KeyRing>);

struct KeyRing {
    keys: Box<[Key]>,
    /// Access tokens that were verified, by the whole token; its hash has a random key.
    verified: Cache<String, Verified>,
}

/// A verified access token, and when it expires, in Unix seconds.
#[derive(Clone)]
struct Verified {
    token: AccessToken,
    expires_at: u64,
}

struct Key {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    refresh: Hmac<Sha256>,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_list()
            .entries(self.0.keys.iter().map(|key| &key.id))
            .finish()
    }
}

impl TokenKeys {
    /// Makes one random key. It ends with the process, and so do its tokens.
    pub fn generate() -> Self {
        let mut secret = vec![0_u8; SECRET_BYTES_MIN];
        rand::rng().fill_bytes(&mut secret);
        let id = "process".to_owned();
        Self::of(Box::new([Key::new(TokenKey { id, secret })]))
    }

    /// Takes the keys of an installation: the first signs, all verify.
    ///
    /// # Errors
    /// A sentence for the operator if there is no key, a secret has fewer than 32 bytes, or an id is not 1 to
    /// 64 of `A-Z a-z 0-9 . _ -` or is repeated.
    pub fn new(keys: Vec<TokenKey>) -> Result<Self, String> {
        check_keys(&keys)?;
        Ok(Self::of(keys.into_iter().map(Key::new).collect()))
    }

    fn of(keys: Box<[Key]>) -> Self {
        Self(Arc::new(KeyRing {
            keys,
            verified: Cache::new(VERIFIED_MAX),
        }))
    }

    /// Signs an access token of a session.
    ///
    /// # Errors
    /// `internal`.
    pub(crate) fn sign_access(&self, owner: &SessionOwner, session: SessionId) -> Result<String> {
        self.sign(owner, session, now_seconds())
    }

    /// Checks an access token and returns its session and owner.
    ///
    /// # Errors
    /// `not-authenticated`.
    pub(crate) fn verify_access(&self, token: &str) -> Result<AccessToken> {
        let refused = || not_authenticated("This token is invalid or expired; sign in again.");
        let is_over = |expires_at: u64| expires_at + CLOCK_SKEW_SECONDS < now_seconds();
        if let Some(known) = self.0.verified.get(token) {
            return match is_over(known.expires_at) {
                true => Err(refused()),
                false => Ok(known.token),
            };
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused())?;
        let key = header
            .kid
            .as_deref()
            .and_then(|id| self.0.keys.iter().find(|key| key.id == id));
        let key = key.ok_or_else(refused)?;
        // Only HS256 is in the list, so a token cannot choose another algorithm, such as `none`.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = CLOCK_SKEW_SECONDS;
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation)
            .map_err(|_| refused())?
            .claims;
        let expires_at = claims.exp;
        let known = Verified {
            token: claims.into_token().ok_or_else(refused)?,
            expires_at,
        };
        self.0.verified.insert(token.to_owned(), known.clone());
        Ok(known.token)
    }

    /// Writes the refresh token of a session's current generation.
    pub(crate) fn sign_refresh(
        &self,
        owner: &SessionOwner,
        session: SessionId,
        generation: u32,
    ) -> String {
        // No tenant has an empty name, and no part contains a full stop.
        let (tenant, whose) = match owner {
            SessionOwner::User { tenant, user } => (tenant.as_str(), user.to_string()),
            SessionOwner::Operator(email) => ("", URL_SAFE_NO_PAD.encode(email.as_str())),
        };
        let body = format!("{tenant}.{whose}.{session}.{generation}");
        // `new` and `generate` make sure that there is a first key.
        let mac = self.0.keys[0].refresh_mac(&body);
        format!(
            "{body}.{}",
            URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
        )
    }

    /// Reads a refresh token that one of the keys signed.
    ///
    /// # Errors
    /// `session-ended`.
    pub(crate) fn verify_refresh(&self, token: &str) -> Result<RefreshToken> {
        self.read_refresh(token).ok_or_else(|| {
            Error::new(
                ErrorCode::SessionEnded,
                "This refresh token is not valid; sign in again.",
            )
        })
    }

    /// The header value that the page sends with its session's cookies. The same during the whole
    /// session, so that one tab's refresh does not affect the others.
    pub(crate) fn csrf_of(&self, session: SessionId) -> String {
        self.seal(&format!("csrf {session}"))
    }

    /// Checks the page's header value, in constant time.
    pub(crate) fn is_csrf_of(&self, session: SessionId, csrf: &str) -> bool {
        self.is_sealed(&format!("csrf {session}"), csrf)
    }

    /// Seals a text. Each purpose has its own prefix, so a seal is valid for one purpose only.
    pub(super) fn seal(&self, text: &str) -> String {
        let mac = self.0.keys[0].refresh_mac(text);
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    /// Returns whether one of the keys sealed a text; compared in constant time.
    pub(super) fn is_sealed(&self, text: &str, seal: &str) -> bool {
        let Ok(mac) = URL_SAFE_NO_PAD.decode(seal) else {
            return false;
        };
        let mut keys = self.0.keys.iter();
        keys.any(|key| key.refresh_mac(text).verify_slice(&mac).is_ok())
    }

    fn read_refresh(&self, token: &str) -> Option<RefreshToken> {
        if token.len() > REFRESH_TOKEN_BYTES_MAX {
            return None;
        }
        let (body, mac) = token.rsplit_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        // Compared in constant time. The name of the key is not in the token: there are two or three at most.
        self.0
            .keys
            .iter()
            .find(|key| key.refresh_mac(body).verify_slice(&mac).is_ok())?;
        let mut parts = body.split('.');
        let owner = match (parts.next()?, parts.next()?) {
            ("", email) => {
                let email = URL_SAFE_NO_PAD.decode(email).ok()?;
                let email = std::str::from_utf8(&email).ok()?;
                SessionOwner::Operator(EmailAddress::parse("email", email).ok()?)
            }
            (tenant, user) => SessionOwner::User {
                tenant: TenantId::parse(tenant).ok()?,
                user: user.parse().ok()?,
            },
        };
        let token = RefreshToken {
            owner,
            session: parts.next()?.parse().ok()?,
            generation: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(token)
    }

    fn sign(&self, owner: &SessionOwner, session: SessionId, now: u64) -> Result<String> {
        let key = &self.0.keys[0];
        let header = Header {
            kid: Some(key.id.clone()),
            ..Header::new(Algorithm::HS256)
        };
        let (sub, tenant) = match owner {
            SessionOwner::User { tenant, user } => (user.to_string(), Some(tenant.clone())),
            SessionOwner::Operator(email) => (email.to_string(), None),
        };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub,
            tenant,
            sid: session,
            iat: now,
            exp: now + ACCESS_TOKEN_LIFE.as_secs(),
        };
        jsonwebtoken::encode(&header, &claims, &key.encoding).map_err(Error::internal)
    }
}

impl Key {
    fn new(key: TokenKey) -> Self {
        choose_provider();
        // A separate secret for refresh tokens, so neither kind can be used as the other.
        let derived = hmac(&key.secret)
            .chain_update(b"boxoffice refresh tokens 1")
            .finalize()
            .into_bytes();
        Self {
            encoding: EncodingKey::from_secret(&key.secret),
            decoding: DecodingKey::from_secret(&key.secret),
            refresh: hmac(&derived),
            id: key.id,
        }
    }

    fn refresh_mac(&self, body: &str) -> Hmac<Sha256> {
        self.refresh.clone().chain_update(body.as_bytes())
    }
}

/// The content of an access token: a session, and its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessToken {
    /// The session's owner.
    pub(crate) owner: SessionOwner,
    /// The session's id.
    pub(crate) session: SessionId,
}

/// The content of a refresh token: a session, its owner, and a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    /// The session's owner.
    pub(crate) owner: SessionOwner,
    /// The session's id.
    pub(crate) session: SessionId,
    /// The generation.
    pub(crate) generation: u32,
}

impl RefreshToken {
    /// The tenant of the session; `None` for an operator's.
    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        match &self.owner {
            SessionOwner::User { tenant, .. } => Some(tenant),
            SessionOwner::Operator(_) => None,
        }
    }

    /// Its bearer, for use cases of their own sessions only: the token has no role.
    pub(crate) fn caller(&self) -> Caller {
        let caller = match &self.owner {
            SessionOwner::User { tenant, user } => {
                Caller::user(tenant.clone(), *user, UserRole::Customer)
            }
            SessionOwner::Operator(email) => Caller::operator_named(email.clone()),
        };
        caller.in_session(self.session)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    /// The tenant of a user. A token without a tenant is an operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    sid: SessionId,
    iat: u64,
    exp: u64,
}

impl Claims {
    fn into_token(self) -> Option<AccessToken> {
        let owner = match self.tenant {
            Some(tenant) => SessionOwner::User {
                tenant,
                user: self.sub.parse().ok()?,
            },
            None => SessionOwner::Operator(EmailAddress::parse("sub", &self.sub).ok()?),
        };
        Some(AccessToken {
            owner,
            session: self.sid,
        })
    }
}

/// Says what is wrong with keys, as a sentence for the operator.
pub(super) fn check_keys(keys: &[TokenKey]) -> Result<(), String> {
    if keys.is_empty() {
        return Err("at least one token key is needed".to_owned());
    }
    for (index, key) in keys.iter().enumerate() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=64).contains(&key.id.len()) || !key.id.bytes().all(plain) {
            return Err(format!(
                "token key {}: an id is 1 to 64 letters, digits, `.`, `_` or `-`",
                index + 1
            ));
        }
        if key.secret.len() < SECRET_BYTES_MIN {
            return Err(format!(
                "token key {}: its secret needs at least {SECRET_BYTES_MIN} bytes",
                key.id
            ));
        }
        if keys[..index].iter().any(|other| other.id == key.id) {
            return Err(format!("token key {}: the id stands there twice", key.id));
        }
    }
    Ok(())
}

/// The store's own dependencies may switch on a second crypto provider of the token crate, which then refuses to choose. A
/// provider that the embedding program installed before stays.
pub(super) fn choose_provider() {
    let _ = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
}

pub(super) fn hmac(secret: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("HMAC takes keys of any length")
}

fn now_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
