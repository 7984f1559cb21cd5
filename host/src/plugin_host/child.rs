//! The compiling child: sets its own limits, reads a component from its input, checks and compiles it, and writes facts and
//! machine code to its output.
//!
//! `compile_stdin` is the whole process; `Order` is the plugin host's order. `work` is the same without a
//! separate process. Calls wasmtime, wasmparser and rustix.

use std::{
    io::{BufRead as _, Read as _, Write as _},
    process::ExitCode,
};

use boxoffice_engine::{PluginFacts, ports::LoadFailure};
use rustix::process::{Resource, Rlimit, nice, setrlimit};
use serde::{Deserialize, Serialize};
use wasmtime::{Engine, component::Component};

use super::{exports::Loaded, inspect, wasm_engine};

/// Exit code of a child that writes to stderr why a component is refused.
pub(super) const REFUSED: u8 = 3;
/// Exit code of a child that writes to stderr which limit of this host a component exceeds.
pub(super) const OVER_LIMITS: u8 = 4;
/// Longest order that is read.
const ORDER_BYTES_MAX: u64 = 4_096;
/// The lowest priority on the machine.
const NICE: i32 = 19;

/// The order to a child, before the component: one line of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Order {
    /// Limit of CPU seconds.
    pub(super) processor_seconds: u64,
    /// Limit of memory.
    pub(super) memory_bytes: u64,
    /// Limit of machine code.
    pub(super) code_bytes: u64,
}

/// The facts that a child returns before the machine code: one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Answer {
    /// The component's interface.
    pub(super) facts: PluginFacts,
}

/// Reads an order and a component from the input and writes facts and machine code to the output: the whole of a compiling
/// child.
pub fn compile_stdin() -> ExitCode {
    let mut input = std::io::stdin().lock();
    let mut line = Vec::new();
    let read = input
        .by_ref()
        .take(ORDER_BYTES_MAX)
        .read_until(b'\n', &mut line);
    let order: Order = match read.map(|_| serde_json::from_slice(&line)) {
        Ok(Ok(order)) => order,
        _ => {
            eprintln!(
                "this command is for plugin hosts: it reads an order and a component from its input"
            );
            return ExitCode::FAILURE;
        }
    };
    // Before anything of the component is read.
    if let Err(error) = bound_self(&order) {
        eprintln!("the compiler could not bound itself: {error}");
        return ExitCode::FAILURE;
    }
    let mut bytes = Vec::new();
    if let Err(error) = input.read_to_end(&mut bytes) {
        eprintln!("the component could not be read: {error}");
        return ExitCode::FAILURE;
    }
    let (facts, code) = match work(&bytes, &order) {
        Ok(done) => done,
        Err(failure) => {
            eprintln!("{failure}");
            return match failure {
                LoadFailure::Rejected(_) => ExitCode::from(REFUSED),
                LoadFailure::OverLimits(_) => ExitCode::from(OVER_LIMITS),
                LoadFailure::TimedOut(_) | LoadFailure::Unavailable(_) => ExitCode::FAILURE,
            };
        }
    };
    let mut output = std::io::stdout().lock();
    let written = serde_json::to_vec(&Answer { facts })
        .map_err(std::io::Error::other)
        .and_then(|line| output.write_all(&line))
        .and_then(|()| output.write_all(b"\n"))
        .and_then(|()| output.write_all(&code))
        .and_then(|()| output.flush());
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Checks and compiles a component.
///
/// # Errors
/// [`LoadFailure::Rejected`], [`LoadFailure::OverLimits`], or [`LoadFailure::Unavailable`] when something of ours failed.
pub(super) fn work(bytes: &[u8], order: &Order) -> Result<(PluginFacts, Vec<u8>), LoadFailure> {
    let ours = |error: wasmtime::Error| LoadFailure::Unavailable(format!("{error:#}"));
    let facts = inspect::inspect(bytes).map_err(|refusal| LoadFailure::Rejected(refusal.0))?;
    let engine: Engine = wasm_engine::compiling().map_err(ours)?;
    let component = Component::from_binary(&engine, bytes)
        .map_err(|error| LoadFailure::Rejected(inspect::with_wit_line(&format!("{error:#}"))))?;
    let linker = wasm_engine::linker(&engine).map_err(ours)?;
    Loaded::link(&linker, &component)?;
    let code = component.serialize().map_err(ours)?;
    if code.len() as u64 > order.code_bytes {
        return Err(LoadFailure::OverLimits(format!(
            "Its machine code has {} bytes, and {} are allowed. Make it smaller.",
            code.len(),
            order.code_bytes
        )));
    }
    Ok((facts, code))
}

/// Limits this process: CPU time, memory, no core dump, and the lowest priorities.
fn bound_self(order: &Order) -> std::io::Result<()> {
    // The soft limit ends the process with a signal; the hard limit is for a process that ignores it.
    let seconds = order.processor_seconds.max(1);
    set(Resource::Cpu, seconds, seconds + 2)?;
    // Memory written from here on: heap, stacks of threads, machine code.
    let bytes = order.memory_bytes.saturating_add(data_bytes());
    set(Resource::Data, bytes, bytes)?;
    set(Resource::Core, 0, 0)?;
    // If these are not permitted, the limits above still apply.
    let _ = nice(NICE);
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

/// The present size of the process; see proc_pid_status(5).
fn data_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.map_or(64 * 1024 * 1024, |kibibytes| kibibytes * 1_024)
}

fn set(resource: Resource, current: u64, maximum: u64) -> std::io::Result<()> {
    let limit = Rlimit {
        current: Some(current),
        maximum: Some(maximum),
    };
    setrlimit(resource, limit).map_err(Into::into)
}
