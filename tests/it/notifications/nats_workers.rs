//! Goal: API, workers, store and broker as four kinds of processes: each customer hears once, whatever becomes of the
//! broker.
//!
//! Method: `boxoffice serve` and `boxoffice worker` on one SurrealDB server and one nats-server, mails in a folder. An
//! update is published with everything up; with the broker killed while mails go out; and bookings are made while
//! there is no broker at all.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use boxoffice_tests::{
    Config, LoadFixture, NatsServer, Patience, Program, count_mails, read_mails, wait_until,
    wait_until_final,
};
use serde_json::json;

use crate::notifications::workers::{CUSTOMERS, crowd};

/// A crowd, a broker, the folder of mails, and the configuration of the programs.
async fn with_broker() -> (LoadFixture, NatsServer, PathBuf, PathBuf) {
    let (crowd, nats) = (crowd().await, NatsServer::start().await);
    let mails = crowd.folder.join("mails");
    let config = Config::remote(&crowd.server)
        .nats(&nats)
        .mail_folder(&mails)
        .write(&crowd.folder, "boxoffice.toml");
    (crowd, nats, mails, config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_customer_hears_once_through_nats_from_two_workers() {
    let (crowd, nats, mails, config) = with_broker().await;
    let host = Program::serve(&config).await;
    let workers = [
        Program::worker(&config).await,
        Program::worker(&config).await,
    ];
    let organizer = crowd.organizer(&host).await;
    let event = crowd.booked_event(&organizer).await;
    confirmations(&mails).await;
    let notification = crowd.move_event(&organizer, &event, "New Hall").await;
    let shown = wait_until_final(&organizer, &notification).await;
    assert_eq!(shown["deliveries"]["sent"], json!(CUSTOMERS));
    assert!(
        nats.stored("BOXOFFICE_BULK").await > 0,
        "the tasks went through the broker"
    );
    for worker in workers {
        worker.stop().await;
    }
    host.stop().await;
    one_update_each(&mails, &crowd);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_while_mails_go_out_costs_nobody_a_mail() {
    let (crowd, mut nats, mails, config) = with_broker().await;
    let host = Program::serve(&config).await;
    let worker = Program::worker(&config).await;
    let organizer = crowd.organizer(&host).await;
    let event = crowd.booked_event(&organizer).await;
    confirmations(&mails).await;
    let notification = crowd.move_event(&organizer, &event, "New Hall").await;
    wait_until(Patience::WORK, "the first mails", || async {
        count_mails(&mails) > CUSTOMERS
    })
    .await;
    nats.down();
    nats.up().await;
    let shown = wait_until_final(&organizer, &notification).await;
    assert_eq!(shown["deliveries"]["sent"], json!(CUSTOMERS));
    worker.stop().await;
    host.stop().await;
    one_update_each(&mails, &crowd);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bookings_need_no_broker_and_their_mails_follow() {
    let (crowd, mut nats, mails, config) = with_broker().await;
    // One host that saw the broker go, one that has never seen it.
    let early = Program::serve(&config).await;
    nats.down();
    let late = Program::serve(&config).await;
    let worker = Program::worker(&config).await;
    let organizer = crowd.organizer(&early).await;
    let event = crowd.booked_event(&organizer).await;
    let customer = late
        .client()
        .tenant("north")
        .register("late@north.test", "customer")
        .await;
    let booked = customer.client.post(
        "/api/bookings",
        json!({"eventId": event["id"], "numTickets": 1}),
    );
    booked.await.expect(201);
    assert_eq!(count_mails(&mails), 0, "there is no way for them yet");

    nats.up().await;
    wait_until(Patience::WORK, "the confirmations", || async {
        count_mails(&mails) > CUSTOMERS
    })
    .await;
    worker.stop().await;
    early.stop().await;
    late.stop().await;
    let mut told = crowd.addresses();
    told.insert("late@north.test".to_owned());
    let mails = read_mails(&mails);
    assert_eq!(mails.len(), CUSTOMERS + 1, "one confirmation each");
    let to: BTreeSet<String> = mails.iter().map(|mail| mail.to[0].clone()).collect();
    assert_eq!(to, told);
}

async fn confirmations(mails: &Path) {
    wait_until(Patience::WORK, "the confirmations", || async {
        count_mails(mails) >= CUSTOMERS
    })
    .await;
}

fn one_update_each(mails: &Path, crowd: &LoadFixture) {
    let updates: Vec<String> = read_mails(mails)
        .into_iter()
        .filter(|mail| mail.text.contains("New Hall"))
        .map(|mail| mail.to[0].clone())
        .collect();
    assert_eq!(updates.len(), CUSTOMERS);
    assert_eq!(
        updates.into_iter().collect::<BTreeSet<_>>(),
        crowd.addresses()
    );
    assert_eq!(
        count_mails(mails),
        2 * CUSTOMERS,
        "one confirmation and one update each"
    );
}
