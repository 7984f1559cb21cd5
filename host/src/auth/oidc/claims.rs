//! An ID token: its head and its claims, and what they must say (OpenID Connect Core 1.0, 3.1.3.7).
//!
//! Stricter than the standard where it leaves a choice: `azp` must name this client wherever it stands, and a token is accepted for
//! ten minutes after it was issued, however late it expires.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_engine::{
    CheckedIdToken, EmailAddress, IdTokenAlgorithm, IdentityProvider, Label, VerifiedIdentity,
};
use jsonwebtoken::crypto;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::keys::Key;

/// Longest token. Providers that put groups into tokens make some of several KiB.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How far the provider's clock may differ, in seconds.
const CLOCK_SKEW: f64 = 60.0;
/// How long after its issue a token is exchanged at the latest, in seconds: it comes from a sign-in that has just ended.
const AGE_MAX: f64 = 600.0;
/// Longest `sub` (OpenID Connect Core, 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// A token that was read, and not yet believed.
pub(super) struct IdToken<'a> {
    /// Head and claims as they are signed.
    signed: &'a str,
    signature: &'a str,
    algorithm: IdTokenAlgorithm,
    key_id: Option<String>,
    claims: Claims,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// The claims that count. serde refuses one that stands there twice.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    nonce: Option<String>,
    email: Option<Value>,
    email_verified: Option<Value>,
    name: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl<'a> IdToken<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// A sentence for the caller.
    pub(super) fn read(token: &'a str) -> Result<Self, &'static str> {
        let malformed = "The ID token is not a signed JSON Web Token of at most 16 KiB.";
        if token.len() > TOKEN_BYTES_MAX {
            return Err(malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed)?;
        let (head, claims) = signed.split_once('.').ok_or(malformed)?;
        let head: Head = part(head).ok_or(malformed)?;
        // Access and logout tokens of the same provider have other types (RFC 9068, RFC 8725 3.11).
        let is_other = |typ: &String| !typ.eq_ignore_ascii_case("JWT");
        if head.typ.as_ref().is_some_and(is_other) {
            return Err("The token's type is not JWT: send the ID token.");
        }
        if head.crit.is_some() {
            return Err("The ID token has extensions that are not understood here.");
        }
        let algorithm = head
            .alg
            .parse()
            .map_err(|_| "The ID token is not signed with one of RS256, PS256, ES256 and EdDSA.")?;
        let claims: Claims = part(claims).ok_or(
            "The ID token lacks one of the claims iss, sub, aud, exp and iat, or has one of another type.",
        )?;
        Ok(Self {
            signed,
            signature,
            algorithm,
            key_id: head.kid,
            claims,
        })
    }

    /// Checks everything but the signature, at a time in Unix seconds.
    ///
    /// # Errors
    /// A sentence for the caller.
    pub(super) fn check(
        &self,
        provider: &IdentityProvider,
        nonce: &str,
        now: i64,
    ) -> Result<(), &'static str> {
        let (claims, now) = (&self.claims, now as f64);
        if claims.iss != provider.issuer {
            return Err("The ID token is from another issuer than the one that the tenant trusts.");
        }
        let is_own = |client: &String| *client == provider.client_id;
        let (is_audience, is_shared) = match &claims.aud {
            Audience::One(one) => (is_own(one), false),
            Audience::Several(all) => (all.iter().any(is_own), all.len() > 1),
        };
        if !is_audience {
            return Err("The ID token is for another audience than the tenant's client id.");
        }
        if claims.azp.as_ref().map_or(is_shared, |azp| !is_own(azp)) {
            return Err("The ID token was issued to another client than the tenant's (azp).");
        }
        if claims.exp + CLOCK_SKEW <= now {
            return Err("The ID token is expired; sign in at the provider again.");
        }
        let is_future = |at: f64| at > now + CLOCK_SKEW;
        if is_future(claims.iat) || claims.nbf.is_some_and(is_future) {
            return Err("The ID token is from the future: check the clocks.");
        }
        if claims.iat + AGE_MAX <= now {
            return Err("The ID token is older than 10 minutes; sign in at the provider again.");
        }
        match &claims.nonce {
            Some(own) if own == nonce => {}
            Some(_) => return Err("The ID token has another nonce than the request."),
            None => return Err("The ID token has no nonce: begin the sign-in with one."),
        }
        let is_subject = (1..=SUBJECT_BYTES_MAX).contains(&claims.sub.len())
            && !claims.sub.contains(char::is_control);
        match is_subject {
            true => Ok(()),
            false => Err("The ID token's subject has 1 to 255 bytes and no control characters."),
        }
    }

    pub(super) fn algorithm(&self) -> IdTokenAlgorithm {
        self.algorithm
    }

    pub(super) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    pub(super) fn is_signed_with(&self, key: &Key) -> bool {
        let message = self.signed.as_bytes();
        let algorithm = super::keys::name_of(self.algorithm);
        crypto::verify(self.signature, message, key.decoding(), algorithm).unwrap_or(false)
    }

    /// The identity in a token that was checked at a time in Unix seconds; `checked` takes the digest of its signed part and how
    /// long it is still accepted. The signature is left out of the digest, because some have several forms.
    pub(super) fn identity(
        self,
        now: i64,
        checked: impl FnOnce(String, Duration) -> CheckedIdToken,
    ) -> VerifiedIdentity {
        let claims = self.claims;
        let until = (claims.exp + CLOCK_SKEW).min(claims.iat + AGE_MAX);
        // `check` has bounded it: at most the age and the skew.
        let rest = (until - now as f64).clamp(0.0, AGE_MAX + CLOCK_SKEW);
        let digest = Sha256::digest(self.signed.as_bytes());
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = |claim: &Option<Value>| claim.as_ref()?.as_str().map(str::to_owned);
        let email = text(&claims.email);
        let email = email.and_then(|email| EmailAddress::parse("email", &email).ok());
        let name = text(&claims.name);
        VerifiedIdentity {
            issuer: claims.iss,
            subject: claims.sub,
            email,
            // Some providers send it as text.
            email_verified: match &claims.email_verified {
                Some(Value::Bool(is_verified)) => *is_verified,
                Some(Value::String(text)) => text == "true",
                _ => false,
            },
            name: name.and_then(|name| Label::parse("name", &name).ok()),
            token: Some(checked(digest, Duration::from_secs_f64(rest.ceil()))),
        }
    }
}

/// A part of a token.
fn part<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const NONCE: &str = "n-0S6_WzA2Mj-0S6_WzA2Mj";

    fn provider() -> IdentityProvider {
        IdentityProvider {
            issuer: "https://id.example.org/north".to_owned(),
            client_id: "box".to_owned(),
            jwks_url: None,
            algorithms: IdTokenAlgorithm::DEFAULT.to_vec(),
            changed_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn claims(changes: Value) -> Value {
        let mut claims = json!({
            "iss": "https://id.example.org/north", "sub": "ann", "aud": "box", "nonce": NONCE,
            "iat": NOW, "exp": NOW + 300,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    fn token(head: &Value, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part(&head.to_string()), part(claims))
    }

    fn checked(changes: Value) -> Result<(), &'static str> {
        let head = json!({"alg": "RS256", "kid": "one"});
        let token = token(&head, &claims(changes).to_string());
        IdToken::read(&token)?.check(&provider(), NONCE, NOW)
    }

    #[test]
    fn claims_that_are_right_pass() {
        for changes in [
            json!({}),
            json!({"aud": ["box"]}),
            json!({"aud": ["box", "other"], "azp": "box"}),
            json!({"azp": "box"}),
            json!({"exp": NOW - 59}),
            json!({"iat": NOW + 60}),
            json!({"iat": NOW - 599}),
            json!({"iat": NOW as f64 + 0.5}),
            json!({"nbf": NOW + 60}),
            json!({"email": 5, "name": [], "email_verified": {}}),
        ] {
            assert_eq!(checked(changes.clone()), Ok(()), "{changes}");
        }
    }

    #[test]
    fn every_claim_that_is_wrong_is_refused() {
        for (changes, why) in [
            (
                json!({"iss": "https://id.example.org/north/"}),
                "another issuer",
            ),
            (
                json!({"iss": "https://ID.example.org/north"}),
                "another issuer",
            ),
            (
                json!({"iss": ["https://id.example.org/north"]}),
                "of another type",
            ),
            (json!({"aud": "box2"}), "another audience"),
            (json!({"aud": "BOX"}), "another audience"),
            (json!({"aud": []}), "another audience"),
            (json!({"aud": null}), "of another type"),
            (json!({"aud": ["box", "other"]}), "azp"),
            (json!({"aud": ["box", "other"], "azp": "other"}), "azp"),
            (json!({"azp": "other"}), "azp"),
            (json!({"exp": NOW - 60}), "expired"),
            (json!({"exp": "never"}), "of another type"),
            (json!({"exp": null}), "of another type"),
            (json!({"iat": NOW + 61}), "from the future"),
            (
                json!({"iat": NOW - 600, "exp": NOW + 9_999_999}),
                "older than 10 minutes",
            ),
            (json!({"iat": null}), "of another type"),
            (json!({"nbf": NOW + 61}), "from the future"),
            (json!({"nonce": null}), "no nonce"),
            (json!({"nonce": ""}), "another nonce"),
            (json!({"nonce": "n-0S6_WzA2Mj-0S6_WzA2MJ"}), "another nonce"),
            (json!({"sub": ""}), "subject"),
            (json!({"sub": "a\nb"}), "subject"),
            (json!({"sub": "x".repeat(256)}), "subject"),
        ] {
            let refused = checked(changes.clone());
            assert!(
                refused.is_err_and(|said| said.contains(why)),
                "{changes}: {refused:?}"
            );
        }
    }

    #[test]
    fn heads_and_forms_that_are_wrong_are_refused() {
        let good = claims(json!({})).to_string();
        for (head, why) in [
            (json!({"alg": "none"}), "not signed"),
            (json!({"alg": "None"}), "not signed"),
            (json!({"alg": "HS256"}), "not signed"),
            (json!({"alg": "RS512"}), "not signed"),
            (json!({"alg": "rs256"}), "not signed"),
            (json!({"kid": "one"}), "JSON Web Token"),
            (json!({"alg": "RS256", "typ": "at+jwt"}), "type"),
            (json!({"alg": "RS256", "typ": "logout+jwt"}), "type"),
            (
                json!({"alg": "RS256", "crit": ["b64"], "b64": false}),
                "extensions",
            ),
        ] {
            let token = token(&head, &good);
            let refused = IdToken::read(&token).err();
            assert!(
                refused.is_some_and(|said| said.contains(why)),
                "{head}: {refused:?}"
            );
        }
        let head = json!({"alg": "RS256", "typ": "jwt"});
        assert!(IdToken::read(&token(&head, &good)).is_ok());
        let twice = good.replacen('{', "{\"sub\":\"ben\",", 1);
        let long = "x".repeat(TOKEN_BYTES_MAX);
        for bad in ["", "a", "a.b", "a.b.c", &long, &token(&head, &twice)] {
            assert!(IdToken::read(bad).is_err(), "{bad}");
        }
        // Five parts: an encrypted token.
        assert!(IdToken::read(&format!("a.b.{}", token(&head, &good))).is_err());
    }

    #[test]
    fn an_identity_has_what_the_token_says_and_nothing_that_is_no_address() {
        let identity = |changes: Value| {
            let head = json!({"alg": "RS256"});
            let token = token(&head, &claims(changes).to_string());
            let token = IdToken::read(&token).unwrap();
            token.identity(NOW, |digest, valid_for| CheckedIdToken {
                provider_changed_at: jiff::Timestamp::UNIX_EPOCH,
                digest,
                valid_for,
            })
        };
        let ann =
            identity(json!({"email": "Ann@Example.org", "email_verified": "true", "name": "Ann"}));
        assert_eq!(ann.email.unwrap().as_str(), "ann@example.org");
        assert!(ann.email_verified && ann.name.unwrap().as_str() == "Ann");
        let used = ann.token.unwrap();
        assert_eq!((used.digest.len(), used.valid_for.as_secs()), (64, 360));
        let late = identity(json!({"exp": NOW + 9_999_999}));
        assert_eq!(late.token.unwrap().valid_for.as_secs(), 600);
        for verified in [json!(false), json!("yes"), json!(1), Value::Null] {
            let nobody =
                identity(json!({"email": "nowhere", "email_verified": verified, "name": "a\nb"}));
            assert_eq!(
                (nobody.email, nobody.email_verified, nobody.name),
                (None, false, None)
            );
        }
    }
}
