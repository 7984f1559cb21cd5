//! Cancelling bookings: all or some tickets, by the customer under the event's terms or by the organizer. The tickets that
//! this frees are offered to those who wait.
//!
//! Called by app_modules. Calls the bookings and events repositories.

use std::time::Duration;

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    ATTEMPTS_MAX, BookingsModule,
    counters::remove_sold,
    mails::mails_about,
    receipts::credit_note,
    requests::{BeforeCancelling, CancelDecision, RequestedCancellation},
    transfers::require_own,
};
use crate::{
    error::{Error, ErrorCode, ErrorKind, Result},
    modules::repositories::{
        CancelStep, ClaimReturn, GroupQuery, GroupSnapshot, InventoryChange, PaymentChange,
        STALE_BOOKING, STALE_INVENTORY, STALE_PAYMENT, STALE_POLICIES, StepError,
    },
    modules::support::Attempts,
    types::{
        Booking, BookingLine, BookingStatus, CancelCause, Cancellation, CancellationTerms,
        CapacityCause, EventStatus, Inventory, NotificationId, NotificationKind, Payment,
        RecordedAnswer, RefundId, RefundReason, TenantId, chosen, closed, refund_of, total_of,
        without,
    },
};

/// The guards of a cancellation: what it was decided on has changed.
const STALE: [&str; 4] = [
    STALE_INVENTORY,
    STALE_POLICIES,
    STALE_BOOKING,
    STALE_PAYMENT,
];

/// The state that a cancellation is decided on.
struct CancellationInput {
    snapshot: GroupSnapshot,
    inventory: Inventory,
    booking: Booking,
    /// The event's beginning and terms in the booked version, if it was another one.
    booked_terms: Option<(Timestamp, CancellationTerms)>,
    /// The payment that is kept for it.
    payment: Option<Payment>,
}

/// What is decided about a request.
enum Verdict {
    Answered(Box<Booking>),
    Cancel(Taken),
}

/// The tickets of a cancellation, and their refund.
struct Taken {
    lines: Vec<BookingLine>,
    numbers: Vec<u32>,
    refund_percent: u32,
    refund_minor: u64,
}

/// Names an attempt to write a cancellation, and its time.
struct CancelAttempt {
    change: Ulid,
    attempt: u32,
    notification: NotificationId,
    at: Timestamp,
    /// The version of the plugin set that the policies' decision is for, if they were asked.
    policy_version: Option<u64>,
}

impl BookingsModule {
    /// The policies' input of a customer's cancellation, or its answer if it was done before.
    pub(crate) async fn before_cancelling(
        &self,
        tenant: &TenantId,
        request: &RequestedCancellation,
    ) -> Result<BeforeCancelling> {
        let input = self.read_cancellation(tenant, request).await?;
        Ok(match input.judge(request, None, self.context.now())? {
            Verdict::Answered(booking) => BeforeCancelling::Answered(*booking),
            Verdict::Cancel(taken) => BeforeCancelling::Open {
                tickets_in_event: input.tickets_in_event(),
                booking: input.booking,
                lines: taken.lines,
            },
        })
    }

    /// Cancels tickets of a booking, which are then free. A cancelled booking is returned unchanged, if the request is for
    /// all of it. Returns `None` if what the policies decided on has changed: ask them again.
    pub(crate) async fn cancel(
        &self,
        tenant: &TenantId,
        request: &RequestedCancellation,
        decision: Option<CancelDecision>,
    ) -> Result<Option<Booking>> {
        let event = request.booking.event();
        let _lock = self.inventory_locks.lock(tenant, event).await;
        let change = self.context.next_id();
        let notification = NotificationId::from_ulid(self.context.next_id());
        let mut is_open = false;
        let mut attempts = Attempts::new("cancel_booking", ATTEMPTS_MAX);
        while let Some(attempt) = attempts.next().await {
            let input = match self.read_cancellation(tenant, request).await {
                // Only the booking itself shows the outcome of an attempt whose answer was lost.
                Err(error) if is_open && error.kind() == ErrorKind::Unavailable => continue,
                input => input?,
            };
            let at = self.context.now();
            let taken = match input.judge(request, Some(notification), at)? {
                Verdict::Answered(booking) => {
                    // Perhaps it is this attempt's, whose answer was lost.
                    self.context.outbox_added.notify_one();
                    return Ok(Some(*booking));
                }
                Verdict::Cancel(taken) => taken,
            };
            if decision.is_some_and(|decision| input.is_stale(decision)) {
                return Ok(None);
            }
            let attempt = CancelAttempt {
                change,
                attempt,
                notification,
                at,
                policy_version: decision.map(|decision| decision.policy_version),
            };
            let cancelling = (request, input, taken);
            let step = self.cancel_step(tenant, cancelling, attempt).await?;
            match self.repository.cancel(tenant, &step).await {
                Ok(()) => {
                    self.context.outbox_added.notify_one();
                    if step.receipts.is_some() {
                        self.context.receipts_added.notify_one();
                    }
                    return Ok(Some(step.booking));
                }
                // Reading again settles it: the booking shows whether it has this cancellation.
                Err(StepError::Lost(_)) => is_open = true,
                // The same key was used at the same time elsewhere: return that answer.
                Err(StepError::Conflict | StepError::Exists(_)) => {}
                Err(error) if error.is_any_guard(&STALE) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match is_open {
            true => Err(outcome_unknown()),
            false => Err(StepError::Conflict.into()),
        }
    }

    /// What is written for a cancellation: the booking, the counters, the mail, and offers of what is free by it.
    async fn cancel_step(
        &self,
        tenant: &TenantId,
        (request, input, taken): (&RequestedCancellation, CancellationInput, Taken),
        attempt: CancelAttempt,
    ) -> Result<CancelStep> {
        let now = attempt.at;
        let payment = self.refunded(input.payment, taken.refund_minor, now);
        let (inventory, booking) = (input.inventory, input.booking);
        let cause = match without(&booking.lines, &taken.lines).is_empty() {
            true => CapacityCause::Cancelled,
            false => CapacityCause::CancelledInPart,
        };
        let mut change = InventoryChange {
            inventory: remove_sold(inventory.clone(), &taken.lines),
            before: inventory,
            change: attempt.change,
            attempt: attempt.attempt,
            cause,
            at: now,
            recorded: Vec::new(),
        };
        let claims = returns(&booking, &taken.lines);
        let after = cancelled(
            with_returns(booking, &claims),
            Cancellation {
                notification: attempt.notification,
                cause: request.cause,
                at: now,
                lines: taken.lines,
                numbers: taken.numbers,
                refund_percent: taken.refund_percent,
                refund_minor: taken.refund_minor,
            },
        );
        let recorded = request.idempotency.as_ref().map(|keyed| {
            keyed.recorded(RecordedAnswer::Booking {
                booking: after.id,
                cancellations: after.cancellations.len(),
            })
        });
        change.recorded = recorded.into_iter().collect();
        let offer_maker = &self.offer_maker;
        let offers = offer_maker.offer(tenant, &mut change, &[], None).await?;
        let kind = NotificationKind::BookingCancelled;
        let mails = mails_about(tenant, attempt.notification, kind, &[after.id], now);
        let mails = mails.and(self.void_mails(tenant, &after, now));
        Ok(CancelStep {
            change,
            offers,
            mails: mails.traced(|_| self.context.trace()),
            policy_version: attempt.policy_version,
            receipts: credit_note(&after, attempt.change),
            booking: after,
            payment,
            claims,
        })
    }

    /// A booking's payment after a refund became due of it; `None` if nothing is refunded.
    fn refunded(
        &self,
        payment: Option<Payment>,
        refund_minor: u64,
        now: Timestamp,
    ) -> Option<PaymentChange> {
        let before = payment?;
        let mut after = before.clone();
        let refund = RefundId::from_ulid(self.context.next_id());
        let changes = after.cancel(refund_minor, RefundReason::Cancelled, (refund, now));
        changes.then_some(PaymentChange {
            before: Some(before),
            after,
            at: now,
        })
    }

    /// Reads the state that a cancellation is decided on.
    async fn read_cancellation(
        &self,
        tenant: &TenantId,
        request: &RequestedCancellation,
    ) -> Result<CancellationInput> {
        let id = request.booking;
        let key = request.idempotency.as_ref().map(|one| one.key.clone());
        // The inventory is read first: whatever happens to the booking after that changes its revision.
        let query = GroupQuery {
            keys: key.into_iter().collect(),
            customers: vec![id.customer()],
            ..GroupQuery::default()
        };
        let mut snapshot = self
            .repository
            .read_group(tenant, id.event(), &query)
            .await?;
        let (Some(inventory), Some(booking)) = (
            snapshot.inventory.take(),
            self.repository.find(tenant, id).await?,
        ) else {
            return Err(Error::not_found("booking", id));
        };
        let is_older = booking.event_version != inventory.event_version;
        let booked_terms = match is_older && request.cause == CancelCause::Customer {
            true => {
                let version = booking.event_version;
                self.events.old_terms(tenant, id.event(), version).await?
            }
            false => None,
        };
        Ok(CancellationInput {
            payment: self.repository.payment_of(tenant, &booking).await?,
            snapshot,
            inventory,
            booking,
            booked_terms,
        })
    }
}

impl CancellationInput {
    fn tickets_in_event(&self) -> u32 {
        let customer = self.booking.customer;
        self.snapshot.tickets.get(&customer).copied().unwrap_or(0)
    }

    /// Returns whether the policies' input is stale.
    fn is_stale(&self, decision: CancelDecision) -> bool {
        let now = (self.inventory.event_version, self.tickets_in_event());
        decision.policy_version != self.snapshot.policy_version
            || decision.seen.is_some_and(|seen| seen != now)
    }

    /// Decides about a request. `own` is the id that the cancellation gets, or has if its answer was lost.
    fn judge(
        &self,
        request: &RequestedCancellation,
        own: Option<NotificationId>,
        now: Timestamp,
    ) -> Result<Verdict> {
        if let Some(booking) = self.answer_before(request, own, now)? {
            return Ok(Verdict::Answered(Box::new(booking)));
        }
        let booking = &self.booking;
        let (numbers, lines) = match (&request.lines, &request.tickets) {
            (Some(wanted), None) => {
                let lines = chosen(&booking.lines, wanted)?;
                (booking.last_numbers(&lines), lines)
            }
            (None, Some(numbers)) => booking.named_tickets(numbers)?,
            (None, None) => (booking.numbers_left(), booking.lines.clone()),
            (Some(_), Some(_)) => {
                let rule = "Send lines or ticketNumbers, not both.";
                return Err(Error::field("ticketNumbers", rule));
            }
        };
        let left = without(&booking.lines, &lines);
        if !left.is_empty() && booking.cancellations.len() + 1 >= Cancellation::PER_BOOKING_MAX {
            let field = match request.tickets {
                Some(_) => "ticketNumbers",
                None => "lines",
            };
            return Err(Error::field(
                field,
                "A booking can be cancelled in part at most 99 times; cancel all the rest, without naming tickets.",
            ));
        }
        let percent = match request.cause {
            CancelCause::Customer => {
                came_in_stay(booking, &numbers)?;
                require_own(booking, &numbers)?;
                self.leaves_enough(request, &left)?;
                self.percent_back(now)?
            }
            CancelCause::Organizer | CancelCause::Event => 100,
        };
        Ok(Verdict::Cancel(Taken {
            refund_minor: refund_of(&booking.cancellations, &lines, percent),
            refund_percent: percent,
            numbers,
            lines,
        }))
    }

    /// The booking as it is answered if there is nothing left to cancel: the same request succeeded before, or all of it is
    /// cancelled already.
    fn answer_before(
        &self,
        request: &RequestedCancellation,
        own: Option<NotificationId>,
        now: Timestamp,
    ) -> Result<Option<Booking>> {
        let booking = &self.booking;
        if let Some(keyed) = &request.idempotency
            && let Some(recorded) = self.snapshot.recorded.get(&keyed.key)
        {
            let cancellations = match keyed.answer_of(recorded)? {
                RecordedAnswer::Booking { cancellations, .. } => cancellations,
                other => return Err(Error::internal(format!("recorded as {other:?}"))),
            };
            return Ok(Some(booking.as_of(cancellations)));
        }
        let mut done = booking.cancellations.iter();
        if let Some(index) = done.position(|one| Some(one.notification) == own) {
            return Ok(Some(booking.as_of(index + 1)));
        }
        let status = self.inventory.status;
        if status != EventStatus::Cancelled && booking.status != BookingStatus::Cancelled {
            return Ok(None);
        }
        match request.lines.is_some() || request.tickets.is_some() {
            false => Ok(Some(read_with_event(booking.clone(), status, now))),
            true => Err(Error::new(
                ErrorCode::BookingCancelled,
                "This booking is already cancelled.",
            )),
        }
    }

    /// Refuses to leave fewer tickets of a type than one booking must have, unless none are left.
    fn leaves_enough(&self, request: &RequestedCancellation, left: &[BookingLine]) -> Result<()> {
        for before in &self.booking.lines {
            let of_type = |line: &&BookingLine| line.ticket_type == before.ticket_type;
            let Some(line) = left.iter().find(of_type) else {
                continue;
            };
            let mut types = self.inventory.ticket_types.iter();
            let fewest = types
                .find(|kind| kind.id == line.ticket_type)
                .map_or(1, |kind| kind.min_per_booking);
            if line.quantity < before.quantity && line.quantity < fewest {
                let wanted = request.lines.iter().flatten();
                let index = wanted.enumerate().find_map(|(index, wanted)| {
                    let is_it = wanted
                        .ticket_type
                        .as_ref()
                        .is_none_or(|id| *id == line.ticket_type);
                    is_it.then_some(index)
                });
                return Err(Error::field(
                    match index {
                        Some(index) => format!("lines[{index}].quantity"),
                        None => "ticketNumbers".to_owned(),
                    },
                    format!("Keep at least {fewest} of these tickets, or none."),
                ));
            }
        }
        Ok(())
    }

    /// The refunded share: under the event's terms, or the booked ones if they are better.
    fn percent_back(&self, now: Timestamp) -> Result<u32> {
        let (terms, starts_at) = (&self.inventory.cancellation_terms, self.inventory.starts_at);
        let booked = self.booked_terms.as_ref().filter(|_| now <= starts_at);
        let booked = booked.and_then(|(began_at, terms)| terms.refund_percent(*began_at, now));
        let percent = terms.refund_percent(starts_at, now).max(booked);
        percent.ok_or_else(|| closed(terms))
    }
}

fn outcome_unknown() -> Error {
    Error::new(
        ErrorCode::OutcomeUnknown,
        "The connection to the database failed while the cancellation was written. Read the booking, or send the \
         request again with the same Idempotency-Key.",
    )
    .retry_after(Duration::from_secs(5))
}

/// Refuses to cancel tickets that are checked in.
fn came_in_stay(booking: &Booking, numbers: &[u32]) -> Result<()> {
    match numbers.iter().any(|number| booking.is_in(*number)) {
        true => Err(Error::new(
            ErrorCode::AlreadyCheckedIn,
            "These tickets are checked in, so only the organizer can cancel them.",
        )),
        false => Ok(()),
    }
}

/// A booking after a cancellation.
fn cancelled(booking: Booking, cancellation: Cancellation) -> Booking {
    let mut after = booking;
    let left = without(&after.lines, &cancellation.lines);
    if left.is_empty() {
        after.status = BookingStatus::Cancelled;
        after.cancelled = Some((cancellation.cause, cancellation.at));
    } else {
        after.total_minor = total_of(&left);
        let before = std::mem::replace(&mut after.lines, left);
        after.booked_lines.get_or_insert(before);
    }
    after.cancellations.push(cancellation);
    after
}

fn tickets_of(lines: &[BookingLine]) -> u32 {
    lines.iter().map(|line| line.quantity).sum()
}

/// A booking that has given back of the tenant's counters.
fn with_returns(mut booking: Booking, returns: &[ClaimReturn]) -> Booking {
    for one in &mut booking.claims {
        let of_key = returns.iter().filter(|back| back.key == one.key);
        one.returned += of_key.map(|back| back.amount).sum::<u32>();
    }
    booking
}

/// What a booking gives back of the tenant's counters when tickets of it are cancelled: in proportion, and all with the last ticket.
fn returns(booking: &Booking, lines: &[BookingLine]) -> Vec<ClaimReturn> {
    let (all, left) = (booking.numbers(), booking.tickets() - tickets_of(lines));
    let returned = booking.claims.iter().map(|one| {
        let amount = one.gives_back(all, all - left);
        ClaimReturn {
            booking: booking.id,
            key: one.key.clone(),
            amount,
            left: one.left() - amount,
        }
    });
    returned.filter(|one| one.amount > 0).collect()
}

/// A booking with its event's state: if the event is cancelled, so is the booking, whether that is written
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
