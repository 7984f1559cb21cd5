//! Configuration files for programs under test.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use crate::{NatsCluster, NatsServer, SmtpServer, SurrealServer, TempFolder};

/// A configuration in the making: sections, keys and values as TOML has them.
#[derive(Clone, Default)]
pub struct Config(BTreeMap<String, BTreeMap<String, String>>);

impl Config {
    /// A store on a SurrealDB server, keys to sign tokens with, and times short enough for tests.
    pub fn remote(server: &SurrealServer) -> Self {
        Self::default()
            .text("store", "url", &server.url())
            .text("store", "username", SurrealServer::USERNAME)
            .text("store", "password", SurrealServer::PASSWORD)
            .text("store", "namespace", SurrealServer::NAMESPACE)
            .text("store", "database", SurrealServer::NAMESPACE)
            .with_key()
            .quick()
    }

    /// Keys to sign tokens with; the same in every program under test.
    #[must_use]
    pub fn with_key(self) -> Self {
        self.raw(
            "auth",
            "keys",
            r#"[{ id = "test", secret = "a secret of tests, at least 32 bytes long" }]"#,
        )
    }

    /// Leases and pauses short enough for tests, and long enough for a busy machine; as many requests as come.
    #[must_use]
    pub fn quick(self) -> Self {
        self.raw("worker", "delivery_lease_seconds", "3")
            .raw("worker", "singleton_lease_seconds", "2")
            .raw("worker", "republish_after_seconds", "4")
            .raw("worker", "retry_pause_seconds", "1")
            .raw("worker", "retry_pause_max_seconds", "2")
            .raw("worker", "update_merge_seconds", "0")
            .raw("http", "client_requests_per_minute", "0")
            .raw("http", "tenant_requests_per_minute", "0")
    }

    /// Mails go to this server, in plain text, over a few connections.
    #[must_use]
    pub fn smtp(self, server: &SmtpServer) -> Self {
        self.text("mail", "kind", "smtp")
            .text("mail.smtp", "host", server.host())
            .raw("mail.smtp", "port", &server.port().to_string())
            .text("mail.smtp", "tls", "none")
    }

    /// Tasks go through this server.
    #[must_use]
    pub fn nats(self, server: &NatsServer) -> Self {
        self.text("queue", "kind", "nats")
            .text("queue", "url", &server.url())
    }

    /// Tasks go through these servers, with a copy at each.
    #[must_use]
    pub fn nats_cluster(self, cluster: &NatsCluster) -> Self {
        self.text("queue", "kind", "nats")
            .text("queue", "url", &cluster.url())
            .raw("queue", "replicas", "3")
    }

    /// Mails are written to this folder.
    #[must_use]
    pub fn mail_folder(self, folder: &Path) -> Self {
        self.text("mail", "kind", "folder")
            .text("mail", "folder", &folder.display().to_string())
    }

    /// Sets a value that is text.
    #[must_use]
    pub fn text(self, section: &str, key: &str, value: &str) -> Self {
        let quoted = serde_json::Value::from(value).to_string();
        self.raw(section, key, &quoted)
    }

    /// Sets a value as it stands in TOML.
    #[must_use]
    pub fn raw(mut self, section: &str, key: &str, value: &str) -> Self {
        self.0
            .entry(section.to_owned())
            .or_default()
            .insert(key.to_owned(), value.to_owned());
        self
    }

    /// Writes it to a file in `folder` and answers its path.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn write(&self, folder: &TempFolder, name: &str) -> PathBuf {
        let mut text = String::new();
        for (section, values) in &self.0 {
            let _ = writeln!(text, "[{section}]");
            for (key, value) in values {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        let path = folder.join(name);
        std::fs::write(&path, text).expect("the folder is ours");
        path
    }
}
