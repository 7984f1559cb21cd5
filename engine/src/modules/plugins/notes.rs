//! What is noted of plugins' calls: counters of this process, samples of logs and refusals in the store. None of it decides.
//!
//! Called by the gate and by use cases. Calls the plugins repository.

use std::time::{Duration, Instant};

use rand::Rng as _;
use serde::{Deserialize, Serialize};

use super::{PluginsModule, locked};
use crate::{
    Result,
    ports::{HookFailure, PluginLogLine, PluginOutcome},
    types::{DecisionRecord, PluginCounters, PluginHash, PluginName, TenantId},
};

/// Slots that sampled refusals of a tenant rotate through.
const REFUSALS_MAX: u32 = 200;
/// Slots that what a plugin logged rotates through, one for each call that said something.
const LOGS_MAX: u32 = 200;
/// Notes of a tenant that are written per second at most: they must not slow what they tell of.
const NOTES_PER_SECOND_MAX: u32 = 10;
/// What a call logged, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginLogEntry {
    /// When, UTC.
    pub at: jiff::Timestamp,
    /// By which version.
    pub version: PluginHash,
    /// How the call failed, if it did.
    pub failure: Option<String>,
    /// What it said.
    pub lines: Vec<PluginLogLine>,
}

impl PluginsModule {
    /// Keeps a refusal for replays, if this second has room for it. Nobody waits for it.
    pub(crate) fn sample_refusal(&self, tenant: &TenantId, record: DecisionRecord) {
        if !self.may_note(tenant) {
            return;
        }
        let slot = rand::rng().random_range(0..REFUSALS_MAX);
        let (repository, tenant) = (self.repository.clone(), tenant.clone());
        tokio::spawn(async move {
            if let Err(error) = repository.keep_refusal(&tenant, slot, &record).await {
                tracing::debug!(?error, "a refusal was not kept");
            }
        });
    }

    /// Keeps what a call logged, if this second has room for it. Nobody waits for it.
    pub(crate) fn note_log(&self, tenant: &TenantId, plugin: &PluginName, entry: &PluginLogEntry) {
        if !self.may_note(tenant) {
            return;
        }
        let Ok(body) = serde_json::to_string(entry) else {
            return;
        };
        let slot = rand::rng().random_range(0..LOGS_MAX);
        let (repository, tenant, plugin) =
            (self.repository.clone(), tenant.clone(), plugin.clone());
        tokio::spawn(async move {
            if let Err(error) = repository.keep_log(&tenant, &plugin, slot, body).await {
                tracing::debug!(?error, "a plugin's log was not kept");
            }
        });
    }

    /// Counts a call.
    pub(crate) fn count(&self, tenant: &TenantId, plugin: &PluginName, outcome: &PluginOutcome) {
        let now = self.surroundings.now();
        let mut counters = locked(&self.counters);
        let key = (tenant.clone(), plugin.clone());
        let own = counters.get_or_insert_with(&key, PluginCounters::default);
        own.since.get_or_insert(now);
        let kind = match &outcome.answer {
            Ok(_) => &mut own.answered,
            Err(HookFailure::Failed(_)) => &mut own.failed,
            Err(HookFailure::InputTooLarge(_)) => &mut own.too_large,
            Err(HookFailure::Busy(_)) => &mut own.busy,
            Err(HookFailure::NotLoaded(_)) => &mut own.not_loaded,
        };
        *kind += 1;
        let usage = outcome.usage;
        own.fuel = own.fuel.saturating_add(usage.fuel);
        own.fuel_max = own.fuel_max.max(usage.fuel);
        own.microseconds = own.microseconds.saturating_add(usage.microseconds);
        own.microseconds_max = own.microseconds_max.max(usage.microseconds);
        own.memory_bytes_max = own.memory_bytes_max.max(usage.memory_bytes);
        if let Err(failure) = &outcome.answer {
            own.last_failure = Some((now, failure.to_string()));
        }
    }

    /// What this process counted of a plugin.
    pub(crate) fn counters(&self, tenant: &TenantId, plugin: &PluginName) -> PluginCounters {
        let key = (tenant.clone(), plugin.clone());
        let counted = locked(&self.counters).get(&key).map(|own| own.clone());
        counted.unwrap_or_default()
    }

    /// What this process counted of all plugins.
    pub(crate) fn all_counters(&self) -> Vec<(TenantId, PluginName, PluginCounters)> {
        let counters = locked(&self.counters);
        let counted = counters
            .iter()
            .map(|((tenant, plugin), counted)| (tenant.clone(), plugin.clone(), counted.clone()));
        counted.collect()
    }

    /// What was kept of a plugin's log, newest first.
    pub(crate) async fn logs(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
    ) -> Result<Vec<PluginLogEntry>> {
        let mut entries: Vec<PluginLogEntry> = self.repository.logs(tenant, plugin).await?;
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
        Ok(entries)
    }

    fn may_note(&self, tenant: &TenantId) -> bool {
        let mut notes = locked(&self.notes);
        let now = Instant::now();
        let (since, count) = notes.get_or_insert_with(tenant, || (now, 0));
        if now.saturating_duration_since(*since) >= Duration::from_secs(1) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= NOTES_PER_SECOND_MAX
    }
}
