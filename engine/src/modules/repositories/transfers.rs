//! Storage steps of transfers of tickets, and the lists of who got some. Called by the bookings and notifications modules; calls models.

use std::ops::Bound;

use ulid::Ulid;

use super::{
    bookings::{BookingsRepository, detail_columns, detail_guard},
    check_ins::STALE_BOOKING,
    db::{Db, Script, StepError},
    idempotency::add_recorded,
    models::{BookingLineRow, BookingRow, ReceivedTicketRow, TransferRow},
    notifications::{NewMails, add_mails_about},
};
use crate::{
    error::Result,
    types::{
        Booking, BookingId, ChangeKind, EventId, RecordedRequest, TenantId, TicketId,
        TicketTransfer, UserId,
    },
};

/// The write of a transfer: at most 12 rows.
pub(in crate::modules) struct TransferStep {
    /// The booking as it was read.
    pub(in crate::modules) before: Booking,
    /// The booking with the transfer.
    pub(in crate::modules) after: Booking,
    pub(in crate::modules) transfer: TicketTransfer,
    pub(in crate::modules) mails: NewMails,
    /// The request, under the name of this step.
    pub(in crate::modules) recorded: Option<(Ulid, RecordedRequest)>,
}

impl BookingsRepository {
    /// Writes a transfer, if nothing of the booking has changed that says who has which ticket. Fails with the guard
    /// [`STALE_BOOKING`].
    pub(in crate::modules) async fn transfer(
        &self,
        tenant: &TenantId,
        step: &TransferStep,
    ) -> Result<(), StepError> {
        let (before, id) = (&step.before, step.after.id);
        let mut script = Script::transaction(tenant);
        let key = script.bind(BookingRow::key(tenant, id));
        let lines = before.lines.iter().map(BookingLineRow::of);
        let lines = script.bind(lines.collect::<Vec<_>>());
        let came_in = script.bind(BookingRow::numbers(&before.checked_in));
        // A change of the details names the owners, so that they are guarded, too.
        let guard = detail_guard(&mut script, before);
        let transfers = script.bind(TransferRow::of_all(&step.after.transfers));
        let details = script.bind(detail_columns(&step.after).details);
        script.require(
            format!(
                "UPDATE {key} SET transfers = {transfers}, details = {details} WHERE checked_in = {came_in} AND lines = {lines} AND {guard} AND cancelled_by = NONE RETURN VALUE id"
            ),
            STALE_BOOKING,
        );
        script.happens(step.transfer.at);
        let booking = BookingRow::key(tenant, id);
        script.tell(ChangeKind::BookingTicketTransferred, booking);
        if let Some(old) = before.transfer_of(step.transfer.number) {
            script.remove(ReceivedTicketRow::keys(tenant, id, old));
        }
        // Whoever booked has the ticket in their booking.
        if step.transfer.to != step.after.customer {
            let [by_owner, by_event] = ReceivedTicketRow::of(tenant, id, &step.transfer);
            script.insert(ReceivedTicketRow::BY_OWNER, [by_owner]);
            script.insert(ReceivedTicketRow::BY_EVENT, [by_event]);
        }
        add_mails_about(&mut script, tenant, &step.mails)?;
        if let Some((name, recorded)) = &step.recorded {
            let recorded = std::slice::from_ref(recorded);
            add_recorded(&mut script, tenant, *name, recorded, step.transfer.at);
        }
        self.db.run(script).await.map(drop)
    }

    /// Up to `limit` of the tickets that an account got by transfers, after one of them, in the order of events, customers, bookings
    /// and numbers.
    pub(in crate::modules) async fn received_tickets(
        &self,
        tenant: &TenantId,
        owner: UserId,
        after: Option<TicketId>,
        limit: u32,
    ) -> Result<Vec<TicketId>> {
        received_of(&self.db, tenant, (owner, after), limit).await
    }

    /// Who got tickets of which booking of an event by transfers, in the order of owners: up to `limit` rows of owners from one and up
    /// to `last`. A booking is named once for each ticket.
    pub(in crate::modules) async fn ticket_owners(
        &self,
        tenant: &TenantId,
        event: EventId,
        (from, last): (Bound<UserId>, Option<UserId>),
        limit: u32,
    ) -> Result<Vec<(UserId, BookingId)>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let mut owner = |owner: UserId| script.bind(owner.ulid().to_string());
        let start = match from.map(&mut owner) {
            Bound::Unbounded => format!("[$tenant, {event}]"),
            Bound::Included(from) => format!("[$tenant, {event}, {from}]"),
            Bound::Excluded(after) => format!("[$tenant, {event}, {after}, ..]>"),
        };
        let end = match last.map(&mut owner) {
            None => format!("[$tenant, {event}, ..]"),
            Some(last) => format!("[$tenant, {event}, {last}, ..]"),
        };
        let limit = script.bind(i64::from(limit));
        let index = script.push(format!(
            "SELECT * FROM type::record('ticket_owner', {start}..{end}) LIMIT {limit}"
        ));
        let rows: Vec<ReceivedTicketRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.iter().map(ReceivedTicketRow::by_event).collect()
    }
}

/// The tickets that an account got by transfers: up to `limit` after one of them.
pub(super) async fn received_of(
    db: &Db,
    tenant: &TenantId,
    (owner, after): (UserId, Option<TicketId>),
    limit: u32,
) -> Result<Vec<TicketId>> {
    let mut script = Script::of(tenant);
    let owner = script.bind(owner.ulid().to_string());
    let start = match after {
        None => format!("[$tenant, {owner}]"),
        Some(ticket) => {
            let booking = ticket.booking;
            let path = [
                booking.event().ulid(),
                booking.customer().ulid(),
                booking.serial(),
            ];
            let path = path.map(|part| script.bind(part.to_string()));
            let number = script.bind(i64::from(ticket.number));
            format!("[$tenant, {owner}, {}, {number}]>", path.join(", "))
        }
    };
    let limit = script.bind(i64::from(limit));
    let index = script.push(format!(
            "SELECT * FROM type::record('received_ticket', {start}..[$tenant, {owner}, ..]) LIMIT {limit}"
        ));
    let rows: Vec<ReceivedTicketRow> = db.run_retrying(&script).await?.rows(index)?;
    rows.iter().map(ReceivedTicketRow::by_owner).collect()
}
