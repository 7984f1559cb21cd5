//! The rules of booking: who gets tickets, at which price, and what is written.
//!
//! Called by app_modules. Calls the bookings repository. Groups requests in event queues.

mod cancel;
mod counters;
mod group_commit;
mod holds;
pub(in crate::modules) mod offers;
mod planner;
mod policy_snapshots;
mod unconfirmed;
mod waitlist;

use std::sync::Arc;

use tokio::sync::oneshot;

pub(crate) use cancel::{BeforeCancelling, RequestedCancellation, read_with_event};
pub(super) use counters::held;
use holds::ExpiryScanCursor;
pub(crate) use planner::not_published;
pub(super) use planner::{Wanted, mails_about, order};
use policy_snapshots::{PolicySnapshot, PolicySnapshots};

use super::{
    ModuleContext,
    repositories::{BookingsRepository, EventsRepository, HoldsRepository},
};
use crate::modules::{
    bookings::offers::OfferMaker,
    support::event_queues::{EventQueues, Waiting},
};
use crate::{
    error::{Error, Result},
    types::{
        BookLine, Booking, BookingId, DecisionRecord, EventId, Hold, HoldId, HoldStatus,
        JoinWaitlist, KeyedRequest, Page, PageRequest, RequestKey, TenantId, TraceParent, UserId,
        WaitlistEntry, WaitlistPass, WaitlistPlace,
    },
};

/// Attempts of one group. The event queue orders the writers of a process, so only other hosts cause more than one.
const ATTEMPTS_MAX: u32 = 24;

/// What a request wants of an event. All variants go through the same policy check, event queue and
/// transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BookingIntent {
    /// A booking.
    Book,
    /// A hold.
    Hold,
    /// The booking of a hold, by the decision of the hold.
    Confirm(HoldId),
    /// The booking of an offer. Policies have not decided about it yet.
    Accept(HoldId),
}

/// A requested booking.
#[derive(Debug, Clone)]
pub(crate) struct RequestedBooking {
    pub(crate) customer: UserId,
    pub(crate) event: EventId,
    pub(crate) door: BookingIntent,
    /// The wanted tickets; a confirmation takes those of its hold.
    pub(crate) lines: Vec<BookLine>,
    pub(crate) expected_total_minor: Option<u64>,
    /// The request with its Idempotency-Key, if it has one.
    pub(crate) idempotency: Option<KeyedRequest>,
    /// The version of the tenant's plugin set under which the request was decided; a confirmation has its hold's.
    pub(crate) policy_version: u64,
    /// The policies' decision with its snapshot; `None` if there are no policies.
    pub(crate) decision: Option<PolicyDecision>,
    /// Whether the customer's address is unconfirmed, which limits what they may hold.
    pub(crate) is_unconfirmed: bool,
    /// The place in the request's trace; known once it is queued.
    pub(crate) trace: Option<TraceParent>,
}

impl RequestedBooking {
    /// The key under which the request's success is recorded.
    fn key(&self) -> Option<RequestKey> {
        self.idempotency.as_ref().map(|keyed| keyed.key.clone())
    }
}

/// The policies' decision, and the snapshot that must still be current when it is written.
#[derive(Debug, Clone)]
pub(crate) struct PolicyDecision {
    pub(crate) event_version: u64,
    pub(crate) tickets_in_event: u32,
    /// Price of one ticket for each line, in minor units.
    pub(crate) unit_prices_minor: Vec<u32>,
    /// Texts about the prices, for the customer.
    pub(crate) messages: Vec<String>,
    /// The plugins' input and answers, to be stored with the booking.
    pub(crate) record: Option<DecisionRecord>,
}

/// The snapshot of a customer's cancellation. It must still be current when the cancellation is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CancelDecision {
    pub(crate) policy_version: u64,
    /// The event's version and the customer's tickets in it, if policies were asked.
    pub(crate) seen: Option<(u64, u32)>,
}

/// The outcome of an accepted request.
#[derive(Debug, Clone)]
pub(crate) enum Placement {
    /// The booking is written, now or by an earlier attempt of the same request.
    Booked(Booking),
    /// The hold is written, now or by an earlier attempt of the same request.
    Held(Hold),
    /// The hold is an offer: ask the policies, and accept it.
    Offered(Hold),
    /// The policies' input is stale: ask them again.
    PolicyStale,
}

/// The policies' input other than the event, and whether the request was answered before.
pub(crate) struct BeforePolicies {
    /// The version of the event; `None` if there is none.
    pub(crate) event_version: Option<u64>,
    /// Tickets of the event that the customer booked or holds, without the offer that is being accepted.
    pub(crate) tickets_in_event: u32,
    /// The offer that is being accepted, if there is one.
    pub(crate) offered: Option<Hold>,
    pub(crate) recorded: Option<Placement>,
}

pub(crate) struct BookingsModule {
    rules: Arc<Rules>,
}

/// The state that an event queue's task shares with the module.
struct Rules {
    repository: Arc<BookingsRepository>,
    holds: HoldsRepository,
    events: Arc<EventsRepository>,
    offer_maker: OfferMaker,
    event_queues: Arc<EventQueues>,
    expiry_cursor: ExpiryScanCursor,
    snapshots: Arc<PolicySnapshots>,
    context: ModuleContext,
}

impl BookingsModule {
    pub(super) fn new(
        repository: Arc<BookingsRepository>,
        offer_maker: OfferMaker,
        holds: HoldsRepository,
        events: Arc<EventsRepository>,
        event_queues: Arc<EventQueues>,
        context: ModuleContext,
    ) -> Self {
        Self {
            rules: Arc::new(Rules {
                repository,
                holds,
                events,
                offer_maker,
                event_queues,
                expiry_cursor: ExpiryScanCursor::default(),
                snapshots: Arc::default(),
                context,
            }),
        }
    }

    /// Queues a request at its event and waits for its answer.
    pub(crate) async fn place(
        &self,
        tenant: &TenantId,
        mut request: RequestedBooking,
    ) -> Result<Placement> {
        // Here, because the queue's task is outside the request's span.
        request.trace = self.rules.context.trace();
        let key = (tenant.clone(), request.event);
        let (answer, answered) = oneshot::channel();
        if self
            .rules
            .event_queues
            .enter(&key, Waiting { request, answer })?
        {
            // A separate task: a client that disconnects must not cancel its group.
            let rules = self.rules.clone();
            tokio::spawn(async move { rules.drain(key).await });
        }
        answered
            .await
            .map_err(|_| Error::internal("a lane ended without an answer"))?
    }

    /// Returns the policies' input about the customer, and a recorded answer, if there is one.
    pub(crate) async fn before_policies(
        &self,
        tenant: &TenantId,
        request: &RequestedBooking,
    ) -> Result<BeforePolicies> {
        let accepted = match request.door {
            BookingIntent::Accept(hold) => Some(hold),
            BookingIntent::Book | BookingIntent::Hold | BookingIntent::Confirm(_) => None,
        };
        let rules = &self.rules;
        let sight = PolicySnapshot {
            customer: request.customer,
            key: request.key(),
            hold: accepted,
        };
        let at = (tenant.clone(), request.event);
        let waiting_max = rules.context.settings.limits.event_queue_max;
        let snapshot = rules
            .snapshots
            .read(&rules.repository, at, sight, waiting_max)
            .await?;
        let tickets = snapshot.tickets.get(&request.customer);
        let offered = accepted.and_then(|hold| snapshot.holds.get(&hold).cloned());
        Ok(BeforePolicies {
            tickets_in_event: without_accepted(tickets.copied().unwrap_or(0), offered.as_ref()),
            offered,
            recorded: self
                .rules
                .recorded_answer(tenant, request, &snapshot)
                .await?,
            event_version: snapshot
                .inventory
                .as_ref()
                .map(|inventory| inventory.event_version),
        })
    }

    pub(crate) async fn find_hold(&self, tenant: &TenantId, hold: HoldId) -> Result<Option<Hold>> {
        self.rules.holds.find(tenant, hold).await
    }

    /// Extends a hold once.
    pub(crate) async fn extend_hold(
        &self,
        tenant: &TenantId,
        hold: HoldId,
        request: Option<&KeyedRequest>,
    ) -> Result<Hold> {
        let key = (tenant.clone(), hold.event());
        let turn = self.rules.event_queues.turn(&key).await;
        let outcome = self.rules.extend_hold(tenant, hold, request).await;
        self.rules.event_queues.done(&key, turn);
        outcome
    }

    /// Releases a hold. One that has ended without a booking is returned unchanged.
    pub(crate) async fn release_hold(
        &self,
        tenant: &TenantId,
        hold: HoldId,
        request: Option<&KeyedRequest>,
    ) -> Result<Hold> {
        let key = (tenant.clone(), hold.event());
        let turn = self.rules.event_queues.turn(&key).await;
        let outcome = self.rules.release_hold(tenant, hold, request).await;
        self.rules.event_queues.done(&key, turn);
        outcome
    }

    /// Releases an offer that a policy rejected, and records why.
    pub(crate) async fn reject_offer(
        &self,
        tenant: &TenantId,
        hold: HoldId,
        reason: &str,
    ) -> Result<()> {
        let key = (tenant.clone(), hold.event());
        let turn = self.rules.event_queues.turn(&key).await;
        let outcome = self.rules.reject_offer(tenant, hold, reason).await;
        self.rules.event_queues.done(&key, turn);
        outcome
    }

    /// Adds a customer to an event's waiting list. Joining again for the same tickets returns
    /// the place.
    pub(crate) async fn join_waitlist(
        &self,
        tenant: &TenantId,
        customer: (UserId, bool),
        command: &JoinWaitlist,
        request: Option<&KeyedRequest>,
    ) -> Result<WaitlistPlace> {
        let key = (tenant.clone(), command.event);
        let turn = self.rules.event_queues.turn(&key).await;
        let rules = &self.rules;
        let outcome = rules
            .join_waitlist(tenant, customer, command, request)
            .await;
        self.rules.event_queues.done(&key, turn);
        outcome
    }

    /// Removes a customer from an event's waiting list.
    pub(crate) async fn leave_waitlist(
        &self,
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
        request: Option<&KeyedRequest>,
    ) -> Result<()> {
        let key = (tenant.clone(), event);
        let turn = self.rules.event_queues.turn(&key).await;
        let rules = &self.rules;
        let outcome = rules.leave_waitlist(tenant, event, customer, request).await;
        self.rules.event_queues.done(&key, turn);
        outcome
    }

    /// A customer's place on an event's waiting list, or their offer.
    pub(crate) async fn place_on_waitlist(
        &self,
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
    ) -> Result<WaitlistPlace> {
        let rules = &self.rules;
        rules.place_on_waitlist(tenant, event, customer).await
    }

    /// A page of an event's waiting list, in order.
    pub(crate) async fn list_waitlist(
        &self,
        tenant: &TenantId,
        event: EventId,
        page: &PageRequest,
    ) -> Result<Page<WaitlistEntry>> {
        let after = page.position::<i64>()?;
        let repository = &self.rules.offer_maker.repository;
        let rows = repository
            .list(tenant, event, after, page.limit + 1)
            .await?;
        Ok(page.cut(rows, |entry| entry.number.to_string()))
    }

    /// A page of the passes over an event's waiting list in which entries were passed over, newest first.
    pub(crate) async fn list_waitlist_passes(
        &self,
        tenant: &TenantId,
        event: EventId,
        page: &PageRequest,
    ) -> Result<Page<WaitlistPass>> {
        let before = page.position::<i64>()?.unwrap_or(i64::MAX);
        let passes = self
            .rules
            .offer_maker
            .repository
            .passes(tenant, event)
            .await?;
        let older = passes.into_iter().filter(|pass| pass.revision < before);
        let rows = older.take(page.limit as usize + 1).collect();
        Ok(page.cut(rows, |pass| pass.revision.to_string()))
    }

    /// Ends a batch of due holds and makes a batch of due offers, of all tenants. Returns whether there may be more.
    pub(crate) async fn expire_holds(&self) -> Result<bool> {
        self.rules.expire_holds().await
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

    /// The policies' input of a customer's cancellation, or its answer if it was done before.
    pub(crate) async fn before_cancelling(
        &self,
        tenant: &TenantId,
        request: &RequestedCancellation,
    ) -> Result<BeforeCancelling> {
        self.rules.before_cancelling(tenant, request).await
    }

    /// Cancels tickets of a booking, which are then free. A cancelled booking is returned unchanged, if the request is for
    /// all of it. `None` if the policies' input is stale: ask them again.
    pub(crate) async fn cancel(
        &self,
        tenant: &TenantId,
        request: &RequestedCancellation,
        decision: Option<CancelDecision>,
    ) -> Result<Option<Booking>> {
        let key = (tenant.clone(), request.booking.event());
        let turn = self.rules.event_queues.turn(&key).await;
        let outcome = self.rules.cancel(tenant, request, decision).await;
        self.rules.event_queues.done(&key, turn);
        outcome
    }
}

/// A customer's tickets without those of the offer that is being accepted.
fn without_accepted(tickets: u32, offered: Option<&Hold>) -> u32 {
    let open = offered.filter(|hold| hold.status == HoldStatus::Held);
    tickets.saturating_sub(open.map_or(0, Hold::tickets))
}
