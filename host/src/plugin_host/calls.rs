//! One call: in a fresh store and instance, with limits on all resources.
//!
//! Called by the plugin host on its own threads. Calls wasmtime.

use std::time::Duration;

use boxoffice_engine::ports::{
    HookFailure, PluginAnswer, PluginOutcome, PluginRequest, PluginUsage, judge,
};
use wasmtime::{Store, Trap};

use super::{
    convert,
    exports::Loaded,
    guest::Guest,
    metered::{Cut, Metered},
    settings::CallLimits,
    sizes,
    wasm_engine::WasmEngine,
};

/// Most bytes that a plugin can pass to the host at once, logs included.
const HANDED_OVER_BYTES_MIN: usize = 1024 * 1024;
/// After this much fuel a call yields, which updates the count of used fuel: a loop without calls does not
/// update it. A tenth of a millisecond of work.
const FUEL_NOTED_EVERY: u64 = 100_000;
/// Fuel that a running plugin uses in a microsecond, roughly.
const FUEL_PER_MICROSECOND: u64 = 1_000;
/// A call that timed out with less fuel than this for each microsecond barely ran: a running plugin uses
/// a hundred times as much on the slowest machines. The machine was too slow.
const FUEL_PER_MICROSECOND_MIN: u64 = 10;
/// Longest stored reason of a failure.
const REASON_CHARACTERS_MAX: usize = 500;

/// Makes one call.
pub(super) async fn call(
    wasm_engine: &WasmEngine,
    loaded: &Loaded,
    limits: &CallLimits,
    request: &PluginRequest,
    config: &str,
) -> PluginOutcome {
    let size = sizes::size_of(request) + config.len();
    if size > limits.input_bytes {
        let reason = format!(
            "the plugin would be asked {size} bytes, and {} are allowed",
            limits.input_bytes
        );
        return not_made(HookFailure::InputTooLarge(reason));
    }
    let mut store = Store::new(&wasm_engine.wasm, Guest::new(limits));
    store.limiter(|guest| &mut guest.limiter);
    store.set_hostcall_fuel(limits.output_bytes.max(HANDED_OVER_BYTES_MIN));
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    let fuelled = store.set_fuel(limits.fuel);
    if let Err(error) =
        fuelled.and_then(|()| store.fuel_async_yield_interval(Some(FUEL_NOTED_EVERY)))
    {
        return not_made(HookFailure::NotLoaded(error.to_string()));
    }
    let _ticking = wasm_engine.ticking();
    let (ended, used) = {
        let asked = Box::pin(ask(&mut store, loaded, request, config));
        let mut metered = Metered::new(asked, limits.time);
        let ended = (&mut metered).await;
        (ended, metered.used())
    };
    let guest = store.data();
    let usage = PluginUsage {
        fuel: limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0)),
        microseconds: u64::try_from(used.as_micros()).unwrap_or(u64::MAX),
        memory_bytes: guest.limiter.bytes as u64,
    };
    let answer = match ended {
        Ok(Ok(Ok(answer))) => judge(request, answer)
            .and_then(|answer| bounded(answer, limits))
            .map_err(HookFailure::Failed),
        Ok(Ok(Err(reason))) => Err(HookFailure::Failed(reason)),
        Ok(Err(error)) => Err(HookFailure::Failed(reason_of(&error, guest, limits))),
        Err(cut) => Err(failure_of(cut, &usage, limits.time)),
    };
    PluginOutcome {
        answer,
        usage,
        logs: guest.take_log(),
    }
}

/// The result of a call that was not made.
pub(super) fn not_made(failure: HookFailure) -> PluginOutcome {
    Err(failure).into()
}

/// The result of a call that ended with a panic, or with its host.
pub(super) fn interrupted() -> PluginOutcome {
    not_made(HookFailure::Failed("the call was interrupted".to_owned()))
}

/// The cost of a call for its tenant's share: its fuel. An interrupted call may have kept a core busy without
/// fuel (large copies), and is charged for its time.
pub(super) fn charge(outcome: &PluginOutcome) -> u64 {
    let PluginUsage {
        fuel, microseconds, ..
    } = outcome.usage;
    match outcome.answer {
        Ok(_) => fuel,
        Err(_) => fuel.max(microseconds.saturating_mul(FUEL_PER_MICROSECOND)),
    }
}

/// The failure of an interrupted call. If the machine was too busy, it is not the plugin's failure.
fn failure_of(cut: Cut, usage: &PluginUsage, time: Duration) -> HookFailure {
    let barely_ran = usage.fuel < usage.microseconds.saturating_mul(FUEL_PER_MICROSECOND_MIN);
    match cut {
        Cut::Time if barely_ran => HookFailure::Busy(format!(
            "this host was too slow: the call used up {} ms with only {} of fuel",
            time.as_millis(),
            usage.fuel
        )),
        Cut::Time => HookFailure::Failed(format!("it ran longer than {} ms", time.as_millis())),
        Cut::Wall => HookFailure::Busy(format!(
            "this host is too busy: it did not let the call run for its {} ms",
            time.as_millis()
        )),
        Cut::Waited => HookFailure::Failed(
            "it waited for something: a plugin has no clock and nothing else to wait for"
                .to_owned(),
        ),
    }
}

/// Creates the instance and calls it.
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
            let converted = convert::booking(request);
            let policy = policy.instantiate_async(&mut *store).await?;
            let exports = policy.boxoffice_plugin_booking_policy();
            let answer = exports
                .call_validate_booking(&mut *store, &converted, config)
                .await?;
            Ok(convert::decided(request, answer))
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
            Ok(Ok(convert::cancellation_decided(answer)))
        }
        PluginRequest::Render(request) => {
            let Some(template) = &loaded.template else {
                return exports_no("notification-template");
            };
            let request = convert::render(request);
            let template = template.instantiate_async(&mut *store).await?;
            let exports = template.boxoffice_plugin_notification_template();
            let answer = exports.call_render(&mut *store, &request, config).await?;
            Ok(Ok(convert::rendered(answer)))
        }
    }
}

/// Refuses answers over the output limit.
fn bounded(answer: PluginAnswer, limits: &CallLimits) -> Result<PluginAnswer, String> {
    let size = sizes::answer_size(&answer);
    if size > limits.output_bytes {
        return Err(format!(
            "it answered {size} bytes, and {} are allowed",
            limits.output_bytes
        ));
    }
    Ok(answer)
}

/// Why a call has no answer, as a sentence for the tenant.
fn reason_of(error: &wasmtime::Error, guest: &Guest, limits: &CallLimits) -> String {
    let denied = guest.limiter.denied.as_ref();
    let text = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => format!("it used up its fuel of {}", limits.fuel),
        Some(Trap::StackOverflow) => "its stack overflowed: it recurses too deeply".to_owned(),
        // Failed allocations end in `unreachable`; the denied allocation explains more.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_barely_ran_is_the_hosts_fault() {
        let usage = |fuel: u64| PluginUsage {
            fuel,
            microseconds: 50_000,
            memory_bytes: 0,
        };
        let time = Duration::from_millis(50);
        for (cut, fuel, is_busy) in [
            (Cut::Time, 100_000, true),
            (Cut::Time, 500_000, false),
            (Cut::Time, 50_000_000, false),
            (Cut::Wall, 50_000_000, true),
            (Cut::Waited, 0, false),
        ] {
            let failure = failure_of(cut, &usage(fuel), time);
            let found = matches!(failure, HookFailure::Busy(_));
            assert_eq!(found, is_busy, "{cut:?} {fuel}: {failure:?}");
        }
    }
}
