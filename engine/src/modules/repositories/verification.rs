//! Reads for verification: the inventory, the sums of its bookings, and the capacity ledger.
//!
//! Called by the verification module; calls models.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use surrealdb::types::SurrealValue;

use super::{
    db::{Count, Db, Script, StepError, SystemScope},
    models::{
        BookingLineRow, BookingNumbersRow, BookingRow, CapacityLedgerRow, ClaimUseRow, EventRow,
        EventWordRow, IdRow, InventoryRow, ReferenceRow,
    },
};
use crate::{
    error::Result,
    types::{
        Booking, BookingId, CapacityEntry, EventId, Inventory, NumberGroup, TenantId, TicketTypeId,
    },
};

/// Time limit of reading one event: it counts all its bookings, about 100,000 a second.
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// An event's counters and the sums of its bookings, read in one transaction.
#[derive(Debug)]
pub(in crate::modules) struct EventCounters {
    pub(in crate::modules) inventory: Inventory,
    /// The number of bookings, cancelled ones included.
    pub(in crate::modules) bookings: u64,
    /// Tickets in bookings that count as sold, by type.
    pub(in crate::modules) booked: Vec<(TicketTypeId, u64)>,
    /// Active holds, and the entries of their customers.
    pub(in crate::modules) open_holds: (u64, u64),
    /// Tickets in active holds, by type.
    pub(in crate::modules) held: Vec<(TicketTypeId, u64)>,
    /// Entries on the waiting list, and the entries of their customers.
    pub(in crate::modules) waiting: (u64, u64),
}

pub(in crate::modules) struct VerificationRepository {
    db: Db,
}

/// Bookings, or holds, with the same lines.
#[derive(Debug, SurrealValue)]
struct SameLines {
    lines: Vec<BookingLineRow>,
    bookings: u64,
}

impl VerificationRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Up to `max` events of all tenants after one of them.
    pub(in crate::modules) async fn events(
        &self,
        scope: SystemScope,
        after: Option<(TenantId, EventId)>,
        max: u32,
    ) -> Result<Vec<(TenantId, EventId)>> {
        let mut script = Script::across_tenants(scope);
        let (tenant, event) = after.map_or_else(Default::default, |(tenant, event)| {
            (tenant.as_str().to_owned(), event.ulid().to_string())
        });
        let (tenant, event) = (script.bind(tenant), script.bind(event));
        let max = script.bind(i64::from(max));
        let index = script.push(format!(
            "SELECT id FROM type::record('inventory', [{tenant}, {event}]>..) LIMIT {max}"
        ));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.iter().map(IdRow::tenant_and_event).collect()
    }

    /// An event's counters and what its bookings add up to, in one consistent read; `None` if it was deleted. Bookings are
    /// counted in the store, by equal lines, so an event with a million takes no memory here.
    pub(in crate::modules) async fn counters(
        &self,
        tenant: &TenantId,
        event: EventId,
    ) -> Result<Option<EventCounters>> {
        let mut script = Script::snapshot(tenant);
        let record = script.bind(InventoryRow::key(tenant, event));
        let event = script.bind(event.ulid().to_string());
        let inventory = script.push(format!("SELECT * FROM ONLY {record}"));
        let range = |table: &str| format!("{table}:[$tenant, {event}]..[$tenant, {event}, ..]");
        // The bookings of a cancelled event still count: its counters are left unchanged.
        let booked = script.push(format!(
            "SELECT lines, count() AS bookings FROM {} WHERE cancelled_by = NONE OR cancelled_by = 'event' \
             GROUP BY lines",
            range("booking")
        ));
        let held = script.push(format!(
            "SELECT lines, count() AS bookings FROM {} WHERE status = 'held' GROUP BY lines",
            range("hold")
        ));
        let notes = script.push(format!(
            "SELECT count() FROM {} GROUP ALL",
            range("open_hold")
        ));
        let count = script.push(format!(
            "SELECT count() FROM {} GROUP ALL",
            range("booking")
        ));
        let waiting = ["waitlist_entry", "waiting"]
            .map(|table| script.push(format!("SELECT count() FROM {} GROUP ALL", range(table))));
        let mut answers = self
            .db
            .run_within(script, READ_TIMEOUT)
            .await
            .map_err(crate::error::Error::from)?;
        let Some(inventory) = answers.row::<InventoryRow>(inventory)? else {
            return Ok(None);
        };
        let counts: Vec<Count> = answers.rows(count)?;
        let notes: Vec<Count> = answers.rows(notes)?;
        let entries: Vec<Count> = answers.rows(waiting[0])?;
        let places: Vec<Count> = answers.rows(waiting[1])?;
        let held: Vec<SameLines> = answers.rows(held)?;
        Ok(Some(EventCounters {
            inventory: inventory.into_type()?,
            bookings: counts.first().map_or(0, |row| row.count),
            booked: by_type(answers.rows(booked)?),
            open_holds: (
                held.iter().map(|group| group.bookings).sum(),
                notes.first().map_or(0, |row| row.count),
            ),
            held: by_type(held),
            waiting: (
                entries.first().map_or(0, |row| row.count),
                places.first().map_or(0, |row| row.count),
            ),
        }))
    }

    /// Returns whether an event can be found by all its words and its organizer: at most 201 rows. Words that it does not have do no harm,
    /// because whoever finds it by one reads it. `None` if it changed meanwhile, or is gone.
    pub(in crate::modules) async fn is_found(
        &self,
        tenant: &TenantId,
        event: EventId,
    ) -> Result<Option<bool>> {
        let key = EventRow::key(tenant, event);
        let mut script = Script::of(tenant);
        let index = script.read(key.clone());
        let row: Option<EventRow> = self.db.run_retrying(&script).await?.row(index)?;
        let Some(event) = row.map(EventRow::into_type).transpose()? else {
            return Ok(None);
        };
        let keys = EventWordRow::keys(tenant, &event);
        let wanted = keys.len();
        let mut script = Script::snapshot(tenant);
        let (words, now) = (script.read_all(keys), script.read(key));
        let mut answers = self.db.run(script).await?;
        let found: Vec<EventWordRow> = answers.rows(words)?;
        let now: Option<EventRow> = answers.row(now)?;
        let now = now.map(EventRow::into_type).transpose()?;
        let is_same = now.is_some_and(|now| now.version == event.version);
        Ok(is_same.then_some(found.len() == wanted))
    }

    /// Up to `max` of an event's bookings after one of them.
    pub(in crate::modules) async fn bookings(
        &self,
        tenant: &TenantId,
        event: EventId,
        after: Option<BookingId>,
        max: u32,
    ) -> Result<Vec<Booking>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let start = match after {
            None => format!("[$tenant, {event}]"),
            Some(after) => {
                let customer = script.bind(after.customer().ulid().to_string());
                let serial = script.bind(after.serial().to_string());
                format!("[$tenant, {event}, {customer}, {serial}]>")
            }
        };
        let max = script.bind(i64::from(max));
        let index = script.push(format!(
            "SELECT * FROM type::record('booking', {start}..[$tenant, {event}, ..]) LIMIT {max}"
        ));
        let mut answers = self.db.run_within(script, READ_TIMEOUT).await?;
        let rows: Vec<BookingRow> = answers.rows(index)?;
        rows.into_iter().map(BookingRow::into_type).collect()
    }

    /// The first of these bookings that its number does not lead to.
    pub(in crate::modules) async fn without_number(
        &self,
        tenant: &TenantId,
        bookings: &[Booking],
    ) -> Result<Option<BookingId>> {
        let groups: BTreeSet<NumberGroup> =
            bookings.iter().map(|one| one.number.place().0).collect();
        let keys = groups
            .iter()
            .map(|group| BookingNumbersRow::key(tenant, *group));
        let mut script = Script::of(tenant);
        let index = script.read_all(keys.collect::<Vec<_>>());
        let rows: Vec<BookingNumbersRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let rows: HashMap<NumberGroup, BookingNumbersRow> = rows
            .into_iter()
            .map(|row| Ok((row.group()?, row)))
            .collect::<Result<_>>()?;
        for booking in bookings {
            let (group, place) = booking.number.place();
            let found = rows.get(&group).map(|row| row.booking(place)).transpose()?;
            if found.flatten() != Some(booking.id) {
                return Ok(Some(booking.id));
            }
        }
        Ok(None)
    }

    /// The first of these bookings that its reference does not lead to.
    pub(in crate::modules) async fn without_reference(
        &self,
        tenant: &TenantId,
        bookings: &[Booking],
    ) -> Result<Option<BookingId>> {
        let own = bookings.iter();
        let own: Vec<_> = own
            .filter_map(|one| Some((one.id, ReferenceRow::of_booking(tenant, one)?)))
            .collect();
        if own.is_empty() {
            return Ok(None);
        }
        let mut script = Script::of(tenant);
        let keys = own.iter().map(|(_, row)| row.id.clone());
        let index = script.read_all(keys.collect::<Vec<_>>());
        let rows: Vec<ReferenceRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let mut found = HashSet::new();
        for row in rows {
            found.insert(row.booking()?);
        }
        let lost = own.iter().find(|(booking, _)| !found.contains(booking));
        Ok(lost.map(|(booking, _)| *booking))
    }

    /// The first of these bookings of whose claims the counters have something else.
    pub(in crate::modules) async fn without_claims(
        &self,
        tenant: &TenantId,
        bookings: &[Booking],
    ) -> Result<Option<BookingId>> {
        let mut wanted = HashMap::new();
        for booking in bookings {
            for one in &booking.claims {
                let id = ClaimUseRow::key(tenant, &one.key, booking.id);
                wanted.insert(id, (booking.id, one.left()));
            }
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        let mut script = Script::of(tenant);
        let index = script.read_all(wanted.keys().cloned().collect::<Vec<_>>());
        let rows: Vec<ClaimUseRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let found: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row.amount)).collect();
        let mut all = wanted.iter();
        let wrong = all.find(|(id, (_, left))| found.get(id).copied().unwrap_or(0) != *left);
        Ok(wrong.map(|(_, (booking, _))| *booking))
    }

    /// Up to `max` rows of an event's capacity ledger, after one revision and up to another.
    pub(in crate::modules) async fn ledger(
        &self,
        tenant: &TenantId,
        event: EventId,
        (after, until): (i64, i64),
        max: u32,
    ) -> Result<Vec<CapacityEntry>, StepError> {
        let other = |error: crate::error::Error| StepError::Other(error.into());
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let (after, until) = (script.bind(after), script.bind(until));
        let max = script.bind(i64::from(max));
        let index = script.push(format!(
            "SELECT * FROM type::record('capacity_ledger', [$tenant, {event}, {after}]>..=[$tenant, {event}, {until}]) LIMIT {max}"
        ));
        let mut answers = self.db.run_retrying(&script).await?;
        let rows = answers.rows::<CapacityLedgerRow>(index).map_err(other)?;
        rows.into_iter()
            .map(|row| row.into_type().map_err(other))
            .collect()
    }
}

fn by_type(groups: Vec<SameLines>) -> Vec<(TicketTypeId, u64)> {
    let mut sums: Vec<(TicketTypeId, u64)> = Vec::new();
    for group in groups {
        for line in group.lines {
            let tickets = group.bookings.saturating_mul(u64::from(line.quantity));
            let id = TicketTypeId::new(line.ticket_type);
            match sums.iter_mut().find(|(known, _)| *known == id) {
                Some((_, sum)) => *sum = sum.saturating_add(tickets),
                None => sums.push((id, tickets)),
            }
        }
    }
    sums
}
