//! Goal: with several hosts on one database, a decision is valid only for what it saw: two tickets each are two tickets
//! each, and a policy that was acknowledged is in force for everything acknowledged later. A host is ready once it has what is
//! in use, and what fails at several hosts is counted together.
//!
//! Method: two engines with plugin hosts of their own on one SurrealDB server; fifty requests of one customer at once, half
//! at each; and bookings that wait at both while a policy is switched on and off. What the store says right after the
//! switch was acknowledged must be what it says in the end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use boxoffice_engine::{BookTickets, Engine, PluginExport};
use boxoffice_tests::{
    Component, Patience, SurrealServer, create_event, email, ensure_customer, organizer_and_tenant,
    owner_of, plugin_host, plugin_settings, put_into_use, quick_settings, upload, using,
    wait_until,
};
use futures::future::join_all;

use super::{code, examples::example};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tickets_each_are_exactly_two_through_two_hosts() {
    exactly_two_are_sold(&Component::at_most(2), "{}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_max_per_customer_sells_exactly_two_through_two_hosts() {
    exactly_two_are_sold(&example("max-per-customer"), r#"{"max":2}"#).await;
}

/// Fifty requests of one customer at once, half at each host, under a policy that allows two tickets.
async fn exactly_two_are_sold(component: &[u8], config: &str) {
    let server = SurrealServer::start().await;
    let engines = [engine_on(&server).await, engine_on(&server).await];
    let (tenant, organizer, _) = organizer_and_tenant(&engines[0], "north").await;
    let owner = owner_of(&engines[0], &tenant).await;
    let version = upload(&engines[0], &owner, "two-each", component).await;
    let mut command = using("two-each", version);
    command.config = Some(config.to_owned());
    let activated = engines[0].plugins().activate(&owner, command).await;
    activated.expect("a version that can be used");
    let now = jiff::Timestamp::now();
    let event = create_event(&engines[0], &organizer, now, 100).await;
    let ann = ensure_customer(&engines[0], &tenant, "ann", email("ann", &tenant)).await;
    let outcomes = join_all((0..50).map(|index| {
        let (engine, ann) = (&engines[index % 2], &ann);
        async move {
            let command = BookTickets::general(event.id, 1);
            engine.bookings().book_tickets(ann, command).await
        }
    }))
    .await;
    let booked = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        let code = code(outcome);
        assert!(
            ["policy-rejected", "conflict-try-again"].contains(&code),
            "{code}"
        );
    }
    assert_eq!(booked, 2);
    let seen = engines[1].events().show(&organizer, event.id).await;
    assert_eq!(seen.expect("the event").event.tickets_sold, 2);
    let late = BookTickets::general(event.id, 1);
    let outcome = engines[1].bookings().book_tickets(&ann, late).await;
    assert_eq!(code(outcome), "policy-rejected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_booked_on_a_decision_of_before_a_policys_change() {
    let server = SurrealServer::start().await;
    let engines = [engine_on(&server).await, engine_on(&server).await];
    let (tenant, organizer, _) = organizer_and_tenant(&engines[0], "north").await;
    let owner = owner_of(&engines[0], &tenant).await;
    let now = jiff::Timestamp::now();
    let event = create_event(&engines[0], &organizer, now, 100_000).await.id;
    put_into_use(&engines[0], &owner, "never", &Component::rejecting()).await;
    let mut customers = Vec::new();
    for number in 0..12 {
        let name = format!("c{number}");
        customers.push(ensure_customer(&engines[0], &tenant, &name, email(&name, &tenant)).await);
    }
    let plugins = engines[0].plugins();
    let version = plugins.in_use(&owner).await.expect("a set").plugins[0].version;
    let sold = || async {
        let seen = engines[0].events().show(&organizer, event).await;
        seen.expect("the event").event.tickets_sold
    };
    let switch = |enabled: bool| {
        let (plugins, owner) = (&plugins, &owner);
        async move {
            let mut command = using("never", version);
            command.enabled = Some(enabled);
            plugins.activate(owner, command).await.expect("a switch");
        }
    };
    let mut booked_in_all = 0;
    for round in 0..6 {
        switch(false).await;
        let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        let booking = join_all(customers.iter().enumerate().map(|(index, customer)| {
            let (engine, stop, answered) = (&engines[index % 2], &stop, &answered);
            async move {
                let mut refused = 0;
                while !stop.load(Ordering::Relaxed) || refused == 0 {
                    let command = BookTickets::general(event, 1);
                    let outcome = engine.bookings().book_tickets(customer, command).await;
                    answered.fetch_add(1, Ordering::Relaxed);
                    if let Err(error) = outcome {
                        let code = error.code().as_str();
                        assert!(
                            ["policy-rejected", "conflict-try-again"].contains(&code),
                            "{code}"
                        );
                        refused += u32::from(code == "policy-rejected");
                    }
                }
            }
        }));
        let switching = async {
            answers_after(&answered, 24 + 5 * round).await;
            switch(true).await;
            let at_once = sold().await;
            // Twice as many as can be under way: half of them were asked for after the switch.
            answers_after(&answered, 24).await;
            stop.store(true, Ordering::Relaxed);
            at_once
        };
        let (_, at_once) = tokio::join!(booking, switching);
        assert_eq!(
            sold().await,
            at_once,
            "round {round}: something was booked after the policy was acknowledged"
        );
        assert!(
            at_once > booked_in_all,
            "nothing was booked while it was off"
        );
        booked_in_all = at_once;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_lacks_a_plugin_in_use_is_not_ready_until_it_has_it() {
    let server = SurrealServer::start().await;
    let first = engine_on(&server).await;
    let (tenant, organizer, _) = organizer_and_tenant(&first, "north").await;
    let owner = owner_of(&first, &tenant).await;
    let now = jiff::Timestamp::now();
    let event = create_event(&first, &organizer, now, 100).await.id;
    let ann = ensure_customer(&first, &tenant, "ann", email("ann", &tenant)).await;
    assert!(first.ready().await.is_ok(), "nothing is in use");
    let set = put_into_use(&first, &owner, "any", &Component::accepting()).await;
    let version = set.plugins[0].version;

    let second = engine_on(&server).await;
    let error = second.ready().await.expect_err("it was not brought here");
    assert_eq!(error.code().as_str(), "unavailable");
    let name = &version.to_string()[..12];
    assert!(error.detail().contains(name), "{}", error.detail());
    assert!(!error.detail().contains("north"), "{}", error.detail());
    wait_until(Patience::WORK, "the plugin to be brought over", || async {
        second.ready().await.is_ok()
    })
    .await;
    let command = BookTickets::general(event, 1);
    let booked = second.bookings().book_tickets(&ann, command).await;
    assert!(booked.is_ok(), "{booked:?}");

    // What the other host activates later is noticed, too.
    let other = upload(&first, &owner, "other", &Component::priced(3)).await;
    let activated = first
        .plugins()
        .activate(&owner, using("other", other))
        .await;
    activated.expect("a version that can be used");
    wait_until(Patience::WORK, "the change to be noticed", || async {
        second.ready().await.is_err()
    })
    .await;
    wait_until(Patience::WORK, "the plugin to be brought over", || async {
        second.ready().await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_at_two_hosts_quarantine_together() {
    let server = SurrealServer::start().await;
    let engines = [engine_on(&server).await, engine_on(&server).await];
    let (tenant, organizer, _) = organizer_and_tenant(&engines[0], "north").await;
    let owner = owner_of(&engines[0], &tenant).await;
    let now = jiff::Timestamp::now();
    let event = create_event(&engines[0], &organizer, now, 100).await.id;
    put_into_use(&engines[0], &owner, "ill", &Component::trapping()).await;
    for number in 0..5 {
        let in_use = engines[1].plugins().in_use(&owner).await.expect("a set");
        assert_eq!(in_use.plugins[0].quarantines, [], "after {number}");
        let name = format!("c{number}");
        let customer = ensure_customer(&engines[0], &tenant, &name, email(&name, &tenant)).await;
        let command = BookTickets::general(event, 1);
        let outcome = engines[number % 2].bookings();
        let outcome = outcome.book_tickets(&customer, command).await;
        assert_eq!(code(outcome), "policy-unavailable");
    }
    let in_use = engines[1].plugins().in_use(&owner).await.expect("a set");
    let quarantine = in_use.plugins[0].quarantine(PluginExport::ValidateBooking);
    assert!(quarantine.is_some(), "{in_use:?}");
}

/// An engine with a plugin host of its own on the server.
async fn engine_on(server: &SurrealServer) -> Engine {
    let engine = Engine::builder()
        .store(server.store())
        .settings(quick_settings())
        .plugins(plugin_host(plugin_settings()));
    engine.build().await.expect("an engine on the server")
}

/// Waits until so many more bookings were answered.
async fn answers_after(answered: &AtomicUsize, more: usize) {
    let before = answered.load(Ordering::Relaxed);
    wait_until(Patience::WORK, "more answers", || async {
        answered.load(Ordering::Relaxed) >= before + more
    })
    .await;
}
