//! Mails over SMTP: the engine's `Mailer` port with an own dialogue and pool; commands, addresses and TLS are
//! lettre's.
//!
//! Called by assembly and by platforms that embed the host. Calls the SMTP server. A mail consists of
//! MAIL, RCPT, DATA and the message as separate steps, because the meaning of an error depends on the step.

mod connection;
mod data;
mod dialogue;
mod offers;
mod opener;
mod outcome;
mod pool;
mod reply;
mod settings;
mod tls_transport;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use boxoffice_engine::ports::{MailOutcome, Mailer, OutgoingMail};
use tracing::{Instrument as _, Span, field::Empty};

pub use settings::{SmtpSettings, SmtpSettingsError, SmtpTls};

use connection::Connection;
use outcome::{Failure, Stage, outcome_of};
use pool::{Lease, Pool};

/// Sends mails through one SMTP account over a limited number of connections.
///
/// Connections are opened when needed, kept for the next mail and closed after a while without one.
pub struct SmtpMailer {
    pool: Arc<Pool>,
    settings: Arc<SmtpSettings>,
    /// Whether the last attempt to open a connection failed, to log an outage once, not for each mail.
    is_down: AtomicBool,
}

impl SmtpMailer {
    /// Prepares the account; opens no connection yet, so that a host starts while its mail server is down.
    ///
    /// # Errors
    /// [`SmtpSettingsError`] if the settings contradict themselves or the extra certificates cannot be read.
    pub fn new(settings: SmtpSettings) -> Result<Self, SmtpSettingsError> {
        settings.validate()?;
        let opener = opener::Opener::new(&settings)?;
        let settings = Arc::new(settings);
        Ok(Self {
            pool: Pool::new(opener, &settings),
            settings,
            is_down: AtomicBool::new(false),
        })
    }

    async fn open(&self) -> Result<Connection, Failure> {
        let opened = self.pool.opener().open().await;
        let was_down = self.is_down.swap(opened.is_err(), Ordering::Relaxed);
        let server = &self.settings.host;
        match &opened {
            Err(failure) if !was_down => {
                tracing::warn!(server, reason = %failure, "the SMTP server does not work; mails wait");
            }
            Ok(_) if was_down => tracing::info!(server, "the SMTP server works again"),
            _ => {}
        }
        opened
    }

    /// Sends over an idle connection if there is one, else over a new one.
    async fn send_over(&self, lease: &mut Lease, mail: &OutgoingMail) -> MailOutcome {
        if let Some(mut connection) = lease.take_idle() {
            if connection.prepare().await {
                match connection.transfer(mail).await {
                    // Servers close idle connections silently. That shows at the first command, before anything
                    // was sent about this mail. A new connection shows whether the server is really down.
                    Err((Stage::Mail, failure)) if failure.is_dead_connection() => {}
                    ended => return self.finish(lease, connection, ended),
                }
            } else {
                lease.give_back(connection);
            }
        }
        match self.open().await {
            Ok(mut connection) => {
                let ended = connection.transfer(mail).await;
                self.finish(lease, connection, ended)
            }
            Err(failure) => outcome_of(Stage::Connect, failure),
        }
    }

    fn finish(
        &self,
        lease: &mut Lease,
        connection: Connection,
        ended: Result<String, (Stage, Failure)>,
    ) -> MailOutcome {
        lease.give_back(connection);
        match ended {
            Ok(reply) => MailOutcome::Sent { reply },
            Err((stage, failure)) => outcome_of(stage, failure),
        }
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &OutgoingMail) -> MailOutcome {
        // Only within a trace: a span for each mail would be expensive.
        let span = match Span::current().is_none() {
            true => Span::none(),
            false => tracing::info_span!("smtp send", reply_code = Empty),
        };
        let sending = async {
            let mut lease = self.pool.lease().await;
            self.send_over(&mut lease, mail).await
        };
        let outcome = sending.instrument(span.clone()).await;
        if let Some(code) = reply_code(&outcome) {
            span.record("reply_code", code);
        }
        outcome
    }

    fn concurrency(&self) -> usize {
        self.settings.connections_max
    }
}

/// The code of a server's reply, without its text, which may name people.
fn reply_code(outcome: &MailOutcome) -> Option<&str> {
    let (MailOutcome::Sent { reply }
    | MailOutcome::Refused { reply }
    | MailOutcome::Deferred { reply }) = outcome
    else {
        return None;
    };
    let code = reply.split([' ', '-']).next()?;
    let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    is_code.then_some(code)
}
