//! Goal: what holds at one host holds at two: one account for an identity, one use of a token, one way to sign in that stays, and
//! no sign-in with settings that another host has changed.
//!
//! Method: two engines over one SurrealDB server race; what the host checks of tokens is given.

use std::time::Duration;

use boxoffice_engine::{
    Caller, CheckedIdToken, EmailAddress, Engine, ErrorCode, IdTokenAlgorithm, IdentityProvider,
    SetIdentityProvider, UserId, VerifiedIdentity,
};
use boxoffice_tests::{SurrealServer, organizer_and_tenant};

const ISSUER: &str = "https://id.example.org";

fn identity(provider: &IdentityProvider, issuer: &str, token: usize) -> VerifiedIdentity {
    VerifiedIdentity {
        issuer: issuer.to_owned(),
        subject: "ann".to_owned(),
        email: Some(EmailAddress::parse("email", "ann@id.test").expect("an address")),
        email_verified: true,
        name: None,
        token: Some(CheckedIdToken {
            provider_changed_at: provider.changed_at,
            digest: format!("{token:064x}"),
            valid_for: Duration::from_secs(300),
        }),
    }
}

async fn trust(engine: &Engine, caller: &Caller) -> IdentityProvider {
    let settings = SetIdentityProvider {
        issuer: ISSUER.to_owned(),
        client_id: "boxoffice".to_owned(),
        jwks_url: None,
        algorithms: IdTokenAlgorithm::DEFAULT.to_vec(),
    };
    let tenants = engine.tenants();
    let set = tenants.set_identity_provider(caller, settings).await;
    set.expect("a provider")
}

/// Signs in at both engines at once with these tokens; answers whose account it was each time, or why not.
async fn sign_ins(
    engines: &[Engine],
    identities: Vec<VerifiedIdentity>,
) -> Vec<Result<UserId, ErrorCode>> {
    let tries = identities
        .into_iter()
        .enumerate()
        .map(|(number, identity)| {
            let sessions = engines[number % engines.len()].sessions();
            tokio::spawn(async move {
                let caller = Caller::platform("north");
                let session = sessions.sign_in_with(&caller, &identity, None).await;
                session
                    .map(|session| session.user.id)
                    .map_err(|error| error.code())
            })
        });
    let tries: Vec<_> = tries.collect();
    let mut outcomes = Vec::new();
    for one in tries {
        outcomes.push(one.await.expect("no sign-in panics"));
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_keep_what_one_does() {
    let server = SurrealServer::start().await;
    let engines = [
        server.engine_with(|builder| builder).await,
        server.engine_with(|builder| builder).await,
    ];
    organizer_and_tenant(&engines[0], "north").await;
    let trusted = Caller::platform("north");
    let provider = trust(&engines[0], &trusted).await;

    let each = (0..16).map(|token| identity(&provider, ISSUER, token));
    let mut accounts = sign_ins(&engines, each.collect()).await;
    accounts.dedup();
    let [Ok(ann)] = accounts[..] else {
        panic!("one account, not {accounts:?}")
    };
    let same = vec![identity(&provider, ISSUER, 100); 16];
    let outcomes = sign_ins(&engines, same).await;
    assert_eq!(outcomes.iter().filter(|one| one.is_ok()).count(), 1);
    let refused = outcomes.iter().filter_map(|one| one.err());
    assert!(
        { refused }.all(|code| code == ErrorCode::IdTokenInvalid),
        "{outcomes:?}"
    );

    // Two ways to sign in, each unlinked at another host: one stays.
    let hers = trusted.on_behalf_of(ann);
    for round in 0..8 {
        let other = identity(
            &provider,
            &format!("https://other-{round}.test"),
            200 + round,
        );
        let linked = engines[0].users().link_identity(&hers, &other, None).await;
        linked.expect("a second identity");
        let both = engines[0].users().identities(&hers).await.expect("a list");
        let [first, second] = &both[..] else {
            panic!("two, not {both:?}")
        };
        let users = [engines[0].users(), engines[1].users()];
        let unlinked = tokio::join!(
            users[0].unlink_identity(&hers, first.id),
            users[1].unlink_identity(&hers, second.id),
        );
        assert!(unlinked.0.is_ok() != unlinked.1.is_ok(), "{unlinked:?}");
        assert_eq!(users[0].identities(&hers).await.expect("a list").len(), 1);
    }

    // Whichever stayed, this one is linked from here on.
    let own = identity(&provider, ISSUER, 299);
    let linked = engines[0].users().link_identity(&hers, &own, None).await;
    linked.expect("the first identity");
    // Checked before the provider was set anew, used after it.
    let old = identity(&provider, ISSUER, 300);
    let provider = trust(&engines[1], &trusted).await;
    let outcome = sign_ins(&engines[..1], vec![old.clone()]).await;
    assert_eq!(outcome, [Err(ErrorCode::ConflictTryAgain)]);
    engines[1]
        .tenants()
        .remove_identity_provider(&trusted)
        .await
        .expect("removed");
    let gone = identity(&provider, ISSUER, 301);
    let outcome = sign_ins(&engines[..1], vec![gone]).await;
    assert_eq!(outcome, [Err(ErrorCode::ConflictTryAgain)]);
}
