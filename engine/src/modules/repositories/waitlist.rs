//! Storage steps of waiting lists. Called by the bookings and events modules; calls models.

use std::collections::BTreeSet;

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    booked_tickets::{ask_bookings, tickets_booked},
    db::{Count, Db, Script, StepError, SystemScope},
    hold_changes::{HoldChange, add_holds},
    idempotency::record_unchanged,
    inventory::{InventoryChange, add_change},
    models::{
        CustomerWaitlistRow, HoldRow, IdRow, InventoryRow, OfferDueRow, OpenHoldRow, WaitingRow,
        WaitlistEntryRow, WaitlistPassRow, key_ulid, millisecond, newest_first_key,
    },
    notifications::{NewMails, add_mails},
    unconfirmed::{self, UnconfirmedAccount, add_account},
};
use crate::{
    error::Result,
    types::{
        ChangeKind, DeliveryId, EventId, Hold, Inventory, RecordedRequest, TenantId, UserId,
        WaitlistEntry, WaitlistPass,
    },
};

/// The offers of freed tickets: at most 7 rows for each of 50 offers, a pass, 4 of mails, and the time of the next
/// check.
#[derive(Debug, Clone, Default)]
pub(in crate::modules) struct Offers {
    /// The holds that are made.
    pub(in crate::modules) holds: Vec<HoldChange>,
    /// Their entries, which leave the list.
    pub(in crate::modules) taken: Vec<WaitlistEntry>,
    /// The entries that were passed over, if there are any.
    pub(in crate::modules) pass: Option<WaitlistPass>,
    pub(in crate::modules) mails: NewMails,
    /// When the sale of a type begins for which somebody may wait.
    pub(in crate::modules) look_again: Option<Timestamp>,
}

/// An event whose waiting list must be checked, because the sale of one of its types begins.
#[derive(Debug, Clone)]
pub(in crate::modules) struct DueOffer {
    pub(in crate::modules) due_at: Timestamp,
    pub(in crate::modules) tenant: TenantId,
    pub(in crate::modules) event: EventId,
}

/// A customer's place, and the inventory.
pub(in crate::modules) struct WaitlistPosition {
    pub(in crate::modules) inventory: Option<Inventory>,
    pub(in crate::modules) entry: Option<WaitlistEntry>,
    /// The number of entries before it.
    pub(in crate::modules) ahead: u64,
    /// The customer's active hold.
    pub(in crate::modules) open_hold: Option<Hold>,
}

pub(in crate::modules) struct WaitlistRepository {
    pub(super) db: Db,
}

impl WaitlistRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Writes the record of a request to join by somebody who waits already: 2 rows.
    pub(in crate::modules) async fn record_unchanged(
        &self,
        tenant: &TenantId,
        step: Ulid,
        recorded: RecordedRequest,
        at: Timestamp,
    ) -> Result<()> {
        record_unchanged(&self.db, tenant, step, recorded, at).await
    }

    /// Up to `max` entries of an event after one of them, in order.
    pub(in crate::modules) async fn list(
        &self,
        tenant: &TenantId,
        event: EventId,
        after: Option<i64>,
        max: u32,
    ) -> Result<Vec<WaitlistEntry>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let start = match after {
            None => format!("[$tenant, {event}]"),
            Some(number) => {
                let number = script.bind(number);
                format!("[$tenant, {event}, {number}]>")
            }
        };
        let max = script.bind(i64::from(max));
        let index = script.push(format!(
            "SELECT * FROM type::record('waitlist_entry', {start}..[$tenant, {event}, ..]) LIMIT {max}"
        ));
        let rows: Vec<WaitlistEntryRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(WaitlistEntryRow::into_type).collect()
    }

    /// A customer's place on an event's list, in one consistent read of at most as many keys as the list has.
    pub(in crate::modules) async fn position(
        &self,
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
    ) -> Result<WaitlistPosition> {
        let mut script = Script::snapshot(tenant);
        let record = script.bind(InventoryRow::key(tenant, event));
        let waiting = script.bind(WaitingRow::key(tenant, event, customer));
        let open = script.bind(OpenHoldRow::key(tenant, event, customer));
        let event_key = script.bind(event.ulid().to_string());
        let customer_key = script.bind(customer.ulid().to_string());
        let inventory = script.push(format!("SELECT * FROM ONLY {record}"));
        let number = format!("SELECT VALUE number FROM ONLY {waiting}");
        script.define("$number", number);
        let entry = script.push(format!(
            "SELECT * FROM waitlist_entry:[$tenant, {event_key}, $number]"
        ));
        let ahead = script.push(format!(
            "SELECT count() FROM waitlist_entry:[$tenant, {event_key}]..[$tenant, {event_key}, $number ?? 0] GROUP ALL"
        ));
        let serial = format!("SELECT VALUE serial FROM ONLY {open}");
        script.define("$serial", serial);
        let hold = script.push(format!(
            "SELECT * FROM hold:[$tenant, {event_key}, {customer_key}, $serial]"
        ));
        let mut answers = self.db.run(script).await?;
        let entries: Vec<WaitlistEntryRow> = answers.rows(entry)?;
        let counts: Vec<Count> = answers.rows(ahead)?;
        let holds: Vec<HoldRow> = answers.rows(hold)?;
        let inventory = answers.row::<InventoryRow>(inventory)?;
        let first = |entries: Vec<WaitlistEntryRow>| entries.into_iter().next();
        Ok(WaitlistPosition {
            inventory: inventory.map(InventoryRow::into_type).transpose()?,
            entry: first(entries)
                .map(WaitlistEntryRow::into_type)
                .transpose()?,
            ahead: counts.first().map_or(0, |row| row.count),
            open_hold: holds
                .into_iter()
                .next()
                .map(HoldRow::into_type)
                .transpose()?,
        })
    }

    /// The tickets of an event that a customer has booked. For a step they are guarded by the event's inventory, if it was read before:
    /// every booking writes it.
    pub(in crate::modules) async fn tickets_of(
        &self,
        tenant: &TenantId,
        place: (EventId, UserId),
    ) -> Result<u32> {
        let mut script = Script::of(tenant);
        let booked = ask_bookings(&mut script, tenant, place);
        tickets_booked(&mut self.db.run_retrying(&script).await?, booked)
    }

    /// Customers who wait for tickets of an event or have an offer, in customer order: the first `max` after one of them.
    pub(in crate::modules) async fn customers(
        &self,
        tenant: &TenantId,
        event: EventId,
        after: Option<UserId>,
        max: u32,
    ) -> Result<Vec<UserId>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let start = match after {
            None => format!("[$tenant, {event}]"),
            Some(customer) => {
                let customer = script.bind(customer.ulid().to_string());
                format!("[$tenant, {event}, {customer}]>")
            }
        };
        let limit = script.bind(i64::from(max));
        let places = [("waiting", ""), ("open_hold", "WHERE offered = true")].map(
            |(table, only)| {
                script.push(format!(
                    "SELECT id FROM type::record('{table}', {start}..[$tenant, {event}, ..]) {only} LIMIT {limit}"
                ))
            },
        );
        let mut customers = self.customers_at(&script, places).await?;
        while customers.len() > max as usize {
            customers.pop_last();
        }
        Ok(customers.into_iter().collect())
    }

    /// The customers among these who wait for tickets of an event or have an offer; at most as many as some batches hold.
    pub(in crate::modules) async fn those_of(
        &self,
        tenant: &TenantId,
        event: EventId,
        customers: &[UserId],
    ) -> Result<BTreeSet<UserId>> {
        let mut script = Script::of(tenant);
        let keys = customers.iter();
        let waiting = script.bind(
            keys.clone()
                .map(|customer| WaitingRow::key(tenant, event, *customer))
                .collect::<Vec<_>>(),
        );
        let open = script.bind(
            keys.map(|customer| OpenHoldRow::key(tenant, event, *customer))
                .collect::<Vec<_>>(),
        );
        let places = [(waiting, ""), (open, "WHERE offered = true")]
            .map(|(keys, only)| script.push(format!("SELECT id FROM {keys} {only}")));
        self.customers_at(&script, places).await
    }

    async fn customers_at(&self, script: &Script, places: [usize; 2]) -> Result<BTreeSet<UserId>> {
        let mut answers = self.db.run_retrying(script).await?;
        let mut customers = BTreeSet::new();
        for place in places {
            for row in answers.rows::<IdRow>(place)? {
                customers.insert(UserId::from_ulid(key_ulid(row.id(), 2)?));
            }
        }
        Ok(customers)
    }

    /// The events on whose lists a customer was, and the ids of the mails that offered them tickets: up to
    /// `limit` events made before one of them, newest first.
    pub(in crate::modules) async fn mails_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
        before: Option<Ulid>,
        limit: u32,
    ) -> Result<Vec<(EventId, Vec<DeliveryId>)>> {
        let mut script = Script::of(tenant);
        let customer = script.bind(customer.ulid().to_string());
        let limit = script.bind(i64::from(limit));
        let start = match before {
            Some(event) => {
                let event = script.bind(newest_first_key(event));
                format!("[$tenant, {customer}, {event}]>")
            }
            None => format!("[$tenant, {customer}]"),
        };
        let index = script.push(format!(
            "SELECT * FROM type::record('customer_waitlist', {start}..[$tenant, {customer}, ..]) LIMIT {limit}"
        ));
        let rows: Vec<CustomerWaitlistRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.iter()
            .map(|row| Ok((row.event()?, row.mails()?)))
            .collect()
    }

    /// Those of these events for which a customer waits or has an offer, in their order.
    pub(in crate::modules) async fn present_at(
        &self,
        tenant: &TenantId,
        customer: UserId,
        events: &[EventId],
    ) -> Result<Vec<EventId>> {
        let mut script = Script::of(tenant);
        let keys = events.iter();
        let waiting = keys
            .clone()
            .map(|event| WaitingRow::key(tenant, *event, customer));
        let waiting = script.read_all(waiting.collect::<Vec<_>>());
        let offers = keys.map(|event| OpenHoldRow::key(tenant, *event, customer));
        let offers = script.read_all(offers.collect::<Vec<_>>());
        let mut answers = self.db.run_retrying(&script).await?;
        let mut present = BTreeSet::new();
        for row in answers.rows::<WaitingRow>(waiting)? {
            present.insert(row.event()?);
        }
        for row in answers.rows::<OpenHoldRow>(offers)? {
            if row.offered {
                present.insert(row.hold()?.event());
            }
        }
        let here = events.iter().filter(|event| present.contains(event));
        Ok(here.copied().collect())
    }

    /// The ids of the mails that offered a customer tickets of an event.
    pub(in crate::modules) async fn mails_of(
        &self,
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
    ) -> Result<Vec<DeliveryId>> {
        let mut script = Script::of(tenant);
        let index = script.read(CustomerWaitlistRow::key(tenant, event, customer));
        let row: Option<CustomerWaitlistRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map_or_else(|| Ok(Vec::new()), |row| row.mails())
    }

    /// The stored passes over an event's list, newest first.
    pub(in crate::modules) async fn passes(
        &self,
        tenant: &TenantId,
        event: EventId,
    ) -> Result<Vec<WaitlistPass>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let index = script.push(format!(
            "SELECT * FROM waitlist_pass:[$tenant, {event}]..[$tenant, {event}, ..]"
        ));
        let rows: Vec<WaitlistPassRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let passes = rows.into_iter().map(WaitlistPassRow::into_type);
        let mut passes = passes.collect::<Result<Vec<_>>>()?;
        passes.sort_by_key(|pass| std::cmp::Reverse(pass.revision));
        Ok(passes)
    }

    /// Makes offers of tickets that were not freed by a step, if the event's inventory is unchanged; and deletes their due
    /// entry: 3 rows, and the offers'.
    pub(in crate::modules) async fn offer(
        &self,
        due: &DueOffer,
        change: &InventoryChange,
        offers: &Offers,
    ) -> Result<(), StepError> {
        let tenant = &due.tenant;
        let mut script = Script::transaction(tenant);
        add_change(&mut script, tenant, change);
        let note = script.bind(OfferDueRow::of(tenant, due.event, due.due_at).id);
        script.push(format!("DELETE {note} RETURN NONE"));
        add_offers(&mut script, tenant, due.event, offers)?;
        self.db.run(script).await.map(drop)
    }

    /// Deletes the due entry of offers: 1 row.
    pub(in crate::modules) async fn forget(&self, due: &DueOffer) -> Result<()> {
        let mut script = Script::of(&due.tenant);
        let note = script.bind(OfferDueRow::of(&due.tenant, due.event, due.due_at).id);
        script.push(format!("DELETE {note} RETURN NONE"));
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Up to `max` events of all tenants whose waiting lists must be checked by a time, the longest due first. Not from
    /// the beginning of the table, like due holds.
    pub(in crate::modules) async fn due(
        &self,
        scope: SystemScope,
        (from, until): (Timestamp, Timestamp),
        max: u32,
    ) -> Result<Vec<DueOffer>> {
        let mut script = Script::across_tenants(scope);
        let (from, until) = (
            script.bind(millisecond(from)),
            script.bind(millisecond(until)),
        );
        let max = script.bind(i64::from(max));
        let index = script.push(format!(
            "SELECT id FROM type::record('offer_due', [{from}]..[{until}, ..]) LIMIT {max}"
        ));
        let rows: Vec<OfferDueRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let due = rows.into_iter().map(|row| {
            let (due_at, tenant, event) = row.into_parts()?;
            Ok(DueOffer {
                due_at,
                tenant,
                event,
            })
        });
        due.collect()
    }

    /// Adds an entry to a list, if the event's inventory is unchanged: at most 6 rows. `account` is the customer's new
    /// row, if they are unconfirmed.
    pub(in crate::modules) async fn join(
        &self,
        tenant: &TenantId,
        change: &InventoryChange,
        entry: &WaitlistEntry,
        account: Option<&UnconfirmedAccount>,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        add_change(&mut script, tenant, change);
        if let Some(account) = account {
            add_account(&mut script, tenant, entry.customer, account);
        }
        let row = WaitlistEntryRow::of(tenant, entry);
        let row = script.telling(ChangeKind::WaitlistJoined, row);
        script.insert("waitlist_entry", [row]);
        let row = script.bind(WaitingRow::of(tenant, entry));
        script.push(format!("INSERT INTO waiting {row} RETURN NONE"));
        let row = script.bind(CustomerWaitlistRow::of(tenant, entry));
        script.push(format!(
            "INSERT IGNORE INTO customer_waitlist {row} RETURN NONE"
        ));
        self.db.run(script).await.map(drop)
    }

    /// What an unconfirmed account holds and waits for.
    pub(in crate::modules) async fn unconfirmed(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<UnconfirmedAccount> {
        unconfirmed::account(&self.db, tenant, user).await
    }

    /// Removes an entry from a list, if the event's inventory is unchanged: 4 rows.
    pub(in crate::modules) async fn leave(
        &self,
        tenant: &TenantId,
        change: &InventoryChange,
        entry: &WaitlistEntry,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        add_change(&mut script, tenant, change);
        remove(&mut script, tenant, ChangeKind::WaitlistLeft, &[entry]);
        self.db.run(script).await.map(drop)
    }
}

/// Adds the offers of a step that frees tickets; see [`Offers`].
pub(in crate::modules::repositories) fn add_offers(
    script: &mut Script,
    tenant: &TenantId,
    event: EventId,
    offers: &Offers,
) -> Result<(), StepError> {
    add_holds(script, tenant, &offers.holds);
    let is_offered = |entry: &&WaitlistEntry| {
        let mut holds = offers.holds.iter().map(|hold| &hold.after);
        holds.any(|hold| hold.waitlist_number == Some(entry.number))
    };
    let taken = offers.taken.iter();
    let (offered, left): (Vec<_>, Vec<_>) = taken.partition(is_offered);
    remove(script, tenant, ChangeKind::WaitlistOffered, &offered);
    remove(script, tenant, ChangeKind::WaitlistLeft, &left);
    if let Some(pass) = &offers.pass {
        let row = WaitlistPassRow::of(tenant, event, pass);
        let (key, row) = (script.bind(row.id.clone()), script.bind(row));
        script.push(format!("UPSERT {key} CONTENT {row} RETURN NONE"));
    }
    for (hold, place) in offers.mails.places() {
        let key = script.bind(CustomerWaitlistRow::key(tenant, event, hold.customer()));
        let place = script.bind(place.to_string());
        let most = CustomerWaitlistRow::MAILS_MAX;
        script.push(format!(
            "UPDATE {key} SET mails = array::append(mails, {place}) WHERE array::len(mails) < {most} RETURN NONE"
        ));
    }
    if let Some(at) = offers.look_again {
        let note = script.bind(OfferDueRow::of(tenant, event, at));
        script.push(format!("INSERT IGNORE INTO offer_due {note} RETURN NONE"));
    }
    add_mails(script, tenant, &offers.mails)
}

fn remove(script: &mut Script, tenant: &TenantId, kind: ChangeKind, entries: &[&WaitlistEntry]) {
    if entries.is_empty() {
        return;
    }
    let told = entries.iter();
    let told = told.map(|entry| WaitlistEntryRow::key(tenant, entry.event, entry.number));
    let told = script.bind(told.collect::<Vec<_>>());
    script.tell_all(kind, &told);
    let keys = entries.iter().flat_map(|entry| {
        [
            WaitlistEntryRow::key(tenant, entry.event, entry.number),
            WaitingRow::key(tenant, entry.event, entry.customer),
        ]
    });
    let keys = script.bind(keys.collect::<Vec<_>>());
    script.push(format!("DELETE {keys} RETURN NONE"));
}
