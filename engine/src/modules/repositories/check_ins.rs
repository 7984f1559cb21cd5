//! Storage steps of check-ins. Called by the check-ins module; calls models.

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    db::{Db, Script, StepError},
    idempotency::add_recorded,
    models::{BookingLineRow, BookingRow, CheckInRow, TransferRow},
};
use crate::{
    error::Result,
    types::{
        Booking, BookingId, ChangeKind, CheckIn, EventId, RecordedRequest, TenantId, TicketId,
    },
};

/// The guard's word when the booking has changed.
pub(in crate::modules) const STALE_BOOKING: &str = "booking-moved";

pub(in crate::modules) struct CheckInsRepository {
    db: Db,
}

impl CheckInsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Writes a check-in, if the booking is unchanged: 2 rows, and 2 for the request's record under
    /// the name of this step.
    pub(in crate::modules) async fn insert(
        &self,
        tenant: &TenantId,
        seen: &Booking,
        check_in: &CheckIn,
        recorded: Option<(Ulid, RecordedRequest)>,
    ) -> Result<(), StepError> {
        let mut numbers = seen.checked_in.clone();
        numbers.push(check_in.ticket.number);
        numbers.sort_unstable();
        let mut script = Script::transaction(tenant);
        script.happens(check_in.at);
        add_booking_change(&mut script, tenant, seen, numbers);
        script.tell(
            ChangeKind::BookingCheckedIn,
            BookingRow::key(tenant, seen.id),
        );
        let row = script.bind(CheckInRow::of(tenant, check_in));
        script.push(format!("INSERT INTO check_in {row} RETURN NONE"));
        if let Some((step, recorded)) = recorded {
            add_recorded(&mut script, tenant, step, &[recorded], check_in.at);
        }
        self.db.run(script).await.map(drop)
    }

    /// Undoes a check-in, if the booking is unchanged: 2 rows, and 2 for the request's record under the name
    /// of this step.
    pub(in crate::modules) async fn delete(
        &self,
        tenant: &TenantId,
        seen: &Booking,
        (ticket, at): (TicketId, Timestamp),
        recorded: Option<(Ulid, RecordedRequest)>,
    ) -> Result<(), StepError> {
        let mut numbers = seen.checked_in.clone();
        numbers.retain(|number| *number != ticket.number);
        let mut script = Script::transaction(tenant);
        script.happens(at);
        add_booking_change(&mut script, tenant, seen, numbers);
        let booking = BookingRow::key(tenant, seen.id);
        script.tell(ChangeKind::BookingCheckInUndone, booking);
        let key = script.bind(CheckInRow::key(tenant, ticket));
        script.push(format!("DELETE {key} RETURN NONE"));
        if let Some((step, recorded)) = recorded {
            add_recorded(&mut script, tenant, step, &[recorded], at);
        }
        self.db.run(script).await.map(drop)
    }

    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        ticket: TicketId,
    ) -> Result<Option<CheckIn>> {
        let mut script = Script::of(tenant);
        let index = script.read(CheckInRow::key(tenant, ticket));
        let row: Option<CheckInRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(CheckInRow::into_type).transpose()
    }

    /// The check-ins of a booking, by the tickets' numbers.
    pub(in crate::modules) async fn list_of_booking(
        &self,
        tenant: &TenantId,
        booking: BookingId,
    ) -> Result<Vec<CheckIn>> {
        let mut script = Script::of(tenant);
        let key = [
            tenant.as_str().to_owned(),
            booking.event().ulid().to_string(),
            booking.customer().ulid().to_string(),
            booking.serial().to_string(),
        ];
        let index = script.read_under("check_in", key);
        let rows: Vec<CheckInRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(CheckInRow::into_type).collect()
    }

    /// Up to `limit` of an event's check-ins after one of them, in the order of customers, bookings and tickets.
    pub(in crate::modules) async fn list_of_event(
        &self,
        tenant: &TenantId,
        event: EventId,
        after: Option<TicketId>,
        limit: u32,
    ) -> Result<Vec<CheckIn>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let start = match after {
            None => format!("[$tenant, {event}]"),
            Some(ticket) => {
                let customer = script.bind(ticket.booking.customer().ulid().to_string());
                let serial = script.bind(ticket.booking.serial().to_string());
                let number = script.bind(i64::from(ticket.number));
                format!("[$tenant, {event}, {customer}, {serial}, {number}]>")
            }
        };
        let limit = script.bind(i64::from(limit));
        let index = script.push(format!(
            "SELECT * FROM type::record('check_in', {start}..[$tenant, {event}, ..]) LIMIT {limit}"
        ));
        let rows: Vec<CheckInRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(CheckInRow::into_type).collect()
    }
}

/// Adds the guard of a check-in. It writes the booking, like every cancellation and transfer, so that one of two concurrent
/// ones fails.
fn add_booking_change(script: &mut Script, tenant: &TenantId, seen: &Booking, numbers: Vec<u32>) {
    let key = script.bind(BookingRow::key(tenant, seen.id));
    let lines = script.bind(
        seen.lines
            .iter()
            .map(BookingLineRow::of)
            .collect::<Vec<_>>(),
    );
    let before = script.bind(BookingRow::numbers(&seen.checked_in));
    let transfers = script.bind(TransferRow::of_all(&seen.transfers));
    let after = script.bind(BookingRow::numbers(&numbers));
    script.require(
        format!(
            "UPDATE {key} SET checked_in = {after} \
         WHERE checked_in = {before} AND lines = {lines} AND transfers = {transfers} AND cancelled_by = NONE RETURN VALUE id"
        ),
        STALE_BOOKING,
    );
}
