//! The limits of plugins, and how they are compiled. The defaults were measured; each has its reason.
//!
//! Made by assembly from the configuration, or by an embedding platform.

use std::{path::PathBuf, time::Duration};

use boxoffice_engine::PluginLimits;

/// The options of plugins.
#[derive(Debug, Clone)]
pub struct PluginHostSettings {
    /// The largest upload: 4 MiB holds Rust, C and QuickJS; Python and StarlingMonkey need 32 MiB.
    pub upload_bytes_max: usize,
    /// The limits of a policy's call.
    pub policy: CallLimits,
    /// The limits of a template's call. A mail may take longer than a booking.
    pub template: CallLimits,
    /// Calls of one tenant at the same time; further ones wait.
    pub tenant_calls_max: usize,
    /// Calls of all tenants at the same time; each holds its memory.
    pub calls_max: usize,
    /// Calls of one tenant that may wait; further ones are refused.
    pub tenant_waiting_max: usize,
    /// Longest wait for a permit.
    pub wait_max: Duration,
    /// Fuel that a tenant's calls may use per second, on average over [`Self::BURST`]. A Rust policy uses some 50,000.
    pub tenant_fuel_per_second: u64,
    /// Threads of calls; `None` means the number of cores.
    pub threads: Option<usize>,
    /// How plugins are compiled.
    pub compiler: Compiler,
    /// CPU time limit for checking and compiling one plugin. The wall-clock limit is three times as much, because it has
    /// the lowest priority.
    pub compile_time_max: Duration,
    /// Memory limit for checking and compiling one plugin.
    pub compile_memory_bytes_max: u64,
    /// Plugins that are compiled at the same time, of different tenants; each needs a processor and that memory.
    pub compilers_max: usize,
    /// Compile time for one tenant's uploads in a day (UTC), counted by this process. Active plugins are compiled
    /// in any case.
    pub tenant_compile_time_per_day: Duration,
    /// The cache of compiled plugins across restarts.
    pub cache: Option<PluginCache>,
    /// Limit of loaded machine code of all tenants; the least recently used plugins are evicted, and loaded again from
    /// the cache.
    pub loaded_bytes_max: u64,
    /// The same for one tenant. No plugin may be larger.
    pub tenant_loaded_bytes_max: u64,
}

/// The limits of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// CPU time.
    pub time: Duration,
    /// Fuel, roughly instructions.
    pub fuel: u64,
    /// Memory, tables included.
    pub memory_bytes: usize,
    /// Bytes of the input, as JSON.
    pub input_bytes: usize,
    /// Bytes of the output.
    pub output_bytes: usize,
    /// Bytes of the log that are kept; the rest is cut.
    pub log_bytes: usize,
}

impl CallLimits {
    /// These limits, or lower ones.
    pub(super) fn lowered(self, to: &PluginLimits) -> Self {
        let lower = |own: usize, to: Option<u64>| {
            to.map_or(own, |to| own.min(usize::try_from(to).unwrap_or(usize::MAX)))
        };
        Self {
            time: to
                .time_ms
                .map_or(self.time, |to| self.time.min(Duration::from_millis(to))),
            fuel: to.fuel.map_or(self.fuel, |to| self.fuel.min(to)),
            memory_bytes: lower(self.memory_bytes, to.memory_bytes),
            input_bytes: lower(self.input_bytes, to.input_bytes),
            output_bytes: lower(self.output_bytes, to.output_bytes),
            log_bytes: lower(self.log_bytes, to.log_bytes),
        }
    }

    /// The engine's form of these limits.
    pub(super) fn as_ceiling(&self) -> PluginLimits {
        let bytes = |bytes: usize| Some(bytes as u64);
        PluginLimits {
            time_ms: Some(u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX)),
            fuel: Some(self.fuel),
            memory_bytes: bytes(self.memory_bytes),
            input_bytes: bytes(self.input_bytes),
            output_bytes: bytes(self.output_bytes),
            log_bytes: bytes(self.log_bytes),
        }
    }
}

/// How plugins are compiled. The compiler is not guaranteed to survive hostile input.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// By a separate process without environment, which is killed if it exceeds a limit:
    /// `boxoffice plugin-compile`, or any that reads a component from its input and calls [`super::compile_stdin`].
    Program {
        /// The program.
        path: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// In this process, limited only by the size of uploads. Only for platforms with trusted uploads.
    InProcess,
}

/// The command that makes the `boxoffice` program a compiling child.
#[cfg(feature = "program")]
pub(crate) const COMPILE_COMMAND: &str = "plugin-compile";

#[cfg(feature = "program")]
impl Compiler {
    /// This program, as a child of itself.
    ///
    /// # Errors
    /// What the system says when it does not know the program's path.
    pub(crate) fn this_program() -> std::io::Result<Self> {
        Ok(Self::Program {
            path: std::env::current_exe()?,
            arguments: vec![COMPILE_COMMAND.to_owned()],
        })
    }
}

/// The cache of compiled plugins across restarts.
#[derive(Clone)]
pub struct PluginCache {
    /// A folder that only this program may write.
    pub folder: PathBuf,
    /// The key that seals the files; store it outside the folder.
    pub key: [u8; 32],
    /// Total size of all files; the least recently used ones are removed.
    pub bytes_max: u64,
}

impl std::fmt::Debug for PluginCache {
    /// Without the key.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("PluginCache")
            .field(&self.folder)
            .finish()
    }
}

impl PluginHostSettings {
    /// The time over which unused fuel accumulates.
    pub const BURST: Duration = Duration::from_secs(2);

    /// The defaults, with this compiler.
    pub fn new(compiler: Compiler) -> Self {
        let policy = CallLimits {
            time: Duration::from_millis(50),
            fuel: 20_000_000,
            memory_bytes: 32 * 1024 * 1024,
            // The metadata of an event and its ticket types, a booking's details and the configuration: 64 KiB each at most, but for
            // metadata with many characters outside ASCII.
            input_bytes: 256 * 1024,
            output_bytes: 256 * 1024,
            log_bytes: 8 * 1024,
        };
        Self {
            upload_bytes_max: 4 * 1024 * 1024,
            policy,
            template: CallLimits {
                time: Duration::from_millis(250),
                fuel: 100_000_000,
                // Text and HTML are bounded to 256 KiB each by the contract.
                output_bytes: 1024 * 1024,
                ..policy
            },
            tenant_calls_max: 8,
            calls_max: 64,
            tenant_waiting_max: 4_096,
            wait_max: Duration::from_secs(2),
            tenant_fuel_per_second: 1_000_000_000,
            threads: None,
            compiler,
            compile_time_max: Duration::from_secs(120),
            compile_memory_bytes_max: 1024 * 1024 * 1024,
            // A slow one does not block others, and the other core is left for bookings.
            compilers_max: 2,
            // Hundreds of usual uploads, or thirty that use the whole limit.
            tenant_compile_time_per_day: Duration::from_secs(3_600),
            cache: None,
            // A Rust plugin needs about 400 KB.
            loaded_bytes_max: 512 * 1024 * 1024,
            tenant_loaded_bytes_max: 256 * 1024 * 1024,
        }
    }

    /// Most machine code of one plugin.
    pub(super) fn code_bytes_max(&self) -> u64 {
        self.tenant_loaded_bytes_max.min(self.loaded_bytes_max)
    }
}
