//! Reads of events by the index of their words. Called by the events module; calls models.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{
    db::Script,
    events::{EventsRepository, pairs},
    models::{EventRow, EventWordRow, IdRow, InventoryRow},
};
use crate::{
    error::Result,
    types::{EventId, Inventory, SearchTerm, StoredEvent, TenantId},
};

impl EventsRepository {
    /// The events of each term, with their beginnings; `None` for a term with more than `max` rows.
    pub(in crate::modules) async fn with_terms(
        &self,
        tenant: &TenantId,
        terms: &[SearchTerm],
        max: u32,
    ) -> Result<Vec<Option<HashSet<(Timestamp, EventId)>>>> {
        let mut script = Script::snapshot(tenant);
        let limit = script.bind(i64::from(max) + 1);
        let mut places = Vec::with_capacity(terms.len());
        for term in terms {
            let (first, last) = EventWordRow::range(term);
            let (first, last) = (script.bind(first), script.bind(last));
            places.push(script.push(format!(
                "SELECT id FROM type::record('event_word', [$tenant, {first}]..[$tenant, {last}]) LIMIT {limit}"
            )));
        }
        let mut answers = self.db.run(script).await?;
        let mut found = Vec::with_capacity(places.len());
        for place in places {
            let rows: Vec<IdRow> = answers.rows(place)?;
            let events = (rows.len() <= max as usize).then(|| {
                let events = rows.iter().map(|row| EventWordRow::place(row.id()));
                events.collect::<Result<HashSet<_>>>()
            });
            found.push(events.transpose()?);
        }
        Ok(found)
    }

    /// Those of some events that exist, with their inventories, in the order of `events`.
    pub(in crate::modules) async fn some(
        &self,
        tenant: &TenantId,
        events: &[EventId],
    ) -> Result<Vec<(StoredEvent, Inventory)>> {
        let mut script = Script::snapshot(tenant);
        let ids = events.iter();
        let inventories = ids.clone().map(|event| InventoryRow::key(tenant, *event));
        let ids = ids.map(|event| EventRow::key(tenant, *event));
        let (rows, inventories) = (script.read_all(ids), script.read_all(inventories));
        let mut answers = self.db.run(script).await?;
        pairs(&mut answers, rows, inventories)
    }
}
