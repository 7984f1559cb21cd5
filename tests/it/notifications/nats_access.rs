//! Goal: a NATS server is spoken to over TLS and with every form of sign-in, or the start ends with the option to mend;
//! a server whose settings can lose what it acknowledged is warned of.
//!
//! Method: real nats-servers that demand a token, a name and a password, or a user of an operator's account (keys and
//! JWTs made here); the queue and the program with right, wrong and no credentials.

use std::{path::Path, time::Duration};

use boxoffice_engine::ports::{Lane, Queue as _};
use boxoffice_nats::{ConnectError, Credentials, JetStreamOptions, JetStreamQueue, SignIn};
use boxoffice_tests::{
    Config, NatsOperator, NatsServer, Patience, Program, TempFolder, wait_until, workspace_root,
};

use crate::notifications::queue::{SOON, connect, fetched, named, quick, tasks, unavailable};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_spoken_with_servers_that_can_be_trusted() {
    let files = workspace_root().join("tests/tls");
    let server =
        NatsServer::start_with_tls(&files.join("server.pem"), &files.join("server.key")).await;
    let authority = std::fs::read(files.join("authority.pem")).expect("a file of the tests");
    let trusting = JetStreamOptions {
        url: server.url().replace("nats://", "tls://"),
        authorities_pem: Some(authority),
        ..quick(&server)
    };
    let queue = connect(&trusting).await;
    queue
        .publish(Lane::Bulk, &named("north"), &tasks("a", 3))
        .await
        .expect("a publication");
    assert_eq!(fetched(queue.fetch(Lane::Bulk, 3, SOON).await).len(), 3);
    // Whoever does not know the authority does not speak to the server, and says so in its log.
    let distrusting = JetStreamOptions {
        authorities_pem: None,
        ..trusting
    };
    match JetStreamQueue::connect(distrusting).await {
        Ok(queue) => unavailable("publish", queue.stats(Lane::Bulk).await),
        Err(error) => assert!(matches!(error, ConnectError::Refused(_)), "{error:?}"),
    }
    // And who insists on TLS does not speak to a server without it.
    let plain = NatsServer::start().await;
    let insisting = JetStreamOptions::new(plain.url().replace("nats://", "tls://"));
    match JetStreamQueue::connect(insisting).await {
        Ok(queue) => unavailable("publish", queue.stats(Lane::Bulk).await),
        Err(error) => assert!(matches!(error, ConnectError::Refused(_)), "{error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_take_us_is_named_at_the_start() {
    let server = NatsServer::start_with("authorization { token: \"right\" }").await;
    let with = |token: &str| JetStreamOptions {
        credentials: Credentials::Token(token.to_owned()),
        ..quick(&server)
    };
    let refused = JetStreamQueue::connect(with("wrong")).await;
    assert!(
        matches!(refused, Err(ConnectError::SignIn(SignIn::Token))),
        "{:?}",
        refused.err()
    );
    let three = JetStreamOptions {
        replicas: 3,
        ..with("right")
    };
    let refused = JetStreamQueue::connect(three).await;
    assert!(
        matches!(refused, Err(ConnectError::Setup(_))),
        "{:?}",
        refused.err()
    );
    let queue = connect(&with("right")).await;
    assert_eq!(queue.stats(Lane::Bulk).await.expect("counted").waiting, 0);
    // The next start finds everything there, and changes what is to be changed.
    let changed = JetStreamOptions {
        tasks_max: 5,
        lease: Duration::from_secs(7),
        ..with("right")
    };
    let queue = connect(&changed).await;
    let refused = queue
        .publish(Lane::Bulk, &named("north"), &tasks("a", 6))
        .await;
    unavailable("6 of 5", refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_of_sign_in_is_spoken() {
    let operator = NatsOperator::new();
    let password = |password: &str| Credentials::Password {
        username: "boxoffice".to_owned(),
        password: password.to_owned(),
    };
    for (lines, right, wrong, form) in [
        (
            "authorization { token: \"right\" }".to_owned(),
            Credentials::Token("right".to_owned()),
            Credentials::Token("wrong".to_owned()),
            SignIn::Token,
        ),
        (
            "authorization { user: boxoffice, password: \"right\" }".to_owned(),
            password("right"),
            password("wrong"),
            SignIn::Password,
        ),
        (
            operator.server_lines(),
            Credentials::Creds(operator.creds()),
            // Of another operator's account: everything is well-formed and signed, by nobody the server trusts.
            Credentials::Creds(NatsOperator::new().creds()),
            SignIn::Creds,
        ),
    ] {
        let server = NatsServer::start_with(&lines).await;
        let with = |credentials: Credentials| JetStreamOptions {
            credentials,
            ..quick(&server)
        };
        for (credentials, form) in [(wrong, form), (Credentials::None, SignIn::None)] {
            let refused = JetStreamQueue::connect(with(credentials)).await.err();
            assert!(
                matches!(&refused, Some(ConnectError::SignIn(named)) if *named == form),
                "{form:?}: {refused:?}"
            );
        }
        let queue = connect(&with(right)).await;
        let (tenant, tasks) = (named("north"), tasks("a", 3));
        let published = queue.publish(Lane::Bulk, &tenant, &tasks).await;
        published.expect("a publication");
        let leased = fetched(queue.fetch(Lane::Bulk, 3, SOON).await);
        assert_eq!(leased.len(), 3, "with {form:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_stops_the_start_and_names_the_option() {
    let (operator, folder) = (NatsOperator::new(), TempFolder::new("sign-in"));
    let creds = folder.join("other.creds");
    std::fs::write(&creds, NatsOperator::new().creds()).expect("the folder is ours");
    let token = NatsServer::start_with("authorization { token: \"right\" }").await;
    let jwt = NatsServer::start_with(&operator.server_lines()).await;
    let at = |server: &NatsServer| local(&folder).nats(server);
    let creds = creds.display().to_string();
    for (config, option) in [
        (at(&token).text("queue", "token", "hunter2"), "queue.token"),
        (
            at(&token)
                .text("queue", "username", "me")
                .text("queue", "password", "hunter2"),
            "queue.username",
        ),
        (
            at(&jwt).text("queue", "credentials_file", &creds),
            "queue.credentials_file",
        ),
        (at(&jwt), "queue.credentials_file"),
    ] {
        let config = config.write(&folder, "boxoffice.toml");
        let listen = ["--listen", "127.0.0.1:0"];
        let finished = Program::run_command("", |command| {
            command
                .args(["serve", "--config"])
                .arg(&config)
                .args(listen);
        })
        .await;
        assert_eq!(finished.status.code(), Some(2), "{option}: {finished:?}");
        assert!(
            finished.stderr.contains(option),
            "{option}: {}",
            finished.stderr
        );
        assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_can_lose_what_it_acknowledged_is_warned_of() {
    let folder = TempFolder::new("sync");
    let (lazy, careful) = (NatsServer::start_lazy().await, NatsServer::start().await);
    let log = async |server: &NatsServer, monitor: &str, said: &str| {
        let config = local(&folder)
            .nats(server)
            .text("queue", "monitor_url", monitor)
            .write(&folder, "boxoffice.toml");
        let program = Program::serve(&config).await;
        wait_until(Patience::START, said, || async {
            program.output().contains(said)
        })
        .await;
        let output = program.output();
        program.stop().await;
        output
    };
    let warned = log(
        &lazy,
        &lazy.monitor_url(),
        "tasks have one copy: a power cut",
    )
    .await;
    for part in ["WARN", "syncs to disk every 120s", "sync_interval: always"] {
        assert!(warned.contains(part), "{part:?} is missing: {warned}");
    }
    let calm = log(&careful, &careful.monitor_url(), "syncs each write").await;
    assert!(!calm.contains("power cut"), "{calm}");
    // Nobody looks: then we can only remind; and a monitor that is away is said, and holds up nothing.
    log(
        &careful,
        "",
        "only if nats-server runs with `sync_interval: always`",
    )
    .await;
    log(&careful, "http://127.0.0.1:1", "cannot be read").await;
}

/// A program of its own, on a folder.
fn local(folder: &TempFolder) -> Config {
    let data: &Path = &folder.join("data");
    Config::default()
        .with_key()
        .text("store", "url", &data.display().to_string())
}
