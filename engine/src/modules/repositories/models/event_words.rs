//! The rows by which events are found: one for each word, and one for the organizer.

use jiff::Timestamp;
use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{at_millisecond, key_number, key_ulid, millisecond, record, ulid_key};
use crate::{
    error::Result,
    types::{EventId, EventWords, SearchTerm, StoredEvent, TenantId, UserId},
};

/// That an event has a word. All is in the key.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct EventWordRow {
    pub(in crate::modules::repositories) id: RecordId,
}

impl EventWordRow {
    /// The keys of an event's rows: at most 201.
    pub(in crate::modules::repositories) fn keys(
        tenant: &TenantId,
        event: &StoredEvent,
    ) -> Vec<RecordId> {
        let key = |word: &str| {
            record(
                "event_word",
                [
                    Value::String(tenant.as_str().to_owned()),
                    Value::String(word.to_owned()),
                    Value::from_t(millisecond(event.details.starts_at)),
                    ulid_key(event.id.ulid()),
                ],
            )
        };
        let words = EventWords::of(&event.details);
        let mut keys: Vec<_> = words.iter().map(key).collect();
        keys.extend(
            event
                .organizer
                .map(|organizer| key(&organizer_word(organizer))),
        );
        keys
    }

    /// The first word of a term's rows, and one that is behind all of them.
    pub(in crate::modules::repositories) fn range(term: &SearchTerm) -> (String, String) {
        let first = match term {
            SearchTerm::Prefix(prefix) => prefix.clone(),
            SearchTerm::Organizer(organizer) => organizer_word(*organizer),
        };
        let last = format!("{first}\u{10ffff}");
        (first, last)
    }

    /// When the event begins, and which it is.
    pub(in crate::modules::repositories) fn place(id: &RecordId) -> Result<(Timestamp, EventId)> {
        let at = at_millisecond(key_number(id, 2)?)?;
        Ok((at, EventId::from_ulid(key_ulid(id, 3)?)))
    }
}

/// Words have letters and digits alone, so no beginning of a word is one of this.
fn organizer_word(organizer: UserId) -> String {
    format!("={}", organizer.ulid())
}
