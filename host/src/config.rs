//! The program's configuration: defaults, a file, the environment and the command line, checked as a whole.
//!
//! Called by cli and assembly. The only module of the host that reads environment and configuration files. Every
//! option is documented in `config.default.toml`, which is compiled in as the lowest layer. serde reads the merged layers
//! into options.rs; here is what goes beyond one option.

pub(crate) mod data_folder;
mod layers;
mod options;
pub(crate) mod private_files;
#[cfg(test)]
mod tests;
mod values;

use std::{fmt, net::SocketAddr, num::NonZeroU32, path::PathBuf};

use boxoffice_engine::{
    BookingSettings, ChangeSettings, DeliverySettings, Limits, Settings, WorkerSettings,
};
use boxoffice_nats::{ConnectError, Credentials, JetStreamOptions};

use crate::{
    auth::{MailLinks, SealedTicketCodes, TokenKey, TokenKeys},
    egress::Egress,
    mail::SmtpSettings,
    traces::TracesConfig,
};
use layers::Layers;
use options::{
    KeyOption, LinkOptions, MailKind, MailOptions, Options, QueueKind, QueueOptions, SmtpOptions,
    StoreOptions,
};

pub(crate) use layers::{
    ConfigError, Flags, cache_folder_from_environment, token_from_environment,
};
pub(crate) use options::{HttpOptions, LogFormat, LogOptions, PluginOptions};

/// The configuration, checked.
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
    /// Opens connections to what tenants name.
    pub(crate) egress: Egress,
    /// The options of HTTP.
    pub(crate) http: HttpOptions,
    /// The mailer.
    pub(crate) mail: MailConfig,
    /// The job queue, if it is not the embedded one.
    pub(crate) queue: Option<JetStreamOptions>,
    /// The options of plugins, if they are enabled.
    pub(crate) plugins: Option<PluginOptions>,
    /// Where a worker process answers health checks.
    pub(crate) worker_listen: SocketAddr,
    /// Where a host answers `/metrics`.
    pub(crate) metrics_listen: MetricsListen,
    /// The engine's settings.
    pub(crate) engine: Settings,
    /// The options of logs.
    pub(crate) logs: LogOptions,
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

/// The mailer.
#[derive(Debug)]
pub(crate) enum MailConfig {
    /// Into a folder; `None` means `mails/` in the data folder.
    Folder(Option<PathBuf>),
    /// Over SMTP.
    Smtp(Box<SmtpSettings>),
}

impl Config {
    /// Reads all layers and checks every option.
    ///
    /// # Errors
    /// [`ConfigError`] names the option, the place that set it, its value and what is allowed.
    pub(crate) fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::read(&Layers::new(flags)?)
    }

    fn read(layers: &Layers) -> Result<Self, ConfigError> {
        let options: Options = layers.read()?;
        let engine = engine(&options);
        if engine.delivery.retry_pause_max < engine.delivery.retry_pause {
            let allowed = "at least worker.retry_pause_seconds";
            return Err(layers.refused("worker.retry_pause_max_seconds", allowed));
        }
        let telemetry = options.telemetry;
        Ok(Self {
            listen: options.listen,
            store: store(options.store),
            keys: keyed(layers, "auth.keys", options.auth.keys, TokenKeys::new)?,
            links: links(layers, options.links)?,
            ticket_codes: keyed(
                layers,
                "tickets.keys",
                options.tickets.keys,
                SealedTicketCodes::new,
            )?,
            egress: options.egress.allow,
            http: options.http,
            mail: mail(layers, options.mail)?,
            queue: queue(layers, options.queue)?,
            plugins: Some(options.plugins).filter(|plugins| plugins.enabled),
            worker_listen: options.worker.listen,
            metrics_listen: options.metrics.listen,
            engine,
            logs: options.logs,
            traces: telemetry.otlp_endpoint.map(|endpoint| TracesConfig {
                endpoint,
                service_name: telemetry.service_name,
                sample_ratio: telemetry.sample_ratio,
            }),
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

fn store(options: StoreOptions) -> StoreConfig {
    match options.url.as_str() {
        "mem://" => StoreConfig::Memory,
        url if !url.contains("://") => StoreConfig::Folder(options.url.into()),
        _ => StoreConfig::Server {
            url: options.url,
            namespace: options.namespace,
            database: options.database,
            username: options.username,
            password: options.password,
        },
    }
}

/// What `make` builds from an option's keys; `None` without keys.
fn keyed<T>(
    layers: &Layers,
    option: &str,
    keys: Vec<KeyOption>,
    make: impl FnOnce(Vec<TokenKey>) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    let keys: Vec<TokenKey> = keys.into_iter().map(TokenKey::from).collect();
    match keys.is_empty() {
        true => Ok(None),
        false => make(keys)
            .map(Some)
            .map_err(|reason| layers.invalid(option, &reason)),
    }
}

fn links(layers: &Layers, options: LinkOptions) -> Result<Option<MailLinks>, ConfigError> {
    match (options.public_url.is_empty(), options.keys.is_empty()) {
        (true, false) => Err(ConfigError::missing(
            "links.public_url",
            "there are links.keys, so say where the API is reached from outside: https://tickets.example.org",
        )),
        (false, true) => Err(ConfigError::missing(
            "links.keys",
            "there is a links.public_url, so links need a key: keys = [{ id = \"…\", secret = \"…\" }] under [links]",
        )),
        // The reason says whether it is about the keys or the address.
        _ => keyed(layers, "links", options.keys, |keys| {
            MailLinks::new(&options.public_url, keys)
        }),
    }
}

fn mail(layers: &Layers, options: MailOptions) -> Result<MailConfig, ConfigError> {
    if options.kind == MailKind::Folder {
        return Ok(MailConfig::Folder(options.folder));
    }
    let smtp = smtp(options.smtp);
    smtp.validate()
        .map_err(|error| layers.refused(&format!("mail.smtp.{}", error.setting), error.allowed))?;
    Ok(MailConfig::Smtp(Box::new(smtp)))
}

fn smtp(options: SmtpOptions) -> SmtpSettings {
    SmtpSettings {
        tls: options.tls,
        extra_authorities_pem: options.authorities_file.0,
        credentials: options
            .username
            .map(|username| (username, options.password)),
        hello_name: options.hello_name,
        connections_max: options.connections_max.0,
        mails_per_connection_max: options.mails_per_connection_max.0,
        connect_timeout: options.timeout_seconds.0,
        command_timeout: options.timeout_seconds.0,
        message_timeout: options.message_timeout_seconds.0,
        ..SmtpSettings::new(options.host, options.port.0)
    }
}

fn queue(layers: &Layers, queue: QueueOptions) -> Result<Option<JetStreamOptions>, ConfigError> {
    let is_nats = queue.kind == QueueKind::Nats;
    let monitor_urls = queue.monitor_url.split(',').map(str::trim);
    let options = JetStreamOptions {
        monitor_urls: monitor_urls
            .filter(|url| !url.is_empty())
            .map(str::to_owned)
            .collect(),
        authorities_pem: queue.authorities_file.0,
        prefix: queue.prefix,
        replicas: queue.replicas.0,
        credentials: match (queue.credentials_file.0, &*queue.token, &*queue.username) {
            (None, "", "") => Credentials::None,
            (None, _, "") => Credentials::Token(queue.token),
            (None, "", _) => Credentials::Password {
                username: queue.username,
                password: queue.password,
            },
            (Some(creds), "", "") => {
                Credentials::Creds(String::from_utf8_lossy(&creds).into_owned())
            }
            (_, token, _) => {
                let key = if token.is_empty() {
                    "queue.username"
                } else {
                    "queue.token"
                };
                let allowed = "the only one of token, username and credentials_file that is set";
                return Err(layers.refused(key, allowed));
            }
        },
        ..JetStreamOptions::new(queue.url)
    };
    // Checked in any case: a wrong value is found before somebody turns NATS on.
    match options.validate() {
        Ok(()) => Ok(is_nats.then_some(options)),
        Err(ConnectError::Option { option, allowed }) => {
            let name = match option {
                "credentials" => "credentials_file",
                "authorities_pem" => "authorities_file",
                "monitor_urls" => "monitor_url",
                other => other,
            };
            Err(layers.refused(&format!("queue.{name}"), allowed))
        }
        Err(error) => Err(layers.refused("queue.url", error)),
    }
}

fn engine(options: &Options) -> Settings {
    let Options {
        bookings,
        changes,
        mail,
        plugins,
        worker,
        ..
    } = options;
    Settings {
        bookings: BookingSettings {
            hold_duration: bookings.hold_seconds.0,
            offer_duration: bookings.offer_seconds.0,
            waitlist_entries_max: bookings.waitlist_entries_max.0,
        },
        changes: ChangeSettings {
            kept_for: std::time::Duration::from_secs(changes.kept_days.0 * 24 * 3600),
        },
        delivery: DeliverySettings {
            mail_from: mail.from.clone(),
            update_merge_window: worker.update_merge_seconds.0,
            bulk_window_batches: worker.bulk_window_batches.0,
            tenant_mails_per_second: NonZeroU32::new(worker.tenant_mails_per_second.0),
            account_mails_per_second: NonZeroU32::new(worker.account_mails_per_second.0),
            retry_pause: worker.retry_pause_seconds.0,
            retry_pause_max: worker.retry_pause_max_seconds.0,
            attempts_max: worker.attempts_max.0,
            ..DeliverySettings::default()
        },
        worker: WorkerSettings {
            delivery_lease: worker.delivery_lease_seconds.0,
            singleton_lease: worker.singleton_lease_seconds.0,
            republish_after: worker.republish_after_seconds.0,
        },
        limits: Limits {
            plugin_versions_max: plugins.tenant_versions_max.0,
            announcements_per_day_max: mail.announcements_per_day_max.0,
            unconfirmed_mails_per_day: mail.unconfirmed_mails_per_day.0,
            ..Limits::default()
        },
    }
}
