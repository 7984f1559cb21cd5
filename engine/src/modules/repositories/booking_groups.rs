//! Storage steps of groups of bookings: the read that a group is decided on, and its write. Called by the bookings module;
//! calls models.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use surrealdb::types::{RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::{
    booked_tickets::{ask_bookings, tickets_booked},
    bookings::BookingsRepository,
    claims::{ClaimChange, add_claims},
    db::{Answers, Script, StepError},
    hold_changes::{HoldChange, add_holds},
    inventory::{InventoryChange, add_change},
    models::{
        BOOKING_REFERENCES, BookingNumbersRow, BookingRow, CapacityLedgerRow, CheckInRow, ClaimRow,
        CustomerBookingRow, HoldRow, IdempotencyRow, InventoryRow, OpenHoldRow, PaymentRow,
        PluginSetRow, ReferenceRow, booking_id,
    },
    notifications::{NewMails, add_mails},
    payments::{PaymentChange, add_payment},
    plugins::{add_decisions, add_policy_guard, replace_decisions},
    receipts::{DueReceipts, add_due_receipts},
    unconfirmed::{self, UnconfirmedAccount, add_account, ask_accounts},
};
use crate::{
    error::Result,
    types::{
        Booking, BookingId, ChangeKind, CheckIn, ClaimCounter, ClaimKey, ClaimUse, DeliveryId,
        EventId, Hold, HoldId, Inventory, NumberGroup, Payment, PaymentKey, RecordedRequest,
        Reference, RequestKey, TenantId, UserId,
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
    /// References of bookings, which may be taken.
    pub(in crate::modules) references: Vec<Reference>,
    /// Counters of which something is taken.
    pub(in crate::modules) claims: Vec<ClaimKey>,
    /// Payments whose bookings are made.
    pub(in crate::modules) payments: Vec<PaymentKey>,
    /// Bookings that payments make, which may exist.
    pub(in crate::modules) paid: Vec<BookingId>,
}

/// The input of a group's decision, read in one transaction.
#[derive(Default)]
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
    /// Those of the references that are taken.
    pub(in crate::modules) references: HashSet<Reference>,
    /// Those of the counters that exist.
    pub(in crate::modules) claims: HashMap<ClaimKey, ClaimCounter>,
    /// The payments whose bookings are made.
    pub(in crate::modules) payments: HashMap<PaymentKey, Payment>,
    /// Those of the bookings that payments make which exist.
    pub(in crate::modules) booked: HashSet<BookingId>,
    /// The version of the tenant's plugin set.
    pub(in crate::modules) policy_version: u64,
    /// Which of the plans so far was committed, if one was.
    pub(in crate::modules) committed: Option<u32>,
}

/// The write of a group: for n bookings at most 5n + n/32 * 2 + 5 rows, for each hold 6 more, for each payment 5 more, and one for
/// each ticket that an imported booking has checked in.
pub(in crate::modules) struct GroupPlan {
    pub(in crate::modules) change: InventoryChange,
    pub(in crate::modules) bookings: Vec<Booking>,
    /// The group of their numbers.
    pub(in crate::modules) numbers: NumberGroup,
    /// Holds that are created or confirmed.
    pub(in crate::modules) holds: Vec<HoldChange>,
    /// The new rows of the unconfirmed accounts that get some of them.
    pub(in crate::modules) unconfirmed: Vec<(UserId, UnconfirmedAccount)>,
    pub(in crate::modules) mails: NewMails,
    /// Check-ins of imported bookings.
    pub(in crate::modules) check_ins: Vec<CheckIn>,
    /// The version of the tenant's plugin set under which all of it was decided.
    pub(in crate::modules) policy_version: u64,
    /// The policies' input and answers, by the serial of the booking or hold: texts of `DecisionRecord`s.
    pub(in crate::modules) decisions: Vec<(Ulid, Arc<str>)>,
    /// The same of bookings whose hold was decided about before: these replace what was decided then.
    pub(in crate::modules) late_decisions: Vec<(Ulid, Arc<str>)>,
    /// The payments whose bookings are made.
    pub(in crate::modules) payments: Vec<PaymentChange>,
    /// The counters of which something is taken, and by which booking or hold.
    pub(in crate::modules) claims: Vec<ClaimChange>,
    pub(in crate::modules) claim_uses: Vec<(BookingId, ClaimUse)>,
    /// The receipts of its bookings, if some have one.
    pub(in crate::modules) receipts: Option<DueReceipts>,
}

impl GroupPlan {
    /// The Idempotency-Keys that it inserts.
    pub(in crate::modules) fn keys(&self) -> impl Iterator<Item = &RequestKey> {
        self.change.recorded.iter().map(|recorded| &recorded.key)
    }

    /// The customers whose open hold it inserts.
    pub(in crate::modules) fn holders(&self) -> impl Iterator<Item = UserId> {
        let new = self.holds.iter().filter(|hold| hold.before.is_none());
        new.map(|hold| hold.after.customer)
    }

    /// The references that its bookings have.
    pub(in crate::modules) fn references(&self) -> impl Iterator<Item = &Reference> {
        let details = self.bookings.iter().filter_map(|one| one.details.as_ref());
        details.filter_map(|details| details.reference.as_ref())
    }

    /// The payments that it writes, with the revisions that it was decided on.
    pub(in crate::modules) fn payments(&self) -> impl Iterator<Item = (PaymentKey, i64)> {
        let read = self.payments.iter().filter_map(|one| one.before.as_ref());
        read.map(|payment| (payment.key.clone(), payment.revision))
    }

    /// The counters that it writes, with the revisions that it was decided on.
    pub(in crate::modules) fn claims(&self) -> impl Iterator<Item = (ClaimKey, i64)> {
        let revision = |change: &ClaimChange| {
            let before = change.before.as_ref();
            (
                change.after.key.clone(),
                before.map_or(0, |before| before.revision),
            )
        };
        self.claims.iter().map(revision)
    }

    /// The customers whose tickets it changes.
    pub(in crate::modules) fn customers(&self) -> Vec<UserId> {
        let booked = self.bookings.iter().map(|booking| booking.customer);
        let held = self.holds.iter().map(|hold| hold.after.customer);
        booked.chain(held).collect()
    }
}

/// The indexes of a group's input in a script's results.
struct Places {
    inventory: usize,
    policies: usize,
    markers: Option<usize>,
    recorded: Option<usize>,
    holds: Option<usize>,
    references: Option<usize>,
    claims: Option<usize>,
    payments: Option<usize>,
    paid: Option<usize>,
    bookings_of: Vec<(UserId, usize)>,
    open_holds: Option<usize>,
    unconfirmed: Vec<(UserId, unconfirmed::Places)>,
}

impl BookingsRepository {
    /// Reads the input of a group.
    pub(in crate::modules) async fn read_group(
        &self,
        tenant: &TenantId,
        event: EventId,
        question: &GroupQuery,
    ) -> Result<GroupSnapshot, StepError> {
        let mut script = Script::snapshot(tenant);
        let places = ask(&mut script, tenant, event, question);
        let mut answers = self.db.run(script).await?;
        snapshot(&mut answers, places, tenant, question)
            .map_err(|error| StepError::Other(error.into()))
    }

    /// Writes a group in one transaction, perhaps with groups of other events, if the inventory still has the revision that was read.
    pub(in crate::modules) async fn insert_group(
        &self,
        tenant: &TenantId,
        plan: &GroupPlan,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        add_policy_guard(&mut script, tenant, plan.policy_version);
        add_change(&mut script, tenant, &plan.change);
        let bookings = plan.bookings.iter().map(|one| {
            let row = BookingRow::of(tenant, one);
            script.telling(ChangeKind::BookingConfirmed, row)
        });
        let bookings: Vec<Value> = bookings.collect();
        script.insert("booking", bookings);
        let references = plan.bookings.iter();
        let references = references.filter_map(|one| ReferenceRow::of_booking(tenant, one));
        script.insert(BOOKING_REFERENCES, references);
        let numbers = BookingNumbersRow::of(tenant, plan.numbers, &plan.bookings);
        script.insert("booking_numbers", numbers);
        let mails: HashMap<BookingId, DeliveryId> = plan.mails.places().collect();
        let of_customer = plan.bookings.iter().map(|booking| {
            let mail = mails.get(&booking.id).copied();
            CustomerBookingRow::of(tenant, booking.id, mail)
        });
        script.insert("customer_booking", of_customer);
        let check_ins = plan.check_ins.iter();
        script.insert("check_in", check_ins.map(|one| CheckInRow::of(tenant, one)));
        add_holds(&mut script, tenant, &plan.holds);
        for (user, account) in &plan.unconfirmed {
            add_account(&mut script, tenant, *user, account);
        }
        add_decisions(&mut script, tenant, &plan.decisions);
        replace_decisions(&mut script, tenant, &plan.late_decisions);
        for change in &plan.payments {
            add_payment(&mut script, tenant, change);
        }
        let uses = plan.claim_uses.iter();
        let uses = uses.map(|(booking, one)| (*booking, one));
        add_claims(&mut script, tenant, &plan.claims, uses);
        add_due_receipts(&mut script, tenant, plan.receipts.as_ref());
        add_mails(&mut script, tenant, &plan.mails)?;
        self.db.commit(Some(tenant), script).await
    }
}

/// Adds the reads of a group to a script.
fn ask(script: &mut Script, tenant: &TenantId, event: EventId, question: &GroupQuery) -> Places {
    let inventory = script.read(InventoryRow::key(tenant, event));
    let policies = script.read(PluginSetRow::key(tenant));
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
    let references = question.references.iter();
    let references = references.map(|one| ReferenceRow::key(BOOKING_REFERENCES, tenant, one));
    let references = select_all(script, references.collect());
    let claims = question.claims.iter();
    let claims = claims.map(|key| ClaimRow::key(tenant, key));
    let claims = select_all(script, claims.collect());
    let payments = question.payments.iter();
    let payments = payments.map(|key| PaymentRow::key(tenant, key));
    let payments = select_all(script, payments.collect());
    let paid = question.paid.iter();
    let paid = paid.map(|booking| BookingRow::key(tenant, *booking));
    let paid = select_all(script, paid.collect());
    let holders = question.holders.iter();
    let more = holders.filter(|holder| !question.customers.contains(holder));
    let holders = question.customers.iter().chain(more);
    let open_holds = holders.map(|holder| OpenHoldRow::key(tenant, event, *holder));
    let open_holds = select_all(script, open_holds.collect());
    let unconfirmed = ask_accounts(script, tenant, &question.unconfirmed);
    let mut bookings_of = Vec::with_capacity(question.customers.len());
    for customer in &question.customers {
        let place = ask_bookings(script, tenant, (event, *customer));
        bookings_of.push((*customer, place));
    }
    Places {
        inventory,
        policies,
        markers,
        recorded,
        holds,
        references,
        claims,
        payments,
        paid,
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
    Some(script.read_all(ids))
}

/// Reads the results of [`ask`].
fn snapshot(
    answers: &mut Answers,
    places: Places,
    tenant: &TenantId,
    question: &GroupQuery,
) -> Result<GroupSnapshot> {
    let inventory = answers.row::<InventoryRow>(places.inventory)?;
    let policy_version = answers.row::<PluginSetRow>(places.policies)?;
    let policy_version = policy_version.map_or(0, |set| set.version());
    let markers: Vec<CapacityLedgerRow> = rows_at(answers, places.markers)?;
    let recorded = recorded(answers, &places, tenant, &question.keys)?;
    let mut holds = HashMap::new();
    for row in rows_at::<HoldRow>(answers, places.holds)? {
        let hold = row.into_type()?;
        holds.insert(hold.id, hold);
    }
    let (references, claims) = taken(answers, &places)?;
    let (payments, booked) = payments_read(answers, &places)?;
    let (tickets, open_holds) = tickets_of(answers, &places)?;
    Ok(GroupSnapshot {
        policy_version,
        inventory: inventory.map(InventoryRow::into_type).transpose()?,
        recorded,
        tickets,
        open_holds,
        unconfirmed: unconfirmed::accounts(answers, places.unconfirmed)?,
        holds,
        references,
        claims,
        payments,
        booked,
        committed: markers
            .iter()
            .find_map(|row| row.attempt_of(question.change)),
    })
}

fn rows_at<T: SurrealValue>(answers: &mut Answers, place: Option<usize>) -> Result<Vec<T>> {
    place.map_or_else(|| Ok(Vec::new()), |index| answers.rows(index))
}

/// Payments, and those bookings that exist of the ones that payments make.
type PaymentsRead = (HashMap<PaymentKey, Payment>, HashSet<BookingId>);

fn payments_read(answers: &mut Answers, places: &Places) -> Result<PaymentsRead> {
    let mut payments = HashMap::new();
    for row in rows_at::<PaymentRow>(answers, places.payments)? {
        let payment = row.into_type()?;
        payments.insert(payment.key.clone(), payment);
    }
    let booked = rows_at::<BookingRow>(answers, places.paid)?;
    let booked = booked.iter().map(|row| booking_id(&row.id));
    Ok((payments, booked.collect::<Result<_>>()?))
}

/// References that are taken, and counters that exist.
type Taken = (HashSet<Reference>, HashMap<ClaimKey, ClaimCounter>);

fn taken(answers: &mut Answers, places: &Places) -> Result<Taken> {
    let references = rows_at::<ReferenceRow>(answers, places.references)?;
    let references = references.iter().map(ReferenceRow::reference);
    let mut claims = HashMap::new();
    for row in rows_at::<ClaimRow>(answers, places.claims)? {
        let counter = row.into_type()?;
        claims.insert(counter.key.clone(), counter);
    }
    Ok((references.collect::<Result<_>>()?, claims))
}

/// The recorded answers under these keys.
fn recorded(
    answers: &mut Answers,
    places: &Places,
    tenant: &TenantId,
    keys: &[RequestKey],
) -> Result<HashMap<RequestKey, RecordedRequest>> {
    let known: Vec<IdempotencyRow> = rows_at(answers, places.recorded)?;
    let mut recorded = HashMap::new();
    for key in keys {
        let id = IdempotencyRow::key(Some(tenant), key);
        if let Some(row) = known.iter().find(|row| row.id == id) {
            recorded.insert(key.clone(), row.clone().into_type(key)?);
        }
    }
    Ok(recorded)
}

/// The tickets that customers booked or hold, and their open holds.
type TicketsOf = (HashMap<UserId, u32>, HashMap<UserId, HoldId>);

fn tickets_of(answers: &mut Answers, places: &Places) -> Result<TicketsOf> {
    let (mut tickets, mut open_holds) = (HashMap::new(), HashMap::new());
    for (customer, index) in &places.bookings_of {
        tickets.insert(*customer, tickets_booked(answers, *index)?);
    }
    for row in rows_at::<OpenHoldRow>(answers, places.open_holds)? {
        let hold = row.hold()?;
        if let Some(sum) = tickets.get_mut(&hold.customer()) {
            *sum += row.tickets;
        }
        open_holds.insert(hold.customer(), hold);
    }
    Ok((tickets, open_holds))
}
