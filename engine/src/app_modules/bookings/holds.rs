//! Use cases of holds, with their permissions. A hold is made and confirmed through the same
//! policy check as a booking.
//!
//! Called by hosts and platforms. Calls the bookings and events modules.

use std::sync::Arc;

use serde_json::json;

use super::{details::with_details, requested};
use crate::{
    context::EngineContext,
    error::{Error, Result},
    modules::{BookingIntent, Placement, RequestedBooking, RequestedDetails, keyed},
    types::{
        BookTickets, Booking, Caller, ChangeHold, ConfirmHold, Hold, HoldId, HoldTickets, Page,
        PageRequest, RecordedAnswer, RequestRoute, Scope, WithCustomer,
    },
};

/// Use cases of holds.
#[derive(Clone)]
pub struct Holds(pub(crate) Arc<EngineContext>);

impl Holds {
    /// Holds tickets for the acting user, or for the customer that [`HoldTickets::sell_to`] names: the event's organizer, the
    /// tenant's owner, staff and programs sell. Policies decide and prices are fixed now. A customer has at most one
    /// active hold per event. A customer whose address the tenant wants confirmed, and is not, holds or waits for
    /// tickets of at most 3 events, 10 in all.
    ///
    /// # Errors
    /// Those of `book_tickets`, and `hold-exists`; `email-unconfirmed` also beyond that limit.
    pub async fn hold_tickets(&self, caller: &Caller, command: HoldTickets) -> Result<Hold> {
        let tenant = caller.tenant()?;
        let command = BookTickets::from(command);
        command.validate()?;
        let (event, sell_to) = (command.event, command.sell_to.as_ref());
        let buyer = self.0.buyer(caller, Scope::Holds, (event, sell_to)).await?;
        let is_unconfirmed =
            buyer.sale.is_none() && self.0.require_may_hold_tickets(caller).await?;
        let mut request = requested(caller, buyer, command, BookingIntent::Hold);
        request.is_unconfirmed = is_unconfirmed;
        match self.0.check_policies(tenant, request).await {
            Ok(Placement::Held(hold)) => Ok(hold),
            Ok(other) => Err(Error::internal(format!("a hold ended as {other:?}"))),
            Err(refusal) => Err(self.0.refusal_seen_by(caller, event, refusal).await),
        }
    }

    /// Shows a hold to its customer, the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see.
    pub async fn show(&self, caller: &Caller, hold: HoldId) -> Result<WithCustomer<Hold>> {
        let caller = &caller.scoped(Scope::Holds)?;
        let (hold, ..) = self.find_visible(caller, hold).await?;
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
        let (bookings, users) = (&context.modules.bookings, &context.modules.users);
        let accounts = users.accounts_of(tenant, customer).await?;
        let list = bookings.list_holds(tenant, &accounts, &page).await?;
        let list = list.map(Hold::as_customer_sees);
        context
            .page_with_customers(tenant, list, |hold| hold.customer)
            .await
    }

    /// Extends a hold once, by the time it was made for: for its customer, the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, `hold-ended`, `hold-already-extended`, `conflict-try-again`.
    pub async fn extend(&self, caller: &Caller, hold: HoldId) -> Result<Hold> {
        let caller = &caller.scoped(Scope::Holds)?;
        let own = self.require_may_take(caller, hold).await?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let canonical = json!([hold.to_string()]);
        let request = keyed(caller, RequestRoute::Extensions, None, &canonical);
        let request = request.as_ref();
        let extended = modules.bookings.extend_hold(tenant, hold, request);
        let idempotency = &modules.idempotency;
        let extended = idempotency.once(tenant, request, RecordedAnswer::hold, extended);
        Ok(as_taken(extended.await?, own))
    }

    /// Changes what a hold carries beside its tickets: for its customer, the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, `field-invalid`, `hold-ended`, `conflict-try-again`.
    pub async fn change(&self, caller: &Caller, command: ChangeHold) -> Result<Hold> {
        let caller = &caller.scoped(Scope::Holds)?;
        command.details.validate()?;
        let hold = command.hold;
        let own = self.require_may_take(caller, hold).await?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        if own {
            let given = &command.details;
            self.0.require_own_details(tenant, hold, given).await?;
        }
        let event = self.0.event_to_compare(tenant, hold.event(), true).await?;
        let canonical = with_details(json!([hold.to_string()]), &command.details);
        let request = keyed(caller, RequestRoute::HoldChanges, None, &canonical);
        let request = request.as_ref();
        let bookings = &modules.bookings;
        let changed = bookings.change_hold_details(tenant, &command, &event, request);
        let idempotency = &modules.idempotency;
        let changed = idempotency.once(tenant, request, RecordedAnswer::hold, changed);
        Ok(as_taken(changed.await?, own))
    }

    /// Turns a hold into a booking, by the decision of the hold: for its customer, the event's organizer, the tenant's owner and
    /// staff. The booking has the hold's id. Confirming again returns the same booking. An overdue hold can be confirmed until its row says `expired`. For an
    /// offer from the waiting list policies decide now: see [`Holds::accept`].
    ///
    /// # Errors
    /// `not-found`, `email-unconfirmed`, `hold-ended`, `event-cancelled`, `conflict-try-again`, `event-busy`,
    /// `outcome-unknown`; for an offer
    /// those of `accept`, too.
    pub async fn confirm(&self, caller: &Caller, hold: HoldId) -> Result<Booking> {
        self.accept(caller, ConfirmHold::as_held(hold)).await
    }

    /// Confirms a hold at a total that the customer agreed to, and with what the booking is to carry. With an expected total the
    /// booking's must be that, also if the hold was confirmed before. An offer's total may change, because policies decide
    /// now; without an expected total it may not exceed the offered total. If a policy rejects, the tickets go
    /// to the next in the waiting list.
    ///
    /// # Errors
    /// Those of `confirm`, and `field-invalid`, `reference-taken`, `price-changed`, `policy-rejected`, `policy-unavailable`,
    /// `policy-busy`, `policy-input-too-large`.
    pub async fn accept(&self, caller: &Caller, command: ConfirmHold) -> Result<Booking> {
        let caller = &caller.scoped(Scope::Holds)?;
        command.details.validate()?;
        let hold = command.hold;
        let own = self.require_may_take(caller, hold).await?;
        if own {
            self.0.require_may_take_tickets(caller).await?;
            let (tenant, given) = (caller.tenant()?, &command.details);
            self.0.require_own_details(tenant, hold, given).await?;
        }
        let canonical = json!([hold.to_string(), command.expected_total_minor]);
        let canonical = with_details(canonical, &command.details);
        let request = RequestedBooking {
            expected_total_minor: command.expected_total_minor,
            idempotency: keyed(caller, RequestRoute::Confirmations, None, &canonical),
            details: RequestedDetails::given(command.details, true),
            ..RequestedBooking::new(hold.customer(), hold.event(), BookingIntent::Confirm(hold))
        };
        let tenant = caller.tenant()?;
        match self.0.check_policies(tenant, request).await? {
            Placement::Booked(booking) if own => Ok(booking.as_customer_sees()),
            Placement::Booked(booking) => Ok(booking),
            other => Err(Error::internal(format!(
                "a confirmation ended as {other:?}"
            ))),
        }
    }

    /// Releases a hold, for its customer, the event's organizer, the tenant's owner and staff. A released or expired hold is
    /// returned unchanged.
    ///
    /// # Errors
    /// `not-found`, `hold-ended` for a confirmed hold, `conflict-try-again`.
    pub async fn release(&self, caller: &Caller, hold: HoldId) -> Result<Hold> {
        let caller = &caller.scoped(Scope::Holds)?;
        let own = self.require_may_take(caller, hold).await?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let canonical = json!([hold.to_string()]);
        let request = keyed(caller, RequestRoute::Releases, None, &canonical);
        let request = request.as_ref();
        let released = modules.bookings.release_hold(tenant, hold, request);
        let idempotency = &modules.idempotency;
        let released = idempotency.once(tenant, request, RecordedAnswer::hold, released);
        Ok(as_taken(released.await?, own))
    }

    /// Returns whether the hold is the acting user's own. Nothing is read then.
    ///
    /// # Errors
    /// `not-found` for those who may not see it. Whoever sees a hold may do all with it.
    async fn require_may_take(&self, caller: &Caller, hold: HoldId) -> Result<bool> {
        caller.require_signed_in()?;
        if caller.user_id() == Some(hold.customer()) {
            return Ok(true);
        }
        let (_, own) = self.find_visible(caller, hold).await?;
        Ok(own)
    }

    /// A hold, for those who may see it, and whether it is their own and they do not look after the event.
    async fn find_visible(&self, caller: &Caller, id: HoldId) -> Result<(Hold, bool)> {
        caller.require_signed_in()?;
        let tenant = caller.tenant()?;
        let none = || Error::not_found("hold", id);
        let modules = &self.0.modules;
        let hold = modules.bookings.find_hold(tenant, id).await?;
        let hold = hold.ok_or_else(none)?;
        let event = modules.events.find(tenant, id.event()).await?;
        let organizer = event.ok_or_else(none)?.organizer;
        if self.0.may_look_after(caller, id.event(), organizer).await? {
            return Ok((hold, false));
        }
        match self.0.is_own(caller, hold.customer).await? {
            true => Ok((hold.as_customer_sees(), true)),
            false => Err(none()),
        }
    }
}

/// A hold as its customer sees it, if it is theirs.
fn as_taken(hold: Hold, own: bool) -> Hold {
    match own {
        true => hold.as_customer_sees(),
        false => hold,
    }
}
