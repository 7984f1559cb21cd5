//! Making machine code of a checked component: in a child process that can be killed, or in this one.
//!
//! Called by the plugin host; `compile_stdin` by the child. Calls wasmtime.

use std::{
    io::{Read as _, Write as _},
    process::{ExitCode, Stdio},
    time::Duration,
};

use boxoffice_engine::ports::LoadFailure;
use boxoffice_wit::host::{policy::PolicyPre, template::TemplatePre};
use tokio::{io::AsyncWriteExt as _, process::Command};
use wasmtime::{
    Engine,
    component::{Component, Linker},
};

use super::{
    guest::Guest,
    inspect, machine,
    settings::{Compiler, PluginHostSettings},
};

/// Exit code of a child that says on stderr why a component is refused.
const REFUSED: u8 = 3;
/// Between two looks at how much memory a child has.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Longest reason that is taken from a child.
const REASON_BYTES_MAX: usize = 4_096;

/// What can be called in a loaded component.
pub(super) struct Loaded {
    pub(super) policy: Option<PolicyPre<Guest>>,
    pub(super) template: Option<TemplatePre<Guest>>,
}

impl Loaded {
    /// Checks every type of imports and exports.
    pub(super) fn link(linker: &Linker<Guest>, component: &Component) -> Result<Self, LoadFailure> {
        let rejected = |error: wasmtime::Error| {
            LoadFailure::Rejected(inspect::with_wit_line(&format!("{error:#}")))
        };
        let pre = linker.instantiate_pre(component).map_err(rejected)?;
        let engine = component.engine();
        let exports = |interface: &str| {
            let start = format!("{}/{interface}@", boxoffice_wit::PACKAGE);
            component
                .component_type()
                .exports(engine)
                .any(|(name, _)| name.starts_with(&start))
        };
        let policy = match exports("booking-policy") {
            true => Some(PolicyPre::new(pre.clone()).map_err(rejected)?),
            false => None,
        };
        let template = match exports("notification-template") {
            true => Some(TemplatePre::new(pre).map_err(rejected)?),
            false => None,
        };
        Ok(Self { policy, template })
    }
}

/// Compiles a checked component and answers its machine code.
pub(super) async fn compile(
    settings: &PluginHostSettings,
    bytes: &[u8],
) -> Result<Vec<u8>, LoadFailure> {
    match &settings.compiler {
        Compiler::InProcess => {
            let bytes = bytes.to_vec();
            let compiled = tokio::task::spawn_blocking(move || compile_here(&bytes)).await;
            compiled.map_err(|error| LoadFailure::Unavailable(error.to_string()))?
        }
        Compiler::Program { path, arguments } => {
            let mut command = Command::new(path);
            command.args(arguments);
            compile_in_child(command, settings, bytes).await
        }
    }
}

/// Reads a component from the input and writes its machine code to the output: the whole of a compiling child.
pub fn compile_stdin() -> ExitCode {
    let mut bytes = Vec::new();
    if let Err(error) = std::io::stdin().lock().read_to_end(&mut bytes) {
        eprintln!("the component could not be read: {error}");
        return ExitCode::FAILURE;
    }
    match compile_here(&bytes) {
        Ok(compiled) => match std::io::stdout().lock().write_all(&compiled) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(LoadFailure::Rejected(reason)) => {
            eprintln!("{reason}");
            ExitCode::from(REFUSED)
        }
        Err(LoadFailure::Unavailable(reason)) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn compile_here(bytes: &[u8]) -> Result<Vec<u8>, LoadFailure> {
    let ours = |error: wasmtime::Error| LoadFailure::Unavailable(format!("{error:#}"));
    let engine: Engine = machine::compiling().map_err(ours)?;
    let component = Component::from_binary(&engine, bytes)
        .map_err(|error| LoadFailure::Rejected(inspect::with_wit_line(&format!("{error:#}"))))?;
    let linker = machine::linker(&engine).map_err(ours)?;
    Loaded::link(&linker, &component)?;
    component.serialize().map_err(ours)
}

async fn compile_in_child(
    mut command: Command,
    settings: &PluginHostSettings,
    bytes: &[u8],
) -> Result<Vec<u8>, LoadFailure> {
    let ours = |what: &str, error: &dyn std::fmt::Display| {
        LoadFailure::Unavailable(format!("the compiler {what}: {error}"))
    };
    // No environment, so no secrets; nothing but three pipes.
    let mut child = command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| ours("could not be started", &error))?;
    let id = child.id();
    let mut stdin = child.stdin.take();
    let work = async {
        if let Some(mut stdin) = stdin.take() {
            // A child that died already says so below.
            let _ = stdin.write_all(bytes).await;
        }
        child.wait_with_output().await
    };
    // Dropping `work` kills the child.
    let output = tokio::select! {
        output = work => output.map_err(|error| ours("could not be heard", &error))?,
        () = tokio::time::sleep(settings.compile_time_max) => {
            return Err(LoadFailure::Rejected(format!(
                "Compiling it took longer than {} seconds. Make it smaller.",
                settings.compile_time_max.as_secs_f64()
            )));
        }
        () = too_much_memory(id, settings.compile_memory_bytes_max) => {
            return Err(LoadFailure::Rejected(format!(
                "Compiling it took more than {} bytes of memory. Make it smaller.",
                settings.compile_memory_bytes_max
            )));
        }
    };
    let said = String::from_utf8_lossy(&output.stderr[..output.stderr.len().min(REASON_BYTES_MAX)]);
    match output.status.code() {
        Some(0) => Ok(output.stdout),
        Some(code) if code == i32::from(REFUSED) => {
            Err(LoadFailure::Rejected(said.trim().to_owned()))
        }
        // It crashed over this component: the next try would, too.
        _ => Err(LoadFailure::Rejected(format!(
            "The compiler failed over it ({}).",
            output.status
        ))),
    }
}

/// Ends when a process holds more memory than it may. Never ends where the system has no /proc.
async fn too_much_memory(id: Option<u32>, bytes_max: u64) {
    let Some(id) = id else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(LOOK_PAUSE).await;
        // "size resident shared …", in pages; see proc_pid_statm(5). Pages are 4 KiB or more.
        let Ok(text) = std::fs::read_to_string(format!("/proc/{id}/statm")) else {
            return std::future::pending().await;
        };
        let resident = text
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse::<u64>().ok());
        if resident.is_some_and(|pages| pages.saturating_mul(4_096) > bytes_max) {
            return;
        }
    }
}
