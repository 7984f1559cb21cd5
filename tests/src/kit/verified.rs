//! What `boxoffice verify` finds, for engines of this process.

use boxoffice_engine::{Caller, Engine, Page, PageRequest, Result};

/// Verifies all counters of an engine, its payments, its tenants' counters, and the numbers of receipts.
///
/// # Panics
/// With every difference that there is.
pub async fn assert_verified(engine: &Engine) {
    let differences = differences(engine).await;
    assert!(differences.is_empty(), "{differences:?}");
}

/// Every difference between the counters of an engine and what they count.
///
/// # Panics
/// When the engine cannot verify.
pub async fn differences(engine: &Engine) -> Vec<String> {
    let (operators, caller) = (engine.operators(), Caller::operator());
    let events = all(1, async |page| operators.verify(&caller, page).await).await;
    let payments = all(100, async |page| {
        operators.verify_payments(&caller, page).await
    })
    .await;
    let claims = all(100, async |page| {
        operators.verify_claims(&caller, page).await
    })
    .await;
    let receipts = all(100, async |page| {
        operators.verify_receipts(&caller, page).await
    })
    .await;
    let events = events.into_iter().filter_map(|one| one.difference);
    let payments = payments.into_iter().filter_map(|one| {
        let difference = one.difference?;
        Some(format!("payment {}: {difference}", one.payment))
    });
    let claims = claims.into_iter().filter_map(|one| {
        let difference = one.difference?;
        Some(format!("counter {}: {difference}", one.key))
    });
    let receipts = receipts.into_iter().filter_map(|one| {
        let difference = one.difference?;
        Some(format!("receipts of {}: {difference}", one.year))
    });
    let rest = claims.chain(receipts);
    events.chain(payments).chain(rest).collect()
}

/// All verdicts of a kind. After the first page, a page has `limit` of them.
async fn all<T>(limit: u32, verify: impl AsyncFn(PageRequest) -> Result<Page<T>>) -> Vec<T> {
    let (mut found, mut request) = (Vec::new(), PageRequest::default());
    loop {
        let page = verify(request).await.expect("a verdict");
        found.extend(page.items);
        if page.next.is_none() {
            return found;
        }
        request = PageRequest {
            cursor: page.next,
            limit,
        };
    }
}
