//! The rows of payments and refunds.

use jiff::Timestamp;
use surrealdb::types::{RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::{
    booking_details::DetailsColumns,
    bookings::{BookingLineRow, SaleRow},
    keys::{
        at_millisecond, key_newest_first, key_number, key_text, key_ulid, last_change, millisecond,
        newest_first_key, record, stored_ulid, ulid_key,
    },
    payment_keys::PaymentKeyRow,
};
use crate::{
    error::Result,
    types::{
        BookingId, HoldId, NoticeId, Payment, PaymentCounters, PaymentId, PaymentKey, PaymentMoney,
        PaymentNotice, PaymentOrder, PaymentProvider, PaymentReference, PaymentsOf, Refund,
        RefundId, TenantId,
    },
};

#[derive(Debug, Clone, SurrealValue)]
struct OrderRow {
    hold: String,
    lines: Vec<BookingLineRow>,
    total_minor: u64,
    messages: Option<Vec<String>>,
    sale: Option<SaleRow>,
    reference: Option<String>,
    /// As JSON, without the reference; `None` without any.
    details: Option<String>,
}

#[derive(Debug, Clone, SurrealValue)]
struct NoticeRow {
    id: String,
    kind: String,
    amount_minor: u64,
    at: i64,
    received_at: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct RefundPart {
    id: String,
    amount_minor: u64,
    settled_minor: u64,
    reason: String,
    created_at: i64,
    settled_at: Option<i64>,
}

/// A payment with its notices and refunds: everything that its money depends on, but its booking.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct PaymentRow {
    pub(in crate::modules::repositories) id: RecordId,
    revision: i64,
    payment: String,
    status: String,
    currency: String,
    order: Option<OrderRow>,
    captured_minor: u64,
    kept_minor: u64,
    refund_due_minor: u64,
    refunded_minor: u64,
    pending_minor: u64,
    unmatched_minor: u64,
    keep_minor: u64,
    by_hand_minor: u64,
    unasked_minor: u64,
    ahead_minor: u64,
    pending_since: Option<i64>,
    due_at: Option<i64>,
    tries: u32,
    booking: Option<String>,
    refusal: Option<String>,
    notices: Vec<NoticeRow>,
    refunds: Vec<RefundPart>,
    created_at: i64,
    change_number: Option<i64>,
    change_step: Option<String>,
}

impl PaymentRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, key: &PaymentKey) -> RecordId {
        record(
            "payment",
            [
                Value::String(tenant.as_str().to_owned()),
                Value::String(key.provider.as_str().to_owned()),
                Value::String(key.reference.as_str().to_owned()),
            ],
        )
    }

    /// The row of a payment at a revision.
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        payment: &Payment,
        revision: i64,
    ) -> Self {
        let (money, counters) = (payment.money, &payment.counters);
        Self {
            id: Self::key(tenant, &payment.key),
            revision,
            payment: payment.id.ulid().to_string(),
            status: payment.status.as_str().to_owned(),
            currency: payment.currency.clone(),
            order: payment.order.as_ref().map(OrderRow::of),
            captured_minor: money.captured_minor,
            kept_minor: money.kept_minor,
            refund_due_minor: money.refund_due_minor,
            refunded_minor: money.refunded_minor,
            pending_minor: money.pending_minor,
            unmatched_minor: money.unmatched_minor,
            keep_minor: counters.keep_minor,
            by_hand_minor: counters.by_hand_minor,
            unasked_minor: counters.unasked_minor,
            ahead_minor: counters.ahead_minor,
            pending_since: counters.pending_since.map(millisecond),
            due_at: counters.due_at.map(millisecond),
            tries: counters.tries,
            booking: payment.booking.map(|booking| booking.to_string()),
            refusal: payment.refusal.clone(),
            notices: payment.notices.iter().map(NoticeRow::of).collect(),
            refunds: payment.refunds.iter().map(RefundPart::of).collect(),
            created_at: millisecond(payment.created_at),
            change_number: Some(payment.last_change.version),
            change_step: payment.last_change.step.map(|step| step.to_string()),
        }
    }

    /// The tenant and the name of a payment's row.
    pub(in crate::modules::repositories) fn path(id: &RecordId) -> Result<(TenantId, PaymentKey)> {
        let key = PaymentKey {
            provider: PaymentProvider::stored(key_text(id, 1)?),
            reference: PaymentReference::stored(key_text(id, 2)?),
        };
        Ok((TenantId::trusted(key_text(id, 0)?), key))
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<Payment> {
        let (_, key) = Self::path(&self.id)?;
        let booking: Option<BookingId> = self.booking.map(|id| id.parse()).transpose()?;
        let notices = self.notices.into_iter().map(NoticeRow::into_type);
        let refunds = self.refunds.into_iter().map(RefundPart::into_type);
        Ok(Payment {
            id: PaymentId::from_ulid(stored_ulid(&self.payment)?),
            key,
            status: self.status.parse()?,
            currency: self.currency,
            order: self.order.map(OrderRow::into_type).transpose()?,
            money: PaymentMoney {
                captured_minor: self.captured_minor,
                kept_minor: self.kept_minor,
                refund_due_minor: self.refund_due_minor,
                refunded_minor: self.refunded_minor,
                pending_minor: self.pending_minor,
                unmatched_minor: self.unmatched_minor,
            },
            booking,
            refusal: self.refusal,
            notices: notices.collect::<Result<_>>()?,
            refunds: refunds.collect::<Result<_>>()?,
            created_at: at_millisecond(self.created_at)?,
            revision: self.revision,
            counters: PaymentCounters {
                keep_minor: self.keep_minor,
                by_hand_minor: self.by_hand_minor,
                unasked_minor: self.unasked_minor,
                ahead_minor: self.ahead_minor,
                pending_since: self.pending_since.map(at_millisecond).transpose()?,
                due_at: self.due_at.map(at_millisecond).transpose()?,
                tries: self.tries,
            },
            last_change: last_change(self.change_number, self.change_step)?,
        })
    }
}

impl OrderRow {
    fn of(order: &PaymentOrder) -> Self {
        let columns = DetailsColumns::of(order.details.as_deref());
        Self {
            hold: order.hold.to_string(),
            lines: order.lines.iter().map(BookingLineRow::of).collect(),
            total_minor: order.total_minor,
            messages: (!order.messages.is_empty()).then(|| order.messages.clone()),
            sale: order.sale.as_deref().map(SaleRow::of),
            reference: columns.reference,
            details: columns.details,
        }
    }

    fn into_type(self) -> Result<PaymentOrder> {
        let hold: HoldId = self.hold.parse()?;
        let lines = self.lines.into_iter().map(BookingLineRow::into_type);
        let details = DetailsColumns {
            reference: self.reference,
            details: self.details,
        };
        Ok(PaymentOrder {
            hold,
            lines: lines.collect(),
            total_minor: self.total_minor,
            messages: self.messages.unwrap_or_default(),
            sale: self.sale.map(SaleRow::into_type).transpose()?,
            details: details.into_type()?,
        })
    }
}

impl NoticeRow {
    fn of(notice: &PaymentNotice) -> Self {
        Self {
            id: notice.id.as_str().to_owned(),
            kind: notice.kind.as_str().to_owned(),
            amount_minor: notice.amount_minor,
            at: millisecond(notice.at),
            received_at: millisecond(notice.received_at),
        }
    }

    fn into_type(self) -> Result<PaymentNotice> {
        Ok(PaymentNotice {
            id: NoticeId::stored(self.id),
            kind: self.kind.parse()?,
            amount_minor: self.amount_minor,
            at: at_millisecond(self.at)?,
            received_at: at_millisecond(self.received_at)?,
        })
    }
}

impl RefundPart {
    fn of(refund: &Refund) -> Self {
        Self {
            id: refund.id.ulid().to_string(),
            amount_minor: refund.amount_minor,
            settled_minor: refund.settled_minor,
            reason: refund.reason.as_str().to_owned(),
            created_at: millisecond(refund.created_at),
            settled_at: refund.settled_at.map(millisecond),
        }
    }

    fn into_type(self) -> Result<Refund> {
        Ok(Refund {
            id: RefundId::from_ulid(stored_ulid(&self.id)?),
            amount_minor: self.amount_minor,
            settled_minor: self.settled_minor,
            reason: self.reason.parse()?,
            created_at: at_millisecond(self.created_at)?,
            settled_at: self.settled_at.map(at_millisecond).transpose()?,
        })
    }
}

/// One row of a list of payments, newest first: of the tenant's, an event's, or a customer's.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct PaymentListRow {
    id: RecordId,
    payment: PaymentKeyRow,
}

impl PaymentListRow {
    /// What names a list in keys. Ids of events and customers are unique together.
    pub(in crate::modules::repositories) fn list(list: PaymentsOf) -> String {
        match list {
            PaymentsOf::Tenant => String::new(),
            PaymentsOf::Event(event) => event.ulid().to_string(),
            PaymentsOf::Customer(customer) => customer.ulid().to_string(),
        }
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        list: PaymentsOf,
        payment: &Payment,
    ) -> Self {
        let key = [
            Value::String(tenant.as_str().to_owned()),
            Value::String(Self::list(list)),
            newest_first_key(payment.id.ulid()),
        ];
        Self {
            id: record("payment_list", key),
            payment: PaymentKeyRow::of(&payment.key),
        }
    }

    /// The payment's place in the list.
    pub(in crate::modules::repositories) fn serial(&self) -> Result<Ulid> {
        key_newest_first(&self.id, 2)
    }

    pub(in crate::modules::repositories) fn into_key(self) -> PaymentKey {
        self.payment.into_type()
    }
}

/// An entry for a payment that is looked at at a time. It consists of its key.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct PaymentDueRow {
    pub(in crate::modules::repositories) id: RecordId,
}

impl PaymentDueRow {
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        key: &PaymentKey,
        due_at: Timestamp,
    ) -> Self {
        let key = [
            Value::from_t(millisecond(due_at)),
            Value::String(tenant.as_str().to_owned()),
            Value::String(key.provider.as_str().to_owned()),
            Value::String(key.reference.as_str().to_owned()),
        ];
        Self {
            id: record("payment_due", key),
        }
    }

    pub(in crate::modules::repositories) fn into_parts(
        self,
    ) -> Result<(Timestamp, TenantId, PaymentKey)> {
        let key = PaymentKey {
            provider: PaymentProvider::stored(key_text(&self.id, 2)?),
            reference: PaymentReference::stored(key_text(&self.id, 3)?),
        };
        let due_at = at_millisecond(key_number(&self.id, 0)?)?;
        Ok((due_at, TenantId::trusted(key_text(&self.id, 1)?), key))
    }
}

/// Where a refund is: in the row of this payment. `refund` has all, `refund_due` those that are due.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct RefundRow {
    pub(in crate::modules::repositories) id: RecordId,
    payment: PaymentKeyRow,
}

impl RefundRow {
    pub(in crate::modules::repositories) fn key(
        table: &str,
        tenant: &TenantId,
        refund: RefundId,
    ) -> RecordId {
        let key = [
            Value::String(tenant.as_str().to_owned()),
            ulid_key(refund.ulid()),
        ];
        record(table, key)
    }

    pub(in crate::modules::repositories) fn of(
        table: &str,
        tenant: &TenantId,
        (refund, payment): (RefundId, &PaymentKey),
    ) -> Self {
        Self {
            id: Self::key(table, tenant, refund),
            payment: PaymentKeyRow::of(payment),
        }
    }

    pub(in crate::modules::repositories) fn into_parts(self) -> Result<(RefundId, PaymentKey)> {
        let refund = RefundId::from_ulid(key_ulid(&self.id, 1)?);
        Ok((refund, self.payment.into_type()))
    }
}
