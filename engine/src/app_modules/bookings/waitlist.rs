//! Use cases of waiting lists: joining, leaving and reading them. A customer who is offered tickets gets a hold, to confirm
//! or release.
//!
//! Called by hosts and platforms. Calls the bookings and events modules.

use std::sync::Arc;

use serde_json::json;

use super::details::with_details;
use crate::{
    context::EngineContext,
    error::Result,
    modules::{WaitingCustomer, keyed},
    types::{
        Caller, EventId, JoinWaitlist, Page, PageRequest, RecordedAnswer, RequestRoute, Scope,
        WaitlistEntry, WaitlistPass, WaitlistPlace, WithCustomer,
    },
};

/// Use cases of waiting lists.
#[derive(Clone)]
pub struct Waitlist(pub(crate) Arc<EngineContext>);

impl Waitlist {
    /// Adds the acting user to the waiting list of an event without enough tickets. Joining again for the same
    /// tickets returns the place. Unconfirmed customers have the limits of [`Holds::hold_tickets`](super::Holds::hold_tickets).
    ///
    /// # Errors
    /// `field-invalid`, `email-unconfirmed`, `not-found`, `event-not-published`, `event-cancelled`, `sales-not-open`, `sales-closed`,
    /// `tickets-available`, `already-waiting`, `waitlist-full`, `customer-limit`, `conflict-try-again`.
    pub async fn join(&self, caller: &Caller, command: JoinWaitlist) -> Result<WaitlistPlace> {
        let customer = caller.acting_user()?;
        command.validate()?;
        let is_unconfirmed = self.0.require_may_hold_tickets(caller).await?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let canonical = with_details(json!([command.event, command.lines]), &command.details);
        let request = keyed(caller, RequestRoute::WaitlistJoins, None, &canonical);
        let request = request.as_ref();
        let bookings = &modules.bookings;
        let customer = WaitingCustomer {
            id: customer,
            is_unconfirmed,
        };
        let joined = async {
            let details = self.0.details_to_wait_with(tenant, &command).await?;
            let new = (&command, details);
            bookings.join_waitlist(tenant, customer, new, request).await
        };
        let idempotency = &modules.idempotency;
        let outcome = idempotency
            .once(tenant, request, RecordedAnswer::place, joined)
            .await;
        match outcome {
            Err(refusal) => Err(self.0.refusal_seen_by(caller, command.event, refusal).await),
            done => done,
        }
    }

    /// Removes the acting user from an event's waiting list. An offer that they have stays until they release it.
    ///
    /// # Errors
    /// `not-found` if they do not wait, `conflict-try-again`.
    pub async fn leave(&self, caller: &Caller, event: EventId) -> Result<()> {
        let customer = caller.acting_user()?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let request = keyed(caller, RequestRoute::WaitlistLeaves, None, &json!([event]));
        let request = request.as_ref();
        let bookings = &modules.bookings;
        let left = bookings.leave_waitlist(tenant, event, customer, request);
        let idempotency = &modules.idempotency;
        let outcome = idempotency
            .once(tenant, request, RecordedAnswer::done, left)
            .await;
        match outcome {
            Err(refusal) => Err(self.0.refusal_seen_by(caller, event, refusal).await),
            done => done,
        }
    }

    /// The acting user's place, or the offer that they got.
    ///
    /// # Errors
    /// `not-found` if they do not wait.
    pub async fn place(&self, caller: &Caller, event: EventId) -> Result<WaitlistPlace> {
        let customer = caller.acting_user()?;
        let bookings = &self.0.modules.bookings;
        let place = bookings.place_on_waitlist(caller.tenant()?, event, customer);
        match place.await {
            Ok(place) => Ok(place),
            Err(refusal) => Err(self.0.refusal_seen_by(caller, event, refusal).await),
        }
    }

    /// Lists an event's waiting list in order, for the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list(
        &self,
        caller: &Caller,
        event: EventId,
        page: PageRequest,
    ) -> Result<Page<WithCustomer<WaitlistEntry>>> {
        let caller = &caller.scoped(Scope::BookingsRead)?;
        self.require_manager_or_staff(caller, event).await?;
        let (context, tenant) = (&self.0, caller.tenant()?);
        let bookings = &context.modules.bookings;
        let list = bookings.list_waitlist(tenant, event, &page).await?;
        context
            .page_with_customers(tenant, list, |entry| entry.customer)
            .await
    }

    /// Lists the acting user's places on waiting lists, and the offers that they got, by event, the newest first. A page may
    /// have fewer items than its limit, or none, and still have a next page.
    ///
    /// # Errors
    /// `not-authenticated`, `field-invalid` for a broken cursor.
    pub async fn list_mine(
        &self,
        caller: &Caller,
        page: PageRequest,
    ) -> Result<Page<WaitlistPlace>> {
        let customer = caller.acting_user()?;
        let bookings = &self.0.modules.bookings;
        bookings
            .list_places(caller.tenant()?, customer, &page)
            .await
    }

    /// Lists the passes in which entries were passed over, with reasons, newest first. The last 200 are kept. For
    /// the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list_passes(
        &self,
        caller: &Caller,
        event: EventId,
        page: PageRequest,
    ) -> Result<Page<WaitlistPass>> {
        let caller = &caller.scoped(Scope::BookingsRead)?;
        self.require_manager_or_staff(caller, event).await?;
        let bookings = &self.0.modules.bookings;
        bookings
            .list_waitlist_passes(caller.tenant()?, event, &page)
            .await
    }

    async fn require_manager_or_staff(&self, caller: &Caller, event: EventId) -> Result<()> {
        caller.require_signed_in()?;
        let found = self.0.visible_event(caller, event).await?;
        self.0
            .require_manager_or_staff(caller, event, found.organizer)
            .await
    }
}
