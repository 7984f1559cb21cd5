//! The database handle: opens a store, runs scripts, and classifies all errors.
//!
//! Called by repositories only. Calls SurrealDB.
//!
//! Two rules for every statement (SurrealDB 3.3.5): a range with LIMIT is written `type::record('table', [a]..[b])`,
//! because `table:[a]..[b]` is read to its end before LIMIT applies (surrealdb#7474); but never with ORDER BY, because there
//! LIMIT applies before the rows are ordered, which returns the wrong rows.

mod opening;
mod script;
mod step_error;

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use rand::Rng as _;
use surrealdb::{
    IndexedResults, Surreal,
    engine::any::Any,
    method::Transaction,
    types::{QueryError, SurrealValue, Value},
};

pub(crate) use opening::Closing;
use opening::{
    LOCK_FILE, cannot_open, create_private, has_log, open_after_settling, open_local, open_remote,
};
use script::Mode;
pub(in crate::modules::repositories) use script::{Answers, Script};
pub(in crate::modules) use step_error::StepError;
use step_error::worst_of;

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
    /// Shared, because a clone is another session.
    client: Arc<Surreal<Any>>,
    remote: bool,
    /// The file that an embedded store holds locked while it is open.
    lock: Option<PathBuf>,
    /// Whether the last process with this embedded store did not close it: it died, or was killed.
    is_after_crash: bool,
    counters: Arc<Counters>,
}

impl Db {
    /// Opens a store and selects its database. Migrations are separate.
    pub(in crate::modules) async fn open(store: &Store, counters: Arc<Counters>) -> Result<Self> {
        let is_after_crash = matches!(store, Store::Embedded(folder) if has_log(folder));
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
                let client = if is_after_crash {
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
            client: Arc::new(client),
            remote,
            counters,
            lock,
            is_after_crash,
        })
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
        match self.remote {
            true => format!("math::min([{own}, time::millis(time::now())])"),
            false => own,
        }
    }

    /// Reads a row; gives up after [`PING_TIMEOUT`].
    pub(in crate::modules) async fn ping(&self) -> Result<()> {
        let read = self.client.query("SELECT VALUE number FROM schema LIMIT 1");
        let answered = within(PING_TIMEOUT, read.into_future()).await?;
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
        script: Script,
        limit: Duration,
    ) -> Result<Answers, StepError> {
        // A step may find that it has nothing to write.
        if script.is_empty() {
            return Ok(Answers::none());
        }
        let (client, text, asked) = (self.client.clone(), script.finished(), Asked::of(&script));
        let query = async move {
            client
                .query(text)
                .bind(Value::Object(script.variables))
                .await
        };
        let answered = match self.remote {
            true => within(limit, query).await?,
            // SurrealDB runs it where it is awaited, in a debug build with 1.6 of a thread's usual 2 MB of stack. A task
            // begins with an empty stack; its thread is usually this one.
            false => {
                let ended = tokio::spawn(query).await;
                ended.map_err(|failed| StepError::Lost(failed.into()))?
            }
        };
        self.sorted(answered, asked)
    }

    /// Opens a snapshot of the store.
    pub(in crate::modules::repositories) async fn snapshot(
        &self,
        _: SystemScope,
    ) -> Result<Snapshot> {
        let client = Surreal::clone(&self.client);
        let transaction = client.begin().await.map_err(unavailable)?;
        Ok(Snapshot {
            transaction,
            db: self.clone(),
        })
    }

    /// Counts an answer, and sorts out its errors.
    fn sorted(
        &self,
        answered: surrealdb::Result<IndexedResults>,
        Asked { commits, mode }: Asked,
    ) -> Result<Answers, StepError> {
        let mut results = answered.map_err(|error| self.sort_out(error))?;
        count(&self.counters.store_scripts, 1);
        match commits {
            0 => count(&self.counters.store_reads, 1),
            commits => count(&self.counters.store_commits, commits),
        }
        let errors = results.take_errors();
        if errors.is_empty() {
            return Answers::of(mode, results);
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

    fn sort_out(&self, error: surrealdb::Error) -> StepError {
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
        script: Script,
    ) -> Result<Answers, StepError> {
        let asked = Asked::of(&script);
        let query = self.transaction.query(script.finished());
        let query = query.bind(Value::Object(script.variables));
        let answered = match self.db.remote {
            true => within(ANSWER_TIMEOUT, query.into_future()).await?,
            false => query.await,
        };
        self.db.sorted(answered, asked)
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

/// What an answer is to.
struct Asked {
    commits: u64,
    mode: Mode,
}

impl Asked {
    fn of(script: &Script) -> Self {
        Self {
            commits: script.commits(),
            mode: script.mode,
        }
    }
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

    #[tokio::test]
    async fn a_transaction_that_surrealkv_wants_repeated_is_a_conflict() {
        let db = Db::open(&Store::Memory, Arc::default()).await.unwrap();
        // What the store says, as surrealdb-kvs-surrealkv 3.3.5 hands it on.
        let repeated = "There was a problem with a transaction: Transaction retry required: snapshot is older than \
            the commit oracle's GC window";
        let sorted = |text: &str| db.sort_out(surrealdb::Error::internal(text.to_owned()));
        assert!(matches!(sorted(repeated), StepError::Conflict));
        assert!(matches!(sorted("something else"), StepError::Other(_)));
    }
}
