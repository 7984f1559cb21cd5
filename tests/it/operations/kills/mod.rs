//! Goal: each customer hears once, whatever is killed and whatever the mail server does. Nobody is lost and nobody is
//! told twice, but for deliveries that the ledger itself lists as `unknown`.
//!
//! Method: two `boxoffice serve`, three `boxoffice worker`, nats-server, a SurrealDB server on disk and an SMTP server, all
//! as processes, and a crowd with a booking each. Each round moves the event to another place, does something bad at a
//! random moment, waits until the ledger calls every delivery final, and compares the ledger, customer by customer,
//! with what the SMTP server took over. A second company has a cluster of three nats-servers, one of which is killed.
//!
//! The seed is printed, and BOXOFFICE_SEED=N repeats it. BOXOFFICE_ROUNDS=N plays every kind of trouble N times, with a
//! storm of several after each if N > 1; BOXOFFICE_CUSTOMERS=N makes another crowd, and
//! BOXOFFICE_TROUBLE=Store,Drain keeps to some kinds. The long form has 3 rounds and 10,000 customers.

mod installation;

use boxoffice_tests::{LoadFixture, NatsCluster, SmtpServer, SurrealServer, is_long_run, seeded};
use rand::Rng as _;

use installation::{Installation, config};

/// Connections of a worker to the SMTP server, and so the most mails that one death leaves in doubt.
const CONNECTIONS: usize = 4;
const WORKERS: usize = 3;

/// What happens while the mails of a round go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Two workers are killed, one after the other, and replaced.
    Worker,
    /// The process that holds the relay's lease is killed, be it a host or a worker.
    Relay,
    /// The broker is killed and comes back with its store.
    Broker,
    /// The broker comes back without its store.
    Wipe,
    /// The SurrealDB server is killed and comes back with its store.
    Store,
    /// Hosts and workers are asked to end, all at once, and others take their places.
    Drain,
    /// The SMTP server answers 451 to everybody for a while.
    Busy,
    /// The SMTP server answers 550 to a tenth of the customers.
    Refusals,
    /// The SMTP server resets connections: at RCPT, within the message, and after it was stored.
    Cuts,
    /// Kills of everything, and resets.
    Storm,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::Worker,
        Self::Relay,
        Self::Broker,
        Self::Wipe,
        Self::Store,
        Self::Drain,
        Self::Busy,
        Self::Refusals,
        Self::Cuts,
    ];

    /// The most deliveries that may end `unknown` because of it, cut connections apart.
    fn doubts_max(self) -> usize {
        match self {
            Self::Worker => 2 * CONNECTIONS,
            // The holder may be a worker.
            Self::Relay => CONNECTIONS,
            // A worker gives up what it cannot write down for as long as a lease.
            Self::Store => WORKERS * CONNECTIONS,
            Self::Storm => (3 + WORKERS) * CONNECTIONS,
            Self::Broker | Self::Wipe | Self::Drain | Self::Busy | Self::Refusals | Self::Cuts => 0,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_customer_hears_once_whatever_is_killed() {
    let mut random = seeded();
    let customers = number_from("BOXOFFICE_CUSTOMERS");
    let customers = customers.map_or(if is_long_run() { 10_000 } else { 160 }, |number| {
        usize::try_from(number).expect("a crowd that fits")
    });
    let rounds = number_from("BOXOFFICE_ROUNDS").unwrap_or(if is_long_run() { 3 } else { 1 });
    let mut company = Installation::gather(customers).await;
    for _ in 0..rounds {
        for trouble in Fault::ALL.into_iter().filter(is_wanted) {
            company.round(trouble, random.random()).await;
        }
        // A storm takes as long as all of them together.
        if rounds > 1 && is_wanted(&Fault::Storm) {
            company.round(Fault::Storm, random.random()).await;
        }
    }
    company.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_a_node_loses_no_mail() {
    let mut random = seeded();
    let mut cluster = NatsCluster::start().await;
    let (server, smtp) = (
        SurrealServer::start_on_disk().await,
        SmtpServer::start().await,
    );
    let crowd = LoadFixture::gather(server, if is_long_run() { 2_000 } else { 100 }).await;
    let config = config(&crowd, &smtp).nats_cluster(&cluster);
    let mut company = Installation::assemble(crowd, smtp, None, config).await;
    for number in 0..if is_long_run() { 3 } else { 1 } {
        let (organizer, notification) = company.announce(number).await;
        let at = random.random_range(1..company.crowd.count());
        company.wait_for_mails(&notification, at).await;
        let node = random.random_range(0..cluster.servers.len());
        println!("round {number}: node {node} killed after {at} mails");
        cluster.servers[node].down();
        company
            .finish(&organizer, &notification, Fault::Broker)
            .await;
        cluster.servers[node].up().await;
    }
    company.end().await;
}

/// Whether a kind is among those asked for; all are, unless BOXOFFICE_TROUBLE names some.
fn is_wanted(trouble: &Fault) -> bool {
    let wanted = std::env::var("BOXOFFICE_TROUBLE");
    wanted.map_or(true, |names| {
        names.split(',').any(|name| name == format!("{trouble:?}"))
    })
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} must be a whole number")),
    )
}
