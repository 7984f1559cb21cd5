//! The worker's use case of payments that wait. Without authorisation, because only the engine's worker calls it.
//!
//! Called by the worker. Calls the payments module, and asks policies about late bookings.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::{StreamExt as _, stream};

use crate::{
    context::EngineContext,
    error::{Error, Result},
    modules::{BookingIntent, LateStep, PaidRequest, Placement, RequestedBooking},
    types::{PaymentKey, TenantId},
};

/// Payments looked at together: their bookings share groups, and a slow policy keeps few others waiting.
const AT_ONCE: usize = 16;

/// The worker's use case of payments.
#[derive(Clone)]
pub(crate) struct PaymentJobs(pub(crate) Arc<EngineContext>);

impl PaymentJobs {
    /// Looks at one batch of payments that are due. Returns whether there may be more now.
    pub(crate) async fn settle_due(&self) -> Result<bool> {
        let (due, more) = self.0.modules.payments.due().await?;
        let has_failed = AtomicBool::new(false);
        let has_failed = &has_failed;
        stream::iter(due)
            .for_each_concurrent(AT_ONCE, |(tenant, key)| async move {
                if let Err(error) = self.settle(&tenant, &key).await {
                    has_failed.store(true, Ordering::Relaxed);
                    tracing::warn!(%tenant, payment = %key, error = ?error, "looking at a payment failed, will retry");
                }
            })
            .await;
        // What failed is due still, and would be looked at again at once.
        Ok(more && !has_failed.load(Ordering::Relaxed))
    }

    async fn settle(&self, tenant: &TenantId, key: &PaymentKey) -> Result<()> {
        let payments = &self.0.modules.payments;
        let (intent, order) = match payments.late_step(tenant, key).await? {
            LateStep::Done => return Ok(()),
            LateStep::Confirm(hold, order) => (BookingIntent::Confirm(hold), order),
            LateStep::Book(order) => (BookingIntent::Book, order),
        };
        let paid = PaidRequest {
            key: key.clone(),
            order,
            notice: None,
            refund: payments.next_refund(),
        };
        let request = RequestedBooking::of_payment(intent, paid);
        match self.0.check_policies(tenant, request).await {
            Ok(Placement::Paid(_)) => Ok(()),
            Ok(other) => Err(Error::internal(format!(
                "a paid booking ended as {other:?}"
            ))),
            Err(refusal) => {
                tracing::debug!(%tenant, payment = %key, %refusal, "a paid booking was refused");
                payments.refused(tenant, key, &refusal).await
            }
        }
    }
}
