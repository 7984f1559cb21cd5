//! Verification of payments: where the money of each is, against what its provider told, its refunds, and its booking.
//!
//! Called by app_modules. Calls the payments repository.

use super::VerificationModule;
use crate::{
    error::Result,
    modules::repositories::{PaymentBooks, SystemScope},
    types::{
        Booking, Page, PageRequest, Payment, PaymentKey, PaymentVerdict, RefundState, TenantId,
    },
};

/// How often a payment is read that changes meanwhile. Then it is left to the next verification.
const READS_MAX: u32 = 8;

impl VerificationModule {
    /// Verifies a page of all tenants' payments.
    pub(crate) async fn verify_payments(&self, page: &PageRequest) -> Result<Page<PaymentVerdict>> {
        let after = page.cursor.as_deref().map(position).transpose()?;
        let limit = page.limit + 1;
        let all = self.payments.all(SystemScope::new(), after, limit).await?;
        let page = page.cut(all, |(tenant, key)| format!("{tenant}/{key}"));
        let mut items = Vec::with_capacity(page.items.len());
        for (tenant, key) in page.items {
            items.extend(self.verify_payment(tenant, &key).await?);
        }
        Ok(Page {
            items,
            next: page.next,
        })
    }

    async fn verify_payment(
        &self,
        tenant: TenantId,
        key: &PaymentKey,
    ) -> Result<Option<PaymentVerdict>> {
        for _ in 0..READS_MAX {
            let Some(seen) = self.payments.find(&tenant, key).await? else {
                return Ok(None);
            };
            let Some(books) = self.payments.books(&tenant, &seen).await? else {
                continue;
            };
            let difference = books
                .payment
                .contradiction()
                .or_else(|| booking_differs(&books.payment, books.booking.as_ref()))
                .or_else(|| entries_differ(&books));
            return Ok(Some(PaymentVerdict {
                tenant,
                payment: key.clone(),
                currency: books.payment.currency,
                money: books.payment.money,
                difference,
            }));
        }
        Ok(None)
    }
}

/// How a payment and its booking contradict each other, if they do.
fn booking_differs(payment: &Payment, booking: Option<&Booking>) -> Option<String> {
    let id = payment.booking?;
    let Some(booking) = booking else {
        return Some(format!("its booking {id} does not exist"));
    };
    if booking.payment.as_ref() != Some(&payment.key) {
        return Some(format!("its booking {id} has another payment"));
    }
    let (keep, counted) = (booking.keep_minor(), payment.counters.keep_minor);
    (keep != counted || booking.currency != payment.currency).then(|| {
        format!(
            "its booking {id} is to have {keep} {}, the payment counts {counted} {}",
            booking.currency, payment.currency
        )
    })
}

/// Which entries that point at a payment are missing, if some are.
fn entries_differ(books: &PaymentBooks) -> Option<String> {
    let refunds = &books.payment.refunds;
    let due = refunds.iter();
    let due = due.filter(|refund| refund.state() == RefundState::Due);
    let wanted = (refunds.len(), due.count());
    if books.listed != wanted {
        return Some(format!(
            "it has {} refunds, of which {} are due; {} and {} are listed",
            wanted.0, wanted.1, books.listed.0, books.listed.1
        ));
    }
    let waits = books.payment.counters.due_at.is_some();
    (waits != books.has_due_entry).then(|| "its money waits, and nobody looks at it".to_owned())
}

/// Where the last page ended: `TENANT/PROVIDER/REFERENCE`.
fn position(cursor: &str) -> Result<(TenantId, PaymentKey)> {
    let (tenant, key) = cursor
        .split_once('/')
        .ok_or_else(PageRequest::not_a_cursor)?;
    let bad = |_| PageRequest::not_a_cursor();
    Ok((
        TenantId::parse(tenant).map_err(bad)?,
        key.parse().map_err(bad)?,
    ))
}
