//! Plugins of a tenant: what was uploaded, what is active, and what was decided with it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EventId, PluginHash, PluginName, UserId};
use crate::error::{Error, Result};

/// The functions that a plugin can export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginExport {
    /// Decides about a booking.
    ValidateBooking,
    /// Decides about a cancellation.
    ValidateCancellation,
    /// Writes the text of a mail.
    Render,
}

impl PluginExport {
    /// The name in the WIT.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ValidateBooking => "validate-booking",
            Self::ValidateCancellation => "validate-cancellation",
            Self::Render => "render",
        }
    }
}

/// An export of an active plugin that is not called for a while, because it failed for several customers. Requests that
/// need it are refused meanwhile. After the pause one request is let through. If the call succeeds, the
/// quarantine ends. If not, the next pause is longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportQuarantine {
    /// The export.
    pub export: PluginExport,
    /// Since when, UTC.
    pub since: Timestamp,
    /// The failure of its last call.
    pub reason: String,
    /// When it is tried again, UTC: with the first request after that.
    pub next_try_at: Timestamp,
    /// The number of failed tries.
    pub failed_tries: u32,
    /// When a try succeeded, UTC. Kept for an hour: an export that fails again within that time does not start with the
    /// shortest pause.
    pub ended_at: Option<Timestamp>,
    /// When owners were last notified, UTC.
    pub told_at: Timestamp,
}

/// The state of an uploaded version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginState {
    /// It is being compiled.
    Compiling,
    /// It can be activated.
    Ready,
    /// It cannot be activated.
    Rejected {
        /// The reason, for the tenant.
        reason: String,
        /// Whether uploading the same bytes again may succeed: compiling took too long, or exceeded the host's limits.
        may_retry: bool,
    },
}

/// A plugin's interface: its exports, imports and contract.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PluginFacts {
    /// The names of its exports.
    pub exports: Vec<String>,
    /// The names of its imports.
    pub imports: Vec<String>,
    /// The version of the WIT that it was built for.
    pub wit_version: String,
    /// Whether it decides about bookings.
    pub decides: bool,
    /// Whether it writes mails.
    pub words: bool,
}

/// One version of a plugin. It never changes after the upload.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginVersion {
    /// The plugin's name.
    pub name: PluginName,
    /// The version's id.
    pub hash: PluginHash,
    /// Its state.
    pub state: PluginState,
    /// Its size.
    pub size_bytes: u64,
    /// Its interface; empty until it is compiled.
    pub facts: PluginFacts,
    /// The user who uploaded it, if it was a user.
    pub uploaded_by: Option<UserId>,
    /// The time, UTC.
    pub uploaded_at: Timestamp,
}

/// What happens to a request while a policy cannot be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenNotLoaded {
    /// It is refused (`policy-unavailable`).
    #[default]
    Refuse,
    /// The request is decided without this policy.
    Skip,
}

/// Limits of a plugin's calls. At activation: the tenant's own, below the server's; `None` means the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginLimits {
    /// CPU time in milliseconds; 1 or more.
    pub time_ms: Option<u64>,
    /// Fuel, roughly instructions; 1 or more.
    pub fuel: Option<u64>,
    /// Memory, tables included; 64 KiB or more.
    pub memory_bytes: Option<u64>,
    /// Bytes of the input.
    pub input_bytes: Option<u64>,
    /// Bytes of the output.
    pub output_bytes: Option<u64>,
    /// Bytes of the log that are kept; the rest is cut.
    pub log_bytes: Option<u64>,
}

impl PluginLimits {
    /// Each limit with its name in requests and its minimum.
    pub(crate) fn each(&self) -> [(&'static str, u64, Option<u64>); 6] {
        [
            ("timeMs", 1, self.time_ms),
            ("fuel", 1, self.fuel),
            ("memoryBytes", 64 * 1024, self.memory_bytes),
            ("inputBytes", 0, self.input_bytes),
            ("outputBytes", 0, self.output_bytes),
            ("logBytes", 0, self.log_bytes),
        ]
    }

    /// Refuses values below the minimum or above the server's limits.
    pub(crate) fn check_below(&self, ceilings: &Self) -> Result<()> {
        for ((name, least, own), (_, _, most)) in self.each().into_iter().zip(ceilings.each()) {
            let most = most.unwrap_or(u64::MAX);
            if own.is_some_and(|own| !(least..=most).contains(&own)) {
                return Err(Error::field(
                    format!("limits.{name}"),
                    format!(
                        "This limit is {least} to {most}: a plugin's limits cannot exceed the server's."
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// One process's counters of a plugin's calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginCounters {
    /// Since when, UTC: the first call in this process, or the first after the counters were evicted.
    pub since: Option<Timestamp>,
    /// Calls that succeeded.
    pub answered: u64,
    /// Calls that failed: a trap, an exceeded limit, or an invalid answer.
    pub failed: u64,
    /// Calls that were not made because the input was too large.
    pub too_large: u64,
    /// Calls that were not made because the tenant exceeded its share or the host was too busy.
    pub busy: u64,
    /// Calls that were not made because the plugin could not be loaded.
    pub not_loaded: u64,
    /// Fuel of all calls.
    pub fuel: u64,
    /// Highest fuel of one call.
    pub fuel_max: u64,
    /// CPU time of all calls.
    pub microseconds: u64,
    /// Longest CPU time of one call.
    pub microseconds_max: u64,
    /// Highest memory of one call.
    pub memory_bytes_max: u64,
    /// The time and text of the last failure.
    pub last_failure: Option<(Timestamp, String)>,
    /// Exports in quarantine, as this process last read them, and when each is tried again, UTC.
    pub quarantined: Vec<(PluginExport, Timestamp)>,
}

impl PluginCounters {
    /// The number of calls.
    pub fn made(&self) -> u64 {
        self.answered + self.failed
    }

    /// Mean CPU time of a call; `None` without calls.
    pub fn microseconds_mean(&self) -> Option<u64> {
        self.microseconds.checked_div(self.made())
    }
}

/// The health of an active plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginMetrics {
    /// The active plugin: for all events, and for single ones.
    pub uses: Vec<ActivePlugin>,
    /// The counters of the process that was asked. Other processes have their own.
    pub here: PluginCounters,
}

/// Uploads a version of a plugin.
#[derive(Debug, Clone)]
pub struct UploadPlugin {
    /// The plugin's name.
    pub name: PluginName,
    /// The component.
    pub bytes: std::sync::Arc<[u8]>,
}

/// An active plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivePlugin {
    /// The plugin's name.
    pub name: PluginName,
    /// The event; `None` for all events of the tenant.
    pub event: Option<EventId>,
    /// The active version.
    pub version: PluginHash,
    /// The version of a built-in policy's rules; `None` for an uploaded plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<u32>,
    /// Earlier active versions, newest first, for roll-back.
    pub previous: Vec<PluginHash>,
    /// The tenant's configuration: the text of a JSON object.
    pub config: String,
    /// The effect on requests while it cannot be loaded.
    pub when_not_loaded: WhenNotLoaded,
    /// Whether it gets e-mail address and name of customers.
    pub sees_identity: bool,
    /// Whether it is called.
    pub enabled: bool,
    /// Limits of its calls below the server's.
    #[serde(default)]
    pub limits: PluginLimits,
    /// Copied from the version: whether it decides about bookings.
    pub decides: bool,
    /// Copied from the version: whether it writes mails.
    pub words: bool,
    /// Its exports in quarantine, and those that recently were. Activating a version clears
    /// the list.
    #[serde(default)]
    pub quarantines: Vec<ExportQuarantine>,
}

impl ActivePlugin {
    /// The quarantine of an export, if it is in one.
    pub fn quarantine(&self, export: PluginExport) -> Option<&ExportQuarantine> {
        self.open_quarantines().find(|own| own.export == export)
    }

    /// All quarantines that have not ended.
    pub fn open_quarantines(&self) -> impl Iterator<Item = &ExportQuarantine> {
        self.quarantines.iter().filter(|own| own.ended_at.is_none())
    }
}

/// A failed call of an export, with its customer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NotedFailure {
    pub(crate) version: PluginHash,
    pub(crate) export: PluginExport,
    pub(crate) customer: UserId,
    /// Whether it counts towards quarantine: the customer's account is not one that anybody could have made for it.
    pub(crate) is_witness: bool,
    pub(crate) at: Timestamp,
}

/// What a tenant's owners are told about a quarantined plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PluginQuarantine {
    pub(crate) plugin: PluginName,
    pub(crate) version: PluginHash,
    pub(crate) export: PluginExport,
    /// The failure of its last call.
    pub(crate) reason: String,
    pub(crate) at: Timestamp,
    pub(crate) next_try_at: Timestamp,
}

/// A tenant's active plugins, in the order in which policies are called.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PluginSet {
    /// The version of the set, raised by every change. A booking is decided and written under one version.
    pub version: u64,
    /// At most [`PluginSet::PLUGINS_MAX`].
    pub plugins: Vec<ActivePlugin>,
}

impl PluginSet {
    /// Most active plugins of a tenant. With configurations of 16 KiB the row stays below 1 MiB.
    pub const PLUGINS_MAX: usize = 64;
    /// Most versions that are kept for roll-back.
    pub const PREVIOUS_MAX: usize = 10;
    /// Largest configuration in bytes.
    pub const CONFIG_BYTES_MAX: usize = 16 * 1024;

    /// The policies for an event, in order.
    pub fn policies_of(&self, event: EventId) -> impl Iterator<Item = &ActivePlugin> {
        self.plugins.iter().filter(move |plugin| {
            plugin.enabled && plugin.decides && plugin.event.is_none_or(|own| own == event)
        })
    }
}

/// Activates a version, or changes how it is used. `None` changes nothing.
#[derive(Debug, Clone)]
pub struct ActivatePlugin {
    /// The plugin's name.
    pub name: PluginName,
    /// The event; `None` for all events of the tenant.
    pub event: Option<EventId>,
    /// The version; `None` keeps the active one. A built-in policy that is not active yet gets the rules of the newest version.
    pub version: Option<PluginHash>,
    /// The text of a JSON object.
    pub config: Option<String>,
    /// The effect on requests while it cannot be loaded.
    pub when_not_loaded: Option<WhenNotLoaded>,
    /// Whether it gets e-mail address and name of customers.
    pub sees_identity: Option<bool>,
    /// Limits of its calls below the server's. They replace all earlier ones.
    pub limits: Option<PluginLimits>,
    /// Whether it is called.
    pub enabled: Option<bool>,
    /// Its place among the active plugins, from 0.
    pub position: Option<usize>,
    /// Fixtures to run before the activation; at most [`ActivatePlugin::FIXTURES_MAX`].
    pub fixtures: Vec<serde_json::Value>,
    /// Activates it even if the trial of its exports fails.
    pub skip_trial: bool,
}

impl ActivatePlugin {
    /// Most fixtures of one activation: the response waits for each call.
    pub const FIXTURES_MAX: usize = 20;
}

/// The result of an activation.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginActivation {
    /// The active plugin.
    pub set: PluginSet,
    /// Mails that its trial failed to write, each with the reason. They get the built-in text.
    pub warnings: Vec<String>,
}

/// A recorded decision of policies, or a sampled refusal, with the policies' input.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// The version of the plugin set.
    pub policy_version: u64,
    /// Input and answer of each plugin, in order.
    pub steps: Vec<DecisionStep>,
    /// Whether the customer's account was erased, and input and answers with it.
    #[serde(default)]
    pub is_erased: bool,
}

/// One plugin's part in a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionStep {
    /// The plugin's name.
    pub plugin: String,
    /// The version's id.
    pub version: PluginHash,
    /// The version of a built-in policy's rules; `None` for an uploaded plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<u32>,
    /// The configuration at that time.
    pub config: String,
    /// Its input, in the shape of a fixture; `None` if it was too large to keep.
    pub request: Option<serde_json::Value>,
    /// Its answer, or its failure.
    pub answer: serde_json::Value,
}
