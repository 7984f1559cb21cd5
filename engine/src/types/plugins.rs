//! Plugins of a tenant: what was uploaded, what is active, and what was decided with it.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EventId, UserId};
use crate::error::{Error, Result};

/// Names a plugin's content: the SHA-256 of its bytes, as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginHash([u8; 32]);

impl PluginHash {
    /// Computes the name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for PluginHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl FromStr for PluginHash {
    type Err = Error;

    /// Reads 64 hexadecimal digits; any other text is `not-found`.
    fn from_str(text: &str) -> Result<Self> {
        let none = || {
            let shown: String = text
                .chars()
                .filter(char::is_ascii_graphic)
                .take(80)
                .collect();
            Error::not_found("plugin version", shown)
        };
        if text.len() != 64 || !text.is_ascii() {
            return Err(none());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| none())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for PluginHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PluginHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The name that no plugin may have: the API lists the versions of all plugins under it.
const RESERVED_NAME: &str = "versions";

/// What a tenant calls a plugin, over all its versions: 1 to 64 of `a-z`, `0-9` and inner `-`, and not `versions`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginName(String);

impl PluginName {
    /// Reads a name.
    ///
    /// # Errors
    /// `field-invalid` for any other text.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        if text == RESERVED_NAME {
            let rule = "The name `versions` is reserved: the API lists the versions of all plugins under it. Choose another name.";
            return Err(Error::field(field, rule));
        }
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=64).contains(&text.len())
            && text.bytes().all(allowed)
            && !text.starts_with('-')
            && !text.ends_with('-')
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::field(
                field,
                "A plugin's name is 1 to 64 lower-case letters, digits and inner hyphens.",
            ))
        }
    }

    /// Takes a name that was checked when it was stored.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PluginName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse("name", text)
    }
}

impl TryFrom<String> for PluginName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse("name", &text)
    }
}

impl From<PluginName> for String {
    fn from(name: PluginName) -> Self {
        name.0
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a plugin can be asked: the functions that it exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginExport {
    /// May this be booked?
    ValidateBooking,
    /// May this be cancelled?
    ValidateCancellation,
    /// How is this mail worded?
    Render,
}

impl PluginExport {
    /// The name as the contract has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ValidateBooking => "validate-booking",
            Self::ValidateCancellation => "validate-cancellation",
            Self::Render => "render",
        }
    }
}

/// An export of a plugin in use that is not asked for a while, because it failed for several customers. What it would
/// decide about is refused meanwhile. When the time is over, one request is let through: if it is answered, the
/// quarantine ends; if not, the next pause is longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportQuarantine {
    /// What is not asked.
    pub export: PluginExport,
    /// Since when, UTC.
    pub since: Timestamp,
    /// How its last call failed.
    pub reason: String,
    /// When it is tried again, UTC: with the first request from then on.
    pub next_try_at: Timestamp,
    /// How many tries failed so far.
    pub failed_tries: u32,
    /// When a try was answered, UTC: it is asked again. Remembered for an hour, so that what fails again soon has no
    /// short pauses.
    pub ended_at: Option<Timestamp>,
    /// When owners were told last, UTC.
    pub told_at: Timestamp,
}

/// How far an upload has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginState {
    /// It is being made ready.
    Compiling,
    /// It can be activated.
    Ready,
    /// It can't.
    Rejected {
        /// Why, for the tenant.
        reason: String,
        /// Whether uploading the same bytes again may end otherwise: it took too long, or is beyond the host's limits.
        may_retry: bool,
    },
}

/// What a plugin is made of, as far as can be seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PluginFacts {
    /// Names of what it exports.
    pub exports: Vec<String>,
    /// Names of what it imports.
    pub imports: Vec<String>,
    /// The version of the contract that it was built for.
    pub wit_version: String,
    /// Whether it decides about bookings.
    pub decides: bool,
    /// Whether it words mails.
    pub words: bool,
}

/// One version of a plugin; never changed once uploaded.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginVersion {
    /// What the tenant calls the plugin.
    pub name: PluginName,
    /// Names this version.
    pub hash: PluginHash,
    /// How far it has come.
    pub state: PluginState,
    /// Its size.
    pub size_bytes: u64,
    /// What it is made of; empty until it was compiled.
    pub facts: PluginFacts,
    /// Who uploaded it, if that was a user.
    pub uploaded_by: Option<UserId>,
    /// When, UTC.
    pub uploaded_at: Timestamp,
}

/// What happens to a request while a policy cannot be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenNotLoaded {
    /// It is refused (`policy-unavailable`).
    #[default]
    Refuse,
    /// It is decided without this policy.
    Skip,
}

/// Bounds of a plugin's calls. At activation: those that its tenant chose below the server's, none being the server's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginLimits {
    /// Time on a thread, in milliseconds; 1 or more.
    pub time_ms: Option<u64>,
    /// Fuel: instructions, roughly; 1 or more.
    pub fuel: Option<u64>,
    /// Memory, tables included; 64 KiB or more.
    pub memory_bytes: Option<u64>,
    /// What it is asked.
    pub input_bytes: Option<u64>,
    /// What it answers.
    pub output_bytes: Option<u64>,
    /// What is kept of its log; the rest is cut.
    pub log_bytes: Option<u64>,
}

impl PluginLimits {
    /// Each limit with its name in requests and the least it can be.
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

    /// Refuses what is no limit or above the server's.
    pub(crate) fn check_below(&self, ceilings: &Self) -> Result<()> {
        for ((name, least, own), (_, _, most)) in self.each().into_iter().zip(ceilings.each()) {
            let most = most.unwrap_or(u64::MAX);
            if own.is_some_and(|own| !(least..=most).contains(&own)) {
                return Err(Error::field(
                    format!("limits.{name}"),
                    format!(
                        "This limit is {least} to {most}: a plugin's limits only go below the server's."
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// What one process counted of a plugin's calls since it began to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginCounters {
    /// Since when, UTC: the first call here, or the first after this process had to forget what it counted.
    pub since: Option<Timestamp>,
    /// Calls that were made and answered.
    pub answered: u64,
    /// Calls that were made and failed: trapped, over a limit, or an answer that cannot be meant.
    pub failed: u64,
    /// Calls that were not made, because the question was over the input limit.
    pub too_large: u64,
    /// Calls that were not made, because the tenant was over its share, or that this host was too busy to make.
    pub busy: u64,
    /// Calls that were not made, because the plugin could not be loaded.
    pub not_loaded: u64,
    /// Fuel of all calls that were made.
    pub fuel: u64,
    /// Most fuel of one call.
    pub fuel_max: u64,
    /// Time on threads of all calls that were made.
    pub microseconds: u64,
    /// Longest time of one call.
    pub microseconds_max: u64,
    /// Largest memory of one call.
    pub memory_bytes_max: u64,
    /// When a call failed last, and how.
    pub last_failure: Option<(Timestamp, String)>,
    /// Exports that are in quarantine as this process saw it last, and when each is tried again, UTC.
    pub quarantined: Vec<(PluginExport, Timestamp)>,
}

impl PluginCounters {
    /// Calls that were made.
    pub fn made(&self) -> u64 {
        self.answered + self.failed
    }

    /// Mean time of a call on its thread; none if none was made.
    pub fn microseconds_mean(&self) -> Option<u64> {
        self.microseconds.checked_div(self.made())
    }
}

/// What is known of how a plugin in use fares.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginMetrics {
    /// The plugin in use: for all events, and for single ones.
    pub uses: Vec<ActivePlugin>,
    /// What the process that was asked counted. Others count their own.
    pub here: PluginCounters,
}

/// Uploads a version of a plugin.
#[derive(Debug, Clone)]
pub struct UploadPlugin {
    /// What the tenant calls the plugin.
    pub name: PluginName,
    /// The component.
    pub bytes: std::sync::Arc<[u8]>,
}

/// A plugin that is in use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivePlugin {
    /// Which plugin.
    pub name: PluginName,
    /// For which event; none for all of the tenant's.
    pub event: Option<EventId>,
    /// Which of its versions.
    pub version: PluginHash,
    /// The versions before, newest first: what rolling back goes to.
    pub previous: Vec<PluginHash>,
    /// The tenant's configuration for it: the text of a JSON object.
    pub config: String,
    /// What happens while it cannot be loaded.
    pub when_not_loaded: WhenNotLoaded,
    /// Whether it sees e-mail address and name of customers.
    pub sees_identity: bool,
    /// Whether it is asked.
    pub enabled: bool,
    /// Limits of its calls below the server's.
    #[serde(default)]
    pub limits: PluginLimits,
    /// Copied from the version: whether it decides about bookings.
    pub decides: bool,
    /// Copied from the version: whether it words mails.
    pub words: bool,
    /// Its exports that are not asked for a while, and those that were not until lately. Putting a version into use ends
    /// them.
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

/// A failed call of an export for a customer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NotedFailure {
    pub(crate) version: PluginHash,
    pub(crate) export: PluginExport,
    pub(crate) customer: UserId,
    /// Whether it counts in full: theirs is no account that anybody makes for the occasion.
    pub(crate) is_witness: bool,
    pub(crate) at: Timestamp,
}

/// What a tenant's owners are told of a plugin that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PluginQuarantine {
    pub(crate) plugin: PluginName,
    pub(crate) version: PluginHash,
    pub(crate) export: PluginExport,
    /// How its last call failed.
    pub(crate) reason: String,
    pub(crate) at: Timestamp,
    pub(crate) next_try_at: Timestamp,
}

/// What is in use at a tenant, in the order in which policies are asked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PluginSet {
    /// Grows with every change. A booking is decided and written under one version.
    pub version: u64,
    /// At most [`PluginSet::PLUGINS_MAX`].
    pub plugins: Vec<ActivePlugin>,
}

impl PluginSet {
    /// Plugins in use at a tenant. With configurations of 16 KiB the row stays below 1 MiB.
    pub const PLUGINS_MAX: usize = 64;
    /// Versions kept for rolling back.
    pub const PREVIOUS_MAX: usize = 10;
    /// Longest configuration.
    pub const CONFIG_BYTES_MAX: usize = 16 * 1024;

    /// The policies to be asked about an event, in order.
    pub fn policies_of(&self, event: EventId) -> impl Iterator<Item = &ActivePlugin> {
        self.plugins.iter().filter(move |plugin| {
            plugin.enabled && plugin.decides && plugin.event.is_none_or(|own| own == event)
        })
    }
}

/// Puts a version into use, or changes how it is used. What is `None` stays as it is.
#[derive(Debug, Clone)]
pub struct ActivatePlugin {
    /// Which plugin.
    pub name: PluginName,
    /// For which event; none for all of the tenant's.
    pub event: Option<EventId>,
    /// Which version; none keeps the one in use.
    pub version: Option<PluginHash>,
    /// The text of a JSON object.
    pub config: Option<String>,
    /// What happens while it cannot be loaded.
    pub when_not_loaded: Option<WhenNotLoaded>,
    /// Whether it sees e-mail address and name of customers.
    pub sees_identity: Option<bool>,
    /// Limits of its calls below the server's; all of them, in place of those it had.
    pub limits: Option<PluginLimits>,
    /// Whether it is asked.
    pub enabled: Option<bool>,
    /// Its place among the plugins in use, from 0.
    pub position: Option<usize>,
    /// Calls to make before it is put into use, as fixture files have them; at most [`ActivatePlugin::FIXTURES_MAX`].
    pub fixtures: Vec<serde_json::Value>,
    /// Puts it into use whatever its exports do when they are tried first.
    pub skip_trial: bool,
}

impl ActivatePlugin {
    /// Fixtures of one activation: each is a call that the answer waits for.
    pub const FIXTURES_MAX: usize = 20;
}

/// What came of putting a plugin into use.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginActivation {
    /// What is in use now.
    pub set: PluginSet,
    /// Mails that it failed to word when it was tried, each with the reason: the built-in words stand in for them.
    pub warnings: Vec<String>,
}

/// A decision that a booking was made on, or a sampled refusal, with all that the policies saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// The set of plugins it was decided under.
    pub policy_version: u64,
    /// What each of them was asked and answered, in order.
    pub steps: Vec<DecisionStep>,
}

/// One plugin's part in a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionStep {
    /// What the tenant calls it.
    pub plugin: String,
    /// Which version.
    pub version: PluginHash,
    /// Its configuration at that time.
    pub config: String,
    /// What it was asked, in the shape of a fixture; none if it was too large to keep.
    pub request: Option<serde_json::Value>,
    /// What it answered, or how it failed.
    pub answer: serde_json::Value,
}
