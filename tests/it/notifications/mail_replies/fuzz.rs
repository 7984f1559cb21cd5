//! Goal: whatever a server says, no accepted mail is sent twice, none is lost, and every state is right.
//!
//! Method: replies drawn at random, a fate for each mail. The seed is printed, and BOXOFFICE_SEED=N plays it again.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use boxoffice_engine::{
    BookTickets, Caller, DeliveryState, EmailAddress, Engine, PageRequest,
    ports::{MailOutcome, Mailer as _},
};
use boxoffice_host::{SmtpMailer, SmtpSettings};
use boxoffice_tests::{
    Patience, ScriptedSmtp, SmtpQuestion, SmtpReply, SmtpStep, create_event, drain,
    ensure_customer, is_long_run, move_event, organizer_and_tenant, quick_settings, seed,
};
use jiff::Timestamp;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{
    forms::{FORMS, form},
    mail, number_in, ordinary, settings,
};

/// What the server has decided about a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    /// Taken, and the connection ends within the reply, behind its code.
    TakenAndCut,
    /// Refused with this code at this step.
    No(SmtpStep, u16),
    /// The connection ends at this step without a code.
    Silence(SmtpStep),
    /// Taken, and the connection ends without a code.
    TakenInSilence,
}

const STEPS: [SmtpStep; 4] = [
    SmtpStep::Mail,
    SmtpStep::Recipient,
    SmtpStep::Data,
    SmtpStep::Message,
];

impl Fate {
    fn draw(random: &mut StdRng) -> Self {
        let step = STEPS[random.random_range(0..STEPS.len())];
        match random.random_range(0..10) {
            0..4 => Self::Taken,
            4 => Self::TakenAndCut,
            5 => Self::No(step, random.random_range(400..=499)),
            // 530 at any step is about our account (RFC 4954).
            6 | 7 => Self::No(step, random.random_range(531..=599)),
            8 => Self::Silence(step),
            _ => Self::TakenInSilence,
        }
    }

    /// What the server says at a step of such a mail.
    fn reply(self, step: SmtpStep, random: &mut StdRng) -> SmtpReply {
        let code = if step == SmtpStep::Data {
            354
        } else {
            random.random_range(250..=259)
        };
        let yes = |random: &mut StdRng, code| SmtpReply::yes(any_form(code, random));
        match self {
            Self::No(at, code) if at == step => SmtpReply::no(any_form(code, random)),
            Self::Silence(at) if at == step => SmtpReply::no("").and_hang_up(),
            Self::TakenInSilence if step == SmtpStep::Message => SmtpReply::yes("2").and_hang_up(),
            Self::TakenAndCut if step == SmtpStep::Message => {
                let whole = format!("{code}-queued\r\n{code} ok");
                let length = random.random_range(3..=whole.len());
                SmtpReply::yes(&whole.as_bytes()[..length]).and_hang_up()
            }
            _ => yes(random, code),
        }
    }

    fn is_taken(self) -> bool {
        matches!(self, Self::Taken | Self::TakenAndCut | Self::TakenInSilence)
    }

    /// Whether this is how sending such a mail must end.
    fn fits(self, outcome: &MailOutcome) -> bool {
        match self {
            Self::Taken | Self::TakenAndCut => matches!(outcome, MailOutcome::Sent { .. }),
            Self::TakenInSilence | Self::Silence(SmtpStep::Message) => {
                matches!(outcome, MailOutcome::Unknown { .. })
            }
            // MAIL is about our sender, so about the account.
            Self::No(step, 500..) if step != SmtpStep::Mail => {
                matches!(outcome, MailOutcome::Refused { .. })
            }
            _ => matches!(outcome, MailOutcome::Deferred { .. }),
        }
    }
}

fn any_form(code: u16, random: &mut StdRng) -> Vec<u8> {
    form(random.random_range(0..FORMS.len()), code)
}

/// Random numbers that depend on the seed and what they are for, not on which connection is faster.
fn random_for(seed: u64, what: usize, question: &SmtpQuestion) -> StdRng {
    let step = question.step as u64;
    StdRng::seed_from_u64(seed ^ (what as u64).rotate_left(32) ^ step.rotate_left(56))
}

/// Greetings, EHLO refused or not, RSET understood or not: what no mail depends on.
fn around(question: &SmtpQuestion, random: &mut StdRng) -> SmtpReply {
    let code = match question.step {
        SmtpStep::Greeting => 220,
        SmtpStep::Ehlo if random.random_ratio(1, 3) => random.random_range(500..=504),
        SmtpStep::Reset if random.random_ratio(1, 3) => 502,
        SmtpStep::Quit => return ordinary(question),
        _ => 250,
    };
    SmtpReply::yes(any_form(code, random))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_server_says_outcomes_are_what_it_decided() {
    let seed = seed();
    let count = if is_long_run() { 20_000 } else { 600 };
    let mut random = StdRng::seed_from_u64(seed);
    let fates: Vec<Fate> = (0..count).map(|_| Fate::draw(&mut random)).collect();
    let decided = fates.clone();
    let server = ScriptedSmtp::start(move |question| {
        let number = number_in(&question.sender);
        let what = number.unwrap_or(usize::MAX - question.connection);
        let random = &mut random_for(seed, what, question);
        let reply = match number {
            Some(number) if STEPS.contains(&question.step) => {
                decided[number].reply(question.step, random)
            }
            _ => around(question, random),
        };
        if random.random_ratio(1, 8) {
            reply.dribbled()
        } else {
            reply
        }
    })
    .await;
    let settings = SmtpSettings {
        connections_max: 3,
        mails_per_connection_max: 20,
        ..settings(&server)
    };
    let mailer = SmtpMailer::new(settings).expect("settings that go together");
    let sending = (0..count).map(|number| {
        let mailer = &mailer;
        async move { mailer.send(&mail(number)).await }
    });
    let outcomes = futures::future::join_all(sending).await;
    let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
    for mail in server.taken() {
        assert_eq!(mail.message, super::MESSAGE);
        *taken
            .entry(number_in(&mail.recipient).expect("an address of ours"))
            .or_default() += 1;
    }
    for (number, (fate, outcome)) in fates.iter().zip(&outcomes).enumerate() {
        assert!(
            fate.fits(outcome),
            "mail {number}: {fate:?} became {outcome:?}"
        );
        let times = taken.get(&number).copied().unwrap_or_default();
        assert_eq!(
            times,
            usize::from(fate.is_taken()),
            "mail {number}: {fate:?}"
        );
    }
}

/// How many customers an engine mails here.
const CUSTOMERS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_the_engine_no_accepted_mail_goes_out_twice_and_none_is_lost() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let fates: Vec<Fate> = (0..CUSTOMERS)
        .map(|_| fate_of_update(&mut random))
        .collect();
    let server = fateful_server(seed, fates.clone()).await;
    let settings = SmtpSettings {
        mails_per_connection_max: 20,
        ..settings(&server)
    };
    let mailer = SmtpMailer::new(settings).expect("settings that go together");
    let engine = Engine::builder()
        .settings(quick_settings())
        .mailer(mailer)
        .build()
        .await
        .expect("an engine in memory starts");
    let (tenant, organizer, _) = organizer_and_tenant(&engine, "north").await;
    let event = create_event(&engine, &organizer, Timestamp::now(), 1000).await;
    let mut customers = Vec::new();
    for number in 0..CUSTOMERS {
        let address = format!("r{number}@north.test");
        let email = EmailAddress::parse("email", &address).expect("an address");
        let customer = ensure_customer(&engine, &tenant, &format!("r{number}"), email).await;
        let command = BookTickets::general(event.id, 1);
        let booked = engine.bookings().book_tickets(&customer, command).await;
        booked.expect("a booking");
        customers.push(customer);
    }
    let worker = engine.worker().spawn();
    let notification = move_event(&engine, &organizer, &event, "New Hall").await.id;
    drain(&engine).await;
    let shown = engine.notifications().show(&organizer, notification).await;
    assert_eq!(
        shown.expect("a notification").deliveries.total() as usize,
        CUSTOMERS
    );
    assert_eq!(taken(&server).0.len(), CUSTOMERS, "every confirmation");
    assert!(
        worker.drain(Patience::START).await,
        "the worker ends in time"
    );

    let (confirmations, updates) = taken(&server);
    assert!(
        confirmations.values().all(|times| *times == 1),
        "{confirmations:?}"
    );
    let page = PageRequest {
        cursor: None,
        limit: 100,
    };
    let deliveries = engine
        .notifications()
        .deliveries(&organizer, notification, page)
        .await;
    for delivery in deliveries.expect("deliveries").items {
        let is_theirs = |customer: &Caller| customer.user_id() == Some(delivery.customer);
        let number = customers
            .iter()
            .position(is_theirs)
            .expect("a customer of ours");
        let (state, times) = match fates[number] {
            Fate::Taken | Fate::TakenAndCut => (DeliveryState::Sent, 1),
            Fate::TakenInSilence => (DeliveryState::Unknown, 1),
            Fate::Silence(_) => (DeliveryState::Unknown, 0),
            Fate::No(..) => (DeliveryState::Dead, 0),
        };
        let seen = updates.get(&number).copied().unwrap_or_default();
        assert_eq!(
            (delivery.state, seen),
            (state, times),
            "{:?}: {delivery:?}",
            fates[number]
        );
    }
}

/// An update is taken, refused or lost at its final dot; what is refused for a while comes on top of it.
fn fate_of_update(random: &mut StdRng) -> Fate {
    match random.random_range(0..8) {
        0..3 => Fate::Taken,
        3 | 4 => Fate::TakenAndCut,
        5 => Fate::No(SmtpStep::Message, random.random_range(531..=599)),
        6 => Fate::Silence(SmtpStep::Message),
        _ => Fate::TakenInSilence,
    }
}

/// A server that takes every confirmation, and every update by its fate; before that it says "later" or hangs up now
/// and then.
async fn fateful_server(seed: u64, fates: Vec<Fate>) -> ScriptedSmtp {
    let asked = AtomicUsize::new(0);
    ScriptedSmtp::start(move |question| {
        let serial = asked.fetch_add(1, Ordering::Relaxed);
        let random = &mut random_for(seed, serial, question);
        match question.step {
            SmtpStep::Mail | SmtpStep::Recipient | SmtpStep::Data if random.random_ratio(1, 12) => {
                match random.random_ratio(1, 3) {
                    true => SmtpReply::no("").and_hang_up(),
                    false => SmtpReply::no(any_form(random.random_range(430..=459), random)),
                }
            }
            SmtpStep::Message => {
                let number = number_in(&question.recipient).expect("an address of ours");
                let fate = if is_update(&question.message) {
                    fates[number]
                } else {
                    Fate::Taken
                };
                fate.reply(question.step, random)
            }
            step if STEPS.contains(&step) => Fate::Taken.reply(step, random),
            _ => around(question, random),
        }
    })
    .await
}

/// How often each customer's confirmation and update were taken.
fn taken(server: &ScriptedSmtp) -> (BTreeMap<usize, usize>, BTreeMap<usize, usize>) {
    let mut taken = (BTreeMap::new(), BTreeMap::new());
    for mail in server.taken() {
        let counts = if is_update(&mail.message) {
            &mut taken.1
        } else {
            &mut taken.0
        };
        let number = number_in(&mail.recipient).expect("an address of ours");
        *counts.entry(number).or_default() += 1;
    }
    taken
}

fn is_update(message: &[u8]) -> bool {
    let subject = b"\r\nSubject: Event changed";
    message.windows(subject.len()).any(|part| part == subject)
}
