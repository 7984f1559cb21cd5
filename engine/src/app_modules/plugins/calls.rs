//! Calling a plugin: the only way from the engine to one. Its answer is judged before anything is made of it. The call is
//! counted, logged, and held against the plugin where it is its fault.
//!
//! Called by the policy check, by use cases of plugins and by mails. Calls the plugins, users and tenants modules and the
//! plugin runtime port.

use std::time::Duration;

use crate::{
    context::EngineContext,
    error::Result,
    modules::{
        NotedCall, is_known_account,
        policy_check::{DecisionDraft, PolicyOutcome, outcome_of},
        quarantined,
    },
    ports::{
        CallPriority, HookFailure, PluginCall, PluginOutcome, PluginRef, PluginRequest,
        PluginRuntime,
    },
    types::{ActivePlugin, PluginExport, PluginHash, TenantId, User, UserId},
};

/// How long a request waits while a plugin is loaded on this host. What takes longer refuses the request.
const LOADING_WAIT_MAX: Duration = Duration::from_secs(10);

/// Whether a plugin may be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// It is in use.
    Normal,
    /// One try after a quarantine.
    Try,
}

impl EngineContext {
    /// Makes sure that a plugin can be called on this host. Returns what calls it.
    pub(in crate::app_modules) async fn ensure_loaded(
        &self,
        tenant: &TenantId,
        hash: PluginHash,
    ) -> Result<(&dyn PluginRuntime, PluginRef), HookFailure> {
        let not_loaded = |reason: String| HookFailure::NotLoaded(reason);
        let runtime = self
            .plugins
            .as_deref()
            .ok_or_else(|| not_loaded("this host runs no plugins".to_owned()))?;
        let plugin = PluginRef {
            tenant: tenant.clone(),
            hash,
        };
        if runtime.is_loaded(&plugin) {
            return Ok((runtime, plugin));
        }
        let loading = self.load_stored(runtime, &plugin);
        match tokio::time::timeout(LOADING_WAIT_MAX, loading).await {
            Ok(Ok(_)) => Ok((runtime, plugin)),
            Ok(Err(error)) => Err(not_loaded(format!("it could not be loaded: {error}"))),
            Err(_) => Err(not_loaded("it is still being loaded".to_owned())),
        }
    }

    /// Who the customer is, if the owner allowed a policy to see that. The first policy that may has the account read.
    pub(in crate::app_modules) async fn identity<'a>(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        customer: UserId,
        read: &'a mut Option<Option<User>>,
    ) -> Result<Option<&'a User>> {
        if !plugin.sees_identity {
            return Ok(None);
        }
        if read.is_none() {
            *read = Some(self.modules.users.find(tenant, customer).await?);
        }
        Ok(read.as_ref().and_then(Option::as_ref))
    }

    /// Calls one plugin about a booking or a cancellation and records the answer, if there is a record. Turns a failure into an error.
    pub(in crate::app_modules) async fn ask_plugin<'a>(
        &self,
        tenant: &TenantId,
        plugin: &'a ActivePlugin,
        customer: UserId,
        question: &PluginRequest,
        record: Option<&mut DecisionDraft<'a>>,
    ) -> Result<PolicyOutcome> {
        let export = question.export();
        let asking = self.may_ask(tenant, plugin, export).await?;
        let outcome = self.call_plugin(tenant, plugin, question).await;
        if let Some(record) = record {
            record.add(plugin, question, &outcome);
        }
        match (&outcome.answer, asking) {
            (Ok(_), Asking::Try) => self.recovered(tenant, plugin, export).await,
            (Ok(_), Asking::Normal) => self.answered(tenant, plugin, export).await,
            (Err(HookFailure::Failed(reason)), Asking::Try) => {
                self.failed_again(tenant, plugin, export, reason).await;
            }
            (Err(HookFailure::Failed(reason)), Asking::Normal) => {
                self.failed(tenant, plugin, export, customer, reason).await;
            }
            // Not called: this is no evidence about the plugin.
            (
                Err(
                    HookFailure::Busy(_)
                    | HookFailure::NotLoaded(_)
                    | HookFailure::InputTooLarge(_),
                ),
                _,
            ) => {}
        }
        let outcome = outcome_of(outcome.answer, plugin.when_not_loaded)?;
        if let PolicyOutcome::Skipped(reason) = &outcome {
            tracing::warn!(%tenant, plugin = %plugin.name, reason, "a policy that could not be loaded was skipped, as its tenant chose");
        }
        Ok(outcome)
    }

    /// Calls an active plugin, checks its answer, counts the call, and records its log and failure.
    pub(in crate::app_modules) async fn call_plugin(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        question: &PluginRequest,
    ) -> PluginOutcome {
        let outcome = match self.ensure_loaded(tenant, plugin.version).await {
            Ok((runtime, loaded)) => {
                let call = PluginCall {
                    plugin: loaded,
                    config: plugin.config.as_str().into(),
                    limits: plugin.limits,
                    priority: CallPriority::Request,
                };
                runtime.call(&call, question).await.judged(question)
            }
            Err(failure) => Err(failure).into(),
        };
        let call = NotedCall {
            tenant,
            plugin: &plugin.name,
            version: plugin.version,
            config: &plugin.config,
            question,
            outcome: &outcome,
        };
        self.modules.plugins.note(call).await;
        outcome
    }

    /// Returns how a plugin may be asked.
    ///
    /// # Errors
    /// `policy-unavailable` while its export is in quarantine.
    async fn may_ask(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        export: PluginExport,
    ) -> Result<Asking> {
        let Some(quarantine) = plugin.quarantine(export) else {
            return Ok(Asking::Normal);
        };
        let now = self.context.now();
        let plugins = &self.modules.plugins;
        if quarantine.next_try_at <= now && plugins.claim_try(tenant, plugin, export).await? {
            return Ok(Asking::Try);
        }
        // Another request tries it now, or the pause is not over.
        let next_try_at = quarantine.next_try_at.max(now);
        Err(quarantined(plugin, export, next_try_at, now))
    }

    async fn answered(&self, tenant: &TenantId, plugin: &ActivePlugin, export: PluginExport) {
        let noted = self.modules.plugins.note_answer(tenant, plugin, export);
        if let Err(error) = noted.await {
            // The failures before it expire by themselves.
            tracing::warn!(%tenant, %error, "deleting a plugin's failures failed");
        }
    }

    async fn recovered(&self, tenant: &TenantId, plugin: &ActivePlugin, export: PluginExport) {
        let ended = self.modules.plugins.end_quarantine(tenant, plugin, export);
        match ended.await {
            Ok(()) => {
                tracing::info!(%tenant, plugin = %plugin.name, export = export.as_str(), "a plugin works again; its \
                    quarantine has ended");
            }
            // The next try ends it.
            Err(error) => {
                tracing::warn!(%tenant, %error, "writing the end of a quarantine failed")
            }
        }
    }

    async fn failed_again(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        export: PluginExport,
        reason: &str,
    ) {
        let plugins = &self.modules.plugins;
        let failed = plugins.note_failed_try(tenant, plugin, export, reason);
        if let Err(error) = failed.await {
            // It is then tried again a little earlier.
            tracing::warn!(%tenant, %error, "writing a plugin's failed try failed");
        }
    }

    async fn failed(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        export: PluginExport,
        customer: UserId,
        reason: &str,
    ) {
        let counted = async {
            if !self
                .modules
                .plugins
                .is_failure_new(tenant, plugin, export, customer)
            {
                return Ok(false);
            }
            let is_witness = self.is_witness(tenant, customer).await?;
            let plugins = &self.modules.plugins;
            let failed =
                plugins.note_failure(tenant, plugin, export, (customer, is_witness), reason);
            failed.await
        };
        match counted.await {
            Ok(true) => {
                tracing::warn!(%tenant, plugin = %plugin.name, export = export.as_str(), reason, "a plugin failed for several customers and is in quarantine");
            }
            Ok(false) => {}
            // The next failure tries again.
            Err(error) => {
                tracing::warn!(%tenant, %error, "counting a plugin's failure failed")
            }
        }
    }

    /// Returns whether a failure for this customer counts towards quarantine. Anybody can make accounts, so only these count: accounts that the tenant's
    /// programs brought, that confirmed their address if the tenant asks for it, or that are a day old; and owners and staff.
    async fn is_witness(&self, tenant: &TenantId, customer: UserId) -> Result<bool> {
        let Some(user) = self.modules.users.find(tenant, customer).await? else {
            return Ok(false);
        };
        if is_known_account(&user, self.context.now()) {
            return Ok(true);
        }
        // If nobody is asked, every address counts as confirmed.
        if !user.email_verified {
            return Ok(false);
        }
        let tenant = self.modules.tenants.get(tenant).await?;
        Ok(self.asks_to_confirm(&tenant))
    }
}
