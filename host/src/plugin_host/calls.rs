//! One call: a fresh store and instance, bounded in everything, and gone afterwards.
//!
//! Called by the plugin host on its own threads. Calls wasmtime.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use boxoffice_engine::ports::{
    HookFailure, PluginAnswer, PluginOutcome, PluginRequest, PluginUsage,
};
use futures::task::AtomicWaker;
use wasmtime::{Store, Trap};

use super::{compile::Loaded, convert, guest::Guest, machine::Machine, settings::CallLimits};

/// Fuel is looked at together with this much work of ours at most: what a plugin hands over in one go, logs included.
const HANDED_OVER_BYTES_MIN: usize = 1024 * 1024;
/// How often a plugin may give way by itself. A pure function has nothing to wait for; some toolchains look around
/// once or twice before they begin.
const WAITS_MAX: u32 = 64;
/// How long it may wait each time for something that is due at once.
const WAIT_MAX: Duration = Duration::from_millis(20);
/// Longest reason of a failure that is kept.
const REASON_CHARACTERS_MAX: usize = 500;

/// Makes one call.
pub(super) async fn call(
    machine: &Machine,
    loaded: &Loaded,
    limits: &CallLimits,
    request: &PluginRequest,
    config: &str,
) -> PluginOutcome {
    let size = convert::size_of(request) + config.len();
    if size > limits.input_bytes {
        let reason = format!(
            "the plugin would be asked {size} bytes, and {} are allowed",
            limits.input_bytes
        );
        return not_made(HookFailure::InputTooLarge(reason));
    }
    let mut store = Store::new(&machine.wasm, Guest::new(limits));
    store.limiter(|guest| &mut guest.limiter);
    store.set_hostcall_fuel(limits.output_bytes.max(HANDED_OVER_BYTES_MIN));
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    if let Err(error) = store.set_fuel(limits.fuel) {
        return not_made(HookFailure::NotLoaded(error.to_string()));
    }
    let (ended, used) = {
        let asked = Box::pin(ask(&mut store, loaded, request, config));
        let mut metered = Metered::new(asked, limits.time);
        let ended = (&mut metered).await;
        (ended, metered.used)
    };
    let guest = store.data();
    let usage = PluginUsage {
        fuel: limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0)),
        microseconds: u64::try_from(used.as_micros()).unwrap_or(u64::MAX),
        memory_bytes: guest.limiter.bytes as u64,
    };
    let answer = match ended {
        Ok(Ok(Ok(answer))) => bounded(answer, limits),
        Ok(Ok(Err(reason))) => Err(reason),
        Ok(Err(error)) => Err(reason_of(&error, guest, limits)),
        Err(reason) => Err(reason),
    };
    let answer = answer.map_err(HookFailure::Failed);
    PluginOutcome {
        answer,
        usage,
        logs: guest.take_log(),
    }
}

/// The outcome of a call that was not made.
pub(super) fn not_made(failure: HookFailure) -> PluginOutcome {
    PluginOutcome {
        answer: Err(failure),
        usage: PluginUsage::default(),
        logs: Vec::new(),
    }
}

/// Makes the instance and asks it.
async fn ask(
    store: &mut Store<Guest>,
    loaded: &Loaded,
    request: &PluginRequest,
    config: &str,
) -> wasmtime::Result<Result<PluginAnswer, String>> {
    let exports_no = |what: &str| Ok(Err(format!("the plugin does not export `{what}`")));
    match request {
        PluginRequest::ValidateBooking(request) => {
            let Some(policy) = &loaded.policy else {
                return exports_no("booking-policy");
            };
            let request = convert::booking(request);
            let policy = policy.instantiate_async(&mut *store).await?;
            let exports = policy.boxoffice_plugin_booking_policy();
            let answer = exports
                .call_validate_booking(&mut *store, &request, config)
                .await?;
            Ok(convert::decided(answer))
        }
        PluginRequest::ValidateCancellation(request) => {
            let Some(policy) = &loaded.policy else {
                return exports_no("booking-policy");
            };
            let request = convert::cancellation(request);
            let policy = policy.instantiate_async(&mut *store).await?;
            let exports = policy.boxoffice_plugin_booking_policy();
            let answer = exports
                .call_validate_cancellation(&mut *store, &request, config)
                .await?;
            Ok(convert::cancellation_decided(answer))
        }
        PluginRequest::Render(request) => {
            let Some(template) = &loaded.template else {
                return exports_no("notification-template");
            };
            let request = convert::render(request);
            let template = template.instantiate_async(&mut *store).await?;
            let exports = template.boxoffice_plugin_notification_template();
            let answer = exports.call_render(&mut *store, &request, config).await?;
            Ok(convert::rendered(answer))
        }
    }
}

/// Refuses answers over the output limit. What could be handed over at all is bounded before.
fn bounded(answer: PluginAnswer, limits: &CallLimits) -> Result<PluginAnswer, String> {
    use boxoffice_engine::ports::Decision;
    let size = match &answer {
        PluginAnswer::Decided(Decision::Accept) => 0,
        PluginAnswer::Decided(Decision::Reject { code, reason }) => code.len() + reason.len(),
        PluginAnswer::Decided(Decision::Adjust {
            unit_prices_minor,
            messages,
        }) => 4 * unit_prices_minor.len() + messages.iter().map(String::len).sum::<usize>(),
        PluginAnswer::Rendered { rendered } => {
            rendered.subject.len() + rendered.text.len() + rendered.html.len()
        }
        PluginAnswer::Declined { declined } => declined.len(),
    };
    if size > limits.output_bytes {
        return Err(format!(
            "it answered {size} bytes, and {} are allowed",
            limits.output_bytes
        ));
    }
    Ok(answer)
}

/// Why a call ended without an answer, in a sentence for the tenant.
fn reason_of(error: &wasmtime::Error, guest: &Guest, limits: &CallLimits) -> String {
    let denied = guest.limiter.denied.as_ref();
    let text = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => format!("it used up its fuel of {}", limits.fuel),
        Some(Trap::StackOverflow) => "its stack overflowed: it recurses too deeply".to_owned(),
        // Failed allocations end in `unreachable`; what was denied before says more.
        Some(trap) => match denied {
            Some(denied) => format!("it wanted too much {denied}"),
            None => format!("it trapped: {trap}"),
        },
        None => match denied {
            Some(denied) => format!("it wanted too much {denied}"),
            None => format!("it failed: {error:#}"),
        },
    };
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(REASON_CHARACTERS_MAX)
        .collect()
}

/// Polls a call and adds up its time on the thread: what it spends waiting for its turn is not its own.
struct Metered<F> {
    inner: Pin<Box<F>>,
    used: Duration,
    limit: Duration,
    waits: u32,
    woken: Arc<Woken>,
    patience: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// Knows whether the call wants to go on at once (its turn was over) or waits for something.
#[derive(Default)]
struct Woken {
    is_so: AtomicBool,
    outer: AtomicWaker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is_so.store(true, Ordering::SeqCst);
        self.outer.wake();
    }
}

impl<F: Future> Metered<F> {
    fn new(inner: Pin<Box<F>>, limit: Duration) -> Self {
        Self {
            inner,
            used: Duration::ZERO,
            limit,
            waits: 0,
            woken: Arc::default(),
            patience: None,
        }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.woken.outer.register(context.waker());
        if let Some(patience) = &mut this.patience {
            if !this.woken.is_so.load(Ordering::SeqCst) {
                return match patience.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(Err(WAITED.to_owned())),
                    Poll::Pending => Poll::Pending,
                };
            }
            this.patience = None;
        }
        this.woken.is_so.store(false, Ordering::SeqCst);
        let waker = Waker::from(this.woken.clone());
        let begun = Instant::now();
        let polled = this.inner.as_mut().poll(&mut Context::from_waker(&waker));
        this.used += begun.elapsed();
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Ok(output));
        }
        if this.used > this.limit {
            return Poll::Ready(Err(format!(
                "it ran longer than {} ms",
                this.limit.as_millis()
            )));
        }
        if !this.woken.is_so.load(Ordering::SeqCst) {
            this.waits += 1;
            if this.waits > WAITS_MAX {
                return Poll::Ready(Err(WAITED.to_owned()));
            }
            let mut patience = Box::pin(tokio::time::sleep(WAIT_MAX));
            // Registers the timer; it cannot be over yet.
            let _ = patience.as_mut().poll(context);
            this.patience = Some(patience);
        }
        Poll::Pending
    }
}

const WAITED: &str = "it waited for something: a plugin has no clock and nothing else to wait for";
