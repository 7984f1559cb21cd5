//! `boxoffice plugin push`: uploads a component to a running host, and activates it on request.
//!
//! Called by the plugin commands. Calls a host's REST API.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use axum::http::Method;
use boxoffice_engine::PluginName;
use clap::Args;
use serde_json::{Value, json};

use super::run::read_object;
use crate::{
    cli::{
        print,
        remote::{Remote, text},
    },
    config,
};

/// Longest wait for the host to compile it: its own limit, and the uploads before this one.
const COMPILE_WAIT_MAX: Duration = Duration::from_secs(600);
/// The pause between two requests for its state.
const LOOK_PAUSE: Duration = Duration::from_millis(250);

/// `boxoffice plugin push`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PushArgs {
    /// The component.
    file: PathBuf,
    /// The host: https://HOST or http://HOST:PORT.
    #[arg(long, value_name = "URL")]
    url: String,
    /// A token of one of the tenant's owners. Better set BOXOFFICE_TOKEN, which `ps` does not show.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// The plugin's name [default: the file's name].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Activates it when it is ready.
    #[arg(long)]
    activate: bool,
    /// A file with the configuration, a JSON object, for the activation. Without it the current one is kept.
    #[arg(long, value_name = "FILE", requires = "activate")]
    config: Option<PathBuf>,
}

/// Uploads, waits until the component is ready, and prints the version, or after activation the active plugins.
pub(super) async fn push(args: PushArgs) -> anyhow::Result<()> {
    let Some(token) = args.token.clone().or_else(config::token_from_environment) else {
        bail!("an owner's token is needed: --token TOKEN, or BOXOFFICE_TOKEN");
    };
    let name = match &args.name {
        Some(name) => name.clone(),
        None => args
            .file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .context("--name NAME is needed: the file's name is no text")?
            .replace('_', "-"),
    };
    let name = PluginName::parse("--name", &name)?;
    let name = name.as_str();
    // Read before the upload: an invalid file changes nothing.
    let config = args.config.as_deref().map(read_object).transpose()?;
    let bytes = std::fs::read(&args.file).with_context(|| args.file.display().to_string())?;
    let remote = Remote::new(&args.url, Some(token))?;
    let mut version = remote
        .upload(
            &format!("/api/plugins/{name}/versions"),
            "application/wasm",
            bytes,
        )
        .await?;
    let path = format!("/api/plugins/versions/{}", text(&version, "version"));
    let begun = tokio::time::Instant::now();
    while text(&version, "state") == "compiling" {
        if begun.elapsed() > COMPILE_WAIT_MAX {
            bail!("the host is still compiling it; read {path} later");
        }
        tokio::time::sleep(LOOK_PAUSE).await;
        version = remote.call(Method::GET, &path, None).await?;
    }
    if text(&version, "state") != "ready" {
        bail!("the host rejected it: {}", text(&version, "reason"));
    }
    let printed: Value = if args.activate {
        let mut body = json!({ "version": version["version"] });
        if let Some(config) = config {
            body["config"] = config.into();
        }
        let path = format!("/api/plugins/{name}/activate");
        remote.call(Method::POST, &path, Some(body)).await?
    } else {
        version
    };
    print(&serde_json::to_string_pretty(&printed)?)
}
