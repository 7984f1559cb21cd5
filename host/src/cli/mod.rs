//! The program `boxoffice`: its commands and exit codes.
//!
//! Called by main.rs. Calls config, assembly and the library. Data goes to stdout, everything else to stderr. Exit code 0 is
//! success, 2 a wrong command line or configuration (nothing was started), 1 any other failure.

mod accounts;
mod backup;
mod changes;
mod connection;
mod demo;
mod dev;
mod erasures;
mod export;
mod import;
mod lifecycle;
mod part_files;
#[cfg(feature = "plugins")]
mod plugin;
mod remote;
mod request_body;
mod serve;
mod store;
mod store_watchdog;
mod verify;
mod worker;

use std::{
    future::Future,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use toml::Value;

use crate::{
    assembly::AssemblyError,
    config::{ConfigError, Flags, private_files},
};

/// How long background tasks may take after a command; usually some milliseconds.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Event booking engine: REST API, mail worker, administration.
#[derive(Debug, Parser)]
#[command(name = "boxoffice", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the API.
    Serve(serve::ServeArgs),
    /// Sends mails, in a process separate from the API. Both need a store on a SurrealDB server.
    Worker(worker::WorkerArgs),
    /// Runs everything in one process, with a demo tenant, for trying and development.
    Dev(dev::DevArgs),
    /// Adds and lists tenants.
    #[command(subcommand)]
    Tenant(accounts::TenantCommand),
    /// Adds and lists a tenant's users.
    #[command(subcommand)]
    User(accounts::UserCommand),
    /// Adds, lists, removes and signs in operators.
    #[command(subcommand)]
    Operator(accounts::OperatorCommand),
    /// Recomputes all events' counters from the capacity ledger and the bookings, and prints differences.
    Verify(verify::VerifyArgs),
    /// Takes a consistent snapshot of a running system into a file.
    Backup(backup::BackupArgs),
    /// Restores a backup into an empty store.
    Restore(backup::RestoreArgs),
    /// Writes the list of erased accounts, which is kept beside backups, into a file.
    Erasures(erasures::ErasuresArgs),
    /// Writes a list of a running host to a file, as CSV or NDJSON.
    Export(export::ExportArgs),
    /// Prints what changed in a tenant of a running host, a JSON object on each line.
    Changes(changes::ChangesArgs),
    /// Imports bookings of another system from a file, through a running host.
    Import(import::ImportArgs),
    /// Creates, checks, runs and uploads plugins.
    #[cfg(feature = "plugins")]
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Reads a component and writes its machine code. A host starts this for each upload, in a separate process.
    #[cfg(feature = "plugins")]
    #[command(name = crate::plugin_host::COMPILE_COMMAND, hide = true)]
    PluginCompile,
    /// Prints the API's OpenAPI document.
    Openapi,
    /// Explains an error code: what it means and what to do.
    Explain {
        /// The code, such as `not-enough-tickets`; without one all codes are listed.
        code: Option<String>,
    },
}

/// The configuration and store of a command.
#[derive(Debug, Clone, Default, Args)]
struct StoreArgs {
    /// Reads options from this file; `config.default.toml` in the source documents them all.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stores everything in this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    data: Option<String>,
    /// Uses this store: a folder, mem://, ws://HOST:PORT or wss://HOST:PORT.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

impl StoreArgs {
    fn flags(&self) -> Flags {
        let text = |option: &Option<String>| option.clone().map(Value::from);
        let overrides = [
            ("store.url", "--data", text(&self.data)),
            ("store.url", "--store", text(&self.store)),
        ];
        let overrides = overrides
            .into_iter()
            .filter_map(|(key, flag, value)| Some((key, flag, value?)))
            .collect();
        Flags {
            file: self.config.clone(),
            overrides,
            ..Flags::default()
        }
    }
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    #[cfg(feature = "plugins")]
    if matches!(command, Command::PluginCompile) {
        return crate::plugin_host::compile_stdin();
    }
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "boxoffice: {error:#}");
            ExitCode::from(if is_about_configuration(&error) { 2 } else { 1 })
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    if keeps_data(&command) {
        private_files::mask_new_files();
    }
    match command {
        Command::Serve(args) => block_on(serve::serve(args)),
        Command::Worker(args) => block_on(worker::worker(args)),
        Command::Dev(args) => block_on(dev::dev(args)),
        Command::Tenant(command) => block_on(accounts::tenant(command)),
        Command::User(command) => block_on(accounts::user(command)),
        Command::Operator(command) => block_on(accounts::operator(command)),
        Command::Verify(args) => block_on(verify::verify(args)),
        Command::Backup(args) => block_on(backup::backup(args)),
        Command::Restore(args) => block_on(backup::restore(args)),
        Command::Erasures(args) => block_on(erasures::erasures(args)),
        Command::Export(args) => block_on(export::export(args)),
        Command::Changes(args) => block_on(changes::changes(args)),
        Command::Import(args) => block_on(import::import(args)),
        #[cfg(feature = "plugins")]
        Command::Plugin(command) => block_on(plugin::plugin(command)),
        #[cfg(feature = "plugins")]
        Command::PluginCompile => unreachable!("handled before a runtime is needed"),
        Command::Openapi => print(&crate::openapi_json()),
        Command::Explain { code } => explain(code.as_deref()),
    }
}

/// Returns whether a command writes customers' data. A plugin's project is not private, and gets the usual rights.
fn keeps_data(command: &Command) -> bool {
    match command {
        #[cfg(feature = "plugins")]
        Command::Plugin(_) | Command::PluginCompile => false,
        Command::Openapi | Command::Explain { .. } => false,
        _ => true,
    }
}

fn explain(code: Option<&str>) -> anyhow::Result<()> {
    let Some(code) = code else {
        return crate::error_codes().into_iter().try_for_each(print);
    };
    match crate::error_page(code) {
        Some(page) => print(page.trim_end()),
        None => {
            anyhow::bail!("there is no error code {code:?}; `boxoffice explain` lists them all")
        }
    }
}

/// Runs a command on a new runtime.
fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Deep queries recurse; SurrealDB's own server has the same stack. Only touched pages are resident.
        .thread_stack_size(10 * 1024 * 1024)
        .build()?;
    let ended = runtime.block_on(async {
        let ended = command.await;
        let _ = tokio::time::timeout(SETTLE_TIMEOUT, tasks_are_over()).await;
        ended
    });
    // Blocking work cannot be cancelled. What still runs had its time to stop.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// Waits for background tasks, mainly for the embedded database to close its files: it begins
/// once the last handle is dropped and offers nothing to wait for.
async fn tasks_are_over() {
    while tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
        > 0
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Writes a line of data to stdout at once.
fn print(line: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        // The reader is gone, as with `| head`: no error.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        ended => Ok(ended?),
    }
}

fn is_about_configuration(error: &anyhow::Error) -> bool {
    error.is::<ConfigError>() || matches!(error.downcast_ref(), Some(AssemblyError::Config(_)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
