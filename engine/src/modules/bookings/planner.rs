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
    claims::ClaimsPlan,
    counters, imports,
    mails::mails_about,
    orders::{Wanted, confirmed, order, require_within_customer_limit, tickets_in},
    planned_causes::cause_of,
    receipts::{add_receipt, receipts_of},
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
        Booking, BookingId, BookingLine, BookingNumber, CheckIn, ClaimUse, EventId, Hold, HoldId,
        HoldStatus, Inventory, KeyedRequest, LastChange, NotificationId, NotificationKind,
        NumberGroup, RecordedAnswer, RecordedRequest, Reference, RequestKey, TenantId, TicketId,
        TraceParent, UserId,
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
    pub(super) open_holds: HashMap<UserId, HoldId>,
    /// What unconfirmed customers hold and wait for.
    unconfirmed: HashMap<UserId, UnconfirmedAccount>,
    pub(super) holds: &'a HashMap<HoldId, Hold>,
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
    pub(super) hold_changes: Vec<HoldChange>,
    /// The tenant's counters, and what is taken of them.
    pub(super) claims: ClaimsPlan,
    /// References that other bookings have.
    pub(super) references: HashSet<Reference>,
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
            claims: ClaimsPlan::default(),
            references: self.snapshot.references.clone(),
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
        let receipts = receipts_of(&planner.bookings, self.change, self.now);
        let ids: Vec<_> = (planner.bookings.iter())
            .map(|booking| booking.id)
            .filter(|booking| !planner.silent.contains(booking))
            .collect();
        let kind = NotificationKind::BookingConfirmed;
        let (claims, claim_uses) = planner.claims.written(&self.snapshot.claims);
        GroupPlan {
            claims,
            claim_uses,
            change: InventoryChange {
                before,
                cause: cause_of(&planner.bookings, &planner.hold_changes),
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
            receipts,
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
        Placement::PolicyStale
        | Placement::DetailsStale
        | Placement::Offered(_)
        | Placement::Paid(_) => return None,
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
        if self.has_stale_details(request) {
            return Ok(Placement::DetailsStale);
        }
        let made = self.bookings.len();
        let placement = match request.intent {
            _ if request.payment.is_some() => self.pay(request)?,
            BookingIntent::Book => Placement::Booked(self.book(request, serial)?),
            BookingIntent::Import => Placement::Booked(self.import(request)?),
            BookingIntent::Hold => Placement::Held(self.hold(request, serial)?),
            BookingIntent::Confirm(id) | BookingIntent::AcceptOffer(id) => {
                self.confirm(id, request)?
            }
        };
        if let Some(booking) = self.bookings.get_mut(made) {
            add_receipt(booking, request.receipts, &self.left.ticket_types);
        }
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

    /// Refuses tickets beyond what one customer may have of the event. What they have is read for each event with such a limit.
    ///
    /// # Errors
    /// `customer-limit`.
    pub(super) fn require_within_limit(
        &self,
        request: &RequestedBooking,
        lines: &[BookingLine],
    ) -> Result<()> {
        let has = self.tickets.get(&request.customer).copied().unwrap_or(0);
        let tickets = (has, tickets_in(lines));
        require_within_customer_limit(&self.left, tickets, request.is_complimentary())
    }

    fn book(&mut self, request: &RequestedBooking, serial: Ulid) -> Result<Booking> {
        let order = order(&self.left, &Wanted::of(request), self.now)?;
        self.require_within_limit(request, &order.lines)?;
        let id = BookingId::new(self.left.event, request.customer, serial);
        let mut booking = Booking {
            messages: messages(request),
            sale: request.sale.clone(),
            details: request.details.checked.clone(),
            ..confirmed(&self.left, (id, self.next_number()), order.lines, self.now)
        };
        self.require_free_reference(&booking)?;
        booking.claims = self.take_claims(request, id)?;
        self.take_reference(&booking);
        self.left = counters::add_sold(self.left.clone(), &booking.lines);
        *self.tickets.entry(request.customer).or_default() += booking.tickets();
        self.bookings.push(booking.clone());
        Ok(booking)
    }

    /// Takes a booking over from another system.
    fn import(&mut self, request: &RequestedBooking) -> Result<Booking> {
        let (booking, left) = imports::booking(&self.left, request, self.next_number())?;
        self.require_free_reference(&booking)?;
        self.take_reference(&booking);
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
        self.require_within_limit(request, &order.lines)?;
        let account = match request.is_unconfirmed {
            true => {
                let known = self.unconfirmed.get(&request.customer);
                let mut account = known.cloned().unwrap_or_default();
                let tickets = order.lines.iter().map(|line| line.quantity).sum();
                unconfirmed::count(&mut account, self.left.event, tickets)?;
                Some(account)
            }
            false => None,
        };
        let expires_at = self.now.checked_add(self.hold_duration);
        let expires_at = to_millisecond(expires_at.map_err(Error::internal)?);
        let id = HoldId::new(self.left.event, request.customer, serial);
        let claims = self.take_claims(request, id.booking())?;
        if let Some(account) = account {
            self.unconfirmed.insert(request.customer, account);
        }
        let hold = Hold {
            id,
            event: self.left.event,
            customer: request.customer,
            status: HoldStatus::Held,
            lines: order.lines,
            total_minor: order.total_minor,
            messages: messages(request),
            currency: self.left.currency.clone(),
            event_version: self.left.event_version,
            created_at: self.now,
            expires_at,
            extended: false,
            waitlist_number: None,
            ended_at: None,
            sale: request.sale.clone(),
            details: request.details.checked.clone(),
            claims,
            last_change: LastChange::default(),
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

    /// Takes what the policies' decision about a request claims, for the booking or hold of this id.
    ///
    /// # Errors
    /// `claim-exhausted`.
    pub(super) fn take_claims(
        &mut self,
        request: &RequestedBooking,
        id: BookingId,
    ) -> Result<Vec<ClaimUse>> {
        match &request.decision {
            Some(decision) => {
                let known = &self.snapshot.claims;
                self.claims.take(&decision.claims, id, known, self.now)
            }
            None => Ok(Vec::new()),
        }
    }
}

/// The policies' texts for the customer.
pub(super) fn messages(request: &RequestedBooking) -> Vec<String> {
    let decision = request.decision.as_ref();
    decision.map_or_else(Vec::new, |decision| decision.messages.clone())
}
