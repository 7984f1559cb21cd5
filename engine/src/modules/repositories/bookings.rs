//! Storage steps of bookings. Called by the bookings and notifications modules; calls models.

use std::collections::{HashMap, HashSet};

use surrealdb::types::{RecordId, SurrealValue};
use ulid::Ulid;

use super::{
    check_ins::STALE_BOOKING,
    db::{Answers, Db, Script, StepError},
    hold_changes::{HoldChange, add_holds},
    inventory::{InventoryChange, add_change},
    models::{
        BookingRow, CapacityLedgerRow, CustomerBookingRow, HoldRow, IdRow, IdempotencyRow,
        InventoryRow, OpenHoldRow, booking_id, newest_first_key,
    },
    notifications::{NewMails, add_mails, add_mails_about},
    plugins::{add_decisions, add_policy_guard, add_policy_version},
    unconfirmed::{self, UnconfirmedAccount, add_account, ask_accounts},
    waitlist::{Offers, add_offers},
};
use crate::{
    error::Result,
    types::{
        Booking, BookingId, DecisionRecord, DeliveryId, EventId, Hold, HoldId, Inventory,
        PageRequest, RecordedRequest, RequestKey, TenantId, UserId,
    },
};

/// The input that a group needs; each list is at most as long as the group.
#[derive(Debug, Clone, Default)]
pub(in crate::modules) struct GroupQuery {
    /// The id of the group's change.
    pub(in crate::modules) change: Ulid,
    /// The revisions that its plans with an unknown outcome would have made.
    pub(in crate::modules) open_revisions: Vec<i64>,
    /// Idempotency keys, which may have been used before.
    pub(in crate::modules) keys: Vec<RequestKey>,
    /// Customers whose tickets are counted.
    pub(in crate::modules) customers: Vec<UserId>,
    /// Customers who want a hold.
    pub(in crate::modules) holders: Vec<UserId>,
    /// Those of them who are unconfirmed.
    pub(in crate::modules) unconfirmed: Vec<UserId>,
    /// Holds to confirm.
    pub(in crate::modules) holds: Vec<HoldId>,
}

/// The input of a group's decision, read in one transaction.
pub(in crate::modules) struct GroupSnapshot {
    pub(in crate::modules) inventory: Option<Inventory>,
    pub(in crate::modules) recorded: HashMap<RequestKey, RecordedRequest>,
    /// Tickets of the event that each of these customers booked or holds.
    pub(in crate::modules) tickets: HashMap<UserId, u32>,
    /// The active hold of each customer who wants one or is counted, if there is one.
    pub(in crate::modules) open_holds: HashMap<UserId, HoldId>,
    /// What unconfirmed customers hold and wait for, in all events.
    pub(in crate::modules) unconfirmed: HashMap<UserId, UnconfirmedAccount>,
    /// The holds to confirm.
    pub(in crate::modules) holds: HashMap<HoldId, Hold>,
    /// The version of the tenant's plugin set.
    pub(in crate::modules) policy_version: u64,
    /// Which of the plans so far was committed, if one was.
    pub(in crate::modules) committed: Option<u32>,
}

/// The write of a group: for n bookings at most 4n + n/32 * 2 + 3 rows, and for each hold 5 more.
pub(in crate::modules) struct GroupPlan {
    pub(in crate::modules) change: InventoryChange,
    pub(in crate::modules) bookings: Vec<Booking>,
    /// Holds that are created or confirmed.
    pub(in crate::modules) holds: Vec<HoldChange>,
    /// The new rows of the unconfirmed accounts that get some of them.
    pub(in crate::modules) unconfirmed: Vec<(UserId, UnconfirmedAccount)>,
    pub(in crate::modules) mails: NewMails,
    /// The version of the tenant's plugin set under which all of it was decided.
    pub(in crate::modules) policy_version: u64,
    /// The policies' input and answers, by the serial of the booking or hold.
    pub(in crate::modules) decisions: Vec<(Ulid, DecisionRecord)>,
}

/// The write of a cancellation: at most 7 rows, and the offers of the freed tickets.
pub(in crate::modules) struct CancelStep {
    /// The booking to write.
    pub(in crate::modules) booking: Booking,
    pub(in crate::modules) change: InventoryChange,
    pub(in crate::modules) mails: NewMails,
    pub(in crate::modules) offers: Offers,
    /// The version of the tenant's plugin set under which it was decided, if plugins were called.
    pub(in crate::modules) policy_version: Option<u64>,
}

pub(in crate::modules) struct BookingsRepository {
    db: Db,
}

/// The indexes of a group's input in a script's results.
struct Places {
    inventory: usize,
    policies: usize,
    markers: Option<usize>,
    recorded: Option<usize>,
    holds: Option<usize>,
    bookings_of: Vec<(UserId, usize)>,
    open_holds: Option<usize>,
    unconfirmed: Vec<(UserId, unconfirmed::Places)>,
}

impl BookingsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Reads the input of a group.
    pub(in crate::modules) async fn read_group(
        &self,
        tenant: &TenantId,
        event: EventId,
        question: &GroupQuery,
    ) -> Result<GroupSnapshot, StepError> {
        let mut script = Script::snapshot(tenant);
        let places = ask(&mut script, tenant, event, question);
        let mut answers = self.db.run(&script).await?;
        snapshot(&mut answers, places, tenant, question)
            .map_err(|error| StepError::Other(error.into()))
    }

    /// Writes a group in one transaction, if the inventory still has the revision that was read.
    pub(in crate::modules) async fn insert_group(
        &self,
        tenant: &TenantId,
        plan: &GroupPlan,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        add_policy_guard(&mut script, tenant, plan.policy_version);
        add_change(&mut script, tenant, &plan.change);
        if !plan.bookings.is_empty() {
            let bookings = plan.bookings.iter();
            let rows = script.bind(
                bookings
                    .map(|booking| BookingRow::of(tenant, booking))
                    .collect::<Vec<_>>(),
            );
            script.push(format!("INSERT INTO booking {rows} RETURN NONE"));
            let mails: HashMap<BookingId, DeliveryId> = plan.mails.places().collect();
            let bookings = plan.bookings.iter();
            let rows = script.bind(
                bookings
                    .map(|booking| {
                        let mail = mails.get(&booking.id).copied();
                        CustomerBookingRow::of(tenant, booking.id, mail)
                    })
                    .collect::<Vec<_>>(),
            );
            script.push(format!("INSERT INTO customer_booking {rows} RETURN NONE"));
        }
        add_holds(&mut script, tenant, &plan.holds);
        for (user, account) in &plan.unconfirmed {
            add_account(&mut script, tenant, *user, account);
        }
        add_decisions(&mut script, tenant, &plan.decisions)?;
        add_mails(&mut script, tenant, &plan.mails)?;
        self.db.run(&script).await.map(drop)
    }

    /// Writes a booking with its cancellation, and frees the tickets, if the inventory still has the revision that was read.
    pub(in crate::modules) async fn cancel(
        &self,
        tenant: &TenantId,
        step: &CancelStep,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        if let Some(version) = step.policy_version {
            add_policy_guard(&mut script, tenant, version);
        }
        add_change(&mut script, tenant, &step.change);
        let key = script.bind(BookingRow::key(tenant, step.booking.id));
        let row = script.bind(BookingRow::of(tenant, &step.booking));
        let came_in = script.bind(BookingRow::numbers(&step.booking.checked_in));
        // A check-in writes the booking without its event's inventory, so the booking has a separate guard.
        script.push(format!(
            "LET $cancelled = (UPDATE {key} CONTENT {row} WHERE checked_in = {came_in} RETURN VALUE id)"
        ));
        script.push(format!(
            "IF array::len($cancelled) = 0 {{ THROW '{STALE_BOOKING}' }}"
        ));
        add_mails_about(&mut script, tenant, &step.mails)?;
        add_offers(&mut script, tenant, step.booking.event, &step.offers)?;
        self.db.run(&script).await.map(drop)
    }

    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        booking: BookingId,
    ) -> Result<Option<Booking>> {
        let mut script = Script::of(tenant);
        let key = script.bind(BookingRow::key(tenant, booking));
        let index = script.push(format!("SELECT * FROM ONLY {key}"));
        let row: Option<BookingRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(BookingRow::into_type).transpose()
    }

    /// The bookings with these ids, unordered; at most as many as some batches hold.
    pub(in crate::modules) async fn find_many(
        &self,
        tenant: &TenantId,
        bookings: &[BookingId],
    ) -> Result<Vec<Booking>> {
        let mut script = Script::of(tenant);
        let keys: Vec<_> = bookings
            .iter()
            .map(|id| BookingRow::key(tenant, *id))
            .collect();
        let keys = script.bind(keys);
        let index = script.push(format!("SELECT * FROM {keys}"));
        let rows: Vec<BookingRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(BookingRow::into_type).collect()
    }

    /// The customers among these with a valid booking of an event; at most as many as some batches hold.
    pub(in crate::modules) async fn with_active(
        &self,
        tenant: &TenantId,
        event: EventId,
        customers: &[UserId],
    ) -> Result<HashSet<UserId>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let mut places = Vec::with_capacity(customers.len());
        for customer in customers {
            let key = script.bind(customer.ulid().to_string());
            let index = script.push(format!(
                "SELECT id FROM type::record('booking', [$tenant, {event}, {key}]..[$tenant, {event}, {key}, ..]) \
                 WHERE cancelled_by = NONE LIMIT 1"
            ));
            places.push((*customer, index));
        }
        if places.is_empty() {
            return Ok(HashSet::new());
        }
        let mut answers = self.db.run_retrying(&script).await?;
        let mut found = HashSet::new();
        for (customer, index) in places {
            if !answers.rows::<IdRow>(index)?.is_empty() {
                found.insert(customer);
            }
        }
        Ok(found)
    }

    /// A customer's bookings before one of them, newest first; one more than the page holds, if there are more.
    pub(in crate::modules) async fn list_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
        before: Option<Ulid>,
        page: &PageRequest,
    ) -> Result<Vec<Booking>> {
        let rows = self
            .rows_of_customer(tenant, customer, before, page.limit + 1)
            .await?;
        let ids = rows
            .iter()
            .map(CustomerBookingRow::booking)
            .collect::<Result<Vec<_>>>()?;
        let mut bookings = self.find_many(tenant, &ids).await?;
        bookings.sort_by_key(|booking| std::cmp::Reverse(booking.id.serial()));
        Ok(bookings)
    }

    /// Up to `limit` rows of a customer's list before one of its bookings, newest first.
    async fn rows_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
        before: Option<Ulid>,
        limit: u32,
    ) -> Result<Vec<CustomerBookingRow>> {
        let mut script = Script::of(tenant);
        let customer = script.bind(customer.ulid().to_string());
        let limit = script.bind(i64::from(limit));
        let start = match before {
            Some(serial) => {
                let serial = script.bind(newest_first_key(serial));
                format!("[$tenant, {customer}, {serial}]>")
            }
            None => format!("[$tenant, {customer}]"),
        };
        let index = script.push(format!(
            "SELECT * FROM type::record('customer_booking', {start}..[$tenant, {customer}, ..]) LIMIT {limit}"
        ));
        self.db.run_retrying(&script).await?.rows(index)
    }

    /// The ids of the deliveries about a booking, without those to all customers of its event.
    pub(in crate::modules) async fn mails_of(
        &self,
        tenant: &TenantId,
        booking: BookingId,
    ) -> Result<Vec<DeliveryId>> {
        let mut script = Script::of(tenant);
        let key = script.bind(CustomerBookingRow::key(tenant, booking));
        let index = script.push(format!("SELECT * FROM ONLY {key}"));
        let row: Option<CustomerBookingRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map_or_else(|| Ok(Vec::new()), |row| row.mails())
    }

    /// The same for up to `limit` of a customer's bookings before one of them, newest first.
    pub(in crate::modules) async fn mails_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
        before: Option<Ulid>,
        limit: u32,
    ) -> Result<Vec<(BookingId, Vec<DeliveryId>)>> {
        let rows = self
            .rows_of_customer(tenant, customer, before, limit)
            .await?;
        rows.iter()
            .map(|row| Ok((row.booking()?, row.mails()?)))
            .collect()
    }

    /// The newest booking that a customer has of an event, cancelled ones included. Reads the ids of those that the
    /// customer has there.
    pub(in crate::modules) async fn newest_of(
        &self,
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
    ) -> Result<Option<BookingId>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let customer = script.bind(customer.ulid().to_string());
        let index = script.push(format!(
            "SELECT id FROM booking:[$tenant, {event}, {customer}]..[$tenant, {event}, {customer}, ..] ORDER BY id DESC LIMIT 1"
        ));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.first().map(|row| booking_id(row.id())).transpose()
    }

    /// Up to `limit` of an event's bookings in customer order, after a customer's booking (or all of a customer's) and
    /// up to and with the customer `until`.
    pub(in crate::modules) async fn list_of_event(
        &self,
        tenant: &TenantId,
        event: EventId,
        after: Option<(UserId, Option<Ulid>)>,
        until: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Booking>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let start = match after {
            None => format!("[$tenant, {event}]"),
            Some((customer, serial)) => {
                let customer = script.bind(customer.ulid().to_string());
                match serial {
                    Some(serial) => {
                        let serial = script.bind(serial.to_string());
                        format!("[$tenant, {event}, {customer}, {serial}]>")
                    }
                    None => format!("[$tenant, {event}, {customer}, ..]>"),
                }
            }
        };
        let end = match until {
            Some(customer) => {
                let customer = script.bind(customer.ulid().to_string());
                format!("[$tenant, {event}, {customer}, ..]")
            }
            None => format!("[$tenant, {event}, ..]"),
        };
        let limit = script.bind(i64::from(limit));
        let index = script.push(format!(
            "SELECT * FROM type::record('booking', {start}..{end}) LIMIT {limit}"
        ));
        let rows: Vec<BookingRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(BookingRow::into_type).collect()
    }
}

/// Adds the reads of a group to a script.
fn ask(script: &mut Script, tenant: &TenantId, event: EventId, question: &GroupQuery) -> Places {
    let record = script.bind(InventoryRow::key(tenant, event));
    let inventory = script.push(format!("SELECT * FROM ONLY {record}"));
    let policies = add_policy_version(script, tenant);
    let revisions = question.open_revisions.iter();
    let markers = revisions.map(|revision| CapacityLedgerRow::key(tenant, event, *revision));
    let markers = select_all(script, markers.collect());
    let keys = question.keys.iter();
    let recorded = select_all(
        script,
        keys.map(|key| IdempotencyRow::key(Some(tenant), key))
            .collect(),
    );
    let holds = question.holds.iter();
    let holds = select_all(
        script,
        holds.map(|hold| HoldRow::key(tenant, *hold)).collect(),
    );
    let holders = question.holders.iter();
    let more = holders.filter(|holder| !question.customers.contains(holder));
    let holders = question.customers.iter().chain(more);
    let open_holds = holders.map(|holder| OpenHoldRow::key(tenant, event, *holder));
    let open_holds = select_all(script, open_holds.collect());
    let unconfirmed = ask_accounts(script, tenant, &question.unconfirmed);
    let event = script.bind(event.ulid().to_string());
    let mut bookings_of = Vec::with_capacity(question.customers.len());
    for customer in &question.customers {
        let key = script.bind(customer.ulid().to_string());
        let index = script.push(format!(
            "SELECT * FROM booking:[$tenant, {event}, {key}]..[$tenant, {event}, {key}, ..] \
             WHERE cancelled_by = NONE"
        ));
        bookings_of.push((*customer, index));
    }
    Places {
        inventory,
        policies,
        markers,
        recorded,
        holds,
        bookings_of,
        open_holds,
        unconfirmed,
    }
}

/// Adds a read of rows by id; none if there are no ids.
fn select_all(script: &mut Script, ids: Vec<RecordId>) -> Option<usize> {
    if ids.is_empty() {
        return None;
    }
    let ids = script.bind(ids);
    Some(script.push(format!("SELECT * FROM {ids}")))
}

/// Reads the results of [`ask`].
fn snapshot(
    answers: &mut Answers,
    places: Places,
    tenant: &TenantId,
    question: &GroupQuery,
) -> Result<GroupSnapshot> {
    let inventory = answers.row::<InventoryRow>(places.inventory)?;
    let policy_version = answers.row::<u64>(places.policies)?.unwrap_or(0);
    let markers: Vec<CapacityLedgerRow> = rows_at(answers, places.markers)?;
    let known: Vec<IdempotencyRow> = rows_at(answers, places.recorded)?;
    let mut recorded = HashMap::new();
    for key in &question.keys {
        let id = IdempotencyRow::key(Some(tenant), key);
        if let Some(row) = known.iter().find(|row| row.id == id) {
            recorded.insert(key.clone(), row.clone().into_type(key)?);
        }
    }
    let mut holds = HashMap::new();
    for row in rows_at::<HoldRow>(answers, places.holds)? {
        let hold = row.into_type()?;
        holds.insert(hold.id, hold);
    }
    let (mut tickets, mut open_holds) = (HashMap::new(), HashMap::new());
    for (customer, index) in places.bookings_of {
        let mut sum = 0;
        for row in answers.rows::<BookingRow>(index)? {
            sum += row.into_type()?.tickets();
        }
        tickets.insert(customer, sum);
    }
    for row in rows_at::<OpenHoldRow>(answers, places.open_holds)? {
        let hold = row.hold()?;
        if let Some(sum) = tickets.get_mut(&hold.customer()) {
            *sum += row.tickets;
        }
        open_holds.insert(hold.customer(), hold);
    }
    Ok(GroupSnapshot {
        policy_version,
        inventory: inventory.map(InventoryRow::into_type).transpose()?,
        recorded,
        tickets,
        open_holds,
        unconfirmed: unconfirmed::accounts(answers, places.unconfirmed)?,
        holds,
        committed: markers
            .iter()
            .find_map(|row| row.attempt_of(question.change)),
    })
}

fn rows_at<T: SurrealValue>(answers: &mut Answers, place: Option<usize>) -> Result<Vec<T>> {
    place.map_or_else(|| Ok(Vec::new()), |index| answers.rows(index))
}
