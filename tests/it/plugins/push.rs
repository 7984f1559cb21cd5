//! Goal: `boxoffice plugin push` reaches a host over HTTPS with any token, says what is wrong with a certificate or a name, and
//! leaves the version in use.
//!
//! Method: the program's own command against `boxoffice dev` behind a TLS front with a certificate of an authority that only the
//! tests know.

use std::path::{Path, PathBuf};

use boxoffice_tests::{Component, Finished, Program, TempFolder, TlsFront, api::text};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_push_goes_over_https() {
    let folder = TempFolder::new("push");
    let data = folder.join("data");
    let host = Program::dev(&data).await;
    let behind = host.client().base().replace("http://", "");
    let front = TlsFront::start(behind.trim_end_matches('/')).await;
    let component = folder.join("at-most.wasm");
    std::fs::write(&component, Component::at_most(2)).expect("the folder can be written to");
    let token = owners_token(&host, &data).await;
    let push = Push {
        component,
        url: front.url(),
        // A line break behind it, as `$(cat token)` never has and a file always.
        token: format!("{token}\n"),
    };

    let untrusted = push.run("at-most", &[], None).await;
    assert!(!untrusted.status.success(), "{untrusted:?}");
    for part in ["certificate", "SSL_CERT_FILE", &front.url()] {
        assert!(untrusted.stderr.contains(part), "{part}: {untrusted:?}");
    }

    let pushed = push.trusted("at-most", &["--activate"]).await;
    let set: Value = serde_json::from_str(&pushed.expect_success()).expect("it prints JSON");
    assert_eq!(set["items"][0]["name"], "at-most", "{set}");
    let owner = host.client().tenant("demo").token(&token);
    let in_use = owner.get("/api/plugins").await.expect(200);
    assert_eq!(in_use["items"][0]["name"], "at-most", "{in_use}");

    let reserved = push.trusted("versions", &[]).await;
    assert!(!reserved.status.success(), "{reserved:?}");
    assert!(
        reserved.stderr.contains("--name") && reserved.stderr.contains("`versions` is reserved"),
        "{reserved:?}"
    );
    let refused = Push {
        token: "of-nobody".to_owned(),
        ..push
    };
    let refused = refused.trusted("at-most", &[]).await;
    assert!(refused.stderr.contains("not-authenticated"), "{refused:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_names_that_are_addresses_are_refused_with_a_reason() {
    let folder = TempFolder::new("reserved");
    let data = folder.join("data");
    let host = Program::dev(&data).await;
    let token = owners_token(&host, &data).await;
    let owner = host.client().tenant("demo").token(&token);
    let upload = owner
        .request(reqwest::Method::POST, "/api/plugins/versions/versions")
        .header("Content-Type", "application/wasm")
        .body(Component::at_most(2));
    let problem = boxoffice_tests::Answer::of(upload)
        .await
        .problem(422, "field-invalid")
        .at_field("name");
    let detail = problem.member("detail").as_str().unwrap_or_default();
    assert!(detail.contains("`versions` is reserved"), "{detail}");
    let upload = owner
        .request(reqwest::Method::POST, "/api/plugins/At_Most/versions")
        .header("Content-Type", "application/wasm")
        .body(Component::at_most(2));
    boxoffice_tests::Answer::of(upload)
        .await
        .problem(422, "field-invalid")
        .at_field("name");
    let project = Program::run_command("", |command| {
        command
            .args(["plugin", "new", "versions", "--lang", "js"])
            .current_dir(folder.path());
    })
    .await;
    assert_eq!(project.status.code(), Some(2), "{project:?}");
    assert!(!folder.join("versions").exists());
    host.stop().await;
}

/// A token of the demo tenant's owner, whose password `dev` keeps in its folder.
pub(crate) async fn owners_token(host: &Program, data: &Path) -> String {
    let secrets = std::fs::read_to_string(data.join("secrets.toml")).expect("dev made it");
    let password = secrets
        .lines()
        .find_map(|line| line.strip_prefix("owner_password = "))
        .expect("it holds the owner's password")
        .trim_matches('"')
        .to_owned();
    let body = json!({"email": "owner@demo.test", "password": password});
    let door = host.client().tenant("demo");
    let session = door.post("/api/auth/login", body).await.expect(200);
    text(&session["token"]).to_owned()
}

struct Push {
    component: PathBuf,
    url: String,
    token: String,
}

impl Push {
    /// Runs it where the front's authority is trusted.
    async fn trusted(&self, name: &str, options: &[&str]) -> Finished {
        self.run(name, options, Some(TlsFront::authority())).await
    }

    async fn run(&self, name: &str, options: &[&str], authority: Option<PathBuf>) -> Finished {
        Program::run_command("", |command| {
            command
                .args(["plugin", "push"])
                .arg(&self.component)
                .args(["--url", &self.url, "--name", name])
                .args(options)
                .env("BOXOFFICE_TOKEN", &self.token)
                .env_remove("SSL_CERT_FILE");
            if let Some(authority) = authority {
                command.env("SSL_CERT_FILE", authority);
            }
        })
        .await
    }
}
