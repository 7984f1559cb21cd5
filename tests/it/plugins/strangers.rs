//! Goal: whatever bytes a stranger uploads, checking them ends within its bounds in a process of its own, with a reason where
//! they are refused; and a plugin that is taken can do no more than fail its own calls.
//!
//! Method: a table of hostile components, by kind: shapes that cost a validator more than linear time, edges of the canonical
//! ABI, proposals that are not here, WASI, and bombs of data, tables, memory and code. Each is checked, compiled and, where it
//! is taken, asked once, on a host with low limits. Another tenant's good plugin is asked all the while, and answers.

mod abi;
mod bombs;
mod bytes;
mod proposals;
mod shapes;

pub(super) use bombs::code_bomb;
pub(super) use shapes::nested_bomb;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use boxoffice_engine::ports::{HookFailure, LoadFailure, PluginRuntime as _};
use boxoffice_host::PluginHost;
use boxoffice_tests::{Component, load_component, pass_time, plugin_host, plugin_settings};
use futures::{StreamExt as _, stream};

/// How a component ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ends {
    /// It is rejected for good, with this in the reason.
    Refused(&'static str),
    /// It is beyond the host's limits, with this in the reason.
    Over(&'static str),
    /// It is taken, and its call fails with this in the reason.
    Fails(&'static str),
    /// It is taken, and answers: what looked hostile is harmless.
    Works,
}

/// A hostile component: its name, its bytes, and how it ends.
pub(super) type Hostile = (&'static str, Vec<u8>, Ends);

/// The whole table.
pub(super) fn all() -> Vec<Hostile> {
    [shapes::all(), abi::all(), proposals::all(), bombs::all()].concat()
}

/// Longest time until one is settled, with the tests that run beside it. The bound of the compiler is on top of its queue.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_components_of_every_kind_end_within_their_bounds() {
    let mut settings = plugin_settings();
    settings.compile_time_max = Duration::from_secs(8);
    settings.compile_memory_bytes_max = 512 * 1024 * 1024;
    let host = plugin_host(settings);
    let all = all();
    assert!(all.len() >= 60, "{} kinds", all.len());
    let plugin = super::limits::plugin(&host, "good", &Component::accepting()).await;
    let is_over = AtomicBool::new(false);
    let table = async {
        let wrong: Vec<String> = stream::iter(all.into_iter().enumerate())
            // Tenants take turns, so that each is one of its own.
            .map(|(number, hostile)| settle(&host, format!("tenant-{number}"), hostile))
            .buffer_unordered(4)
            .filter_map(std::future::ready)
            .collect()
            .await;
        is_over.store(true, Ordering::Relaxed);
        wrong
    };
    let neighbour = async {
        let (call, mut slowest, mut asked) = (super::limits::call(plugin, "{}"), Duration::ZERO, 0);
        while !is_over.load(Ordering::Relaxed) || asked == 0 {
            let begun = Instant::now();
            let outcome = host.call(&call, &super::limits::question()).await;
            assert!(outcome.answer.is_ok(), "{outcome:?}");
            slowest = slowest.max(begun.elapsed());
            asked += 1;
            // Leaves the machine to the others.
            pass_time(Duration::from_millis(5)).await;
        }
        println!("a neighbour asked {asked} times; the slowest answer took {slowest:?}");
        slowest
    };
    let (wrong, slowest) = tokio::join!(table, neighbour);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

/// Loads a component and asks it once; says how it ended if that is not as expected.
async fn settle(
    host: &PluginHost,
    tenant: String,
    (name, component, ends): Hostile,
) -> Option<String> {
    let begun = Instant::now();
    let (plugin, loaded) = load_component(host, &tenant, &component).await;
    let outcome = match loaded {
        Ok(_) => {
            let call = super::limits::call(plugin, "{}");
            Ok(host.call(&call, &super::limits::question()).await.answer)
        }
        Err(failure) => Err(failure),
    };
    let took = begun.elapsed();
    println!("{name}: {} bytes, {took:?}: {outcome:?}", component.len());
    let is_right = match (&outcome, ends) {
        (Err(LoadFailure::Rejected(reason)), Ends::Refused(word))
        | (Err(LoadFailure::OverLimits(reason)), Ends::Over(word))
        | (Ok(Err(HookFailure::Failed(reason))), Ends::Fails(word)) => reason.contains(word),
        (Ok(Ok(_)), Ends::Works) => true,
        _ => false,
    };
    let is_right = is_right && took < SETTLED_WITHIN;
    (!is_right).then(|| format!("{name}: {outcome:?} after {took:?}, not {ends:?}"))
}
