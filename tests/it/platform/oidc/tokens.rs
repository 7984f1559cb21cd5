//! Goal: only an ID token that the tenant's provider issued for this tenant, now, and for this sign-in is exchanged, and once.
//!
//! Method: for each check a token that is good but for it; replays one by one, all at once, and with another form of the signature.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_engine::{Caller, CreateTenant, Label, TenantId, UserRole};
use boxoffice_tests::{Account, Hosted, OpenIdProvider, TestPlatform, api::text};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Fixture, PROVIDER, SIGN_IN, put, verified};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_each_algorithm_that_the_tenant_allows_signs_in() {
    let fixture = Fixture::open(false).await;
    let provider = &fixture.provider;
    provider.publish(&["rsa-one", "ec", "ed"]);
    let all = json!({"algorithms": ["RS256", "PS256", "ES256", "EdDSA"]});
    let set = fixture.trust(all.clone()).await.expect(200);
    assert_eq!(set["algorithms"], all["algorithms"]);
    for (key, algorithm) in [
        ("rsa-one", "RS256"),
        ("rsa-one", "PS256"),
        ("ec", "ES256"),
        ("ed", "EdDSA"),
    ] {
        let nonce = provider.nonce();
        let claims = provider.claims("ann", &nonce, verified("ann@id.test"));
        let token = provider.token(key, algorithm, &claims);
        let body = json!({"idToken": token, "nonce": nonce});
        let session = fixture.house.door.post(SIGN_IN, body).await.expect(200);
        // The same answer as that of a sign-in with a password.
        assert_eq!(session["user"]["email"], "ann@id.test");
        assert_eq!(session["expiresInSeconds"], 900);
        let me = fixture.house.door.token(text(&session["token"]));
        me.get("/api/auth/me").await.expect(200);
        let refresh = json!({"refreshToken": session["refreshToken"]});
        let door = &fixture.house.door;
        door.post("/api/auth/refresh", refresh).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_with_wrong_claims_are_refused() {
    let fixture = Fixture::open(false).await;
    let now = Timestamp::now().as_second();
    for (changes, why) in [
        (json!({"iss": "https://id.example.org"}), "another issuer"),
        (json!({"aud": "another"}), "another audience"),
        (json!({"aud": [OpenIdProvider::CLIENT, "another"]}), "azp"),
        (json!({"azp": "another"}), "azp"),
        (json!({"exp": now - 3_600}), "expired"),
        (
            json!({"iat": now - 3_600, "exp": now + 3_600}),
            "older than 10",
        ),
        (
            json!({"iat": now + 3_600, "exp": now + 7_200}),
            "from the future",
        ),
        (json!({"nbf": now + 3_600}), "from the future"),
        (json!({"nonce": null}), "no nonce"),
        (
            json!({"nonce": "of-another-sign-in-entirely"}),
            "another nonce",
        ),
        (json!({"sub": null}), "lacks one of the claims"),
        (json!({"email": null}), "no e-mail address"),
        (json!({"email": "nowhere"}), "no e-mail address"),
    ] {
        let mut all = verified("eve@id.test");
        for (name, value) in changes.as_object().expect("an object") {
            all[name] = value.clone();
        }
        let refused = fixture.sign_in("eve", all).await;
        let problem = refused.problem(401, "id-token-invalid");
        let detail = text(problem.member("detail"));
        assert!(detail.contains(why), "{changes}: {detail}");
    }
    for nonce in ["", "too-short", &"x".repeat(256)] {
        let mut body = fixture.provider.sign_in("eve", verified("eve@id.test"));
        body["nonce"] = json!(nonce);
        let refused = fixture.house.door.post(SIGN_IN, body).await;
        refused.problem(422, "field-invalid").at_field("nonce");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_with_wrong_signatures_are_refused() {
    let fixture = Fixture::open(false).await;
    let provider = &fixture.provider;
    provider.publish(&["rsa-one", "ec", "ed"]);
    fixture.trust(json!({})).await.expect(200);
    let head = |algorithm: &str, kid: &str| json!({"alg": algorithm, "kid": kid});
    for (head, key, algorithm, why) in [
        (
            head("none", "rsa-one"),
            "nothing",
            "",
            "not signed with one of",
        ),
        (
            head("HS256", "rsa-one"),
            "public",
            "",
            "not signed with one of",
        ),
        // A key's public half as the secret, under the algorithm of its pair.
        (head("RS256", "rsa-one"), "public", "", "signature is wrong"),
        (
            head("RS256", "rsa-one"),
            "nothing",
            "",
            "signature is wrong",
        ),
        (
            head("RS256", "rsa-one"),
            "rsa-two",
            "RS256",
            "signature is wrong",
        ),
        (
            head("RS256", "rsa-one"),
            "rsa-one",
            "PS256",
            "signature is wrong",
        ),
        (head("ES256", "rsa-one"), "ec", "ES256", "does not publish"),
        (
            head("RS256", "rsa-two"),
            "rsa-two",
            "RS256",
            "does not publish",
        ),
        // Good signatures, with algorithms that the tenant has not allowed.
        (
            head("PS256", "rsa-one"),
            "rsa-one",
            "PS256",
            "does not allow",
        ),
        (head("EdDSA", "ed"), "ed", "EdDSA", "does not allow"),
    ] {
        let nonce = provider.nonce();
        let claims = provider.claims("eve", &nonce, verified("eve@id.test"));
        let token = provider.token_with(&head, key, algorithm, &claims);
        let body = json!({"idToken": token, "nonce": nonce});
        let refused = fixture.house.door.post(SIGN_IN, body).await;
        let problem = refused.problem(401, "id-token-invalid");
        let detail = text(problem.member("detail"));
        assert!(detail.contains(why), "{head}: {detail}");
    }
    // Claims that were changed after they were signed.
    let mut body = provider.sign_in("eve", verified("eve@id.test"));
    let token = text(&body["idToken"]).to_owned();
    let parts: Vec<&str> = token.split('.').collect();
    let nonce = text(&body["nonce"]).to_owned();
    let claims = provider.claims("ann", &nonce, verified("eve@id.test"));
    let forged = URL_SAFE_NO_PAD.encode(claims.to_string());
    body["idToken"] = json!(format!("{}.{forged}.{}", parts[0], parts[2]));
    let refused = fixture.house.door.post(SIGN_IN, body).await;
    refused.problem(401, "id-token-invalid");
}

/// The other signature of the same message: `s` becomes `n - s` (SEC 1, 4.1.4 accepts both).
fn other_form(token: &str) -> String {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    let mut borrow = 0;
    for index in (0..32).rev() {
        let left = i16::from(ORDER[index]) - i16::from(bytes[32 + index]) - borrow;
        borrow = i16::from(left < 0);
        bytes[32 + index] = left.rem_euclid(256) as u8;
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_exchanged_once() {
    let fixture = Fixture::open(false).await;
    let (provider, door) = (&fixture.provider, &fixture.house.door);
    provider.publish(&["rsa-one", "ec"]);
    fixture.trust(json!({})).await.expect(200);
    // The first sign-in makes the account; the second one finds it.
    for _ in 0..2 {
        let body = provider.sign_in("ann", verified("ann@id.test"));
        door.post(SIGN_IN, body.clone()).await.expect(200);
        let again = door.post(SIGN_IN, body).await;
        let problem = again.problem(401, "id-token-invalid");
        assert!(text(problem.member("detail")).contains("exchanged before"));
    }
    let nonce = provider.nonce();
    let claims = provider.claims("ann", &nonce, verified("ann@id.test"));
    let token = provider.token("ec", "ES256", &claims);
    for (token, status) in [(token.clone(), 200), (other_form(&token), 401)] {
        let body = json!({"idToken": token, "nonce": nonce});
        assert_eq!(door.post(SIGN_IN, body).await.status, status);
    }
    let body = provider.sign_in("ann", verified("ann@id.test"));
    let tries = (0..20).map(|_| door.post(SIGN_IN, body.clone()));
    let answers = futures::future::join_all(tries).await;
    let won = answers.iter().filter(|answer| answer.status == 200);
    assert_eq!(won.count(), 1, "one of twenty at once");
    // A token that was used for a link signs nobody in.
    let cem = door.register("cem@north.test", "customer").await.client;
    let mut body = provider.sign_in("cem", json!({}));
    let exchange = body.clone();
    body["currentPassword"] = json!(Account::PASSWORD);
    cem.post(super::IDENTITIES, body).await.expect(201);
    let again = door.post(SIGN_IN, exchange).await;
    again.problem(401, "id-token-invalid");
    fixture.sign_in("cem", json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_for_one_tenant() {
    let fixture = Fixture::open(false).await;
    let (platform, provider) = (&fixture.house.platform, &fixture.provider);
    let south = TenantId::parse("south").expect("a tenant name");
    let name = Label::parse("name", "South").expect("a name");
    let command = CreateTenant::new(south.clone(), name, "EUR");
    let tenants = platform.engine.tenants();
    let made = tenants.create(&Caller::operator(), command).await;
    made.expect("a new tenant");
    platform.user(&south, "owen", UserRole::Owner).await;
    let door = fixture.house.door.tenant("south");
    let body = provider.sign_in("ann", verified("ann@id.test"));
    let off = door.post(SIGN_IN, body.clone()).await;
    off.problem(409, "identity-provider-off");
    let owner = door.login("owen@south.test").await.client;
    owner.get(PROVIDER).await.problem(404, "not-found");
    let settings = provider.settings(json!({"clientId": "of-south"}));
    put(&owner, settings).await.expect(200);
    let foreign = door.post(SIGN_IN, body.clone()).await;
    foreign.problem(401, "id-token-invalid");
    // The same person at the same provider is another account in each tenant.
    let north = fixture.house.door.post(SIGN_IN, body).await.expect(200);
    let mut changes = verified("ann@id.test");
    changes["aud"] = json!("of-south");
    let own = door.post(SIGN_IN, provider.sign_in("ann", changes)).await;
    let own = own.expect(200);
    assert_ne!(own["user"]["id"], north["user"]["id"]);
    assert_eq!(own["user"]["tenant"], "south");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_limited_by_network() {
    let fixture = Fixture::open_with(false, |options| options.throttle_logins = true).await;
    let (provider, door) = (&fixture.provider, &fixture.house.door);
    let bad = || provider.sign_in("eve", json!({"aud": "another"}));
    for _ in 0..10 {
        let refused = door.post(SIGN_IN, bad()).await;
        refused.problem(401, "id-token-invalid");
    }
    let refused = door.post(SIGN_IN, bad()).await;
    refused.problem(429, "too-many-requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_accounts_count_as_sign_ups_do() {
    let most = std::num::NonZeroU32::new(2);
    let fixture = Fixture::open_with(false, |options| {
        options.throttle_logins = true;
        options.sign_ups_per_hour = most;
    })
    .await;
    for name in ["ann", "ben"] {
        let claims = verified(&format!("{name}@id.test"));
        fixture.sign_in(name, claims).await.expect(200);
    }
    let third = fixture.sign_in("cem", verified("cem@id.test")).await;
    third.problem(429, "too-many-requests");
    // Whoever has an account signs in.
    fixture
        .sign_in("ann", Value::Object(Default::default()))
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_try_few_settings() {
    let fixture = Fixture::open_with(false, |options| options.throttle_logins = true).await;
    // The first was counted when the fixture was made.
    for _ in 0..19 {
        fixture.trust(json!({})).await.expect(200);
    }
    let asked = fixture.provider.asked();
    let refused = fixture.trust(json!({})).await;
    refused.problem(429, "too-many-requests");
    assert_eq!(fixture.provider.asked(), asked);
}

/// A host that nothing was configured at.
#[tokio::test]
async fn a_host_asks_nobody_on_its_own_network() {
    let platform = TestPlatform::new().await;
    let north = platform.tenant("north").await;
    platform.user(&north, "owen", UserRole::Owner).await;
    let hosted = Hosted::start(platform.engine.clone()).await;
    let door = hosted.client().tenant("north");
    let owner = door.login("owen@north.test").await.client;
    let provider = OpenIdProvider::start().await;
    let refused = put(&owner, provider.settings(json!({}))).await;
    refused.problem(422, "field-invalid").at_field("issuer");
    assert_eq!(provider.asked(), 0);
}
