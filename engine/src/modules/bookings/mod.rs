//! The rules of booking: who gets tickets, at which price, and what is written with it.
//!
//! Called by app_modules. Calls the bookings repository; groups requests in lanes.

mod placing;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::oneshot;
use ulid::Ulid;

use placing::{Seen, key_reused, mails_about, without};

use super::{
    Surroundings,
    lanes::{Lanes, Waiting},
    repositories::{
        BookingsRepository, GroupSnapshot, INVENTORY_MOVED, InventoryChange, RecordedRequest,
        StepError, pause_after_conflict,
    },
};
use crate::{
    Error, ErrorCode, Result,
    types::{
        BookLine, Booking, BookingId, BookingStatus, CancelCause, CapacityCause, EventId,
        EventStatus, IdempotencyKey, Inventory, NotificationId, NotificationKind, Page,
        PageRequest, TenantId, UserId,
    },
};

/// Attempts of one group. Inside a process the lane keeps writers apart, so that only other hosts make more than one.
const ATTEMPTS_MAX: u32 = 24;

/// How long a group is tried. Clients wait 30 s; those behind in the lane should still get an answer.
const GROUP_LASTS_MAX: Duration = Duration::from_secs(20);

/// A booking request on its way to the transaction.
#[derive(Debug, Clone)]
pub(crate) struct RequestedBooking {
    pub(crate) customer: UserId,
    pub(crate) event: EventId,
    pub(crate) lines: Vec<BookLine>,
    pub(crate) expected_total_minor: Option<u64>,
    /// The Idempotency-Key with the hash of the request it stands for.
    pub(crate) idempotency: Option<(IdempotencyKey, String)>,
    /// What the policies decided, and on which sight; none if no policy is to be asked.
    pub(crate) decision: Option<PolicyDecision>,
}

/// What policies decided, and what must still be so when it is written.
#[derive(Debug, Clone)]
pub(crate) struct PolicyDecision {
    pub(crate) event_version: u64,
    pub(crate) tickets_in_event: u32,
    /// Price of one ticket for each line, in minor units.
    pub(crate) unit_prices_minor: Vec<u32>,
}

/// How a request ended that was not refused.
#[derive(Debug, Clone)]
pub(crate) enum Placement {
    /// The booking is written.
    Booked(Booking),
    /// The same request succeeded before, with this booking.
    Recorded(Booking),
    /// What the policies decided on has moved: ask them again.
    DecideAgain,
}

pub(crate) struct BookingsModule {
    rules: Arc<Rules>,
}

/// What the task of a lane shares with the module.
struct Rules {
    repository: Arc<BookingsRepository>,
    lanes: Arc<Lanes>,
    surroundings: Surroundings,
}

impl BookingsModule {
    pub(super) fn new(
        repository: Arc<BookingsRepository>,
        lanes: Arc<Lanes>,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            rules: Arc::new(Rules {
                repository,
                lanes,
                surroundings,
            }),
        }
    }

    /// Puts a request into its event's lane and waits for its own answer.
    pub(crate) async fn place(
        &self,
        tenant: &TenantId,
        request: RequestedBooking,
    ) -> Result<Placement> {
        let key = (tenant.clone(), request.event);
        let (answer, answered) = oneshot::channel();
        if self.rules.lanes.enter(&key, Waiting { request, answer })? {
            // A task of its own: a client that hangs up must not take its group down.
            let rules = self.rules.clone();
            tokio::spawn(async move { rules.work_off(key).await });
        }
        answered
            .await
            .map_err(|_| Error::internal("a lane ended without an answer"))?
    }

    /// Answers what a policy must see of the customer: tickets of the event they hold; and a recorded answer, if any.
    pub(crate) async fn before_policies(
        &self,
        tenant: &TenantId,
        request: &RequestedBooking,
    ) -> Result<(Option<Inventory>, u32, Option<Booking>)> {
        let keys: Vec<_> = request
            .idempotency
            .iter()
            .map(|(key, _)| (request.customer, key.clone()))
            .collect();
        let snapshot = self
            .rules
            .repository
            .read_group(
                tenant,
                request.event,
                (Ulid::nil(), &[]),
                &keys,
                &[request.customer],
            )
            .await?;
        let tickets = snapshot
            .tickets
            .get(&request.customer)
            .copied()
            .unwrap_or(0);
        let recorded = match &request.idempotency {
            Some((key, hash)) => match snapshot.recorded.get(&(request.customer, key.clone())) {
                Some(recorded) => Some(self.rules.recorded_answer(tenant, hash, recorded).await?),
                None => None,
            },
            None => None,
        };
        Ok((snapshot.inventory, tickets, recorded))
    }

    pub(crate) async fn find(
        &self,
        tenant: &TenantId,
        booking: BookingId,
    ) -> Result<Option<Booking>> {
        self.rules.repository.find(tenant, booking).await
    }

    /// A customer's bookings, newest first.
    pub(crate) async fn list_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
        page: &PageRequest,
    ) -> Result<Page<Booking>> {
        let before = page.position()?.map(BookingId::serial);
        let rows = self
            .rules
            .repository
            .list_of_customer(tenant, customer, before, page)
            .await?;
        Ok(page.cut(rows, |booking| booking.id.to_string()))
    }

    /// An event's bookings in customer order.
    pub(crate) async fn list_of_event(
        &self,
        tenant: &TenantId,
        event: EventId,
        page: &PageRequest,
    ) -> Result<Page<Booking>> {
        let after = page.position::<BookingId>()?;
        let after = after.map(|id| (id.customer(), Some(id.serial())));
        let rows = self
            .rules
            .repository
            .list_of_event(tenant, event, after, None, page.limit + 1)
            .await?;
        Ok(page.cut(rows, |booking| booking.id.to_string()))
    }

    /// Cancels a booking and gives its tickets back; one that is cancelled already is answered as it is.
    pub(crate) async fn cancel(
        &self,
        tenant: &TenantId,
        id: BookingId,
        cause: CancelCause,
    ) -> Result<Booking> {
        let key = (tenant.clone(), id.event());
        let turn = self.rules.lanes.turn(&key).await;
        let outcome = self.rules.cancel(tenant, id, cause).await;
        self.rules.lanes.done(&key, turn);
        outcome
    }
}

impl Rules {
    async fn work_off(&self, key: (TenantId, EventId)) {
        while let Some(group) = self.lanes.next_group(&key) {
            let turn = self.lanes.turn(&key).await;
            self.commit(&key.0, key.1, group).await;
            self.lanes.done(&key, turn);
        }
    }

    /// Commits a group and answers each member; a group that fails for no common reason is halved down to the culprit.
    async fn commit(&self, tenant: &TenantId, event: EventId, group: Vec<Waiting>) {
        let mut groups = vec![group];
        while let Some(mut group) = groups.pop() {
            let requests: Vec<RequestedBooking> = group
                .iter()
                .map(|waiting| waiting.request.clone())
                .collect();
            match self.commit_group(tenant, event, &requests).await {
                Ok(answers) => {
                    for (waiting, answer) in group.into_iter().zip(answers) {
                        // Nobody listens any more if the client hung up; the booking stands, and its key finds it.
                        let _ = waiting.answer.send(answer);
                    }
                }
                Err(error) if error.code() == ErrorCode::Internal && group.len() > 1 => {
                    tracing::warn!(size = group.len(), %error, "a group of bookings failed; trying its halves");
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

    async fn commit_group(
        &self,
        tenant: &TenantId,
        event: EventId,
        requests: &[RequestedBooking],
    ) -> Result<Vec<Result<Placement>>> {
        let change = self.surroundings.next_id();
        let serials: Vec<Ulid> = requests
            .iter()
            .map(|_| self.surroundings.next_id())
            .collect();
        let notification = NotificationId::from_ulid(self.surroundings.next_id());
        let mut keys: Vec<_> = Vec::new();
        let mut customers: Vec<UserId> = Vec::new();
        for request in requests {
            keys.extend(
                request
                    .idempotency
                    .iter()
                    .map(|(key, _)| (request.customer, key.clone())),
            );
            if request.decision.is_some() && !customers.contains(&request.customer) {
                customers.push(request.customer);
            }
        }
        // Plans whose outcome is open, by attempt: if one of them turns out committed, its answers count.
        let mut open: HashMap<u32, Vec<Result<Placement>>> = HashMap::new();
        let mut open_revisions: Vec<i64> = Vec::new();
        let mut last = StepError::Conflict;
        let begun = Instant::now();
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                if begun.elapsed() > GROUP_LASTS_MAX {
                    break;
                }
                pause_after_conflict(attempt).await;
            }
            let snapshot = match self
                .repository
                .read_group(tenant, event, (change, &open_revisions), &keys, &customers)
                .await
            {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            if let Some(answers) = snapshot.committed.and_then(|attempt| open.remove(&attempt)) {
                self.surroundings.owed.notify_one();
                return Ok(answers);
            }
            let recorded = self.recorded_answers(tenant, requests, &snapshot).await?;
            let seen = Seen {
                tenant,
                event,
                snapshot: &snapshot,
                recorded,
                now: self.surroundings.now(),
            };
            let (plan, answers) = seen.plan(requests, &serials, change, attempt, notification);
            let Some(plan) = plan else {
                if open.is_empty() {
                    return Ok(answers);
                }
                // An earlier plan may still arrive; only its marker, or its own failure, can tell.
                last = StepError::Lost("an earlier attempt is unsettled".into());
                continue;
            };
            match self.repository.insert_group(tenant, &plan).await {
                Ok(()) => {
                    self.surroundings.owed.notify_one();
                    return Ok(answers);
                }
                Err(StepError::Lost(source)) => {
                    open.insert(attempt, answers);
                    open_revisions.push(plan.change.before.revision + 1);
                    last = StepError::Lost(source);
                }
                Err(error @ (StepError::Conflict | StepError::Exists(_))) => last = error,
                Err(error) if error.is_guard(INVENTORY_MOVED) => last = StepError::Conflict,
                Err(error) => return Err(error.into()),
            }
        }
        if open.is_empty() {
            Err(last.into())
        } else {
            Err(Error::new(
                ErrorCode::OutcomeUnknown,
                "The database went away while the booking was written. Look at your bookings, or send the request \
                 again with the same Idempotency-Key.",
            )
            .retry_after(Duration::from_secs(5)))
        }
    }

    /// The answers of members whose key has succeeded before.
    async fn recorded_answers(
        &self,
        tenant: &TenantId,
        requests: &[RequestedBooking],
        snapshot: &GroupSnapshot,
    ) -> Result<Vec<Option<Result<Placement>>>> {
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let recorded = request.idempotency.as_ref().and_then(|(key, hash)| {
                let recorded = snapshot.recorded.get(&(request.customer, key.clone()))?;
                Some((hash, recorded))
            });
            answers.push(match recorded {
                Some((hash, recorded)) => {
                    match self.recorded_answer(tenant, hash, recorded).await {
                        Ok(booking) => Some(Ok(Placement::Recorded(booking))),
                        Err(error) if error.code() == ErrorCode::IdempotencyKeyReused => {
                            Some(Err(error))
                        }
                        Err(error) => return Err(error),
                    }
                }
                None => None,
            });
        }
        Ok(answers)
    }

    /// The first answer to a recorded request: the booking as it was made.
    async fn recorded_answer(
        &self,
        tenant: &TenantId,
        hash: &str,
        recorded: &RecordedRequest,
    ) -> Result<Booking> {
        if recorded.request_hash != hash {
            return Err(key_reused());
        }
        let booking = self.repository.find(tenant, recorded.booking).await?;
        let booking = booking.ok_or_else(|| Error::internal("a recorded booking is gone"))?;
        Ok(Booking {
            status: BookingStatus::Confirmed,
            cancelled: None,
            ..booking
        })
    }

    async fn cancel(
        &self,
        tenant: &TenantId,
        id: BookingId,
        cause: CancelCause,
    ) -> Result<Booking> {
        let change = self.surroundings.next_id();
        let notification = NotificationId::from_ulid(self.surroundings.next_id());
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                pause_after_conflict(attempt).await;
            }
            // The inventory is read first: whatever happens to the booking after that moves it.
            let snapshot = self
                .repository
                .read_group(tenant, id.event(), (change, &[]), &[], &[])
                .await?;
            let (Some(inventory), Some(booking)) =
                (snapshot.inventory, self.repository.find(tenant, id).await?)
            else {
                return Err(Error::not_found("booking", id));
            };
            if booking.status == BookingStatus::Cancelled
                || inventory.status == EventStatus::Cancelled
            {
                return Ok(read_with_event(
                    booking,
                    inventory.status,
                    self.surroundings.now(),
                ));
            }
            let now = self.surroundings.now();
            let cancelled = Booking {
                status: BookingStatus::Cancelled,
                cancelled: Some((cause, now)),
                ..booking.clone()
            };
            let change = InventoryChange {
                inventory: without(inventory.clone(), &booking.lines),
                before: inventory,
                change,
                attempt,
                cause: CapacityCause::Cancelled,
                at: now,
            };
            let mails = mails_about(
                tenant,
                notification,
                NotificationKind::BookingCancelled,
                &[id],
                now,
            );
            match self
                .repository
                .cancel(tenant, &cancelled, &change, &mails)
                .await
            {
                Ok(()) => {
                    self.surroundings.owed.notify_one();
                    return Ok(cancelled);
                }
                // A lost answer is settled by reading again: a booking that is cancelled now is answered as it is.
                Err(StepError::Conflict | StepError::Lost(_)) => {}
                Err(error) if error.is_guard(INVENTORY_MOVED) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }
}

/// A booking as its event's status makes it read: with the event called off, so is the booking, whether that is written
/// yet or not.
pub(crate) fn read_with_event(booking: Booking, event: EventStatus, since: Timestamp) -> Booking {
    if event == EventStatus::Cancelled && booking.status == BookingStatus::Confirmed {
        Booking {
            status: BookingStatus::Cancelled,
            cancelled: Some((CancelCause::Event, since)),
            ..booking
        }
    } else {
        booking
    }
}

/// The same refusal for each member of a group that could not be written.
fn same_refusal(error: &Error) -> Error {
    let copy = Error::new(error.code(), error.detail().to_owned());
    match error.retry_after_hint() {
        Some(after) => copy.retry_after(after),
        None => copy,
    }
}
