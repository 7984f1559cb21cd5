//! Transfers: a ticket is given to somebody else. Its code changes with the write that guards it, so that of the old and the new code
//! one admits somebody.
//!
//! Called by app_modules. Calls the bookings repository.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{ATTEMPTS_MAX, BookingsModule, mails::mails_to};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::{
        repositories::{NewMails, STALE_BOOKING, StepError, TransferStep},
        support::Attempts,
    },
    types::{
        Booking, BookingDetails, BookingId, Event, EventStatus, KeyedRequest, NotificationId,
        NotificationKind, Page, PageRequest, RecordedAnswer, TenantId, Ticket, TicketHolder,
        TicketId, TicketStatus, TicketTransfer, UserId,
    },
};

/// Who gets a ticket.
#[derive(Debug, Clone)]
pub(crate) struct RequestedTransfer {
    pub(crate) ticket: TicketId,
    pub(crate) to: UserId,
    pub(crate) holder: TicketHolder,
}

impl BookingsModule {
    /// Gives a ticket to somebody else, if `may` says that its present owner may do so: a new code, and a mail to both.
    ///
    /// # Errors
    /// Those of [`require_transferable`] and `may`; `not-found`, `field-invalid`, `conflict-try-again`.
    pub(crate) async fn transfer(
        &self,
        tenant: &TenantId,
        event: &Event,
        requested: &RequestedTransfer,
        may: impl Fn(UserId) -> Result<()>,
        request: Option<&KeyedRequest>,
    ) -> Result<Ticket> {
        let id = requested.ticket;
        let none = || Error::not_found("ticket", id);
        let mut sent: Option<TicketTransfer> = None;
        let mut attempts = Attempts::new("transfer_ticket", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let before = self.repository.find(tenant, id.booking).await?;
            let before = before.ok_or_else(none)?;
            if sent.is_some() && before.transfer_of(id.number) == sent.as_ref() {
                // This request's own, whose answer was lost.
                return before.ticket(id.number).ok_or_else(none);
            }
            require_transferable(&before, event, id)?;
            let from = before.owner_of(id.number);
            may(from)?;
            let (after, transfer) = self.transferred(&before, event, requested)?;
            let ticket = after.ticket(id.number).ok_or_else(none)?;
            let recorded = request.map(|one| {
                let answer = RecordedAnswer::Ticket(ticket.clone());
                (self.context.next_id(), one.recorded(answer))
            });
            let step = TransferStep {
                mails: self.transfer_mails(tenant, &after, (from, &transfer)),
                before,
                after,
                transfer,
                recorded,
            };
            match self.repository.transfer(tenant, &step).await {
                Ok(()) => {
                    self.context.outbox_added.notify_one();
                    return Ok(ticket);
                }
                Err(StepError::Lost(_)) => sent = Some(step.transfer),
                Err(StepError::Conflict | StepError::Exists(_)) => {}
                Err(error) if error.is_guard(STALE_BOOKING) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// A booking after a transfer.
    fn transferred(
        &self,
        before: &Booking,
        event: &Event,
        requested: &RequestedTransfer,
    ) -> Result<(Booking, TicketTransfer)> {
        let (number, to) = (requested.ticket.number, requested.to);
        let from = before.owner_of(number);
        if from == to {
            let rule = "This person has the ticket already.";
            return Err(Error::field("email", rule));
        }
        let issue = before.issued(number).issue + 1;
        let known = before.transfer_of(number);
        let mut former = known.map_or_else(Vec::new, |one| one.former.clone());
        former.push(from);
        let transfer = TicketTransfer {
            number,
            issue,
            former,
            to,
            at: self.context.now(),
            event_version: event.version,
        };
        let mut after = before.clone();
        after.transfers.retain(|one| one.number != number);
        after.transfers.push(transfer.clone());
        after.transfers.sort_by_key(|one| one.number);
        after.details = with_holder(before, number, &requested.holder)?;
        Ok((after, transfer))
    }

    /// The mails about a transfer: to who has the ticket now, and to who had it.
    fn transfer_mails(
        &self,
        tenant: &TenantId,
        booking: &Booking,
        (from, transfer): (UserId, &TicketTransfer),
    ) -> NewMails {
        let mail = |kind, user| {
            let notification = NotificationId::from_ulid(self.context.next_id());
            let recipients = [(user, booking.id)];
            mails_to(tenant, (notification, kind), &recipients, transfer.at)
        };
        let received = mail(NotificationKind::TicketReceived, transfer.to);
        let voided = mail(NotificationKind::TicketVoided, from);
        received.and(voided).traced(|_| self.context.trace())
    }

    /// The mails to those whose tickets the last cancellation of a booking ended, though somebody else had booked them.
    pub(super) fn void_mails(
        &self,
        tenant: &TenantId,
        booking: &Booking,
        now: Timestamp,
    ) -> NewMails {
        let cancelled = booking.cancellations.last();
        let numbers = cancelled.map_or(&[][..], |one| &one.numbers);
        let owners = numbers.iter().map(|number| booking.owner_of(*number));
        let others: BTreeSet<UserId> = owners.filter(|one| *one != booking.customer).collect();
        let recipients: Vec<_> = others.into_iter().map(|user| (user, booking.id)).collect();
        let notification = NotificationId::from_ulid(self.context.next_id());
        let kind = NotificationKind::TicketVoided;
        mails_to(tenant, (notification, kind), &recipients, now)
    }

    /// The bookings with these ids, unordered; at most as many as a page has.
    pub(crate) async fn find_many(
        &self,
        tenant: &TenantId,
        bookings: &[BookingId],
    ) -> Result<Vec<Booking>> {
        self.repository.find_many(tenant, bookings).await
    }

    /// The bookings of a page of tickets that an account and the guests that it took over got by transfers, each with the ticket.
    pub(crate) async fn list_received(
        &self,
        tenant: &TenantId,
        accounts: &[UserId],
        page: &PageRequest,
    ) -> Result<Page<(TicketId, Booking)>> {
        let after = page.position::<TicketId>()?;
        let mut received = Vec::new();
        for account in accounts {
            let of_account =
                self.repository
                    .received_tickets(tenant, *account, after, page.limit + 1);
            received.extend(of_account.await?);
        }
        received.sort_unstable();
        received.truncate(page.limit as usize + 1);
        let page = page.cut(received, TicketId::to_string);
        let mut ids: Vec<_> = page.items.iter().map(|ticket| ticket.booking).collect();
        ids.dedup();
        let bookings = self.find_many(tenant, &ids).await?;
        let listed = page.items.iter().filter_map(|ticket| {
            let booking = bookings.iter().find(|one| one.id == ticket.booking)?;
            Some((*ticket, booking.clone()))
        });
        Ok(Page {
            items: listed.collect(),
            next: page.next,
        })
    }
}

/// Refuses to transfer a ticket that admits nobody, or has admitted somebody.
///
/// # Errors
/// `not-found`, `ticket-cancelled`, `already-checked-in`, `field-invalid` for a ticket that changed hands too often.
pub(crate) fn require_transferable(booking: &Booking, event: &Event, id: TicketId) -> Result<()> {
    let ticket = booking.ticket(id.number);
    let ticket = ticket.ok_or_else(|| Error::not_found("ticket", id))?;
    if booking.issued(id.number).issue >= TicketTransfer::PER_TICKET_MAX {
        let rule = "A ticket changes hands at most 20 times.";
        return Err(Error::field("email", rule));
    }
    match ticket.status {
        TicketStatus::Valid if event.status != EventStatus::Cancelled => Ok(()),
        TicketStatus::Valid | TicketStatus::Cancelled => Err(Error::new(
            ErrorCode::TicketCancelled,
            "This ticket was cancelled and admits nobody.",
        )),
        TicketStatus::CheckedIn => Err(Error::new(
            ErrorCode::AlreadyCheckedIn,
            "This ticket is checked in, so it cannot be given to somebody else.",
        )),
    }
}

/// Refuses to cancel tickets that the customer gave to somebody else.
pub(super) fn require_own(booking: &Booking, numbers: &[u32]) -> Result<()> {
    let mut numbers = numbers.iter();
    match numbers.find(|number| booking.owner_of(**number) != booking.customer) {
        Some(number) => Err(Error::new(
            ErrorCode::TicketTransferred,
            format!(
                "Ticket {number} was given to somebody else, so only the organizer can cancel it."
            ),
        )),
        None => Ok(()),
    }
}

/// A booking's details with who is to have a ticket.
///
/// # Errors
/// `field-invalid` if one booking cannot have so many attendees.
pub(crate) fn with_holder(
    booking: &Booking,
    number: u32,
    holder: &TicketHolder,
) -> Result<Option<Box<BookingDetails>>> {
    let known = booking.details.as_deref();
    let mut details = known.cloned().unwrap_or_default();
    details.ticket_holders.insert(number, holder.clone());
    details.require_small("name")?;
    Ok(details.boxed())
}
