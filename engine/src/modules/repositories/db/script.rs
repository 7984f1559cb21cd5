//! Scripts: statements with their values, how they run, and the results of one that went through.
//!
//! Called by repositories. A script is made for a tenant, or with a `SystemScope`.

use surrealdb::{
    IndexedResults,
    types::{Object, SurrealValue, Value},
};

use super::{StepError, SystemScope};
use crate::{
    error::{Error, Result},
    types::TenantId,
};

/// How the statements of a script run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
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

/// What ends a statement. Values are bound, so that none of them has it.
const END: &str = ";\n";

fn writes(statement: &str) -> bool {
    let mut words = statement.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
    words.any(|word| WRITING.contains(&word))
}

/// Statements with their values, for one tenant or, with a [`SystemScope`], across tenants.
#[derive(Clone)]
pub(in crate::modules::repositories) struct Script {
    /// Finished statements; of a snapshot those that come before its reads.
    text: String,
    /// What a snapshot reads.
    reads: String,
    pub(super) variables: Object,
    /// Results so far.
    results: usize,
    pub(super) mode: Mode,
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
        if self.mode == Mode::Snapshot {
            debug_assert!(!writes(statement), "a snapshot only reads: {statement}");
            self.reads.extend(["(", statement, "),\n"]);
        } else {
            self.text.extend([statement, END]);
        }
        self.results += 1;
        self.results - 1
    }

    /// Adds a statement that writes, as a guard: if it finds nothing to write, the transaction stops with this word.
    pub(in crate::modules::repositories) fn require(
        &mut self,
        statement: impl AsRef<str>,
        word: &str,
    ) {
        let statement = statement.as_ref();
        self.push(format!("IF ({statement}) = [] {{ THROW '{word}' }}"));
    }

    /// Gives what an expression yields a name, `$` included, for the statements behind it.
    pub(in crate::modules::repositories) fn define(
        &mut self,
        name: &str,
        expression: impl AsRef<str>,
    ) {
        self.text
            .extend(["LET ", name, " = (", expression.as_ref(), ")", END]);
        self.results += usize::from(self.mode != Mode::Snapshot);
    }

    /// Returns whether there is nothing to run.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.reads.is_empty()
    }

    /// The text to send.
    pub(super) fn finished(&self) -> String {
        match self.mode {
            Mode::Separate => self.text.clone(),
            Mode::Transaction => {
                debug_assert!(
                    writes(&self.text),
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
    pub(super) fn commits(&self) -> u64 {
        match self.mode {
            Mode::Separate => self.text.split(END).filter(|one| writes(one)).count() as u64,
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
    /// Takes the results of a script of this mode.
    pub(super) fn of(mode: Mode, mut results: IndexedResults) -> Result<Self, StepError> {
        if mode != Mode::Snapshot {
            return Ok(Self::Statements(results));
        }
        match results.take::<Value>(0) {
            Ok(Value::Array(values)) => Ok(Self::Snapshot(values.into_vec())),
            Ok(other) => Err(StepError::Other(
                format!("a snapshot is {}", other.kind()).into(),
            )),
            Err(error) => Err(StepError::Other(error.into())),
        }
    }

    /// The results of a script without statements.
    pub(super) fn none() -> Self {
        Self::Snapshot(Vec::new())
    }

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::Db, *};
    use crate::{counters::Counters, settings::Store};

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
        db.run(script).await.unwrap();
        assert_eq!(commits(&counters), 1);

        let mut script = Script::snapshot(&TenantId::parse("north").unwrap());
        let all = script.push("SELECT VALUE number FROM thing:[$tenant]..[$tenant, ..]");
        script.define("$first", "SELECT VALUE number FROM ONLY thing:[$tenant, 1]");
        let larger = script.push("SELECT VALUE number FROM thing WHERE number > $first");
        let one = script.push("SELECT VALUE number FROM ONLY thing:[$tenant, 2]");
        let none = script.push("SELECT VALUE number FROM ONLY thing:[$tenant, 3]");
        let mut answers = db.run(script).await.unwrap();
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
        db.run(script).await.unwrap();
        assert_eq!(commits(&counters), 2);
    }

    #[tokio::test]
    async fn a_script_without_statements_asks_for_nothing() {
        let (db, counters) = store().await;
        let script = Script::transaction(&TenantId::parse("north").unwrap());
        db.run(script).await.unwrap();
        assert_eq!(commits(&counters), 0);
    }

    #[tokio::test]
    #[should_panic(expected = "syncs the log for nothing")]
    async fn a_transaction_that_only_reads_is_refused_where_assertions_are_on() {
        let (db, _) = store().await;
        let mut script = Script::transaction(&TenantId::parse("north").unwrap());
        script.push("SELECT * FROM thing");
        let _ = db.run(script).await;
    }

    #[tokio::test]
    #[should_panic(expected = "a snapshot only reads")]
    async fn a_snapshot_that_writes_is_refused_where_assertions_are_on() {
        let mut script = Script::snapshot(&TenantId::parse("north").unwrap());
        script.push("UPDATE thing SET number = 1");
    }
}
