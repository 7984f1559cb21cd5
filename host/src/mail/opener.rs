//! Opening a connection: TCP, greeting, EHLO or HELO, TLS and authentication.
//!
//! Called by the mailer through the pool. Calls the dialogue. A failure here is never a mail's fault.

use std::net::{IpAddr, SocketAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lettre::transport::smtp::{
    self,
    client::{Certificate, TlsParameters},
    commands::{Ehlo, Starttls},
    extension::ClientId,
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    connection::Connection,
    dialogue::Dialogue,
    offers::Offers,
    outcome::Failure,
    reply::Reply,
    settings::{SmtpSettings, SmtpSettingsError, SmtpTls},
};

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

    /// Connects, greets, encrypts and authenticates, all within the time limit.
    ///
    /// # Errors
    /// The failure; at this stage it is never the mail's fault.
    pub(super) async fn open(&self) -> Result<Connection, Failure> {
        let settings = &self.settings;
        let deadline = Instant::now() + settings.connect_timeout;
        let stream = self.tcp(deadline).await?;
        let client = match &settings.hello_name {
            Some(name) => ClientId::Domain(name.clone()),
            None => literal(stream.local_addr().map_err(Failure::broken)?),
        };
        let mut dialogue = Dialogue::new(Box::new(stream));
        if settings.tls == SmtpTls::Implicit {
            dialogue = dialogue.encrypt(self.tls.clone(), deadline).await?;
        }
        accepted(dialogue.reply(deadline).await?, &dialogue)?;
        let mut offers = hello(&mut dialogue, &client, deadline).await?;
        if self.start_tls(&mut dialogue, &offers, deadline).await? {
            dialogue = dialogue.encrypt(self.tls.clone(), deadline).await?;
            // An attacker may have changed the earlier offer (RFC 3207, 4.2).
            offers = hello(&mut dialogue, &client, deadline).await?;
        }
        if let Some((username, password)) = &settings.credentials {
            sign_in(&mut dialogue, &offers, username, password, deadline).await?;
        }
        Ok(Connection::new(dialogue, offers, settings))
    }

    async fn tcp(&self, deadline: Instant) -> Result<TcpStream, Failure> {
        let address = (self.settings.host.as_str(), self.settings.port);
        let stream = timeout_at(deadline, TcpStream::connect(address))
            .await
            .map_err(|_| Failure::TimedOut)?
            .map_err(Failure::broken)?;
        // Without it a message of several packets can wait for an acknowledgement: 40 ms per mail.
        stream.set_nodelay(true).map_err(Failure::broken)?;
        Ok(stream)
    }

    /// Returns whether to start TLS now.
    async fn start_tls(
        &self,
        dialogue: &mut Dialogue,
        offers: &Offers,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let must = match self.settings.tls {
            SmtpTls::StartTls => true,
            SmtpTls::Opportunistic => false,
            SmtpTls::Implicit | SmtpTls::None => return Ok(false),
        };
        if !offers.starttls {
            return match must {
                true => Err(Failure::broken("the server does not offer STARTTLS")),
                false => Ok(false),
            };
        }
        let reply = dialogue.command(Starttls, deadline).await?;
        match accepted(reply, dialogue) {
            Ok(_) => Ok(true),
            // 454: not now. An attacker who can strip the offer can send this, too.
            Err(Failure::Reply { code, .. }) if !must && code != 421 => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

/// Greets; a server that refuses EHLO is greeted with HELO and offers nothing (RFC 5321, 3.2).
async fn hello(
    dialogue: &mut Dialogue,
    client: &ClientId,
    deadline: Instant,
) -> Result<Offers, Failure> {
    let reply = dialogue
        .command(Ehlo::new(client.clone()), deadline)
        .await?;
    if reply.class() == 5 && dialogue.is_in_step() {
        let helo = format!("HELO {client}\r\n");
        accepted(dialogue.command(helo, deadline).await?, dialogue)?;
        return Ok(Offers::default());
    }
    Ok(Offers::read(&accepted(reply, dialogue)?))
}

/// Authenticates with AUTH PLAIN or AUTH LOGIN (RFC 4954), by reply codes: the texts vary.
async fn sign_in(
    dialogue: &mut Dialogue,
    offers: &Offers,
    username: &str,
    password: &str,
    deadline: Instant,
) -> Result<(), Failure> {
    let line = |text: &str| format!("{}\r\n", STANDARD.encode(text));
    if offers.auth_plain {
        let response = line(&format!("\0{username}\0{password}"));
        let begin = format!("AUTH PLAIN {response}");
        let mut reply = dialogue.command(begin, deadline).await?;
        if reply.class() == 3 {
            reply = dialogue.command(response, deadline).await?;
        }
        // 504: the server does not support what it offered.
        if reply.code != 504 || !offers.auth_login {
            return accepted(reply, dialogue).map(drop);
        }
    }
    if !offers.auth_login {
        return Err(Failure::broken(
            "the server offers neither AUTH PLAIN nor AUTH LOGIN",
        ));
    }
    let mut reply = dialogue.command("AUTH LOGIN\r\n", deadline).await?;
    for answer in [username, password] {
        if reply.class() != 3 {
            break;
        }
        reply = dialogue.command(line(answer), deadline).await?;
    }
    accepted(reply, dialogue).map(drop)
}

/// A reply that must be positive.
fn accepted(reply: Reply, dialogue: &Dialogue) -> Result<Reply, Failure> {
    reply.expect(2, dialogue.is_in_step())
}

/// The local address in the form of RFC 5321, 4.1.3.
fn literal(local: SocketAddr) -> ClientId {
    match local.ip().to_canonical() {
        IpAddr::V4(address) => ClientId::Ipv4(address),
        IpAddr::V6(address) => ClientId::Ipv6(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(lines: &[&str]) -> Offers {
        Offers::read(&Reply {
            code: 250,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        })
    }

    #[test]
    fn offers_are_read_whatever_their_case_and_form() {
        let all = offers(&[
            "mail.example.org",
            "SIZE 35882577",
            "8bitmime",
            "StartTLS",
            "AUTH=LOGIN PLAIN",
            "AUTH CRAM-MD5 XOAUTH2",
            "\u{fffd}\u{fffd}",
            "",
        ]);
        let expected = Offers {
            eight_bit: true,
            size_max: Some(35_882_577),
            starttls: true,
            auth_plain: true,
            auth_login: true,
        };
        assert_eq!(all, expected);
        // The first line is a name, a size of 0 or none no limit.
        for lines in [
            &["STARTTLS"][..],
            &[],
            &["x", "SIZE 0"],
            &["x", "SIZE"],
            &["x", "SIZE many"],
        ] {
            assert_eq!(offers(lines), Offers::default(), "{lines:?}");
        }
    }
}
