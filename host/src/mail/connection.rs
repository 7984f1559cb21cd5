//! One open SMTP connection, and the delivery of a mail: MAIL, RCPT, DATA and the message.
//!
//! Called by the mailer and the pool. Calls the dialogue.

use std::time::{Duration, Instant as Moment};

use boxoffice_engine::ports::OutgoingMail;
use lettre::{
    Address,
    transport::smtp::{
        commands::{Data, Mail, Quit, Rcpt, Rset},
        extension::{MailBodyParameter, MailParameter},
    },
};
use tokio::time::Instant;

use super::{
    data::as_data,
    dialogue::Dialogue,
    offers::Offers,
    outcome::{Failure, Stage},
    settings::SmtpSettings,
};

/// Time limit of QUIT; nothing depends on it.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// An open connection.
pub(super) struct Connection {
    dialogue: Dialogue,
    offers: Offers,
    command_timeout: Duration,
    message_timeout: Duration,
    mails: u32,
    /// Whether a mail ended before its message, so the next one needs RSET first.
    is_interrupted: bool,
    /// Whether the server announced the end of the connection.
    is_over: bool,
    idle_since: Moment,
}

impl Connection {
    /// After the opening.
    pub(super) fn new(dialogue: Dialogue, offers: Offers, settings: &SmtpSettings) -> Self {
        Self {
            dialogue,
            offers,
            command_timeout: settings.command_timeout,
            message_timeout: settings.message_timeout,
            mails: 0,
            is_interrupted: false,
            is_over: false,
            idle_since: Moment::now(),
        }
    }

    /// Sends one mail; returns the server's reply to the message.
    ///
    /// # Errors
    /// The stage at which it failed, and why.
    pub(super) async fn transfer(
        &mut self,
        mail: &OutgoingMail,
    ) -> Result<String, (Stage, Failure)> {
        self.mails += 1;
        let ended = self.walk(mail).await;
        self.idle_since = Moment::now();
        match &ended {
            Ok(_) => self.is_interrupted = false,
            Err((_, Failure::Broken { .. } | Failure::TimedOut)) => self.is_over = true,
            Err((stage, Failure::Reply { code, .. })) => {
                self.is_over = *code == 421;
                // A reply to the final dot ends the mail, whatever it says.
                self.is_interrupted = *stage != Stage::FinalDot;
            }
        }
        ended
    }

    /// Makes a kept connection ready for the next mail; returns whether it can be used.
    pub(super) async fn prepare(&mut self) -> bool {
        if !self.is_usable() || !self.dialogue.is_quiet() {
            self.is_over = true;
        } else if self.is_interrupted {
            let deadline = Instant::now() + self.command_timeout;
            let reply = self.dialogue.command(Rset, deadline).await;
            let is_reset = reply.is_ok_and(|reply| reply.class() == 2);
            self.is_over = !is_reset;
            self.is_interrupted = !is_reset;
        }
        self.is_usable()
    }

    /// The number of mails over this connection, delivered or not.
    pub(super) fn mails(&self) -> u32 {
        self.mails
    }

    /// Returns whether another mail may use this connection.
    pub(super) fn is_usable(&self) -> bool {
        !self.is_over && self.dialogue.is_in_step()
    }

    /// How long it has been idle.
    pub(super) fn idle(&self) -> Duration {
        self.idle_since.elapsed()
    }

    /// Sends QUIT.
    pub(super) async fn close(mut self) {
        if self.dialogue.is_in_step() {
            let deadline = Instant::now() + QUIT_TIMEOUT;
            // Ignore the answer: no mail depends on it.
            let _ = self.dialogue.command(Quit, deadline).await;
        }
    }

    async fn walk(&mut self, mail: &OutgoingMail) -> Result<String, (Stage, Failure)> {
        let at = |stage| move |failure| (stage, failure);
        let sender = address(mail.from.as_str()).map_err(at(Stage::Mail))?;
        let recipient = address(mail.to.as_str()).map_err(at(Stage::Recipient))?;
        let parameters = self.parameters(&mail.bytes).map_err(at(Stage::Data))?;

        self.command(Mail::new(Some(sender), parameters), 2)
            .await
            .map_err(at(Stage::Mail))?;
        // 251: the server forwards, and says so (RFC 5321, 3.4).
        self.command(Rcpt::new(recipient, Vec::new()), 2)
            .await
            .map_err(at(Stage::Recipient))?;
        self.command(Data, 3).await.map_err(at(Stage::Data))?;

        let deadline = Instant::now() + self.message_timeout;
        let reply = self
            .dialogue
            .message(&as_data(&mail.bytes), deadline)
            .await?;
        // Its code counts even if the server ended within it: a mail that was accepted is never sent again.
        let reply = reply.expect(2, true).map_err(at(Stage::FinalDot))?;
        Ok(reply.text())
    }

    /// Sends one command and wants a reply of this class.
    async fn command(
        &mut self,
        command: impl std::fmt::Display,
        class: u16,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + self.command_timeout;
        let reply = self.dialogue.command(command, deadline).await?;
        reply.expect(class, self.dialogue.is_in_step()).map(drop)
    }

    /// The MAIL command. Addresses are ASCII, so SMTPUTF8 is never needed.
    fn parameters(&self, bytes: &[u8]) -> Result<Vec<MailParameter>, Failure> {
        if let Some(most) = self.offers.size_max
            && u64::try_from(bytes.len()).is_ok_and(|size| size > most)
        {
            let text = format!(
                "552 not sent: the server takes mails of {most} bytes at most, this one has {}",
                bytes.len()
            );
            return Err(Failure::Reply { code: 552, text });
        }
        if bytes.is_ascii() {
            Ok(Vec::new())
        } else if self.offers.eight_bit {
            Ok(vec![MailParameter::Body(MailBodyParameter::EightBitMime)])
        } else {
            Err(Failure::Reply {
                code: 554,
                text: "554 not sent: the server takes 7-bit mails only".to_owned(),
            })
        }
    }
}

/// The engine checked the address; lettre checks it again before it is used in a command.
fn address(text: &str) -> Result<Address, Failure> {
    text.parse().map_err(|_| Failure::Reply {
        code: 553,
        text: "553 not sent: lettre refuses to write this address".to_owned(),
    })
}
