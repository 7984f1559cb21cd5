//! `boxoffice verify`: recomputes every event's counters, every payment's money, every counter of a tenant and the numbers of receipts, in
//! the store or through a running host.
//!
//! Called by the program. Calls the engine's use cases as an operator, or the same over REST. Each event, payment, counter or year of receipts that
//! differs is a line on stdout: tenant, event, `PROVIDER/REFERENCE`, key or `receipts YEAR`, the first difference, separated by tabs. The exit code is then 1. The
//! sums of payments go to stderr, by tenant and currency.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use anyhow::bail;
use boxoffice_engine::{Caller, PaymentMoney};
use clap::Args;
use serde_json::Value;

use super::{
    accounts::{Place, each_page, open},
    print,
    remote::{Remote, text},
};

/// Events that one request to a host verifies. One with a million bookings takes seconds, and the time limit is 30 s.
const EVENTS_PER_REQUEST: u32 = 1;
/// Payments, or counters, that one request to a host verifies: two reads each.
const VERDICTS_PER_REQUEST: u32 = 100;
/// Years of receipts that one request to a host verifies: a million numbers take some ten seconds.
const YEARS_PER_REQUEST: u32 = 1;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    place: Place,
}

#[derive(Default)]
struct Tally {
    events: u64,
    payments: u64,
    claims: u64,
    /// Receipts and credit notes.
    receipts: u64,
    differences: u64,
    /// The money of payments, by tenant and currency.
    sums: BTreeMap<(String, String), PaymentMoney>,
}

impl Tally {
    fn event(&mut self, tenant: &str, event: &str, difference: Option<&str>) -> anyhow::Result<()> {
        self.events += 1;
        self.note(tenant, event, difference)
    }

    fn payment(
        &mut self,
        (tenant, currency): (&str, &str),
        payment: &str,
        money: PaymentMoney,
        difference: Option<&str>,
    ) -> anyhow::Result<()> {
        self.payments += 1;
        let key = (tenant.to_owned(), currency.to_owned());
        let sum = self.sums.entry(key).or_default();
        *sum = sum.plus(money);
        self.note(tenant, payment, difference)
    }

    fn claim(&mut self, tenant: &str, key: &str, difference: Option<&str>) -> anyhow::Result<()> {
        self.claims += 1;
        self.note(tenant, key, difference)
    }

    fn receipts(
        &mut self,
        (tenant, year): (&str, i64),
        series: &str,
        count: u64,
        difference: Option<&str>,
    ) -> anyhow::Result<()> {
        self.receipts += count;
        let what = format!("receipts {year} {series}");
        self.note(tenant, what.trim_end(), difference)
    }

    fn note(&mut self, tenant: &str, what: &str, difference: Option<&str>) -> anyhow::Result<()> {
        match difference {
            None => Ok(()),
            Some(difference) => {
                self.differences += 1;
                print(&format!("{tenant}\t{what}\t{difference}"))
            }
        }
    }

    /// Writes the sums: what was captured, and where it is.
    fn tell_sums(&self) {
        for ((tenant, currency), money) in &self.sums {
            let _ = writeln!(
                io::stderr(),
                "{tenant} {currency}: captured {} = kept {} + refund due {} + refunded {} + pending {} + unmatched {}",
                money.captured_minor,
                money.kept_minor,
                money.refund_due_minor,
                money.refunded_minor,
                money.pending_minor,
                money.unmatched_minor
            );
        }
    }
}

/// `boxoffice verify`.
pub(super) async fn verify(VerifyArgs { place }: VerifyArgs) -> anyhow::Result<()> {
    let mut tally = Tally::default();
    match place.remote.remote()? {
        Some(remote) => through(&remote, &mut tally).await?,
        None => at_store(&place, &mut tally).await?,
    }
    tally.tell_sums();
    let Tally {
        events,
        payments,
        claims,
        receipts,
        differences,
        ..
    } = tally;
    if differences > 0 {
        bail!(
            "{differences} of {events} events, {payments} payments, {claims} counters and the numbers of {receipts} receipts do not agree with their books"
        );
    }
    let _ = writeln!(
        io::stderr(),
        "{events} events agree with their ledger and bookings, {payments} payments with their notices and refunds, \
         {claims} counters with what bookings and holds claimed, {receipts} receipts with their numbers"
    );
    Ok(())
}

async fn at_store(place: &Place, tally: &mut Tally) -> anyhow::Result<()> {
    let opened = open(&place.store, "verify").await?;
    let (operators, operator) = (opened.engine.operators(), Caller::operator());
    each_page(
        async |page| Ok(operators.verify(&operator, page).await?),
        |one| {
            let event = one.event.to_string();
            tally.event(one.tenant.as_str(), &event, one.difference.as_deref())
        },
    )
    .await?;
    each_page(
        async |page| Ok(operators.verify_payments(&operator, page).await?),
        |one| {
            let whose = (one.tenant.as_str(), one.currency.as_str());
            let payment = one.payment.to_string();
            tally.payment(whose, &payment, one.money, one.difference.as_deref())
        },
    )
    .await?;
    each_page(
        async |page| Ok(operators.verify_claims(&operator, page).await?),
        |one| {
            let (tenant, key) = (one.tenant.as_str(), one.key.as_str());
            tally.claim(tenant, key, one.difference.as_deref())
        },
    )
    .await?;
    each_page(
        async |page| Ok(operators.verify_receipts(&operator, page).await?),
        |one| {
            let whose = (one.tenant.as_str(), one.year);
            let count = one.receipts + one.credit_notes;
            tally.receipts(whose, &one.series, count, one.difference.as_deref())
        },
    )
    .await
}

async fn through(remote: &Remote, tally: &mut Tally) -> anyhow::Result<()> {
    let path = "/api/operator/verification";
    let show = |item: Value| {
        let (tenant, event) = (text(&item, "tenant"), text(&item, "eventId"));
        tally.event(tenant, event, item["difference"].as_str())
    };
    remote.each(path, EVENTS_PER_REQUEST, show).await?;
    let show = |item: Value| {
        let whose = (text(&item, "tenant"), text(&item, "currency"));
        let payment = format!("{}/{}", text(&item, "provider"), text(&item, "reference"));
        let amount = |name: &str| item[name].as_u64().unwrap_or_default();
        let money = PaymentMoney {
            captured_minor: amount("capturedMinor"),
            kept_minor: amount("keptMinor"),
            refund_due_minor: amount("toRefundMinor"),
            refunded_minor: amount("refundedMinor"),
            pending_minor: amount("pendingMinor"),
            unmatched_minor: amount("unmatchedMinor"),
        };
        tally.payment(whose, &payment, money, item["difference"].as_str())
    };
    let payments = format!("{path}/payments");
    remote.each(&payments, VERDICTS_PER_REQUEST, show).await?;
    let show = |item: Value| {
        let (tenant, key) = (text(&item, "tenant"), text(&item, "key"));
        tally.claim(tenant, key, item["difference"].as_str())
    };
    let claims = format!("{path}/claims");
    remote.each(&claims, VERDICTS_PER_REQUEST, show).await?;
    let show = |item: Value| {
        let number = |name: &str| item[name].as_u64().unwrap_or_default();
        let whose = (
            text(&item, "tenant"),
            item["year"].as_i64().unwrap_or_default(),
        );
        let count = number("receipts") + number("creditNotes");
        let difference = item["difference"].as_str();
        tally.receipts(whose, text(&item, "series"), count, difference)
    };
    let receipts = format!("{path}/receipts");
    remote.each(&receipts, YEARS_PER_REQUEST, show).await
}
