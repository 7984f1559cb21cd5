//! Group commit: every request of a group is decided on one snapshot of the inventory, and all are written in one
//! transaction. The snapshot is what the group before wrote, or a read.
//!
//! Called by the bookings module's event queues. Calls the bookings repository.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use ulid::Ulid;

use super::{
    ATTEMPTS_MAX, BookingsModule,
    open_plans::{Answers, OpenPlan},
    orders::as_expected,
    planner::PlanInput,
    requests::{BookingIntent, Placement, PolicyDecision, RequestedBooking},
};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::{
        repositories::{
            GroupPlan, GroupQuery, GroupSnapshot, STALE_ACCOUNT, STALE_CLAIM, STALE_INVENTORY,
            STALE_PAYMENT, STALE_POLICIES, StepError,
        },
        support::{
            Attempts,
            event_queues::{EventKey, GROUP_MAX, Waiting, same_refusal},
            inventory_locks::{InventoryLock, KnownInventory, LatestGroups},
        },
    },
    types::{
        Booking, BookingId, EventId, Hold, HoldStatus, Inventory, NotificationId, NumberGroup,
        RecordedAnswer, Reference, RequestKey, TenantId, UserId,
    },
};

/// How long a group is tried. Clients wait 30 s; those behind in the queue should still get an answer.
const GROUP_LASTS_MAX: Duration = Duration::from_secs(20);

/// Each booking of a group has a number of its own.
const _: () = assert!(GROUP_MAX <= NumberGroup::BOOKINGS_MAX);

/// A group on its way to the store.
struct GroupCommit<'a> {
    tenant: &'a TenantId,
    event: EventId,
    lock: &'a mut InventoryLock,
    requests: &'a [RequestedBooking],
    /// What each request's booking or hold would be called.
    serials: Vec<Ulid>,
    change: Ulid,
    /// The group of the numbers of its bookings.
    numbers: NumberGroup,
    notification: NotificationId,
    /// References that its bookings may have, as far as they are known before the read, or were found to be taken.
    references: HashSet<Reference>,
    /// Plans whose outcome is open, by attempt: if one of them turns out committed, its answers count.
    open: HashMap<u32, OpenPlan>,
    /// Whether another writer came first.
    is_contended: bool,
    /// Whether the event limits what one customer may have, as far as it is known: then what each has is read.
    counts_customers: bool,
    /// The groups before this one, if the plan continues them.
    latest: LatestGroups,
}

/// How an attempt ended.
enum Attempted {
    Settled(Answers),
    /// The group must be read and decided again.
    Again(StepError),
}

impl BookingsModule {
    /// Commits a group and answers each member. A group that fails without a common reason is halved to find the cause.
    pub(super) async fn commit(
        &self,
        key: &EventKey,
        lock: &mut InventoryLock,
        group: Vec<Waiting<RequestedBooking, Placement>>,
    ) {
        let mut groups = vec![group];
        while let Some(mut group) = groups.pop() {
            let requests: Vec<RequestedBooking> = group
                .iter()
                .map(|waiting| waiting.request.clone())
                .collect();
            match self.commit_group(key, lock, &requests).await {
                Ok(answers) => {
                    for (waiting, answer) in group.into_iter().zip(answers) {
                        // The receiver is gone if the client disconnected. The booking stays, and its key finds it.
                        let _ = waiting.answer.send(answer);
                    }
                }
                Err(error) if error.code() == ErrorCode::Internal && group.len() > 1 => {
                    tracing::warn!(size = group.len(), %error, "a group of bookings failed; trying each half");
                    let second = group.split_off(group.len() / 2);
                    groups.push(second);
                    groups.push(group);
                }
                Err(error) => {
                    tracing::warn!(size = group.len(), error = ?error, "a group of bookings was not written");
                    for waiting in group {
                        let _ = waiting.answer.send(Err(same_refusal(&error)));
                    }
                }
            }
        }
    }

    /// Decides on what is known of the inventory, if that suffices. If not all get what they want by it, or another writer
    /// came first, the group is read.
    async fn commit_group(
        &self,
        (tenant, event): &EventKey,
        lock: &mut InventoryLock,
        requests: &[RequestedBooking],
    ) -> Result<Answers> {
        // Taken out, so that a group that is given up leaves nothing behind.
        let known = lock.known.take();
        let limits = |known: &KnownInventory| known.inventory.max_tickets_per_customer.is_some();
        let counts_customers = known.as_ref().is_some_and(limits);
        let known = known.filter(|known| requests.iter().all(|one| suffices(known, one)));
        let mut commit = GroupCommit {
            tenant,
            event: *event,
            lock,
            requests,
            change: self.context.next_id(),
            numbers: NumberGroup::of(self.context.next_id()),
            serials: requests.iter().map(|_| self.context.next_id()).collect(),
            notification: NotificationId::from_ulid(self.context.next_id()),
            references: requests
                .iter()
                .filter_map(|one| one.details.reference().cloned())
                .collect(),
            open: HashMap::new(),
            is_contended: false,
            counts_customers,
            latest: LatestGroups::default(),
        };
        let mut last = StepError::Conflict;
        let begun = Instant::now();
        if let Some(known) = known {
            match self.attempt_on_known(&mut commit, known).await? {
                Attempted::Settled(answers) => return Ok(answers),
                Attempted::Again(error) => last = error,
            }
        }
        let mut attempts = Attempts::new("commit_group", ATTEMPTS_MAX);
        while let Some(attempt) = attempts.next().await {
            if attempt > 0 && begun.elapsed() > GROUP_LASTS_MAX {
                break;
            }
            match self.attempt(&mut commit, attempt + 1).await? {
                Attempted::Settled(answers) => return Ok(answers),
                Attempted::Again(error) => last = error,
            }
        }
        if commit.open.is_empty() {
            return Err(last.into());
        }
        Err(Error::new(
            ErrorCode::OutcomeUnknown,
            "The connection to the database failed while the booking was written. Read your bookings, or send the \
            request again with the same Idempotency-Key.",
        )
        .retry_after(Duration::from_secs(5)))
    }

    /// Decides a group on what is known, and writes it if everybody gets what they want. Nobody is refused here, because
    /// another host may have changed the inventory.
    async fn attempt_on_known(
        &self,
        commit: &mut GroupCommit<'_>,
        known: KnownInventory,
    ) -> Result<Attempted> {
        let decided = commit.requests.iter().filter_map(|request| {
            let decision = request.decision.as_ref()?;
            Some((request.customer, decision.tickets_in_event))
        });
        let snapshot = GroupSnapshot {
            inventory: Some(known.inventory),
            policy_version: known.policy_version,
            tickets: decided.collect(),
            ..GroupSnapshot::default()
        };
        commit.latest = known.latest;
        let recorded = commit.requests.iter().map(|_| None).collect();
        let (plan, answers) = self.plan(commit, 0, &snapshot, recorded);
        let is_placed =
            |answer: &_| matches!(answer, Ok(Placement::Booked(_) | Placement::Held(_)));
        match plan.filter(|_| answers.iter().all(is_placed)) {
            Some(plan) => self.write(commit, plan, answers).await,
            None => Ok(Attempted::Again(StepError::Conflict)),
        }
    }

    /// Reads, decides and writes a group once.
    async fn attempt(&self, commit: &mut GroupCommit<'_>, attempt: u32) -> Result<Attempted> {
        let tenant = commit.tenant;
        commit.latest = LatestGroups::default();
        let snapshot = match self.read_for(commit).await {
            Ok(snapshot) => snapshot,
            Err(error) => return Ok(Attempted::Again(error)),
        };
        let holders = snapshot.open_holds.keys().copied();
        self.note_taken(commit, snapshot.recorded.keys(), holders);
        self.taken_ids.add(tenant, snapshot.references.iter());
        let committed = snapshot
            .committed
            .and_then(|attempt| commit.open.remove(&attempt));
        if let Some(plan) = committed {
            self.context.outbox_added.notify_one();
            return Ok(Attempted::Settled(plan.answers));
        }
        commit.open.retain(|_, plan| plan.is_possible(&snapshot));
        let recorded = self.recorded_answers(tenant, commit.requests, &snapshot);
        let recorded = match recorded.await {
            Ok(recorded) => recorded,
            Err(error) if commit.open.is_empty() => return Err(error),
            Err(error) => return Ok(Attempted::Again(StepError::Other(error.into()))),
        };
        let (plan, answers) = self.plan(commit, attempt, &snapshot, recorded);
        match plan {
            Some(plan) => self.write(commit, plan, answers).await,
            None if commit.open.is_empty() => {
                if let (Some(inventory), false) = (snapshot.inventory, commit.is_contended) {
                    commit.lock.known = Some(KnownInventory::new(
                        inventory,
                        snapshot.policy_version,
                        LatestGroups::default(),
                    ));
                }
                Ok(Attempted::Settled(answers))
            }
            // An earlier plan may still be committed. Only its marker, or its failure, shows the outcome.
            None => Ok(Attempted::Again(StepError::Lost(
                "an earlier attempt is unsettled".into(),
            ))),
        }
    }

    /// Reads what a group is decided on; once more, if the event turns out to limit what one customer may have.
    async fn read_for(&self, commit: &mut GroupCommit<'_>) -> Result<GroupSnapshot, StepError> {
        let read = async |commit: &GroupCommit<'_>| {
            let query = query_for(commit);
            let read = self
                .repository
                .read_group(commit.tenant, commit.event, &query);
            read.await
        };
        let snapshot = read(commit).await?;
        let limits = |inventory: &Inventory| inventory.max_tickets_per_customer.is_some();
        let is_limited = snapshot.inventory.as_ref().is_some_and(limits);
        if is_limited && !commit.counts_customers {
            commit.counts_customers = true;
            return read(commit).await;
        }
        Ok(snapshot)
    }

    fn plan(
        &self,
        commit: &GroupCommit<'_>,
        attempt: u32,
        snapshot: &GroupSnapshot,
        recorded: Vec<Option<Result<Placement>>>,
    ) -> (Option<GroupPlan>, Answers) {
        let input = PlanInput {
            tenant: commit.tenant,
            event: commit.event,
            requests: commit.requests,
            serials: &commit.serials,
            recorded,
            snapshot,
            change: commit.change,
            attempt,
            numbers: commit.numbers,
            notification: commit.notification,
            now: self.context.now(),
            hold_duration: self.context.settings.bookings.hold_duration,
        };
        input.plan()
    }

    /// Writes a plan. The next group may know what was written, unless another writer came first: where hosts write one
    /// event in turn, what each knows is stale, and trying it costs more than a read.
    async fn write(
        &self,
        commit: &mut GroupCommit<'_>,
        plan: GroupPlan,
        answers: Answers,
    ) -> Result<Attempted> {
        let change = &plan.change;
        let error = match self.repository.insert_group(commit.tenant, &plan).await {
            Ok(()) => {
                self.context.outbox_added.notify_one();
                if plan.receipts.is_some() {
                    self.context.receipts_added.notify_one();
                }
                self.note_taken(commit, plan.keys(), plan.holders());
                self.taken_ids.add(commit.tenant, plan.references());
                let inventory = change.after();
                commit.latest.add(inventory.revision, plan.customers());
                commit.lock.known = (!commit.is_contended).then(|| {
                    let latest = std::mem::take(&mut commit.latest);
                    KnownInventory::new(inventory, plan.policy_version, latest)
                });
                return Ok(Attempted::Settled(answers));
            }
            Err(error) => error,
        };
        if error.is_any_guard(&[
            STALE_INVENTORY,
            STALE_POLICIES,
            STALE_ACCOUNT,
            STALE_PAYMENT,
            STALE_CLAIM,
        ]) {
            commit.is_contended = true;
            return Ok(Attempted::Again(StepError::Conflict));
        }
        match &error {
            StepError::Lost(_) => {
                let open = OpenPlan::of(&plan, answers);
                commit.open.insert(change.attempt, open);
            }
            StepError::Conflict => commit.is_contended = true,
            // A key, a hold, a reference, or the numbers: other numbers do no harm.
            StepError::Exists(_) => {
                commit.references.extend(plan.references().cloned());
                commit.numbers = NumberGroup::of(self.context.next_id());
            }
            _ if commit.open.is_empty() => return Err(error.into()),
            // Whoever tries half of the group under another id could book what an open plan books, too.
            _ => {}
        }
        Ok(Attempted::Again(error))
    }

    fn note_taken<'k>(
        &self,
        commit: &GroupCommit<'_>,
        keys: impl Iterator<Item = &'k RequestKey>,
        holders: impl Iterator<Item = UserId>,
    ) {
        let holders = holders.map(|customer| (commit.event, customer));
        self.taken_ids.add(commit.tenant, keys);
        self.taken_ids.add(commit.tenant, holders);
    }

    /// The answers of repeated requests: their key has succeeded, or their hold is a booking already.
    async fn recorded_answers(
        &self,
        tenant: &TenantId,
        requests: &[RequestedBooking],
        snapshot: &GroupSnapshot,
    ) -> Result<Vec<Option<Result<Placement>>>> {
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            answers.push(
                match self.recorded_answer(tenant, request, snapshot).await {
                    Ok(recorded) => recorded.map(Ok),
                    Err(error)
                        if matches!(
                            error.code(),
                            ErrorCode::IdempotencyKeyReused | ErrorCode::PriceChanged
                        ) =>
                    {
                        Some(Err(error))
                    }
                    Err(error) => return Err(error),
                },
            );
        }
        Ok(answers)
    }

    /// The earlier answer of a request, if there is one: the booking or hold as it was created.
    pub(super) async fn recorded_answer(
        &self,
        tenant: &TenantId,
        request: &RequestedBooking,
        snapshot: &GroupSnapshot,
    ) -> Result<Option<Placement>> {
        if let Some(keyed) = &request.idempotency
            && let Some(recorded) = snapshot.recorded.get(&keyed.key)
        {
            return Ok(Some(match keyed.answer_of(recorded)? {
                RecordedAnswer::Booking { booking, .. } => {
                    Placement::Booked(self.made_booking(tenant, booking).await?)
                }
                answer => Placement::Held(answer.hold()?),
            }));
        }
        let (BookingIntent::Confirm(id) | BookingIntent::AcceptOffer(id)) = request.intent else {
            return Ok(None);
        };
        if request.payment.is_some() {
            // The payment says whether it has made the booking.
            return Ok(None);
        }
        let confirmed = |hold: &&Hold| hold.status == HoldStatus::Confirmed;
        match snapshot.holds.get(&id).filter(confirmed) {
            Some(_) => {
                let booking = self.made_booking(tenant, id.booking()).await?;
                as_expected(
                    request.expected_total_minor,
                    booking.total_minor,
                    &booking.currency,
                )?;
                Ok(Some(Placement::Booked(booking)))
            }
            None => Ok(None),
        }
    }

    /// A booking as it was created.
    async fn made_booking(&self, tenant: &TenantId, id: BookingId) -> Result<Booking> {
        let booking = self.repository.find(tenant, id).await?;
        let booking = booking.ok_or_else(|| Error::internal("a recorded booking is gone"))?;
        Ok(booking.as_of(0))
    }
}

/// Returns whether what is known suffices to decide about a request, apart from ids that are taken: a booking or a hold whose
/// customer still has the tickets that the policies saw.
fn suffices(known: &KnownInventory, request: &RequestedBooking) -> bool {
    let is_current = |decision: &PolicyDecision| {
        let since = decision.revision;
        // Others take of the tenant's counters, too.
        decision.claims.is_empty() && known.latest.left_alone(request.customer, since)
    };
    let is_new = match request.intent {
        _ if request.payment.is_some() => false,
        BookingIntent::Import => true,
        // What the customer has is read.
        _ if known.inventory.max_tickets_per_customer.is_some() => false,
        BookingIntent::Book => true,
        BookingIntent::Hold => !request.is_unconfirmed,
        BookingIntent::Confirm(_) | BookingIntent::AcceptOffer(_) => false,
    };
    is_new && request.decision.as_ref().is_none_or(is_current)
}

/// The input to decide about a group.
fn query_for(commit: &GroupCommit<'_>) -> GroupQuery {
    let mut query = GroupQuery {
        change: commit.change,
        open_revisions: commit.open.values().map(|plan| plan.revision + 1).collect(),
        references: commit.references.iter().cloned().collect(),
        ..GroupQuery::default()
    };
    let add = |list: &mut Vec<UserId>, customer: UserId| {
        if !list.contains(&customer) {
            list.push(customer);
        }
    };
    for request in commit.requests {
        query.keys.extend(request.key());
        match request.intent {
            BookingIntent::Book | BookingIntent::Import => {}
            BookingIntent::Hold => add(&mut query.holders, request.customer),
            BookingIntent::Confirm(hold) | BookingIntent::AcceptOffer(hold) => {
                query.holds.push(hold);
            }
        }
        if commit.counts_customers
            && matches!(request.intent, BookingIntent::Book | BookingIntent::Hold)
        {
            add(&mut query.customers, request.customer);
        }
        if request.is_unconfirmed {
            add(&mut query.unconfirmed, request.customer);
        }
        if let Some(decision) = &request.decision {
            add(&mut query.customers, request.customer);
            let keys = decision.claims.iter().map(|claim| &claim.key);
            for key in keys {
                if !query.claims.contains(key) {
                    query.claims.push(key.clone());
                }
            }
        }
        if let Some(paid) = &request.payment {
            query.payments.push(paid.key.clone());
            query.paid.push(paid.order.hold.booking());
        }
    }
    query
}
