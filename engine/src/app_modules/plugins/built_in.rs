//! Built-in policies: their catalogue, what one is asked about a booking, and trials of them. They run in the engine itself.
//!
//! Called by the policy check, and by hosts and platforms. Calls the catalogue and the plugins module.

use super::{Plugins, audit, require_object};
use crate::{
    context::EngineContext,
    error::{Error, Result},
    modules::{
        catalogue,
        policy_check::{BookingCheck, PolicyOutcome, outcome_of},
    },
    ports::{BuiltInBooking, BuiltInRequest, HookFailure, PluginOutcome},
    types::{ActivePlugin, Caller, CataloguePolicy, PluginHash, Scope, TenantId, User},
};

impl Plugins {
    /// Lists the built-in policies, by name. Every tenant can activate them without an upload, with
    /// [`activate`](Self::activate) and a configuration that fits the schema.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn catalogue(&self, caller: &Caller) -> Result<Vec<CataloguePolicy>> {
        let caller = &caller.scoped(Scope::Plugins)?;
        self.owned_tenant(caller).await?;
        Ok(catalogue::list())
    }

    /// Returns whether this is the id of a built-in policy's version, and not of an upload.
    pub fn is_built_in(&self, version: PluginHash) -> bool {
        catalogue::of_version(version).is_some()
    }

    /// Asks a built-in policy, without any effect: nothing is claimed. Without a configuration it gets the example of the catalogue.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `field-invalid` for a configuration that it does not take.
    pub async fn dry_run_built_in(
        &self,
        caller: &Caller,
        version: PluginHash,
        request: BuiltInRequest,
        config: Option<String>,
    ) -> Result<PluginOutcome> {
        let caller = &caller.scoped(Scope::Plugins)?;
        let tenant = self.owned_tenant(caller).await?;
        let own = catalogue::of_version(version);
        let own = own.ok_or_else(|| Error::not_found("built-in policy", version))?;
        let config = config.unwrap_or_else(|| own.example().to_owned());
        require_object(&config)?;
        own.check(&config)?;
        let BuiltInRequest::ValidateBooking(mut asked) = request;
        if asked.counters.is_empty() {
            asked.counters = own.name().to_string();
        }
        audit(caller, &tenant, "dry-run", &own.name(), "");
        let request = BuiltInRequest::ValidateBooking(asked);
        Ok(catalogue::outcome(version, &config, &request))
    }
}

impl EngineContext {
    /// Asks one built-in policy about a booking and records the answer. `user` is who the customer is, if the owner lets it see that.
    pub(in crate::app_modules) fn ask_built_in<'a>(
        &self,
        tenant: &TenantId,
        plugin: &'a ActivePlugin,
        user: Option<&User>,
        check: &mut BookingCheck<'a>,
    ) -> Result<PolicyOutcome> {
        let mut asked = BuiltInBooking::about(&check.view, catalogue::counters_of(plugin));
        if let Some(user) = user {
            let shown = &mut asked.customer;
            shown.email = Some(user.email.as_str().to_owned());
            shown.email_confirmed = user.email_verified;
            shown.external_id.clone_from(&user.external_id);
        }
        let request = BuiltInRequest::ValidateBooking(Box::new(asked));
        let outcome = catalogue::outcome(plugin.version, &plugin.config, &request);
        check.record.add(plugin, &request, &outcome);
        let plugins = &self.modules.plugins;
        plugins.count(tenant, &plugin.name, &outcome);
        if let Err(HookFailure::Failed(reason)) = &outcome.answer {
            tracing::error!(%tenant, policy = %plugin.name, reason, "a built-in policy failed");
        }
        let outcome = outcome_of(outcome.answer, plugin.when_not_loaded)?;
        if let PolicyOutcome::Skipped(reason) = &outcome {
            tracing::warn!(%tenant, policy = %plugin.name, reason, "a built-in policy was skipped, as its tenant chose");
        }
        Ok(outcome)
    }
}
