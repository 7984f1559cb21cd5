//! Goal: worker processes separate from the API do all work, and one that is killed in the middle costs nobody a
//! mail and sends nobody two.
//!
//! Method: `boxoffice serve` and `boxoffice worker` as separate processes on one SurrealDB server. The worker is
//! killed with SIGKILL while mails go out, and another one is started. Over the folder mailer there is then exactly one
//! mail each. Over SMTP the server holds mails, so that the moment is certain: before it has stored any, and then who
//! has none is exactly who the ledger lists as `unknown`; or after some were stored, and then nobody has two.

use std::collections::{BTreeMap, BTreeSet};

use boxoffice_tests::{
    Config, LoadFixture, Patience, Program, SmtpServer, SurrealServer, count_mails, is_final,
    read_mails, wait_until, wait_until_final,
};
use serde_json::json;

/// Several batches of recipients, the last one not full.
pub(crate) const CUSTOMERS: usize = 80;
/// Connections of a worker to the SMTP server.
const CONNECTIONS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_leaves_exactly_one_mail_each_in_a_folder() {
    let crowd = crowd().await;
    let mails = crowd.folder.join("mails");
    let config = Config::remote(&crowd.server)
        .mail_folder(&mails)
        .write(&crowd.folder, "boxoffice.toml");
    let host = Program::serve(&config).await;
    let organizer = crowd.organizer(&host).await;
    let event = crowd.booked_event(&organizer).await;
    let confirmations = Program::worker(&config).await;
    wait_until(Patience::WORK, "the confirmations", || async {
        count_mails(&mails) >= CUSTOMERS
    })
    .await;
    confirmations.stop().await;

    let notification = crowd.move_event(&organizer, &event, "New Hall").await;
    // Twice: a third claim that ends without settlement would be taken for poison.
    for killed_after in [10, 45] {
        let worker = Program::worker(&config).await;
        wait_until(Patience::WORK, "some more mails", || async {
            count_mails(&mails) >= CUSTOMERS + killed_after
        })
        .await;
        worker.kill();
    }
    let worker = Program::worker(&config).await;
    let shown = wait_until_final(&organizer, &notification).await;
    worker.stop().await;
    assert_eq!(shown["deliveries"]["sent"], json!(CUSTOMERS));
    assert_eq!(
        shown["deliveries"]["everUnknown"], 0,
        "a folder leaves no doubt"
    );
    let updates: Vec<String> = read_mails(&mails)
        .into_iter()
        .filter(|mail| mail.text.contains("New Hall"))
        .map(|mail| mail.to[0].clone())
        .collect();
    assert_eq!(updates.len(), CUSTOMERS);
    assert_eq!(
        updates.iter().cloned().collect::<BTreeSet<_>>(),
        crowd.addresses()
    );
    assert_eq!(
        count_mails(&mails),
        2 * CUSTOMERS,
        "one confirmation and one update each"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_on_the_wire_when_the_worker_dies_are_listed_as_unknown() {
    // Held before anything is stored: the dead worker's mails never arrive, and nobody else's had arrived.
    let outcome = killed_while_held("before-store", 0).await;
    outcome.check();
    assert!(
        !outcome.unknown.is_empty(),
        "the worker was killed with mails on the wire"
    );
    assert_eq!(
        outcome.without_mail(),
        outcome.unknown,
        "without a mail are exactly those listed unknown"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_that_arrived_when_the_worker_died_are_not_sent_again() {
    // Held after they are stored: the dead worker's last mails did arrive, nobody told it (RFC 1047).
    let outcome = killed_while_held("after-store", 40).await;
    outcome.check();
    let without = outcome.without_mail();
    assert!(
        without.is_subset(&outcome.unknown),
        "without a mail and not unknown: {without:?}, {:?}",
        outcome.unknown
    );
    assert!(
        without.len() < outcome.unknown.len(),
        "some of the unknown ones did arrive"
    );
}

/// A crowd on a store in memory.
pub(crate) async fn crowd() -> LoadFixture {
    LoadFixture::gather(SurrealServer::start().await, CUSTOMERS).await
}

/// Who got how many mails about the change, and whose delivery ended `unknown`.
struct Outcome {
    all: BTreeSet<String>,
    mails: BTreeMap<String, usize>,
    unknown: BTreeSet<String>,
}

impl Outcome {
    fn without_mail(&self) -> BTreeSet<String> {
        self.all
            .iter()
            .filter(|address| !self.mails.contains_key(*address))
            .cloned()
            .collect()
    }

    /// What holds however the worker died: nobody has two, and no more are unknown than were on the wire.
    fn check(&self) {
        let several: Vec<_> = self.mails.iter().filter(|(_, count)| **count > 1).collect();
        assert!(several.is_empty(), "more than one mail: {several:?}");
        let unknown = &self.unknown;
        assert!(
            unknown.len() <= CONNECTIONS,
            "{CONNECTIONS} connections carry no more mails at once than {unknown:?}"
        );
    }
}

/// Kills a worker while the SMTP server holds its mails, lets another one finish, and answers who has what.
async fn killed_while_held(hold: &str, passing: usize) -> Outcome {
    let crowd = crowd().await;
    let smtp = SmtpServer::start().await;
    let config = Config::remote(&crowd.server).smtp(&smtp).raw(
        "mail.smtp",
        "connections_max",
        &CONNECTIONS.to_string(),
    );
    let config = config.write(&crowd.folder, "boxoffice.toml");
    let host = Program::serve(&config).await;
    let organizer = crowd.organizer(&host).await;
    let event = crowd.booked_event(&organizer).await;
    let worker = Program::worker(&config).await;
    wait_until(Patience::WORK, "the confirmations", || async {
        smtp.count() >= CUSTOMERS
    })
    .await;

    let passing = CUSTOMERS + passing;
    smtp.control(&json!({"hold": hold, "pass": passing}));
    let notification = crowd.move_event(&organizer, &event, "New Hall").await;
    let path = format!("/api/notifications/{notification}");
    wait_until(
        Patience::WORK,
        "some mails to be out and the next ones held",
        || async {
            let shown = organizer.client.get(&path).await.expect(200);
            // A mail that is held after it was stored is on the wire and counted.
            let held = usize::from(hold == "after-store");
            let stored = smtp.count() >= passing + held;
            stored && shown["deliveries"]["sending"].as_u64() > Some(0) && !is_final(&shown)
        },
    )
    .await;
    worker.kill();
    smtp.release();
    let worker = Program::worker(&config).await;
    let shown = wait_until_final(&organizer, &notification).await;
    worker.stop().await;
    let counts = &shown["deliveries"];
    assert_eq!(
        counts["unknown"], counts["everUnknown"],
        "a bulk delivery that was unknown stays so: {shown}"
    );

    let ledger = crowd.ledger(&organizer, &notification).await;
    let unknown = ledger
        .into_iter()
        .filter(|(_, delivery)| delivery["state"] == "unknown");
    let unknown = unknown.map(|(address, _)| address).collect();
    Outcome {
        all: crowd.addresses(),
        mails: smtp.count_per_recipient("New Hall"),
        unknown,
    }
}
