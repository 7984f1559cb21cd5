//! Goal: every booking that costs something has a receipt, and every refund a credit note, through whichever door they came; numbers
//! have no gaps; what they say adds up and never changes; and a tenant that wants none has not a row more.
//!
//! Method: the real router over an engine in memory whose clock is moved (`api`); engines on one SurrealDB server, killed programs and
//! restored stores (`hosts`). Receipts are recomputed after each scenario, also while they have no numbers.

mod api;
mod hosts;
mod mails;

use std::collections::BTreeMap;

use boxoffice_engine::{
    BookingReceipt, Caller, Engine, PageRequest, ReceiptKind, ReceiptSettings, TenantId,
    UpdateTenant,
};
use boxoffice_tests::{Patience, wait_for};
use mail_parser::{MessageParser, MimeHeaders as _};

/// Changes a tenant's settings of receipts.
pub(super) async fn settings(
    engine: &Engine,
    tenant: &TenantId,
    change: impl Fn(&mut ReceiptSettings),
) {
    let (tenants, caller) = (engine.tenants(), Caller::platform(tenant.as_str()));
    let seen = tenants.settings(&caller).await.expect("the tenant");
    let mut wanted = seen.settings;
    change(&mut wanted.receipts);
    let command = UpdateTenant {
        expected_version: seen.version,
        name: seen.name,
        settings: wanted,
    };
    tenants.update(&caller, command).await.expect("a change");
}

/// Every numbered receipt of a tenant.
async fn numbered(engine: &Engine, tenant: &TenantId) -> Vec<BookingReceipt> {
    let (receipts, caller) = (engine.receipts(), Caller::platform(tenant.as_str()));
    let (mut all, mut request) = (Vec::new(), PageRequest::default());
    loop {
        let page = receipts.list(&caller, None, request).await;
        let page = page.expect("a page");
        all.extend(page.items);
        if page.next.is_none() {
            return all;
        }
        request = PageRequest {
            cursor: page.next,
            limit: 100,
        };
    }
}

/// Waits until a tenant has so many numbered receipts, and returns them.
async fn wait_for_numbers(engine: &Engine, tenant: &TenantId, count: usize) -> Vec<BookingReceipt> {
    wait_for(Patience::WORK, &format!("{count} receipts"), || async {
        let all = numbered(engine, tenant).await;
        (all.len() >= count).then_some(all)
    })
    .await
}

/// Asserts that the numbers of each year, series and kind are 1 to n, in the order of the list.
fn assert_gapless(receipts: &[BookingReceipt]) {
    let mut last: BTreeMap<(i16, String, &str), u64> = BTreeMap::new();
    for receipt in receipts {
        let number = receipt.number.as_ref().expect("a number");
        let key = (number.year, number.series.clone(), receipt.kind().as_str());
        let last = last.entry(key).or_default();
        assert_eq!(number.sequence, *last + 1, "{}", number.text);
        *last = number.sequence;
    }
}

/// The totals of receipts and of credit notes.
fn totals(receipts: &[BookingReceipt]) -> [u64; 2] {
    let of = |kind: ReceiptKind| {
        let own = receipts.iter().filter(|receipt| receipt.kind() == kind);
        own.map(|receipt| receipt.total_minor).sum()
    };
    [of(ReceiptKind::Receipt), of(ReceiptKind::CreditNote)]
}

/// The name and text of the page that a mail has as a file, if it has one.
fn page_in(mail: &[u8]) -> Option<(String, String)> {
    let message = MessageParser::default().parse(mail).expect("a mail");
    let mut files = message.attachments();
    let file = files.find(|file| {
        let name = file.attachment_name().unwrap_or_default();
        name.ends_with(".html")
    })?;
    let name = file.attachment_name().unwrap_or_default().to_owned();
    let text = String::from_utf8(file.contents().to_vec()).expect("UTF-8");
    Some((name, text))
}

/// The files that the mails with these receipts have, in the order of their names.
fn pages_of(receipts: &[BookingReceipt]) -> Vec<String> {
    let numbers = receipts.iter().map(|receipt| receipt.number.as_ref());
    let names = numbers.map(|number| format!("{}.html", number.expect("a number").text));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Everything that a store has, as a backup.
async fn backed_up(engine: &Engine) -> Vec<u8> {
    let backup = engine.operators().back_up(&Caller::operator()).await;
    let mut backup = backup.expect("a backup");
    let mut bytes = Vec::new();
    while let Some(piece) = backup.next().await {
        bytes.extend(piece.expect("a piece"));
    }
    bytes
}
