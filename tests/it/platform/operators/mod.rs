//! Goal: an operator's session is one like a user's, and no token of it renews itself: it rotates, ends for good when an
//! old refresh token comes again, has an absolute age, is listed and ended; and whatever ends a session, an operator's or
//! a user's, has its effect within a second at every host, live streams included.
//!
//! Method: the real router over an engine in memory whose clock is stepped; two routers with engines of their own over one
//! SurrealDB server; the program itself at a data folder and through a running host.

mod hosts;

use std::time::Duration;

use boxoffice_engine::{AddOperator, Caller, EmailAddress, Engine, Label};
use boxoffice_host::{RouterOptions, TokenKey, TokenKeys};
use boxoffice_tests::{
    Account, Answer, Client, Hosted, Program, TempFolder, TestPlatform, api::text,
};
use reqwest::Method;
use serde_json::{Value, json};

const OLIVIA: &str = "olivia@boxoffice.test";

const OTTO: &str = "otto@boxoffice.test";

const OTHER_PASSWORD: &str = "another horse battery";

async fn add_operators(engine: &Engine) {
    for email in [OLIVIA, OTTO] {
        let operator = AddOperator {
            email: EmailAddress::parse("email", email).expect("an address"),
            name: Label::parse("name", "Op").expect("one line"),
            password: Account::PASSWORD.to_owned(),
        };
        let added = engine.operators().add(&Caller::operator(), operator).await;
        added.expect("an operator");
    }
}

/// An operator who is signed in.
struct SignedIn {
    client: Client,
    refresh_token: String,
}

async fn sign_in(door: &Client, email: &str) -> SignedIn {
    let body = json!({"email": email, "password": Account::PASSWORD});
    let session = door.post("/api/operator/login", body).await.expect(200);
    SignedIn {
        client: door.token(text(&session["token"])),
        refresh_token: text(&session["refreshToken"]).to_owned(),
    }
}

async fn refresh(door: &Client, path: &str, token: &str) -> Answer {
    door.post(path, json!({"refreshToken": token})).await
}

async fn sessions(client: &Client, of: &str) -> Vec<Value> {
    let path = format!("/api/operator/operators/{of}/sessions");
    let listed = client.get(&path).await.expect(200);
    listed["items"].as_array().expect("a list").clone()
}

fn is_open(answer: &Answer) -> bool {
    match answer.status {
        200 => true,
        401 => false,
        _ => panic!("neither in nor out: {}", answer.text),
    }
}

#[tokio::test]
async fn an_operators_session_rotates_and_ends_for_good() {
    const REFRESH: &str = "/api/operator/refresh";
    let platform = TestPlatform::new().await;
    add_operators(&platform.engine).await;
    let hosted = Hosted::start(platform.engine.clone()).await;
    let door = hosted.client();
    let olivia = sign_in(&door, OLIVIA).await;
    let tenants = "/api/operator/tenants";
    olivia.client.get(tenants).await.expect(200);
    // Mails come from a tenant's name: it is held to the same rule as the owner's change of it.
    let alias = json!({"id": "bank", "name": "billing@bank.example", "currency": "EUR"});
    let refused = olivia.client.post(tenants, alias).await;
    refused.problem(422, "field-invalid").at_field("name");

    let first = refresh(&door, REFRESH, &olivia.refresh_token)
        .await
        .expect(200);
    assert_eq!(first["operator"]["email"], OLIVIA);
    platform.clock.advance(Duration::from_secs(31));
    // Used again after the grace: the session is over, and with it the tokens that were got by it.
    refresh(&door, REFRESH, &olivia.refresh_token)
        .await
        .problem(401, "session-ended");
    refresh(&door, REFRESH, text(&first["refreshToken"]))
        .await
        .problem(401, "session-ended");
    for token in [&olivia.client, &door.token(text(&first["token"]))] {
        token.get(tenants).await.problem(401, "not-authenticated");
        let backup = token.get("/api/operator/backup").await;
        backup.problem(401, "not-authenticated");
    }

    // However often it is refreshed, it ends after 12 hours.
    let mut otto = sign_in(&door, OTTO).await;
    for _ in 0..11 {
        platform.clock.advance(Duration::from_secs(3600));
        let next = refresh(&door, REFRESH, &otto.refresh_token)
            .await
            .expect(200);
        otto.refresh_token = text(&next["refreshToken"]).to_owned();
    }
    otto.client.get(tenants).await.expect(200);
    platform.clock.advance(Duration::from_secs(3600));
    refresh(&door, REFRESH, &otto.refresh_token)
        .await
        .problem(401, "session-ended");
    otto.client
        .get(tenants)
        .await
        .problem(401, "not-authenticated");
}

#[tokio::test]
async fn tokens_of_operators_and_of_users_do_not_pass_for_each_other() {
    let platform = TestPlatform::new().await;
    platform.tenant("north").await;
    add_operators(&platform.engine).await;
    let hosted = Hosted::start(platform.engine.clone()).await;
    let door = hosted.client().tenant("north");
    let (ann, olivia) = (
        door.register("ann@north.test", "customer").await,
        sign_in(&door, OLIVIA).await,
    );
    for (path, token) in [
        ("/api/operator/refresh", &ann.refresh_token),
        ("/api/operator/logout", &ann.refresh_token),
        ("/api/auth/refresh", &olivia.refresh_token),
        ("/api/auth/logout", &olivia.refresh_token),
    ] {
        refresh(&door, path, token)
            .await
            .problem(401, "not-authenticated");
    }
    // Nor does an access token get others.
    let token = olivia.client.get("/api/operator/tenants").await;
    token.expect(200);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_and_all_at_once() {
    let platform = TestPlatform::new().await;
    add_operators(&platform.engine).await;
    let hosted = Hosted::start(platform.engine.clone()).await;
    let door = hosted.client();
    let first = sign_in(&door, OLIVIA).await;
    let second = sign_in(&door, OLIVIA).await;
    let otto = sign_in(&door, OTTO).await;
    let own = sessions(&first.client, "me").await;
    let current: Vec<&Value> = own.iter().map(|session| &session["isCurrent"]).collect();
    assert_eq!(json!(current), json!([false, true]), "the newest first");
    assert_eq!(own[0]["openedAt"], "2026-12-01T12:00:00Z");
    assert_eq!(own[0]["expiresAt"], "2026-12-02T00:00:00Z");

    let path = format!(
        "/api/operator/operators/{OLIVIA}/sessions/{}",
        text(&own[0]["id"])
    );
    let end =
        async |client: &Client, path: &str| Answer::of(client.request(Method::DELETE, path)).await;
    end(&otto.client, &path).await.expect(204);
    end(&otto.client, &path).await.problem(404, "not-found");
    let list = "/api/operator/operators";
    second
        .client
        .get(list)
        .await
        .problem(401, "not-authenticated");
    first.client.get(list).await.expect(200);
    assert_eq!(sessions(&first.client, "me").await.len(), 1);

    let third = sign_in(&door, OLIVIA).await;
    let all = "/api/operator/operators/me/sessions";
    end(&third.client, all).await.expect(204);
    for client in [&first.client, &third.client] {
        client.get(list).await.problem(401, "not-authenticated");
    }
    refresh(&door, "/api/operator/refresh", &first.refresh_token)
        .await
        .problem(401, "session-ended");
    otto.client.get(list).await.expect(200);

    // A password is changed by who knows the present one; the session that does it stays.
    let here = sign_in(&door, OLIVIA).await;
    let elsewhere = sign_in(&door, OLIVIA).await;
    let change = async |present: &str| {
        let body = json!({"presentPassword": present, "password": OTHER_PASSWORD});
        let request = here.client.request(Method::PUT, "/api/operator/password");
        Answer::of(request.json(&body)).await
    };
    change("wrong").await.problem(401, "wrong-credentials");
    elsewhere.client.get(list).await.expect(200);
    change(Account::PASSWORD).await.expect(204);
    here.client.get(list).await.expect(200);
    refresh(&door, "/api/operator/refresh", &here.refresh_token)
        .await
        .expect(200);
    elsewhere
        .client
        .get(list)
        .await
        .problem(401, "not-authenticated");
    let old = json!({"email": OLIVIA, "password": Account::PASSWORD});
    door.post("/api/operator/login", old)
        .await
        .problem(401, "wrong-credentials");

    // Who was removed and is added again has none of the sessions from before.
    let gone = sign_in(&door, OTTO).await;
    let path = format!("/api/operator/operators/{OTTO}");
    end(&here.client, &path).await.expect(204);
    end(&here.client, &path).await.problem(404, "not-found");
    gone.client
        .get(list)
        .await
        .problem(401, "not-authenticated");
    let again = AddOperator {
        email: EmailAddress::parse("email", OTTO).expect("an address"),
        name: Label::parse("name", "Otto").expect("one line"),
        password: OTHER_PASSWORD.to_owned(),
    };
    let operators = platform.engine.operators();
    let added = operators.add(&Caller::operator(), again).await;
    added.expect("an operator");
    gone.client
        .get(list)
        .await
        .problem(401, "not-authenticated");
    refresh(&door, "/api/operator/refresh", &gone.refresh_token)
        .await
        .problem(401, "session-ended");
}

#[tokio::test]
async fn an_account_has_a_bounded_number_of_sessions() {
    let platform = TestPlatform::new().await;
    let tenant = platform.tenant("north").await;
    let ann = platform
        .user(&tenant, "ann", boxoffice_engine::UserRole::Customer)
        .await;
    let sessions = platform.engine.sessions();
    let first = sessions.open(&ann).await.expect("a session");
    for _ in 0..100 {
        sessions.open(&ann).await.expect("a session");
    }
    assert_eq!(sessions.list(&ann).await.expect("a list").len(), 100);
    let over = sessions.rotate(&ann, first.id, 0).await;
    assert_eq!(
        over.expect_err("the oldest made room").code(),
        boxoffice_engine::ErrorCode::SessionEnded
    );
}

#[tokio::test]
async fn the_dashboards_cookies_are_bound_to_tls_wherever_it_is() {
    let platform = TestPlatform::new().await;
    add_operators(&platform.engine).await;
    let host = async |behind_tls, trusted: &str| {
        let key = TokenKey {
            id: "tests".to_owned(),
            secret: vec![7; 32],
        };
        let options = RouterOptions {
            keys: TokenKeys::new(vec![key]).expect("a key that is long enough"),
            trusted_proxies: vec![trusted.parse().expect("an address")],
            behind_tls,
            hsts_seconds: 31_536_000,
            ..RouterOptions::default()
        };
        Hosted::with_options(platform.engine.clone(), options).await
    };
    let open = async |host: &Hosted, forwarded: Option<&str>| {
        let body = json!({"email": OLIVIA, "password": Account::PASSWORD, "operator": true});
        let request = host.client().request(Method::POST, "/admin/session");
        let request = match forwarded {
            Some(scheme) => request.header("X-Forwarded-Proto", scheme),
            None => request,
        };
        let answer = Answer::of(request.json(&body)).await;
        answer.expect(200);
        let cookies = answer.headers.get_all("set-cookie").iter();
        let cookies = cookies.map(|value| value.to_str().expect("ASCII"));
        let is_bound = |cookie: &str| {
            cookie.starts_with("__Host-")
                && cookie.contains("; Secure")
                && cookie.contains("Path=/;")
        };
        let bound: Vec<bool> = cookies.map(is_bound).collect();
        // Of the session two, and one of the device.
        assert_eq!(bound.len(), 3);
        assert!(bound.iter().all(|one| *one == bound[0]));
        let insists = answer.header("strict-transport-security");
        assert_eq!(insists, if bound[0] { "max-age=31536000" } else { "" });
        bound[0]
    };
    let by_proxy = host(false, "127.0.0.1").await;
    assert!(open(&by_proxy, Some("https")).await);
    assert!(!open(&by_proxy, Some("http")).await);
    assert!(!open(&by_proxy, None).await, "plain HTTP goes on working");
    let by_strangers = host(false, "192.0.2.1").await;
    assert!(!open(&by_strangers, Some("https")).await);
    let always = host(true, "192.0.2.1").await;
    assert!(open(&always, None).await);
}

#[tokio::test]
async fn operators_are_looked_after_at_the_store_and_through_a_running_host() {
    let folder = TempFolder::new("operators");
    let data = folder.join("data").display().to_string();
    let at_store = async |words: &[&str], input: &str| {
        let words = [&["operator"], words, &["--data", &data]].concat();
        Program::run_command(input, |command| {
            command.args(words);
        })
        .await
    };
    for email in [OLIVIA, OTTO] {
        let add = ["add", "--email", email, "--name", "Op", "--password-stdin"];
        at_store(&add, Account::PASSWORD).await.expect_success();
    }
    let listed = at_store(&["list"], "").await.expect_success();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let password = ["password", "--email", OTTO];
    let made_up = at_store(&password, "").await.expect_success();
    assert!(made_up.starts_with("password: "), "{made_up}");
    let given = ["password", "--email", OTTO, "--password-stdin"];
    at_store(&given, OTHER_PASSWORD).await.expect_success();
    let nobody = ["remove", "--email", "nobody@boxoffice.test"];
    let refused = at_store(&nobody, "").await;
    assert!(
        refused.stderr.contains("nobody@boxoffice.test"),
        "{refused:?}"
    );

    let host = Program::dev(&folder.join("data")).await;
    let door = host.client();
    let url = door.base().to_owned();
    let old = json!({"email": OTTO, "password": Account::PASSWORD});
    door.post("/api/operator/login", old)
        .await
        .problem(401, "wrong-credentials");
    let login = ["operator", "login", "--url", &url, "--email", OTTO];
    let token = Program::run_command(OTHER_PASSWORD, |command| {
        command.args(login);
    });
    let token = token.await.expect_success();
    let remote = async |words: &[&str], input: &str| {
        let end = ["--url", &url, "--token", token.trim()];
        let words = [&["operator"], words, &end].concat();
        Program::run_command(input, |command| {
            command.args(words);
        })
        .await
    };
    let listed = remote(&["list"], "").await.expect_success();
    assert!(listed.contains(&format!("{OLIVIA}\tOp")), "{listed}");
    let both = format!("{OTHER_PASSWORD}\n{}", Account::PASSWORD);
    let change = ["password", "--password-stdin"];
    remote(&change, &both).await.expect_success();
    sign_in(&door, OTTO).await;
    let remove = ["remove", "--email", OLIVIA];
    remote(&remove, "").await.expect_success();
    let gone = json!({"email": OLIVIA, "password": Account::PASSWORD});
    door.post("/api/operator/login", gone)
        .await
        .problem(401, "wrong-credentials");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn self_made_accounts_close_no_live_page_to_others() {
    let platform = TestPlatform::new().await;
    add_operators(&platform.engine).await;
    let hosted = Hosted::start(platform.engine.clone()).await;
    let watch = async |client: &Client| {
        let request = client.request(Method::GET, "/api/admin/live");
        request.send().await.expect("an answer")
    };
    let mut open = Vec::new();
    for name in ["north", "south"] {
        let tenant = platform.tenant(name).await;
        let door = hosted.client().tenant(name);
        for number in 0..16 {
            let email = format!("o{number}@{name}.test");
            let organizer = door.register(&email, "organizer").await;
            // As many pages as they like; what is refused is refused for them.
            for _ in 0..10 {
                open.push(watch(&organizer.client).await);
            }
        }
        let owner = boxoffice_engine::UserRole::Owner;
        platform.user(&tenant, "owner", owner).await;
        let owner = door.login(&format!("owner@{name}.test")).await;
        assert_eq!(
            watch(&owner.client).await.status(),
            200,
            "the owner of {name}"
        );
        let ann = door.register(&format!("ann@{name}.test"), "customer").await;
        assert_eq!(watch(&ann.client).await.status(), 403, "customers see none");
    }
    let refused = open.iter().filter(|answer| answer.status() == 503).count();
    assert!(refused > 0, "nobody is greedy here");
    let operator = sign_in(&hosted.client(), OLIVIA).await;
    assert_eq!(watch(&operator.client).await.status(), 200, "an operator");
}
