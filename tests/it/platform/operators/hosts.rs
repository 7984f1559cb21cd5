//! Goal: what ends a session, an operator's or a user's, has its effect within a second at every host, and refreshes at once through
//! two hosts have the same successor.
//!
//! Method: two routers over two engines on one SurrealDB server, asked right after a session was ended at the other.

use std::time::{Duration, Instant};

use boxoffice_engine::{Caller, CreateApiKey, Engine, Label, Scope, TenantId, UserRole};
use boxoffice_tests::{
    Answer, Client, Hosted, Patience, SurrealServer, api::text, create_user, organizer_and_tenant,
};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{OLIVIA, OTTO, add_operators, is_open, refresh, sign_in};

/// What ends a session has its effect within this at every host.
const EFFECT_WITHIN: Duration = Duration::from_secs(1);

/// Two hosts, each with an engine of its own, over one store.
struct TwoHosts {
    hosts: [Hosted; 2],
    engines: [Engine; 2],
    _server: SurrealServer,
}

impl TwoHosts {
    async fn start() -> Self {
        let server = SurrealServer::start().await;
        let engines = [server.engine().await, server.engine().await];
        organizer_and_tenant(&engines[0], "north").await;
        add_operators(&engines[0]).await;
        let [first, second] = engines.clone();
        Self {
            engines,
            hosts: [Hosted::start(first).await, Hosted::start(second).await],
            _server: server,
        }
    }

    fn doors(&self) -> [Client; 2] {
        self.hosts
            .each_ref()
            .map(|host| host.client().tenant("north"))
    }
}

/// Asks again and again until the token is refused, and panics if it is let in longer than it may be.
async fn is_refused_in_time(client: &Client, path: &str, ended: Instant) {
    loop {
        let asked = Instant::now();
        if !is_open(&client.get(path).await) {
            return;
        }
        // Asked within the time, it may have been let in; asked after it, it may not.
        let late = asked.duration_since(ended);
        assert!(
            late < EFFECT_WITHIN,
            "let in {late:?} after the session ended"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_a_session_has_its_effect_within_a_second_at_every_host() {
    let two = TwoHosts::start().await;
    let [here, there] = two.doors();
    let path = "/api/operator/tenants";
    for (method, route) in [
        (
            Method::DELETE,
            format!("/api/operator/operators/{OTTO}/sessions"),
        ),
        (Method::DELETE, format!("/api/operator/operators/{OTTO}")),
    ] {
        let olivia = sign_in(&here, OLIVIA).await;
        let otto = sign_in(&there, OTTO).await;
        // Known at both hosts from now on.
        for door in [&here, &there] {
            assert!(is_open(&otto.client.at(door).get(path).await));
        }
        Answer::of(olivia.client.request(method, &route))
            .await
            .expect(204);
        let ended = Instant::now();
        let (here, there) = (otto.client.at(&here), otto.client.at(&there));
        // At the host that ended it at once.
        assert!(!is_open(&here.get(path).await));
        is_refused_in_time(&there, path, ended).await;
    }

    let ann = here.register("ann@north.test", "customer").await;
    let me = "/api/auth/me";
    for door in [&here, &there] {
        assert!(is_open(&ann.client.at(door).get(me).await));
    }
    let all = ann.client.request(Method::DELETE, "/api/auth/me/sessions");
    Answer::of(all).await.expect(204);
    is_refused_in_time(&ann.client.at(&there), me, Instant::now()).await;
    // The same for one that signs out.
    let ann = here.login("ann@north.test").await;
    assert!(is_open(&ann.client.at(&there).get(me).await));
    let out = json!({"refreshToken": ann.refresh_token});
    here.post("/api/auth/logout", out).await.expect(204);
    is_refused_in_time(&ann.client.at(&there), me, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_api_key_is_refused_within_a_second_at_every_host() {
    let two = TwoHosts::start().await;
    let [here, there] = two.doors();
    let [engine, _] = &two.engines;
    let owner = Caller::platform("north");
    let command = CreateApiKey {
        name: Label::parse("name", "Till").expect("one line"),
        scopes: [Scope::Settings].into_iter().collect(),
        expires_at: None,
    };
    let made = engine
        .api_keys()
        .create(&owner, command)
        .await
        .expect("a key");
    let path = "/api/tenant/settings";
    let (here, there) = (here.token(&made.secret), there.token(&made.secret));
    for door in [&here, &there] {
        assert!(
            is_open(&door.get(path).await),
            "known at both hosts from now on"
        );
    }
    let revoked = engine.api_keys().revoke(&owner, made.key.id).await;
    revoked.expect("it was there");
    let ended = Instant::now();
    assert!(
        !is_open(&here.get(path).await),
        "at once where it was revoked"
    );
    is_refused_in_time(&there, path, ended).await;
}

/// Changes what a user may do.
async fn change(client: &Client, user: &str, change: Value) -> Answer {
    let request = client.request(Method::PATCH, &format!("/api/users/{user}"));
    Answer::of(request.json(&change)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspensions_and_roles_count_within_a_second_at_every_host() {
    let two = TwoHosts::start().await;
    let [here, there] = two.doors();
    let north = TenantId::parse("north").expect("a name");
    for (name, role) in [("owen", UserRole::Owner), ("sam", UserRole::Owner)] {
        create_user(&two.engines[0], &north, name, role).await;
    }
    let owen = here.login("owen@north.test").await;
    let sam = there.login("sam@north.test").await;
    sam.client.get("/api/keys").await.expect(200);
    let demoted = change(&owen.client, &sam.id, json!({"role": "staff"})).await;
    demoted.expect(200);
    let changed = Instant::now();
    loop {
        let asked = Instant::now();
        if sam.client.get("/api/keys").await.status == 403 {
            break;
        }
        let late = asked.duration_since(changed);
        assert!(late < EFFECT_WITHIN, "an owner still after {late:?}");
    }
    let suspended = change(&owen.client, &sam.id, json!({"suspended": true})).await;
    suspended.expect(200);
    is_refused_in_time(&sam.client, "/api/auth/me", Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_who_remove_each_other_through_two_hosts_leave_one() {
    const ROUNDS: usize = 6;
    let two = TwoHosts::start().await;
    let doors = two.doors();
    let north = TenantId::parse("north").expect("a name");
    for name in ["owen", "ola"] {
        create_user(&two.engines[0], &north, name, UserRole::Owner).await;
    }
    for round in 0..ROUNDS {
        let owen = doors[0].login("owen@north.test").await;
        let ola = doors[1].login("ola@north.test").await;
        let leaving = match round % 2 {
            0 => json!({"role": "staff"}),
            _ => json!({"suspended": true}),
        };
        let (one, other) = tokio::join!(
            change(&owen.client, &ola.id, leaving.clone()),
            change(&ola.client, &owen.id, leaving),
        );
        let outcomes = [&one, &other].map(|answer| answer.status);
        let removed = outcomes.iter().filter(|status| **status == 200).count();
        assert_eq!(removed, 1, "{} {}", one.text, other.text);
        // Whoever is left puts the other back.
        let (left, gone) = match outcomes[0] {
            200 => (&owen, &ola),
            _ => (&ola, &owen),
        };
        let back = json!({"role": "owner", "suspended": false});
        change(&left.client, &gone.id, back).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_refreshes_at_once_through_two_hosts_have_the_same_successor() {
    const AT_ONCE: usize = 40;
    let two = TwoHosts::start().await;
    let doors = two.doors();
    let ann = doors[0].register("ann@north.test", "customer").await;
    let olivia = sign_in(&doors[0], OLIVIA).await;
    for (path, mut token) in [
        ("/api/auth/refresh", ann.refresh_token.clone()),
        ("/api/operator/refresh", olivia.refresh_token.clone()),
    ] {
        // Again with the successor, within the grace of the first.
        for _ in 0..2 {
            let all = (0..AT_ONCE).map(|number| refresh(&doors[number % 2], path, &token));
            let answers: Vec<Value> = join_all(all)
                .await
                .iter()
                .map(|answer| answer.expect(200))
                .collect();
            let successor = text(&answers[0]["refreshToken"]).to_owned();
            assert_ne!(successor, token);
            for answer in &answers {
                assert_eq!(answer["refreshToken"], successor.as_str());
            }
            // One that was late on its way.
            let late = refresh(&doors[1], path, &token).await.expect(200);
            assert_eq!(late["refreshToken"], successor.as_str());
            token = successor;
        }
    }
    ann.client.get("/api/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_while_the_store_cannot_be_asked() {
    let mut two = TwoHosts::start().await;
    let [here, _] = two.doors();
    let olivia = sign_in(&here, OLIVIA).await;
    let sessions = "/api/operator/operators/me/sessions";
    olivia.client.get(sessions).await.expect(200);
    two._server.down();
    let down = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = olivia.client.get(sessions).await;
        assert_ne!(answer.status, 401, "it is not known to have ended");
        if asked.duration_since(down) > EFFECT_WITHIN {
            answer.problem(503, "unavailable");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_stream_ends_with_its_session() {
    let two = TwoHosts::start().await;
    let (door, there) = (two.hosts[0].client(), two.hosts[1].client());
    let otto = sign_in(&door, OTTO).await;
    let request = otto.client.request(Method::GET, "/api/admin/live");
    let mut stream = request.send().await.expect("an answer");
    assert_eq!(stream.status(), 200);
    stream.chunk().await.expect("a stream").expect("what moves");
    let olivia = sign_in(&there, OLIVIA).await;
    let path = format!("/api/operator/operators/{OTTO}");
    let remove = olivia.client.request(Method::DELETE, &path);
    Answer::of(remove).await.expect(204);
    let ended = Instant::now();
    let to_its_end = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(Patience::WORK, to_its_end)
        .await
        .expect("the stream ends");
    let took = ended.elapsed();
    assert!(took < Duration::from_secs(5), "it went on for {took:?}");
}
