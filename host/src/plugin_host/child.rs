//! The compiling child: bounds itself, reads a component from its input, checks and compiles it, and answers facts and
//! machine code over its output.
//!
//! `compile_stdin` is the whole of such a process; `Order` is what the plugin host tells it. `work` is the same without a
//! process of its own. Calls wasmtime, wasmparser and rustix.

use std::{
    io::{BufRead as _, Read as _, Write as _},
    process::ExitCode,
};

use boxoffice_engine::{PluginFacts, ports::LoadFailure};
use rustix::process::{Resource, Rlimit, nice, setrlimit};
use serde::{Deserialize, Serialize};
use wasmtime::{Engine, component::Component};

use super::{compile::Loaded, inspect, wasm_engine};

/// Exit code of a child that says on stderr why a component is refused.
pub(super) const REFUSED: u8 = 3;
/// Exit code of a child that says on stderr which limit of this host a component is beyond.
pub(super) const OVER_LIMITS: u8 = 4;
/// Longest order that is read.
const ORDER_BYTES_MAX: u64 = 4_096;
/// Behind everything else that runs on the machine.
const NICE: i32 = 19;

/// What a child is told before it gets the component: one line of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Order {
    /// Most seconds on a processor.
    pub(super) processor_seconds: u64,
    /// Most memory.
    pub(super) memory_bytes: u64,
    /// Most machine code.
    pub(super) code_bytes: u64,
}

/// What a child answers before the machine code: one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Answer {
    /// What the component is made of.
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

/// Bounds this process for good: time on a processor, memory, no dump of it, and last in line for both.
fn bound_self(order: &Order) -> std::io::Result<()> {
    // The soft limit ends the process with a signal that says why; the hard one is for a process that would not end.
    let seconds = order.processor_seconds.max(1);
    set(Resource::Cpu, seconds, seconds + 2)?;
    // What it writes to from here on: heap, stacks of threads, machine code.
    let bytes = order.memory_bytes.saturating_add(data_bytes());
    set(Resource::Data, bytes, bytes)?;
    set(Resource::Core, 0, 0)?;
    // Where these are forbidden, the bounds above hold all the same.
    let _ = nice(NICE);
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

/// What the process has of it already; see proc_pid_status(5). Some of it elsewhere.
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
