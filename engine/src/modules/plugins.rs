//! The rules of plugins: immutable versions, what is in use, what is kept of decisions and logs. Bytes are opaque here.
//!
//! Called by app_modules. Calls the plugins repository.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::Rng as _;
use serde::{Deserialize, Serialize};

use super::{
    Surroundings,
    repositories::{CONFLICTS_MAX, PluginsRepository, pause_after_conflict},
};
use crate::{
    Error, ErrorCode, Result,
    ports::PluginLogLine,
    types::{
        ActivatePlugin, ActivePlugin, BookingId, DecisionRecord, EventId, Page, PageRequest,
        PluginHash, PluginName, PluginSet, PluginState, PluginVersion, TenantId, UserId,
    },
};

/// Slots that sampled refusals of a tenant rotate through.
const REFUSALS_MAX: u32 = 200;
/// Slots that what a plugin logged rotates through, one for each call that said something.
const LOGS_MAX: u32 = 200;
/// Notes of a tenant that are written per second at most: they must not slow what they tell of.
const NOTES_PER_SECOND_MAX: u32 = 10;
/// Different customers whose calls must fail before a plugin is set aside: one alone can't close a sale.
const FAILED_CUSTOMERS_MAX: usize = 5;
/// How long a failed call counts.
const FAILURES_COUNT_FOR: Duration = Duration::from_secs(600);

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

pub(crate) struct PluginsModule {
    repository: Arc<PluginsRepository>,
    surroundings: Surroundings,
    /// What this process saw last of each tenant's set. Only a hint: every booking checks its version when it is written.
    sets: Mutex<HashMap<TenantId, Arc<PluginSet>>>,
    notes: Mutex<HashMap<TenantId, (Instant, u32)>>,
    failures: Mutex<HashMap<(TenantId, PluginHash), Failures>>,
}

/// Who a plugin failed for lately.
struct Failures {
    since: Instant,
    customers: HashSet<UserId>,
}

impl PluginsModule {
    pub(super) fn new(repository: PluginsRepository, surroundings: Surroundings) -> Self {
        Self {
            repository: Arc::new(repository),
            surroundings,
            sets: Mutex::default(),
            notes: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Writes a new version as `compiling`, its bytes first. Answers the one that is there if these bytes were uploaded
    /// before.
    ///
    /// # Errors
    /// `plugin-taken` if they were uploaded under another name.
    pub(crate) async fn insert(
        &self,
        tenant: &TenantId,
        version: PluginVersion,
        bytes: &[u8],
    ) -> Result<PluginVersion> {
        if let Some(known) = self.known(tenant, &version).await? {
            return Ok(known);
        }
        self.repository
            .write_bytes(tenant, version.hash, bytes)
            .await?;
        if self.repository.insert(tenant, &version).await? {
            return Ok(version);
        }
        let known = self.known(tenant, &version).await?;
        known.ok_or_else(|| Error::internal("a plugin version came and went"))
    }

    async fn known(
        &self,
        tenant: &TenantId,
        version: &PluginVersion,
    ) -> Result<Option<PluginVersion>> {
        match self.repository.find(tenant, version.hash).await? {
            Some(known) if known.name != version.name => Err(Error::new(
                ErrorCode::PluginTaken,
                format!("This very component was uploaded as `{}`.", known.name),
            )),
            known => Ok(known),
        }
    }

    pub(crate) async fn find(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
    ) -> Result<Option<PluginVersion>> {
        self.repository.find(tenant, hash).await
    }

    pub(crate) async fn bytes(
        &self,
        tenant: &TenantId,
        version: &PluginVersion,
    ) -> Result<Vec<u8>> {
        self.repository
            .read_bytes(tenant, version.hash, version.size_bytes)
            .await
    }

    /// Says how far a version has come.
    pub(crate) async fn settle(
        &self,
        tenant: &TenantId,
        version: PluginVersion,
        state: PluginState,
    ) -> Result<()> {
        self.repository
            .update(tenant, &PluginVersion { state, ..version })
            .await
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

    /// What is in use, as this process saw it last; read if it never did.
    pub(crate) async fn set(&self, tenant: &TenantId) -> Result<Arc<PluginSet>> {
        let known = locked(&self.sets).get(tenant).cloned();
        match known {
            Some(set) => Ok(set),
            None => self.fresh_set(tenant).await,
        }
    }

    /// What is in use now.
    pub(crate) async fn fresh_set(&self, tenant: &TenantId) -> Result<Arc<PluginSet>> {
        let set = Arc::new(self.repository.set(tenant).await?);
        // One entry for each tenant that books here; its set is kept in memory anyway while it is asked.
        locked(&self.sets).insert(tenant.clone(), set.clone());
        Ok(set)
    }

    /// Puts a version into use or changes how it is used.
    pub(crate) async fn activate(
        &self,
        tenant: &TenantId,
        command: &ActivatePlugin,
        version: Option<&PluginVersion>,
    ) -> Result<Arc<PluginSet>> {
        self.change(tenant, |plugins| activated(plugins, command, version))
            .await
    }

    /// Goes back to the version before.
    pub(crate) async fn roll_back(
        &self,
        tenant: &TenantId,
        name: &PluginName,
        event: Option<EventId>,
    ) -> Result<Arc<PluginSet>> {
        self.change(tenant, |plugins| {
            let plugin = find_mut(plugins, name, event)?;
            if plugin.previous.is_empty() {
                return Err(Error::new(
                    ErrorCode::PluginNotReady,
                    "There is no version before this one to go back to.",
                ));
            }
            plugin.version = plugin.previous.remove(0);
            plugin.quarantined = None;
            Ok(())
        })
        .await
    }

    /// Takes a plugin out of use.
    pub(crate) async fn remove(
        &self,
        tenant: &TenantId,
        name: &PluginName,
        event: Option<EventId>,
    ) -> Result<Arc<PluginSet>> {
        self.change(tenant, |plugins| {
            find_mut(plugins, name, event)?;
            plugins.retain(|plugin| plugin.name != *name || plugin.event != event);
            Ok(())
        })
        .await
    }

    /// Notes that a plugin failed for a customer. Once it failed for five, it is set aside: not asked any more, and what it
    /// would decide about is refused. Answers whether that happened now.
    pub(crate) async fn note_failure(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        customer: UserId,
        reason: &str,
    ) -> Result<bool> {
        let key = (tenant.clone(), plugin.version);
        let is_enough = {
            let mut failures = locked(&self.failures);
            failures.retain(|_, failures| failures.since.elapsed() < FAILURES_COUNT_FOR);
            let failures = failures.entry(key.clone()).or_insert_with(|| Failures {
                since: Instant::now(),
                customers: HashSet::new(),
            });
            failures.customers.insert(customer);
            failures.customers.len() >= FAILED_CUSTOMERS_MAX
        };
        if !is_enough {
            return Ok(false);
        }
        let at = self.surroundings.now();
        let version = plugin.version;
        self.change(tenant, |plugins| {
            for plugin in plugins.iter_mut().filter(|own| own.version == version) {
                plugin.quarantined.get_or_insert((at, reason.to_owned()));
            }
            Ok(())
        })
        .await?;
        locked(&self.failures).remove(&key);
        Ok(true)
    }

    async fn change(
        &self,
        tenant: &TenantId,
        change: impl Fn(&mut Vec<ActivePlugin>) -> Result<()>,
    ) -> Result<Arc<PluginSet>> {
        for attempt in 0..CONFLICTS_MAX {
            let seen = self.repository.set(tenant).await?;
            let mut plugins = seen.plugins.clone();
            change(&mut plugins)?;
            if plugins.len() > PluginSet::PLUGINS_MAX {
                return Err(Error::field(
                    "name",
                    format!("At most {} plugins are in use.", PluginSet::PLUGINS_MAX),
                ));
            }
            if plugins == seen.plugins {
                return Ok(Arc::new(seen));
            }
            let set = PluginSet {
                version: seen.version + 1,
                plugins,
            };
            if self
                .repository
                .replace_set(tenant, seen.version, &set)
                .await?
            {
                let set = Arc::new(set);
                locked(&self.sets).insert(tenant.clone(), set.clone());
                return Ok(set);
            }
            pause_after_conflict(attempt).await;
        }
        Err(Error::new(
            ErrorCode::ConflictTryAgain,
            "Others change the plugins in use at the same time; send the request again.",
        )
        .retry_after(Duration::from_secs(1)))
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

    /// The latest decisions and the refusals that were kept.
    pub(crate) async fn recorded(
        &self,
        tenant: &TenantId,
        limit: u32,
    ) -> Result<(Vec<DecisionRecord>, Vec<DecisionRecord>)> {
        let decisions = self.repository.latest_decisions(tenant, limit).await?;
        let refusals = self.repository.refusals(tenant, limit).await?;
        Ok((decisions, refusals))
    }

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
        let (since, count) = notes.entry(tenant.clone()).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= Duration::from_secs(1) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= NOTES_PER_SECOND_MAX
    }
}

fn activated(
    plugins: &mut Vec<ActivePlugin>,
    command: &ActivatePlugin,
    version: Option<&PluginVersion>,
) -> Result<()> {
    if find_mut(plugins, &command.name, command.event).is_err() {
        let version = version.ok_or_else(|| {
            Error::field("version", "Name the version to put into use: its SHA-256.")
        })?;
        plugins.push(ActivePlugin {
            name: command.name.clone(),
            event: command.event,
            version: version.hash,
            previous: Vec::new(),
            config: "{}".to_owned(),
            when_not_loaded: Default::default(),
            sees_identity: false,
            enabled: true,
            decides: version.facts.decides,
            words: version.facts.words,
            quarantined: None,
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
        plugin.quarantined = None;
    }
    if let Some(config) = &command.config {
        plugin.config.clone_from(config);
    }
    plugin.when_not_loaded = command.when_not_loaded.unwrap_or(plugin.when_not_loaded);
    plugin.sees_identity = command.sees_identity.unwrap_or(plugin.sees_identity);
    plugin.enabled = command.enabled.unwrap_or(plugin.enabled);
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while holding one of these in a way that leaves it half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
