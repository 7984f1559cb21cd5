//! Use cases of a tenant's plugins: upload, activation, trials, and recorded decisions. For owners.
//!
//! Called by hosts and platforms. Calls the plugins module and the plugin runtime port.

mod activation;
mod built_in;
mod calls;
mod compiling;
mod put_into_use;
mod readiness;
mod trials;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::{FailedCall, PluginLogEntry, keyed, policy_check::unavailable},
    ports::{PluginRef, PluginRuntime},
    types::{
        ActivatePlugin, BookingDecision, BookingId, Caller, EventId, Page, PageRequest,
        PluginActivation, PluginCounters, PluginFacts, PluginHash, PluginMetrics, PluginName,
        PluginSet, PluginState, PluginVersion, RecordedAnswer, RequestRoute, Role, Scope, TenantId,
        UploadPlugin,
    },
};

pub use trials::{ReplayDifference, ReplayReport};

/// Use cases of plugins.
#[derive(Clone)]
pub struct Plugins(pub(crate) Arc<EngineContext>);

impl Plugins {
    /// The largest plugin that this caller may upload, in bytes.
    ///
    /// # Errors
    /// `forbidden`, `plugins-off`.
    pub async fn upload_bytes_max(&self, caller: &Caller) -> Result<usize> {
        let caller = &caller.scoped(Scope::Plugins)?;
        self.owned_tenant(caller).await?;
        Ok(self.runtime()?.upload_bytes_max())
    }

    /// Stores a version of a plugin, and checks and compiles it in the background; its state shows the result. The same
    /// bytes again are the same version. A version that was rejected for a temporary reason is compiled again.
    ///
    /// # Errors
    /// `forbidden`, `plugins-off`, `plugin-rejected` if its first bytes or its size cannot be a plugin's,
    /// `plugin-taken`, `too-many-plugins`, `too-many-requests`, `conflict-try-again`.
    pub async fn upload(&self, caller: &Caller, command: UploadPlugin) -> Result<PluginVersion> {
        let caller = &caller.scoped(Scope::Plugins)?;
        let tenant = self.owned_tenant(caller).await?;
        command.name.require_uploadable()?;
        let runtime = self.runtime()?;
        runtime
            .check(&command.bytes)
            .map_err(|refusal| Error::new(ErrorCode::PluginRejected, refusal.0))?;
        let bytes = command.bytes.clone();
        // About ten milliseconds for each MiB on a slow machine: not on a thread of the async runtime.
        let hash = tokio::task::spawn_blocking(move || PluginHash::of(&bytes));
        let version = PluginVersion {
            name: command.name,
            hash: hash.await.map_err(Error::internal)?,
            state: PluginState::Compiling,
            size_bytes: command.bytes.len() as u64,
            facts: PluginFacts::default(),
            uploaded_by: caller.user_id(),
            uploaded_at: self.0.context.now(),
        };
        let modules = &self.0.modules;
        let version = modules
            .plugins
            .insert(&tenant, version, &command.bytes)
            .await?;
        audit(
            caller,
            &tenant,
            "upload",
            &version.name,
            &version.hash.to_string(),
        );
        self.prepare(&tenant, &version);
        self.0.sweep_kept();
        Ok(version)
    }

    /// Shows a version with its state.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn show(&self, caller: &Caller, hash: PluginHash) -> Result<PluginVersion> {
        let caller = &caller.scoped(Scope::Plugins)?;
        let tenant = self.owned_tenant(caller).await?;
        let version = self.find(&tenant, hash).await?;
        // A process may have died while compiling it. Reading it continues the work.
        self.prepare(&tenant, &version);
        Ok(version)
    }

    /// Deletes an inactive version and its bytes, and the plugin's log with its last version. Decisions made
    /// with it stay recorded.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `plugin-in-use`, `conflict-try-again`.
    pub async fn delete(&self, caller: &Caller, hash: PluginHash) -> Result<()> {
        let caller = &caller.scoped(Scope::Plugins)?;
        let tenant = self.owned_tenant(caller).await?;
        let version = self.find(&tenant, hash).await?;
        let plugins = &self.0.modules.plugins;
        plugins.delete(&tenant, hash).await?;
        plugins.forget_name(&tenant, &version.name).await?;
        audit(caller, &tenant, "delete", &version.name, &hash.to_string());
        self.0.forget(PluginRef { tenant, hash }).await;
        self.0.sweep_kept();
        Ok(())
    }

    /// Lists all versions, by their hash.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list(&self, caller: &Caller, page: PageRequest) -> Result<Page<PluginVersion>> {
        let caller = &caller.scoped(Scope::Plugins)?;
        let tenant = self.owned_tenant(caller).await?;
        self.0.modules.plugins.list(&tenant, &page).await
    }

    /// Shows the active plugins, in the order in which policies are called.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn in_use(&self, caller: &Caller) -> Result<PluginSet> {
        let caller = &caller.scoped(Scope::Plugins)?;
        let tenant = self.owned_tenant(caller).await?;
        let set = self.0.modules.plugins.fresh_set(&tenant).await?;
        Ok(set.as_ref().clone())
    }

    /// Activates a version, or changes how it is used. This applies to every booking that is answered later. A new
    /// version or configuration is tried first, with the given fixtures and a harmless request to each of
    /// its exports, which it may accept or reject.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `plugin-not-ready` while it compiles or if it was rejected, `plugin-trial-failed` if it
    /// fails a fixture or when its exports are tried, `field-invalid`, `conflict-try-again`, `policy-busy`,
    /// `idempotency-key-reused`.
    pub async fn activate(
        &self,
        caller: &Caller,
        command: ActivatePlugin,
    ) -> Result<PluginActivation> {
        let caller = &caller.scoped(Scope::Plugins)?;
        if caller.api_key_id().is_some() && command.sees_identity == Some(true) {
            return Err(Error::forbidden(
                "Only an owner may let a plugin see names and addresses: leave seesIdentity out.",
            ));
        }
        let tenant = self.owned_tenant(caller).await?;
        let canonical = canonical(&command);
        let request = keyed(caller, RequestRoute::PluginActivations, None, &canonical);
        let request = request.as_ref();
        let activated = self.put_into_use(caller, &tenant, command, request);
        let idempotency = &self.0.modules.idempotency;
        idempotency
            .once(&tenant, request, RecordedAnswer::plugins, activated)
            .await
    }

    /// Activates the version that was active before.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `plugin-not-ready` if there is none, `conflict-try-again`, `idempotency-key-reused`.
    pub async fn roll_back(
        &self,
        caller: &Caller,
        name: &PluginName,
        event: Option<EventId>,
    ) -> Result<PluginSet> {
        let caller = &caller.scoped(Scope::Plugins)?;
        let tenant = self.owned_tenant(caller).await?;
        let canonical = json!([name.as_str(), event.map(|event| event.to_string())]);
        let request = keyed(caller, RequestRoute::PluginRollBacks, None, &canonical);
        let request = request.as_ref();
        let modules = &self.0.modules;
        let rolled_back = async {
            let set = modules.plugins.roll_back(&tenant, name, event, request);
            let set = set.await?;
            audit(caller, &tenant, "roll-back", name, "");
            Ok(set.as_ref().clone())
        };
        let idempotency = &modules.idempotency;
        idempotency
            .once(&tenant, request, recorded_set, rolled_back)
            .await
    }

    /// Deactivates a plugin.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `conflict-try-again`, `idempotency-key-reused`.
    pub async fn remove(
        &self,
        caller: &Caller,
        name: &PluginName,
        event: Option<EventId>,
    ) -> Result<PluginSet> {
        let caller = &caller.scoped(Scope::Plugins)?;
        let tenant = self.owned_tenant(caller).await?;
        let canonical = json!([name.as_str(), event.map(|event| event.to_string())]);
        let request = keyed(caller, RequestRoute::PluginRemovals, None, &canonical);
        let request = request.as_ref();
        let modules = &self.0.modules;
        let removed = async {
            let set = modules.plugins.remove(&tenant, name, event, request);
            let set = set.await?;
            audit(caller, &tenant, "remove", name, "");
            Ok(set.as_ref().clone())
        };
        let idempotency = &modules.idempotency;
        idempotency
            .once(&tenant, request, recorded_set, removed)
            .await
    }

    /// Shows a plugin's recent log lines and failures, newest first; a sample if there are many. Also of an inactive
    /// plugin.
    ///
    /// # Errors
    /// `forbidden`, `not-found` for a name that no version has. Built-in policies have no log.
    pub async fn logs(&self, caller: &Caller, name: &PluginName) -> Result<Vec<PluginLogEntry>> {
        let caller = &caller.scoped(Scope::Plugins)?;
        let tenant = self.owned_tenant(caller).await?;
        let plugins = &self.0.modules.plugins;
        plugins.require_name(&tenant, name).await?;
        plugins.logs(&tenant, name).await
    }

    /// Shows a plugin's recent failed calls, newest first, with request and configuration:
    /// enough to repeat them with `boxoffice plugin run`. 64 are kept for all plugins of a tenant.
    ///
    /// # Errors
    /// `forbidden`, `not-found` for a name that no version has.
    pub async fn failed_calls(
        &self,
        caller: &Caller,
        name: &PluginName,
    ) -> Result<Vec<FailedCall>> {
        let tenant = self.owned_tenant(caller).await?;
        let plugins = &self.0.modules.plugins;
        plugins.require_name(&tenant, name).await?;
        plugins.failed_calls(&tenant, name).await
    }

    /// Shows an active plugin's health: quarantine, and this process's counters of its calls.
    /// Every process has its own counters, since its start.
    ///
    /// # Errors
    /// `forbidden`, `not-found` for an inactive plugin.
    pub async fn metrics(&self, caller: &Caller, name: &PluginName) -> Result<PluginMetrics> {
        let caller = &caller.scoped(Scope::Plugins)?;
        let tenant = self.owned_tenant(caller).await?;
        let plugins = &self.0.modules.plugins;
        let set = plugins.fresh_set(&tenant).await?;
        let uses = set.plugins.iter().filter(|plugin| plugin.name == *name);
        let uses: Vec<_> = uses.cloned().collect();
        if uses.is_empty() {
            return Err(Error::not_found("plugin in use", name));
        }
        Ok(PluginMetrics {
            uses,
            here: plugins.counters(&tenant, name),
        })
    }

    /// Shows the health of all active plugins, by name; see [`metrics`](Self::metrics).
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn overview(&self, caller: &Caller) -> Result<Vec<PluginMetrics>> {
        let caller = &caller.scoped(Scope::Plugins)?;
        let tenant = self.owned_tenant(caller).await?;
        let plugins = &self.0.modules.plugins;
        let set = plugins.fresh_set(&tenant).await?;
        let mut by_name = std::collections::BTreeMap::<&str, PluginMetrics>::new();
        for plugin in &set.plugins {
            let own = by_name
                .entry(plugin.name.as_str())
                .or_insert_with(|| PluginMetrics {
                    uses: Vec::new(),
                    here: plugins.counters(&tenant, &plugin.name),
                });
            own.uses.push(plugin.clone());
        }
        Ok(by_name.into_values().collect())
    }

    /// This process's counters of all tenants' plugins, unordered; at most 8,192. For operators' metrics.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn counted_here(
        &self,
        caller: &Caller,
    ) -> Result<Vec<(TenantId, PluginName, PluginCounters)>> {
        caller.require_operator()?;
        Ok(self.0.modules.plugins.all_counters())
    }

    /// Shows the decision of a booking; `None` if no plugin was called.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn decision(&self, caller: &Caller, booking: BookingId) -> Result<BookingDecision> {
        let caller = &caller.scoped(Scope::BookingsRead)?;
        let tenant = self.owned_tenant(caller).await?;
        let modules = &self.0.modules;
        let found = modules.bookings.find(&tenant, booking).await?;
        let found = found.ok_or_else(|| Error::not_found("booking", booking))?;
        let record = modules.plugins.decision(&tenant, booking).await?;
        let channel = found.channel();
        Ok(BookingDecision {
            channel,
            complimentary: found.sale.and_then(|sale| sale.complimentary),
            record,
        })
    }

    async fn owned_tenant(&self, caller: &Caller) -> Result<TenantId> {
        caller.require_any(&[Role::Owner], "Only an owner of this tenant may do this.")?;
        Ok(self.0.modules.tenants.get(caller.tenant()?).await?.id)
    }

    fn runtime(&self) -> Result<Arc<dyn PluginRuntime>> {
        self.0.plugins.clone().ok_or_else(|| {
            Error::new(
                ErrorCode::PluginsOff,
                "This host was started without plugins.",
            )
        })
    }

    async fn find(&self, tenant: &TenantId, hash: PluginHash) -> Result<PluginVersion> {
        let found = self.0.modules.plugins.find(tenant, hash).await?;
        found.ok_or_else(|| Error::not_found("plugin version", hash))
    }

    async fn loaded(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
    ) -> Result<(&dyn PluginRuntime, PluginRef)> {
        self.runtime()?;
        let version = self.find(tenant, hash).await?;
        self.prepare(tenant, &version);
        let not_ready = |detail: String| Err(Error::new(ErrorCode::PluginNotReady, detail));
        match &version.state {
            PluginState::Ready => {}
            PluginState::Compiling => {
                return not_ready(
                    "This version is still being compiled; try again soon.".to_owned(),
                );
            }
            PluginState::Rejected { reason, .. } => {
                return not_ready(format!("This version was rejected: {reason}"));
            }
        }
        match self.0.ensure_loaded(tenant, hash).await {
            Ok(loaded) => Ok(loaded),
            Err(failure) => match self.0.reject_if_refused(tenant, hash).await? {
                Some(reason) => not_ready(format!("This host cannot load it: {reason}")),
                None => Err(unavailable(failure)),
            },
        }
    }
}

fn require_object(config: &str) -> Result<()> {
    if config.len() > PluginSet::CONFIG_BYTES_MAX {
        return Err(Error::field(
            "config",
            format!(
                "A configuration has at most {} bytes.",
                PluginSet::CONFIG_BYTES_MAX
            ),
        ));
    }
    match serde_json::from_str(config) {
        Ok(Value::Object(_)) => Ok(()),
        _ => Err(Error::field("config", "A configuration is a JSON object.")),
    }
}

/// The whole content of an activation request.
fn canonical(command: &ActivatePlugin) -> Value {
    json!([
        command.name.as_str(),
        command.event.map(|event| event.to_string()),
        command.version.map(|version| version.to_string()),
        command.config,
        command.when_not_loaded,
        command.sees_identity,
        command.limits,
        command.enabled,
        command.position,
        command.fixtures,
        command.skip_trial,
    ])
}

fn recorded_set(answer: RecordedAnswer) -> Result<PluginSet> {
    answer.plugins().map(|activation| activation.set)
}

/// Writes an operation on plugins to the operator's log.
fn audit(
    caller: &Caller,
    tenant: &TenantId,
    action: &'static str,
    what: &dyn std::fmt::Display,
    detail: &str,
) {
    tracing::info!(target: "boxoffice::audit", %tenant, user = ?caller.user_id(), role = ?caller.role(), action, plugin = %what, detail, "plugins");
}
