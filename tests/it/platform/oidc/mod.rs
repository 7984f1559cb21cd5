//! Goal: people sign in with an OpenID provider that their tenant trusts, and nobody with anything else.
//!
//! Method: an OpenID provider of the test kit on loopback, which the host under test is allowed to ask; tokens are signed with real
//! keys. `tokens` has what is refused of tokens, `providers` settings and keys,
//! `accounts` whose account it is, `hosts` what two hosts do at once.

mod accounts;
mod hosts;
mod providers;
mod tokens;

use boxoffice_host::RouterOptions;
use boxoffice_tests::{Answer, Client, EventFixture, OpenIdProvider};
use reqwest::Method;
use serde_json::{Value, json};

const PROVIDER: &str = "/api/tenant/identity-provider";
const SIGN_IN: &str = "/api/auth/oidc";
const IDENTITIES: &str = "/api/auth/me/identities";

/// A tenant that trusts a provider.
struct Fixture {
    house: EventFixture,
    provider: OpenIdProvider,
}

impl Fixture {
    /// `with_links` tells whether the tenant confirms addresses.
    async fn open(with_links: bool) -> Self {
        Self::open_with(with_links, |_| {}).await
    }

    async fn open_with(with_links: bool, change: impl FnOnce(&mut RouterOptions)) -> Self {
        let provider = OpenIdProvider::start().await;
        let egress = provider.egress();
        let house = EventFixture::open_with(with_links, |options| {
            options.egress = egress;
            change(options);
        });
        let fixture = Self {
            house: house.await,
            provider,
        };
        fixture.trust(json!({})).await.expect(200);
        fixture
    }

    /// Sets the provider with these changes.
    async fn trust(&self, changes: Value) -> Answer {
        put(&self.house.owner.client, self.provider.settings(changes)).await
    }

    /// Signs somebody in with a good token but for these changes of its claims.
    async fn sign_in(&self, subject: &str, changes: Value) -> Answer {
        let body = self.provider.sign_in(subject, changes);
        self.house.door.post(SIGN_IN, body).await
    }

    /// A client of somebody who signs in with a good token, and their id.
    async fn signed_in(&self, subject: &str, changes: Value) -> (Client, String) {
        let session = self.sign_in(subject, changes).await.expect(200);
        let id = session["user"]["id"].as_str().expect("an id").to_owned();
        let token = session["token"].as_str().expect("a token");
        (self.house.door.token(token), id)
    }

    /// Links an identity with an account that has the kit's password.
    async fn link(&self, client: &Client, subject: &str) -> Answer {
        let mut body = self.provider.sign_in(subject, json!({}));
        body["currentPassword"] = json!(boxoffice_tests::Account::PASSWORD);
        client.post(IDENTITIES, body).await
    }
}

async fn put(client: &Client, settings: Value) -> Answer {
    let request = client.request(Method::PUT, PROVIDER);
    Answer::of(request.json(&settings)).await
}

async fn delete(client: &Client, path: &str) -> Answer {
    Answer::of(client.request(Method::DELETE, path)).await
}

/// The claims of an address that the provider has verified.
fn verified(email: &str) -> Value {
    json!({"email": email, "email_verified": true})
}
