//! Use cases of payments and refunds, with their permissions. A platform talks to the payment provider and tells what it
//! said; Boxoffice keeps the books.
//!
//! Called by hosts and platforms. Calls the payments, bookings, events and tenants modules.

mod jobs;

use std::{borrow::Cow, sync::Arc};

pub(crate) use jobs::PaymentJobs;

use crate::{
    context::EngineContext,
    error::{Error, Result},
    modules::{
        BookingIntent, PaidRequest, Placement, RequestedBooking, in_currency, require_answers,
    },
    types::{
        Caller, EventId, ListedRefund, NoticeKind, OpenPayment, Page, PageRequest, Payment,
        PaymentKey, PaymentNotice, PaymentStatus, PaymentsOf, RefundId, RefundState, Role, Scope,
        TellPayment, TenantId,
    },
};

/// Use cases of payments and refunds.
#[derive(Clone)]
pub struct Payments(pub(crate) Arc<EngineContext>);

impl Payments {
    /// Opens a payment for a hold, before the provider takes money. It keeps the hold's customer, tickets and price, so it outlives
    /// the hold. Opening it again returns it. Money that came before is matched with the hold. For trusted code, the tenant's
    /// owners, and programs with the scope `payments`: whoever may open a payment may also say that money came.
    ///
    /// # Errors
    /// `forbidden`, `not-found` for the hold, `hold-ended`, `price-changed` for another amount than the hold's total,
    /// `currency-mismatch`, `field-invalid` for a hold that costs nothing or lacks answers, `payment-exists`, `conflict-try-again`.
    pub async fn open(&self, caller: &Caller, command: OpenPayment) -> Result<Payment> {
        let caller = &may_keep_books(caller, Scope::Payments)?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let hold = modules.bookings.find_hold(tenant, command.hold).await?;
        let hold = hold.ok_or_else(|| Error::not_found("hold", command.hold))?;
        if hold.require_open().is_ok() {
            // What is missing now could not be asked for when the money has come.
            let event = self.0.event_to_compare(tenant, hold.event, true).await?;
            require_answers(&event, &hold)?;
        }
        modules.payments.open(tenant, &command, &hold).await
    }

    /// Tells what the provider said about a payment. A notice is on disk when this returns. It has its effect once, however often
    /// and in whatever order notices come.
    ///
    /// - `captured`: if the hold is still held and all of its price is there, the booking is made in the same transaction.
    ///   Otherwise the money is pending: the worker books the tickets at the hold's price, if there are enough and policies
    ///   accept, or makes a refund due.
    /// - `failed`: nothing changes but the payment's state.
    /// - `refunded`: refunds that are due are settled first; then the rest is no longer kept.
    ///
    /// A payment that nobody opened is `unmatched`; what was captured is due back after 24 hours. For those who may open
    /// payments.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid`, `currency-mismatch`, `notice-reused` if the notice said something else before,
    /// `too-many-notices`, `conflict-try-again`.
    pub async fn tell(&self, caller: &Caller, command: TellPayment) -> Result<Payment> {
        let caller = &may_keep_books(caller, Scope::Payments)?;
        let notice = command.notice(self.0.context.now())?;
        let modules = &self.0.modules;
        let tenant = modules.tenants.get(caller.tenant()?).await?;
        if let Some(known) = modules.payments.find(&tenant.id, &command.payment).await? {
            in_currency(&command, &known)?;
            if known.knows(&notice)? {
                return Ok(known);
            }
            if let Some(payment) = self.book_at_once(&tenant.id, &known, &notice).await {
                return Ok(payment);
            }
        }
        let told = (&notice, tenant.currency.as_str());
        modules.payments.record(&tenant.id, &command, told).await
    }

    /// Makes the booking of a hold that is still held, in the transaction that stores the notice. Returns `None` if that is not
    /// possible now, for whatever reason: then the notice is stored alone.
    async fn book_at_once(
        &self,
        tenant: &TenantId,
        known: &Payment,
        notice: &PaymentNotice,
    ) -> Option<Payment> {
        let order = known.order.as_ref()?;
        let waits = matches!(
            known.status,
            PaymentStatus::Open | PaymentStatus::Failed | PaymentStatus::Pending
        );
        let come = known.money.pending_minor.checked_add(notice.amount_minor);
        let suffices = come.is_some_and(|come| come >= order.total_minor);
        if notice.kind != NoticeKind::Captured || !waits || !suffices {
            return None;
        }
        let modules = &self.0.modules;
        let paid = PaidRequest {
            key: known.key.clone(),
            order: order.clone(),
            notice: Some(notice.clone()),
            refund: modules.payments.next_refund(),
        };
        let intent = BookingIntent::Confirm(order.hold);
        let mut request = RequestedBooking::of_payment(intent, paid);
        request.receipts = self.0.receipt_rule(tenant).await.ok()?;
        match modules.bookings.place(tenant, request).await {
            Ok(Placement::Paid(payment)) => Some(*payment),
            // An offer: policies are asked about it first.
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%tenant, payment = %known.key, %error, "a payment waits for its booking");
                None
            }
        }
    }

    /// Shows a payment with everything that its provider said, for those who may open payments.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn show(&self, caller: &Caller, payment: &PaymentKey) -> Result<Payment> {
        let caller = &may_keep_books(caller, Scope::Payments)?;
        let payments = &self.0.modules.payments;
        let found = payments.find(caller.tenant()?, payment).await?;
        found.ok_or_else(|| Error::not_found("payment", payment))
    }

    /// Lists the tenant's payments, newest first, all or those in a state. With a state a page may have fewer items than its limit,
    /// and still have a next page.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list(
        &self,
        caller: &Caller,
        status: Option<PaymentStatus>,
        page: PageRequest,
    ) -> Result<Page<Payment>> {
        let caller = &may_keep_books(caller, Scope::Payments)?;
        let payments = &self.0.modules.payments;
        let list = PaymentsOf::Tenant;
        payments.list(caller.tenant()?, list, status, &page).await
    }

    /// Lists an event's payments, newest first, for those who manage the event.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list_of_event(
        &self,
        caller: &Caller,
        event: EventId,
        page: PageRequest,
    ) -> Result<Page<Payment>> {
        let caller = &caller.scoped(Scope::Payments)?;
        caller.require_signed_in()?;
        let found = self.0.visible_event(caller, event).await?;
        self.0
            .require_manager(caller, event, found.organizer)
            .await?;
        let payments = &self.0.modules.payments;
        let list = PaymentsOf::Event(event);
        payments.list(caller.tenant()?, list, None, &page).await
    }

    /// Lists the tenant's refunds, the oldest first: all, those that are due, or those that are settled. Of settled ones a page may
    /// have fewer items than its limit. For trusted code, the tenant's owners, and programs with the scope `refunds`.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor.
    pub async fn refunds(
        &self,
        caller: &Caller,
        state: Option<RefundState>,
        page: PageRequest,
    ) -> Result<Page<ListedRefund>> {
        let caller = &may_keep_books(caller, Scope::Refunds)?;
        let payments = &self.0.modules.payments;
        payments.refunds(caller.tenant()?, state, &page).await
    }

    /// Records that a refund was paid back. The provider's own notice of it is then not counted again. A refund that is settled is
    /// returned unchanged.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `conflict-try-again`.
    pub async fn settle_refund(&self, caller: &Caller, refund: RefundId) -> Result<ListedRefund> {
        let caller = &may_keep_books(caller, Scope::Refunds)?;
        let payments = &self.0.modules.payments;
        payments.settle_refund(caller.tenant()?, refund).await
    }
}

/// The caller, if they may keep the tenant's books: what they say about money is believed.
fn may_keep_books(caller: &Caller, scope: Scope) -> Result<Cow<'_, Caller>> {
    let caller = caller.scoped(scope)?;
    caller.require_any(
        &[Role::Owner],
        "Only the tenant's owners and its programs keep the books of payments.",
    )?;
    Ok(caller)
}
