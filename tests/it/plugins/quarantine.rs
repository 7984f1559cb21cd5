//! Goal: what fails for several customers is quarantined for a while, and nothing else is: one export at a time, on the word of
//! customers who are no accounts made for the occasion; and it comes back by itself, with one try at a time.
//!
//! Method: components that trap over some requests only; the engine's clock is moved to each next try.

use std::time::Duration;

use boxoffice_engine::{
    ActivePlugin, Caller, CreateUser, ErrorCode, ExportQuarantine, Label, PluginExport, UserRole,
};
use boxoffice_tests::{Component, email};

use super::{Fixture, code};

/// The plugin that is in use.
async fn in_use(scene: &Fixture) -> ActivePlugin {
    let plugins = scene.platform.engine.plugins();
    let set = plugins.in_use(&scene.owner).await.expect("a set");
    set.plugins[0].clone()
}

async fn quarantine(scene: &Fixture, export: PluginExport) -> Option<ExportQuarantine> {
    in_use(scene).await.quarantine(export).cloned()
}

/// Customers whom the tenant's own program brought.
async fn customers(scene: &Fixture, prefix: &str, count: usize) -> Vec<Caller> {
    let mut customers = Vec::new();
    for number in 0..count {
        let name = format!("{prefix}{number}");
        customers.push(scene.platform.customer(&scene.tenant, &name).await);
    }
    customers
}

/// Customers as anybody becomes one.
async fn strangers(scene: &Fixture, prefix: &str, count: usize) -> Vec<Caller> {
    let mut strangers = Vec::new();
    for number in 0..count {
        let command = CreateUser {
            email: email(&format!("{prefix}{number}"), &scene.tenant),
            name: Label::parse("name", "Anybody").expect("one line"),
            password: None,
            role: UserRole::Customer,
        };
        let users = scene.platform.engine.users();
        let platform = Caller::platform(scene.tenant.as_str());
        let user = users.create(&platform, command).await;
        let user = user.expect("a new user");
        strangers.push(Caller::user(scene.tenant.clone(), user.id, user.role));
    }
    strangers
}

async fn fail_for(scene: &Fixture, customers: &[Caller]) {
    for customer in customers {
        let outcome = scene.book_some(customer, 2).await;
        assert_eq!(code(outcome), "policy-unavailable");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_cancellation_never_closes_booking() {
    let scene = Fixture::make().await;
    let component = Component::trapping_at_cancellations();
    scene.put_into_use("half", &component).await;
    let bookings = scene.platform.engine.bookings();
    let mut booked = Vec::new();
    for customer in customers(&scene, "c", 6).await {
        let booking = scene.book_as(&customer).await.expect("a booking");
        let cancelled = bookings.cancel(&customer, booking.id).await;
        assert_eq!(code(cancelled), "policy-unavailable");
        booked.push((customer, booking.id));
    }
    assert!(
        quarantine(&scene, PluginExport::ValidateCancellation)
            .await
            .is_some()
    );
    assert_eq!(
        quarantine(&scene, PluginExport::ValidateBooking).await,
        None
    );
    assert!(scene.book().await.is_ok(), "bookings go on");
    let (customer, booking) = &booked[0];
    let refusal = bookings.cancel(customer, *booking).await;
    let refusal = refusal.expect_err("it is set aside");
    assert_eq!(refusal.code(), ErrorCode::PolicyUnavailable);
    assert!(
        refusal
            .detail()
            .contains("tried again from 2026-12-01T12:00:30Z on"),
        "{}",
        refusal.detail()
    );
    assert_eq!(refusal.retry_after_hint(), Some(Duration::from_secs(31)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantine_ends_by_itself_with_the_first_try_that_is_answered() {
    let scene = Fixture::make().await;
    let clock = scene.platform.clock.clone();
    scene
        .put_into_use("ill", &Component::trapping_from(2))
        .await;
    fail_for(&scene, &customers(&scene, "a", 5).await).await;
    let begun = quarantine(&scene, PluginExport::ValidateBooking).await;
    let begun = begun.expect("a quarantine");
    assert_eq!(begun.failed_tries, 0);
    assert_eq!(begun.next_try_at, begun.since + Duration::from_secs(30));
    // Not asked before its time: this booking would be answered.
    let calls = || async {
        let plugins = scene.platform.engine.plugins();
        let name = in_use(&scene).await.name;
        let metrics = plugins.metrics(&scene.owner, &name).await;
        metrics.expect("metrics").here
    };
    let before = calls().await;
    assert_eq!(code(scene.book().await), "policy-unavailable");
    let after = calls().await;
    assert_eq!(after.made(), before.made());
    assert_eq!(
        after.quarantined,
        [(PluginExport::ValidateBooking, begun.next_try_at)]
    );

    // The first try fails: the next pause is twice as long.
    clock.advance(Duration::from_secs(31));
    assert_eq!(
        code(scene.book_some(&scene.customer, 2).await),
        "policy-unavailable"
    );
    let failed = quarantine(&scene, PluginExport::ValidateBooking).await;
    let failed = failed.expect("a quarantine");
    assert_eq!(failed.failed_tries, 1);
    assert_eq!(
        failed.next_try_at,
        begun.since + Duration::from_secs(31 + 60)
    );
    assert_eq!(calls().await.made(), before.made() + 1);
    clock.advance(Duration::from_secs(31));
    assert_eq!(code(scene.book().await), "policy-unavailable");

    // The second is answered: it sells again, at once and for all.
    clock.advance(Duration::from_secs(30));
    assert!(scene.book().await.is_ok());
    assert_eq!(
        quarantine(&scene, PluginExport::ValidateBooking).await,
        None
    );
    assert!(scene.book().await.is_ok());
    assert_eq!(calls().await.quarantined, []);

    // What fails again within an hour goes on with longer pauses.
    fail_for(&scene, &customers(&scene, "b", 5).await).await;
    let again = quarantine(&scene, PluginExport::ValidateBooking).await;
    let again = again.expect("a quarantine");
    assert_eq!(again.failed_tries, 2);
    assert_eq!(again.next_try_at, again.since + Duration::from_secs(120));
    assert_eq!(again.told_at, begun.told_at, "owners know");
    assert_eq!(scene.sold().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_requests_one_is_the_try() {
    let scene = Fixture::make().await;
    scene
        .put_into_use("ill", &Component::trapping_from(2))
        .await;
    fail_for(&scene, &customers(&scene, "a", 5).await).await;
    let name = in_use(&scene).await.name;
    let plugins = scene.platform.engine.plugins();
    let made = || async {
        let metrics = plugins.metrics(&scene.owner, &name).await;
        metrics.expect("metrics").here.made()
    };
    let before = made().await;
    scene.platform.clock.advance(Duration::from_secs(31));
    let others = customers(&scene, "b", 12).await;
    let outcomes = others.iter().map(|customer| scene.book_some(customer, 2));
    for outcome in futures::future::join_all(outcomes).await {
        let code = code(outcome);
        assert!(
            ["policy-unavailable", "conflict-try-again"].contains(&code),
            "{code}"
        );
    }
    assert_eq!(made().await, before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_that_cost_nothing_close_no_sale() {
    let scene = Fixture::make().await;
    scene
        .put_into_use("some", &Component::trapping_from(2))
        .await;
    let old = strangers(&scene, "old", 1).await;
    fail_for(&scene, &strangers(&scene, "s", 30).await).await;
    assert_eq!(
        quarantine(&scene, PluginExport::ValidateBooking).await,
        None
    );
    // Somebody is answered: those count no more.
    assert!(scene.book().await.is_ok());
    fail_for(&scene, &strangers(&scene, "t", 30).await).await;
    assert_eq!(
        quarantine(&scene, PluginExport::ValidateBooking).await,
        None
    );
    assert!(scene.book().await.is_ok(), "the sale goes on");
    // A day later they are customers like others.
    scene
        .platform
        .clock
        .advance(Duration::from_secs(24 * 3_600));
    let plugins = scene.platform.engine.plugins();
    let again = boxoffice_tests::using("some", in_use(&scene).await.version);
    plugins
        .activate(&scene.owner, again)
        .await
        .expect("it is in use");
    fail_for(&scene, &strangers(&scene, "u", 4).await).await;
    fail_for(&scene, &customers(&scene, "c", 4).await).await;
    assert_eq!(
        quarantine(&scene, PluginExport::ValidateBooking).await,
        None
    );
    fail_for(&scene, &strangers(&scene, "v", 1).await).await;
    assert_eq!(
        quarantine(&scene, PluginExport::ValidateBooking).await,
        None
    );
    fail_for(&scene, &old).await;
    assert!(
        quarantine(&scene, PluginExport::ValidateBooking)
            .await
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_for_everybody_is_quarantined_whoever_they_are() {
    let scene = Fixture::make().await;
    scene
        .put_into_use("ill", &Component::trapping_from(1))
        .await;
    let people = strangers(&scene, "s", 50).await;
    fail_for(&scene, &people[..49]).await;
    assert_eq!(
        quarantine(&scene, PluginExport::ValidateBooking).await,
        None
    );
    fail_for(&scene, &people[49..]).await;
    assert!(
        quarantine(&scene, PluginExport::ValidateBooking)
            .await
            .is_some()
    );
}
