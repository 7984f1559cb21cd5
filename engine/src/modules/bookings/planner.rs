//! The planner decides a group of requests on one read of the inventory: who gets tickets, at which price, and what is
//! written. Pure: it uses no store and no clock.
//!
//! Called by the bookings module.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    BookingIntent, Placement, RequestedBooking, counters, holds, unconfirmed, without_accepted,
};
use crate::{
    error::{Error, ErrorCode, Fact, Result},
    modules::{
        repositories::{
            GroupPlan, GroupSnapshot, HoldChange, InventoryChange, NewMails, UnconfirmedAccount,
        },
        to_millisecond,
    },
    types::{
        BookLine, Booking, BookingId, BookingLine, BookingStatus, CapacityCause, DecisionRecord,
        DeliveryBatch, DeliveryRecord, EventId, EventStatus, Hold, HoldId, HoldStatus, Inventory,
        KeyedRequest, Lane, NotificationId, NotificationKind, OutboxEntry, OutboxPart,
        RecordedAnswer, RecordedRequest, RequestKey, TenantId, TicketType, TraceParent, UserId,
        total_of,
    },
};

/// The input for a group.
pub(super) struct PlanInput<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) event: EventId,
    pub(super) snapshot: &'a GroupSnapshot,
    pub(super) recorded: Vec<Option<Result<Placement>>>,
    pub(super) now: Timestamp,
    pub(super) hold_duration: Duration,
}

/// The unfinished plan of a group: what is left, and who gets what.
struct GroupPlanner<'a> {
    left: Inventory,
    tickets: HashMap<UserId, u32>,
    open_holds: HashMap<UserId, HoldId>,
    /// What unconfirmed customers hold and wait for.
    unconfirmed: HashMap<UserId, UnconfirmedAccount>,
    holds: &'a HashMap<HoldId, Hold>,
    now: Timestamp,
    hold_duration: Duration,
    /// Requests of this group with keys, and their outcomes.
    fresh: HashMap<RequestKey, (KeyedRequest, Placement)>,
    bookings: Vec<Booking>,
    /// The version of the tenant's plugin set.
    policy_version: u64,
    /// The policies' input and answers for each booking or hold, by serial.
    decisions: Vec<(Ulid, DecisionRecord)>,
    hold_changes: Vec<HoldChange>,
    /// The places in traces of the bookings.
    traces: HashMap<BookingId, TraceParent>,
}

impl PlanInput<'_> {
    /// Decides about each member in order of arrival. Returns the plan to write (`None` if nobody gets anything) and everybody's
    /// answer, which is valid once the plan is written.
    pub(super) fn plan(
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
        let mut draft = GroupPlanner {
            left: inventory.clone(),
            tickets: self.snapshot.tickets.clone(),
            open_holds: self.snapshot.open_holds.clone(),
            unconfirmed: self.snapshot.unconfirmed.clone(),
            holds: &self.snapshot.holds,
            now: self.now,
            hold_duration: self.hold_duration,
            fresh: HashMap::new(),
            bookings: Vec::new(),
            policy_version: self.snapshot.policy_version,
            decisions: Vec::new(),
            hold_changes: Vec::new(),
            traces: HashMap::new(),
        };
        let mut answers = Vec::with_capacity(requests.len());
        for ((request, serial), recorded) in requests.iter().zip(serials).zip(self.recorded) {
            answers.push(recorded.unwrap_or_else(|| draft.decide(request, *serial)));
        }
        if draft.bookings.is_empty() && draft.hold_changes.is_empty() {
            return (None, answers);
        }
        let made = draft.hold_changes.iter();
        let made = made.filter(|change| change.before.is_none());
        let unconfirmed = made.filter_map(|change| {
            let customer = change.after.customer;
            Some((customer, draft.unconfirmed.remove(&customer)?))
        });
        let unconfirmed = unconfirmed.collect();
        draft.left.bookings += draft.bookings.len() as u64;
        let ids: Vec<_> = draft.bookings.iter().map(|booking| booking.id).collect();
        let kind = NotificationKind::BookingConfirmed;
        let plan = GroupPlan {
            change: InventoryChange {
                before: inventory.clone(),
                cause: draft.cause(),
                inventory: draft.left,
                change,
                attempt,
                at: self.now,
                recorded: draft.fresh.into_values().filter_map(recorded).collect(),
            },
            mails: mails_about(self.tenant, notification, kind, &ids, self.now)
                .traced(|booking| draft.traces.get(&booking).cloned()),
            bookings: draft.bookings,
            policy_version: draft.policy_version,
            decisions: draft.decisions,
            holds: draft.hold_changes,
            unconfirmed,
        };
        (Some(plan), answers)
    }
}

/// The record of a successful request.
fn recorded((request, placement): (KeyedRequest, Placement)) -> Option<RecordedRequest> {
    let answer = match placement {
        Placement::Booked(booking) => RecordedAnswer::Booking {
            booking: booking.id,
            cancellations: 0,
        },
        Placement::Held(hold) => RecordedAnswer::Hold(Box::new(hold)),
        Placement::PolicyStale | Placement::Offered(_) => return None,
    };
    Some(request.recorded(answer))
}

impl GroupPlanner<'_> {
    /// Decides about one member.
    fn decide(&mut self, request: &RequestedBooking, serial: Ulid) -> Result<Placement> {
        // The same key twice in one group: the second gets the answer of the first, which is in this plan.
        let keyed = request.idempotency.as_ref();
        if let Some(keyed) = keyed
            && let Some((first, placement)) = self.fresh.get(&keyed.key)
        {
            if first.hash != keyed.hash {
                return Err(keyed.reused());
            }
            keyed.idempotency.replay();
            return Ok(placement.clone());
        }
        if self.is_stale(request) {
            return Ok(Placement::PolicyStale);
        }
        let placement = match request.door {
            BookingIntent::Book => Placement::Booked(self.book(request, serial)?),
            BookingIntent::Hold => Placement::Held(self.hold(request, serial)?),
            BookingIntent::Confirm(id) | BookingIntent::Accept(id) => self.confirm(id, request)?,
        };
        // A hold and the booking it becomes have one serial, and so one record.
        let serial = match request.door {
            BookingIntent::Accept(id) => id.booking().serial(),
            BookingIntent::Book | BookingIntent::Hold | BookingIntent::Confirm(_) => serial,
        };
        let record = request
            .decision
            .as_ref()
            .and_then(|own| own.record.as_ref());
        self.decisions
            .extend(record.map(|record| (serial, record.clone())));
        if let (Placement::Booked(booking), Some(trace)) = (&placement, &request.trace) {
            self.traces.insert(booking.id, trace.clone());
        }
        if let Some(keyed) = keyed {
            let answered = (keyed.clone(), placement.clone());
            self.fresh.insert(keyed.key.clone(), answered);
        }
        Ok(placement)
    }

    /// Returns whether the policies' input is stale.
    fn is_stale(&self, request: &RequestedBooking) -> bool {
        // A confirmation has the decision of its hold, whatever was activated since.
        if !matches!(request.door, BookingIntent::Confirm(_))
            && request.policy_version != self.policy_version
        {
            return true;
        }
        let tickets = self.tickets.get(&request.customer).copied().unwrap_or(0);
        let offered = match request.door {
            BookingIntent::Accept(id) => self.holds.get(&id),
            BookingIntent::Book | BookingIntent::Hold | BookingIntent::Confirm(_) => None,
        };
        let tickets = without_accepted(tickets, offered);
        request.decision.as_ref().is_some_and(|decision| {
            decision.event_version != self.left.event_version
                || decision.tickets_in_event != tickets
        })
    }

    fn book(&mut self, request: &RequestedBooking, serial: Ulid) -> Result<Booking> {
        let order = order(&self.left, &Wanted::of(request), self.now)?;
        let booking = Booking {
            id: BookingId::new(self.left.event, request.customer, serial),
            event: self.left.event,
            customer: request.customer,
            status: BookingStatus::Confirmed,
            cancelled: None,
            lines: order.lines,
            booked_lines: None,
            cancellations: Vec::new(),
            total_minor: order.total_minor,
            messages: told(request),
            currency: self.left.currency.clone(),
            event_version: self.left.event_version,
            created_at: self.now,
            checked_in: Vec::new(),
        };
        self.left = counters::sold(self.left.clone(), &booking.lines);
        *self.tickets.entry(request.customer).or_default() += booking.tickets();
        self.bookings.push(booking.clone());
        Ok(booking)
    }

    fn hold(&mut self, request: &RequestedBooking, serial: Ulid) -> Result<Hold> {
        if let Some(open) = self.open_holds.get(&request.customer) {
            return Err(Error::new(
                ErrorCode::HoldExists,
                format!(
                    "You already hold tickets of this event (hold {open}): confirm or release them first."
                ),
            )
            .with(Fact::HoldId(open.to_string())));
        }
        let order = order(&self.left, &Wanted::of(request), self.now)?;
        if request.is_unconfirmed {
            let account = self.unconfirmed.entry(request.customer).or_default();
            let tickets = order.lines.iter().map(|line| line.quantity).sum();
            unconfirmed::count(account, self.left.event, tickets)?;
        }
        let expires_at = self.now.checked_add(self.hold_duration);
        let hold = Hold {
            id: HoldId::new(self.left.event, request.customer, serial),
            event: self.left.event,
            customer: request.customer,
            status: HoldStatus::Held,
            lines: order.lines,
            total_minor: order.total_minor,
            messages: told(request),
            currency: self.left.currency.clone(),
            event_version: self.left.event_version,
            created_at: self.now,
            expires_at: to_millisecond(expires_at.map_err(Error::internal)?),
            extended: false,
            waitlist_number: None,
            ended_at: None,
        };
        self.left = counters::held(self.left.clone(), &hold.lines);
        *self.tickets.entry(request.customer).or_default() += hold.tickets();
        self.open_holds.insert(request.customer, hold.id);
        self.hold_changes.push(HoldChange {
            before: None,
            after: hold.clone(),
        });
        Ok(hold)
    }

    /// Turns an active hold, overdue or not, into a booking by the hold's decision. An offer to the
    /// waiting list is decided now, by the request that accepts it.
    fn confirm(&mut self, id: HoldId, request: &RequestedBooking) -> Result<Placement> {
        let made = self.bookings.iter().find(|made| made.id == id.booking());
        if let Some(booking) = made {
            as_expected(request, booking.total_minor, &booking.currency)?;
            return Ok(Placement::Booked(booking.clone()));
        }
        let hold = self.holds.get(&id);
        let hold = hold.ok_or_else(|| Error::not_found("hold", id))?;
        holds::open(hold)?;
        on_sale(&self.left)?;
        let is_accepted = matches!(request.door, BookingIntent::Accept(_));
        if hold.waitlist_number.is_some() && !is_accepted {
            return Ok(Placement::Offered(hold.clone()));
        }
        let (lines, messages) = match is_accepted {
            true => (accepted(hold, request)?, told(request)),
            false => {
                as_expected(request, hold.total_minor, &hold.currency)?;
                (hold.lines.clone(), hold.messages.clone())
            }
        };
        let booking = Booking {
            id: id.booking(),
            event: hold.event,
            customer: hold.customer,
            status: BookingStatus::Confirmed,
            cancelled: None,
            total_minor: total_of(&lines),
            lines,
            booked_lines: None,
            cancellations: Vec::new(),
            messages,
            currency: hold.currency.clone(),
            event_version: hold.event_version,
            created_at: self.now,
            checked_in: Vec::new(),
        };
        let let_go = counters::let_go(self.left.clone(), &hold.lines);
        self.left = counters::sold(let_go, &hold.lines);
        self.open_holds.remove(&hold.customer);
        self.hold_changes.push(HoldChange {
            before: Some(hold.clone()),
            after: holds::ended(hold, HoldStatus::Confirmed, self.now),
        });
        self.bookings.push(booking.clone());
        Ok(Placement::Booked(booking))
    }

    /// The cause of the change, for the capacity ledger.
    fn cause(&self) -> CapacityCause {
        let made = |change: &&HoldChange| change.before.is_none();
        let held = self.hold_changes.iter().filter(made).count();
        let confirmed = self.hold_changes.len() - held;
        match (held, confirmed, self.bookings.len() - confirmed) {
            (_, 0, 0) => CapacityCause::Held,
            (0, _, 0) => CapacityCause::HoldConfirmed,
            (0, 0, _) => CapacityCause::Booked,
            _ => CapacityCause::Several,
        }
    }
}

/// The wanted tickets of an event.
pub(in crate::modules) struct Wanted<'a> {
    pub(in crate::modules) lines: &'a [BookLine],
    /// The prices after the policies, for each line.
    pub(in crate::modules) unit_prices_minor: Option<&'a [u32]>,
    pub(in crate::modules) expected_total_minor: Option<u64>,
}

impl<'a> Wanted<'a> {
    fn of(request: &'a RequestedBooking) -> Self {
        let decision = request.decision.as_ref();
        Self {
            lines: &request.lines,
            unit_prices_minor: decision.map(|decision| decision.unit_prices_minor.as_slice()),
            expected_total_minor: request.expected_total_minor,
        }
    }
}

/// What a request gets, and at which price.
pub(in crate::modules) struct Order {
    pub(in crate::modules) lines: Vec<BookingLine>,
    pub(in crate::modules) total_minor: u64,
    /// When the first sale of its types ends.
    pub(in crate::modules) sales_close_at: Timestamp,
}

/// The accepted offer, at the prices after the policies. They may be lower. Higher prices need the customer's
/// consent.
fn accepted(hold: &Hold, request: &RequestedBooking) -> Result<Vec<BookingLine>> {
    let mut lines = hold.lines.clone();
    if let Some(decision) = &request.decision {
        for (line, price) in lines.iter_mut().zip(&decision.unit_prices_minor) {
            line.unit_price_minor = *price;
        }
    }
    let total_minor = total_of(&lines);
    let is_expected = match request.expected_total_minor {
        Some(expected) => expected == total_minor,
        None => total_minor <= hold.total_minor,
    };
    match is_expected {
        true => Ok(lines),
        false => Err(price_changed(total_minor, &hold.currency)),
    }
}

/// Refuses a total that differs from the expected one, if the request has one.
pub(super) fn as_expected(
    request: &RequestedBooking,
    total_minor: u64,
    currency: &str,
) -> Result<()> {
    match request.expected_total_minor {
        Some(expected) if expected != total_minor => Err(price_changed(total_minor, currency)),
        _ => Ok(()),
    }
}

/// The policies' texts for the customer.
fn told(request: &RequestedBooking) -> Vec<String> {
    let decision = request.decision.as_ref();
    decision.map_or_else(Vec::new, |decision| decision.messages.clone())
}

fn price_changed(total_minor: u64, currency: &str) -> Error {
    Error::new(
        ErrorCode::PriceChanged,
        format!("The total is {total_minor} in minor units of {currency} now."),
    )
    .with(Fact::TotalMinor(total_minor))
}

/// The error for a draft.
pub(crate) fn not_published() -> Error {
    Error::new(
        ErrorCode::EventNotPublished,
        "This event is not on sale yet.",
    )
}

/// Refuses unless the event can be booked.
fn on_sale(inventory: &Inventory) -> Result<()> {
    match inventory.status {
        EventStatus::Published => Ok(()),
        EventStatus::Draft => Err(not_published()),
        EventStatus::Cancelled => Err(Error::new(
            ErrorCode::EventCancelled,
            "This event was cancelled.",
        )),
    }
}

/// Decides about one request on a read of the inventory: what it gets, or why not.
pub(in crate::modules) fn order(
    inventory: &Inventory,
    request: &Wanted<'_>,
    now: Timestamp,
) -> Result<Order> {
    on_sale(inventory)?;
    let mut sales_close_at = Timestamp::MAX;
    let mut lines = Vec::with_capacity(request.lines.len());
    let mut wanted: u32 = 0;
    let mut total_minor: u64 = 0;
    for (index, line) in request.lines.iter().enumerate() {
        let kind = line.ticket_type_of(index, &inventory.ticket_types)?;
        // A line may leave its type open, so duplicates are only visible here.
        if lines
            .iter()
            .any(|earlier: &BookingLine| earlier.ticket_type == kind.id)
        {
            return Err(Error::field(
                format!("lines[{index}].ticketType"),
                "Each ticket type may be in one line only.",
            ));
        }
        if let Some(open) = kind.sales_open_at.filter(|open| now < *open) {
            let detail = format!("Sales begin at {open}.");
            return Err(Error::new(ErrorCode::SalesNotOpen, detail).with(Fact::OpensAt(open)));
        }
        let closes_at = kind.sales_close_at.unwrap_or(inventory.starts_at);
        sales_close_at = sales_close_at.min(closes_at);
        if now >= closes_at {
            let detail = format!("Sales ended at {closes_at}.");
            return Err(Error::new(ErrorCode::SalesClosed, detail).with(Fact::ClosedAt(closes_at)));
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
            let left = free.min(inventory.available());
            return Err(not_enough_of(kind, inventory, left));
        }
        // Quantities are at most 10,000 each in 10 lines and prices u32, so sums fit into u64.
        wanted = wanted.saturating_add(line.quantity);
        let unit_price_minor = request
            .unit_prices_minor
            .and_then(|prices| prices.get(index).copied())
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
        return Err(price_changed(total_minor, &inventory.currency));
    }
    Ok(Order {
        lines,
        total_minor,
        sales_close_at,
    })
}

/// The mails of a step about bookings: one for each booking, in delivery batches, due now.
pub(in crate::modules) fn mails_about(
    tenant: &TenantId,
    notification: NotificationId,
    kind: NotificationKind,
    bookings: &[BookingId],
    now: Timestamp,
) -> NewMails {
    let mut mails = NewMails::default();
    for (number, bookings) in (0_u32..).zip(bookings.chunks(DeliveryBatch::DELIVERIES_MAX)) {
        let Some(first) = bookings.first() else {
            continue;
        };
        mails.batches.push(DeliveryBatch {
            notification,
            number,
            revision: 0,
            kind,
            event: Some(first.event()),
            deliveries: bookings
                .iter()
                .map(|id| DeliveryRecord::queued(id.customer(), Some(*id)))
                .collect(),
            claim: None,
            claims: 0,
            created_at: now,
        });
        mails.owed.push(OutboxEntry {
            due_at: now,
            tenant: tenant.clone(),
            notification,
            part: OutboxPart::DeliveryBatch(number),
            lane: Lane::Transactional,
            published: false,
        });
    }
    mails
}

/// Too few of one type: with several on sale, the error names it.
fn not_enough_of(kind: &TicketType, inventory: &Inventory, left: u32) -> Error {
    if inventory.ticket_types.len() == 1 || inventory.available() == 0 {
        return not_enough(left);
    }
    let detail = match left {
        0 => format!("{} is sold out.", kind.name),
        1 => format!("Only 1 ticket of {} is left.", kind.name),
        left => format!("Only {left} tickets of {} are left.", kind.name),
    };
    Error::new(ErrorCode::NotEnoughTickets, detail).with(Fact::Left(left))
}

fn not_enough(left: u32) -> Error {
    let detail = match left {
        0 => "The event is sold out.".to_owned(),
        1 => "Only 1 ticket is left.".to_owned(),
        left => format!("Only {left} tickets are left."),
    };
    Error::new(ErrorCode::NotEnoughTickets, detail).with(Fact::Left(left))
}
