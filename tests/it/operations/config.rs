//! Goal: the program says what is wrong before it starts, and helps: a wrong option is named with its value and what
//! is allowed, a data folder in use says so, every error code has a page, accounts are made from the command line.
//!
//! Method: the program is started with one wrong thing at a time; its exit code and messages are read.

use std::path::Path;

use boxoffice_engine::ErrorCode;
use boxoffice_tests::{Account, Config, Finished, Program, TempFolder};
use serde_json::Value;

#[tokio::test]
async fn a_wrong_option_stops_the_start_and_is_named() {
    let folder = TempFolder::new("config");
    let valid = || {
        Config::default().with_key().text(
            "store",
            "url",
            &folder.join("data").display().to_string(),
        )
    };
    for (config, key, value, allowed) in [
        (
            valid().text("mail", "kind", "pigeon"),
            "mail.kind",
            "pigeon",
            "smtp",
        ),
        (
            valid().raw("http", "body_bytes_max", "-5"),
            "http.body_bytes_max",
            "-5",
            "1024",
        ),
        (
            valid().raw("worker", "attempts_max", "0"),
            "worker.attempts_max",
            "0",
            "1",
        ),
        (
            valid().text("store", "url", "http://localhost"),
            "store.url",
            "http://localhost",
            "ws://",
        ),
        (
            valid().text("mail", "from", "nobody"),
            "mail.from",
            "nobody",
            "e-mail address",
        ),
        (valid().text("mail", "colour", "red"), "mail.colour", "", ""),
        (
            valid().raw("auth", "keys", r#"[{ id = "a", secret = "short" }]"#),
            "auth.keys",
            "",
            "32",
        ),
        (valid().raw("auth", "keys", "[]"), "auth.keys", "", ""),
    ] {
        let file = config.write(&folder, "wrong.toml");
        let finished = serve(&file).await;
        assert_eq!(finished.status.code(), Some(2), "for {key}: {finished:?}");
        for part in [key, value, allowed] {
            assert!(
                finished.stderr.contains(part),
                "{part:?} is missing for {key}: {}",
                finished.stderr
            );
        }
        // Only a key that is missing has no line.
        assert_eq!(
            finished.stderr.contains("wrong.toml:"),
            !finished.stderr.contains("is not set"),
            "{}",
            finished.stderr
        );
        assert!(
            !finished.stderr.contains("short"),
            "secrets are not repeated: {}",
            finished.stderr
        );
        assert!(
            !folder.join("data").exists(),
            "nothing was started for {key}"
        );
    }
}

#[tokio::test]
async fn a_wrong_variable_is_named_too() {
    let folder = TempFolder::new("variable");
    let file = Config::default()
        .with_key()
        .write(&folder, "boxoffice.toml");
    let finished = Program::run_command("", |command| {
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&file)
            .env("BOXOFFICE_MAIL__KIND", "pigeon");
    })
    .await;
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    for part in ["mail.kind", "pigeon", "BOXOFFICE_MAIL__KIND"] {
        assert!(
            finished.stderr.contains(part),
            "{part:?} is missing: {}",
            finished.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_in_use_says_so() {
    let data = TempFolder::new("in-use");
    let holder = Program::dev(data.path()).await;
    let second = Program::run([
        "dev",
        "--listen",
        "127.0.0.1:0",
        "--data",
        &data.path().display().to_string(),
    ])
    .await;
    assert!(!second.status.success());
    let path = data.path().display().to_string();
    for part in [path.as_str(), "ws://"] {
        assert!(
            second.stderr.contains(part),
            "{part:?} is missing: {}",
            second.stderr
        );
    }
    assert_eq!(holder.client().get("/health/live").await.status, 200);
    holder.stop().await;
    // Free again, without anything to clean up.
    Program::dev(data.path()).await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_holder_leaves_the_folder_free() {
    let data = TempFolder::new("killed");
    Program::dev(data.path()).await.kill();
    Program::dev(data.path()).await.stop().await;
}

#[tokio::test]
async fn every_error_code_is_explained() {
    let listed = Program::run(["explain"]).await.expect_success();
    let listed: Vec<&str> = listed.lines().map(str::trim).collect();
    for code in ErrorCode::ALL {
        assert!(
            listed.contains(&code.as_str()),
            "`boxoffice explain` does not list {code}"
        );
    }
    // The host's own codes are among those listed.
    for code in listed {
        let page = Program::run(["explain", code]).await.expect_success();
        assert!(
            page.starts_with(&format!("# {code}")),
            "the page of {code} begins with its name: {page}"
        );
        assert!(
            page.split_whitespace().count() >= 30,
            "the page of {code} says what it means and what to do: {page}"
        );
    }
    let unknown = Program::run(["explain", "no-such-code"]).await;
    assert!(!unknown.status.success() && unknown.stderr.contains("no-such-code"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_are_made_from_the_command_line() {
    let folder = TempFolder::new("accounts");
    let data = folder.join("data").display().to_string();
    let with_password = |arguments: Vec<&'static str>| {
        let data = data.clone();
        Program::run_command(Account::PASSWORD, move |command| {
            command
                .args(arguments)
                .args(["--password-stdin", "--data", &data]);
        })
    };
    Program::run(["tenant", "add", "north", "--name", "North", "--data", &data])
        .await
        .expect_success();
    let taken = Program::run(["tenant", "add", "north", "--name", "North", "--data", &data]).await;
    assert!(
        !taken.status.success() && taken.stderr.contains("tenant-taken"),
        "{taken:?}"
    );
    // Mails come from this name, which must not look like somebody else's address.
    let name = "Bank <billing@bank.example>";
    let alias = Program::run(["tenant", "add", "bank", "--name", name, "--data", &data]).await;
    assert!(
        !alias.status.success() && alias.stderr.contains("must not look like an address"),
        "{alias:?}"
    );
    let user = [
        "user",
        "add",
        "--email",
        "owen@north.test",
        "--name",
        "Owen",
        "--role",
        "owner",
        "--tenant",
        "north",
    ];
    with_password(user.to_vec()).await.expect_success();
    let operator = [
        "operator",
        "add",
        "--email",
        "op@boxoffice.test",
        "--name",
        "Op",
    ];
    with_password(operator.to_vec()).await.expect_success();

    let file = Config::default()
        .with_key()
        .text("store", "url", &data)
        .write(&folder, "boxoffice.toml");
    let host = Program::serve(&file).await;
    let owen = host.client().tenant("north").login("owen@north.test").await;
    assert_eq!(
        owen.client.get("/api/auth/me").await.expect(200)["role"],
        "owner"
    );
    let login = serde_json::json!({"email": "op@boxoffice.test", "password": Account::PASSWORD});
    let operator = host
        .client()
        .post("/api/operator/login", login)
        .await
        .expect(200);
    let operator = host
        .client()
        .token(operator["token"].as_str().expect("a token"));
    let tenants = operator.get("/api/operator/tenants").await.expect(200);
    assert_eq!(tenants["items"].as_array().map(Vec::len), Some(1));
    host.stop().await;
}

#[tokio::test]
async fn the_openapi_document_is_printed() {
    let text = Program::run(["openapi"]).await.expect_success();
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3."))
    );
}

async fn serve(config: &Path) -> Finished {
    Program::run_command("", |command| {
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(config);
    })
    .await
}
