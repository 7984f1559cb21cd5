//! The use cases of transfers: who may give a ticket to somebody else, and who sees the tickets that they got. Called by hosts and
//! platforms. Calls the bookings, events and users modules, and the ticket codes port.

use serde_json::json;

use super::{Bookings, as_seen};
use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::{RequestedTransfer, keyed, require_transferable, with_holder},
    types::{
        Booking, Caller, EmailAddress, Event, Label, Page, PageRequest, ReceivedTicket,
        RecordedAnswer, RequestRoute, Scope, SoldTo, TenantId, Ticket, TicketHolder,
        TransferTicket, UserId,
    },
};

impl Bookings {
    /// Gives a ticket to somebody else. Its old codes are dead when this returns; who gets it hears the new one by mail, and who had it
    /// hears that it is gone. The ticket's owner may do so until the time that the event says: the booking's customer, or who got the
    /// ticket by a transfer. Those who manage the event may do so until it is checked in; staff and the door may not, because whoever gets a ticket gets its
    /// code. It stays in the booking, whose customer
    /// gets back what is refunded.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid`, `email-unconfirmed`, `ticket-cancelled`, `already-checked-in`, `ticket-transferred` for a
    /// customer who gave it away before, `changes-closed`, `idempotency-key-reused`, `conflict-try-again`.
    pub async fn transfer_ticket(
        &self,
        caller: &Caller,
        command: TransferTicket,
    ) -> Result<Ticket> {
        let caller = &caller.scoped(Scope::BookingsWrite)?;
        caller.require_signed_in()?;
        let (modules, tenant, id) = (&self.0.modules, caller.tenant()?, command.ticket);
        let none = || Error::not_found("ticket", id);
        let booking = modules.bookings.find(tenant, id.booking).await?;
        let booking = booking.ok_or_else(none)?;
        let event = modules.events.refreshed(tenant, booking.event).await?;
        let event = event.ok_or_else(none)?;
        let organizer = event.organizer;
        let manages = self.0.manages(caller, event.id, organizer).await?;
        let own = self.0.own_accounts(caller).await?;
        let owner = booking.owner_of(id.number);
        if !manages && !own.contains(&owner) && !own.contains(&booking.customer) {
            return Err(none());
        }
        let canonical = json!([id.to_string(), command.name, command.email, command.answers]);
        let request = keyed(caller, RequestRoute::Transfers, None, &canonical);
        let request = request.as_ref();
        let may = |owner: UserId| match manages || own.contains(&owner) {
            true => Ok(()),
            false => Err(given_away(id.number)),
        };
        let transfer = async {
            // Before an account is made for who gets it.
            require_transferable(&booking, &event, id)?;
            may(owner)?;
            if !manages {
                let what = "Tickets could be given to others";
                self.require_open(&event.details, what)?;
            }
            let to_do = "give tickets to others";
            self.0.require_confirmed(caller, to_do).await?;
            let holder = holder_of(&booking, &event, &command)?;
            with_holder(&booking, id.number, &holder)?;
            let person = SoldTo::Guest {
                name: account_name(&command.email),
                email: command.email,
            };
            let to = modules.users.customer_of_sale(tenant, &person).await?;
            let requested = RequestedTransfer {
                ticket: id,
                to,
                holder,
            };
            let bookings = &modules.bookings;
            bookings
                .transfer(tenant, &event, &requested, may, request)
                .await
        };
        let idempotency = &modules.idempotency;
        idempotency
            .once(tenant, request, RecordedAnswer::ticket, transfer)
            .await
    }

    /// Lists the tickets that the acting user got by transfers, with their codes and links, in the order of events.
    ///
    /// # Errors
    /// `not-authenticated`, `field-invalid` for a broken cursor.
    pub async fn list_received_tickets(
        &self,
        caller: &Caller,
        page: PageRequest,
    ) -> Result<Page<ReceivedTicket>> {
        caller.acting_user()?;
        let tenant = caller.tenant()?;
        let accounts = self.0.own_accounts(caller).await?;
        self.0.received_tickets(tenant, &accounts, &page).await
    }
}

impl EngineContext {
    /// The tickets that an account and the guests that it took over got by transfers, with their codes.
    pub(in crate::app_modules) async fn received_tickets(
        &self,
        tenant: &TenantId,
        accounts: &[UserId],
        page: &PageRequest,
    ) -> Result<Page<ReceivedTicket>> {
        let modules = &self.modules;
        let received = modules.bookings.list_received(tenant, accounts, page);
        let received = received.await?;
        let mut listed = Vec::with_capacity(received.items.len());
        let mut known: Option<Event> = None;
        for (id, booking) in received.items {
            // In the order of events.
            if known.as_ref().is_none_or(|event| event.id != booking.event) {
                known = modules.events.find(tenant, booking.event).await?;
            }
            let Some(event) = &known else {
                continue;
            };
            let booking = as_seen(booking, Some(event));
            let owner = booking.owner_of(id.number);
            let ticket = booking.ticket(id.number);
            let Some(ticket) = ticket.filter(|_| accounts.contains(&owner)) else {
                continue;
            };
            let mut types = event.ticket_types.iter();
            let kind = types.find(|kind| kind.id == ticket.ticket_type);
            listed.push(ReceivedTicket {
                booking_number: booking.number,
                event: event.id,
                event_title: event.details.title.clone(),
                starts_at: event.details.starts_at,
                ticket_type_name: kind.map(|kind| kind.name.clone()),
                holder: booking.holder_of(id.number).cloned(),
                ticket: self.with_code(tenant, &booking, ticket),
            });
        }
        Ok(Page {
            items: listed,
            next: received.next,
        })
    }
}

/// Who is to have the ticket, if they answer what the event asks of each.
fn holder_of(booking: &Booking, event: &Event, command: &TransferTicket) -> Result<TicketHolder> {
    let number = command.ticket.number;
    let ticket = booking.ticket(number);
    let ticket = ticket.ok_or_else(|| Error::not_found("ticket", command.ticket))?;
    let questions = event.details.questions.iter();
    let asked = questions.filter(|question| question.is_asked_for(&ticket.ticket_type));
    command.answers.check("answers", asked, true, true)?;
    Ok(TicketHolder {
        name: Some(command.name.clone()),
        email: Some(command.email.clone()),
        answers: command.answers.clone(),
    })
}

/// The name of a new account of who gets a ticket. Whoever gives it does not name somebody else's account.
fn account_name(email: &EmailAddress) -> Label {
    let local = email.as_str().split('@').next().unwrap_or_default();
    Label::stored(local.to_owned())
}

fn given_away(number: u32) -> Error {
    Error::new(
        ErrorCode::TicketTransferred,
        format!(
            "You gave ticket {number} to somebody else, who alone gives it on. The organizer can give it back to you."
        ),
    )
}
