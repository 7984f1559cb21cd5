//! The port that runs tenants' plugins. A plugin host implements it; the engine contains no WebAssembly runtime.
//!
//! Requests and answers have the shapes of `wit/boxoffice.wit`, in camelCase. Recorded decisions can therefore be
//! replayed, and a plugin's fixtures are the same JSON.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{
    Decision, HookFailure, Rendered,
    plugin_requests::{BookingRequest, CancellationRequest, RenderRequest},
};
use crate::types::{PluginExport, PluginFacts, PluginHash, PluginLimits, TenantId};

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

impl From<Result<PluginAnswer, HookFailure>> for PluginOutcome {
    /// The result of what cost nothing and logged nothing.
    fn from(answer: Result<PluginAnswer, HookFailure>) -> Self {
        Self {
            answer,
            usage: PluginUsage::default(),
            logs: Vec::new(),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
            r#"{"decision":"adjust","unitPricesMinor":[1],"messages":[],"claims":[]}"#
        );
        assert_eq!(
            serde_json::from_str::<PluginAnswer>(&text).expect("read back"),
            adjust
        );
    }
}
