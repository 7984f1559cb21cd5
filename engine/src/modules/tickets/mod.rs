//! What is shown of somebody's tickets: which they are, their QR codes, and the event for calendars.
//!
//! Invariant: nobody sees a ticket that somebody else has by now, or that was cancelled. Pure: reads no store. Called by app_modules
//! and by the composing of mails.

pub(in crate::modules) mod calendar;
pub(in crate::modules) mod qr_code;

use jiff::Timestamp;

use self::calendar::CalendarEntry;
use super::bookings::read_with_event;
use crate::{
    error::{Error, Result},
    ports::TicketCodes,
    types::{
        Booking, BookingStatus, CalendarFile, EmailAddress, Event, EventStatus, OwnTicket,
        OwnTickets, OwnTicketsState, PageRequest, Tenant, Ticket, TicketId, User, local_time,
    },
};

/// A booking with tickets of somebody, as they see it.
pub(crate) struct BookingOfReader {
    reader: User,
    booking: Booking,
    event: Event,
}

impl BookingOfReader {
    /// `None` for somebody who was erased, or never had a ticket of the booking.
    pub(crate) fn new(reader: User, booking: Booking, event: Event) -> Option<Self> {
        let mut transfers = booking.transfers.iter();
        let concerns = booking.customer == reader.id
            || transfers.any(|one| one.to == reader.id || one.former.contains(&reader.id));
        (concerns && reader.erased_at.is_none()).then(|| Self {
            booking: read_with_event(booking, event.status, event.updated_at),
            reader,
            event,
        })
    }

    pub(crate) fn reader(&self) -> &User {
        &self.reader
    }

    pub(crate) fn event(&self) -> &Event {
        &self.event
    }

    /// The same without the organizer's words.
    pub(crate) fn in_neutral_words(self) -> Self {
        Self {
            event: self.event.in_neutral_words(),
            ..self
        }
    }

    pub(crate) fn has_tickets(&self) -> bool {
        self.state() == OwnTicketsState::Valid
    }

    fn state(&self) -> OwnTicketsState {
        let (booking, reader) = (&self.booking, self.reader.id);
        let mut numbers = 1..=booking.numbers();
        if self.event.status == EventStatus::Cancelled {
            OwnTicketsState::EventCancelled
        } else if booking.status == BookingStatus::Cancelled
            && numbers.any(|number| booking.owner_of(number) == reader)
        {
            OwnTicketsState::BookingCancelled
        } else if booking.tickets_of(reader).next().is_none() {
            OwnTicketsState::NoneLeft
        } else {
            OwnTicketsState::Valid
        }
    }

    /// A page of the tickets.
    ///
    /// # Errors
    /// `field-invalid` for a broken cursor.
    pub(crate) fn tickets(
        &self,
        tenant: &Tenant,
        codes: Option<&dyn TicketCodes>,
        page: &PageRequest,
    ) -> Result<OwnTickets> {
        let (booking, details) = (&self.booking, &self.event.details);
        let after: Option<TicketId> = page.position()?;
        if after.is_some_and(|after| after.booking != booking.id) {
            return Err(PageRequest::not_a_cursor());
        }
        let first = after.map_or(0, |after| after.number).saturating_add(1);
        let all: Vec<Ticket> = booking.tickets_of(self.reader.id).collect();
        let num_tickets = u32::try_from(all.len()).map_err(Error::internal)?;
        let shown = all.into_iter().filter(|ticket| ticket.id.number >= first);
        let shown = shown.take(page.limit as usize + 1);
        let shown = shown.map(|ticket| self.own_ticket(tenant, codes, ticket));
        let local = |moment: Timestamp| local_time(moment, &details.time_zone);
        Ok(OwnTickets {
            tenant_name: tenant.name.clone(),
            booking_number: booking.number,
            starts_at_local: local(details.starts_at),
            ends_at_local: details.ends_at.map(local),
            event: details.clone(),
            state: self.state(),
            num_tickets,
            tickets: page.cut(shown.collect(), |one| one.ticket.id.to_string()),
        })
    }

    fn own_ticket(
        &self,
        tenant: &Tenant,
        codes: Option<&dyn TicketCodes>,
        ticket: Ticket,
    ) -> OwnTicket {
        let number = ticket.id.number;
        // Whoever typed an address that nobody confirmed typed the names, too, as in mails.
        let holder = self.booking.holder_of(number);
        let holder = holder.filter(|_| self.reader.email_verified);
        let issued = self.booking.issued(number);
        OwnTicket {
            type_name: self.event.type_name(&ticket.ticket_type).to_owned(),
            attendee: holder.and_then(|holder| holder.name.clone()),
            ticket: Ticket {
                code: codes.map(|codes| codes.code(&tenant.id, issued)),
                ..ticket
            },
        }
    }

    /// The event for the reader's calendar. `has_other_booking` says that they have another booking of it.
    pub(crate) fn calendar(
        &self,
        tenant: &Tenant,
        (installation, now): (&EmailAddress, Timestamp),
        has_other_booking: bool,
    ) -> CalendarFile {
        let is_off = self.event.status == EventStatus::Cancelled;
        calendar::write(&CalendarEntry {
            event: &self.event,
            is_cancelled: is_off || !(has_other_booking || self.has_tickets()),
            organizer: (tenant.sender_name(), tenant.sender_address(installation)),
            now,
        })
    }
}
