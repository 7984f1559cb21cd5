//! Parts of a script: statements as text, and rows as data, which several scripts can share a statement for.
//!
//! Called by scripts.

use surrealdb::types::{Object, RecordId, Value};

/// A part of a script: one statement, with one result.
#[derive(Clone)]
pub(super) enum Part {
    /// A statement as it stands.
    Text(String),
    Guard(Guard),
    /// Replaces records that a guard covers: `{id, …}`.
    Changes(Vec<Value>),
    /// Removes records, by id.
    Removals(Vec<Value>),
    /// Adds records.
    Rows {
        table: &'static str,
        if_exists: IfExists,
        rows: Vec<Value>,
    },
    /// Writes a record whether it exists or not.
    Put {
        id: RecordId,
        row: Value,
    },
    /// Reads a record, if it exists.
    Read(RecordId),
    /// Reads those of some records that exist.
    ReadAll(Vec<RecordId>),
    /// Reads the records of a table whose keys begin with these parts, in the order of their keys.
    ReadUnder {
        table: &'static str,
        prefix: Vec<Value>,
    },
}

/// A record that has to be as it was read, or nothing of the script is written.
#[derive(Clone, PartialEq)]
pub(super) struct Guard {
    pub(super) id: RecordId,
    /// The version or revision that was read.
    pub(super) seen: Value,
    /// What the script fails with otherwise.
    pub(super) word: &'static str,
    pub(super) write: GuardWrite,
}

/// What is written to a guarded record.
#[derive(Clone, PartialEq)]
pub(super) enum GuardWrite {
    /// Nothing; whoever changes its version meanwhile writes it, and then one of both fails. No record is version 0.
    None,
    /// All of it.
    Content(Value),
    /// Some of its fields.
    Merge(Value),
}

/// What becomes of an added record whose id is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IfExists {
    /// The script fails, and nothing is written.
    Fail,
    /// The record stays as it is.
    Keep,
}

/// Values bound to the names `$v0`, `$v1`, and so on.
pub(super) struct Bindings<'a>(pub(super) &'a mut Object);

impl Bindings<'_> {
    pub(super) fn bind(&mut self, value: Value) -> String {
        let name = format!("v{}", self.0.len());
        self.0.insert(name.clone(), value);
        format!("${name}")
    }
}

impl Part {
    /// Records that it writes.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Text(_) | Self::Guard(_) | Self::Put { .. } => 1,
            Self::Read(_) | Self::ReadAll(_) | Self::ReadUnder { .. } => 0,
            Self::Changes(rows) | Self::Removals(rows) | Self::Rows { rows, .. } => rows.len(),
        }
    }

    /// Returns whether it only compares a record.
    pub(super) fn is_check(&self) -> bool {
        matches!(self, Self::Guard(guard) if guard.write == GuardWrite::None)
    }

    /// Returns whether it guards, writes or removes records, as data.
    pub(super) fn is_row(&self) -> bool {
        !self.is_read() && !matches!(self, Self::Text(_))
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(
            self,
            Self::Read(_) | Self::ReadAll(_) | Self::ReadUnder { .. }
        )
    }

    /// Its statement, with its values bound.
    pub(super) fn into_text(self, bindings: &mut Bindings<'_>) -> String {
        match self {
            Self::Text(text) => text,
            Self::Guard(guard) => guard.into_text(bindings),
            Self::Changes(rows) => {
                let rows = bindings.bind(Value::Array(rows.into()));
                format!("FOR $one IN {rows} {{ UPDATE $one.id CONTENT $one RETURN NONE }}")
            }
            Self::Removals(ids) => {
                let ids = bindings.bind(Value::Array(ids.into()));
                format!("DELETE {ids} RETURN NONE")
            }
            Self::Rows {
                table,
                if_exists,
                rows,
            } => {
                let rows = bindings.bind(Value::Array(rows.into()));
                let ignore = match if_exists {
                    IfExists::Fail => "",
                    IfExists::Keep => "IGNORE ",
                };
                format!("INSERT {ignore}INTO {table} {rows} RETURN NONE")
            }
            Self::Put { id, row } => {
                let id = bindings.bind(Value::RecordId(id));
                let row = bindings.bind(row);
                format!("UPSERT {id} CONTENT {row} RETURN NONE")
            }
            Self::Read(id) => {
                let id = bindings.bind(Value::RecordId(id));
                format!("SELECT * FROM ONLY {id}")
            }
            Self::ReadAll(ids) => {
                let ids = ids.into_iter().map(Value::RecordId).collect::<Vec<_>>();
                let ids = bindings.bind(Value::Array(ids.into()));
                format!("SELECT * FROM {ids}")
            }
            Self::ReadUnder { table, prefix } => {
                let parts: Vec<String> = prefix.into_iter().map(|one| bindings.bind(one)).collect();
                let parts = parts.join(", ");
                format!("SELECT * FROM {table}:[{parts}]..[{parts}, ..]")
            }
        }
    }

    /// Takes the records of another part, if one statement can write both.
    fn absorb(&mut self, other: Part) -> Option<Part> {
        match (self, other) {
            (Self::Changes(rows), Self::Changes(more))
            | (Self::Removals(rows), Self::Removals(more)) => rows.extend(more),
            (
                Self::Rows {
                    table,
                    if_exists,
                    rows,
                },
                Self::Rows {
                    table: other,
                    if_exists: otherwise,
                    rows: more,
                },
            ) if *table == other && *if_exists == otherwise => rows.extend(more),
            (Self::Guard(guard), Self::Guard(other)) if *guard == other => {}
            (_, other) => return Some(other),
        }
        None
    }

    /// The place of its kind in a transaction of several scripts: what guards comes first, and what is removed goes before
    /// what is added, as in each of them.
    fn rank(&self) -> u8 {
        match self {
            Self::Guard(_) => 0,
            Self::Text(_) | Self::Changes(_) => 1,
            Self::Removals(_) => 2,
            Self::Rows { .. } => 3,
            Self::Put { .. } => 4,
            Self::Read(_) | Self::ReadAll(_) | Self::ReadUnder { .. } => 5,
        }
    }
}

impl Guard {
    /// The guard writes the record that it guards, where it can: with a read alone two transactions could both commit
    /// (snapshot isolation).
    fn into_text(self, bindings: &mut Bindings<'_>) -> String {
        let id = bindings.bind(Value::RecordId(self.id));
        let seen = bindings.bind(self.seen);
        let word = self.word;
        let (how, row) = match self.write {
            GuardWrite::None => {
                return format!(
                    "IF ((SELECT VALUE version FROM ONLY {id} FOR UPDATE) ?? 0) != {seen} {{ THROW '{word}' }}"
                );
            }
            GuardWrite::Content(row) => ("CONTENT", row),
            GuardWrite::Merge(fields) => ("MERGE", fields),
        };
        let row = bindings.bind(row);
        format!(
            "IF (UPDATE {id} {how} {row} WHERE revision = {seen} RETURN VALUE revision) = [] {{ THROW '{word}' }}"
        )
    }
}

/// The parts of several scripts as those of one: rows of a table become one statement.
pub(super) fn merged(parts: impl Iterator<Item = Part>) -> Vec<Part> {
    let mut all: Vec<Part> = Vec::new();
    for part in parts {
        let mut rest = Some(part);
        for one in &mut all {
            match rest.take() {
                Some(part) => rest = one.absorb(part),
                None => break,
            }
        }
        all.extend(rest);
    }
    all.sort_by_key(Part::rank);
    all
}
