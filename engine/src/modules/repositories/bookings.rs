//! Storage steps of bookings. Called by the bookings and notifications modules; calls models.

use std::collections::HashMap;

use jiff::Timestamp;
use ulid::Ulid;

use super::{
    db::{Db, Script, StepError},
    inventory::{InventoryChange, add_change},
    models::{
        BookingRow, CapacityLedgerRow, CustomerBookingRow, IdempotencyRow, InventoryRow,
        millisecond,
    },
    notifications::{NewMails, add_mails},
};
use crate::{
    Result,
    types::{
        Booking, BookingId, EventId, IdempotencyKey, Inventory, PageRequest, TenantId, UserId,
    },
};

/// A request that succeeded before under the same Idempotency-Key.
#[derive(Debug, Clone)]
pub(in crate::modules) struct RecordedRequest {
    pub(in crate::modules) request_hash: String,
    pub(in crate::modules) booking: BookingId,
}

/// What a group of bookings is decided on, read in one transaction.
pub(in crate::modules) struct GroupSnapshot {
    pub(in crate::modules) inventory: Option<Inventory>,
    pub(in crate::modules) recorded: HashMap<(UserId, IdempotencyKey), RecordedRequest>,
    /// Tickets of the event that each customer asked about holds.
    pub(in crate::modules) tickets: HashMap<UserId, u32>,
    /// Which of the plans sent so far was committed, if one was.
    pub(in crate::modules) committed: Option<u32>,
}

/// Bookings that are written together: for n bookings at most 3n + n/32 * 2 + 4 rows.
pub(in crate::modules) struct GroupPlan {
    pub(in crate::modules) change: InventoryChange,
    pub(in crate::modules) bookings: Vec<Booking>,
    /// Which of them answer a request with an Idempotency-Key, and that request's hash.
    pub(in crate::modules) recorded: Vec<(UserId, IdempotencyKey, RecordedRequest)>,
    /// Until when the keys are kept.
    pub(in crate::modules) recorded_until: Timestamp,
    pub(in crate::modules) mails: NewMails,
}

pub(in crate::modules) struct BookingsRepository {
    db: Db,
}

impl BookingsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Reads what a group is decided on. `keys` are at most as many as the group's members, `customers` likewise; `open`
    /// are the revisions that plans of `change` would have made whose outcome is not known.
    pub(in crate::modules) async fn read_group(
        &self,
        tenant: &TenantId,
        event: EventId,
        (change, open): (Ulid, &[i64]),
        keys: &[(UserId, IdempotencyKey)],
        customers: &[UserId],
    ) -> Result<GroupSnapshot, StepError> {
        let mut script = Script::transaction(tenant);
        let record = script.bind(InventoryRow::key(tenant, event));
        let inventory = script.push(format!("SELECT * FROM ONLY {record}"));
        let markers = if open.is_empty() {
            None
        } else {
            let ids = open
                .iter()
                .map(|revision| CapacityLedgerRow::key(tenant, event, *revision));
            let ids = script.bind(ids.collect::<Vec<_>>());
            Some(script.push(format!("SELECT * FROM {ids}")))
        };
        let recorded = if keys.is_empty() {
            None
        } else {
            let ids: Vec<_> = keys
                .iter()
                .map(|(user, key)| IdempotencyRow::key(tenant, *user, key))
                .collect();
            let ids = script.bind(ids);
            Some(script.push(format!("SELECT * FROM {ids}")))
        };
        let event_key = script.bind(event.ulid().to_string());
        let mut held = Vec::with_capacity(customers.len());
        for customer in customers {
            let key = script.bind(customer.ulid().to_string());
            let index = script.push(format!(
                "SELECT * FROM booking:[$tenant, {event_key}, {key}]..[$tenant, {event_key}, {key}, ..] \
                 WHERE cancelled_by = NONE"
            ));
            held.push((*customer, index));
        }
        let mut answers = self.db.run_retrying(&script).await?;
        let other = |error: crate::Error| StepError::Other(error.into());
        let inventory = answers.row::<InventoryRow>(inventory).map_err(other)?;
        let markers = match markers {
            Some(index) => answers.rows::<CapacityLedgerRow>(index).map_err(other)?,
            None => Vec::new(),
        };
        let rows = match recorded {
            Some(index) => answers.rows::<IdempotencyRow>(index).map_err(other)?,
            None => Vec::new(),
        };
        let mut by_key = HashMap::new();
        for (user, key) in keys {
            let id = IdempotencyRow::key(tenant, *user, key);
            if let Some(row) = rows.iter().find(|row| row.id == id) {
                let booking = super::models::booking_id(&row.booking).map_err(other)?;
                let recorded = RecordedRequest {
                    request_hash: row.request_hash.clone(),
                    booking,
                };
                by_key.insert((*user, key.clone()), recorded);
            }
        }
        let mut tickets = HashMap::new();
        for (customer, index) in held {
            let mut sum = 0;
            for row in answers.rows::<BookingRow>(index).map_err(other)? {
                sum += row.into_type().map_err(other)?.tickets();
            }
            tickets.insert(customer, sum);
        }
        Ok(GroupSnapshot {
            inventory: inventory
                .map(InventoryRow::into_type)
                .transpose()
                .map_err(other)?,
            recorded: by_key,
            tickets,
            committed: markers.iter().find_map(|row| row.attempt_of(change)),
        })
    }

    /// Writes a group's bookings, all or none, if the inventory is still what they were decided on.
    pub(in crate::modules) async fn insert_group(
        &self,
        tenant: &TenantId,
        plan: &GroupPlan,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        add_change(&mut script, tenant, &plan.change);
        let rows: Vec<_> = plan
            .bookings
            .iter()
            .map(|booking| BookingRow::of(tenant, booking))
            .collect();
        let rows = script.bind(rows);
        script.push(format!("INSERT INTO booking {rows} RETURN NONE"));
        let rows: Vec<_> = plan
            .bookings
            .iter()
            .map(|booking| CustomerBookingRow::of(tenant, booking.id))
            .collect();
        let rows = script.bind(rows);
        script.push(format!("INSERT INTO customer_booking {rows} RETURN NONE"));
        if !plan.recorded.is_empty() {
            let rows: Vec<_> = plan
                .recorded
                .iter()
                .map(|(user, key, recorded)| IdempotencyRow {
                    id: IdempotencyRow::key(tenant, *user, key),
                    request_hash: recorded.request_hash.clone(),
                    booking: BookingRow::key(tenant, recorded.booking),
                    expires_at: millisecond(plan.recorded_until),
                })
                .collect();
            let rows = script.bind(rows);
            script.push(format!("INSERT INTO idempotency {rows} RETURN NONE"));
        }
        add_mails(&mut script, tenant, &plan.mails);
        self.db.run(&script).await.map(drop)
    }

    /// Writes a booking as cancelled and its tickets as free, if the inventory is still as it was seen: at most 5 rows.
    pub(in crate::modules) async fn cancel(
        &self,
        tenant: &TenantId,
        booking: &Booking,
        change: &InventoryChange,
        mails: &NewMails,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        add_change(&mut script, tenant, change);
        let key = script.bind(BookingRow::key(tenant, booking.id));
        let row = script.bind(BookingRow::of(tenant, booking));
        script.push(format!("UPDATE {key} CONTENT {row} RETURN NONE"));
        add_mails(&mut script, tenant, mails);
        self.db.run(&script).await.map(drop)
    }

    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        booking: BookingId,
    ) -> Result<Option<Booking>> {
        let mut script = Script::of(tenant);
        let key = script.bind(BookingRow::key(tenant, booking));
        let index = script.push(format!("SELECT * FROM ONLY {key}"));
        let row: Option<BookingRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(BookingRow::into_type).transpose()
    }

    /// A customer's bookings made before one of them, newest first; one more than the page holds, if there are more.
    pub(in crate::modules) async fn list_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
        before: Option<Ulid>,
        page: &PageRequest,
    ) -> Result<Vec<Booking>> {
        let mut script = Script::of(tenant);
        let customer = script.bind(customer.ulid().to_string());
        let limit = script.bind(i64::from(page.limit) + 1);
        let end = match before {
            Some(serial) => script.bind(serial.to_string()),
            None => "..".to_owned(),
        };
        let index = script.push(format!(
            "SELECT * FROM customer_booking:[$tenant, {customer}]..[$tenant, {customer}, {end}] ORDER BY id DESC LIMIT {limit}"
        ));
        let rows: Vec<CustomerBookingRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let ids = rows
            .iter()
            .map(CustomerBookingRow::booking)
            .collect::<Result<Vec<_>>>()?;
        let mut script = Script::of(tenant);
        let keys = script.bind(
            ids.iter()
                .map(|id| BookingRow::key(tenant, *id))
                .collect::<Vec<_>>(),
        );
        let index = script.push(format!("SELECT * FROM {keys}"));
        let rows: Vec<BookingRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let mut bookings = rows
            .into_iter()
            .map(BookingRow::into_type)
            .collect::<Result<Vec<_>>>()?;
        bookings.sort_by_key(|booking| std::cmp::Reverse(booking.id.serial()));
        Ok(bookings)
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
            "SELECT * FROM booking:{start}..{end} LIMIT {limit}"
        ));
        let rows: Vec<BookingRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(BookingRow::into_type).collect()
    }
}
