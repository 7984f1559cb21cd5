//! `boxoffice plugin …`: commands for authors of plugins.
//!
//! Called by the program. `new` writes a project, `check` and `run` use the code of a host; `push` uploads to a running host.

mod check;
mod new;
mod push;
mod run;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use boxoffice_engine::{
    PluginFacts, PluginHash, TenantId,
    ports::{LoadPurpose, PluginRef, PluginRuntime as _},
};
use clap::Subcommand;

use crate::plugin_host::{Compiler, PluginHost, PluginHostSettings};

/// `boxoffice plugin …`.
#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Writes a complete project into a new folder.
    New(new::NewArgs),
    /// Checks whether a host would accept a component, and prints its interface.
    Check(check::CheckArgs),
    /// Makes one call of a component, like a host, and prints the answer and its cost.
    Run(run::RunArgs),
    /// Uploads a component to a running host.
    Push(push::PushArgs),
}

/// Runs one of these commands.
pub(super) async fn plugin(command: PluginCommand) -> anyhow::Result<()> {
    match command {
        PluginCommand::New(args) => new::new(&args),
        PluginCommand::Check(args) => check::check(args).await,
        PluginCommand::Run(args) => run::run(args).await,
        PluginCommand::Push(args) => push::push(args).await,
    }
}

/// A checked and compiled component, with its own plugin host.
struct Local {
    host: PluginHost,
    plugin: PluginRef,
    facts: PluginFacts,
    size_bytes: usize,
}

impl Local {
    /// Reads, checks and compiles a component.
    ///
    /// # Errors
    /// The message that a tenant would get.
    async fn load(
        path: &Path,
        upload_bytes_max: Option<usize>,
        time_max: Option<Duration>,
    ) -> anyhow::Result<Self> {
        let bytes: Arc<[u8]> = std::fs::read(path)
            .with_context(|| path.display().to_string())?
            .into();
        let mut settings =
            PluginHostSettings::new(Compiler::this_program().context("finding this program")?);
        settings.threads = Some(1);
        if let Some(most) = upload_bytes_max {
            settings.upload_bytes_max = most;
        }
        if let Some(most) = time_max {
            settings.policy.time = most;
            settings.template.time = most;
        }
        let host = PluginHost::new(settings).map_err(anyhow::Error::msg)?;
        host.check(&bytes)?;
        let plugin = PluginRef {
            tenant: TenantId::parse("local")?,
            hash: PluginHash::of(&bytes),
        };
        let size_bytes = bytes.len();
        let source = Arc::new(bytes);
        let facts = host.load(&plugin, source, LoadPurpose::Use).await?;
        Ok(Self {
            host,
            plugin,
            facts,
            size_bytes,
        })
    }
}
