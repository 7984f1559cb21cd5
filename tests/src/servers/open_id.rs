//! An OpenID provider: its discovery document, its keys, and ID tokens that it signs, right and wrong ones.
//!
//! The keys of `open_id_keys.json` are for tests alone. They are ready, because making RSA keys takes seconds in a debug build.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::get,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use boxoffice_host::Egress;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const KEYS: &str = include_str!("open_id_keys.json");

/// What the provider says.
struct State {
    /// The names of the keys that it publishes.
    keys: Vec<&'static str>,
    /// The issuer in its discovery document, if it is not its own.
    issuer: Option<String>,
    is_down: bool,
    /// How often its keys were asked for.
    asked: usize,
}

/// An OpenID provider on a port of its own. Dropping it ends it.
pub struct OpenIdProvider {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    keys: BTreeMap<String, Value>,
    nonces: AtomicU32,
    task: JoinHandle<()>,
}

impl OpenIdProvider {
    /// The client id of the tenant under test.
    pub const CLIENT: &'static str = "boxoffice";

    /// Starts one that publishes the key `rsa-one`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        // A host in this process chooses the same.
        let _ = crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has free ports");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let state = Arc::new(Mutex::new(State {
            keys: vec!["rsa-one"],
            issuer: None,
            is_down: false,
            asked: 0,
        }));
        let keys: BTreeMap<String, Value> = serde_json::from_str(KEYS).expect("keys");
        let own = format!("http://{address}");
        let (document, jwks) = (state.clone(), state.clone());
        let published = keys.clone();
        let table = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async move || {
                    answer(&document, |state| {
                        let issuer = state.issuer.as_ref().unwrap_or(&own);
                        json!({"issuer": issuer, "jwks_uri": format!("{own}/keys")})
                    })
                }),
            )
            .route(
                "/keys",
                get(async move || {
                    answer(&jwks, |state| {
                        state.asked += 1;
                        let keys = state.keys.iter().map(|name| &published[*name]["jwk"]);
                        json!({"keys": keys.collect::<Vec<_>>()})
                    })
                }),
            );
        let task = tokio::spawn(async move {
            axum::serve(listener, table)
                .await
                .expect("serving a bound listener does not end");
        });
        Self {
            address,
            state,
            keys,
            nonces: AtomicU32::new(0),
            task,
        }
    }

    /// Its issuer.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A connector that may ask it, although it is on loopback.
    ///
    /// # Panics
    /// Never: its address is `HOST:PORT`.
    pub fn egress(&self) -> Egress {
        let allowed = self.address.to_string();
        Egress::allowing([allowed.as_str()]).expect("HOST:PORT")
    }

    /// The settings of a tenant that trusts it, with these changes.
    pub fn settings(&self, changes: Value) -> Value {
        let mut settings = json!({"issuer": self.issuer(), "clientId": Self::CLIENT});
        crate::api::merge(&mut settings, changes);
        settings
    }

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: &[&'static str]) {
        self.change(|state| state.keys = keys.to_vec());
    }

    /// Names another issuer in the discovery document.
    pub fn call_itself(&self, issuer: &str) {
        self.change(|state| state.issuer = Some(issuer.to_owned()));
    }

    /// Refuses everything with 503, or works again.
    pub fn break_down(&self, is_down: bool) {
        self.change(|state| state.is_down = is_down);
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> usize {
        self.change(|state| state.asked)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A nonce that no other sign-in has.
    pub fn nonce(&self) -> String {
        let number = self.nonces.fetch_add(1, Ordering::Relaxed);
        format!("nonce-of-sign-in-{number:08}")
    }

    /// The claims of a good token for this person and nonce, with these changes; null removes one.
    pub fn claims(&self, subject: &str, nonce: &str, changes: Value) -> Value {
        let now = Timestamp::now().as_second();
        let mut claims = json!({
            "iss": self.issuer(), "aud": Self::CLIENT, "sub": subject, "nonce": nonce,
            "iat": now, "exp": now + 300,
        });
        crate::api::merge(&mut claims, changes);
        claims
    }

    /// What a client sends to sign in: a good token but for these changes of its claims, and its nonce.
    pub fn sign_in(&self, subject: &str, changes: Value) -> Value {
        let nonce = self.nonce();
        let claims = self.claims(subject, &nonce, changes);
        json!({"idToken": self.token("rsa-one", "RS256", &claims), "nonce": nonce})
    }

    /// A token with these claims, signed with one of the keys, whose name it has as `kid`.
    pub fn token(&self, key: &str, algorithm: &str, claims: &Value) -> String {
        let head = json!({"alg": algorithm, "kid": key, "typ": "JWT"});
        self.token_with(&head, key, algorithm, claims)
    }

    /// A token with this head. The key `public` signs with HMAC and the public key of `rsa-one` as its secret; `nothing` leaves
    /// the signature empty.
    ///
    /// # Panics
    /// When there is no such key, or it does not fit the algorithm.
    pub fn token_with(&self, head: &Value, key: &str, algorithm: &str, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(head), part(claims));
        let private = |name: &str| {
            let text = self.keys[name]["private"].as_str().expect("a key");
            STANDARD.decode(text).expect("base64")
        };
        let (algorithm, encoding) = match (key, algorithm) {
            ("nothing", _) => return format!("{signed}."),
            ("public", _) => {
                let modulus = self.keys["rsa-one"]["jwk"]["n"].as_str();
                let secret = modulus.expect("a modulus").as_bytes();
                (Algorithm::HS256, EncodingKey::from_secret(secret))
            }
            (_, "PS256") => (Algorithm::PS256, EncodingKey::from_rsa_der(&private(key))),
            ("ec", _) => (Algorithm::ES256, EncodingKey::from_ec_der(&private(key))),
            ("ed", _) => (Algorithm::EdDSA, EncodingKey::from_ed_der(&private(key))),
            _ => (Algorithm::RS256, EncodingKey::from_rsa_der(&private(key))),
        };
        let signature = crypto::sign(signed.as_bytes(), &encoding, algorithm).expect("a signature");
        format!("{signed}.{signature}")
    }
}

impl Drop for OpenIdProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(state: &Mutex<State>, say: impl FnOnce(&mut State) -> Value) -> Response {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    match state.is_down {
        true => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        false => Json(say(&mut state)).into_response(),
    }
}
