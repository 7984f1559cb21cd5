//! Requests about plugins, as JSON.
//!
//! Called by the plugins controller.

use boxoffice_engine::{ActivatePlugin, Error, EventId, PluginLimits, PluginName, WhenNotLoaded};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::routes::choices;

/// Activates a version, or changes how it is used. Fields that are left out stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ActivatePluginRequest {
    /// The version, from the response to the upload.
    pub(super) version: Option<String>,
    /// The only event for which it is called.
    pub(super) event_id: Option<String>,
    /// Its configuration: an object of at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    pub(super) config: Option<Map<String, Value>>,
    /// The effect on bookings while it cannot be loaded: `refuse`, or `skip` to continue without it.
    #[schema(value_type = Option<choices::WhenNotLoaded>)]
    pub(super) when_not_loaded: Option<String>,
    /// Whether it gets e-mail address and name of customers.
    pub(super) sees_identity: Option<bool>,
    /// Limits of its calls below the server's. They replace all earlier ones; fields that are left out mean the server's.
    pub(super) limits: Option<PluginLimitsBody>,
    /// Whether it is called.
    pub(super) enabled: Option<bool>,
    /// Its place in the order, from 0.
    pub(super) position: Option<u32>,
    /// Fixtures that must pass first: up to 20, in the form for `boxoffice plugin run`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub(super) fixtures: Vec<Value>,
    /// Activates it without a trial of its exports.
    #[serde(default)]
    pub(super) skip_trial: bool,
}

impl ActivatePluginRequest {
    /// The command for the plugin with this name.
    pub(super) fn command(self, name: PluginName) -> Result<ActivatePlugin, Error> {
        let unknown = |_| Error::field("version", "A version is 64 hexadecimal digits.");
        let version = self.version.as_deref().map(str::parse);
        let when_not_loaded = match self.when_not_loaded.as_deref() {
            None => None,
            Some("refuse") => Some(WhenNotLoaded::Refuse),
            Some("skip") => Some(WhenNotLoaded::Skip),
            Some(_) => {
                let rule = "Use `refuse` or `skip`.";
                return Err(Error::field("whenNotLoaded", rule));
            }
        };
        Ok(ActivatePlugin {
            name,
            event: event_of(self.event_id.as_deref())?,
            version: version.transpose().map_err(unknown)?,
            config: config_text(self.config),
            when_not_loaded,
            sees_identity: self.sees_identity,
            limits: self.limits.map(Into::into),
            enabled: self.enabled,
            position: self
                .position
                .map(|position| usize::try_from(position).unwrap_or(usize::MAX)),
            fixtures: self.fixtures,
            skip_trial: self.skip_trial,
        })
    }
}

/// Limits of a plugin's calls.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct PluginLimitsBody {
    /// CPU time in milliseconds.
    time_ms: Option<u64>,
    /// Fuel, roughly instructions.
    fuel: Option<u64>,
    /// Memory.
    memory_bytes: Option<u64>,
    /// Bytes of the input.
    input_bytes: Option<u64>,
    /// Bytes of the output.
    output_bytes: Option<u64>,
    /// Bytes of the log that are kept.
    log_bytes: Option<u64>,
}

impl From<PluginLimitsBody> for PluginLimits {
    fn from(body: PluginLimitsBody) -> Self {
        Self {
            time_ms: body.time_ms,
            fuel: body.fuel,
            memory_bytes: body.memory_bytes,
            input_bytes: body.input_bytes,
            output_bytes: body.output_bytes,
            log_bytes: body.log_bytes,
        }
    }
}

impl From<PluginLimits> for PluginLimitsBody {
    fn from(limits: PluginLimits) -> Self {
        Self {
            time_ms: limits.time_ms,
            fuel: limits.fuel,
            memory_bytes: limits.memory_bytes,
            input_bytes: limits.input_bytes,
            output_bytes: limits.output_bytes,
            log_bytes: limits.log_bytes,
        }
    }
}

/// Identifies one use of a plugin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct PluginUseRequest {
    /// The only event for which it is called. Without it: the use for all events.
    pub(super) event_id: Option<String>,
}

/// A request for a trial.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct DryRunRequest {
    /// `{"export": …, "request": …}`, as in a fixture; `plugins/README.md` describes it. What a booking carries (`details`, with
    /// codes, metadata, answers and attendees), `channel`, `seller` and metadata may be left out.
    #[schema(value_type = Object)]
    pub(super) question: Map<String, Value>,
    /// The configuration of the trial.
    #[schema(value_type = Option<Object>)]
    pub(super) config: Option<Map<String, Value>>,
}

/// What to replay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ReplayRequest {
    /// The number of the latest bookings, 1 to 200; as many of the sampled refusals are added.
    #[schema(example = 100)]
    pub(super) last: u32,
    /// A configuration to use instead of the recorded one.
    #[schema(value_type = Option<Object>)]
    pub(super) config: Option<Map<String, Value>>,
}

/// A configuration as text, for the engine.
pub(super) fn config_text(config: Option<Map<String, Value>>) -> Option<String> {
    config.map(|config| Value::Object(config).to_string())
}

/// The event that a request names, if it names one.
pub(super) fn event_of(id: Option<&str>) -> Result<Option<EventId>, Error> {
    id.map(str::parse)
        .transpose()
        .map_err(|_| Error::field("eventId", "Use the event's id."))
}
