//! The rules of booking: who gets tickets, at which price, and what is written with it.
//!
//! Called by app_modules. Calls the bookings repository; groups requests in lanes.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{Span, Timestamp};
use tokio::sync::oneshot;
use ulid::Ulid;

use super::{
    Surroundings,
    lanes::{Lanes, Waiting},
    repositories::{
        BookingsRepository, GroupPlan, GroupSnapshot, INVENTORY_MOVED, InventoryChange, NewMails,
        RecordedRequest, StepError, pause_after_conflict,
    },
};
use crate::{
    Error, ErrorCode, Result,
    ports::Lane,
    types::{
        Block, BookLine, Booking, BookingId, BookingLine, BookingStatus, CancelCause,
        CapacityCause, Entry, EventId, EventStatus, IdempotencyKey, Inventory, NotificationId,
        NotificationKind, Owed, OwedPart, Page, PageRequest, TenantId, UserId,
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
                Ulid::nil(),
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
        let before = page
            .cursor
            .as_deref()
            .map(read_cursor)
            .transpose()?
            .map(BookingId::serial);
        let rows = self
            .rules
            .repository
            .list_of_customer(tenant, customer, before, page)
            .await?;
        Ok(cut(rows, page))
    }

    /// An event's bookings in customer order.
    pub(crate) async fn list_of_event(
        &self,
        tenant: &TenantId,
        event: EventId,
        page: &PageRequest,
    ) -> Result<Page<Booking>> {
        let after = page.cursor.as_deref().map(read_cursor).transpose()?;
        let after = after.map(|id| (id.customer(), Some(id.serial())));
        let rows = self
            .rules
            .repository
            .list_of_event(tenant, event, after, None, page.limit + 1)
            .await?;
        Ok(cut(rows, page))
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
                .read_group(tenant, event, change, &keys, &customers)
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
                .read_group(tenant, id.event(), change, &[], &[])
                .await?;
            let (Some(inventory), Some(booking)) =
                (snapshot.inventory, self.repository.find(tenant, id).await?)
            else {
                return Err(Error::not_found("booking", id));
            };
            if booking.status == BookingStatus::Cancelled
                || inventory.status == EventStatus::Cancelled
            {
                return Ok(as_seen(booking, inventory.status, self.surroundings.now()));
            }
            let now = self.surroundings.now();
            let cancelled = Booking {
                status: BookingStatus::Cancelled,
                cancelled: Some((cause, now)),
                ..booking.clone()
            };
            let change = InventoryChange {
                sold_change: -i64::from(booking.tickets()),
                inventory: without(inventory, &booking.lines),
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

/// What a group is decided on.
struct Seen<'a> {
    tenant: &'a TenantId,
    event: EventId,
    snapshot: &'a GroupSnapshot,
    recorded: Vec<Option<Result<Placement>>>,
    now: Timestamp,
}

impl Seen<'_> {
    /// Decides about each member in order of arrival: the plan to write (none if nobody gets anything) and everybody's
    /// answer, valid once the plan is written.
    fn plan(
        self,
        requests: &[RequestedBooking],
        serials: &[Ulid],
        change: Ulid,
        attempt: u32,
        notification: NotificationId,
    ) -> (Option<GroupPlan>, Vec<Result<Placement>>) {
        let Some(inventory) = &self.snapshot.inventory else {
            let none = || Err(Error::not_found("event", self.event));
            return (None, requests.iter().map(|_| none()).collect());
        };
        let mut left = inventory.clone();
        let mut tickets = self.snapshot.tickets.clone();
        let mut fresh: HashMap<(UserId, IdempotencyKey), (String, Booking)> = HashMap::new();
        let mut bookings = Vec::new();
        let mut answers = Vec::with_capacity(requests.len());
        for ((request, serial), recorded) in requests.iter().zip(serials).zip(self.recorded) {
            if let Some(answer) = recorded {
                answers.push(answer);
                continue;
            }
            // The same key twice in one group: the second waits for the first, which is this very plan.
            let key = request
                .idempotency
                .as_ref()
                .map(|(key, _)| (request.customer, key.clone()));
            if let Some((hash, booking)) = key.as_ref().and_then(|key| fresh.get(key)) {
                let same = request
                    .idempotency
                    .as_ref()
                    .is_some_and(|(_, own)| own == hash);
                answers.push(if same {
                    Ok(Placement::Recorded(booking.clone()))
                } else {
                    Err(key_reused())
                });
                continue;
            }
            if let Some(decision) = &request.decision {
                let moved = decision.event_version != left.event_version
                    || tickets.get(&request.customer).copied().unwrap_or(0)
                        != decision.tickets_in_event;
                if moved {
                    answers.push(Ok(Placement::DecideAgain));
                    continue;
                }
            }
            match place(&left, request, *serial, self.now) {
                Ok(booking) => {
                    left = with(left, &booking.lines);
                    *tickets.entry(request.customer).or_default() += booking.tickets();
                    if let (Some(key), Some((_, hash))) = (key, &request.idempotency) {
                        fresh.insert(key, (hash.clone(), booking.clone()));
                    }
                    answers.push(Ok(Placement::Booked(booking.clone())));
                    bookings.push(booking);
                }
                Err(error) => answers.push(Err(error)),
            }
        }
        if bookings.is_empty() {
            return (None, answers);
        }
        let recorded = fresh
            .into_iter()
            .map(|((user, key), (request_hash, booking))| {
                (
                    user,
                    key,
                    RecordedRequest {
                        request_hash,
                        booking: booking.id,
                    },
                )
            })
            .collect();
        left.bookings += bookings.len() as u64;
        let ids: Vec<_> = bookings.iter().map(|booking| booking.id).collect();
        let plan = GroupPlan {
            change: InventoryChange {
                sold_change: i64::from(left.sold) - i64::from(inventory.sold),
                inventory: left,
                change,
                attempt,
                cause: CapacityCause::Booked,
                at: self.now,
            },
            mails: mails_about(
                self.tenant,
                notification,
                NotificationKind::BookingConfirmed,
                &ids,
                self.now,
            ),
            bookings,
            recorded,
            recorded_until: self
                .now
                .checked_add(Span::new().hours(24))
                .unwrap_or(Timestamp::MAX),
        };
        (Some(plan), answers)
    }
}

/// Decides about one request on a sight of the inventory: the booking it becomes, or why not.
fn place(
    inventory: &Inventory,
    request: &RequestedBooking,
    serial: Ulid,
    now: Timestamp,
) -> Result<Booking> {
    match inventory.status {
        EventStatus::Published => {}
        EventStatus::Draft => {
            return Err(Error::new(
                ErrorCode::EventNotPublished,
                "This event is not on sale yet.",
            ));
        }
        EventStatus::Cancelled => {
            return Err(Error::new(
                ErrorCode::EventCancelled,
                "This event was called off.",
            ));
        }
    }
    let mut lines = Vec::with_capacity(request.lines.len());
    let mut wanted: u32 = 0;
    let mut total_minor: u64 = 0;
    for (index, line) in request.lines.iter().enumerate() {
        let kind = match &line.ticket_type {
            Some(id) => inventory.ticket_types.iter().find(|kind| kind.id == *id),
            None if inventory.ticket_types.len() == 1 => inventory.ticket_types.first(),
            None => None,
        };
        let kind = kind.ok_or_else(|| {
            Error::field(
                format!("lines[{index}].ticketType"),
                "Name one of the event's ticket types.",
            )
        })?;
        if kind.sales_open_at.is_some_and(|open| now < open) {
            return Err(Error::new(ErrorCode::SalesNotOpen, "Sales have not begun."));
        }
        if now >= kind.sales_close_at.unwrap_or(inventory.starts_at) {
            return Err(Error::new(ErrorCode::SalesClosed, "Sales are over."));
        }
        if line.quantity < kind.min_per_booking || line.quantity > kind.max_per_booking {
            return Err(Error::field(
                format!("lines[{index}].quantity"),
                format!(
                    "One booking has {} to {} of these tickets.",
                    kind.min_per_booking, kind.max_per_booking
                ),
            ));
        }
        let free = kind
            .capacity
            .saturating_sub(kind.sold)
            .saturating_sub(kind.held);
        if line.quantity > free {
            return Err(not_enough(free.min(inventory.available())));
        }
        // Quantities are at most 10,000 each in 10 lines and prices u32, so that sums stay far within u64.
        wanted = wanted.saturating_add(line.quantity);
        let unit_price_minor = request
            .decision
            .as_ref()
            .and_then(|decision| decision.unit_prices_minor.get(index).copied())
            .unwrap_or(kind.price_minor);
        total_minor += u64::from(unit_price_minor) * u64::from(line.quantity);
        lines.push(BookingLine {
            ticket_type: kind.id.clone(),
            quantity: line.quantity,
            unit_price_minor,
        });
    }
    if wanted > inventory.available() {
        return Err(not_enough(inventory.available()));
    }
    if request
        .expected_total_minor
        .is_some_and(|expected| expected != total_minor)
    {
        return Err(Error::new(
            ErrorCode::PriceChanged,
            format!(
                "The total is {total_minor} in minor units of {} now.",
                inventory.currency
            ),
        ));
    }
    Ok(Booking {
        id: BookingId::new(inventory.event, request.customer, serial),
        event: inventory.event,
        customer: request.customer,
        status: BookingStatus::Confirmed,
        cancelled: None,
        lines,
        total_minor,
        currency: inventory.currency.clone(),
        event_version: inventory.event_version,
        created_at: now,
    })
}

/// A booking as its event's status makes it read: with the event called off, so is the booking.
pub(super) fn as_seen(booking: Booking, event: EventStatus, now: Timestamp) -> Booking {
    if event == EventStatus::Cancelled && booking.status == BookingStatus::Confirmed {
        Booking {
            status: BookingStatus::Cancelled,
            cancelled: Some((CancelCause::Event, now)),
            ..booking
        }
    } else {
        booking
    }
}

fn with(mut inventory: Inventory, lines: &[BookingLine]) -> Inventory {
    for line in lines {
        inventory.sold += line.quantity;
        if let Some(kind) = inventory
            .ticket_types
            .iter_mut()
            .find(|kind| kind.id == line.ticket_type)
        {
            kind.sold += line.quantity;
        }
    }
    inventory
}

fn without(mut inventory: Inventory, lines: &[BookingLine]) -> Inventory {
    for line in lines {
        inventory.sold = inventory.sold.saturating_sub(line.quantity);
        if let Some(kind) = inventory
            .ticket_types
            .iter_mut()
            .find(|kind| kind.id == line.ticket_type)
        {
            kind.sold = kind.sold.saturating_sub(line.quantity);
        }
    }
    inventory
}

/// The mails that a step about some bookings owes: one for each booking, in blocks, due now.
fn mails_about(
    tenant: &TenantId,
    notification: NotificationId,
    kind: NotificationKind,
    bookings: &[BookingId],
    now: Timestamp,
) -> NewMails {
    let mut mails = NewMails::default();
    for (number, bookings) in (0_u32..).zip(bookings.chunks(Block::ENTRIES_MAX)) {
        let Some(first) = bookings.first() else {
            continue;
        };
        mails.blocks.push(Block {
            notification,
            number,
            revision: 0,
            kind,
            event: first.event(),
            entries: bookings
                .iter()
                .map(|id| Entry::queued(id.customer(), Some(*id)))
                .collect(),
            claim: None,
            claims: 0,
            created_at: now,
        });
        mails.owed.push(Owed {
            due_at: now,
            tenant: tenant.clone(),
            notification,
            part: OwedPart::Block(number),
            lane: Lane::Transactional,
            published: false,
        });
    }
    mails
}

fn not_enough(left: u32) -> Error {
    let detail = match left {
        0 => "The event is sold out.".to_owned(),
        1 => "Only 1 ticket is left.".to_owned(),
        left => format!("Only {left} tickets are left."),
    };
    Error::new(ErrorCode::NotEnoughTickets, detail)
}

fn key_reused() -> Error {
    Error::new(
        ErrorCode::IdempotencyKeyReused,
        "This Idempotency-Key was used for a different request within the last 24 hours; use a new key.",
    )
    .at_field("Idempotency-Key")
}

/// The same refusal for each member of a group that could not be written.
fn same_refusal(error: &Error) -> Error {
    let copy = Error::new(error.code(), error.detail().to_owned());
    match error.retry_after_hint() {
        Some(after) => copy.retry_after(after),
        None => copy,
    }
}

fn read_cursor(text: &str) -> Result<BookingId> {
    text.parse()
        .map_err(|_| Error::field("cursor", "Send back what the last page gave as nextCursor."))
}

fn cut(mut rows: Vec<Booking>, page: &PageRequest) -> Page<Booking> {
    let limit = page.limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more {
        rows.last().map(|booking| booking.id.to_string())
    } else {
        None
    };
    Page { items: rows, next }
}
