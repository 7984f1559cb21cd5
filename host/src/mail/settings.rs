//! The settings of an SMTP account, and invalid combinations.
//!
//! Called by assembly and by platforms. Reads no file and no environment.

use std::{fmt, net::IpAddr, time::Duration};

/// How the connection to the SMTP server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// Plain text first, then STARTTLS, or no mail at all (RFC 3207). Usual port: 587.
    StartTls,
    /// STARTTLS if the server offers it. An attacker in between can strip the offer.
    Opportunistic,
    /// TLS from the first byte (RFC 8314). Usual port: 465.
    Implicit,
    /// No encryption; for servers on this machine.
    None,
}

/// An SMTP account and its limits.
#[derive(Clone)]
pub struct SmtpSettings {
    /// Name or address of the server; the name its certificate must carry.
    pub host: String,
    /// Port of the server.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: SmtpTls,
    /// Certificates (PEM) that are trusted in addition to the public authorities.
    pub extra_authorities_pem: Option<Vec<u8>>,
    /// User name and password, for servers that require them (PLAIN or LOGIN).
    pub credentials: Option<(String, String)>,
    /// The name in EHLO; `None` sends the local address as a literal (RFC 5321, 4.1.4).
    pub hello_name: Option<String>,
    /// Connections at the same time, 1 to 100.
    pub connections_max: usize,
    /// Mails over one connection before it is closed, at least 1.
    pub mails_per_connection_max: u32,
    /// Time limit to open a connection: TCP, greeting, TLS, authentication.
    pub connect_timeout: Duration,
    /// Longest wait for the answer to MAIL, RCPT or DATA.
    pub command_timeout: Duration,
    /// Time limit for the message and the server's reply to it. After it nobody knows whether the mail
    /// was accepted, so it is longer than the others. RFC 5321, 4.5.3.2.6 demands 10 minutes.
    pub message_timeout: Duration,
    /// How long a connection may be idle before it is closed.
    pub idle_max: Duration,
}

impl SmtpSettings {
    /// Settings for a server, with defaults that providers accept: 4 connections, 100 mails over each, STARTTLS.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: SmtpTls::StartTls,
            extra_authorities_pem: None,
            credentials: None,
            hello_name: None,
            connections_max: 4,
            mails_per_connection_max: 100,
            connect_timeout: Duration::from_secs(30),
            command_timeout: Duration::from_secs(30),
            message_timeout: Duration::from_secs(120),
            // Below the shortest idle timeouts seen on public servers (about a minute).
            idle_max: Duration::from_secs(30),
        }
    }

    /// Checks that the settings can work together.
    ///
    /// # Errors
    /// [`SmtpSettingsError`] names the setting and what is allowed.
    pub fn validate(&self) -> Result<(), SmtpSettingsError> {
        let refuse = |setting, allowed| Err(SmtpSettingsError { setting, allowed });
        if self.host.is_empty() || !self.host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse("host", "the name or address of an SMTP server");
        }
        if self.port == 0 {
            return refuse("port", "1 to 65535");
        }
        if !(1..=100).contains(&self.connections_max) {
            return refuse("connections_max", "1 to 100");
        }
        if self.mails_per_connection_max == 0 {
            return refuse("mails_per_connection_max", "at least 1");
        }
        if let Some(name) = &self.hello_name
            && (name.is_empty()
                || !name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)))
        {
            return refuse(
                "hello_name",
                "a host name of letters, digits, dots and hyphens",
            );
        }
        let encrypted = matches!(self.tls, SmtpTls::StartTls | SmtpTls::Implicit);
        if self.credentials.is_some() && !encrypted && !is_this_machine(&self.host) {
            return refuse(
                "tls",
                "starttls or implicit when a password is sent to another machine",
            );
        }
        Ok(())
    }
}

impl fmt::Debug for SmtpSettings {
    /// Without the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SmtpSettings")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field(
                "username",
                &self.credentials.as_ref().map(|(username, _)| username),
            )
            .field("connections_max", &self.connections_max)
            .field("mails_per_connection_max", &self.mails_per_connection_max)
            .finish_non_exhaustive()
    }
}

/// An invalid setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SMTP setting {setting} must be {allowed}")]
pub struct SmtpSettingsError {
    /// The setting.
    pub setting: &'static str,
    /// What is allowed.
    pub allowed: &'static str,
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_password(host: &str, tls: SmtpTls) -> SmtpSettings {
        SmtpSettings {
            tls,
            credentials: Some(("ann".into(), "s3cret".into())),
            ..SmtpSettings::new(host, 587)
        }
    }

    #[test]
    fn passwords_travel_encrypted_or_not_at_all() {
        for tls in [SmtpTls::StartTls, SmtpTls::Implicit] {
            assert_eq!(with_password("mail.example.org", tls).validate(), Ok(()));
        }
        for tls in [SmtpTls::None, SmtpTls::Opportunistic] {
            assert_eq!(
                with_password("mail.example.org", tls)
                    .validate()
                    .unwrap_err()
                    .setting,
                "tls"
            );
            assert_eq!(with_password("127.0.0.1", tls).validate(), Ok(()));
        }
    }

    #[test]
    fn numbers_and_names_are_bounded() {
        let settings = SmtpSettings::new("mail.example.org", 587);
        let refused = |settings: SmtpSettings| settings.validate().unwrap_err().setting;
        assert_eq!(
            refused(SmtpSettings {
                connections_max: 0,
                ..settings.clone()
            }),
            "connections_max"
        );
        assert_eq!(
            refused(SmtpSettings {
                connections_max: 101,
                ..settings.clone()
            }),
            "connections_max"
        );
        assert_eq!(
            refused(SmtpSettings {
                mails_per_connection_max: 0,
                ..settings.clone()
            }),
            "mails_per_connection_max"
        );
        assert_eq!(
            refused(SmtpSettings {
                port: 0,
                ..settings.clone()
            }),
            "port"
        );
        assert_eq!(
            refused(SmtpSettings {
                host: "a b".into(),
                ..settings.clone()
            }),
            "host"
        );
        assert_eq!(
            refused(SmtpSettings {
                hello_name: Some("a\r\nQUIT".into()),
                ..settings
            }),
            "hello_name"
        );
    }

    #[test]
    fn the_password_is_not_printed() {
        assert!(
            !format!("{:?}", with_password("mail.example.org", SmtpTls::Implicit))
                .contains("s3cret")
        );
    }
}
