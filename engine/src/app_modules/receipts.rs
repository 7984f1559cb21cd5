//! Use cases of receipts and credit notes, with their permissions, and the worker's use case that numbers them.
//!
//! Called by hosts, platforms and the worker. Calls the receipts, bookings and tenants modules.

use std::sync::Arc;

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    types::{
        BookingId, BookingReceipt, Caller, Page, PageRequest, ReceiptId, ReceiptRule, Role, Scope,
        TenantId,
    },
};

/// Use cases of receipts.
#[derive(Clone)]
pub struct Receipts(pub(crate) Arc<EngineContext>);

impl Receipts {
    /// The receipt and the credit notes of a booking, in order, for those who may see the booking. Those that are due come without
    /// numbers. None for a booking without a receipt.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see.
    pub async fn list_of_booking(
        &self,
        caller: &Caller,
        booking: BookingId,
    ) -> Result<Vec<BookingReceipt>> {
        let caller = &caller.scoped(Scope::Receipts)?;
        caller.require_signed_in()?;
        let (booking, _) = self.0.booking_seen_by(caller, booking).await?;
        let receipts = &self.0.modules.receipts;
        receipts.of_booking(caller.tenant()?, &booking).await
    }

    /// Shows a receipt or a credit note to those who may see its booking.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see.
    pub async fn show(&self, caller: &Caller, receipt: ReceiptId) -> Result<BookingReceipt> {
        let caller = &caller.scoped(Scope::Receipts)?;
        caller.require_signed_in()?;
        let none = || Error::not_found("receipt", receipt);
        let booking = self.0.booking_seen_by(caller, receipt.booking).await;
        let (booking, _) = booking.map_err(|error| match error.code() {
            ErrorCode::NotFound => none(),
            _ => error,
        })?;
        let receipts = &self.0.modules.receipts;
        let found = receipts.find(caller.tenant()?, &booking, receipt).await?;
        found.ok_or_else(none)
    }

    /// Lists the tenant's numbered receipts and credit notes in the order of numbers, all or those of a year, for the tenant's owners
    /// and programs with the scope `receipts`.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list(
        &self,
        caller: &Caller,
        year: Option<i64>,
        page: PageRequest,
    ) -> Result<Page<BookingReceipt>> {
        let caller = &caller.scoped(Scope::Receipts)?;
        caller.require_any(
            &[Role::Owner],
            "Only the tenant's owners and its programs may list all receipts.",
        )?;
        let receipts = &self.0.modules.receipts;
        receipts.list(caller.tenant()?, year, &page).await
    }
}

impl EngineContext {
    /// Which bookings of a tenant get receipts. A change of that takes effect at every host within a second.
    pub(in crate::app_modules) async fn receipt_rule(
        &self,
        tenant: &TenantId,
    ) -> Result<ReceiptRule> {
        let tenant = self.modules.tenants.recent(tenant).await?;
        Ok(tenant.map_or(ReceiptRule::None, |tenant| tenant.settings.receipts.rule()))
    }
}

/// The worker's use case of receipts. Without authorisation, because only the engine's worker calls it.
#[derive(Clone)]
pub(crate) struct ReceiptJobs(pub(crate) Arc<EngineContext>);

impl ReceiptJobs {
    /// Numbers a batch of each tenant that has receipts that are due. Returns whether there may be more now.
    pub(crate) async fn number_due(&self) -> Result<bool> {
        self.0.modules.receipts.number_due().await
    }

    /// Waits until a step of this process has made one due.
    pub(crate) async fn wait_for_due(&self) {
        self.0.context.receipts_added.notified().await;
    }
}
