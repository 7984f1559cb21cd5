//! The wasmtime engine of a host: its settings, its linked imports, and its epoch clock.
//!
//! Called by the plugin host and by the compiling child, which must agree on every setting. Calls wasmtime.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use boxoffice_wit::host::policy::Policy as PolicyWorld;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{HasSelf, Linker},
};

use super::guest::Guest;

/// How often running plugins yield, to let others run and to check their time.
const TICK: Duration = Duration::from_millis(1);
/// Ticks after the last call before the clock stops: waking it costs more than some ticks.
const IDLE_TICKS_MAX: u32 = 100;
/// Stack of a plugin. Deep recursion ends here, far below the size of its fiber.
const STACK_BYTES: usize = 512 * 1024;

/// Engine, linker and ticker.
pub(super) struct WasmEngine {
    pub(super) wasm: Engine,
    pub(super) linker: Linker<Guest>,
    ticker: Ticker,
}

/// The thread that raises the epoch while calls run.
struct Ticker {
    state: Arc<TickerState>,
    thread: Thread,
}

#[derive(Default)]
struct TickerState {
    running: AtomicUsize,
    is_over: AtomicBool,
}

/// Keeps the epoch rising.
pub(super) struct Ticking<'a>(&'a TickerState);

impl Ticker {
    fn start(wasm: &Engine) -> wasmtime::Result<Self> {
        let state = Arc::<TickerState>::default();
        let (wasm, own) = (wasm.weak(), state.clone());
        let ticks = move || {
            let mut idle_ticks = 0;
            while !own.is_over.load(Ordering::SeqCst) {
                if own.running.load(Ordering::SeqCst) > 0 {
                    idle_ticks = 0;
                } else if idle_ticks >= IDLE_TICKS_MAX {
                    // Woken by the next call, also if that began since the look above.
                    thread::park();
                    idle_ticks = 0;
                    continue;
                }
                idle_ticks += 1;
                thread::sleep(TICK);
                match wasm.upgrade() {
                    Some(wasm) => wasm.increment_epoch(),
                    None => return,
                }
            }
        };
        let thread = thread::Builder::new().name("plugin-ticks".to_owned());
        let thread = thread.spawn(ticks)?.thread().clone();
        Ok(Self { state, thread })
    }

    fn run(&self) -> Ticking<'_> {
        if self.state.running.fetch_add(1, Ordering::SeqCst) == 0 {
            self.thread.unpark();
        }
        Ticking(&self.state)
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl WasmEngine {
    /// Creates the engine for calls: `calls_max` at once, with up to `memory_bytes_max` each.
    pub(super) fn for_calls(calls_max: usize, memory_bytes_max: usize) -> wasmtime::Result<Self> {
        let mut config = settings();
        config.allocation_strategy(pool(calls_max, memory_bytes_max));
        let wasm = match Engine::new(&config) {
            Ok(wasm) => wasm,
            Err(error) => {
                // A pool reserves address space in advance. If there is not enough, instances are allocated one by one.
                tracing::warn!(%error, "no pool for plugins on this machine; calls will be slower");
                config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
                Engine::new(&config)?
            }
        };
        Ok(Self {
            linker: linker(&wasm)?,
            ticker: Ticker::start(&wasm)?,
            wasm,
        })
    }

    /// Lets time pass for a call until what comes back is dropped.
    pub(super) fn ticking(&self) -> Ticking<'_> {
        self.ticker.run()
    }
}

/// The engine of the compiling child: the same code, no pool.
pub(super) fn compiling() -> wasmtime::Result<Engine> {
    Engine::new(&settings())
}

/// The imports of plugins: `log`, and WASI without any access.
pub(super) fn linker(wasm: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(wasm);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    PolicyWorld::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)?;
    Ok(linker)
}

/// All settings that affect machine code. Child and host must have the same.
fn settings() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        // Off: it makes small calls up to three times slower, for features that plugins do not use.
        .concurrency_support(false)
        .max_wasm_stack(STACK_BYTES)
        .memory_init_cow(true)
        // Above this a memory's first content is kept as it was written, unless most of it is data: two bytes, sixteen
        // MiB apart, would else make sixteen MiB of a hundred bytes.
        .memory_guaranteed_dense_image_size(1024 * 1024)
        // Equal requests must have equal answers on every machine, or a replay would prove nothing.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}

fn pool(calls_max: usize, memory_bytes_max: usize) -> PoolingAllocationConfig {
    let calls = u32::try_from(calls_max).unwrap_or(u32::MAX / 256);
    let mut pool = PoolingAllocationConfig::new();
    // Totals are set together: running out of any of them is an error, not a wait.
    pool.total_component_instances(calls)
        .total_stacks(calls)
        .max_core_instances_per_component(64)
        .total_core_instances(calls * 64)
        .max_memories_per_component(3)
        .total_memories(calls * 3)
        .max_tables_per_component(16)
        .total_tables(calls * 16)
        .table_elements(10_000)
        .max_memory_size(memory_bytes_max)
        .max_core_instance_size(1024 * 1024)
        .max_component_instance_size(1024 * 1024)
        .linear_memory_keep_resident(kept_bytes())
        .table_keep_resident(16 * 1024)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Up to how much of a slot's memory is cleared in place after a call instead of being unmapped, which interrupts every
/// other core and makes the next call fault it in again: a fifth of the calls per second were left on two cores.
///
/// Linux 6.7 and newer tell which pages were touched, so that a plugin pays for those only; 2 MiB is what a JavaScript
/// plugin needs. Before, all of it is cleared at each call, touched or not: little enough not to hurt a small plugin.
fn kept_bytes() -> usize {
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        2 * 1024 * 1024
    } else {
        64 * 1024
    }
}
