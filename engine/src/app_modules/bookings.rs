//! Use cases of bookings: permissions, and the order in which policies are asked.
//!
//! Called by hosts and platforms. Calls the bookings and events modules.

mod changes;
mod details;
mod holds;
mod own_tickets;
mod policy_check;
mod quotes;
mod sales;
mod transfers;
mod waitlist;

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use serde_json::json;

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::{
        BookingIntent, Placement, RequestedBooking, RequestedCancellation, RequestedDetails, keyed,
        read_with_event,
    },
    types::{
        Attendee, BookTickets, Booking, BookingId, BookingNumber, Caller, CancelCause,
        CancelTickets, CustomerFilter, Event, EventId, Page, PageRequest, Reference, RequestRoute,
        Role, Scope, TenantId, Ticket, TicketId, UserId, WithCustomer,
    },
};

use details::with_details;
use policy_check::kept_changing;
use sales::Buyer;

pub use holds::Holds;
pub use waitlist::Waitlist;

/// Use cases of bookings.
#[derive(Clone)]
pub struct Bookings(pub(crate) Arc<EngineContext>);

impl Bookings {
    /// Books tickets for the acting user, or for the customer that [`BookTickets::sell_to`] names: the event's organizer, the
    /// tenant's owner, staff and programs sell. When it returns, the booking and its outbox entry are on disk.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid`, `email-unconfirmed`, `not-found`, `not-enough-tickets`, `event-not-published`, `event-cancelled`,
    /// `sales-not-open`, `sales-closed`, `price-changed`, `policy-rejected`, `policy-unavailable`,
    /// `policy-busy`, `policy-input-too-large`, `idempotency-key-reused`, `conflict-try-again`, `event-busy`, `outcome-unknown`.
    pub async fn book_tickets(&self, caller: &Caller, command: BookTickets) -> Result<Booking> {
        let tenant = caller.tenant()?;
        command.validate()?;
        let (event, sell_to) = (command.event, command.sell_to.as_ref());
        let buyer = self.0.buyer(caller, Scope::BookingsWrite, (event, sell_to));
        let buyer = buyer.await?;
        if buyer.sale.is_none() {
            self.0.require_may_take_tickets(caller).await?;
        }
        let request = requested(caller, buyer, command, BookingIntent::Book);
        match self.0.check_policies(tenant, request).await {
            Ok(Placement::Booked(booking)) => Ok(booking),
            Ok(other) => Err(Error::internal(format!("a booking ended as {other:?}"))),
            Err(refusal) => Err(self.0.refusal_seen_by(caller, event, refusal).await),
        }
    }

    /// Shows a booking to its customer, the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see.
    pub async fn show(&self, caller: &Caller, booking: BookingId) -> Result<WithCustomer<Booking>> {
        let caller = &caller.scoped(Scope::BookingsRead)?;
        caller.require_signed_in()?;
        let (booking, _) = self.find_visible(caller, booking).await?;
        let customer = booking.customer;
        let context = &self.0;
        context
            .with_customer(caller.tenant()?, booking, customer)
            .await
    }

    /// Shows the booking with a number, to those who may see it.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see.
    pub async fn show_by_number(
        &self,
        caller: &Caller,
        number: BookingNumber,
    ) -> Result<WithCustomer<Booking>> {
        let caller = &caller.scoped(Scope::BookingsRead)?;
        caller.require_signed_in()?;
        let none = || Error::not_found("booking", number);
        let bookings = &self.0.modules.bookings;
        let found = bookings.with_number(caller.tenant()?, number).await?;
        self.shown(caller, found, none).await
    }

    /// Shows the booking with a reference, to those who may see it.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see.
    pub async fn show_by_reference(
        &self,
        caller: &Caller,
        reference: &Reference,
    ) -> Result<WithCustomer<Booking>> {
        let caller = &caller.scoped(Scope::BookingsRead)?;
        caller.require_signed_in()?;
        let none = || Error::not_found("booking", reference);
        let bookings = &self.0.modules.bookings;
        let found = bookings.with_reference(caller.tenant()?, reference).await?;
        self.shown(caller, found, none).await
    }

    /// A booking that was found by another name. `none` is the answer for those who may not see it, too.
    async fn shown(
        &self,
        caller: &Caller,
        found: Option<BookingId>,
        none: impl Fn() -> Error,
    ) -> Result<WithCustomer<Booking>> {
        let shown = self.show(caller, found.ok_or_else(&none)?).await;
        shown.map_err(|error| match error.code() {
            ErrorCode::NotFound => none(),
            _ => error,
        })
    }

    /// Lists the acting user's own bookings, newest first.
    ///
    /// # Errors
    /// `not-authenticated`, `field-invalid` for a broken cursor.
    pub async fn list_mine(
        &self,
        caller: &Caller,
        page: PageRequest,
    ) -> Result<Page<WithCustomer<Booking>>> {
        let customer = caller.acting_user()?;
        let list = self.list_of_customer(caller, customer, &page).await?;
        Ok(list.map(|listed| WithCustomer {
            item: listed.item.as_customer_sees(),
            person: listed.person,
        }))
    }

    /// Lists a customer's bookings, newest first, for the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found` for an unknown user, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list_of_user(
        &self,
        caller: &Caller,
        customer: UserId,
        page: PageRequest,
    ) -> Result<Page<WithCustomer<Booking>>> {
        let caller = &caller.scoped(Scope::BookingsRead)?;
        caller.require_any(
            &[Role::Owner, Role::Staff],
            "Only the tenant's owners and staff may list a customer's bookings of all events.",
        )?;
        let found = self
            .0
            .modules
            .users
            .find(caller.tenant()?, customer)
            .await?;
        found.ok_or_else(|| Error::not_found("user", customer))?;
        self.list_of_customer(caller, customer, &page).await
    }

    async fn list_of_customer(
        &self,
        caller: &Caller,
        customer: UserId,
        page: &PageRequest,
    ) -> Result<Page<WithCustomer<Booking>>> {
        let (context, tenant) = (&self.0, caller.tenant()?);
        let users = &context.modules.users;
        let accounts = users.accounts_of(tenant, customer).await?;
        let list = context
            .bookings_of_accounts(tenant, &accounts, page)
            .await?;
        self.with_customers(tenant, list).await
    }

    /// Lists an event's bookings in customer order, all or those of some customers, for its organizer, the tenant's owner
    /// and staff.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list_of_event(
        &self,
        caller: &Caller,
        event: EventId,
        customer: Option<CustomerFilter>,
        page: PageRequest,
    ) -> Result<Page<WithCustomer<Booking>>> {
        let caller = &caller.scoped(Scope::BookingsRead)?;
        caller.require_signed_in()?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let found = self.0.visible_event(caller, event).await?;
        let organizer = found.organizer;
        self.0
            .require_manager_or_staff(caller, event, organizer)
            .await?;
        let customers = match customer {
            None => None,
            Some(CustomerFilter::Id(customer)) => Some(vec![customer]),
            Some(CustomerFilter::Email(email)) => {
                Some(modules.users.accounts_at(tenant, &email).await?)
            }
        };
        let bookings = &modules.bookings;
        let list = match customers {
            None => bookings.list_of_event(tenant, event, &page).await?,
            Some(customers) => {
                let list = bookings.list_of_customers(tenant, event, customers, &page);
                list.await?
            }
        };
        let list = list.map(|booking| as_seen(booking, Some(&found)));
        self.with_customers(tenant, list).await
    }

    /// Lists an event's tickets with their customers, in the order of customers, bookings and tickets, for its organizer, the
    /// tenant's owner and staff. Cancelled tickets are among them.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn attendees(
        &self,
        caller: &Caller,
        event: EventId,
        page: PageRequest,
    ) -> Result<Page<Attendee>> {
        let after = page.position::<TicketId>()?;
        if after.is_some_and(|after| after.booking.event() != event) {
            return Err(PageRequest::not_a_cursor());
        }
        let bookings = PageRequest {
            cursor: after.map(|after| after.booking.to_string()),
            // Each has a ticket at least: enough to see that there is more.
            limit: page.limit.saturating_add(1),
        };
        let list = self.list_of_event(caller, event, None, bookings).await?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let found = modules.events.find(tenant, event).await?;
        let mut listed = Vec::new();
        // The booking in which the page before ended.
        if let Some(after) = after
            && let Some(booking) = modules.bookings.find(tenant, after.booking).await?
        {
            let booking = as_seen(booking, found.as_ref());
            let customer = booking.customer;
            listed.push(self.0.with_customer(tenant, booking, customer).await?);
        }
        listed.extend(list.items);
        let types = found.map(|event| event.ticket_types).unwrap_or_default();
        let tickets = listed.iter().flat_map(|booking| {
            let numbers = 1..=booking.item.numbers();
            let tickets = numbers.filter_map(|number| booking.item.ticket(number));
            let is_after = |ticket: &Ticket| {
                after.is_none_or(|after| {
                    ticket.id.booking != after.booking || ticket.id.number > after.number
                })
            };
            tickets.filter(is_after).map(|ticket| Attendee {
                ticket_type_name: types
                    .iter()
                    .find(|kind| kind.id == ticket.ticket_type)
                    .map(|kind| kind.name.clone()),
                customer: booking.person.clone(),
                booking_number: booking.item.number,
                booked_at: booking.item.created_at,
                holder: booking.item.holder_of(ticket.id.number).cloned(),
                ticket,
            })
        });
        let tickets = tickets.take(page.limit as usize + 1).collect();
        let last = |attendee: &Attendee| attendee.ticket.id.to_string();
        Ok(page.cut(tickets, last))
    }

    async fn with_customers(
        &self,
        tenant: &TenantId,
        list: Page<Booking>,
    ) -> Result<Page<WithCustomer<Booking>>> {
        let customer = |booking: &Booking| booking.customer;
        self.0.page_with_customers(tenant, list, customer).await
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
    /// event's organizer, the tenant's owner and staff with a full refund. The tickets are free at once. The returned booking has the
    /// refund; Boxoffice does not pay it out.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid`, `booking-cancelled`, `cancellation-closed`, `already-checked-in`, `policy-rejected`,
    /// `policy-unavailable`, `policy-busy`, `policy-input-too-large`, `idempotency-key-reused`, `conflict-try-again`,
    /// `outcome-unknown`.
    pub async fn cancel_tickets(&self, caller: &Caller, command: CancelTickets) -> Result<Booking> {
        let caller = &caller.scoped(Scope::BookingsWrite)?;
        caller.require_signed_in()?;
        // Whoever sees a booking that is not theirs looks after its event, and may cancel it.
        let (_, own) = self.find_visible(caller, command.booking).await?;
        let cause = match own {
            true => CancelCause::Customer,
            false => CancelCause::Organizer,
        };
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
            let cancelled = self.0.cancel_by_customer(tenant, request).await?;
            Ok(cancelled.as_customer_sees())
        } else {
            let cancelled = self.0.modules.bookings.cancel(tenant, &request, None);
            cancelled.await?.ok_or_else(kept_changing)
        }
    }

    async fn find_visible(&self, caller: &Caller, id: BookingId) -> Result<(Booking, bool)> {
        self.0.booking_seen_by(caller, id).await
    }
}

impl EngineContext {
    /// A booking, for those who may see it, and whether it is their own.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see.
    pub(in crate::app_modules) async fn booking_seen_by(
        &self,
        caller: &Caller,
        id: BookingId,
    ) -> Result<(Booking, bool)> {
        let tenant = caller.tenant()?;
        let none = || Error::not_found("booking", id);
        let booking = self.modules.bookings.find(tenant, id).await?;
        let booking = booking.ok_or_else(none)?;
        let event = self.modules.events.find(tenant, id.event()).await?;
        let event = event.ok_or_else(none)?;
        let organizer = event.organizer;
        let sells = self.may_look_after(caller, id.event(), organizer).await?;
        let own = self.is_own(caller, booking.customer).await?;
        let booking = as_seen(booking, Some(&event));
        match (sells, own) {
            (true, _) => Ok((booking, own)),
            (false, true) => Ok((booking.as_customer_sees(), own)),
            (false, false) => Err(none()),
        }
    }

    /// The bookings of a customer's accounts, newest first, with the states of their events.
    pub(in crate::app_modules) async fn bookings_of_accounts(
        &self,
        tenant: &TenantId,
        accounts: &[UserId],
        page: &PageRequest,
    ) -> Result<Page<Booking>> {
        let modules = &self.modules;
        let list = modules.bookings.list_of_customer(tenant, accounts, page);
        let list = list.await?;
        let mut statuses = HashMap::new();
        for booking in &list.items {
            if let hash_map::Entry::Vacant(vacant) = statuses.entry(booking.event) {
                vacant.insert(modules.events.find(tenant, booking.event).await?);
            }
        }
        Ok(list.map(|booking| {
            let event = statuses.get(&booking.event).and_then(Option::as_ref);
            as_seen(booking, event)
        }))
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
    buyer: Buyer,
    command: BookTickets,
    intent: BookingIntent,
) -> RequestedBooking {
    let mut canonical = json!([command.event, command.lines, command.expected_total_minor]);
    if let (Some(sell_to), Some(parts)) = (&command.sell_to, canonical.as_array_mut()) {
        parts.push(json!(sell_to));
    }
    let canonical = with_details(canonical, &command.details);
    let route = match intent {
        BookingIntent::Hold => RequestRoute::Holds,
        BookingIntent::Book
        | BookingIntent::Import
        | BookingIntent::Confirm(_)
        | BookingIntent::AcceptOffer(_) => RequestRoute::Bookings,
    };
    RequestedBooking {
        lines: command.lines,
        expected_total_minor: command.expected_total_minor,
        idempotency: keyed(caller, route, command.idempotency_key, &canonical),
        sale: buyer.sale,
        details: RequestedDetails::given(command.details, intent == BookingIntent::Book),
        ..RequestedBooking::new(buyer.customer, command.event, intent)
    }
}
