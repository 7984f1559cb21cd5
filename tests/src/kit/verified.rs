//! What `boxoffice verify` finds, for engines of this process.

use boxoffice_engine::{Caller, Engine, PageRequest};

/// Verifies all counters of an engine, its payments, and its tenants' counters.
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
    let (mut found, mut request) = (Vec::new(), PageRequest::default());
    loop {
        let page = engine
            .operators()
            .verify(&Caller::operator(), request)
            .await
            .expect("a verdict");
        found.extend(page.items.into_iter().filter_map(|one| one.difference));
        if page.next.is_none() {
            found.extend(payments_differ(engine).await);
            found.extend(claims_differ(engine).await);
            return found;
        }
        request = PageRequest {
            cursor: page.next,
            limit: 1,
        };
    }
}

/// Every difference between where the money of payments is and what was told about it.
async fn payments_differ(engine: &Engine) -> Vec<String> {
    let (mut found, mut request) = (Vec::new(), PageRequest::default());
    loop {
        let page = engine
            .operators()
            .verify_payments(&Caller::operator(), request)
            .await
            .expect("a verdict");
        let differs = page.items.into_iter().filter_map(|one| {
            let difference = one.difference?;
            Some(format!("payment {}: {difference}", one.payment))
        });
        found.extend(differs);
        if page.next.is_none() {
            return found;
        }
        request = PageRequest {
            cursor: page.next,
            limit: 100,
        };
    }
}

/// Every difference between the tenants' counters and what bookings and holds have of them.
async fn claims_differ(engine: &Engine) -> Vec<String> {
    let (mut found, mut request) = (Vec::new(), PageRequest::default());
    loop {
        let page = engine
            .operators()
            .verify_claims(&Caller::operator(), request)
            .await
            .expect("a verdict");
        let differs = page.items.into_iter().filter_map(|one| {
            let difference = one.difference?;
            Some(format!("counter {}: {difference}", one.key))
        });
        found.extend(differs);
        if page.next.is_none() {
            return found;
        }
        request = PageRequest {
            cursor: page.next,
            limit: 100,
        };
    }
}
