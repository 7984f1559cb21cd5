//! An operator of NATS servers with an account and its users: keys made anew in each test, JWTs as `nsc` writes them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Value, json};

/// An operator with a system account, as JetStream wants one, and an account for us.
pub struct NatsOperator {
    operator: KeyPair,
    system: KeyPair,
    account: KeyPair,
}

impl NatsOperator {
    /// Makes keys.
    pub fn new() -> Self {
        Self {
            operator: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            account: KeyPair::new_account(),
        }
    }

    /// The lines of a server's configuration that make it trust this operator and know the accounts.
    pub fn server_lines(&self) -> String {
        let key = self.operator.public_key();
        let claims = json!({"type": "operator", "version": 2});
        let operator = jwt(&self.operator, &key, "tests", claims);
        let (system, account) = (self.system.public_key(), self.account.public_key());
        format!(
            "operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload: {{\n  \
             {system}: {}\n  {account}: {}\n}}",
            self.account_jwt(&system, 0),
            self.account_jwt(&account, -1),
        )
    }

    /// The text of a `.creds` file for a new user of our account.
    ///
    /// # Panics
    /// When the key has no seed.
    pub fn creds(&self) -> String {
        let user = KeyPair::new_user();
        let claims = json!({
            "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
        });
        let jwt = jwt(&self.account, &user.public_key(), "boxoffice", claims);
        let seed = user.seed().expect("a new key has its seed");
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    fn account_jwt(&self, key: &str, storage: i64) -> String {
        let claims = json!({
            "type": "account", "version": 2,
            "limits": {
                "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
                "conn": -1, "leaf": -1, "mem_storage": storage, "disk_storage": storage, "streams": storage,
                "consumer": storage, "max_ack_pending": storage,
            },
            "default_permissions": {"pub": {}, "sub": {}},
        });
        jwt(&self.operator, key, "account", claims)
    }
}

impl Default for NatsOperator {
    fn default() -> Self {
        Self::new()
    }
}

/// Claims about `subject`, signed by `issuer`.
fn jwt(issuer: &KeyPair, subject: &str, name: &str, claims: Value) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let body = part(json!({
        "jti": subject, "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject, "name": name,
        "nats": claims,
    }));
    let signed = format!("{head}.{body}");
    let signature = issuer.sign(signed.as_bytes());
    let signature = signature.expect("a new key can sign");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
