//! The rules of plugins: immutable versions, the active set, and records of decisions and logs. Bytes are opaque here.
//! (Versions are in `versions`, quarantine is in `quarantine`.)
//!
//! Called by app_modules. Calls the plugins repository.

mod notes;
mod quarantine;
mod readiness;
mod versions;

use std::{
    sync::{Arc, Mutex, atomic::AtomicU32},
    time::{Duration, Instant},
};

use notes::Paces;

use super::{
    ModuleContext, catalogue,
    repositories::{
        CONFLICTS_MAX, PluginsRepository, QuarantineNotice, RecordedChange, VERSION_GONE,
    },
};
use crate::modules::support::lru_cache::LruCache;
use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    modules::support::Attempts,
    types::{
        ActivatePlugin, ActivePlugin, BookingId, DecisionRecord, EventId, KeyedRequest, Page,
        PageRequest, PluginActivation, PluginCounters, PluginExport, PluginHash, PluginLimits,
        PluginName, PluginSet, PluginVersion, RecordedAnswer, TenantId, UserId,
    },
};

/// Failures that this process has recorded lately.
const FAILURES_KEPT_MAX: usize = 4_096;
/// Tenants whose plugin set this process caches. A set has some KB, most
/// tenants have few bookings, and an evicted set costs one read.
const TENANTS_KEPT_MAX: usize = 4_096;
/// Plugins with counters in this process: about 400 bytes each. Beyond it the least recently called
/// are evicted.
const COUNTERS_KEPT_MAX: usize = 8_192;

pub(crate) use notes::NotedCall;
pub use notes::{FailedCall, PluginLogEntry};
pub(crate) use quarantine::{is_known_account, quarantined};
pub(crate) use readiness::PluginReadiness;
pub(crate) use versions::PluginBytes;
pub(in crate::modules) use versions::uploads_overdue;

/// The request of a change, and the part of its answer that is not the set.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SetRequest<'a> {
    pub(crate) request: Option<&'a KeyedRequest>,
    pub(crate) warnings: &'a [String],
}

impl<'a> SetRequest<'a> {
    fn of(request: Option<&'a KeyedRequest>) -> Self {
        Self {
            request,
            warnings: &[],
        }
    }
}

pub(crate) struct PluginsModule {
    repository: Arc<PluginsRepository>,
    context: ModuleContext,
    /// The cached set of each tenant. Only a hint: every booking checks the version when it is written.
    sets: Mutex<LruCache<TenantId, Arc<PluginSet>>>,
    notes: Paces,
    failed_notes: Paces,
    /// The slot of the next failed call. It begins at a random slot, so that processes do not all write the same ones.
    failed_slot: AtomicU32,
    /// The slot of the next log, likewise.
    log_slot: AtomicU32,
    counters: Mutex<LruCache<(TenantId, PluginName), PluginCounters>>,
    /// Recently recorded failures.
    failures: Mutex<LruCache<(TenantId, PluginHash, PluginExport, UserId), Instant>>,
    /// Exports that failed lately for accounts that do not count in full, as far as this process recorded it.
    strangers: Mutex<LruCache<(TenantId, PluginHash, PluginExport), Instant>>,
}

impl PluginsModule {
    pub(super) fn new(repository: PluginsRepository, context: ModuleContext) -> Self {
        Self {
            repository: Arc::new(repository),
            context,
            sets: Mutex::new(LruCache::new(TENANTS_KEPT_MAX)),
            notes: Mutex::new(LruCache::new(TENANTS_KEPT_MAX)),
            failed_notes: Mutex::new(LruCache::new(TENANTS_KEPT_MAX)),
            failed_slot: AtomicU32::new(rand::random()),
            log_slot: AtomicU32::new(rand::random()),
            counters: Mutex::new(LruCache::new(COUNTERS_KEPT_MAX)),
            failures: Mutex::new(LruCache::new(FAILURES_KEPT_MAX)),
            strangers: Mutex::new(LruCache::new(FAILURES_KEPT_MAX)),
        }
    }

    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        page: &PageRequest,
    ) -> Result<Page<PluginVersion>> {
        let after = page.position::<PluginHash>()?;
        let rows = self.repository.list(tenant, after, page).await?;
        Ok(page.cut(rows, |version| version.hash.to_string()))
    }

    /// Deletes a plugin's log if no version has its name any more, so there are at most as many logs as versions.
    pub(crate) async fn forget_name(&self, tenant: &TenantId, name: &PluginName) -> Result<()> {
        self.repository.forget_name(tenant, name).await
    }

    /// Refuses a name that no version has.
    pub(crate) async fn require_name(&self, tenant: &TenantId, name: &PluginName) -> Result<()> {
        match self.repository.has_name(tenant, name).await? {
            true => Ok(()),
            false => Err(Error::not_found("plugin", name)),
        }
    }

    /// The active set as this process last read it; reads it if it is not cached.
    pub(crate) async fn set(&self, tenant: &TenantId) -> Result<Arc<PluginSet>> {
        let known = self.sets.locked().get(tenant).map(|set| set.clone());
        match known {
            Some(set) => Ok(set),
            None => self.fresh_set(tenant).await,
        }
    }

    /// The active plugin.
    pub(crate) async fn fresh_set(&self, tenant: &TenantId) -> Result<Arc<PluginSet>> {
        let set = Arc::new(self.repository.set(tenant).await?);
        self.sets.locked().insert(tenant.clone(), set.clone());
        Ok(set)
    }

    /// Activates a version, or changes how it is used.
    pub(crate) async fn activate(
        &self,
        tenant: &TenantId,
        command: &ActivatePlugin,
        version: Option<&PluginVersion>,
        asked: SetRequest<'_>,
    ) -> Result<Arc<PluginSet>> {
        self.change(tenant, asked, |plugins| {
            activated(plugins, command, version)
        })
        .await
    }

    /// Activates the version before.
    pub(crate) async fn roll_back(
        &self,
        tenant: &TenantId,
        name: &PluginName,
        event: Option<EventId>,
        request: Option<&KeyedRequest>,
    ) -> Result<Arc<PluginSet>> {
        self.change(tenant, SetRequest::of(request), |plugins| {
            let plugin = find_mut(plugins, name, event)?;
            if plugin.previous.is_empty() {
                return Err(Error::new(
                    ErrorCode::PluginNotReady,
                    "There is no version before this one to go back to.",
                ));
            }
            plugin.version = plugin.previous.remove(0);
            plugin.quarantines.clear();
            catalogue::settle(plugin)
        })
        .await
    }

    /// Deactivates a plugin.
    pub(crate) async fn remove(
        &self,
        tenant: &TenantId,
        name: &PluginName,
        event: Option<EventId>,
        request: Option<&KeyedRequest>,
    ) -> Result<Arc<PluginSet>> {
        self.change(tenant, SetRequest::of(request), |plugins| {
            find_mut(plugins, name, event)?;
            plugins.retain(|plugin| plugin.name != *name || plugin.event != event);
            Ok(())
        })
        .await
    }

    async fn change(
        &self,
        tenant: &TenantId,
        asked: SetRequest<'_>,
        change: impl Fn(&mut Vec<ActivePlugin>) -> Result<()>,
    ) -> Result<Arc<PluginSet>> {
        self.change_telling(tenant, asked, None, change).await
    }

    /// Changes the active set.
    async fn change_telling(
        &self,
        tenant: &TenantId,
        asked: SetRequest<'_>,
        notice: Option<&QuarantineNotice>,
        change: impl Fn(&mut Vec<ActivePlugin>) -> Result<()>,
    ) -> Result<Arc<PluginSet>> {
        let mut attempts = Attempts::new("change_plugin_set", CONFLICTS_MAX);
        while attempts.next().await.is_some() {
            let seen = self.repository.set(tenant).await?;
            let mut plugins = seen.plugins.clone();
            change(&mut plugins)?;
            if plugins.len() > PluginSet::PLUGINS_MAX {
                return Err(Error::field(
                    "name",
                    format!("At most {} plugins can be active.", PluginSet::PLUGINS_MAX),
                ));
            }
            if plugins == seen.plugins {
                // A request that changes nothing is recorded, too.
                let Some(recorded) = self.record_of(asked, &seen) else {
                    return Ok(Arc::new(seen));
                };
                let step = self
                    .repository
                    .record_unchanged(tenant, seen.version, recorded);
                if step.await? {
                    return Ok(Arc::new(seen));
                }
                continue;
            }
            let set = PluginSet {
                version: seen.version + 1,
                plugins,
            };
            let new = new_versions(&seen, &set);
            let recorded = self.record_of(asked, &set);
            let written = self
                .repository
                .replace_set(tenant, seen.version, &set, &new, notice, recorded)
                .await;
            match written {
                Ok(true) => {
                    let set = Arc::new(set);
                    self.sets.locked().insert(tenant.clone(), set.clone());
                    return Ok(set);
                }
                Ok(false) => {}
                Err(error) if error.is_guard(VERSION_GONE) => {
                    let gone = new.first().map(ToString::to_string);
                    return Err(Error::not_found("plugin version", gone.unwrap_or_default()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(others_change())
    }

    /// The request's record, if it has a key, with the set of its answer.
    fn record_of(&self, asked: SetRequest<'_>, set: &PluginSet) -> Option<RecordedChange> {
        let request = asked.request?;
        let answer = RecordedAnswer::Plugins(Box::new(PluginActivation {
            set: set.clone(),
            warnings: asked.warnings.to_vec(),
        }));
        Some((
            self.context.next_id(),
            self.context.now(),
            request.recorded(answer),
        ))
    }

    pub(crate) async fn decision(
        &self,
        tenant: &TenantId,
        booking: BookingId,
    ) -> Result<Option<DecisionRecord>> {
        self.repository
            .find_decision(tenant, booking.serial())
            .await
    }

    /// The latest decisions and the recorded refusals.
    pub(crate) async fn recorded(
        &self,
        tenant: &TenantId,
        limit: u32,
    ) -> Result<(Vec<DecisionRecord>, Vec<DecisionRecord>)> {
        let decisions = self.repository.latest_decisions(tenant, limit).await?;
        let refusals = self.repository.refusals(tenant, limit).await?;
        Ok((decisions, refusals))
    }
}

/// The uploaded versions in a set that were not in the one before.
fn new_versions(seen: &PluginSet, set: &PluginSet) -> Vec<PluginHash> {
    let uploaded = set
        .plugins
        .iter()
        .filter(|plugin| plugin.name.built_in().is_none());
    let versions = uploaded.map(|plugin| plugin.version);
    let is_new = |hash: &PluginHash| {
        let mut known = seen.plugins.iter();
        !known.any(|plugin| plugin.version == *hash)
    };
    versions.filter(is_new).collect()
}

fn others_change() -> Error {
    Error::new(
        ErrorCode::ConflictTryAgain,
        "Others are changing the active plugins at the same time; send the request again.",
    )
    .retry_after(Duration::from_secs(1))
}

fn activated(
    plugins: &mut Vec<ActivePlugin>,
    command: &ActivatePlugin,
    version: Option<&PluginVersion>,
) -> Result<()> {
    if find_mut(plugins, &command.name, command.event).is_err() {
        let version = version
            .ok_or_else(|| Error::field("version", "Name the version to activate: its SHA-256."))?;
        plugins.push(ActivePlugin {
            name: command.name.clone(),
            event: command.event,
            version: version.hash,
            rules: None,
            previous: Vec::new(),
            config: "{}".to_owned(),
            when_not_loaded: Default::default(),
            sees_identity: false,
            limits: PluginLimits::default(),
            enabled: true,
            decides: version.facts.decides,
            words: version.facts.words,
            quarantines: Vec::new(),
        });
    }
    let plugin = find_mut(plugins, &command.name, command.event)?;
    if let Some(version) = version {
        if version.hash != plugin.version {
            plugin.previous.insert(0, plugin.version);
            plugin.previous.truncate(PluginSet::PREVIOUS_MAX);
            plugin.version = version.hash;
        }
        plugin.decides = version.facts.decides;
        plugin.words = version.facts.words;
        plugin.quarantines.clear();
    }
    if let Some(config) = &command.config {
        plugin.config.clone_from(config);
    }
    plugin.when_not_loaded = command.when_not_loaded.unwrap_or(plugin.when_not_loaded);
    plugin.sees_identity = command.sees_identity.unwrap_or(plugin.sees_identity);
    plugin.limits = command.limits.unwrap_or(plugin.limits);
    plugin.enabled = command.enabled.unwrap_or(plugin.enabled);
    catalogue::settle(plugin)?;
    if let Some(position) = command.position {
        let is_it =
            |plugin: &ActivePlugin| plugin.name == command.name && plugin.event == command.event;
        if let Some(from) = plugins.iter().position(is_it) {
            let plugin = plugins.remove(from);
            plugins.insert(position.min(plugins.len()), plugin);
        }
    }
    Ok(())
}

fn find_mut<'a>(
    plugins: &'a mut [ActivePlugin],
    name: &PluginName,
    event: Option<EventId>,
) -> Result<&'a mut ActivePlugin> {
    plugins
        .iter_mut()
        .find(|plugin| plugin.name == *name && plugin.event == event)
        .ok_or_else(|| Error::not_found("plugin in use", name))
}
