//! The planner: decides about a group of requests on one snapshot of the inventory. Who gets tickets, at which price, and
//! what is to be written. Pure: it asks no store and no clock.
//!
//! Called by the group commit.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    counters, holds, imports,
    mails::mails_about,
    orders::{Wanted, as_expected, on_sale, order, price_changed},
    requests::{BookingIntent, Placement, RequestedBooking, without_accepted},
    unconfirmed,
};
use crate::{
    error::{Error, ErrorCode, Fact, Result},
    modules::{
        repositories::{
            GroupPlan, GroupSnapshot, HoldChange, InventoryChange, PaymentChange,
            UnconfirmedAccount,
        },
        to_millisecond,
    },
    types::{
        Booking, BookingId, BookingLine, BookingNumber, BookingStatus, CapacityCause, CheckIn,
        EventId, Hold, HoldId, HoldStatus, Inventory, KeyedRequest, NotificationId,
        NotificationKind, NumberGroup, RecordedAnswer, RecordedRequest, RequestKey, SalesChannel,
        TenantId, TicketId, TraceParent, UserId, total_of,
    },
};

/// The input for a group.
pub(super) struct PlanInput<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) event: EventId,
    pub(super) requests: &'a [RequestedBooking],
    /// What each request's booking or hold would be called.
    pub(super) serials: &'a [Ulid],
    /// What requests that came before were answered.
    pub(super) recorded: Vec<Option<Result<Placement>>>,
    pub(super) snapshot: &'a GroupSnapshot,
    /// Names the change, and which attempt of it this is.
    pub(super) change: Ulid,
    pub(super) attempt: u32,
    /// The group of the numbers of its bookings.
    pub(super) numbers: NumberGroup,
    pub(super) notification: NotificationId,
    pub(super) now: Timestamp,
    pub(super) hold_duration: Duration,
}

/// The unfinished plan of a group: what is left, and who gets what.
pub(super) struct GroupPlanner<'a> {
    pub(super) left: Inventory,
    pub(super) tickets: HashMap<UserId, u32>,
    open_holds: HashMap<UserId, HoldId>,
    /// What unconfirmed customers hold and wait for.
    unconfirmed: HashMap<UserId, UnconfirmedAccount>,
    holds: &'a HashMap<HoldId, Hold>,
    pub(super) snapshot: &'a GroupSnapshot,
    pub(super) now: Timestamp,
    hold_duration: Duration,
    /// Requests of this group with keys, and their outcomes.
    fresh: HashMap<RequestKey, (KeyedRequest, Placement)>,
    pub(super) bookings: Vec<Booking>,
    /// Payments whose bookings are made.
    pub(super) payments: Vec<PaymentChange>,
    /// The group of their numbers.
    pub(super) numbers: NumberGroup,
    /// The version of the tenant's plugin set.
    policy_version: u64,
    /// The policies' input and answers for each booking or hold, by serial.
    decisions: Vec<(Ulid, Arc<str>)>,
    /// Those of bookings whose hold was decided about before.
    late_decisions: Vec<(Ulid, Arc<str>)>,
    hold_changes: Vec<HoldChange>,
    /// Check-ins of imported bookings.
    check_ins: Vec<CheckIn>,
    /// Imported bookings whose customers get no mail.
    silent: HashSet<BookingId>,
    /// The places in traces of the bookings.
    traces: HashMap<BookingId, TraceParent>,
}

impl PlanInput<'_> {
    /// Decides about each member in order of arrival: the plan to write (`None` if nobody gets anything) and everybody's
    /// answer, which is valid once the plan is written.
    pub(super) fn plan(mut self) -> (Option<GroupPlan>, Vec<Result<Placement>>) {
        let Some(inventory) = &self.snapshot.inventory else {
            let none = |_| Err(Error::not_found("event", self.event));
            return (None, self.requests.iter().map(none).collect());
        };
        let mut planner = GroupPlanner {
            left: inventory.clone(),
            tickets: self.snapshot.tickets.clone(),
            open_holds: self.snapshot.open_holds.clone(),
            unconfirmed: self.snapshot.unconfirmed.clone(),
            holds: &self.snapshot.holds,
            snapshot: self.snapshot,
            now: self.now,
            hold_duration: self.hold_duration,
            fresh: HashMap::new(),
            bookings: Vec::new(),
            payments: Vec::new(),
            numbers: self.numbers,
            policy_version: self.snapshot.policy_version,
            decisions: Vec::new(),
            late_decisions: Vec::new(),
            hold_changes: Vec::new(),
            check_ins: Vec::new(),
            silent: HashSet::new(),
            traces: HashMap::new(),
        };
        let recorded = std::mem::take(&mut self.recorded);
        let members = self.requests.iter().zip(self.serials).zip(recorded);
        let answers = members
            .map(|((request, serial), recorded)| {
                recorded.unwrap_or_else(|| planner.decide(request, *serial))
            })
            .collect();
        let is_empty = planner.bookings.is_empty() && planner.hold_changes.is_empty();
        let plan = (!is_empty).then(|| self.group_plan(inventory.clone(), planner));
        (plan, answers)
    }

    /// What is written for a group that somebody gets something of.
    fn group_plan(&self, before: Inventory, mut planner: GroupPlanner<'_>) -> GroupPlan {
        let made = planner.hold_changes.iter();
        let made = made.filter(|change| change.before.is_none());
        let unconfirmed = made.filter_map(|change| {
            let customer = change.after.customer;
            Some((customer, planner.unconfirmed.remove(&customer)?))
        });
        let unconfirmed = unconfirmed.collect();
        planner.left.bookings += planner.bookings.len() as u64;
        let ids: Vec<_> = (planner.bookings.iter())
            .map(|booking| booking.id)
            .filter(|booking| !planner.silent.contains(booking))
            .collect();
        let kind = NotificationKind::BookingConfirmed;
        GroupPlan {
            change: InventoryChange {
                before,
                cause: planner.cause(),
                inventory: planner.left,
                change: self.change,
                attempt: self.attempt,
                at: self.now,
                recorded: planner.fresh.into_values().filter_map(recorded).collect(),
            },
            mails: mails_about(self.tenant, self.notification, kind, &ids, self.now)
                .traced(|booking| planner.traces.get(&booking).cloned()),
            bookings: planner.bookings,
            numbers: planner.numbers,
            policy_version: planner.policy_version,
            decisions: planner.decisions,
            late_decisions: planner.late_decisions,
            holds: planner.hold_changes,
            check_ins: planner.check_ins,
            payments: planner.payments,
            unconfirmed,
        }
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
        Placement::PolicyStale | Placement::Offered(_) | Placement::Paid(_) => return None,
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
        let placement = match request.intent {
            _ if request.payment.is_some() => self.pay(request)?,
            BookingIntent::Book => Placement::Booked(self.book(request, serial)?),
            BookingIntent::Import => Placement::Booked(self.import(request)?),
            BookingIntent::Hold => Placement::Held(self.hold(request, serial)?),
            BookingIntent::Confirm(id) | BookingIntent::AcceptOffer(id) => {
                self.confirm(id, request)?
            }
        };
        // A hold and the booking it becomes have one serial, and so one record.
        let paid = request.payment.as_ref().map(|paid| paid.order.hold);
        let serial = match request.accepted_hold().or(paid) {
            Some(hold) => hold.booking().serial(),
            None => serial,
        };
        let record = request
            .decision
            .as_ref()
            .and_then(|own| own.record.as_ref());
        let decisions = match paid {
            Some(_) => &mut self.late_decisions,
            None => &mut self.decisions,
        };
        decisions.extend(record.map(|record| (serial, record.clone())));
        if let (Some(booking), Some(trace)) = (placement.booked(), &request.trace) {
            self.traces.insert(booking, trace.clone());
        }
        if let Some(keyed) = keyed {
            let answered = (keyed.clone(), placement.clone());
            self.fresh.insert(keyed.key.clone(), answered);
        }
        Ok(placement)
    }

    /// Returns whether the policies' input is stale.
    fn is_stale(&self, request: &RequestedBooking) -> bool {
        // A confirmation has the decision of its hold, whatever was activated since. An import is not decided about.
        if !matches!(
            request.intent,
            BookingIntent::Confirm(_) | BookingIntent::Import
        ) && request.policy_version != self.policy_version
        {
            return true;
        }
        let tickets = self.tickets.get(&request.customer).copied().unwrap_or(0);
        let offered = request.accepted_hold();
        let tickets = without_accepted(tickets, offered.and_then(|id| self.holds.get(&id)));
        request.decision.as_ref().is_some_and(|decision| {
            decision.event_version != self.left.event_version
                || decision.tickets_in_event != tickets
        })
    }

    pub(super) fn next_number(&self) -> BookingNumber {
        self.numbers.number_at(self.bookings.len())
    }

    fn book(&mut self, request: &RequestedBooking, serial: Ulid) -> Result<Booking> {
        let order = order(&self.left, &Wanted::of(request), self.now)?;
        let booking = Booking {
            id: BookingId::new(self.left.event, request.customer, serial),
            number: self.next_number(),
            event: self.left.event,
            customer: request.customer,
            status: BookingStatus::Confirmed,
            cancelled: None,
            lines: order.lines,
            booked_lines: None,
            cancellations: Vec::new(),
            total_minor: order.total_minor,
            messages: messages(request),
            currency: self.left.currency.clone(),
            event_version: self.left.event_version,
            created_at: self.now,
            checked_in: Vec::new(),
            sale: request.sale.clone(),
            payment: None,
        };
        self.left = counters::add_sold(self.left.clone(), &booking.lines);
        *self.tickets.entry(request.customer).or_default() += booking.tickets();
        self.bookings.push(booking.clone());
        Ok(booking)
    }

    /// Takes a booking over from another system.
    fn import(&mut self, request: &RequestedBooking) -> Result<Booking> {
        let (booking, left) = imports::booking(&self.left, request, self.next_number())?;
        self.left = left;
        if let Some(row) = request.import.as_deref() {
            if !row.sends_mail {
                self.silent.insert(booking.id);
            }
            let kind = &booking.lines[0].ticket_type;
            let numbers = row.checked_in_at.map(|at| (at, &booking.checked_in));
            let numbers = numbers.into_iter().flat_map(|(at, numbers)| {
                let check_in = move |number: &u32| CheckIn {
                    ticket: TicketId {
                        booking: booking.id,
                        number: *number,
                    },
                    booking_number: booking.number,
                    ticket_type: kind.clone(),
                    at,
                    by: None,
                };
                numbers.iter().map(check_in)
            });
            self.check_ins.extend(numbers);
        }
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
            messages: messages(request),
            currency: self.left.currency.clone(),
            event_version: self.left.event_version,
            created_at: self.now,
            expires_at: to_millisecond(expires_at.map_err(Error::internal)?),
            extended: false,
            waitlist_number: None,
            ended_at: None,
            sale: request.sale.clone(),
        };
        self.left = counters::add_held(self.left.clone(), &hold.lines);
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
    pub(super) fn confirm(&mut self, id: HoldId, request: &RequestedBooking) -> Result<Placement> {
        let made = self.bookings.iter().find(|made| made.id == id.booking());
        if let Some(booking) = made {
            as_expected(
                request.expected_total_minor,
                booking.total_minor,
                &booking.currency,
            )?;
            return Ok(Placement::Booked(booking.clone()));
        }
        let hold = self.holds.get(&id);
        let hold = hold.ok_or_else(|| Error::not_found("hold", id))?;
        hold.require_open()?;
        on_sale(&self.left)?;
        let is_accepted = request.accepted_hold().is_some();
        if hold.waitlist_number.is_some() && !is_accepted {
            return Ok(Placement::Offered(hold.clone()));
        }
        let (lines, messages) = match is_accepted {
            true => (accepted(hold, request)?, messages(request)),
            false => {
                as_expected(
                    request.expected_total_minor,
                    hold.total_minor,
                    &hold.currency,
                )?;
                (hold.lines.clone(), hold.messages.clone())
            }
        };
        let booking = Booking {
            id: id.booking(),
            number: self.next_number(),
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
            sale: hold.sale.clone(),
            payment: None,
        };
        let released = counters::remove_held(self.left.clone(), &hold.lines);
        self.left = counters::add_sold(released, &hold.lines);
        self.open_holds.remove(&hold.customer);
        self.hold_changes.push(HoldChange {
            before: Some(hold.clone()),
            after: holds::ended(hold, HoldStatus::Confirmed, self.now),
        });
        self.bookings.push(booking.clone());
        Ok(Placement::Booked(booking))
    }

    fn all_imported(&self) -> bool {
        let mut channels = self.bookings.iter().map(Booking::channel);
        channels.all(|channel| channel == SalesChannel::Imported)
    }

    fn all_complimentary(&self) -> bool {
        let mut sales = self.bookings.iter().map(|booking| &booking.sale);
        sales.all(|sale| {
            let sale = sale.as_ref();
            sale.is_some_and(|sale| sale.complimentary.is_some())
        })
    }

    /// Why the counters change, for the capacity ledger.
    fn cause(&self) -> CapacityCause {
        let made = |change: &&HoldChange| change.before.is_none();
        let held = self.hold_changes.iter().filter(made).count();
        let confirmed = self.hold_changes.len() - held;
        match (held, confirmed, self.bookings.len() - confirmed) {
            (_, 0, 0) => CapacityCause::Held,
            (0, _, 0) => CapacityCause::HoldConfirmed,
            (0, 0, _) if self.all_imported() => CapacityCause::Imported,
            (0, 0, _) if self.all_complimentary() => CapacityCause::Complimentary,
            (0, 0, _) => CapacityCause::Booked,
            _ => CapacityCause::Several,
        }
    }
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

/// The policies' texts for the customer.
fn messages(request: &RequestedBooking) -> Vec<String> {
    let decision = request.decision.as_ref();
    decision.map_or_else(Vec::new, |decision| decision.messages.clone())
}
