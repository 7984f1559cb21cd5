//! Calls of plugins: the only code of the engine that calls one. Checks the answer before it is used, and
//! counts, logs, and records failures for the quarantine.
//!
//! Called by the policy check, by use cases of plugins and by mails. Calls the plugins, users and tenants modules and the plugin runtime port.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{PolicyOutcome, unavailable};
use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::NotedCall,
    ports::{
        HookFailure, PluginAnswer, PluginCall, PluginOutcome, PluginRef, PluginRequest,
        PluginRuntime, RequestCustomer, WhenNotLoaded,
    },
    types::{
        ActivePlugin, DecisionRecord, DecisionStep, PluginExport, TenantId, User, UserId, UserRole,
    },
};

/// How long a request waits while a plugin is loaded. After that it is refused.
const LOADING_WAIT_MAX: Duration = Duration::from_secs(10);
/// Largest request that is kept with a decision.
const KEPT_REQUEST_BYTES_MAX: usize = 16 * 1024;
/// From this age on an account counts as evidence of a failure. Accounts are free to make, but age is not.
const WITNESS_AGE_MIN: SignedDuration = SignedDuration::from_hours(24);

impl EngineContext {
    /// Makes sure that a plugin can be called on this host. Returns the runtime that calls it.
    pub(crate) async fn ensure_loaded(
        &self,
        tenant: &TenantId,
        hash: crate::types::PluginHash,
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

    /// Adds e-mail address and name if the owner allowed the plugin to see them.
    pub(super) async fn attach_identity(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        customer: UserId,
        shown: &mut RequestCustomer,
    ) -> Result<()> {
        if plugin.sees_identity
            && let Some(user) = self.modules.users.find(tenant, customer).await?
        {
            shown.email = Some(user.email.as_str().to_owned());
            shown.name = Some(user.name.as_str().to_owned());
        }
        Ok(())
    }

    /// Calls one plugin about a booking or a cancellation and records the answer. Turns a failure into an error.
    pub(super) async fn ask_plugin(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        customer: UserId,
        question: &PluginRequest,
        record: &mut DecisionRecord,
    ) -> Result<PolicyOutcome> {
        let export = question.export();
        let is_try = self.may_ask(tenant, plugin, export).await?;
        let outcome = self.call_plugin(tenant, plugin, question).await;
        record.steps.push(step(plugin, question, &outcome));
        match &outcome.answer {
            Ok(_) if is_try => self.recovered(tenant, plugin, export).await,
            Ok(_) => self.answered(tenant, plugin, export).await,
            Err(HookFailure::Failed(reason)) if is_try => {
                self.failed_again(tenant, plugin, export, reason).await;
            }
            Err(HookFailure::Failed(reason)) => {
                self.failed(tenant, plugin, export, customer, reason).await;
            }
            // Not called: this is no evidence about the plugin.
            Err(
                HookFailure::Busy(_) | HookFailure::NotLoaded(_) | HookFailure::InputTooLarge(_),
            ) => {}
        }
        match outcome.answer {
            Ok(PluginAnswer::Decided(decision)) => Ok(PolicyOutcome::Answered(decision)),
            // Checked before: a policy answers with a decision.
            Ok(_) => Err(Error::internal(
                "a policy answered something else than a decision",
            )),
            Err(HookFailure::NotLoaded(reason))
                if plugin.when_not_loaded == WhenNotLoaded::Skip =>
            {
                tracing::warn!(%tenant, plugin = %plugin.name, reason, "a policy was skipped, as its tenant chose");
                Ok(PolicyOutcome::Skipped)
            }
            Err(failure) => Err(unavailable(failure)),
        }
    }

    /// Calls an active plugin, checks its answer, counts the call, and records its log and failure.
    pub(crate) async fn call_plugin(
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
                    urgent: true,
                };
                runtime.call(&call, question).await.judged(question)
            }
            Err(failure) => not_asked(failure),
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

    /// Returns whether this call is a try after a quarantine; refuses if the plugin may not be called now.
    async fn may_ask(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        export: PluginExport,
    ) -> Result<bool> {
        let Some(quarantine) = plugin.quarantine(export) else {
            return Ok(false);
        };
        let now = self.context.now();
        let plugins = &self.modules.plugins;
        if quarantine.next_try_at <= now && plugins.claim_try(tenant, plugin, export).await? {
            return Ok(true);
        }
        // Another request tries it now, or the pause is not over.
        Err(quarantined(
            plugin,
            export,
            quarantine.next_try_at.max(now),
            now,
        ))
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
        if is_known(&user, self.context.now()) {
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

/// Returns whether the account itself shows that it was not made for this purpose.
fn is_known(user: &User, now: Timestamp) -> bool {
    user.external_id.is_some()
        || matches!(user.role, UserRole::Owner | UserRole::Staff)
        || now.duration_since(user.created_at) >= WITNESS_AGE_MIN
}

/// The error while an export is in quarantine.
fn quarantined(
    plugin: &ActivePlugin,
    export: PluginExport,
    next_try_at: Timestamp,
    now: Timestamp,
) -> Error {
    let seconds = now.duration_until(next_try_at).as_secs().max(0);
    let wait = Duration::from_secs(u64::try_from(seconds).unwrap_or(0) + 1);
    Error::new(
        ErrorCode::PolicyUnavailable,
        format!(
            "The organizer's policy failed for several customers and is in quarantine. It is tried again from \
            {next_try_at:.0} on. Nothing was changed."
        ),
    )
    .retry_after(wait)
    .caused_by(HookFailure::Failed(format!(
        "{} of the plugin {} is in quarantine",
        export.as_str(),
        plugin.name
    )))
}

fn not_asked(failure: HookFailure) -> PluginOutcome {
    PluginOutcome {
        answer: Err(failure),
        usage: Default::default(),
        logs: Vec::new(),
    }
}

fn step(plugin: &ActivePlugin, question: &PluginRequest, outcome: &PluginOutcome) -> DecisionStep {
    let request = serde_json::to_value(question)
        .ok()
        .filter(|request| request.to_string().len() <= KEPT_REQUEST_BYTES_MAX);
    let answer = match &outcome.answer {
        Ok(answer) => serde_json::to_value(answer).unwrap_or_default(),
        Err(failure) => serde_json::json!({ "failure": failure.to_string() }),
    };
    DecisionStep {
        plugin: plugin.name.to_string(),
        version: plugin.version,
        config: plugin.config.clone(),
        request,
        answer,
    }
}
