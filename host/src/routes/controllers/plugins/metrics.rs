//! The health of plugins as JSON.
//!
//! Called by the plugins controller.

use boxoffice_engine::PluginMetrics;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::responses::ActivePluginResponse;

/// The health of a plugin.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PluginMetricsResponse {
    /// Its uses, for all events and for single ones, with quarantine.
    uses: Vec<ActivePluginResponse>,
    /// The counters of the process that answers. Every process has its own, since its start.
    this_process: PluginCountersResponse,
}

/// The health of all active plugins.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct PluginOverviewResponse {
    /// Each of them, by name; at most 64.
    items: Vec<PluginMetricsResponse>,
}

impl From<Vec<PluginMetrics>> for PluginOverviewResponse {
    fn from(metrics: Vec<PluginMetrics>) -> Self {
        Self {
            items: metrics.into_iter().map(Into::into).collect(),
        }
    }
}

/// One process's counters of a plugin's calls.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PluginCountersResponse {
    /// Since when; null if it was not called in this process.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// The number of calls.
    calls: u64,
    /// Calls without an answer, by kind.
    failures: PluginFailuresResponse,
    /// Mean CPU time of a call.
    microseconds_mean: Option<u64>,
    /// Longest CPU time of a call.
    microseconds_max: u64,
    /// Mean fuel of a call.
    fuel_mean: Option<u64>,
    /// Highest fuel of a call.
    fuel_max: u64,
    /// Highest memory of one call.
    memory_bytes_max: u64,
    /// When the last call without an answer was.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_failure_at: Option<Timestamp>,
    /// The reason. Text, never markup.
    last_failure: Option<String>,
}

/// Calls without an answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PluginFailuresResponse {
    /// Failed: a trap, an exceeded limit, or an invalid answer.
    failed: u64,
    /// Not made: the input was too large.
    input_too_large: u64,
    /// Not made: the tenant exceeded its share of calls, or this host was too busy.
    busy: u64,
    /// Not made: it could not be loaded.
    not_loaded: u64,
}

impl From<PluginMetrics> for PluginMetricsResponse {
    fn from(metrics: PluginMetrics) -> Self {
        let here = metrics.here;
        let (last_failure_at, last_failure) = here.last_failure.clone().unzip();
        Self {
            uses: metrics.uses.into_iter().map(Into::into).collect(),
            this_process: PluginCountersResponse {
                since: here.since,
                calls: here.made(),
                failures: PluginFailuresResponse {
                    failed: here.failed,
                    input_too_large: here.too_large,
                    busy: here.busy,
                    not_loaded: here.not_loaded,
                },
                microseconds_mean: here.microseconds_mean(),
                microseconds_max: here.microseconds_max,
                fuel_mean: here.fuel.checked_div(here.made()),
                fuel_max: here.fuel_max,
                memory_bytes_max: here.memory_bytes_max,
                last_failure_at,
                last_failure,
            },
        }
    }
}
