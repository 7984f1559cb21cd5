//! What a script tells the feed of changes: each object that it writes, whole, with its next version.
//!
//! The objects become one row of `pending_change`, written in the script's own transaction. Every told object's record has the number
//! of its changes and the step of the last one, so that whoever numbers the feed knows what a change follows. Called by scripts.

use jiff::Timestamp;
use surrealdb::types::{Object, Value};
use ulid::Ulid;

use super::parts::Bindings;
use crate::types::ChangeKind;

/// The table of changes without a number.
pub(in crate::modules::repositories) const PENDING: &str = "pending_change";
/// Columns of objects that are told of: how many changes there were, the step of the last one and of the one before.
pub(super) const NUMBER: &str = "change_number";
pub(super) const STEP: &str = "change_step";
pub(super) const BEFORE: &str = "change_before";

/// Columns that no change has.
const SECRETS: &str = "['password_hash', 'session_epoch']";

/// What a script tells.
#[derive(Clone, Default)]
pub(super) struct Told {
    pub(super) step: Option<Ulid>,
    pub(super) at: Option<Timestamp>,
    pub(super) items: Vec<Item>,
}

/// A change of one object.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) kind: ChangeKind,
    pub(super) row: Row,
}

/// The object as it is written.
#[derive(Clone)]
pub(super) enum Row {
    Known(Value),
    /// Names of variables: of one with rows, and of one with a record that belongs to the object.
    Named {
        rows: String,
        beside: Option<String>,
    },
}

impl Item {
    pub(super) fn into_known(self, at: i64) -> Value {
        let row = match self.row {
            Row::Known(row) => row,
            Row::Named { .. } => Value::None,
        };
        Value::Object(Object::from_iter([
            (
                "kind".to_owned(),
                Value::String(self.kind.as_str().to_owned()),
            ),
            ("at".to_owned(), Value::from_t(at)),
            ("row".to_owned(), row),
        ]))
    }

    /// An expression for a list of changes.
    pub(super) fn into_expression(self, bindings: &mut Bindings<'_>, at: i64) -> String {
        let kind = self.kind.as_str();
        let (rows, beside) = match self.row {
            Row::Named { rows, beside } => (rows, beside),
            Row::Known(row) => (format!("[{}]", bindings.bind(row)), None),
        };
        let beside = beside.map_or_else(String::new, |name| format!(", beside: {name}"));
        format!(
            "array::map({rows}, |$row| {{ kind: '{kind}', at: {at}, row: object::remove($row, {SECRETS}){beside} }})"
        )
    }
}

/// Gives an object its next version.
pub(super) fn advance(columns: &mut Object, step: Ulid) {
    let number = match columns.get(NUMBER) {
        Some(Value::Number(number)) => number.to_int().unwrap_or_default(),
        _ => 0,
    };
    let before = columns.remove(STEP).unwrap_or_default();
    columns.insert(BEFORE.to_owned(), before);
    columns.insert(STEP.to_owned(), Value::String(step.to_string()));
    columns.insert(NUMBER.to_owned(), Value::from_t(number + 1));
}
