//! Group commit: all requests of a group are decided on one read of the inventory and written in one
//! transaction.
//!
//! Called by the tasks of event queues. Calls the bookings repository.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use ulid::Ulid;

use super::{
    ATTEMPTS_MAX, BookingIntent, Placement, RequestedBooking, Rules,
    planner::{PlanInput, as_expected},
};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::{
        repositories::{
            GroupQuery, GroupSnapshot, STALE_ACCOUNT, STALE_INVENTORY, STALE_POLICIES, StepError,
            pause_after_conflict,
        },
        support::event_queues::Waiting,
    },
    types::{
        Booking, BookingId, EventId, Hold, HoldStatus, NotificationId, RecordedAnswer, TenantId,
        UserId,
    },
};

/// How long a group is tried. Clients wait 30 s, and those later in the queue should still get an answer.
const GROUP_LASTS_MAX: Duration = Duration::from_secs(20);

impl Rules {
    /// Commits groups until the queue is empty.
    pub(super) async fn drain(&self, key: (TenantId, EventId)) {
        while let Some(group) = self.event_queues.next_group(&key) {
            let turn = self.event_queues.turn(&key).await;
            self.commit(&key.0, key.1, group).await;
            self.event_queues.done(&key, turn);
        }
    }

    /// Commits a group and answers each member. A group that fails without a common reason is halved to find the cause.
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

    async fn commit_group(
        &self,
        tenant: &TenantId,
        event: EventId,
        requests: &[RequestedBooking],
    ) -> Result<Vec<Result<Placement>>> {
        let change = self.context.next_id();
        let serials: Vec<Ulid> = requests.iter().map(|_| self.context.next_id()).collect();
        let notification = NotificationId::from_ulid(self.context.next_id());
        let mut question = question_of(requests, change);
        // Plans with an unknown outcome, by attempt. If one of them was committed, its answers count.
        let mut open: HashMap<u32, Vec<Result<Placement>>> = HashMap::new();
        let mut last = StepError::Conflict;
        let begun = Instant::now();
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                if begun.elapsed() > GROUP_LASTS_MAX {
                    break;
                }
                pause_after_conflict(attempt).await;
            }
            let snapshot = match self.repository.read_group(tenant, event, &question).await {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            if let Some(answers) = snapshot.committed.and_then(|attempt| open.remove(&attempt)) {
                self.context.owed.notify_one();
                return Ok(answers);
            }
            let recorded = self.recorded_answers(tenant, requests, &snapshot).await?;
            let seen = PlanInput {
                tenant,
                event,
                snapshot: &snapshot,
                recorded,
                now: self.context.now(),
                hold_duration: self.context.settings.bookings.hold_duration,
            };
            let (plan, answers) = seen.plan(requests, &serials, change, attempt, notification);
            let Some(plan) = plan else {
                if open.is_empty() {
                    return Ok(answers);
                }
                // An earlier plan may still be committed. Only its marker, or its failure, shows the outcome.
                last = StepError::Lost("an earlier attempt is unsettled".into());
                continue;
            };
            match self.repository.insert_group(tenant, &plan).await {
                Ok(()) => {
                    self.context.owed.notify_one();
                    return Ok(answers);
                }
                Err(StepError::Lost(source)) => {
                    open.insert(attempt, answers);
                    let revision = plan.change.before.revision + 1;
                    question.open_revisions.push(revision);
                    last = StepError::Lost(source);
                }
                Err(error @ (StepError::Conflict | StepError::Exists(_))) => last = error,
                Err(error)
                    if [STALE_INVENTORY, STALE_POLICIES, STALE_ACCOUNT]
                        .iter()
                        .any(|word| error.is_guard(word)) =>
                {
                    last = StepError::Conflict;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if open.is_empty() {
            Err(last.into())
        } else {
            Err(Error::new(
                ErrorCode::OutcomeUnknown,
                "The connection to the database failed while the booking was written. Read your bookings, or send the \
                request again with the same Idempotency-Key.",
            )
            .retry_after(Duration::from_secs(5)))
        }
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
        let (BookingIntent::Confirm(id) | BookingIntent::Accept(id)) = request.door else {
            return Ok(None);
        };
        let confirmed = |hold: &&Hold| hold.status == HoldStatus::Confirmed;
        match snapshot.holds.get(&id).filter(confirmed) {
            Some(_) => {
                let booking = self.made_booking(tenant, id.booking()).await?;
                as_expected(request, booking.total_minor, &booking.currency)?;
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

/// The input to decide about a group.
fn question_of(requests: &[RequestedBooking], change: Ulid) -> GroupQuery {
    let mut question = GroupQuery {
        change,
        ..GroupQuery::default()
    };
    let note = |list: &mut Vec<UserId>, customer: UserId| {
        if !list.contains(&customer) {
            list.push(customer);
        }
    };
    for request in requests {
        question.keys.extend(request.key());
        match request.door {
            BookingIntent::Book => {}
            BookingIntent::Hold => note(&mut question.holders, request.customer),
            BookingIntent::Confirm(hold) | BookingIntent::Accept(hold) => question.holds.push(hold),
        }
        if request.is_unconfirmed {
            note(&mut question.unconfirmed, request.customer);
        }
        if request.decision.is_some() {
            note(&mut question.customers, request.customer);
        }
    }
    question
}

/// The same error for each member of a group that could not be written.
pub(super) fn same_refusal(error: &Error) -> Error {
    let copy = Error::new(error.code(), error.detail().to_owned());
    match error.retry_after_hint() {
        Some(after) => copy.retry_after(after),
        None => copy,
    }
}
