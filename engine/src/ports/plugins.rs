//! The port that runs tenants' plugins. A plugin host implements it; the engine contains no WebAssembly runtime.
//!
//! Requests and answers have the shapes of `wit/boxoffice.wit`, in camelCase. Recorded decisions can therefore be
//! replayed, and a plugin's fixtures are the same JSON.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    BookingView, CancellationView, CustomerView, Decision, EventView, HookFailure, LineView,
    Rendered,
};
use crate::types::{PluginExport, PluginFacts, PluginHash, PluginLimits, TenantId, known_zone};

/// Runs plugins. Without it an engine has native policies and built-in templates only, and refuses bookings of
/// tenants with active plugins.
#[async_trait]
pub trait PluginRuntime: Send + Sync + 'static {
    /// The largest plugin that is accepted, in bytes.
    fn upload_bytes_max(&self) -> usize;

    /// The limits of a call that decides about a booking, and of one that writes a mail. Tenants can only lower them.
    fn ceilings(&self) -> PluginCeilings;

    /// Checks the size and the first bytes of an upload. This is cheap whatever was uploaded. Everything
    /// else is checked by [`load`](Self::load).
    ///
    /// # Errors
    /// [`PluginRefusal`] says what is wrong and what is expected.
    fn check(&self, bytes: &[u8]) -> Result<(), PluginRefusal>;

    /// Checks, compiles and loads a plugin, in milliseconds to minutes. The bytes are read only when they are
    /// needed and compilation begins. Returns the plugin's interface.
    ///
    /// The work continues if its caller is dropped, and several callers share it.
    ///
    /// # Errors
    /// [`LoadFailure`].
    async fn load(
        &self,
        plugin: &PluginRef,
        source: Arc<dyn PluginSource>,
        purpose: LoadPurpose,
    ) -> Result<PluginFacts, LoadFailure>;

    /// Returns whether a plugin can be called now.
    fn is_loaded(&self, plugin: &PluginRef) -> bool;

    /// Drops everything of a deleted version, in memory and on disk. May write to a disk.
    fn forget(&self, plugin: &PluginRef);

    /// Lists the plugins of which anything is kept, to find those whose version was deleted. May read a folder.
    fn kept(&self) -> Vec<PluginRef>;

    /// Makes one call in a fresh instance.
    async fn call(&self, call: &PluginCall, request: &PluginRequest) -> PluginOutcome;
}

/// The source of a plugin's bytes.
#[async_trait]
pub trait PluginSource: Send + Sync + 'static {
    /// Reads them.
    ///
    /// # Errors
    /// [`LoadFailure::Unavailable`].
    async fn read(&self) -> Result<Arc<[u8]>, LoadFailure>;
}

/// Bytes in memory.
#[async_trait]
impl PluginSource for Arc<[u8]> {
    async fn read(&self) -> Result<Arc<[u8]>, LoadFailure> {
        Ok(self.clone())
    }
}

/// The purpose of loading a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadPurpose {
    /// It was uploaded: it is compiled and checked within the tenant's budget. It stays in memory only if it would have
    /// to be compiled again otherwise.
    Upload,
    /// It is active or on trial: it is compiled before uploads, and stays in memory.
    Use,
}

/// A plugin's version: its tenant, and the hash of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PluginRef {
    /// The plugin's tenant.
    pub tenant: TenantId,
    /// SHA-256 of its bytes.
    pub hash: PluginHash,
}

/// The parameters of a call.
#[derive(Debug, Clone)]
pub struct PluginCall {
    /// The plugin and its version.
    pub plugin: PluginRef,
    /// The tenant's configuration for it: a JSON object.
    pub config: Arc<str>,
    /// Limits below the runtime's own.
    pub limits: PluginLimits,
    /// Which calls go first.
    pub priority: CallPriority,
}

/// Which calls of plugins go first when a host has no room for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallPriority {
    /// Somebody waits for it: a booking, or a mail.
    Request,
    /// Trials and replays, which give way.
    Background,
}

/// The limits of calls, with every value set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginCeilings {
    /// For calls that decide.
    pub policy: PluginLimits,
    /// For calls that write mails.
    pub template: PluginLimits,
}

impl PluginCeilings {
    /// The larger of each pair.
    pub fn largest(&self) -> PluginLimits {
        let (one, other) = (&self.policy, &self.template);
        PluginLimits {
            time_ms: one.time_ms.max(other.time_ms),
            fuel: one.fuel.max(other.fuel),
            memory_bytes: one.memory_bytes.max(other.memory_bytes),
            input_bytes: one.input_bytes.max(other.input_bytes),
            output_bytes: one.output_bytes.max(other.output_bytes),
            log_bytes: one.log_bytes.max(other.log_bytes),
        }
    }
}

/// The reason why an upload is refused: a sentence for the tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PluginRefusal(pub String);

/// The reason why a plugin is not ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadFailure {
    /// It never will be. A sentence for the tenant.
    #[error("{0}")]
    Rejected(String),
    /// It exceeds the limits of this host; other hosts or later limits may allow it. A sentence for the tenant.
    #[error("{0}")]
    OverLimits(String),
    /// It took too long, or the machine was short of memory. A sentence for the tenant.
    #[error("{0}")]
    TimedOut(String),
    /// An internal failure; another try may succeed.
    #[error("{0}")]
    Unavailable(String),
}

/// The result of a call.
#[derive(Debug, Clone)]
pub struct PluginOutcome {
    /// The answer, if there is one.
    pub answer: Result<PluginAnswer, HookFailure>,
    /// Its cost.
    pub usage: PluginUsage,
    /// The plugin's log, cut to the limit.
    pub logs: Vec<PluginLogLine>,
}

/// The cost of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginUsage {
    /// Fuel, roughly instructions; the same for the same call.
    pub fuel: u64,
    /// CPU time.
    pub microseconds: u64,
    /// Highest memory.
    pub memory_bytes: u64,
}

/// A line that a plugin logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginLogLine {
    /// `debug`, `info`, `warn`, `error`, or `stderr`.
    pub level: String,
    /// Its text.
    pub message: String,
}

/// A request to a plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "export", content = "request", rename_all = "kebab-case")]
pub enum PluginRequest {
    /// Decides about a booking.
    ValidateBooking(BookingRequest),
    /// Decides about a cancellation.
    ValidateCancellation(CancellationRequest),
    /// Write the text of a mail.
    Render(RenderRequest),
}

impl PluginRequest {
    /// The export that answers this request.
    pub fn export(&self) -> PluginExport {
        match self {
            Self::ValidateBooking(_) => PluginExport::ValidateBooking,
            Self::ValidateCancellation(_) => PluginExport::ValidateCancellation,
            Self::Render(_) => PluginExport::Render,
        }
    }
}

/// A plugin's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PluginAnswer {
    /// The decision about a booking or a cancellation.
    Decided(Decision),
    /// The text of a mail.
    Rendered {
        /// The text.
        rendered: Rendered,
    },
    /// It writes no such mail; the built-in template is used.
    Declined {
        /// The reason.
        declined: String,
    },
}

/// `booking-request` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BookingRequest {
    /// The event to be booked.
    pub event: RequestEvent,
    /// The tickets to book.
    pub lines: Vec<RequestLine>,
    /// The customer who books.
    pub customer: RequestCustomer,
    /// The moment of the call.
    pub now: RequestMoment,
}

/// `cancellation-request` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancellationRequest {
    /// The booked event.
    pub event: RequestEvent,
    /// The booking's id.
    pub booking: String,
    /// When it was created.
    pub booked_at: String,
    /// The tickets to cancel.
    pub lines: Vec<RequestLine>,
    /// The customer who booked.
    pub customer: RequestCustomer,
    /// The moment of the call.
    pub now: RequestMoment,
}

/// `render-request` of the WIT, its data as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenderRequest {
    /// The notification's kind.
    pub kind: String,
    /// BCP 47 tag of the reader's language.
    pub locale: String,
    /// The mail's data.
    pub data: Value,
}

/// `event` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestEvent {
    /// The event's id.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// Its name.
    pub title: String,
    /// When it begins.
    pub starts_at: String,
    /// When it ends.
    #[serde(default)]
    pub ends_at: Option<String>,
    /// Its zone.
    pub time_zone: String,
    /// Its place.
    #[serde(default)]
    pub location: Option<String>,
    /// Currency of its prices.
    pub currency: String,
    /// Its ticket types.
    pub ticket_types: Vec<RequestTicketType>,
}

/// `ticket-type` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestTicketType {
    /// The ticket type.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its list price.
    pub price_minor: u32,
}

/// `line` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestLine {
    /// The ticket type.
    pub ticket_type: String,
    /// The number of tickets.
    pub quantity: u32,
    /// Price of one.
    pub unit_price_minor: u32,
}

/// `customer` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestCustomer {
    /// The customer's pseudonym, unique within the tenant.
    pub pseudonym: String,
    /// Tickets of this event the customer holds.
    pub tickets_in_event: u32,
    /// Only for plugins that may see personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Only for plugins that may see personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// `moment` of the WIT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestMoment {
    /// In UTC.
    pub utc: String,
    /// In the event's zone.
    pub local: String,
}

impl From<&BookingView> for BookingRequest {
    fn from(view: &BookingView) -> Self {
        Self {
            event: RequestEvent::from(&view.event),
            lines: view.lines.iter().map(RequestLine::from).collect(),
            customer: RequestCustomer::from(&view.customer),
            now: RequestMoment::at(view.now, &view.event.time_zone),
        }
    }
}

impl From<&CancellationView> for CancellationRequest {
    fn from(view: &CancellationView) -> Self {
        Self {
            event: RequestEvent::from(&view.event),
            booking: view.booking.to_string(),
            booked_at: view.booked_at.to_string(),
            lines: view.lines.iter().map(RequestLine::from).collect(),
            customer: RequestCustomer::from(&view.customer),
            now: RequestMoment::at(view.now, &view.event.time_zone),
        }
    }
}

impl From<&CustomerView> for RequestCustomer {
    /// The request without address and name.
    fn from(customer: &CustomerView) -> Self {
        Self {
            pseudonym: customer.pseudonym.clone(),
            tickets_in_event: customer.tickets_in_event,
            email: None,
            name: None,
        }
    }
}

impl From<&EventView> for RequestEvent {
    fn from(event: &EventView) -> Self {
        Self {
            id: event.id.to_string(),
            // No event is changed four billion times.
            version: u32::try_from(event.version).unwrap_or(u32::MAX),
            title: event.title.clone(),
            starts_at: event.starts_at.to_string(),
            ends_at: event.ends_at.map(|moment| moment.to_string()),
            time_zone: event.time_zone.clone(),
            location: event.location.clone(),
            currency: event.currency.clone(),
            ticket_types: event
                .ticket_types
                .iter()
                .map(|kind| RequestTicketType {
                    id: kind.id.clone(),
                    name: kind.name.clone(),
                    price_minor: kind.price_minor,
                })
                .collect(),
        }
    }
}

impl From<&LineView> for RequestLine {
    fn from(line: &LineView) -> Self {
        Self {
            ticket_type: line.ticket_type.clone(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
        }
    }
}

impl RequestMoment {
    /// Formats a time in UTC and in a zone. An unknown zone counts as UTC.
    pub fn at(moment: Timestamp, zone: &str) -> Self {
        let zone = known_zone(zone).unwrap_or(TimeZone::UTC);
        Self {
            utc: moment.to_string(),
            local: moment
                .to_zoned(zone)
                .strftime("%Y-%m-%dT%H:%M:%S%:z")
                .to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_both_zones() {
        let moment = RequestMoment::at(
            "2026-11-22T18:30:00Z".parse().expect("a moment"),
            "Europe/Berlin",
        );
        assert_eq!(moment.utc, "2026-11-22T18:30:00Z");
        assert_eq!(moment.local, "2026-11-22T19:30:00+01:00");
    }

    #[test]
    fn answers_read_as_the_contract_for_fixtures_says() {
        let adjust = PluginAnswer::Decided(Decision::Adjust {
            unit_prices_minor: vec![1],
            messages: Vec::new(),
            claims: Vec::new(),
        });
        let text = serde_json::to_string(&adjust).expect("JSON");
        assert_eq!(
            text,
            r#"{"decision":"adjust","unitPricesMinor":[1],"messages":[]}"#
        );
        assert_eq!(
            serde_json::from_str::<PluginAnswer>(&text).expect("read back"),
            adjust
        );
    }
}
