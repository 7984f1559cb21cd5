//! NATS servers with JetStream, alone or three as a cluster, whose stores outlive them.

use std::{net::Ipv4Addr, path::Path, process::Command};

use serde_json::Value;

use super::{own_address_with_port, with_port};
use crate::{Patience, Process, TempFolder, required_variable};

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
        Self::start_at(own_address_with_port(), "sync_interval: always", lines).await
    }

    /// Starts a server with an empty store that syncs as seldom as nats-server does by itself.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_lazy() -> Self {
        Self::start_at(own_address_with_port(), "", "").await
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
        let address = with_port(Ipv4Addr::LOCALHOST);
        Self::start_at(address, "sync_interval: always", &lines).await
    }

    async fn start_at(address: String, sync: &str, lines: &str) -> Self {
        let folder = TempFolder::new("nats");
        let monitor = own_address_with_port();
        let store = folder.join("store");
        let text = format!(
            "listen: \"{address}\"\nhttp: \"{monitor}\"\n\
             jetstream {{ store_dir: {:?}\n {sync} }}\n{lines}\n",
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

    /// The URL of its monitoring endpoint.
    pub fn monitor_url(&self) -> String {
        format!("http://{}", self.monitor)
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

/// Three NATS servers that keep a copy of everything each. Dropping it ends them.
pub struct NatsCluster {
    /// The servers, each of which may go down and come up again.
    pub servers: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts three servers with empty stores.
    ///
    /// # Panics
    /// When one does not start.
    pub async fn start() -> Self {
        let routes: Vec<String> = (0..3).map(|_| own_address_with_port()).collect();
        let all: Vec<String> = routes
            .iter()
            .map(|route| format!("\"nats://{route}\""))
            .collect();
        let mut servers = Vec::new();
        for (number, route) in routes.iter().enumerate() {
            let lines = format!(
                "server_name: n{number}\ncluster {{ name: tests, listen: \"{route}\", routes: [{}] }}",
                all.join(", ")
            );
            servers.push(NatsServer::start_with(&lines).await);
        }
        Self { servers }
    }

    /// The URLs of all three, as one option.
    pub fn url(&self) -> String {
        let urls: Vec<String> = self.servers.iter().map(NatsServer::url).collect();
        urls.join(",")
    }
}
