//! Goal: a tenant's plugins decide about every booking and cancellation, in the tenant's order, under the tenant's
//! configuration; what they decide can be audited and made again; what fails never becomes a yes, and no customer can
//! switch a policy off or close a sale.
//!
//! Method: components written as text, uploaded and activated over the engine's public face; bookings are made and
//! their answers, prices and records compared.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use boxoffice_engine::{
    PluginExport,
    ports::{Clock as _, Decision, HookFailure, PluginAnswer, PluginRequest},
};
use boxoffice_tests::{
    Component, Patience, create_priced_event, owner_of, upload, using, wait_until,
};
use futures::future::join_all;

use super::{Fixture, code, price};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uploaded_policy_refuses_a_booking_until_it_is_taken_out_of_use() {
    let scene = Fixture::make().await;
    assert!(scene.book().await.is_ok());
    let set = scene.put_into_use("never", &Component::rejecting()).await;
    assert_eq!(set.version, 1);
    let refusal = scene.book().await.expect_err("a refusal");
    assert_eq!(refusal.code().as_str(), "policy-rejected");
    assert_eq!(refusal.policy_code_text(), Some("no"));
    assert_eq!(refusal.detail(), "No.");
    assert_eq!(scene.sold().await, 1);
    let plugins = scene.platform.engine.plugins();
    let name = set.plugins[0].name.clone();
    plugins
        .remove(&scene.owner, &name, None)
        .await
        .expect("a plugin in use");
    assert!(scene.book().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_are_asked_in_order_and_see_each_others_prices() {
    let scene = Fixture::make().await;
    let event = dear_event(&scene).await;
    let book = || async {
        let command = boxoffice_engine::BookTickets::general(event, 1);
        let bookings = scene.platform.engine.bookings();
        bookings.book_tickets(&scene.customer, command).await
    };
    scene.put_into_use("hundred", &Component::priced(100)).await;
    scene.put_into_use("more", &Component::raising()).await;
    assert_eq!(price(&book().await.expect("a booking").lines), 101);
    let plugins = scene.platform.engine.plugins();
    let mut first = using(
        "more",
        upload_again(&scene, "more", &Component::raising()).await,
    );
    first.position = Some(0);
    plugins
        .activate(&scene.owner, first)
        .await
        .expect("a new order");
    assert_eq!(price(&book().await.expect("a booking").lines), 100);
    // A price beyond ten times the list price can't be meant: the list price is 1,000.
    scene
        .put_into_use("hundred", &Component::priced(10_000))
        .await;
    assert_eq!(price(&book().await.expect("a booking").lines), 10_000);
    scene
        .put_into_use("hundred", &Component::priced(10_001))
        .await;
    assert_eq!(code(book().await), "policy-unavailable");
    plugins
        .roll_back(&scene.owner, &"hundred".parse().expect("a name"), None)
        .await
        .expect("the version before");
    assert_eq!(price(&book().await.expect("a booking").lines), 10_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_for_one_event_leaves_the_others_alone() {
    let scene = Fixture::make().await;
    let hash = upload(
        &scene.platform.engine,
        &scene.owner,
        "never",
        &Component::rejecting(),
    )
    .await;
    let other = scene.platform.event(&scene.organizer, 10).await;
    let mut command = using("never", hash);
    command.event = Some(other.id);
    let plugins = scene.platform.engine.plugins();
    plugins
        .activate(&scene.owner, command)
        .await
        .expect("a version that can be used");
    assert!(scene.book().await.is_ok());
    let command = boxoffice_engine::BookTickets::general(other.id, 1);
    let bookings = scene.platform.engine.bookings();
    let outcome = bookings.book_tickets(&scene.customer, command).await;
    assert_eq!(code(outcome), "policy-rejected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn customers_cancel_under_the_policy_and_organizers_without_it() {
    let scene = Fixture::make().await;
    let booking = scene.book().await.expect("a booking");
    scene.put_into_use("never", &Component::rejecting()).await;
    let bookings = scene.platform.engine.bookings();
    assert_eq!(
        code(bookings.cancel(&scene.customer, booking.id).await),
        "policy-rejected"
    );
    assert_eq!(scene.sold().await, 1);
    let cancelled = bookings.cancel(&scene.organizer, booking.id).await;
    assert!(cancelled.is_ok());
    assert_eq!(scene.sold().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_says_what_it_was_decided_on_and_the_decision_can_be_made_again() {
    let scene = Fixture::make().await;
    scene.put_into_use("two-each", &Component::at_most(2)).await;
    let booking = scene.book().await.expect("a booking");
    assert!(scene.book().await.is_ok());
    assert_eq!(code(scene.book().await), "policy-rejected");
    let plugins = scene.platform.engine.plugins();
    let record = plugins.decision(&scene.owner, booking.id).await;
    let record = record.expect("an answer").record.expect("a record");
    assert_eq!((record.policy_version, record.steps.len()), (1, 1));
    let request = record.steps[0].request.clone().expect("a request");
    assert_eq!(request["request"]["customer"]["ticketsInEvent"], 0);
    assert_eq!(record.steps[0].answer["decision"], "accept");
    assert!(
        !request.to_string().contains("ann@"),
        "no address without leave: {request}"
    );

    // The version in use would decide the same again; one that allows a single ticket would not.
    let same = record.steps[0].version;
    let report = plugins.replay(&scene.owner, same, 100, None).await;
    let report = report.expect("a replay");
    assert!(
        report.replayed >= 2 && report.differing.is_empty(),
        "{report:?}"
    );
    let one = upload_again(&scene, "two-each", &Component::at_most(1)).await;
    let report = plugins.replay(&scene.owner, one, 100, None).await;
    let report = report.expect("a replay");
    assert_eq!(report.differing.len(), 1, "{report:?}");
    assert_eq!(report.differing[0].then["decision"], "accept");
    assert_eq!(report.differing[0].now["decision"], "reject");

    let question: PluginRequest = serde_json::from_value(request).expect("a question");
    let tried = plugins.dry_run(&scene.owner, one, question, None).await;
    let tried = tried.expect("a trial");
    assert_eq!(tried.answer, Ok(PluginAnswer::Decided(Decision::Accept)));
    assert!(tried.usage.fuel > 0);
    assert_eq!(scene.sold().await, 2, "trials book nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identity_is_shown_only_to_plugins_that_may_see_it() {
    let scene = Fixture::make().await;
    let hash = upload(
        &scene.platform.engine,
        &scene.owner,
        "curious",
        &Component::accepting(),
    )
    .await;
    let plugins = scene.platform.engine.plugins();
    let mut command = using("curious", hash);
    command.sees_identity = Some(true);
    plugins
        .activate(&scene.owner, command)
        .await
        .expect("a version that can be used");
    let booking = scene.book().await.expect("a booking");
    let record = plugins.decision(&scene.owner, booking.id).await;
    let record = record.expect("an answer").record.expect("a record");
    let request = record.steps[0].request.clone().expect("a request");
    assert_eq!(request["request"]["customer"]["email"], "ann@north.test");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_refuses_whatever_was_chosen_and_several_customers_failures_quarantine() {
    let scene = Fixture::make().await;
    let set = scene.put_into_use("ill", &Component::trapping()).await;
    let plugins = scene.platform.engine.plugins();
    let mut command = using("ill", set.plugins[0].version);
    command.when_not_loaded = Some(boxoffice_engine::WhenNotLoaded::Skip);
    command.skip_trial = true;
    plugins
        .activate(&scene.owner, command)
        .await
        .expect("a version that can be used");
    // One customer may fail as often as they like: that says nothing about the plugin.
    for _ in 0..20 {
        assert_eq!(code(scene.book().await), "policy-unavailable");
    }
    let in_use = plugins.in_use(&scene.owner).await.expect("a set");
    assert_eq!(in_use.plugins[0].quarantines, []);
    for number in 0..4 {
        let customer = scene
            .platform
            .customer(&scene.tenant, &format!("c{number}"))
            .await;
        assert_eq!(code(scene.book_as(&customer).await), "policy-unavailable");
    }
    let in_use = plugins.in_use(&scene.owner).await.expect("a set");
    let quarantine = in_use.plugins[0].quarantine(PluginExport::ValidateBooking);
    let quarantine = quarantine.expect("a quarantine");
    assert!(quarantine.reason.contains("trapped"), "{quarantine:?}");
    // It never counts as acceptance.
    assert_eq!(code(scene.book().await), "policy-unavailable");
    assert_eq!(scene.sold().await, 0);
    let logs = plugins
        .logs(&scene.owner, &in_use.plugins[0].name)
        .await
        .expect("logs");
    assert!(
        logs.iter().any(|entry| entry.failure.is_some()),
        "the tenant reads what happened: {logs:?}"
    );
    scene.put_into_use("ill", &Component::accepting()).await;
    assert!(scene.book().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_never_see_or_meet_each_others_plugins() {
    let scene = Fixture::make().await;
    let set = scene.put_into_use("never", &Component::rejecting()).await;
    let hash = set.plugins[0].version;
    let engine = &scene.platform.engine;
    let south = scene.platform.tenant("south").await;
    let stranger = owner_of(engine, &south).await;
    let plugins = engine.plugins();
    assert_eq!(code(plugins.show(&stranger, hash).await), "not-found");
    assert_eq!(
        code(plugins.activate(&stranger, using("never", hash)).await),
        "not-found"
    );
    let listed = plugins.list(&stranger, Default::default()).await;
    assert!(listed.expect("a list").items.is_empty());
    let event = scene.platform.event(&stranger, 10).await;
    let customer = scene.platform.customer(&south, "ben").await;
    scene.platform.book(&customer, event.id, 1).await;
    for caller in [&scene.customer, &scene.organizer] {
        assert_eq!(code(plugins.show(caller, hash).await), "forbidden");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_survives_a_call() {
    let scene = Fixture::make().await;
    let event = dear_event(&scene).await;
    scene.put_into_use("counts", &Component::counting()).await;
    for _ in 0..10 {
        let command = boxoffice_engine::BookTickets::general(event, 1);
        let bookings = scene.platform.engine.bookings();
        let booking = bookings.book_tickets(&scene.customer, command).await;
        assert_eq!(price(&booking.expect("a booking").lines), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_replaced_under_load_without_a_failed_booking() {
    let scene = Fixture::make().await;
    let versions = [Component::accepting(), Component::at_most(1_000_000)];
    let mut hashes = Vec::new();
    for component in &versions {
        hashes.push(upload(&scene.platform.engine, &scene.owner, "swapped", component).await);
    }
    let plugins = scene.platform.engine.plugins();
    plugins
        .activate(&scene.owner, using("swapped", hashes[0]))
        .await
        .expect("a version that can be used");
    let customers = join_all((0..8).map(|number| {
        let scene = &scene;
        async move {
            let name = format!("c{number}");
            scene.platform.customer(&scene.tenant, &name).await
        }
    }))
    .await;
    let (is_over, booked) = (AtomicBool::new(false), [const { AtomicU32::new(0) }; 8]);
    let booking = join_all(customers.iter().zip(&booked).map(|(customer, booked)| {
        let (scene, is_over) = (&scene, &is_over);
        async move {
            while !is_over.load(Ordering::Relaxed) {
                scene.book_as(customer).await.expect("no failed booking");
                booked.fetch_add(1, Ordering::Relaxed);
            }
        }
    }));
    let counts = || booked.each_ref().map(|one| one.load(Ordering::Relaxed));
    let swapping = async {
        for round in 0..4 {
            // No decision meets two swaps: everybody has made a whole booking in between.
            let before = counts();
            wait_until(Patience::WORK, "everybody to book", || {
                let all = counts()
                    .iter()
                    .zip(before)
                    .all(|(now, then)| *now >= then + 2);
                async move { all }
            })
            .await;
            plugins
                .activate(&scene.owner, using("swapped", hashes[(round + 1) % 2]))
                .await
                .expect("a version that can be used");
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(booking, swapping);
    assert_eq!(scene.sold().await, counts().iter().sum::<u32>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_without_plugins_refuses_what_it_cannot_ask() {
    let folder = boxoffice_tests::TempFolder::new("without-plugins");
    let store = boxoffice_engine::Store::Embedded(folder.join("db"));
    let scene_host = boxoffice_tests::plugin_host(boxoffice_tests::plugin_settings());
    let (tenant, event, customer) = {
        let engine = boxoffice_engine::Engine::builder()
            .store(store.clone())
            .plugins(scene_host)
            .build()
            .await
            .expect("an engine");
        let (tenant, organizer, _) = boxoffice_tests::organizer_and_tenant(&engine, "north").await;
        let owner = owner_of(&engine, &tenant).await;
        let now = jiff::Timestamp::now();
        let event = boxoffice_tests::create_event(&engine, &organizer, now, 10).await;
        let email = boxoffice_tests::email("ann", &tenant);
        let customer = boxoffice_tests::ensure_customer(&engine, &tenant, "ann", email).await;
        boxoffice_tests::put_into_use(&engine, &owner, "any", &Component::accepting()).await;
        let closed = engine.close(std::time::Duration::from_secs(30)).await;
        assert!(closed, "nobody else has a handle");
        (tenant, event.id, customer)
    };
    let engine = boxoffice_engine::Engine::builder().store(store.clone());
    let engine = engine.build().await.expect("the store was closed");
    let command = boxoffice_engine::BookTickets::general(event, 1);
    let outcome = engine.bookings().book_tickets(&customer, command).await;
    assert_eq!(code(outcome), "policy-unavailable");
    let platform = boxoffice_engine::Caller::platform(tenant.as_str());
    let seen = engine.events().show(&platform, event).await;
    assert_eq!(seen.expect("the event").event.tickets_sold, 0);
}

#[test]
fn failures_say_what_they_are() {
    // What a failure means is decided by its kind, never by its text.
    let failures = [
        HookFailure::Failed("x".to_owned()),
        HookFailure::NotLoaded("x".to_owned()),
    ];
    assert_ne!(failures[0], failures[1]);
    assert_eq!(failures[0].to_string(), failures[1].to_string());
}

async fn upload_again(
    scene: &Fixture,
    name: &str,
    component: &[u8],
) -> boxoffice_engine::PluginHash {
    upload(&scene.platform.engine, &scene.owner, name, component).await
}

/// An event whose tickets cost 1,000.
async fn dear_event(scene: &Fixture) -> boxoffice_engine::EventId {
    let (platform, organizer) = (&scene.platform, &scene.organizer);
    let now = platform.clock.now();
    let event = create_priced_event(&platform.engine, organizer, now, 1_000, 1_000).await;
    event.id
}
