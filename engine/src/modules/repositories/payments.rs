//! Storage steps of payments and refunds. Called by the payments and bookings modules, housekeeping and verification;
//! calls models.
//!
//! Everything that a payment's money depends on is one row with a revision, which each step compares.

use std::collections::HashMap;

use jiff::Timestamp;
use surrealdb::types::RecordId;

use super::{
    claims::{ClaimReturn, add_returns},
    db::{Db, Script, StepError, SystemScope},
    models::{
        BookingRow, ClaimColumn, HoldRow, IdRow, InventoryRow, PaymentDueRow, PaymentKeyRow,
        PaymentListRow, PaymentRow, RefundRow, millisecond, newest_first_key,
    },
    receipts::{DueReceipts, add_due_receipts},
};
use crate::{
    error::Result,
    types::{
        Booking, CancelCause, ChangeKind, ClaimUse, EventId, EventStatus, Hold, HoldId, Payment,
        PaymentId, PaymentKey, PaymentsOf, Refund, RefundId, RefundState, TenantId,
    },
};

/// The guard's word when a payment has changed.
pub(in crate::modules) const STALE_PAYMENT: &str = "payment-moved";
/// The guard's word when the booking of a payment has changed.
pub(in crate::modules) const STALE_PAID_BOOKING: &str = "paid-booking-moved";

/// A payment before and after a step.
#[derive(Debug, Clone)]
pub(in crate::modules) struct PaymentChange {
    /// As it was read; `None` if the step creates it.
    pub(in crate::modules) before: Option<Payment>,
    /// As it is written.
    pub(in crate::modules) after: Payment,
    /// When it happens.
    pub(in crate::modules) at: Timestamp,
}

/// An entry for a payment that has to be looked at.
#[derive(Debug, Clone)]
pub(in crate::modules) struct DuePayment {
    pub(in crate::modules) due_at: Timestamp,
    pub(in crate::modules) tenant: TenantId,
    pub(in crate::modules) key: PaymentKey,
}

/// What a payment is for, as it is now.
pub(in crate::modules) struct OrderState {
    pub(in crate::modules) hold: Option<Hold>,
    /// The booking that the hold, or an earlier payment, became.
    pub(in crate::modules) booking: Option<Booking>,
    /// `None` if the event was deleted.
    pub(in crate::modules) event: Option<EventStatus>,
}

/// A payment with what its row says about other rows.
pub(in crate::modules) struct PaymentBooks {
    pub(in crate::modules) payment: Payment,
    pub(in crate::modules) booking: Option<Booking>,
    /// How many of its refunds are listed, and how many of those that are due.
    pub(in crate::modules) listed: (usize, usize),
    /// Whether its time has an entry; false if it has none.
    pub(in crate::modules) has_due_entry: bool,
}

/// Adds a change of a payment: its row, 3 entries of lists when it is made or matched, 2 for its time, 2 for each new
/// refund and 1 for each that is settled.
pub(in crate::modules::repositories) fn add_payment(
    script: &mut Script,
    tenant: &TenantId,
    change: &PaymentChange,
) {
    let (before, after) = (change.before.as_ref(), &change.after);
    script.happens(change.at);
    match before {
        Some(before) => {
            let row = PaymentRow::of(tenant, after, before.revision + 1);
            let row = script.telling(ChangeKind::PaymentUpdated, row);
            let key = PaymentRow::key(tenant, &after.key);
            script.replace_if(key, before.revision, row, STALE_PAYMENT);
        }
        None => {
            let row = PaymentRow::of(tenant, after, 1);
            let row = script.telling(ChangeKind::PaymentCreated, row);
            script.insert("payment", [row]);
        }
    }
    let due = |payment: &Payment| {
        let due_at = payment.counters.due_at?;
        Some((due_at, PaymentDueRow::of(tenant, &payment.key, due_at)))
    };
    let (old, new) = (before.and_then(due), due(after));
    let moves = old.as_ref().map(|(at, _)| *at) != new.as_ref().map(|(at, _)| *at);
    let mut gone: Vec<_> = old
        .into_iter()
        .filter(|_| moves)
        .map(|(_, row)| row.id)
        .collect();
    let refunds = RefundRows::of(tenant, before, after);
    gone.extend(refunds.gone);
    script.remove(gone);
    let mut lists = Vec::new();
    if before.is_none() {
        lists.push(PaymentListRow::of(tenant, PaymentsOf::Tenant, after));
    }
    if let (None, Some(order)) = (before.and_then(|one| one.order.as_ref()), &after.order) {
        let hold = order.hold;
        for list in [
            PaymentsOf::Event(hold.event()),
            PaymentsOf::Customer(hold.customer()),
        ] {
            lists.push(PaymentListRow::of(tenant, list, after));
        }
    }
    script.insert("payment_list", lists);
    script.insert(
        "payment_due",
        new.into_iter().filter(|_| moves).map(|(_, row)| row),
    );
    script.insert("refund", refunds.listed);
    script.insert("refund_due", refunds.due);
}

/// What a change of a payment writes about its refunds.
#[derive(Default)]
struct RefundRows {
    listed: Vec<RefundRow>,
    due: Vec<RefundRow>,
    /// Entries of refunds that are due no more.
    gone: Vec<RecordId>,
}

impl RefundRows {
    fn of(tenant: &TenantId, before: Option<&Payment>, after: &Payment) -> Self {
        let mut rows = Self::default();
        for refund in &after.refunds {
            let mut known = before.into_iter().flat_map(|before| &before.refunds);
            let known = known.find(|known| known.id == refund.id);
            let is_due = refund.state() == RefundState::Due;
            let row = |table| RefundRow::of(table, tenant, (refund.id, &after.key));
            match known.map(Refund::state) {
                None => {
                    rows.listed.push(row("refund"));
                    rows.due.extend(is_due.then(|| row("refund_due")));
                }
                Some(RefundState::Due) if !is_due => {
                    let id = RefundRow::key("refund_due", tenant, refund.id);
                    rows.gone.push(id);
                }
                Some(_) => {}
            }
        }
        rows
    }
}

pub(in crate::modules) struct PaymentsRepository {
    db: Db,
}

impl PaymentsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        key: &PaymentKey,
    ) -> Result<Option<Payment>> {
        let mut script = Script::of(tenant);
        let index = script.read(PaymentRow::key(tenant, key));
        let row: Option<PaymentRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(PaymentRow::into_type).transpose()
    }

    /// The payments with these names that exist, by name.
    pub(in crate::modules) async fn find_many(
        &self,
        tenant: &TenantId,
        keys: &[PaymentKey],
    ) -> Result<HashMap<PaymentKey, Payment>> {
        let mut script = Script::of(tenant);
        let ids = keys.iter().map(|key| PaymentRow::key(tenant, key));
        let index = script.read_all(ids.collect::<Vec<_>>());
        let rows: Vec<PaymentRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let payments = rows.into_iter().map(|row| {
            let payment = row.into_type()?;
            Ok((payment.key.clone(), payment))
        });
        payments.collect()
    }

    /// Writes a payment, if it is as it was read: see [`add_payment`].
    pub(in crate::modules) async fn update(
        &self,
        tenant: &TenantId,
        change: &PaymentChange,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        add_payment(&mut script, tenant, change);
        self.db.run(script).await.map(drop)
    }

    /// Writes a payment and that it is kept for a booking which has none, if both are as they were read: 1 row more.
    pub(in crate::modules) async fn attach(
        &self,
        tenant: &TenantId,
        change: &PaymentChange,
        booking: &Booking,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        add_payment(&mut script, tenant, change);
        let key = script.bind(BookingRow::key(tenant, booking.id));
        let payment = script.bind(PaymentKeyRow::of(&change.after.key));
        let cancelled = booking
            .cancelled
            .map(|(cause, _)| cause.as_str().to_owned());
        let (cancelled, total) = (script.bind(cancelled), script.bind(booking.total_minor));
        script.require(
            format!(
                "UPDATE {key} SET payment = {payment} WHERE payment = NONE AND cancelled_by = {cancelled} \
                 AND total_minor = {total} RETURN VALUE id"
            ),
            STALE_PAID_BOOKING,
        );
        script.tell(
            ChangeKind::BookingUpdated,
            BookingRow::key(tenant, booking.id),
        );
        self.db.run(script).await.map(drop)
    }

    /// What a payment is for, as it is now, in one consistent read.
    pub(in crate::modules) async fn order_state(
        &self,
        tenant: &TenantId,
        hold: HoldId,
    ) -> Result<OrderState> {
        let mut script = Script::snapshot(tenant);
        let inventory = script.read(InventoryRow::key(tenant, hold.event()));
        let booking = script.read(BookingRow::key(tenant, hold.booking()));
        let hold = script.read(HoldRow::key(tenant, hold));
        let mut answers = self.db.run(script).await?;
        let inventory = answers.row::<InventoryRow>(inventory)?;
        let inventory = inventory.map(InventoryRow::into_type).transpose()?;
        let booking = answers.row::<BookingRow>(booking)?;
        let hold = answers.row::<HoldRow>(hold)?;
        Ok(OrderState {
            hold: hold.map(HoldRow::into_type).transpose()?,
            booking: booking.map(BookingRow::into_type).transpose()?,
            event: inventory.map(|inventory| inventory.status),
        })
    }

    /// Up to `limit` payments of a list that were made before one of them, newest first.
    pub(in crate::modules) async fn list(
        &self,
        tenant: &TenantId,
        list: PaymentsOf,
        before: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>> {
        let mut script = Script::of(tenant);
        let list = script.bind(PaymentListRow::list(list));
        let limit = script.bind(i64::from(limit));
        let start = match before {
            Some(before) => {
                let before = script.bind(newest_first_key(before.ulid()));
                format!("[$tenant, {list}, {before}]>")
            }
            None => format!("[$tenant, {list}]"),
        };
        let index = script.push(format!(
            "SELECT * FROM type::record('payment_list', {start}..[$tenant, {list}, ..]) LIMIT {limit}"
        ));
        let rows: Vec<PaymentListRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let keys: Vec<_> = rows.into_iter().map(PaymentListRow::into_key).collect();
        let found = self.find_many(tenant, &keys).await?;
        let mut payments: Vec<Payment> = found.into_values().collect();
        payments.sort_by_key(|payment| std::cmp::Reverse(payment.id));
        Ok(payments)
    }

    /// The payment that a refund is of.
    pub(in crate::modules) async fn payment_of(
        &self,
        tenant: &TenantId,
        refund: RefundId,
    ) -> Result<Option<PaymentKey>> {
        let mut script = Script::of(tenant);
        let index = script.read(RefundRow::key("refund", tenant, refund));
        let row: Option<RefundRow> = self.db.run_retrying(&script).await?.row(index)?;
        Ok(row
            .map(RefundRow::into_parts)
            .transpose()?
            .map(|(_, key)| key))
    }

    /// Up to `limit` refunds after one of them, the oldest first: all, or those that are due.
    pub(in crate::modules) async fn refunds(
        &self,
        tenant: &TenantId,
        only_due: bool,
        after: Option<RefundId>,
        limit: u32,
    ) -> Result<Vec<(RefundId, PaymentKey)>> {
        let table = match only_due {
            true => "refund_due",
            false => "refund",
        };
        let mut script = Script::of(tenant);
        let limit = script.bind(i64::from(limit));
        let start = match after {
            Some(after) => {
                let after = script.bind(after.ulid().to_string());
                format!("[$tenant, {after}]>")
            }
            None => "[$tenant]".to_owned(),
        };
        let index = script.push(format!(
            "SELECT * FROM type::record('{table}', {start}..[$tenant, ..]) LIMIT {limit}"
        ));
        let rows: Vec<RefundRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(RefundRow::into_parts).collect()
    }

    /// Up to `max` payments of all tenants that have to be looked at, with their times.
    pub(in crate::modules) async fn due(
        &self,
        scope: SystemScope,
        times: (Timestamp, Timestamp),
        max: u32,
    ) -> Result<(Timestamp, Vec<DuePayment>)> {
        let script = Script::across_tenants(scope);
        let due = self
            .db
            .due_rows::<PaymentDueRow>(script, "payment_due", times, max);
        let (at, due) = due.await?;
        let due = due.into_iter().map(|row| {
            let (due_at, tenant, key) = row.into_parts()?;
            Ok(DuePayment {
                due_at,
                tenant,
                key,
            })
        });
        Ok((at, due.collect::<Result<_>>()?))
    }

    /// Up to `max` bookings of a cancelled event that are not written as cancelled yet, and were paid or have claims or receipts.
    pub(in crate::modules) async fn owing_of_cancelled(
        &self,
        tenant: &TenantId,
        event: EventId,
        max: u32,
    ) -> Result<Vec<Booking>> {
        let mut script = Script::of(tenant);
        let event = script.bind(event.ulid().to_string());
        let max = script.bind(i64::from(max));
        let index = script.push(format!(
            "SELECT * FROM type::record('booking', [$tenant, {event}]..[$tenant, {event}, ..]) \
             WHERE cancelled_by = NONE AND (payment != NONE OR claims != NONE OR receipt != NONE) LIMIT {max}"
        ));
        let rows: Vec<BookingRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(BookingRow::into_type).collect()
    }

    /// Writes such bookings as cancelled, with their refunds, their credit notes and what they give back: 1 row for each, those of its
    /// payment, 2 for each claim, and 1 for all credit notes.
    /// Nothing is written if one of them has changed.
    pub(in crate::modules) async fn cancel_with_event(
        &self,
        tenant: &TenantId,
        bookings: &[(Booking, Option<PaymentChange>)],
        receipts: Option<&DueReceipts>,
        now: Timestamp,
    ) -> Result<(), StepError> {
        let mut script = Script::transaction(tenant);
        script.happens(now);
        add_due_receipts(&mut script, tenant, receipts);
        let cause = script.bind(CancelCause::Event.as_str().to_owned());
        let at = script.bind(millisecond(now));
        for (booking, change) in bookings {
            let returns = ClaimReturn::all(booking.id, &booking.claims);
            add_returns(&mut script, tenant, returns, now);
            let given_back = booking.claims.iter().map(ClaimUse::given_back);
            let claims = script.bind(ClaimColumn::of(&given_back.collect::<Vec<_>>()));
            if let Some(change) = change {
                add_payment(&mut script, tenant, change);
            }
            let key = script.bind(BookingRow::key(tenant, booking.id));
            let total = script.bind(booking.total_minor);
            script.require(
                format!(
                    "UPDATE {key} SET cancelled_by = {cause}, cancelled_at = {at}, claims = {claims} \
                     WHERE cancelled_by = NONE AND total_minor = {total} RETURN VALUE id"
                ),
                STALE_PAID_BOOKING,
            );
            let id = BookingRow::key(tenant, booking.id);
            script.tell(ChangeKind::BookingCancelled, id);
        }
        self.db.run(script).await.map(drop)
    }

    /// Up to `max` payments of all tenants after one of them, by name.
    pub(in crate::modules) async fn all(
        &self,
        scope: SystemScope,
        after: Option<(TenantId, PaymentKey)>,
        max: u32,
    ) -> Result<Vec<(TenantId, PaymentKey)>> {
        let mut script = Script::across_tenants(scope);
        let after = after.map_or_else(Default::default, |(tenant, key)| {
            let reference = key.reference.as_str().to_owned();
            let provider = key.provider.as_str().to_owned();
            [tenant.as_str().to_owned(), provider, reference]
        });
        let [tenant, provider, reference] = after.map(|part| script.bind(part));
        let max = script.bind(i64::from(max));
        let index = script.push(format!(
            "SELECT id FROM type::record('payment', [{tenant}, {provider}, {reference}]>..) LIMIT {max}"
        ));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.iter().map(|row| PaymentRow::path(row.id())).collect()
    }

    /// A payment with what its row says about other rows, in one consistent read; `None` if there is none. `seen` says which
    /// rows those are; `None` as well if the payment has changed since.
    pub(in crate::modules) async fn books(
        &self,
        tenant: &TenantId,
        seen: &Payment,
    ) -> Result<Option<PaymentBooks>> {
        let mut script = Script::snapshot(tenant);
        let row = script.read(PaymentRow::key(tenant, &seen.key));
        let booking = seen.booking;
        let booking = booking.map(|booking| script.read(BookingRow::key(tenant, booking)));
        let mut refunds = |table: &str| {
            let ids = seen.refunds.iter();
            let ids = ids.map(|refund| RefundRow::key(table, tenant, refund.id));
            script.read_all(ids.collect::<Vec<_>>())
        };
        let listed = [refunds("refund"), refunds("refund_due")];
        let due = seen.counters.due_at;
        let due = due.map(|at| script.read(PaymentDueRow::of(tenant, &seen.key, at).id));
        let mut answers = self.db.run(script).await?;
        let payment = answers.row::<PaymentRow>(row)?;
        let payment = payment.map(PaymentRow::into_type).transpose()?;
        let Some(payment) = payment.filter(|payment| payment.revision == seen.revision) else {
            return Ok(None);
        };
        let booking = match booking {
            Some(index) => answers.row::<BookingRow>(index)?,
            None => None,
        };
        let due = match due {
            Some(index) => answers.row::<PaymentDueRow>(index)?,
            None => None,
        };
        let mut count = |index| answers.rows::<RefundRow>(index).map(|rows| rows.len());
        Ok(Some(PaymentBooks {
            payment,
            booking: booking.map(BookingRow::into_type).transpose()?,
            listed: (count(listed[0])?, count(listed[1])?),
            has_due_entry: due.is_some(),
        }))
    }
}
