//! One conversation with the SMTP server: opening it, and taking a mail through MAIL, RCPT, DATA and the message.
//!
//! Called by the mailer and the pool. Calls lettre's connection.

use std::{
    future::Future,
    iter,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use boxoffice_engine::ports::OutgoingMail;
use lettre::{
    Address,
    transport::smtp::{
        self,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters},
        commands::{Data, Mail, Quit, Rcpt, Rset},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
        response::Response,
    },
};
use tokio::{net::TcpStream, time::timeout};

use super::{
    outcome::{Failure, Stage, cleaned, with_crlf},
    settings::{SmtpSettings, SmtpSettingsError, SmtpTls},
    tls_transport::TlsTransport,
};

/// How long saying goodbye may take; nothing depends on it.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens connections to one account.
pub(super) struct Opener {
    settings: SmtpSettings,
    tls: TlsParameters,
}

impl Opener {
    /// # Errors
    /// [`SmtpSettingsError`] if the extra certificates cannot be read.
    pub(super) fn new(settings: &SmtpSettings) -> Result<Self, SmtpSettingsError> {
        let refuse = |_: smtp::Error| SmtpSettingsError {
            setting: "extra_authorities_pem",
            allowed: "certificates in PEM form",
        };
        let mut tls = TlsParameters::builder(settings.host.clone());
        if let Some(pem) = &settings.extra_authorities_pem {
            tls = tls.add_root_certificate(Certificate::from_pem(pem).map_err(refuse)?);
        }
        Ok(Self {
            settings: settings.clone(),
            tls: tls.build().map_err(refuse)?,
        })
    }

    /// Connects, greets, encrypts and signs in.
    ///
    /// # Errors
    /// The failure; at this stage it is never the mail's fault.
    pub(super) async fn open(&self) -> Result<Connection, Failure> {
        let smtp = within(self.settings.connect_timeout, self.open_untimed()).await?;
        Ok(Connection {
            smtp,
            command_timeout: self.settings.command_timeout,
            message_timeout: self.settings.message_timeout,
            mails: 0,
            state: State::Ready,
            idle_since: Instant::now(),
        })
    }

    async fn open_untimed(&self) -> Result<AsyncSmtpConnection, Failure> {
        let settings = &self.settings;
        let stream = self.tcp().await?;
        let hello = match &settings.hello_name {
            Some(name) => ClientId::Domain(name.clone()),
            None => literal(stream.local_addr().map_err(Failure::broken)?),
        };
        let transport: Box<dyn AsyncTokioStream> = match settings.tls {
            SmtpTls::Implicit => Box::new(TlsTransport::connect(stream, self.tls.clone()).await?),
            _ => Box::new(stream),
        };
        let mut smtp = AsyncSmtpConnection::connect_with_transport(transport, &hello).await?;
        let upgrade = match settings.tls {
            // Without the server's offer this fails, as it must.
            SmtpTls::StartTls => true,
            SmtpTls::Opportunistic => smtp.can_starttls(),
            SmtpTls::Implicit | SmtpTls::None => false,
        };
        if upgrade {
            smtp.starttls(self.tls.clone(), &hello).await?;
        }
        if let Some((username, password)) = &settings.credentials {
            let credentials = Credentials::new(username.clone(), password.clone());
            smtp.auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
                .await?;
        }
        Ok(smtp)
    }

    async fn tcp(&self) -> Result<TcpStream, Failure> {
        let address = (self.settings.host.as_str(), self.settings.port);
        let stream = TcpStream::connect(address).await.map_err(Failure::broken)?;
        // Without it the final dot waits for the acknowledgement of the message: 40 ms per mail.
        stream.set_nodelay(true).map_err(Failure::broken)?;
        Ok(stream)
    }
}

/// Whether the next mail may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Yes.
    Ready,
    /// After a RSET: the server said no in the middle of a mail.
    Interrupted,
    /// Never: an answer is missing, so the next one read might belong to the last command.
    Lost,
}

/// An open connection.
pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    command_timeout: Duration,
    message_timeout: Duration,
    mails: u32,
    state: State,
    idle_since: Instant,
}

impl Connection {
    /// Takes one mail through the conversation; answers the server's reply to the message.
    ///
    /// # Errors
    /// Where it ended and why.
    pub(super) async fn transfer(
        &mut self,
        mail: &OutgoingMail,
    ) -> Result<String, (Stage, Failure)> {
        self.mails += 1;
        let ended = self.walk(mail).await;
        self.idle_since = Instant::now();
        self.state = match &ended {
            Ok(_) => State::Ready,
            Err((
                _,
                Failure::Reply { code: 421, .. } | Failure::Broken { .. } | Failure::TimedOut,
            )) => State::Lost,
            // A reply to the final dot ends the mail, whatever it says.
            Err((Stage::FinalDot, Failure::Reply { .. })) => State::Ready,
            Err((_, Failure::Reply { .. })) => State::Interrupted,
        };
        ended
    }

    /// How many mails went over this connection, delivered or not.
    pub(super) fn mails(&self) -> u32 {
        self.mails
    }

    /// Whether another mail may try this connection.
    pub(super) fn is_usable(&self) -> bool {
        self.state != State::Lost
    }

    /// How long nothing was sent.
    pub(super) fn idle(&self) -> Duration {
        self.idle_since.elapsed()
    }

    /// Says goodbye, as far as the server listens.
    pub(super) async fn close(mut self) {
        if self.is_usable() {
            let _ = timeout(QUIT_TIMEOUT, self.smtp.command(Quit)).await;
        }
    }

    async fn walk(&mut self, mail: &OutgoingMail) -> Result<String, (Stage, Failure)> {
        let at = |stage| move |failure| (stage, failure);
        if self.state == State::Interrupted {
            self.command(Rset, 250).await.map_err(at(Stage::Mail))?;
        }
        let sender = address(mail.from.as_str()).map_err(at(Stage::Mail))?;
        let recipient = address(mail.to.as_str()).map_err(at(Stage::Recipient))?;
        let parameters = self.parameters(&mail.bytes).map_err(at(Stage::Mail))?;

        self.command(Mail::new(Some(sender), parameters), 250)
            .await
            .map_err(at(Stage::Mail))?;
        // 251: the server forwards, and says so (RFC 5321, 3.4).
        self.command(Rcpt::new(recipient, Vec::new()), 250)
            .await
            .map_err(at(Stage::Recipient))?;
        self.command(Data, 354).await.map_err(at(Stage::Data))?;
        self.message(&mail.bytes).await
    }

    /// Sends one command and wants an answer of the same hundred as `wanted`.
    async fn command(
        &mut self,
        command: impl std::fmt::Display,
        wanted: u16,
    ) -> Result<(), Failure> {
        let response = within(self.command_timeout, async {
            Ok(self.smtp.command(command).await?)
        })
        .await?;
        if u16::from(response.code()) / 100 == wanted / 100 {
            Ok(())
        } else {
            Err(Failure::broken(format!(
                "{} instead of {wanted}",
                text_of(&response)
            )))
        }
    }

    async fn message(&mut self, bytes: &[u8]) -> Result<String, (Stage, Failure)> {
        let bytes = with_crlf(bytes);
        // lettre asks for the next part when the last one is written, and writes the final dot when there is none:
        // so until this is set, no server can have taken the mail over.
        let is_complete = AtomicBool::new(false);
        let mut part = Some(&*bytes);
        let parts = iter::from_fn(|| {
            let next = part.take();
            is_complete.store(next.is_none(), Ordering::Relaxed);
            next
        });
        let sent = within(self.message_timeout, async {
            Ok(self.smtp.message_iter(parts).await?)
        })
        .await;
        let stage = if is_complete.into_inner() {
            Stage::FinalDot
        } else {
            Stage::Message
        };
        let response = sent.map_err(|failure| (stage, failure))?;
        if u16::from(response.code()) / 100 == 2 {
            Ok(text_of(&response))
        } else {
            Err((
                stage,
                Failure::broken(format!("{} after the message", text_of(&response))),
            ))
        }
    }

    fn parameters(&self, bytes: &[u8]) -> Result<Vec<MailParameter>, Failure> {
        if bytes.is_ascii() {
            Ok(Vec::new())
        } else if self
            .smtp
            .server_info()
            .supports_feature(Extension::EightBitMime)
        {
            Ok(vec![MailParameter::Body(MailBodyParameter::EightBitMime)])
        } else {
            Err(Failure::Reply {
                code: 554,
                text: "554 the server takes 7-bit mails only".to_owned(),
            })
        }
    }
}

/// Bounds a step in time. A step that is cut off leaves an answer unread, so its connection is lost.
async fn within<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(limit, step).await.unwrap_or(Err(Failure::TimedOut))
}

/// The engine checked the address; lettre checks it again before it stands in a command.
fn address(text: &str) -> Result<Address, Failure> {
    text.parse().map_err(|_| Failure::Reply {
        code: 553,
        text: "553 lettre refuses to write this address".to_owned(),
    })
}

/// Our end's address as RFC 5321, 4.1.3 writes it.
fn literal(local: SocketAddr) -> ClientId {
    match local.ip().to_canonical() {
        IpAddr::V4(address) => ClientId::Ipv4(address),
        IpAddr::V6(address) => ClientId::Ipv6(address),
    }
}

fn text_of(response: &Response) -> String {
    let lines: Vec<&str> = response.message().collect();
    cleaned(&format!("{} {}", response.code(), lines.join(" ")))
}
