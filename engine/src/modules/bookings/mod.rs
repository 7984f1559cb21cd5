//! The rules of booking: who gets tickets, at which price, and what is written.
//!
//! `requests` has what is asked and answered. `planner` decides about groups of requests, `group_commit` writes them.
//! `policy_check` has the rules of asking policies. Called by app_modules; calls the bookings, holds, events and waitlist
//! repositories.

mod cancel;
mod changes;
mod claims;
mod confirmations;
mod counters;
mod details;
mod group_commit;
mod holds;
pub(crate) mod imports;
pub(in crate::modules) mod mails;
pub(in crate::modules) mod offers;
mod open_plans;
mod orders;
mod paid;
mod planned_causes;
mod planned_details;
mod planner;
pub(crate) mod policy_check;
mod policy_snapshots;
mod receipts;
mod requests;
mod taken_ids;
mod transfers;
mod unconfirmed;
mod waitlist;

use std::sync::Arc;

use tokio::sync::oneshot;

pub(crate) use cancel::read_with_event;
pub(in crate::modules) use claims::require_left;
pub(crate) use details::{details_for, require_answers};
pub(crate) use orders::not_published;
pub(in crate::modules) use planned_details::reference_taken;
pub(in crate::modules) use receipts::end_of_event;
pub(crate) use requests::{
    BeforeCancelling, BeforePolicies, BookingIntent, CancelDecision, ImportedBooking, PaidRequest,
    Placement, PolicyDecision, RequestedBooking, RequestedCancellation, RequestedDetails,
    WaitingCustomer,
};

pub(crate) use transfers::{RequestedTransfer, require_transferable, with_holder};

use offers::OfferMaker;
use policy_snapshots::SnapshotQueues;
use taken_ids::TakenIds;

use super::{
    ModuleContext,
    repositories::{BookingsRepository, EventsRepository, HoldsRepository},
    support::{
        arrivals::{Arrival, Arrivals},
        due_scan::DueScanCursor,
        event_queues::{EventKey, EventQueues, Waiting},
        inventory_locks::InventoryLocks,
    },
};
use crate::{
    error::{Error, Result},
    types::{
        Booking, BookingId, BookingNumber, EventId, Hold, HoldId, Page, PageRequest, Reference,
        TenantId, UserId, WaitlistEntry, WaitlistPass,
    },
};

/// Attempts of one group. Inside a process the inventory lock keeps writers apart: only other hosts cause more than one.
const ATTEMPTS_MAX: u32 = 24;

pub(crate) struct BookingsModule {
    repository: Arc<BookingsRepository>,
    holds: HoldsRepository,
    events: Arc<EventsRepository>,
    offer_maker: OfferMaker,
    event_queues: EventQueues<RequestedBooking, Placement>,
    arrivals: Arc<Arrivals>,
    inventory_locks: Arc<InventoryLocks>,
    taken_ids: TakenIds,
    expiry_cursor: DueScanCursor,
    snapshots: SnapshotQueues,
    context: ModuleContext,
}

impl BookingsModule {
    pub(super) fn new(
        repository: Arc<BookingsRepository>,
        offer_maker: OfferMaker,
        holds: HoldsRepository,
        events: Arc<EventsRepository>,
        inventory_locks: Arc<InventoryLocks>,
    ) -> Self {
        let context = offer_maker.context.clone();
        let waiting_max = context.settings.limits.event_queue_max;
        Self {
            repository,
            holds,
            events,
            offer_maker,
            event_queues: EventQueues::new(waiting_max),
            arrivals: Arc::default(),
            inventory_locks,
            taken_ids: TakenIds::default(),
            expiry_cursor: DueScanCursor::default(),
            snapshots: EventQueues::new(waiting_max),
            context,
        }
    }

    /// Announces a request that policies are asked about. The event's next group waits a moment for it.
    pub(crate) fn announce(&self, tenant: &TenantId, event: EventId) -> Arrival {
        self.arrivals.announce((tenant.clone(), event))
    }

    /// Puts a request into its event's queue and waits for its own answer.
    pub(crate) async fn place(
        self: &Arc<Self>,
        tenant: &TenantId,
        request: RequestedBooking,
    ) -> Result<Placement> {
        self.place_announced(tenant, request, None).await
    }

    /// The same for a request that was announced.
    pub(crate) async fn place_announced(
        self: &Arc<Self>,
        tenant: &TenantId,
        mut request: RequestedBooking,
        arrival: Option<Arrival>,
    ) -> Result<Placement> {
        // Here, because the queue's task has no part in the request's span.
        request.trace = self.context.trace();
        let key = (tenant.clone(), request.event);
        let (answer, answered) = oneshot::channel();
        let is_first = self.event_queues.enter(&key, Waiting { request, answer })?;
        drop(arrival);
        if is_first {
            // A separate task: a client that hangs up must not take its group down.
            let module = self.clone();
            tokio::spawn(async move { module.drain(key).await });
        }
        answered
            .await
            .map_err(|_| Error::internal("an event queue ended without an answer"))?
    }

    /// Commits groups until the queue is empty. Each waits a moment for requests that policies are asked about now.
    async fn drain(&self, key: EventKey) {
        loop {
            self.arrivals.gather(&key).await;
            let Some(group) = self.event_queues.next_group(&key) else {
                return;
            };
            let mut lock = self.inventory_locks.lock_knowing(&key.0, key.1).await;
            let mut requests = group.iter().map(|waiting| &waiting.request);
            let may_fail = requests.any(|request| self.taken_ids.may_fail(&key.0, request));
            if may_fail {
                lock.known = None;
            }
            self.commit(&key, &mut lock, group).await;
        }
    }

    pub(crate) async fn find_hold(&self, tenant: &TenantId, hold: HoldId) -> Result<Option<Hold>> {
        self.holds.find(tenant, hold).await
    }

    /// A page of an event's waiting list, in order.
    pub(crate) async fn list_waitlist(
        &self,
        tenant: &TenantId,
        event: EventId,
        page: &PageRequest,
    ) -> Result<Page<WaitlistEntry>> {
        let after = page.position::<i64>()?;
        let repository = &self.offer_maker.repository;
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
        let passes = self.offer_maker.repository.passes(tenant, event).await?;
        let older = passes.into_iter().filter(|pass| pass.revision < before);
        let rows = older.take(page.limit as usize + 1).collect();
        Ok(page.cut(rows, |pass| pass.revision.to_string()))
    }

    pub(crate) async fn find(
        &self,
        tenant: &TenantId,
        booking: BookingId,
    ) -> Result<Option<Booking>> {
        self.repository.find(tenant, booking).await
    }

    /// Returns whether an account has a booking of an event that stands.
    pub(crate) async fn has_active(
        &self,
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
    ) -> Result<bool> {
        let customers = [customer];
        let active = self.repository.with_active(tenant, event, &customers);
        Ok(active.await?.contains(&customer))
    }

    /// The id of the booking with a number.
    pub(crate) async fn with_number(
        &self,
        tenant: &TenantId,
        number: BookingNumber,
    ) -> Result<Option<BookingId>> {
        self.repository.with_number(tenant, number).await
    }

    /// The id of the booking with a reference.
    pub(crate) async fn with_reference(
        &self,
        tenant: &TenantId,
        reference: &Reference,
    ) -> Result<Option<BookingId>> {
        self.repository.with_reference(tenant, reference).await
    }

    /// The bookings of a customer's accounts, newest first.
    pub(crate) async fn list_of_customer(
        &self,
        tenant: &TenantId,
        accounts: &[UserId],
        page: &PageRequest,
    ) -> Result<Page<Booking>> {
        let before = page.position()?.map(BookingId::serial);
        let mut rows = Vec::new();
        for account in accounts {
            let own = self
                .repository
                .list_of_customer(tenant, *account, before, page);
            rows.extend(own.await?);
        }
        rows.sort_by_key(|booking| std::cmp::Reverse(booking.id.serial()));
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
            .repository
            .list_of_event(tenant, event, after, None, page.limit + 1)
            .await?;
        Ok(page.cut(rows, |booking| booking.id.to_string()))
    }

    /// Bookings that some customers have of an event, in customer order.
    pub(crate) async fn list_of_customers(
        &self,
        tenant: &TenantId,
        event: EventId,
        mut customers: Vec<UserId>,
        page: &PageRequest,
    ) -> Result<Page<Booking>> {
        let after = page.position::<BookingId>()?;
        customers.sort_unstable();
        customers.dedup();
        customers.retain(|customer| after.is_none_or(|after| *customer >= after.customer()));
        let repository = &self.repository;
        let rows = repository
            .list_of_customers(tenant, event, &customers, after, page.limit + 1)
            .await?;
        Ok(page.cut(rows, |booking| booking.id.to_string()))
    }

    /// The holds of a customer's accounts, newest first, until they are forgotten.
    pub(crate) async fn list_holds(
        &self,
        tenant: &TenantId,
        accounts: &[UserId],
        page: &PageRequest,
    ) -> Result<Page<Hold>> {
        let before = page.position::<HoldId>()?;
        let before = before.map(|hold| hold.booking().serial());
        let (holds, limit) = (&self.holds, page.limit + 1);
        let mut rows = Vec::new();
        for account in accounts {
            let own = holds.list_of_customer(tenant, *account, before, limit);
            rows.extend(own.await?);
        }
        rows.sort_by_key(|hold| std::cmp::Reverse(hold.id.booking().serial()));
        Ok(page.cut(rows, |hold| hold.id.to_string()))
    }
}
