//! The database handle: opens a store, runs scripts, and classifies all errors.
//!
//! Called by repositories only. Calls SurrealDB.
//!
//! Two rules for every statement (SurrealDB 3.3.5): a range with LIMIT is written `type::record('table', [a]..[b])`,
//! because `table:[a]..[b]` is read to its end before LIMIT applies (surrealdb#7474); but never with ORDER BY, because there
//! LIMIT applies before the rows are ordered, which returns the wrong rows.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use rand::Rng as _;
use surrealdb::{
    IndexedResults, Surreal,
    engine::any::{Any, connect},
    method::{Query, Transaction},
    opt::auth::Root,
    types::{Object, QueryError, SurrealValue, Value},
};

use crate::{
    counters::{Counters, count},
    error::{Error, ErrorCode, Result},
    settings::Store,
    types::TenantId,
};

/// The result of `SELECT count() … GROUP ALL`; no row means 0.
#[derive(SurrealValue)]
pub(super) struct Count {
    pub(super) count: u64,
}

/// Capability to access several tenants. Made only by the worker, migrations and use cases of operators.
#[derive(Debug, Clone, Copy)]
pub(in crate::modules) struct SystemScope(());

impl SystemScope {
    /// `tests/it/architecture` lists every place that may call this.
    pub(in crate::modules) fn new() -> Self {
        Self(())
    }
}

/// A handle to the store; clones share one connection.
#[derive(Clone)]
pub(in crate::modules) struct Db {
    client: Surreal<Any>,
    remote: bool,
    /// The file that an embedded store holds locked while it is open.
    lock: Option<PathBuf>,
    counters: Arc<Counters>,
}

impl Db {
    /// Opens a store and selects its database. Migrations are separate.
    pub(in crate::modules) async fn open(store: &Store, counters: Arc<Counters>) -> Result<Self> {
        let (client, namespace, database, remote) = match store {
            Store::Memory => (
                open_local("mem://".to_owned()).await?,
                "boxoffice",
                "main",
                false,
            ),
            Store::Embedded(folder) => {
                create_private(folder).map_err(|error| cannot_open(folder.display(), error))?;
                // The default syncs every commit. It is set explicitly, so that a changed default cannot lose bookings.
                let url = format!("surrealkv://{}?sync=every", folder.display());
                let client = if has_log(folder) {
                    open_after_settling(&url).await?
                } else {
                    open_local(url).await?
                };
                (client, "boxoffice", "main", false)
            }
            Store::Remote {
                url,
                namespace,
                database,
                username,
                password,
            } => {
                let client = open_remote(url, username, password).await?;
                (client, namespace.as_str(), database.as_str(), true)
            }
        };
        // A server answers with an error when the names exist already, and needs them to exist before `use`.
        if remote {
            let _ = client
                .query(format!(
                    "DEFINE NAMESPACE IF NOT EXISTS `{namespace}`; USE NS `{namespace}`; DEFINE DATABASE IF NOT \
                    EXISTS `{database}`;"
                ))
                .await
                .map_err(|error| cannot_open("the database", error))?;
        }
        client
            .use_ns(namespace)
            .use_db(database)
            .await
            .map_err(|error| cannot_open("the database", error))?;
        let lock = match store {
            Store::Embedded(folder) => Some(folder.join(LOCK_FILE)),
            Store::Memory | Store::Remote { .. } => None,
        };
        Ok(Self {
            client,
            remote,
            counters,
            lock,
        })
    }

    /// What to wait for once no handle exists any more.
    pub(in crate::modules) fn closing(&self) -> Closing {
        Closing(self.lock.clone())
    }

    /// The current time in milliseconds, as an expression: no later than the server's clock. Hosts share that clock, so that
    /// nothing is due early because one host's clock is ahead. An embedded store has its host's clock.
    pub(in crate::modules::repositories) fn present(
        &self,
        script: &mut Script,
        own: Timestamp,
    ) -> String {
        let own = script.bind(own.as_millisecond());
        match self.remote {
            true => format!("math::min([{own}, time::millis(time::now())])"),
            false => own,
        }
    }

    /// Runs a trivial query; gives up after 2 seconds.
    pub(in crate::modules) async fn ping(&self) -> Result<()> {
        match tokio::time::timeout(Duration::from_secs(2), self.client.query("RETURN 1")).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unavailable(error)),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Runs a script once.
    pub(in crate::modules::repositories) async fn run(
        &self,
        script: &Script,
    ) -> Result<Answers, StepError> {
        self.run_within(script, ANSWER_TIMEOUT).await
    }

    /// Runs a script once, with this time limit for a remote store.
    pub(in crate::modules::repositories) async fn run_within(
        &self,
        script: &Script,
        limit: Duration,
    ) -> Result<Answers, StepError> {
        let query = self.client.query(script.finished());
        self.answered(query, script, limit).await
    }

    /// Opens a snapshot of the store.
    pub(in crate::modules::repositories) async fn snapshot(
        &self,
        _: SystemScope,
    ) -> Result<Snapshot> {
        let transaction = self.client.clone().begin().await.map_err(unavailable)?;
        Ok(Snapshot {
            transaction,
            db: self.clone(),
        })
    }

    async fn answered(
        &self,
        query: Query<'_, Any>,
        script: &Script,
        limit: Duration,
    ) -> Result<Answers, StepError> {
        let query = query.bind(Value::Object(script.variables.clone()));
        // A lost server must not block a request for ever. Embedded, a commit takes milliseconds.
        let answered = if self.remote {
            tokio::time::timeout(limit, query.into_future())
                .await
                .map_err(|_| {
                    StepError::Lost(format!("no answer from the database within {limit:?}").into())
                })?
        } else {
            query.await
        };
        let mut results = answered.map_err(|error| self.sort_out(error))?;
        count(&self.counters.store_scripts, 1);
        count(&self.counters.store_commits, script.commits());
        let errors = results.take_errors();
        if errors.is_empty() {
            return answers(script, results);
        }
        let worst = worst_of(errors.into_values().map(|error| self.sort_out(error)));
        match &worst {
            StepError::Conflict => count(&self.counters.store_conflicts, 1),
            StepError::Lost(_) => count(&self.counters.store_lost, 1),
            _ => {}
        }
        Err(worst)
    }

    /// Runs a script until it has no conflict, at most [`CONFLICTS_MAX`] times with jittered pauses.
    pub(in crate::modules::repositories) async fn run_retrying(
        &self,
        script: &Script,
    ) -> Result<Answers, StepError> {
        let mut conflicts = 0;
        loop {
            match self.run(script).await {
                Err(StepError::Conflict) if conflicts < CONFLICTS_MAX => {
                    count(&self.counters.store_retries, 1);
                    pause_after_conflict(conflicts).await;
                    conflicts += 1;
                }
                other => return other,
            }
        }
    }

    fn sort_out(&self, error: surrealdb::Error) -> StepError {
        if matches!(error.query_details(), Some(QueryError::TransactionConflict)) {
            StepError::Conflict
        } else if matches!(
            error.query_details(),
            Some(QueryError::NotExecuted | QueryError::Cancelled)
        ) {
            StepError::NotExecuted
        } else if error.is_thrown() {
            StepError::Thrown(error.to_string())
        } else if error.is_already_exists() {
            StepError::Exists(error.to_string())
        } else if error.is_connection() || (self.remote && error.is_internal()) {
            StepError::Lost(error.into())
        } else {
            StepError::Other(error.into())
        }
    }
}

/// A snapshot of the store for several reads: a read-only transaction. It has to be closed, or the
/// store keeps deleted data as long as the connection lives.
pub(in crate::modules::repositories) struct Snapshot {
    transaction: Transaction<Any>,
    db: Db,
}

impl Snapshot {
    /// Reads.
    pub(in crate::modules::repositories) async fn run(
        &self,
        script: &Script,
    ) -> Result<Answers, StepError> {
        let query = self.transaction.query(script.finished());
        self.db.answered(query, script, ANSWER_TIMEOUT).await
    }

    /// Closes it.
    pub(in crate::modules::repositories) async fn end(self) -> Result<()> {
        self.transaction
            .cancel()
            .await
            .map(drop)
            .map_err(unavailable)
    }
}

/// Longest wait for a remote store's answer to a request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Conflicts in a row before a step gives up. With pauses of 1 to 100 ms that is about half a second.
pub(in crate::modules) const CONFLICTS_MAX: u32 = 16;

fn answers(script: &Script, mut results: IndexedResults) -> Result<Answers, StepError> {
    if script.mode != Mode::Snapshot {
        return Ok(Answers::Statements(results));
    }
    match results.take::<Value>(0) {
        Ok(Value::Array(values)) => Ok(Answers::Snapshot(values.into_vec())),
        Ok(other) => Err(StepError::Other(
            format!("a snapshot is {}", other.kind()).into(),
        )),
        Err(error) => Err(StepError::Other(error.into())),
    }
}

/// Waits a random time that grows with the number of conflicts, so that writers spread out.
pub(in crate::modules) async fn pause_after_conflict(conflicts: u32) {
    let ceiling = 2_u64.saturating_pow(conflicts.min(6) + 1).min(100);
    let pause = rand::rng().random_range(1..=ceiling);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

/// Why a step failed.
#[derive(Debug)]
pub(in crate::modules) enum StepError {
    /// Another transaction wrote the same record first; nothing was written.
    Conflict,
    /// A guard failed, with its word; nothing was written.
    Thrown(String),
    /// A record id was taken; nothing was written.
    Exists(String),
    /// It did not run, because of another statement's error.
    NotExecuted,
    /// The connection broke: it may or may not have been written.
    Lost(Box<dyn std::error::Error + Send + Sync>),
    /// Anything else; nothing was written.
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl StepError {
    /// Returns whether a guard stopped the step with this word.
    pub(in crate::modules) fn is_guard(&self, word: &str) -> bool {
        matches!(self, Self::Thrown(text) if text.contains(word))
    }

    /// Whether a guard stopped the step with one of these words.
    pub(in crate::modules) fn is_any_guard(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_guard(word))
    }

    fn weight(&self) -> u8 {
        match self {
            Self::Lost(_) => 5,
            Self::Conflict => 4,
            Self::Exists(_) => 3,
            Self::Thrown(_) => 2,
            Self::Other(_) => 1,
            Self::NotExecuted => 0,
        }
    }
}

impl From<StepError> for Error {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Conflict => Error::new(
                ErrorCode::ConflictTryAgain,
                "Others changed the same record at the same time; send the request again.",
            )
            .retry_after(Duration::from_secs(1)),
            StepError::Lost(source) => unavailable(source),
            StepError::Thrown(text) | StepError::Exists(text) => Error::internal(text),
            StepError::NotExecuted => Error::internal("a statement did not run"),
            StepError::Other(source) => Error::internal(source),
        }
    }
}

fn worst_of(errors: impl Iterator<Item = StepError>) -> StepError {
    errors
        .max_by_key(StepError::weight)
        .unwrap_or(StepError::NotExecuted)
}

/// How the statements of a script run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Each alone.
    Separate,
    /// All or none, in a transaction that writes.
    Transaction,
    /// As one statement that only reads, so that all see one moment. SurrealDB 3.3.5 opens `BEGIN … COMMIT` for writing, and
    /// surrealkv syncs the log at its end even if nothing was written; a single `RETURN` opens a transaction for reading.
    Snapshot,
}

/// Words that begin a statement or subquery that writes.
const WRITING: [&str; 9] = [
    "INSERT", "UPDATE", "UPSERT", "DELETE", "CREATE", "RELATE", "DEFINE", "REMOVE", "THROW",
];

fn writes(statement: &str) -> bool {
    let mut words = statement.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
    words.any(|word| WRITING.contains(&word))
}

/// Statements with their values, for one tenant or, with a [`SystemScope`], across tenants.
pub(in crate::modules::repositories) struct Script {
    /// Finished statements; of a snapshot those that come before its reads.
    text: String,
    /// What a snapshot reads.
    reads: String,
    variables: Object,
    /// Results so far.
    results: usize,
    /// Statements that write, in a script that is no transaction.
    writes: u64,
    mode: Mode,
}

impl Script {
    /// Starts separate statements within a tenant; `$tenant` is bound.
    pub(in crate::modules::repositories) fn of(tenant: &TenantId) -> Self {
        Self::within(tenant, Mode::Separate)
    }

    /// Starts a transaction within a tenant; `$tenant` is bound. It must write: see [`Script::snapshot`].
    pub(in crate::modules::repositories) fn transaction(tenant: &TenantId) -> Self {
        Self::within(tenant, Mode::Transaction)
    }

    /// Starts reads within a tenant that see one moment; `$tenant` is bound.
    pub(in crate::modules::repositories) fn snapshot(tenant: &TenantId) -> Self {
        Self::within(tenant, Mode::Snapshot)
    }

    /// Starts statements across tenants.
    pub(in crate::modules::repositories) fn across_tenants(_: SystemScope) -> Self {
        Self::empty(Mode::Separate)
    }

    /// Starts a transaction across tenants.
    pub(in crate::modules::repositories) fn transaction_across_tenants(_: SystemScope) -> Self {
        Self::empty(Mode::Transaction)
    }

    fn within(tenant: &TenantId, mode: Mode) -> Self {
        let mut script = Self::empty(mode);
        script.bind_as("tenant", tenant.as_str().to_owned());
        script
    }

    fn empty(mode: Mode) -> Self {
        Self {
            text: String::new(),
            reads: String::new(),
            variables: Object::new(),
            // BEGIN has a result of its own.
            results: usize::from(mode == Mode::Transaction),
            writes: 0,
            mode,
        }
    }

    /// Binds a value to a given name.
    pub(in crate::modules::repositories) fn bind_as(
        &mut self,
        name: &str,
        value: impl SurrealValue,
    ) {
        self.variables.insert(name.to_owned(), value.into_value());
    }

    /// Binds a value and returns its name, `$` included.
    pub(in crate::modules::repositories) fn bind(&mut self, value: impl SurrealValue) -> String {
        let name = format!("v{}", self.variables.len());
        self.variables.insert(name.clone(), value.into_value());
        format!("${name}")
    }

    /// Adds a statement and returns the index of its result.
    pub(in crate::modules::repositories) fn push(&mut self, statement: impl AsRef<str>) -> usize {
        let statement = statement.as_ref();
        let writes = writes(statement);
        self.writes += u64::from(writes);
        if self.mode == Mode::Snapshot {
            debug_assert!(!writes, "a snapshot only reads: {statement}");
            self.reads.extend(["(", statement, "),\n"]);
        } else {
            self.text.extend([statement, ";\n"]);
        }
        self.results += 1;
        self.results - 1
    }

    /// Gives what an expression yields a name, `$` included, for the statements behind it.
    pub(in crate::modules::repositories) fn define(
        &mut self,
        name: &str,
        expression: impl AsRef<str>,
    ) {
        let expression = expression.as_ref();
        self.writes += u64::from(writes(expression));
        self.text.extend(["LET ", name, " = (", expression, ");\n"]);
        self.results += usize::from(self.mode != Mode::Snapshot);
    }

    fn finished(&self) -> String {
        match self.mode {
            Mode::Separate => self.text.clone(),
            Mode::Transaction => {
                debug_assert!(
                    self.writes > 0,
                    "a transaction that writes nothing syncs the log for nothing: {}",
                    self.text
                );
                format!("BEGIN;\n{}COMMIT;", self.text)
            }
            Mode::Snapshot if self.text.is_empty() => format!("RETURN [{}];", self.reads),
            Mode::Snapshot => format!("RETURN {{\n{}RETURN [{}];\n}};", self.text, self.reads),
        }
    }

    /// Commits of the store that the script asks for.
    fn commits(&self) -> u64 {
        match self.mode {
            Mode::Separate => self.writes,
            Mode::Transaction => 1,
            Mode::Snapshot => 0,
        }
    }
}

/// The results of a script whose statements all succeeded.
pub(in crate::modules::repositories) enum Answers {
    /// One by one.
    Statements(IndexedResults),
    /// Of the reads of a snapshot.
    Snapshot(Vec<Value>),
}

impl Answers {
    /// The rows of the statement at `index`.
    pub(in crate::modules::repositories) fn rows<T: SurrealValue>(
        &mut self,
        index: usize,
    ) -> Result<Vec<T>> {
        let values = match self.value(index)? {
            Value::Array(values) => values.into_vec(),
            Value::None => Vec::new(),
            one => vec![one],
        };
        let rows = values.into_iter().map(T::from_value);
        rows.collect::<Result<_, _>>().map_err(Error::internal)
    }

    /// The only row of the statement at `index`, if there is one.
    pub(in crate::modules::repositories) fn row<T: SurrealValue>(
        &mut self,
        index: usize,
    ) -> Result<Option<T>> {
        let mut rows = self.rows(index)?.into_iter();
        match (rows.next(), rows.next()) {
            (row, None) => Ok(row),
            _ => Err(Error::internal("several rows where one is expected")),
        }
    }

    fn value(&mut self, index: usize) -> Result<Value> {
        match self {
            Self::Statements(results) => results.take(index).map_err(Error::internal),
            Self::Snapshot(values) => {
                let value = values.get_mut(index).map(std::mem::take);
                Ok(value.unwrap_or_default())
            }
        }
    }
}

async fn open_local(url: String) -> Result<Surreal<Any>> {
    connect(&url).await.map_err(|error| {
        let text = error.to_string();
        // surrealkv's message for a folder that another process has locked.
        if text.to_ascii_lowercase().contains("lock") {
            Error::new(
                ErrorCode::StoreInUse,
                "Another process holds this data folder. One process at a time may; for several, run a SurrealDB \
                 server and give each its ws:// URL.",
            )
            .caused_by(error)
        } else {
            cannot_open("the store", error)
        }
    })
}

/// Creates a folder and its parents, with access for the owner only, because rows hold hashes of passwords.
fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Returns whether the last process did not close the store: its write-ahead log is not empty.
fn has_log(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder.join("wal")).into_iter().flatten();
    entries
        .flatten()
        .any(|entry| entry.metadata().is_ok_and(|data| data.len() > 0))
}

/// Reads a remaining log into the store's tables and closes the store again, so that the next opening
/// starts a new log.
///
/// surrealkv 0.21.4 takes a truncated record for the log's end and appends after it; at the opening after
/// next it finds the log damaged there and drops what follows, acknowledged or not. So no acknowledged write may
/// ever be appended to a remaining log. (Seen with kill -9; a clean close empties the log.)
async fn open_after_settling(url: &str) -> Result<Surreal<Any>> {
    drop(open_local(url.to_owned()).await?);
    // The store closes asynchronously, and releases its lock last.
    for _ in 0..CLOSING_LOOKS_MAX {
        match open_local(url.to_owned()).await {
            Err(error) if error.code() == ErrorCode::StoreInUse => {
                tokio::time::sleep(CLOSING_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
    Err(Error::new(
        ErrorCode::Unavailable,
        "The store was not closed properly last time, and recovering its log took longer than two minutes.",
    ))
}

/// The name of surrealkv's lock file. It releases the lock last, when everything is in its tables.
const LOCK_FILE: &str = "LOCK";

/// A store that closes asynchronously once its last handle is dropped.
pub(crate) struct Closing(Option<PathBuf>);

impl Closing {
    /// Waits until the store has closed, up to a limit. Returns whether it has.
    pub(crate) async fn wait(self, limit: Duration) -> bool {
        let Some(lock) = self.0 else { return true };
        let is_free = || std::fs::File::open(&lock).map_or(true, |file| file.try_lock().is_ok());
        let closed = async {
            while !is_free() {
                tokio::time::sleep(CLOSING_PAUSE).await;
            }
        };
        tokio::time::timeout(limit, closed).await.is_ok()
    }
}

/// The pause between two checks whether the store has closed; a gigabyte of log takes seconds.
const CLOSING_PAUSE: Duration = Duration::from_millis(20);
const CLOSING_LOOKS_MAX: u32 = 6_000;

/// Connects and signs in, within 15 seconds: an address that drops packets, or a server that dies while it
/// answers, must not block a start for ever.
async fn open_remote(url: &str, username: &str, password: &str) -> Result<Surreal<Any>> {
    let opening = async {
        let client = connect(url).await?;
        let root = Root {
            username: username.to_owned(),
            password: password.to_owned(),
        };
        client.signin(root).await?;
        Ok::<_, surrealdb::Error>(client)
    };
    match tokio::time::timeout(Duration::from_secs(15), opening).await {
        Ok(opened) => opened.map_err(|error| cannot_open(url, error)),
        Err(late) => Err(cannot_open(url, late)),
    }
}

fn cannot_open(
    what: impl std::fmt::Display,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::new(
        ErrorCode::Unavailable,
        format!("The store could not be opened: {what}: {error}"),
    )
    .caused_by(error)
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(
        ErrorCode::Unavailable,
        "The database does not answer right now; try again soon.",
    )
    .retry_after(Duration::from_secs(2))
    .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store() -> (Db, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        let db = Db::open(&Store::Memory, counters.clone()).await.unwrap();
        (db, counters)
    }

    fn commits(counters: &Counters) -> u64 {
        counters.read().store_commits
    }

    #[tokio::test]
    async fn a_snapshot_reads_rows_records_and_names_and_commits_nothing() {
        let (db, counters) = store().await;
        let scope = SystemScope::new();
        let mut script = Script::transaction_across_tenants(scope);
        for (key, number) in [(1, 10), (2, 20)] {
            script.push(format!(
                "INSERT INTO thing {{ id: ['north', {key}], number: {number} }} RETURN NONE"
            ));
        }
        db.run(&script).await.unwrap();
        assert_eq!(commits(&counters), 1);

        let mut script = Script::snapshot(&TenantId::parse("north").unwrap());
        let all = script.push("SELECT VALUE number FROM thing:[$tenant]..[$tenant, ..]");
        script.define("$first", "SELECT VALUE number FROM ONLY thing:[$tenant, 1]");
        let larger = script.push("SELECT VALUE number FROM thing WHERE number > $first");
        let one = script.push("SELECT VALUE number FROM ONLY thing:[$tenant, 2]");
        let none = script.push("SELECT VALUE number FROM ONLY thing:[$tenant, 3]");
        let mut answers = db.run(&script).await.unwrap();
        assert_eq!(answers.rows::<i64>(all).unwrap(), [10, 20]);
        assert_eq!(answers.rows::<i64>(larger).unwrap(), [20]);
        assert_eq!(answers.row::<i64>(one).unwrap(), Some(20));
        assert_eq!(answers.row::<i64>(none).unwrap(), None);
        assert_eq!(commits(&counters), 1);
    }

    #[tokio::test]
    async fn statements_outside_a_transaction_count_a_commit_for_each_that_writes() {
        let (db, counters) = store().await;
        let mut script = Script::across_tenants(SystemScope::new());
        script.push("INSERT INTO thing { id: 1, number: 1 } RETURN NONE");
        script.push("SELECT * FROM thing");
        script.push("DELETE thing:1");
        db.run(&script).await.unwrap();
        assert_eq!(commits(&counters), 2);
    }

    #[tokio::test]
    #[should_panic(expected = "syncs the log for nothing")]
    async fn a_transaction_that_only_reads_is_refused_where_assertions_are_on() {
        let (db, _) = store().await;
        let mut script = Script::transaction(&TenantId::parse("north").unwrap());
        script.push("SELECT * FROM thing");
        let _ = db.run(&script).await;
    }

    #[tokio::test]
    #[should_panic(expected = "a snapshot only reads")]
    async fn a_snapshot_that_writes_is_refused_where_assertions_are_on() {
        let mut script = Script::snapshot(&TenantId::parse("north").unwrap());
        script.push("UPDATE thing SET number = 1");
    }
}
