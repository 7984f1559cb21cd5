//! The environment of a running plugin: a log, memory up to its limit, and WASI without any access.
//!
//! Called by wasmtime during calls.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Bytes;
use boxoffice_engine::ports::PluginLogLine;
use boxoffice_wit::host::policy::boxoffice::plugin::{host, types};
use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{
    Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError},
};

use super::settings::CallLimits;

use crate::locked::Locked as _;

/// Bytes that are read from standard error at a time.
const STDERR_PIECE_BYTES: usize = 4_096;
/// Most random bytes at a time; the default of 64 MiB would cost too much.
const RANDOM_BYTES_MAX: u64 = 4_096;

/// The state of one call.
pub(super) struct Guest {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(super) limiter: Limiter,
    log: SharedLog,
}

impl Guest {
    pub(super) fn new(limits: &CallLimits) -> Self {
        let log = SharedLog(Arc::new(Mutex::new(CallLog {
            bytes_left: limits.log_bytes,
            ..CallLog::default()
        })));
        let wasi = WasiCtx::builder()
            .stderr(log.clone())
            .secure_random(Deterministic::new(RANDOMNESS.to_vec()))
            .insecure_random(Deterministic::new(RANDOMNESS.to_vec()))
            .insecure_random_seed(1)
            .max_random_size(RANDOM_BYTES_MAX)
            .wall_clock(StandingClock)
            .monotonic_clock(StandingClock)
            .allow_tcp(false)
            .allow_udp(false)
            .build();
        Self {
            wasi,
            table: ResourceTable::new(),
            limiter: Limiter {
                bytes_max: limits.memory_bytes,
                bytes: 0,
                denied: None,
            },
            log,
        }
    }

    /// Its log.
    pub(super) fn take_log(&self) -> Vec<PluginLogLine> {
        self.log.locked().finish()
    }
}

/// The "random" bytes of plugins: the same for every call, so that equal requests have equal answers.
const RANDOMNESS: [u8; 16] = *b"not random at al";

/// A clock that always returns the epoch: a plugin gets the time in its arguments.
struct StandingClock;

impl HostWallClock for StandingClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for StandingClock {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }
    fn now(&self) -> u64 {
        0
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl types::Host for Guest {}

impl host::Host for Guest {
    fn log(&mut self, level: host::LogLevel, message: String) -> wasmtime::Result<()> {
        let level = match level {
            host::LogLevel::Debug => "debug",
            host::LogLevel::Info => "info",
            host::LogLevel::Warn => "warn",
            host::LogLevel::Error => "error",
        };
        self.log.locked().line(level, &message);
        Ok(())
    }
}

/// Memory and tables of one call, all instances together.
pub(super) struct Limiter {
    bytes_max: usize,
    /// The largest sum so far; memories never shrink.
    pub(super) bytes: usize,
    /// The refused growth, because the resulting trap does not name it.
    pub(super) denied: Option<String>,
}

impl Limiter {
    fn grow(&mut self, current: usize, desired: usize, unit_bytes: usize, what: &str) -> bool {
        let more = desired.saturating_sub(current).saturating_mul(unit_bytes);
        let sum = self.bytes.saturating_add(more);
        if sum > self.bytes_max {
            self.denied = Some(format!(
                "{what}: {sum} bytes, and {} are allowed",
                self.bytes_max
            ));
            return false;
        }
        self.bytes = sum;
        true
    }
}

/// A reference in a table needs a machine word.
const TABLE_ELEMENT_BYTES: usize = 8;

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired, 1, "memory"))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired, TABLE_ELEMENT_BYTES, "tables"))
    }
}

/// The log of one call, shared with its standard error.
#[derive(Clone)]
struct SharedLog(Arc<Mutex<CallLog>>);

impl SharedLog {
    fn locked(&self) -> std::sync::MutexGuard<'_, CallLog> {
        // An interrupted append does no harm.
        self.0.locked()
    }
}

#[derive(Default)]
struct CallLog {
    lines: Vec<PluginLogLine>,
    bytes_left: usize,
    is_cut: bool,
    stderr: Vec<u8>,
}

impl CallLog {
    fn line(&mut self, level: &str, message: &str) {
        // An empty line also costs a little, or a million of them would be kept.
        let room = self.bytes_left.saturating_sub(level.len() + 1);
        let kept = floor_char_boundary(message, room);
        if room == 0 || kept < message.len() {
            self.is_cut = true;
        }
        if room == 0 {
            self.bytes_left = 0;
            return;
        }
        self.bytes_left = room - kept;
        self.lines.push(PluginLogLine {
            level: level.to_owned(),
            message: message[..kept].to_owned(),
        });
    }

    fn finish(&mut self) -> Vec<PluginLogLine> {
        let stderr = std::mem::take(&mut self.stderr);
        for line in String::from_utf8_lossy(&stderr).lines() {
            self.line("stderr", line);
        }
        if std::mem::take(&mut self.is_cut) {
            self.lines.push(PluginLogLine {
                level: "warn".to_owned(),
                message: "the log was cut here: it has reached its limit".to_owned(),
            });
        }
        std::mem::take(&mut self.lines)
    }
}

fn floor_char_boundary(text: &str, bytes: usize) -> usize {
    if bytes >= text.len() {
        return text.len();
    }
    (0..=bytes)
        .rev()
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(0)
}

impl IsTerminal for SharedLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for SharedLog {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 uses this form, and it is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for SharedLog {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for SharedLog {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        let mut log = self.locked();
        let room = log.bytes_left.saturating_sub(log.stderr.len());
        if room < bytes.len() {
            log.is_cut = true;
        }
        let kept = bytes.len().min(room);
        log.stderr.extend_from_slice(&bytes[..kept]);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        // Always accept more: the rest over the limit is cut, and a long log is no failure.
        Ok(STDERR_PIECE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(bytes: usize) -> CallLog {
        CallLog {
            bytes_left: bytes,
            ..CallLog::default()
        }
    }

    #[test]
    fn a_log_is_cut_at_its_limit_and_says_so() {
        let mut log = log(20);
        log.line("info", "ééééééééééééé");
        log.line("info", "more");
        let lines = log.finish();
        assert_eq!(lines[0].message, "ééééééé");
        assert!(lines[1].message.contains("cut"), "{lines:?}");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn empty_lines_do_not_add_up() {
        let mut log = log(100);
        for _ in 0..1_000 {
            log.line("info", "");
        }
        assert!(log.finish().len() <= 21);
    }

    #[test]
    fn memory_is_counted_over_all_memories() {
        let mut limiter = Limiter {
            bytes_max: 100,
            bytes: 0,
            denied: None,
        };
        assert!(limiter.grow(0, 60, 1, "memory"));
        assert!(!limiter.grow(0, 60, 1, "memory"));
        assert!(limiter.denied.is_some());
        assert!(limiter.grow(60, 100, 1, "memory"));
    }
}
