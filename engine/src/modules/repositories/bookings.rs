//! Storage steps of bookings. Called by the bookings and notifications modules; calls models.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    check_ins::STALE_BOOKING,
    claims::{ClaimReturn, add_returns},
    db::{Db, Script, StepError},
    inventory::{InventoryChange, add_change},
    models::{
        BOOKING_REFERENCES, BookingNumbersRow, BookingRow, CustomerBookingRow, DetailsColumns,
        IdRow, InventoryRow, PaymentKeyRow, PaymentRow, ReferenceRow, TransferRow, booking_id,
        newest_first_key,
    },
    notifications::{NewMails, add_mails_about},
    payments::{PaymentChange, add_payment},
    plugins::add_policy_guard,
    receipts::{DueReceipts, add_due_receipts},
    references::add_reference,
    waitlist::{Offers, add_offers},
};
use crate::{
    error::Result,
    types::{
        Booking, BookingId, BookingNumber, ChangeKind, DeliveryId, EventId, Inventory, PageRequest,
        Payment, Reference, TenantId, UserId,
    },
};

/// The write of a cancellation: at most 8 rows, 5 more if a payment is kept for the booking, and the offers of the freed
/// tickets.
pub(in crate::modules) struct CancelStep {
    /// The booking to write.
    pub(in crate::modules) booking: Booking,
    pub(in crate::modules) change: InventoryChange,
    pub(in crate::modules) mails: NewMails,
    pub(in crate::modules) offers: Offers,
    /// The version of the tenant's plugin set under which it was decided, if plugins were called.
    pub(in crate::modules) policy_version: Option<u64>,
    /// The booking's payment, of which a refund becomes due.
    pub(in crate::modules) payment: Option<PaymentChange>,
    /// What it gives back of the tenant's counters.
    pub(in crate::modules) claims: Vec<ClaimReturn>,
    /// The credit note of its refund, if the booking has a receipt.
    pub(in crate::modules) receipts: Option<DueReceipts>,
}

pub(in crate::modules) struct BookingsRepository {
    pub(super) db: Db,
}

impl BookingsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Writes a booking with its cancellation, and frees the tickets, if the inventory still has the revision that was read.
    pub(in crate::modules) async fn cancel(
        &self,
        tenant: &TenantId,
        step: &CancelStep,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        if let Some(version) = step.policy_version {
            add_policy_guard(&mut script, tenant, version);
        }
        add_change(&mut script, tenant, &step.change);
        let id = BookingRow::key(tenant, step.booking.id);
        let row = script.bind_content(&id, BookingRow::of(tenant, &step.booking));
        let key = script.bind(id.clone());
        let came_in = script.bind(BookingRow::numbers(&step.booking.checked_in));
        let payment = step.booking.payment.as_ref();
        let payment = script.bind(payment.map(PaymentKeyRow::of));
        // A check-in writes the booking without its event's inventory, and so do a payment that comes after the booking, a transfer, and
        // a change of its details. So the booking has a separate guard.
        let details = detail_guard(&mut script, &step.booking);
        script.require(
            format!(
                "UPDATE {key} CONTENT {row} WHERE checked_in = {came_in} AND payment = {payment} AND {details} RETURN VALUE id"
            ),
            STALE_BOOKING,
        );
        script.tell(ChangeKind::BookingCancelled, id);
        if let Some(change) = &step.payment {
            add_payment(&mut script, tenant, change);
        }
        add_returns(&mut script, tenant, step.claims.clone(), step.change.at);
        add_due_receipts(&mut script, tenant, step.receipts.as_ref());
        add_mails_about(&mut script, tenant, &step.mails)?;
        add_offers(&mut script, tenant, step.booking.event, &step.offers)?;
        self.db.run(script).await.map(drop)
    }

    /// Writes a booking's details, if it still has those that were read and is not cancelled: 1 row, and 2 for another reference. Fails
    /// with the guard [`STALE_BOOKING`] or [`REFERENCE_TAKEN`].
    pub(in crate::modules) async fn change_details(
        &self,
        tenant: &TenantId,
        (before, after): (&Booking, &Booking),
        at: Timestamp,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        script.happens(at);
        let (seen, new) = (detail_columns(before), detail_columns(after));
        if seen.reference != new.reference {
            let old = ReferenceRow::of_booking(tenant, before);
            script.remove(old.map(|row| row.id));
            let new = ReferenceRow::of_booking(tenant, after);
            add_reference(&mut script, BOOKING_REFERENCES, new);
        }
        let key = script.bind(BookingRow::key(tenant, after.id));
        let guard = detail_guard(&mut script, before);
        let (reference, details) = (script.bind(new.reference), script.bind(new.details));
        script.require(
            format!(
                "UPDATE {key} SET reference = {reference}, details = {details} WHERE {guard} AND cancelled_by = NONE RETURN VALUE id"
            ),
            STALE_BOOKING,
        );
        script.tell(
            ChangeKind::BookingUpdated,
            BookingRow::key(tenant, after.id),
        );
        self.db.run(script).await.map(drop)
    }

    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        booking: BookingId,
    ) -> Result<Option<Booking>> {
        let mut script = Script::of(tenant);
        let index = script.read(BookingRow::key(tenant, booking));
        let row: Option<BookingRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(BookingRow::into_type).transpose()
    }

    /// The payment that is kept for a booking, if there is one.
    pub(in crate::modules) async fn payment_of(
        &self,
        tenant: &TenantId,
        booking: &Booking,
    ) -> Result<Option<Payment>> {
        let Some(key) = &booking.payment else {
            return Ok(None);
        };
        let mut script = Script::of(tenant);
        let index = script.read(PaymentRow::key(tenant, key));
        let row: Option<PaymentRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(PaymentRow::into_type).transpose()
    }

    /// The id of the booking with a number.
    pub(in crate::modules) async fn with_number(
        &self,
        tenant: &TenantId,
        number: BookingNumber,
    ) -> Result<Option<BookingId>> {
        let (group, place) = number.place();
        let mut script = Script::of(tenant);
        let index = script.read(BookingNumbersRow::key(tenant, group));
        let row: Option<BookingNumbersRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map_or(Ok(None), |row| row.booking(place))
    }

    /// The id of the booking with a reference.
    pub(in crate::modules) async fn with_reference(
        &self,
        tenant: &TenantId,
        reference: &Reference,
    ) -> Result<Option<BookingId>> {
        let mut script = Script::of(tenant);
        let index = script.read(ReferenceRow::key(BOOKING_REFERENCES, tenant, reference));
        let row: Option<ReferenceRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(|row| row.booking()).transpose()
    }

    /// The bookings with these ids, unordered; at most as many as some batches hold.
    pub(in crate::modules) async fn find_many(
        &self,
        tenant: &TenantId,
        bookings: &[BookingId],
    ) -> Result<Vec<Booking>> {
        if bookings.is_empty() {
            return Ok(Vec::new());
        }
        let mut script = Script::of(tenant);
        let keys: Vec<_> = bookings
            .iter()
            .map(|id| BookingRow::key(tenant, *id))
            .collect();
        let index = script.read_all(keys);
        let rows: Vec<BookingRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(BookingRow::into_type).collect()
    }

    /// The customers among these with a valid booking of an event; at most as many as some batches hold.
    pub(in crate::modules) async fn with_active(
        &self,
        tenant: &TenantId,
        event: EventId,
        customers: &[UserId],
    ) -> Result<HashSet<UserId>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let mut places = Vec::with_capacity(customers.len());
        for customer in customers {
            let key = script.bind(customer.ulid().to_string());
            let index = script.push(format!(
                "SELECT id FROM type::record('booking', [$tenant, {event}, {key}]..[$tenant, {event}, {key}, ..]) \
                 WHERE cancelled_by = NONE LIMIT 1"
            ));
            places.push((*customer, index));
        }
        if places.is_empty() {
            return Ok(HashSet::new());
        }
        let mut answers = self.db.run_retrying(&script).await?;
        let mut found = HashSet::new();
        for (customer, index) in places {
            if !answers.rows::<IdRow>(index)?.is_empty() {
                found.insert(customer);
            }
        }
        Ok(found)
    }

    /// A customer's bookings before one of them, newest first; one more than the page holds, if there are more.
    pub(in crate::modules) async fn list_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
        before: Option<Ulid>,
        page: &PageRequest,
    ) -> Result<Vec<Booking>> {
        let rows = self
            .rows_of_customer(tenant, customer, before, page.limit + 1)
            .await?;
        let ids = rows
            .iter()
            .map(CustomerBookingRow::booking)
            .collect::<Result<Vec<_>>>()?;
        let mut bookings = self.find_many(tenant, &ids).await?;
        bookings.sort_by_key(|booking| std::cmp::Reverse(booking.id.serial()));
        Ok(bookings)
    }

    /// Up to `limit` rows of a customer's list before one of its bookings, newest first.
    async fn rows_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
        before: Option<Ulid>,
        limit: u32,
    ) -> Result<Vec<CustomerBookingRow>> {
        let mut script = Script::of(tenant);
        let index = read_list_of(&mut script, "customer_booking", (customer, before), limit);
        self.db.run_retrying(&script).await?.rows(index)
    }

    /// Up to `limit` bookings that these customers have of an event, in customer order, after one of them.
    pub(in crate::modules) async fn list_of_customers(
        &self,
        tenant: &TenantId,
        event: EventId,
        customers: &[UserId],
        after: Option<BookingId>,
        limit: u32,
    ) -> Result<Vec<Booking>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let limit_name = script.bind(i64::from(limit));
        let mut places = Vec::with_capacity(customers.len());
        for customer in customers {
            let key = script.bind(customer.ulid().to_string());
            let start = match after.filter(|after| after.customer() == *customer) {
                Some(after) => {
                    let serial = script.bind(after.serial().to_string());
                    format!("[$tenant, {event}, {key}, {serial}]>")
                }
                None => format!("[$tenant, {event}, {key}]"),
            };
            places.push(script.push(format!(
                "SELECT * FROM type::record('booking', {start}..[$tenant, {event}, {key}, ..]) LIMIT {limit_name}"
            )));
        }
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut answers = self.db.run_retrying(&script).await?;
        let mut bookings = Vec::new();
        for place in places {
            for row in answers.rows::<BookingRow>(place)? {
                bookings.push(row.into_type()?);
            }
        }
        bookings.truncate(limit as usize);
        Ok(bookings)
    }

    /// The inventories of these events that exist.
    pub(in crate::modules) async fn inventories(
        &self,
        tenant: &TenantId,
        events: &[EventId],
    ) -> Result<HashMap<EventId, Inventory>> {
        let mut script = Script::of(tenant);
        let keys = events.iter();
        let keys = keys.map(|event| InventoryRow::key(tenant, *event));
        let index = script.read_all(keys.collect::<Vec<_>>());
        let rows: Vec<InventoryRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let read = rows.into_iter().map(|row| {
            let inventory = row.into_type()?;
            Ok((inventory.event, inventory))
        });
        read.collect()
    }

    /// The ids of the deliveries about a booking, without those to all customers of its event.
    pub(in crate::modules) async fn mails_of(
        &self,
        tenant: &TenantId,
        booking: BookingId,
    ) -> Result<Vec<DeliveryId>> {
        let mut script = Script::of(tenant);
        let index = script.read(CustomerBookingRow::key(tenant, booking));
        let row: Option<CustomerBookingRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map_or_else(|| Ok(Vec::new()), |row| row.mails())
    }

    /// The same for up to `limit` of a customer's bookings before one of them, newest first.
    pub(in crate::modules) async fn mails_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
        before: Option<Ulid>,
        limit: u32,
    ) -> Result<Vec<(BookingId, Vec<DeliveryId>)>> {
        let rows = self
            .rows_of_customer(tenant, customer, before, limit)
            .await?;
        rows.iter()
            .map(|row| Ok((row.booking()?, row.mails()?)))
            .collect()
    }

    /// The newest booking that a customer has of an event, cancelled ones included. Reads the ids of those that the
    /// customer has there.
    pub(in crate::modules) async fn newest_of(
        &self,
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
    ) -> Result<Option<BookingId>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let customer = script.bind(customer.ulid().to_string());
        let index = script.push(format!(
            "SELECT id FROM booking:[$tenant, {event}, {customer}]..[$tenant, {event}, {customer}, ..] ORDER BY id DESC LIMIT 1"
        ));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.first().map(|row| booking_id(row.id())).transpose()
    }

    /// Up to `limit` of an event's bookings in customer order, after a customer's booking (or all of a customer's) and
    /// up to and with the customer `until`.
    pub(in crate::modules) async fn list_of_event(
        &self,
        tenant: &TenantId,
        event: EventId,
        after: Option<(UserId, Option<Ulid>)>,
        until: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Booking>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let start = match after {
            None => format!("[$tenant, {event}]"),
            Some((customer, serial)) => {
                let customer = script.bind(customer.ulid().to_string());
                match serial {
                    Some(serial) => {
                        let serial = script.bind(serial.to_string());
                        format!("[$tenant, {event}, {customer}, {serial}]>")
                    }
                    None => format!("[$tenant, {event}, {customer}, ..]>"),
                }
            }
        };
        let end = match until {
            Some(customer) => {
                let customer = script.bind(customer.ulid().to_string());
                format!("[$tenant, {event}, {customer}, ..]")
            }
            None => format!("[$tenant, {event}, ..]"),
        };
        let limit = script.bind(i64::from(limit));
        let index = script.push(format!(
            "SELECT * FROM type::record('booking', {start}..{end}) LIMIT {limit}"
        ));
        let rows: Vec<BookingRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(BookingRow::into_type).collect()
    }
}

/// Reads up to `limit` rows of a customer's own list before a serial, newest first, and returns the index of their result.
pub(super) fn read_list_of(
    script: &mut Script,
    table: &str,
    (customer, before): (UserId, Option<Ulid>),
    limit: u32,
) -> usize {
    let customer = script.bind(customer.ulid().to_string());
    let limit = script.bind(i64::from(limit));
    let start = match before {
        Some(serial) => {
            let serial = script.bind(newest_first_key(serial));
            format!("[$tenant, {customer}, {serial}]>")
        }
        None => format!("[$tenant, {customer}]"),
    };
    script.push(format!(
        "SELECT * FROM type::record('{table}', {start}..[$tenant, {customer}, ..]) LIMIT {limit}"
    ))
}

pub(super) fn detail_columns(booking: &Booking) -> DetailsColumns {
    DetailsColumns::of(booking.details.as_deref())
}

/// The condition that a booking still has the details and the transfers that were read.
pub(super) fn detail_guard(script: &mut Script, booking: &Booking) -> String {
    let seen = detail_columns(booking);
    let (reference, details) = (script.bind(seen.reference), script.bind(seen.details));
    let transfers = script.bind(TransferRow::of_all(&booking.transfers));
    format!("reference = {reference} AND details = {details} AND transfers = {transfers}")
}
