//! `boxoffice dev`: everything in one process, for trying and development.
//!
//! Called by the program. Calls serve's run with secrets from the data folder and a demo tenant.

use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use toml::Value;

use super::{StoreArgs, demo, serve};
use crate::{
    assembly::{self, MailRole},
    auth::{MailLinks, SealedTicketCodes, TokenKey, TokenKeys},
    config::{Config, ConfigError, Flags, data_folder::DevSecrets},
    routes::RouterOptions,
    telemetry,
};

/// `boxoffice dev`.
#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// Stores database, mails and secrets in this folder [default: boxoffice-data].
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Listens here; port 0 takes a free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Reads options from this file; `config.default.toml` in the source documents them all.
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
}

/// Runs API and worker with a demo tenant until a signal comes.
pub(super) async fn dev(args: DevArgs) -> anyhow::Result<()> {
    let mut config = Config::load(&flags(args))?;
    let Some(folder) = config.data_folder().cloned() else {
        return Err(ConfigError::new(
            "store.url",
            "(no folder)",
            "a folder for `dev`; `serve` takes any store",
        )
        .into());
    };
    let telemetry = telemetry::start(&config)?;

    let (secrets, are_new) = DevSecrets::open(&folder).with_context(|| {
        format!(
            "reading or writing secrets in the data folder {}",
            folder.display()
        )
    })?;
    if config.keys.is_none() {
        config.keys = Some(keys(&secrets)?);
    }
    if config.links.is_none() {
        config.links = Some(links(&secrets, config.listen)?);
    }
    config.engine.delivery.require_email_verification = false;
    if config.ticket_codes.is_none() {
        config.ticket_codes = Some(ticket_codes(&secrets)?);
    }
    let options = RouterOptions {
        mails_folder: assembly::mails_folder(&config),
        ..assembly::router_options(&config)?
    };
    let place = demo::Place {
        folder: folder.clone(),
        mails: options.mails_folder.clone(),
        secrets_are_new: are_new,
        is_loopback: config.listen.ip().is_loopback(),
    };
    let welcome = async |engine: &boxoffice_engine::Engine, url: &str| {
        let demo = demo::ensure(engine, &secrets)
            .await
            .context("preparing the demo tenant")?;
        Ok(demo::welcome(&demo, &secrets, &place, url))
    };
    let ended = serve::run(
        &config,
        options,
        MailRole::Sender,
        "dev",
        &telemetry,
        welcome,
    )
    .await;
    telemetry.end().await;
    ended
}

/// People who try things mistype passwords and do not want to wait for mails.
fn flags(args: DevArgs) -> Flags {
    let store = StoreArgs {
        config: args.config,
        data: args.data,
        store: None,
    };
    let mut flags = store.flags();
    let listen = args.listen.map(Value::from);
    flags
        .overrides
        .extend(listen.map(|listen| ("listen", "--listen", listen)));
    flags.presets = vec![
        ("http.throttle_logins", Value::from(false)),
        ("http.sign_ups_per_hour", Value::from(0)),
        ("http.client_requests_per_minute", Value::from(0)),
        ("http.tenant_requests_per_minute", Value::from(0)),
        ("metrics.listen", Value::from("with-api")),
        ("worker.update_merge_seconds", Value::from(0)),
    ];
    flags
}

/// Links to this machine, for trying. With port 0 the port is not known yet, and the
/// links do not work.
fn links(secrets: &DevSecrets, listen: std::net::SocketAddr) -> anyhow::Result<MailLinks> {
    let key = key_of(secrets, secrets.links_secret.as_ref())?;
    MailLinks::new(&format!("http://{listen}"), vec![key])
        .map_err(|reason| anyhow::anyhow!("secrets.toml: {reason}"))
}

fn ticket_codes(secrets: &DevSecrets) -> anyhow::Result<SealedTicketCodes> {
    let key = key_of(secrets, secrets.tickets_secret.as_ref())?;
    SealedTicketCodes::new(vec![key]).map_err(|reason| anyhow::anyhow!("secrets.toml: {reason}"))
}

fn key_of(secrets: &DevSecrets, secret: Option<&String>) -> anyhow::Result<TokenKey> {
    let secret = secret.context("opening the secrets makes what is missing")?;
    Ok(TokenKey {
        id: secrets.key_id.clone(),
        secret: secret.clone().into_bytes(),
    })
}

fn keys(secrets: &DevSecrets) -> anyhow::Result<TokenKeys> {
    let key = TokenKey {
        id: secrets.key_id.clone(),
        secret: secrets.key_secret.clone().into_bytes(),
    };
    TokenKeys::new(vec![key])
        .map_err(|reason| anyhow::anyhow!("{}: {reason}", Path::new("secrets.toml").display()))
}
