//! Goal: owners set a provider that can be asked and nothing in the host's own network; keys are read seldom, rotate, and outlive a
//! provider that is down for a while; a provider that was removed signs nobody in.
//!
//! Method: a table of addresses through the API; a provider that counts requests, changes its keys, lies and breaks down.

use boxoffice_tests::{Hosted, Patience, api::text, wait_for};
use serde_json::{Value, json};

use super::{Fixture, PROVIDER, SIGN_IN, delete, put, verified};

/// What no tenant may have this host connect to, in many spellings.
const REFUSED: [&str; 52] = [
    "http://id.example.org",
    "https://id.example.org:8443",
    "https://user@id.example.org",
    "https://id.example.org@127.0.0.1",
    "https://id.example.org?x=y",
    "https://id.example.org#x",
    "https://",
    "ftp://id.example.org",
    "file:///etc/passwd",
    "https://localhost",
    "https://LOCALHOST",
    "https://db",
    "https://127.0.0.1",
    "https://127.0.0.1:8080",
    "https://127.1",
    "https://0177.0.0.1",
    "https://0x7f.0.0.1",
    "https://0x7f000001",
    "https://2130706433",
    "https://017700000001",
    "https://0",
    "https://0.0.0.0",
    "https://10.0.0.1",
    "https://172.16.0.1",
    "https://192.168.0.1",
    "https://100.64.0.1",
    "https://100.100.100.200",
    "https://168.63.129.16",
    "https://169.254.169.254",
    "https://2852039166",
    "https://0xa9fea9fe",
    "https://192.0.0.192",
    "https://192.0.2.1",
    "https://198.18.0.1",
    "https://198.51.100.1",
    "https://203.0.113.1",
    "https://224.0.0.1",
    "https://240.0.0.1",
    "https://255.255.255.255",
    "https://[::]",
    "https://[::1]",
    "https://[::ffff:127.0.0.1]",
    "https://[::ffff:a9fe:a9fe]",
    "https://[::127.0.0.1]",
    "https://[64:ff9b::7f00:1]",
    "https://[64:ff9b:1::1]",
    "https://[2001::1]",
    "https://[2002:7f00:1::]",
    "https://[fc00::1]",
    "https://[fd00:ec2::254]",
    "https://[fe80::1]",
    "https://[ff02::1]",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_of_the_hosts_own_network_are_refused() {
    let fixture = Fixture::open(false).await;
    let owner = &fixture.house.owner.client;
    for address in REFUSED {
        let settings = json!({"issuer": address, "clientId": "x"});
        let refused = put(owner, settings).await;
        refused.problem(422, "field-invalid").at_field("issuer");
        let keys = address.replacen('?', "/?", 1);
        let settings = fixture.provider.settings(json!({"jwksUrl": keys}));
        // A query is part of the address of a key set; the name itself leads nowhere.
        let refused = put(owner, settings).await;
        refused.problem(422, "field-invalid").at_field("jwksUrl");
    }
    // What was set before is still there, and names of this machine resolve to addresses that are refused as well.
    let kept = owner.get(PROVIDER).await.expect(200);
    assert_eq!(kept["issuer"], fixture.provider.issuer());
    let settings = json!({"issuer": "https://localhost.localdomain", "clientId": "x"});
    put(owner, settings).await.problem(422, "field-invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_lead_to_no_keys_are_refused() {
    let fixture = Fixture::open(false).await;
    let (provider, issuer) = (&fixture.provider, fixture.provider.issuer());
    for (changes, field) in [
        (json!({"clientId": ""}), "clientId"),
        (json!({"clientId": "two words"}), "clientId"),
        (json!({"issuer": ""}), "issuer"),
        (json!({"algorithms": []}), "algorithms"),
        (json!({"algorithms": ["RS256", "RS256"]}), "algorithms"),
        (json!({"algorithms": ["RS256", "none"]}), "algorithms[1]"),
        (json!({"algorithms": ["HS256"]}), "algorithms[0]"),
        // It publishes an RSA key alone.
        (json!({"algorithms": ["EdDSA"]}), "algorithms"),
        (json!({"jwksUrl": format!("{issuer}/nothing")}), "jwksUrl"),
        (json!({"issuer": format!("{issuer}/nothing")}), "issuer"),
        // It calls itself otherwise.
        (json!({"issuer": format!("{issuer}/")}), "issuer"),
    ] {
        let refused = fixture.trust(changes).await;
        refused.problem(422, "field-invalid").at_field(field);
    }
    provider.call_itself("https://id.example.org");
    let refused = fixture.trust(json!({})).await;
    let problem = refused.problem(422, "field-invalid");
    assert!(text(problem.member("detail")).contains("another issuer"));
    // Nobody asks for the discovery document if the keys' place is known.
    let keys = json!({"jwksUrl": format!("{issuer}/keys")});
    let set = fixture.trust(keys.clone()).await.expect(200);
    assert_eq!(set["jwksUrl"], keys["jwksUrl"]);
    let claims = verified("ann@id.test");
    fixture.sign_in("ann", claims).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_is_found_and_the_old_one_refused() {
    let fixture = Fixture::open(false).await;
    let (provider, door) = (&fixture.provider, &fixture.house.door);
    fixture
        .sign_in("ann", verified("ann@id.test"))
        .await
        .expect(200);
    provider.publish(&["rsa-two"]);
    let with_new_key = || {
        let nonce = provider.nonce();
        let claims = provider.claims("ann", &nonce, json!({}));
        let token = provider.token("rsa-two", "RS256", &claims);
        json!({"idToken": token, "nonce": nonce})
    };
    // Keys were read a moment ago, when the provider was set.
    wait_for(Patience::WORK, "the new key to be found", || async {
        let answer = door.post(SIGN_IN, with_new_key()).await;
        (answer.status == 200).then_some(())
    })
    .await;
    let old = fixture.sign_in("ann", json!({})).await;
    old.problem(401, "id-token-invalid");
    // Whatever keys strangers name, the provider is asked at most every ten seconds.
    let asked = provider.asked();
    for number in 0..30 {
        let nonce = provider.nonce();
        let claims = provider.claims("eve", &nonce, json!({}));
        let head = json!({"alg": "RS256", "kid": format!("stranger-{number}")});
        let token = provider.token_with(&head, "nothing", "", &claims);
        let refused = door
            .post(SIGN_IN, json!({"idToken": token, "nonce": nonce}))
            .await;
        refused.problem(401, "id-token-invalid");
    }
    assert!(
        provider.asked() <= asked + 3,
        "{asked}, {}",
        provider.asked()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_outlive_a_provider_that_is_down() {
    let fixture = Fixture::open(false).await;
    let (house, provider) = (&fixture.house, &fixture.provider);
    provider.break_down(true);
    // This host knows the keys.
    fixture
        .sign_in("ann", verified("ann@id.test"))
        .await
        .expect(200);
    // Another one has never had them, and asks once, whoever comes.
    let options = boxoffice_host::RouterOptions {
        egress: provider.egress(),
        ..boxoffice_host::RouterOptions::default()
    };
    let other = Hosted::with_options(house.platform.engine.clone(), options).await;
    let door = other.client().tenant("north");
    let tries = (0..10).map(|_| door.post(SIGN_IN, provider.sign_in("ann", json!({}))));
    for answer in futures::future::join_all(tries).await {
        answer.problem(503, "identity-provider-unavailable");
        assert_eq!(answer.header("retry-after"), "10");
    }
    provider.break_down(false);
    wait_for(Patience::WORK, "the provider to be asked again", || async {
        let answer = door.post(SIGN_IN, provider.sign_in("ann", json!({}))).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_was_removed_signs_nobody_in() {
    let fixture = Fixture::open(false).await;
    let owner = &fixture.house.owner.client;
    let (ann, id) = fixture.signed_in("ann", verified("ann@id.test")).await;
    assert_eq!(delete(owner, PROVIDER).await.status, 204);
    let off = fixture.sign_in("ann", json!({})).await;
    off.problem(409, "identity-provider-off");
    owner.get(PROVIDER).await.problem(404, "not-found");
    delete(owner, PROVIDER).await.problem(404, "not-found");
    // Sessions go on, and the account is found again with the provider.
    ann.get("/api/auth/me").await.expect(200);
    fixture.trust(json!({})).await.expect(200);
    let (_, again) = fixture.signed_in("ann", json!({})).await;
    assert_eq!(again, id);
    // Another client of the provider gets nobody in with tokens of the first.
    fixture
        .trust(json!({"clientId": "another"}))
        .await
        .expect(200);
    let refused = fixture.sign_in("ann", json!({})).await;
    refused.problem(401, "id-token-invalid");
    let log = owner.all("/api/admin/audit").await;
    let actions: Vec<&Value> = log.iter().map(|entry| &entry["action"]).collect();
    let (set, removed) = ("set-identity-provider", "remove-identity-provider");
    assert_eq!(actions, [set, set, removed, set]);
    assert!(text(&log[0]["subject"]).contains(&fixture.provider.issuer()));
    assert!(text(&log[0]["who"]).contains("owen@north.test"));
}
