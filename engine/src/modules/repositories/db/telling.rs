//! Telling the feed of changes what a script writes. Called by repositories, and by the database handle before it runs a script.

use jiff::Timestamp;
use surrealdb::types::{Object, RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::{
    Script,
    parts::{Bindings, IfExists, Part},
    told::{BEFORE, Item, NUMBER, PENDING, Row, STEP, Told, advance},
};
use crate::{
    modules::repositories::models::{millisecond, record},
    types::ChangeKind,
};

impl Script {
    /// Says when the step happens that it writes. Without it a step happens when it is written.
    pub(in crate::modules::repositories) fn happens(&mut self, at: Timestamp) {
        self.told.at = Some(at);
    }

    /// The row of an object with its next version, to be written in this script as it is returned.
    pub(in crate::modules::repositories) fn telling(
        &mut self,
        kind: ChangeKind,
        row: impl SurrealValue,
    ) -> Value {
        let step = self.step();
        let mut row = row.into_value();
        if let Value::Object(columns) = &mut row {
            advance(columns, step);
        }
        self.told.items.push(Item {
            kind,
            row: Row::Known(row.clone()),
        });
        row
    }

    /// Tells of an object as it is now in the transaction, if it exists: 1 row. What is written with all its columns keeps its
    /// version by [`Script::bind_content`].
    pub(in crate::modules::repositories) fn tell(&mut self, kind: ChangeKind, id: RecordId) {
        let id = self.bind(id);
        self.tell_all(kind, &id);
    }

    /// Tells likewise of the objects that an expression selects.
    pub(in crate::modules::repositories) fn tell_all(&mut self, kind: ChangeKind, objects: &str) {
        self.tell_beside(kind, objects, None);
    }

    /// Tells of an object with a record that belongs to it.
    pub(in crate::modules::repositories) fn tell_with(
        &mut self,
        kind: ChangeKind,
        (id, beside): (RecordId, RecordId),
    ) {
        let id = self.bind(id);
        self.tell_beside(kind, &id, Some(beside));
    }

    fn tell_beside(&mut self, kind: ChangeKind, objects: &str, beside: Option<RecordId>) {
        // Read now: what follows may delete it.
        let beside = beside.map(|id| {
            let (name, id) = (format!("$beside_{}", self.told.items.len()), self.bind(id));
            self.define(&name, format!("SELECT * FROM ONLY {id}"));
            name
        });
        let step = self.step().to_string();
        let step = self.bind(step);
        let name = format!("$told_{}", self.told.items.len());
        self.define(
            &name,
            format!(
                "UPDATE {objects} SET {BEFORE} = {STEP}, {STEP} = {step}, {NUMBER} = ({NUMBER} ?? 0) + 1 RETURN AFTER"
            ),
        );
        self.told.items.push(Item {
            kind,
            row: Row::Named { rows: name, beside },
        });
    }

    /// Binds all columns of an object that is told of, and returns an expression for `CONTENT` that keeps its version.
    pub(in crate::modules::repositories) fn bind_content(
        &mut self,
        id: &RecordId,
        row: impl SurrealValue,
    ) -> String {
        let (id, row) = (self.bind(id.clone()), self.bind(row));
        let name = format!("$version_of_{}", &row[1..]);
        self.define(&name, format!("SELECT {NUMBER}, {STEP} FROM ONLY {id}"));
        format!("object::extend({row}, {name} ?? {{}})")
    }

    fn step(&mut self) -> Ulid {
        *self.told.step.get_or_insert_with(Ulid::new)
    }

    /// Whether it tells of something.
    pub(super) fn tells(&self) -> bool {
        !self.told.items.is_empty()
    }

    /// Adds the row of what is told, once nothing else is added.
    pub(super) fn seal(&mut self) {
        let Told {
            step: Some(step),
            at,
            items,
        } = std::mem::take(&mut self.told)
        else {
            return;
        };
        if items.is_empty() {
            return;
        }
        debug_assert!(
            !self.returns(),
            "RETURN ends a script: nothing behind it is written"
        );
        let at = millisecond(at.unwrap_or_else(Timestamp::now));
        let tenant = self.variables.get("tenant").cloned().unwrap_or_default();
        let id = record(PENDING, [Value::String(step.to_string()), tenant]);
        let is_known = |item: &Item| matches!(item.row, Row::Known(_));
        if items.iter().all(is_known) {
            let changes: Vec<Value> = items.into_iter().map(|item| item.into_known(at)).collect();
            let row = Object::from_iter([
                ("id".to_owned(), Value::RecordId(id)),
                ("changes".to_owned(), Value::Array(changes.into())),
            ]);
            self.add(Part::Rows {
                table: PENDING,
                if_exists: IfExists::Fail,
                rows: vec![Value::Object(row)],
            });
            return;
        }
        let parts: Vec<String> = items
            .into_iter()
            .map(|item| item.into_expression(&mut Bindings(&mut self.variables), at))
            .collect();
        let all = format!("array::flatten([{}])", parts.join(", "));
        self.define("$told", all);
        let id = self.bind(id);
        self.push(format!(
            "IF $told != [] {{ INSERT INTO {PENDING} {{ id: {id}, changes: $told }} RETURN NONE }}"
        ));
    }
}
