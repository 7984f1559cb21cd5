//! The servers that tests run against: SurrealDB, NATS and SMTP, real ones, started and stopped here.
//!
//! Each listens on a loopback address of its own (127.x.y.1), so that a port stays free while its server is down:
//! no outgoing connection of this machine ever takes a port there.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Command,
    sync::atomic::{AtomicU8, Ordering},
};

use serde_json::{Value, json};

use crate::{
    EnvelopedMail, Patience, Process, TempFolder, mails::mail_files, required_variable, wait_until,
};

/// A SurrealDB server with an empty store in memory. Dropping it ends it.
pub struct SurrealServer {
    _process: Process,
    address: String,
}

impl SurrealServer {
    /// The user of every test server.
    pub const USERNAME: &'static str = "root";
    /// Their password.
    pub const PASSWORD: &'static str = "root";

    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start() -> Self {
        let address = own_address_with_port();
        let mut command = Command::new(required_variable("BOXOFFICE_SURREAL_BIN"));
        command
            .args([
                "start",
                "--no-banner",
                "--log",
                "warn",
                "--user",
                Self::USERNAME,
                "--pass",
                Self::PASSWORD,
            ])
            .args(["--bind", &address, "memory"])
            .env("BOXOFFICE_END_WITH_STDIN", "1");
        let mut process = Process::spawn("the SurrealDB server", command);
        let health = format!("http://{address}/health");
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("the HTTP library starts");
        wait_until(
            Patience::START,
            "the SurrealDB server to be healthy",
            || {
                assert!(
                    process.exit_status().is_none(),
                    "the SurrealDB server ended:\n{}",
                    process.output()
                );
                let request = http.get(&health).send();
                async move {
                    request
                        .await
                        .is_ok_and(|answer| answer.status().is_success())
                }
            },
        )
        .await;
        Self {
            _process: process,
            address,
        }
    }

    /// Its URL for the SDK.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Runs statements past every rule, for tests that need false books.
    ///
    /// # Panics
    /// When one of them fails.
    pub async fn sql(&self, namespace: &str, database: &str, statements: &str) -> Value {
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("the HTTP library starts");
        let request = http
            .post(format!("http://{}/sql", self.address))
            .basic_auth(Self::USERNAME, Some(Self::PASSWORD))
            .header("surreal-ns", namespace)
            .header("surreal-db", database)
            .header("accept", "application/json")
            .body(statements.to_owned());
        let answer = request.send().await.expect("the server answers");
        let text = answer.text().await.expect("an answer in text");
        let results: Value = serde_json::from_str(&text).unwrap_or_default();
        let well = |result: &Value| result["status"] == "OK";
        assert!(
            results.as_array().is_some_and(|all| all.iter().all(well)),
            "{statements}: {text}"
        );
        results
    }
}

/// A NATS server with JetStream, whose store outlives it. Dropping it ends it.
pub struct NatsServer {
    process: Option<Process>,
    folder: TempFolder,
    address: String,
    monitor: String,
}

impl NatsServer {
    /// Starts a server with an empty store.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts a server with an empty store and these further lines of configuration.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(lines: &str) -> Self {
        Self::start_at(own_address_with_port(), lines).await
    }

    /// Starts a server with an empty store and this key, at the address that its certificate is for, 127.0.0.1.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with_tls(certificate: &Path, key: &Path) -> Self {
        let lines = format!(
            "tls {{ cert_file: {:?}, key_file: {:?} }}",
            certificate.display().to_string(),
            key.display().to_string()
        );
        Self::start_at(with_port(Ipv4Addr::LOCALHOST), &lines).await
    }

    async fn start_at(address: String, lines: &str) -> Self {
        let folder = TempFolder::new("nats");
        let monitor = own_address_with_port();
        let store = folder.join("store");
        let text = format!(
            "listen: \"{address}\"\nhttp: \"{monitor}\"\n\
             jetstream {{ store_dir: {:?}, sync_interval: always }}\n{lines}\n",
            store.display().to_string()
        );
        std::fs::write(folder.join("nats.conf"), text).expect("the folder is ours");
        let mut server = Self {
            process: None,
            folder,
            address,
            monitor,
        };
        server.up().await;
        server
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Kills it as a power cut would, but for what the system had yet to write.
    pub fn down(&mut self) {
        self.process = None;
    }

    /// Starts it again on its store, where it was.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn up(&mut self) {
        let mut command = Command::new(required_variable("BOXOFFICE_NATS_SERVER"));
        command.arg("-c").arg(self.folder.join("nats.conf"));
        let mut process = Process::spawn("the NATS server", command);
        process
            .wait_for_line(Patience::START, "Server is ready")
            .await;
        self.process = Some(process);
    }

    /// Takes its store away while it is down.
    ///
    /// # Panics
    /// When it is up.
    pub fn wipe(&self) {
        assert!(self.process.is_none(), "the server is up");
        std::fs::remove_dir_all(self.folder.join("store")).expect("the folder is ours");
    }

    /// How many messages a stream holds, done or not.
    ///
    /// # Panics
    /// When the server does not say.
    pub async fn stored(&self, stream: &str) -> u64 {
        let url = format!("http://{}/jsz?streams=true", self.monitor);
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("the HTTP library starts");
        let answer = http.get(url).send().await.expect("the monitor answers");
        let text = answer.text().await.expect("the monitor answers");
        let shown: Value = serde_json::from_str(&text).expect("the monitor speaks JSON");
        let streams = shown["account_details"][0]["stream_detail"].as_array();
        let found = streams
            .into_iter()
            .flatten()
            .find(|detail| detail["name"] == stream);
        found.map_or(0, |detail| {
            detail["state"]["messages"].as_u64().expect("a number")
        })
    }
}

/// An SMTP server that a test steers: see the head of `smtp_server.py` for its faults. Dropping it ends it.
pub struct SmtpServer {
    process: Option<Process>,
    folder: TempFolder,
    host: String,
    port: u16,
}

impl SmtpServer {
    /// Starts a server that takes every mail.
    ///
    /// # Panics
    /// When Python or its package is not there.
    pub async fn start() -> Self {
        let host = own_address().to_string();
        let mut server = Self {
            process: None,
            folder: TempFolder::new("smtp"),
            host,
            port: 0,
        };
        server.up().await;
        server
    }

    /// Its address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port; the same after it was down.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server: connections break, new ones are refused. What it took over stays.
    pub fn down(&mut self) {
        self.process = None;
    }

    /// Starts it again where it was.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn up(&mut self) {
        let mut command = Command::new(required_variable("BOXOFFICE_PYTHON"));
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/smtp_server.py"))
            .arg("--folder")
            .arg(self.folder.path())
            .arg("--control")
            .arg(self.folder.join("control.json"))
            .args(["--host", &self.host, "--port", &self.port.to_string()])
            .env("PYTHONPATH", required_variable("BOXOFFICE_AIOSMTPD"));
        let mut process = Process::spawn("the SMTP server", command);
        let address = process.wait_for_line(Patience::START, "listening ").await;
        let port = address.rsplit_once(':').map(|(_, port)| port.parse());
        self.port = port
            .expect("it prints HOST:PORT")
            .expect("it prints a port");
        self.process = Some(process);
    }

    /// Changes its behaviour for everybody; `json!({})` ends all faults.
    ///
    /// # Panics
    /// When the control file cannot be written.
    pub fn control(&self, faults: &Value) {
        let part = self.folder.join("control.part");
        std::fs::write(&part, faults.to_string()).expect("the folder is ours");
        // The server reads at any moment: it must never see half a file.
        std::fs::rename(part, self.folder.join("control.json")).expect("the folder is ours");
    }

    /// Ends all faults for everybody.
    pub fn release(&self) {
        self.control(&json!({}));
    }

    /// How many mails it took over.
    pub fn count(&self) -> usize {
        mail_files(self.folder.path()).len()
    }

    /// The mails it took over, in order.
    pub fn mails(&self) -> Vec<EnvelopedMail> {
        mail_files(self.folder.path())
            .iter()
            .map(|path| EnvelopedMail::read(path))
            .collect()
    }

    /// The folder the mails are in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn own_address_with_port() -> String {
    with_port(own_address())
}

fn with_port(host: Ipv4Addr) -> String {
    let listener = TcpListener::bind((host, 0)).expect("a loopback address has free ports");
    let address = listener.local_addr();
    address.expect("a bound socket has an address").to_string()
}

/// A loopback address that no other server of this test run has, and most likely none of another run.
fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::new(127, 1 + (std::process::id() % 250) as u8, count, 1)
}
