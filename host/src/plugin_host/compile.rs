//! Checking and compiling a component: in a child process that bounds itself and can be killed, or in this one.
//!
//! Called by the plugin host. Starts the child.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use boxoffice_engine::ports::LoadFailure;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
};

use super::{
    cache::TrustedCode,
    child::{self, Answer, Order},
    settings::{Compiler, PluginHostSettings},
};

/// The pause between two checks of a child's memory.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// The wall-clock limit of a child, as a multiple of its CPU time: it has the lowest priority on a busy machine.
const PATIENCE: u32 = 3;
/// Longest line of facts: 400 names of 300 bytes, each byte escaped.
const FACTS_BYTES_MAX: u64 = 1024 * 1024;
/// Longest reason that is read from a child.
const REASON_BYTES_MAX: u64 = 4_096;

/// Checks and compiles a component.
pub(super) async fn compile(
    settings: &PluginHostSettings,
    bytes: Arc<[u8]>,
) -> Result<TrustedCode, LoadFailure> {
    let order = Order {
        // Limits of processes are whole seconds.
        processor_seconds: settings.compile_time_max.as_secs_f64().ceil() as u64,
        memory_bytes: settings.compile_memory_bytes_max,
        code_bytes: settings.code_bytes_max(),
    };
    match &settings.compiler {
        Compiler::InProcess => {
            let compiled = tokio::task::spawn_blocking(move || child::work(&bytes, &order)).await;
            let compiled = compiled.map_err(|error| LoadFailure::Unavailable(error.to_string()))?;
            compiled.map(|(facts, code)| TrustedCode::compiled(facts, code))
        }
        Compiler::Program { path, arguments } => {
            let mut command = Command::new(path);
            command.args(arguments);
            compile_in_child(command, settings, &order, &bytes).await
        }
    }
}

async fn compile_in_child(
    mut command: Command,
    settings: &PluginHostSettings,
    order: &Order,
    bytes: &[u8],
) -> Result<TrustedCode, LoadFailure> {
    let mut child = start(&mut command)?;
    let id = child.id();
    let (mut stdin, stdout, stderr) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let output_bytes_max = order.code_bytes.saturating_add(FACTS_BYTES_MAX);
    let mut line = serde_json::to_vec(order)
        .map_err(|error| unavailable("could not be given its order", &error))?;
    line.push(b'\n');
    let work = async {
        let send = async {
            if let Some(mut stdin) = stdin.take() {
                // A child that has died is handled below.
                let _ = stdin.write_all(&line).await;
                let _ = stdin.write_all(bytes).await;
            }
        };
        let (_, output, said) = tokio::join!(
            send,
            read(stdout, output_bytes_max),
            read(stderr, REASON_BYTES_MAX)
        );
        Ok::<_, std::io::Error>((child.wait().await?, output?, said?))
    };
    let wall_max = settings.compile_time_max.saturating_mul(PATIENCE);
    // Dropping `work` and its child kills it.
    let (status, output, said) = tokio::select! {
        ended = work => ended.map_err(|error| unavailable("could not be read", &error))?,
        () = tokio::time::sleep(wall_max) => {
            return Err(LoadFailure::TimedOut(format!(
                "Compiling it took longer than {} seconds. Upload it again when the host is less busy, or make it smaller.",
                wall_max.as_secs_f64()
            )));
        }
        () = too_much_memory(id, settings.compile_memory_bytes_max) => {
            return Err(over_memory(settings));
        }
    };
    match status.success() {
        true => compiled(output),
        false => {
            let said = String::from_utf8_lossy(&said);
            Err(failure_of(status, said.trim(), settings))
        }
    }
}

/// Starts a child without environment, so without secrets, and with nothing but three pipes.
fn start(command: &mut Command) -> Result<Child, LoadFailure> {
    command
        .env_clear()
        // For our allocator: without it the address space that it reserves at once, a GiB, would count as the child's memory.
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| unavailable("could not be started", &error))
}

/// Reads what a child wrote: a line with the component's facts, then the code.
fn compiled(mut output: Vec<u8>) -> Result<TrustedCode, LoadFailure> {
    let end = output.iter().position(|byte| *byte == b'\n');
    let answer = end.and_then(|end| {
        let answer: Answer = serde_json::from_slice(&output[..end]).ok()?;
        Some((answer.facts, end + 1))
    });
    let Some((facts, begin)) = answer else {
        return Err(unavailable("wrote an unknown answer", &"another version?"));
    };
    output.drain(..begin);
    Ok(TrustedCode::compiled(facts, output))
}

fn unavailable(what: &str, error: &dyn std::fmt::Display) -> LoadFailure {
    LoadFailure::Unavailable(format!("the compiler {what}: {error}"))
}

/// Reads a pipe to its end and keeps its first `most` bytes, so that the child is not blocked.
async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(most).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

/// Why a child ended without a result.
fn failure_of(status: ExitStatus, said: &str, settings: &PluginHostSettings) -> LoadFailure {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    match (code, status.signal()) {
        // The allocator, the system's errors and those of reading the input.
        _ if ["memory allocation of", "(os error 12)", "out of memory"]
            .iter()
            .any(|word| said.contains(word)) =>
        {
            over_memory(settings)
        }
        (Some(child::REFUSED), _) => LoadFailure::Rejected(said.to_owned()),
        (Some(child::OVER_LIMITS), _) => LoadFailure::OverLimits(said.to_owned()),
        // It reported an internal failure.
        (Some(1), _) => LoadFailure::Unavailable(format!("the compiler failed: {said}")),
        (_, Some(SIGXCPU)) => LoadFailure::OverLimits(format!(
            "Compiling it took longer than {} seconds of a processor's time. Make it smaller.",
            settings.compile_time_max.as_secs_f64()
        )),
        (_, Some(SIGKILL)) => LoadFailure::TimedOut(
            "Compiling it was ended by the system, which was short of memory. Upload it again later.".to_owned(),
        ),
        // It crashed on this component, and would again.
        _ => LoadFailure::Rejected(format!("The compiler failed over it ({status}).")),
    }
}

/// As in signal(7).
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

fn over_memory(settings: &PluginHostSettings) -> LoadFailure {
    LoadFailure::OverLimits(format!(
        "Compiling it took more than {} bytes of memory. Make it smaller.",
        settings.compile_memory_bytes_max
    ))
}

/// Returns when a process exceeds its memory limit. Never returns if the system has no /proc.
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
