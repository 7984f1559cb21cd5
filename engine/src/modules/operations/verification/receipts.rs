//! Verification of receipts: numbers without gaps, each counter at its last number, and bookings whose receipts and credit notes say
//! what was paid and given back.
//!
//! Called by app_modules, and by the verification of events. Calls the receipts and tenants repositories.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::VerificationModule;
use crate::{
    error::Result,
    modules::{
        receipts::amounts::{amounts, indexes},
        repositories::{CounterKey, ReceiptCounter, SystemScope},
    },
    types::{
        Booking, BookingReceipt, Page, PageRequest, ReceiptId, ReceiptKind, ReceiptPlace,
        ReceiptVerdict, SalesChannel, TenantId,
    },
};

/// Numbers read at a time: some 700 KB with what they lead to.
const NUMBERS_PAGE: u32 = 500;
/// Rows of receipts that are due and looked through for some bookings. More are numbered before the next verification.
const DUE_MAX: u32 = 10_000;
/// What is decided on a tenant that was read a second ago, and waits for its turn, is written within this time.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(60);

impl VerificationModule {
    /// Verifies a page of all tenants' receipts: a verdict for each tenant, year and series.
    pub(crate) async fn verify_receipts(&self, page: &PageRequest) -> Result<Page<ReceiptVerdict>> {
        let after = page.cursor.as_deref().map(position).transpose()?;
        let limit = page.limit + 1;
        let counters = self.receipts.counters(SystemScope::new(), after, limit);
        let page = page.cut(counters.await?, |(key, _)| {
            format!("{}/{}/{}", key.tenant, key.year, key.series)
        });
        let mut items = Vec::with_capacity(page.items.len());
        for (key, counter) in page.items {
            let difference = self.numbers_differ(&key, counter).await?;
            items.push(ReceiptVerdict {
                tenant: key.tenant,
                year: key.year,
                series: key.series,
                receipts: counter.receipts,
                credit_notes: counter.credit_notes,
                difference,
            });
        }
        Ok(Page {
            items,
            next: page.next,
        })
    }

    /// Reads the numbers of a year and series up to its counter, which later ones follow. Neither they nor receipts change.
    async fn numbers_differ(
        &self,
        key: &CounterKey,
        counter: ReceiptCounter,
    ) -> Result<Option<String>> {
        let page = PageRequest {
            cursor: None,
            limit: NUMBERS_PAGE,
        };
        for (kind, count) in [
            (ReceiptKind::Receipt, counter.receipts),
            (ReceiptKind::CreditNote, counter.credit_notes),
        ] {
            let kind = kind.place();
            let place = |sequence| ReceiptPlace {
                year: key.year,
                series: key.series.clone(),
                kind,
                sequence,
            };
            let mut last = 0;
            while last < i64::try_from(count).unwrap_or(i64::MAX) {
                let after = (Some(key.year), Some(place(last)));
                let rows = self.receipts.list(&key.tenant, after, &page).await?;
                let left = i64::try_from(count).unwrap_or(i64::MAX) - last;
                let rows = rows
                    .into_iter()
                    .take(usize::try_from(left).unwrap_or(usize::MAX));
                let rows: Vec<_> = rows.collect();
                let ids = rows.iter().map(|(_, id)| *id);
                let found = self.receipts.find_many(&key.tenant, ids).await?;
                for (at, id) in &rows {
                    if *at != place(last + 1) {
                        break;
                    }
                    last += 1;
                    if let Some(difference) = number_differs(at, found.get(id), *id) {
                        return Ok(Some(difference));
                    }
                }
                if rows.last().is_none_or(|(at, _)| *at != place(last)) {
                    let missing = last + 1;
                    return Ok(Some(format!(
                        "kind {kind} has no number {missing} of {count}"
                    )));
                }
            }
        }
        Ok(None)
    }

    /// The first inconsistency of some bookings of an event with their receipts and credit notes.
    pub(super) async fn receipts_differ(
        &self,
        tenant: &TenantId,
        bookings: &[Booking],
    ) -> Result<Option<String>> {
        let lacking = self.without_receipt(tenant, bookings).await?;
        if lacking.is_some() {
            return Ok(lacking);
        }
        let mut wanted = Vec::new();
        for booking in bookings {
            let ids = indexes(booking).into_iter().map(|index| ReceiptId {
                booking: booking.id,
                index,
            });
            wanted.extend(ids.map(|id| (id, booking)));
        }
        let ids = wanted.iter().map(|(id, _)| *id);
        let found = self.receipts.find_many(tenant, ids).await?;
        let mut missing = Vec::new();
        for (id, booking) in wanted {
            match found.get(&id) {
                Some(receipt) => {
                    if let Some(difference) = amounts_differ(booking, receipt) {
                        return Ok(Some(difference));
                    }
                }
                None => missing.push((id, booking)),
            }
        }
        if let Some(difference) = bookings.iter().find_map(|one| refunds_differ(one, &found)) {
            return Ok(Some(difference));
        }
        self.neither_numbered_nor_due(tenant, &missing).await
    }

    /// A booking that was made while receipts were on, and should have one.
    async fn without_receipt(
        &self,
        tenant: &TenantId,
        bookings: &[Booking],
    ) -> Result<Option<String>> {
        let mut lacking = bookings.iter().filter(|booking| {
            let is_own = booking.channel() != SalesChannel::Imported;
            booking.receipt_taxes.is_none() && is_own && booking.paid_minor() > 0
        });
        if lacking.clone().next().is_none() {
            return Ok(None);
        }
        let found = self.tenants.find(tenant).await?;
        let since = found.and_then(|tenant| tenant.receipts_since);
        let Some(since) = since.and_then(|at| at.checked_add(SETTLED_AFTER).ok()) else {
            return Ok(None);
        };
        let lost = lacking.find(|booking| booking.created_at > since);
        Ok(lost.map(|booking| format!("booking {} should have a receipt", booking.id)))
    }

    async fn neither_numbered_nor_due(
        &self,
        tenant: &TenantId,
        missing: &[(ReceiptId, &Booking)],
    ) -> Result<Option<String>> {
        let times = missing.iter().map(|(_, booking)| booking.created_at);
        let Some(from) = times.min() else {
            return Ok(None);
        };
        let ids: Vec<_> = missing.iter().map(|(id, _)| *id).collect();
        let times = (from, Timestamp::MAX);
        let there = self.receipts.numbered_or_due(tenant, &ids, times, DUE_MAX);
        let Some(there) = there.await? else {
            return Ok(None);
        };
        let there: HashSet<ReceiptId> = there.into_iter().collect();
        let lost = ids.iter().find(|id| !there.contains(id));
        Ok(lost.map(|id| format!("receipt {id} is neither numbered nor due")))
    }
}

/// How a number and the receipt that it leads to contradict each other, if they do.
fn number_differs(
    at: &ReceiptPlace,
    receipt: Option<&BookingReceipt>,
    id: ReceiptId,
) -> Option<String> {
    let number = receipt.and_then(|receipt| receipt.number.as_ref());
    let Some(number) = number else {
        return Some(format!(
            "number {at} leads to receipt {id}, which does not exist"
        ));
    };
    let own = ReceiptPlace {
        year: i64::from(number.year),
        series: number.series.clone(),
        kind: id.kind().place(),
        sequence: i64::try_from(number.sequence).unwrap_or(i64::MAX),
    };
    (own != *at).then(|| format!("number {at} leads to receipt {id}, which has {own}"))
}

/// How a receipt and its booking contradict each other, if they do.
fn amounts_differ(booking: &Booking, receipt: &BookingReceipt) -> Option<String> {
    let id = receipt.id;
    let wanted = amounts(booking, id.index)?;
    let same = (wanted.total_minor, &wanted.taxes) == (receipt.total_minor, &receipt.taxes);
    (!same).then(|| {
        format!(
            "receipt {id} says {}, its booking {}; or their taxes differ",
            receipt.total_minor, wanted.total_minor
        )
    })
}

/// How the credit notes of a booking and its refunds differ, once all are numbered.
fn refunds_differ(booking: &Booking, found: &HashMap<ReceiptId, BookingReceipt>) -> Option<String> {
    let notes = indexes(booking).into_iter().filter(|index| *index > 0);
    let note = |index| {
        let id = ReceiptId {
            booking: booking.id,
            index,
        };
        found.get(&id).map(|receipt| receipt.total_minor)
    };
    let notes: Option<Vec<u64>> = notes.map(note).collect();
    let sum: u64 = notes?.iter().sum();
    let is_booked_with_receipt = booking.receipt_taxes.is_some();
    (is_booked_with_receipt && sum != booking.refund_minor()).then(|| {
        format!(
            "the credit notes of booking {} add up to {sum}, its refunds to {}",
            booking.id,
            booking.refund_minor()
        )
    })
}

/// Where the last page ended: `TENANT/YEAR/SERIES`.
fn position(cursor: &str) -> Result<CounterKey> {
    let mut parts = cursor.splitn(3, '/');
    let mut next = || parts.next().ok_or_else(PageRequest::not_a_cursor);
    let (tenant, year, series) = (next()?, next()?, next()?);
    Ok(CounterKey {
        tenant: TenantId::parse(tenant).map_err(|_| PageRequest::not_a_cursor())?,
        year: year.parse().map_err(|_| PageRequest::not_a_cursor())?,
        series: series.to_owned(),
    })
}
