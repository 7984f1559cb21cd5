//! What owners ask of plugins, as JSON.
//!
//! Called by the plugins controller.

use boxoffice_engine::{ActivatePlugin, Error, EventId, PluginName, WhenNotLoaded};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Puts a version into use, or changes how it is used; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ActivatePluginRequest {
    /// The version, as the upload answered it.
    pub(super) version: Option<String>,
    /// The only event it is asked about.
    pub(super) event_id: Option<String>,
    /// Its configuration: an object of at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    pub(super) config: Option<Map<String, Value>>,
    /// What happens to bookings while it cannot be loaded: `refuse`, or `skip` to go on without it.
    #[schema(example = "refuse")]
    pub(super) when_not_loaded: Option<String>,
    /// Whether it sees e-mail address and name of customers.
    pub(super) sees_identity: Option<bool>,
    /// Whether it is asked.
    pub(super) enabled: Option<bool>,
    /// Its place in the order, from 0.
    pub(super) position: Option<u32>,
}

impl ActivatePluginRequest {
    /// What is asked for, for the plugin of this name.
    pub(super) fn command(self, name: PluginName) -> Result<ActivatePlugin, Error> {
        let unknown = |_| Error::field("version", "A version is named by 64 hexadecimal digits.");
        let version = self.version.as_deref().map(str::parse);
        let when_not_loaded = match self.when_not_loaded.as_deref() {
            None => None,
            Some("refuse") => Some(WhenNotLoaded::Refuse),
            Some("skip") => Some(WhenNotLoaded::Skip),
            Some(_) => {
                let rule = "Say `refuse` or `skip`.";
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
            enabled: self.enabled,
            position: self
                .position
                .map(|position| usize::try_from(position).unwrap_or(usize::MAX)),
        })
    }
}

/// Which use of a plugin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct PluginUseRequest {
    /// The only event it is asked about; without it the use for all events.
    pub(super) event_id: Option<String>,
}

/// A question to try a version on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct DryRunRequest {
    /// `{"export": …, "request": …}`, as in a fixture; `plugins/README.md` describes it.
    #[schema(value_type = Object)]
    pub(super) question: Map<String, Value>,
    /// The configuration to try it with.
    #[schema(value_type = Option<Object>)]
    pub(super) config: Option<Map<String, Value>>,
}

/// What to replay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ReplayRequest {
    /// How many of the latest bookings, 1 to 200; as many of the sampled refusals are added.
    #[schema(example = 100)]
    pub(super) last: u32,
    /// A configuration to replay with, instead of the one in force then.
    #[schema(value_type = Option<Object>)]
    pub(super) config: Option<Map<String, Value>>,
}

/// A configuration as the engine takes it: its text.
pub(super) fn config_text(config: Option<Map<String, Value>>) -> Option<String> {
    config.map(|config| Value::Object(config).to_string())
}

/// The event that a request names, if it names one.
pub(super) fn event_of(id: Option<&str>) -> Result<Option<EventId>, Error> {
    id.map(str::parse)
        .transpose()
        .map_err(|_| Error::field("eventId", "An event is named by its id."))
}
