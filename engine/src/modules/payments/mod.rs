//! The rules of payments and refunds: what a platform opens, what providers tell, and what becomes of money without a
//! booking. `ledger` divides the money of one payment; every step here writes one payment under its revision.
//!
//! Called by app_modules. Calls the payments repository. The booking of a captured payment is written by the group commit
//! of bookings, in the same transaction.

mod late;
pub(in crate::modules) mod ledger;

use std::sync::Arc;

use jiff::Timestamp;

pub(crate) use late::LateStep;

use super::{
    ModuleContext,
    repositories::{PaymentChange, PaymentsRepository, STALE_PAYMENT, StepError},
    support::{Attempts, due_scan::DueScanCursor},
};
use crate::{
    error::{Error, ErrorCode, Fact, Result},
    types::{
        Hold, LastChange, ListedRefund, OpenPayment, Page, PageRequest, Payment, PaymentCounters,
        PaymentId, PaymentKey, PaymentMoney, PaymentNotice, PaymentOrder, PaymentStatus,
        PaymentsOf, RefundId, RefundState, TellPayment, TenantId, UserId, other_currency,
    },
};

/// Attempts of one step. Only notices of the same payment, and its booking, come in between.
const ATTEMPTS_MAX: u32 = 24;

pub(crate) struct PaymentsModule {
    repository: Arc<PaymentsRepository>,
    cursor: DueScanCursor,
    context: ModuleContext,
}

impl PaymentsModule {
    pub(super) fn new(repository: Arc<PaymentsRepository>, context: ModuleContext) -> Self {
        Self {
            repository,
            cursor: DueScanCursor::default(),
            context,
        }
    }

    pub(crate) async fn find(
        &self,
        tenant: &TenantId,
        key: &PaymentKey,
    ) -> Result<Option<Payment>> {
        self.repository.find(tenant, key).await
    }

    /// The name of a refund that may become due by the next step.
    pub(crate) fn next_refund(&self) -> RefundId {
        RefundId::from_ulid(self.context.next_id())
    }

    /// Opens a payment for a hold, or returns the one that was opened for it under this name. Money that came before is
    /// matched, whatever became of the hold.
    pub(crate) async fn open(
        &self,
        tenant: &TenantId,
        command: &OpenPayment,
        hold: &Hold,
    ) -> Result<Payment> {
        as_held(command, hold)?;
        let order = || PaymentOrder {
            hold: hold.id,
            lines: hold.lines.clone(),
            total_minor: hold.total_minor,
            messages: hold.messages.clone(),
            sale: hold.sale.clone(),
            details: hold.details.clone(),
        };
        let (id, refund) = (self.context.next_id(), self.next_refund());
        let mut attempts = Attempts::new("open_payment", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let now = self.context.now();
            let before = self.repository.find(tenant, &command.key).await?;
            let after = match &before {
                None => {
                    hold.require_open()?;
                    let id = PaymentId::from_ulid(id);
                    new_payment(&command.key, (id, &hold.currency), Some(order()), now)
                }
                Some(known) if known.status == PaymentStatus::Unmatched => {
                    let mut matched = known.clone();
                    if matched.currency != hold.currency {
                        return Err(other_currency(&matched.currency));
                    }
                    matched.match_with(order(), refund, now);
                    matched
                }
                Some(known) => match &known.order {
                    Some(order) if order.hold == hold.id => return Ok(known.clone()),
                    _ => {
                        let detail = format!(
                            "The payment {} is for something else; a payment is for one hold.",
                            command.key
                        );
                        return Err(Error::new(ErrorCode::PaymentExists, detail));
                    }
                },
            };
            if let Some(written) = self.write(tenant, before, after).await? {
                return Ok(written);
            }
        }
        Err(StepError::Conflict.into())
    }

    /// Records what a provider said, once. Nothing is booked here: money that suffices waits for the worker.
    pub(crate) async fn record(
        &self,
        tenant: &TenantId,
        command: &TellPayment,
        (notice, tenant_currency): (&PaymentNotice, &str),
    ) -> Result<Payment> {
        let (id, refund) = (self.context.next_id(), self.next_refund());
        let mut attempts = Attempts::new("record_notice", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let before = self.repository.find(tenant, &command.payment).await?;
            let mut after = match &before {
                Some(known) if known.knows(notice)? => return Ok(known.clone()),
                Some(known) => known.clone(),
                None => {
                    let id = PaymentId::from_ulid(id);
                    let at = notice.received_at;
                    new_payment(&command.payment, (id, tenant_currency), None, at)
                }
            };
            in_currency(command, &after)?;
            after.take(notice.clone(), refund)?;
            if let Some(written) = self.write(tenant, before, after).await? {
                return Ok(written);
            }
        }
        Err(StepError::Conflict.into())
    }

    /// Writes a payment if it is as it was read. Returns `None` if it has to be read again: it has changed, or the answer was
    /// lost.
    async fn write(
        &self,
        tenant: &TenantId,
        before: Option<Payment>,
        after: Payment,
    ) -> Result<Option<Payment>> {
        let change = PaymentChange {
            before,
            after,
            at: self.context.now(),
        };
        match self.repository.update(tenant, &change).await {
            Ok(()) => Ok(Some(change.after)),
            Err(StepError::Conflict | StepError::Lost(_) | StepError::Exists(_)) => Ok(None),
            Err(error) if error.is_guard(STALE_PAYMENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A page of a list of payments, newest first; only those in a state, if one is named. A page may then have fewer items than
    /// its limit.
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        list: PaymentsOf,
        status: Option<PaymentStatus>,
        page: &PageRequest,
    ) -> Result<Page<Payment>> {
        let before = page.position::<PaymentId>()?;
        let limit = page.limit + 1;
        let rows = self.repository.list(tenant, list, before, limit).await?;
        let mut page = page.cut(rows, |payment| payment.id.to_string());
        let is_wanted = |payment: &Payment| status.is_none_or(|status| payment.status == status);
        page.items.retain(is_wanted);
        Ok(page)
    }

    /// The payments of a customer's accounts, newest first.
    pub(crate) async fn list_of_customer(
        &self,
        tenant: &TenantId,
        accounts: &[UserId],
        page: &PageRequest,
    ) -> Result<Page<Payment>> {
        let (before, limit) = (page.position::<PaymentId>()?, page.limit + 1);
        let mut rows = Vec::new();
        for account in accounts {
            let list = PaymentsOf::Customer(*account);
            let own = self.repository.list(tenant, list, before, limit);
            rows.extend(own.await?);
        }
        rows.sort_by_key(|payment| std::cmp::Reverse(payment.id));
        Ok(page.cut(rows, |payment| payment.id.to_string()))
    }

    /// A page of the tenant's refunds, the oldest first. Of those that are settled a page may have fewer items than its limit.
    pub(crate) async fn refunds(
        &self,
        tenant: &TenantId,
        state: Option<RefundState>,
        page: &PageRequest,
    ) -> Result<Page<ListedRefund>> {
        let after = page.position::<RefundId>()?;
        let only_due = state == Some(RefundState::Due);
        let limit = page.limit + 1;
        let rows = self.repository.refunds(tenant, only_due, after, limit);
        let page = page.cut(rows.await?, |(refund, _)| refund.to_string());
        let keys: Vec<PaymentKey> = page.items.iter().map(|(_, key)| key.clone()).collect();
        let payments = self.repository.find_many(tenant, &keys).await?;
        let listed = page.items.iter().filter_map(|(id, key)| {
            let refund = listed_refund(payments.get(key)?, *id)?;
            let is_wanted = state.is_none_or(|state| refund.refund.state() == state);
            is_wanted.then_some(refund)
        });
        Ok(Page {
            items: listed.collect(),
            next: page.next,
        })
    }

    /// Records that a refund was paid back. One that was is returned unchanged.
    pub(crate) async fn settle_refund(
        &self,
        tenant: &TenantId,
        refund: RefundId,
    ) -> Result<ListedRefund> {
        let none = || Error::not_found("refund", refund);
        let key = self.repository.payment_of(tenant, refund).await?;
        let key = key.ok_or_else(none)?;
        let mut attempts = Attempts::new("settle_refund", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let before = self.repository.find(tenant, &key).await?;
            let mut after = before.clone().ok_or_else(none)?;
            let written = match after.settle(refund, self.context.now()) {
                true => self.write(tenant, before, after).await?,
                false => Some(after),
            };
            if let Some(payment) = written {
                return listed_refund(&payment, refund).ok_or_else(none);
            }
        }
        Err(StepError::Conflict.into())
    }
}

/// A payment that nothing was told about yet.
fn new_payment(
    key: &PaymentKey,
    (id, currency): (PaymentId, &str),
    order: Option<PaymentOrder>,
    created_at: Timestamp,
) -> Payment {
    Payment {
        id,
        key: key.clone(),
        status: match order {
            Some(_) => PaymentStatus::Open,
            None => PaymentStatus::Unmatched,
        },
        currency: currency.to_owned(),
        order,
        money: PaymentMoney::default(),
        booking: None,
        refusal: None,
        notices: Vec::new(),
        refunds: Vec::new(),
        created_at,
        revision: 0,
        counters: PaymentCounters::default(),
        last_change: LastChange::default(),
    }
}

/// Refuses a payment of another amount or currency than the hold's.
fn as_held(command: &OpenPayment, hold: &Hold) -> Result<()> {
    if command.currency != hold.currency {
        return Err(other_currency(&hold.currency));
    }
    if hold.total_minor == 0 {
        let rule = "This hold costs nothing: confirm it without a payment.";
        return Err(Error::field("amountMinor", rule));
    }
    if command.amount_minor != hold.total_minor {
        let detail = format!(
            "The hold costs {} in minor units of {}.",
            hold.total_minor, hold.currency
        );
        let error = Error::new(ErrorCode::PriceChanged, detail);
        return Err(error.with(Fact::TotalMinor(hold.total_minor)));
    }
    Ok(())
}

/// Refuses an amount in another currency than the payment's.
pub(crate) fn in_currency(command: &TellPayment, payment: &Payment) -> Result<()> {
    match &command.currency {
        Some(currency) if *currency != payment.currency => Err(other_currency(&payment.currency)),
        _ => Ok(()),
    }
}

/// A refund of a payment, with the payment.
fn listed_refund(payment: &Payment, id: RefundId) -> Option<ListedRefund> {
    let refund = payment.refunds.iter().find(|refund| refund.id == id)?;
    Some(ListedRefund {
        refund: refund.clone(),
        payment: payment.key.clone(),
        booking: payment.booking,
        currency: payment.currency.clone(),
    })
}
