//! The runners on the plugins' threads: each makes a tenant's calls one after the other, while some wait.
//!
//! Called by the plugin host. Calls what makes one call.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use boxoffice_engine::ports::{PluginOutcome, PluginRequest};
use futures::FutureExt as _;
use tokio::sync::oneshot;

use super::{
    calls, exports::Loaded, fair_share::Runner, settings::CallLimits, wasm_engine::WasmEngine,
};

/// How long a runner makes calls before it lets others have its thread. A longer call gives way by itself.
const TURN_MAX: Duration = Duration::from_micros(250);

/// A call that waits for a runner.
pub(super) struct Job {
    pub(super) loaded: Arc<Loaded>,
    pub(super) limits: CallLimits,
    pub(super) request: PluginRequest,
    pub(super) config: Arc<str>,
    pub(super) answer: oneshot::Sender<PluginOutcome>,
}

/// Makes a tenant's calls until none waits.
pub(super) async fn run_calls(wasm_engine: Arc<WasmEngine>, mut runner: Runner<Job>) {
    let mut turn = Instant::now();
    while let Some((job, admission)) = runner.next().await {
        let Job {
            loaded,
            limits,
            request,
            config,
            answer,
        } = job;
        let made = calls::call(&wasm_engine, &loaded, &limits, &request, &config);
        let outcome = AssertUnwindSafe(made).catch_unwind().await;
        let outcome = outcome.unwrap_or_else(|_| {
            tracing::error!("a plugin call was interrupted");
            calls::interrupted()
        });
        // The slot is held until the instance is dropped, even if nobody waits for the answer any more.
        admission.charge(calls::charge(&outcome));
        drop(admission);
        let _ = answer.send(outcome);
        if turn.elapsed() > TURN_MAX {
            tokio::task::yield_now().await;
            turn = Instant::now();
        }
    }
}
