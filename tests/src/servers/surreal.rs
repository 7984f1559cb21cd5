//! A SurrealDB server, its store in memory or in a folder that outlives it.

use std::process::Command;

use boxoffice_engine::{Engine, EngineBuilder, Store};
use serde_json::Value;

use super::own_address_with_port;
use crate::{Patience, Process, TempFolder, quick_settings, required_variable, wait_until};

/// A SurrealDB server that begins with an empty store. Dropping it ends it.
pub struct SurrealServer {
    process: Option<Process>,
    address: String,
    /// Where its store is; none if in memory.
    folder: Option<TempFolder>,
    /// Bytes that it keeps in memory before it writes them into a table of its store; none for its default.
    memory_table: Option<usize>,
}

impl SurrealServer {
    /// The user of every test server.
    pub const USERNAME: &'static str = "root";
    /// Their password.
    pub const PASSWORD: &'static str = "root";
    /// The namespace and the database that tests use there.
    pub const NAMESPACE: &'static str = "tests";

    /// Starts a server with its store in memory and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start() -> Self {
        Self::start_in(None, None).await
    }

    /// Starts a server with its store in a folder, every commit synced, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start_on_disk() -> Self {
        Self::start_in(Some(TempFolder::new("surreal")), None).await
    }

    /// The same with a store that keeps only so many bytes in memory, and so flushes and compacts often.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start_on_disk_with_memory_table(bytes: usize) -> Self {
        Self::start_in(Some(TempFolder::new("surreal")), Some(bytes)).await
    }

    async fn start_in(folder: Option<TempFolder>, memory_table: Option<usize>) -> Self {
        let address = own_address_with_port();
        let mut server = Self {
            process: None,
            address,
            folder,
            memory_table,
        };
        server.process = Some(server.spawn(&server.address).await);
        server
    }

    /// Its URL for the SDK.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Kills it as a power cut would, but for what the system had yet to write.
    pub fn down(&mut self) {
        self.process = None;
    }

    /// Starts it again on its store, where it was.
    ///
    /// Before that, the store is opened and closed in order once, at an address that no client knows: surrealkv
    /// 0.21.4 appends behind a record that a kill cut in two, and drops all that follows the cut at the opening after
    /// next. Boxoffice does the same with a store that it embeds.
    ///
    /// # Panics
    /// When it does not start, or its store is in memory.
    pub async fn up(&mut self) {
        assert!(self.folder.is_some(), "a store in memory is gone");
        let mut settling = self.spawn(&own_address_with_port()).await;
        let ended = settling.terminate(Patience::START).await;
        assert!(ended.success(), "the store was not closed in order");
        self.process = Some(self.spawn(&self.address).await);
    }

    /// The store of the namespace and database that the programs under test use.
    pub fn store(&self) -> Store {
        Self::store_at(self.url())
    }

    /// The same behind another URL, such as a proxy's.
    pub fn store_at(url: String) -> Store {
        Store::Remote {
            url,
            namespace: Self::NAMESPACE.to_owned(),
            database: Self::NAMESPACE.to_owned(),
            username: Self::USERNAME.to_owned(),
            password: Self::PASSWORD.to_owned(),
        }
    }

    /// An engine of this process on the namespace and database that the programs under test use.
    ///
    /// # Panics
    /// When it cannot be built.
    pub async fn engine(&self) -> Engine {
        self.engine_with(|builder| builder).await
    }

    /// The same, described further by `describe`.
    ///
    /// # Panics
    /// When it cannot be built.
    pub async fn engine_with(
        &self,
        describe: impl FnOnce(EngineBuilder) -> EngineBuilder,
    ) -> Engine {
        let builder = Engine::builder()
            .store(self.store())
            .settings(quick_settings());
        let engine = describe(builder).build().await;
        engine.expect("an engine on the server starts")
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

    async fn spawn(&self, address: &str) -> Process {
        let store = match &self.folder {
            Some(folder) => format!("surrealkv:{}?sync=every", folder.join("store").display()),
            None => "memory".to_owned(),
        };
        let mut command = Command::new(required_variable("BOXOFFICE_SURREAL_BIN"));
        command
            .args(["start", "--no-banner", "--log", "warn"])
            .args(["--user", Self::USERNAME, "--pass", Self::PASSWORD])
            .args(["--bind", address, &store])
            .env("BOXOFFICE_END_WITH_STDIN", "1");
        if let Some(bytes) = self.memory_table {
            command.env("SURREAL_SURREALKV_MAX_MEMTABLE_SIZE", bytes.to_string());
        }
        let mut process = Process::spawn("the SurrealDB server", command);
        let health = format!("http://{address}/health");
        let http = reqwest::Client::builder().no_proxy().build();
        let http = http.expect("the HTTP library starts");
        let what = "the SurrealDB server to be healthy";
        wait_until(Patience::START, what, || {
            let ended = process.exit_status();
            assert!(
                ended.is_none(),
                "the SurrealDB server ended:\n{}",
                process.output()
            );
            let request = http.get(&health).send();
            async move {
                request
                    .await
                    .is_ok_and(|answer| answer.status().is_success())
            }
        })
        .await;
        process
    }
}
