//! Putting a plugin or a built-in policy into use, or changing how it is used.
//!
//! Called by the activation of plugins. Calls the plugins and events modules, and the plugin runtime port.

use super::{Plugins, activation::Trial, audit, require_object};
use crate::{
    error::{Error, Result},
    modules::{SetRequest, catalogue},
    types::{
        ActivatePlugin, ActivePlugin, Caller, KeyedRequest, PluginActivation, PluginFacts,
        PluginHash, PluginName, PluginState, PluginVersion, TenantId,
    },
};

impl Plugins {
    pub(super) async fn put_into_use(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        command: ActivatePlugin,
        request: Option<&KeyedRequest>,
    ) -> Result<PluginActivation> {
        if let Some(config) = &command.config {
            require_object(config)?;
        }
        let modules = &self.0.modules;
        if let Some(limits) = &command.limits
            && command.name.built_in().is_none()
        {
            limits.check_below(&self.runtime()?.ceilings().largest())?;
        }
        if let Some(event) = command.event {
            let found = modules.events.find(tenant, event).await?;
            found.ok_or_else(|| Error::not_found("event", event))?;
        }
        let present = modules.plugins.fresh_set(tenant).await?;
        let mut uses = present.plugins.iter();
        let present = uses.find(|own| own.name == command.name && own.event == command.event);
        let (version, warnings) = match command.name.built_in() {
            // The module checks its configuration, and nothing of it can fail.
            Some(_) => (self.built_in_version(&command, present)?, Vec::new()),
            None => self.tried_version(tenant, &command, present).await?,
        };
        let asked = SetRequest {
            request,
            warnings: &warnings,
        };
        let set = modules
            .plugins
            .activate(tenant, &command, version.as_ref(), asked)
            .await?;
        audit(
            caller,
            tenant,
            "activate",
            &command.name,
            // Not the configuration: it is the tenant's own.
            &format!(
                "version {:?}, enabled {:?}, trial skipped {}",
                version.map(|version| version.hash.to_string()),
                command.enabled,
                command.skip_trial
            ),
        );
        Ok(PluginActivation {
            set: set.as_ref().clone(),
            warnings,
        })
    }

    /// The uploaded version that a command names, if it names one, tried together with what else changes.
    async fn tried_version(
        &self,
        tenant: &TenantId,
        command: &ActivatePlugin,
        present: Option<&ActivePlugin>,
    ) -> Result<(Option<PluginVersion>, Vec<String>)> {
        let version = match command.version {
            Some(hash) => Some(self.usable(tenant, &command.name, hash).await?),
            None => None,
        };
        let warnings = match Trial::of(command, version.as_ref(), present) {
            Some(trial) => self.try_out(tenant, &trial).await?,
            None => Vec::new(),
        };
        Ok((version, warnings))
    }

    /// A version that can be activated under this name, loaded on this host.
    async fn usable(
        &self,
        tenant: &TenantId,
        name: &PluginName,
        hash: PluginHash,
    ) -> Result<PluginVersion> {
        let version = self.find(tenant, hash).await?;
        if version.name != *name {
            return Err(Error::not_found("version of this plugin", hash));
        }
        self.loaded(tenant, hash).await?;
        Ok(version)
    }

    /// The rules that a command puts into use: those that it names, or the newest of a policy that is not in use yet.
    ///
    /// # Errors
    /// `not-found`; `field-invalid` for what only uploaded plugins have.
    fn built_in_version(
        &self,
        command: &ActivatePlugin,
        present: Option<&ActivePlugin>,
    ) -> Result<Option<PluginVersion>> {
        let own =
            catalogue::of_name(&command.name, command.version).ok_or_else(|| {
                match command.version {
                    Some(version) => Error::not_found("version of this policy", version),
                    None => Error::not_found("built-in policy", &command.name),
                }
            })?;
        let rule = "A built-in policy has none: leave it out.";
        if command.limits.is_some() {
            return Err(Error::field("limits", rule));
        }
        if !command.fixtures.is_empty() {
            return Err(Error::field("fixtures", rule));
        }
        if command.version.is_none() && present.is_some() {
            return Ok(None);
        }
        Ok(Some(PluginVersion {
            name: command.name.clone(),
            hash: own.version(),
            state: PluginState::Ready,
            size_bytes: 0,
            facts: PluginFacts {
                decides: true,
                ..PluginFacts::default()
            },
            uploaded_by: None,
            uploaded_at: self.0.context.now(),
        }))
    }
}
