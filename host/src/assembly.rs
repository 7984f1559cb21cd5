//! Makes an engine with store, mailer and queue from the configuration: the only place that chooses them.
//!
//! Called by cli for serve, worker, dev and the commands that open the store.

use std::{num::NonZeroU32, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use boxoffice_engine::{
    BackupFacts, Engine, EngineBuilder, Store,
    ports::{FolderMailer, MailOutcome, Mailer, OutgoingMail},
};
use boxoffice_nats::{ConnectError, JetStreamOptions, JetStreamQueue, SignIn};

use crate::{
    config::{Config, ConfigError, MailConfig, MetricsListen, StoreConfig, data_folder},
    mail::SmtpMailer,
    routes::RouterOptions,
    traces::Exporting,
};

/// Why the assembly failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssemblyError {
    /// An option is missing or contradicts others.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store could not be opened.
    #[error(transparent)]
    Engine(#[from] boxoffice_engine::Error),
    /// The NATS servers refuse this program for good, for example because of wrong credentials.
    #[error("queue: {0}")]
    Queue(#[from] boxoffice_nats::ConnectError),
    /// Plugins cannot be run on this machine.
    #[error("plugins: {0}; `enabled = false` under [plugins] goes on without them")]
    Plugins(String),
    /// The mail folder could not be created.
    #[error("mail folder {}: {source}", folder.display())]
    MailFolder {
        /// The folder.
        folder: PathBuf,
        /// The file system's error.
        source: std::io::Error,
    },
}

/// Whether a process sends mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailRole {
    /// It runs a worker.
    Sender,
    /// It leaves them to other processes, and needs no mailer.
    None,
}

/// Opens the store and builds the engine.
///
/// # Errors
/// [`AssemblyError`].
pub(crate) async fn engine(
    config: &Config,
    mail_role: MailRole,
    exporting: Option<&Exporting>,
) -> Result<Engine, AssemblyError> {
    let builder = Engine::builder()
        .store(store(&config.store))
        .settings(config.engine.clone());
    let builder = match mail_role {
        MailRole::Sender => with_mailer(builder, config)?,
        MailRole::None => builder.mailer(NoMailer),
    };
    let builder = with_plugins(builder, config)?;
    let builder = match &config.queue {
        Some(options) => builder.queue(Arc::new(queue(options).await?)),
        None => builder,
    };
    let builder = match &config.links {
        Some(links) => builder.links(links.clone()),
        None => builder,
    };
    let builder = match &config.ticket_codes {
        Some(codes) => builder.ticket_codes(codes.clone()),
        None => builder,
    };
    let builder = match exporting {
        Some(exporting) => builder.traces(exporting.traces()),
        None => builder,
    };
    Ok(builder.build().await?)
}

/// Restores a backup into the configured store, which must be empty.
///
/// # Errors
/// [`AssemblyError`].
pub(crate) async fn restore(
    config: &Config,
    backup: impl tokio::io::AsyncBufRead + Unpin,
) -> Result<BackupFacts, AssemblyError> {
    let builder = Engine::builder().store(store(&config.store));
    Ok(builder.restore(backup).await?)
}

/// The options of the router.
///
/// # Errors
/// [`ConfigError`] without a key to sign tokens.
pub(crate) fn router_options(config: &Config) -> Result<RouterOptions, ConfigError> {
    let keys = config.keys.clone().ok_or_else(|| {
        ConfigError::missing(
            "auth.keys",
            "tokens need a key that outlives a restart: keys = [{ id = \"…\", secret = \"…\" }] under [auth], \
             with a secret of at least 32 bytes, for example from `openssl rand -hex 32`",
        )
    })?;
    let http = &config.http;
    Ok(RouterOptions {
        keys,
        links: config.links.clone(),
        egress: config.egress.clone(),
        body_bytes_max: http.body_bytes_max.0,
        throttle_logins: http.throttle_logins,
        sign_ups_per_hour: NonZeroU32::new(http.sign_ups_per_hour.0),
        unconfirmed_tickets_per_hour: NonZeroU32::new(http.unconfirmed_tickets_per_hour.0),
        client_requests_per_minute: NonZeroU32::new(http.client_requests_per_minute.0),
        tenant_requests_per_minute: NonZeroU32::new(http.tenant_requests_per_minute.0),
        cors_origins: http.cors_origins.clone(),
        trusted_proxies: http.trusted_proxies.clone(),
        behind_tls: http.behind_tls,
        hsts_seconds: http.hsts_seconds.0,
        base_domain: http.base_domain.clone(),
        request_timeout: http.request_timeout_seconds.0,
        open_metrics: config.metrics_listen == MetricsListen::WithApi,
        ..RouterOptions::default()
    })
}

/// The folder that mails are written to, if they are.
pub(crate) fn mails_folder(config: &Config) -> Option<PathBuf> {
    match &config.mail {
        MailConfig::Smtp(_) => None,
        MailConfig::Folder(Some(folder)) => Some(folder.clone()),
        MailConfig::Folder(None) => config
            .data_folder()
            .map(|folder| data_folder::mails(folder)),
    }
}

/// The mailer of a process that sends no mails. Without it the engine would create a mail folder.
struct NoMailer;

#[async_trait]
impl Mailer for NoMailer {
    async fn send(&self, _: &OutgoingMail) -> MailOutcome {
        MailOutcome::Deferred {
            reply: "this process sends no mails".to_owned(),
        }
    }

    fn concurrency(&self) -> usize {
        1
    }
}

async fn queue(options: &JetStreamOptions) -> Result<JetStreamQueue, AssemblyError> {
    let connected = JetStreamQueue::connect(options.clone()).await;
    connected.map_err(|error| {
        let key = match &error {
            ConnectError::SignIn(SignIn::Token) => "queue.token",
            ConnectError::SignIn(SignIn::Password) => "queue.username with queue.password",
            ConnectError::SignIn(SignIn::Creds) => "queue.credentials_file",
            ConnectError::SignIn(SignIn::None) => {
                let what_to_do = "the NATS server demands a sign-in: set queue.token, queue.username with \
                                  queue.password, or queue.credentials_file";
                return ConfigError::missing("queue.token", what_to_do).into();
            }
            _ => return error.into(),
        };
        ConfigError::new(key, "(secret)", "one that the NATS server accepts").into()
    })
}

fn store(config: &StoreConfig) -> Store {
    match config.clone() {
        StoreConfig::Folder(folder) => Store::Embedded(data_folder::database(&folder)),
        StoreConfig::Memory => Store::Memory,
        StoreConfig::Server {
            url,
            namespace,
            database,
            username,
            password,
        } => Store::Remote {
            url,
            namespace,
            database,
            username,
            password,
        },
    }
}

#[cfg(feature = "plugins")]
fn with_plugins(builder: EngineBuilder, config: &Config) -> Result<EngineBuilder, AssemblyError> {
    use crate::plugin_host::{CallLimits, Compiler, PluginCache, PluginHost, PluginHostSettings};

    let Some(plugins) = &config.plugins else {
        return Ok(builder);
    };
    let failed = |error: std::io::Error| AssemblyError::Plugins(error.to_string());
    let defaults = PluginHostSettings::new(Compiler::this_program().map_err(failed)?);
    let cache = match plugin_cache_folder(config, plugins) {
        None => None,
        Some(folder) => match data_folder::plugin_cache_key(&folder) {
            Ok(key) => Some(PluginCache {
                folder,
                key,
                bytes_max: plugins.cache_bytes_max.0,
            }),
            // This folder is a default, and only saves time.
            Err(error) if plugins.cache_folder.is_none() && config.data_folder().is_none() => {
                tracing::warn!(folder = %folder.display(), %error, "compiled plugins are not cached across restarts; \
                    `cache_folder` under [plugins] names another folder");
                None
            }
            Err(error) => {
                let reason = format!("{}: {error}", folder.display());
                return Err(AssemblyError::Plugins(reason));
            }
        },
    };
    let settings = PluginHostSettings {
        upload_bytes_max: plugins.upload_bytes_max.0,
        policy: CallLimits {
            time: plugins.policy_time_seconds.0,
            fuel: plugins.policy_fuel.0,
            memory_bytes: plugins.memory_bytes_max.0,
            ..defaults.policy
        },
        template: CallLimits {
            time: plugins.template_time_seconds.0,
            fuel: plugins.template_fuel.0,
            memory_bytes: plugins.memory_bytes_max.0,
            ..defaults.template
        },
        tenant_calls_max: plugins.tenant_calls_max.0,
        calls_max: plugins.calls_max.0,
        tenant_fuel_per_second: plugins.tenant_fuel_per_second.0,
        compile_time_max: plugins.compile_seconds.0,
        compile_memory_bytes_max: plugins.compile_memory_bytes_max.0,
        compilers_max: plugins.compilers.0,
        tenant_compile_time_per_day: plugins.tenant_compile_seconds_per_day.0,
        loaded_bytes_max: plugins.loaded_bytes_max.0,
        tenant_loaded_bytes_max: plugins.tenant_loaded_bytes_max.0,
        cache,
        ..defaults
    };
    let host = PluginHost::new(settings).map_err(AssemblyError::Plugins)?;
    Ok(builder.plugins(host))
}

/// The folder of compiled plugins: separate for each installation, because plugins that a store does not know are removed.
#[cfg(feature = "plugins")]
fn plugin_cache_folder(config: &Config, plugins: &crate::config::PluginOptions) -> Option<PathBuf> {
    use sha2::Digest as _;

    let installation = match &config.store {
        StoreConfig::Memory => return None,
        StoreConfig::Folder(folder) if plugins.cache_folder.is_none() => {
            return Some(data_folder::plugin_cache(folder));
        }
        StoreConfig::Folder(folder) => std::path::absolute(folder).ok()?.display().to_string(),
        StoreConfig::Server {
            url,
            namespace,
            database,
            ..
        } => format!("{url} {namespace} {database}"),
    };
    let base = plugins
        .cache_folder
        .clone()
        .or_else(crate::config::cache_folder_from_environment)?;
    let digest = sha2::Sha256::digest(installation.as_bytes());
    let name: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(base.join("plugins").join(name))
}

#[cfg(not(feature = "plugins"))]
fn with_plugins(builder: EngineBuilder, config: &Config) -> Result<EngineBuilder, AssemblyError> {
    match &config.plugins {
        Some(_) => Err(AssemblyError::Plugins(
            "this program was built without them".to_owned(),
        )),
        None => Ok(builder),
    }
}

fn with_mailer(builder: EngineBuilder, config: &Config) -> Result<EngineBuilder, AssemblyError> {
    if let MailConfig::Smtp(settings) = &config.mail {
        let mailer = SmtpMailer::new((**settings).clone()).map_err(|error| {
            ConfigError::new(
                &format!("mail.smtp ({})", error.setting),
                "(as given)",
                error.allowed,
            )
        })?;
        return Ok(builder.mailer(mailer));
    }
    let folder = mails_folder(config).ok_or_else(|| {
        ConfigError::missing(
            "mail.folder",
            "with a store that is no folder, say where mails are written, or use SMTP",
        )
    })?;
    let mailer = FolderMailer::open(&folder)
        .map_err(|source| AssemblyError::MailFolder { folder, source })?;
    Ok(builder.mailer(mailer))
}
