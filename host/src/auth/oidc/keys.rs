//! The keys of OpenID providers: read, kept and read again.
//!
//! Keys are used for ten minutes and then read again; while that fails, for an hour. A key that is not among them has them read
//! again, at most every ten seconds. One request at a time goes to a provider, in a task of its own: whoever waits for it may go
//! away. Called by the check of ID tokens. Calls egress.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_engine::IdTokenAlgorithm;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use crate::{egress::Egress, locked::Locked as _};

/// How long keys are used without a look. A key that a provider withdrew is refused after this time.
const FRESH_FOR: Duration = Duration::from_secs(600);
/// How long keys are used while the provider cannot be asked.
const STALE_FOR: Duration = Duration::from_secs(3_600);
/// The pause between two requests to a provider, whatever tokens are sent here.
const PAUSE: Duration = Duration::from_secs(10);
/// How long a request waits for keys that are read again, if there are some to go on with: a slow provider slows nobody else.
const WAIT: Duration = Duration::from_secs(2);
/// And if there are none: longer than reading the discovery document and the keys can take.
const WAIT_WITHOUT_KEYS: Duration = Duration::from_secs(25);
/// Keys of a provider that are kept, the first ones. Providers have two or three.
const KEYS_MAX: usize = 32;
/// Bytes of an RSA modulus: 2,048 bits are the least that RFC 7518, 3.3 allows, and above 4,096 a check takes long.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
/// Longest RSA exponent, in bytes: a long one makes a check slow.
const EXPONENT_BYTES_MAX: usize = 4;

/// Where a provider's keys are. Providers with the same issuer and other places are others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct KeysPlace {
    issuer: String,
    jwks_url: Option<String>,
}

impl KeysPlace {
    pub(super) fn of(issuer: &str, jwks_url: Option<&str>) -> Self {
        Self {
            issuer: issuer.to_owned(),
            jwks_url: jwks_url.map(str::to_owned),
        }
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// What is wrong, as a part of a sentence.
    async fn read(&self, egress: &Egress) -> Result<KeySet, String> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => self.discovered(egress).await?,
        };
        let body = egress.get(&url).await;
        let body = body.map_err(|error| format!("at the key set, {error}"))?;
        KeySet::parse(&body)
    }

    /// Where the discovery document says that the keys are (OpenID Connect Discovery 1.0, 4).
    async fn discovered(&self, egress: &Egress) -> Result<String, String> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            jwks_uri: String,
        }
        let issuer = self.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let body = egress.get(&url).await;
        let body = body.map_err(|error| format!("at the discovery document, {error}"))?;
        let document: Document = serde_json::from_slice(&body)
            .map_err(|_| "the discovery document has no issuer and jwks_uri".to_owned())?;
        // 4.3: otherwise a provider could speak for another one.
        match document.issuer == self.issuer {
            true => Ok(document.jwks_uri),
            false => Err("the discovery document names another issuer".to_owned()),
        }
    }
}

/// The keys of one provider.
pub(super) struct KeySource {
    place: KeysPlace,
    state: Mutex<State>,
    /// Held while the provider is asked.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The keys, and when they were read.
    known: Option<(Arc<KeySet>, Instant)>,
    /// When the provider was last asked.
    asked_at: Option<Instant>,
    /// What was wrong then.
    failure: Option<String>,
}

impl State {
    fn known_for(&self, time: Duration) -> Option<Arc<KeySet>> {
        let (keys, read_at) = self.known.as_ref()?;
        (read_at.elapsed() < time).then(|| keys.clone())
    }

    fn was_asked_lately(&self) -> bool {
        self.asked_at.is_some_and(|at| at.elapsed() < PAUSE)
    }
}

impl KeySource {
    pub(super) fn new(place: KeysPlace) -> Self {
        Self {
            place,
            state: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// The keys, read again if they are old.
    ///
    /// # Errors
    /// What is wrong, as a part of a sentence.
    pub(super) async fn keys(self: &Arc<Self>, egress: &Egress) -> Result<Arc<KeySet>, String> {
        if let Some(keys) = self.state.locked().known_for(FRESH_FOR) {
            return Ok(keys);
        }
        self.newer_keys(egress).await
    }

    /// The keys, read again unless that was done lately.
    ///
    /// # Errors
    /// What is wrong, as a part of a sentence.
    pub(super) async fn newer_keys(
        self: &Arc<Self>,
        egress: &Egress,
    ) -> Result<Arc<KeySet>, String> {
        let (source, egress) = (self.clone(), egress.clone());
        // It goes on if the caller goes away. Otherwise callers who leave at once could keep everybody from the keys.
        let asking = tokio::spawn(async move { source.ask(&egress).await });
        let is_known = self.state.locked().known_for(STALE_FOR).is_some();
        let waits = if is_known { WAIT } else { WAIT_WITHOUT_KEYS };
        if let Ok(Err(_)) = timeout(waits, asking).await {
            return Err("reading the keys failed here".to_owned());
        }
        let state = self.state.locked();
        let keys = state.known_for(STALE_FOR);
        let failure = || state.failure.clone().unwrap_or_default();
        keys.ok_or_else(failure)
    }

    async fn ask(&self, egress: &Egress) {
        let _one_at_a_time = self.asking.lock().await;
        {
            let mut state = self.state.locked();
            if state.was_asked_lately() {
                return;
            }
            state.asked_at = Some(Instant::now());
        }
        let read = self.place.read(egress).await;
        let mut state = self.state.locked();
        match read {
            Ok(keys) => {
                state.known = Some((Arc::new(keys), Instant::now()));
                state.failure = None;
            }
            Err(why) => {
                let issuer = &self.place.issuer;
                tracing::warn!(
                    issuer,
                    why,
                    "the keys of an identity provider were not read"
                );
                state.failure = Some(why);
            }
        }
    }
}

/// The keys that a provider signs ID tokens with.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

/// A key that is fit for ID tokens.
pub(super) struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, if it says so.
    algorithm: Option<String>,
    kind: Kind,
    decoding: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    Ed25519,
}

/// A JSON Web Key, as far as it counts (RFC 7517, RFC 7518, RFC 8037).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys that are for something else, weak or too large are left out.
    fn parse(body: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(body)
            .map_err(|_| "the key set has no list of keys".to_owned())?;
        let jwks = document.keys.into_iter();
        let jwks = jwks.filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys: Vec<Key> = jwks.filter_map(Jwk::key).take(KEYS_MAX).collect();
        match keys.is_empty() {
            false => Ok(Self(keys)),
            true => Err("the key set has no key that is fit for ID tokens".to_owned()),
        }
    }

    /// The keys with this id that fit the algorithm. A token without an id may be signed with any.
    pub(super) fn find(&self, id: Option<&str>, algorithm: IdTokenAlgorithm) -> Vec<&Key> {
        let has_id = |key: &&Key| id.is_none() || key.id.as_deref() == id;
        let fits = |key: &&Key| {
            let is_for = |own: &String| own == algorithm.as_str();
            key.kind == kind_of(algorithm) && key.algorithm.as_ref().is_none_or(is_for)
        };
        self.0.iter().filter(has_id).filter(fits).collect()
    }
}

impl Key {
    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}

impl Jwk {
    fn key(self) -> Option<Key> {
        if self
            .purpose
            .as_ref()
            .is_some_and(|purpose| purpose != "sig")
        {
            return None;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
        let (kind, decoding) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (bytes(&self.n)?, bytes(&self.e)?);
                let is_fit = MODULUS_BYTES.contains(&n.len())
                    && n[0] != 0
                    && (1..=EXPONENT_BYTES_MAX).contains(&e.len());
                let key = DecodingKey::from_rsa_raw_components(&n, &e);
                is_fit.then_some((Kind::Rsa, key))?
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (self.x.as_ref()?, self.y.as_ref()?);
                let is_whole = |part| bytes(part).is_some_and(|bytes| bytes.len() == 32);
                let key = DecodingKey::from_ec_components(x, y).ok()?;
                (is_whole(&self.x) && is_whole(&self.y)).then_some((Kind::P256, key))?
            }
            ("OKP", Some("Ed25519")) => {
                let key = DecodingKey::from_ed_components(self.x.as_ref()?).ok()?;
                (bytes(&self.x)?.len() == 32).then_some((Kind::Ed25519, key))?
            }
            _ => return None,
        };
        Some(Key {
            id: self.kid,
            algorithm: self.alg,
            kind,
            decoding,
        })
    }
}

fn kind_of(algorithm: IdTokenAlgorithm) -> Kind {
    match algorithm {
        IdTokenAlgorithm::Rs256 | IdTokenAlgorithm::Ps256 => Kind::Rsa,
        IdTokenAlgorithm::Es256 => Kind::P256,
        IdTokenAlgorithm::EdDsa => Kind::Ed25519,
    }
}

/// The algorithm in the words of the token crate.
pub(super) fn name_of(algorithm: IdTokenAlgorithm) -> Algorithm {
    match algorithm {
        IdTokenAlgorithm::Rs256 => Algorithm::RS256,
        IdTokenAlgorithm::Ps256 => Algorithm::PS256,
        IdTokenAlgorithm::Es256 => Algorithm::ES256,
        IdTokenAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(bytes: usize, exponent: &[u8]) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "RSA", "kid": "one", "n": encode(&vec![0xff; bytes]), "e": encode(exponent)})
    }

    fn with(mut key: Value, name: &str, value: &str) -> Value {
        key[name] = json!(value);
        key
    }

    fn kept(keys: Vec<Value>) -> usize {
        let body = json!({"keys": keys}).to_string();
        KeySet::parse(body.as_bytes()).map_or(0, |set| set.0.len())
    }

    #[test]
    fn keys_that_are_weak_large_or_for_something_else_are_left_out() {
        let zero = URL_SAFE_NO_PAD.encode([&[0; 1][..], &[0xff; 256]].concat());
        let point = URL_SAFE_NO_PAD.encode([1; 32]);
        let ec = json!({"kty": "EC", "crv": "P-256", "x": point, "y": point});
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": point});
        for (key, is_kept) in [
            (rsa(256, &[1, 0, 1]), true),
            (rsa(512, &[3]), true),
            (rsa(255, &[1, 0, 1]), false),
            (rsa(513, &[1, 0, 1]), false),
            (rsa(256, &[]), false),
            (rsa(256, &[1; 5]), false),
            (with(rsa(256, &[3]), "n", &zero), false),
            (with(rsa(256, &[3]), "n", "not base64!"), false),
            (with(rsa(256, &[3]), "use", "sig"), true),
            (with(rsa(256, &[3]), "use", "enc"), false),
            (ec.clone(), true),
            (with(ec.clone(), "crv", "P-384"), false),
            (with(ec.clone(), "x", "AQ"), false),
            (ed.clone(), true),
            (with(ed.clone(), "crv", "Ed448"), false),
            (with(ed, "x", "AQ"), false),
            (json!({"kty": "oct", "k": point}), false),
            (json!({"kty": 5}), false),
            (json!("RSA"), false),
        ] {
            assert_eq!(kept(vec![key.clone()]) == 1, is_kept, "{key}");
        }
        assert_eq!(kept(vec![ec; 100]), KEYS_MAX);
        for bad in ["", "[]", "{}", "{\"keys\": 5}", "{\"keys\": []}"] {
            assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_found_by_its_id_for_its_algorithm_alone() {
        let keys = vec![
            with(rsa(256, &[3]), "alg", "PS256"),
            with(rsa(256, &[3]), "kid", "two"),
        ];
        let body = json!({"keys": keys}).to_string();
        let set = KeySet::parse(body.as_bytes()).unwrap();
        let count = |id, algorithm| set.find(id, algorithm).len();
        assert_eq!(count(Some("one"), IdTokenAlgorithm::Ps256), 1);
        assert_eq!(count(Some("one"), IdTokenAlgorithm::Rs256), 0);
        assert_eq!(count(Some("two"), IdTokenAlgorithm::Rs256), 1);
        assert_eq!(count(Some("two"), IdTokenAlgorithm::Es256), 0);
        assert_eq!(count(Some("three"), IdTokenAlgorithm::Rs256), 0);
        assert_eq!(count(None, IdTokenAlgorithm::Ps256), 2);
        assert_eq!(count(None, IdTokenAlgorithm::EdDsa), 0);
    }
}
