//! The options of NATS servers, checked before anything is opened, and the connection.
//!
//! Called by hosts; `connect` by queue. Calls async-nats.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, pem::PemObject as _},
    },
};

use crate::durability;

/// How long the server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server may take to answer; far longer than an fsync on a busy disk.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two pings: a dead connection is noticed after three of them.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Longest pause between two attempts to connect again: outages end for many processes at once.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(2);

/// The NATS servers and the options of the queue.
#[derive(Clone)]
pub struct JetStreamOptions {
    /// `nats://HOST:PORT`, or `tls://HOST:PORT` to require TLS; several servers of a cluster separated by commas.
    pub url: String,
    /// The credentials of this process.
    pub credentials: Credentials,
    /// Certificate authorities (PEM) to trust instead of the system's.
    pub authorities_pem: Option<Vec<u8>>,
    /// The servers' monitoring endpoints (`http://HOST:PORT`), to warn of settings that
    /// can lose acknowledged tasks. Empty: no check.
    pub monitor_urls: Vec<String>,
    /// First part of all names: several installations can share a NATS account. 1 to 32 of `a-z`, `0-9` and `-`.
    pub prefix: String,
    /// Servers that keep a copy of each task: 1, or 3 or 5 in a cluster.
    pub replicas: usize,
    /// How long a worker keeps a task without extending its lease. Workers extend every 10 s, so 30 s allows two lost messages.
    pub lease: Duration,
    /// How long ids are remembered, so that a repeated publication adds nothing. A publisher repeats within seconds.
    pub duplicate_window: Duration,
    /// Most tasks of a lane; beyond it publishers have to wait, and the work stays in the outbox.
    pub tasks_max: u32,
}

/// The credentials of a process.
#[derive(Clone, Default)]
pub enum Credentials {
    /// No reminder.
    #[default]
    None,
    /// With a token.
    Token(String),
    /// With a name and a password.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// With a JWT and its key: the text of a `.creds` file.
    Creds(String),
}

impl Credentials {
    fn form(&self) -> SignIn {
        match self {
            Self::None => SignIn::None,
            Self::Token(_) => SignIn::Token,
            Self::Password { .. } => SignIn::Password,
            Self::Creds(_) => SignIn::Creds,
        }
    }
}

/// The form of [`Credentials`], without any secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// None, or those in the URL.
    None,
    /// A token.
    Token,
    /// A name and a password.
    Password,
    /// A `.creds` file.
    Creds,
}

impl fmt::Display for SignIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "without credentials",
            Self::Token => "with this token",
            Self::Password => "with this name and password",
            Self::Creds => "with these credentials",
        })
    }
}

impl JetStreamOptions {
    /// The default for everything but the address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            credentials: Credentials::None,
            authorities_pem: None,
            monitor_urls: Vec::new(),
            prefix: "boxoffice".to_owned(),
            replicas: 1,
            lease: Duration::from_secs(30),
            duplicate_window: Duration::from_secs(10),
            tasks_max: 1_000_000,
        }
    }

    /// Checks everything that can be checked without a server.
    ///
    /// # Errors
    /// [`ConnectError::Option`] names the option and what is allowed.
    pub fn validate(&self) -> Result<(), ConnectError> {
        let refused = |option, allowed| Err(ConnectError::Option { option, allowed });
        let in_names =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_address = |address: &ServerAddr| {
            ["nats", "tls"].contains(&address.scheme()) && !address.host().is_empty()
        };
        let addresses = self.addresses();
        if !addresses.is_ok_and(|addresses| addresses.iter().all(is_address)) {
            return refused(
                "url",
                "nats://HOST:PORT or tls://HOST:PORT, several with commas between",
            );
        }
        let is_monitor = |url: &String| durability::address(url).is_some();
        if !self.monitor_urls.iter().all(is_monitor) {
            return refused(
                "monitor_urls",
                "http://HOST:PORT, several with commas between",
            );
        }
        if !(1..=32).contains(&self.prefix.len()) || !self.prefix.bytes().all(in_names) {
            return refused("prefix", "1 to 32 of a-z, 0-9 and -");
        }
        if ![1, 3, 5].contains(&self.replicas) {
            return refused("replicas", "1, 3 or 5");
        }
        // The server takes no shorter window; a longer one costs memory for each id.
        if !(Duration::from_millis(100)..=Duration::from_secs(3_600))
            .contains(&self.duplicate_window)
        {
            return refused("duplicate_window", "a tenth of a second to an hour");
        }
        if !(Duration::from_millis(500)..=Duration::from_secs(3_600)).contains(&self.lease) {
            return refused("lease", "half a second to an hour");
        }
        if self.tasks_max == 0 {
            return refused("tasks_max", "at least 1");
        }
        match &self.credentials {
            Credentials::Creds(text) if ConnectOptions::new().credentials(text).is_err() => {
                refused(
                    "credentials",
                    "the text of a .creds file, as `nsc generate creds` prints it",
                )
            }
            _ => self.tls().map(|_| ()),
        }
    }

    /// Connects, or starts trying to: a missing server must not keep a host from selling tickets.
    pub(crate) async fn connect(&self) -> Result<Client, ConnectError> {
        let addresses = self.addresses().map_err(ConnectError::refused)?;
        match self.connect_options()?.connect(addresses.clone()).await {
            Ok(client) => Ok(client),
            Err(error)
                if matches!(
                    error.kind(),
                    ConnectErrorKind::Io | ConnectErrorKind::TimedOut | ConnectErrorKind::Dns
                ) =>
            {
                tracing::warn!(error = ?error, "NATS cannot be reached; retrying in the background");
                let options = self.connect_options()?.retry_on_initial_connect();
                options
                    .connect(addresses)
                    .await
                    .map_err(ConnectError::refused)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication
                ) =>
            {
                Err(ConnectError::SignIn(self.credentials.form()))
            }
            Err(error) => Err(ConnectError::refused(error)),
        }
    }

    fn addresses(&self) -> Result<Vec<ServerAddr>, std::io::Error> {
        self.url.split(',').map(|url| url.trim().parse()).collect()
    }

    fn connect_options(&self) -> Result<ConnectOptions, ConnectError> {
        let options = ConnectOptions::new()
            .name("boxoffice")
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(REQUEST_TIMEOUT))
            .ping_interval(PING_EVERY)
            .reconnect_delay_callback(|attempts| {
                let doubled = Duration::from_millis(50).saturating_mul(1 << attempts.min(6));
                doubled.min(RECONNECT_PAUSE_MAX)
            })
            .event_callback(|event| async move { log(&event) })
            // Also for the servers of the cluster that the first one names.
            .require_tls(
                self.url
                    .split(',')
                    .any(|url| url.trim().starts_with("tls://")),
            )
            .tls_client_config(self.tls()?);
        Ok(match &self.credentials {
            Credentials::None => options,
            Credentials::Token(token) => options.token(token.clone()),
            Credentials::Password { username, password } => {
                options.user_and_password(username.clone(), password.clone())
            }
            Credentials::Creds(text) => options.credentials(text).map_err(ConnectError::refused)?,
        })
    }

    /// The TLS configuration, if a server or the URL requires it. Built here, because a program that links several
    /// cryptography providers has no default one, and rustls would panic.
    fn tls(&self) -> Result<ClientConfig, ConnectError> {
        let mut roots = RootCertStore::empty();
        match &self.authorities_pem {
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let added = certificate
                        .map_err(|_| ())
                        .and_then(|certificate| roots.add(certificate).map_err(|_| ()));
                    if added.is_err() {
                        return Err(AUTHORITIES);
                    }
                }
                if roots.is_empty() {
                    return Err(AUTHORITIES);
                }
            }
            // A system without certificates can still use a server without TLS.
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(ConnectError::refused)?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }
}

const AUTHORITIES: ConnectError = ConnectError::Option {
    option: "authorities_pem",
    allowed: "one or more certificates as PEM",
};

impl fmt::Debug for JetStreamOptions {
    /// Without anything that may contain a secret, the URL included.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("JetStreamOptions")
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

fn log(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("the connection to NATS is lost, will retry"),
        Event::ServerError(error) => {
            tracing::warn!(error = ?error, "the NATS server reports an error")
        }
        Event::ClientError(error) => tracing::warn!(error = ?error, "the NATS connection failed"),
        other => tracing::debug!(event = %other, "NATS"),
    }
}

/// Why the queue could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// An option has a value that is not allowed.
    #[error("{option} must be {allowed}")]
    Option {
        /// The field of [`JetStreamOptions`].
        option: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The server refuses the credentials.
    #[error("the NATS server does not let us in {0}")]
    SignIn(SignIn),
    /// The server refuses the connection.
    #[error("the NATS server refused the connection")]
    Refused(#[source] Box<dyn StdError + Send + Sync>),
    /// The server cannot publish a chunk of tasks as one.
    #[error("nats-server is version {version}; 2.12 or newer is needed, for atomic batches")]
    TooOld {
        /// Its version.
        version: String,
    },
    /// The server refuses the streams.
    #[error("the NATS server refused the streams")]
    Setup(#[source] Box<dyn StdError + Send + Sync>),
}

impl ConnectError {
    fn refused(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Refused(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_checked_and_named() {
        assert!(
            JetStreamOptions::new("nats://a:4222,tls://b")
                .validate()
                .is_ok()
        );
        let refused = |option: &str, change: fn(&mut JetStreamOptions)| {
            let mut options = JetStreamOptions::new("nats://127.0.0.1");
            change(&mut options);
            let error = options.validate().expect_err(option).to_string();
            assert!(error.starts_with(&format!("{option} must be ")), "{error}");
        };
        refused("url", |options| options.url = "nats://".to_owned());
        refused("url", |options| options.url = "nats://a,ws://b".to_owned());
        refused("url", |options| options.url = "nats://a:port".to_owned());
        refused("monitor_urls", |options| {
            options.monitor_urls = vec!["https://127.0.0.1:8222".to_owned()];
        });
        refused("prefix", |options| options.prefix = "a.b".to_owned());
        refused("prefix", |options| options.prefix = String::new());
        refused("replicas", |options| options.replicas = 2);
        refused("lease", |options| options.lease = Duration::ZERO);
        refused("duplicate_window", |options| {
            options.duplicate_window = Duration::ZERO
        });
        refused("tasks_max", |options| options.tasks_max = 0);
        refused("credentials", |options| {
            options.credentials = Credentials::Creds("hunter2".to_owned());
        });
        refused("authorities_pem", |options| {
            options.authorities_pem = Some(b"x".to_vec())
        });
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut options = JetStreamOptions::new("nats://me:hunter2@127.0.0.1");
        options.credentials = Credentials::Token("hunter2".to_owned());
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
