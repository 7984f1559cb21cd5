//! Goal: a mail server's reply is judged by its code, whatever its text is and however its lines are made, at every
//! step; a mail that was accepted is never sent again, and none is lost.
//!
//! Method: the host's SMTP mailer, alone and under an engine, against a server whose replies are written here byte by
//! byte: a table of forms at every step, and replies drawn at random. What the server took over is compared with what
//! the mailer and the deliveries say. The seed is printed, and BOXOFFICE_SEED=N plays it again.

mod encrypted;
mod forms;
mod fuzz;

use std::time::Duration;

use boxoffice_engine::{
    EmailAddress,
    ports::{MailOutcome, Mailer as _, OutgoingMail},
};
use boxoffice_host::{SmtpMailer, SmtpSettings, mail::SmtpTls};
use boxoffice_tests::{ScriptedSmtp, SmtpQuestion, SmtpReply, SmtpStep};

use forms::{FORMS, form};

const MESSAGE: &[u8] = b"Subject: Hi\r\n\r\n.leading\r\n..two\r\nend\r\n";

/// What an ordinary server says.
fn ordinary(question: &SmtpQuestion) -> SmtpReply {
    match question.step {
        SmtpStep::Greeting => SmtpReply::yes("220 ready\r\n"),
        SmtpStep::Ehlo => SmtpReply::yes("250-scripted\r\n250 HELP\r\n"),
        SmtpStep::Data => SmtpReply::yes("354 go on\r\n"),
        SmtpStep::Quit => SmtpReply::yes("221 bye\r\n").and_hang_up(),
        SmtpStep::Other | SmtpStep::StartTls | SmtpStep::Auth | SmtpStep::AuthLine => {
            SmtpReply::no("500 what?\r\n")
        }
        _ => SmtpReply::yes("250 ok\r\n"),
    }
}

fn settings(server: &ScriptedSmtp) -> SmtpSettings {
    SmtpSettings {
        tls: SmtpTls::None,
        // Only a server that goes silent is waited for.
        connect_timeout: Duration::from_secs(10),
        command_timeout: Duration::from_secs(10),
        message_timeout: Duration::from_secs(10),
        ..SmtpSettings::new(server.host(), server.port())
    }
}

fn mailer(server: &ScriptedSmtp) -> SmtpMailer {
    SmtpMailer::new(settings(server)).expect("settings that go together")
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse("email", text).expect("an address")
}

fn mail(number: usize) -> OutgoingMail {
    OutgoingMail {
        delivery_key: format!("key{number}"),
        from: address(&format!("s{number}@north.test")),
        to: address(&format!("r{number}@north.test")),
        bytes: MESSAGE.to_vec(),
    }
}

/// The number in `s7@north.test` or `r7@north.test`.
fn number_in(address: &str) -> Option<usize> {
    let local = address.split('@').next()?;
    local.get(1..)?.parse().ok()
}

#[tokio::test]
async fn a_yes_is_a_yes_in_every_form_at_every_step() {
    for (index, name) in FORMS.iter().enumerate() {
        let server = ScriptedSmtp::start(move |question| {
            let code = match question.step {
                SmtpStep::Greeting => 220,
                SmtpStep::Data => 354,
                SmtpStep::Quit => 221,
                _ => 250,
            };
            SmtpReply::yes(form(index, code))
        })
        .await;
        let mailer = mailer(&server);
        for number in 0..3 {
            let outcome = mailer.send(&mail(number)).await;
            let MailOutcome::Sent { reply } = &outcome else {
                panic!("{name}: {outcome:?}");
            };
            assert!(
                reply.contains("250") && reply.chars().count() <= 500,
                "{name}: {reply}"
            );
        }
        let taken = server.taken();
        assert_eq!(taken.len(), 3, "{name}");
        assert!(
            taken.iter().all(|mail| mail.message == MESSAGE),
            "{name}: {taken:?}"
        );
    }
}

#[tokio::test]
async fn a_no_is_a_no_in_every_form_and_the_mail_is_tried_again_only_where_it_may() {
    for (index, name) in FORMS.iter().enumerate() {
        for step in [SmtpStep::Recipient, SmtpStep::Data, SmtpStep::Message] {
            for code in [452, 550] {
                let server = ScriptedSmtp::start(move |question| match question.step == step {
                    true => SmtpReply::no(form(index, code)),
                    false => ordinary(question),
                })
                .await;
                let mailer = mailer(&server);
                // Twice, over one connection: after a no it can be used as before.
                for number in 0..2 {
                    let outcome = mailer.send(&mail(number)).await;
                    let said = match &outcome {
                        MailOutcome::Refused { reply } if code == 550 => reply,
                        MailOutcome::Deferred { reply } if code == 452 => reply,
                        _ => panic!("{name} at {step:?}: {outcome:?}"),
                    };
                    assert!(
                        said.starts_with(&code.to_string()),
                        "{name} at {step:?}: {said}"
                    );
                }
                assert_eq!(server.taken().len(), 0, "{name} at {step:?}");
                assert_eq!(server.count(SmtpStep::Greeting), 1, "{name} at {step:?}");
            }
        }
    }
}

/// What becomes of a mail to a server with an own reply to one step.
async fn outcome_of(
    step: SmtpStep,
    reply: impl Fn() -> SmtpReply + Send + Sync + 'static,
) -> MailOutcome {
    let server = ScriptedSmtp::start(move |question| match question.step == step {
        true => reply(),
        false => ordinary(question),
    })
    .await;
    mailer(&server).send(&mail(0)).await
}

#[tokio::test]
async fn a_code_counts_although_its_line_was_cut_off() {
    for (cut, is_sent) in [
        (&b"250"[..], true),
        (b"250 o", true),
        (b"250-queued\r\n", true),
        (b"250-queued\r\n25", true),
        (b"550 n", false),
        (b"550-no\r\n550", false),
    ] {
        let server = ScriptedSmtp::start(move |question| match (question.step, is_sent) {
            (SmtpStep::Message, true) => SmtpReply::yes(cut).and_hang_up(),
            (SmtpStep::Message, false) => SmtpReply::no(cut).and_hang_up(),
            _ => ordinary(question),
        })
        .await;
        let mailer = mailer(&server);
        for number in 0..2 {
            let outcome = mailer.send(&mail(number)).await;
            let is_right = match is_sent {
                true => matches!(outcome, MailOutcome::Sent { .. }),
                false => matches!(outcome, MailOutcome::Refused { .. }),
            };
            assert!(is_right, "{cut:?}: {outcome:?}");
        }
        assert_eq!(
            server.count(SmtpStep::Greeting),
            2,
            "each has a connection of its own"
        );
    }
    // No code, no yes: a connection that ends without one leaves doubt.
    for cut in [&b""[..], b"25", b"hm\r\n"] {
        let reply = move || SmtpReply::yes(cut).and_hang_up();
        let outcome = outcome_of(SmtpStep::Message, reply).await;
        assert!(
            matches!(outcome, MailOutcome::Unknown { .. }),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_reply_without_end_is_bounded_and_judged_by_its_code() {
    for endless in [
        format!("250-{}", "x".repeat(500_000)),
        "250-more\r\n".repeat(50_000),
    ] {
        let reply = move || SmtpReply::yes(endless.clone());
        let outcome = outcome_of(SmtpStep::Message, reply).await;
        let MailOutcome::Sent { reply } = &outcome else {
            panic!("{outcome:?}");
        };
        assert!(reply.chars().count() <= 500);
    }
    // As a greeting it is no yes: nothing more could be read behind it.
    let reply = || SmtpReply::yes("220-more\r\n".repeat(50_000));
    let outcome = outcome_of(SmtpStep::Greeting, reply).await;
    assert!(
        matches!(outcome, MailOutcome::Deferred { .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_server_without_ehlo_is_greeted_with_helo() {
    for (index, name) in FORMS.iter().enumerate() {
        let server = ScriptedSmtp::start(move |question| match question.step {
            SmtpStep::Ehlo => SmtpReply::no(form(index, 502)),
            SmtpStep::Helo => SmtpReply::yes(form(index, 250)),
            _ => ordinary(question),
        })
        .await;
        let outcome = mailer(&server).send(&mail(0)).await;
        assert!(
            matches!(outcome, MailOutcome::Sent { .. }),
            "{name}: {outcome:?}"
        );
        assert_eq!(
            (server.count(SmtpStep::Helo), server.taken().len()),
            (1, 1),
            "{name}"
        );
    }
    // Later is not never, and a no to both is the server's no.
    for (ehlo, helo, helos) in [
        ("421 later\r\n", "250 ok\r\n", 0),
        ("502 no\r\n", "550 no\r\n", 1),
    ] {
        let server = ScriptedSmtp::start(move |question| match question.step {
            SmtpStep::Ehlo => SmtpReply::no(ehlo),
            SmtpStep::Helo => SmtpReply::no(helo),
            _ => ordinary(question),
        })
        .await;
        let outcome = mailer(&server).send(&mail(0)).await;
        assert!(
            matches!(outcome, MailOutcome::Deferred { .. }),
            "{outcome:?}"
        );
        assert_eq!(server.count(SmtpStep::Helo), helos);
    }
}

#[tokio::test]
async fn a_password_is_given_whatever_the_server_asks_in_its_texts() {
    for offer in [
        "AUTH PLAIN",
        "AUTH=PLAIN LOGIN",
        "auth login",
        "AUTH LOGIN PLAIN",
    ] {
        for (index, name) in FORMS.iter().enumerate() {
            let server = ScriptedSmtp::start(move |question| match question.step {
                SmtpStep::Ehlo => {
                    SmtpReply::yes(format!("250-scripted\r\n250-SIZE\r\n250 {offer}\r\n"))
                }
                // PLAIN is accepted at once, LOGIN asks twice.
                SmtpStep::Auth if question.line.starts_with("AUTH PLAIN ") => {
                    SmtpReply::yes(form(index, 235))
                }
                SmtpStep::Auth => SmtpReply::no(form(index, 334)),
                SmtpStep::AuthLine if question.line == "YW5u" => SmtpReply::no(form(index, 334)),
                SmtpStep::AuthLine => SmtpReply::yes(form(index, 235)),
                _ => ordinary(question),
            })
            .await;
            let settings = SmtpSettings {
                credentials: Some(("ann".into(), "s3cret".into())),
                ..settings(&server)
            };
            let mailer = SmtpMailer::new(settings).expect("settings that go together");
            let outcome = mailer.send(&mail(0)).await;
            assert!(
                matches!(outcome, MailOutcome::Sent { .. }),
                "{offer}, {name}: {outcome:?}"
            );
            let lines: Vec<String> = server.asked().into_iter().map(|asked| asked.line).collect();
            let said = |line: &str| lines.iter().any(|said| said == line);
            let plain = said("AUTH PLAIN AGFubgBzM2NyZXQ=");
            let login = said("AUTH LOGIN") && said("YW5u") && said("czNjcmV0");
            assert!(plain || login, "{offer}, {name}: {lines:?}");
        }
    }
}

#[tokio::test]
async fn refused_sign_ins_defer_and_say_why() {
    for (offer, reply, word) in [
        ("AUTH PLAIN", "535 \u{5bc6}\u{7801}\r\n", "535"),
        ("AUTH LOGIN", "535 5.7.8 no\r\n", "535"),
        (
            "AUTH CRAM-MD5",
            "250 ok\r\n",
            "neither AUTH PLAIN nor AUTH LOGIN",
        ),
    ] {
        let server = ScriptedSmtp::start(move |question| match question.step {
            SmtpStep::Ehlo => SmtpReply::yes(format!("250-scripted\r\n250 {offer}\r\n")),
            SmtpStep::Auth | SmtpStep::AuthLine => SmtpReply::no(reply),
            _ => ordinary(question),
        })
        .await;
        let settings = SmtpSettings {
            credentials: Some(("ann".into(), "s3cret".into())),
            ..settings(&server)
        };
        let mailer = SmtpMailer::new(settings).expect("settings that go together");
        let outcome = mailer.send(&mail(0)).await;
        let MailOutcome::Deferred { reply } = &outcome else {
            panic!("{offer}: {outcome:?}");
        };
        assert!(reply.contains(word), "{offer}: {reply}");
        assert_eq!(server.count(SmtpStep::Mail), 0);
    }
}

#[tokio::test]
async fn kept_connections_that_ended_or_are_out_of_step_cost_no_mail() {
    // What a server says behind its yes, and whether it then hangs up.
    for (behind, hangs_up) in [
        ("421 4.4.2 idle for too long\r\n", true),
        ("421 4.4.2 idle for too long\r\n", false),
        ("", true),
        ("250 ok once more\r\n", false),
        ("550 or not\r\n", false),
        ("news\r\n", false),
    ] {
        let server = ScriptedSmtp::start(move |question| match question.step {
            SmtpStep::Message => {
                let reply = SmtpReply::yes(format!("250 ok\r\n{behind}"));
                if hangs_up { reply.and_hang_up() } else { reply }
            }
            _ => ordinary(question),
        })
        .await;
        let mailer = mailer(&server);
        for number in 0..4 {
            let outcome = mailer.send(&mail(number)).await;
            assert!(
                matches!(outcome, MailOutcome::Sent { .. }),
                "{behind:?}: {outcome:?}"
            );
        }
        let numbers: Vec<_> = server
            .taken()
            .iter()
            .map(|mail| number_in(&mail.recipient))
            .collect();
        assert_eq!(numbers, (0..4).map(Some).collect::<Vec<_>>(), "{behind:?}");
    }
    // A server that cannot forget a refused mail gets the next one over a fresh connection.
    for reset in ["502 what?\r\n", "421 no\r\n", "250 ok\r\n"] {
        let server = ScriptedSmtp::start(move |question| match question.step {
            SmtpStep::Recipient if question.recipient.starts_with("r0@") => {
                SmtpReply::no("550 no\r\n")
            }
            SmtpStep::Reset => SmtpReply::no(reset),
            _ => ordinary(question),
        })
        .await;
        let mailer = mailer(&server);
        let outcome = mailer.send(&mail(0)).await;
        assert!(
            matches!(outcome, MailOutcome::Refused { .. }),
            "{outcome:?}"
        );
        let outcome = mailer.send(&mail(1)).await;
        assert!(
            matches!(outcome, MailOutcome::Sent { .. }),
            "{reset}: {outcome:?}"
        );
        let connections = if reset.starts_with("250") { 1 } else { 2 };
        assert_eq!(server.count(SmtpStep::Greeting), connections, "{reset}");
    }
}

#[tokio::test]
async fn replies_that_fit_no_command_send_nothing() {
    for (step, reply) in [
        // A yes without "go on": whether the server reads a message now, nobody knows.
        (SmtpStep::Data, "250 ok\r\n"),
        (SmtpStep::Mail, "354 go on\r\n"),
        (SmtpStep::Recipient, "354 go on\r\n"),
        (SmtpStep::Greeting, "354 go on\r\n"),
        (SmtpStep::Greeting, "554 not here\r\n"),
        // Somebody's no that was not asked for is not the recipient's.
        (SmtpStep::Mail, "250 ok\r\n550 go away\r\n"),
        (SmtpStep::Data, "354 go on\r\n250 ok\r\n"),
    ] {
        let server = ScriptedSmtp::start(move |question| match question.step == step {
            true => SmtpReply::no(reply),
            false => ordinary(question),
        })
        .await;
        let outcome = mailer(&server).send(&mail(0)).await;
        assert!(
            matches!(outcome, MailOutcome::Deferred { .. }),
            "{step:?} {reply}: {outcome:?}"
        );
        assert_eq!(
            (server.count(SmtpStep::Message), server.taken().len()),
            (0, 0)
        );
    }
    // Something else than a mail server is named as it presents itself.
    let server =
        ScriptedSmtp::start(|_| SmtpReply::no("SSH-2.0-OpenSSH_9.2\r\n").and_hang_up()).await;
    let outcome = mailer(&server).send(&mail(0)).await;
    let MailOutcome::Deferred { reply } = &outcome else {
        panic!("{outcome:?}");
    };
    assert!(reply.contains("SSH-2.0-OpenSSH_9.2"), "{reply}");
}

#[tokio::test]
async fn a_mail_that_is_too_large_for_the_server_is_not_offered() {
    for (limit, is_sent) in [(MESSAGE.len(), true), (MESSAGE.len() - 1, false), (0, true)] {
        let server = ScriptedSmtp::start(move |question| match question.step {
            SmtpStep::Ehlo => SmtpReply::yes(format!("250-scripted\r\n250 SIZE {limit}\r\n")),
            _ => ordinary(question),
        })
        .await;
        let outcome = mailer(&server).send(&mail(0)).await;
        match is_sent {
            true => assert!(matches!(outcome, MailOutcome::Sent { .. }), "{outcome:?}"),
            false => assert!(
                matches!(&outcome, MailOutcome::Refused { reply } if reply.starts_with("552 ")),
                "{outcome:?}"
            ),
        }
        assert_eq!(server.taken().len(), usize::from(is_sent));
    }
}
