//! Goal: STARTTLS is judged by the code of its reply as well, and nothing goes out unencrypted that must not.
//!
//! Method: every form of the reply, TLS from the first byte, and words that were said before the encryption.

use boxoffice_engine::ports::{MailOutcome, Mailer as _};
use boxoffice_host::{SmtpMailer, SmtpSettings, mail::SmtpTls};
use boxoffice_tests::{ScriptedSmtp, SmtpReply, SmtpStep, TlsFront};

use super::{
    forms::{FORMS, form},
    mail, ordinary, settings,
};

fn trusting(tls: SmtpTls, port: u16, server: &ScriptedSmtp) -> SmtpMailer {
    let authority = std::fs::read(TlsFront::authority()).expect("an authority of the tests");
    let settings = SmtpSettings {
        tls,
        port,
        extra_authorities_pem: Some(authority),
        ..settings(server)
    };
    SmtpMailer::new(settings).expect("settings that go together")
}

/// A server that offers STARTTLS, once, and replies this to it.
async fn offering(reply: SmtpReply) -> ScriptedSmtp {
    ScriptedSmtp::start(move |question| match question.step {
        SmtpStep::Ehlo => SmtpReply::yes("250-scripted\r\n250-STARTTLS\r\n250 HELP\r\n"),
        SmtpStep::StartTls => reply.clone(),
        _ => ordinary(question),
    })
    .await
}

#[tokio::test]
async fn starttls_is_accepted_in_every_form() {
    for tls in [SmtpTls::StartTls, SmtpTls::Opportunistic] {
        for (index, name) in FORMS.iter().enumerate() {
            let server = offering(SmtpReply::yes(form(index, 220))).await;
            let mailer = trusting(tls, server.port(), &server);
            for number in 0..2 {
                let outcome = mailer.send(&mail(number)).await;
                assert!(
                    matches!(outcome, MailOutcome::Sent { .. }),
                    "{name}: {outcome:?}"
                );
            }
            assert_eq!(server.taken().len(), 2, "{name}");
            // Greeted again under TLS.
            let counts = [SmtpStep::Greeting, SmtpStep::StartTls, SmtpStep::Ehlo];
            assert_eq!(counts.map(|step| server.count(step)), [1, 1, 2], "{name}");
        }
    }
}

#[tokio::test]
async fn without_tls_nothing_goes_out_unless_that_is_allowed() {
    for (tls, is_sent) in [(SmtpTls::StartTls, false), (SmtpTls::Opportunistic, true)] {
        let refusing = offering(SmtpReply::no("454 \u{4e0d}\r\n")).await;
        let without = ScriptedSmtp::start(ordinary).await;
        for server in [refusing, without] {
            let outcome = trusting(tls, server.port(), &server).send(&mail(0)).await;
            match is_sent {
                true => assert!(matches!(outcome, MailOutcome::Sent { .. }), "{outcome:?}"),
                false => assert!(
                    matches!(outcome, MailOutcome::Deferred { .. }),
                    "{outcome:?}"
                ),
            }
            assert_eq!(server.taken().len(), usize::from(is_sent));
            assert_eq!(server.count(SmtpStep::Mail), usize::from(is_sent));
        }
    }
}

#[tokio::test]
async fn words_before_the_encryption_are_not_taken_for_encrypted_ones() {
    for tls in [SmtpTls::StartTls, SmtpTls::Opportunistic] {
        let reply = "220 go on\r\n250-scripted\r\n250 AUTH PLAIN\r\n";
        let server = offering(SmtpReply::yes(reply)).await;
        let outcome = trusting(tls, server.port(), &server).send(&mail(0)).await;
        assert!(
            matches!(outcome, MailOutcome::Deferred { .. }),
            "{outcome:?}"
        );
        assert_eq!((server.count(SmtpStep::Mail), server.taken().len()), (0, 0));
    }
}

#[tokio::test]
async fn tls_from_the_first_byte_carries_mails_for_those_who_trust_the_server() {
    let server = ScriptedSmtp::start(ordinary).await;
    let front = TlsFront::start(&format!("{}:{}", server.host(), server.port())).await;
    let port = front
        .url()
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    let port = port.expect("a URL with a port");
    let mailer = trusting(SmtpTls::Implicit, port, &server);
    for number in 0..3 {
        let outcome = mailer.send(&mail(number)).await;
        assert!(matches!(outcome, MailOutcome::Sent { .. }), "{outcome:?}");
    }
    assert_eq!(
        (server.count(SmtpStep::Greeting), server.taken().len()),
        (1, 3)
    );
    // The public authorities alone do not vouch for it.
    let distrusting = SmtpSettings {
        tls: SmtpTls::Implicit,
        port,
        ..settings(&server)
    };
    let mailer = SmtpMailer::new(distrusting).expect("settings that go together");
    let outcome = mailer.send(&mail(3)).await;
    assert!(
        matches!(outcome, MailOutcome::Deferred { .. }),
        "{outcome:?}"
    );
    assert_eq!(server.taken().len(), 3);
}
