//! The SMTP server that tests steer: a real one, with faults on demand and a log of what it took over.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use boxoffice_engine::Engine;
use boxoffice_host::{SmtpMailer, SmtpSettings, mail::SmtpTls};
use serde_json::{Value, json};

use super::own_address;
use crate::{
    EnvelopedMail, Patience, Process, TempFolder, mail_files, quick_settings, required_variable,
};

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

    /// A mailer that sends over it, without TLS.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn mailer(&self) -> SmtpMailer {
        let settings = SmtpSettings {
            tls: SmtpTls::None,
            message_timeout: Duration::from_secs(20),
            ..SmtpSettings::new(self.host(), self.port())
        };
        SmtpMailer::new(settings).expect("settings that go together")
    }

    /// An engine in memory whose mails it gets.
    ///
    /// # Panics
    /// When it cannot be built.
    pub async fn engine(&self) -> Engine {
        let builder = Engine::builder().settings(quick_settings());
        let engine = builder.mailer(self.mailer()).build().await;
        engine.expect("an engine in memory starts")
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

    /// Opens what it writes down of every mail it takes over and every connection it cuts: all there is while
    /// `{"keep": "log"}` holds, which saves a file for each mail of a crowd.
    pub fn open_log(&self) -> SmtpLog {
        SmtpLog {
            path: self.folder.join("log.jsonl"),
            read: 0,
            mails: Vec::new(),
        }
    }

    /// How many mails each recipient has that hold this text, among those kept as files.
    pub fn count_per_recipient(&self, text: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for mail in self.mails() {
            if mail.mail.text.contains(text) {
                *counts.entry(mail.recipients[0].clone()).or_default() += 1;
            }
        }
        counts
    }

    /// The folder the mails are in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The SMTP server's log, read as far as it goes.
pub struct SmtpLog {
    path: PathBuf,
    read: u64,
    mails: Vec<LoggedMail>,
}

impl SmtpLog {
    /// All lines, in order, those included that are new since the last look.
    ///
    /// # Panics
    /// When the log cannot be read.
    pub fn read(&mut self) -> &[LoggedMail] {
        let mut new = String::new();
        if let Ok(mut file) = File::open(&self.path) {
            file.seek(SeekFrom::Start(self.read))
                .expect("a log of ours");
            file.read_to_string(&mut new).expect("a log of ours");
        }
        // The last line may be half written.
        let whole = new.rfind('\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        self.mails
            .extend(new[..whole].lines().map(LoggedMail::read));
        &self.mails
    }
}

/// A line of the SMTP server's log.
#[derive(Debug, Clone)]
pub struct LoggedMail {
    /// The envelope's recipient.
    pub recipient: String,
    /// The Message-ID with its brackets; empty if the connection was cut before it was read.
    pub message_id: String,
    /// Where the connection was cut: `at-recipient`, `in-data` (nothing was stored) or `after-dot` (it was stored, in
    /// a line of its own). None if this line says that a mail was stored.
    pub cut: Option<String>,
}

impl LoggedMail {
    fn read(line: &str) -> Self {
        let line: Value = serde_json::from_str(line).expect("the log is JSON lines");
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        Self {
            recipient: text("to").expect("a line names the recipient"),
            message_id: text("messageId").unwrap_or_default(),
            cut: text("cut"),
        }
    }
}
