//! The first of a waiting list, with what decides whether they can be offered tickets. Called by the maker of offers; calls models.

use std::collections::HashMap;

use super::{
    booked_tickets::{ask_bookings, tickets_booked},
    db::Script,
    models::OpenHoldRow,
    waitlist::WaitlistRepository,
};
use crate::{
    error::Result,
    types::{EventId, HoldId, TenantId, UserId, WaitlistEntry},
};

/// An entry, and the customer's active hold.
#[derive(Debug, Clone)]
pub(in crate::modules) struct Waiter {
    pub(in crate::modules) entry: WaitlistEntry,
    pub(in crate::modules) open_hold: Option<HoldId>,
    /// Tickets of the event that the customer has booked; 0 if they were not to be counted.
    pub(in crate::modules) tickets: u32,
}

impl WaitlistRepository {
    /// The first entries of an event's list, at most `max`; if asked for, with the tickets that their customers have booked. For a step they are guarded by the event's inventory: every
    /// change of a list, and of an active hold, writes it.
    pub(in crate::modules) async fn first(
        &self,
        tenant: &TenantId,
        event: EventId,
        (max, counts_tickets): (usize, bool),
    ) -> Result<Vec<Waiter>> {
        let entries = self.list(tenant, event, None, max as u32).await?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut script = Script::of(tenant);
        let keys = entries.iter();
        let keys: Vec<_> = keys
            .map(|entry| OpenHoldRow::key(tenant, event, entry.customer))
            .collect();
        let index = script.read_all(keys);
        let counted = entries.iter().filter(|_| counts_tickets);
        let counted = counted.map(|entry| {
            let place = ask_bookings(&mut script, tenant, (event, entry.customer));
            (entry.customer, place)
        });
        let counted: Vec<_> = counted.collect();
        let mut answers = self.db.run_retrying(&script).await?;
        let mut tickets: HashMap<UserId, u32> = HashMap::new();
        for (customer, place) in counted {
            tickets.insert(customer, tickets_booked(&mut answers, place)?);
        }
        let rows: Vec<OpenHoldRow> = answers.rows(index)?;
        let mut open: HashMap<UserId, HoldId> = HashMap::new();
        for row in rows {
            let hold = row.hold()?;
            open.insert(hold.customer(), hold);
        }
        Ok(entries
            .into_iter()
            .map(|entry| Waiter {
                open_hold: open.get(&entry.customer).copied(),
                tickets: tickets.get(&entry.customer).copied().unwrap_or(0),
                entry,
            })
            .collect())
    }
}
