//! The index by which events are found, written with the events themselves. Called by the events repository; calls models.

use std::collections::HashSet;

use surrealdb::types::RecordId;

use super::{db::Script, models::EventWordRow};
use crate::types::{StoredEvent, TenantId};

/// Changes the rows of an event from those of its old version to those of its new one: at most 201 rows each.
pub(in crate::modules::repositories) fn add_words(
    script: &mut Script,
    tenant: &TenantId,
    before: Option<&StoredEvent>,
    after: Option<&StoredEvent>,
) {
    let keys = |event: Option<&StoredEvent>| -> HashSet<RecordId> {
        let keys = event.map(|event| EventWordRow::keys(tenant, event));
        keys.into_iter().flatten().collect()
    };
    let (before, after) = (keys(before), keys(after));
    script.remove(before.difference(&after).cloned());
    let new = after.difference(&before).cloned();
    script.insert("event_word", new.map(|id| EventWordRow { id }));
}
