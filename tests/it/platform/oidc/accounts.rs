//! Goal: an identity opens its own account and no other; an account that exists gets one from its own user alone, and loses all of
//! them with a new password by mail; nobody is locked out, and no token gives a role.
//!
//! Method: attackers with real tokens of the trusted provider try to reach other people's accounts; links are those of real mails.

use boxoffice_engine::{
    Caller, EmailAddress, EnsureUser, Label, UserId, UserRole, VerifiedIdentity,
};
use boxoffice_tests::{Account, Answer, Client, OWN_PASSWORD, Patience, api::text, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Fixture, IDENTITIES, SIGN_IN, delete, verified};

const RESET: &str = "Choose a new password";

async fn is_signed_out(client: &Client) {
    wait_for(Patience::WORK, "a session to end", || async {
        let answer = client.get("/api/auth/me").await;
        (answer.status == 401).then_some(())
    })
    .await;
}

async fn identities(client: &Client) -> Vec<Value> {
    let listed = client.get(IDENTITIES).await.expect(200);
    listed["items"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_sign_in_makes_a_customer_whatever_the_token_says() {
    let fixture = Fixture::open(true).await;
    let mut claims = verified("Ann@ID.test");
    for (name, value) in [
        ("name", json!("Ann Onym")),
        ("role", json!("owner")),
        ("roles", json!(["owner", "operator"])),
        ("groups", json!(["owner"])),
        ("tenant", json!("south")),
    ] {
        claims[name] = value;
    }
    let first = fixture.sign_in("ann", claims).await.expect(200);
    let user = &first["user"];
    assert_eq!(
        (
            &user["role"],
            &user["email"],
            &user["emailVerified"],
            &user["name"]
        ),
        (
            &json!("customer"),
            &json!("ann@id.test"),
            &json!(true),
            &json!("Ann Onym")
        )
    );
    // A verified address needs no mail. Later tokens change nothing of the account.
    let later = verified("other@id.test");
    let again = fixture.sign_in("ann", later).await.expect(200);
    assert_eq!(again["user"], *user);
    assert!(fixture.house.platform.settle().await.is_empty());
    // Nobody knows a password of it.
    let body = json!({"email": "ann@id.test", "password": Account::PASSWORD});
    let refused = fixture.house.door.post("/api/auth/login", body).await;
    refused.problem(401, "wrong-credentials");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_ins_at_once_make_one_account() {
    let fixture = Fixture::open(true).await;
    let tries = (0..16).map(|_| fixture.sign_in("ann", verified("ann@id.test")));
    let answers = futures::future::join_all(tries).await;
    let mut ids: Vec<String> = answers
        .iter()
        .map(|answer| text(&answer.expect(200)["user"]["id"]).to_owned())
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    // The same with an address that waits for a confirmation: one account, and one mail.
    let unverified = || json!({"email": "ben@id.test"});
    let tries = (0..16).map(|_| fixture.sign_in("ben", unverified()));
    let answers = futures::future::join_all(tries).await;
    let mut ids: Vec<String> = answers
        .iter()
        .map(|answer| text(&answer.expect(200)["user"]["id"]).to_owned())
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    fixture.house.platform.owes(1);
    assert_eq!(fixture.house.platform.settle().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_not_found_by_its_address() {
    let fixture = Fixture::open(true).await;
    let (owner, door) = (&fixture.house.owner, &fixture.house.door);
    // The tenant's owner has this address; the provider says that it is the attacker's.
    let refused = fixture.sign_in("eve", verified("owen@north.test")).await;
    refused.problem(409, "identity-unlinked");
    assert!(identities(&owner.client).await.is_empty());
    // A token that was refused for that can still be linked: the person signs in first.
    let mut body = fixture
        .provider
        .sign_in("owen", verified("owen@north.test"));
    door.post(SIGN_IN, body.clone())
        .await
        .problem(409, "identity-unlinked");
    // A stolen session is not enough.
    for password in [None, Some("not this one")] {
        body["currentPassword"] = json!(password);
        let refused = owner.client.post(IDENTITIES, body.clone()).await;
        refused.problem(401, "wrong-credentials");
    }
    body["currentPassword"] = json!(Account::PASSWORD);
    let linked = owner.client.post(IDENTITIES, body.clone()).await;
    assert_eq!(
        linked.header("location"),
        format!("{IDENTITIES}/{}", text(&linked.json()["id"]))
    );
    let linked = linked.expect(201);
    assert_eq!(linked["subject"], "owen");
    assert_eq!(identities(&owner.client).await, [linked]);
    let (signed_in, id) = fixture.signed_in("owen", json!({})).await;
    assert_eq!(id, owner.id);
    // The account's role, not a token's.
    let me = signed_in.get("/api/auth/me").await.expect(200);
    assert_eq!(me["role"], "owner");
    // Linking it again changes nothing.
    fixture.link(&owner.client, "owen").await.expect(201);
    assert_eq!(identities(&owner.client).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_belongs_to_one_account() {
    let fixture = Fixture::open(false).await;
    let door = &fixture.house.door;
    let ann = door.register("ann@north.test", "customer").await.client;
    let ben = door.register("ben@north.test", "customer").await.client;
    fixture.link(&ann, "ann").await.expect(201);
    fixture
        .link(&ben, "ann")
        .await
        .problem(409, "identity-taken");
    let second = fixture.link(&ann, "ann-too").await;
    second.problem(422, "field-invalid").at_field("idToken");
    // All at once for one identity: one account gets it.
    let cem = door.register("cem@north.test", "customer").await.client;
    let tries = [&ben, &cem, &ben, &cem].map(|client| fixture.link(client, "shared"));
    futures::future::join_all(tries).await;
    let (mine, theirs) = (identities(&ben).await, identities(&cem).await);
    assert_eq!(mine.len() + theirs.len(), 1, "{mine:?} {theirs:?}");
    // Nobody lists or unlinks somebody else's.
    let path = format!("{IDENTITIES}/{}", text(&identities(&ann).await[0]["id"]));
    delete(&ben, &path).await.problem(404, "not-found");
    assert_eq!(delete(&ann, &path).await.status, 204);
    delete(&ann, &path).await.problem(404, "not-found");
    assert!(identities(&ann).await.is_empty());
    door.post(IDENTITIES, fixture.provider.sign_in("eve", json!({})))
        .await
        .problem(401, "not-authenticated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_the_provider_has_not_verified_waits() {
    let fixture = Fixture::open(true).await;
    let house = &fixture.house;
    let claims = json!({"email": "ann@id.test", "email_verified": false});
    let first = fixture.sign_in("ann", claims.clone()).await.expect(200);
    assert_eq!(first["user"]["emailVerified"], false);
    house.platform.owes(1);
    assert_eq!(
        house
            .links_of("Confirm your address", "ann@id.test")
            .await
            .len(),
        1
    );
    let again = fixture.sign_in("ann", claims).await.expect(200);
    assert_eq!(again["user"], first["user"]);
    // Another address that the provider verifies does not confirm this one.
    let other = fixture.sign_in("ann", verified("ann@else.test")).await;
    assert_eq!(other.expect(200)["user"]["emailVerified"], false);
    // The provider verifies it later.
    let later = fixture
        .sign_in("ann", verified("ann@id.test"))
        .await
        .expect(200);
    assert_eq!(later["user"]["id"], first["user"]["id"]);
    assert_eq!(later["user"]["emailVerified"], true);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unverified_address_reveals_and_reaches_nobody() {
    let fixture = Fixture::open(true).await;
    let house = &fixture.house;
    // Somebody else's address: an account apart, as at a sign-up, and a notice to the owner.
    let claims = json!({"email": "owen@north.test"});
    let (stranger, id) = fixture.signed_in("eve", claims).await;
    assert_ne!(id, house.owner.id);
    let me = stranger.get("/api/auth/me").await.expect(200);
    assert_eq!(
        (&me["role"], &me["emailVerified"]),
        (&json!("customer"), &json!(false))
    );
    house.platform.owes(1);
    let mails = house.platform.settle().await;
    assert!(mails.len() == 1 && mails[0].is_to("owen@north.test"));
    assert!(
        !mails[0].subject.contains("Confirm"),
        "{}",
        mails[0].subject
    );
    // It stays apart even if the provider says later that the address is theirs.
    let later = fixture.sign_in("eve", verified("owen@north.test")).await;
    let later = later.expect(200);
    assert_eq!(
        (text(&later["user"]["id"]), &later["user"]["emailVerified"]),
        (id.as_str(), &json!(false))
    );
    // If it was the owner after all, the identity moves to their account, once they sign in there.
    fixture.link(&house.owner.client, "eve").await.expect(201);
    house.platform.owes(1);
    is_signed_out(&stranger).await;
    let (_, moved) = fixture.signed_in("eve", json!({})).await;
    assert_eq!(moved, house.owner.id);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_by_mail_ends_all_identities() {
    let fixture = Fixture::open(true).await;
    let house = &fixture.house;
    // The attacker was first: the provider took their word for Ann's address.
    let (attacker, id) = fixture.signed_in("eve", verified("ann@id.test")).await;
    let forgotten = "/api/auth/password/forgotten";
    let asked = house
        .door
        .post(forgotten, json!({"email": "ann@id.test"}))
        .await;
    assert_eq!(asked.status, 202);
    house.platform.owes(1);
    let links = house.links_of(RESET, "ann@id.test").await;
    let token = links[0].rsplit('/').next().expect("a token");
    let body = json!({"token": token, "password": Account::PASSWORD});
    let reset = house.door.post("/api/auth/password/reset", body).await;
    assert_eq!(reset.status, 204, "{}", reset.text);
    is_signed_out(&attacker).await;
    let ann = house.door.login("ann@id.test").await;
    assert_eq!(ann.id, id);
    assert!(identities(&ann.client).await.is_empty());
    let back = fixture.sign_in("eve", verified("ann@id.test")).await;
    back.problem(409, "identity-unlinked");
    // A change with the old password leaves identities as they are.
    fixture.link(&ann.client, "ann").await.expect(201);
    house.platform.owes(1);
    let change =
        json!({"currentPassword": Account::PASSWORD, "newPassword": "another horse battery"});
    ann.client
        .post("/api/auth/password", change)
        .await
        .expect(200);
    let (_, same) = fixture.signed_in("ann", json!({})).await;
    assert_eq!(same, id);
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_confirms_with_a_new_password_shuts_out_whoever_made_the_account() {
    let fixture = Fixture::open(true).await;
    let house = &fixture.house;
    let (attacker, id) = fixture
        .signed_in("eve", json!({"email": "ann@id.test"}))
        .await;
    house.platform.owes(1);
    let links = house.links_of("Confirm your address", "ann@id.test").await;
    let form = "newPassword=correct+horse+battery";
    let confirmed = house.confirm(&links[0], form).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    let ann = house.door.login("ann@id.test").await;
    assert_eq!(ann.id, id);
    assert!(identities(&ann.client).await.is_empty());
    is_signed_out(&attacker).await;
    let back = fixture.sign_in("eve", verified("ann@id.test")).await;
    back.problem(409, "identity-unlinked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_way_to_sign_in_stays() {
    let fixture = Fixture::open(false).await;
    let (ann, _) = fixture.signed_in("ann", verified("ann@id.test")).await;
    let id = text(&identities(&ann).await[0]["id"]).to_owned();
    let path = format!("{IDENTITIES}/{id}");
    delete(&ann, &path).await.problem(409, "last-sign-in");
    fixture.sign_in("ann", json!({})).await.expect(200);
    // With a second provider there are two, and all but one can be unlinked, whoever comes first.
    let other = boxoffice_tests::OpenIdProvider::start().await;
    let settings =
        other.settings(json!({"jwksUrl": format!("{}/keys", fixture.provider.issuer())}));
    super::put(&fixture.house.owner.client, settings)
        .await
        .expect(200);
    let linked = ann.post(IDENTITIES, other.sign_in("ann", json!({}))).await;
    let second = text(&linked.expect(201)["id"]).to_owned();
    let paths = [path, format!("{IDENTITIES}/{second}")];
    let unlinking = paths.iter().map(|path| delete(&ann, path));
    let statuses = futures::future::join_all(unlinking).await;
    let mut statuses: Vec<u16> = statuses.iter().map(|answer| answer.status).collect();
    statuses.sort();
    assert_eq!(statuses, [204, 409]);
    assert_eq!(identities(&ann).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_trusted_code_says_who_somebody_is() {
    let fixture = Fixture::open(false).await;
    let engine = &fixture.house.platform.engine;
    let tenant = &fixture.house.tenant;
    let trusted = Caller::platform("north");
    let user = EnsureUser {
        external_id: "42".to_owned(),
        name: Label::parse("name", "Ann").expect("one line"),
        email: EmailAddress::parse("email", "ann@id.test").expect("an address"),
        metadata: None,
    };
    let ann = engine.users().ensure(&trusted, user).await.expect("a user");
    let identity = VerifiedIdentity {
        issuer: fixture.provider.issuer(),
        subject: "ann".to_owned(),
        email: Some(ann.email.clone()),
        email_verified: true,
        name: None,
        token: None,
    };
    let sessions = engine.sessions();
    let owner: UserId = fixture.house.owner.id.parse().expect("an id");
    for caller in [
        Caller::anonymous(tenant.clone()),
        Caller::user(tenant.clone(), owner, UserRole::Owner),
    ] {
        let refused = sessions.sign_in_with(&caller, &identity, None).await;
        assert!(refused.is_err(), "{caller:?}");
    }
    // People whom a platform brought have no password to link with; the platform does it for them.
    let refused = sessions.sign_in_with(&trusted, &identity, None).await;
    assert_eq!(
        refused.expect_err("an address of hers").code().as_str(),
        "identity-unlinked"
    );
    let hers = trusted.on_behalf_of(ann.id);
    let linked = engine.users().link_identity(&hers, &identity, None).await;
    linked.expect("a link");
    let session = sessions.sign_in_with(&trusted, &identity, None).await;
    assert_eq!(session.expect("a session").user.id, ann.id);
    let (_, id) = fixture.signed_in("ann", json!({})).await;
    assert_eq!(id, ann.id.to_string());
    // A key of the tenant cannot choose whom the tenant trusts.
    let all: Vec<&str> = boxoffice_engine::Scope::ALL
        .iter()
        .map(|scope| scope.as_str())
        .collect();
    let key = json!({"name": "Everything", "scopes": all});
    let key = fixture
        .house
        .owner
        .client
        .post("/api/keys", key)
        .await
        .expect(201);
    let program = fixture.house.door.token(text(&key["secret"]));
    let request = program.request(Method::PUT, super::PROVIDER);
    let refused = Answer::of(request.json(&fixture.provider.settings(json!({})))).await;
    refused.problem(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_hears_of_a_new_way_to_sign_in() {
    let fixture = Fixture::open(true).await;
    let house = &fixture.house;
    let ann = house.customer("ann").await;
    let link = house.links(&ann).await.remove(0);
    house.confirm(&link, OWN_PASSWORD).await;
    let ann = house.door.login(&ann.email).await;
    let ben = house.door.register("ben@north.test", "customer").await;
    house.platform.owes(1);
    house.platform.settle().await;
    for (account, subject) in [(&ann, "ann"), (&ben, "ben")] {
        fixture.link(&account.client, subject).await.expect(201);
    }
    house.platform.owes(1);
    let linked = |mail: &&boxoffice_tests::ReceivedMail| mail.subject == "A new way to sign in";
    let mails = house.platform.settle().await;
    let told: Vec<_> = mails.iter().filter(linked).collect();
    // Ben has not confirmed the address: whose it is, nobody knows.
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].is_to(&ann.email), "{told:?}");
    assert!(told[0].text.contains("North Stage"), "{}", told[0].text);
    // Once more links and tells nothing.
    let again = fixture.link(&ann.client, "ann").await;
    assert!([200, 201].contains(&again.status), "{}", again.text);
    let mails = house.platform.settle().await;
    assert_eq!(mails.iter().filter(linked).count(), 1);
}
