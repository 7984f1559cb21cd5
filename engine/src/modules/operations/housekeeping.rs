//! Housekeeping: expired rows, and bookings of cancelled events. Called by the worker's use cases.

use std::sync::Arc;

use crate::modules::{
    ModuleContext,
    bookings::end_of_event,
    plugins::uploads_overdue,
    repositories::{
        HousekeepingRepository, PaymentChange, PaymentsRepository, STALE_PAID_BOOKING,
        STALE_PAYMENT, StepError, SystemScope,
    },
};
use crate::{
    error::Result,
    types::{EventId, RefundId, RefundReason, TenantId},
};

/// Rows deleted or written in one step; keeps each transaction short.
const BATCH: u32 = 500;
/// Paid bookings written in one step, each with its payment and refund.
const PAID_BATCH: u32 = 64;

pub(crate) struct HousekeepingModule {
    repository: HousekeepingRepository,
    payments: Arc<PaymentsRepository>,
    context: ModuleContext,
}

impl HousekeepingModule {
    pub(in crate::modules) fn new(
        repository: HousekeepingRepository,
        payments: Arc<PaymentsRepository>,
        context: ModuleContext,
    ) -> Self {
        Self {
            repository,
            payments,
            context,
        }
    }

    /// Deletes a batch of expired rows. Returns whether there may be more, and the tenants with uploads that
    /// were interrupted.
    pub(crate) async fn delete_expired(&self) -> Result<(bool, Vec<TenantId>)> {
        let (scope, now) = (SystemScope::new(), self.context.now());
        let more = self.repository.delete_expired(scope, now, BATCH).await?;
        let overdue = uploads_overdue(now)?;
        let tenants = self.repository.broken_uploads(scope, overdue).await?;
        Ok((more, tenants))
    }

    /// The tenants with active plugins after this one, in order of names, and the version of each set. Returns none
    /// after the last.
    pub(crate) async fn plugin_sets(
        &self,
        after: Option<&TenantId>,
    ) -> Result<Vec<(TenantId, u64)>> {
        self.repository
            .plugin_sets(SystemScope::new(), after, BATCH)
            .await
    }

    /// Writes a batch of cancelled events' bookings as cancelled. Returns whether there may be more.
    pub(crate) async fn sweep_cancelled(&self) -> Result<bool> {
        let scope = SystemScope::new();
        let events = self.repository.cancelled_events(scope, 16).await?;
        for (tenant, event) in &events {
            self.refund_cancelled(tenant, *event).await?;
            self.repository
                .sweep_cancelled(tenant, *event, self.context.now(), BATCH)
                .await?;
        }
        Ok(!events.is_empty())
    }

    /// Writes a batch of a cancelled event's bookings as cancelled that were paid or have claims or receipts: makes their refunds and
    /// credit notes due, and gives back what they claimed. If one of them changes meanwhile, the next pass writes them.
    async fn refund_cancelled(&self, tenant: &TenantId, event: EventId) -> Result<()> {
        let bookings = self.payments.owing_of_cancelled(tenant, event, PAID_BATCH);
        let bookings = bookings.await?;
        if bookings.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = bookings
            .iter()
            .filter_map(|one| one.payment.clone())
            .collect();
        let mut payments = self.payments.find_many(tenant, &keys).await?;
        let now = self.context.now();
        let written = bookings.into_iter().map(|booking| {
            let before = booking
                .payment
                .as_ref()
                .and_then(|key| payments.remove(key));
            let change = before.map(|before| {
                let mut after = before.clone();
                let refund = RefundId::from_ulid(self.context.next_id());
                let reason = RefundReason::EventCancelled;
                after.cancel(booking.total_minor, reason, (refund, now));
                PaymentChange {
                    before: Some(before),
                    after,
                    at: now,
                }
            });
            (booking, change)
        });
        let written: Vec<_> = written.collect();
        let ended = written.iter().map(|(booking, _)| booking);
        let notes = end_of_event(ended, self.context.next_id(), now);
        let step = self
            .payments
            .cancel_with_event(tenant, &written, notes.as_ref(), now);
        match step.await {
            Ok(()) | Err(StepError::Conflict | StepError::Lost(_)) => Ok(()),
            Err(error) if error.is_any_guard(&[STALE_PAYMENT, STALE_PAID_BOOKING]) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
