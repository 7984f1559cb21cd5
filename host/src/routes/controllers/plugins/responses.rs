//! Plugins as JSON: versions, active plugins, results of trials and replays, logs and decisions.
//!
//! Called by the plugins controller.

use boxoffice_engine::{
    ActivePlugin, BookingDecision, ExportQuarantine, FailedCall, PluginActivation, PluginLogEntry,
    PluginSet, PluginState, PluginVersion, WhenNotLoaded,
    app_modules::ReplayReport,
    ports::{PluginLogLine, PluginOutcome},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::requests::PluginLimitsBody;
use crate::routes::choices;

/// A version of a plugin.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PluginVersionResponse {
    /// The plugin's name.
    name: String,
    /// SHA-256 of the component.
    version: String,
    /// `compiling`, `ready` or `rejected`.
    #[schema(value_type = choices::PluginState)]
    state: &'static str,
    /// Why it was rejected. Text, never markup.
    reason: Option<String>,
    /// Whether uploading the same component again may succeed: compiling took too long, or it exceeded the limits
    /// of the host.
    may_retry: bool,
    /// Size of the component.
    size_bytes: u64,
    /// The version of the WIT that it was built for. This and the following fields are empty until the version is ready.
    #[schema(example = "0.2.0")]
    wit_version: String,
    /// Whether it decides about bookings.
    decides: bool,
    /// Whether it writes mails.
    words: bool,
    /// Its exports.
    exports: Vec<String>,
    /// Its imports.
    imports: Vec<String>,
    /// When it was uploaded.
    #[schema(value_type = String, format = DateTime)]
    uploaded_at: Timestamp,
}

impl From<PluginVersion> for PluginVersionResponse {
    fn from(version: PluginVersion) -> Self {
        let (state, reason, may_retry) = match version.state {
            PluginState::Compiling => ("compiling", None, false),
            PluginState::Ready => ("ready", None, false),
            PluginState::Rejected { reason, may_retry } => ("rejected", Some(reason), may_retry),
        };
        Self {
            name: version.name.to_string(),
            version: version.hash.to_string(),
            state,
            reason,
            may_retry,
            size_bytes: version.size_bytes,
            wit_version: version.facts.wit_version,
            decides: version.facts.decides,
            words: version.facts.words,
            exports: version.facts.exports,
            imports: version.facts.imports,
            uploaded_at: version.uploaded_at,
        }
    }
}

/// The active plugins.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct PluginSetResponse {
    /// Its version, raised by every change.
    version: u64,
    /// The plugins, in the order in which policies are asked.
    items: Vec<ActivePluginResponse>,
    /// At activation: mails that the trial failed to write, and why. Text, never markup.
    warnings: Vec<String>,
}

/// An active plugin.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ActivePluginResponse {
    /// The plugin's name.
    name: String,
    /// The only event for which it is called; null for all.
    event_id: Option<String>,
    /// The active version.
    version: String,
    /// The version of a built-in policy's rules; null for an uploaded plugin.
    rules: Option<u32>,
    /// Earlier active versions, newest first.
    previous: Vec<String>,
    /// Its configuration.
    #[schema(value_type = Object)]
    config: Value,
    /// `refuse` or `skip`.
    #[schema(value_type = choices::WhenNotLoaded)]
    when_not_loaded: &'static str,
    /// Whether it gets e-mail address and name of customers.
    sees_identity: bool,
    /// Limits of its calls below the server's; null for the server's.
    limits: PluginLimitsBody,
    /// Whether it is called.
    enabled: bool,
    /// Exports in quarantine, because they failed for several customers. Requests that need them are refused
    /// until a try succeeds, or a version is activated.
    quarantines: Vec<QuarantineResponse>,
}

/// An export in quarantine.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct QuarantineResponse {
    /// The export.
    #[schema(value_type = choices::PluginExport)]
    export: &'static str,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// The failure of its last call. Text, never markup.
    reason: String,
    /// When it is tried again: with the first request after that.
    #[schema(value_type = String, format = DateTime)]
    next_try_at: Timestamp,
    /// The number of failed tries.
    failed_tries: u32,
}

impl From<&ExportQuarantine> for QuarantineResponse {
    fn from(own: &ExportQuarantine) -> Self {
        Self {
            export: own.export.as_str(),
            since: own.since,
            reason: own.reason.clone(),
            next_try_at: own.next_try_at,
            failed_tries: own.failed_tries,
        }
    }
}

impl From<PluginSet> for PluginSetResponse {
    fn from(set: PluginSet) -> Self {
        Self {
            version: set.version,
            items: set.plugins.into_iter().map(Into::into).collect(),
            warnings: Vec::new(),
        }
    }
}

impl From<PluginActivation> for PluginSetResponse {
    fn from(activation: PluginActivation) -> Self {
        Self {
            warnings: activation.warnings,
            ..activation.set.into()
        }
    }
}

impl From<ActivePlugin> for ActivePluginResponse {
    fn from(plugin: ActivePlugin) -> Self {
        Self {
            quarantines: plugin.open_quarantines().map(Into::into).collect(),
            name: plugin.name.to_string(),
            event_id: plugin.event.map(|event| event.to_string()),
            version: plugin.version.to_string(),
            rules: plugin.rules,
            previous: plugin.previous.iter().map(ToString::to_string).collect(),
            config: serde_json::from_str(&plugin.config).unwrap_or_default(),
            when_not_loaded: match plugin.when_not_loaded {
                WhenNotLoaded::Refuse => "refuse",
                WhenNotLoaded::Skip => "skip",
            },
            sees_identity: plugin.sees_identity,
            limits: plugin.limits.into(),
            enabled: plugin.enabled,
        }
    }
}

/// The result of a trial.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct DryRunResponse {
    /// The answer; null if the call failed. A yes shows the claims that a booking would make; a trial takes nothing.
    #[schema(value_type = Option<Object>)]
    answer: Option<Value>,
    /// The failure.
    failure: Option<String>,
    /// Fuel, roughly instructions.
    fuel: u64,
    /// CPU time.
    microseconds: u64,
    /// Highest memory.
    memory_bytes: u64,
    /// Its log. Text, never markup.
    logs: Vec<LogLineResponse>,
}

/// A line of a log.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct LogLineResponse {
    /// `debug`, `info`, `warn`, `error`, or `stderr`.
    #[schema(value_type = choices::LogLevel)]
    level: String,
    /// Its text.
    message: String,
}

impl From<PluginOutcome> for DryRunResponse {
    fn from(outcome: PluginOutcome) -> Self {
        let failure = outcome.answer.as_ref().err().map(ToString::to_string);
        Self {
            answer: outcome
                .answer
                .ok()
                .map(|answer| serde_json::to_value(answer).unwrap_or_default()),
            failure,
            fuel: outcome.usage.fuel,
            microseconds: outcome.usage.microseconds,
            memory_bytes: outcome.usage.memory_bytes,
            logs: outcome.logs.into_iter().map(log_line).collect(),
        }
    }
}

fn log_line(line: PluginLogLine) -> LogLineResponse {
    LogLineResponse {
        level: line.level,
        message: line.message,
    }
}

/// The result of a replay.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ReplayResponse {
    /// Decisions that were replayed.
    replayed: usize,
    /// Decisions in which this plugin did not take part, or whose request was too large to keep.
    not_replayable: usize,
    /// Those that would differ.
    differing: Vec<ReplayDifferenceResponse>,
}

/// A decision that would differ.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct ReplayDifferenceResponse {
    /// The request.
    #[schema(value_type = Object)]
    question: Value,
    /// The answer at that time.
    #[schema(value_type = Object)]
    then: Value,
    /// The answer of this version.
    #[schema(value_type = Object)]
    now: Value,
}

impl From<ReplayReport> for ReplayResponse {
    fn from(report: ReplayReport) -> Self {
        let differing = report.differing.into_iter();
        Self {
            replayed: report.replayed,
            not_replayable: report.not_replayable,
            differing: differing
                .map(|one| ReplayDifferenceResponse {
                    question: one.request,
                    then: one.then,
                    now: one.now,
                })
                .collect(),
        }
    }
}

/// A plugin's recent log.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct PluginLogResponse {
    /// One item per call, newest first; a sample if there are many.
    pub(super) items: Vec<PluginLogEntryResponse>,
}

/// The log of one call.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PluginLogEntryResponse {
    /// The time.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The version's id.
    version: String,
    /// The export.
    #[schema(value_type = choices::PluginExport)]
    export: &'static str,
    /// The `X-Request-Id` of the request that it was called for; null for mails.
    request_id: Option<String>,
    /// The failure, if the call failed.
    failure: Option<String>,
    /// The log lines. Text, never markup.
    lines: Vec<LogLineResponse>,
}

impl From<PluginLogEntry> for PluginLogEntryResponse {
    fn from(entry: PluginLogEntry) -> Self {
        Self {
            at: entry.at,
            version: entry.version.to_string(),
            export: entry.export.as_str(),
            request_id: entry.request_id,
            failure: entry.failure,
            lines: entry.lines.into_iter().map(log_line).collect(),
        }
    }
}

/// A plugin's recent failed calls.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct FailedCallsResponse {
    /// Newest first; 64 are kept for all plugins of a tenant.
    pub(super) items: Vec<FailedCallResponse>,
}

/// A failed call.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct FailedCallResponse {
    /// The time.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The version's id.
    version: String,
    /// The `X-Request-Id` of the request that it was called for; null for mails.
    request_id: Option<String>,
    /// The export.
    #[schema(value_type = choices::PluginExport)]
    export: &'static str,
    /// The failure. Text, never markup.
    failure: String,
    /// The call as a fixture, `{"export", "request", "config"}`: saved to a file, `boxoffice plugin run --input` repeats
    /// it. Null if the request was larger than 64 KiB.
    #[schema(value_type = Option<Object>)]
    fixture: Option<Value>,
    /// Its log. Text, never markup.
    logs: Vec<LogLineResponse>,
}

impl From<FailedCall> for FailedCallResponse {
    fn from(call: FailedCall) -> Self {
        let fixture = call.question.map(|mut question| {
            question["config"] = serde_json::from_str(&call.config).unwrap_or_default();
            question
        });
        Self {
            at: call.at,
            version: call.version.to_string(),
            request_id: call.request_id,
            export: call.export.as_str(),
            failure: call.failure,
            fixture,
            logs: call.lines.into_iter().map(log_line).collect(),
        }
    }
}

/// The decision of a booking.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct DecisionResponse {
    /// How the booking came about. No policy is asked about an imported one.
    #[schema(value_type = choices::SalesChannel)]
    channel: &'static str,
    /// Why the booking costs nothing, whatever the policies said.
    complimentary: Option<String>,
    /// The version of the plugin set; null if no plugin was called, or the record was erased.
    policy_version: Option<u64>,
    /// Input and answer of each plugin, in order.
    steps: Vec<DecisionStepResponse>,
    /// Whether input and answers were erased with the customer's account.
    erased: bool,
}

/// One plugin's part in a decision.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct DecisionStepResponse {
    /// The plugin's name at that time.
    plugin: String,
    /// The version's id.
    version: String,
    /// The version of a built-in policy's rules; null for an uploaded plugin.
    rules: Option<u32>,
    /// Its input; null if it was too large to keep.
    #[schema(value_type = Option<Object>)]
    question: Option<Value>,
    /// Its answer.
    #[schema(value_type = Object)]
    answer: Value,
}

impl From<BookingDecision> for DecisionResponse {
    fn from(decision: BookingDecision) -> Self {
        let record = decision.record;
        let erased = record.as_ref().is_some_and(|record| record.is_erased);
        let policy_version = record.as_ref().map(|record| record.policy_version);
        let policy_version = policy_version.filter(|_| !erased);
        let steps = record.into_iter().flat_map(|record| record.steps);
        Self {
            channel: decision.channel.as_str(),
            complimentary: decision.complimentary.map(|reason| reason.to_string()),
            policy_version,
            steps: steps
                .map(|step| DecisionStepResponse {
                    plugin: step.plugin,
                    version: step.version.to_string(),
                    rules: step.rules,
                    question: step.request,
                    answer: step.answer,
                })
                .collect(),
            erased,
        }
    }
}
