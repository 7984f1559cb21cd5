//! All processes of an installation with the crowd they serve, what can be done to them, and the comparison of the
//! ledger with what arrived. Used by the tests beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use boxoffice_tests::{
    Account, Config, LoadFixture, NatsServer, Patience, Program, SmtpLog, SmtpServer,
    SurrealServer, assert_verified, pass_time, wait_until, wait_until_final_within,
};
use futures::future::join_all;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::{CONNECTIONS, Fault, WORKERS};

const HOSTS: usize = 2;

/// All processes of an installation, and the crowd they serve.
pub(super) struct Installation {
    pub(super) crowd: LoadFixture,
    event: Value,
    smtp: SmtpServer,
    log: SmtpLog,
    /// None where a test keeps the broker itself.
    nats: Option<NatsServer>,
    config: PathBuf,
    hosts: Vec<Program>,
    workers: Vec<Program>,
    rounds: usize,
}

impl Installation {
    /// Starts everything, and lets everybody book and hear so.
    pub(super) async fn gather(customers: usize) -> Self {
        let begun = Instant::now();
        let (server, smtp) = (
            SurrealServer::start_on_disk().await,
            SmtpServer::start().await,
        );
        let nats = NatsServer::start().await;
        let crowd = LoadFixture::gather(server, customers).await;
        let config = config(&crowd, &smtp).nats(&nats);
        let company = Self::assemble(crowd, smtp, Some(nats), config).await;
        println!(
            "{customers} customers are ready after {:.1?}",
            begun.elapsed()
        );
        company
    }

    pub(super) async fn assemble(
        crowd: LoadFixture,
        smtp: SmtpServer,
        nats: Option<NatsServer>,
        config: Config,
    ) -> Self {
        smtp.control(&json!({"keep": "log"}));
        let config = config.write(&crowd.folder, "boxoffice.toml");
        let (hosts, workers) = tokio::join!(
            join_all((0..HOSTS).map(|_| Program::serve(&config))),
            join_all((0..WORKERS).map(|_| Program::worker(&config))),
        );
        let organizer = crowd.organizer(&hosts[0]).await;
        let event = crowd.booked_event(&organizer).await;
        let mut company = Self {
            log: smtp.open_log(),
            rounds: 0,
            crowd,
            event,
            smtp,
            nats,
            config,
            hosts,
            workers,
        };
        let bound = company.bound();
        wait_until(bound, "the confirmations", || {
            let there = company.log.read().len() >= company.crowd.count();
            async move { there }
        })
        .await;
        company
    }

    /// One change, one kind of trouble, and everybody is told once. Times are drawn from the seed: trouble comes at any moment
    /// and lasts for any time.
    pub(super) async fn round(&mut self, trouble: Fault, seed: u64) {
        let (begun, number) = (Instant::now(), self.rounds);
        self.rounds += 1;
        let mut random = StdRng::seed_from_u64(seed);
        self.begin_mail_faults(trouble, &mut random);
        let (organizer, notification) = self.announce(number).await;
        // A moment of the fan-out, or one of the deliveries, if there are any.
        let at = match random.random_bool(0.25) || trouble == Fault::Busy {
            true => 0,
            false => random.random_range(1..self.crowd.count()),
        };
        let pause = Duration::from_millis(random.random_range(0..400));
        self.wait_for_mails(&notification, at).await;
        pass_time(pause).await;
        println!("round {number}: {trouble:?} {pause:?} after {at} mails");
        self.inject_fault(trouble, &organizer, &notification, &mut random)
            .await;
        // Whoever was signed in at a host that is gone goes on at another.
        let organizer = Account {
            client: organizer.client.at(&self.hosts[0].client()),
            ..organizer
        };
        self.finish(&organizer, &notification, trouble).await;
        self.smtp.control(&json!({"keep": "log"}));
        println!("round {number}: {:.1?}", begun.elapsed());
    }

    /// Moves the event; answers who did, and the notification.
    pub(super) async fn announce(&self, number: usize) -> (Account, String) {
        let organizer = self.crowd.organizer(&self.hosts[0]).await;
        let place = format!("Hall {number}");
        let notification = self.crowd.move_event(&organizer, &self.event, &place).await;
        (organizer, notification)
    }

    fn begin_mail_faults(&self, trouble: Fault, random: &mut StdRng) {
        let cut = |share: f64, random: &mut StdRng| {
            let seed = random.random::<u32>();
            json!({"keep": "log", "cut": {
                "seed": seed, "atRecipient": share, "inData": share, "afterDot": share,
            }})
        };
        let faults = match trouble {
            Fault::Busy => json!({"keep": "log", "refuse": "451 4.3.0 busy"}),
            Fault::Refusals => {
                json!({"keep": "log", "refuse": "550 5.1.1 nobody here by that name", "ending": "7"})
            }
            Fault::Cuts => cut(0.05, random),
            Fault::Storm => cut(0.01, random),
            // So that there is something in flight to wait for.
            Fault::Drain => json!({"keep": "log", "delayMillis": 100}),
            _ => json!({"keep": "log"}),
        };
        self.smtp.control(&faults);
    }

    async fn inject_fault(
        &mut self,
        trouble: Fault,
        organizer: &Account,
        notification: &str,
        random: &mut StdRng,
    ) {
        let away = Duration::from_millis(random.random_range(0..3_000));
        match trouble {
            Fault::Worker => {
                for _ in 0..2 {
                    self.kill_worker(random).await;
                    pass_time(away / 4).await;
                }
            }
            Fault::Relay => self.kill_relay().await,
            Fault::Broker | Fault::Wipe => {
                let nats = self.nats.as_mut().expect("a broker of ours");
                nats.down();
                if trouble == Fault::Wipe {
                    nats.wipe();
                }
                pass_time(away).await;
                nats.up().await;
            }
            Fault::Store => {
                self.crowd.server.down();
                pass_time(away).await;
                self.crowd.server.up().await;
            }
            Fault::Drain => self.drain(organizer, notification).await,
            Fault::Busy => {
                pass_time(away).await;
                self.smtp.control(&json!({"keep": "log"}));
            }
            Fault::Refusals | Fault::Cuts => {}
            Fault::Storm => self.storm(notification, random).await,
        }
    }

    /// Everything is killed once, in any order, at any time.
    async fn storm(&mut self, notification: &str, random: &mut StdRng) {
        let mut left = vec![
            Fault::Worker,
            Fault::Relay,
            Fault::Broker,
            Fault::Wipe,
            Fault::Store,
        ];
        while !left.is_empty() {
            let next = left.swap_remove(random.random_range(0..left.len()));
            println!("storm: {next:?}");
            let organizer = self.crowd.organizer(&self.hosts[0]).await;
            Box::pin(self.inject_fault(next, &organizer, notification, random)).await;
            let pause = Duration::from_millis(random.random_range(0..5_000));
            pass_time(pause).await;
        }
    }

    async fn kill_worker(&mut self, random: &mut StdRng) {
        let at = random.random_range(0..self.workers.len());
        self.workers.swap_remove(at).kill();
        self.workers.push(Program::worker(&self.config).await);
    }

    /// Kills whoever said last that it took the relay's lease.
    async fn kill_relay(&mut self) {
        let last = |programs: &[Program]| {
            let taken = programs.iter().enumerate();
            taken
                .filter_map(|(index, program)| Some((relay_taken_at(program)?, index)))
                .max()
        };
        let (host, worker) = (last(&self.hosts), last(&self.workers));
        let (holders, is_host) = match host > worker {
            true => (&mut self.hosts, true),
            false => (&mut self.workers, false),
        };
        let (_, index) = host.max(worker).expect("somebody is the relay");
        println!("the relay is a {}", if is_host { "host" } else { "worker" });
        holders.remove(index).kill();
        holders.push(match is_host {
            true => Program::serve(&self.config).await,
            false => Program::worker(&self.config).await,
        });
    }

    /// Asks all to end, sees that they handed everything back, and lets others finish.
    async fn drain(&mut self, organizer: &Account, notification: &str) {
        let leaving: Vec<Program> = self.hosts.drain(..).chain(self.workers.drain(..)).collect();
        let begun = Instant::now();
        for program in &leaving {
            program.signal("TERM");
        }
        for program in leaving {
            let output = program.stopped().await;
            assert!(
                !output.contains("did not stop in time"),
                "it did not hand back what it held within its own bound:\n{output}"
            );
        }
        println!("all ended after {:.1?}", begun.elapsed());
        let host = Program::serve(&self.config).await;
        let path = format!("/api/notifications/{notification}");
        let shown = organizer.client.at(&host.client()).get(&path).await;
        let counts = &shown.expect(200)["deliveries"];
        assert_eq!(
            (&counts["sending"], &counts["unknown"]),
            (&json!(0), &json!(0)),
            "what was in flight was finished: {counts}"
        );
        self.hosts.push(host);
        let (hosts, workers) = tokio::join!(
            join_all((1..HOSTS).map(|_| Program::serve(&self.config))),
            join_all((0..WORKERS).map(|_| Program::worker(&self.config))),
        );
        println!("all are replaced after {:.1?}", begun.elapsed());
        self.hosts.extend(hosts);
        self.workers.extend(workers);
    }

    /// Waits until this many mails of a notification arrived, or there are no more to come.
    pub(super) async fn wait_for_mails(&mut self, notification: &str, count: usize) {
        let bound = self.bound();
        // Those that are cut, refused or late never arrive: after a while the moment is as good as any.
        let begun = Instant::now();
        let patience = bound / 4;
        wait_until(bound, "some mails", || {
            let there = self.arrived(notification).values().sum::<usize>();
            let enough = there >= count || begun.elapsed() > patience;
            async move { enough }
        })
        .await;
    }

    /// Waits until the ledger calls everything final, and compares it with what arrived.
    pub(super) async fn finish(&mut self, organizer: &Account, notification: &str, trouble: Fault) {
        let shown = wait_until_final_within(self.bound(), organizer, notification).await;
        let ledger = self.crowd.ledger(organizer, notification).await;
        let arrived = self.arrived(notification);
        let cut = self.cut();
        let mut doubts = BTreeSet::new();
        for (address, delivery) in &ledger {
            let mails = arrived.get(address).copied().unwrap_or(0);
            let state = delivery["state"].as_str().expect("a state");
            let is_refused = trouble == Fault::Refusals
                && address
                    .split('@')
                    .next()
                    .is_some_and(|local| local.ends_with('7'));
            let is_right = match state {
                "sent" => mails == 1 && !is_refused && delivery["everUnknown"] == false,
                "dead" => mails == 0 && is_refused,
                "unknown" => mails <= 1 && delivery["everUnknown"] == true,
                _ => false,
            };
            assert!(is_right, "{address} has {mails} mails: {delivery}");
            if state == "unknown" && !cut.contains(address) {
                doubts.insert(address);
            }
        }
        let strangers: Vec<_> = arrived
            .keys()
            .filter(|address| !ledger.contains_key(*address))
            .collect();
        assert!(
            strangers.is_empty(),
            "mails to nobody we know: {strangers:?}"
        );
        assert!(
            doubts.len() <= trouble.doubts_max(),
            "{trouble:?} leaves at most {} in doubt, and no more than were on the wire: {doubts:?}",
            trouble.doubts_max()
        );
        println!("{trouble:?}: {}", shown["deliveries"]);
    }

    /// How many mails of a notification each recipient has.
    fn arrived(&mut self, notification: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for mail in self.log.read() {
            if mail.cut.is_none() && mail.message_id.contains(notification) {
                *counts.entry(mail.recipient.clone()).or_default() += 1;
            }
        }
        counts
    }

    /// Whose mails were cut off after they had been handed over, or while they were.
    fn cut(&mut self) -> BTreeSet<String> {
        let lines = self.log.read().iter();
        let cut = lines.filter(|mail| mail.cut.as_deref().is_some_and(|at| at != "at-recipient"));
        cut.map(|mail| mail.recipient.clone()).collect()
    }

    /// Ends everything in order, and looks once more for whoever was told twice, in any round.
    pub(super) async fn end(mut self) {
        for program in self.workers.drain(..).chain(self.hosts.drain(..)) {
            program.stop().await;
        }
        assert_verified(&self.crowd.engine).await;
        let mut mails: BTreeMap<(String, String), usize> = BTreeMap::new();
        for mail in self.log.read().iter().filter(|mail| mail.cut.is_none()) {
            let key = (mail.recipient.clone(), mail.message_id.clone());
            *mails.entry(key).or_default() += 1;
        }
        let twice: Vec<_> = mails.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "told twice: {twice:?}");
    }

    fn bound(&self) -> Duration {
        // Debug builds on two busy cores pass some tens of mails a second.
        Patience::WORK
            + Duration::from_millis(100) * u32::try_from(self.crowd.count()).unwrap_or(u32::MAX)
    }
}

pub(super) fn config(crowd: &LoadFixture, smtp: &SmtpServer) -> Config {
    Config::remote(&crowd.server)
        .smtp(smtp)
        .raw("mail.smtp", "connections_max", &CONNECTIONS.to_string())
        .raw("http", "throttle_logins", "false")
}

/// When a program last said that it took the relay's lease: the time its line begins with (RFC 3339), sorted as text.
fn relay_taken_at(program: &Program) -> Option<String> {
    let output = program.output();
    let mut lines = output.lines();
    let took = lines.rfind(|line| line.contains("took a lease") && line.contains("\"relay\""))?;
    took.split_whitespace().next().map(str::to_owned)
}
