//! Scripts: statements with their values, how they run, and the results of one that went through.
//!
//! Called by repositories. A script is made for a tenant, or with a `SystemScope`.

use surrealdb::types::{Object, RecordId, SurrealValue, Value};

use super::{
    StepError, SystemScope,
    parts::{Bindings, Guard, GuardWrite, IfExists, Part, merged},
    told::Told,
};
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

/// What is wrong with a transaction that only reads.
const NOTHING_WRITTEN: &str = "a transaction that writes nothing syncs the log for nothing";

/// What ends a statement. Values are bound, so that none of them has it.
const END: &str = ";\n";

fn writes(statement: &str) -> bool {
    let mut words = statement.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
    words.any(|word| WRITING.contains(&word))
}

/// Statements with their values, for one tenant or, with a [`SystemScope`], across tenants.
#[derive(Clone)]
pub(in crate::modules::repositories) struct Script {
    /// Its statements; of a snapshot the definitions that come before its reads.
    parts: Vec<Part>,
    /// What a snapshot reads.
    reads: Vec<Part>,
    pub(super) variables: Object,
    /// What it tells the feed of changes.
    pub(super) told: Told,
    /// Results so far.
    results: usize,
    pub(super) mode: Mode,
}

impl Default for Script {
    fn default() -> Self {
        Self::empty(Mode::Transaction)
    }
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
            parts: Vec::new(),
            reads: Vec::new(),
            variables: Object::new(),
            told: Told::default(),
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
        Bindings(&mut self.variables).bind(value.into_value())
    }

    /// Adds a statement and returns the index of its result.
    pub(in crate::modules::repositories) fn push(&mut self, statement: impl Into<String>) -> usize {
        let statement = statement.into();
        if self.mode == Mode::Snapshot {
            debug_assert!(!writes(&statement), "a snapshot only reads: {statement}");
        }
        self.add(Part::Text(statement))
    }

    pub(super) fn add(&mut self, part: Part) -> usize {
        match self.mode {
            Mode::Snapshot => {
                debug_assert!(!part.is_row(), "a snapshot only reads");
                self.reads.push(part);
            }
            Mode::Separate | Mode::Transaction => self.parts.push(part),
        }
        self.results += 1;
        self.results - 1
    }

    /// Reads a record, and returns the index of its result.
    pub(in crate::modules::repositories) fn read(&mut self, id: RecordId) -> usize {
        self.add(Part::Read(id))
    }

    /// Reads those of some records that exist, and returns the index of their result.
    pub(in crate::modules::repositories) fn read_all(
        &mut self,
        ids: impl IntoIterator<Item = RecordId>,
    ) -> usize {
        self.add(Part::ReadAll(ids.into_iter().collect()))
    }

    /// Reads the records of a table whose keys begin with these parts, and returns the index of their result.
    pub(in crate::modules::repositories) fn read_under(
        &mut self,
        table: &'static str,
        prefix: impl IntoIterator<Item = String>,
    ) -> usize {
        let prefix = prefix.into_iter().map(Value::String).collect();
        self.add(Part::ReadUnder { table, prefix })
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

    /// Replaces a record that still has the revision that was read. Otherwise the transaction stops with this word.
    pub(in crate::modules::repositories) fn replace_if(
        &mut self,
        id: RecordId,
        seen: i64,
        row: impl SurrealValue,
        word: &'static str,
    ) {
        self.guard(id, seen, word, GuardWrite::Content(row.into_value()));
    }

    /// Changes some fields of a record likewise.
    pub(in crate::modules::repositories) fn merge_if(
        &mut self,
        id: RecordId,
        seen: i64,
        fields: impl SurrealValue,
        word: &'static str,
    ) {
        self.guard(id, seen, word, GuardWrite::Merge(fields.into_value()));
    }

    /// Lets the transaction go on if a record has the version that was read, 0 if there is none.
    pub(in crate::modules::repositories) fn require_version(
        &mut self,
        id: RecordId,
        version: u64,
        word: &'static str,
    ) {
        self.guard(id, version, word, GuardWrite::None);
    }

    fn guard(
        &mut self,
        id: RecordId,
        seen: impl SurrealValue,
        word: &'static str,
        write: GuardWrite,
    ) {
        let seen = seen.into_value();
        self.add(Part::Guard(Guard {
            id,
            seen,
            word,
            write,
        }));
    }

    /// Adds records. The transaction fails if one of them exists.
    pub(in crate::modules::repositories) fn insert<T: SurrealValue>(
        &mut self,
        table: &'static str,
        rows: impl IntoIterator<Item = T>,
    ) {
        self.add_rows(table, IfExists::Fail, rows);
    }

    /// Adds records; those that exist stay as they are.
    pub(in crate::modules::repositories) fn insert_new<T: SurrealValue>(
        &mut self,
        table: &'static str,
        rows: impl IntoIterator<Item = T>,
    ) {
        self.add_rows(table, IfExists::Keep, rows);
    }

    fn add_rows<T: SurrealValue>(
        &mut self,
        table: &'static str,
        if_exists: IfExists,
        rows: impl IntoIterator<Item = T>,
    ) {
        let rows: Vec<Value> = rows.into_iter().map(T::into_value).collect();
        if !rows.is_empty() {
            self.add(Part::Rows {
                table,
                if_exists,
                rows,
            });
        }
    }

    /// Replaces records that exist, and that a guard covers.
    pub(in crate::modules::repositories) fn replace<T: SurrealValue>(
        &mut self,
        rows: impl IntoIterator<Item = T>,
    ) {
        let rows: Vec<Value> = rows.into_iter().map(T::into_value).collect();
        if !rows.is_empty() {
            self.add(Part::Changes(rows));
        }
    }

    /// Writes a record whether it exists or not.
    pub(in crate::modules::repositories) fn put(&mut self, id: RecordId, row: impl SurrealValue) {
        let row = row.into_value();
        self.add(Part::Put { id, row });
    }

    /// Removes records; those that do not exist do not matter.
    pub(in crate::modules::repositories) fn remove(
        &mut self,
        ids: impl IntoIterator<Item = RecordId>,
    ) {
        let ids: Vec<Value> = ids.into_iter().map(Value::RecordId).collect();
        if !ids.is_empty() {
            self.add(Part::Removals(ids));
        }
    }

    /// Gives what an expression yields a name, `$` included, for the statements behind it.
    pub(in crate::modules::repositories) fn define(
        &mut self,
        name: &str,
        expression: impl AsRef<str>,
    ) {
        let definition = format!("LET {name} = ({})", expression.as_ref());
        self.parts.push(Part::Text(definition));
        self.results += usize::from(self.mode != Mode::Snapshot);
    }

    /// Returns whether there is nothing to run.
    pub(in crate::modules::repositories) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.reads.is_empty()
    }

    /// Whether one of its statements ends it.
    pub(super) fn returns(&self) -> bool {
        let ends = |part: &Part| matches!(part, Part::Text(text) if text.starts_with("RETURN"));
        self.parts.iter().any(ends)
    }

    /// Records that it writes.
    pub(super) fn rows(&self) -> usize {
        self.parts.iter().map(Part::rows).sum()
    }

    /// The records that its guards write.
    pub(super) fn guarded(&self) -> impl Iterator<Item = &RecordId> {
        self.parts.iter().filter_map(|part| match part {
            Part::Guard(guard) if guard.write != GuardWrite::None => Some(&guard.id),
            _ => None,
        })
    }

    /// One transaction that writes what several write, all of it or nothing. Those have parts of rows alone.
    pub(in crate::modules::repositories) fn merged(
        scripts: impl IntoIterator<Item = Self>,
    ) -> Self {
        let scripts = scripts.into_iter();
        Self {
            parts: merged(scripts.flat_map(|script| {
                debug_assert!(script.has_rows_alone(), "text cannot be merged");
                script.parts
            })),
            ..Self::default()
        }
    }

    /// Returns whether it is a transaction of records alone, without SurrealQL.
    pub(super) fn has_rows_alone(&self) -> bool {
        self.mode == Mode::Transaction && self.parts.iter().all(Part::is_row)
    }

    /// What an embedded store does without SurrealQL: a transaction that has rows alone, or reads of records alone.
    pub(super) fn straight(self) -> Straight {
        match self.mode {
            Mode::Transaction if self.has_rows_alone() => {
                let is_write = |part: &Part| !part.is_check();
                debug_assert!(self.parts.iter().any(is_write), "{NOTHING_WRITTEN}");
                Straight::Write(self.parts)
            }
            Mode::Separate if self.parts.iter().all(Part::is_read) => Straight::Read(self.parts),
            Mode::Snapshot if self.parts.is_empty() && self.reads.iter().all(Part::is_read) => {
                Straight::Read(self.reads)
            }
            _ => Straight::No(self),
        }
    }

    /// The text to send, with its values.
    pub(super) fn finished(self) -> Finished {
        let mut variables = self.variables;
        let mut text = String::new();
        for part in self.parts {
            let statement = part.into_text(&mut Bindings(&mut variables));
            text.extend([&statement, END]);
        }
        let mut reads = String::new();
        for part in self.reads {
            let read = part.into_text(&mut Bindings(&mut variables));
            reads.extend(["(", &read, "),\n"]);
        }
        let commits = match self.mode {
            Mode::Separate => text.split(END).filter(|one| writes(one)).count() as u64,
            Mode::Transaction => 1,
            Mode::Snapshot => 0,
        };
        let text = match self.mode {
            Mode::Separate => text,
            Mode::Transaction => {
                debug_assert!(writes(&text), "{NOTHING_WRITTEN}: {text}");
                format!("BEGIN;\n{text}COMMIT;")
            }
            Mode::Snapshot if text.is_empty() => format!("RETURN [{reads}];"),
            Mode::Snapshot => format!("RETURN {{\n{text}RETURN [{reads}];\n}};"),
        };
        Finished {
            text,
            variables,
            commits,
            mode: self.mode,
        }
    }
}

/// How an embedded store runs a script.
pub(super) enum Straight {
    Write(Vec<Part>),
    Read(Vec<Part>),
    /// By SurrealQL.
    No(Script),
}

/// SurrealQL to send.
pub(super) struct Finished {
    pub(super) text: String,
    /// The values of its names.
    pub(super) variables: Object,
    /// Commits of the store that it asks for.
    pub(super) commits: u64,
    pub(super) mode: Mode,
}

/// The results of a script whose statements all succeeded, or of the reads of a snapshot.
#[derive(Debug, PartialEq)]
pub(in crate::modules::repositories) struct Answers(Vec<Value>);

impl Answers {
    /// Takes the results of a script of this mode.
    pub(super) fn of(mode: Mode, mut results: Vec<Value>) -> Result<Self, StepError> {
        if mode != Mode::Snapshot {
            return Ok(Self(results));
        }
        match results.pop() {
            Some(Value::Array(values)) => Ok(Self(values.into_vec())),
            other => Err(StepError::Other(
                format!("a snapshot is {}", other.unwrap_or_default().kind()).into(),
            )),
        }
    }

    /// The results of a script without statements.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn of_reads(values: Vec<Value>) -> Self {
        Self(values)
    }

    /// The rows of the statement at `index`.
    pub(in crate::modules::repositories) fn rows<T: SurrealValue>(
        &mut self,
        index: usize,
    ) -> Result<Vec<T>> {
        let values = match self.value(index) {
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

    fn value(&mut self, index: usize) -> Value {
        let value = self.0.get_mut(index).map(std::mem::take);
        value.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
