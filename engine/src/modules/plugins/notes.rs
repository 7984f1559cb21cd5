//! Records of plugins' calls: counters of this process, samples of logs and refusals in the store. No decision depends on them.
//!
//! Called by the policy check and by use cases. Calls the plugins repository.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::PluginsModule;
use crate::{
    error::Result,
    locked::Locked as _,
    modules::support::lru_cache::LruCache,
    ports::{HookFailure, PluginLogLine, PluginOutcome, PluginRequest},
    request::request_id,
    types::{ActivePlugin, PluginCounters, PluginExport, PluginHash, PluginName, TenantId},
};

/// Slots for a tenant's sampled refusals, used in rotation.
const REFUSALS_MAX: u32 = 200;
/// Slots for a plugin's log, used in rotation, one for each call that logged something.
const LOGS_MAX: u32 = 200;
/// Slots for a tenant's failed calls of all plugins, used in rotation: the latest of each process. With their
/// inputs they are 4 MiB at most.
const FAILED_CALLS_MAX: u32 = 64;
/// Largest input that is kept with a failed call: more than what a usual event and booking have.
const FAILED_INPUT_BYTES_MAX: usize = 64 * 1024;
/// Most records of a tenant per second: they must not slow the calls.
const NOTES_PER_SECOND_MAX: u32 = 10;
/// Most failed calls of a tenant per second, separate from the logs.
const FAILED_PER_SECOND_MAX: u32 = 10;

/// Records written in the current second, by tenant.
pub(super) type Paces = Mutex<LruCache<TenantId, (Instant, u32)>>;

/// A call of a plugin, for counters and records.
pub(crate) struct NotedCall<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) plugin: &'a PluginName,
    pub(crate) version: PluginHash,
    pub(crate) config: &'a str,
    pub(crate) question: &'a PluginRequest,
    /// After the check of its answer.
    pub(crate) outcome: &'a PluginOutcome,
}

/// A failed call, with everything that is needed to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedCall {
    /// The time, UTC.
    pub at: jiff::Timestamp,
    /// The plugin.
    pub plugin: PluginName,
    /// The version's id.
    pub version: PluginHash,
    /// The export.
    pub export: PluginExport,
    /// The id of the request that it was made for; `None` for mails.
    pub request_id: Option<String>,
    /// The failure.
    pub failure: String,
    /// The request, in the shape of a fixture; `None` if it was too large to keep.
    pub question: Option<Value>,
    /// The configuration: the text of a JSON object.
    pub config: String,
    /// Its log.
    pub lines: Vec<PluginLogLine>,
}

/// The recorded log of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginLogEntry {
    /// The time, UTC.
    pub at: jiff::Timestamp,
    /// The version.
    pub version: PluginHash,
    /// The export.
    pub export: PluginExport,
    /// The id of the request that it was called for; `None` for mails.
    pub request_id: Option<String>,
    /// The failure, if the call failed.
    pub failure: Option<String>,
    /// The log lines.
    pub lines: Vec<PluginLogLine>,
}

impl PluginsModule {
    /// Records a refusal for replays, the text of a `DecisionRecord`, within the limit per second. Runs in the background.
    pub(crate) fn sample_refusal(
        &self,
        tenant: &TenantId,
        record: impl FnOnce() -> Option<Arc<str>>,
    ) {
        if !may_note(&self.notes, tenant, NOTES_PER_SECOND_MAX) {
            return;
        }
        let slot = rand::rng().random_range(0..REFUSALS_MAX);
        let Some(record) = record() else { return };
        let (repository, tenant) = (self.repository.clone(), tenant.clone());
        tokio::spawn(async move {
            let kept = repository.keep_refusal(&tenant, slot, record.to_string());
            if let Err(error) = kept.await {
                tracing::debug!(?error, "recording a refusal failed");
            }
        });
    }

    /// Counts a call, and records its log. The input of a failed call is recorded, too, before the response is sent, so that
    /// it can be found at once. Beyond the limit per second calls are only counted.
    pub(crate) async fn note(&self, call: NotedCall<'_>) {
        self.count(call.tenant, call.plugin, call.outcome);
        let failure = call.outcome.answer.as_ref().err();
        if failure.is_none() && call.outcome.logs.is_empty() {
            return;
        }
        let has_room = match failure {
            Some(_) => may_note(&self.failed_notes, call.tenant, FAILED_PER_SECOND_MAX),
            None => may_note(&self.notes, call.tenant, NOTES_PER_SECOND_MAX),
        };
        if !has_room {
            return;
        }
        let entry = PluginLogEntry {
            at: self.context.now(),
            version: call.version,
            export: call.question.export(),
            request_id: request_id(),
            failure: failure.map(ToString::to_string),
            lines: call.outcome.logs.clone(),
        };
        let Some(failure) = failure else {
            return self.note_log(call.tenant, call.plugin, &entry);
        };
        let kept = async {
            self.keep_log(call.tenant, call.plugin, &entry).await?;
            match failure {
                HookFailure::Failed(reason) => self.keep_failed(&call, entry, reason).await,
                // Not called: there is nothing to repeat.
                _ => Ok(()),
            }
        };
        if let Err(error) = kept.await {
            tracing::debug!(?error, "recording a plugin's failed call failed");
        }
    }

    async fn keep_failed(
        &self,
        call: &NotedCall<'_>,
        entry: PluginLogEntry,
        reason: &str,
    ) -> Result<()> {
        let question =
            serde_json::to_value(call.question).map_err(crate::error::Error::internal)?;
        let is_small = question.to_string().len() <= FAILED_INPUT_BYTES_MAX;
        let failed = FailedCall {
            at: entry.at,
            plugin: call.plugin.clone(),
            version: entry.version,
            export: entry.export,
            request_id: entry.request_id,
            failure: reason.to_owned(),
            question: is_small.then_some(question),
            config: call.config.to_owned(),
            lines: entry.lines,
        };
        let body = serde_json::to_string(&failed).map_err(crate::error::Error::internal)?;
        // The oldest of this process is overwritten.
        let slot = self.failed_slot.fetch_add(1, Ordering::Relaxed) % FAILED_CALLS_MAX;
        self.repository
            .keep_failed_call(call.tenant, slot, body)
            .await
    }

    /// Recorded failed calls of a tenant's plugin, newest first.
    pub(crate) async fn failed_calls(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
    ) -> Result<Vec<FailedCall>> {
        let mut calls: Vec<FailedCall> = self.repository.failed_calls(tenant).await?;
        calls.retain(|call| call.plugin == *plugin);
        calls.sort_by_key(|call| std::cmp::Reverse(call.at));
        Ok(calls)
    }

    /// A random slot could be that of the newest log. All plugins share the numbers.
    fn next_log_slot(&self) -> u32 {
        self.log_slot.fetch_add(1, Ordering::Relaxed) % LOGS_MAX
    }

    /// Records a call's log. Runs in the background.
    fn note_log(&self, tenant: &TenantId, plugin: &PluginName, entry: &PluginLogEntry) {
        let Ok(body) = serde_json::to_string(entry) else {
            return;
        };
        let slot = self.next_log_slot();
        let (repository, tenant, plugin) =
            (self.repository.clone(), tenant.clone(), plugin.clone());
        tokio::spawn(async move {
            if let Err(error) = repository.keep_log(&tenant, &plugin, slot, body).await {
                tracing::debug!(?error, "recording a plugin's log failed");
            }
        });
    }

    async fn keep_log(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
        entry: &PluginLogEntry,
    ) -> Result<()> {
        let body = serde_json::to_string(entry).map_err(crate::error::Error::internal)?;
        let slot = self.next_log_slot();
        self.repository.keep_log(tenant, plugin, slot, body).await
    }

    /// Counts a call.
    pub(crate) fn count(&self, tenant: &TenantId, plugin: &PluginName, outcome: &PluginOutcome) {
        let now = self.context.now();
        let mut counters = self.counters.locked();
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

    /// This process's counters of a plugin.
    pub(crate) fn counters(&self, tenant: &TenantId, plugin: &PluginName) -> PluginCounters {
        let key = (tenant.clone(), plugin.clone());
        let counted = self.counters.locked().get(&key).map(|own| own.clone());
        let mut counted = counted.unwrap_or_default();
        counted.quarantined = self.quarantined(tenant, plugin);
        counted
    }

    /// This process's counters of all plugins.
    pub(crate) fn all_counters(&self) -> Vec<(TenantId, PluginName, PluginCounters)> {
        let mut all: Vec<(TenantId, PluginName, PluginCounters)> = self
            .counters
            .locked()
            .iter()
            .map(|((tenant, plugin), counted)| (tenant.clone(), plugin.clone(), counted.clone()))
            .collect();
        for (tenant, plugin, counted) in &mut all {
            counted.quarantined = self.quarantined(tenant, plugin);
        }
        all
    }

    /// Exports of a plugin in quarantine, as this process last read them, and when each is tried again.
    fn quarantined(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
    ) -> Vec<(PluginExport, jiff::Timestamp)> {
        let set = self.sets.locked().get(tenant).map(|set| set.clone());
        let mut found: Vec<_> = set
            .iter()
            .flat_map(|set| set.plugins.iter().filter(|own| own.name == *plugin))
            .flat_map(ActivePlugin::open_quarantines)
            .map(|own| (own.export, own.next_try_at))
            .collect();
        found.sort_unstable();
        found.dedup_by_key(|own| own.0);
        found
    }

    /// A plugin's recorded log, newest first.
    pub(crate) async fn logs(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
    ) -> Result<Vec<PluginLogEntry>> {
        let mut entries: Vec<PluginLogEntry> = self.repository.logs(tenant, plugin).await?;
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
        Ok(entries)
    }
}

/// Returns whether the limit per second allows another record of a tenant.
fn may_note(paces: &Paces, tenant: &TenantId, most: u32) -> bool {
    let mut paces = paces.locked();
    let now = Instant::now();
    let (since, count) = paces.get_or_insert_with(tenant, || (now, 0));
    if now.saturating_duration_since(*since) >= Duration::from_secs(1) {
        (*since, *count) = (now, 0);
    }
    *count += 1;
    *count <= most
}
