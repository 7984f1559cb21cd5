//! The database handle: opens a store, runs scripts, and classifies all errors.
//!
//! Called by repositories only. Calls SurrealDB.
//!
//! Two rules for every statement (SurrealDB 3.3.5): a range with LIMIT is written `type::record('table', [a]..[b])`,
//! because `table:[a]..[b]` is read to its end before LIMIT applies (surrealdb#7474); but never with ORDER BY, because there
//! LIMIT applies before the rows are ordered, which returns the wrong rows.

mod committer;
mod direct;
mod embedded;
mod opening;
mod parts;
mod script;
mod step_error;
mod telling;
mod told;

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use rand::Rng as _;
use surrealdb::{
    Surreal,
    engine::{any::Any, local},
    method::Transaction,
    types::{Object, QueryError, SurrealValue, Value},
};
use tokio::sync::Notify;

use committer::Committer;
use embedded::Embedded;
pub(crate) use opening::Closing;
use opening::{
    LOCK_FILE, cannot_open, create_private, has_log, open_after_settling, open_local, open_remote,
};

pub(in crate::modules::repositories) use script::{Answers, Script};
use script::{Finished, Mode, Straight};
pub(in crate::modules) use step_error::StepError;
use step_error::worst_of;
pub(in crate::modules::repositories) use told::PENDING;

use crate::{
    counters::{Counters, count},
    error::{Error, ErrorCode, Result},
    settings::Store,
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
    client: Client,
    /// The file that an embedded store holds locked while it is open.
    lock: Option<PathBuf>,
    /// Whether the last process with this embedded store did not close it: it died, or was killed.
    is_after_crash: bool,
    counters: Arc<Counters>,
    committer: Arc<Committer>,
    /// Notified when changes were committed that have no number yet.
    changes_told: Arc<Notify>,
}

/// The outcome of each statement of a query.
type Outcomes = Vec<surrealdb::Result<Value>>;

#[derive(Clone)]
enum Client {
    /// The store of this process.
    Embedded(Arc<Embedded>),
    /// A server. Shared, because a clone is another session.
    Remote(Arc<Surreal<Any>>),
}

impl Db {
    /// Opens a store and selects its database. Migrations are separate.
    pub(in crate::modules) async fn open(store: &Store, counters: Arc<Counters>) -> Result<Self> {
        let is_after_crash = matches!(store, Store::Embedded(folder) if has_log(folder));
        let client = match store {
            Store::Memory => Client::Embedded(open_local("mem://").await?.into()),
            Store::Embedded(folder) => {
                create_private(folder).map_err(|error| cannot_open(folder.display(), error))?;
                // The default syncs every commit. It is set explicitly, so that a changed default cannot lose bookings.
                let url = format!("surrealkv://{}?sync=every", folder.display());
                let opened = if is_after_crash {
                    open_after_settling(&url).await?
                } else {
                    open_local(&url).await?
                };
                Client::Embedded(opened.into())
            }
            Store::Remote {
                url,
                namespace,
                database,
                username,
                password,
            } => {
                let client = open_remote(url, username, password).await?;
                select(&client, namespace, database)
                    .await
                    .map_err(|error| cannot_open("the database", error))?;
                Client::Remote(client.into())
            }
        };
        let lock = match store {
            Store::Embedded(folder) => Some(folder.join(LOCK_FILE)),
            Store::Memory | Store::Remote { .. } => None,
        };
        Ok(Self {
            client,
            counters,
            lock,
            is_after_crash,
            committer: Arc::default(),
            changes_told: Arc::default(),
        })
    }

    fn is_remote(&self) -> bool {
        matches!(self.client, Client::Remote(_))
    }

    /// Returns whether the last process with this embedded store did not close it.
    pub(in crate::modules) fn is_after_crash(&self) -> bool {
        self.is_after_crash
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
        match self.is_remote() {
            true => format!("math::min([{own}, time::millis(time::now())])"),
            false => own,
        }
    }

    /// Up to `max` rows of a table of due work, the longest overdue first, with the time that the store takes for now. Their keys
    /// begin with their due time. Not from the beginning of the table: an LSM store reads every tombstone there. Not later than
    /// the store's own clock, either.
    pub(in crate::modules::repositories) async fn due_rows<T: SurrealValue>(
        &self,
        mut script: Script,
        table: &'static str,
        (from, until): (Timestamp, Timestamp),
        max: u32,
    ) -> Result<(Timestamp, Vec<T>)> {
        let from = script.bind(from.as_millisecond());
        let until = self.present(&mut script, until);
        let max = script.bind(i64::from(max));
        script.push(format!("LET $until = {until}"));
        let index = script.push(format!(
            "SELECT id FROM type::record('{table}', [{from}]..[$until, ..]) LIMIT {max}"
        ));
        let at = script.push("RETURN [$until]");
        let mut answers = self.run_retrying(&script).await?;
        let at = answers.rows::<i64>(at)?.pop();
        let at = at.ok_or_else(|| Error::internal("the store did not say what time it took"))?;
        let at = Timestamp::from_millisecond(at).map_err(Error::internal)?;
        Ok((at, answers.rows(index)?))
    }

    /// Waits until this process has committed changes that have no number yet; returns at once if it did since the last call.
    pub(in crate::modules::repositories) async fn wait_for_changes(&self) {
        self.changes_told.notified().await;
    }

    /// Reads a row; gives up after [`PING_TIMEOUT`].
    pub(in crate::modules) async fn ping(&self) -> Result<()> {
        let text = "SELECT VALUE number FROM schema LIMIT 1".to_owned();
        let answered = within(PING_TIMEOUT, self.query(text, Object::new())).await?;
        answered.map(drop).map_err(unavailable)
    }

    /// Runs a script once.
    pub(in crate::modules::repositories) async fn run(
        &self,
        script: Script,
    ) -> Result<Answers, StepError> {
        self.run_within(script, ANSWER_TIMEOUT).await
    }

    /// Runs a script once, with this time limit for a remote store.
    pub(in crate::modules::repositories) async fn run_within(
        &self,
        mut script: Script,
        limit: Duration,
    ) -> Result<Answers, StepError> {
        // A step may find that it has nothing to write.
        if script.is_empty() {
            return Ok(Answers::none());
        }
        let tells = script.tells();
        script.seal();
        let answered = self.run_sealed(script, limit).await;
        // An answer that was lost may have been a commit.
        if tells && matches!(answered, Ok(_) | Err(StepError::Lost(_))) {
            self.changes_told.notify_one();
        }
        answered
    }

    async fn run_sealed(&self, script: Script, limit: Duration) -> Result<Answers, StepError> {
        let Client::Embedded(store) = &self.client else {
            return within(limit, self.run_text(script.finished())).await?;
        };
        match script.straight() {
            Straight::Read(parts) => {
                let values = store.read(parts).await;
                self.count_script(0);
                values.map(Answers::of_reads)
            }
            Straight::Write(parts) => {
                let store = store.clone();
                let written = as_task(async move { store.write(parts).await }).await;
                self.count_script(1);
                written.map_err(|error| self.counted(error))?;
                Ok(Answers::none())
            }
            Straight::No(script) => {
                let (db, script) = (self.clone(), script.finished());
                as_task(async move { db.run_text(script).await }).await
            }
        }
    }

    /// Runs a script as SurrealQL.
    async fn run_text(&self, script: Finished) -> Result<Answers, StepError> {
        let answered = self.query(script.text, script.variables).await;
        self.sorted(answered, script.mode, script.commits)
    }

    /// Runs SurrealQL.
    async fn query(&self, text: String, variables: Object) -> surrealdb::Result<Outcomes> {
        let variables = Value::Object(variables);
        let results = match &self.client {
            Client::Embedded(store) => store.client.query(text).bind(variables).await?,
            Client::Remote(client) => client.query(text).bind(variables).await?,
        };
        Ok(outcomes_of(results))
    }

    /// Opens a snapshot of the store.
    pub(in crate::modules::repositories) async fn snapshot(
        &self,
        _: SystemScope,
    ) -> Result<Snapshot> {
        let reading = match &self.client {
            Client::Embedded(store) => {
                let transaction = store.client.clone().begin().await;
                Reading::Embedded(transaction.map_err(unavailable)?)
            }
            Client::Remote(client) => {
                let transaction = Surreal::clone(client).begin().await;
                Reading::Remote(transaction.map_err(unavailable)?)
            }
        };
        Ok(Snapshot {
            reading,
            db: self.clone(),
        })
    }

    fn count_script(&self, commits: u64) {
        count(&self.counters.store_scripts, 1);
        match commits {
            0 => count(&self.counters.store_reads, 1),
            commits => count(&self.counters.store_commits, commits),
        }
    }

    fn counted(&self, error: StepError) -> StepError {
        match &error {
            StepError::Conflict => count(&self.counters.store_conflicts, 1),
            StepError::Lost(_) => count(&self.counters.store_lost, 1),
            _ => {}
        }
        error
    }

    /// Counts an answer, and sorts out its errors.
    fn sorted(
        &self,
        answered: surrealdb::Result<Outcomes>,
        mode: Mode,
        commits: u64,
    ) -> Result<Answers, StepError> {
        let is_remote = self.is_remote();
        let outcomes = answered.map_err(|error| sort_out(error, is_remote))?;
        self.count_script(commits);
        let (mut values, mut errors) = (Vec::with_capacity(outcomes.len()), Vec::new());
        for outcome in outcomes {
            match outcome {
                Ok(value) => values.push(value),
                Err(error) => errors.push(sort_out(error, is_remote)),
            }
        }
        if errors.is_empty() {
            return Answers::of(mode, values);
        }
        Err(self.counted(worst_of(errors.into_iter())))
    }

    /// Runs a script until it has no conflict, at most [`CONFLICTS_MAX`] times with jittered pauses.
    pub(in crate::modules::repositories) async fn run_retrying(
        &self,
        script: &Script,
    ) -> Result<Answers, StepError> {
        let mut conflicts = 0;
        loop {
            match self.run(script.clone()).await {
                Err(StepError::Conflict) if conflicts < CONFLICTS_MAX => {
                    count(&self.counters.store_retries, 1);
                    pause_after_conflict(conflicts).await;
                    conflicts += 1;
                }
                other => return other,
            }
        }
    }
}

/// Why a statement failed, by its error.
fn sort_out(error: surrealdb::Error, is_remote: bool) -> StepError {
    let is_conflict = matches!(error.query_details(), Some(QueryError::TransactionConflict));
    if is_conflict || is_to_be_repeated(&error.to_string()) {
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
    } else if error.is_connection() || (is_remote && error.is_internal()) {
        StepError::Lost(error.into())
    } else {
        StepError::Other(error.into())
    }
}

/// Creates and selects a server's database. The server answers with an error when the names exist already, and needs them to
/// exist before `use`.
async fn select(client: &Surreal<Any>, namespace: &str, database: &str) -> surrealdb::Result<()> {
    let _ = client
        .query(format!(
            "DEFINE NAMESPACE IF NOT EXISTS `{namespace}`; USE NS `{namespace}`; DEFINE DATABASE IF NOT EXISTS `{database}`;"
        ))
        .await?;
    client.use_ns(namespace).use_db(database).await?;
    Ok(())
}

fn outcomes_of(mut results: surrealdb::IndexedResults) -> Outcomes {
    let mut errors = results.take_errors();
    let count = results.num_statements() + errors.len();
    (0..count)
        .map(|index| match errors.remove(&index) {
            Some(error) => Err(error),
            None => results.take(index),
        })
        .collect()
}

/// A snapshot of the store for several reads: a read-only transaction. It has to be closed, or the
/// store keeps deleted data as long as the connection lives.
pub(in crate::modules::repositories) struct Snapshot {
    reading: Reading,
    db: Db,
}

enum Reading {
    Embedded(Transaction<local::Db>),
    Remote(Transaction<Any>),
}

impl Snapshot {
    /// Reads.
    pub(in crate::modules::repositories) async fn run(
        &self,
        script: Script,
    ) -> Result<Answers, StepError> {
        let Finished {
            text,
            variables,
            commits,
            mode,
        } = script.finished();
        let variables = Value::Object(variables);
        let answered = match &self.reading {
            Reading::Embedded(transaction) => transaction.query(text).bind(variables).await,
            Reading::Remote(transaction) => {
                let query = transaction.query(text).bind(variables);
                within(ANSWER_TIMEOUT, query.into_future()).await?
            }
        };
        self.db.sorted(answered.map(outcomes_of), mode, commits)
    }

    /// Closes it.
    pub(in crate::modules::repositories) async fn end(self) -> Result<()> {
        let ended = match self.reading {
            Reading::Embedded(transaction) => transaction.cancel().await.map(drop),
            Reading::Remote(transaction) => transaction.cancel().await.map(drop),
        };
        ended.map_err(unavailable)
    }
}

/// Runs a query of an embedded store. SurrealDB runs it where it is awaited, in a debug build with 1.6 of a thread's usual 2 MB of
/// stack. A task begins with an empty stack, and its thread is usually this one; and it ends even if its caller is gone.
async fn as_task<T: Send + 'static>(
    query: impl Future<Output = Result<T, StepError>> + Send + 'static,
) -> Result<T, StepError> {
    let ended = tokio::spawn(query).await;
    ended.map_err(|failed| StepError::Lost(failed.into()))?
}

/// Waits for a store's answer: a lost server must not block a request for ever.
async fn within<T>(limit: Duration, query: impl Future<Output = T>) -> Result<T, StepError> {
    tokio::time::timeout(limit, query).await.map_err(|_| {
        StepError::Lost(format!("no answer from the database within {limit:?}").into())
    })
}

/// Longest wait for the answer to a readiness check.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest wait for a remote store's answer to a request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Conflicts in a row before a step gives up. With pauses of 1 to 100 ms that is about half a second.
pub(in crate::modules) const CONFLICTS_MAX: u32 = 16;

/// Waits a random time that grows with the number of conflicts, so that writers spread out.
pub(in crate::modules) async fn pause_after_conflict(conflicts: u32) {
    let ceiling = 2_u64.saturating_pow(conflicts.min(6) + 1).min(100);
    let pause = rand::rng().random_range(1..=ceiling);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

/// Returns whether surrealkv wants a transaction repeated, because it began too long ago to be checked for conflicts. Nothing
/// was written. The error has no kind.
fn is_to_be_repeated(error: &str) -> bool {
    error.contains("Transaction retry required")
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

    #[test]
    fn a_transaction_that_surrealkv_wants_repeated_is_a_conflict() {
        // What the store says, as surrealdb-kvs-surrealkv 3.3.5 hands it on.
        let repeated = "There was a problem with a transaction: Transaction retry required: snapshot is older than \
            the commit oracle's GC window";
        let sorted = |text: &str| sort_out(surrealdb::Error::internal(text.to_owned()), false);
        assert!(matches!(sorted(repeated), StepError::Conflict));
        assert!(matches!(sorted("something else"), StepError::Other(_)));
    }
}
