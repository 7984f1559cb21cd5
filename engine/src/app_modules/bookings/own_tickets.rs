//! The use cases of a person's own tickets of one booking, for links that prove who follows them. Called by hosts and platforms.
//! Calls the bookings, events, tenants and users modules, and the ports for ticket codes and links.

use std::sync::Arc;

use super::Bookings;
use crate::{
    context::EngineContext,
    error::{Error, Result},
    modules::BookingOfReader,
    ports::Links,
    types::{Booking, BookingId, CalendarFile, Caller, OwnTickets, PageRequest, TenantId, Ticket},
};

impl Bookings {
    /// Shows the tickets that the acting user has of a booking now, with their codes, and the event. For the page of a link that
    /// proves who follows it ([`Links::tickets`](crate::ports::Links::tickets)). Exactly the named account counts: a guest that
    /// an account took over has a link of its own.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found` for somebody who never had a ticket of the booking or was erased, `field-invalid` for a
    /// broken cursor.
    pub async fn own_tickets(
        &self,
        caller: &Caller,
        booking: BookingId,
        page: PageRequest,
    ) -> Result<OwnTickets> {
        let (context, tenant) = (&self.0, caller.tenant()?);
        let shown = context.booking_of_reader(caller, booking).await?;
        let tenant = context.modules.tenants.get(tenant).await?;
        shown.tickets(&tenant, context.ticket_codes.as_deref(), &page)
    }

    /// The event of a booking for the calendar of the acting user, who has or had tickets of it. It takes the event out of the calendar
    /// if the event was cancelled, or if they have neither tickets of this booking nor another one of the event.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found` for somebody who never had a ticket of the booking or was erased.
    pub async fn own_calendar(&self, caller: &Caller, booking: BookingId) -> Result<CalendarFile> {
        let (context, tenant) = (&self.0, caller.tenant()?);
        let shown = context.booking_of_reader(caller, booking).await?;
        let (modules, reader) = (&context.modules, shown.reader().id);
        let stays = shown.has_tickets() || {
            let bookings = &modules.bookings;
            bookings.has_active(tenant, booking.event(), reader).await?
        };
        let tenant = modules.tenants.get(tenant).await?;
        let mail_from = &context.context.settings.delivery.mail_from;
        let now = context.context.now();
        Ok(shown.calendar(&tenant, (mail_from, now), stays))
    }
}

impl EngineContext {
    /// A ticket with what admits its owner: the code, and the link to the page that shows it.
    pub(in crate::app_modules) fn with_code(
        &self,
        tenant: &TenantId,
        booking: &Booking,
        ticket: Ticket,
    ) -> Ticket {
        let (number, codes, links) = (ticket.id.number, &self.ticket_codes, &self.links);
        let url =
            |links: &Arc<dyn Links>| links.tickets(tenant, booking.owner_of(number), booking.id);
        Ticket {
            code: codes
                .as_ref()
                .map(|codes| codes.code(tenant, booking.issued(number))),
            tickets_url: links.as_ref().map(url),
            ..ticket
        }
    }

    async fn booking_of_reader(
        &self,
        caller: &Caller,
        booking: BookingId,
    ) -> Result<BookingOfReader> {
        let (modules, tenant) = (&self.modules, caller.tenant()?);
        let none = || Error::not_found("booking", booking);
        let reader = caller.acting_user()?;
        let (reader, found, event) = tokio::try_join!(
            modules.users.find(tenant, reader),
            modules.bookings.find(tenant, booking),
            modules.events.find(tenant, booking.event()),
        )?;
        let found = reader.zip(found).zip(event);
        let shown =
            found.and_then(|((reader, found), event)| BookingOfReader::new(reader, found, event));
        let shown = shown.ok_or_else(none)?;
        // As in mails: what an unconfirmed organizer wrote goes to confirmed addresses only.
        match (shown.reader().email_verified, shown.event().organizer) {
            (false, Some(organizer)) if !modules.users.is_confirmed(tenant, organizer).await? => {
                Ok(shown.in_neutral_words())
            }
            _ => Ok(shown),
        }
    }
}
