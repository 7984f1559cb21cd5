//! Signing in elsewhere: the OpenID provider that a tenant trusts, and people's identities there.

use std::{fmt, str::FromStr, time::Duration};

use jiff::Timestamp;

use super::{EmailAddress, IdentityId, Label};
use crate::error::{Error, Result};

/// Longest issuer, client id and subject, in bytes. OpenID Connect Core, 2 limits a subject to 255.
const NAME_BYTES_MAX: usize = 255;
/// Longest address of a key set, in bytes.
const URL_BYTES_MAX: usize = 1_000;

/// A signature algorithm of ID tokens. There is none with a shared secret, and not `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdTokenAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl IdTokenAlgorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];
    /// What a provider may use unless its settings say otherwise.
    pub const DEFAULT: [Self; 2] = [Self::Rs256, Self::Es256];

    /// The name in the head of tokens (RFC 7518, 3.1; RFC 8037, 3.1).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for IdTokenAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for IdTokenAlgorithm {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| {
            Error::field(
                "algorithms",
                "An algorithm is one of RS256, PS256, ES256, EdDSA.",
            )
        })
    }
}

/// The OpenID provider whose ID tokens a tenant accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityProvider {
    /// Its issuer, as its tokens name it, byte for byte.
    pub issuer: String,
    /// The client id that the provider gave the tenant: the audience of tokens.
    pub client_id: String,
    /// Where its keys are; `None`: where its discovery document says.
    pub jwks_url: Option<String>,
    /// The algorithms that its tokens may be signed with.
    pub algorithms: Vec<IdTokenAlgorithm>,
    /// When it was set, UTC. No two settings of a tenant have the same.
    pub changed_at: Timestamp,
}

/// Sets the OpenID provider that a tenant trusts.
#[derive(Debug, Clone)]
pub struct SetIdentityProvider {
    /// Its issuer, as its tokens name it: a URL without query and fragment, up to 255 characters.
    pub issuer: String,
    /// The client id that the provider gave the tenant: 1 to 255 visible characters.
    pub client_id: String,
    /// Where its keys are: a URL of up to 1,000 characters; `None`: where its discovery document says.
    pub jwks_url: Option<String>,
    /// The algorithms that its tokens may be signed with: at least one, each once.
    pub algorithms: Vec<IdTokenAlgorithm>,
}

impl SetIdentityProvider {
    /// Checks the form of the settings. Hosts do it before they ask the provider.
    ///
    /// # Errors
    /// `field-invalid`.
    pub fn validate(&self) -> Result<()> {
        let is_issuer = is_url(&self.issuer, NAME_BYTES_MAX) && !self.issuer.contains(['?', '#']);
        if !is_issuer {
            return Err(Error::field(
                "issuer",
                "An issuer is https://HOST, perhaps with a path: up to 255 characters, without query and fragment.",
            ));
        }
        let is_visible = self.client_id.bytes().all(|byte| byte.is_ascii_graphic());
        if !(1..=NAME_BYTES_MAX).contains(&self.client_id.len()) || !is_visible {
            return Err(Error::field(
                "clientId",
                "A client id has 1 to 255 visible ASCII characters.",
            ));
        }
        let url = self.jwks_url.as_deref();
        if url.is_some_and(|url| !is_url(url, URL_BYTES_MAX) || url.contains('#')) {
            return Err(Error::field(
                "jwksUrl",
                "The address of a key set is https://HOST/…: up to 1,000 characters, without a fragment.",
            ));
        }
        let mut seen = Vec::new();
        let is_repeated = |one: &IdTokenAlgorithm| {
            let is_seen = seen.contains(one);
            seen.push(*one);
            is_seen
        };
        if self.algorithms.is_empty() || self.algorithms.iter().any(is_repeated) {
            return Err(Error::field(
                "algorithms",
                "Name at least one algorithm, and each once.",
            ));
        }
        Ok(())
    }
}

/// Returns whether a text begins like a URL and has visible ASCII characters alone. Hosts check the rest before they connect.
fn is_url(text: &str, bytes_max: usize) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\\@".contains(&byte);
    text.len() <= bytes_max
        && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && text.bytes().all(is_plain)
}

/// A person as an identity provider knows them, after trusted code has checked that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedIdentity {
    /// The provider's issuer: 1 to 255 characters.
    pub issuer: String,
    /// The provider's name for the person: 1 to 255 characters. It never names somebody else.
    pub subject: String,
    /// Their address, if the provider told it.
    pub email: Option<EmailAddress>,
    /// Whether the provider says that they read mails to this address.
    pub email_verified: bool,
    /// Their name, if the provider told it.
    pub name: Option<Label>,
    /// The ID token that says so, if there is one: it is exchanged once.
    pub token: Option<CheckedIdToken>,
}

/// An ID token that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedIdToken {
    /// [`IdentityProvider::changed_at`] of the settings that it was checked with. It is refused if the tenant has others by now.
    pub provider_changed_at: Timestamp,
    /// Names the signed part of the token: hexadecimal digits of its SHA-256.
    pub digest: String,
    /// How long it is still accepted, minutes at most. It is remembered so long that it was used.
    pub valid_for: Duration,
}

impl VerifiedIdentity {
    pub(crate) fn validate(&self) -> Result<()> {
        for (field, text) in [("issuer", &self.issuer), ("subject", &self.subject)] {
            let is_name =
                (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
            if !is_name {
                return Err(Error::field(
                    field,
                    "It has 1 to 255 bytes and no control characters.",
                ));
            }
        }
        Ok(())
    }
}

/// An identity that an account can sign in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// Its id.
    pub id: IdentityId,
    /// The provider's issuer.
    pub issuer: String,
    /// The provider's name for the person.
    pub subject: String,
    /// When it was linked, UTC.
    pub linked_at: Timestamp,
}

/// The identities of an account, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkedIdentities {
    pub(crate) revision: i64,
    /// In the order they were linked.
    pub(crate) items: Vec<LinkedIdentity>,
}
