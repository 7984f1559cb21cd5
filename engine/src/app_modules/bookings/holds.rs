//! Use cases of holds, with their permissions. A hold is made and confirmed through the same
//! policy check as a booking.
//!
//! Called by hosts and platforms. Calls the bookings and events modules.

use std::sync::Arc;

use serde_json::json;

use super::requested;
use crate::{
    context::EngineContext,
    error::{Error, Result},
    modules::{BookingIntent, Placement, RequestedBooking, keyed},
    types::{
        BookTickets, Booking, Caller, Hold, HoldId, HoldTickets, Page, PageRequest, RecordedAnswer,
        RequestRoute, Scope, UserId, WithCustomer,
    },
};

/// Use cases of holds.
#[derive(Clone)]
pub struct Holds(pub(crate) Arc<EngineContext>);

impl Holds {
    /// Holds tickets for the acting user. Policies decide and prices are fixed now. A customer has at most one
    /// active hold per event. A customer whose address the tenant wants confirmed, and is not, holds or waits for
    /// tickets of at most 3 events, 10 in all.
    ///
    /// # Errors
    /// Those of `book_tickets`, and `hold-exists`; `email-unconfirmed` also beyond that limit.
    pub async fn hold_tickets(&self, caller: &Caller, command: HoldTickets) -> Result<Hold> {
        let customer = caller.acting_user()?;
        let tenant = caller.tenant()?;
        let command = BookTickets::from(command);
        command.validate()?;
        let is_unconfirmed = self.0.require_may_hold_tickets(caller).await?;
        let event = command.event;
        let mut request = requested(caller, customer, command, BookingIntent::Hold);
        request.is_unconfirmed = is_unconfirmed;
        match self.0.check_policies(tenant, request).await {
            Ok(Placement::Held(hold)) => Ok(hold),
            Ok(other) => Err(Error::internal(format!("a hold ended as {other:?}"))),
            Err(refusal) => Err(self.0.hide_draft(caller, event, refusal).await),
        }
    }

    /// Shows a hold to its customer, the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see.
    pub async fn show(&self, caller: &Caller, hold: HoldId) -> Result<WithCustomer<Hold>> {
        let caller = &caller.scoped(Scope::Holds)?;
        let (hold, _) = self.find_visible(caller, hold).await?;
        let customer = hold.customer;
        let context = &self.0;
        context
            .with_customer(caller.tenant()?, hold, customer)
            .await
    }

    /// Lists the acting user's own holds, newest first; each for two days after it ended.
    ///
    /// # Errors
    /// `not-authenticated`, `field-invalid` for a broken cursor.
    pub async fn list_mine(
        &self,
        caller: &Caller,
        page: PageRequest,
    ) -> Result<Page<WithCustomer<Hold>>> {
        let customer = caller.acting_user()?;
        let (context, tenant) = (&self.0, caller.tenant()?);
        let bookings = &context.modules.bookings;
        let list = bookings.list_holds(tenant, customer, &page).await?;
        context
            .page_with_customers(tenant, list, |hold| hold.customer)
            .await
    }

    /// Extends the acting user's hold once, by the time it was made for.
    ///
    /// # Errors
    /// `not-found`, `forbidden` for another user's hold, `hold-ended`, `hold-already-extended`, `conflict-try-again`.
    pub async fn extend(&self, caller: &Caller, hold: HoldId) -> Result<Hold> {
        self.own(caller, hold).await?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let canonical = json!([hold.to_string()]);
        let request = keyed(caller, RequestRoute::Extensions, None, &canonical);
        let request = request.as_ref();
        let extended = modules.bookings.extend_hold(tenant, hold, request);
        let idempotency = &modules.idempotency;
        idempotency
            .once(tenant, request, RecordedAnswer::hold, extended)
            .await
    }

    /// Turns the acting user's hold into a booking, by the decision of the hold. The booking has the hold's
    /// id. Confirming again returns the same booking. An overdue hold can be confirmed until its row says `expired`. For an
    /// offer from the waiting list policies decide now: see [`Holds::accept`].
    ///
    /// # Errors
    /// `not-found`, `forbidden` for another's, `email-unconfirmed`, `hold-ended`, `event-cancelled`, `conflict-try-again`, `event-busy`,
    /// `outcome-unknown`; for an offer
    /// those of `accept`, too.
    pub async fn confirm(&self, caller: &Caller, hold: HoldId) -> Result<Booking> {
        self.accept(caller, hold, None).await
    }

    /// Confirms a hold at a total that the customer agreed to. With `expected_total_minor` the booking's total must be
    /// that, also if the hold was confirmed before. An offer's total may change, because policies decide
    /// now; without `expected_total_minor` it may not exceed the offered total. If a policy rejects, the tickets go
    /// to the next in the waiting list.
    ///
    /// # Errors
    /// Those of `confirm`, and `price-changed`, `policy-rejected`, `policy-unavailable`, `policy-busy`,
    /// `policy-input-too-large`.
    pub async fn accept(
        &self,
        caller: &Caller,
        hold: HoldId,
        expected_total_minor: Option<u64>,
    ) -> Result<Booking> {
        let customer = self.own(caller, hold).await?;
        self.0.require_may_take_tickets(caller).await?;
        let canonical = json!([hold.to_string(), expected_total_minor]);
        let request = RequestedBooking {
            customer,
            event: hold.event(),
            intent: BookingIntent::Confirm(hold),
            lines: Vec::new(),
            expected_total_minor,
            idempotency: keyed(caller, RequestRoute::Confirmations, None, &canonical),
            policy_version: 0,
            decision: None,
            is_unconfirmed: false,
            trace: None,
        };
        let tenant = caller.tenant()?;
        match self.0.check_policies(tenant, request).await? {
            Placement::Booked(booking) => Ok(booking),
            other => Err(Error::internal(format!(
                "a confirmation ended as {other:?}"
            ))),
        }
    }

    /// Releases a hold, for its customer or the event's organizer. A released or expired hold is
    /// returned unchanged.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `hold-ended` for a confirmed hold, `conflict-try-again`.
    pub async fn release(&self, caller: &Caller, hold: HoldId) -> Result<Hold> {
        let caller = &caller.scoped(Scope::Holds)?;
        let (found, organizer) = self.find_visible(caller, hold).await?;
        if caller.user_id() != Some(found.customer) {
            caller.require_manager(organizer)?;
        }
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let canonical = json!([hold.to_string()]);
        let request = keyed(caller, RequestRoute::Releases, None, &canonical);
        let request = request.as_ref();
        let released = modules.bookings.release_hold(tenant, hold, request);
        let idempotency = &modules.idempotency;
        idempotency
            .once(tenant, request, RecordedAnswer::hold, released)
            .await
    }

    /// The acting user, if the hold is theirs. Callers who may see another's hold get `forbidden`; for everybody else it
    /// does not exist.
    async fn own(&self, caller: &Caller, hold: HoldId) -> Result<UserId> {
        let customer = caller.acting_user()?;
        if customer == hold.customer() {
            return Ok(customer);
        }
        self.find_visible(caller, hold).await?;
        Err(Error::forbidden(
            "Only the customer who holds these tickets may confirm or extend the hold.",
        ))
    }

    /// A hold and its event's organizer, for those who may see it.
    async fn find_visible(&self, caller: &Caller, id: HoldId) -> Result<(Hold, Option<UserId>)> {
        caller.require_signed_in()?;
        let tenant = caller.tenant()?;
        let none = || Error::not_found("hold", id);
        let modules = &self.0.modules;
        let hold = modules.bookings.find_hold(tenant, id).await?;
        let hold = hold.ok_or_else(none)?;
        let event = modules.events.find(tenant, id.event()).await?;
        let organizer = event.ok_or_else(none)?.organizer;
        let own = caller.user_id() == Some(hold.customer);
        if !own && caller.require_manager_or_staff(organizer).is_err() {
            return Err(none());
        }
        Ok((hold, organizer))
    }
}
