//! Goal: what a plugin's yes claims of the tenant's counters is taken exactly, as a native policy's claims are, at the prices that there
//! were or at others; and claims that cannot be meant are a failed call, never a booking.
//!
//! Method: components written as text, used by many customers at once; hostile keys, amounts and numbers of claims.

use boxoffice_engine::{
    BookTickets, Booking, Caller, Error, ErrorCode, NewBookingDetails, PageRequest, QuoteTickets,
    ports::{Decision, PluginAnswer, PluginRequest},
};
use boxoffice_tests::{Component, assert_verified};
use futures::future::join_all;

use super::{Fixture, code, price};

fn wish(scene: &Fixture, codes: &[&str]) -> BookTickets {
    let codes = codes.iter().map(|code| code.parse().expect("a code"));
    BookTickets {
        details: NewBookingDetails {
            codes: Some(codes.collect()),
            ..NewBookingDetails::default()
        },
        ..BookTickets::general(scene.event.id, 1)
    }
}

async fn book(scene: &Fixture, customer: &Caller, codes: &[&str]) -> Result<Booking, Error> {
    let bookings = scene.platform.engine.bookings();
    bookings.book_tickets(customer, wish(scene, codes)).await
}

/// What is used of a counter.
async fn used(scene: &Fixture, key: &str) -> u64 {
    let claims = scene.platform.engine.claims();
    let counters = claims.list(&scene.owner, PageRequest::default()).await;
    let counters = counters.expect("a list").items;
    let found = counters.iter().find(|counter| counter.key.as_str() == key);
    found.map_or(0, |counter| counter.used)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugins_code_with_three_uses_is_used_three_times_by_customers_who_race() {
    let scene = Fixture::make().await;
    let component = Component::claiming_codes(3);
    scene.put_into_use("codes", &component).await;
    let names: Vec<String> = (0..12).map(|number| format!("c{number}")).collect();
    let customers = names
        .iter()
        .map(|name| scene.platform.customer(&scene.tenant, name));
    let customers = join_all(customers).await;
    let outcomes = join_all(
        customers
            .iter()
            .map(|customer| book(&scene, customer, &["SPRING"])),
    )
    .await;
    let made = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok());
    let made: Vec<&Booking> = made.collect();
    assert_eq!(made.len(), 3);
    for refusal in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(refusal.code(), ErrorCode::ClaimExhausted, "{refusal:?}");
    }
    assert_eq!((used(&scene, "SPRING").await, scene.sold().await), (3, 3));
    // Another code, and no code, are not refused.
    assert!(book(&scene, &customers[0], &["AUTUMN"]).await.is_ok());
    assert!(book(&scene, &customers[0], &[]).await.is_ok());
    assert_eq!(used(&scene, "AUTUMN").await, 1);

    let owner = customers
        .iter()
        .find(|customer| customer.user_id() == Some(made[0].customer));
    let owner = owner.expect("one of them booked");
    let bookings = scene.platform.engine.bookings();
    bookings.cancel(owner, made[0].id).await.expect("cancelled");
    assert_eq!(used(&scene, "SPRING").await, 2);
    assert!(book(&scene, &scene.customer, &["SPRING"]).await.is_ok());
    assert_eq!(
        code(book(&scene, &scene.customer, &["SPRING"]).await),
        "claim-exhausted"
    );
    assert_verified(&scene.platform.engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotes_dry_runs_and_replays_take_nothing_and_show_claims() {
    let scene = Fixture::make().await;
    let set = scene
        .put_into_use("codes", &Component::claiming_codes(2))
        .await;
    let booking = book(&scene, &scene.customer, &["SPRING"]).await;
    let booking = booking.expect("a booking");
    let wish = wish(&scene, &["SPRING"]);
    let quote = QuoteTickets {
        event: wish.event,
        lines: wish.lines,
        customer: None,
        details: wish.details,
    };
    let quotes = scene.platform.engine.bookings();
    for _ in 0..3 {
        quotes
            .quote(&scene.customer, quote.clone())
            .await
            .expect("a quote");
    }
    let plugins = scene.platform.engine.plugins();
    let record = plugins.decision(&scene.owner, booking.id).await;
    let record = record.expect("an answer").record.expect("a record");
    let answer = &record.steps[0].answer;
    assert_eq!(answer["decision"], "adjust", "{answer}");
    assert_eq!(answer["unitPricesMinor"], serde_json::json!([0]));
    let claim = serde_json::json!([{"key": "SPRING", "limit": 2, "amount": 1}]);
    assert_eq!(answer["claims"], claim);
    let request = record.steps[0].request.clone().expect("a request");
    let question: PluginRequest = serde_json::from_value(request).expect("a question");
    let version = set.plugins[0].version;
    for _ in 0..3 {
        let tried = plugins.dry_run(&scene.owner, version, question.clone(), None);
        let tried = tried.await.expect("a trial");
        let Ok(PluginAnswer::Decided(Decision::Adjust { claims, .. })) = tried.answer else {
            panic!("{tried:?}");
        };
        assert_eq!(serde_json::to_value(claims).expect("JSON"), claim);
        let report = plugins.replay(&scene.owner, version, 100, None).await;
        let report = report.expect("a replay");
        assert_eq!((report.replayed, report.differing.len()), (1, 0));
    }
    assert_eq!(used(&scene, "SPRING").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_that_cannot_be_meant_are_a_failed_call() {
    let scene = Fixture::make().await;
    let plugins = scene.platform.engine.plugins();
    let long = "x".repeat(65);
    for (name, component, reason) in [
        ("empty-key", Component::claiming("", 1, 1, 1), "key"),
        ("blank-key", Component::claiming("  ", 1, 1, 1), "key"),
        ("two-lines", Component::claiming("a\nb", 1, 1, 1), "key"),
        (
            "reordered",
            Component::claiming("\u{202e}a", 1, 1, 1),
            "key",
        ),
        ("long-key", Component::claiming(&long, 1, 1, 1), "key"),
        (
            "nothing",
            Component::claiming("k", 9, 0, 1),
            "takes 0; it may take 1 to 1000",
        ),
        (
            "much",
            Component::claiming("k", u32::MAX, 1_001, 1),
            "takes 1001",
        ),
        (
            "overflow",
            Component::claiming("k", u32::MAX, u32::MAX, 8),
            "takes 4294967295",
        ),
        (
            "nine",
            Component::claiming("k", 100, 1, 9),
            "up to 8 claims, and it has 9",
        ),
        (
            "crowd",
            Component::claiming("k", 100, 1, 2_000),
            "up to 8 claims",
        ),
    ] {
        let set = scene.put_into_use(name, &component).await;
        assert_eq!(code(scene.book().await), "policy-unavailable", "{name}");
        let plugin = &set.plugins[0].name;
        let failed = plugins.failed_calls(&scene.owner, plugin).await;
        let failure = &failed.expect("failed calls")[0].failure;
        assert!(failure.contains(reason), "{name}: {failure}");
        let removed = plugins.remove(&scene.owner, plugin, None).await;
        removed.expect("a plugin in use");
    }
    assert_eq!((scene.sold().await, used(&scene, "k").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_claims_are_taken_together_and_at_the_present_prices() {
    let scene = Fixture::make().await;
    // Eight claims of one counter add up.
    let component = Component::claiming("k", u32::MAX, 1_000, 8);
    scene.put_into_use("most", &component).await;
    let booking = scene.book().await.expect("a booking");
    assert_eq!((price(&booking.lines), booking.claims.len()), (0, 1));
    assert_eq!(used(&scene, "k").await, 8_000);
    for number in 0..4 {
        // The same bytes under another name would be the same version.
        let component = Component::claiming(&format!("k{number}"), u32::MAX, 1_000, 8);
        let name = format!("more-{number}");
        scene.put_into_use(&name, &component).await;
    }
    // Forty claims of five plugins: a booking has 32 at most.
    assert_eq!(code(scene.book().await), "policy-unavailable");
    assert_eq!(used(&scene, "k").await, 8_000);
    assert_verified(&scene.platform.engine).await;
}
