//! The rules of check-ins: each ticket once, if it is not cancelled.
//!
//! Called by app_modules. Calls the check-ins and bookings repositories.

use std::{cmp::Ordering, sync::Arc};

use super::{
    ModuleContext,
    bookings::read_with_event,
    repositories::{BookingsRepository, CheckInsRepository, STALE_BOOKING, StepError},
};
use crate::{
    error::Result,
    modules::support::Attempts,
    types::{
        Booking, BookingId, CheckIn, Event, EventId, IssuedTicket, KeyedRequest, Page, PageRequest,
        RecordedAnswer, TenantId, Ticket, TicketId, TicketStatus, UserId,
    },
};

/// Attempts of one check-in. Only other changes of the same booking cause more than one.
const ATTEMPTS_MAX: u32 = 16;

/// The outcome of a check-in.
pub(crate) enum Admission {
    /// The ticket is checked in now.
    In(CheckIn),
    /// The ticket was checked in before.
    InBefore(CheckIn),
    /// The ticket was cancelled.
    Cancelled,
    /// The ticket was given to somebody else after its code was made.
    Transferred,
    /// There is no such ticket.
    Unknown,
}

pub(crate) struct CheckInsModule {
    repository: CheckInsRepository,
    bookings: Arc<BookingsRepository>,
    context: ModuleContext,
}

impl CheckInsModule {
    pub(super) fn new(
        repository: CheckInsRepository,
        bookings: Arc<BookingsRepository>,
        context: ModuleContext,
    ) -> Self {
        Self {
            repository,
            bookings,
            context,
        }
    }

    /// Checks a ticket of an event in, by what its code names.
    pub(crate) async fn check_in(
        &self,
        tenant: &TenantId,
        event: &Event,
        issued: IssuedTicket,
        by: Option<UserId>,
        request: Option<&KeyedRequest>,
    ) -> Result<Admission> {
        let id = issued.ticket;
        let mut sent: Option<CheckIn> = None;
        let mut attempts = Attempts::new("check_in", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let Some((booking, ticket)) = self.find(tenant, event, id).await? else {
                return Ok(Admission::Unknown);
            };
            if let Some(refused) = of_other_issue(&booking, issued) {
                return Ok(refused);
            }
            match ticket.status {
                TicketStatus::Cancelled => return Ok(Admission::Cancelled),
                TicketStatus::CheckedIn => {
                    match self.repository.find(tenant, id).await? {
                        // This request's own, whose answer was lost.
                        Some(before) if sent.as_ref() == Some(&before) => {
                            return Ok(Admission::In(before));
                        }
                        Some(before) => return Ok(Admission::InBefore(before)),
                        // Undone between the two reads.
                        None => continue,
                    }
                }
                TicketStatus::Valid => {}
            }
            let check_in = CheckIn {
                ticket: id,
                booking_number: booking.number,
                ticket_type: ticket.ticket_type,
                at: self.context.now(),
                by,
            };
            let recorded = request.map(|one| {
                let answer = RecordedAnswer::CheckIn(check_in.clone());
                (self.context.next_id(), one.recorded(answer))
            });
            let written = self
                .repository
                .insert(tenant, &booking, &check_in, recorded);
            match written.await {
                Ok(()) => return Ok(Admission::In(check_in)),
                Err(StepError::Lost(_)) => sent = Some(check_in),
                Err(StepError::Conflict) => {}
                Err(error) if error.is_guard(STALE_BOOKING) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// Finds the check-in of a ticket.
    pub(crate) async fn show(&self, tenant: &TenantId, id: TicketId) -> Result<Option<CheckIn>> {
        self.repository.find(tenant, id).await
    }

    /// Undoes a check-in; `None` if the ticket is not checked in.
    pub(crate) async fn undo(
        &self,
        tenant: &TenantId,
        event: &Event,
        id: TicketId,
        request: Option<&KeyedRequest>,
    ) -> Result<Option<Ticket>> {
        let mut was_sent = false;
        let mut attempts = Attempts::new("undo_check_in", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let Some((booking, ticket)) = self.find(tenant, event, id).await? else {
                return Ok(None);
            };
            if ticket.status != TicketStatus::CheckedIn {
                // This request's own, whose answer was lost, or there was none.
                return Ok(was_sent.then_some(ticket));
            }
            let left = booking.checked_in.iter().copied();
            let left = left.filter(|number| *number != id.number);
            let after = Booking {
                checked_in: left.collect(),
                ..booking.clone()
            };
            let after = after.ticket(id.number);
            let recorded = request.zip(after.clone()).map(|(one, ticket)| {
                let recorded = one.recorded(RecordedAnswer::Ticket(ticket));
                (self.context.next_id(), recorded)
            });
            let ticket = (id, self.context.now());
            let written = self.repository.delete(tenant, &booking, ticket, recorded);
            match written.await {
                Ok(()) => return Ok(after),
                Err(StepError::Lost(_)) => was_sent = true,
                Err(StepError::Conflict) => {}
                Err(error) if error.is_guard(STALE_BOOKING) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// The check-ins of a booking, by the tickets' numbers: at most as many as it has tickets.
    pub(crate) async fn list_of_booking(
        &self,
        tenant: &TenantId,
        booking: BookingId,
    ) -> Result<Vec<CheckIn>> {
        self.repository.list_of_booking(tenant, booking).await
    }

    /// Up to `limit` of an event's check-ins after one of them, in the order of customers, bookings and tickets.
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        event: EventId,
        page: &PageRequest,
    ) -> Result<Page<CheckIn>> {
        let after = page.position()?;
        let rows = self
            .repository
            .list_of_event(tenant, event, after, page.limit + 1)
            .await?;
        Ok(page.cut(rows, |check_in| check_in.ticket.to_string()))
    }

    async fn find(
        &self,
        tenant: &TenantId,
        event: &Event,
        id: TicketId,
    ) -> Result<Option<(Booking, Ticket)>> {
        let booking = self.bookings.find(tenant, id.booking).await?;
        let booking =
            booking.map(|booking| read_with_event(booking, event.status, event.updated_at));
        Ok(booking.and_then(|booking| {
            let ticket = booking.ticket(id.number)?;
            Some((booking, ticket))
        }))
    }
}

/// The outcome for a code that was made before the ticket's last transfer, or after it.
fn of_other_issue(booking: &Booking, issued: IssuedTicket) -> Option<Admission> {
    let present = booking.issued(issued.ticket.number).issue;
    match present.cmp(&issued.issue) {
        Ordering::Equal => None,
        Ordering::Greater => Some(Admission::Transferred),
        // A store that came from a backup does not know the transfer.
        Ordering::Less => Some(Admission::Unknown),
    }
}
