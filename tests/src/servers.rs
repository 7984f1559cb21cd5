//! The servers that tests run against: SurrealDB and SMTP, real ones, started and stopped here.
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
        let host = own_address();
        let listener = TcpListener::bind((host, 0)).expect("a loopback address has free ports");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address")
            .to_string();
        drop(listener);
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

/// A loopback address that no other server of this test run has, and most likely none of another run.
fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::new(127, 1 + (std::process::id() % 250) as u8, count, 1)
}
