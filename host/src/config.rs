//! The configuration: defaults, a file, the environment and the command line, checked together.
//!
//! Called by cli and assembly. The only module of the host that reads environment and configuration files. Every
//! option is documented in `config.default.toml`, which is compiled in as the lowest layer.

pub(crate) mod data_folder;
mod layers;
pub(crate) mod private_files;
mod reader;

use std::{fmt, net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use axum::http::HeaderValue;
use boxoffice_engine::{
    BookingSettings, DeliverySettings, Limits, Settings, WorkerSettings, types::EmailAddress,
};
use boxoffice_nats::{ConnectError, Credentials, JetStreamOptions};
use figment::Figment;

use crate::{
    auth::{MailLinks, SealedTicketCodes, TokenKey, TokenKeys},
    mail::{SmtpSettings, SmtpTls},
    traces::TracesConfig,
};
use reader::Reader;

pub(crate) use layers::{Flags, cache_folder_from_environment, token_from_environment};
pub(crate) use reader::ConfigError;

/// The checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where the API listens.
    pub(crate) listen: SocketAddr,
    /// The store.
    pub(crate) store: StoreConfig,
    /// Keys for tokens, if some are configured.
    pub(crate) keys: Option<TokenKeys>,
    /// The links in mails, if an address and keys are configured.
    pub(crate) links: Option<MailLinks>,
    /// The ticket codes, if keys are configured.
    pub(crate) ticket_codes: Option<SealedTicketCodes>,
    /// The options of HTTP.
    pub(crate) http: HttpConfig,
    /// The mailer.
    pub(crate) mail: MailConfig,
    /// The job queue, if it is not the embedded one.
    pub(crate) queue: Option<JetStreamOptions>,
    /// The options of plugins, if they are enabled.
    pub(crate) plugins: Option<PluginsConfig>,
    /// Where a worker process answers health checks.
    pub(crate) worker_listen: SocketAddr,
    /// Where a host answers `/metrics`.
    pub(crate) metrics_listen: MetricsListen,
    /// The engine's settings.
    pub(crate) engine: Settings,
    /// The options of logs.
    pub(crate) logs: LogsConfig,
    /// The collector of traces, if there is one.
    pub(crate) traces: Option<TracesConfig>,
}

/// Where a host answers `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricsListen {
    /// At a separate port.
    At(SocketAddr),
    /// Where the API is answered.
    WithApi,
    /// Nowhere.
    Nowhere,
}

/// The store.
#[derive(Clone)]
pub(crate) enum StoreConfig {
    /// In a data folder on this machine.
    Folder(PathBuf),
    /// In memory.
    Memory,
    /// On a SurrealDB server.
    Server {
        url: String,
        namespace: String,
        database: String,
        username: String,
        password: String,
    },
}

impl fmt::Debug for StoreConfig {
    /// Without the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => formatter.debug_tuple("Folder").field(path).finish(),
            Self::Memory => formatter.write_str("Memory"),
            Self::Server { url, .. } => formatter.debug_tuple("Server").field(url).finish(),
        }
    }
}

/// The options of HTTP.
#[derive(Debug)]
pub(crate) struct HttpConfig {
    pub(crate) body_bytes_max: usize,
    pub(crate) throttle_logins: bool,
    pub(crate) sign_ups_per_hour: Option<NonZeroU32>,
    pub(crate) unconfirmed_tickets_per_hour: Option<NonZeroU32>,
    pub(crate) client_requests_per_minute: Option<NonZeroU32>,
    pub(crate) tenant_requests_per_minute: Option<NonZeroU32>,
    pub(crate) cors_origins: Vec<HeaderValue>,
    pub(crate) trusted_proxies: Vec<std::net::IpAddr>,
    pub(crate) behind_tls: bool,
    pub(crate) hsts_seconds: u64,
    pub(crate) base_domain: Option<String>,
    pub(crate) request_timeout: Duration,
}

/// The options of plugins.
#[derive(Debug, Clone)]
pub(crate) struct PluginsConfig {
    pub(crate) upload_bytes_max: usize,
    pub(crate) policy_time: Duration,
    pub(crate) policy_fuel: u64,
    pub(crate) template_time: Duration,
    pub(crate) template_fuel: u64,
    pub(crate) memory_bytes_max: usize,
    pub(crate) tenant_calls_max: usize,
    pub(crate) calls_max: usize,
    pub(crate) tenant_fuel_per_second: u64,
    pub(crate) compile_time: Duration,
    pub(crate) compile_memory_bytes_max: u64,
    pub(crate) compilers_max: usize,
    pub(crate) tenant_compile_time_per_day: Duration,
    pub(crate) loaded_bytes_max: u64,
    pub(crate) tenant_loaded_bytes_max: u64,
    pub(crate) cache_folder: Option<PathBuf>,
    pub(crate) cache_bytes_max: u64,
}

/// The mailer.
#[derive(Debug)]
pub(crate) enum MailConfig {
    /// Into a folder; `None` means `mails/` in the data folder.
    Folder(Option<PathBuf>),
    /// Over SMTP.
    Smtp(Box<SmtpSettings>),
}

/// The options of logs.
#[derive(Debug)]
pub(crate) struct LogsConfig {
    pub(crate) json: bool,
    pub(crate) level: String,
}

impl Config {
    /// Reads all layers and checks every option.
    ///
    /// # Errors
    /// [`ConfigError`] names the option, its value and what is allowed.
    pub(crate) fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::read(layers::figment(flags)?)
    }

    fn read(layers: Figment) -> Result<Self, ConfigError> {
        let reader = Reader::new(layers)?;
        Ok(Self {
            listen: reader.address("listen")?,
            store: store(&reader)?,
            keys: keys(&reader)?,
            links: links(&reader)?,
            ticket_codes: ticket_codes(&reader)?,
            http: HttpConfig {
                // Below 1 KiB not even a sign-in fits; above 100 MiB one request can exhaust a small host.
                body_bytes_max: reader.number("http.body_bytes_max", 1_024..=104_857_600)?,
                throttle_logins: reader.yes_or_no("http.throttle_logins")?,
                sign_ups_per_hour: NonZeroU32::new(
                    reader.number("http.sign_ups_per_hour", 0..=1_000_000)?,
                ),
                unconfirmed_tickets_per_hour: NonZeroU32::new(
                    reader.number("http.unconfirmed_tickets_per_hour", 0..=1_000_000)?,
                ),
                client_requests_per_minute: NonZeroU32::new(
                    reader.number("http.client_requests_per_minute", 0..=1_000_000_000)?,
                ),
                tenant_requests_per_minute: NonZeroU32::new(
                    reader.number("http.tenant_requests_per_minute", 0..=1_000_000_000)?,
                ),
                cors_origins: reader.origins("http.cors_origins")?,
                trusted_proxies: reader.ip_addresses("http.trusted_proxies")?,
                behind_tls: reader.yes_or_no("http.behind_tls")?,
                // Browsers' preload lists need at most two years.
                hsts_seconds: reader.number("http.hsts_seconds", 0..=63_072_000)?,
                base_domain: reader.domain("http.base_domain")?,
                request_timeout: reader.seconds("http.request_timeout_seconds", 0.1..=3_600.0)?,
            },
            mail: mail(&reader)?,
            queue: queue(&reader)?,
            plugins: plugins(&reader)?,
            metrics_listen: reader.metrics_listen("metrics.listen")?,
            worker_listen: reader.address("worker.listen")?,
            engine: engine(&reader)?,
            logs: LogsConfig {
                json: reader.choice("logs.format", &[("text", false), ("json", true)])?,
                level: reader.checked("logs.level", crate::telemetry::LEVEL_RULE, |level| {
                    crate::telemetry::is_level(level).then(|| level.to_owned())
                })?,
            },
            traces: traces(&reader)?,
        })
    }

    /// The data folder, if the store is one.
    pub(crate) fn data_folder(&self) -> Option<&PathBuf> {
        match &self.store {
            StoreConfig::Folder(folder) => Some(folder),
            _ => None,
        }
    }
}

fn traces(reader: &Reader) -> Result<Option<TracesConfig>, ConfigError> {
    let allowed = "http://HOST:PORT or https://HOST:PORT of a collector (OTLP over gRPC), or empty";
    let endpoint = reader.checked("telemetry.otlp_endpoint", allowed, |text| {
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"));
        let is_url = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        (text.is_empty() || is_url).then(|| text.to_owned())
    })?;
    let config = TracesConfig {
        service_name: reader.checked(
            "telemetry.service_name",
            "1 to 100 visible characters",
            |text| {
                let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
                ((1..=100).contains(&text.len()) && is_plain).then(|| text.to_owned())
            },
        )?,
        sample_ratio: reader.share("telemetry.sample_ratio")?,
        endpoint,
    };
    Ok((!config.endpoint.is_empty()).then_some(config))
}

fn store(reader: &Reader) -> Result<StoreConfig, ConfigError> {
    let url = reader.checked(
        "store.url",
        "a folder, mem://, ws://HOST:PORT or wss://HOST:PORT",
        |url| {
            let remote = url
                .strip_prefix("ws://")
                .or_else(|| url.strip_prefix("wss://"));
            let allowed = match remote {
                Some(rest) => !rest.is_empty(),
                None => url == "mem://" || (!url.is_empty() && !url.contains("://")),
            };
            allowed.then(|| url.to_owned())
        },
    )?;
    if url == "mem://" {
        return Ok(StoreConfig::Memory);
    }
    if !url.contains("://") {
        return Ok(StoreConfig::Folder(url.into()));
    }
    Ok(StoreConfig::Server {
        url,
        namespace: reader.text("store.namespace")?,
        database: reader.text("store.database")?,
        username: reader.text("store.username")?,
        password: reader.text("store.password")?,
    })
}

fn key_list(reader: &Reader, option: &str) -> Result<Vec<TokenKey>, ConfigError> {
    let tables = reader.tables(option, &["id", "secret"])?;
    let key = |[id, secret]: [String; 2]| TokenKey {
        id,
        secret: secret.into_bytes(),
    };
    Ok(tables.into_iter().map(key).collect())
}

fn links(reader: &Reader) -> Result<Option<MailLinks>, ConfigError> {
    let public_url = reader.text("links.public_url")?;
    let keys = key_list(reader, "links.keys")?;
    match (public_url.is_empty(), keys.is_empty()) {
        (true, true) => Ok(None),
        (true, false) => Err(ConfigError::missing(
            "links.public_url",
            "there are links.keys, so say where the API is reached from outside: https://tickets.example.org",
        )),
        (false, true) => Err(ConfigError::missing(
            "links.keys",
            "there is a links.public_url, so links need a key: keys = [{ id = \"…\", secret = \"…\" }] under [links]",
        )),
        (false, false) => MailLinks::new(&public_url, keys)
            .map(Some)
            .map_err(|reason| {
                let at = "links.public_url and links.keys";
                ConfigError::new(at, "(secrets)", format_args!("right: {reason}"))
            }),
    }
}

fn ticket_codes(reader: &Reader) -> Result<Option<SealedTicketCodes>, ConfigError> {
    let keys = key_list(reader, "tickets.keys")?;
    if keys.is_empty() {
        return Ok(None);
    }
    let codes = SealedTicketCodes::new(keys);
    codes.map(Some).map_err(|reason| {
        ConfigError::new("tickets.keys", "(secrets)", format_args!("right: {reason}"))
    })
}

fn keys(reader: &Reader) -> Result<Option<TokenKeys>, ConfigError> {
    let keys = key_list(reader, "auth.keys")?;
    if keys.is_empty() {
        return Ok(None);
    }
    TokenKeys::new(keys).map(Some).map_err(|reason| {
        ConfigError::new("auth.keys", "(secrets)", format_args!("right: {reason}"))
    })
}

/// From a megabyte to a terabyte.
const BYTES: std::ops::RangeInclusive<i128> = 1_048_576..=1_099_511_627_776;

fn plugins(reader: &Reader) -> Result<Option<PluginsConfig>, ConfigError> {
    let is_enabled = reader.yes_or_no("plugins.enabled")?;
    let config = PluginsConfig {
        // 64 MiB is twice the largest toolchain's output.
        upload_bytes_max: reader.number("plugins.upload_bytes_max", 1_024..=67_108_864)?,
        policy_time: reader.seconds("plugins.policy_time_seconds", 0.001..=10.0)?,
        policy_fuel: reader.number("plugins.policy_fuel", 1_000..=100_000_000_000)?,
        template_time: reader.seconds("plugins.template_time_seconds", 0.001..=60.0)?,
        template_fuel: reader.number("plugins.template_fuel", 1_000..=100_000_000_000)?,
        // A component has at least a page of memory; the pool keeps 4 GiB of address space for each at most.
        memory_bytes_max: reader.number("plugins.memory_bytes_max", 65_536..=1_073_741_824)?,
        tenant_calls_max: reader.number("plugins.tenant_calls_max", 1..=1_000)?,
        calls_max: reader.number("plugins.calls_max", 1..=1_000)?,
        tenant_fuel_per_second: reader
            .number("plugins.tenant_fuel_per_second", 1_000..=1_000_000_000_000)?,
        compile_time: reader.seconds("plugins.compile_seconds", 0.01..=3_600.0)?,
        compile_memory_bytes_max: reader.number(
            "plugins.compile_memory_bytes_max",
            1_048_576..=68_719_476_736,
        )?,
        compilers_max: reader.number("plugins.compilers", 1..=64)?,
        tenant_compile_time_per_day: reader
            .seconds("plugins.tenant_compile_seconds_per_day", 1.0..=86_400.0)?,
        loaded_bytes_max: reader.number("plugins.loaded_bytes_max", BYTES)?,
        tenant_loaded_bytes_max: reader.number("plugins.tenant_loaded_bytes_max", BYTES)?,
        cache_folder: Some(reader.text("plugins.cache_folder")?)
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from),
        cache_bytes_max: reader.number("plugins.cache_bytes_max", BYTES)?,
    };
    Ok(is_enabled.then_some(config))
}

fn mail(reader: &Reader) -> Result<MailConfig, ConfigError> {
    let is_smtp = reader.choice("mail.kind", &[("folder", false), ("smtp", true)])?;
    let folder = reader.text("mail.folder")?;
    // Read in any case, so that a wrong value is found before somebody enables SMTP.
    let smtp = smtp(reader, is_smtp)?;
    Ok(match is_smtp {
        true => MailConfig::Smtp(Box::new(smtp)),
        false => MailConfig::Folder((!folder.is_empty()).then(|| folder.into())),
    })
}

fn smtp(reader: &Reader, is_used: bool) -> Result<SmtpSettings, ConfigError> {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let username = some(reader.text("mail.smtp.username")?);
    let password = reader.text("mail.smtp.password")?;
    let timeout = reader.seconds("mail.smtp.timeout_seconds", 0.1..=600.0)?;
    let settings = SmtpSettings {
        tls: reader.choice(
            "mail.smtp.tls",
            &[
                ("starttls", SmtpTls::StartTls),
                ("opportunistic", SmtpTls::Opportunistic),
                ("implicit", SmtpTls::Implicit),
                ("none", SmtpTls::None),
            ],
        )?,
        extra_authorities_pem: reader.file("mail.smtp.authorities_file")?,
        credentials: username.map(|username| (username, password)),
        hello_name: some(reader.text("mail.smtp.hello_name")?),
        connections_max: reader.number("mail.smtp.connections_max", 1..=100)?,
        mails_per_connection_max: reader
            .number("mail.smtp.mails_per_connection_max", 1..=1_000_000)?,
        connect_timeout: timeout,
        command_timeout: timeout,
        message_timeout: reader.seconds("mail.smtp.message_timeout_seconds", 0.1..=3_600.0)?,
        ..SmtpSettings::new(
            reader.text("mail.smtp.host")?,
            reader.number("mail.smtp.port", 1..=65_535)?,
        )
    };
    match settings.validate() {
        Err(error) if is_used => {
            Err(reader.refused(&format!("mail.smtp.{}", error.setting), error.allowed))
        }
        _ => Ok(settings),
    }
}

fn queue(reader: &Reader) -> Result<Option<JetStreamOptions>, ConfigError> {
    let is_nats = reader.choice("queue.kind", &[("embedded", false), ("nats", true)])?;
    let token = reader.text("queue.token")?;
    let username = reader.text("queue.username")?;
    let password = reader.text("queue.password")?;
    let creds = reader.file("queue.credentials_file")?;
    let given = [!token.is_empty(), !username.is_empty(), creds.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        let allowed = "the only one of token, username and credentials_file that is set";
        let key = match token.is_empty() {
            true => "queue.username",
            false => "queue.token",
        };
        return Err(reader.refused(key, allowed));
    }
    let credentials = match creds {
        Some(creds) => Credentials::Creds(String::from_utf8_lossy(&creds).into_owned()),
        None if !token.is_empty() => Credentials::Token(token),
        None if !username.is_empty() => Credentials::Password { username, password },
        None => Credentials::None,
    };
    let options = JetStreamOptions {
        credentials,
        authorities_pem: reader.file("queue.authorities_file")?,
        monitor_urls: listed(&reader.text("queue.monitor_url")?),
        prefix: reader.text("queue.prefix")?,
        replicas: reader.number("queue.replicas", 1..=5)?,
        ..JetStreamOptions::new(reader.text("queue.url")?)
    };
    // Read in any case, so that a wrong value is found before somebody enables NATS.
    match options.validate() {
        Ok(()) => Ok(is_nats.then_some(options)),
        Err(ConnectError::Option { option, allowed }) => {
            let key = match option {
                "credentials" => "credentials_file",
                "authorities_pem" => "authorities_file",
                "monitor_urls" => "monitor_url",
                other => other,
            };
            Err(reader.refused(&format!("queue.{key}"), allowed))
        }
        Err(error) => Err(reader.refused("queue.url", error)),
    }
}

/// The items between commas.
fn listed(text: &str) -> Vec<String> {
    let parts = text.split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn engine(reader: &Reader) -> Result<Settings, ConfigError> {
    // Below a tenth of a second leases would end between two heartbeats of their holder.
    let (pause, lease) = (0.001..=604_800.0, 0.1..=3_600.0);
    let engine = Settings {
        bookings: BookingSettings {
            // A hold of more than a day would be an unpaid booking.
            hold_duration: reader.seconds("bookings.hold_seconds", 1.0..=86_400.0)?,
            // With more than a month the event may be over before the next customer gets the offer.
            offer_duration: reader.seconds("bookings.offer_seconds", 1.0..=2_678_400.0)?,
            waitlist_entries_max: reader.number("bookings.waitlist_entries_max", 0..=100_000)?,
        },
        delivery: DeliverySettings {
            mail_from: reader.checked(
                "mail.from",
                "an e-mail address such as tickets@example.org",
                |text| EmailAddress::parse("mail.from", text).ok(),
            )?,
            update_merge_window: reader.seconds("worker.update_merge_seconds", 0.0..=86_400.0)?,
            tenant_mails_per_second: NonZeroU32::new(
                reader.number("worker.tenant_mails_per_second", 0..=1_000_000)?,
            ),
            account_mails_per_second: NonZeroU32::new(
                reader.number("worker.account_mails_per_second", 0..=1_000_000)?,
            ),
            bulk_window_batches: reader.number("worker.bulk_window_batches", 2..=1_000)?,
            retry_pause: reader.seconds("worker.retry_pause_seconds", pause.clone())?,
            retry_pause_max: reader.seconds("worker.retry_pause_max_seconds", pause)?,
            attempts_max: reader.number("worker.attempts_max", 1..=1_000)?,
            ..DeliverySettings::default()
        },
        worker: WorkerSettings {
            delivery_lease: reader.seconds("worker.delivery_lease_seconds", lease.clone())?,
            singleton_lease: reader.seconds("worker.singleton_lease_seconds", lease.clone())?,
            republish_after: reader.seconds("worker.republish_after_seconds", lease)?,
        },
        limits: Limits {
            plugin_versions_max: reader.number("plugins.tenant_versions_max", 1..=100_000)?,
            announcements_per_day_max: reader
                .number("mail.announcements_per_day_max", 0..=100_000)?,
            // The keys of one day are in one row: 1,000 are 50 KB.
            unconfirmed_mails_per_day: reader
                .number("mail.unconfirmed_mails_per_day", 1..=1_000)?,
            ..Limits::default()
        },
    };
    if engine.delivery.retry_pause_max < engine.delivery.retry_pause {
        return Err(reader.refused(
            "worker.retry_pause_max_seconds",
            "at least worker.retry_pause_seconds",
        ));
    }
    Ok(engine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str) -> Result<Config, ConfigError> {
        Config::read(layers::defaults().merge(layers::text(file)))
    }

    fn refused(file: &str) -> String {
        load(file).expect_err(file).to_string()
    }

    #[test]
    fn the_defaults_are_the_engines_own() {
        let config = load("").unwrap();
        let (ours, engines) = (
            format!("{:?}", config.engine),
            format!("{:?}", Settings::default()),
        );
        assert_eq!(ours, engines);
        assert!(config.keys.is_none() && config.links.is_none());
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_allowed() {
        for (file, key, value, allowed) in [
            (
                "[http]\nbody_bytes_max = -5",
                "http.body_bytes_max",
                "-5",
                "1024 to 104857600",
            ),
            (
                "[http]\nbody_bytes_max = \"big\"",
                "http.body_bytes_max",
                "big",
                "1024 to 104857600",
            ),
            (
                "[mail]\nkind = \"pigeon\"",
                "mail.kind",
                "pigeon",
                "folder or smtp",
            ),
            (
                "[http]\ncors_origins = [\"*\"]",
                "http.cors_origins",
                "(a list)",
                "https://shop.example",
            ),
            (
                "[http]\nclient_requests_per_minute = -1",
                "http.client_requests_per_minute",
                "-1",
                "0 to 1000000000",
            ),
            ("[mail]\nfrom = \"x\"", "mail.from", "x", "e-mail address"),
            (
                "[mail.smtp]\ntls = \"yes\"",
                "mail.smtp.tls",
                "yes",
                "implicit",
            ),
            (
                "[store]\nurl = \"http://x\"",
                "store.url",
                "http://x",
                "ws://",
            ),
            (
                "[queue]\nurl = \"nats://\"",
                "queue.url",
                "nats://",
                "nats://HOST:PORT",
            ),
            ("[queue]\nreplicas = 2", "queue.replicas", "2", "1, 3 or 5"),
            (
                "[queue]\nmonitor_url = \"nats-1:8222\"",
                "queue.monitor_url",
                "nats-1:8222",
                "http://HOST:PORT",
            ),
            (
                "[queue]\ncredentials_file = \"/no/where\"",
                "queue.credentials_file",
                "/no/where",
                "a file that can be read",
            ),
            (
                "[worker]\nretry_pause_seconds = 0",
                "worker.retry_pause_seconds",
                "0",
                "0.001",
            ),
            (
                "[worker]\nretry_pause_max_seconds = 1",
                "worker.retry_pause_max_seconds",
                "1",
                "retry_pause_seconds",
            ),
        ] {
            let message = refused(file);
            for part in [key, value, allowed] {
                assert!(message.contains(part), "{message:?} must contain {part:?}");
            }
        }
    }

    #[test]
    fn unknown_options_are_refused() {
        assert!(refused("[http]\nbody_max = 5").contains("http.body_max"));
        assert!(refused("[htp]\nx = 5").contains("htp"));
        assert!(
            refused("[auth]\nkeys = [{ id = \"a\", key = \"x\" }]").contains("auth.keys.0.key")
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let message = refused("[auth]\nkeys = [{ id = \"a\", secret = \"hunter2\" }]");
        assert!(
            message.contains("auth.keys") && message.contains("32 bytes"),
            "{message}"
        );
        assert!(!message.contains("hunter2"), "{message}");
        let message = refused("[store]\npassword = \"hunter2\" x");
        assert!(
            message.contains("line 2") && !message.contains("hunter2"),
            "{message}"
        );
        let message = refused("[queue]\ntoken = \"hunter2\"\nusername = \"me\"");
        assert!(
            message.contains("queue.token") && !message.contains("hunter2"),
            "{message}"
        );
        let message = refused("[store]\npassword = 12345\nurl = \"ws://x\"");
        assert!(
            message.contains("store.password") && !message.contains("12345"),
            "{message}"
        );
    }

    #[test]
    fn smtp_needs_a_host_only_when_it_is_used() {
        assert!(refused("[mail]\nkind = \"smtp\"").contains("mail.smtp.host"));
        assert!(load("[mail]\nkind = \"folder\"").is_ok());
    }
}
