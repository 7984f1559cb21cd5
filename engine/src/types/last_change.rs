//! What a row says about the last change of its object. It never leaves the engine.

use ulid::Ulid;

/// The last change of an object: what the next one follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LastChange {
    /// How many there were.
    pub(crate) version: i64,
    /// The step that made it.
    pub(crate) step: Option<Ulid>,
}
