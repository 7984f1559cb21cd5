//! Use cases of bookings: permissions, and the order in which policies are asked.
//!
//! Called by hosts and platforms. Calls the bookings and events modules.

mod holds;
mod policy_check;
mod waitlist;

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use serde_json::json;

use crate::{
    context::EngineContext,
    error::{Error, Result},
    modules::{
        BookingIntent, Placement, RequestedBooking, RequestedCancellation, keyed, read_with_event,
    },
    types::{
        BookTickets, Booking, BookingId, Caller, CancelCause, CancelTickets, Event, EventId, Page,
        PageRequest, RequestRoute, Role, Scope, UserId,
    },
};

use policy_check::kept_changing;

pub use holds::Holds;
pub use waitlist::Waitlist;

/// Use cases of bookings.
#[derive(Clone)]
pub struct Bookings(pub(crate) Arc<EngineContext>);

impl Bookings {
    /// Books tickets for the acting user. When it returns, the booking and its outbox entry are on disk.
    ///
    /// # Errors
    /// `field-invalid`, `email-unconfirmed`, `not-found`, `not-enough-tickets`, `event-not-published`, `event-cancelled`,
    /// `sales-not-open`, `sales-closed`, `price-changed`, `policy-rejected`, `policy-unavailable`,
    /// `policy-busy`, `policy-input-too-large`, `idempotency-key-reused`, `conflict-try-again`, `event-busy`, `outcome-unknown`.
    pub async fn book_tickets(&self, caller: &Caller, command: BookTickets) -> Result<Booking> {
        let customer = caller.acting_user()?;
        let tenant = caller.tenant()?;
        command.validate()?;
        self.0.require_may_take_tickets(caller).await?;
        let event = command.event;
        let request = requested(caller, customer, command, BookingIntent::Book);
        match self.0.check_policies(tenant, request).await {
            Ok(Placement::Booked(booking)) => Ok(booking),
            Ok(other) => Err(Error::internal(format!("a booking ended as {other:?}"))),
            Err(refusal) => Err(self.0.hide_draft(caller, event, refusal).await),
        }
    }

    /// Shows a booking to its customer, the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see.
    pub async fn show(&self, caller: &Caller, booking: BookingId) -> Result<Booking> {
        let caller = &caller.scoped(Scope::BookingsRead)?;
        caller.require_signed_in()?;
        self.find_visible(caller, booking)
            .await
            .map(|(booking, _)| booking)
    }

    /// Lists the acting user's own bookings, newest first.
    ///
    /// # Errors
    /// `not-authenticated`, `field-invalid` for a broken cursor.
    pub async fn list_mine(&self, caller: &Caller, page: PageRequest) -> Result<Page<Booking>> {
        let customer = caller.acting_user()?;
        let tenant = caller.tenant()?;
        let list = self
            .0
            .modules
            .bookings
            .list_of_customer(tenant, customer, &page)
            .await?;
        let mut statuses = HashMap::new();
        for booking in &list.items {
            if let hash_map::Entry::Vacant(vacant) = statuses.entry(booking.event) {
                vacant.insert(self.0.modules.events.find(tenant, booking.event).await?);
            }
        }
        Ok(list.map(|booking| {
            let event = statuses.get(&booking.event).and_then(Option::as_ref);
            as_seen(booking, event)
        }))
    }

    /// Lists an event's bookings in customer order, for its organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list_of_event(
        &self,
        caller: &Caller,
        event: EventId,
        page: PageRequest,
    ) -> Result<Page<Booking>> {
        let caller = &caller.scoped(Scope::BookingsRead)?;
        caller.require_signed_in()?;
        let tenant = caller.tenant()?;
        let found = self.0.visible_event(caller, event).await?;
        let organizer = found.organizer;
        self.0
            .require_manager_or_staff(caller, event, organizer)
            .await?;
        let list = self
            .0
            .modules
            .bookings
            .list_of_event(tenant, event, &page)
            .await?;
        Ok(list.map(|booking| as_seen(booking, Some(&found))))
    }

    /// Cancels a whole booking; see [`Bookings::cancel_tickets`]. A cancelled booking is returned unchanged.
    ///
    /// # Errors
    /// Those of `cancel_tickets` except `field-invalid` and `booking-cancelled`.
    pub async fn cancel(&self, caller: &Caller, booking: BookingId) -> Result<Booking> {
        self.cancel_tickets(caller, CancelTickets::all(booking))
            .await
    }

    /// Cancels all or some tickets of a booking: for its customer under the event's terms, if policies agree, or for the
    /// event's organizer with a full refund. The tickets are free at once. The returned booking has the
    /// refund; Boxoffice does not pay it out.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid`, `booking-cancelled`, `cancellation-closed`, `already-checked-in`, `policy-rejected`,
    /// `policy-unavailable`, `policy-busy`, `policy-input-too-large`, `idempotency-key-reused`, `conflict-try-again`,
    /// `outcome-unknown`.
    pub async fn cancel_tickets(&self, caller: &Caller, command: CancelTickets) -> Result<Booking> {
        let caller = &caller.scoped(Scope::BookingsWrite)?;
        caller.require_signed_in()?;
        let (found, event) = self.find_visible(caller, command.booking).await?;
        let own = caller.user_id() == Some(found.customer);
        let cause = match own {
            true => CancelCause::Customer,
            false => CancelCause::Organizer,
        };
        if !own {
            let id = command.booking.event();
            self.0.require_manager(caller, id, event.organizer).await?;
        }
        let tenant = caller.tenant()?;
        let canonical = json!([command.booking.to_string(), command.lines, command.tickets]);
        let (route, key) = (RequestRoute::Cancellations, command.idempotency_key);
        let request = RequestedCancellation {
            booking: command.booking,
            lines: command.lines,
            tickets: command.tickets,
            cause,
            idempotency: keyed(caller, route, key, &canonical),
        };
        if own {
            self.0.cancel_by_customer(tenant, request).await
        } else {
            let cancelled = self.0.modules.bookings.cancel(tenant, &request, None);
            cancelled.await?.ok_or_else(kept_changing)
        }
    }

    /// A booking with its event, for those who may see it.
    async fn find_visible(&self, caller: &Caller, id: BookingId) -> Result<(Booking, Event)> {
        let tenant = caller.tenant()?;
        let none = || Error::not_found("booking", id);
        let booking = self
            .0
            .modules
            .bookings
            .find(tenant, id)
            .await?
            .ok_or_else(none)?;
        let event = self
            .0
            .modules
            .events
            .find(tenant, id.event())
            .await?
            .ok_or_else(none)?;
        let own = caller.user_id() == Some(booking.customer) && caller.role() != Role::Anonymous;
        let organizer = event.organizer;
        if !own && !self.0.may_look_after(caller, id.event(), organizer).await? {
            return Err(none());
        }
        Ok((as_seen(booking, Some(&event)), event))
    }
}

/// A booking with the state of its event.
fn as_seen(booking: Booking, event: Option<&Event>) -> Booking {
    match event {
        Some(event) => read_with_event(booking, event.status, event.updated_at),
        None => booking,
    }
}

/// What a customer asks for, as the policy check takes it.
fn requested(
    caller: &Caller,
    customer: UserId,
    command: BookTickets,
    intent: BookingIntent,
) -> RequestedBooking {
    let canonical = json!([command.event, command.lines, command.expected_total_minor]);
    let route = match intent {
        BookingIntent::Hold => RequestRoute::Holds,
        BookingIntent::Book | BookingIntent::Confirm(_) | BookingIntent::AcceptOffer(_) => {
            RequestRoute::Bookings
        }
    };
    RequestedBooking {
        customer,
        event: command.event,
        intent,
        lines: command.lines,
        expected_total_minor: command.expected_total_minor,
        idempotency: keyed(caller, route, command.idempotency_key, &canonical),
        policy_version: 0,
        decision: None,
        is_unconfirmed: false,
        trace: None,
    }
}
