//! Waiting for conditions, with a bound and a name; the only place of the tests that passes time.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// How long a condition may take before the test fails.
///
/// Generous, because the bound only matters when something is broken, and debug builds on a busy machine are slow.
pub struct Patience;

impl Patience {
    /// For one answer or one start of a program.
    pub const START: Duration = Duration::from_secs(60);
    /// For a program that ends by itself: compiling a component with a whole language in it takes an unoptimised one most of
    /// a minute, and more beside others.
    pub const RUN: Duration = Duration::from_secs(300);
    /// For work that other processes do, mails above all.
    pub const WORK: Duration = Duration::from_secs(120);
}

const POLL: Duration = Duration::from_millis(25);

/// Polls until `condition` gives a value, and answers it.
///
/// # Panics
/// After `bound`, naming `what` was waited for.
pub async fn wait_for<T, F>(bound: Duration, what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            start.elapsed() < bound,
            "waited {bound:?} in vain for: {what}"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Lets time pass, for tests in which time itself is what is tested, and for what takes its time by design. Each use says why;
/// for everything else there are [`wait_for`] and [`wait_until`].
pub async fn pass_time(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Polls until `condition` holds.
///
/// # Panics
/// After `bound`, naming `what` was waited for.
pub async fn wait_until<F>(bound: Duration, what: &str, mut condition: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    wait_for(bound, what, || {
        let holds = condition();
        async move { holds.await.then_some(()) }
    })
    .await;
}
